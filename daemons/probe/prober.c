/* daemons/probe/prober.c - all probes of the process: from submission to report
 * A probe is in one state; functions named probe_* move it. An attempt is one walk over a destination's servers; it ends
 * with a result, by time, or because the server said "later" (then there is another attempt after the report).
 */
#include "prober_int.h"

#include <stdio.h>
#include <string.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>

#include <global/probe_text.h>
#include <util/mem.h>
#include <util/msg.h>

#define NESTED_MS	60000		/* the peer is verifying, too: it will know in a minute */

static int
probe_cmp(const struct probe *a, const struct probe *b)
{
	return strcmp(a->addr, b->addr);
}
RB_GENERATE_INTERNAL(probe_tree, probe, node, probe_cmp, static __attribute__((unused)))
RB_GENERATE(dest_tree, dest, node, dest_cmp)

static const char too_many[] = "Too many address verification requests";

/* results */

struct result *
result_new(enum verify_status status, enum smtp_cat cat, const char *rule, const char *dsn, const char *relay, const char *text)
{
	struct result *r = mem_alloc(sizeof *r + strlen(text) + 1);

	r->status = status;
	r->cat = cat;
	r->rule = rule;
	strlcpy(r->dsn, dsn, sizeof r->dsn);
	r->relay = relay != NULL ? mem_strdup(relay) : NULL;
	strcpy(r->text, text);
	return r;
}

void
result_free(struct result **rp)
{
	if (*rp == NULL)
		return;
	mem_free(&(*rp)->relay);
	mem_free(&(*rp)->tls);
	mem_free(rp);
}

/* probe_keep - a "not my domain" is worth less than "later": the server in charge may say yes tomorrow */
void
probe_keep(struct probe *p, struct result **rp)
{
	if (p->result != NULL && (*rp)->elsewhere && !p->result->elsewhere) {
		result_free(rp);
		return;
	}
	result_free(&p->result);
	p->result = *rp;
	*rp = NULL;
}

/* senders */

static struct sender *
sender_get(struct prober *pr, const char *text)
{
	struct sender *s = pr->sender;

	if (s == NULL || strcmp(s->text, text) != 0) {
		if (s != NULL && --s->refs == 0)
			mem_free(&s);
		s = pr->sender = mem_alloc(sizeof *s + strlen(text) + 1);
		strcpy(s->text, text);
		s->refs = 1;			/* the prober's own */
	}
	s->refs++;
	return s;
}

static void
sender_put(struct sender *s)
{
	if (--s->refs == 0)
		mem_free(&s);
}

/* states */

static void
probe_count(struct probe *p, int by)
{
	struct prober_stat *st = &p->pr->stat;

	switch (p->state) {
	case PROBE_WAITING:
		st->waiting += (size_t) by;
		break;
	case PROBE_ASKED:
		st->asked += (size_t) by;
		break;
	case PROBE_REPORTING:
		st->reporting += (size_t) by;
		break;
	case PROBE_SLEEPING:
		st->sleeping += (size_t) by;
		break;
	}
	if (p->state != PROBE_SLEEPING)
		st->pending += (size_t) by;
}

static void
probe_enter(struct probe *p, enum probe_state next)
{
	probe_count(p, -1);
	p->state = next;
	probe_count(p, 1);
}

static void
probe_end_attempt(struct probe *p)
{
	if (p->attempt)
		p->dest->attempts--;
	p->attempt = false;
	p->tried = 0;
	p->sessions = 0;
	p->afresh = p->need_tls = false;
}

static void
probe_free(struct probe *p)
{
	struct prober *pr = p->pr;

	probe_end_attempt(p);
	probe_count(p, -1);
	ev_timer_cancel(pr->loop, &p->timer);
	RB_REMOVE(probe_tree, &pr->probes, p);
	if (p->dest != NULL)
		dest_unref(&p->dest);
	sender_put(p->sender);
	result_free(&p->result);
	mem_free(&p);
}

