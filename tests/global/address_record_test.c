/* tests/global/address_record_test.c - the decision table of spec verify-protocol sections 7 to 10, row by row */
#include <global/address_record.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <util/mem.h>

#define NOW	1700000000
#define TTL	1000
#define HOUR	3600
#define DAY	86400
#define NONE	(-1)		/* no probe outstanding */

static const struct address_rules rules_default = {
	.positive_expire_s = 31 * DAY, .positive_refresh_s = 7 * DAY,
	.negative_expire_s = 3 * DAY, .negative_refresh_s = 3 * HOUR,
	.defer_expire_s = 3 * DAY, .defer_refresh_s = 3 * HOUR,
	.probe_ttl_s = TTL, .negative_cache = true,
};

/* one row: a record of this status, probe P seconds old, result `age` seconds old; what must come of it */
enum after { SAME, FRESH, REFRESH };	/* record unchanged; 3:now:0; probed = now, rest as before */
struct row {
	const char *name;
	int	status;			/* -1: no record */
	int64_t	probe_age, age;		/* NONE; age NONE: never updated */
	int	reply;
	bool	probe;
	enum after after;
};

static const struct row rows[] = {
	/* name				  status probe	   age		   reply probe after */
	{ "no record",			  -1,	 NONE,	   NONE,	   3,	 true,	FRESH },
	{ "OK, new",			  0,	 NONE,	   0,		   0,	 false, SAME },
	{ "OK, refresh limit",		  0,	 NONE,	   604800,	   0,	 false, SAME },
	{ "OK, refresh due",		  0,	 NONE,	   604801,	   0,	 true,	REFRESH },
	{ "OK, expiry limit",		  0,	 NONE,	   2678400,	   0,	 true,	REFRESH },
	{ "OK, expired",		  0,	 NONE,	   2678401,	   3,	 true,	FRESH },
	{ "OK, probe lost, fresh",	  0,	 1001,	   604800,	   0,	 false, SAME },
	{ "OK, probe lost, refresh",	  0,	 1001,	   604801,	   0,	 true,	REFRESH },
	{ "OK, probe lost, expired",	  0,	 1001,	   2678401,	   3,	 true,	FRESH },
	{ "OK, probe out, refresh due",	  0,	 1000,	   604801,	   0,	 false, SAME },
	{ "OK, probe out, expired",	  0,	 1000,	   2678401,	   0,	 false, SAME },
	{ "OK, probe just out, expired",  0,	 0,	   9999999,	   0,	 false, SAME },
	{ "OK, probe in the future",	  0,	 -500,	   9999999,	   0,	 false, SAME },
	{ "OK, updated in the future",	  0,	 NONE,	   -500,	   0,	 false, SAME },
	{ "DEFER, new",			  1,	 NONE,	   0,		   1,	 false, SAME },
	{ "DEFER, refresh limit",	  1,	 NONE,	   10800,	   1,	 false, SAME },
	{ "DEFER, refresh due",		  1,	 NONE,	   10801,	   1,	 true,	REFRESH },
	{ "DEFER, expiry limit",	  1,	 NONE,	   259200,	   1,	 true,	REFRESH },
	{ "DEFER, expired",		  1,	 NONE,	   259201,	   3,	 true,	FRESH },
	{ "DEFER, probe out, expired",	  1,	 1000,	   259201,	   1,	 false, SAME },
	{ "DEFER, probe lost, expired",	  1,	 1001,	   259201,	   3,	 true,	FRESH },
	{ "BOUNCE, new",		  2,	 NONE,	   0,		   2,	 false, SAME },
	{ "BOUNCE, refresh limit",	  2,	 NONE,	   10800,	   2,	 false, SAME },
	{ "BOUNCE, refresh due",	  2,	 NONE,	   10801,	   2,	 true,	REFRESH },
	{ "BOUNCE, expiry limit",	  2,	 NONE,	   259200,	   2,	 true,	REFRESH },
	{ "BOUNCE, expired",		  2,	 NONE,	   259201,	   3,	 true,	FRESH },
	{ "BOUNCE, probe out, refresh",	  2,	 1000,	   10801,	   2,	 false, SAME },
	{ "BOUNCE, probe out, expired",	  2,	 999,	   259201,	   2,	 false, SAME },
	{ "BOUNCE, probe lost, refresh",  2,	 1001,	   10801,	   2,	 true,	REFRESH },
	{ "BOUNCE, probe lost, expired",  2,	 1001,	   259201,	   3,	 true,	FRESH },
	{ "TODO, probe out",		  3,	 0,	   NONE,	   3,	 false, SAME },
	{ "TODO, probe limit",		  3,	 1000,	   NONE,	   3,	 false, SAME },
	{ "TODO, probe lost",		  3,	 1001,	   NONE,	   3,	 true,	FRESH },
	{ "TODO with a result time, new", 3,	 NONE,	   10800,	   3,	 false, SAME },
	{ "TODO with a result time, due", 3,	 NONE,	   10801,	   3,	 true,	REFRESH },
	{ "TODO with a result time, old", 3,	 NONE,	   259201,	   3,	 true,	FRESH },
};

