/* tests/global/verify_store_test.c - one claim for all, results seen by all, nothing lost with a worker */
#include <global/verify_store.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/lib/decisions.h>
#include <util/mem.h>

#define NOW	1700000000

static char dir[] = "/tmp/vouch-store.XXXXXX";
static int dirfd = -1;
static struct verify_store_conf conf = { .smtputf8 = true, .bytes = 4u << 20 };	/* with verify(8)'s default times */

static struct verify_store *
store_open(void)
{
	struct buf why = BUF_INIT(1024);
	struct verify_store *s;

	if (verify_store_open(&s, dirfd, &conf, &why) < 0)
		fail_msg("%s", buf_str(&why));
	buf_fini(&why);
	return s;
}

static struct verify_store_answer
ask(struct verify_store *s, const char *addr, int64_t now)
{
	struct verify_store_answer ans;

	verify_store_query(s, addr, now, &ans);
	return ans;
}

static void
expect(struct verify_store *s, const char *addr, int64_t now, enum verify_status status, const char *text, bool probe)
{
	struct verify_store_answer ans = ask(s, addr, now);

	if (ans.status != status || strcmp(ans.text, text) != 0 || ans.probe != probe)
		fail_msg("%s: got %d \"%s\" probe %d, want %d \"%s\" %d", addr, ans.status, ans.text, ans.probe, status, text,
		    probe);
}

static int
setup(void **state)
{
	(void) state;
	conf.rules = decision_sets[0].rules;
	return mkdtemp(dir) != NULL && (dirfd = open(dir, O_RDONLY | O_DIRECTORY)) >= 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	(void) state;
	unlinkat(dirfd, VERIFY_STORE_FILE, 0);
	close(dirfd);
	return rmdir(dir);
}

static void
test_life_of_an_address(void **state)
{
	struct verify_store *a = store_open(), *b = store_open();	/* two workers */

	(void) state;
	expect(a, "ann@test", NOW, VERIFY_TODO, VERIFY_TODO_TEXT, true);
	expect(b, "ann@test", NOW, VERIFY_TODO, VERIFY_TODO_TEXT, false);
	expect(a, "ann@test", NOW + 1000, VERIFY_TODO, VERIFY_TODO_TEXT, false);
	assert_int_equal(verify_store_update(b, "ann@test", VERIFY_OK, "250 ok", NOW + 5), VERIFY_STORED);
	expect(a, "ann@test", NOW + 5, VERIFY_OK, "250 ok", false);
	assert_int_equal(verify_store_update(a, "ann@test", VERIFY_BOUNCE, "550 no", NOW + 6), VERIFY_IGNORED);
	expect(b, "ann@test", NOW + 7 * 86400 + 5, VERIFY_OK, "250 ok", false);
	expect(b, "ann@test", NOW + 7 * 86400 + 6, VERIFY_OK, "250 ok", true);
	expect(a, "ann@test", NOW + 7 * 86400 + 6, VERIFY_OK, "250 ok", false);
	expect(a, "ann@test", NOW + 31 * 86400 + 6, VERIFY_TODO, VERIFY_TODO_TEXT, true);
	assert_int_equal(verify_store_update(a, "ann@test", VERIFY_BOUNCE, "550 no", NOW + 32 * 86400), VERIFY_STORED);
	expect(b, "ann@test", NOW + 32 * 86400, VERIFY_BOUNCE, "550 no", false);
	verify_store_close(&a);
	verify_store_close(&b);
	a = store_open();			/* and after a restart */
	expect(a, "ann@test", NOW + 32 * 86400, VERIFY_BOUNCE, "550 no", false);
	verify_store_close(&a);
	verify_store_close(&a);
}