/* probe_unlink - out of whatever queue it waits in */
static void
probe_unlink(struct probe *p)
{
	if (p->state != PROBE_WAITING)
		return;
	if (p->dest != NULL)
		TAILQ_REMOVE(&p->dest->queue, p, link);
	else
		TAILQ_REMOVE(&p->pr->answers, p, link);
}

static void probe_timer(void *);

/* probe_clock - the next moment at which something must happen to a probe that waits or is asked */
static void
probe_clock(struct probe *p)
{
	const struct prober_conf *c = p->pr->conf;
	int64_t now = ev_now_ms(p->pr->loop), due = p->born_ms + c->deadline_ms;

	if (p->again)
		due = now + c->deadline_ms;	/* it was reported already: only to give it up some time */
	if (p->attempt && p->began_ms + c->attempt_ms < due)
		due = p->began_ms + c->attempt_ms;
	ev_timer_set(p->pr->loop, &p->timer, due - now, probe_timer, p);
}

void
probe_begin(struct probe *p)
{
	if (p->attempt)
		return;
	p->attempt = true;
	p->dest->attempts++;
	p->began_ms = ev_now_ms(p->pr->loop);
	probe_clock(p);
}

void
probe_wait(struct probe *p, bool first)
{
	probe_enter(p, PROBE_WAITING);
	p->session = NULL;
	if (first)
		TAILQ_INSERT_HEAD(&p->dest->queue, p, link);
	else
		TAILQ_INSERT_TAIL(&p->dest->queue, p, link);
	dest_ready(p->dest);
}

/* probe_finish - report; what comes after the report is decided by `then` and, when it was taken, in prober_taken */
void
probe_finish(struct probe *p, enum smtp_then then)
{
	struct prober *pr = p->pr;
	struct result *r = p->result;
	int64_t now = ev_now_ms(pr->loop);
	struct prober_report rep = {
		.id = p->id, .addr = p->addr, .final = p->final, .status = r->status, .cat = r->cat, .rule = r->rule,
		.text = r->text, .dsn = r->dsn, .at = r->at, .code = r->code,
		.route = p->dest != NULL ? p->dest->key : "none", .relay = r->relay != NULL ? r->relay : "none",
		.tls = r->tls != NULL ? r->tls : "", .backup_mx = r->backup_mx, .again = p->again, .catchall = r->catchall,
		.asked = r->asked, .waited_ms = (p->attempt ? p->began_ms : now) - p->born_ms,
		.took_ms = p->attempt ? now - p->began_ms : 0,
	};

	probe_unlink(p);
	ev_timer_cancel(pr->loop, &p->timer);
	probe_end_attempt(p);
	if (then == SMTP_THEN_GREY && r->status == VERIFY_DEFER) {
		if (p->first_ms == 0)
			p->first_ms = now;
	} else if (then == SMTP_THEN_AGAIN && r->status == VERIFY_DEFER && p->first_ms == 0) {
		p->first_ms = now;
		p->grey = PROBER_GREY_MAX;		/* once, in a minute */
	} else {
		p->first_ms = 0;			/* no further attempt */
		p->grey = PROBER_GREY_MAX;
	}
	probe_enter(p, PROBE_REPORTING);
	pr->stat.reports++;
	pr->stat.by_status[r->status]++;
	pr->stat.by_cat[r->cat]++;
	pr->report(pr->ctx, &rep);
}

static void
probe_timer(void *ctx)
{
	struct probe *p = ctx;
	struct prober *pr = p->pr;
	struct result *r;

	switch (p->state) {
	case PROBE_SLEEPING:
		p->again = true;
		pr->stat.again++;
		probe_wait(p, false);
		probe_clock(p);
		return;
	case PROBE_ASKED:
		smtp_dialogue_expire(p->session->dialogue);	/* answers as timed out; the attempt's time is up then */
		return;
	case PROBE_WAITING:
		if (p->result == NULL) {
			r = result_new(VERIFY_DEFER, SMTP_CAT_SUSPENDED, "too-many", "4.3.2", NULL, too_many);
			probe_keep(p, &r);
		}
		pr->stat.expired++;
		probe_finish(p, SMTP_THEN_FINAL);
		return;
	case PROBE_REPORTING:
		return;
	}
}

