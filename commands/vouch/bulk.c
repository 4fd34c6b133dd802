/* commands/vouch/bulk.c - many addresses asked of the verify service, answered in the order in which they came
 * A ring of items: those from head to next are asked for or answered, those from next to tail wait for their turn. All that
 * a callback of the service changes is one item; what follows from it happens once, at the end of the loop's turn.
 */
#include "bulk.h"

#include <global/verify_async.h>
#include <util/mem.h>

#include "ask.h"

#define BULK_IDLE_MS	5000		/* connections that nobody uses are closed */

enum bulk_state { BULK_WAITS, BULK_ASKED, BULK_PAUSES, BULK_DONE };

struct bulk_item {
	struct bulk *bulk;
	enum bulk_state state;
	char	*addr, *reason;
	enum bulk_result result;
	enum verify_status status;
	bool	 in_progress;
	int64_t	 end_ms, pause_ms;
	struct verify_async_req *req;	/* while BULK_ASKED */
	struct ev_timer timer;		/* while BULK_PAUSES */
};

struct bulk {
	struct ev_loop *loop;
	struct bulk_conf conf;
	struct verify_async *service;
	struct bulk_item *ring;
	uint64_t head, next, tail;	/* count up for ever; modulo conf.window they are places */
	unsigned open;			/* items asked for: BULK_ASKED, BULK_PAUSES */
	struct ev_defer turn;
};

static void bulk_ask(struct bulk_item *);
static void bulk_turn(void *);

static struct bulk_item *
bulk_at(struct bulk *b, uint64_t i)
{
	return &b->ring[i % b->conf.window];
}

static void
bulk_finish(struct bulk_item *it, enum bulk_result result, const char *reason)
{
	struct bulk *b = it->bulk;

	it->state = BULK_DONE;
	it->result = result;
	it->reason = mem_strdup(reason);
	b->open--;
	ev_defer_set(b->loop, &b->turn, bulk_turn, b);
}

static void
bulk_pause_end(void *ctx)
{
	bulk_ask(ctx);
}

static void
bulk_answered(void *ctx, enum verify_async_result result, enum verify_status status, const char *reason)
{
	struct bulk_item *it = ctx;
	struct bulk *b = it->bulk;
	int64_t left_ms = it->end_ms - ev_now_ms(b->loop);

	it->req = NULL;
	switch (result) {
	case VERIFY_ASYNC_DONE:
		it->status = status;
		if (status != VERIFY_TODO || left_ms <= it->pause_ms) {
			bulk_finish(it, BULK_ANSWERED, reason);
			return;
		}
		it->state = BULK_PAUSES;
		it->in_progress = true;
		ev_timer_set(b->loop, &it->timer, it->pause_ms, bulk_pause_end, it);
		it->pause_ms = it->pause_ms * 2 < ASK_PAUSE_MAX_MS ? it->pause_ms * 2 : ASK_PAUSE_MAX_MS;
		return;
	case VERIFY_ASYNC_REFUSED:
		bulk_finish(it, BULK_REFUSED, "the verify service does not take this address");
		return;
	case VERIFY_ASYNC_FAILED:
		bulk_finish(it, BULK_SILENT, "no answer in time");
		return;
	}
}

static void
bulk_ask(struct bulk_item *it)
{
	struct bulk *b = it->bulk;

	it->state = BULK_ASKED;
	it->req = verify_async_query(b->service, it->addr, it->end_ms - ev_now_ms(b->loop), bulk_answered, it);
	if (it->req == NULL)			/* its queue has room for all jobs: the address does not fit into a request */
		bulk_finish(it, BULK_REFUSED, "the address is too long");
}

/* bulk_turn - hand out what is complete, let others begin, and say that there is room */
static void
bulk_turn(void *ctx)
{
	struct bulk *b = ctx;
	struct bulk_item *it;

	for (; b->head < b->next && (it = bulk_at(b, b->head))->state == BULK_DONE; b->head++) {
		b->conf.done(b->conf.ctx, &(struct bulk_answer){ it->addr, it->result, it->status,
		    it->in_progress && it->result == BULK_SILENT, it->reason });
		mem_free(&it->addr);
		mem_free(&it->reason);
	}
	for (; b->next < b->tail && b->open < b->conf.jobs; b->next++) {
		it = bulk_at(b, b->next);
		if (it->state == BULK_DONE)		/* malformed */
			continue;
		it->end_ms = ev_now_ms(b->loop) + b->conf.wait_ms;
		it->pause_ms = ASK_PAUSE_MIN_MS;
		b->open++;
		bulk_ask(it);
	}
	/* malformed ones may be complete as soon as they have come up */
	if (b->head < b->next && bulk_at(b, b->head)->state == BULK_DONE)
		ev_defer_set(b->loop, &b->turn, bulk_turn, b);
	b->conf.room(b->conf.ctx);
}

static struct bulk_item *
bulk_new_item(struct bulk *b, const char *addr)
{
	struct bulk_item *it = bulk_at(b, b->tail++);

	*it = (struct bulk_item) { .bulk = b, .addr = mem_strdup(addr) };
	ev_defer_set(b->loop, &b->turn, bulk_turn, b);
	return it;
}

void
bulk_add(struct bulk *b, const char *addr)
{
	bulk_new_item(b, addr);
}

void
bulk_add_malformed(struct bulk *b, const char *text, const char *why)
{
	struct bulk_item *it = bulk_new_item(b, text);

	it->state = BULK_DONE;
	it->result = BULK_MALFORMED;
	it->reason = mem_strdup(why);
}

bool
bulk_has_room(const struct bulk *b)
{
	return b->tail - b->head < b->conf.window;
}

bool
bulk_is_empty(const struct bulk *b)
{
	return b->tail == b->head;
}

struct bulk *
bulk_new(struct ev_loop *loop, const char *path, const struct bulk_conf *conf)
{
	struct bulk *b = mem_alloc(sizeof *b);

	b->loop = loop;
	b->conf = *conf;
	b->service = verify_async_new(loop, path, conf->jobs, conf->jobs, BULK_IDLE_MS);
	b->ring = mem_array(conf->window, sizeof *b->ring);
	ev_defer_set(loop, &b->turn, bulk_turn, b);
	return b;
}

void
bulk_free(struct bulk **bp)
{
	struct bulk *b = *bp;

	if (b == NULL)
		return;
	for (uint64_t i = b->head; i < b->tail; i++) {
		struct bulk_item *it = bulk_at(b, i);

		ev_timer_cancel(b->loop, &it->timer);
		mem_free(&it->addr);
		mem_free(&it->reason);
	}
	ev_defer_cancel(b->loop, &b->turn);
	verify_async_free(&b->service);
	mem_free(&b->ring);
	mem_free(bp);
}
