/* daemons/probe/session.c - sessions with servers, and what their answers do to probes and manners */
#include "prober_int.h"

#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/siphash.h>

#define WEEK_S	604800

static void session_next(struct session *);

static bool
session_waited_for(const struct session *s)
{
	const struct peer *p = &s->peer;

	return !TAILQ_EMPTY(&p->host->waiters.head) || !TAILQ_EMPTY(&s->dest->pr->session_room.head) ||
	    (p->provider != NULL && !TAILQ_EMPTY(&p->provider->waiters.head));
}

/* life */

static void
session_busy(struct session *s)
{
	ev_timer_cancel(s->dest->pr->loop, &s->timer);
	if (s->is_idle)
		TAILQ_REMOVE(&s->dest->pr->idle_sessions, s, idle);
	s->is_idle = false;
}

/* session_release - the place is free: those who wait for it may try */
static void
session_release(struct session *s)
{
	struct dest *d = s->dest;
	struct prober *pr = d->pr;

	LIST_REMOVE(s, link);
	d->sessions_n--;
	d->quitting_n -= s->quitting;
	pr->stat.sessions--;
	manners_close(&s->peer);
	prober_wake(pr, &s->peer.host->waiters);
	if (s->peer.provider != NULL)
		prober_wake(pr, &s->peer.provider->waiters);
	prober_wake(pr, &pr->session_room);
	manners_unref(pr->manners, &s->peer);
	if (!TAILQ_EMPTY(&d->queue))
		dest_ready(d);
	else
		dest_idle_check(d);
}

void
session_free(struct session *s)
{
	session_busy(s);
	smtp_dialogue_free(&s->dialogue);
	session_release(s);
	mem_free(&s->relay);
	mem_free(&s);
}

void
session_quit(struct session *s)
{
	if (s->quitting)
		return;
	s->quitting = true;
	s->dest->quitting_n++;
	session_busy(s);
	smtp_dialogue_quit(s->dialogue);
}

void
session_make_room(struct prober *pr, const struct wait_list *w)
{
	struct session *s;

	TAILQ_FOREACH(s, &pr->idle_sessions, idle)
		if (w == &pr->session_room || w == &s->peer.host->waiters ||
		    (s->peer.provider != NULL && w == &s->peer.provider->waiters)) {
			session_quit(s);
			return;
		}
}

static void
session_idle(void *ctx)
{
	session_quit(ctx);
}

static void
session_ready(void *ctx)
{
	struct session *s = ctx;
	struct prober *pr = s->dest->pr;

	s->ready = true;
	manners_reached(s->peer.host);
	backoff_clear(&s->dest->down);
	if (s->probe != NULL) {
		if (s->probe->sessions < 255)
			s->probe->sessions++;
		s->asked_ms = ev_now_ms(pr->loop);
	} else
		session_next(s);
}

/* session_next - after an answer: a further question, or the end */
static void
session_next(struct session *s)
{
	struct dest *d = s->dest;
	const struct prober_conf *c = d->pr->conf;
	unsigned limit = d->own ? c->own_session_probes : c->session_probes;

	if (d->session_probes != 0 && d->session_probes < limit)
		limit = d->session_probes;
	if (s->quitting)
		return;
	if (smtp_dialogue_over(s->dialogue) || s->asked >= limit || s->rejected >= c->session_rejects ||
	    ev_now_ms(d->pr->loop) - s->born_ms >= c->session_age_ms || (TAILQ_EMPTY(&d->queue) && session_waited_for(s)))
		session_quit(s);
	else {
		ev_timer_set(d->pr->loop, &s->timer, d->own ? c->own_idle_ms : c->idle_ms, session_idle, s);
		if (!s->is_idle)
			TAILQ_INSERT_TAIL(&d->pr->idle_sessions, s, idle);
		s->is_idle = true;
		if (!TAILQ_EMPTY(&d->queue))
			dest_ready(d);
		else
			smtp_dialogue_rest(s->dialogue);
	}
}

/* questions */

