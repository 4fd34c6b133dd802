/* daemons/probe/dest.c - destinations: their servers, and which of them is asked next
 * A destination with something to do stands in pr->ready; dest_run gives its probes to sessions until it is empty or has
 * to wait. What it waits for is one list (room in a host, at a provider, in the process), one timer (a token), its
 * own look-up, or one of its own sessions; whoever makes room wakes the first of the list.
 */
#include "prober_int.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <global/probe_text.h>
#include <util/mem.h>
#include <util/msg.h>
#include <global/nexthop.h>

#define TARGETS_MIN_MS	60000
#define TARGETS_FAIL_MS	5000		/* a destination without servers is looked up again after so long */

int
dest_cmp(const struct dest *a, const struct dest *b)
{
	if (a->own != b->own)
		return a->own ? 1 : -1;
	return strcmp(a->key, b->key);
}

/* life */

static void
dest_targets_clear(struct dest *d)
{
	for (size_t i = 0; i < d->targets_n; i++) {
		manners_unref(d->pr->manners, &d->target[i].peer);
		mem_free(&d->target[i].name);
		mem_free(&d->target[i].path);
	}
	mem_free(&d->target);
	d->targets_n = 0;
	result_free(&d->failure);
}

void
dest_free(struct dest *d)
{
	struct prober *pr = d->pr;

	if (d->is_idle) {
		TAILQ_REMOVE(&pr->idle, d, idle);
		pr->idle_n--;
	}
	wait_off(&d->wait);
	ev_timer_cancel(pr->loop, &d->timer);
	if (d->lookup != NULL)
		pr->stat.lookups--;
	mx_cancel(&d->lookup);
	dest_targets_clear(d);
	RB_REMOVE(dest_tree, &pr->dests, d);
	pr->stat.destinations--;
	mem_free(&d->why);
	mem_free(&d);
}

/* dest_idle_check - nobody needs it: keep what it knows as long as there is room for that */
void
dest_idle_check(struct dest *d)
{
	struct prober *pr = d->pr;

	if (d->is_idle || d->refs > 0 || d->sessions_n > 0 || d->lookup != NULL)
		return;
	wait_off(&d->wait);
	ev_timer_cancel(pr->loop, &d->timer);
	TAILQ_INSERT_TAIL(&pr->idle, d, idle);
	d->is_idle = true;
	pr->idle_n++;
	while (pr->idle_n > pr->conf->dest_limit && !pr->closing)
		dest_free(TAILQ_FIRST(&pr->idle));
}

struct dest *
dest_get(struct prober *pr, const struct route *r)
{
	size_t	nt = strlen(r->transport), nh = strlen(r->nexthop);
	struct dest *key = mem_alloc(sizeof *key + nt + nh + 2), *d;

	snprintf(key->key, nt + nh + 2, "%s:%s", r->transport, r->nexthop);
	key->nexthop = key->key + nt + 1;
	key->own = r->own;
	if ((d = RB_FIND(dest_tree, &pr->dests, key)) != NULL) {
		mem_free(&key);
		if (d->is_idle) {
			TAILQ_REMOVE(&pr->idle, d, idle);
			pr->idle_n--;
			d->is_idle = false;
		}
	} else {
		d = key;
		d->pr = pr;
		d->lmtp = r->kind == ROUTE_LMTP;
		TAILQ_INIT(&d->queue);
		LIST_INIT(&d->sessions);
		RB_INSERT(dest_tree, &pr->dests, d);
		pr->stat.destinations++;
	}
	d->refs++;
	return d;
}

void
dest_unref(struct dest **dp)
{
	struct dest *d = *dp;

	*dp = NULL;
	d->refs--;
	dest_idle_check(d);
}

void
dest_ready(struct dest *d)
{
	if (d->wait.on == &d->pr->ready)
		return;
	wait_on(&d->pr->ready, &d->wait);
	prober_kick(d->pr);
}

/* waiting */

static bool
prober_has_room(struct prober *pr, struct wait_list *w)
{
	if (w == &pr->session_room)
		return pr->stat.sessions < pr->conf->session_limit;
	if (w == &pr->lookup_room)
		return pr->stat.lookups < pr->conf->lookup_limit;
	return manners_has_room(pr->manners, w, ev_now_ms(pr->loop));
}