static void
test_keys(void **state)
{
	struct verify_store *s = store_open();
	char   *longest = mem_alloc(SHMTAB_KEY_MAX + 2);

	(void) state;
	verify_store_update(s, "x@[IPv6:2001:db8::1]", VERIFY_OK, "a:b", NOW);
	expect(s, "x@[IPv6_2001_db8__1]", NOW, VERIFY_OK, "a:b", false);
	expect(s, "X@[IPv6:2001:db8::1]", NOW, VERIFY_TODO, VERIFY_TODO_TEXT, true);	/* no case folding */
	expect(s, "", NOW, VERIFY_TODO, VERIFY_TODO_TEXT, true);
	/* not UTF-8: probed, but once; a result is not kept */
	expect(s, "\377@test", NOW, VERIFY_TODO, VERIFY_TODO_TEXT, true);
	expect(s, "\377@test", NOW, VERIFY_TODO, VERIFY_TODO_TEXT, false);
	assert_int_equal(verify_store_update(s, "\377@test", VERIFY_OK, "x", NOW), VERIFY_LOST);
	memset(longest, 'a', SHMTAB_KEY_MAX);
	expect(s, longest, NOW, VERIFY_TODO, VERIFY_TODO_TEXT, true);
	longest[SHMTAB_KEY_MAX] = 'a';
	expect(s, longest, NOW, VERIFY_DEFER, VERIFY_UNAVAIL_TEXT, false);
	assert_int_equal(verify_store_update(s, longest, VERIFY_OK, "x", NOW), VERIFY_LOST);
	mem_free(&longest);
	verify_store_close(&s);
}

static void
test_release(void **state)
{
	struct verify_store *s = store_open();
	struct verify_store_answer ans = ask(s, "rel@test", NOW);

	(void) state;
	assert_true(ans.probe);
	verify_store_release(s, "rel@test", ans.tag, NOW + 1);
	ans = ask(s, "rel@test", NOW + 2);
	assert_true(ans.probe);			/* tried again */
	verify_store_update(s, "rel@test", VERIFY_OK, "fine", NOW + 3);
	verify_store_release(s, "rel@test", ans.tag, NOW + 4);	/* too late: the result is there */
	expect(s, "rel@test", NOW + 5, VERIFY_OK, "fine", false);
	verify_store_close(&s);
}

/* a worker claims and dies before the probe was submitted: the next query takes the claim over; once it was
 * submitted, or while the worker lives, it does not */
