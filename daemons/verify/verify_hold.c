/* daemons/verify/verify_hold.c - replies that wait for a probe's result
 * The result may come to another worker, so the waiting queries are looked at again every few milliseconds, but
 * only those near which the table was written since (a number per part of the table says so).
 */
#include "verify.h"

#include <bsd/sys/queue.h>

#include <global/stats.h>
#include <util/mem.h>

#define VERIFY_HOLD_TICK_MS	5	/* a result is passed on within so long */
#define VERIFY_HOLD_LOOK_MS	1000	/* looked at anyway: a claim may have been released, its worker may have died */

struct verify_hold {
	TAILQ_ENTRY(verify_hold) link;
	struct verify_hold **slot;	/* where the client's context knows us */
	struct ms_client *client;
	char   *addr;
	uint64_t changes;		/* of the table near addr, when last looked at */
	bool	asked;			/* the database, since the last regular look */
	int64_t end_ms, look_ms;
};

static TAILQ_HEAD(, verify_hold) verify_holds = TAILQ_HEAD_INITIALIZER(verify_holds);
static struct ev_timer verify_hold_timer;

void
verify_hold_free(struct verify_hold **slot)
{
	struct verify_hold *h = *slot;

	if (h == NULL)
		return;
	TAILQ_REMOVE(&verify_holds, h, link);
	mem_free(&h->addr);
	mem_free(slot);
}

static void
verify_hold_tick(void *ctx)
{
	struct verify_hold *h, *next;
	int64_t now = ev_now_ms(verify_loop);
	struct verify_store_answer ans;
	uint64_t changes;
	bool	final;

	(void) ctx;
	TAILQ_FOREACH_SAFE(h, &verify_holds, link, next) {
		changes = verify_store_changes(verify_store, h->addr);
		final = now >= h->end_ms;
		if (changes == h->changes && now < h->look_ms && !final)
			continue;
		h->asked = h->asked && now < h->look_ms;
		h->changes = changes;
		h->look_ms = now + VERIFY_HOLD_LOOK_MS;
		verify_store_query(verify_store, h->addr, ev_wall_s(verify_loop), &ans);
		verify_query_probe(h->addr, &ans);
		if (ans.ask && !h->asked) {
			h->asked = true;
			verify_wait_ask(NULL, NULL, NULL, h->addr);
		}
		if (!verify_query_reply(h->client, &ans, final))
			continue;
		if (!final)
			stats_add(STAT_held_answered, 1);
		ms_resume(h->client);
		verify_hold_free(h->slot);
	}
	if (!TAILQ_EMPTY(&verify_holds))
		ev_timer_set(verify_loop, &verify_hold_timer, VERIFY_HOLD_TICK_MS, verify_hold_tick, NULL);
}

void
verify_hold_wake(void)
{
	if (!TAILQ_EMPTY(&verify_holds))
		ev_timer_set(verify_loop, &verify_hold_timer, 0, verify_hold_tick, NULL);
}

void
verify_hold_new(struct verify_hold **slot, struct ms_client *client, const char *addr)
{
	struct verify_hold *h = mem_alloc(sizeof *h);

	stats_add(STAT_held, 1);
	*slot = h;
	h->slot = slot;
	h->client = client;
	h->addr = mem_strdup(addr);
	h->changes = verify_store_changes(verify_store, addr);
	h->end_ms = ev_now_ms(verify_loop) + verify_conf.hold_ms;
	h->look_ms = ev_now_ms(verify_loop) + VERIFY_HOLD_LOOK_MS;
	if (TAILQ_EMPTY(&verify_holds))
		ev_timer_set(verify_loop, &verify_hold_timer, VERIFY_HOLD_TICK_MS, verify_hold_tick, NULL);
	TAILQ_INSERT_TAIL(&verify_holds, h, link);
}
