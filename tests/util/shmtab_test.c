/* tests/util/shmtab_test.c - what the calls of a table promise; dying processes: shmtab_crash_test.c, shmtab_kill_test.c;
 * damage: shmtab_damage_test.c; several keys at once, values that are overwritten: shmtab_look_test.c
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <tests/lib/tab_rig.h>
#include <util/mem.h>
#include <util/shmtab.h>

static int
drop(struct shmtab *t, const char *key)
{
	static struct tab_put p;

	p.act = SHMTAB_DELETE;
	return shmtab_modify(t, key, strlen(key), TAB_NOW, tab_put_fn, &p) < 0 ? -1 : p.found;
}

/* one entry */

static void
shmtab_one_entry(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	static struct tab_put p;
	struct shmtab_val v;
	char	small[4] = "....";

	(void) state;
	assert_null(tab_get(t, "a"));
	assert_int_equal(tab_put_val(t, "a", "value", 77, 5, false), 0);
	assert_string_equal(tab_get(t, "a"), "value");
	assert_int_equal(shmtab_get(t, "a", 1, small, 3, &v), 1);	/* cut, with the whole length */
	assert_int_equal(v.len, 5);
	assert_memory_equal(small, "val.", 4);
	assert_ptr_equal(v.data, small);
	assert_int_equal(v.expire_s, 77);
	assert_int_equal(v.mark, 5);
	assert_false(v.pinned);
	assert_null(tab_get(t, "b"));
	assert_null(tab_get(t, ""));

	p.act = SHMTAB_KEEP;
	assert_int_equal(shmtab_modify(t, "a", 1, TAB_NOW, tab_put_fn, &p), 0);
	assert_true(p.found);
	assert_int_equal(p.old.len, 5);
	assert_int_equal(p.old.expire_s, 77);
	assert_memory_equal(p.old_data, "value", 5);
	assert_int_equal(shmtab_modify(t, "b", 1, TAB_NOW, tab_put_fn, &p), 0);
	assert_false(p.found);
	assert_null(tab_get(t, "b"));

	tab_put(t, "a", "a longer value than before");
	assert_string_equal(tab_get(t, "a"), "a longer value than before");
	tab_put(t, "a", "");
	assert_string_equal(tab_get(t, "a"), "");
	tab_put(t, "", "the empty key");
	assert_string_equal(tab_get(t, ""), "the empty key");
	assert_int_equal(tab_stat(t).entries, 2);
	assert_int_equal(tab_stat(t).key_val_bytes, 1 + 13);
	assert_int_equal(drop(t, "a"), 1);
	assert_int_equal(drop(t, "a"), 0);
	assert_null(tab_get(t, "a"));
	assert_int_equal(drop(t, ""), 1);
	assert_int_equal(tab_stat(t).entries, 0);
	assert_int_equal(tab_stat(t).key_val_bytes, 0);
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
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);

	(void) state;
	tab_put(t, "k", "abcdef");
	for (int i = 0; i < 3; i++)
		assert_int_equal(shmtab_modify(t, "k", 1, TAB_NOW, append_fn, NULL), 0);
	assert_string_equal(tab_get(t, "k"), "def");
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
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	char   *bytes = mem_alloc(200000), *out = mem_alloc(SHMTAB_VAL_MAX);
	static struct tab_put p;
	struct shmtab_val v;

	(void) state;
	for (size_t i = 0; i < 200000; i++)
		bytes[i] = (char) tab_rnd(256);
	for (int round = 0; round < 50; round++)		/* many times: also across the end of a ring */
		for (size_t i = 0; i < NELEM(cases); i++) {
			const char *key = bytes + i, *val = bytes + 1000 * round + i;
			int	rc, err;

			p.act = SHMTAB_PUT;
			p.val = (struct shmtab_val) { .data = val, .len = cases[i].val };
			errno = 0;
			rc = shmtab_modify(t, key, cases[i].key, TAB_NOW, tab_put_fn, &p);
			err = rc < 0 ? errno : 0;
			if (err != cases[i].err)
				fail_msg("%s: got %s, want %s", cases[i].name, strerror(err), strerror(cases[i].err));
			rc = shmtab_get(t, key, cases[i].key, out, SHMTAB_VAL_MAX, &v);
			if (rc != (cases[i].err == 0))
				fail_msg("%s: get: got %d", cases[i].name, rc);
			if (rc == 1 && (v.len != cases[i].val || memcmp(out, val, v.len) != 0))
				fail_msg("%s: got another value (%zu bytes)", cases[i].name, v.len);
		}
	assert_int_equal(tab_stat(t).damaged, 0);
	mem_free(&bytes);
	mem_free(&out);
	shmtab_close(&t);
}