static void
test_dead_workers_claims(void **state)
{
	struct verify_store *s = store_open();
	struct verify_store_answer ans;
	int	status;
	pid_t	pid;

	(void) state;
	if ((pid = fork()) == 0) {
		struct verify_store *mine = store_open();

		ask(mine, "dead1@test", NOW);
		ans = ask(mine, "dead2@test", NOW);
		verify_store_submitted(mine, "dead2@test", ans.tag);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ans = ask(s, "dead1@test", NOW + 1);
	assert_true(ans.probe);
	assert_true(ans.adopted);
	ans = ask(s, "dead1@test", NOW + 1);
	assert_false(ans.probe);
	assert_false(ans.adopted);
	ans = ask(s, "dead2@test", NOW + 1);
	assert_false(ans.probe);
	verify_store_close(&s);
}

static void
test_clean(void **state)
{
	struct verify_store *s = store_open();
	uint64_t retained = 0, dropped = 0;
	char	addr[32];

	(void) state;
	for (unsigned i = 0; i < verify_store_parts(s); i++)
		verify_store_clean(s, i, INT32_MAX, &retained, &dropped);
	retained = dropped = 0;
	for (int i = 0; i < 1000; i++) {
		snprintf(addr, sizeof addr, "c%d@test", i);
		verify_store_update(s, addr, i % 2 == 0 ? VERIFY_OK : VERIFY_BOUNCE, "t", NOW);
	}
	for (unsigned i = 0; i < verify_store_parts(s); i++)
		assert_int_equal(verify_store_clean(s, i, NOW + 3 * 86400 + 1, &retained, &dropped), 0);
	assert_int_equal(retained, 500);
	assert_int_equal(dropped, 500);
	expect(s, "c0@test", NOW + 4, VERIFY_OK, "t", false);
	expect(s, "c1@test", NOW + 4, VERIFY_TODO, VERIFY_TODO_TEXT, true);
	verify_store_close(&s);
}

static void
clean(struct verify_store *s, int64_t now, uint64_t want_retained, uint64_t want_dropped)
{
	uint64_t retained = 0, dropped = 0;

	for (unsigned i = 0; i < verify_store_parts(s); i++)
		assert_int_equal(verify_store_clean(s, i, now, &retained, &dropped), 0);
	if (retained != want_retained || dropped != want_dropped)
		fail_msg("%lld: retained %d, dropped %d", (long long) now, (int) retained, (int) dropped);
}

/* the wall clock is set back by an hour or a week, and forward again: what has not expired stays, what has goes when it is right */
static void
test_clean_with_a_clock_set_back(void **state)
{
	static const int64_t back_s[] = { 3600, 7 * 86400, 40 * 86400 };
	struct verify_store *s = store_open();

	(void) state;
	for (unsigned i = 0; i < verify_store_parts(s); i++)
		verify_store_clean(s, i, INT32_MAX, &(uint64_t) { 0 }, &(uint64_t) { 0 });
	for (size_t i = 0; i < NELEM(back_s); i++) {
		verify_store_update(s, "new@test", VERIFY_BOUNCE, "t", NOW);
		verify_store_update(s, "old@test", VERIFY_BOUNCE, "t", NOW - 3 * 86400 - 1);
		expect(s, "asked@test", NOW - 5, VERIFY_TODO, VERIFY_TODO_TEXT, i == 0);
		expect(s, "lost@test", NOW - 1001, VERIFY_TODO, VERIFY_TODO_TEXT, true);
		clean(s, NOW - back_s[i], 4, 0);
		expect(s, "new@test", NOW - back_s[i], VERIFY_BOUNCE, "t", false);
		clean(s, NOW, 2, 2);
		clean(s, NOW, 2, 0);
	}
	verify_store_close(&s);
}

/* negative caching off: no record is kept of an unknown address, but it is probed once, not at every query */
static void
test_negative_cache_off(void **state)
{
	struct verify_store *s;

	(void) state;
	conf.rules.negative_cache = false;
	s = store_open();
	expect(s, "neg@test", NOW, VERIFY_TODO, VERIFY_TODO_TEXT, true);
	expect(s, "neg@test", NOW + 3, VERIFY_TODO, VERIFY_TODO_TEXT, false);
	expect(s, "neg@test", NOW + 1001, VERIFY_TODO, VERIFY_TODO_TEXT, true);
	verify_store_update(s, "neg@test", VERIFY_BOUNCE, "no", NOW + 1002);
	expect(s, "neg@test", NOW + 1003, VERIFY_BOUNCE, "no", false);
	verify_store_close(&s);
	conf.rules.negative_cache = true;
}

/* a directory that cannot be used: private memory, and the caller is told */
static void
test_private(void **state)
{
	struct buf why = BUF_INIT(1024);
	struct verify_store *s;
	int	file = open("/dev/null", O_RDONLY);

	(void) state;
	assert_int_equal(verify_store_open(&s, file, &conf, &why), -1);
	assert_true(why.len > 0);
	expect(s, "p@test", NOW, VERIFY_TODO, VERIFY_TODO_TEXT, true);
	verify_store_update(s, "p@test", VERIFY_OK, "fine", NOW);
	expect(s, "p@test", NOW, VERIFY_OK, "fine", false);
	verify_store_close(&s);
	buf_fini(&why);
	close(file);
}

/* looking changes nothing and claims nothing */
static void
test_look(void **state)
{
	struct verify_store *s = store_open();
	struct address_record rec;
	char	longest[SHMTAB_KEY_MAX + 2];

	(void) state;
	assert_int_equal(verify_store_look(s, "look@test", &rec), 0);
	expect(s, "look@test", NOW, VERIFY_TODO, VERIFY_TODO_TEXT, true);
	assert_int_equal(verify_store_look(s, "look@test", &rec), 1);
	assert_int_equal(rec.status, VERIFY_TODO);
	assert_int_equal(rec.probed_s, NOW);
	assert_int_equal(address_refresh(&rec, &conf.rules), 0);
	verify_store_update(s, "look@test", VERIFY_OK, "fine", NOW + 1);
	assert_int_equal(verify_store_look(s, "look@test", &rec), 1);
	assert_int_equal(rec.status, VERIFY_OK);
	assert_int_equal(rec.updated_s, NOW + 1);
	assert_string_equal(rec.text, "fine");
	assert_int_equal(address_refresh(&rec, &conf.rules), NOW + 1 + 7 * 86400 + 1);
	expect(s, "look@test", address_refresh(&rec, &conf.rules) - 1, VERIFY_OK, "fine", false);
	assert_int_equal(verify_store_look(s, "look@test", &rec), 1);
	expect(s, "look@test", address_refresh(&rec, &conf.rules), VERIFY_OK, "fine", true);
	memset(longest, 'a', sizeof longest);
	longest[sizeof longest - 1] = 0;
	assert_int_equal(verify_store_look(s, longest, &rec), -1);
	verify_store_close(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life_of_an_address),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_dead_workers_claims),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_clean_with_a_clock_set_back),
		cmocka_unit_test(test_negative_cache_off),
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_look),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
