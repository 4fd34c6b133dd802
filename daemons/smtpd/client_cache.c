/* daemons/smtpd/client_cache.c - clients that need not be tested again for a while */
#include "client_cache.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <netinet/in.h>
#include <string.h>

#include <util/mem.h>

#define CLIENT_CACHE_KEY 9	/* family; then 4 bytes of an IPv4 address, or the first 8 of an IPv6 one */

struct client_cached {
	RB_ENTRY(client_cached) node;
	TAILQ_ENTRY(client_cached) link;	/* by age */
	int64_t	due_ms;
	unsigned char key[CLIENT_CACHE_KEY];
};

static int
client_cached_cmp(struct client_cached *a, struct client_cached *b)
{
	return memcmp(a->key, b->key, sizeof a->key);
}

RB_HEAD(client_cached_tree, client_cached);
RB_GENERATE_INTERNAL(client_cached_tree, client_cached, node, client_cached_cmp, static __attribute__((unused)))

struct client_cache {
	struct client_cached_tree tree;
	TAILQ_HEAD(, client_cached) ages;
	size_t	n, limit;
	int64_t	life_ms;
};

static bool
client_cache_key(const struct sockaddr *sa, struct client_cached *c)
{
	memset(c->key, 0, sizeof c->key);
	if (sa->sa_family == AF_INET) {
		c->key[0] = 4;
		memcpy(c->key + 1, &((const struct sockaddr_in *) (const void *) sa)->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		c->key[0] = 6;
		memcpy(c->key + 1, &((const struct sockaddr_in6 *) (const void *) sa)->sin6_addr, 8);
	}
	return c->key[0] != 0;
}

static struct client_cached *
client_cache_find(struct client_cache *cc, const struct sockaddr *sa)
{
	struct client_cached key;

	return cc != NULL && client_cache_key(sa, &key) ? RB_FIND(client_cached_tree, &cc->tree, &key) : NULL;
}

static void
client_cache_remove(struct client_cache *cc, struct client_cached *c)
{
	RB_REMOVE(client_cached_tree, &cc->tree, c);
	TAILQ_REMOVE(&cc->ages, c, link);
	cc->n--;
	mem_free(&c);
}

struct client_cache *
client_cache_new(int64_t life_ms, size_t limit)
{
	struct client_cache *cc = mem_alloc(sizeof *cc);

	RB_INIT(&cc->tree);
	TAILQ_INIT(&cc->ages);
	cc->life_ms = life_ms;
	cc->limit = limit;
	return cc;
}

void
client_cache_free(struct client_cache **ccp)
{
	if (*ccp == NULL)
		return;
	while (!TAILQ_EMPTY(&(*ccp)->ages))
		client_cache_remove(*ccp, TAILQ_FIRST(&(*ccp)->ages));
	mem_free(ccp);
}

bool
client_cache_has(struct client_cache *cc, const struct sockaddr *sa, int64_t now_ms)
{
	struct client_cached *c = client_cache_find(cc, sa);

	if (c == NULL)
		return false;
	if (now_ms < c->due_ms)
		return true;
	client_cache_remove(cc, c);
	return false;
}

void
client_cache_put(struct client_cache *cc, const struct sockaddr *sa, int64_t now_ms)
{
	struct client_cached *c;

	if (cc == NULL)
		return;
	client_cache_drop(cc, sa);
	c = mem_alloc(sizeof *c);
	if (!client_cache_key(sa, c)) {
		mem_free(&c);
		return;
	}
	if (cc->n >= cc->limit)
		client_cache_remove(cc, TAILQ_FIRST(&cc->ages));
	c->due_ms = now_ms + cc->life_ms;
	RB_INSERT(client_cached_tree, &cc->tree, c);
	TAILQ_INSERT_TAIL(&cc->ages, c, link);
	cc->n++;
}

void
client_cache_drop(struct client_cache *cc, const struct sockaddr *sa)
{
	struct client_cached *c = client_cache_find(cc, sa);

	if (c != NULL)
		client_cache_remove(cc, c);
}
