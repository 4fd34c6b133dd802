/* global/smtp_hop.c - sessions with one next hop
 * A session is lent, or it is in one of two lists: kept ones, the last used first, and those that are on their way
 * out. In the lists its callbacks are ours.
 */
#include "smtp_hop.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <bsd/string.h>
#include <bsd/sys/queue.h>

#include <util/mem.h>
#include <util/msg.h>
#include <global/hop_addrs.h>
#include <global/smtp_said.h>

#define HOP_RSET_MS	10000		/* longest wait for the reply to RSET, of a session that nobody waits for */
#define HOP_LEAVING_MAX	1000		/* sessions that wait for the reply to QUIT; more are closed without it */

struct hop_session {
	struct smtp_hop_session pub;	/* first: a session that is given back is one of ours */
	struct smtp_hop *hop;
	TAILQ_ENTRY(hop_session) link;
	struct ev_timer idle;
	int64_t	 opened_ms;
	bool	 kept, leaving;		/* which list it is in */
	bool	 rinsing;		/* leaving, unless its RSET is accepted */
};
TAILQ_HEAD(hop_sessions, hop_session);

struct smtp_hop_call {
	struct smtp_hop *hop;
	TAILQ_ENTRY(smtp_hop_call) link;
	bool	 waiting;		/* for its turn, in hop->waiting */
	bool	 counted;		/* among hop->sessions, for the session that it is about to open */
	bool	 fresh;
	const struct smtp_hop_ops *ops;
	void	*ctx;
	struct ev_defer later;
	struct hop_addrs *find;
	struct mx_list *list;		/* NULL: a UNIX socket */
	size_t	 next;
	struct hop_session *session;	/* being opened, or the kept one that is to be handed out */
	struct buf text;		/* why the last address was of no use */
	char	 dsn[12];
};

struct smtp_hop {
	struct ev_loop *loop;
	const struct smtp_hop_conf *conf;
	struct dns *dns;
	struct hop_sessions kept, leaving;
	unsigned kept_n, leaving_n;
	unsigned sessions;		/* in all: lent, in the lists, and being opened */
	TAILQ_HEAD(, smtp_hop_call) waiting;
	struct ev_defer turn;		/* somebody's turn, perhaps */
	uint64_t opened, reused, failed;
};

static void smtp_hop_try(struct smtp_hop_call *);
static void smtp_hop_start(struct smtp_hop_call *);
static void smtp_hop_turn(void *);

struct smtp_hop *
smtp_hop_new(struct ev_loop *loop, const struct smtp_hop_conf *conf, struct dns *dns)
{
	struct smtp_hop *h = mem_alloc(sizeof *h);

	h->loop = loop;
	h->conf = conf;
	h->dns = dns;
	TAILQ_INIT(&h->kept);
	TAILQ_INIT(&h->leaving);
	TAILQ_INIT(&h->waiting);
	return h;
}

/* sessions in the lists */

/* smtp_hop_gone - one session less */
static void
smtp_hop_gone(struct smtp_hop *h)
{
	h->sessions--;
	if (!TAILQ_EMPTY(&h->waiting))
		ev_defer_set(h->loop, &h->turn, smtp_hop_turn, h);
}

static void
smtp_hop_drop(struct hop_session *s)
{
	struct smtp_hop *h = s->hop;

	if (s->kept) {
		TAILQ_REMOVE(&h->kept, s, link);
		h->kept_n--;
	} else if (s->leaving) {
		TAILQ_REMOVE(&h->leaving, s, link);
		h->leaving_n--;
	}
	ev_timer_cancel(h->loop, &s->idle);
	smtp_client_free(&s->pub.client);
	mem_free(&s);
	smtp_hop_gone(h);
}

void
smtp_hop_free(struct smtp_hop **hp)
{
	struct hop_session *s;

	if (*hp == NULL)
		return;
	while ((s = TAILQ_FIRST(&(*hp)->kept)) != NULL)
		smtp_hop_drop(s);
	while ((s = TAILQ_FIRST(&(*hp)->leaving)) != NULL)
		smtp_hop_drop(s);
	ev_defer_cancel((*hp)->loop, &(*hp)->turn);
	mem_free(hp);
}

