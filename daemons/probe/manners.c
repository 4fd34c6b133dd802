/* daemons/probe/manners.c - how much we ask of whom, and when we leave somebody alone */
#include "manners.h"

#include <stdio.h>
#include <string.h>
#include <bsd/string.h>

#include <util/ascii.h>
#include <util/mem.h>

#define HOUR_MS		3600000

static int
provider_cmp(const struct provider *a, const struct provider *b)
{
	return strcmp(a->name, b->name);
}

static int
host_cmp(const struct host *a, const struct host *b)
{
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	if (a->addr.ipv6 != b->addr.ipv6)
		return a->addr.ipv6 ? 1 : -1;
	if (a->own != b->own)
		return a->own ? 1 : -1;
	int	c = memcmp(&a->addr.aaaa, &b->addr.aaaa, a->addr.ipv6 ? 16 : 4);
	return c != 0 ? c : strcmp(a->path, b->path);
}

RB_HEAD(provider_tree, provider);
RB_HEAD(host_tree, host);
RB_GENERATE_INTERNAL(provider_tree, provider, node, provider_cmp, static __attribute__((unused)))
RB_GENERATE_INTERNAL(host_tree, host, node, host_cmp, static __attribute__((unused)))

struct manners {
	const struct manners_conf *conf;
	struct provider_tree providers;
	struct host_tree hosts;
	TAILQ_HEAD(, provider) idle_providers;	/* unused: least recently used first */
	TAILQ_HEAD(, host) idle_hosts;
	size_t	 idle_providers_n, idle_hosts_n;
};

/* back-off and buckets */

void
backoff_hit(struct backoff *b, int64_t base_ms, int64_t max_ms, int64_t now_ms)
{
	int64_t ms = base_ms;

	if (backoff_on(b, now_ms))
		return;				/* several sessions see the same refusal: it counts once */
	for (unsigned i = 0; i < b->level && ms < max_ms; i++)
		ms *= 2;
	b->until_ms = now_ms + (ms < max_ms ? ms : max_ms);
	b->level++;
}

void
backoff_clear(struct backoff *b)
{
	b->until_ms = 0;
	b->level = 0;
}

bool
backoff_on(const struct backoff *b, int64_t now_ms)
{
	return b->until_ms > now_ms;
}

bool
backoff_half_open(const struct backoff *b, int64_t now_ms)
{
	return b->level > 0 && b->until_ms <= now_ms;
}

int64_t
bucket_wait(struct bucket *b, unsigned rate, unsigned burst, int64_t now_ms)
{
	if (rate == 0)
		return 0;
	if (b->filled_ms == 0)
		b->tokens = burst;
	else
		b->tokens += (double) (now_ms - b->filled_ms) * rate / 60000;
	if (b->tokens > burst)
		b->tokens = burst;
	b->filled_ms = now_ms;
	return b->tokens >= 1 ? 0 : (int64_t) ((1 - b->tokens) * 60000 / rate) + 1;
}

void
bucket_take(struct bucket *b)
{
	b->tokens -= 1;
}

/* waiting */

void
wait_list_init(struct wait_list *w)
{
	TAILQ_INIT(&w->head);
	w->host = NULL;
	w->provider = NULL;
}

void
wait_off(struct wait_link *l)
{
	if (l->on != NULL)
		TAILQ_REMOVE(&l->on->head, l, link);
	l->on = NULL;
}

void
wait_on(struct wait_list *w, struct wait_link *l)
{
	wait_off(l);
	TAILQ_INSERT_TAIL(&w->head, l, link);
	l->on = w;
}

struct wait_link *
wait_first(struct wait_list *w)
{
	return TAILQ_FIRST(&w->head);
}

/* records */

