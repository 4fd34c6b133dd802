/* commands/vouch/db.c - vouch db init, check, upgrade: the schema of the shared database */

#include <bsd/stdlib.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <global/db_conf.h>
#include <global/db_store.h>
#include <util/mem.h>

#include "database.h"
#include "vouch.h"

#define DB_SERVER_MIN	130000		/* PostgreSQL 13 */

static const char db_schema[] =
#include <conf/schema.sql.inc>
;
static const char *const db_tables[] = { "vouch_schema", "vouch_address", "vouch_host", "vouch_lease", "vouch_greylist" };

/* what the service's role needs, and nothing else */
static const struct db_grant {
	const char *table, *privileges[5];
} db_grants[] = {
	{ "vouch_schema",  { "SELECT" } },
	{ "vouch_address", { "SELECT", "INSERT", "UPDATE", "DELETE" } },
	{ "vouch_host",	   { "SELECT", "INSERT", "UPDATE" } },
	{ "vouch_lease",   { "SELECT", "INSERT", "UPDATE" } },
	{ "vouch_greylist", { "SELECT", "INSERT", "UPDATE", "DELETE" } },
};

struct db_command {
	struct vouch *v;
	struct database *db;
	bool	 print;			/* SQL to standard output, for somebody else to apply */
	char   *as;			/* another connection than the service's */
	const char *role;
};

/* db_open - connect; an exit code */
static int
db_open(struct db_command *c)
{
	struct buf why = BUF_INIT(1024);
	char   *map = c->as != NULL ? mem_strdup(c->as) : vouch_param(c->v, "address_verify_map");
	int	ret = VOUCH_DONE;

	if (map == NULL)
		return VOUCH_TEMPORARY;
	if (!db_conf_is(map)) {
		vouch_sorry("%s does not name a database: write pgsql: and the full path of a file, a URI or a connection string",
		    c->as != NULL ? "the argument of --as" : "address_verify_map");
		ret = VOUCH_REFUSED;
	} else if ((c->db = database_open(map, &why)) == NULL) {
		vouch_sorry("%s", buf_str(&why));
		ret = VOUCH_TEMPORARY;
	}
	mem_free(&map);
	buf_fini(&why);
	return ret;
}

/* db_quote - an identifier */
static void
db_quote(struct buf *out, const char *name)
{
	buf_addc(out, '"');
	for (const char *p = name; *p != 0; p++) {
		if (*p == '"')
			buf_addc(out, '"');
		buf_addc(out, *p);
	}
	buf_addc(out, '"');
}

/* db_do - execute or print one statement; an exit code */
static int
db_do(struct db_command *c, const char *sql, size_t len)
{
	struct database_answer a;
	char   *text = mem_strndup(sql, len);
	int	ret = VOUCH_DONE;

	if (c->print)
		printf("%s;\n", text);
	else if (!database_ask(c->db, text, NULL, &a)) {
		vouch_sorry("%s: %s (in: %.*s ...)", database_where(c->db), a.why, (int) strcspn(text, "(\n"), text);
		ret = a.result == PG_REFUSED ? VOUCH_REFUSED : VOUCH_TEMPORARY;
	}
	mem_free(&text);
	return ret;
}

/* db_is - whether the server's own description of itself holds this name */
static bool
db_is(struct db_command *c, const char *name)
{
	struct database_answer a;

	return !c->print && database_ask(c->db, "SELECT version()", NULL, &a) && a.rows == 1 &&
	    strstr(database_text(c->db, 0, 0), name) != NULL;
}

/* db_apply - every statement of the schema */
static int
db_apply(struct db_command *c)
{
	static const char collate[] = " COLLATE \"C\"";
	bool	plain = db_is(c, "CockroachDB");	/* its text is ordered so anyway, and its COLLATE is costly */
	struct buf text = BUF_INIT(sizeof db_schema);
	const char *end, *at;
	int	ret = VOUCH_DONE;

	for (const char *p = db_schema; ret == VOUCH_DONE && (end = strstr(p, ";\n")) != NULL; p = end + 2) {
		buf_reset(&text);
		while (plain && (at = strstr(p, collate)) != NULL && at < end) {
			buf_add(&text, p, (size_t) (at - p));
			p = at + strlen(collate);
		}
		buf_add(&text, p, (size_t) (end - p));
		at = buf_str(&text) + strspn(buf_str(&text), "\n");
		ret = db_do(c, at, strlen(at));
	}
	buf_fini(&text);
	return ret;
}