static struct address_record
row_record(const struct row *r)
{
	struct address_record a = {
		.status = (enum verify_status) r->status,
		.probed_s = r->probe_age == NONE ? 0 : NOW - r->probe_age,
		.updated_s = r->age == NONE ? 0 : NOW - r->age,
		.text = "some text", .text_len = 9,
	};

	return a;
}

static void
check_row(const struct row *r, const struct address_rules *rules)
{
	struct address_record old = row_record(r);
	struct address_answer ans;

	address_query(r->status < 0 ? NULL : &old, true, NOW, rules, &ans);
	if ((int) ans.status != r->reply || ans.probe != r->probe)
		fail_msg("%s: reply %d probe %d, want %d %d", r->name, ans.status, ans.probe, r->reply, r->probe);
	if (ans.status == VERIFY_TODO) {
		if (strncmp(ans.text, VERIFY_TODO_TEXT, ans.text_len) != 0 || ans.text_len != strlen(VERIFY_TODO_TEXT))
			fail_msg("%s: wrong text", r->name);
	} else if (ans.text_len != 9 || memcmp(ans.text, "some text", 9) != 0)
		fail_msg("%s: the record's text is not the reply's", r->name);
	switch (r->after) {
	case SAME:
		if (ans.act != ADDRESS_KEEP)
			fail_msg("%s: the record was changed", r->name);
		break;
	case FRESH:
		if (ans.act != ADDRESS_STORE || ans.after.status != VERIFY_TODO || ans.after.probed_s != NOW ||
		    ans.after.updated_s != 0 || ans.after.claim_only != !rules->negative_cache)
			fail_msg("%s: want 3:now:0", r->name);
		break;
	case REFRESH:
		if (ans.act != ADDRESS_STORE || ans.after.status != old.status || ans.after.probed_s != NOW ||
		    ans.after.updated_s != old.updated_s || ans.after.claim_only)
			fail_msg("%s: want the record with probed = now", r->name);
		break;
	}
}

static void
test_query_table(void **state)
{
	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++)
		check_row(&rows[i], &rules_default);
}

/* section 9: every row that ended in 3:now:0 leaves no record, but the claim is kept apart */
static void
test_query_negative_cache_off(void **state)
{
	struct address_rules rules = rules_default;
	struct address_record claim = { .status = VERIFY_TODO, .claim_only = true, .probed_s = NOW };
	struct address_answer ans;

	(void) state;
	rules.negative_cache = false;
	for (size_t i = 0; i < NELEM(rows); i++)
		check_row(&rows[i], &rules);
	address_query(&claim, true, NOW + TTL, &rules, &ans);
	assert_false(ans.probe);
	address_query(&claim, true, NOW + TTL + 1, &rules, &ans);
	assert_true(ans.probe);
}

