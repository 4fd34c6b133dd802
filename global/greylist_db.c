/* global/greylist_db.c - greylisting records in PostgreSQL: their rules for db_store.h
 * The SQL is what PostgreSQL 13, Citus, CockroachDB and YugabyteDB share; see verify_db.c.
 */
#include "greylist_db.h"

#include <stdio.h>
#include <string.h>

#include <global/greylist_key.h>
#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

#define COLUMNS "id, changed, origin, members, begun, seen, tries, passed, forgot"

/* does it count for nothing, seen from the later of the two times? $10: greylist_retry_window, $11: greylist_expire_time */
#define DEAD(t) \
	"(" t ".seen = 0 OR CASE WHEN left(" t ".id, 1) = 'T' AND " t ".passed = 0" \
	" THEN " t ".begun < GREATEST(a.seen, excluded.seen) - $10::bigint" \
	" WHEN left(" t ".id, 1) = '!' THEN false" \
	" ELSE " t ".seen < GREATEST(a.seen, excluded.seen) - $11::bigint END)"
#define MERGE(column, both) \
	column " = CASE WHEN " DEAD("a") " THEN excluded." column " WHEN " DEAD("excluded") " THEN a." column " ELSE " both " END,"
#define MEMBER(at) \
	" || CASE WHEN strpos(a.members, substr(excluded.members, " at ", 9)) > 0 THEN '' ELSE substr(excluded.members, " at ", 9) END"
#define TEXT(column) \
	column " = CASE WHEN excluded." column " = '' THEN a." column " ELSE excluded." column " END,"
#define UNITE \
	" ON CONFLICT (id) DO UPDATE SET " \
	MERGE("begun", "LEAST(a.begun, excluded.begun)") \
	MERGE("tries", "GREATEST(a.tries, excluded.tries)") \
	MERGE("passed", "CASE WHEN a.passed = 0 THEN excluded.passed WHEN excluded.passed = 0 THEN a.passed" \
	    " ELSE LEAST(a.passed, excluded.passed) END") \
	MERGE("members", "CASE WHEN left(a.id, 1) = '!' THEN a.members WHEN a.members !~ '^([0-9a-f]{8},)*$' THEN excluded.members" \
	    " WHEN left(a.id, 1) IN ('C', 'D') THEN left(a.members" MEMBER("1") MEMBER("10") MEMBER("19") \
	    MEMBER("28") MEMBER("37") MEMBER("46") MEMBER("55") MEMBER("64") ", 72) ELSE '' END") \
	" seen = GREATEST(a.seen, excluded.seen)," TEXT("client") TEXT("sender") TEXT("recipient") \
	" changed = excluded.changed, origin = excluded.origin" \
	" WHERE excluded.begun >= a.forgot"
#define PART(n) "split_part(q.words, chr(31), " n ")"

#define WRITE \
	"INSERT INTO vouch_greylist AS a (id, begun, seen, tries, passed, forgot, changed, origin, members, client, sender," \
	    " recipient)" \
	    " SELECT q.id, q.begun, q.seen, q.tries, q.passed, q.forgot, q.changed, $4::bigint, " PART("1") ", " PART("2") ", " \
	    PART("3") ", " PART("4") \
	    " FROM unnest($1::text[], $2::text[], $3::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])" \
	    " AS q(id, words, changed, begun, seen, tries, passed, forgot) ORDER BY q.id" \
	    UNITE " RETURNING " COLUMNS

static bool
greylist_db_secret(const char *key, size_t key_len)
{
	return key_len == strlen(GREYLIST_DB_SECRET) && memcmp(key, GREYLIST_DB_SECRET, key_len) == 0;
}

bool
greylist_db_key(const char *key, size_t key_len)
{
	if (key_len != GREYLIST_ID_LEN || strchr("TSDC", key[0]) == NULL || key[0] == 0)
		return greylist_db_secret(key, key_len);
	for (size_t i = 1; i < key_len; i++)
		if (!(key[i] >= 'a' && key[i] <= 'z') && !(key[i] >= 'A' && key[i] <= 'Z') && !(key[i] >= '0' && key[i] <= '9') &&
		    key[i] != '-' && key[i] != '_')
			return false;
	return true;
}

