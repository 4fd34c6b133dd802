/* tests/global/greylist_record_test.c - the decision at both sides of every limit, merging in any order, records as bytes */
#include <global/greylist_record.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <global/main_cf.h>
#include <util/mem.h>

#define NOW	((int64_t) 1700000000)
#define D	((int64_t) 86400)

static const struct greylist_rules rules = {
	.delay_s = 300, .window_s = 2 * D, .expire_s = 35 * D, .interval_s = 3600, .skew_s = 60, .touch_s = 3600,
	.domain_count = 2, .client_count = 5, .pending_limit = 100, .keep_passed = false,
};

static const char *
test_word(enum greylist_reason r)
{
	static const char *const words[] = {
#define REASON(id, word, verdict) word,
		GREYLIST_REASONS(REASON)
#undef REASON
	};

	return words[r];
}

static struct greylist_record
test_t(int64_t first, int64_t last, int64_t passed)
{
	return (struct greylist_record) { .kind = 'T', .tries = 1, .first_s = first, .last_s = last, .passed_s = passed };
}

static struct greylist_record
test_set(char kind, int64_t last, unsigned n)
{
	struct greylist_record r = { .kind = kind, .first_s = last, .last_s = last, .members = n };

	for (unsigned i = 0; i < n; i++)
		r.member[i] = 10 + i;
	return r;
}

