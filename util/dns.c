/* util/dns.c - asks the domain name system: cache, shared questions, CNAMEs, and reading of answers
 * An entry is one name and type. It is ASKING while its question is with the carrier or waits for room there, then
 * READY for as long as its answer lives. Answers reach those who asked from a deferred call, so never too early.
 */
#include "dns.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <bsd/sys/tree.h>

#include <util/ascii.h>
#include <util/mem.h>

#define DNS_TTL_MIN	60	/* spec probe 3.5: a zone with TTL 0 must not make us ask for each probe */
#define DNS_TTL_MAX	3600
#define DNS_NEG_MAX	900
#define DNS_NEG_NO_SOA	60
#define DNS_SLACK_MS	2000	/* over what the carrier should need at most */

TAILQ_HEAD(dns_queries, dns_query);

enum dns_state { DNS_WAITING, DNS_ASKING, DNS_READY };

struct dns_entry {
	RB_ENTRY(dns_entry) node;
	TAILQ_ENTRY(dns_entry) link;		/* in waiting, asking or ready */
	struct dns *dns;
	enum dns_state state;
	bool	 carried;			/* the carrier will call back */
	int64_t	 expire_s;
	struct ev_timer limit;
	struct dns_queries queries;		/* until READY */
	unsigned refs;				/* queries in dns->due that are to be told this answer */
	struct dns_answer answer;
	unsigned cnames;			/* followed so far */
	char	*asked;				/* the name being asked, when it is not the entry's: a CNAME's target */
	enum dns_type type;
	char	 name[];
};
TAILQ_HEAD(dns_entries, dns_entry);
RB_HEAD(dns_tree, dns_entry);

struct dns_query {
	TAILQ_ENTRY(dns_query) link;		/* in its entry's queries, or in dns->due */
	struct dns_entry *entry;		/* NULL: refused, too many */
	bool	 due;
	dns_fn	*fn;
	void	*ctx;
};

struct dns {
	struct ev_loop *loop;
	const struct dns_carrier *ops;
	void	*carrier;
	struct dns_conf conf;
	struct dns_tree tree;
	struct dns_entries waiting, asking, ready;	/* ready: least recently used first */
	struct dns_queries due;			/* to be told: by the next dns_deliver */
	size_t	 due_n;
	struct ev_defer deliver;
	struct dns_stat stat;
};

static int
dns_entry_cmp(const struct dns_entry *a, const struct dns_entry *b)
{
	int	c = (int) a->type - (int) b->type;

	return c != 0 ? c : strcmp(a->name, b->name);
}
RB_GENERATE_INTERNAL(dns_tree, dns_entry, node, dns_entry_cmp, static __attribute__((unused)))

static const char *const dns_type_names[] = { [DNS_A] = "A", [DNS_AAAA] = "AAAA", [DNS_MX] = "MX",
	[DNS_PTR] = "PTR" };

const char *
dns_type_name(enum dns_type t)
{
	return dns_type_names[t];
}

bool
dns_name_valid(const char *s)
{
	size_t	label = 0, n = 0;

	for (; *s != 0; s++, n++)
		if (*s == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!isalnum((unsigned char) *s) && *s != '-' && *s != '_')
			return false;
		else if (++label > 63)
			return false;
	return n > 0 && n - (label == 0) <= DNS_NAME_MAX;
}

/* answers */

static void
dns_answer_fini(struct dns_answer *a)
{
	if (a->type == DNS_MX || a->type == DNS_PTR)
		for (size_t i = 0; i < a->n; i++)
			mem_free(&a->rr[i].name);
	mem_free(&a->rr);
	a->n = 0;
	a->why = "";
}

static void
dns_answer_soft(struct dns_answer *a, const char *why)
{
	dns_answer_fini(a);
	a->result = DNS_SOFT;
	a->why = why;
}

static uint32_t
dns_clamp(uint32_t ttl, uint32_t max)
{
	return ttl < DNS_TTL_MIN ? DNS_TTL_MIN : ttl > max ? max : ttl;
}