/* session_random - an address that cannot exist, the same for a week, so that repeated checks do not spray new names */
static char *
session_random(struct session *s, const char *domain)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	const struct prober_conf *c = s->dest->pr->conf;
	struct siphash_key key = { 0x766f756368, (uint64_t) (ev_wall_s(s->dest->pr->loop) / WEEK_S) };
	uint64_t h;
	char	local[16] = "vouch";

	key.k0 ^= siphash(&key, c->catchall_key, strlen(c->catchall_key));
	h = siphash(&key, domain, strlen(domain));
	for (size_t i = 0; i < 10; i++, h >>= 5)
		local[5 + i] = digits[h & 31];
	local[15] = 0;
	return mem_printf("%s@%s", local, domain);
}

void
session_ask(struct session *s, unsigned target, struct probe *p)
{
	struct dest *d = s->dest;
	struct prober *pr = d->pr;
	const struct prober_conf *c = pr->conf;
	int64_t now = ev_now_ms(pr->loop);
	const char *domain = strrchr(p->rcpt, '@') + 1, *other = NULL;
	struct smtp_dialogue_question q = {
		.rcpt = p->rcpt, .domain = domain, .sender = p->sender->text, .utf8 = p->utf8,
		.data = d->lmtp ? c->lmtp_data_target : d->own && c->data_target,
	};
	char   *random = NULL;

	session_busy(s);
	TAILQ_REMOVE(&d->queue, p, link);
	pr->stat.waiting--;
	pr->stat.asked++;
	p->state = PROBE_ASKED;
	p->session = s;
	s->probe = p;
	s->target = target;
	s->backup = d->target[target].backup;
	s->asked_ms = now;
	if (s->ready && p->sessions < 255)
		p->sessions++;
	probe_begin(p);
	manners_take(pr->manners, &s->peer);
	if (!d->own && c->domain_rate > 0)
		bucket_take(&d->bucket);
	if (c->sender_fallback)
		other = q.sender[0] != 0 ? "" : c->other_sender[0] != 0 ? c->other_sender : NULL;
	if (other != NULL && d->sender_until_ms > now) {
		q.other_sender = q.sender;
		q.sender = other;
	} else
		q.other_sender = other;
	if (!d->own && c->catchall != CATCHALL_OFF && d->catchall_until_ms <= now &&
	    (c->catchall == CATCHALL_ALWAYS || d->catchall == CATCHALL_UNKNOWN) && domain[0] != '[')
		q.random = random = session_random(s, domain);
	smtp_dialogue_ask(s->dialogue, &q);
	mem_free(&random);
}

/* answers */

/* session_result - what is to be reported if this answer is the last one */
static struct result *
session_result(struct session *s, const struct smtp_dialogue_answer *a)
{
	const struct prober_conf *c = s->dest->pr->conf;
	enum verify_status status = a->class.status;
	const char *tls;
	struct result *r;

	if (status == VERIFY_OK && a->catchall == CATCHALL_YES)
		status = c->catchall_status;
	r = result_new(status, a->class.cat, a->class.rule, a->dsn, s->relay, a->text);
	r->at = a->at;
	r->code = a->code;
	r->backup_mx = s->backup;
	r->elsewhere = a->class.then == SMTP_THEN_ELSEWHERE && status == VERIFY_BOUNCE;
	r->catchall = a->catchall;
	r->asked = s->asked;
	if ((tls = smtp_dialogue_tls(s->dialogue)) != NULL)
		r->tls = mem_strdup(tls);
	return r;
}

/* session_tls_broken - TLS spoiled it; at level may the same server is asked in clear */
static bool
session_tls_broken(const struct session *s, const struct smtp_dialogue_answer *a)
{
	if (a->asked || s->encrypt || s->ready || a->end == SMTP_END_REFUSED)
		return false;
	return a->end == SMTP_END_TLS || smtp_dialogue_tls(s->dialogue) != NULL;
}

/* session_brake - refused again: by so many, and by more than answer us, that it must be us? (Three domains that say so
 * are quickly set up; they must not stop all probes.) */
