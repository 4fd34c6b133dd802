/* global/mx.c - domain -> the servers to ask
 * One lookup goes through at most three steps: MX, then A and AAAA of all exchanges at once, then putting them in order.
 */
#include "mx.h"

#include <arpa/inet.h>
#include <bsd/stdlib.h>
#include <string.h>
#include <strings.h>

#include <util/mem.h>

#define MX_EXCHANGES	50	/* resolved of one domain */
#define MX_ADDRESSES	400	/* kept of one domain before the limits apply */

struct mx_exchange {
	char	*name;
	uint16_t pref;
	struct mx_lookup *lookup;
	struct dns_query *query[2];	/* A, AAAA */
	bool	 soft, found;
};

struct mx_lookup {
	struct dns *dns;
	const struct mx_conf *conf;
	struct mx_want want;
	char	*domain;
	mx_fn	*fn;
	void	*ctx;
	struct dns_query *query;	/* MX */
	size_t	 exchanges, open;
	struct mx_exchange exchange[MX_EXCHANGES];
	uint32_t ttl_s;
	bool	 soft;			/* some address query had no answer */
	bool	 nxdomain;
	size_t	 n;
	struct mx_host *host;		/* names are borrowed from exchange until the end */
};

/* addresses */

bool
mx_addr_parse(const char *s, struct mx_addr *a)
{
	memset(a, 0, sizeof *a);
	if (strncasecmp(s, "IPv6:", 5) == 0)
		return a->ipv6 = inet_pton(AF_INET6, s + 5, &a->aaaa) == 1;
	if (inet_pton(AF_INET, s, &a->a) == 1)
		return true;
	return a->ipv6 = inet_pton(AF_INET6, s, &a->aaaa) == 1;
}

bool
mx_addr_equal(const struct mx_addr *a, const struct mx_addr *b)
{
	return a->ipv6 == b->ipv6 && memcmp(&a->aaaa, &b->aaaa, a->ipv6 ? sizeof a->aaaa : sizeof a->a) == 0;
}

char *
mx_addr_text(const struct mx_addr *a, char *out, size_t size)
{
	if (inet_ntop(a->ipv6 ? AF_INET6 : AF_INET, &a->aaaa, out, (socklen_t) size) == NULL)
		out[0] = 0;
	return out;
}

bool
mx_addr_reserved(const struct mx_addr *a)
{
	static const struct {
		const char *net;
		unsigned bits;
	} nets[] = {			/* IANA special-purpose registries (RFC 6890 and later) */
		{ "0.0.0.0", 8 }, { "10.0.0.0", 8 }, { "100.64.0.0", 10 }, { "127.0.0.0", 8 }, { "169.254.0.0", 16 },
		{ "172.16.0.0", 12 }, { "192.0.0.0", 24 }, { "192.0.2.0", 24 }, { "192.168.0.0", 16 },
		{ "198.18.0.0", 15 }, { "198.51.100.0", 24 }, { "203.0.113.0", 24 }, { "224.0.0.0", 3 },
		/* of IPv6 all but 2000::/3, and there: */
		{ "::", 3 }, { "4000::", 2 }, { "8000::", 1 }, { "2001::", 32 }, { "2001:2::", 48 }, { "2001:db8::", 32 }, { "3fff::", 20 },
	};
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	static const unsigned char nat64[12] = { 0, 0x64, 0xff, 0x9b };
	const unsigned char *p = (const unsigned char *) &a->aaaa, *q;
	struct mx_addr inner = { .ipv6 = false }, net;
	unsigned bytes, rest;

	if (a->ipv6 && (memcmp(p, mapped, 12) == 0 || memcmp(p, nat64, 12) == 0)) {
		memcpy(&inner.a, p + 12, 4);
		return mx_addr_reserved(&inner);
	}
	if (a->ipv6 && p[0] == 0x20 && p[1] == 2) {	/* 6to4 (RFC 3056) */
		memcpy(&inner.a, p + 2, 4);
		return mx_addr_reserved(&inner);
	}
	for (size_t i = 0; i < NELEM(nets); i++) {
		mx_addr_parse(nets[i].net, &net);
		if (net.ipv6 != a->ipv6)
			continue;
		q = (const unsigned char *) &net.aaaa;
		bytes = nets[i].bits / 8;
		rest = nets[i].bits % 8;
		if (memcmp(p, q, bytes) == 0 &&
		    (rest == 0 || (p[bytes] >> (8 - rest)) == (q[bytes] >> (8 - rest))))
			return true;
	}
	return false;
}