static void
greylist_record_test_judge(void **state)
{
	/* ages before NOW of what there is; -1: no such record */
	static const struct {
		const char *name;
		int64_t c, d, s;		/* last */
		unsigned c_n, d_n;
		int64_t t, t_passed, t_last;	/* first, passed, last */
		int	delay;			/* -1: 300 */
		bool	by_triplet, exclude;
		enum greylist_reason want;
		int64_t left, delay_was;
	} cases[] = {
		{ "nothing",		-1, -1, -1, 0, 0, -1, -1, -1, -1, false, false, GREYLIST_NEW, 0, 0 },
		{ "just begun",		-1, -1, -1, 0, 0, 0, -1, 0, -1, false, false, GREYLIST_EARLY, 300, 0 },
		{ "one second short",	-1, -1, -1, 0, 0, 299, -1, 299, -1, false, false, GREYLIST_EARLY, 1, 0 },
		{ "at the delay",	-1, -1, -1, 0, 0, 300, -1, 300, -1, false, false, GREYLIST_RETRY, 0, 300 },
		{ "early retries do not count", -1, -1, -1, 0, 0, 300, -1, 1, -1, false, false, GREYLIST_RETRY, 0, 300 },
		{ "end of the window",	-1, -1, -1, 0, 0, 2 * D, -1, 2 * D, -1, false, false, GREYLIST_RETRY, 0, 2 * D },
		{ "behind the window",	-1, -1, -1, 0, 0, 2 * D + 1, -1, 2 * D + 1, -1, false, false, GREYLIST_LATE, 0, 0 },
		{ "begun in the future", -1, -1, -1, 0, 0, -30, -1, -30, -1, false, false, GREYLIST_EARLY, 300, 0 },
		{ "no delay",		-1, -1, -1, 0, 0, 0, -1, 0, 0, false, false, GREYLIST_RETRY, 0, 0 },
		{ "another delay now",	-1, -1, -1, 0, 0, 60, -1, 60, 60, false, false, GREYLIST_RETRY, 0, 60 },
		{ "known sender",	-1, -1, 1, 0, 0, -1, -1, -1, -1, false, false, GREYLIST_KNOWN_SENDER, 0, 0 },
		{ "sender at the end",	-1, -1, 35 * D, 0, 0, -1, -1, -1, -1, false, false, GREYLIST_KNOWN_SENDER, 0, 0 },
		{ "sender expired",	-1, -1, 35 * D + 1, 0, 0, -1, -1, -1, -1, false, false, GREYLIST_NEW, 0, 0 },
		{ "sender before triplet", -1, -1, 1, 0, 0, 10, -1, 10, -1, false, false, GREYLIST_KNOWN_SENDER, 0, 0 },
		{ "sender, scope triplet", -1, -1, 1, 0, 0, -1, -1, -1, -1, true, false, GREYLIST_NEW, 0, 0 },
		{ "sender, excluded",	-1, -1, 1, 0, 0, -1, -1, -1, -1, false, true, GREYLIST_NEW, 0, 0 },
		{ "domain half full",	-1, 1, -1, 0, 1, -1, -1, -1, -1, false, false, GREYLIST_NEW, 0, 0 },
		{ "domain full",	-1, 1, -1, 0, 2, -1, -1, -1, -1, false, false, GREYLIST_KNOWN_DOMAIN, 0, 0 },
		{ "domain at the end",	-1, 35 * D, -1, 0, 2, -1, -1, -1, -1, false, false, GREYLIST_KNOWN_DOMAIN, 0, 0 },
		{ "domain expired",	-1, 35 * D + 1, -1, 0, 2, -1, -1, -1, -1, false, false, GREYLIST_NEW, 0, 0 },
		{ "domain, scope triplet", -1, 1, -1, 0, 2, -1, -1, -1, -1, true, false, GREYLIST_KNOWN_DOMAIN, 0, 0 },
		{ "domain, excluded",	-1, 1, -1, 0, 2, -1, -1, -1, -1, false, true, GREYLIST_NEW, 0, 0 },
		{ "client not full",	1, -1, -1, 4, 0, -1, -1, -1, -1, false, false, GREYLIST_NEW, 0, 0 },
		{ "client full",	1, -1, -1, 5, 0, -1, -1, -1, -1, false, false, GREYLIST_KNOWN_CLIENT, 0, 0 },
		{ "client at the end",	35 * D, -1, -1, 5, 0, -1, -1, -1, -1, false, false, GREYLIST_KNOWN_CLIENT, 0, 0 },
		{ "client expired",	35 * D + 1, -1, -1, 5, 0, -1, -1, -1, -1, false, false, GREYLIST_NEW, 0, 0 },
		{ "client, excluded",	1, -1, -1, 5, 0, -1, -1, -1, -1, false, true, GREYLIST_NEW, 0, 0 },
		{ "client before domain", 1, 1, 1, 5, 2, -1, -1, -1, -1, false, false, GREYLIST_KNOWN_CLIENT, 0, 0 },
		{ "domain before sender", 1, 1, 1, 4, 2, -1, -1, -1, -1, false, false, GREYLIST_KNOWN_DOMAIN, 0, 0 },
		{ "passed, scope triplet", -1, -1, -1, 0, 0, 500, 100, 100, -1, true, false, GREYLIST_KNOWN_TRIPLET, 0, 0 },
		{ "passed, at the end",	-1, -1, -1, 0, 0, 40 * D, 36 * D, 35 * D, -1, true, false, GREYLIST_KNOWN_TRIPLET, 0, 0 },
		{ "passed, expired",	-1, -1, -1, 0, 0, 40 * D, 36 * D, 35 * D + 1, -1, true, false, GREYLIST_NEW, 0, 0 },
		{ "passed, excluded",	-1, -1, -1, 0, 0, 500, 100, 100, -1, false, true, GREYLIST_KNOWN_TRIPLET, 0, 0 },
		{ "passed, sender forgotten", -1, -1, -1, 0, 0, 500, 100, 100, -1, false, false, GREYLIST_KNOWN_TRIPLET, 0, 0 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct greylist_known k = { .c = { 0 } };
		struct greylist_rules r = rules;
		enum greylist_reason got;
		int64_t left, delay;

		r.by_triplet = cases[i].by_triplet;
		r.delay_s = cases[i].delay < 0 ? rules.delay_s : cases[i].delay;
		if (cases[i].c >= 0)
			k.c = test_set('C', NOW - cases[i].c, cases[i].c_n);
		if (cases[i].d >= 0)
			k.d = test_set('D', NOW - cases[i].d, cases[i].d_n);
		if (cases[i].s >= 0)
			k.s = (struct greylist_record) { .kind = 'S', .first_s = NOW - 40 * D, .last_s = NOW - cases[i].s };
		if (cases[i].t != -1)
			k.t = test_t(NOW - cases[i].t, NOW - cases[i].t_last, cases[i].t_passed < 0 ? 0 : NOW - cases[i].t_passed);
		got = greylist_judge(&k, &r, cases[i].exclude, NOW, &left, &delay);
		if (got != cases[i].want || left != cases[i].left || delay != cases[i].delay_was)
			fail_msg("%s: got %s, left %lld, delay %lld", cases[i].name, test_word(got), (long long) left,
			    (long long) delay);
	}
	/* 0 turns automatic allowing off */
	for (int which = 0; which < 2; which++) {
		struct greylist_known k = { .c = test_set('C', NOW, 8), .d = test_set('D', NOW, 4) };
		struct greylist_rules r = rules;
		int64_t left, delay;

		*(which == 0 ? &r.client_count : &r.domain_count) = 0;
		assert_int_equal(greylist_judge(&k, &r, false, NOW, &left, &delay),
		    which == 0 ? GREYLIST_KNOWN_DOMAIN : GREYLIST_KNOWN_CLIENT);
		r.client_count = r.domain_count = 0;
		assert_int_equal(greylist_judge(&k, &r, false, NOW, &left, &delay), GREYLIST_NEW);
	}
}

static bool
test_same(const struct greylist_record *a, const struct greylist_record *b)
{
	return a->kind == b->kind && a->tries == b->tries && a->members == b->members && a->first_s == b->first_s &&
	    a->last_s == b->last_s && a->passed_s == b->passed_s && a->stored_s == b->stored_s &&
	    memcmp(a->member, b->member, sizeof a->member) == 0;
}

static void
test_random(struct greylist_record *r, char kind)
{
	memset(r, 0, sizeof *r);
	r->kind = kind;
	r->last_s = NOW - rand() % 1000;
	r->first_s = kind == 'T' || kind == 'S' ? r->last_s - rand() % 1000 : r->last_s;
	r->stored_s = rand() % 2 ? r->last_s : 0;
	if (kind == 'T') {
		r->tries = (unsigned) rand() % 5;
		r->passed_s = rand() % 2 ? r->last_s : 0;
	}
	if (kind == 'D' || kind == 'C')
		for (int i = rand() % 5; i > 0; i--) {
			struct greylist_record one = test_set(kind, r->last_s, 1);

			one.member[0] = (uint32_t) rand() % 12;
			greylist_record_merge(r, &one, &rules);
		}
}

/* any order, and any repetition, of merging the same records has the same result */
static void
greylist_record_test_merge(void **state)
{
	static const char kinds[] = "TSDC";

	(void) state;
	srand(42);
	for (int round = 0; round < 4000; round++) {
		struct greylist_record r[4], a, b;

		for (int i = 0; i < 4; i++)
			test_random(&r[i], kinds[round % 4]);
		a = r[0];
		for (int i = 1; i < 4; i++)
			greylist_record_merge(&a, &r[i], &rules);
		b = r[3];
		for (int i = 2; i >= 0; i--)
			greylist_record_merge(&b, &r[i], &rules);
		if (!test_same(&a, &b))
			fail_msg("round %d: the order counts", round);
		for (int i = 0; i < 4; i++) {
			greylist_record_merge(&b, &r[i], &rules);
			if (!greylist_record_covers(&a, &r[i], &rules))
				fail_msg("round %d: the result does not cover record %d", round, i);
		}
		if (!test_same(&a, &b))
			fail_msg("round %d: repetition counts", round);
	}
}

/* where there is nothing, what the memory held before does not count */
static void
greylist_record_test_merge_nothing(void **state)
{
	static const char kinds[] = "TSDCN";
	struct greylist_record a, b = { .first_s = 1000, .last_s = 2000, .stored_s = 1500, .tries = 3 };

	(void) state;
	for (const char *k = kinds; *k != 0; k++) {
		memset(&a, 0x11, sizeof a);
		a.kind = 0;
		b.kind = *k;
		greylist_record_merge(&a, &b, &rules);
		assert_int_equal(a.kind, *k);
		assert_int_equal(a.first_s, *k == 'D' || *k == 'C' ? 2000 : 1000);
		assert_int_equal(a.last_s, 2000);
		assert_int_equal(a.stored_s, 1500);
		assert_int_equal(a.passed_s, 0);
		assert_int_equal(a.members, 0);
	}
	a.kind = b.kind = 0;
	greylist_record_merge(&a, &b, &rules);
	assert_int_equal(a.kind, 0);
}

static void
greylist_record_test_merge_dead(void **state)
{
	struct greylist_record a, old = test_t(NOW - 3 * D, NOW - 3 * D, 0), fresh = test_t(NOW, NOW, 0), s, e;

	(void) state;
	a = old;					/* begun anew here, old elsewhere, and the other way round */
	greylist_record_merge(&a, &fresh, &rules);
	assert_int_equal(a.first_s, NOW);
	a = fresh;
	greylist_record_merge(&a, &old, &rules);
	assert_int_equal(a.first_s, NOW);
	a = test_t(NOW - 2 * D, NOW - 2 * D, 0);	/* at the end of its window it still counts */
	greylist_record_merge(&a, &fresh, &rules);
	assert_int_equal(a.first_s, NOW - 2 * D);
	assert_int_equal(a.last_s, NOW);
	a = (struct greylist_record) { 0 };
	greylist_record_merge(&a, &fresh, &rules);
	assert_true(test_same(&a, &fresh));
	greylist_record_merge(&a, &(struct greylist_record) { 0 }, &rules);
	assert_true(test_same(&a, &fresh));
	s = test_set('C', NOW, 2);			/* another kind is no news */
	greylist_record_merge(&a, &s, &rules);
	assert_true(test_same(&a, &fresh));
	e = test_set('C', NOW - 36 * D, 5);		/* expired members do not come back */
	greylist_record_merge(&s, &e, &rules);
	assert_int_equal(s.members, 2);
	a = test_t(NOW - 500, NOW - 100, 0);		/* two hosts, the same new triplet: one, begun when the first began */
	greylist_record_merge(&a, &(struct greylist_record) { .kind = 'T', .first_s = NOW - 499, .last_s = NOW - 499, .tries = 1 },
	    &rules);
	assert_int_equal(a.first_s, NOW - 500);
}

static void
greylist_record_test_sets(void **state)
{
	struct greylist_record r = { 0 };

	(void) state;
	greylist_record_add(&r, 'C', 7, &rules, NOW);
	greylist_record_add(&r, 'C', 7, &rules, NOW + 1);	/* the same interval counts once */
	assert_int_equal(r.members, 1);
	for (uint32_t i = 1; i <= 9; i++)
		greylist_record_add(&r, 'C', i, &rules, NOW + i);
	assert_int_equal(r.members, GREYLIST_CLIENT_MAX);
	assert_int_equal(r.member[0], 2);			/* the newest stay */
	assert_int_equal(r.member[7], 9);
	greylist_record_add(&r, 'C', 1, &rules, NOW + 9);
	assert_int_equal(r.member[0], 2);
	assert_int_equal(r.last_s, NOW + 9);
	greylist_record_add(&r, 'C', 1, &rules, NOW + 9 + 35 * D);
	assert_int_equal(r.members, GREYLIST_CLIENT_MAX);
	greylist_record_add(&r, 'C', 1, &rules, NOW + 10 + 70 * D);	/* expired: begins anew */
	assert_int_equal(r.members, 1);
	memset(&r, 0, sizeof r);
	for (uint32_t i = 1; i <= 9; i++)
		greylist_record_add(&r, 'D', i, &rules, NOW);
	assert_int_equal(r.members, GREYLIST_DOMAIN_MAX);
}

static void
greylist_record_test_mend(void **state)
{
	struct greylist_record r = test_t(NOW + 60, NOW + 60, 0), k = { 0 };
	struct greylist_known known = { .c = { 0 } };
	int64_t left, delay;

	(void) state;
	assert_false(greylist_record_mend(&r, &rules, NOW));	/* as far as clocks may differ: it counts as now */
	known.t = r;
	assert_int_equal(greylist_judge(&known, &rules, false, NOW, &left, &delay), GREYLIST_EARLY);
	assert_int_equal(left, 300);
	r.first_s = NOW + 61;
	assert_true(greylist_record_mend(&r, &rules, NOW));
	assert_int_equal(r.first_s, NOW);
	assert_int_equal(r.last_s, NOW + 60);
	k = (struct greylist_record) { .kind = 'S', .first_s = NOW, .last_s = NOW + 40 * D };
	assert_true(greylist_record_mend(&k, &rules, NOW));
	assert_int_equal(k.last_s, NOW);
}

static void
greylist_record_test_code(void **state)
{
	unsigned char value[GREYLIST_VALUE_MAX + 1];
	struct greylist_record cases[] = {
		test_t(NOW, NOW + 1, 0), test_t(NOW, NOW + 1, NOW + 2), test_set('D', NOW, 0), test_set('D', NOW, 4),
		test_set('C', NOW, 0), test_set('C', NOW, 8), { .kind = 'S', .first_s = NOW, .last_s = NOW + 1, .stored_s = 5 },
		{ .kind = 'N', .first_s = NOW, .last_s = NOW, .tries = 65535 }, { .kind = 'X', .secret = "0123456789abcde" },
	}, r;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		size_t	n = greylist_record_encode(&cases[i], value);

		assert_true(n <= GREYLIST_VALUE_MAX);
		if (!greylist_record_decode(&r, value, n) || !test_same(&r, &cases[i]))
			fail_msg("row %zu does not come back", i);
		assert_memory_equal(r.secret, cases[i].secret, sizeof r.secret);
		if (greylist_record_decode(&r, value, n - 1) || greylist_record_decode(&r, value, n + 1))
			fail_msg("row %zu: another length is accepted", i);
	}
	assert_false(greylist_record_decode(&r, value, 0));
	value[0] = 'Z';
	assert_false(greylist_record_decode(&r, value, 19));
	/* what is more than its field holds is cut, and is not another number */
	r = test_t(-5, GREYLIST_TIME_MAX + 5, 0);
	r.tries = 100000;
	assert_true(greylist_record_decode(&r, value, greylist_record_encode(&r, value)));
	assert_int_equal(r.first_s, 0);
	assert_int_equal(r.last_s, GREYLIST_TIME_MAX);
	assert_int_equal(r.tries, 65535);
}

