/* global/verify_db.c - address status in PostgreSQL: verify(8)'s rules for db_store.h
 * source: spec verify-protocol sections 7 and 8; the same rules as in address_record.c, once more in SQL, because
 * other hosts write the same rows at the same time.
 * The SQL is what PostgreSQL 13, Citus, CockroachDB and YugabyteDB share: single statements, times as parameters,
 * the key first. Rows are taken in the order of their keys, so that two statements cannot wait for each other.
 */
#include "verify_db.h"

#include <string.h>
#include <strings.h>

#include <util/mem.h>
#include <util/utf8.h>

#define DB_TIME_MAX	((int64_t) 1 << 40)

/* May a row be claimed? No probe is under way, and the result is due for a new one, or there is none.
 * $4: no probe that began before this is under way any more. $5 to $7: OK, DEFER, other: a result older than this is due
 * (or has expired, if that is sooner). $8 to $10: has expired. */
#define CLAIMABLE(t) \
	"(" t ".probed < $4::bigint AND " t ".updated < CASE " t ".status" \
	" WHEN 0 THEN $5::bigint WHEN 1 THEN $6::bigint ELSE $7::bigint END)"
#define UNEXPIRED(t) \
	"(" t ".updated >= CASE " t ".status WHEN 0 THEN $8::bigint WHEN 1 THEN $9::bigint ELSE $10::bigint END)"
#define CLAIM_BEGIN \
	"INSERT INTO vouch_address AS a (address, status, probed, updated, forgot, changed, origin, reason)" \
	" SELECT q.address, 3, $2::bigint, 0, 0, 0, $3::bigint, ''" \
	" FROM unnest($1::text[]) AS q(address)"
#define CLAIM_END \
	" ORDER BY q.address" \
	" ON CONFLICT (address) DO UPDATE SET probed = excluded.probed, origin = excluded.origin," \
	" status = CASE WHEN " UNEXPIRED("a") " THEN a.status ELSE 3 END," \
	" reason = CASE WHEN " UNEXPIRED("a") " THEN a.reason ELSE '' END," \
	" updated = CASE WHEN " UNEXPIRED("a") " THEN a.updated ELSE 0 END" \
	" WHERE " CLAIMABLE("a")

#define COLUMNS "address, changed, origin, reason, status, probed, updated, forgot"

/* A result is taken unless a newer one is there, or the address was forgotten since, or it would turn OK into
 * something else. A claim that is newer than the result stays. In the same second the stamp tells which is newer: a host's
 * statements may overtake each other, on the connections of its workers. */
#define WRITE_END \
	" ON CONFLICT (address) DO UPDATE SET status = excluded.status, updated = excluded.updated," \
	" reason = excluded.reason, changed = excluded.changed, origin = excluded.origin," \
	" probed = CASE WHEN a.probed > excluded.updated THEN a.probed ELSE 0 END" \
	" WHERE excluded.updated >= a.updated AND excluded.updated >= a.forgot" \
	" AND (excluded.status = 0 OR a.status <> 0)" \
	" AND (excluded.updated > a.updated OR excluded.changed > a.changed OR (excluded.status = 0 AND a.status <> 0))"

/* verify_db_printable - whoever writes a text makes it so: control characters are somebody else's, and go to no client */
static bool
verify_db_printable(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) s[i] < ' ' || s[i] == 0x7f)
			return false;
	return true;
}

static bool
verify_db_valid(const struct db_row *r)
{
	const int64_t *n = r->num;

	if (n[VERIFY_DB_STATUS] < 0 || n[VERIFY_DB_STATUS] >= VERIFY_STATUSES)
		return false;
	for (int i = VERIFY_DB_PROBED; i <= VERIFY_DB_FORGOT; i++)
		if (n[i] < 0 || n[i] > DB_TIME_MAX)
			return false;
	/* a result has a time; what has none is no result */
	return (n[VERIFY_DB_STATUS] != VERIFY_TODO) == (n[VERIFY_DB_UPDATED] != 0) && memchr(r->key, 0, r->key_len) == NULL &&
	    verify_db_printable(r->text, r->text_len);
}

/* statements' parameters */