static void
shmtab_marks(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	static const struct { const char *name, *key; uint32_t from, to; int want; uint32_t mark; } cases[] = {
		{ "as it is",	    "a", 7, 9, 1, 9 },
		{ "already other",  "a", 7, 8, 0, 9 },
		{ "to nothing",	    "a", 9, 0, 1, 0 },
		{ "no such entry",  "b", 0, 1, 0, 0 },
	};
	struct shmtab_val v;
	char	data[8];

	(void) state;
	tab_put_val(t, "a", "x", 0, 7, false);
	for (size_t i = 0; i < NELEM(cases); i++) {
		int	got = shmtab_mark(t, cases[i].key, 1, cases[i].from, cases[i].to);

		if (got != cases[i].want)
			fail_msg("%s: got %d, want %d", cases[i].name, got, cases[i].want);
		assert_int_equal(shmtab_get(t, "a", 1, data, sizeof data, &v), 1);
		if (v.mark != cases[i].mark)
			fail_msg("%s: mark: got %u, want %u", cases[i].name, v.mark, cases[i].mark);
	}
	assert_string_equal(tab_get(t, "a"), "x");
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
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	struct model *m = mem_alloc(sizeof *m);
	char	key[64], *data = mem_alloc(SHMTAB_VAL_MAX);
	static struct tab_put p;
	struct shmtab_val v;

	(void) state;
	for (unsigned round = 0; round < 60000; round++) {
		unsigned n = tab_rnd(MODEL_KEYS), len = model_key(key, n);
		uint32_t what = tab_rnd(100);

		if (what < 50) {
			m->e[n].is = true;
			m->e[n].len = tab_rnd(50) == 0 ? tab_rnd(2000) : tab_rnd(200);
			m->e[n].seed = tab_rnd(1000000);
			m->e[n].mark = tab_rnd(10);
			m->e[n].expire_s = tab_rnd(2) * (TAB_NOW + tab_rnd(100));
			model_fill(data, m->e[n].len, m->e[n].seed);
			p.act = SHMTAB_PUT;
			p.val = (struct shmtab_val) { .data = data, .len = m->e[n].len, .expire_s = m->e[n].expire_s, .mark = m->e[n].mark };
			assert_int_equal(shmtab_modify(t, key, len, TAB_NOW, tab_put_fn, &p), 0);
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
			uint32_t to = tab_rnd(10);

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
			assert_int_equal(m->seen, tab_stat(t).entries);
		}
	}
	assert_int_equal(tab_stat(t).damaged, 0);
	assert_int_equal(tab_stat(t).evicted, 0);
	assert_int_equal(tab_stat(t).expired, 0);
	mem_free(&m);
	mem_free(&data);
	shmtab_close(&t);
}

/* what goes when it is full */

static unsigned
key_number(const char *key)
{
	unsigned n = 0;

	if (sscanf(key, "k%u", &n) != 1)
		fail_msg("a key that nobody stored: %.20s", key);
	return n;
}

static void
put_number(struct shmtab *t, unsigned n, int64_t expire_s, bool pinned)
{
	char	key[32], val[101];

	snprintf(key, sizeof key, "k%u", n);
	memset(val, 'v', 100);
	val[100] = 0;
	if (tab_put_val(t, key, val, expire_s, 0, pinned) < 0)
		fail_msg("put %s: %s", key, strerror(errno));
}

static bool
has_number(struct shmtab *t, unsigned n)
{
	char	key[32];

	snprintf(key, sizeof key, "k%u", n);
	return tab_get(t, key) != NULL;
}

/* fill - put numbers from 0 until something had to go; how many fitted */
static unsigned
fill(struct shmtab *t)
{
	unsigned n = 0;

	while (tab_stat(t).evicted + tab_stat(t).expired == 0)
		put_number(t, n++, 0, false);
	return n - 1;
}