static void
greylist_record_test_rules(void **state)
{
	static const struct { const char *cf; bool good; } cases[] = {
		{ "", true },
		{ "greylist_delay = 0\n", true },
		{ "greylist_delay = 59s\ngreylist_retry_window = 1m\n", true },
		{ "greylist_delay = 60s\ngreylist_retry_window = 1m\n", false },
		{ "greylist_retry_window = 30d\ngreylist_expire_time = 30d\n", true },
		{ "greylist_retry_window = 30d\ngreylist_expire_time = 29d\n", false },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct buf why = BUF_INIT(10000);
		struct main_cf *cf = main_cf_parse("/x/main.cf", cases[i].cf, strlen(cases[i].cf), NULL, NULL, &why);
		struct greylist_rules r;
		struct params *p;

		assert_non_null(cf);
		if ((p = params_load(cf, &why)) == NULL)
			fail_msg("row %zu: %s", i, buf_str(&why));
		if ((greylist_rules_init(&r, p, &why) == 0) != cases[i].good)
			fail_msg("row %zu: got \"%s\"", i, buf_str(&why));
		params_free(&p);
		main_cf_free(&cf);
		buf_fini(&why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greylist_record_test_judge),
		cmocka_unit_test(greylist_record_test_merge),
		cmocka_unit_test(greylist_record_test_merge_nothing),
		cmocka_unit_test(greylist_record_test_merge_dead),
		cmocka_unit_test(greylist_record_test_sets),
		cmocka_unit_test(greylist_record_test_mend),
		cmocka_unit_test(greylist_record_test_code),
		cmocka_unit_test(greylist_record_test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