/* hexadecimal: the members, and the secret */

static int
greylist_db_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
greylist_db_hex(const char *p, size_t n, uint32_t *v_r)
{
	*v_r = 0;
	for (size_t i = 0; i < n; i++) {
		if (greylist_db_digit(p[i]) < 0)
			return false;
		*v_r = *v_r << 4 | (uint32_t) greylist_db_digit(p[i]);
	}
	return true;
}

bool
greylist_db_record(const struct db_row *row, struct greylist_record *r)
{
	struct greylist_record one;
	const int64_t *n = row->num;
	uint32_t v;

	memset(r, 0, sizeof *r);
	if (!greylist_db_key(row->key, row->key_len))
		return false;
	for (int i = 0; i < GREYLIST_DB_NUMS; i++)
		if (n[i] < 0 || n[i] > GREYLIST_TIME_MAX)
			return false;
	if (row->key[0] == '!') {
		if (row->text_len != 2 * sizeof r->secret)
			return false;
		r->kind = 'X';
		for (size_t i = 0; i < sizeof r->secret; i++) {
			if (!greylist_db_hex(row->text + 2 * i, 2, &v))
				return false;
			r->secret[i] = (unsigned char) v;
		}
		return true;
	}
	if (n[GREYLIST_DB_SEEN] == 0)
		return row->text_len == 0;		/* forgotten */
	if (row->text_len % 9 != 0 || row->text_len > 9 * GREYLIST_CLIENT_MAX ||
	    (row->text_len > 0 && row->key[0] != 'D' && row->key[0] != 'C'))
		return false;
	r->kind = row->key[0];
	r->first_s = n[GREYLIST_DB_BEGUN];
	r->last_s = r->stored_s = n[GREYLIST_DB_SEEN];
	if (r->kind == 'T') {
		r->passed_s = n[GREYLIST_DB_PASSED];
		r->tries = n[GREYLIST_DB_TRIES] > UINT16_MAX ? UINT16_MAX : (unsigned) n[GREYLIST_DB_TRIES];
	}
	if (r->kind == 'D' || r->kind == 'C')
		r->first_s = r->last_s;
	one = *r;
	one.members = 1;
	for (size_t i = 0; i < row->text_len; i += 9) {
		if (!greylist_db_hex(row->text + i, 8, &one.member[0]) || row->text[i + 8] != ',')
			return false;
		r->members == 0 ? (void) (*r = one) : greylist_record_merge(r, &one, &(struct greylist_rules) { 0 });
	}
	return true;
}

static bool
greylist_db_valid(const struct db_row *row)
{
	struct greylist_record r;

	return greylist_db_record(row, &r);
}

static bool
greylist_db_encode(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v, struct db_row *row, int64_t *when_s)
{
	static struct buf text = BUF_INIT(4 * GREYLIST_ADDR_MAX);
	struct greylist_db *db = ctx;
	struct greylist_record r;

	if (!greylist_db_key(key, key_len) || !greylist_record_decode(&r, v->data, v->len) ||
	    (r.kind != *(const char *) key && r.kind != 'X'))
		return false;
	buf_reset(&text);
	memset(row, 0, sizeof *row);
	row->key = key;
	row->key_len = key_len;
	if (r.kind == 'X') {
		for (size_t i = 0; i < sizeof r.secret; i++)
			buf_addf(&text, "%02x", r.secret[i]);
		row->num[GREYLIST_DB_BEGUN] = row->num[GREYLIST_DB_SEEN] = 1;
		*when_s = 1;
	} else {
		for (unsigned i = 0; i < r.members; i++)
			buf_addf(&text, "%08x,", r.member[i]);
		row->num[GREYLIST_DB_BEGUN] = r.first_s;
		row->num[GREYLIST_DB_SEEN] = *when_s = r.last_s;
		row->num[GREYLIST_DB_TRIES] = r.tries;
		row->num[GREYLIST_DB_PASSED] = r.passed_s;
		buf_addc(&text, GREYLIST_DB_SEPARATOR);
		buf_adds(&text, db->text(db->ctx, key, key_len));
	}
	row->text = buf_str(&text);
	row->text_len = text.len;
	return true;
}