/* the end */

void
mx_list_free(struct mx_list **lp)
{
	if (*lp == NULL)
		return;
	for (size_t i = 0; i < (*lp)->n; i++)
		mem_free(&(*lp)->host[i].name);
	mem_free(lp);
}

void
mx_cancel(struct mx_lookup **lp)
{
	struct mx_lookup *l = *lp;

	if (l == NULL)
		return;
	if (l->query != NULL)
		dns_cancel(l->dns, l->query);
	for (size_t i = 0; i < l->exchanges; i++) {
		for (int k = 0; k < 2; k++)
			if (l->exchange[i].query[k] != NULL)
				dns_cancel(l->dns, l->exchange[i].query[k]);
		mem_free(&l->exchange[i].name);
	}
	mem_free(&l->domain);
	mem_free(&l->host);
	mem_free(lp);
}

/* mx_fail - nothing to ask; the lookup is gone then */
static void __attribute__((format(printf, 5, 6)))
mx_fail(struct mx_lookup *l, enum verify_status status, enum smtp_cat cat, const char *dsn, const char *fmt, ...)
{
	struct mx_answer a = { .status = status, .cat = cat, .dsn = dsn };
	struct buf text = BUF_INIT(1024);
	mx_fn  *fn = l->fn;
	void   *ctx = l->ctx;
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&text, fmt, ap);
	va_end(ap);
	if (l->want.own_route && status == VERIFY_BOUNCE) {
		a.status = VERIFY_DEFER;	/* our configuration, not their mailbox */
		a.cat = SMTP_CAT_CONFIG;
		a.dsn = "4.3.5";
	}
	a.text = buf_str(&text);
	mx_cancel(&l);
	fn(ctx, &a);
	buf_fini(&text);
}

/* putting in order */

static bool
mx_is_own(const struct mx_conf *c, const struct mx_addr *a)
{
	for (size_t i = 0; i < c->own_n; i++)
		if (mx_addr_equal(a, &c->own[i]))
			return true;
	return false;
}

static void
mx_swap(struct mx_host *a, struct mx_host *b)
{
	struct mx_host t = *a;

	*a = *b;
	*b = t;
}

/* mx_shuffle - hosts from..to are equals: chance decides, then the preferred family */
static void
mx_shuffle(const struct mx_conf *c, struct mx_host *h, size_t n)
{
	size_t	front = 0;

	if (c->randomize)
		for (size_t i = n; i > 1; i--)
			mx_swap(&h[i - 1], &h[arc4random_uniform((uint32_t) i)]);
	if (c->prefer == MX_PREFER_ANY)
		return;
	for (size_t i = 0; i < n; i++)			/* stable, for hosts of the preferred family */
		if (h[i].addr.ipv6 == (c->prefer == MX_PREFER_IPV6)) {
			for (size_t k = i; k > front; k--)
				mx_swap(&h[k], &h[k - 1]);
			front++;
		}
}