static void
session_brake(struct prober *pr, const char *text)
{
	const struct prober_conf *c = pr->conf;
	int64_t now = ev_now_ms(pr->loop);
	unsigned others, blocked;

	if (c->brake_providers == 0 || pr->brake_until_ms > now)
		return;
	blocked = manners_blocked(pr->manners, now, c->brake_window_ms, &others);
	if (blocked < c->brake_providers || blocked <= others)
		return;
	pr->brake_until_ms = now + c->brake_ms;
	msg_warn("%u mail providers refuse to answer us: no probes in the Internet for %lld minutes; is this host on a "
	    "blocklist? last: %s", blocked, (long long) c->brake_ms / 60000, text);
}

/* session_learn - manners and knowledge of the destination */
static void
session_learn(struct session *s, const struct smtp_dialogue_answer *a)
{
	struct dest *d = s->dest;
	struct prober *pr = d->pr;
	const struct prober_conf *c = pr->conf;
	int64_t now = ev_now_ms(pr->loop);
	enum smtp_cat cat = a->class.cat;

	if (a->asked || a->end == SMTP_END_REFUSED)
		manners_answer(pr->manners, &s->peer, cat, a->text, now);
	if (!d->own && cat == SMTP_CAT_POLICY)
		session_brake(pr, a->text);
	if (!a->asked) {
		if (!s->ready && (a->end == SMTP_END_CONNECT || a->end == SMTP_END_TIMEOUT)) {
			pr->stat.connect_failures++;
			manners_failed(pr->manners, s->peer.host, a->text, now);
		}
		if (session_tls_broken(s, a))
			s->peer.host->plain_until_ms = now + c->plain_ms;
		return;
	}
	if (now - s->asked_ms > c->slow_ms)
		s->peer.host->slow_until_ms = now + c->slow_hold_ms;
	if (a->class.status == VERIFY_BOUNCE || cat == SMTP_CAT_POLICY)
		s->rejected++;
	if (a->other_sender_used && a->class.status != VERIFY_DEFER)
		d->sender_until_ms = d->sender_until_ms > now ? 0 : now + c->sender_ms;
	if (a->catchall != CATCHALL_UNKNOWN) {
		d->catchall = a->catchall;
		d->catchall_until_ms = now + c->catchall_ms;
	}
}

static bool
session_more_targets(const struct probe *p)
{
	const struct prober_conf *c = p->pr->conf;

	for (size_t i = 0; i < p->dest->targets_n; i++)
		if ((p->tried & 1u << i) == 0 && (!c->best_mx_only || !p->dest->target[i].backup))
			return true;
	return false;
}

/* session_answer_next - whether the probe goes on to another server after this answer; `result` is kept for the end */
static bool
session_answer_next(struct session *s, struct probe *p, const struct smtp_dialogue_answer *a)
{
	struct dest *d = s->dest;
	const struct prober_conf *c = d->pr->conf;
	int64_t now = ev_now_ms(d->pr->loop);
	bool	fresh = s->asked <= 1;			/* nothing preceded in this session */
	bool	soft = a->class.status == VERIFY_DEFER;

	/* a session that broke, or was busy, because of others is no answer about this address */
	if (!fresh && !p->afresh && (a->class.then == SMTP_THEN_AFRESH || (a->code == 421 && a->asked) ||
	    (!a->asked && (a->end == SMTP_END_LOST || a->end == SMTP_END_QUIT)))) {
		if (a->class.cat == SMTP_CAT_RATE)
			d->session_probes = s->asked > 2 ? s->asked / 2 : 1;
		p->afresh = true;
		return true;
	}
	if (session_tls_broken(s, a))
		return true;				/* the same server in clear: see session_learn */
	if (a->class.then == SMTP_THEN_TLS && c->tls_demand && !s->encrypt && !p->need_tls &&
	    c->client.tls_ctx != NULL) {
		p->need_tls = true;
		return true;
	}
	p->tried |= 1u << s->target;
	switch (a->class.then) {
	case SMTP_THEN_FINAL:
	case SMTP_THEN_GREY:
	case SMTP_THEN_AGAIN:
		return false;
	case SMTP_THEN_AFRESH:
		return false;				/* in a fresh session: an answer */
	case SMTP_THEN_ELSEWHERE:
		break;
	case SMTP_THEN_FAMILY:
		for (size_t i = 0; i < d->targets_n; i++)
			if (d->target[i].addr.ipv6 == d->target[s->target].addr.ipv6)
				p->tried |= 1u << i;
		break;
	case SMTP_THEN_NEXT:
	case SMTP_THEN_TLS:
	case SMTP_THEN_PLAIN:
	case SMTP_THEN_SENDER:
		if (!soft)
			return false;
		break;
	}
	if (c->attempt_sessions > 0 && p->sessions >= c->attempt_sessions)
		return false;
	if (now - p->began_ms >= c->attempt_ms || (!p->again && now - p->born_ms >= c->deadline_ms))
		return false;
	return session_more_targets(p);
}

