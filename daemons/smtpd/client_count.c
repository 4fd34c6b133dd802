/* daemons/smtpd/client_count.c - what a client does on all workers of a host */
#include "client_count.h"

#include <netinet/in.h>
#include <string.h>

#include <util/mem.h>
#include <util/shmtab.h>

#define COUNT_WORKERS	32		/* workers that have connections of one client at a time; what more have is not counted */
#define COUNT_LIFE_S	86400		/* an entry that nobody has touched for so long is worth nothing */

struct client_count {
	struct shmtab *tab;
};

/* a client, as it is in the table */
struct count_record {
	struct { uint32_t owner, n; } share[COUNT_WORKERS];
	int64_t	 unknown_s;		/* the last one */
	uint32_t unknown;
	uint32_t spare;
};

/* one change */
struct count_change {
	struct client_count *count;
	int64_t	now_s;
	int	connections, unknown;	/* +1, -1 */
	struct count_record rec;	/* what becomes of it */
};

static size_t
count_key(const struct sockaddr *sa, unsigned char *key)
{
	key[0] = (unsigned char) sa->sa_family;
	if (sa->sa_family == AF_INET) {
		memcpy(key + 1, &((const struct sockaddr_in *) (const void *) sa)->sin_addr, 4);
		return 5;
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(key + 1, &((const struct sockaddr_in6 *) (const void *) sa)->sin6_addr, 8);
		return 9;
	}
	return 0;
}

static unsigned
count_sum(const struct count_record *r)
{
	unsigned n = 0;

	for (size_t i = 0; i < COUNT_WORKERS; i++)
		if (r->share[i].owner != 0)
			n += r->share[i].n;
	return n;
}

/* count_share - this worker's connections change by one */
static void
count_share(struct count_record *r, uint32_t self, int by)
{
	size_t	free_one = COUNT_WORKERS;

	for (size_t i = 0; i < COUNT_WORKERS; i++) {
		if (r->share[i].owner == self) {
			if (by > 0)
				r->share[i].n++;
			else if (r->share[i].n > 0 && --r->share[i].n == 0)
				r->share[i].owner = 0;
			return;
		}
		if (r->share[i].owner == 0 && free_one == COUNT_WORKERS)
			free_one = i;
	}
	if (by > 0 && free_one < COUNT_WORKERS) {
		r->share[free_one].owner = self;
		r->share[free_one].n = 1;
	}
}

static enum shmtab_act
count_modify(void *ctx, const struct shmtab_val *old, struct shmtab_val *new_r)
{
	struct count_change *c = ctx;
	struct count_record *r = &c->rec;

	if (old != NULL && old->len == sizeof *r)
		memcpy(r, old->data, sizeof *r);
	else
		memset(r, 0, sizeof *r);
	if (c->now_s - r->unknown_s > CLIENT_COUNT_MEMORY_S || r->unknown_s > c->now_s)
		r->unknown = 0;
	if (c->connections != 0)
		count_share(r, shmtab_self(c->count->tab), c->connections);
	if (c->unknown > 0) {
		r->unknown_s = c->now_s;
		if (r->unknown < UINT32_MAX)
			r->unknown++;
	}
	if (count_sum(r) == 0 && r->unknown == 0)
		return old != NULL ? SHMTAB_DELETE : SHMTAB_KEEP;
	new_r->data = r;
	new_r->len = sizeof *r;
	new_r->expire_s = c->now_s + COUNT_LIFE_S;
	return SHMTAB_PUT;
}

/* count_others - whether workers besides this one have connections of the client */
static bool
count_others(struct client_count *t, const struct count_record *r)
{
	for (size_t i = 0; i < COUNT_WORKERS; i++)
		if (r->share[i].owner != 0 && r->share[i].owner != shmtab_self(t->tab))
			return true;
	return false;
}

/* count_dead - workers of this record that are gone; asked outside the table's lock, since it costs system calls */
static size_t
count_dead(struct client_count *t, const struct count_record *r, uint32_t *dead)
{
	size_t	n = 0;

	for (size_t i = 0; i < COUNT_WORKERS; i++)
		if (r->share[i].owner != 0 && !shmtab_alive(t->tab, r->share[i].owner))
			dead[n++] = r->share[i].owner;
	return n;
}

struct count_prune {
	uint32_t dead[COUNT_WORKERS];
	size_t	dead_n;
	int64_t	now_s;
	struct count_record rec;
};

static enum shmtab_act
count_prune(void *ctx, const struct shmtab_val *old, struct shmtab_val *new_r)
{
	struct count_prune *p = ctx;

	if (old == NULL || old->len != sizeof p->rec)
		return SHMTAB_KEEP;
	memcpy(&p->rec, old->data, sizeof p->rec);
	for (size_t i = 0; i < COUNT_WORKERS; i++)
		for (size_t d = 0; d < p->dead_n; d++)
			if (p->rec.share[i].owner == p->dead[d])
				p->rec.share[i].owner = p->rec.share[i].n = 0;
	new_r->data = &p->rec;
	new_r->len = sizeof p->rec;
	new_r->expire_s = p->now_s + COUNT_LIFE_S;
	return SHMTAB_PUT;
}

struct client_count *
client_count_open(int data_fd, const char **why_r)
{
	struct client_count *t = mem_alloc(sizeof *t);

	if (shmtab_open(&t->tab, data_fd, data_fd >= 0 ? CLIENT_COUNT_FILE : NULL, CLIENT_COUNT_BYTES, why_r) < 0)
		mem_free(&t);
	return t;
}

void
client_count_close(struct client_count **tp)
{
	if (*tp == NULL)
		return;
	shmtab_close(&(*tp)->tab);
	mem_free(tp);
}

void
client_count_check(struct client_count *t)
{
	const char *why;

	shmtab_check(t->tab, &why);
}

unsigned
client_count_enter(struct client_count *t, const struct sockaddr *sa, int64_t now_s)
{
	struct count_change c = { .count = t, .now_s = now_s, .connections = 1 };
	struct count_prune p = { .now_s = now_s };
	unsigned char key[16];
	size_t	n = count_key(sa, key);
	unsigned sum;

	if (n == 0 || shmtab_modify(t->tab, key, n, now_s, count_modify, &c) < 0)
		return 1;				/* a table that is busy refuses nobody */
	sum = count_sum(&c.rec);
	if (count_others(t, &c.rec) && (p.dead_n = count_dead(t, &c.rec, p.dead)) > 0 &&
	    shmtab_modify(t->tab, key, n, now_s, count_prune, &p) == 0)
		sum = count_sum(&p.rec);
	return sum > 0 ? sum : 1;
}

void
client_count_leave(struct client_count *t, const struct sockaddr *sa, int64_t now_s)
{
	struct count_change c = { .count = t, .now_s = now_s, .connections = -1 };
	unsigned char key[16];
	size_t	n = count_key(sa, key);

	if (n > 0)
		shmtab_modify(t->tab, key, n, now_s, count_modify, &c);
}

unsigned
client_count_unknown(struct client_count *t, const struct sockaddr *sa, int64_t now_s)
{
	struct count_change c = { .count = t, .now_s = now_s, .unknown = 1 };
	unsigned char key[16];
	size_t	n = count_key(sa, key);

	if (n == 0 || shmtab_modify(t->tab, key, n, now_s, count_modify, &c) < 0)
		return 0;
	return c.rec.unknown;
}