/* mx_balance - at most limit of n hosts, so that no family pushes the other one out; returns how many */
static size_t
mx_balance(const struct mx_conf *c, struct mx_host *h, size_t n)
{
	size_t	six = 0, four, quota6, quota4, to = 0;

	if (c->address_limit == 0 || n <= c->address_limit)
		return n;
	for (size_t i = 0; i < n; i++)
		six += h[i].addr.ipv6;
	four = n - six;
	quota6 = quota4 = c->address_limit;
	if (c->balance && six > 0 && four > 0) {
		quota6 = four < c->address_limit / 2 ? c->address_limit - four : (c->address_limit + 1) / 2;
		quota4 = six < quota6 ? c->address_limit - six : c->address_limit - quota6;
	}
	for (size_t i = 0; i < n && to < c->address_limit; i++) {
		size_t *quota = h[i].addr.ipv6 ? &quota6 : &quota4;

		if (*quota == 0)
			continue;
		(*quota)--;
		mx_swap(&h[to++], &h[i]);
	}
	return to;
}

static void
mx_finish(struct mx_lookup *l)
{
	const struct mx_conf *c = l->conf;
	struct mx_answer a = { .status = VERIFY_TODO, .dsn = "", .text = "" };
	mx_fn  *fn = l->fn;
	void   *ctx = l->ctx;
	size_t	found = l->n, to;
	uint16_t best = 0xffff, self = 0xffff;
	bool	is_self = false;
	const char *d = l->domain;

	for (size_t i = 0; i < l->exchanges; i++)
		if (l->exchange[i].pref < best)
			best = l->exchange[i].pref;
	if (found == 0) {
		if (l->soft)
			mx_fail(l, VERIFY_DEFER, SMTP_CAT_DNS, "4.4.3",
			    "Host or domain name not found. Name service error for name=%s type=A: Host not found, try again",
			    l->exchanges > 0 ? l->exchange[0].name : d);
		else
			mx_fail(l, c->defer_no_address ? VERIFY_DEFER : VERIFY_BOUNCE, SMTP_CAT_NODOMAIN,
			    c->defer_no_address ? "4.4.4" : "5.4.4",
			    "Host or domain name not found. Name service error for name=%s type=A: %s",
			    l->exchanges > 0 ? l->exchange[0].name : d,
			    l->nxdomain ? "Host not found" : "Host found but no data record of requested type");
		return;
	}
	/* ourselves, and what is not better than us */
	if (l->want.self_check)
		for (size_t i = 0; i < l->n; i++)
			if (mx_is_own(c, &l->host[i].addr) && l->host[i].pref <= self) {
				self = l->host[i].pref;
				is_self = true;
			}
	for (size_t i = to = 0; i < l->n; i++)
		if (!is_self || l->host[i].pref < self)
			l->host[to++] = l->host[i];
	l->n = to;
	if (is_self && l->n == 0) {
		/* an exchange better than us that did not resolve: somebody else is responsible, we cannot ask now */
		if (self > best && l->soft)
			mx_fail(l, VERIFY_DEFER, SMTP_CAT_DNS, "4.4.4", "unable to find primary relay for %s", d);
		else if (self > best)
			mx_fail(l, VERIFY_DEFER, SMTP_CAT_LOOP, "4.4.4", "unable to find primary relay for %s", d);
		else
			mx_fail(l, VERIFY_BOUNCE, SMTP_CAT_LOOP, "5.4.6", "mail for %s loops back to myself", d);
		return;
	}
	if (c->reject_reserved && !l->want.own_route) {
		for (size_t i = to = 0; i < l->n; i++)
			if (!mx_addr_reserved(&l->host[i].addr))
				l->host[to++] = l->host[i];
		l->n = to;
		if (l->n == 0) {
			mx_fail(l, l->soft ? VERIFY_DEFER : VERIFY_BOUNCE, l->soft ? SMTP_CAT_DNS : SMTP_CAT_NODOMAIN,
			    l->soft ? "4.4.4" : "5.4.4", "no usable mail exchanger for %s", d);
			return;
		}
	}
	/* by preference: insertion keeps the order of equals */
	for (size_t i = 1; i < l->n; i++)
		for (size_t k = i; k > 0 && l->host[k].pref < l->host[k - 1].pref; k--)
			mx_swap(&l->host[k], &l->host[k - 1]);
	for (size_t i = 0, end; i < l->n; i = end) {
		for (end = i + 1; end < l->n && l->host[end].pref == l->host[i].pref; end++)
			;
		mx_shuffle(c, l->host + i, end - i);
	}
	l->n = mx_balance(c, l->host, l->n);
	a.list = mem_alloc(sizeof *a.list + l->n * sizeof a.list->host[0]);
	a.list->n = l->n;
	a.list->ttl_s = l->ttl_s;
	for (size_t i = 0; i < l->n; i++) {
		a.list->host[i] = l->host[i];
		a.list->host[i].backup = l->host[i].pref > best;
		a.list->host[i].name = mem_strdup(l->host[i].name);
	}
	mx_cancel(&l);
	fn(ctx, &a);
}

