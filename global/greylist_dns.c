/* global/greylist_dns.c - DNS allow-lists: all of them are asked at once, the first that names the client decides */
#include "greylist_int.h"

#include <string.h>

#include <util/mem.h>

struct greylist_dns_query {
	struct greylist_dns *d;
	const struct dnswl_site *site;
	struct dns_query *query;		/* NULL: answered */
};

struct greylist_dns {
	struct greylist *g;
	greylist_dns_fn *fn;
	void   *ctx;
	struct ev_timer timer;
	size_t	open;
	struct greylist_dns_query query[];
};

static void
greylist_dns_cancel(struct greylist_dns *d)
{
	ev_timer_cancel(d->g->loop, &d->timer);
	for (size_t i = 0; i < d->g->sites->n; i++)
		if (d->query[i].query != NULL) {
			dns_cancel(d->g->dns, d->query[i].query);
			d->query[i].query = NULL;
		}
}

static void
greylist_dns_end(struct greylist_dns *d, const char *site)
{
	greylist_dns_cancel(d);
	d->fn(d->ctx, site);			/* which frees d */
}

static void
greylist_dns_late(void *ctx)
{
	greylist_dns_end(ctx, NULL);
}

static void
greylist_dns_answered(void *ctx, const struct dns_answer *a)
{
	struct greylist_dns_query *q = ctx;

	q->query = NULL;
	q->d->open--;
	for (size_t i = 0; a->result == DNS_FOUND && i < a->n; i++)
		if (dnswl_match(q->site, a->rr[i].a)) {
			greylist_dns_end(q->d, q->site->domain);
			return;
		}
	if (q->d->open == 0)
		greylist_dns_end(q->d, NULL);
}

struct greylist_dns *
greylist_dns_ask(struct greylist *g, const struct client_addr *addr, greylist_dns_fn *fn, void *ctx)
{
	struct greylist_dns *d = mem_alloc(sizeof *d + g->sites->n * sizeof d->query[0]);
	char	name[DNSWL_NAME_MAX + 1];

	d->g = g;
	d->fn = fn;
	d->ctx = ctx;
	/* also the answer when no name could be asked */
	ev_timer_set(g->loop, &d->timer, g->params->greylist_dnswl_timeout, greylist_dns_late, d);
	for (size_t i = 0; i < g->sites->n; i++) {
		d->query[i].d = d;
		d->query[i].site = &g->sites->site[i];
		if (!dnswl_name(&g->sites->site[i], addr->bytes, addr->bits / 8, name))
			continue;
		d->query[i].query = dns_ask(g->dns, name, DNS_A, greylist_dns_answered, &d->query[i]);
		d->open++;
	}
	return d;
}

void
greylist_dns_free(struct greylist_dns **dp)
{
	if (*dp == NULL)
		return;
	greylist_dns_cancel(*dp);
	mem_free(dp);
}
