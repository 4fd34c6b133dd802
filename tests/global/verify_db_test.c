/* tests/global/verify_db_test.c - which rows are records, and which of row and entry is right
 * The SQL is not looked at here: tests/integration/pg_decisions has the rules decided by a server.
 */
#include <global/verify_db.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <tests/lib/decisions.h>
#include <util/mem.h>

#define T	1700000000
#define SELF	42

/* an entry or a row in short: status, probed, updated; of a row also forgot; text follows from updated */
struct brief {
	int	status;			/* -1: there is none */
	int64_t	probed, updated, forgot;
};

static char	row_text[32], entry_text[32];

static void
text_of(char *text, size_t size, const struct brief *b)
{
	text[0] = 0;
	if (b->updated != 0)
		snprintf(text, size, "text %lld", (long long) b->updated);
}

static struct db_row
row_of(const struct brief *b)
{
	struct db_row r = { .key = "a@x", .key_len = 3, .changed = 5 };

	text_of(row_text, sizeof row_text, b);
	r.text = row_text;
	r.text_len = strlen(row_text);
	r.num[VERIFY_DB_STATUS] = b->status;
	r.num[VERIFY_DB_PROBED] = b->probed;
	r.num[VERIFY_DB_UPDATED] = b->updated;
	r.num[VERIFY_DB_FORGOT] = b->forgot;
	return r;
}

static struct shmtab_val
entry_of(const struct brief *b, bool dirty, unsigned char *value, size_t size)
{
	struct address_record a = { .status = (enum verify_status) b->status, .probed_s = b->probed, .updated_s = b->updated };

	text_of(entry_text, sizeof entry_text, b);
	a.text = entry_text;
	a.text_len = strlen(entry_text);
	return (struct shmtab_val) { .data = value, .len = address_encode(&a, value, size), .pinned = dirty, .mark = 7 };
}

static void
rows_that_can_be_records(void **state)
{
	static const struct { const char *name; struct brief b; bool valid; } cases[] = {
		{ "a result",		 { 0, 0, T, 0 }, true },
		{ "a claim",		 { 3, T, 0, 0 }, true },
		{ "forgotten",		 { 3, 0, 0, T }, true },
		{ "result and claim",	 { 2, T, T - 9, 0 }, true },
		{ "status 4",		 { 4, 0, T, 0 }, false },
		{ "negative status",	 { -1, 0, T, 0 }, false },
		{ "result without time", { 0, 0, 0, 0 }, false },
		{ "time without result", { 3, 0, T, 0 }, false },
		{ "negative time",	 { 0, -1, T, 0 }, false },
		{ "far future",		 { 0, 0, (int64_t) 1 << 41, 0 }, false },
		{ "forgot is odd",	 { 0, 0, T, -1 }, false },
	};
	static const struct { const char *text; size_t len; bool valid; } texts[] = {
		{ "plain", 5, true }, { "gr\303\274n", 5, true }, { "", 0, true }, { "a\0b", 3, false }, { "a\nb", 3, false },
		{ "\033[1m", 4, false }, { "\177", 1, false },
	};
	struct db_row r;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		r = row_of(&cases[i].b);
		if (verify_db_kind.valid(&r) != cases[i].valid)
			fail_msg("%s", cases[i].name);
	}
	r = row_of(&cases[0].b);
	for (size_t i = 0; i < NELEM(texts); i++) {
		r.text = texts[i].text;
		r.text_len = texts[i].len;
		if (verify_db_kind.valid(&r) != texts[i].valid)
			fail_msg("text %zu", i);
	}
	r = row_of(&cases[0].b);
	r.key = "a\0b";
	assert_false(verify_db_kind.valid(&r));
}

