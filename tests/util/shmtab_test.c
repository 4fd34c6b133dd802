/* tests/util/shmtab_test.c - what the calls of a table promise; dying processes and damage: shmtab_crash_test.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <util/mem.h>
#include <util/shmtab.h>

#define NOW	1000000

static uint64_t test_random;

static uint32_t
rnd(uint32_t below)
{
	test_random ^= test_random << 13;
	test_random ^= test_random >> 7;
	test_random ^= test_random << 17;
	return (uint32_t) (test_random >> 32) % below;
}

static struct shmtab *
table_new(uint64_t bytes)
{
	struct shmtab *t;
	const char *why;

	if (shmtab_open(&t, -1, NULL, bytes, &why) < 0)
		fail_msg("shmtab_open: %s: %s", why, strerror(errno));
	test_random = 88172645463325252;
	return t;
}

struct put {
	enum shmtab_act act;
	struct shmtab_val val;
	bool	found;			/* results: what was there */
	struct shmtab_val old;
	char	old_data[SHMTAB_VAL_MAX];
};

static enum shmtab_act
put_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct put *p = ctx;

	assert_null(new->data);
	assert_int_equal(new->len, 0);
	if ((p->found = old != NULL)) {
		p->old = *old;
		memcpy(p->old_data, old->data, old->len);
	}
	*new = p->val;
	return p->act;
}

static int
put_val(struct shmtab *t, const char *key, const char *val, int64_t expire_s, uint32_t mark, bool pinned)
{
	static struct put p;

	p.act = SHMTAB_PUT;
	p.val = (struct shmtab_val) { val, strlen(val), expire_s, mark, pinned };
	return shmtab_modify(t, key, strlen(key), NOW, put_fn, &p);
}

static void
put(struct shmtab *t, const char *key, const char *val)
{
	if (put_val(t, key, val, 0, 0, false) < 0)
		fail_msg("put %s: %s", key, strerror(errno));
}

static int
drop(struct shmtab *t, const char *key)
{
	static struct put p;

	p.act = SHMTAB_DELETE;
	return shmtab_modify(t, key, strlen(key), NOW, put_fn, &p) < 0 ? -1 : p.found;
}

/* get - the value as a string, or NULL */
static const char *
get(struct shmtab *t, const char *key)
{
	static char data[SHMTAB_VAL_MAX + 1];
	struct shmtab_val v;
	int	rc = shmtab_get(t, key, strlen(key), data, sizeof data - 1, &v);

	if (rc < 0)
		fail_msg("get %s: %s", key, strerror(errno));
	if (rc == 0)
		return NULL;
	data[v.len] = 0;
	return data;
}

static struct shmtab_stat
stat_of(struct shmtab *t)
{
	struct shmtab_stat st;

	shmtab_stat(t, &st);
	return st;
}

/* one entry */

static void
shmtab_one_entry(void **state)
{
	struct shmtab *t = table_new(SHMTAB_BYTES_MIN);
	static struct put p;
	struct shmtab_val v;
	char	small[4] = "....";

	(void) state;
	assert_null(get(t, "a"));
	assert_int_equal(put_val(t, "a", "value", 77, 5, false), 0);
	assert_string_equal(get(t, "a"), "value");
	assert_int_equal(shmtab_get(t, "a", 1, small, 3, &v), 1);	/* cut, with the whole length */
	assert_int_equal(v.len, 5);
	assert_memory_equal(small, "val.", 4);
	assert_ptr_equal(v.data, small);
	assert_int_equal(v.expire_s, 77);
	assert_int_equal(v.mark, 5);
	assert_false(v.pinned);
	assert_null(get(t, "b"));
	assert_null(get(t, ""));

	p.act = SHMTAB_KEEP;
	assert_int_equal(shmtab_modify(t, "a", 1, NOW, put_fn, &p), 0);
	assert_true(p.found);
	assert_int_equal(p.old.len, 5);
	assert_int_equal(p.old.expire_s, 77);
	assert_memory_equal(p.old_data, "value", 5);
	assert_int_equal(shmtab_modify(t, "b", 1, NOW, put_fn, &p), 0);
	assert_false(p.found);
	assert_null(get(t, "b"));

	put(t, "a", "a longer value than before");
	assert_string_equal(get(t, "a"), "a longer value than before");
	put(t, "a", "");
	assert_string_equal(get(t, "a"), "");
	put(t, "", "the empty key");
	assert_string_equal(get(t, ""), "the empty key");
	assert_int_equal(stat_of(t).entries, 2);
	assert_int_equal(stat_of(t).key_val_bytes, 1 + 13);
	assert_int_equal(drop(t, "a"), 1);
	assert_int_equal(drop(t, "a"), 0);
	assert_null(get(t, "a"));
	assert_int_equal(drop(t, ""), 1);
	assert_int_equal(stat_of(t).entries, 0);
	assert_int_equal(stat_of(t).key_val_bytes, 0);
	shmtab_close(&t);
	assert_null(t);
	shmtab_close(&t);
}

