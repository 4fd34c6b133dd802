/* tests/util/shmtab_look_test.c - several keys of a table at once, and values that are overwritten in their place */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <tests/lib/tab_rig.h>
#include <util/mem.h>
#include <util/shmtab.h>

/* put_loose - a value that may be overwritten in its place */
static void
put_loose(struct shmtab *t, const char *key, const char *val, int64_t expire_s)
{
	static struct tab_put p;

	p.act = SHMTAB_PUT;
	p.val = (struct shmtab_val) { .data = val, .len = strlen(val), .expire_s = expire_s, .mark = 9, .loose = true };
	assert_int_equal(shmtab_modify(t, key, strlen(key), TAB_NOW, tab_put_fn, &p), 0);
}

/* last_fn - remembers the entry that was written last, of each part; *ctx: one of them is "n" */
static bool
last_fn(void *ctx, const void *key, size_t len, const struct shmtab_val *v)
{
	(void) v;
	*(bool *) ctx = len == 1 && memcmp(key, "n", 1) == 0;
	return true;
}

static bool
is_last(struct shmtab *t)
{
	bool	last = false, any = false;

	for (unsigned part = 0; part < shmtab_parts(t); part++) {
		assert_int_equal(shmtab_walk(t, part, last_fn, &last), 0);
		any = any || last;
		last = false;
	}
	return any;
}

/* an overwritten value takes no room; one of another length, and a pinned one, are written anew as ever */
static void
shmtab_loose_ones_stay_in_place(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	char	val[20], key[20];
	struct shmtab_val v;
	uint64_t before;

	(void) state;
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "k%d", i);
		tab_put(t, key, "live and never asked for");
	}
	put_loose(t, "n", "00000", 5);
	assert_true(is_last(t));
	for (int i = 0; i < 1000; i++) {		/* younger ones in each part */
		snprintf(key, sizeof key, "j%d", i);
		tab_put(t, key, "live and never asked for");
	}
	before = shmtab_changes(t, "n", 1);
	for (int i = 1; i <= 200000; i++) {		/* many times the size of the table */
		snprintf(val, sizeof val, "%05d", i % 100000);
		put_loose(t, "n", val, TAB_NOW + i);
	}
	assert_string_equal(tab_get(t, "n"), val);
	assert_int_equal(shmtab_get(t, "n", 1, val, sizeof val, &v), 1);
	assert_int_equal(v.expire_s, TAB_NOW + 200000);
	assert_int_equal(v.mark, 9);
	assert_int_equal(shmtab_changes(t, "n", 1) - before, 200000);
	assert_false(is_last(t));
	assert_int_equal(tab_stat(t).entries, 2001);
	assert_int_equal(tab_stat(t).evicted, 0);
	assert_int_equal(tab_stat(t).damaged, 0);
	put_loose(t, "n", "longer", 0);
	assert_true(is_last(t));
	assert_string_equal(tab_get(t, "n"), "longer");
	assert_int_equal(tab_put_val(t, "n", "pinned", 0, 0, true), 0);
	put_loose(t, "n", "no pin", 0);
	assert_string_equal(tab_get(t, "n"), "no pin");
	assert_int_equal(tab_stat(t).pinned, 0);
	assert_int_equal(tab_stat(t).entries, 2001);
	shmtab_close(&t);
}

#define SEVERAL	7

static void
several_aim(struct shmtab_look *look, struct shmtab *const table[], char key[][32], char data[][8])
{
	for (size_t i = 0; i < SEVERAL; i++)
		look[i] = (struct shmtab_look) { .table = table[i], .key = key[i], .keylen = strlen(key[i]), .data = data[i],
			.size = sizeof data[i] };
	shmtab_aim(look, SEVERAL);
}

