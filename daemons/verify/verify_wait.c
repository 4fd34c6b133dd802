/* daemons/verify/verify_wait.c - replies that wait for the database
 * What was asked of the database is carried through even when the client leaves: it may have given us the claim of a
 * probe, which then nobody else will send.
 */
#include "verify.h"

#include <util/mem.h>

struct verify_wait {
	struct verify_wait **slot;	/* where the client's context knows us; NULL: nobody waits */
	struct ms_client *client;
	void   *ctx;
};

static unsigned verify_waits;

struct verify_wait *
verify_wait_new(struct verify_wait **slot, struct ms_client *client)
{
	struct verify_wait *w = mem_alloc(sizeof *w);

	w->slot = slot;
	w->client = client;
	if (slot != NULL)
		*slot = w;
	verify_waits++;
	return w;
}

/* verify_wait_end - what became of the client is told by its being NULL */
static struct verify_wait
verify_wait_end(struct verify_wait *w)
{
	struct verify_wait was = *w;

	if (w->slot != NULL)
		*w->slot = NULL;
	mem_free(&w);
	verify_waits--;
	return was;
}

void
verify_wait_free(struct verify_wait **slot)
{
	if (*slot != NULL)
		verify_wait_end(*slot);
}

void
verify_wait_left(struct verify_wait **slot)
{
	struct verify_wait *w = *slot;

	if (w == NULL)
		return;
	w->client = NULL;
	w->slot = NULL;
	*slot = NULL;
}

bool
verify_wait_busy(void)
{
	return verify_waits > 0;
}

static void
verify_wait_asked(void *ctx, const char *addr, const struct verify_store_answer *ans)
{
	struct verify_wait w = verify_wait_end(ctx);

	verify_query_probe(addr, ans);
	if (w.client != NULL)
		verify_query_waited(w.client, w.ctx, addr, ans);
}

void
verify_wait_ask(struct verify_wait **slot, struct ms_client *client, void *ctx, const char *addr)
{
	struct verify_wait *w = verify_wait_new(slot, client);

	w->ctx = ctx;
	verify_store_ask(verify_store, addr, verify_wait_asked, w);
}

void
verify_wait_written(void *ctx)
{
	struct verify_wait w = verify_wait_end(ctx);

	if (w.client == NULL)
		return;
	verify_update_reply(w.client);
	ms_resume(w.client);
}
