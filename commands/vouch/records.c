/* commands/vouch/records.c - the records that list, export, import, forget and explain work on */
#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <global/verify_db.h>
#include <util/mem.h>
#include <util/sock.h>
#include <util/units.h>

#define RECORDS_PAGE	2000		/* rows fetched at a time */

static const char *const record_words[VERIFY_STATUSES] = {
	[VERIFY_OK] = "ok", [VERIFY_DEFER] = "defer", [VERIFY_BOUNCE] = "bounce", [VERIFY_TODO] = "todo",
};

const char *
record_word(enum verify_status status)
{
	return record_words[status];
}

bool
record_status(const char *s, enum verify_status *status_r)
{
	for (int i = 0; i < VERIFY_STATUSES; i++)
		if (strcasecmp(s, record_words[i]) == 0 || (s[0] == '0' + i && s[1] == 0)) {
			*status_r = (enum verify_status) i;
			return true;
		}
	return false;
}

/* opening */

bool
records_become(const char *owner)
{
	struct passwd *pw;

	if (geteuid() != 0 || strcmp(owner, "root") == 0)
		return true;
	if ((pw = getpwnam(owner)) != NULL && initgroups(owner, pw->pw_gid) == 0 && setgid(pw->pw_gid) == 0 &&
	    setuid(pw->pw_uid) == 0)
		return true;
	vouch_sorry("cannot become mail_owner %s: %s", owner, pw == NULL ? "no such user" : strerror(errno));
	return false;
}

