/* global/address_ask.c - find out about an address: from this host's table, else from verify(8), waiting for its probe
 * One entry for each address that somebody waits for, whatever their number. Verify's reply may be "in progress"; then this
 * host's table is looked at every few milliseconds, as verify does for its own held queries, and verify is asked again now
 * and then: the worker that had the probe may have died.
 */
#include "address_ask.h"

#include <bsd/sys/tree.h>
#include <string.h>

#include <global/verify_async.h>
#include <util/mem.h>

#define ADDRESS_TICK_MS	   10		/* a result is passed on within so long */
#define ADDRESS_AGAIN_MS   1000		/* verify is asked again */
#define ADDRESS_UNHELD_MS  1000		/* above the hold time: verify should have said something by then */
#define ADDRESS_GONE_MS	   100		/* how often those who wait are looked at when there are too many */
#define ADDRESS_NEXT_S	   60		/* "asked again" of an answer without a result */
#define ADDRESS_CONNS	   1000		/* connections to verify: each held query has one */

struct address_ask_entry {
	RB_ENTRY(address_ask_entry) link;
	struct address_ask *ask;
	struct verify_async_req *req;
	TAILQ_HEAD(, address_asker) askers;	/* none: the answer is nobody's, but the probe is wanted */
	uint64_t changes;
	int64_t	 again_ms;
	bool	 heard;				/* verify has answered */
	char	 addr[];
};

static int
address_ask_cmp(struct address_ask_entry *a, struct address_ask_entry *b)
{
	return strcmp(a->addr, b->addr);
}

RB_HEAD(address_ask_tree, address_ask_entry);
RB_GENERATE_INTERNAL(address_ask_tree, address_ask_entry, link, address_ask_cmp, static __attribute__((unused)))

struct address_ask {
	struct ev_loop *loop;
	struct address_ask_conf conf;
	struct verify_async *verify;
	struct address_ask_tree tree;
	size_t	 entries, askers;
	struct ev_timer tick;
	int64_t	 gone_ms;		/* when those who wait were looked at last */
	bool	 ended;
};

static void address_ask_heard(void *, enum verify_async_result, enum verify_status, const char *);

const char *
address_from_name(enum address_from from)
{
	static const char *const names[ADDRESS_FROMS] = {
		[ADDRESS_CACHE] = "cache", [ADDRESS_PROBE] = "probe", [ADDRESS_IN_PROGRESS] = "in-progress",
		[ADDRESS_BUSY] = "busy", [ADDRESS_UNAVAILABLE] = "unavailable",
	};

	return names[from];
}

/* verdicts */

static void
address_ask_none(struct address_ask *ask, enum address_from from, struct address_verdict *v)
{
	static const char *const texts[ADDRESS_FROMS] = {
		[ADDRESS_IN_PROGRESS] = "address verification in progress", [ADDRESS_BUSY] = "busy",
		[ADDRESS_UNAVAILABLE] = "service unavailable",
	};
	int64_t now = ev_wall_s(ask->loop);

	*v = (struct address_verdict) { .status = VERIFY_TODO, .from = from, .text = texts[from], .since_s = now,
	    .next_s = now + ADDRESS_NEXT_S };
}

/* address_ask_known - what this host's table says; due_r: a new probe is due all the same */
static bool
address_ask_known(struct address_ask *ask, const char *addr, struct address_verdict *v, bool *due_r)
{
	struct address_record rec;
	struct address_answer ans;

	*due_r = false;
	if (verify_store_look(ask->conf.store, addr, &rec) != 1)
		return false;
	address_query(&rec, true, ev_wall_s(ask->loop), ask->conf.rules, &ans);
	if (ans.status == VERIFY_TODO)
		return false;
	*v = (struct address_verdict) { .status = rec.status, .from = ADDRESS_CACHE, .text = rec.text, .since_s = rec.updated_s,
	    .next_s = address_refresh(&rec, ask->conf.rules) };
	*due_r = ans.probe;
	return true;
}

/* entries */

static struct address_ask_entry *
address_ask_find(struct address_ask *ask, const char *addr)
{
	struct address_ask_entry *e = RB_ROOT(&ask->tree);
	int	cmp;

	while (e != NULL && (cmp = strcmp(addr, e->addr)) != 0)
		e = cmp < 0 ? RB_LEFT(e, link) : RB_RIGHT(e, link);
	return e;
}

/* address_ask_add - an address nobody waited for until now; NULL when verify cannot be asked */
static struct address_ask_entry *
address_ask_add(struct address_ask *ask, const char *addr)
{
	size_t	len = strlen(addr);
	struct address_ask_entry *e;

	if (ask->entries >= 2 * ask->conf.max_waiters)
		return NULL;
	e = mem_alloc(sizeof *e + len + 1);
	memcpy(e->addr, addr, len + 1);
	e->ask = ask;
	TAILQ_INIT(&e->askers);
	if ((e->req = verify_async_query(ask->verify, addr, ask->conf.query_ms, address_ask_heard, e)) == NULL) {
		mem_free(&e);
		return NULL;
	}
	e->changes = verify_store_changes(ask->conf.store, addr);
	RB_INSERT(address_ask_tree, &ask->tree, e);
	ask->entries++;
	return e;
}