/* db_grant - the role, if there is none yet, and its privileges */
static int
db_grant(struct db_command *c)
{
	struct buf sql = BUF_INIT(4096);
	struct database_answer a;
	struct pg_args args;
	bool	known = false;
	int	ret = VOUCH_DONE;

	pg_args_init(&args);
	pg_arg_str(&args, c->role);
	if (!c->print)
		known = database_ask(c->db, "SELECT 1 FROM pg_roles WHERE rolname = $1::text", &args, &a) && a.rows == 1;
	pg_args_fini(&args);
	if (!known) {
		buf_adds(&sql, "CREATE ROLE ");
		db_quote(&sql, c->role);
		buf_adds(&sql, " LOGIN");
		ret = db_do(c, buf_str(&sql), sql.len);
		if (ret == VOUCH_DONE && !c->print)
			vouch_say("role %s made, without a password: give it one (psql: \\password), or another way to log in",
			    c->role);
	}
	for (size_t i = 0; ret == VOUCH_DONE && i < NELEM(db_grants); i++) {
		buf_reset(&sql);
		for (size_t k = 0; db_grants[i].privileges[k] != NULL; k++)
			buf_addf(&sql, "%s%s", k == 0 ? "GRANT " : ", ", db_grants[i].privileges[k]);
		buf_addf(&sql, " ON %s TO ", db_grants[i].table);
		db_quote(&sql, c->role);
		ret = db_do(c, buf_str(&sql), sql.len);
	}
	buf_fini(&sql);
	return ret;
}

/* db_version - the schema's version, 0 when there is none; a reason is said */
static int
db_version(struct db_command *c, int64_t *version_r)
{
	struct database_answer a;

	*version_r = 0;
	if (database_ask(c->db, "SELECT version FROM vouch_schema", NULL, &a)) {
		if (a.rows == 1)
			*version_r = database_int(c->db, 0, 0);
		return VOUCH_DONE;
	}
	if (strcmp(a.sqlstate, "42P01") == 0)
		return VOUCH_DONE;
	vouch_sorry("%s: %s", database_where(c->db), a.why);
	return a.result == PG_REFUSED ? VOUCH_REFUSED : VOUCH_TEMPORARY;
}

static int
db_init(struct db_command *c)
{
	int64_t version = 0, site = 1 + (int64_t) (((uint64_t) arc4random() << 32 | arc4random()) >> 2);
	char   *row;
	int	ret;

	if (!c->print && (ret = db_version(c, &version)) != VOUCH_DONE)
		return ret;
	if (version > DB_SCHEMA_VERSION) {
		vouch_sorry("%s: the schema has version %lld, this vouch knows only %d: use the newer vouch", database_where(c->db),
		    (long long) version, DB_SCHEMA_VERSION);
		return VOUCH_REFUSED;
	}
	row = mem_printf("INSERT INTO vouch_schema (only_row, version, site) VALUES (1, %d, %lld) ON CONFLICT (only_row) DO NOTHING",
	    DB_SCHEMA_VERSION, (long long) site);
	if ((ret = db_apply(c)) == VOUCH_DONE && (ret = db_do(c, row, strlen(row))) == VOUCH_DONE && c->role != NULL)
		ret = db_grant(c);
	mem_free(&row);
	if (ret == VOUCH_DONE && !c->print)
		vouch_say("%s: the schema is ready, version %d", database_where(c->db), DB_SCHEMA_VERSION);
	return ret;
}

/* db_privileges - name each one that the role we are connected as lacks */
static unsigned
db_privileges(struct db_command *c)
{
	struct database_answer a;
	struct pg_args args;
	unsigned bad = 0;

	for (size_t i = 0; i < NELEM(db_grants); i++)
		for (size_t k = 0; db_grants[i].privileges[k] != NULL; k++) {
			pg_args_init(&args);
			pg_arg_str(&args, db_grants[i].table);
			pg_arg_str(&args, db_grants[i].privileges[k]);
			if (database_ask(c->db, "SELECT has_table_privilege($1::text, $2::text)", &args, &a) && a.rows == 1 &&
			    strcmp(database_text(c->db, 0, 0), "t") != 0) {
				vouch_sorry("%s: no %s privilege on %s: GRANT %s ON %s TO the role that vouch uses", database_where(c->db),
				    db_grants[i].privileges[k], db_grants[i].table, db_grants[i].privileges[k],
				    db_grants[i].table);
				bad++;
			}
			pg_args_fini(&args);
		}
	return bad;
}

/* db_setting - a setting of the server; "" when it has none of that name */
static const char *
db_setting(struct db_command *c, const char *sql)
{
	struct database_answer a;

	return database_ask(c->db, sql, NULL, &a) && a.rows == 1 ? database_text(c->db, 0, 0) : "";
}

