/* tests/global/verify_share_test.c - two workers of a host, and one database: results that come close together, a domain that is forgotten
 * The database is fake_pg with one table and the rules of verify_db.c; that the SQL has them is tests/integration/pg_decisions's.
 */
#include <global/verify_store.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/verify_db.h>
#include <tests/lib/decisions.h>
#include <tests/lib/fake_pg.h>
#include <util/mem.h>

#define NOW	1700000000
#define WORKERS	2

static struct {				/* the one row of the database */
	char	key[64], text[64];
	int64_t	status, updated, changed, origin;
	unsigned writes;		/* that were taken */
} row;
static int64_t forgot;			/* when @test was, by another host; 0: it was not */

static char dir[] = "/tmp/vouch-share.XXXXXX";
static int dirfd = -1;
static struct ev_loop *loop;
static struct verify_store *worker[WORKERS];
static struct pg_host host = { .keys = { "host", NULL }, .values = { "share", NULL }, .where = "database share" };
static struct db_conf where = { .hosts = &host, .hosts_n = 1 };
static struct verify_store_conf conf = { .smtputf8 = true, .bytes = 4u << 20 };	/* with verify(8)'s default times */

/* the database */

static void
share_write(const struct fake_query *q, struct fake_answer *a)
{
	int64_t status, updated, changed;

	for (int i = 0; i < fake_array_len(q, 0); i++) {
		changed = fake_array_int(q, 2, i);
		status = fake_array_int(q, 4, i);
		updated = fake_array_int(q, 6, i);
		if (updated < row.updated || (status != VERIFY_OK && row.status == VERIFY_OK && row.updated != 0))
			continue;
		if (updated == row.updated && changed <= row.changed && (status != VERIFY_OK || row.status == VERIFY_OK))
			continue;
		fake_array_text(q, 0, i, row.key, sizeof row.key);
		fake_array_text(q, 1, i, row.text, sizeof row.text);
		row.status = status;
		row.updated = updated;
		row.changed = changed;
		row.origin = fake_int(q, 3);
		row.writes++;
		fake_row(a, row.key, NULL);
	}
}

static void
share_read(struct fake_answer *a)
{
	char	changed[24], origin[24], status[8], updated[24];

	snprintf(changed, sizeof changed, "%lld", (long long) row.changed);
	snprintf(origin, sizeof origin, "%lld", (long long) row.origin);
	snprintf(status, sizeof status, "%d", (int) row.status);
	snprintf(updated, sizeof updated, "%lld", (long long) row.updated);
	fake_row(a, row.key, changed, origin, row.text, status, "0", updated, "0", NULL);
}

/* share_domain - what is forgotten, with the stamp of then */
static void
share_domain(const struct fake_query *q, struct fake_answer *a, bool newest)
{
	char	changed[24], when[24];

	snprintf(changed, sizeof changed, "%lld", (long long) forgot * 1000000);
	snprintf(when, sizeof when, "%lld", (long long) forgot);
	if (newest)
		fake_row(a, changed, NULL);
	else if (fake_int(q, 0) < forgot * 1000000)
		fake_row(a, "@test", changed, "0", "", "3", "0", "0", when, NULL);
}

static void
share_serve(void *ctx, const struct fake_query *q, struct fake_answer *a)
{
	(void) ctx;
	if (strcmp(q->sql, verify_db_kind.check) == 0)
		fake_row(a, "2", "77", "off", "UTF8", "t", NULL);
	else if (strcmp(q->sql, verify_db_kind.write) == 0)
		share_write(q, a);
	else if (strcmp(q->sql, verify_db_kind.read) == 0)
		row.updated != 0 ? share_read(a) : (void) 0;
	else if (forgot != 0 && (strcmp(q->sql, verify_db_kind.newest) == 0 || strcmp(q->sql, verify_db_kind.pull) == 0))
		share_domain(q, a, strcmp(q->sql, verify_db_kind.newest) == 0);
}

/* the host */

static void
turns(void)
{
	for (int i = 0; i < 30; i++)
		ev_turn(loop, 0);
}

static void
pass(int64_t ms)
{
	for (; ms > 0; ms -= 10) {
		ev_fake_advance(loop, 10);
		turns();
	}
}

static int
setup(void **state)
{
	const struct db_store_conf db = { .lib = &fake_pg_lib, .where = &where, .timeout_ms = 1000, .sync_ms = 1000,
	    .host_name = "share.test" };
	struct buf why = BUF_INIT(1024);

	(void) state;
	memset(&row, 0, sizeof row);
	forgot = 0;
	conf.rules = decision_sets[0].rules;
	fake_pg_reset(share_serve, NULL);
	loop = ev_loop_new_fake(NOW);
	if ((dirfd = open(mkdtemp(dir), O_RDONLY | O_DIRECTORY)) < 0)
		return -1;
	for (int i = 0; i < WORKERS; i++) {
		if (verify_store_open(&worker[i], dirfd, &conf, &why) < 0)
			return -1;
		verify_store_connect(worker[i], loop, &db, true);
	}
	buf_fini(&why);
	pass(100);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	for (int i = 0; i < WORKERS; i++)
		verify_store_close(&worker[i]);
	ev_loop_free(&loop);
	unlinkat(dirfd, VERIFY_STORE_FILE, 0);
	close(dirfd);
	rmdir(dir);
	memcpy(strchr(dir, '.') + 1, "XXXXXX", 6);
	return fake_open() == 0 ? 0 : -1;
}

