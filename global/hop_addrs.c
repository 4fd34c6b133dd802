/* global/hop_addrs.c - the addresses of a next hop */
#include "hop_addrs.h"

#include <strings.h>

#include <util/mem.h>

#define HOP_ADDRS_MAX	8		/* of a name; more are not tried for one message */

struct hop_addrs {
	struct ev_loop *loop;
	hop_addrs_fn *fn;
	void	*ctx;
	struct ev_defer later;
	struct mx_addr addr;		/* known without looking it up */
	struct mx_conf conf;
	struct mx_lookup *lookup;
};

bool
hop_addrs_is_name(const struct nexthop *to)
{
	struct mx_addr a;

	return !to->is_unix && !mx_addr_parse(to->host, &a) && strcasecmp(to->host, "localhost") != 0;
}

void
hop_addrs_cancel(struct hop_addrs **hp)
{
	if (*hp == NULL)
		return;
	ev_defer_cancel((*hp)->loop, &(*hp)->later);
	mx_cancel(&(*hp)->lookup);
	mem_free(hp);
}

static void
hop_addrs_known(void *ctx)
{
	struct hop_addrs *h = ctx;
	struct mx_list *list = mem_alloc(sizeof *list + sizeof list->host[0]);
	hop_addrs_fn *fn = h->fn;
	void	*owner = h->ctx;

	list->n = 1;
	list->host[0] = (struct mx_host) { .addr = h->addr };
	hop_addrs_cancel(&h);
	fn(owner, list, "", "");
}

static void
hop_addrs_found(void *ctx, const struct mx_answer *a)
{
	struct hop_addrs *h = ctx;
	hop_addrs_fn *fn = h->fn;
	void	*owner = h->ctx;

	h->lookup = NULL;
	hop_addrs_cancel(&h);
	fn(owner, a->list, a->dsn, a->text);
}

struct hop_addrs *
hop_addrs_find(struct ev_loop *loop, struct dns *dns, const struct nexthop *to, bool ipv4, bool ipv6, hop_addrs_fn *fn, void *ctx)
{
	struct mx_want want = { .domain = to->host, .direct = true, .own_route = true };
	struct hop_addrs *h = mem_alloc(sizeof *h);

	h->loop = loop;
	h->fn = fn;
	h->ctx = ctx;
	h->conf = (struct mx_conf) { .ipv4 = ipv4, .ipv6 = ipv6, .address_limit = HOP_ADDRS_MAX, .balance = true,
	    .defer_no_address = true };
	if (hop_addrs_is_name(to)) {
		h->lookup = mx_lookup(dns, &h->conf, &want, hop_addrs_found, h);
		return h;
	}
	if (!mx_addr_parse(to->host, &h->addr))
		mx_addr_parse(ipv4 ? "127.0.0.1" : "::1", &h->addr);
	ev_defer_set(loop, &h->later, hop_addrs_known, h);
	return h;
}