/* greylist_db_put - what the entry is to be; KEEP when it is that already */
static enum shmtab_act
greylist_db_put(const struct greylist_db *db, const struct greylist_record *r, bool dirty, const struct shmtab_val *old,
    struct shmtab_val *new)
{
	static unsigned char value[GREYLIST_VALUE_MAX];

	new->data = value;
	new->len = greylist_record_encode(r, value);
	new->expire_s = greylist_record_expiry(r, db->rules);
	new->pinned = dirty;
	if (old != NULL && old->pinned == dirty && old->len == new->len && old->expire_s == new->expire_s &&
	    memcmp(old->data, new->data, new->len) == 0)
		return SHMTAB_KEEP;
	return SHMTAB_PUT;
}

static enum shmtab_act
greylist_db_merge(void *ctx, const struct db_row *row, enum db_news news, uint32_t self, const struct shmtab_val *old,
    struct shmtab_val *new)
{
	const struct greylist_db *db = ctx;
	bool	dirty = old != NULL && old->pinned, lacks;
	struct greylist_record a, r;

	(void) self;
	if (!greylist_db_record(row, &r))
		return SHMTAB_KEEP;
	if (news == DB_WRITTEN && db->written != NULL)
		db->written(db->ctx, row->key, row->key_len);
	if (old == NULL || !greylist_record_decode(&a, old->data, old->len))
		memset(&a, 0, sizeof a);
	if (r.kind == 'X')				/* the database's is the one */
		return greylist_db_put(db, &r, false, old, new);
	/* forgotten since; a dirty record from that very second is kept */
	if (a.kind != 0 && a.first_s <= row->num[GREYLIST_DB_FORGOT] - dirty)
		a.kind = 0;
	if (a.kind == 0) {
		if (r.kind == 0)
			return old != NULL ? SHMTAB_DELETE : SHMTAB_KEEP;
		if (old == NULL && news == DB_PULLED)
			return SHMTAB_KEEP;		/* nobody here has asked for it */
		return greylist_db_put(db, &r, false, old, new);
	}
	if (r.kind == 0)				/* begun since */
		return SHMTAB_KEEP;
	lacks = !greylist_record_covers(&r, &a, db->rules) || a.last_s - r.last_s > db->rules->touch_s;
	greylist_record_merge(&a, &r, db->rules);
	a.stored_s = r.last_s;
	return greylist_db_put(db, &a, dirty && lacks, old, new);
}

/* statements' parameters */

static void
greylist_db_write_args(void *ctx, struct pg_args *a)
{
	const struct greylist_db *db = ctx;

	pg_arg_int(a, db->rules->window_s);
	pg_arg_int(a, db->rules->expire_s);
}

static void
greylist_db_clean_args(void *ctx, int64_t now, struct pg_args *a)
{
	const struct greylist_db *db = ctx;

	pg_arg_int(a, now - db->rules->window_s);
	pg_arg_int(a, now - db->rules->expire_s);
	pg_arg_int(a, db->rules->keep_passed ? now - db->rules->expire_s : GREYLIST_TIME_MAX);
	pg_arg_int(a, now - GREYLIST_DB_FORGET_S);
}

static bool
greylist_db_may_clean(void *ctx)
{
	const struct greylist_db *db = ctx;

	return db->may_clean(db->ctx);
}

static void
greylist_db_up(void *ctx)
{
	const struct greylist_db *db = ctx;

	if (db->up != NULL)
		db->up(db->ctx);
}

static void
greylist_db_cleaned(void *ctx, const struct pg_lib *lib, const PGresult *res)
{
	struct greylist_db *db = ctx;
	int64_t never;

	if (res == NULL) {
		msg_info("greylist=expired never_retried=%llu", (unsigned long long) db->never_retried);
		stats_add(STAT_greylist_never_retried, db->never_retried);
		db->never_retried = 0;
		return;
	}
	for (int i = 0; i < lib->ntuples(res); i++)
		if (lib->nfields(res) == 2 && pg_int(lib, res, i, 1, &never) && never == 1)
			db->never_retried++;
}