struct order {
	unsigned last, least, entries;
};

static bool
order_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	struct order *o = ctx;
	unsigned n = key_number(key);

	(void) key_len;
	(void) v;
	if (o->entries++ > 0 && n <= o->last)
		fail_msg("%u lies behind %u", n, o->last);
	if (n < o->least)
		o->least = n;
	o->last = n;
	return true;
}

static void
shmtab_oldest_goes_first(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	unsigned n = fill(t), least = 0, entries = 0, there = 0;

	(void) state;
	for (unsigned total = 3 * n; n < total; n++)
		put_number(t, n, 0, false);
	for (unsigned i = 0; i < shmtab_parts(t); i++) {	/* of each part the youngest are left, without a gap */
		struct order o = { 0, UINT32_MAX, 0 };

		assert_int_equal(shmtab_walk(t, i, order_fn, &o), 0);
		entries += o.entries;
		if (o.least > least)
			least = o.least;
	}
	assert_int_equal(entries, tab_stat(t).entries);
	assert_true(least < n && n - least < entries);
	for (unsigned i = least; i < n; i++)
		if (!has_number(t, i))
			fail_msg("%u is gone, though older ones of its part are not (oldest there is %u at least)", i, least);
	for (unsigned i = 0; i < n; i++)
		there += has_number(t, i);
	assert_int_equal(there, entries);
	shmtab_close(&t);
}

static void
shmtab_used_ones_stay(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	unsigned n = fill(t), gone = 0;

	(void) state;
	for (unsigned i = n / 4; i < n / 2; i++)
		assert_true(has_number(t, i));		/* a use each */
	for (unsigned i = 0; i < 2 * n; i++)		/* less than three revolutions */
		put_number(t, n + i, 0, false);
	for (unsigned i = n / 4; i < n / 2; i++)
		if (!has_number(t, i))
			fail_msg("%u was used, and is gone", i);
	for (unsigned i = 0; i < n / 4; i++)
		gone += !has_number(t, i);
	assert_int_equal(gone, n / 4);
	for (unsigned i = 0; i < 20 * n; i++)		/* uses of the past do not count for ever */
		put_number(t, 4 * n + i, 0, false);
	for (unsigned i = n / 4; i < n / 2; i++)
		gone += !has_number(t, i);
	assert_int_equal(gone, n / 2);
	shmtab_close(&t);
}

static void
shmtab_expired_ones_go_first(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	unsigned n = fill(t), i, live = 0;
	struct shmtab_stat st;

	(void) state;
	shmtab_close(&t);
	t = tab_memory(SHMTAB_BYTES_MIN);
	for (i = 0; i < n * 9 / 10; i++)		/* every third has expired; they are not the oldest ones */
		put_number(t, i, i % 3 == 2 ? TAB_NOW - 1 : i % 3 == 1 ? TAB_NOW + 1000 : 0, false);
	for (; i < n * 9 / 10 + n / 4; i++)
		put_number(t, i, 0, false);
	st = tab_stat(t);
	assert_int_equal(st.evicted, 0);
	assert_true(st.expired > n / 50);
	for (i = 0; i < n * 9 / 10; i++)
		live += i % 3 != 2 && has_number(t, i);
	assert_int_equal(live, (n * 9 / 10 + 2) / 3 + (n * 9 / 10 + 1) / 3);
	assert_int_equal(st.damaged, 0);
	shmtab_close(&t);
}