static void smtp_hop_keep(struct hop_session *);
static void smtp_hop_leave(struct hop_session *);

static void
smtp_hop_list_ready(void *ctx)
{
	(void) ctx;
}

/* smtp_hop_list_reply - the only thing that is said in the lists, but for QUIT, is RSET */
static void
smtp_hop_list_reply(void *ctx, enum smtp_at at, const struct smtp_reply *r)
{
	struct hop_session *s = ctx;

	(void) at;
	if (!s->rinsing || smtp_client_pending(s->pub.client) > 0)
		return;
	s->rinsing = false;
	if (r->code / 100 == 2) {
		TAILQ_REMOVE(&s->hop->leaving, s, link);
		s->hop->leaving_n--;
		s->leaving = false;
		smtp_hop_keep(s);
	} else
		smtp_client_quit(s->pub.client);
}

static void
smtp_hop_list_ended(void *ctx, enum smtp_client_end end, enum smtp_at at, const struct smtp_reply *r, const char *why)
{
	(void) end;
	(void) at;
	(void) r;
	(void) why;
	smtp_hop_drop(ctx);
}

static const struct smtp_client_ops smtp_hop_list_ops = { smtp_hop_list_ready, smtp_hop_list_reply, smtp_hop_list_ended };

static void
smtp_hop_idle(void *ctx)
{
	struct hop_session *s = ctx;

	TAILQ_REMOVE(&s->hop->kept, s, link);
	s->hop->kept_n--;
	s->kept = false;
	smtp_hop_leave(s);
}

/* smtp_hop_spent - it has carried as many messages as it may, or it is old */
static bool
smtp_hop_spent(const struct hop_session *s)
{
	const struct smtp_hop_conf *conf = s->hop->conf;
	unsigned uses = conf->uses;

	if (conf->exim_uses > 0 && conf->exim_uses < uses && strstr(smtp_client_greeting(s->pub.client), " Exim ") != NULL)
		uses = conf->exim_uses;
	return s->pub.used >= uses || (conf->life_ms > 0 && ev_now_ms(s->hop->loop) - s->opened_ms >= conf->life_ms);
}

/* smtp_hop_keep - for the next message, when there is room for it */
static void
smtp_hop_keep(struct hop_session *s)
{
	struct smtp_hop *h = s->hop;

	if (h->kept_n >= h->conf->idle_max || smtp_hop_spent(s)) {
		smtp_hop_leave(s);
		return;
	}
	TAILQ_INSERT_HEAD(&h->kept, s, link);
	h->kept_n++;
	s->kept = true;
	ev_timer_set(h->loop, &s->idle, h->conf->idle_ms, smtp_hop_idle, s);
	if (!TAILQ_EMPTY(&h->waiting))
		ev_defer_set(h->loop, &h->turn, smtp_hop_turn, h);
}

static void
smtp_hop_leave(struct hop_session *s)
{
	struct smtp_hop *h = s->hop;

	if (h->leaving_n >= HOP_LEAVING_MAX) {
		smtp_hop_drop(s);
		return;
	}
	TAILQ_INSERT_TAIL(&h->leaving, s, link);
	h->leaving_n++;
	s->leaving = true;
	smtp_client_quit(s->pub.client);
}

void
smtp_hop_give(struct smtp_hop *h, struct smtp_hop_session **sp, enum smtp_hop_how how)
{
	struct hop_session *s = (struct hop_session *) *sp;

	*sp = NULL;
	s->pub.used++;
	smtp_client_own(s->pub.client, &smtp_hop_list_ops, s);
	switch (how) {
	case SMTP_HOP_KEEP:
		smtp_hop_keep(s);
		return;
	case SMTP_HOP_RESET:
		if (h->kept_n < h->conf->idle_max && !smtp_hop_spent(s) && h->leaving_n < HOP_LEAVING_MAX &&
		    smtp_client_say(s->pub.client, SMTP_AT_RSET, HOP_RSET_MS, "RSET")) {
			smtp_client_flush(s->pub.client);
			TAILQ_INSERT_TAIL(&h->leaving, s, link);
			h->leaving_n++;
			s->leaving = s->rinsing = true;
			return;
		}
		smtp_hop_leave(s);
		return;
	case SMTP_HOP_QUIT:
		smtp_hop_leave(s);
		return;
	case SMTP_HOP_DROP:
		smtp_hop_drop(s);
		return;
	}
}

