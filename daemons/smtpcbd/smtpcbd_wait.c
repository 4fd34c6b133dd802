/* daemons/smtpcbd/smtpcbd_wait.c - askers that wait for verify(8) and for a probe
 * One entry for each address that somebody waits for, whatever their number: verify is asked once, the probe is its affair.
 * Its reply may be "in progress"; then this host's table is looked at every few milliseconds, as verify does for its own
 * held queries, and verify is asked again now and then: the worker that had the probe may have died.
 */
#include "smtpcbd.h"

#include <bsd/sys/tree.h>
#include <string.h>

#include <global/stats.h>
#include <util/mem.h>

#define SMTPCBD_TICK_MS	   10		/* a result is passed on within so long */
#define SMTPCBD_AGAIN_MS   1000		/* verify is asked again */
#define SMTPCBD_UNHELD_MS  1000		/* above the hold time: verify should have said something by then */
#define SMTPCBD_GONE_MS	   100		/* how often those who wait are looked at when there are too many */

struct smtpcbd_addr {
	RB_ENTRY(smtpcbd_addr) link;
	struct verify_async_req *req;
	TAILQ_HEAD(, smtpcbd_asker) askers;	/* none: the answer is nobody's, but the probe is wanted */
	uint64_t changes;
	int64_t	 again_ms;
	bool	 heard;				/* verify has answered */
	char	 addr[];
};

static int
smtpcbd_addr_cmp(struct smtpcbd_addr *a, struct smtpcbd_addr *b)
{
	return strcmp(a->addr, b->addr);
}

RB_HEAD(smtpcbd_addrs, smtpcbd_addr);
RB_GENERATE_INTERNAL(smtpcbd_addrs, smtpcbd_addr, link, smtpcbd_addr_cmp, static __attribute__((unused)))

static struct {
	struct smtpcbd_addrs addrs;
	size_t	 addrs_n, askers_n;
	struct ev_timer tick;
	int64_t	 gone_ms;		/* when those who wait were looked at last */
	bool	 ended;
} smtpcbd_wait;

static void smtpcbd_wait_heard(void *, enum verify_async_result, enum verify_status, const char *);

static struct smtpcbd_addr *
smtpcbd_wait_find(const char *addr)
{
	size_t	len = strlen(addr);
	struct smtpcbd_addr *key = mem_alloc(sizeof *key + len + 1), *e;

	memcpy(key->addr, addr, len + 1);
	e = RB_FIND(smtpcbd_addrs, &smtpcbd_wait.addrs, key);
	mem_free(&key);
	return e;
}

/* smtpcbd_wait_new - an address nobody waited for until now; NULL when verify cannot be asked */
static struct smtpcbd_addr *
smtpcbd_wait_new(const char *addr)
{
	size_t	len = strlen(addr);
	struct smtpcbd_addr *e = mem_alloc(sizeof *e + len + 1);

	memcpy(e->addr, addr, len + 1);
	TAILQ_INIT(&e->askers);
	if ((e->req = verify_async_query(smtpcbd_verify, addr, smtpcbd_conf.query_ms, smtpcbd_wait_heard, e)) == NULL) {
		mem_free(&e);
		return NULL;
	}
	e->changes = verify_store_changes(smtpcbd_store, addr);
	RB_INSERT(smtpcbd_addrs, &smtpcbd_wait.addrs, e);
	smtpcbd_wait.addrs_n++;
	return e;
}

/* smtpcbd_wait_free_idle - forget an address that nobody waits for and verify knows about */
static void
smtpcbd_wait_free_idle(struct smtpcbd_addr *e)
{
	if (e->req != NULL || !TAILQ_EMPTY(&e->askers))
		return;
	RB_REMOVE(smtpcbd_addrs, &smtpcbd_wait.addrs, e);
	smtpcbd_wait.addrs_n--;
	mem_free(&e);
}

static void
smtpcbd_wait_remove(struct smtpcbd_asker *a)
{
	TAILQ_REMOVE(&a->addr->askers, a, link);
	ev_timer_cancel(smtpcbd_loop, &a->timer);
	a->addr = NULL;
	smtpcbd_wait.askers_n--;
}