static void
which_of_row_and_entry_is_right(void **state)
{
	static const struct {
		const char *name;
		struct brief entry;
		bool	dirty;
		struct brief row;
		enum db_news news;
		struct brief want;		/* the entry afterwards */
		bool	want_dirty;
	} cases[] = {
		/* nothing here */
		{ "asked",		{ .status = -1 }, false, { 0, 0, T, 0 }, DB_ASKED, { 0, 0, T, 0 }, false },
		{ "pulled, unknown",	{ .status = -1 }, false, { 0, 0, T, 0 }, DB_PULLED, { .status = -1 }, false },
		{ "pulled, room",	{ .status = -1 }, false, { 0, 0, T, 0 }, DB_PULLED_ROOM, { 0, 0, T, 0 }, false },
		{ "forgotten",		{ .status = -1 }, false, { 3, 0, 0, T }, DB_ASKED, { .status = -1 }, false },
		{ "claimed",		{ .status = -1 }, false, { 3, T, 0, 0 }, DB_CLAIMED, { 3, T, 0, 0 }, false },
		/* a clean entry: the database is right, unless it is older */
		{ "newer result",	{ 1, 0, T, 0 }, false, { 2, 0, T + 1, 0 }, DB_PULLED, { 2, 0, T + 1, 0 }, false },
		{ "older result",	{ 2, 0, T + 1, 0 }, false, { 1, 0, T, 0 }, DB_PULLED, { 2, 0, T + 1, 0 }, false },
		{ "OK was replaced",	{ 0, 0, T, 0 }, false, { 2, 0, T + 1, 0 }, DB_PULLED, { 2, 0, T + 1, 0 }, false },
		{ "same second",	{ 2, 0, T, 0 }, false, { 0, 0, T, 0 }, DB_PULLED, { 0, 0, T, 0 }, false },
		{ "result of a claim",	{ 3, T, 0, 0 }, false, { 0, 0, T + 5, 0 }, DB_PULLED, { 0, 0, T + 5, 0 }, false },
		{ "claim, same second",	{ 0, 0, T, 0 }, false, { 3, T, 0, 0 }, DB_PULLED, { 0, 0, T, 0 }, false },
		{ "result, same second", { 3, T, 0, 0 }, false, { 0, 0, T, 0 }, DB_PULLED, { 0, 0, T, 0 }, false },
		{ "new claim",		{ 0, 0, T, 0 }, false, { 0, T + 9, T, 0 }, DB_ASKED, { 0, T + 9, T, 0 }, false },
		{ "released",		{ 3, T, 0, 0 }, false, { 3, 0, 0, T + 1 }, DB_PULLED, { .status = -1 }, false },
		{ "result, same claim",	{ 0, T, T - 9, 0 }, false, { 2, T, T - 5, 0 }, DB_PULLED, { 2, T, T - 5, 0 }, false },
		/* a claim that the database does not know: made here while it was away */
		{ "result, later claim", { 3, T + 9, 0, 0 }, false, { 0, 0, T, 0 }, DB_PULLED, { 0, T + 9, T, 0 }, false },
		{ "newer result, later claim", { 1, T + 9, T - 9, 0 }, false, { 2, 0, T, 0 }, DB_PULLED, { 2, T + 9, T, 0 }, false },
		{ "older result, later claim", { 1, T + 9, T, 0 }, false, { 2, 0, T - 9, 0 }, DB_PULLED, { 1, T + 9, T, 0 }, false },
		{ "expired when claimed", { 3, T + 400 * 86400, 0, 0 }, false, { 2, 0, T, 0 }, DB_PULLED, { 3, T + 400 * 86400, 0, 0 }, false },
		{ "forgotten, later claim", { 0, T + 9, T, 0 }, false, { 3, 0, 0, T + 5 }, DB_PULLED, { 3, T + 9, 0, 0 }, false },
		{ "owed, forgotten, later claim", { 0, T + 9, T, 0 }, true, { 3, 0, 0, T + 5 }, DB_PULLED, { 3, T + 9, 0, 0 }, false },
		/* forgetting */
		{ "forgotten since",	{ 0, 0, T, 0 }, false, { 3, 0, 0, T }, DB_PULLED, { .status = -1 }, false },
		{ "forgotten before",	{ 0, 0, T + 1, 0 }, false, { 3, 0, 0, T }, DB_PULLED, { 0, 0, T + 1, 0 }, false },
		{ "owed, forgotten",	{ 0, 0, T - 1, 0 }, true, { 3, 0, 0, T }, DB_PULLED, { .status = -1 }, false },
		{ "owed, same second",	{ 0, 0, T, 0 }, true, { 3, 0, 0, T }, DB_PULLED, { 0, 0, T, 0 }, true },
		/* a dirty entry: newer wins, OK stays */
		{ "owed, newer",	{ 2, 0, T + 1, 0 }, true, { 2, 0, T, 0 }, DB_PULLED, { 2, 0, T + 1, 0 }, true },
		{ "owed, older",	{ 2, 0, T, 0 }, true, { 2, 0, T + 1, 0 }, DB_PULLED, { 2, 0, T + 1, 0 }, false },
		{ "owed, but OK there",	{ 2, 0, T + 9, 0 }, true, { 0, 0, T, 0 }, DB_PULLED, { 0, 0, T, 0 }, false },
		{ "owed OK, older OK",	{ 0, 0, T + 9, 0 }, true, { 0, 0, T, 0 }, DB_PULLED, { 0, 0, T + 9, 0 }, true },
		{ "refused",		{ 2, 0, T, 0 }, true, { 1, 0, T, 0 }, DB_SETTLED, { 1, 0, T, 0 }, false },
		{ "owed, claimed",	{ 2, 0, T, 0 }, true, { 3, T + 9, 0, 0 }, DB_ASKED, { 2, T + 9, T, 0 }, true },
	};
	struct address_rules rules = decision_sets[0].rules;
	unsigned char value[256];
	struct shmtab_val old, new;
	struct address_record got;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct db_row r = row_of(&cases[i].row);
		bool	there = cases[i].entry.status >= 0, dirty = cases[i].dirty;

		old = entry_of(&cases[i].entry, dirty, value, sizeof value);
		memset(&new, 0, sizeof new);
		switch (verify_db_kind.merge(&rules, &r, cases[i].news, SELF, there ? &old : NULL, &new)) {
		case SHMTAB_KEEP:
			new = old;
			break;
		case SHMTAB_PUT:
			there = true;
			dirty = new.pinned;
			if (cases[i].news == DB_CLAIMED && new.mark != SELF)
				fail_msg("%s: not our claim", cases[i].name);
			break;
		case SHMTAB_DELETE:
			there = false;
			break;
		}
		if (there != (cases[i].want.status >= 0))
			fail_msg("%s: there is %d", cases[i].name, there);
		if (!there)
			continue;
		assert_true(address_decode(&got, new.data, new.len));
		if ((int) got.status != cases[i].want.status || got.probed_s != cases[i].want.probed ||
		    got.updated_s != cases[i].want.updated || dirty != cases[i].want_dirty)
			fail_msg("%s: got %d:%lld:%lld dirty %d", cases[i].name, got.status, (long long) got.probed_s,
			    (long long) got.updated_s, dirty);
	}
}

