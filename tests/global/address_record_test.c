/* tests/global/address_record_test.c - the decision table of spec verify-protocol sections 7 to 10, row by row */
#include <global/address_record.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <tests/lib/decisions.h>
#include <util/mem.h>

#define NOW	1700000000
#define TTL	1000
#define DAY	86400
#define NONE	DECISION_NONE

static void
check_row(const struct decision *r, const struct address_rules *rules)
{
	struct address_record old = decision_record(r, NOW);
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
	case DECISION_SAME:
		if (ans.act != ADDRESS_KEEP)
			fail_msg("%s: the record was changed", r->name);
		break;
	case DECISION_FRESH:
		if (ans.act != ADDRESS_STORE || ans.after.status != VERIFY_TODO || ans.after.probed_s != NOW ||
		    ans.after.updated_s != 0 || ans.after.claim_only != !rules->negative_cache)
			fail_msg("%s: want 3:now:0", r->name);
		break;
	case DECISION_REFRESH:
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
	for (size_t k = 0; k < decision_sets_n; k++)
		for (size_t i = 0; i < decision_sets[k].n; i++)
			check_row(&decision_sets[k].row[i], &decision_sets[k].rules);
}

static void
test_query_negative_cache_off(void **state)
{
	struct address_rules rules = decision_sets[0].rules;
	struct address_record claim = { .status = VERIFY_TODO, .claim_only = true, .probed_s = NOW };
	struct address_answer ans;

	(void) state;
	rules.negative_cache = false;
	address_query(&claim, true, NOW + TTL, &rules, &ans);
	assert_false(ans.probe);
	address_query(&claim, true, NOW + TTL + 1, &rules, &ans);
	assert_true(ans.probe);
}

/* an address that cannot be a key (section 5.4) is answered in progress; nothing but the claim is kept */
static void
test_query_unstorable(void **state)
{
	struct address_answer ans;

	(void) state;
	address_query(NULL, false, NOW, &decision_sets[0].rules, &ans);
	assert_int_equal(ans.status, VERIFY_TODO);
	assert_true(ans.probe);
	assert_true(ans.after.claim_only);
}

static void
test_update_keeps_ok(void **state)
{
	(void) state;
	for (size_t i = 0; i < decision_updates_n; i++) {
		struct address_record old = { .status = (enum verify_status) decision_updates[i].old, .updated_s = 1 };

		if (address_update(decision_updates[i].old < 0 ? NULL : &old, (enum verify_status) decision_updates[i].status) !=
		    decision_updates[i].stored)
			fail_msg("%s: want stored %d", decision_updates[i].name, decision_updates[i].stored);
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
		struct decision r = { .status = cases[i].status, .probe_age = cases[i].probe_age, .age = cases[i].age };
		struct address_record a = decision_record(&r, NOW);

		if (address_keep(&a, NOW, &decision_sets[0].rules) != cases[i].keep)
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
	assert_int_equal(address_expiry(&todo, &decision_sets[0].rules), NOW + TTL);
	assert_int_equal(address_expiry(&ok, &decision_sets[0].rules), NOW + 31 * DAY);
	assert_int_equal(address_expiry(&both, &decision_sets[0].rules), NOW + TTL);
}

static void
test_codec(void **state)
{
	unsigned char data[ADDRESS_HEADER + 64];
	struct address_record a = { .status = VERIFY_BOUNCE, .probed_s = NOW, .updated_s = NOW - 5,
		.nth = 255, .text = "no such user", .text_len = 12 }, b;
	size_t	len = address_encode(&a, data, sizeof data);

	(void) state;
	assert_int_equal(len, ADDRESS_HEADER + 12);
	assert_true(address_decode(&b, data, len));
	assert_int_equal(b.status, a.status);
	assert_int_equal(b.nth, a.nth);
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
		cmocka_unit_test(test_query_unstorable),
		cmocka_unit_test(test_update_keeps_ok),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_codec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
