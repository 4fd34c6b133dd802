/* tests/global/greylist_db_test.c - rows of greylisting: which can be records, and what becomes of an entry when one arrives;
 * what people see of them; the secret and its file
 */
#include <global/greylist_db.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/greylist_secret.h>
#include <global/greylist_store.h>
#include <global/greylist_text.h>
#include <tests/lib/fake_pg.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>
#include <util/msg.h>

#define NOW	((int64_t) 1700000000)
#define DAY	((int64_t) 86400)
#define T_ID	"TAAAAAAAAAAAAAAAAAAAAAA"
#define S_ID	"SAAAAAAAAAAAAAAAAAAAAAA"
#define C_ID	"CAAAAAAAAAAAAAAAAAAAA-_"
#define D_ID	"DAAAAAAAAAAAAAAAAAAAAAA"

static const struct greylist_rules rules = {
	.delay_s = 300, .window_s = 2 * DAY, .expire_s = 35 * DAY, .interval_s = 3600, .skew_s = 60, .touch_s = 3600,
	.domain_count = 2, .client_count = 5,
};

static const char *
test_text(void *ctx, const char *id, size_t id_len)
{
	(void) ctx;
	(void) id_len;
	return id[0] == 'T' ? "client\037sender\037recipient" : "";
}

static struct greylist_db db = { .rules = &rules, .text = test_text };

static struct db_row
test_row(const char *key, const char *text, int64_t begun, int64_t seen, int64_t tries, int64_t passed, int64_t forgot)
{
	struct db_row r = { .key = key, .key_len = strlen(key), .text = text, .text_len = strlen(text),
		.num = { begun, seen, tries, passed, forgot } };

	return r;
}

