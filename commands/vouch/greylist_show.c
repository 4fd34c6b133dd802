/* commands/vouch/greylist_show.c - greylist show and allow: one envelope */
#include "greys.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <global/greylist.h>
#include <util/json_out.h>
#include <util/mem.h>
#include <util/msg.h>

void
greys_local(struct greys *g, const char *id, struct greylist_record *r)
{
	struct shmtab *table = g->store != NULL ? greylist_store_table(g->store, id[0] == 'T') : id[0] == 'T' ? g->pending : g->known;
	unsigned char value[GREYLIST_VALUE_MAX];
	struct shmtab_val v;

	memset(r, 0, sizeof *r);
	if (table != NULL && shmtab_get(table, id, GREYLIST_ID_LEN, value, sizeof value, &v) == 1 && v.len <= sizeof value &&
	    !greylist_record_decode(r, value, v.len))
		r->kind = 0;
}

int
greys_shared(struct greys *g, const char *id, struct greylist_record *r)
{
	struct database_answer a;
	struct pg_args args;
	struct db_row row;
	int	ret = VOUCH_DONE;

	memset(r, 0, sizeof *r);
	memset(&row, 0, sizeof row);
	pg_args_init(&args);
	pg_arg_array(&args, PG_TYPE_TEXT, 1);
	pg_elem_text(&args, id, GREYLIST_ID_LEN);
	if (!database_ask(g->db, greylist_db_kind.read, &args, &a))
		ret = greys_failed(g, &a);
	else if (a.rows == 1) {
		row.key = database_text(g->db, 0, 0);
		row.key_len = database_length(g->db, 0, 0);
		row.text = database_text(g->db, 0, 3);
		row.text_len = database_length(g->db, 0, 3);
		for (int k = 0; k < GREYLIST_DB_NUMS; k++)
			row.num[k] = database_int(g->db, 0, 4 + k);
		if (!greylist_db_record(&row, r))
			r->kind = 0;
	}
	pg_args_fini(&args);
	return ret;
}