/* dns_soa_ttl - how long a negative answer lives (RFC 2308 section 5); false when there is no SOA */
static bool
dns_soa_ttl(ns_msg *m, uint32_t *ttl_r)
{
	const unsigned char *p, *end;
	char	name[NS_MAXDNAME];
	ns_rr	rr;
	int	n;

	for (int i = 0; i < ns_msg_count(*m, ns_s_ns); i++) {
		if (ns_parserr(m, ns_s_ns, i, &rr) < 0)
			return false;
		if (ns_rr_type(rr) != ns_t_soa)
			continue;
		p = ns_rr_rdata(rr);
		end = p + ns_rr_rdlen(rr);
		for (int k = 0; k < 2; k++) {
			if ((n = dn_expand(ns_msg_base(*m), ns_msg_end(*m), p, name, sizeof name)) < 0 || n > end - p)
				return false;
			p += n;
		}
		if (end - p != 20)
			return false;
		*ttl_r = ns_get32(p + 16);
		if (ns_rr_ttl(rr) < *ttl_r)
			*ttl_r = ns_rr_ttl(rr);
		return true;
	}
	return false;
}

static bool
dns_rr_take(struct dns_answer *a, ns_msg *m, const ns_rr *rr)
{
	char	name[NS_MAXDNAME];
	struct dns_rr *to;
	size_t	len = ns_rr_rdlen(*rr), at = a->type == DNS_MX ? 2 : 0;

	if (a->n >= DNS_RR_MAX)
		return true;
	if (a->rr == NULL)
		a->rr = mem_array(DNS_RR_MAX, sizeof *a->rr);
	to = &a->rr[a->n];
	switch (a->type) {
	case DNS_A:
		if (len != sizeof to->a)
			return false;
		memcpy(&to->a, ns_rr_rdata(*rr), len);
		break;
	case DNS_AAAA:
		if (len != sizeof to->aaaa)
			return false;
		memcpy(&to->aaaa, ns_rr_rdata(*rr), len);
		break;
	case DNS_MX:
	case DNS_PTR:
		if (len <= at || dn_expand(ns_msg_base(*m), ns_msg_end(*m), ns_rr_rdata(*rr) + at, name, sizeof name) < 0)
			return false;
		ascii_lower(name, strlen(name));
		to->pref = at == 0 ? 0 : (uint16_t) ns_get16(ns_rr_rdata(*rr));
		to->name = mem_strdup(strcmp(name, ".") == 0 ? "" : name);
		break;
	}
	a->n++;
	return true;
}

/* dns_read - an answer to the question for qname
 * target    NS_MAXDNAME bytes: the name that CNAMEs lead to
 * returns   true when *a is the answer; false when the question must be put again for target */