static void
shmtab_pinned_ones_stay(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	unsigned n = fill(t);
	struct shmtab_stat st;
	unsigned pinned = 0, refused = 0;

	(void) state;
	shmtab_close(&t);
	t = tab_memory(SHMTAB_BYTES_MIN);
	for (unsigned i = 0; i < n / 3; i++)
		put_number(t, i, i % 2 == 0 ? 1 : 0, true);	/* pinned counts for more than expired */
	for (unsigned i = 0; i < 10 * n; i++)
		put_number(t, 1000000 + i, 0, false);
	for (unsigned i = 0; i < n / 3; i++)
		if (!has_number(t, i))
			fail_msg("%u was pinned and is gone", i);
	assert_int_equal(tab_stat(t).pinned, n / 3);

	for (unsigned i = 0; i < n; i++) {		/* too many */
		char	key[32];

		snprintf(key, sizeof key, "k%u", 2000000 + i);
		if (tab_put_val(t, key, "v", 0, 0, true) == 0)
			pinned++;
		else {
			assert_int_equal(errno, ENOSPC);
			assert_null(tab_get(t, key));
			refused++;
		}
	}
	st = tab_stat(t);
	assert_true(pinned > 0 && refused > 0);
	assert_int_equal(st.pinned, n / 3 + pinned);
	for (unsigned i = 0; i < 3 * n; i++)		/* there is still room for others */
		put_number(t, 3000000 + i, 0, false);
	for (unsigned i = 0; i < n / 3; i++)		/* an update may free it */
		put_number(t, i, 0, false);
	assert_int_equal(tab_stat(t).pinned, pinned);
	for (unsigned i = 0; i < 4 * n; i++)
		put_number(t, 4000000 + i, 0, false);
	assert_false(has_number(t, 0));
	assert_int_equal(tab_stat(t).damaged, 0);
	shmtab_close(&t);
}

/* 10 times the capacity of one-off addresses, asked as verify does (looked up, claimed, updated, asked twice more), while
 * a tenth of the capacity, all of which was asked at least once before, is asked again and again */
static void
shmtab_flood(void **state)
{
	static const struct { const char *name; unsigned per_hot; } cases[] = {
		{ "as many hot as cold", 1 },
		{ "five times as many cold ones", 5 },
		{ "ten times as many",	 10 },
	};

	(void) state;
	for (size_t c = 0; c < NELEM(cases); c++) {
		struct shmtab *t = tab_memory(4 * SHMTAB_BYTES_MIN);
		unsigned n = fill(t), hot = n / 10, asked = 0, hits = 0;

		for (unsigned i = 0; i < hot; i++)
			put_number(t, 1000000 + i, TAB_NOW + 1000000, false);
		for (unsigned i = 0; i < n / 5; i++)
			put_number(t, n + i, TAB_NOW + 1000000, false);
		for (unsigned i = 0; i < hot; i++)
			assert_true(has_number(t, 1000000 + i));
		for (unsigned i = 0; i < 10 * n; i++) {
			has_number(t, 2000000 + i);
			put_number(t, 2000000 + i, TAB_NOW + 1000, false);
			put_number(t, 2000000 + i, TAB_NOW + 1000000, false);
			has_number(t, 2000000 + i);
			has_number(t, 2000000 + i);
			if (i % cases[c].per_hot == 0) {
				unsigned h = 1000000 + tab_rnd(hot);
				bool	 hit = has_number(t, h);

				asked++;
				hits += hit;
				if (!hit)
					put_number(t, h, TAB_NOW + 1000000, false);
			}
		}
		if ((uint64_t) hits * 100 < (uint64_t) asked * 99)
			fail_msg("%s: %u of %u hot queries were answered", cases[c].name, hits, asked);
		shmtab_close(&t);
	}
}

/* updates make garbage, not losses */
static void
shmtab_updates_evict_nothing(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	unsigned n = fill(t) * 7 / 10;

	(void) state;
	shmtab_close(&t);
	t = tab_memory(SHMTAB_BYTES_MIN);
	for (unsigned i = 0; i < n; i++)
		put_number(t, i, 0, false);
	for (unsigned i = 0; i < 20 * n; i++)
		put_number(t, tab_rnd(n), 0, false);
	assert_int_equal(tab_stat(t).evicted, 0);
	assert_int_equal(tab_stat(t).entries, n);
	for (unsigned i = 0; i < n; i++)
		assert_true(has_number(t, i));
	shmtab_close(&t);
}

static void
shmtab_small_entries_fill_the_index_first(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	char	key[16];
	unsigned n = 60000;
	struct shmtab_stat st;

	(void) state;
	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof key, "%x", i);
		tab_put(t, key, "");
		assert_non_null(tab_get(t, key));
	}
	st = tab_stat(t);
	assert_true(st.entries > 6000 && st.evicted == n - st.entries);
	assert_int_equal(st.damaged, 0);
	shmtab_close(&t);
}