static int
records_open_host(struct records *r, unsigned what)
{
	const struct params *p = r->params;
	struct verify_store_conf conf = { .rules = r->rules, .smtputf8 = p->smtputf8_enable, .bytes = p->address_verify_cache_size };
	struct buf why = BUF_INIT(1024);
	const char *reason;
	int	fd, ret = VOUCH_DONE;

	if ((what & RECORDS_CHANGE) && !records_become(p->mail_owner))
		return VOUCH_TEMPORARY;
	if ((fd = open(p->data_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		vouch_sorry("%s: %s%s", p->data_directory, strerror(errno),
		    errno == EACCES ? ": run this as root or as the instance's owner" : "");
		return VOUCH_TEMPORARY;
	}
	if (what & RECORDS_CHANGE) {
		if (verify_store_open(&r->store, fd, &conf, &why) < 0) {
			vouch_sorry("%s in %s", buf_str(&why), p->data_directory);
			ret = VOUCH_TEMPORARY;
		}
	} else if (shmtab_open_read(&r->table, fd, VERIFY_STORE_FILE, &reason) < 0 && errno != ENOENT) {
		vouch_sorry("%s/%s: %s (%s)", p->data_directory, VERIFY_STORE_FILE, reason, strerror(errno));
		ret = VOUCH_TEMPORARY;
	}
	buf_fini(&why);
	sock_close(&fd);
	return ret;
}

int
records_open(struct records *r, const struct vouch *v, unsigned what)
{
	struct buf why = BUF_INIT(64 * 1024);
	int	ret = VOUCH_DONE;

	memset(r, 0, sizeof *r);
	r->now_s = (int64_t) time(NULL);
	if ((r->params = params_load(v->cf, &why)) == NULL) {
		vouch_sorry_lines(buf_str(&why));
		buf_fini(&why);
		return VOUCH_REFUSED;
	}
	address_rules_init(&r->rules, r->params);
	/* the database first: its password file may be root's */
	if ((what & RECORDS_DB) && db_conf_is(r->params->address_verify_map) &&
	    (r->db = database_open(r->params->address_verify_map, &why)) == NULL) {
		vouch_sorry("%s", buf_str(&why));
		ret = VOUCH_TEMPORARY;
	}
	if ((what & (RECORDS_LOOK | RECORDS_CHANGE)) && records_open_host(r, what) != VOUCH_DONE)
		ret = VOUCH_TEMPORARY;
	buf_fini(&why);
	return ret;
}

void
records_close(struct records *r)
{
	database_close(&r->db);
	shmtab_close(&r->table);
	verify_store_close(&r->store);
	params_free(&r->params);
}

/* walking */

struct records_walk {
	records_fn *fn;
	void   *ctx;
	const char *only;
	bool	stopped;
	char	addr[SHMTAB_KEY_MAX + 1], text[SHMTAB_VAL_MAX + 1];
};

static bool
records_wanted(const struct records_walk *w, const char *addr)
{
	const char *at;

	if (w->only == NULL)
		return true;
	if (w->only[0] != '@')
		return strcmp(addr, w->only) == 0;
	at = strrchr(addr, '@');
	return at != NULL && strcasecmp(at, w->only) == 0;
}

static bool
records_walk_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	struct records_walk *w = ctx;
	struct address_record a;
	struct record r = { .addr = w->addr, .text = w->text };

	if (!address_decode(&a, v->data, v->len))
		return true;
	memcpy(w->addr, key, key_len);
	w->addr[key_len] = 0;
	if (!records_wanted(w, w->addr))
		return true;
	memcpy(w->text, a.text, a.text_len);
	w->text[a.text_len] = 0;
	r.status = a.status;
	r.probed_s = a.probed_s;
	r.updated_s = a.updated_s;
	r.dirty = v->pinned;
	w->stopped = !w->fn(w->ctx, &r);
	return !w->stopped;
}

static int
records_each_local(struct records *r, struct records_walk *w)
{
	for (unsigned part = 0; r->table != NULL && part < shmtab_parts(r->table) && !w->stopped; part++)
		if (shmtab_walk(r->table, part, records_walk_fn, w) < 0) {
			vouch_sorry("part of the cache is busy: %s", strerror(errno));
			return VOUCH_TEMPORARY;
		}
	return VOUCH_DONE;
}

static int
records_each_db(struct records *r, struct records_walk *w)
{
	enum { ADDR, ORIGIN, REASON, STATUS, PROBED, UPDATED, FORGOT };
	static const char all[] = "SELECT address, origin, reason, status, probed, updated, forgot FROM vouch_address"
	    " WHERE address > $1::text ORDER BY address LIMIT $2::bigint";
	static const char domain[] = "SELECT address, origin, reason, status, probed, updated, forgot FROM vouch_address"
	    " WHERE address > $1::text AND lower(right(address, length($3::text))) = $3::text ORDER BY address LIMIT $2::bigint";
	static const char one[] = "SELECT address, origin, reason, status, probed, updated, forgot FROM vouch_address"
	    " WHERE address = $1::text AND $2::bigint > 0";
	bool	is_domain = w->only != NULL && w->only[0] == '@', is_one = w->only != NULL && !is_domain;
	char   *last = mem_strdup(is_one ? w->only : ""), *lower = mem_strdup(is_domain ? w->only : "");
	struct database_answer a = { .rows = RECORDS_PAGE };
	struct record rec;
	struct pg_args args;
	int	ret = VOUCH_DONE;

	for (char *p = lower; *p != 0; p++)
		*p = (char) (*p >= 'A' && *p <= 'Z' ? *p + 'a' - 'A' : *p);
	while (ret == VOUCH_DONE && a.rows == RECORDS_PAGE && !w->stopped) {
		pg_args_init(&args);
		pg_arg_str(&args, last);
		pg_arg_int(&args, RECORDS_PAGE);
		if (is_domain)
			pg_arg_str(&args, lower);
		if (!database_ask(r->db, is_one ? one : is_domain ? domain : all, &args, &a)) {
			vouch_sorry("%s: %s", database_where(r->db), a.why);
			ret = VOUCH_TEMPORARY;
		}
		pg_args_fini(&args);
		for (int i = 0; i < a.rows && !w->stopped; i++) {
			rec = (struct record) {
				.addr = database_text(r->db, i, ADDR), .text = database_text(r->db, i, REASON),
				.origin = database_int(r->db, i, ORIGIN), .probed_s = database_int(r->db, i, PROBED),
				.updated_s = database_int(r->db, i, UPDATED), .forgot_s = database_int(r->db, i, FORGOT),
			};
			if (!record_status(database_text(r->db, i, STATUS), &rec.status))
				continue;
			w->stopped = !w->fn(w->ctx, &rec);
		}
		if (a.rows > 0) {
			mem_free(&last);
			last = mem_strdup(database_text(r->db, a.rows - 1, ADDR));
		}
	}
	mem_free(&last);
	mem_free(&lower);
	return ret;
}

int
records_each(struct records *r, const char *only, bool local, records_fn *fn, void *ctx)
{
	struct records_walk *w = mem_alloc(sizeof *w);
	char   *key = NULL;
	int	ret;

	if (only != NULL) {
		key = mem_strdup(only);
		for (char *p = key; *p != 0; p++)
			if (*p == ':')
				*p = '_';		/* as the store's keys have it */
	}
	w->fn = fn;
	w->ctx = ctx;
	w->only = key;
	ret = r->db != NULL && !local ? records_each_db(r, w) : records_each_local(r, w);
	mem_free(&key);
	mem_free(&w);
	return ret;
}