static bool
dns_read(struct dns_answer *a, const char *qname, const unsigned char *msg, size_t len, char *target)
{
	static const int types[] = { [DNS_A] = ns_t_a, [DNS_AAAA] = ns_t_aaaa, [DNS_MX] = ns_t_mx, [DNS_PTR] = ns_t_ptr };
	uint32_t ttl = DNS_TTL_MAX, soa = 0;
	bool	is_soa, moved = false;
	ns_msg	m;
	ns_rr	rr;
	int	count, rcode;

	if (len > 65535 || ns_initparse(msg, (int) len, &m) < 0 || !ns_msg_getflag(m, ns_f_qr)) {
		dns_answer_soft(a, "malformed answer");
		return true;
	}
	rcode = ns_msg_getflag(m, ns_f_rcode);
	if (rcode != ns_r_noerror && rcode != ns_r_nxdomain) {
		dns_answer_soft(a, rcode == ns_r_refused ? "refused by the name server" : "name server failure");
		return true;
	}
	strcpy(target, qname);
	count = ns_msg_count(m, ns_s_an);
	/* the chain in whatever order its records come: one pass for each CNAME */
	for (int pass = 0; pass <= DNS_CNAME_MAX && a->n == 0; pass++) {
		bool	next = false;

		for (int i = 0; i < count; i++) {
			if (ns_parserr(&m, ns_s_an, i, &rr) < 0) {
				dns_answer_soft(a, "malformed answer");
				return true;
			}
			if (strcasecmp(ns_rr_name(rr), target) != 0 || ns_rr_class(rr) != ns_c_in)
				continue;
			if ((int) ns_rr_type(rr) == types[a->type]) {
				if (!dns_rr_take(a, &m, &rr)) {
					dns_answer_soft(a, "malformed answer");
					return true;
				}
			} else if (ns_rr_type(rr) == ns_t_cname && !next && a->n == 0) {
				if (dn_expand(ns_msg_base(m), ns_msg_end(m), ns_rr_rdata(rr), target, NS_MAXDNAME) < 0) {
					dns_answer_soft(a, "malformed answer");
					return true;
				}
				next = moved = true;
			} else
				continue;
			if (ns_rr_ttl(rr) < ttl)
				ttl = ns_rr_ttl(rr);
			if (next)
				break;
		}
		if (!next)
			break;
	}
	if (a->n > 0) {
		a->result = DNS_FOUND;
		a->ttl_s = dns_clamp(ttl, DNS_TTL_MAX);
		a->rr = mem_grow(a->rr, a->n, sizeof *a->rr);
		return true;
	}
	is_soa = dns_soa_ttl(&m, &soa);
	if (rcode == ns_r_noerror && moved && !is_soa) {
		if (strlen(target) > DNS_NAME_MAX || !dns_name_valid(target)) {
			dns_answer_soft(a, "CNAME to a name that is none");
			return true;
		}
		return false;
	}
	a->result = rcode == ns_r_nxdomain ? DNS_NXDOMAIN : DNS_NODATA;
	a->ttl_s = is_soa ? dns_clamp(soa, DNS_NEG_MAX) : DNS_NEG_NO_SOA;
	return true;
}

/* entries */

static void
dns_entry_free(struct dns_entry *e)
{
	RB_REMOVE(dns_tree, &e->dns->tree, e);
	ev_timer_cancel(e->dns->loop, &e->limit);
	e->dns->stat.entries--;
	dns_answer_fini(&e->answer);
	mem_free(&e->asked);
	mem_free(&e);
}

/* dns_entry_idle - it can be freed without anybody noticing */
static bool
dns_entry_idle(const struct dns_entry *e)
{
	return e->state == DNS_READY && e->refs == 0 && !e->carried;
}

/* dns_entry_drop - forget an idle entry */
static void
dns_entry_drop(struct dns_entry *e)
{
	TAILQ_REMOVE(&e->dns->ready, e, link);
	dns_entry_free(e);
}

static void dns_deliver(void *);

static void
dns_query_due(struct dns *d, struct dns_query *q)
{
	q->due = true;
	if (q->entry != NULL)
		q->entry->refs++;
	TAILQ_INSERT_TAIL(&d->due, q, link);
	d->due_n++;
	ev_defer_set(d->loop, &d->deliver, dns_deliver, d);
}

/* dns_entry_ready - the question is answered */
static void
dns_entry_ready(struct dns_entry *e)
{
	struct dns *d = e->dns;
	struct dns_query *q;

	ev_timer_cancel(d->loop, &e->limit);
	if (e->state == DNS_WAITING) {
		TAILQ_REMOVE(&d->waiting, e, link);
		d->stat.waiting--;
	} else {
		TAILQ_REMOVE(&d->asking, e, link);
		d->stat.open--;
	}
	if (e->answer.result == DNS_SOFT)
		d->stat.failed++;
	mem_free(&e->asked);
	e->state = DNS_READY;
	e->expire_s = e->answer.result == DNS_SOFT ? 0 : ev_wall_s(d->loop) + e->answer.ttl_s;
	TAILQ_INSERT_TAIL(&d->ready, e, link);
	while ((q = TAILQ_FIRST(&e->queries)) != NULL) {
		TAILQ_REMOVE(&e->queries, q, link);
		dns_query_due(d, q);
	}
	ev_defer_set(d->loop, &d->deliver, dns_deliver, d);
}