static void
test_query_defer_times(void **state)
{
	static const struct row defer[] = {
		{ "DEFER, own refresh limit", 1, NONE, 60,  1, false, SAME },
		{ "DEFER, own refresh due",   1, NONE, 61,  1, true,  REFRESH },
		{ "DEFER, own expiry limit",  1, NONE, 600, 1, true,  REFRESH },
		{ "DEFER, own expiry",	      1, NONE, 601, 3, true,  FRESH },
		{ "BOUNCE keeps its times",   2, NONE, 601, 2, false, SAME },
		{ "OK keeps its times",	      0, NONE, 601, 0, false, SAME },
	};
	struct address_rules rules = rules_default;

	(void) state;
	rules.defer_refresh_s = 60;
	rules.defer_expire_s = 600;
	for (size_t i = 0; i < NELEM(defer); i++)
		check_row(&defer[i], &rules);
}

static void
test_query_probe_ttl(void **state)
{
	struct address_rules rules = rules_default;
	static const struct row short_ttl[] = {
		{ "TODO, own limit", 3, 30, NONE, 3, false, SAME },
		{ "TODO, own lost",  3, 31, NONE, 3, true,  FRESH },
	};

	(void) state;
	rules.probe_ttl_s = 30;
	for (size_t i = 0; i < NELEM(short_ttl); i++)
		check_row(&short_ttl[i], &rules);
}

/* an address that cannot be a key (section 5.4) is answered in progress; nothing but the claim is kept */
static void
test_query_unstorable(void **state)
{
	struct address_answer ans;

	(void) state;
	address_query(NULL, false, NOW, &rules_default, &ans);
	assert_int_equal(ans.status, VERIFY_TODO);
	assert_true(ans.probe);
	assert_true(ans.after.claim_only);
}

static void
test_update_keeps_ok(void **state)
{
	static const struct {
		const char *name;
		int	old, status;
		bool	stored;
	} cases[] = {
		{ "nothing, OK", -1, 0, true },	 { "nothing, DEFER", -1, 1, true },  { "nothing, BOUNCE", -1, 2, true },
		{ "OK, OK", 0, 0, true },	 { "OK, DEFER", 0, 1, false },	     { "OK, BOUNCE", 0, 2, false },
		{ "DEFER, OK", 1, 0, true },	 { "DEFER, DEFER", 1, 1, true },     { "DEFER, BOUNCE", 1, 2, true },
		{ "BOUNCE, OK", 2, 0, true },	 { "BOUNCE, DEFER", 2, 1, true },    { "BOUNCE, BOUNCE", 2, 2, true },
		{ "TODO, OK", 3, 0, true },	 { "TODO, DEFER", 3, 1, true },	     { "TODO, BOUNCE", 3, 2, true },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct address_record old = { .status = (enum verify_status) cases[i].old, .updated_s = 1 };

		if (address_update(cases[i].old < 0 ? NULL : &old, (enum verify_status) cases[i].status) !=
		    cases[i].stored)
			fail_msg("%s: want stored %d", cases[i].name, cases[i].stored);
	}
}

static void
test_release(void **state)
{
	struct address_record todo = { .status = VERIFY_TODO, .probed_s = NOW }, after;
	struct address_record ok = { .status = VERIFY_OK, .probed_s = NOW, .updated_s = NOW - 8 * DAY,
		.text = "t", .text_len = 1 };

	(void) state;
	assert_int_equal(address_release(NULL, NOW, &after), ADDRESS_KEEP);
	assert_int_equal(address_release(&todo, NOW - 1, &after), ADDRESS_KEEP);
	assert_int_equal(address_release(&todo, NOW, &after), ADDRESS_DELETE);
	assert_int_equal(address_release(&ok, NOW, &after), ADDRESS_STORE);
	assert_int_equal(after.probed_s, 0);
	assert_int_equal(after.updated_s, ok.updated_s);
	ok.probed_s = 0;		/* the result came first */
	assert_int_equal(address_release(&ok, NOW, &after), ADDRESS_KEEP);
}

