/* daemons/smtpd/peer_name.c - the name of a client */
#include "peer_name.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <util/buf.h>
#include <util/mem.h>

#define PEER_NAMES_MAX	3		/* names of one address that are looked at: honest ones have one */

struct peer_name {
	struct ev_loop *loop;
	struct dns *dns;
	bool	ipv6;
	struct in_addr v4;
	struct in6_addr v6;
	char   *name[PEER_NAMES_MAX];
	size_t	names, at;
	struct dns_query *query;
	struct ev_timer limit;
	peer_name_fn *fn;
	void   *ctx;
};

static void
peer_name_free(struct peer_name *p)
{
	if (p->query != NULL)
		dns_cancel(p->dns, p->query);
	ev_timer_cancel(p->loop, &p->limit);
	for (size_t i = 0; i < p->names; i++)
		mem_free(&p->name[i]);
	mem_free(&p);
}

static void
peer_name_done(struct peer_name *p, const char *name)
{
	char   *copy = name != NULL ? mem_strdup(name) : NULL;
	peer_name_fn *fn = p->fn;
	void   *ctx = p->ctx;

	peer_name_free(p);
	fn(ctx, copy);
	mem_free(&copy);
}

static void
peer_name_timeout(void *ctx)
{
	peer_name_done(ctx, NULL);
}

static void peer_name_confirm(struct peer_name *);

static void
peer_name_addresses(void *ctx, const struct dns_answer *a)
{
	struct peer_name *p = ctx;

	p->query = NULL;
	for (size_t i = 0; i < a->n; i++)
		if (p->ipv6 ? memcmp(&a->rr[i].aaaa, &p->v6, sizeof p->v6) == 0 : memcmp(&a->rr[i].a, &p->v4, sizeof p->v4) == 0) {
			peer_name_done(p, p->name[p->at]);
			return;
		}
	p->at++;
	peer_name_confirm(p);
}

/* peer_name_confirm - ask the next name for its addresses */
static void
peer_name_confirm(struct peer_name *p)
{
	if (p->at >= p->names)
		peer_name_done(p, NULL);
	else
		p->query = dns_ask(p->dns, p->name[p->at], p->ipv6 ? DNS_AAAA : DNS_A, peer_name_addresses, p);
}

static void
peer_name_pointers(void *ctx, const struct dns_answer *a)
{
	struct peer_name *p = ctx;

	p->query = NULL;
	for (size_t i = 0; i < a->n && p->names < PEER_NAMES_MAX; i++)
		if (dns_name_valid(a->rr[i].name))
			p->name[p->names++] = mem_strdup(a->rr[i].name);
	peer_name_confirm(p);
}

struct peer_name *
peer_name_ask(struct ev_loop *loop, struct dns *dns, const struct sockaddr *sa, int64_t limit_ms, peer_name_fn *fn, void *ctx)
{
	struct peer_name *p = mem_alloc(sizeof *p);
	struct buf name = BUF_INIT(DNS_NAME_MAX);
	const unsigned char *b;

	*p = (struct peer_name) { .loop = loop, .dns = dns, .ipv6 = sa->sa_family == AF_INET6, .fn = fn, .ctx = ctx };
	if (p->ipv6) {
		memcpy(&p->v6, &((const struct sockaddr_in6 *) (const void *) sa)->sin6_addr, sizeof p->v6);
		for (int i = 15; i >= 0; i--)
			buf_addf(&name, "%x.%x.", p->v6.s6_addr[i] & 15u, p->v6.s6_addr[i] >> 4);
		buf_adds(&name, "ip6.arpa");
	} else {
		memcpy(&p->v4, &((const struct sockaddr_in *) (const void *) sa)->sin_addr, sizeof p->v4);
		b = (const unsigned char *) &p->v4;
		buf_addf(&name, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
	}
	ev_timer_set(loop, &p->limit, limit_ms, peer_name_timeout, p);
	p->query = dns_ask(dns, buf_str(&name), DNS_PTR, peer_name_pointers, p);
	buf_fini(&name);
	return p;
}

void
peer_name_cancel(struct peer_name **pp)
{
	if (*pp == NULL)
		return;
	peer_name_free(*pp);
	*pp = NULL;
}