/* entries of all sizes in a full table: what is there is right, and what was just put is there */
static void
shmtab_mixed_sizes_in_a_full_table(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	char   *data = mem_alloc(SHMTAB_VAL_MAX), key[SHMTAB_KEY_MAX];
	static struct tab_put p;
	struct shmtab_val v;
	uint32_t len[800] = { 0 };

	(void) state;
	for (unsigned round = 0; round < 30000; round++) {
		uint32_t n = tab_rnd(800), key_len = n % 50 == 0 ? 8000 : 10 + n;
		int	rc;

		memset(key, 'k', key_len);
		memcpy(key, &n, sizeof n);
		rc = shmtab_get(t, key, key_len, data, SHMTAB_VAL_MAX, &v);
		assert_true(rc >= 0);
		if (rc == 1) {
			assert_int_equal(v.len, len[n]);
			for (size_t i = 0; i < v.len; i++)
				assert_int_equal((unsigned char) data[i], (n + v.len) & 0xff);
		}
		if (tab_rnd(4) == 0) {
			p.act = SHMTAB_DELETE;
			assert_int_equal(shmtab_modify(t, key, key_len, TAB_NOW, tab_put_fn, &p), 0);
			assert_int_equal(p.found, rc);
			continue;
		}
		len[n] = tab_rnd(tab_rnd(20) == 0 ? SHMTAB_VAL_MAX : 3000);
		memset(data, (int) (n + len[n]), len[n]);
		p.act = SHMTAB_PUT;
		p.val = (struct shmtab_val) { .data = data, .len = len[n], .expire_s = tab_rnd(3) * (TAB_NOW - 1), .pinned = n % 40 == 1 };
		if (shmtab_modify(t, key, key_len, TAB_NOW + round / 1000, tab_put_fn, &p) == 0) {
			assert_int_equal(shmtab_get(t, key, key_len, data, SHMTAB_VAL_MAX, &v), 1);
			assert_int_equal(v.len, len[n]);
		} else {
			assert_int_equal(errno, ENOSPC);
			assert_int_equal(n % 40, 1);
			len[n] = rc == 1 ? (uint32_t) p.old.len : 0;
		}
	}
	assert_int_equal(tab_stat(t).damaged, 0);
	assert_true(tab_stat(t).evicted > 1000);
	mem_free(&data);
	shmtab_close(&t);
}

/* issue: at most 96 bytes over key and value; this is what an administrator's figure of memory buys */
static void
shmtab_cost_of_an_entry(void **state)
{
	struct shmtab *t = tab_memory(16 * SHMTAB_BYTES_MIN);
	char	key[32], val[61];
	unsigned n = 0, cost;

	(void) state;
	memset(val, 'v', 60);
	val[60] = 0;
	while (tab_stat(t).evicted == 0) {
		snprintf(key, sizeof key, "user%06u@host%03u.example.org", n, n % 1000);
		assert_int_equal(strlen(key), 30);
		tab_put(t, key, val);
		n++;
	}
	cost = (unsigned) (tab_stat(t).bytes / n) - 90;
	if (cost > 88)				/* it depends on where the first part is full */
		fail_msg("%u bytes over key and value", cost);
	shmtab_close(&t);
}

static void
shmtab_changes_tell(void **state)
{
	struct shmtab *t = tab_memory(SHMTAB_BYTES_MIN);
	uint64_t before = shmtab_changes(t, "a", 1), after;

	(void) state;
	tab_put(t, "a", "1");
	after = shmtab_changes(t, "a", 1);
	assert_true(after != before);
	tab_get(t, "a");
	tab_get(t, "b");
	assert_true(shmtab_changes(t, "a", 1) == after);
	drop(t, "a");
	assert_true(shmtab_changes(t, "a", 1) != after);
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
		cmocka_unit_test(shmtab_oldest_goes_first),
		cmocka_unit_test(shmtab_used_ones_stay),
		cmocka_unit_test(shmtab_expired_ones_go_first),
		cmocka_unit_test(shmtab_pinned_ones_stay),
		cmocka_unit_test(shmtab_flood),
		cmocka_unit_test(shmtab_updates_evict_nothing),
		cmocka_unit_test(shmtab_small_entries_fill_the_index_first),
		cmocka_unit_test(shmtab_mixed_sizes_in_a_full_table),
		cmocka_unit_test(shmtab_cost_of_an_entry),
		cmocka_unit_test(shmtab_changes_tell),
	};

	return cmocka_run_group_tests_name("shmtab", tests, NULL, NULL);
}