static unsigned	committed;

static void
written(void *ctx)
{
	(void) ctx;
	committed++;
}

static void
update(int w, enum verify_status status, const char *text)
{
	assert_int_equal(verify_store_update_then(worker[w], "ann@test", status, text, ev_wall_s(loop), written, NULL), VERIFY_WRITING);
}

static void
expect_both(enum verify_status status, const char *text)
{
	struct address_record rec;
	struct shmtab_stat st;

	assert_int_equal(verify_store_look(worker[0], "ann@test", &rec), 1);
	assert_string_equal(rec.text, text);
	assert_int_equal(rec.status, status);
	assert_string_equal(row.text, text);
	assert_int_equal(row.status, status);
	shmtab_stat(verify_store_table(worker[0]), &st);
	assert_int_equal(st.pinned, 0);
}

/* the third is byte for byte the first, which is still on its way: that the first is committed says nothing of it */
static void
the_third_of_a_second_is_not_taken_for_the_first(void **state)
{
	static const struct { const char *name; int worker[3]; } cases[] = {
		{ "the first's worker", { 0, 1, 0 } },
		{ "the second's worker", { 0, 1, 1 } },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		committed = 0;
		fake_pg.frozen = true;
		update(cases[i].worker[0], VERIFY_BOUNCE, "550 nobody");
		turns();
		update(cases[i].worker[1], VERIFY_DEFER, "450 later");
		turns();
		update(cases[i].worker[2], VERIFY_BOUNCE, "550 nobody");
		turns();
		if (committed != 0)
			fail_msg("%s: committed %u", cases[i].name, committed);
		fake_thaw();
		turns();
		if (committed != 3)
			fail_msg("%s: committed %u", cases[i].name, committed);
		expect_both(VERIFY_BOUNCE, "550 nobody");
	}
}

/* the usual case of the same thing: what is told twice is the same result */
static void
the_same_result_twice_is_one(void **state)
{
	(void) state;
	fake_pg.frozen = true;
	update(0, VERIFY_BOUNCE, "550 nobody");
	turns();
	update(1, VERIFY_BOUNCE, "550 nobody");
	update(0, VERIFY_BOUNCE, "550 nobody");
	fake_thaw();
	turns();
	expect_both(VERIFY_BOUNCE, "550 nobody");
	assert_in_range(row.writes, 1, 2);
}

static struct verify_store_answer
ask(int w)
{
	struct verify_store_answer ans;

	verify_store_query(worker[w], "ann@test", ev_wall_s(loop), &ans);
	return ans;
}

/* the domain is forgotten while this host is without its database; then, still without, it claims a probe */
static void
a_claim_does_not_keep_what_was_forgotten_before_it(void **state)
{
	(void) state;
	for (int owed = 0; owed <= 1; owed++) {
		memset(&row, 0, sizeof row);
		forgot = 0;
		if (!owed) {
			update(0, VERIFY_DEFER, "450 later");
			turns();
			assert_int_equal(row.writes, 1);
			row.updated = row.status = 0;		/* and is removed by the command */
		}
		fake_pg.connect = FAKE_REFUSE;
		fake_cut();
		pass(100);
		if (owed)
			assert_int_equal(verify_store_update(worker[0], "ann@test", VERIFY_DEFER, "450 later", ev_wall_s(loop)), VERIFY_STORED);
		ev_fake_advance(loop, 8000000);
		forgot = ev_wall_s(loop);
		ev_fake_advance(loop, 3000000);
		turns();
		assert_true(ask(0).probe);
		assert_string_equal(ask(1).text, "450 later");		/* nobody has told this host */
		fake_pg.connect = FAKE_ACCEPT;
		pass(6000);
		assert_int_equal(ask(1).status, VERIFY_TODO);
		assert_string_equal(ask(1).text, VERIFY_TODO_TEXT);
		assert_false(ask(1).probe);				/* one is under way */
		assert_int_equal(row.writes, owed ? 0 : 1);		/* the old one was not written, or not again */
		update(1, VERIFY_DEFER, "451 still not");		/* its result */
		turns();
		expect_both(VERIFY_DEFER, "451 still not");
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_third_of_a_second_is_not_taken_for_the_first),
		T(the_same_result_twice_is_one),
		T(a_claim_does_not_keep_what_was_forgotten_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