/* calls */

static void
smtp_hop_call_free(struct smtp_hop_call *c)
{
	if (c->waiting)
		TAILQ_REMOVE(&c->hop->waiting, c, link);
	if (c->counted)
		smtp_hop_gone(c->hop);
	ev_defer_cancel(c->hop->loop, &c->later);
	hop_addrs_cancel(&c->find);
	mx_list_free(&c->list);
	buf_fini(&c->text);
	mem_free(&c);
}

void
smtp_hop_cancel(struct smtp_hop_call **cp)
{
	if (*cp == NULL)
		return;
	if ((*cp)->session != NULL)
		smtp_hop_drop((*cp)->session);
	smtp_hop_call_free(*cp);
	*cp = NULL;
}

static void
smtp_hop_got(void *ctx)
{
	struct smtp_hop_call *c = ctx;
	struct hop_session *s = c->session;
	const struct smtp_hop_ops *ops = c->ops;
	void   *owner = c->ctx;

	smtp_hop_call_free(c);
	ops->got(owner, &s->pub);
}

static void
smtp_hop_failed(void *ctx)
{
	struct smtp_hop_call *c = ctx;
	const struct smtp_hop_ops *ops = c->ops;
	struct buf text = c->text;
	char	dsn[sizeof c->dsn];
	void   *owner = c->ctx;

	c->hop->failed++;
	memcpy(dsn, c->dsn, sizeof dsn);
	buf_init(&c->text, 1);
	smtp_hop_call_free(c);
	ops->failed(owner, dsn, buf_str(&text));
	buf_fini(&text);
}

static void
smtp_hop_open_ready(void *ctx)
{
	smtp_hop_got(ctx);
}

static void
smtp_hop_open_reply(void *ctx, enum smtp_at at, const struct smtp_reply *r)
{
	(void) ctx;
	(void) at;
	(void) r;
}

/* smtp_hop_open_ended - this address is of no use: no mail is at stake yet, so whatever it was, the next may do */
static void
smtp_hop_open_ended(void *ctx, enum smtp_client_end end, enum smtp_at at, const struct smtp_reply *r, const char *why)
{
	struct smtp_hop_call *c = ctx;
	struct smtp_said said = { .host = c->session->pub.host, .port = c->session->pub.port, .compact = true, .max = 500 };
	bool	was_kept;

	buf_reset(&c->text);
	strlcpy(c->dsn, smtp_said_end(&c->text, &said, end, at, r, why), sizeof c->dsn);
	if (r != NULL && end == SMTP_END_REFUSED)
		smtp_reply_dsn(r, c->dsn, sizeof c->dsn);
	was_kept = c->session->pub.used > 0;
	c->hop->sessions++;			/* our place is not for others: the next address is tried */
	c->counted = true;
	smtp_hop_drop(c->session);
	c->session = NULL;
	ev_defer_cancel(c->hop->loop, &c->later);
	if (was_kept)
		smtp_hop_start(c);
	else
		smtp_hop_try(c);
}

static const struct smtp_client_ops smtp_hop_open_ops = { smtp_hop_open_ready, smtp_hop_open_reply, smtp_hop_open_ended };

/* smtp_hop_open - a session with this address, or with the UNIX socket */
static void
smtp_hop_open(struct smtp_hop_call *c, const struct mx_addr *addr)
{
	const struct smtp_hop_conf *conf = c->hop->conf;
	struct smtp_client_to to = { .addr = addr, .port = conf->to.port, .path = conf->to.is_unix ? conf->to.host : NULL,
	    .name = addr != NULL && hop_addrs_is_name(&conf->to) ? conf->to.host : NULL };
	struct hop_session *s = mem_alloc(sizeof *s);
	char	text[INET6_ADDRSTRLEN];

	c->hop->opened++;
	c->counted = false;			/* it is the session that counts now */
	s->hop = c->hop;
	s->opened_ms = ev_now_ms(c->hop->loop);
	s->pub.port = addr != NULL ? to.port : 0;
	if (addr != NULL)
		snprintf(s->pub.host, sizeof s->pub.host, "%.200s[%s]", conf->to.host, mx_addr_text(addr, text, sizeof text));
	else
		snprintf(s->pub.host, sizeof s->pub.host, "%.250s", conf->to.host);
	c->session = s;
	s->pub.client = smtp_client_open(c->hop->loop, &conf->client, &to, &smtp_hop_open_ops, c);
}