void
prober_wake(struct prober *pr, struct wait_list *w)
{
	struct wait_link *l = wait_first(w);
	struct dest *d;

	if (l == NULL || !prober_has_room(pr, w))
		return;
	d = (struct dest *) ((char *) l - offsetof(struct dest, wait));
	d->woken_by = w;
	dest_ready(d);
}

static void
dest_timer(void *ctx)
{
	dest_ready(ctx);
}

/* servers */

static void
dest_target_add(struct dest *d, const struct mx_addr *addr, unsigned port, const char *path, const char *name, uint32_t pref,
    bool backup)
{
	struct prober *pr = d->pr;
	struct target *t;

	if (d->targets_n >= TARGET_MAX)
		return;
	if (!d->own && pr->conf->never != NULL && domain_list_match(pr->conf->never, name))
		return;
	if (d->target == NULL || (d->targets_n & (d->targets_n - 1)) == 0)
		d->target = mem_grow(d->target, d->targets_n > 0 ? 2 * d->targets_n : 1, sizeof *d->target);
	t = &d->target[d->targets_n++];
	*t = (struct target) { .port = port, .pref = pref, .backup = backup, .name = mem_strdup(name) };
	if (addr != NULL)
		t->addr = *addr;
	if (path != NULL)
		t->path = mem_strdup(path);
	t->peer = manners_peer(pr->manners, addr, port, path, name, d->own);
}

static void dest_lookup_next(struct dest *);

static void
dest_lookup_end(struct dest *d)
{
	struct prober *pr = d->pr;
	int64_t ms = (int64_t) d->ttl_s * 1000;

	if (d->targets_n == 0 && d->failure == NULL)
		d->failure = result_new(VERIFY_DEFER, SMTP_CAT_CONFIG, "no-server", "4.3.5", NULL, "no server to ask");
	if (d->targets_n > 0)
		result_free(&d->failure);
	if (d->failure != NULL)
		ms = TARGETS_FAIL_MS;
	else if (ms < TARGETS_MIN_MS)
		ms = TARGETS_MIN_MS;
	d->targets_until_ms = ev_now_ms(pr->loop) + ms;
	dest_ready(d);
}

static void
dest_looked_up(void *ctx, const struct mx_answer *a)
{
	struct dest *d = ctx;
	struct mx_list *list = a->list;
	uint32_t base = d->hops << 16;

	d->lookup = NULL;
	d->pr->stat.lookups--;
	prober_wake(d->pr, &d->pr->lookup_room);
	if (list == NULL) {
		result_free(&d->failure);
		d->failure = result_new(a->status, a->cat, smtp_cat_name(a->cat), a->dsn, NULL, a->text);
	} else {
		for (size_t i = 0; i < list->n; i++)
			dest_target_add(d, &list->host[i].addr, d->hop_port, NULL, list->host[i].name, base | list->host[i].pref,
			    list->host[i].backup);
		if (list->ttl_s < d->ttl_s)
			d->ttl_s = list->ttl_s;
		if (d->targets_n == 0) {
			result_free(&d->failure);
			d->failure = result_new(VERIFY_DEFER, SMTP_CAT_SUSPENDED, "never", "4.7.0", NULL, PROBE_TEXT_NEVER_MX);
		}
	}
	mx_list_free(&list);
	d->hops++;
	dest_lookup_next(d);
}

/* dest_lookup_next - the next element of the next hop; from dest_run or a callback of the resolver */
static void
dest_lookup_next(struct dest *d)
{
	struct prober *pr = d->pr;
	struct mx_want want = { .own_route = d->own };
	struct nexthop nh;
	const char *item, *why;
	size_t	n;

	while (d->targets_n < TARGET_MAX && (item = nexthop_next(&d->hop, &n)) != NULL) {
		if (!nexthop_parse(item, n, &nh, &why))
			continue;			/* routing has checked it */
		if (nh.is_unix) {
			dest_target_add(d, NULL, 0, nh.host, pr->conf->client.helo, d->hops++ << 16, false);
			continue;
		}
		d->hop_port = nh.port != 0 ? nh.port : d->lmtp ? 24 : pr->conf->smtp_port;
		want.domain = nh.host;
		want.direct = nh.direct || d->lmtp;
		want.self_check = d->hop_port == 25 && !d->lmtp;
		d->lookup = mx_lookup(pr->dns, &pr->conf->mx, &want, dest_looked_up, d);
		pr->stat.lookups++;
		return;
	}
	dest_lookup_end(d);
}