/* smtpcbd_wait_tell - all who wait get the same verdict */
static void
smtpcbd_wait_tell(struct smtpcbd_addr *e, const struct smtpcbd_verdict *v)
{
	struct smtpcbd_asker *a;

	while ((a = TAILQ_FIRST(&e->askers)) != NULL) {
		smtpcbd_wait_remove(a);
		a->done(a, v);
	}
}

/* smtpcbd_wait_look - tell those who wait if the table knows by now */
static bool
smtpcbd_wait_look(struct smtpcbd_addr *e)
{
	struct smtpcbd_verdict v;
	bool	due;

	if (!smtpcbd_answer_known(e->addr, &v, &due))
		return false;
	v.from = SMTPCBD_PROBE;
	smtpcbd_wait_tell(e, &v);
	return true;
}

static void
smtpcbd_wait_unavailable(struct smtpcbd_verdict *v)
{
	smtpcbd_answer_progress(v);
	v->from = SMTPCBD_UNAVAILABLE;
	v->text = "service unavailable";
}

static void
smtpcbd_wait_heard(void *ctx, enum verify_async_result result, enum verify_status status, const char *reason)
{
	struct smtpcbd_addr *e = ctx;
	struct smtpcbd_verdict v;

	e->req = NULL;
	e->heard = true;
	e->again_ms = ev_now_ms(smtpcbd_loop) + SMTPCBD_AGAIN_MS;
	if (!smtpcbd_wait_look(e) && (result != VERIFY_ASYNC_DONE || status != VERIFY_TODO)) {
		if (result == VERIFY_ASYNC_DONE)
			smtpcbd_answer_status(status, reason, &v);
		else
			smtpcbd_wait_unavailable(&v);
		smtpcbd_wait_tell(e, &v);
	}
	smtpcbd_wait_free_idle(e);
}

static void
smtpcbd_wait_tick(void *ctx)
{
	struct smtpcbd_addr *e, *next;
	int64_t now = ev_now_ms(smtpcbd_loop);
	uint64_t changes;

	(void) ctx;
	for (e = RB_MIN(smtpcbd_addrs, &smtpcbd_wait.addrs); e != NULL; e = next) {
		next = RB_NEXT(smtpcbd_addrs, &smtpcbd_wait.addrs, e);
		if (TAILQ_EMPTY(&e->askers))
			continue;
		changes = verify_store_changes(smtpcbd_store, e->addr);
		if (changes != e->changes) {
			e->changes = changes;
			smtpcbd_wait_look(e);
		}
		if (!TAILQ_EMPTY(&e->askers) && e->req == NULL && now >= e->again_ms) {
			e->again_ms = now + SMTPCBD_AGAIN_MS;
			e->req = verify_async_query(smtpcbd_verify, e->addr, smtpcbd_conf.query_ms, smtpcbd_wait_heard, e);
		}
		smtpcbd_wait_free_idle(e);
	}
	if (smtpcbd_wait.askers_n > 0)
		ev_timer_set(smtpcbd_loop, &smtpcbd_wait.tick, SMTPCBD_TICK_MS, smtpcbd_wait_tick, NULL);
}

/* smtpcbd_wait_timeout - this one has waited long enough; a result of this very moment still counts */
static void
smtpcbd_wait_timeout(void *ctx)
{
	struct smtpcbd_asker *a = ctx;
	struct smtpcbd_addr *e = a->addr;
	struct smtpcbd_verdict v;

	if (!smtpcbd_wait_look(e)) {
		if (!e->heard && smtpcbd_conf.wait_ms > smtpcbd_conf.hold_ms + SMTPCBD_UNHELD_MS)
			smtpcbd_wait_unavailable(&v);
		else
			smtpcbd_answer_progress(&v);
		smtpcbd_wait_remove(a);
		a->done(a, &v);
	}
	smtpcbd_wait_free_idle(e);
}

/* smtpcbd_wait_room - whether one more may wait; those who have closed their side go first when there are too many
 * A client that only said all it had to say looks the same as one that has left: while there is room, both wait. */