/* smtp_hop_try - the next address; failed when there is none */
static void
smtp_hop_try(struct smtp_hop_call *c)
{
	size_t	i = c->next++;

	if (c->list == NULL && i == 0)
		smtp_hop_open(c, NULL);
	else if (c->list != NULL && i < c->list->n)
		smtp_hop_open(c, &c->list->host[i].addr);
	else
		ev_defer_set(c->hop->loop, &c->later, smtp_hop_failed, c);
}

static void
smtp_hop_found(void *ctx, struct mx_list *list, const char *dsn, const char *text)
{
	struct smtp_hop_call *c = ctx;

	c->find = NULL;
	c->list = list;
	if (list != NULL) {
		smtp_hop_try(c);
		return;
	}
	strlcpy(c->dsn, dsn, sizeof c->dsn);
	buf_reset(&c->text);
	buf_adds(&c->text, text);
	ev_defer_set(c->hop->loop, &c->later, smtp_hop_failed, c);
}

/* smtp_hop_start - open a session: the addresses first */
static void
smtp_hop_start(struct smtp_hop_call *c)
{
	struct smtp_hop *h = c->hop;

	if (h->conf->to.is_unix)
		smtp_hop_try(c);
	else
		c->find = hop_addrs_find(h->loop, h->dns, &h->conf->to, h->conf->ipv4, h->conf->ipv6, smtp_hop_found, c);
}

/* smtp_hop_begin - a kept session, or a new one as far as the limit allows; false: neither */
static bool
smtp_hop_begin(struct smtp_hop_call *c)
{
	struct smtp_hop *h = c->hop;
	struct hop_session *s = TAILQ_FIRST(&h->kept);

	if (s != NULL && !c->fresh) {
		TAILQ_REMOVE(&h->kept, s, link);
		h->kept_n--;
		s->kept = false;
		ev_timer_cancel(h->loop, &s->idle);
		h->reused++;
		c->session = s;
		smtp_client_own(s->pub.client, &smtp_hop_open_ops, c);	/* it may end before it is handed out */
		ev_defer_set(h->loop, &c->later, smtp_hop_got, c);
		return true;
	}
	if (s != NULL && h->conf->sessions_max > 0 && h->sessions >= h->conf->sessions_max)
		smtp_hop_drop(s);			/* a fresh one is wanted: in its place */
	if (h->conf->sessions_max > 0 && h->sessions >= h->conf->sessions_max)
		return false;
	h->sessions++;
	c->counted = true;
	smtp_hop_start(c);
	return true;
}

/* smtp_hop_turn - a session has become free, or is gone: for those that wait, in order */
static void
smtp_hop_turn(void *ctx)
{
	struct smtp_hop *h = ctx;
	struct smtp_hop_call *c;

	while ((c = TAILQ_FIRST(&h->waiting)) != NULL && smtp_hop_begin(c)) {
		TAILQ_REMOVE(&h->waiting, c, link);
		c->waiting = false;
	}
}

struct smtp_hop_call *
smtp_hop_take(struct smtp_hop *h, bool fresh, const struct smtp_hop_ops *ops, void *ctx)
{
	struct smtp_hop_call *c = mem_alloc(sizeof *c);

	c->hop = h;
	c->ops = ops;
	c->ctx = ctx;
	c->fresh = fresh;
	buf_init(&c->text, 4 * SMTP_REPLY_TEXT_MAX);
	if (!TAILQ_EMPTY(&h->waiting) || !smtp_hop_begin(c)) {
		TAILQ_INSERT_TAIL(&h->waiting, c, link);
		c->waiting = true;
	}
	return c;
}

void
smtp_hop_stat(const struct smtp_hop *h, struct smtp_hop_stat *s)
{
	*s = (struct smtp_hop_stat) { .opened = h->opened, .reused = h->reused, .failed = h->failed, .idle = h->kept_n,
	    .sessions = h->sessions };
}