/* a value made from the one that is shown */
static enum shmtab_act
append_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	(void) ctx;
	*new = *old;
	new->data = (const char *) old->data + 1;
	new->len = old->len - 1;
	return SHMTAB_PUT;
}

static void
shmtab_new_value_may_lie_in_the_old_one(void **state)
{
	struct shmtab *t = table_new(SHMTAB_BYTES_MIN);

	(void) state;
	put(t, "k", "abcdef");
	for (int i = 0; i < 3; i++)
		assert_int_equal(shmtab_modify(t, "k", 1, NOW, append_fn, NULL), 0);
	assert_string_equal(get(t, "k"), "def");
	shmtab_close(&t);
}

static void
shmtab_sizes(void **state)
{
	static const struct { const char *name; size_t key, val; int err; } cases[] = {
		{ "both empty",		  0,		      0,		  0 },
		{ "one byte each",	  1,		      1,		  0 },
		{ "unaligned",		  13,		      255,		  0 },
		{ "largest key",	  SHMTAB_KEY_MAX,     0,		  0 },
		{ "largest value",	  3,		      SHMTAB_VAL_MAX,	  0 },
		{ "largest both",	  SHMTAB_KEY_MAX,     SHMTAB_VAL_MAX,	  0 },
		{ "key too long",	  SHMTAB_KEY_MAX + 1, 1,		  EMSGSIZE },
		{ "value too long",	  4,		      SHMTAB_VAL_MAX + 1, EMSGSIZE },
		{ "key enormous",	  100000,	      0,		  EMSGSIZE },
	};
	struct shmtab *t = table_new(SHMTAB_BYTES_MIN);
	char   *bytes = mem_alloc(200000), *out = mem_alloc(SHMTAB_VAL_MAX);
	static struct put p;
	struct shmtab_val v;

	(void) state;
	for (size_t i = 0; i < 200000; i++)
		bytes[i] = (char) rnd(256);
	for (int round = 0; round < 50; round++)		/* many times: also across the end of a ring */
		for (size_t i = 0; i < NELEM(cases); i++) {
			const char *key = bytes + i, *val = bytes + 1000 * round + i;
			int	rc, err;

			p.act = SHMTAB_PUT;
			p.val = (struct shmtab_val) { .data = val, .len = cases[i].val };
			errno = 0;
			rc = shmtab_modify(t, key, cases[i].key, NOW, put_fn, &p);
			err = rc < 0 ? errno : 0;
			if (err != cases[i].err)
				fail_msg("%s: got %s, want %s", cases[i].name, strerror(err), strerror(cases[i].err));
			rc = shmtab_get(t, key, cases[i].key, out, SHMTAB_VAL_MAX, &v);
			if (rc != (cases[i].err == 0))
				fail_msg("%s: get: got %d", cases[i].name, rc);
			if (rc == 1 && (v.len != cases[i].val || memcmp(out, val, v.len) != 0))
				fail_msg("%s: got another value (%zu bytes)", cases[i].name, v.len);
		}
	assert_int_equal(stat_of(t).damaged, 0);
	mem_free(&bytes);
	mem_free(&out);
	shmtab_close(&t);
}

static void
shmtab_marks(void **state)
{
	struct shmtab *t = table_new(SHMTAB_BYTES_MIN);
	static const struct { const char *name, *key; uint32_t from, to; int want; uint32_t mark; } cases[] = {
		{ "as it is",	    "a", 7, 9, 1, 9 },
		{ "already other",  "a", 7, 8, 0, 9 },
		{ "to nothing",	    "a", 9, 0, 1, 0 },
		{ "no such entry",  "b", 0, 1, 0, 0 },
	};
	struct shmtab_val v;
	char	data[8];

	(void) state;
	put_val(t, "a", "x", 0, 7, false);
	for (size_t i = 0; i < NELEM(cases); i++) {
		int	got = shmtab_mark(t, cases[i].key, 1, cases[i].from, cases[i].to);

		if (got != cases[i].want)
			fail_msg("%s: got %d, want %d", cases[i].name, got, cases[i].want);
		assert_int_equal(shmtab_get(t, "a", 1, data, sizeof data, &v), 1);
		if (v.mark != cases[i].mark)
			fail_msg("%s: mark: got %u, want %u", cases[i].name, v.mark, cases[i].mark);
	}
	assert_string_equal(get(t, "a"), "x");
	shmtab_close(&t);
}

/* the model: a plain array beside the table */

#define MODEL_KEYS	500

struct model {
	struct { bool is; uint32_t len, seed, mark; int64_t expire_s; } e[MODEL_KEYS];
	unsigned seen;
};

static void
model_fill(char *out, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		out[i] = (char) (seed * 31 + i * 7 + (i >> 8));
}

