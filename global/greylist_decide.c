/* global/greylist_decide.c - greylisting: the order of decision (the numbers are the rows of README_FILES/GREYLIST_README) */
#include "greylist_int.h"

#include <string.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

#define GREYLIST_AWAY_MS	2000	/* decided with the database for so long: it is back */

/* outcomes */

/* greylist_touch - it was of use; as a rule that is known of this second already */
static void
greylist_touch(struct greylist *g, const char *id, const struct greylist_record *known, const struct greylist_names *names, int64_t now)
{
	if (known->last_s < now)
		greylist_store_touch(g->store, id, names, now);
}

/* greylist_known - rows 14 to 19; false: nothing that is known decides */
static bool
greylist_known(struct greylist *g, struct greylist_case *c, int64_t now)
{
	const struct greylist_ids *ids = &c->ids;

	c->reason = greylist_judge(&c->known, &g->store_conf.rules, c->exclude, now, &c->left_s, &c->delay_s);
	switch (c->reason) {
	case GREYLIST_KNOWN_CLIENT:
		greylist_touch(g, ids->c, &c->known.c, &c->names, now);
		return true;
	case GREYLIST_KNOWN_DOMAIN:
		greylist_touch(g, ids->d, &c->known.d, &c->names, now);
		return true;
	case GREYLIST_KNOWN_SENDER:
		greylist_touch(g, ids->s, &c->known.s, &c->names, now);
		return true;
	case GREYLIST_KNOWN_TRIPLET:
		greylist_touch(g, ids->t, &c->known.t, &c->names, now);
		return true;
	case GREYLIST_EARLY:
		greylist_store_again(g->store, ids, now);
		return true;
	case GREYLIST_RETRY:
		c->tries = c->known.t.tries + 1;
		if (!greylist_store_pass(g->store, ids, &c->names, c->exclude, now))	/* another worker, just now */
			c->reason = g->store_conf.rules.by_triplet || c->exclude ? GREYLIST_KNOWN_TRIPLET : GREYLIST_KNOWN_SENDER;
		return true;
	default:
		c->absent = c->reason;
		return false;
	}
}

/* greylist_begin - rows 22 to 24 */
static void
greylist_begin(struct greylist *g, struct greylist_case *c, int64_t now)
{
	const struct greylist_record *known = &c->known.c;
	struct greylist_record t;
	int64_t delay;

	/* a network that has had a success may have as many waiting as it likes */
	if (!(known->kind == 'C' && known->members > 0 && greylist_record_alive(known, &g->store_conf.rules, now)) &&
	    !greylist_store_admit(g->store, &c->ids, now)) {
		c->reason = GREYLIST_PENDING_LIMIT;
		c->left_s = g->store_conf.rules.delay_s;
		return;
	}
	switch (greylist_store_begin(g->store, &c->ids, &c->names, now, &t)) {
	case GREYLIST_BEGUN:
		c->reason = c->absent;
		c->left_s = g->store_conf.rules.delay_s;
		return;
	case GREYLIST_THERE:
		c->known.t = t;
		c->reason = greylist_judge(&c->known, &g->store_conf.rules, c->exclude, now, &c->left_s, &delay);
		if (c->reason != GREYLIST_EARLY)	/* another worker began it long ago: cannot be, but is no harm either */
			(void) greylist_known(g, c, now);
		return;
	case GREYLIST_LOST:			/* who is deferred without a record would be deferred for ever */
		c->reason = GREYLIST_UNAVAILABLE;
		return;
	}
}

/* greylist_away - the database was needed and did not answer: one warning when it goes, one line when it is back */
static void
greylist_away(struct greylist *g)
{
	g->away_ms = ev_now_ms(g->loop);
	if (!g->away)
		msg_warn("greylisting: the database is out of reach: %s", g->fallback_greylist ?
		    "decided from this host's records alone" : "what this host does not know passes");
	g->away = true;
	g->away_n++;
}

void
greylist_back(struct greylist *g)
{
	if (!g->away || (g->loop != NULL && ev_now_ms(g->loop) - g->away_ms < GREYLIST_AWAY_MS) || !greylist_store_usable(g->store))
		return;
	msg_info("greylisting: the database is back, %llu requests were answered without it", (unsigned long long) g->away_n);
	g->away = false;
	g->away_n = 0;
}

/* greylist_unavailable - row 20; true: it passes */
static bool
greylist_unavailable(struct greylist *g, struct greylist_case *c, int64_t now)
{
	struct greylist_record t;

	greylist_away(g);
	if (g->fallback_greylist)
		return false;
	/* recorded all the same, so that a retry after its return is one */
	(void) greylist_store_begin(g->store, &c->ids, &c->names, now, &t);
	c->fallback = true;
	c->reason = GREYLIST_UNAVAILABLE;
	return true;
}