/* dest_lookup - have the servers of the destination found out; false: it waits, for this or for room to do it */
static bool
dest_targets(struct dest *d)
{
	struct prober *pr = d->pr;
	int64_t now = ev_now_ms(pr->loop);

	if (d->lookup != NULL)
		return false;
	if ((d->targets_n > 0 || d->failure != NULL) && (d->attempts > 0 || now < d->targets_until_ms))
		return true;
	if (pr->stat.lookups >= pr->conf->lookup_limit) {
		wait_on(&pr->lookup_room, &d->wait);
		return false;
	}
	dest_targets_clear(d);
	d->hop = d->nexthop;
	d->hops = 0;
	d->ttl_s = 3600;
	dest_lookup_next(d);
	return false;
}

/* choice */

struct result *
dest_suspended(struct dest *d, int64_t until_ms, const char *why)
{
	struct prober *pr = d->pr;
	time_t	until = (time_t) (ev_wall_s(pr->loop) + (until_ms - ev_now_ms(pr->loop) + 999) / 1000);
	char	when[20], text[DIALOGUE_TEXT_MAX];
	struct tm tm;

	strftime(when, sizeof when, "%H:%M:%S", localtime_r(&until, &tm));
	snprintf(text, sizeof text, PROBE_TEXT_SUSPENDED, d->nexthop, when, why);
	return result_new(VERIFY_DEFER, SMTP_CAT_SUSPENDED, "suspended", "4.7.0", NULL, text);
}

enum dest_choice { CHOICE_SESSION, CHOICE_OPEN, CHOICE_WAIT, CHOICE_NONE };

struct dest_chosen {
	struct session *session;
	unsigned target;
	struct wait_list *wait;		/* NULL: one of our own sessions, or the timer */
	int64_t	 wait_ms;
};

static struct session *
dest_idle_session(struct dest *d, unsigned target, const struct probe *p)
{
	struct session *s;

	LIST_FOREACH(s, &d->sessions, link)
		if (s->ready && !s->quitting && s->probe == NULL && s->peer.host == d->target[target].peer.host &&
		    !smtp_dialogue_over(s->dialogue) && !p->afresh && p->need_tls <= s->encrypt)
			return s;
	return NULL;
}

/* dest_make_room - all our sessions are in use: one that is idle, and no good for this probe, makes room for another */
static void
dest_make_room(struct dest *d)
{
	struct session *s;

	if (d->quitting_n > 0)
		return;
	LIST_FOREACH(s, &d->sessions, link)
		if (s->ready && !s->quitting && s->probe == NULL) {
			session_quit(s);
			return;
		}
}

/* dest_passed_over - the target is out of the question now: with the reason, if there is no better result */
static bool
dest_passed_over(struct dest *d, unsigned i, struct probe *p, int64_t now)
{
	struct target *t = &d->target[i];
	struct result *r = NULL;
	const char *why = "";
	int64_t until;

	if (d->pr->conf->best_mx_only && t->backup)
		return true;
	/* an attempt under way goes on to the other servers; new ones do not begin */
	if (!p->attempt && (until = manners_suspended(&t->peer, now, &why)) != 0)
		r = dest_suspended(d, until, why);
	else if (backoff_on(&t->peer.host->dead, now))
		r = result_new(VERIFY_DEFER, SMTP_CAT_NETWORK, "known-dead", "4.4.1", NULL, t->peer.host->why);
	if (r == NULL)
		return false;
	if (p->result == NULL)
		probe_keep(p, &r);
	result_free(&r);
	return true;
}