/* address_ask_drop_idle - forget an address that nobody waits for and verify knows about */
static void
address_ask_drop_idle(struct address_ask_entry *e)
{
	if (e->req != NULL || !TAILQ_EMPTY(&e->askers))
		return;
	RB_REMOVE(address_ask_tree, &e->ask->tree, e);
	e->ask->entries--;
	mem_free(&e);
}

static void
address_ask_remove(struct address_asker *a)
{
	struct address_ask *ask = a->entry->ask;

	TAILQ_REMOVE(&a->entry->askers, a, link);
	ev_timer_cancel(ask->loop, &a->timer);
	a->entry = NULL;
	ask->askers--;
}

/* address_ask_tell - all who wait get the same verdict */
static void
address_ask_tell(struct address_ask_entry *e, const struct address_verdict *v)
{
	struct address_asker *a;

	while ((a = TAILQ_FIRST(&e->askers)) != NULL) {
		address_ask_remove(a);
		a->done(a, v);
	}
}

/* address_ask_look - tell those who wait if the table knows by now */
static bool
address_ask_look(struct address_ask_entry *e)
{
	struct address_verdict v;
	bool	due;

	if (!address_ask_known(e->ask, e->addr, &v, &due))
		return false;
	v.from = ADDRESS_PROBE;
	address_ask_tell(e, &v);
	return true;
}

/* address_ask_tell_late - those who waited only to hear from verify */
static void
address_ask_tell_late(struct address_ask_entry *e)
{
	struct address_asker *a, *next;
	struct address_verdict v;

	address_ask_none(e->ask, ADDRESS_IN_PROGRESS, &v);
	TAILQ_FOREACH_SAFE(a, &e->askers, link, next)
		if (a->timer.pos == 0) {
			address_ask_remove(a);
			a->done(a, &v);
		}
}

static void
address_ask_heard(void *ctx, enum verify_async_result result, enum verify_status status, const char *reason)
{
	struct address_ask_entry *e = ctx;
	struct address_verdict v;

	e->req = NULL;
	e->heard = true;
	e->again_ms = ev_now_ms(e->ask->loop) + ADDRESS_AGAIN_MS;
	if (!address_ask_look(e) && result == VERIFY_ASYNC_DONE && status == VERIFY_TODO)
		address_ask_tell_late(e);
	else if (!TAILQ_EMPTY(&e->askers)) {
		address_ask_none(e->ask, ADDRESS_UNAVAILABLE, &v);
		if (result == VERIFY_ASYNC_DONE)	/* its protocol tells no times */
			v = (struct address_verdict) { .status = status, .from = ADDRESS_PROBE, .text = reason, .since_s = v.since_s,
			    .next_s = v.since_s };
		address_ask_tell(e, &v);
	}
	address_ask_drop_idle(e);
}

static void
address_ask_tick(void *ctx)
{
	struct address_ask *ask = ctx;
	struct address_ask_entry *e, *next;
	int64_t now = ev_now_ms(ask->loop);
	uint64_t changes;

	for (e = RB_MIN(address_ask_tree, &ask->tree); e != NULL; e = next) {
		next = RB_NEXT(address_ask_tree, &ask->tree, e);
		if (TAILQ_EMPTY(&e->askers))
			continue;
		changes = verify_store_changes(ask->conf.store, e->addr);
		if (changes != e->changes) {
			e->changes = changes;
			address_ask_look(e);
		}
		if (!TAILQ_EMPTY(&e->askers) && e->req == NULL && now >= e->again_ms) {
			e->again_ms = now + ADDRESS_AGAIN_MS;
			e->req = verify_async_query(ask->verify, e->addr, ask->conf.query_ms, address_ask_heard, e);
		}
		address_ask_drop_idle(e);
	}
	if (ask->askers > 0)
		ev_timer_set(ask->loop, &ask->tick, ADDRESS_TICK_MS, address_ask_tick, ask);
}

/* askers */

/* address_ask_timeout - this one has waited long enough; a result of this very moment still counts */
static void
address_ask_timeout(void *ctx)
{
	struct address_asker *a = ctx;
	struct address_ask_entry *e = a->entry;
	struct address_verdict v;

	if (!address_ask_look(e)) {
		if (e->ask->conf.hears && !e->heard)
			return;			/* address_ask_tell_late */
		address_ask_none(e->ask, e->heard ? ADDRESS_IN_PROGRESS : ADDRESS_UNAVAILABLE, &v);
		address_ask_remove(a);
		a->done(a, &v);
	}
	address_ask_drop_idle(e);
}

