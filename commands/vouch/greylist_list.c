/* commands/vouch/greylist_list.c - greylist list and forget: many records */
#include "greys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <util/json_out.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>

#define GREYS_PAGE	1000		/* rows fetched at a time, ids in one statement */

struct greys_row {
	const char *id, *client, *sender, *recipient;
	struct greylist_record r;
	bool	dirty;
};

struct greys_walk {
	struct greys *g;
	bool	(*fn)(struct greys_walk *, const struct greys_row *);	/* false ends it */
	bool	stopped;
	uint64_t n;
	struct buf ids;			/* forget: what was found, each with its NUL */
	char	exact[GREYLIST_ID_LEN + 1];	/* the one record that the addresses are about; "": many, or there is no secret */
	bool	met;			/* it was among those with text */
};

/* greys_wanted - whether the options that concern the record itself want it */
static bool
greys_wanted(const struct greys *g, const struct greylist_record *r)
{
	const struct greys_options *o = &g->opt;
	bool	pending = r->kind == 'T' && r->passed_s == 0;

	if (strchr("TSDC", r->kind) == NULL || r->kind == 0)
		return false;
	return (!o->pending || pending) && (!o->known || !pending) && (o->older_s < 0 || g->now_s - r->last_s > o->older_s);
}

/* in this host's tables */

static bool
greys_walk_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	struct greys_walk *w = ctx;
	char	id[GREYLIST_ID_LEN + 1];
	struct greys_row row = { .id = id, .client = "", .sender = "", .recipient = "", .dirty = v->pinned };

	if (key_len != GREYLIST_ID_LEN || !greylist_record_decode(&row.r, v->data, v->len) || !greys_wanted(w->g, &row.r))
		return true;
	memcpy(id, key, key_len);
	id[key_len] = 0;
	w->stopped = !w->fn(w, &row);
	return !w->stopped;
}

static int
greys_each_local(struct greys_walk *w)
{
	struct greys *g = w->g;
	struct shmtab *tables[] = {
		g->store != NULL ? greylist_store_table(g->store, false) : g->known,
		g->store != NULL ? greylist_store_table(g->store, true) : g->pending,
	};

	for (size_t i = 0; i < NELEM(tables); i++)
		for (unsigned part = 0; tables[i] != NULL && part < shmtab_parts(tables[i]) && !w->stopped; part++)
			if (shmtab_walk(tables[i], part, greys_walk_fn, w) < 0) {
				vouch_sorry("part of a table is busy: %s", strerror(errno));
				return VOUCH_TEMPORARY;
			}
	return VOUCH_DONE;
}

/* in the database */

static int
greys_each_db(struct greys_walk *w)
{
	enum { ID, CHANGED, ORIGIN, MEMBERS, BEGUN, SEEN, TRIES, PASSED, FORGOT, CLIENT, SENDER, RECIPIENT };
	static const char sql[] = "SELECT id, changed, origin, members, begun, seen, tries, passed, forgot, client, sender, recipient"
	    " FROM vouch_greylist WHERE id > $1::text AND seen > 0 AND left(id, 1) <> '!'"
	    " AND ($3::text = '' OR client = $3::text OR client = $4::text)"
	    " AND ($5::text = '' OR sender = $5::text OR sender = $6::text)"
	    " AND ($7::text = '' OR recipient = $7::text OR recipient = $8::text)"
	    " ORDER BY id LIMIT $2::bigint";
	struct greys *g = w->g;
	const struct greys_options *o = &g->opt;
	struct database_answer a = { .rows = GREYS_PAGE };
	struct greys_envelope e;
	struct pg_args args;
	char   *last = mem_strdup("");
	int	ret = VOUCH_DONE;

	greys_envelope_init(g, &e, o->client != NULL ? o->client : "", o->sender, o->recipient);
	while (ret == VOUCH_DONE && a.rows == GREYS_PAGE && !w->stopped) {
		pg_args_init(&args);
		pg_arg_str(&args, last);
		pg_arg_int(&args, GREYS_PAGE);
		pg_arg_str(&args, o->client != NULL ? e.names.client : "");
		pg_arg_str(&args, e.names.net);
		pg_arg_str(&args, o->sender != NULL ? e.names.sender : "");
		pg_arg_str(&args, o->sender != NULL ? o->sender : "");
		pg_arg_str(&args, o->recipient != NULL ? e.names.recipient : "");
		pg_arg_str(&args, o->recipient != NULL ? o->recipient : "");
		if (!database_ask(g->db, sql, &args, &a))
			ret = greys_failed(g, &a);
		pg_args_fini(&args);
		for (int i = 0; ret == VOUCH_DONE && i < a.rows && !w->stopped; i++) {
			struct greys_row row = {
				.id = database_text(g->db, i, ID), .client = database_text(g->db, i, CLIENT),
				.sender = database_text(g->db, i, SENDER), .recipient = database_text(g->db, i, RECIPIENT),
			};
			struct db_row db = {
				.key = row.id, .key_len = strlen(row.id), .text = database_text(g->db, i, MEMBERS),
				.text_len = database_length(g->db, i, MEMBERS),
			};

			for (int k = 0; k < GREYLIST_DB_NUMS; k++)
				db.num[k] = database_int(g->db, i, BEGUN + k);
			w->met |= strcmp(row.id, w->exact) == 0;
			if (greylist_db_record(&db, &row.r) && greys_wanted(g, &row.r))
				w->stopped = !w->fn(w, &row);
		}
		if (a.rows > 0) {
			mem_free(&last);
			last = mem_strdup(database_text(g->db, a.rows - 1, ID));
		}
	}
	mem_free(&last);
	greys_envelope_fini(&e);
	return ret;
}

