/* global/greylist.c - greylisting: life, and the order of decision (the numbers are the rows of README_FILES/GREYLIST_README) */
#include "greylist_int.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

#include <global/stats.h>
#include <util/dns_ares.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define GREYLIST_HOUSE_MS	250
#define GREYLIST_AWAY_MS	2000	/* decided with the database for so long: it is back */

/* outcomes */

/* greylist_known - rows 14 to 19; false: nothing that is known decides */
static bool
greylist_known(struct greylist *g, struct greylist_case *c, int64_t now)
{
	const struct greylist_ids *ids = &c->ids;
	struct greylist_record t;

	c->reason = greylist_judge(&c->known, &g->store_conf.rules, c->exclude, now, &c->left_s, &c->delay_s);
	switch (c->reason) {
	case GREYLIST_KNOWN_CLIENT:
		greylist_store_touch(g->store, ids->c, &c->names, now);
		return true;
	case GREYLIST_KNOWN_DOMAIN:
		greylist_store_touch(g->store, ids->d, &c->names, now);
		return true;
	case GREYLIST_KNOWN_SENDER:
		greylist_store_touch(g->store, ids->s, &c->names, now);
		return true;
	case GREYLIST_KNOWN_TRIPLET:
		greylist_store_touch(g->store, ids->t, &c->names, now);
		return true;
	case GREYLIST_EARLY:
		greylist_store_again(g->store, ids, now);
		return true;
	case GREYLIST_RETRY:
		c->tries = c->known.t.tries + 1;
		if (!greylist_store_pass(g->store, ids, &c->names, c->exclude, now, &t))	/* another worker, just now */
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

static void
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

	/* this host may have learned something meanwhile; and a table that was busy may not have what the database said */
	greylist_store_get(g->store, &c->ids, now, &c->known);
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

/* greylist_exempt - rows 1 to 13; true: one of them applies */
static bool
greylist_exempt(struct greylist *g, struct greylist_case *c)
{
	const struct greylist_request *q = &c->req;
	bool	data = strcmp(q->state, "DATA") == 0, null = !greylist_have(q->sender);
	const char *name = strcmp(q->client_name, "unknown") == 0 ? "" : q->client_name;

	if (g->mode == GREYLIST_MODE_OFF)
		c->reason = GREYLIST_OFF;
	else if (!data && strcmp(q->state, "RCPT") != 0)
		c->reason = GREYLIST_STATE;
	else if (greylist_have(q->sasl_username))
		c->reason = GREYLIST_EXEMPT_SASL;
	else if (!client_addr_parse(&c->addr, q->client_address))
		c->reason = GREYLIST_NO_CLIENT;
	else if (addr_list_match_text(g->exempt, q->client_address))
		c->reason = GREYLIST_EXEMPT_NETWORK;
	else if (g->params->greylist_exempt_ccert && greylist_have(q->ccert_subject))
		c->reason = GREYLIST_EXEMPT_CCERT;
	else if (!greylist_have(q->recipient))
		c->reason = GREYLIST_NO_RECIPIENT;
	else if (null && (g->null_sender == GREYLIST_NULL_NEVER || (g->null_sender == GREYLIST_NULL_DATA && !data)))
		c->reason = GREYLIST_NULL_SENDER;
	else if (data && (!null || g->null_sender == GREYLIST_NULL_RCPT))
		c->reason = GREYLIST_STATE;
	else if (greylist_lists_client(g->lists, &c->addr, name, &c->rule))
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
	const char *name = strcmp(c->req.client_name, "unknown") == 0 ? "" : c->req.client_name;

	buf_reset(&g->client);
	buf_reset(&g->net);
	buf_reset(&g->sender);
	buf_reset(&g->recipient);
	greylist_client(k, &c->addr, name, &g->client);
	greylist_net(k, &c->addr, &g->net);
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
	int64_t now;

	if (greylist_exempt(g, c))
		return GREYLIST_NOW;
	now = ev_wall_s(g->loop);
	greylist_keys(g, c);
	greylist_store_get(g->store, &c->ids, now, &c->known);
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

static void
greylist_case_init(struct greylist_case *c, const struct greylist_request *req)
{
	memset(c, 0, sizeof *c);
	c->names = (struct greylist_names) { "", "", "", "", "" };
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
	if (!greylist_exempt(g, &c)) {
		c.exclude = greylist_lists_excluded(g->lists, &c.addr,
		    strcmp(c.req.client_name, "unknown") == 0 ? "" : c.req.client_name);
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

/* life */

static void
greylist_house(void *ctx)
{
	static long long last;
	struct greylist *g = ctx;
	struct buf why = BUF_INIT(1000);

	if (greylist_store_house(g->store, g->loop, &why) < 0 && msg_rate(&last, 60000))
		msg_warn("%s: they are not shared with other workers until this is mended", buf_str(&why));
	buf_fini(&why);
	greylist_lists_check(g->lists, ev_now_ms(g->loop), false);
	greylist_back(g);
	ev_timer_set(g->loop, &g->house, GREYLIST_HOUSE_MS, greylist_house, g);
}

static void
greylist_warn_lines(const char *why)
{
	size_t	n;

	for (; *why != 0; why += n + (why[n] == '\n')) {
		n = strcspn(why, "\n");
		if (n > 0)
			msg_warn("%.*s", (int) n, why);
	}
}

/* greylist_map - what greylist_map names */
static void
greylist_map(struct greylist *g, const char *app)
{
	const char *map = g->params->greylist_map, *reason;
	struct buf why = BUF_INIT(1000), shown = BUF_INIT(8192);

	if (map[0] == 0)
		return;
	db_conf_hide(&shown, map);
	if (!db_conf_is(map))
		buf_adds(&why, "this table type is not supported; use pgsql:..., or nothing");
	else if ((g->pg = pg_lib_load(&reason)) == NULL)
		buf_adds(&why, reason);
	else
		g->db = db_conf_read(g->pg, map, app, &why);
	if (g->db == NULL)
		msg_warn("greylist_map = %s: %s: greylisting records are kept on this host only", buf_str(&shown), buf_str(&why));
	buf_fini(&why);
	buf_fini(&shown);
}

/* greylist_exempt_list - what is not understood is reported and left out: it may come from Postfix's mynetworks */
static struct addr_list *
greylist_exempt_list(const char *text)
{
	struct buf good = BUF_INIT(1u << 20), why = BUF_INIT(1000);
	struct addr_list *l;
	size_t	n;
	char   *word;

	for (const char *p = text + strspn(text, " \t,"); *p != 0; p += n, p += strspn(p, " \t,")) {
		n = strcspn(p, " \t,");
		word = mem_strndup(p, n);
		if (addr_list_check(word) == NULL)
			buf_addf(&good, "%s ", word);
		else
			msg_warn("greylist_exempt_networks: \"%s\" is not an address or network: it is left out", word);
		mem_free(&word);
	}
	if ((l = addr_list_new(buf_str(&good), &why)) == NULL)
		l = addr_list_new("", &why);
	buf_fini(&good);
	buf_fini(&why);
	return l;
}

static int
greylist_dir(const char *path)
{
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int
greylist_open(struct greylist **gp, const struct params *p, const char *app, struct buf *why)
{
	struct greylist *g = mem_alloc(sizeof *g);
	struct buf reason = BUF_INIT(4096);
	char   *path, *base;
	int	ret;

	*gp = g;
	g->params = p;
	TAILQ_INIT(&g->waits);
	TAILQ_INIT(&g->writes);
	g->data_dirfd = g->secret_dirfd = -1;
	for (struct buf *b = &g->client; b <= &g->line; b++)
		buf_init(b, GREYLIST_ADDR_MAX + 1024);
	g->mode = strcmp(p->greylist_mode, "off") == 0 ? GREYLIST_MODE_OFF :
	    strcmp(p->greylist_mode, "observe") == 0 ? GREYLIST_OBSERVE : GREYLIST_ENFORCE;
	g->null_sender = strcmp(p->greylist_null_sender, "rcpt") == 0 ? GREYLIST_NULL_RCPT :
	    strcmp(p->greylist_null_sender, "never") == 0 ? GREYLIST_NULL_NEVER : GREYLIST_NULL_DATA;
	g->clear = strcmp(p->greylist_privacy, "hash") != 0;
	g->log_known = p->greylist_log_known;
	g->fallback_greylist = strcmp(p->greylist_fallback_action, "greylist") == 0;
	g->action = p->greylist_action;
	g->code = g->action[0] == '4' ? atoi(g->action) : 450;
	ret = greylist_rules_init(&g->store_conf.rules, p, why);
	greylist_key_conf_init(&g->store_conf.keys, p);
	g->store_conf.clear = g->clear;
	g->store_conf.bytes = p->greylist_cache_size;
	g->exempt = greylist_exempt_list(p->greylist_exempt_networks);
	if ((g->sites = dnswl_sites_parse(p->greylist_dnswl_sites, &reason)) == NULL) {
		buf_addf(why, "parameter greylist_dnswl_sites: %s\n", buf_str(&reason));
		ret = -1;
	}
	buf_fini(&reason);
	if (ret < 0) {
		greylist_close(gp);
		return -1;
	}
	g->lists = greylist_lists_open(p);
	if ((g->data_dirfd = greylist_dir(p->data_directory)) < 0)
		msg_warn("data_directory %s: %s: greylisting records are not shared with other workers and not kept",
		    p->data_directory, strerror(errno));
	path = mem_strdup(p->greylist_secret_file);
	base = strrchr(path, '/');			/* it is an absolute path */
	g->secret_name = mem_strdup(base + 1);
	base[base == path] = 0;
	if ((g->secret_dirfd = greylist_dir(path)) < 0)
		msg_warn("greylist_secret_file: %s: %s", path, strerror(errno));
	mem_free(&path);
	greylist_map(g, app);
	return 0;
}

void
greylist_start(struct greylist *g, struct ev_loop *loop)
{
	const struct params *p = g->params;
	struct db_store_conf conf = {
		.lib = g->pg, .where = g->db, .timeout_ms = p->greylist_map_timeout,
		.sync_ms = p->address_verify_sync_interval,
		.clean_s = p->address_verify_cache_cleanup_interval / 1000, .host_name = p->myhostname,
	};
	struct dns_conf dns = { .servers = p->probe_dns_servers, .try_ms = p->greylist_dnswl_timeout, .tries = 1,
		.open_limit = 1000, .wait_limit = 10000, .cache_limit = 10000 };
	struct buf why = BUF_INIT(8192);
	const char *reason;

	g->loop = loop;
	g->store_conf.secret_dirfd = g->secret_dirfd;
	g->store_conf.secret_name = g->secret_name;
	greylist_store_open(&g->store, g->data_dirfd, &g->store_conf, &why);
	greylist_store_keys(g->store, &why);
	greylist_warn_lines(buf_str(&why));
	buf_fini(&why);
	if (g->db != NULL)
		greylist_store_connect(g->store, loop, &conf);
	if (g->sites->n > 0 && (g->dns = dns_new(loop, &dns_ares, &dns, &reason)) == NULL)
		msg_warn("greylist_dnswl_sites: %s: they are not asked", reason);
	greylist_lists_check(g->lists, ev_now_ms(loop), true);
	ev_timer_set(loop, &g->house, GREYLIST_HOUSE_MS, greylist_house, g);
}

void
greylist_close(struct greylist **gp)
{
	struct greylist *g = *gp;
	struct greylist_wait *w;
	struct greylist_write *write;

	if (g == NULL)
		return;
	if (g->loop != NULL)
		ev_timer_cancel(g->loop, &g->house);
	greylist_store_close(&g->store);
	while ((w = TAILQ_FIRST(&g->waits)) != NULL) {
		TAILQ_REMOVE(&g->waits, w, link);
		if (w->slot != NULL)
			*w->slot = NULL;
		greylist_dns_free(&w->dns);
		ev_timer_cancel(g->loop, &w->timer);
		mem_free(&w);
	}
	while ((write = TAILQ_FIRST(&g->writes)) != NULL) {
		TAILQ_REMOVE(&g->writes, write, link);
		mem_free(&write);
	}
	if (g->dns != NULL)
		dns_free(&g->dns);
	dnswl_sites_free(&g->sites);
	greylist_lists_free(&g->lists);
	addr_list_free(&g->exempt);
	db_conf_free(&g->db);
	sock_close(&g->data_dirfd);
	sock_close(&g->secret_dirfd);
	mem_free(&g->secret_name);
	for (struct buf *b = &g->client; b <= &g->line; b++)
		buf_fini(b);
	mem_free(gp);
}

bool
greylist_busy(const struct greylist *g)
{
	return !TAILQ_EMPTY(&g->waits);
}

void
greylist_reread(struct greylist *g)
{
	greylist_lists_check(g->lists, ev_now_ms(g->loop), true);
}