static void
dns_carried(void *ctx, const char *why, const unsigned char *msg, size_t len)
{
	struct dns_entry *e = ctx;
	struct dns *d = e->dns;
	char	target[NS_MAXDNAME];

	e->carried = false;
	if (e->state != DNS_ASKING) {		/* we gave it up before */
		if (dns_entry_idle(e))
			dns_entry_drop(e);
		return;
	}
	if (why != NULL)
		dns_answer_soft(&e->answer, why);
	else if (!dns_read(&e->answer, e->asked != NULL ? e->asked : e->name, msg, len, target)) {
		if (++e->cnames <= DNS_CNAME_MAX) {
			mem_free(&e->asked);
			e->asked = mem_strdup(target);
			TAILQ_REMOVE(&d->asking, e, link);	/* back to the queue; its time limit goes on */
			d->stat.open--;
			e->state = DNS_WAITING;
			TAILQ_INSERT_HEAD(&d->waiting, e, link);
			d->stat.waiting++;
			ev_defer_set(d->loop, &d->deliver, dns_deliver, d);
			return;
		}
		dns_answer_soft(&e->answer, "CNAME chain too long");
	}
	dns_entry_ready(e);
}

static void
dns_limit(void *ctx)
{
	struct dns_entry *e = ctx;

	dns_answer_soft(&e->answer, "name server time-out");
	dns_entry_ready(e);
}

static void
dns_start(struct dns *d)
{
	struct dns_entry *e;

	while (d->stat.open < d->conf.open_limit && (e = TAILQ_FIRST(&d->waiting)) != NULL) {
		TAILQ_REMOVE(&d->waiting, e, link);
		d->stat.waiting--;
		TAILQ_INSERT_TAIL(&d->asking, e, link);
		d->stat.open++;
		d->stat.sent++;
		e->state = DNS_ASKING;
		e->carried = true;
		if (e->limit.pos == 0)
			ev_timer_set(d->loop, &e->limit, d->conf.try_ms * 2 * d->conf.tries + DNS_SLACK_MS, dns_limit, e);
		d->ops->ask(d->carrier, e->asked != NULL ? e->asked : e->name, e->type, dns_carried, e);
	}
}

/* dns_deliver - tell those whose answers are there, shrink the cache, start what waits */
static void
dns_deliver(void *ctx)
{
	static const struct dns_answer refused = { .result = DNS_SOFT, .why = "too many questions at a time" };
	struct dns *d = ctx;
	struct dns_entry *e;
	struct dns_query *q;

	for (size_t n = d->due_n; n > 0 && (q = TAILQ_FIRST(&d->due)) != NULL; n--) {
		dns_fn *fn = q->fn;
		void   *fn_ctx = q->ctx;

		e = q->entry;
		TAILQ_REMOVE(&d->due, q, link);
		d->due_n--;
		mem_free(&q);
		fn(fn_ctx, e != NULL ? &e->answer : &refused);
		if (e != NULL) {
			e->refs--;
			if (e->expire_s == 0 && dns_entry_idle(e))
				dns_entry_drop(e);
		}
	}
	while (d->stat.entries > d->conf.cache_limit && (e = TAILQ_FIRST(&d->ready)) != NULL && dns_entry_idle(e))
		dns_entry_drop(e);
	dns_start(d);
}