/* section 10: here the comparison is <, not <= */
static void
test_keep(void **state)
{
	static const struct {
		const char *name;
		int	status;
		int64_t	probe_age, age;
		bool	keep;
	} cases[] = {
		{ "expired, probe 999",	      0, 999,  2678401, true },
		{ "expired, probe 1000",      0, 1000, 2678401, false },
		{ "expired, probe 1001",      0, 1001, 2678401, false },
		{ "expired, no probe",	      0, NONE, 2678401, false },
		{ "OK at the limit",	      0, NONE, 2678400, true },
		{ "BOUNCE at the limit",      2, NONE, 259200,	true },
		{ "BOUNCE expired",	      2, NONE, 259201,	false },
		{ "DEFER expired",	      1, NONE, 259201,	false },
		{ "TODO, probe 999",	      3, 999,  NONE,	true },
		{ "TODO, probe 1000",	      3, 1000, NONE,	false },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct row r = { .status = cases[i].status, .probe_age = cases[i].probe_age, .age = cases[i].age };
		struct address_record a = row_record(&r);

		if (address_keep(&a, NOW, &rules_default) != cases[i].keep)
			fail_msg("%s: want keep %d", cases[i].name, cases[i].keep);
	}
}

static void
test_expiry(void **state)
{
	struct address_record todo = { .status = VERIFY_TODO, .probed_s = NOW };
	struct address_record ok = { .status = VERIFY_OK, .updated_s = NOW };
	struct address_record both = { .status = VERIFY_BOUNCE, .updated_s = NOW - 3 * DAY, .probed_s = NOW };

	(void) state;
	assert_int_equal(address_expiry(&todo, &rules_default), NOW + TTL);
	assert_int_equal(address_expiry(&ok, &rules_default), NOW + 31 * DAY);
	assert_int_equal(address_expiry(&both, &rules_default), NOW + TTL);
}

static void
test_codec(void **state)
{
	unsigned char data[ADDRESS_HEADER + 64];
	struct address_record a = { .status = VERIFY_BOUNCE, .probed_s = NOW, .updated_s = NOW - 5,
		.text = "no such user", .text_len = 12 }, b;
	size_t	len = address_encode(&a, data, sizeof data);

	(void) state;
	assert_int_equal(len, ADDRESS_HEADER + 12);
	assert_true(address_decode(&b, data, len));
	assert_int_equal(b.status, a.status);
	assert_int_equal(b.probed_s, a.probed_s);
	assert_int_equal(b.updated_s, a.updated_s);
	assert_memory_equal(b.text, "no such user", 12);
	assert_int_equal(address_encode(&a, data, ADDRESS_HEADER + 3), ADDRESS_HEADER + 3);	/* text is cut, not refused */
	a.probed_s = a.updated_s = 0;
	len = address_encode(&a, data, sizeof data);
	assert_false(address_decode(&b, data, len));		/* both zero is malformed */
	a.updated_s = -1;
	len = address_encode(&a, data, sizeof data);
	assert_false(address_decode(&b, data, len));
	a.updated_s = NOW;
	len = address_encode(&a, data, sizeof data);
	data[1] = 4;
	assert_false(address_decode(&b, data, len));
	data[1] = 0;
	assert_true(address_decode(&b, data, len));
	for (size_t n = 0; n < ADDRESS_HEADER; n++)
		assert_false(address_decode(&b, data, n));
	data[0]++;
	assert_false(address_decode(&b, data, len));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query_table),
		cmocka_unit_test(test_query_negative_cache_off),
		cmocka_unit_test(test_query_defer_times),
		cmocka_unit_test(test_query_probe_ttl),
		cmocka_unit_test(test_query_unstorable),
		cmocka_unit_test(test_update_keeps_ok),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_codec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