static const char *
greys_time(char *buf, size_t size, int64_t when_s)
{
	time_t	t = (time_t) when_s;
	struct tm tm;

	strftime(buf, size, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
	return buf;
}

static void
greys_show_record(struct greys *g, struct buf *json, const char *where, const char *key, const struct greylist_record *r)
{
	char	first[40], last[40];

	if (r->kind == 0)
		return;
	if (g->opt.json) {
		json_open(json, NULL, '{');
		json_put_str(json, "where", where);
		json_put_str(json, "kind", greys_kind(r->kind));
		json_put_str(json, "key", key);
		json_put_int(json, "first", r->first_s);
		json_put_int(json, "last", r->last_s);
		json_put_int(json, "passed", r->passed_s);
		json_put_uint(json, "tries", r->tries);
		json_put_uint(json, "members", r->members);
		json_close(json, '}');
		return;
	}
	printf("%-8s %-7s first %s, last %s", where, greys_kind(r->kind), greys_time(first, sizeof first, r->first_s),
	    greys_time(last, sizeof last, r->last_s));
	if (r->kind == 'T')
		printf(", %u tries, %s", r->tries, r->passed_s != 0 ? "passed" : "pending");
	else if (r->kind != 'S')
		printf(", %u of %u", r->members, r->kind == 'D' ? g->rules.domain_count : g->rules.client_count);
	printf("%s  (%s)\n", greylist_record_alive(r, &g->rules, g->now_s) ? "" : ", expired", key);
}

/* greys_verdict - what would be decided now */
static int
greys_verdict(struct greys *g, const struct greys_envelope *e, const char *sender, const char *recipient,
    const struct greylist_known *known, struct buf *json)
{
	struct greylist_request q = { .client_address = e->address, .client_name = e->name, .sender = sender, .recipient = recipient };
	struct buf why = BUF_INIT(10000);
	enum greylist_reason reason;
	struct greylist *gl;
	const char *rule;
	int64_t left;

	q.state = sender[0] == 0 || strcmp(sender, "<>") == 0 ? "DATA" : "RCPT";
	msg_to_stderr(NULL);				/* how many entries a list has is for the daemon's log */
	if (greylist_open(&gl, g->params, "vouch", &why) < 0) {
		msg_to_stderr("vouch");
		vouch_sorry_lines(buf_str(&why));
		buf_fini(&why);
		return VOUCH_REFUSED;
	}
	msg_to_stderr("vouch");
	reason = greylist_preview(gl, &q, known, g->now_s, &rule, &left);
	if (g->opt.json) {
		json_put_str(json, "reason", greylist_reason_word(reason));
		json_put_str(json, "rule", rule);
		json_put_int(json, "left", left);
	} else if (left > 0)
		printf("now      %s: deferred, a retry passes in %lld s\n", greylist_reason_word(reason), (long long) left);
	else
		printf("now      %s%s%s\n", greylist_reason_word(reason), rule[0] != 0 ? ": rule " : "", rule);
	greylist_close(&gl);
	buf_fini(&why);
	return VOUCH_DONE;
}

int
greys_show(struct greys *g, char **argv, int argc)
{
	struct buf json = BUF_INIT(64 * 1024);
	struct greylist_known known, here;
	struct greys_envelope e;
	int	ret = VOUCH_DONE;

	(void) argc;
	memset(&known, 0, sizeof known);
	memset(&here, 0, sizeof here);
	greys_envelope_init(g, &e, argv[0], strcmp(argv[1], "<>") == 0 ? "" : argv[1], argv[2]);
	const struct {
		const char *id, *key;
		struct greylist_record *known, *here;
		bool	in_use;
	} rows[] = {
		{ e.ids.c, e.names.net, &known.c, &here.c, true },
		{ e.ids.d, e.names.domain, &known.d, &here.d, e.ids.has_domain },
		{ e.ids.s, e.names.sender, &known.s, &here.s, true },
		{ e.ids.t, e.names.recipient, &known.t, &here.t, true },
	};

	json_open(&json, NULL, '{');
	json_put_str(&json, "client", e.names.client);
	json_put_str(&json, "network", e.names.net);
	json_put_str(&json, "sender", e.names.sender);
	json_put_str(&json, "domain", e.names.domain);
	json_put_str(&json, "recipient", e.names.recipient);
	json_open(&json, "records", '[');
	if (!g->opt.json)
		printf("keys     client %s, network %s, sender %s, recipient %s\n", e.names.client, e.names.net, e.names.sender,
		    e.names.recipient);
	for (size_t i = 0; g->hash != NULL && i < NELEM(rows); i++) {
		if (!rows[i].in_use)
			continue;
		greys_local(g, rows[i].id, rows[i].here);
		if (g->db != NULL && ret == VOUCH_DONE)
			ret = greys_shared(g, rows[i].id, rows[i].known);
		greys_show_record(g, &json, "database", rows[i].key, rows[i].known);
		greys_show_record(g, &json, "here", rows[i].key, rows[i].here);
		greylist_record_merge(rows[i].known, rows[i].here, &g->rules);
	}
	json_close(&json, ']');
	if (ret == VOUCH_DONE)
		ret = greys_verdict(g, &e, argv[1], argv[2], &known, &json);
	json_close(&json, '}');
	if (g->opt.json && ret == VOUCH_DONE)
		puts(buf_str(&json));
	greys_envelope_fini(&e);
	buf_fini(&json);
	return ret;
}

/* allow */

/* greys_allow_db - for all hosts */
static int
greys_allow_db(struct greys *g, const struct greys_envelope *e, const char *id, const struct greylist_record *r)
{
	struct buf text = BUF_INIT(4096);
	struct database_answer a;
	struct pg_args args;
	int64_t nums[GREYLIST_DB_NUMS] = { r->first_s, r->last_s, 0, 0, 0 };
	int	ret = VOUCH_DONE;

	for (unsigned i = 0; i < r->members; i++)
		buf_addf(&text, "%08x,", r->member[i]);
	buf_addc(&text, GREYLIST_DB_SEPARATOR);
	if (strcmp(g->params->greylist_privacy, "hash") != 0)
		buf_addf(&text, "%s%c%s", r->kind == 'C' ? e->names.net : e->names.client, GREYLIST_DB_SEPARATOR,
		    r->kind == 'C' ? "" : e->names.sender);
	pg_args_init(&args);
	pg_arg_array(&args, PG_TYPE_TEXT, 1);
	pg_elem_text(&args, id, GREYLIST_ID_LEN);
	pg_arg_array(&args, PG_TYPE_TEXT, 1);
	pg_elem_text(&args, buf_str(&text), text.len);
	pg_arg_array(&args, PG_TYPE_INT, 1);
	pg_elem_int(&args, database_stamp(g->db, greylist_db_kind.newest));
	pg_arg_int(&args, 0);			/* no host: all of them take notice */
	for (int i = 0; i < GREYLIST_DB_NUMS; i++) {
		pg_arg_array(&args, PG_TYPE_INT, 1);
		pg_elem_int(&args, nums[i]);
	}
	pg_arg_int(&args, g->rules.window_s);
	pg_arg_int(&args, g->rules.expire_s);
	if (!database_ask(g->db, greylist_db_put_sql, &args, &a))
		ret = greys_failed(g, &a);
	else if (a.rows != 1) {
		vouch_sorry("it was forgotten in this very second: try again");
		ret = VOUCH_TEMPORARY;
	}
	pg_args_fini(&args);
	buf_fini(&text);
	return ret;
}

/* greys_allow_net - whether client is an address, or a network just as workers make it of one: any other would be looked up by nobody */
static bool
greys_allow_net(struct greys *g, const struct greys_envelope *e, const char *client)
{
	struct buf net = BUF_INIT(1000);
	struct client_addr a;
	char   *address = mem_strndup(client, strcspn(client, "/"));
	bool	ok = client_addr_parse(&a, e->address);

	if (!ok && client_addr_parse(&a, address)) {
		greylist_net(&g->keys, &a, &net);
		if (!(ok = strcmp(buf_str(&net), client) == 0))
			vouch_sorry("%s is no network that can be known: %s would be, see greylist_ipv4_prefix_length and "
			    "greylist_ipv6_prefix_length; other networks go into a file of greylist_client_allowlist", client, buf_str(&net));
	} else if (!ok)
		vouch_sorry("%s is not an address or network, and only those can be known for themselves; names go into a file of "
		    "greylist_client_allowlist", client);
	mem_free(&address);
	buf_fini(&net);
	return ok;
}

int
greys_allow(struct greys *g, char **argv, int argc)
{
	bool	sender = argc == 2;
	struct greys_envelope e;
	struct greylist_record r;
	struct buf json = BUF_INIT(4096);
	int	ret = VOUCH_DONE;

	if (g->hash == NULL) {
		vouch_sorry("there is no secret yet: %s is made when a daemon that greylists starts for the first time",
		    g->params->greylist_secret_file);
		return VOUCH_TEMPORARY;
	}
	if (!sender && g->rules.client_count == 0) {
		vouch_sorry("greylist_auto_allow_count is 0: no client is known for itself; write it into a file of greylist_client_allowlist");
		return VOUCH_REFUSED;
	}
	greys_envelope_init(g, &e, argv[0], sender ? argv[1] : NULL, NULL);
	if ((!sender || strchr(argv[0], '/') != NULL) && !greys_allow_net(g, &e, argv[0])) {
		greys_envelope_fini(&e);
		return VOUCH_REFUSED;
	}
	memset(&r, 0, sizeof r);
	if (sender)
		greylist_record_know(&r, &g->rules, g->now_s);
	else
		for (uint32_t i = 0; i < g->rules.client_count; i++)
			greylist_record_add(&r, 'C', (uint32_t) (g->now_s / g->rules.interval_s) - i, &g->rules, g->now_s);
	if (g->db != NULL)
		ret = greys_allow_db(g, &e, sender ? e.ids.s : e.ids.c, &r);
	if (ret == VOUCH_DONE && g->store != NULL && !greylist_store_put(g->store, sender ? e.ids.s : e.ids.c, &r, g->now_s)) {
		vouch_sorry("the table is busy; try again");
		ret = VOUCH_TEMPORARY;
	}
	if (ret == VOUCH_DONE && g->store == NULL && g->db == NULL) {
		vouch_sorry("there are no tables yet: they are made when a daemon that greylists starts for the first time");
		ret = VOUCH_TEMPORARY;
	}
	if (ret == VOUCH_DONE && g->opt.json) {
		json_open(&json, NULL, '{');
		json_put_str(&json, "allowed", sender ? e.names.sender : e.names.net);
		json_put_str(&json, "client", sender ? e.names.client : e.names.net);
		json_close(&json, '}');
		puts(buf_str(&json));
	} else if (ret == VOUCH_DONE && sender)
		vouch_say("sender %s from %s is known now", e.names.sender, e.names.client);
	else if (ret == VOUCH_DONE)
		vouch_say("client %s is known now", e.names.net);
	greys_envelope_fini(&e);
	buf_fini(&json);
	return ret;
}