/* addresses of the exchanges */

static void
mx_host_add(struct mx_lookup *l, struct mx_exchange *x, const struct mx_addr *addr)
{
	struct mx_host *h;

	if (l->n >= MX_ADDRESSES || (addr->ipv6 ? !l->conf->ipv6 : !l->conf->ipv4))
		return;
	for (size_t i = 0; i < l->n; i++)
		if (mx_addr_equal(&l->host[i].addr, addr)) {
			if (x->pref < l->host[i].pref) {	/* one server by two names: the better one */
				l->host[i].pref = x->pref;
				l->host[i].name = x->name;
			}
			return;
		}
	if ((l->n & (l->n - 1)) == 0)			/* 0, 1, 2, 4 ...: full */
		l->host = mem_grow(l->host, l->n > 0 ? 2 * l->n : 1, sizeof *l->host);
	h = &l->host[l->n++];
	*h = (struct mx_host) { .addr = *addr, .pref = x->pref, .name = x->name };
}

static void
mx_addresses(void *ctx, const struct dns_answer *a)
{
	struct mx_exchange *x = ctx;
	struct mx_lookup *l = x->lookup;
	struct mx_addr addr;

	x->query[a->type == DNS_AAAA] = NULL;
	l->open--;
	switch (a->result) {
	case DNS_FOUND:
		for (size_t i = 0; i < a->n; i++) {
			memset(&addr, 0, sizeof addr);
			if ((addr.ipv6 = a->type == DNS_AAAA))
				addr.aaaa = a->rr[i].aaaa;
			else
				addr.a = a->rr[i].a;
			mx_host_add(l, x, &addr);
		}
		if (a->ttl_s < l->ttl_s)
			l->ttl_s = a->ttl_s;
		break;
	case DNS_SOFT:
		l->soft = true;
		break;
	case DNS_NXDOMAIN:
		l->nxdomain = true;
		break;
	case DNS_NODATA:
		break;
	}
	if (l->open == 0)
		mx_finish(l);
}

static void
mx_exchange_add(struct mx_lookup *l, const char *name, uint16_t pref)
{
	struct mx_exchange *x;

	if (l->exchanges >= MX_EXCHANGES)
		return;
	x = &l->exchange[l->exchanges++];
	x->lookup = l;
	x->name = mem_strdup(name);
	x->pref = pref;
}

/* mx_resolve - ask for the addresses of all exchanges; from a callback of the resolver: the end may come at once */
static void
mx_resolve(struct mx_lookup *l)
{
	struct mx_addr addr;

	l->open = 1;				/* ours, so that nobody finishes while we are at it */
	for (size_t i = 0; i < l->exchanges; i++) {
		struct mx_exchange *x = &l->exchange[i];

		if (mx_addr_parse(x->name, &addr))	/* forbidden in an MX, and common */
			mx_host_add(l, x, &addr);
		else if (dns_name_valid(x->name))
			for (int six = 0; six < 2; six++)
				if (six ? l->conf->ipv6 : l->conf->ipv4) {
					x->query[six] = dns_ask(l->dns, x->name, six ? DNS_AAAA : DNS_A, mx_addresses, x);
					l->open++;
				}
	}
	if (--l->open == 0)
		mx_finish(l);
}