static int64_t
verify_db_min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void
verify_db_claim_args(void *ctx, int64_t now, struct pg_args *a)
{
	const struct address_rules *r = ctx;

	pg_arg_int(a, now - r->probe_ttl_s);
	pg_arg_int(a, now - verify_db_min(r->positive_refresh_s, r->positive_expire_s));
	pg_arg_int(a, now - verify_db_min(r->defer_refresh_s, r->defer_expire_s));
	pg_arg_int(a, now - verify_db_min(r->negative_refresh_s, r->negative_expire_s));
	pg_arg_int(a, now - r->positive_expire_s);
	pg_arg_int(a, now - r->defer_expire_s);
	pg_arg_int(a, now - r->negative_expire_s);
}

static void
verify_db_clean_args(void *ctx, int64_t now, struct pg_args *a)
{
	const struct address_rules *r = ctx;

	pg_arg_int(a, now - r->probe_ttl_s);
	pg_arg_int(a, now - r->positive_expire_s);
	pg_arg_int(a, now - r->defer_expire_s);
	pg_arg_int(a, now - r->negative_expire_s);
	pg_arg_int(a, now - VERIFY_DB_FORGET_S);
}

/* entries and rows */

bool
verify_db_key(const char *key, size_t key_len)
{
	return key_len > 0 && key_len <= DB_KEY_MAX && key[0] != '@' && utf8_valid(key, key_len);
}

const char *
verify_db_domain(const char *key, size_t key_len, size_t *len_r)
{
	const char *at = memrchr(key, '@', key_len);

	*len_r = at != NULL ? key_len - (size_t) (at + 1 - key) : 0;
	return at != NULL ? at + 1 : "";
}

static bool
verify_db_encode(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v, struct db_row *r,
    int64_t *when_s)
{
	struct address_record a;

	(void) ctx;
	if (!address_decode(&a, v->data, v->len) || a.updated_s == 0 || !verify_db_key(key, key_len) ||
	    !utf8_valid(a.text, a.text_len) || memchr(a.text, 0, a.text_len) != NULL)
		return false;
	memset(r, 0, sizeof *r);
	r->key = key;
	r->key_len = key_len;
	r->text = a.text;
	r->text_len = a.text_len;
	r->num[VERIFY_DB_STATUS] = a.status;
	r->num[VERIFY_DB_UPDATED] = a.updated_s;
	*when_s = a.updated_s;
	return true;
}