static unsigned
model_key(char *key, unsigned n)
{
	return (unsigned) sprintf(key, "%*ukey", (int) (n % 40) + 1, n);
}

static void
model_check(struct model *m, unsigned n, const struct shmtab_val *v)
{
	static char want[SHMTAB_VAL_MAX];

	if (v->len != m->e[n].len || v->mark != m->e[n].mark || v->expire_s != m->e[n].expire_s)
		fail_msg("key %u: got len %zu mark %u expire %lld, want %u %u %lld", n, v->len, v->mark,
		    (long long) v->expire_s, m->e[n].len, m->e[n].mark, (long long) m->e[n].expire_s);
	model_fill(want, m->e[n].len, m->e[n].seed);
	if (memcmp(want, v->data, v->len) != 0)
		fail_msg("key %u: got another value", n);
}

static bool
model_walk_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	struct model *m = ctx;
	unsigned n;
	char	want[64];

	assert_int_equal(sscanf(key, "%ukey", &n), 1);
	assert_true(n < MODEL_KEYS && m->e[n].is);
	assert_int_equal(model_key(want, n), key_len);
	assert_memory_equal(want, key, key_len);
	model_check(m, n, v);
	m->seen++;
	return true;
}

static bool
model_clean_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	struct model *m = ctx;
	unsigned n;

	model_walk_fn(ctx, key, key_len, v);
	sscanf(key, "%ukey", &n);
	if (m->e[n].len % 3 != 0)
		return true;
	m->e[n].is = false;
	return false;
}

static unsigned
model_count(const struct model *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MODEL_KEYS; i++)
		n += m->e[i].is;
	return n;
}

static void
shmtab_model(void **state)
{
	struct shmtab *t = table_new(SHMTAB_BYTES_MIN);
	struct model *m = mem_alloc(sizeof *m);
	char	key[64], *data = mem_alloc(SHMTAB_VAL_MAX);
	static struct put p;
	struct shmtab_val v;

	(void) state;
	for (unsigned round = 0; round < 60000; round++) {
		unsigned n = rnd(MODEL_KEYS), len = model_key(key, n);
		uint32_t what = rnd(100);

		if (what < 50) {
			m->e[n].is = true;
			m->e[n].len = rnd(50) == 0 ? rnd(2000) : rnd(200);
			m->e[n].seed = rnd(1000000);
			m->e[n].mark = rnd(10);
			m->e[n].expire_s = rnd(2) * (NOW + rnd(100));
			model_fill(data, m->e[n].len, m->e[n].seed);
			p.act = SHMTAB_PUT;
			p.val = (struct shmtab_val) { data, m->e[n].len, m->e[n].expire_s, m->e[n].mark, false };
			assert_int_equal(shmtab_modify(t, key, len, NOW, put_fn, &p), 0);
		} else if (what < 80) {
			int	got = shmtab_get(t, key, len, data, SHMTAB_VAL_MAX, &v);

			if (got != m->e[n].is)
				fail_msg("round %u key %u: got %d", round, n, got);
			if (got == 1)
				model_check(m, n, &v);
		} else if (what < 90) {
			assert_int_equal(drop(t, key), m->e[n].is);
			m->e[n].is = false;
		} else if (what < 99) {
			uint32_t to = rnd(10);

			assert_int_equal(shmtab_mark(t, key, len, 3, to), m->e[n].is && m->e[n].mark == 3);
			if (m->e[n].mark == 3)
				m->e[n].mark = to;
		} else if (round % 10 == 0) {
			uint64_t retained = 0, dropped = 0;
			unsigned before = model_count(m);

			m->seen = 0;
			for (unsigned i = 0; i < shmtab_parts(t); i++)
				assert_int_equal(shmtab_clean(t, i, model_clean_fn, m, &retained, &dropped), 0);
			assert_int_equal(m->seen, before);
			assert_int_equal(retained, model_count(m));
			assert_int_equal(retained + dropped, before);
		} else {
			m->seen = 0;
			for (unsigned i = 0; i < shmtab_parts(t); i++)
				assert_int_equal(shmtab_walk(t, i, model_walk_fn, m), 0);
			assert_int_equal(m->seen, model_count(m));
			assert_int_equal(m->seen, stat_of(t).entries);
		}
	}
	assert_int_equal(stat_of(t).damaged, 0);
	assert_int_equal(stat_of(t).evicted, 0);
	assert_int_equal(stat_of(t).expired, 0);
	mem_free(&m);
	mem_free(&data);
	shmtab_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shmtab_one_entry),
		cmocka_unit_test(shmtab_new_value_may_lie_in_the_old_one),
		cmocka_unit_test(shmtab_sizes),
		cmocka_unit_test(shmtab_marks),
		cmocka_unit_test(shmtab_model),
	};

	return cmocka_run_group_tests_name("shmtab", tests, NULL, NULL);
}