static void
what_is_sent(void **state)
{
	static const struct { const char *name, *key; struct brief b; bool sent; } cases[] = {
		{ "a result",	   "a@x", { 0, 0, T, 0 }, true },
		{ "with a claim",  "a@x", { 0, T, T, 0 }, true },
		{ "a claim",	   "a@x", { 3, T, 0, 0 }, false },
		{ "a domain",	   "@x", { 0, 0, T, 0 }, false },
		{ "no UTF-8",	   "\377@x", { 0, 0, T, 0 }, false },
		{ "no key",	   "", { 0, 0, T, 0 }, false },
	};
	static char long_key[DB_KEY_MAX + 2];
	unsigned char value[256];
	struct shmtab_val v;
	struct db_row r;
	int64_t when;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		v = entry_of(&cases[i].b, true, value, sizeof value);
		if (verify_db_kind.encode(NULL, cases[i].key, strlen(cases[i].key), &v, &r, &when) != cases[i].sent)
			fail_msg("%s: sent is not %d", cases[i].name, cases[i].sent);
		/* the database knows the claims itself */
		if (cases[i].sent && (r.num[VERIFY_DB_PROBED] != 0 || r.num[VERIFY_DB_UPDATED] != T || when != T))
			fail_msg("%s: wrong row", cases[i].name);
	}
	memset(long_key, 'k', sizeof long_key - 1);
	assert_false(verify_db_key(long_key, DB_KEY_MAX + 1));
	assert_true(verify_db_key(long_key, DB_KEY_MAX));
	v = (struct shmtab_val) { .data = "junk", .len = 4 };
	assert_false(verify_db_kind.encode(NULL, "a@x", 3, &v, &r, &when));
}

