/* commands/vouch/forget.c - forget an address, or all addresses of a domain, on every host */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <global/verify_db.h>
#include <util/mem.h>

#include "progress.h"
#include "records.h"

#define FORGET_ROWS	20000		/* keys looked at in one statement: some 20 ms */

static int
forget_failed(struct records *r, const char *what, const struct database_answer *a)
{
	vouch_sorry("%s: %s: %s: it is forgotten on this host only; try again", what, database_where(r->db), a->why);
	return VOUCH_TEMPORARY;
}

/* forget_tell - write down, for all hosts, that this address or @domain was forgotten */
static int
forget_tell(struct records *r, const char *key)
{
	struct database_answer a;
	struct pg_args args;
	int	ret = VOUCH_DONE;

	pg_args_init(&args);
	pg_arg_str(&args, key);
	pg_arg_int(&args, r->now_s);
	pg_arg_int(&args, database_stamp(r->db, verify_db_kind.newest));
	pg_arg_int(&args, 0);			/* no host: all of them take notice */
	if (!database_ask(r->db, verify_db_forget_sql, &args, &a))
		ret = forget_failed(r, key, &a);
	pg_args_fini(&args);
	return ret;
}

/* forget_range - remove the domain's rows behind `last`; to NULL: to the end */
static int
forget_range(struct records *r, const char *domain, const char *last, const char *to, uint64_t *gone)
{
	struct database_answer a;
	struct pg_args args;
	int	ret = VOUCH_DONE;

	pg_args_init(&args);
	pg_arg_str(&args, last);
	pg_arg_str(&args, to != NULL ? to : "");
	pg_arg_int(&args, to == NULL);
	pg_arg_str(&args, domain);
	pg_arg_int(&args, r->now_s);
	if (!database_ask(r->db, verify_db_forget_range_sql, &args, &a))
		ret = forget_failed(r, domain, &a);
	*gone += (uint64_t) a.rows;
	pg_args_fini(&args);
	return ret;
}

/* forget_rows - remove a domain's rows, a stretch of keys at a time, so that nobody waits for it */
static int
forget_rows(struct records *r, const char *domain, uint64_t *gone)
{
	struct database_answer a;
	struct pg_args args;
	char   *last = mem_strdup(""), *to;
	uint64_t seen = 0;
	int	ret = VOUCH_DONE;

	while (ret == VOUCH_DONE) {
		pg_args_init(&args);
		pg_arg_str(&args, last);
		pg_arg_int(&args, FORGET_ROWS - 1);
		if (!database_ask(r->db, verify_db_kind.clean_to, &args, &a)) {
			pg_args_fini(&args);
			ret = forget_failed(r, domain, &a);
			break;
		}
		pg_args_fini(&args);
		to = a.rows > 0 ? mem_strdup(database_text(r->db, 0, 0)) : NULL;
		ret = forget_range(r, domain, last, to, gone);
		mem_free(&last);
		last = to;
		if (to == NULL)
			break;
		progress("rows looked at", seen += FORGET_ROWS, 0, 0);
	}
	progress_end();
	mem_free(&last);
	return ret;
}

static int
forget_domain(struct records *r, const char *arg)
{
	char   *domain = mem_strdup(arg);
	uint64_t gone = 0;
	int	ret = VOUCH_DONE;

	for (char *p = domain; *p != 0; p++)
		*p = *p == ':' ? '_' : (char) tolower((unsigned char) *p);
	if (r->db != NULL && (ret = forget_tell(r, domain)) == VOUCH_DONE)
		ret = forget_rows(r, domain, &gone);
	/* after the database, so that nothing comes back from there */
	if (r->store != NULL) {
		uint64_t here = verify_store_forget_domain(r->store, domain + 1);

		if (r->db == NULL)
			gone = here;
	}
	if (ret == VOUCH_DONE)
		vouch_say("%s: %llu addresses forgotten%s", arg, (unsigned long long) gone,
		    r->db != NULL ? "; every host takes notice within address_verify_sync_interval" : "");
	mem_free(&domain);
	return ret;
}

static int
forget_address(struct records *r, const char *arg)
{
	char   *key = mem_strdup(arg);
	int	ret = VOUCH_DONE;

	for (char *p = key; *p != 0; p++)
		if (*p == ':')
			*p = '_';
	if (r->db != NULL && verify_db_key(key, strlen(key)))
		ret = forget_tell(r, key);
	if (r->store != NULL && verify_store_forget(r->store, arg) < 0) {
		vouch_sorry("%s: the cache is busy; try again", arg);
		ret = VOUCH_TEMPORARY;
	}
	mem_free(&key);
	return ret;
}

int
vouch_forget(struct vouch *v)
{
	struct records r;
	bool	wants_db;
	int	one, ret = records_open(&r, v, RECORDS_DB | RECORDS_CHANGE);

	if (r.params == NULL)
		return ret;
	wants_db = db_conf_is(r.params->address_verify_map);
	for (int i = 1; i < v->argc; i++) {
		one = v->argv[i][0] == '@' ? forget_domain(&r, v->argv[i]) : forget_address(&r, v->argv[i]);
		if (one != VOUCH_DONE)
			ret = one;
	}
	if (wants_db && r.db == NULL)
		vouch_sorry("forgotten on this host only: the database was not reached, try again");
	records_close(&r);
	return ret;
}