static int64_t
verify_db_max(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* verify_db_beats - whether the row is to replace the entry
 * A dirty entry has not been seen by the database: the rules of the SQL above decide. A clean one has: the database is
 * right, unless the row was read before the entry was written, which the later event tells. */
static bool
verify_db_beats(const struct db_row *row, enum db_news news, const struct address_record *a, bool dirty)
{
	const int64_t *n = row->num;
	int64_t row_at, at;

	if (dirty)
		return news == DB_SETTLED || n[VERIFY_DB_UPDATED] > a->updated_s ||
		    (n[VERIFY_DB_UPDATED] != 0 && n[VERIFY_DB_STATUS] == VERIFY_OK && a->status != VERIFY_OK);
	row_at = verify_db_max(n[VERIFY_DB_PROBED], verify_db_max(n[VERIFY_DB_UPDATED], n[VERIFY_DB_FORGOT]));
	at = verify_db_max(a->probed_s, a->updated_s);
	if (row_at != at)
		return row_at > at;
	return a->updated_s != at || n[VERIFY_DB_UPDATED] == at;	/* in the same second, a result follows its claim */
}

static enum shmtab_act
verify_db_put(const struct address_rules *rules, const struct address_record *a, uint32_t mark, bool dirty,
    struct shmtab_val *new)
{
	static unsigned char value[SHMTAB_VAL_MAX];

	new->data = value;
	new->len = address_encode(a, value, sizeof value);
	new->expire_s = address_expiry(a, rules);
	new->mark = mark;
	new->pinned = dirty;
	return SHMTAB_PUT;
}

/* verify_db_forgotten - the result of the entry has been forgotten since, its claim has not; true when it had one */
static bool
verify_db_forgotten(const struct db_row *row, struct address_record *a, bool dirty, const struct address_rules *rules)
{
	if (a->updated_s == 0 || a->updated_s > row->num[VERIFY_DB_FORGOT] - dirty)
		return false;
	*a = (struct address_record) { .status = VERIFY_TODO, .probed_s = a->probed_s, .text = "", .claim_only = !rules->negative_cache };
	return true;
}

static enum shmtab_act
verify_db_merge(void *ctx, const struct db_row *row, enum db_news news, uint32_t self, const struct shmtab_val *old,
    struct shmtab_val *new)
{
	const struct address_rules *rules = ctx;
	const int64_t *n = row->num;
	bool	dirty = old != NULL && old->pinned, have, forgotten;
	struct address_record a, r = {
		.status = (enum verify_status) n[VERIFY_DB_STATUS],
		.probed_s = n[VERIFY_DB_PROBED],
		.updated_s = n[VERIFY_DB_UPDATED],
		.text = row->text,
		.text_len = utf8_cut(row->text, row->text_len, SHMTAB_VAL_MAX - ADDRESS_HEADER),
	};
	uint32_t mark = news == DB_CLAIMED ? self : 0;

	have = old != NULL && address_decode(&a, old->data, old->len);
	/* forgotten since; a dirty record from that very second is kept */
	if (have && a.probed_s <= n[VERIFY_DB_FORGOT] && a.updated_s <= n[VERIFY_DB_FORGOT] - dirty)
		have = false;
	r.claim_only = r.updated_s == 0 && !rules->negative_cache;
	if (!have) {
		if (r.probed_s == 0 && r.updated_s == 0)
			return old != NULL ? SHMTAB_DELETE : SHMTAB_KEEP;
		if (old == NULL && news == DB_PULLED)
			return SHMTAB_KEEP;		/* nobody here has asked for it */
		return verify_db_put(rules, &r, mark, false, new);
	}
	forgotten = verify_db_forgotten(row, &a, dirty, rules);
	dirty = dirty && !forgotten;
	if (verify_db_beats(row, news, &a, dirty)) {
		if (r.probed_s == 0 && r.updated_s == 0)
			return SHMTAB_DELETE;
		if (news != DB_CLAIMED && r.probed_s == a.probed_s)
			mark = old->mark;		/* still the same claim */
		if (!dirty && !forgotten && mark == old->mark && r.status == a.status && r.probed_s == a.probed_s &&
		    r.updated_s == a.updated_s && r.text_len == a.text_len && memcmp(r.text, a.text, r.text_len) == 0)
			return SHMTAB_KEEP;
		return verify_db_put(rules, &r, mark, false, new);
	}
	if (r.probed_s > a.probed_s && r.probed_s > a.updated_s) {	/* only the claim is news */
		a.probed_s = r.probed_s;
		return verify_db_put(rules, &a, mark, dirty, new);
	}
	/* only the result is news: the claim was made here, without the database, and what it led to may never come. What had
	 * expired by then is none */
	if (!dirty && r.updated_s > a.updated_s && a.probed_s - r.updated_s <= address_after(r.status, rules).expire_s) {
		r.probed_s = a.probed_s;
		return verify_db_put(rules, &r, old->mark, false, new);
	}
	return forgotten ? verify_db_put(rules, &a, old->mark, false, new) : SHMTAB_KEEP;
}

static bool
verify_db_broad(const struct db_row *r)
{
	return r->key_len > 0 && r->key[0] == '@';
}

/* verify_db_voids - for each address of the domain it is as if the address itself had been forgotten */
static enum shmtab_act
verify_db_voids(void *ctx, const struct db_row *row, const void *key, size_t key_len, const struct shmtab_val *old,
    struct shmtab_val *new)
{
	struct db_row forgotten = { .key = key, .key_len = key_len, .text = "", .num = {
		[VERIFY_DB_STATUS] = VERIFY_TODO, [VERIFY_DB_FORGOT] = row->num[VERIFY_DB_FORGOT] } };
	size_t	len;
	const char *domain = verify_db_domain(key, key_len, &len);

	if (len != row->key_len - 1 || strncasecmp(domain, row->key + 1, len) != 0)
		return SHMTAB_KEEP;
	return verify_db_merge(ctx, &forgotten, DB_PULLED, 0, old, new);
}

const struct db_kind verify_db_kind = {
	.name = "address",
	.schema = 1,
	.nums = VERIFY_DB_NUMS,
	.check = "SELECT version, site, current_setting('transaction_read_only'), current_setting('server_encoding'),"
	    " has_table_privilege('vouch_address', 'SELECT') AND has_table_privilege('vouch_address', 'INSERT')"
	    " AND has_table_privilege('vouch_address', 'UPDATE') AND has_table_privilege('vouch_address', 'DELETE')"
	    " AND has_table_privilege('vouch_lease', 'SELECT') AND has_table_privilege('vouch_lease', 'INSERT')"
	    " AND has_table_privilege('vouch_lease', 'UPDATE') AND has_table_privilege('vouch_host', 'SELECT')"
	    " AND has_table_privilege('vouch_host', 'INSERT') AND has_table_privilege('vouch_host', 'UPDATE')"
	    " FROM vouch_schema",
	/* rows that need no change are left out before the conflict, which would lock them and write that down */
	.claim = CLAIM_BEGIN
	    " WHERE NOT EXISTS (SELECT 1 FROM vouch_address AS x WHERE x.address = q.address AND NOT " CLAIMABLE("x") ")"
	    CLAIM_END,
	.claim_plain = CLAIM_BEGIN CLAIM_END,
	.read = "SELECT " COLUMNS " FROM vouch_address WHERE address = ANY($1::text[])",
	.write = "INSERT INTO vouch_address AS a (address, status, probed, updated, forgot, changed, origin, reason)"
	    " SELECT q.address, q.status, q.probed, q.updated, q.forgot, q.changed, $4::bigint, q.reason"
	    " FROM unnest($1::text[], $2::text[], $3::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])"
	    " AS q(address, reason, changed, status, probed, updated, forgot) ORDER BY q.address"
	    WRITE_END " RETURNING address",
	.release = "UPDATE vouch_address SET probed = 0, changed = $3::bigint,"
	    " forgot = CASE WHEN updated = 0 THEN $6::bigint ELSE forgot END"
	    " WHERE address = $1::text AND probed = $2::bigint AND origin >= $4::bigint AND origin <= $5::bigint",
	.pull = "SELECT " COLUMNS " FROM vouch_address WHERE changed > $1::bigint AND changed > 0"
	    " AND (origin < $2::bigint OR origin > $3::bigint) ORDER BY changed LIMIT $4::bigint",
	.newest = "SELECT changed FROM vouch_address WHERE changed > 0 ORDER BY changed DESC LIMIT 1",
	.clean_to = "SELECT address FROM vouch_address WHERE address > $1::text ORDER BY address OFFSET $2::bigint LIMIT 1",
	.clean = "DELETE FROM vouch_address WHERE address > $1::text AND ($3::bigint = 1 OR address <= $2::text)"
	    " AND probed <= $4::bigint AND forgot < $8::bigint"
	    " AND updated < CASE status WHEN 0 THEN $5::bigint WHEN 1 THEN $6::bigint ELSE $7::bigint END"
	    " RETURNING address",
	.claim_args = verify_db_claim_args,
	.clean_args = verify_db_clean_args,
	.valid = verify_db_valid,
	.encode = verify_db_encode,
	.merge = verify_db_merge,
	.broad = verify_db_broad,
	.voids = verify_db_voids,
};

/* For commands. $1 key, $2 now, $3 stamp, $4 origin: what is known about an address is void (@domain: a whole domain) */
const char verify_db_forget_sql[] =
	"INSERT INTO vouch_address AS a (address, status, probed, updated, forgot, changed, origin, reason)"
	" VALUES ($1::text, 3, 0, 0, $2::bigint, $3::bigint, $4::bigint, '')"
	" ON CONFLICT (address) DO UPDATE SET status = 3, probed = 0, updated = 0, reason = '',"
	" forgot = excluded.forgot, changed = excluded.changed, origin = excluded.origin";
/* $1 above this key, $2 up to this, $3 1: to the end; $4 @domain in lower case, $5 now; the server counts characters */
const char verify_db_forget_range_sql[] =
	"DELETE FROM vouch_address WHERE address > $1::text AND ($3::bigint = 1 OR address <= $2::text)"
	" AND lower(right(address, length($4::text))) = $4::text AND length(address) > length($4::text) AND updated <= $5::bigint"
	" RETURNING address";
/* $1 keys, $2 texts, $3 stamps, $4 origin, $5 status, $6 updated: as `write` */
const char verify_db_put_sql[] =
	"INSERT INTO vouch_address AS a (address, status, probed, updated, forgot, changed, origin, reason)"
	" SELECT q.address, q.status, 0, q.updated, 0, q.changed, $4::bigint, q.reason"
	" FROM unnest($1::text[], $2::text[], $3::bigint[], $5::bigint[], $6::bigint[])"
	" AS q(address, reason, changed, status, updated) ORDER BY q.address"
	WRITE_END " RETURNING address";