/* greys_exact - a client network, a sender of a client, a triplet: these have keys, whether there is text or not */
static void
greys_exact(struct greys_walk *w)
{
	const struct greys_options *o = &w->g->opt;
	struct greys_envelope e;

	if (w->g->hash == NULL || o->client == NULL || (o->sender == NULL && o->recipient != NULL))
		return;
	greys_envelope_init(w->g, &e, o->client, o->sender, o->recipient);
	memcpy(w->exact, o->recipient != NULL ? e.ids.t : o->sender != NULL ? e.ids.s : e.ids.c, sizeof w->exact);
	greys_envelope_fini(&e);
}

static int
greys_each(struct greys_walk *w)
{
	const struct greys_options *o = &w->g->opt;
	struct greys_row row = { .id = w->exact, .client = "", .sender = "", .recipient = "" };
	int	ret = VOUCH_DONE;

	greys_exact(w);
	if (w->g->db != NULL)
		ret = greys_each_db(w);
	else if (w->exact[0] == 0 && (o->client != NULL || o->sender != NULL || o->recipient != NULL)) {
		vouch_sorry("this host's tables hold no text: a client, its sender, and their recipient are found by their keys alone");
		ret = VOUCH_REFUSED;
	} else if (w->exact[0] == 0)
		ret = greys_each_local(w);
	if (ret != VOUCH_DONE || w->exact[0] == 0 || w->met || w->stopped)
		return ret;
	greys_local(w->g, w->exact, &row.r);
	if (row.r.kind == 0 && w->g->db != NULL)
		ret = greys_shared(w->g, w->exact, &row.r);
	w->met = row.r.kind != 0;
	if (ret == VOUCH_DONE && greys_wanted(w->g, &row.r))
		w->stopped = !w->fn(w, &row);
	return ret;
}

/* list */

static bool
greys_list_one(struct greys_walk *w, const struct greys_row *row)
{
	struct buf out = BUF_INIT(64 * 1024);
	char	age[32], client[300], sender[300], recipient[300];
	const char *state = row->r.kind != 'T' ? "known" : row->r.passed_s != 0 ? "passed" : "pending";

	w->n++;
	if (w->g->opt.json) {
		json_open(&out, NULL, '{');
		json_put_str(&out, "kind", greys_kind(row->r.kind));
		json_put_str(&out, "state", state);
		json_put_str(&out, "id", row->id);
		json_put_str(&out, "client", row->client);
		json_put_str(&out, "sender", row->sender);
		json_put_str(&out, "recipient", row->recipient);
		json_put_int(&out, "first", row->r.first_s);
		json_put_int(&out, "last", row->r.last_s);
		json_put_uint(&out, "tries", row->r.tries);
		json_put_uint(&out, "members", row->r.members);
		json_close(&out, '}');
		puts(buf_str(&out));
	} else {
		units_time_print(age, row->r.last_s < w->g->now_s ? (w->g->now_s - row->r.last_s) * 1000 : 0);
		printf("%-7s %-7s %10s  %s  %s  %s%s\n", greys_kind(row->r.kind), state, age,
		    msg_clean(client, sizeof client, row->client[0] != 0 ? row->client : row->id),
		    msg_clean(sender, sizeof sender, row->sender[0] != 0 ? row->sender : "-"),
		    msg_clean(recipient, sizeof recipient, row->recipient[0] != 0 ? row->recipient : "-"),
		    row->dirty ? "  (waits for the database)" : "");
	}
	buf_fini(&out);
	return !ferror(stdout);
}