static void
greylist_db_test_rows(void **state)
{
	static const struct { const char *name, *key, *text; int64_t num[5]; bool good; char kind; } cases[] = {
		{ "triplet", T_ID, "", { NOW, NOW, 1, 0, 0 }, true, 'T' },
		{ "sender", S_ID, "", { NOW, NOW, 0, 0, 0 }, true, 'S' },
		{ "client", C_ID, "0000000a,0000000b,", { NOW, NOW, 0, 0, 0 }, true, 'C' },
		{ "client, no members", C_ID, "", { NOW, NOW, 0, 0, 0 }, true, 'C' },
		{ "forgotten", C_ID, "", { 0, 0, 0, 0, NOW }, true, 0 },
		{ "many tries", T_ID, "", { NOW, NOW, 100000, 0, 0 }, true, 'T' },
		{ "secret", GREYLIST_DB_SECRET, "000102030405060708090a0b0c0d0e0f", { 1, 1, 0, 0, 0 }, true, 'X' },
		{ "short secret", GREYLIST_DB_SECRET, "000102030405060708090a0b0c0d0e", { 1, 1, 0, 0, 0 }, false, 0 },
		{ "odd secret", GREYLIST_DB_SECRET, "00010203040506070809zz0b0c0d0e0f", { 1, 1, 0, 0, 0 }, false, 0 },
		{ "another row with !", "!other", "", { 1, 1, 0, 0, 0 }, false, 0 },
		{ "short key", "TAAA", "", { NOW, NOW, 1, 0, 0 }, false, 0 },
		{ "long key", T_ID "A", "", { NOW, NOW, 1, 0, 0 }, false, 0 },
		{ "unknown kind", "XAAAAAAAAAAAAAAAAAAAAAA", "", { NOW, NOW, 1, 0, 0 }, false, 0 },
		{ "odd key", "TAAAAAAAAAAAAAAAAAAAAA'", "", { NOW, NOW, 1, 0, 0 }, false, 0 },
		{ "negative", T_ID, "", { NOW, -1, 1, 0, 0 }, false, 0 },
		{ "too late", T_ID, "", { NOW, (int64_t) 1 << 33, 1, 0, 0 }, false, 0 },
		{ "members of a sender", S_ID, "0000000a,", { NOW, NOW, 0, 0, 0 }, false, 0 },
		{ "half a member", C_ID, "0000000a,0000", { NOW, NOW, 0, 0, 0 }, false, 0 },
		{ "odd member", C_ID, "0000000g,", { NOW, NOW, 0, 0, 0 }, false, 0 },
		{ "too many members", C_ID, "00000001,00000002,00000003,00000004,00000005,00000006,00000007,00000008,00000009,",
		  { NOW, NOW, 0, 0, 0 }, false, 0 },
		{ "forgotten, with members", C_ID, "0000000a,", { 0, 0, 0, 0, NOW }, false, 0 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		const int64_t *n = cases[i].num;
		struct db_row row = test_row(cases[i].key, cases[i].text, n[0], n[1], n[2], n[3], n[4]);
		struct greylist_record r;

		if (greylist_db_kind.valid(&row) != cases[i].good)
			fail_msg("%s: %s", cases[i].name, cases[i].good ? "refused" : "accepted");
		if (cases[i].good && (!greylist_db_record(&row, &r) || r.kind != cases[i].kind))
			fail_msg("%s: kind", cases[i].name);
	}
}

/* a record becomes a row and comes back */
static void
greylist_db_test_encode(void **state)
{
	struct greylist_record c = { .kind = 'C', .first_s = NOW, .last_s = NOW, .members = 2, .member = { 5, 9 } }, r;
	struct greylist_record t = { .kind = 'T', .first_s = NOW - 5, .last_s = NOW, .tries = 3, .passed_s = NOW };
	unsigned char value[GREYLIST_VALUE_MAX];
	struct shmtab_val v = { .data = value };
	struct db_row row;
	int64_t when;

	(void) state;
	v.len = greylist_record_encode(&c, value);
	assert_true(greylist_db_kind.encode(&db, C_ID, GREYLIST_ID_LEN, &v, &row, &when));
	assert_int_equal(when, NOW);
	assert_string_equal(row.text, "00000005,00000009,\037");
	v.len = greylist_record_encode(&t, value);
	assert_true(greylist_db_kind.encode(&db, T_ID, GREYLIST_ID_LEN, &v, &row, &when));
	assert_string_equal(row.text, "\037client\037sender\037recipient");
	row.text_len = 0;
	assert_true(greylist_db_record(&row, &r));
	assert_int_equal(r.first_s, NOW - 5);
	assert_int_equal(r.passed_s, NOW);
	assert_int_equal(r.tries, 3);
	/* another kind than the key says, and what is this host's alone */
	assert_false(greylist_db_kind.encode(&db, S_ID, GREYLIST_ID_LEN, &v, &row, &when));
	c = (struct greylist_record) { .kind = 'N', .last_s = NOW, .tries = 3 };
	v.len = greylist_record_encode(&c, value);
	assert_false(greylist_db_kind.encode(&db, "NAAAAAAAAAAAAAAAAAAAAAA", GREYLIST_ID_LEN, &v, &row, &when));
}

static void
greylist_db_test_merge(void **state)
{
	/* an entry: first, last, passed, pinned (-1: none); a row: the same, forgot */
	static const struct {
		const char *name;
		enum db_news news;
		int	pinned;
		int64_t first, last, passed, row_begun, row_seen, row_passed, row_forgot;
		enum shmtab_act want;
		int64_t want_first, want_last, want_passed;
		bool	want_pinned;
	} cases[] = {
		{ "asked for, not here", DB_ASKED, -1, 0, 0, 0, NOW, NOW, 0, 0, SHMTAB_PUT, NOW, NOW, 0, false },
		{ "pulled, not here", DB_PULLED, -1, 0, 0, 0, NOW, NOW, 0, 0, SHMTAB_KEEP, 0, 0, 0, false },
		{ "pulled, not here, room", DB_PULLED_ROOM, -1, 0, 0, 0, NOW, NOW, 0, 0, SHMTAB_PUT, NOW, NOW, 0, false },
		{ "pulled, begun earlier there", DB_PULLED, 0, NOW, NOW, 0, NOW - 50, NOW - 50, 0, 0, SHMTAB_PUT, NOW - 50, NOW, 0, false },
		{ "pulled, begun earlier there, dirty", DB_PULLED, 1, NOW, NOW, 0, NOW - 50, NOW - 50, 0, 0, SHMTAB_PUT, NOW - 50, NOW, 0,
		  false },
		{ "pulled, begun earlier here, dirty", DB_PULLED, 1, NOW - 50, NOW, 0, NOW, NOW, 0, 0, SHMTAB_PUT, NOW - 50, NOW, 0, true },
		{ "passed there", DB_PULLED, 0, NOW - 300, NOW - 300, 0, NOW - 300, NOW, NOW, 0, SHMTAB_PUT, NOW - 300, NOW, NOW, false },
		{ "passed here, dirty", DB_PULLED, 1, NOW - 300, NOW, NOW, NOW - 300, NOW - 300, 0, 0, SHMTAB_PUT, NOW - 300, NOW, NOW, true },
		{ "written", DB_WRITTEN, 1, NOW - 300, NOW, NOW, NOW - 300, NOW, NOW, 0, SHMTAB_PUT, NOW - 300, NOW, NOW, false },
		{ "touched since it was written", DB_WRITTEN, 1, NOW - 300, NOW, NOW - 100, NOW - 300, NOW - 1, NOW - 100, 0, SHMTAB_PUT,
		  NOW - 300, NOW, NOW - 100, false },
		{ "the database's is much older", DB_ASKED, 1, NOW - 9000, NOW, NOW - 8000, NOW - 9000, NOW - 8000, NOW - 8000, 0, SHMTAB_PUT,
		  NOW - 9000, NOW, NOW - 8000, true },
		{ "forgotten since", DB_PULLED, 0, NOW - 50, NOW - 10, 0, 0, 0, 0, NOW, SHMTAB_DELETE, 0, 0, 0, false },
		{ "forgotten in that second", DB_PULLED, 0, NOW, NOW, 0, 0, 0, 0, NOW, SHMTAB_DELETE, 0, 0, 0, false },
		{ "forgotten in that second, dirty", DB_PULLED, 1, NOW, NOW, 0, 0, 0, 0, NOW, SHMTAB_KEEP, 0, 0, 0, true },
		{ "begun since it was forgotten", DB_PULLED, 0, NOW, NOW, 0, 0, 0, 0, NOW - 1, SHMTAB_KEEP, 0, 0, 0, false },
		{ "forgotten, not here", DB_PULLED, -1, 0, 0, 0, 0, 0, 0, NOW, SHMTAB_KEEP, 0, 0, 0, false },
		{ "forgotten and begun anew there", DB_PULLED, 0, NOW - 500, NOW - 500, 0, NOW, NOW, 0, NOW - 100, SHMTAB_PUT, NOW, NOW, 0,
		  false },
		{ "window over there", DB_PULLED, 0, NOW, NOW, 0, NOW - 3 * DAY, NOW - 3 * DAY, 0, 0, SHMTAB_PUT, NOW, NOW, 0, false },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct greylist_record a = { .kind = 'T', .tries = 1, .first_s = cases[i].first, .last_s = cases[i].last,
			.passed_s = cases[i].passed }, r;
		struct db_row row = test_row(T_ID, "", cases[i].row_begun, cases[i].row_seen, 1, cases[i].row_passed, cases[i].row_forgot);
		unsigned char value[GREYLIST_VALUE_MAX];
		struct shmtab_val old = { .data = value, .len = greylist_record_encode(&a, value), .pinned = cases[i].pinned == 1,
			.expire_s = greylist_record_expiry(&a, &rules) }, new = { .data = NULL };
		enum shmtab_act got;

		got = greylist_db_kind.merge(&db, &row, cases[i].news, 1, cases[i].pinned < 0 ? NULL : &old, &new);
		if (got != cases[i].want)
			fail_msg("%s: got act %d, want %d", cases[i].name, got, cases[i].want);
		if (got != SHMTAB_PUT)
			continue;
		assert_true(greylist_record_decode(&r, new.data, new.len));
		if (r.first_s != cases[i].want_first || r.last_s != cases[i].want_last || r.passed_s != cases[i].want_passed ||
		    new.pinned != cases[i].want_pinned)
			fail_msg("%s: first %lld, last %lld, passed %lld, pinned %d", cases[i].name, (long long) (r.first_s - NOW),
			    (long long) (r.last_s - NOW), (long long) r.passed_s, new.pinned);
	}
}

/* a full set lets everybody in: there is nothing to add to it, whichever members of many are in it. Hosts that were apart have others */
static void
greylist_db_test_full(void **state)
{
	static const struct { const char *name, *key, *text; unsigned members; uint32_t first; int64_t seen; bool want_pinned; } cases[] = {
		{ "network, others here", C_ID, "00000001,00000002,00000003,00000004,00000005,00000006,00000007,00000009,", 8, 3, NOW, false },
		{ "network, room for one", C_ID, "00000001,00000002,00000003,00000004,00000005,00000006,00000007,", 8, 3, NOW, true },
		{ "network, expired", C_ID, "00000001,00000002,00000003,00000004,00000005,00000006,00000007,00000009,", 8, 3, NOW - 36 * DAY,
		  true },
		{ "domain, others here", D_ID, "00000001,00000002,00000003,00000004,", 4, 3, NOW, false },
		{ "domain, more than we keep", D_ID, "00000005,00000001,00000002,00000003,00000004,00000006,00000007,00000008,", 4, 9, NOW, false },
		{ "domain, room for one", D_ID, "00000001,00000002,00000003,", 4, 1, NOW, true },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct greylist_record a = { .kind = cases[i].key[0], .first_s = NOW, .last_s = NOW, .members = cases[i].members }, r;
		struct db_row row = test_row(cases[i].key, cases[i].text, cases[i].seen, cases[i].seen, 0, 0, 0);
		unsigned char value[GREYLIST_VALUE_MAX];
		struct shmtab_val old = { .data = value, .pinned = true, .expire_s = greylist_record_expiry(&a, &rules) }, new = old;

		for (unsigned k = 0; k < a.members; k++)
			a.member[k] = cases[i].first + k;
		old.len = greylist_record_encode(&a, value);
		new.pinned = true;
		(void) greylist_db_kind.merge(&db, &row, DB_WRITTEN, 1, &old, &new);
		if (new.pinned != cases[i].want_pinned)
			fail_msg("%s: %s", cases[i].name, new.pinned ? "is written for ever" : "is not written");
		new.len = new.data == value ? old.len : new.len;
		assert_true(greylist_record_decode(&r, new.data, new.len));
		assert_true(greylist_record_full(&r, &rules));
	}
}

/* the database's secret is the one, whatever we have */
static void
greylist_db_test_secret(void **state)
{
	struct greylist_record a = { .kind = 'X', .secret = "ours ours ours" }, r;
	struct db_row row = test_row(GREYLIST_DB_SECRET, "000102030405060708090a0b0c0d0e0f", 1, 1, 0, 0, 0);
	unsigned char value[GREYLIST_VALUE_MAX];
	struct shmtab_val old = { .data = value, .len = greylist_record_encode(&a, value), .pinned = true }, new = { .data = NULL };

	(void) state;
	assert_int_equal(greylist_db_kind.merge(&db, &row, DB_WRITTEN, 1, &old, &new), SHMTAB_PUT);
	assert_true(greylist_record_decode(&r, new.data, new.len));
	assert_int_equal(r.secret[15], 15);
	assert_false(new.pinned);
}

static void
greylist_db_test_secret_file(void **state)
{
	static const struct { const char *text; bool good; } cases[] = {
		{ "000102030405060708090a0b0c0d0e0f\n", true },
		{ "000102030405060708090A0B0C0D0E0F\n", true },
		{ "000102030405060708090a0b0c0d0e0f", false },
		{ "000102030405060708090a0b0c0d0e0f\n\n", false },
		{ "000102030405060708090a0b0c0d0e0\n", false },
		{ "0001020304 5060708090a0b0c0d0e0f\n", false },
		{ "", false },
	};
	char	dir[] = "/tmp/vouch-secret.XXXXXX";
	unsigned char secret[GREYLIST_SECRET_LEN] = { 1, 2, 3 }, got[GREYLIST_SECRET_LEN];
	const char *why;
	struct stat st;
	int	fd, f;

	(void) state;
	assert_non_null(mkdtemp(dir));
	assert_true((fd = open(dir, O_RDONLY | O_DIRECTORY)) >= 0);
	assert_int_equal(greylist_secret_read(fd, "s", got, &why), GREYLIST_SECRET_NONE);
	for (size_t i = 0; i < NELEM(cases); i++) {
		f = openat(fd, "s", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_int_equal(write(f, cases[i].text, strlen(cases[i].text)), strlen(cases[i].text));
		close(f);
		if (greylist_secret_read(fd, "s", got, &why) != (cases[i].good ? GREYLIST_SECRET_READ : GREYLIST_SECRET_BAD))
			fail_msg("row %zu", i);
	}
	assert_int_equal(greylist_secret_write(fd, "s", secret, false), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(greylist_secret_write(fd, "s", secret, true), 0);
	assert_int_equal(greylist_secret_read(fd, "s", got, &why), GREYLIST_SECRET_READ);
	assert_memory_equal(got, secret, sizeof secret);
	assert_int_equal(unlinkat(fd, "s", 0), 0);
	assert_int_equal(greylist_secret_write(fd, "s", secret, false), 0);
	assert_int_equal(fstatat(fd, "s", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(unlinkat(fd, "s", 0), 0);
	assert_int_equal(rmdir(dir), 0);		/* nothing else was left there */
	close(fd);
}

/* ---- what arrives in rows: a store over a server that compares it with what is to be there ---- */

#define WORLD_ROWS 16384

struct world_row {
	char	id[GREYLIST_ID_LEN + 1], text[120];	/* its members and what people see of it */
	bool	written, right, shown;
};

static struct {
	struct ev_loop *loop;
	struct db_store_conf conf;
	struct world_row row[WORLD_ROWS];	/* ordered by id once everything is expected */
	unsigned expected;
	bool	sorted;
} world;

static int
world_cmp(const void *a, const void *b)
{
	return strcmp(((const struct world_row *) a)->id, ((const struct world_row *) b)->id);
}

static void __attribute__((format(printf, 2, 3)))
world_expect(const char *id, const char *fmt, ...)
{
	struct world_row *r = &world.row[world.expected++];
	va_list ap;

	assert_true(world.expected <= WORLD_ROWS);
	strcpy(r->id, id);
	va_start(ap, fmt);
	assert_true(vsnprintf(r->text, sizeof r->text, fmt, ap) < (int) sizeof r->text);
	va_end(ap);
	world.sorted = false;
}

static struct world_row *
world_find(const char *id)
{
	struct world_row key = { .written = false };

	if (!world.sorted)
		qsort(world.row, world.expected, sizeof world.row[0], world_cmp);
	world.sorted = true;
	strcpy(key.id, id);
	return bsearch(&key, world.row, world.expected, sizeof world.row[0], world_cmp);
}

static void
world_write(const struct fake_query *q, struct fake_answer *a)
{
	char	id[GREYLIST_ID_LEN + 1], text[200], num[7][24];
	struct world_row *r;

	for (int i = 0; i < fake_array_len(q, 0); i++) {
		fake_array_text(q, 0, i, id, sizeof id);
		fake_array_text(q, 1, i, text, sizeof text);
		if (id[0] != '!') {
			assert_non_null(r = world_find(id));
			/* what people see may come later; what is a member may not change */
			r->right = (!r->written || r->right) && strncmp(text, r->text, strcspn(r->text, "\037") + 1) == 0;
			r->shown |= strcmp(text, r->text) == 0;
			r->written = true;
		}
		*(text + strcspn(text, "\037")) = 0;
		for (int k = 0; k < 7; k++)
			snprintf(num[k], sizeof num[k], "%lld", (long long) (k == 0 ? fake_array_int(q, 2, i) : k == 1 ? fake_int(q, 3) :
			    fake_array_int(q, k + 2, i)));
		fake_row(a, id, num[0], num[1], text, num[2], num[3], num[4], num[5], num[6], NULL);
	}
}

static void
world_serve(void *ctx, const struct fake_query *q, struct fake_answer *a)
{
	(void) ctx;
	if (strcmp(q->sql, greylist_db_kind.check) == 0)
		fake_row(a, "2", "77", "off", "UTF8", "t", NULL);
	else if (strcmp(q->sql, greylist_db_kind.write) == 0)
		world_write(q, a);
}

static void
world_pass(int64_t ms)
{
	for (; ms > 0; ms -= 50) {
		ev_fake_advance(world.loop, 50);
		for (int i = 0; i < 30; i++)
			ev_turn(world.loop, 0);
	}
}

static struct greylist_store *
world_store(void)
{
	const struct greylist_store_conf conf = { .rules = rules, .bytes = 8u << 20, .clear = true, .secret_dirfd = -1 };
	struct greylist_store *s;
	struct buf why = BUF_INIT(1000);

	greylist_store_open(&s, test_dirfd, &conf, &why);
	greylist_store_connect(s, world.loop, &world.conf);
	world_pass(200);
	assert_true(greylist_store_usable(s));
	buf_fini(&why);
	return s;
}

/* world_names - those of triplet i: each has a sender, a domain and a network of its own, of different lengths */
static void
world_names(struct greylist_store *s, unsigned i, struct greylist_names *names, struct greylist_ids *ids)
{
	static char net[40], sender[40], domain[40], recipient[40];

	snprintf(net, sizeof net, "%u.%u.%u.0/24", 1 + i % 200, i / 200 % 200, i / 40000);
	snprintf(domain, sizeof domain, "x%u.test", i);
	snprintf(sender, sizeof sender, "a@x%u.test", i);
	snprintf(recipient, sizeof recipient, "b%u@y.test", i);
	*names = (struct greylist_names) { net, net, sender, domain, recipient };
	greylist_store_ids(s, names, ids);
}

/* world_begin - triplets that begin to wait */
static void
world_begin(struct greylist_store *s, unsigned from, unsigned n)
{
	struct greylist_record t;
	struct greylist_names names;
	struct greylist_ids ids;

	for (unsigned i = from; i < from + n; i++) {
		world_names(s, i, &names, &ids);
		world_expect(ids.t, "\037%s\037%s\037%s", names.client, names.sender, names.recipient);
		assert_int_equal(greylist_store_begin(s, &ids, &names, ev_wall_s(world.loop), &t), GREYLIST_BEGUN);
	}
}

/* world_retry - they pass: their networks and domains get a member each */
static void
world_retry(struct greylist_store *s, unsigned from, unsigned n)
{
	int64_t now = ev_wall_s(world.loop);
	struct greylist_names names;
	struct greylist_ids ids;
	uint32_t member;

	for (unsigned i = from; i < from + n; i++) {
		world_names(s, i, &names, &ids);
		memcpy(&member, ids.s + 1, sizeof member);
		world_expect(ids.s, "\037%s\037%s\037", names.client, names.sender);
		world_expect(ids.d, "%08x,\037%s\037%s\037", member, names.client, names.domain);
		world_expect(ids.c, "%08x,\037%s\037\037", (uint32_t) (now / rules.interval_s), names.net);
		assert_true(greylist_store_pass(s, &ids, &names, false, now));
	}
}

/* world_right - how many rows were written as they are to be; shown: and with what people are to see of them */
static unsigned
world_right(bool shown)
{
	unsigned n = 0;

	for (unsigned i = 0; i < world.expected; i++) {
		const struct world_row *r = &world.row[i];

		n += r->written && r->right && (r->shown || !shown);
	}
	return n;
}

static unsigned
world_written(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < world.expected; i++)
		n += world.row[i].written;
	return n;
}

static int
world_setup(void **state)
{
	static struct pg_host host = { .keys = { "host", NULL }, .values = { "world", NULL }, .where = "database world" };
	static struct db_conf where = { .hosts = &host, .hosts_n = 1 };

	memset(&world, 0, sizeof world);
	world.loop = ev_loop_new_fake(NOW);
	world.conf = (struct db_store_conf) { .lib = &fake_pg_lib, .where = &where, .timeout_ms = 1000, .sync_ms = 1000,
	    .host_name = "world.test" };
	fake_pg_reset(world_serve, NULL);
	msg_to_stderr(NULL);
	return test_dir_make(state);
}

static int
world_teardown(void **state)
{
	ev_loop_free(&world.loop);
	return fake_open() == 0 ? test_dir_remove(state) : -1;
}

/* however many records wait at once, each is written as it is, and with what people are to see of it */
static void
greylist_db_test_burst(void **state)
{
	struct greylist_store *s = world_store();

	(void) state;
	fake_pg.frozen = true;
	world_begin(s, 0, 3000);
	world_pass(100);
	fake_pg.frozen = false;
	fake_thaw();
	world_pass(1000);
	assert_int_equal(world_written(), 3000);
	assert_int_equal(world_right(true), 3000);
	greylist_store_close(&s);
}

/* one statement has rows of all kinds: no row's members are another's */
static void
greylist_db_test_members(void **state)
{
	struct greylist_store *s = world_store();

	(void) state;
	world_begin(s, 0, 1500);
	world_pass(2000);
	world_retry(s, 0, 1500);
	world_pass(5000);
	assert_int_equal(world_written(), 4 * 1500);
	assert_int_equal(world_right(true), 4 * 1500);
	greylist_store_close(&s);
}

/* after an outage: by the worker that knows it, not by the one that goes through the table */
static void
greylist_db_test_text_outage(void **state)
{
	struct greylist_store *house = world_store(), *s = world_store();

	(void) state;
	fake_pg.connect = FAKE_REFUSE;
	fake_cut();
	world_pass(500);
	world_begin(s, 0, 100);
	world_begin(house, 100, 100);
	world_pass(5000);
	assert_int_equal(world_written(), 0);
	fake_pg.connect = FAKE_ACCEPT;
	world_pass(20000);
	assert_int_equal(world_written(), 200);
	assert_int_equal(world_right(true), 200);
	greylist_store_close(&s);
	greylist_store_close(&house);
}

/* also what was on its way when the connection was lost. Whether the other worker is faster with it is chance: several times */
static void
greylist_db_test_text_lost(void **state)
{
	struct greylist_store *house = world_store(), *s = world_store();
	unsigned n = 0;

	(void) state;
	for (; n < 6 * 2000; n += 2000) {
		fake_pg.frozen = true;
		world_begin(s, n, 2000);
		world_pass(50);				/* a part of it is sent */
		fake_pg.connect = FAKE_REFUSE;
		fake_cut();
		fake_pg.frozen = false;
		world_pass(7000);
		fake_pg.connect = FAKE_ACCEPT;
		world_pass(8000);
	}
	assert_int_equal(world_written(), n);
	assert_int_equal(world_right(true), n);
	greylist_store_close(&s);
	greylist_store_close(&house);
}

/* the latest are kept */
static void
greylist_db_test_texts(void **state)
{
	struct greylist_texts *t = greylist_texts_new(3);
	static const char ids[][GREYLIST_ID_LEN + 1] = {
		"TAAAAAAAAAAAAAAAAAAAAA0", "TAAAAAAAAAAAAAAAAAAAAA1", "TAAAAAAAAAAAAAAAAAAAAA2", "TAAAAAAAAAAAAAAAAAAAAA3",
	};

	(void) state;
	assert_null(greylist_texts_get(t, ids[0]));
	for (int i = 0; i < 3; i++)
		greylist_texts_put(t, ids[i], ids[i]);
	greylist_texts_put(t, ids[0], "again");		/* it stays where it is */
	for (int i = 1; i < 3; i++)
		assert_string_equal(greylist_texts_get(t, ids[i]), ids[i]);
	assert_string_equal(greylist_texts_get(t, ids[0]), "again");
	greylist_texts_put(t, ids[3], ids[3]);
	assert_null(greylist_texts_get(t, ids[0]));
	for (int i = 1; i < 4; i++)
		assert_string_equal(greylist_texts_get(t, ids[i]), ids[i]);
	greylist_texts_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greylist_db_test_rows),
		cmocka_unit_test(greylist_db_test_encode),
		cmocka_unit_test(greylist_db_test_merge),
		cmocka_unit_test(greylist_db_test_full),
		cmocka_unit_test(greylist_db_test_secret),
		cmocka_unit_test(greylist_db_test_secret_file),
		cmocka_unit_test(greylist_db_test_texts),
		cmocka_unit_test_setup_teardown(greylist_db_test_burst, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(greylist_db_test_members, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(greylist_db_test_text_outage, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(greylist_db_test_text_lost, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