/* probe_sleep_ms - how long until the next attempt; 0: there is none */
static int64_t
probe_sleep_ms(struct probe *p)
{
	const struct prober_conf *c = p->pr->conf;
	int64_t now = ev_now_ms(p->pr->loop), due, jitter;

	if (p->first_ms == 0)
		return 0;
	if (p->grey == PROBER_GREY_MAX) {
		p->first_ms = 0;
		return NESTED_MS;
	}
	while (p->grey < PROBER_GREY_MAX && c->grey_ms[p->grey] != 0) {
		due = p->first_ms + c->grey_ms[p->grey++];
		if (due > now) {
			jitter = (due - now) / 20;	/* never early: greylisters count exactly */
			return due - now + (jitter > 0 ? (int64_t) arc4random_uniform((uint32_t) jitter) : 0);
		}
	}
	return 0;
}

/* the loop */

static void
prober_turn(void *ctx)
{
	struct prober *pr = ctx;
	struct wait_link *l;
	struct probe *p;
	struct dest *d;

	while ((p = TAILQ_FIRST(&pr->answers)) != NULL)
		probe_finish(p, SMTP_THEN_FINAL);
	while ((l = wait_first(&pr->ready)) != NULL) {
		d = (struct dest *) ((char *) l - offsetof(struct dest, wait));
		wait_off(l);
		dest_run(d);
	}
}

void
prober_kick(struct prober *pr)
{
	ev_defer_set(pr->loop, &pr->kick, prober_turn, pr);
}

/* submission and report */

static struct probe *
prober_find(struct prober *pr, const char *addr)
{
	struct probe *key = mem_alloc(sizeof *key + strlen(addr) + 1), *p;

	strcpy(key->addr, addr);
	p = RB_FIND(probe_tree, &pr->probes, key);
	mem_free(&key);
	return p;
}

static struct probe *
probe_new(struct prober *pr, const char *addr, const char *sender, const char *id, const struct route *r)
{
	size_t	na = strlen(addr) + 1, nr = strlen(r->rcpt) + 1, nf = strlen(r->final) + 1;
	struct probe *p = mem_alloc(sizeof *p + na + nr + nf);

	p->pr = pr;
	strlcpy(p->id, id, sizeof p->id);
	memcpy(p->addr, addr, na);
	memcpy(p->addr + na, r->rcpt, nr);
	memcpy(p->addr + na + nr, r->final, nf);
	p->rcpt = p->addr + na;
	p->final = nf > 1 ? p->addr + na + nr : NULL;
	p->utf8 = r->utf8;
	p->sender = sender_get(pr, sender);
	p->state = PROBE_WAITING;
	probe_count(p, 1);
	RB_INSERT(probe_tree, &pr->probes, p);
	return p;
}

enum prober_add
prober_add(struct prober *pr, const char *addr, const char *sender, const char *id, int64_t waited_ms)
{
	struct probe *p = prober_find(pr, addr);
	char	text[400];
	struct route r;
	const char *domain;

	if (p != NULL) {
		if (p->state == PROBE_SLEEPING) {	/* somebody wants to know now */
			p->again = false;
			p->born_ms = ev_now_ms(pr->loop);
			probe_wait(p, false);
			probe_clock(p);
		}
		pr->stat.merged++;
		return PROBER_MERGED;
	}
	if (pr->stat.pending >= pr->conf->pending_limit) {
		pr->stat.refused++;
		return PROBER_FULL;
	}
	pr->stat.added++;
	route_find(&pr->conf->route, addr, &r);
	p = probe_new(pr, addr, sender, id, &r);
	p->born_ms = ev_now_ms(pr->loop) - waited_ms;
	domain = r.domain;
	if (r.kind != ROUTE_ANSWER && !r.own && pr->conf->never != NULL && domain_list_match(pr->conf->never, domain)) {
		snprintf(text, sizeof text, PROBE_TEXT_NEVER, domain);
		p->result = result_new(VERIFY_DEFER, SMTP_CAT_SUSPENDED, "never", "4.7.0", NULL, text);
	} else if (r.kind == ROUTE_ANSWER)
		p->result = result_new(r.status, r.cat, "route", r.dsn, NULL, r.text);
	if (p->result != NULL) {
		TAILQ_INSERT_TAIL(&pr->answers, p, link);
		prober_kick(pr);
		return PROBER_ADDED;
	}
	p->dest = dest_get(pr, &r);
	TAILQ_INSERT_TAIL(&p->dest->queue, p, link);
	probe_clock(p);
	dest_ready(p->dest);
	return PROBER_ADDED;
}