int
greys_list(struct greys *g)
{
	struct greys_walk w = { .g = g, .fn = greys_list_one };
	int	ret = greys_each(&w);

	if (fflush(stdout) != 0 || ferror(stdout)) {
		vouch_sorry("cannot write");
		ret = VOUCH_TEMPORARY;
	}
	return ret;
}

/* forget */

static bool
greys_forget_one(struct greys_walk *w, const struct greys_row *row)
{
	w->n++;
	if (buf_add(&w->ids, row->id, GREYLIST_ID_LEN + 1) == 0)
		return true;
	vouch_sorry("more records than fit into memory: forget them in several steps");
	return false;
}

/* greys_forget_db - the next ids, for all hosts */
static int
greys_forget_db(struct greys *g, const char *ids, unsigned n)
{
	struct database_answer a;
	struct pg_args args;
	int64_t stamp = database_stamp(g->db, greylist_db_kind.newest);
	int	ret = VOUCH_DONE;

	pg_args_init(&args);
	pg_arg_array(&args, PG_TYPE_TEXT, n);
	for (unsigned i = 0; i < n; i++)
		pg_elem_text(&args, ids + i * (GREYLIST_ID_LEN + 1), GREYLIST_ID_LEN);
	pg_arg_int(&args, g->now_s);
	pg_arg_array(&args, PG_TYPE_INT, n);	/* each its own: hosts read page by page, by stamp */
	for (unsigned i = 0; i < n; i++)
		pg_elem_int(&args, stamp + i);
	pg_arg_int(&args, 0);			/* no host: all of them take notice */
	if (!database_ask(g->db, greylist_db_forget_sql, &args, &a))
		ret = greys_failed(g, &a);
	pg_args_fini(&args);
	return ret;
}

int
greys_forget(struct greys *g)
{
	struct greys_walk w = { .g = g, .fn = greys_forget_one, .ids = BUF_INIT(256u << 20) };
	const struct greys_options *o = &g->opt;
	struct buf out = BUF_INIT(1000);
	unsigned total, step;
	int	ret;

	ret = greys_each(&w);
	/* what neither this host nor the database has, another host may be about to write */
	if (w.exact[0] != 0 && !w.met && g->db != NULL && !o->pending && !o->known && o->older_s < 0)
		buf_add(&w.ids, w.exact, sizeof w.exact);
	total = (unsigned) (w.ids.len / (GREYLIST_ID_LEN + 1));
	for (unsigned i = 0; ret == VOUCH_DONE && g->db != NULL && i < total; i += step) {
		step = total - i < GREYS_PAGE ? total - i : GREYS_PAGE;
		ret = greys_forget_db(g, w.ids.data + i * (GREYLIST_ID_LEN + 1), step);
	}
	/* after the database, so that nothing comes back from there */
	for (unsigned i = 0; ret == VOUCH_DONE && g->store != NULL && i < total; i++)
		if (greylist_store_forget(g->store, w.ids.data + i * (GREYLIST_ID_LEN + 1)) < 0) {
			vouch_sorry("a table is busy; try again");
			ret = VOUCH_TEMPORARY;
		}
	if (ret == VOUCH_DONE && o->json) {
		json_open(&out, NULL, '{');
		json_put_uint(&out, "forgotten", w.n);
		json_close(&out, '}');
		puts(buf_str(&out));
	} else if (ret == VOUCH_DONE)
		vouch_say("%llu records forgotten%s", (unsigned long long) w.n,
		    g->db != NULL ? "; every host takes notice within address_verify_sync_interval" : "");
	buf_fini(&w.ids);
	buf_fini(&out);
	return ret;
}