static int
db_check(struct db_command *c)
{
	struct database_answer a;
	int64_t version, number;
	unsigned bad = 0;
	char   *sql;
	int	ret;

	number = atoll(db_setting(c, "SELECT current_setting('server_version_num')"));
	if (number != 0 && number < DB_SERVER_MIN && !db_is(c, "YB")) {
		vouch_sorry("%s: server version %lld: PostgreSQL 13 is the oldest that vouch can use", database_where(c->db),
		    (long long) (number / 10000));
		bad++;
	}
	if (strcmp(db_setting(c, "SELECT current_setting('server_encoding')"), "UTF8") != 0) {
		vouch_sorry("%s: the database is not in UTF8: make another with createdb -E UTF8 -T template0", database_where(c->db));
		bad++;
	}
	if (strcmp(db_setting(c, "SELECT current_setting('transaction_read_only')"), "on") == 0) {
		vouch_sorry("%s: the server is read-only: name all hosts, the one that accepts writes is used", database_where(c->db));
		bad++;
	}
	if (strcmp(db_setting(c, "SELECT current_setting('synchronous_commit')"), "off") == 0)
		vouch_sorry("%s: warning: synchronous_commit is off: what was acknowledged may be lost when the server dies",
		    database_where(c->db));
	if ((ret = db_version(c, &version)) != VOUCH_DONE)
		return ret;
	if (version == 0) {
		vouch_sorry("%s: there is no schema: run \"vouch db init\"", database_where(c->db));
		return VOUCH_REFUSED;
	}
	if (version != DB_SCHEMA_VERSION) {
		vouch_sorry("%s: the schema has version %lld, this vouch wants %d: %s", database_where(c->db), (long long) version,
		    DB_SCHEMA_VERSION, version < DB_SCHEMA_VERSION ? "run \"vouch db upgrade\"" : "use the newer vouch");
		return VOUCH_REFUSED;
	}
	for (size_t i = 0; i < NELEM(db_tables); i++) {
		sql = mem_printf("SELECT * FROM %s LIMIT 0", db_tables[i]);
		if (!database_ask(c->db, sql, NULL, &a) && strcmp(a.sqlstate, "42P01") == 0) {
			vouch_sorry("%s: table %s is missing: run \"vouch db init\"", database_where(c->db), db_tables[i]);
			bad++;
		}
		mem_free(&sql);
	}
	if (bad == 0)
		bad += db_privileges(c);
	if (bad == 0)
		vouch_say("%s: schema version %d, nothing is missing", database_where(c->db), DB_SCHEMA_VERSION);
	return bad == 0 ? VOUCH_DONE : VOUCH_REFUSED;
}

static int
db_upgrade(struct db_command *c)
{
	int64_t version;
	int	ret = db_version(c, &version);
	char   *row;

	if (ret != VOUCH_DONE)
		return ret;
	if (version == DB_SCHEMA_VERSION) {
		vouch_say("%s: the schema has version %d already", database_where(c->db), DB_SCHEMA_VERSION);
		return VOUCH_DONE;
	}
	if (version == 0 || version > DB_SCHEMA_VERSION) {
		vouch_sorry("%s: %s", database_where(c->db), version == 0 ? "there is no schema: run \"vouch db init\"" :
		    "the schema is newer than this vouch: use the newer vouch");
		return VOUCH_REFUSED;
	}
	/* version 2 has a table more than version 1; the version is the last thing to change */
	if ((ret = db_apply(c)) == VOUCH_DONE && (c->role == NULL || (ret = db_grant(c)) == VOUCH_DONE)) {
		row = mem_printf("UPDATE vouch_schema SET version = %d WHERE version = %lld", DB_SCHEMA_VERSION, (long long) version);
		ret = db_do(c, row, strlen(row));
		mem_free(&row);
	}
	if (ret == VOUCH_DONE)
		vouch_say("%s: the schema has version %d now%s", database_where(c->db), DB_SCHEMA_VERSION, c->role == NULL ?
		    "; if the service uses another role, run \"vouch db check\" as that" : "");
	return ret;
}

int
vouch_db(struct vouch *v)
{
	static const struct option options[] = {
		{ "as", required_argument, NULL, 'a' }, { "role", required_argument, NULL, 'r' },
		{ "print", no_argument, NULL, 'p' }, { NULL, 0, NULL, 0 },
	};
	static const struct {
		const char *name;
		int	  (*run)(struct db_command *);
	} rows[] = {
		{ "init", db_init }, { "check", db_check }, { "upgrade", db_upgrade },
	};
	struct db_command c = { .v = v };
	int	o, ret;

	while ((o = getopt_long(v->argc, v->argv, "", options, NULL)) != -1)
		switch (o) {
		case 'a':		/* it may hold a password: not for everyone who can list processes */
			mem_free(&c.as);
			c.as = mem_strdup(optarg);
			memset(optarg, '*', strlen(optarg));
			break;
		case 'r':
			c.role = optarg;
			break;
		case 'p':
			c.print = true;
			break;
		default:
			return vouch_usage(v, "unknown option, or one without its argument");
		}
	if (v->argc - optind != 1)
		return vouch_usage(v, "init, check or upgrade?");
	for (size_t i = 0; i < NELEM(rows); i++) {
		if (strcmp(v->argv[optind], rows[i].name) != 0)
			continue;
		if ((c.role != NULL && rows[i].run == db_check) || (c.print && rows[i].run != db_init))
			return vouch_usage(v, "--role is for init and upgrade, --print for init");
		ret = c.print ? VOUCH_DONE : db_open(&c);
		if (ret == VOUCH_DONE)
			ret = rows[i].run(&c);
		database_close(&c.db);
		mem_free(&c.as);
		return ret;
	}
	return vouch_usage(v, "init, check or upgrade?");
}