static bool
smtpcbd_wait_room(void)
{
	int64_t now = ev_now_ms(smtpcbd_loop);
	struct smtpcbd_asker *a, *next_a;
	struct smtpcbd_addr *e, *next;
	struct smtpcbd_verdict v;

	if (smtpcbd_wait.askers_n < smtpcbd_conf.max_waiters)
		return true;
	if (smtpcbd_wait.gone_ms != 0 && now - smtpcbd_wait.gone_ms < SMTPCBD_GONE_MS)
		return false;
	smtpcbd_wait.gone_ms = now;
	smtpcbd_answer_progress(&v);
	for (e = RB_MIN(smtpcbd_addrs, &smtpcbd_wait.addrs); e != NULL; e = next) {
		next = RB_NEXT(smtpcbd_addrs, &smtpcbd_wait.addrs, e);
		TAILQ_FOREACH_SAFE(a, &e->askers, link, next_a)
			if (a->is_gone(a)) {
				smtpcbd_wait_remove(a);
				a->done(a, &v);
			}
		smtpcbd_wait_free_idle(e);
	}
	return smtpcbd_wait.askers_n < smtpcbd_conf.max_waiters;
}

/* smtpcbd_wait_busy - TEMPFAIL for now: too many wait */
static bool
smtpcbd_wait_busy(struct smtpcbd_verdict *v)
{
	smtpcbd_answer_progress(v);
	v->from = SMTPCBD_BUSY;
	v->text = "busy";
	return true;
}

bool
smtpcbd_wait_ask(struct smtpcbd_asker *a, const char *addr, struct smtpcbd_verdict *v)
{
	bool	due, waits = smtpcbd_conf.wait_ms > 0 && !smtpcbd_wait.ended;
	struct smtpcbd_addr *e;

	if (smtpcbd_answer_known(addr, v, &due)) {
		if (due && smtpcbd_wait.addrs_n < 2 * smtpcbd_conf.max_waiters && smtpcbd_wait_find(addr) == NULL)
			smtpcbd_wait_new(addr);
		return true;
	}
	if (waits && !smtpcbd_wait_room())
		return smtpcbd_wait_busy(v);
	if ((e = smtpcbd_wait_find(addr)) == NULL &&
	    (smtpcbd_wait.addrs_n >= 2 * smtpcbd_conf.max_waiters || (e = smtpcbd_wait_new(addr)) == NULL))
		return smtpcbd_wait_busy(v);
	if (!waits) {
		smtpcbd_answer_progress(v);
		return true;
	}
	a->addr = e;
	TAILQ_INSERT_TAIL(&e->askers, a, link);
	ev_timer_set(smtpcbd_loop, &a->timer, smtpcbd_conf.wait_ms, smtpcbd_wait_timeout, a);
	if (smtpcbd_wait.askers_n++ == 0)
		ev_timer_set(smtpcbd_loop, &smtpcbd_wait.tick, SMTPCBD_TICK_MS, smtpcbd_wait_tick, NULL);
	return false;
}

void
smtpcbd_wait_left(struct smtpcbd_asker *a)
{
	struct smtpcbd_addr *e = a->addr;

	if (e == NULL)
		return;
	smtpcbd_wait_remove(a);
	smtpcbd_wait_free_idle(e);
}

void
smtpcbd_wait_init(void)
{
	memset(&smtpcbd_wait, 0, sizeof smtpcbd_wait);
	RB_INIT(&smtpcbd_wait.addrs);
}

void
smtpcbd_wait_fini(void)
{
	struct smtpcbd_addr *e;

	while ((e = RB_ROOT(&smtpcbd_wait.addrs)) != NULL) {
		while (!TAILQ_EMPTY(&e->askers))
			smtpcbd_wait_remove(TAILQ_FIRST(&e->askers));
		if (e->req != NULL)
			verify_async_cancel(smtpcbd_verify, e->req);
		e->req = NULL;
		smtpcbd_wait_free_idle(e);
	}
	ev_timer_cancel(smtpcbd_loop, &smtpcbd_wait.tick);
}

void
smtpcbd_wait_end(void)
{
	struct smtpcbd_addr *e, *next;
	struct smtpcbd_verdict v;

	smtpcbd_wait.ended = true;
	smtpcbd_answer_progress(&v);
	for (e = RB_MIN(smtpcbd_addrs, &smtpcbd_wait.addrs); e != NULL; e = next) {
		next = RB_NEXT(smtpcbd_addrs, &smtpcbd_wait.addrs, e);
		smtpcbd_wait_tell(e, &v);
		smtpcbd_wait_free_idle(e);
	}
}

bool
smtpcbd_wait_ended(void)
{
	return smtpcbd_wait.ended;
}