/* decisions that take longer */

static struct greylist_wait *
greylist_wait_new(struct greylist *g, const struct greylist_case *c, greylist_done_fn *fn, void *ctx, struct greylist_wait **slot)
{
	const char **strings[16];
	size_t	n = 0, total = 0, len;
	struct greylist_wait *w;
	char   *p;
	struct greylist_case copy = *c;

	strings[n++] = &copy.req.state;
	strings[n++] = &copy.req.client_address;
	strings[n++] = &copy.req.client_name;
	strings[n++] = &copy.req.sender;
	strings[n++] = &copy.req.recipient;
	strings[n++] = &copy.req.instance;
	strings[n++] = &copy.req.sasl_username;
	strings[n++] = &copy.req.ccert_subject;
	strings[n++] = &copy.names.client;
	strings[n++] = &copy.names.net;
	strings[n++] = &copy.names.sender;
	strings[n++] = &copy.names.domain;
	strings[n++] = &copy.names.recipient;
	for (size_t i = 0; i < n; i++)
		total += strlen(*strings[i]) + 1;
	w = mem_alloc(sizeof *w + total);
	p = w->strings;
	for (size_t i = 0; i < n; i++) {
		len = strlen(*strings[i]) + 1;
		memcpy(p, *strings[i], len);
		*strings[i] = p;
		p += len;
	}
	w->g = g;
	w->c = copy;
	w->fn = fn;
	w->ctx = ctx;
	w->slot = slot;
	w->begun_ms = ev_now_ms(g->loop);
	if (slot != NULL)
		*slot = w;
	TAILQ_INSERT_TAIL(&g->waits, w, link);
	return w;
}

static void
greylist_wait_end(struct greylist_wait *w)
{
	struct greylist *g = w->g;
	struct greylist_result res;

	greylist_answer(g, &w->c, &res);
	if (w->slot != NULL)
		*w->slot = NULL;
	if (w->write != NULL)
		w->write->w = NULL;
	ev_timer_cancel(g->loop, &w->timer);
	TAILQ_REMOVE(&g->waits, w, link);
	if (w->fn != NULL)
		w->fn(w->ctx, &res);
	greylist_dns_free(&w->dns);
	mem_free(&w);
}

/* A new triplet is answered when the database has it: then whoever asks next, on any host, finds it. But not later than
 * greylist_map_timeout after the question; it is in this host's memory in any case */

static void
greylist_written(void *ctx, bool committed)
{
	struct greylist_write *write = ctx;
	struct greylist *g = write->g;

	(void) committed;
	TAILQ_REMOVE(&g->writes, write, link);
	if (write->w != NULL) {
		write->w->write = NULL;
		greylist_wait_end(write->w);
	}
	mem_free(&write);
}

static void
greylist_write_late(void *ctx)
{
	greylist_wait_end(ctx);
}

static void
greylist_wait_begin(struct greylist_wait *w)
{
	struct greylist *g = w->g;
	int64_t left_ms;

	greylist_begin(g, &w->c, ev_wall_s(g->loop));
	left_ms = g->params->greylist_map_timeout - (ev_now_ms(g->loop) - w->begun_ms);
	if ((w->c.reason != GREYLIST_NEW && w->c.reason != GREYLIST_LATE) || left_ms <= 0) {
		greylist_wait_end(w);
		return;
	}
	w->write = mem_alloc(sizeof *w->write);
	w->write->g = g;
	w->write->w = w;
	if (!greylist_store_written(g->store, &w->c.ids, greylist_written, w->write)) {
		mem_free(&w->write);
		greylist_wait_end(w);
		return;
	}
	TAILQ_INSERT_TAIL(&g->writes, w->write, link);
	ev_timer_set(g->loop, &w->timer, left_ms, greylist_write_late, w);
}

static void
greylist_dns_told(void *ctx, const char *site)
{
	struct greylist_wait *w = ctx;

	if (site != NULL) {
		w->c.reason = GREYLIST_ALLOW_DNS;
		snprintf(w->rule, sizeof w->rule, "%s", site);
		w->c.rule = w->rule;
		greylist_wait_end(w);
	} else
		greylist_wait_begin(w);
}

static bool
greylist_wants_dns(const struct greylist *g)
{
	return g->dns != NULL && g->store_conf.rules.delay_s > 0;
}