/* session_all_down - no server of the destination could be reached in this attempt */
static void
session_all_down(struct probe *p, const struct smtp_dialogue_answer *a)
{
	struct prober *pr = p->pr;
	struct dest *d = p->dest;

	if (d->own || a->asked || a->end != SMTP_END_CONNECT || p->sessions > 0 || session_more_targets(p))
		return;
	mem_free(&d->why);
	d->why = mem_strdup(a->text);
	backoff_hit(&d->down, pr->conf->down_ms, pr->conf->down_max_ms, ev_now_ms(pr->loop));
}

static void
session_answer(void *ctx, const struct smtp_dialogue_answer *a)
{
	struct session *s = ctx;
	struct probe *p = s->probe;
	struct result *r;

	s->probe = NULL;
	p->session = NULL;
	s->asked++;
	session_learn(s, a);
	r = session_result(s, a);
	if (session_answer_next(s, p, a)) {
		probe_keep(p, &r);
		probe_wait(p, true);
	} else {
		session_all_down(p, a);
		probe_keep(p, &r);
		probe_wait(p, true);		/* out of the session, as any other that is reported */
		probe_finish(p, p->result->elsewhere || p->result->status != a->class.status ? SMTP_THEN_FINAL : a->class.then);
	}
	/* after "354" nothing more may be said */
	if (a->at == SMTP_AT_DATA && a->code / 100 == 3)
		session_free(s);
	else if (!a->ended)
		session_next(s);
}

static void
session_ended(void *ctx, enum smtp_client_end end, const char *text)
{
	struct session *s = ctx;

	(void) end;
	(void) text;
	session_free(s);
}

static const struct smtp_dialogue_ops session_ops = { session_ready, session_answer, session_ended };

struct session *
session_open(struct dest *d, unsigned target, struct probe *p)
{
	struct prober *pr = d->pr;
	const struct prober_conf *c = pr->conf;
	const struct target *t = &d->target[target];
	struct session *s = mem_alloc(sizeof *s);
	enum smtp_tls_level tls = d->lmtp ? c->lmtp_tls : c->tls;
	char	addr[INET6_ADDRSTRLEN];
	struct mx_addr literal;
	struct smtp_dialogue_to to = {
		.client = { .addr = &t->addr, .port = t->port, .path = t->path }, .host = t->name,
	};

	if (c->tls_demand)
		tls = p->need_tls ? SMTP_TLS_ENCRYPT : SMTP_TLS_NONE;
	else if (tls == SMTP_TLS_MAY && t->peer.host->plain_until_ms > ev_now_ms(pr->loop))
		tls = SMTP_TLS_NONE;
	if (t->path == NULL && !mx_addr_parse(t->name, &literal))
		to.client.name = t->name;
	s->encrypt = tls == SMTP_TLS_ENCRYPT;
	s->dest = d;
	s->born_ms = ev_now_ms(pr->loop);
	s->peer = manners_peer(pr->manners, &t->addr, t->port, t->path, t->name, d->own);
	s->relay = t->path != NULL ? mem_printf("%s[%s]", t->name, t->path) :
	    mem_printf("%s[%s]:%u", t->name, mx_addr_text(&t->addr, addr, sizeof addr), t->port);
	manners_open(&s->peer);
	LIST_INSERT_HEAD(&d->sessions, s, link);
	d->sessions_n++;
	pr->stat.sessions++;
	pr->stat.sessions_opened++;
	s->dialogue = smtp_dialogue_open(pr->loop, &pr->dialogue[d->own][d->lmtp][tls], &to, &session_ops, s);
	session_ask(s, target, p);
	return s;
}