static void
a_domain_is_forgotten(void **state)
{
	/* PUT: only the claim is left, which is the same worker's as before, and nothing is owed */
	static const struct { const char *name, *row, *key; struct brief b; bool dirty; enum shmtab_act want; } cases[] = {
		{ "of it",	     "@x.test", "a@x.test", { 0, 0, T, 0 }, false, SHMTAB_DELETE },
		{ "in capitals",     "@x.test", "a@X.Test", { 0, 0, T, 0 }, false, SHMTAB_DELETE },
		{ "a subdomain",     "@x.test", "a@y.x.test", { 0, 0, T, 0 }, false, SHMTAB_KEEP },
		{ "a longer name",   "@x.test", "a@xx.test", { 0, 0, T, 0 }, false, SHMTAB_KEEP },
		{ "no domain",	     "@x.test", "x.test", { 0, 0, T, 0 }, false, SHMTAB_KEEP },
		{ "two @",	     "@x.test", "a@b@x.test", { 0, 0, T, 0 }, false, SHMTAB_DELETE },
		{ "later",	     "@x.test", "a@x.test", { 0, 0, T + 1, 0 }, false, SHMTAB_KEEP },
		{ "a claim",	     "@x.test", "a@x.test", { 3, T, 0, 0 }, false, SHMTAB_DELETE },
		{ "only a later claim", "@x.test", "a@x.test", { 3, T + 1, 0, 0 }, false, SHMTAB_KEEP },
		{ "a later claim",   "@x.test", "a@x.test", { 0, T + 1, T, 0 }, false, SHMTAB_PUT },
		{ "owed, a later claim", "@x.test", "a@x.test", { 0, T + 1, T - 1, 0 }, true, SHMTAB_PUT },
		{ "later, and a later claim", "@x.test", "a@x.test", { 0, T + 2, T + 1, 0 }, false, SHMTAB_KEEP },
		{ "owed, that second", "@x.test", "a@x.test", { 0, 0, T, 0 }, true, SHMTAB_KEEP },
		{ "owed, before",    "@x.test", "a@x.test", { 0, 0, T - 1, 0 }, true, SHMTAB_DELETE },
	};
	struct address_rules rules = decision_sets[0].rules;
	struct db_row r = { .key_len = 7, .text = "", .num = { 3, 0, 0, T } };
	struct address_record got;
	unsigned char value[256];
	struct shmtab_val v, new;
	enum shmtab_act act;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		r.key = cases[i].row;
		assert_true(verify_db_kind.broad(&r));
		v = entry_of(&cases[i].b, cases[i].dirty, value, sizeof value);
		if ((act = verify_db_kind.voids(&rules, &r, cases[i].key, strlen(cases[i].key), &v, &new)) != cases[i].want)
			fail_msg("%s: got %d, want %d", cases[i].name, act, cases[i].want);
		if (act == SHMTAB_PUT && (!address_decode(&got, new.data, new.len) || got.status != VERIFY_TODO || got.updated_s != 0 ||
		    got.probed_s != cases[i].b.probed || got.text_len != 0 || new.pinned || new.mark != v.mark))
			fail_msg("%s: got %d:%lld:%lld", cases[i].name, got.status, (long long) got.probed_s, (long long) got.updated_s);
	}
	r.key = "a@x";
	assert_false(verify_db_kind.broad(&r));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_that_can_be_records),
		cmocka_unit_test(which_of_row_and_entry_is_right),
		cmocka_unit_test(what_is_sent),
		cmocka_unit_test(a_domain_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