static bool
greylist_db_is_pending(const void *key, size_t key_len)
{
	return key_len > 0 && *(const char *) key == 'T';
}

static bool
greylist_db_broad(const struct db_row *row)
{
	(void) row;
	return false;
}

const struct db_kind greylist_db_kind = {
	.name = "greylist",
	.schema = 2,
	.nums = GREYLIST_DB_NUMS,
	.second = true,
	.check = "SELECT version, site, current_setting('transaction_read_only'), current_setting('server_encoding'),"
	    " has_table_privilege('vouch_greylist', 'SELECT') AND has_table_privilege('vouch_greylist', 'INSERT')"
	    " AND has_table_privilege('vouch_greylist', 'UPDATE') AND has_table_privilege('vouch_greylist', 'DELETE')"
	    " AND has_table_privilege('vouch_lease', 'SELECT') AND has_table_privilege('vouch_lease', 'INSERT')"
	    " AND has_table_privilege('vouch_lease', 'UPDATE') AND has_table_privilege('vouch_host', 'SELECT')"
	    " AND has_table_privilege('vouch_host', 'INSERT') AND has_table_privilege('vouch_host', 'UPDATE')"
	    " FROM vouch_schema",
	.read = "SELECT " COLUMNS " FROM vouch_greylist WHERE id = ANY($1::text[])",
	.write = WRITE,
	.pull = "SELECT " COLUMNS " FROM vouch_greylist WHERE changed > $1::bigint"
	    " AND (origin < $2::bigint OR origin > $3::bigint) ORDER BY changed LIMIT $4::bigint",
	.newest = "SELECT changed FROM vouch_greylist ORDER BY changed DESC LIMIT 1",
	.clean_to = "SELECT id FROM vouch_greylist WHERE id > $1::text ORDER BY id OFFSET $2::bigint LIMIT 1",
	/* $4 a triplet that began before, $5 others seen before, $6 passed triplets seen before, $7 forgotten before */
	.clean = "DELETE FROM vouch_greylist WHERE id > $1::text AND ($3::bigint = 1 OR id <= $2::text) AND forgot < $7::bigint"
	    " AND CASE WHEN left(id, 1) = 'T' THEN CASE WHEN passed = 0 THEN begun < $4::bigint ELSE seen < $6::bigint END"
	    " WHEN left(id, 1) = '!' THEN false ELSE seen < $5::bigint END"
	    " RETURNING id, CASE WHEN left(id, 1) = 'T' AND passed = 0 AND seen > 0 THEN 1 ELSE 0 END",
	.clean_args = greylist_db_clean_args,
	.write_args = greylist_db_write_args,
	.is_second = greylist_db_is_pending,
	.may_clean = greylist_db_may_clean,
	.up = greylist_db_up,
	.cleaned = greylist_db_cleaned,
	.valid = greylist_db_valid,
	.encode = greylist_db_encode,
	.merge = greylist_db_merge,
	.broad = greylist_db_broad,
};

/* For commands. $1 ids, $2 now, $3 stamps, $4 origin: these records are void */
const char greylist_db_forget_sql[] =
	"INSERT INTO vouch_greylist AS a (id, begun, seen, tries, passed, forgot, changed, origin, members, client, sender, recipient)"
	" SELECT q.id, 0, 0, 0, 0, $2::bigint, q.changed, $4::bigint, '', '', '', ''"
	" FROM unnest($1::text[], $3::bigint[]) AS q(id, changed) ORDER BY q.id"
	" ON CONFLICT (id) DO UPDATE SET begun = 0, seen = 0, tries = 0, passed = 0, members = '', client = '', sender = '',"
	" recipient = '', forgot = excluded.forgot, changed = excluded.changed, origin = excluded.origin";
/* as `write`: $1 ids, $2 texts, $3 stamps, $4 origin, $5 begun, $6 seen, $7 tries, $8 passed, $9 forgot, $10 window, $11 expire */
const char greylist_db_put_sql[] = WRITE;