void
prober_taken(struct prober *pr, const char *addr)
{
	struct probe *p = prober_find(pr, addr);
	int64_t ms;

	if (p == NULL || p->state != PROBE_REPORTING)
		return;
	if (p->dest != NULL && pr->stat.sleeping < pr->conf->sleep_limit && (ms = probe_sleep_ms(p)) > 0) {
		result_free(&p->result);
		probe_enter(p, PROBE_SLEEPING);
		ev_timer_set(pr->loop, &p->timer, ms, probe_timer, p);
		return;
	}
	probe_free(p);
}

void
prober_stat(const struct prober *pr, struct prober_stat *st)
{
	*st = pr->stat;
}

void
prober_stop(struct prober *pr, bool (*give)(const char *addr))
{
	struct probe *p, *next;

	RB_FOREACH_SAFE(p, probe_tree, &pr->probes, next)
		if (p->state == PROBE_SLEEPING)
			probe_free(p);
		else if (p->state == PROBE_WAITING && p->dest != NULL && !p->attempt && give(p->addr)) {
			probe_unlink(p);
			probe_free(p);
		}
}

struct prober *
prober_new(struct ev_loop *loop, const struct prober_conf *conf, struct dns *dns, prober_report_fn *report, void *ctx)
{
	struct prober *pr = mem_alloc(sizeof *pr);

	pr->loop = loop;
	pr->conf = conf;
	pr->dns = dns;
	pr->report = report;
	pr->ctx = ctx;
	pr->manners = manners_new(&conf->manners);
	RB_INIT(&pr->probes);
	RB_INIT(&pr->dests);
	TAILQ_INIT(&pr->answers);
	TAILQ_INIT(&pr->idle);
	TAILQ_INIT(&pr->idle_sessions);
	wait_list_init(&pr->ready);
	wait_list_init(&pr->session_room);
	wait_list_init(&pr->lookup_room);
	for (int own = 0; own < 2; own++)
		for (int lmtp = 0; lmtp < 2; lmtp++)
			for (int tls = SMTP_TLS_NONE; tls <= SMTP_TLS_ENCRYPT; tls++) {
				struct smtp_dialogue_conf *d = &pr->dialogue[own][lmtp][tls];

				*d = conf->dialogue;
				d->client = conf->client;
				d->client.lmtp = lmtp;
				d->client.tls = (enum smtp_tls_level) tls;
				if (lmtp)
					d->client.loop_name = NULL;
				d->own_route = own;
				d->pipelining = own ? conf->own_pipelining : conf->inet_pipelining;
			}
	return pr;
}

void
prober_free(struct prober **prp)
{
	struct prober *pr = *prp;
	struct probe *p, *pnext;
	struct dest *d, *dnext;

	if (pr == NULL)
		return;
	pr->closing = true;
	RB_FOREACH_SAFE(d, dest_tree, &pr->dests, dnext) {
		struct session *s;

		while ((s = LIST_FIRST(&d->sessions)) != NULL) {
			if (s->probe != NULL)
				probe_wait(s->probe, true);
			s->probe = NULL;
			session_free(s);
		}
	}
	RB_FOREACH_SAFE(p, probe_tree, &pr->probes, pnext) {
		probe_unlink(p);
		probe_free(p);
	}
	RB_FOREACH_SAFE(d, dest_tree, &pr->dests, dnext)
		dest_free(d);
	ev_defer_cancel(pr->loop, &pr->kick);
	manners_free(&pr->manners);
	if (pr->sender != NULL)
		sender_put(pr->sender);
	mem_free(prp);
}