static void
greylist_looked(void *ctx, bool all, const struct greylist_known *k)
{
	struct greylist_wait *w = ctx;
	struct greylist *g = w->g;
	struct greylist_case *c = &w->c;
	const struct greylist_rules *rules = &g->store_conf.rules;
	int64_t now = ev_wall_s(g->loop);
	struct greylist_aim aim;

	/* this host may have learned something meanwhile; and a table that was busy may not have what the database said */
	greylist_store_aim(g->store, &c->ids, &aim);
	greylist_store_get(g->store, &aim, now, &c->known);
	greylist_record_merge(&c->known.c, &k->c, rules);
	greylist_record_merge(&c->known.d, &k->d, rules);
	greylist_record_merge(&c->known.s, &k->s, rules);
	greylist_record_merge(&c->known.t, &k->t, rules);
	if (greylist_known(g, c, now)) {
		greylist_wait_end(w);
		return;
	}
	if (!all && greylist_unavailable(g, c, now)) {
		greylist_wait_end(w);
		return;
	}
	if (greylist_wants_dns(g)) {
		w->dns = greylist_dns_ask(g, &c->addr, greylist_dns_told, w);
		return;
	}
	greylist_wait_begin(w);
}

/* the decision */

static bool
greylist_have(const char *s)
{
	return s[0] != 0;
}

static const char *
greylist_name(const struct greylist_request *q)
{
	return strcmp(q->client_name, "unknown") == 0 ? "" : q->client_name;
}

/* greylist_exempt - rows 1 to 9; true: one of them applies */
static bool
greylist_exempt(struct greylist *g, struct greylist_case *c)
{
	const struct greylist_request *q = &c->req;
	bool	data = strcmp(q->state, "DATA") == 0, null = !greylist_have(q->sender);

	if (g->mode == GREYLIST_MODE_OFF)
		c->reason = GREYLIST_OFF;
	else if (!data && strcmp(q->state, "RCPT") != 0)
		c->reason = GREYLIST_STATE;
	else if (greylist_have(q->sasl_username))
		c->reason = GREYLIST_EXEMPT_SASL;
	else if (!client_addr_parse(&c->addr, q->client_address))
		c->reason = GREYLIST_NO_CLIENT;
	else if (addr_list_match(g->exempt, &c->addr))
		c->reason = GREYLIST_EXEMPT_NETWORK;
	else if (g->params->greylist_exempt_ccert && greylist_have(q->ccert_subject))
		c->reason = GREYLIST_EXEMPT_CCERT;
	else if (!greylist_have(q->recipient))
		c->reason = GREYLIST_NO_RECIPIENT;
	else if (null && (g->null_sender == GREYLIST_NULL_NEVER || (g->null_sender == GREYLIST_NULL_DATA && !data)))
		c->reason = GREYLIST_NULL_SENDER;
	else if (data && (!null || g->null_sender == GREYLIST_NULL_RCPT))
		c->reason = GREYLIST_STATE;
	else
		return false;
	return true;
}

/* greylist_allowed - rows 10 to 13; true: a list has it */
static bool
greylist_allowed(struct greylist *g, struct greylist_case *c)
{
	const struct greylist_request *q = &c->req;
	const char *name = greylist_name(q);

	if (greylist_lists_client(g->lists, &c->addr, name, &c->rule))
		c->reason = GREYLIST_ALLOW_CLIENT;
	else if (greylist_lists_recipient(g->lists, q->recipient, &c->rule))
		c->reason = GREYLIST_ALLOW_RECIPIENT;
	else if (greylist_lists_sender(g->lists, q->sender, &c->addr, name, &c->rule))
		c->reason = GREYLIST_ALLOW_SENDER;
	else if (greylist_lists_regexp(g->lists, q->client_address, q->sender, q->recipient, &c->rule))
		c->reason = GREYLIST_ALLOW_REGEXP;
	else
		return false;
	return true;
}

static void
greylist_keys(struct greylist *g, struct greylist_case *c)
{
	const struct greylist_key_conf *k = &g->store_conf.keys;
	const char *name = greylist_name(&c->req);

	buf_reset(&g->client);
	buf_reset(&g->net);
	buf_reset(&g->sender);
	buf_reset(&g->recipient);
	greylist_net(k, &c->addr, &g->net);
	greylist_client(k, &c->addr, name, buf_str(&g->net), &g->client);
	greylist_sender(k, c->req.sender, c->req.recipient, &g->sender);
	greylist_recipient(k, c->req.recipient, &g->recipient);
	c->names.client = buf_str(&g->client);
	c->names.net = buf_str(&g->net);
	c->names.sender = buf_str(&g->sender);
	c->names.domain = greylist_sender_domain(k, c->names.sender);
	c->names.recipient = buf_str(&g->recipient);
	c->exclude = greylist_lists_excluded(g->lists, &c->addr, name);
	greylist_store_ids(g->store, &c->names, &c->ids);
}