/* several_check - each answer is the one that shmtab_get gives */
static void
several_check(const struct shmtab_look *look, struct shmtab *const table[], char key[][32])
{
	for (size_t i = 0; i < SEVERAL; i++) {
		char	want[8] = "";
		struct shmtab_val v;

		assert_int_equal(look[i].found, shmtab_get(table[i], key[i], strlen(key[i]), want, sizeof want, &v));
		if (look[i].found == 0)
			continue;
		assert_int_equal(look[i].val.len, v.len);
		assert_int_equal(look[i].val.mark, v.mark);
		assert_memory_equal(look[i].data, want, v.len < sizeof want ? v.len : sizeof want);
	}
}

static void
shmtab_several_at_once(void **state)
{
	struct shmtab *two[] = { tab_memory(SHMTAB_BYTES_MIN), tab_memory(2 * SHMTAB_BYTES_MIN) }, *table[SEVERAL];
	char	key[SEVERAL][32], data[SEVERAL][8], val[32], long_key[SHMTAB_KEY_MAX + 1];
	struct shmtab_look look[SEVERAL];
	unsigned found = 0;

	(void) state;
	for (int i = 0; i < 3000; i++) {
		snprintf(key[0], sizeof key[0], "key %d", i);
		snprintf(val, sizeof val, "%d of %d", i * 7, i % 2);
		assert_int_equal(tab_put_val(two[i % 2], key[0], val, 0, (uint32_t) i, false), 0);
	}
	for (int round = 0; round < 500; round++) {
		for (size_t i = 0; i < SEVERAL; i++) {
			table[i] = two[tab_rnd(2)];
			snprintf(key[i], sizeof key[i], "key %u", tab_rnd(4000));	/* some of them the same, most in the other table */
		}
		several_aim(look, table, key, data);
		shmtab_get_all(look, SEVERAL);
		several_check(look, table, key);
		for (size_t i = 0; i < SEVERAL; i++)
			found += look[i].found > 0;
	}
	assert_true(found > 500);
	memset(long_key, 'x', sizeof long_key);
	look[0] = (struct shmtab_look) { .table = two[0], .key = long_key, .keylen = sizeof long_key, .data = data[0], .size = 8 };
	shmtab_aim(look, 1);
	shmtab_get_all(look, 1);
	assert_int_equal(look[0].found, 0);
	for (size_t i = 0; i < NELEM(two); i++)
		shmtab_close(&two[i]);
}

/* the table gets another size, and another place in memory, between the two steps */
static void
shmtab_several_while_it_is_replaced(void **state)
{
	struct shmtab *t, *other, *table[SEVERAL];
	char	key[SEVERAL][32], data[SEVERAL][8];
	struct shmtab_look look[SEVERAL];
	const char *why;

	assert_int_equal(tab_setup(state), 0);
	t = tab_open(TAB_MB);
	for (size_t i = 0; i < SEVERAL; i++) {
		table[i] = t;
		snprintf(key[i], sizeof key[i], "key %zu", i);
		tab_put(t, key[i], key[i] + 4);
	}
	several_aim(look, table, key, data);
	other = tab_open(3 * TAB_MB);
	assert_int_equal(shmtab_check(t, &why), 0);
	assert_int_equal(tab_stat(t).bytes, 3 * TAB_MB);
	shmtab_get_all(look, SEVERAL);
	several_check(look, table, key);
	assert_int_equal(look[3].found, 1);
	several_aim(look, table, key, data);		/* and while a call finds that out */
	shmtab_close(&other);
	other = tab_open(2 * TAB_MB);
	shmtab_get_all(look, SEVERAL);
	several_check(look, table, key);
	assert_int_equal(look[3].found, 1);
	assert_int_equal(tab_stat(t).bytes, 2 * TAB_MB);
	shmtab_close(&other);
	shmtab_close(&t);
	assert_int_equal(tab_teardown(state), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shmtab_loose_ones_stay_in_place),
		cmocka_unit_test(shmtab_several_at_once),
		cmocka_unit_test(shmtab_several_while_it_is_replaced),
	};

	return cmocka_run_group_tests_name("shmtab_look", tests, NULL, NULL);
}