char *
manners_provider_name(char *out, size_t size, const char *exchange, const struct mx_addr *addr)
{
	/* second labels under which a country sells names: the third one tells who it is */
	static const char *const shared[] = { "ac", "co", "com", "edu", "gob", "gov", "gv", "ne", "net", "or", "org", "go", "nom" };
	const char *dot[3] = { NULL, NULL, NULL }, *p;
	struct mx_addr literal;
	char	text[INET6_ADDRSTRLEN];
	size_t	len, second;

	if (mx_addr_parse(exchange, &literal)) {
		struct mx_addr net = *addr;

		memset((char *) &net.aaaa + (net.ipv6 ? 6 : 3), 0, net.ipv6 ? 10 : 1);
		snprintf(out, size, "%s/%d", mx_addr_text(&net, text, sizeof text), net.ipv6 ? 48 : 24);
		return out;
	}
	for (p = exchange + strlen(exchange); p > exchange; p--)
		if (p[-1] == '.') {
			if (dot[0] == NULL)
				dot[0] = p;
			else if (dot[1] == NULL)
				dot[1] = p;
			else {
				dot[2] = p;
				break;
			}
		}
	if (dot[0] == NULL || dot[1] == NULL)
		p = exchange;
	else {
		p = dot[1];
		len = strlen(dot[0]);
		second = (size_t) (dot[0] - 1 - dot[1]);
		if (len == 2)
			for (size_t i = 0; i < NELEM(shared); i++)
				if (strlen(shared[i]) == second && strncmp(shared[i], dot[1], second) == 0)
					p = dot[2] != NULL ? dot[2] : exchange;
	}
	strlcpy(out, p, size);
	ascii_lower(out, strlen(out));
	return out;
}

static void
provider_unref(struct manners *m, struct provider *p)
{
	if (--p->refs > 0)
		return;
	TAILQ_INSERT_TAIL(&m->idle_providers, p, lru);
	m->idle_providers_n++;
	while (m->idle_providers_n > m->conf->limit) {
		p = TAILQ_FIRST(&m->idle_providers);
		TAILQ_REMOVE(&m->idle_providers, p, lru);
		m->idle_providers_n--;
		RB_REMOVE(provider_tree, &m->providers, p);
		mem_free(&p->why);
		mem_free(&p);
	}
}

static struct provider *
provider_get(struct manners *m, const char *name)
{
	struct provider *key = mem_alloc(sizeof *key + strlen(name) + 1), *p;

	strcpy(key->name, name);
	if ((p = RB_FIND(provider_tree, &m->providers, key)) != NULL) {
		mem_free(&key);
		if (p->refs++ == 0) {
			TAILQ_REMOVE(&m->idle_providers, p, lru);
			m->idle_providers_n--;
		}
		return p;
	}
	key->refs = 1;
	wait_list_init(&key->waiters);
	key->waiters.provider = key;
	RB_INSERT(provider_tree, &m->providers, key);
	return key;
}

static void
host_free(struct manners *m, struct host *h)
{
	RB_REMOVE(host_tree, &m->hosts, h);
	mem_free(&h->why);
	mem_free(&h);
}

struct peer
manners_peer(struct manners *m, const struct mx_addr *addr, unsigned port, const char *path, const char *exchange, bool own)
{
	struct host *key = mem_alloc(sizeof *key + (path != NULL ? strlen(path) : 0) + 1), *h;
	struct peer p = { .provider = NULL };
	char	name[256];

	if (addr != NULL)
		key->addr = *addr;
	key->port = port;
	key->own = own;
	if (path != NULL)
		strcpy(key->path, path);
	if (!own)
		p.provider = provider_get(m, manners_provider_name(name, sizeof name, exchange, &key->addr));
	if ((h = RB_FIND(host_tree, &m->hosts, key)) != NULL) {
		mem_free(&key);
		if (h->refs++ == 0) {
			TAILQ_REMOVE(&m->idle_hosts, h, lru);
			m->idle_hosts_n--;
		}
		p.host = h;
		return p;
	}
	key->refs = 1;
	wait_list_init(&key->waiters);
	key->waiters.host = key;
	RB_INSERT(host_tree, &m->hosts, key);
	p.host = key;
	return p;
}