/* greylist_try - as far as it goes at once; LATER: *w_r, with fn to be called */
static enum greylist_when
greylist_try(struct greylist *g, struct greylist_case *c, greylist_done_fn *fn, void *ctx, struct greylist_wait **slot)
{
	struct greylist_wait *w;
	struct greylist_aim aim;
	int64_t now;

	if (greylist_exempt(g, c))
		return GREYLIST_NOW;
	now = ev_wall_s(g->loop);
	greylist_keys(g, c);
	greylist_store_aim(g->store, &c->ids, &aim);
	if (greylist_allowed(g, c)) {
		c->names.client = "";			/* by which it was not decided */
		return GREYLIST_NOW;
	}
	greylist_store_get(g->store, &aim, now, &c->known);
	if (greylist_known(g, c, now)) {
		stats_add(STAT_greylist_hits, 1);
		return GREYLIST_NOW;
	}
	if (greylist_store_shared(g->store)) {
		w = greylist_wait_new(g, c, fn, ctx, slot);
		if (greylist_store_look(g->store, &w->c.ids, greylist_looked, w))
			return GREYLIST_LATER;
		TAILQ_REMOVE(&g->waits, w, link);
		if (slot != NULL)
			*slot = NULL;
		mem_free(&w);
		stats_add(STAT_greylist_unanswered, 1);
		if (greylist_unavailable(g, c, now))
			return GREYLIST_NOW;
	}
	if (greylist_wants_dns(g)) {
		w = greylist_wait_new(g, c, fn, ctx, slot);
		w->dns = greylist_dns_ask(g, &w->c.addr, greylist_dns_told, w);
		return GREYLIST_LATER;
	}
	if (!greylist_store_shared(g->store))
		stats_add(STAT_greylist_hits, 1);
	greylist_begin(g, c, now);
	return GREYLIST_NOW;
}

static const char *
greylist_string(const char *s)
{
	return s != NULL ? s : "";
}

/* greylist_case_init - but for what is known, and by which ids, which is a lot of memory and filled in when it is wanted */
static void
greylist_case_init(struct greylist_case *c, const struct greylist_request *req)
{
	c->names = (struct greylist_names) { "", "", "", "", "" };
	c->exclude = c->fallback = false;
	c->absent = c->reason = GREYLIST_OFF;
	c->left_s = c->delay_s = 0;
	c->tries = 0;
	c->rule = "";
	c->req.state = greylist_string(req->state);
	c->req.client_address = greylist_string(req->client_address);
	c->req.client_name = greylist_string(req->client_name);
	c->req.sender = greylist_string(req->sender);
	c->req.recipient = greylist_string(req->recipient);
	c->req.instance = greylist_string(req->instance);
	c->req.sasl_username = greylist_string(req->sasl_username);
	c->req.ccert_subject = greylist_string(req->ccert_subject);
	if (strcmp(c->req.sender, "<>") == 0)
		c->req.sender = "";
}

enum greylist_reason
greylist_preview(struct greylist *g, const struct greylist_request *req, const struct greylist_known *known, int64_t now_s,
    const char **rule_r, int64_t *left_r)
{
	struct greylist_case c;

	greylist_case_init(&c, req);
	if (!greylist_exempt(g, &c) && !greylist_allowed(g, &c)) {
		c.exclude = greylist_lists_excluded(g->lists, &c.addr, greylist_name(&c.req));
		c.reason = greylist_judge(known, &g->store_conf.rules, c.exclude, now_s, &c.left_s, &c.delay_s);
		if (greylist_verdicts[c.reason] == GREYLIST_DEFER && c.left_s == 0)
			c.left_s = g->store_conf.rules.delay_s;
	}
	*rule_r = c.rule;
	*left_r = c.left_s;
	return c.reason;
}

enum greylist_when
greylist_decide(struct greylist *g, const struct greylist_request *req, struct greylist_result *res_r, greylist_done_fn *fn,
    void *ctx, struct greylist_wait **wait_r)
{
	struct greylist_case c;

	greylist_case_init(&c, req);
	if (wait_r != NULL)
		*wait_r = NULL;
	if (greylist_try(g, &c, fn, ctx, wait_r) == GREYLIST_LATER)
		return GREYLIST_LATER;
	greylist_answer(g, &c, res_r);
	return GREYLIST_NOW;
}

void
greylist_cancel(struct greylist_wait **wp)
{
	struct greylist_wait *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	w->fn = NULL;
	w->slot = NULL;
}