static enum dest_choice
dest_choose(struct dest *d, struct probe *p, struct dest_chosen *c)
{
	struct prober *pr = d->pr;
	int64_t now = ev_now_ms(pr->loop), wait_ms;
	unsigned limit = d->own ? pr->conf->own_dest_sessions : pr->conf->dest_sessions, fewest = 0;
	bool	found = false, can_open = false;
	uint32_t pref = 0;
	struct wait_list *w;

	memset(c, 0, sizeof *c);
	for (unsigned i = 0; i < d->targets_n; i++) {
		struct target *t = &d->target[i];

		if (found && t->pref > pref)
			break;				/* those of equal preference share the work; the others are for later */
		if ((p->tried & 1u << i) != 0 || dest_passed_over(d, i, p, now))
			continue;
		if (!found)
			c->wait_ms = INT64_MAX;
		found = true;
		pref = t->pref;
		if ((wait_ms = manners_token(pr->manners, &t->peer, now)) > 0) {
			if (wait_ms < c->wait_ms)
				c->wait_ms = wait_ms;
			continue;
		}
		if ((c->session = dest_idle_session(d, i, p)) != NULL) {
			c->target = i;
			return CHOICE_SESSION;
		}
		if (d->sessions_n >= limit)
			continue;
		w = pr->stat.sessions >= pr->conf->session_limit ? &pr->session_room : manners_room(pr->manners, &t->peer, now);
		if (w != NULL) {
			if (c->wait == NULL)
				c->wait = w;
			continue;
		}
		if (!can_open || t->peer.host->sessions < fewest) {
			c->target = i;
			fewest = t->peer.host->sessions;
			can_open = true;
		}
	}
	return can_open ? CHOICE_OPEN : found ? CHOICE_WAIT : CHOICE_NONE;
}

/* dest_blocked - nothing of this destination can be asked now: why; NULL: it can */
static struct result *
dest_blocked(struct dest *d)
{
	struct prober *pr = d->pr;
	int64_t now = ev_now_ms(pr->loop);

	if (!d->own && pr->brake_until_ms > now)
		return dest_suspended(d, pr->brake_until_ms, "too many mail providers refuse to answer us");
	if (backoff_on(&d->down, now))
		return dest_suspended(d, d->down.until_ms, d->why);
	return NULL;
}

/* dest_result - a copy, for one of many probes */
static struct result *
dest_result(const struct result *from)
{
	return result_new(from->status, from->cat, from->rule, from->dsn, from->relay, from->text);
}

/* dest_step - one probe; false when the destination has to wait */
static bool
dest_step(struct dest *d, struct probe *p)
{
	struct prober *pr = d->pr;
	const struct prober_conf *conf = pr->conf;
	struct dest_chosen c;
	struct result *r;
	int64_t wait_ms;

	if (!p->attempt && (r = dest_blocked(d)) != NULL) {
		probe_keep(p, &r);
		probe_finish(p, SMTP_THEN_FINAL);
		return true;
	}
	if (!dest_targets(d))
		return false;
	if (d->targets_n == 0) {
		r = dest_result(d->failure);
		probe_keep(p, &r);
		probe_finish(p, SMTP_THEN_FINAL);
		return true;
	}
	wait_ms = d->own ? 0 : bucket_wait(&d->bucket, conf->domain_rate, conf->domain_burst, ev_now_ms(pr->loop));
	if (wait_ms > 0) {
		ev_timer_set(pr->loop, &d->timer, wait_ms, dest_timer, d);
		return false;
	}
	switch (dest_choose(d, p, &c)) {
	case CHOICE_SESSION:
		session_ask(c.session, c.target, p);
		return true;
	case CHOICE_OPEN:
		session_open(d, c.target, p);
		return true;
	case CHOICE_WAIT:
		if (c.wait != NULL) {
			wait_on(c.wait, &d->wait);
			session_make_room(pr, c.wait);
		} else if (c.wait_ms != INT64_MAX)
			ev_timer_set(pr->loop, &d->timer, c.wait_ms, dest_timer, d);
		else
			dest_make_room(d);
		return false;
	case CHOICE_NONE:
		if (p->result == NULL)
			p->result = result_new(VERIFY_DEFER, SMTP_CAT_CONFIG, "no-server", "4.4.4", NULL, "no server to ask");
		probe_finish(p, SMTP_THEN_FINAL);
		return true;
	}
	return false;
}

void
dest_run(struct dest *d)
{
	struct prober *pr = d->pr;
	struct wait_list *woken_by = d->woken_by;
	struct probe *p;

	d->woken_by = NULL;
	d->refs++;				/* the last probe may end in dest_step */
	while ((p = TAILQ_FIRST(&d->queue)) != NULL && dest_step(d, p))
		;
	if (woken_by != NULL)
		prober_wake(pr, woken_by);	/* whatever room is left */
	d->refs--;
	dest_idle_check(d);
}