void
manners_unref(struct manners *m, struct peer *p)
{
	struct host *h = p->host;

	if (p->provider != NULL)
		provider_unref(m, p->provider);
	p->provider = NULL;
	p->host = NULL;
	if (h == NULL || --h->refs > 0)
		return;
	TAILQ_INSERT_TAIL(&m->idle_hosts, h, lru);
	m->idle_hosts_n++;
	while (m->idle_hosts_n > m->conf->limit) {
		h = TAILQ_FIRST(&m->idle_hosts);
		TAILQ_REMOVE(&m->idle_hosts, h, lru);
		m->idle_hosts_n--;
		host_free(m, h);
	}
}

struct manners *
manners_new(const struct manners_conf *conf)
{
	struct manners *m = mem_alloc(sizeof *m);

	m->conf = conf;
	RB_INIT(&m->providers);
	RB_INIT(&m->hosts);
	TAILQ_INIT(&m->idle_providers);
	TAILQ_INIT(&m->idle_hosts);
	return m;
}

void
manners_free(struct manners **mp)
{
	struct manners *m = *mp;
	struct provider *p, *pnext;
	struct host *h, *hnext;

	if (m == NULL)
		return;
	RB_FOREACH_SAFE(h, host_tree, &m->hosts, hnext) {
		RB_REMOVE(host_tree, &m->hosts, h);
		mem_free(&h->why);
		mem_free(&h);
	}
	RB_FOREACH_SAFE(p, provider_tree, &m->providers, pnext) {
		RB_REMOVE(provider_tree, &m->providers, p);
		mem_free(&p->why);
		mem_free(&p);
	}
	mem_free(mp);
}

/* limits */

static bool
host_has_room(const struct manners *m, const struct host *h, int64_t now_ms)
{
	unsigned limit = h->own ? m->conf->own_host_sessions : m->conf->host_sessions;

	if (h->slow_until_ms > now_ms && !h->own)
		limit = 1;
	return h->sessions < limit;
}

static bool
provider_has_room(const struct manners *m, const struct provider *p, int64_t now_ms)
{
	if (p->sessions >= m->conf->provider_sessions)
		return false;
	/* half open: one session finds out whether they talk to us again */
	return p->sessions == 0 || (!backoff_half_open(&p->policy, now_ms) && !backoff_half_open(&p->rate, now_ms));
}

struct wait_list *
manners_room(struct manners *m, const struct peer *p, int64_t now_ms)
{
	if (!host_has_room(m, p->host, now_ms))
		return &p->host->waiters;
	if (p->provider != NULL && !provider_has_room(m, p->provider, now_ms))
		return &p->provider->waiters;
	return NULL;
}

bool
manners_has_room(struct manners *m, const struct wait_list *w, int64_t now_ms)
{
	if (w->host != NULL)
		return host_has_room(m, w->host, now_ms);
	return w->provider != NULL && provider_has_room(m, w->provider, now_ms);
}

int64_t
manners_token(struct manners *m, const struct peer *p, int64_t now_ms)
{
	return p->provider == NULL ? 0 :
	    bucket_wait(&p->provider->bucket, m->conf->provider_rate, m->conf->provider_burst, now_ms);
}

void
manners_take(struct manners *m, const struct peer *p)
{
	if (p->provider != NULL && m->conf->provider_rate > 0)
		bucket_take(&p->provider->bucket);
}

void
manners_open(const struct peer *p)
{
	p->host->sessions++;
	if (p->provider != NULL)
		p->provider->sessions++;
}

void
manners_close(const struct peer *p)
{
	p->host->sessions--;
	if (p->provider != NULL)
		p->provider->sessions--;
}