static void
mx_exchanges(void *ctx, const struct dns_answer *a)
{
	struct mx_lookup *l = ctx;
	size_t	roots = 0;

	l->query = NULL;
	switch (a->result) {
	case DNS_NXDOMAIN:
		mx_fail(l, VERIFY_BOUNCE, SMTP_CAT_NODOMAIN, "5.4.4",
		    "Host or domain name not found. Name service error for name=%s type=A: Host not found", l->domain);
		return;
	case DNS_SOFT:
		if (!l->conf->ignore_mx_error) {
			mx_fail(l, VERIFY_DEFER, SMTP_CAT_DNS, "4.4.3",
			    "Host or domain name not found. Name service error for name=%s type=MX: Host not found, try again (%s)",
			    l->domain, a->why);
			return;
		}
		mx_exchange_add(l, l->domain, 0);
		break;
	case DNS_NODATA:
		mx_exchange_add(l, l->domain, 0);	/* RFC 5321 5.1: implicit MX */
		break;
	case DNS_FOUND:
		for (size_t i = 0; i < a->n; i++)
			roots += a->rr[i].name[0] == 0;
		if (roots == a->n) {
			mx_fail(l, VERIFY_BOUNCE, SMTP_CAT_NULLMX, "5.1.10", "Domain %s does not accept mail (nullMX)",
			    l->domain);
			return;
		}
		for (unsigned pref = 0, next; pref <= 0xffff && l->exchanges < MX_EXCHANGES; pref = next) {
			next = 0x10000;			/* the best first: those over the limit are the worst */
			for (size_t i = 0; i < a->n; i++)
				if (a->rr[i].pref == pref && a->rr[i].name[0] != 0)
					mx_exchange_add(l, a->rr[i].name, a->rr[i].pref);
				else if (a->rr[i].pref > pref && a->rr[i].pref < next)
					next = a->rr[i].pref;
		}
		/* what is not looked at may be well: without an address nothing is final */
		l->soft = roots + l->exchanges < a->n || a->n >= DNS_RR_MAX;
		l->ttl_s = a->ttl_s;
		break;
	}
	mx_resolve(l);
}

/* mx_literal - the domain is an address in text: no questions, but the answer comes from the loop all the same */
static void
mx_literal(void *ctx, const struct dns_answer *a)
{
	struct mx_lookup *l = ctx;

	(void) a;
	l->query = NULL;
	mx_resolve(l);
}

static void
mx_invalid(void *ctx, const struct dns_answer *a)
{
	struct mx_lookup *l = ctx;

	(void) a;
	l->query = NULL;
	mx_fail(l, VERIFY_BOUNCE, SMTP_CAT_NODOMAIN, "5.4.4",
	    "Host or domain name not found. Name service error for name=%.255s type=A: Malformed or unexpected name server reply",
	    l->domain);
}

struct mx_lookup *
mx_lookup(struct dns *dns, const struct mx_conf *conf, const struct mx_want *want, mx_fn *fn, void *ctx)
{
	struct mx_lookup *l = mem_alloc(sizeof *l);
	struct mx_addr addr;

	l->dns = dns;
	l->conf = conf;
	l->want = *want;
	l->want.domain = l->domain = mem_strdup(want->domain);
	l->fn = fn;
	l->ctx = ctx;
	l->ttl_s = 3600;
	if (mx_addr_parse(l->domain, &addr)) {
		mx_exchange_add(l, l->domain, 0);
		l->query = dns_later(dns, mx_literal, l);
	} else if (!dns_name_valid(l->domain))
		l->query = dns_later(dns, mx_invalid, l);
	else if (want->direct) {
		mx_exchange_add(l, l->domain, 0);
		l->query = dns_later(dns, mx_literal, l);
	} else
		l->query = dns_ask(dns, l->domain, DNS_MX, mx_exchanges, l);
	return l;
}
