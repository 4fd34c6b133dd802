/* commands/vouch/explain.c - what is known about an address, where, since when, and what a query would come to */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>
#include <util/utf8.h>

#include "records.h"

struct explain {
	struct records *records;
	const char *where;
	bool	 found;
	int64_t	 origin;
	struct address_record rec;	/* of the tier that was shown first and has one */
	bool	 have;
	char	*text;
};

/* explain_when - "2026-11-20 18:34:57 (3h ago)" */
static const char *
explain_when(char *buf, size_t size, int64_t when, int64_t now)
{
	char	date[32], span[32];
	time_t	t = (time_t) when;
	struct tm tm;

	strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
	units_time_print(span, (when < now ? now - when : when - now) * 1000);
	snprintf(buf, size, when <= now ? "%s (%s ago)" : "%s (in %s)", date, span);
	return buf;
}

static bool
explain_one(void *ctx, const struct record *r)
{
	struct explain *e = ctx;
	const struct records *rs = e->records;
	char	when[80], text[400];
	struct address_after after = address_after(r->status, &rs->rules);

	e->found = true;
	e->origin = r->origin;
	printf("%s:\n", e->where);
	if (r->updated_s != 0) {
		printf("  result     %s: %s\n", record_word(r->status), msg_clean(text, sizeof text, r->text));
		printf("  since      %s\n", explain_when(when, sizeof when, r->updated_s, rs->now_s));
		printf("  refreshed  from %s on\n", explain_when(when, sizeof when, r->updated_s + after.refresh_s + 1, rs->now_s));
		printf("  expires    %s\n", explain_when(when, sizeof when, r->updated_s + after.expire_s + 1, rs->now_s));
	}
	if (r->probed_s != 0) {
		printf("  probe      %s\n", explain_when(when, sizeof when, r->probed_s, rs->now_s));
		printf("  given up   %s\n", explain_when(when, sizeof when, r->probed_s + rs->rules.probe_ttl_s + 1, rs->now_s));
	}
	if (r->forgot_s != 0)
		printf("  forgotten  %s\n", explain_when(when, sizeof when, r->forgot_s, rs->now_s));
	if (r->dirty)
		printf("  waits to be written to the database\n");
	if (!e->have && (r->updated_s != 0 || r->probed_s != 0)) {
		e->have = true;
		e->text = mem_strdup(r->text);
		e->rec = (struct address_record) { .status = r->status, .probed_s = r->probed_s, .updated_s = r->updated_s,
		    .text = e->text, .text_len = strlen(e->text) };
	}
	return false;
}

/* explain_host - who wrote the row */
static void
explain_host(struct records *r, int64_t origin)
{
	struct database_answer a;
	struct pg_args args;

	pg_args_init(&args);
	pg_arg_int(&args, origin >> 32);
	if (origin >> 32 == 0)
		printf("  by         a command (vouch import or forget)\n");
	else if (database_ask(r->db, "SELECT name FROM vouch_host WHERE id = $1::bigint", &args, &a) && a.rows == 1)
		printf("  by         %s\n", database_text(r->db, 0, 0));
	else
		printf("  by         host number %lld\n", (long long) (origin >> 32));
	pg_args_fini(&args);
}

int
vouch_explain(struct vouch *v)
{
	struct records r;
	struct explain e = { .records = &r };
	struct address_answer ans;
	char	text[400];
	bool	storable;
	int	ret = records_open(&r, v, RECORDS_DB | RECORDS_LOOK);

	if (r.params == NULL)
		return ret;
	e.where = "this host's cache";
	if (records_each(&r, v->argv[1], true, explain_one, &e) == VOUCH_DONE && !e.found)
		printf("%s: nothing\n", e.where);
	if (r.db != NULL) {
		e.where = database_where(r.db);
		e.found = false;
		if (records_each(&r, v->argv[1], false, explain_one, &e) == VOUCH_DONE && !e.found)
			printf("%s: nothing\n", e.where);
		else if (e.found)
			explain_host(&r, e.origin);
	}
	storable = !r.params->smtputf8_enable || utf8_valid(v->argv[1], strlen(v->argv[1]));
	address_query(e.have ? &e.rec : NULL, storable, r.now_s, &r.rules, &ans);
	if (strlen(v->argv[1]) > SHMTAB_KEY_MAX)	/* the service does not even look */
		printf("a query now:\n  answer     %s: %s\n  probe      no: the address is longer than %d bytes\n",
		    record_word(VERIFY_DEFER), VERIFY_UNAVAIL_TEXT, SHMTAB_KEY_MAX);
	else
		printf("a query now:\n  answer     %s: %.*s\n  probe      %s%s\n", ans.status == VERIFY_TODO ? "in progress" : record_word(ans.status),
		    (int) (ans.text_len < sizeof text ? ans.text_len : sizeof text), msg_clean(text, sizeof text, ans.text),
		    ans.probe ? r.db != NULL ? "yes, if no other host has one under way" : "yes" : "no",
		    storable ? "" : "; its result cannot be kept: the address is not UTF-8");
	mem_free(&e.text);
	records_close(&r);
	return ret;
}