int64_t
manners_suspended(const struct peer *peer, int64_t now_ms, const char **why_r)
{
	const struct provider *p = peer->provider;
	int64_t until = 0;

	if (p == NULL)
		return 0;
	*why_r = p->why != NULL ? p->why : "";
	if (backoff_on(&p->policy, now_ms))
		until = p->policy.until_ms;
	if (backoff_on(&p->rate, now_ms) && p->rate.until_ms > until)
		until = p->rate.until_ms;
	if (p->hold_until_ms > now_ms && p->hold_until_ms > until) {
		until = p->hold_until_ms;
		*why_r = "too many unknown mailboxes";
	}
	return until;
}

/* what came back */

void
manners_reached(struct host *h)
{
	h->fails = 0;
	backoff_clear(&h->dead);
}

void
manners_failed(struct manners *m, struct host *h, const char *why, int64_t now_ms)
{
	mem_free(&h->why);
	h->why = mem_strdup(why);
	/* one's own server comes back soon, and nobody minds being asked */
	if (++h->fails >= m->conf->dead_fails)
		backoff_hit(&h->dead, h->own ? m->conf->own_dead_ms : m->conf->dead_ms,
		    h->own ? m->conf->own_dead_max_ms : m->conf->dead_max_ms, now_ms);
}

static void
provider_why(struct provider *p, const char *text)
{
	mem_free(&p->why);
	p->why = mem_strdup(text);
}

void
manners_answer(struct manners *m, const struct peer *peer, enum smtp_cat cat, const char *text, int64_t now_ms)
{
	const struct manners_conf *c = m->conf;
	struct provider *p = peer->provider;
	bool	unknown = cat == SMTP_CAT_UNKNOWN;

	if (p == NULL)
		return;
	switch (cat) {
	case SMTP_CAT_POLICY:
		provider_why(p, text);
		p->policy_ms = now_ms;
		backoff_hit(&p->policy, c->policy_ms, c->policy_max_ms, now_ms);
		return;
	case SMTP_CAT_RATE:
	case SMTP_CAT_BUSY:
		provider_why(p, text);
		backoff_hit(&p->rate, c->rate_ms, c->rate_max_ms, now_ms);
		return;
	case SMTP_CAT_ACCEPTED:
	case SMTP_CAT_UNVERIFIED:
	case SMTP_CAT_UNKNOWN:
	case SMTP_CAT_DISABLED:
	case SMTP_CAT_MAILBOX:
	case SMTP_CAT_FULL:
		if (!backoff_on(&p->policy, now_ms))
			backoff_clear(&p->policy);	/* they answer questions again */
		if (!backoff_on(&p->rate, now_ms))
			backoff_clear(&p->rate);
		break;
	default:
		return;
	}
	p->answered_ms = now_ms;
	p->window = (p->window << 1 | unknown) & ((1ull << PROVIDER_WINDOW) - 1);
	if (p->window_n < PROVIDER_WINDOW)
		p->window_n++;
	if (now_ms - p->unknown_ms >= HOUR_MS) {
		p->unknown_ms = now_ms;
		p->unknown_n = 0;
	}
	p->unknown_n += unknown;
	if (c->unknown_hour > 0 && p->unknown_n > c->unknown_hour &&
	    2 * (unsigned) __builtin_popcountll(p->window) > p->window_n) {
		p->hold_until_ms = now_ms + c->unknown_hold_ms;
		p->unknown_n = 0;
		p->unknown_ms = now_ms;
	}
}

unsigned
manners_blocked(const struct manners *m, int64_t now_ms, int64_t window_ms, unsigned *others_r)
{
	struct provider *p;
	unsigned n = 0;

	*others_r = 0;
	RB_FOREACH(p, provider_tree, (struct provider_tree *) &m->providers)
		if (p->policy_ms != 0 && now_ms - p->policy_ms <= window_ms)
			n++;
		else if (p->answered_ms != 0 && now_ms - p->answered_ms <= window_ms)
			++*others_r;
	return n;
}