/* address_ask_early - it could not be expected that verify had answered by then */
static void
address_ask_early(void *ctx)
{
	struct address_asker *a = ctx;

	a->entry->heard = true;
	address_ask_timeout(a);
}

/* address_ask_room - whether one more may wait; those who may have left go first when there are too many */
static bool
address_ask_room(struct address_ask *ask)
{
	int64_t now = ev_now_ms(ask->loop);
	struct address_asker *a, *next_a;
	struct address_ask_entry *e, *next;
	struct address_verdict v;

	if (ask->askers < ask->conf.max_waiters)
		return true;
	if (ask->gone_ms != 0 && now - ask->gone_ms < ADDRESS_GONE_MS)
		return false;
	ask->gone_ms = now;
	address_ask_none(ask, ADDRESS_IN_PROGRESS, &v);
	for (e = RB_MIN(address_ask_tree, &ask->tree); e != NULL; e = next) {
		next = RB_NEXT(address_ask_tree, &ask->tree, e);
		TAILQ_FOREACH_SAFE(a, &e->askers, link, next_a)
			if (a->is_gone != NULL && a->is_gone(a)) {
				address_ask_remove(a);
				a->done(a, &v);
			}
		address_ask_drop_idle(e);
	}
	return ask->askers < ask->conf.max_waiters;
}

bool
address_ask_start(struct address_ask *ask, struct address_asker *a, const char *addr, int64_t wait_ms, struct address_verdict *v)
{
	struct address_ask_entry *e;
	bool	due, waits;

	if (address_ask_known(ask, addr, v, &due)) {
		if (due && address_ask_find(ask, addr) == NULL)
			address_ask_add(ask, addr);
		return true;
	}
	if (ask->ended)
		wait_ms = 0;
	waits = wait_ms > 0 || (ask->conf.hears && !ask->ended);
	if ((waits && !address_ask_room(ask)) ||
	    ((e = address_ask_find(ask, addr)) == NULL && (e = address_ask_add(ask, addr)) == NULL)) {
		address_ask_none(ask, ADDRESS_BUSY, v);
		return true;
	}
	if (!waits || (wait_ms <= 0 && e->heard)) {
		address_ask_none(ask, ADDRESS_IN_PROGRESS, v);
		return true;
	}
	a->entry = e;
	TAILQ_INSERT_TAIL(&e->askers, a, link);
	if (wait_ms > 0)
		ev_timer_set(ask->loop, &a->timer, wait_ms, ask->conf.hears || wait_ms > ask->conf.hold_ms + ADDRESS_UNHELD_MS ?
		    address_ask_timeout : address_ask_early, a);
	if (ask->askers++ == 0)
		ev_timer_set(ask->loop, &ask->tick, ADDRESS_TICK_MS, address_ask_tick, ask);
	return false;
}

void
address_ask_left(struct address_ask *ask, struct address_asker *a)
{
	struct address_ask_entry *e = a->entry;

	(void) ask;
	if (e == NULL)
		return;
	address_ask_remove(a);
	address_ask_drop_idle(e);
}

void
address_ask_end(struct address_ask *ask)
{
	struct address_ask_entry *e, *next;
	struct address_verdict v;

	ask->ended = true;
	address_ask_none(ask, ADDRESS_IN_PROGRESS, &v);
	for (e = RB_MIN(address_ask_tree, &ask->tree); e != NULL; e = next) {
		next = RB_NEXT(address_ask_tree, &ask->tree, e);
		address_ask_tell(e, &v);
		address_ask_drop_idle(e);
	}
}

bool
address_ask_ended(const struct address_ask *ask)
{
	return ask->ended;
}

/* life */

struct address_ask *
address_ask_new(struct ev_loop *loop, const struct address_ask_conf *conf)
{
	struct address_ask *ask = mem_alloc(sizeof *ask);
	size_t	conns = conf->max_waiters < ADDRESS_CONNS ? conf->max_waiters : ADDRESS_CONNS;

	ask->loop = loop;
	ask->conf = *conf;
	RB_INIT(&ask->tree);
	ask->verify = verify_async_new(loop, conf->verify_path, (unsigned) conns, 2 * conf->max_waiters, conf->idle_ms);
	ask->conf.verify_path = NULL;			/* was borrowed */
	return ask;
}

void
address_ask_free(struct address_ask **askp)
{
	struct address_ask *ask = *askp;
	struct address_ask_entry *e;

	if (ask == NULL)
		return;
	while ((e = RB_ROOT(&ask->tree)) != NULL) {
		while (!TAILQ_EMPTY(&e->askers))
			address_ask_remove(TAILQ_FIRST(&e->askers));
		e->req = NULL;				/* goes with verify_async */
		address_ask_drop_idle(e);
	}
	ev_timer_cancel(ask->loop, &ask->tick);
	verify_async_free(&ask->verify);
	mem_free(askp);
}