/* dns_lookup - the entry for name and type, made when there is none; NULL when too many are open */
static struct dns_entry *
dns_lookup(struct dns *d, const char *name, enum dns_type type)
{
	size_t	n = strlen(name);
	struct dns_entry *key = mem_alloc(sizeof *key + n + 1), *e;

	memcpy(key->name, name, n);
	ascii_lower(key->name, n);
	if (n > 0 && name[n - 1] == '.')
		key->name[n - 1] = 0;
	key->type = type;
	e = RB_FIND(dns_tree, &d->tree, key);
	if (e != NULL && dns_entry_idle(e) && e->expire_s <= ev_wall_s(d->loop)) {
		dns_entry_drop(e);
		e = NULL;
	}
	if (e != NULL) {
		mem_free(&key);
		return e;
	}
	if (d->stat.waiting >= d->conf.wait_limit) {
		mem_free(&key);
		return NULL;
	}
	key->dns = d;
	key->answer.type = type;
	key->answer.why = "";
	TAILQ_INIT(&key->queries);
	RB_INSERT(dns_tree, &d->tree, key);
	TAILQ_INSERT_TAIL(&d->waiting, key, link);
	d->stat.waiting++;
	d->stat.entries++;
	return key;
}

struct dns_query *
dns_ask(struct dns *d, const char *name, enum dns_type type, dns_fn *fn, void *ctx)
{
	struct dns_query *q = mem_alloc(sizeof *q);
	struct dns_entry *e = dns_lookup(d, name, type);

	d->stat.asked++;
	q->fn = fn;
	q->ctx = ctx;
	q->entry = e;
	if (e == NULL)
		dns_query_due(d, q);
	else if (e->state == DNS_READY) {
		d->stat.cached++;
		TAILQ_REMOVE(&d->ready, e, link);
		TAILQ_INSERT_TAIL(&d->ready, e, link);
		dns_query_due(d, q);
	} else {
		TAILQ_INSERT_TAIL(&e->queries, q, link);
		ev_defer_set(d->loop, &d->deliver, dns_deliver, d);
	}
	return q;
}

struct dns_query *
dns_later(struct dns *d, dns_fn *fn, void *ctx)
{
	struct dns_query *q = mem_alloc(sizeof *q);

	q->fn = fn;
	q->ctx = ctx;
	dns_query_due(d, q);
	return q;
}

void
dns_cancel(struct dns *d, struct dns_query *q)
{
	if (q->due) {
		TAILQ_REMOVE(&d->due, q, link);
		d->due_n--;
		if (q->entry != NULL)
			q->entry->refs--;
	} else
		TAILQ_REMOVE(&q->entry->queries, q, link);
	mem_free(&q);
}

void
dns_flush(struct dns *d)
{
	struct dns_entry *e, *next;

	TAILQ_FOREACH_SAFE(e, &d->ready, link, next)
		if (dns_entry_idle(e))
			dns_entry_drop(e);
}

void
dns_stat(const struct dns *d, struct dns_stat *st)
{
	*st = d->stat;
}

struct dns *
dns_new(struct ev_loop *loop, const struct dns_carrier *ops, const struct dns_conf *conf, const char **why_r)
{
	struct dns *d = mem_alloc(sizeof *d);

	d->loop = loop;
	d->ops = ops;
	d->conf = *conf;
	RB_INIT(&d->tree);
	TAILQ_INIT(&d->waiting);
	TAILQ_INIT(&d->asking);
	TAILQ_INIT(&d->ready);
	TAILQ_INIT(&d->due);
	if ((d->carrier = ops->open(loop, conf, why_r)) == NULL)
		mem_free(&d);
	return d;
}

void
dns_free(struct dns **dp)
{
	struct dns *d = *dp;
	struct dns_entry *e, *next;
	struct dns_query *q;

	if (d == NULL)
		return;
	d->ops->close(d->carrier);
	ev_defer_cancel(d->loop, &d->deliver);
	while ((q = TAILQ_FIRST(&d->due)) != NULL)
		dns_cancel(d, q);
	RB_FOREACH_SAFE(e, dns_tree, &d->tree, next) {
		while ((q = TAILQ_FIRST(&e->queries)) != NULL)
			dns_cancel(d, q);
		dns_entry_free(e);
	}
	mem_free(dp);
}
