/* tests/lib/tab_rig.c - tables of shared memory for their tests */
#include "tab_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/lib/test_dir.h>
#include <util/siphash.h>
#include <util/sock.h>

uint64_t tab_random;
static bool tab_in_child;

void
tab_seed(void)
{
	tab_random = 88172645463325252;
}

int
tab_setup(void **state)
{
	tab_seed();
	return test_dir_make(state);
}

int
tab_teardown(void **state)
{
	(void) state;
	unlinkat(test_dirfd, "tab", 0);
	unlinkat(test_dirfd, "tab", AT_REMOVEDIR);
	unlinkat(test_dirfd, "tab.new", 0);
	unlinkat(test_dirfd, "other", 0);
	sock_close(&test_dirfd);
	return rmdir(test_dir);
}

uint32_t
tab_rnd(uint32_t below)
{
	tab_random ^= tab_random << 13;
	tab_random ^= tab_random >> 7;
	tab_random ^= tab_random << 17;
	return (uint32_t) (tab_random >> 32) % below;
}

int64_t
tab_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

pid_t
tab_fork(void)
{
	pid_t	pid = fork();

	tab_in_child = tab_in_child || pid == 0;
	return pid;
}

struct shmtab *
tab_open(uint64_t bytes)
{
	struct shmtab *t;
	const char *why = "unset";

	if (shmtab_open(&t, test_dirfd, "tab", bytes, &why) == 0) {
		if (!tab_in_child)
			assert_null(why);
		return t;
	}
	if (tab_in_child)
		_exit(CHILD_OPEN);
	fail_msg("shmtab_open: %s: %s", why, strerror(errno));
	return NULL;
}

struct shmtab_stat
tab_stat(struct shmtab *t)
{
	struct shmtab_stat st;

	shmtab_stat(t, &st);
	return st;
}

const char *
tab_get(struct shmtab *t, const char *key)
{
	static char data[SHMTAB_VAL_MAX + 1];
	struct shmtab_val v;
	int	rc = shmtab_get(t, key, strlen(key), data, sizeof data - 1, &v);

	if (rc < 0)
		fail_msg("get %s: %s", key, strerror(errno));
	if (rc == 0)
		return NULL;
	data[v.len] = 0;
	return data;
}

/* values */

static const struct siphash_key tab_sum_key = { 3, 4 };

static uint64_t
tab_sum(const struct tab_value *s, size_t len)
{
	struct tab_value head = { s->key, s->version, 0 };

	return siphash(&tab_sum_key, &head, sizeof head) ^ siphash(&tab_sum_key, s->filler, len - sizeof *s);
}

static size_t
tab_make(struct tab_value *s, uint32_t key, uint32_t version)
{
	size_t	len = sizeof *s + (key * 7 + version * 13) % 200 + (version % 64 == 0 ? 3000 : 0);

	s->key = key;
	s->version = version;
	memset(s->filler, (int) (key + version), len - sizeof *s);
	s->sum = tab_sum(s, len);
	return len;
}

bool
tab_valid(const void *data, size_t len, uint32_t key)
{
	struct tab_value *s;
	union { struct tab_value s; char bytes[SHMTAB_VAL_MAX]; } copy;

	if (len < sizeof *s || len > sizeof copy)
		return false;
	memcpy(copy.bytes, data, len);
	s = &copy.s;
	return s->key == key && s->sum == tab_sum(s, len);
}

size_t
tab_key(char key[32], uint32_t n)
{
	return (size_t) snprintf(key, 32, "key-%u@%u", n, n % 10);
}

bool
tab_key_parse(const void *key, size_t len, uint32_t *n_r)
{
	char	text[32], again[32];

	if (len >= sizeof text)
		return false;
	memcpy(text, key, len);
	text[len] = 0;
	return sscanf(text, "key-%u@", n_r) == 1 && tab_key(again, *n_r) == len && memcmp(again, text, len) == 0;
}

struct tab_change {
	enum shmtab_act act;
	uint32_t key, version;
	bool	bad;			/* something was there that nobody stored */
	int	signal;			/* to oneself, inside the lock */
	union { struct tab_value s; char bytes[SHMTAB_VAL_MAX]; } val;
};

static enum shmtab_act
tab_change_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct tab_change *c = ctx;

	if (old != NULL && !tab_valid(old->data, old->len, c->key))
		c->bad = true;
	if (c->signal != 0)
		raise(c->signal);
	new->len = tab_make(&c->val.s, c->key, c->version);
	new->data = &c->val;
	new->expire_s = c->version % 3 == 0 ? TAB_NOW + 1 : 0;
	new->mark = c->version;
	new->pinned = c->key % 4 == 0;
	return c->act;
}

int
tab_change(struct shmtab *t, uint32_t n, uint32_t version, enum shmtab_act act, int sig, bool *bad_r)
{
	static struct tab_change c;
	char	key[32];
	int	rc;

	c.act = act;
	c.key = n;
	c.version = version;
	c.signal = sig;
	c.bad = false;
	rc = shmtab_modify(t, key, tab_key(key, n), TAB_NOW, tab_change_fn, &c);
	*bad_r = c.bad;
	return rc;
}

int64_t
tab_version(struct shmtab *t, uint32_t n)
{
	static union { struct tab_value s; char bytes[SHMTAB_VAL_MAX]; } data;
	struct shmtab_val v;
	char	key[32];
	int	rc = shmtab_get(t, key, tab_key(key, n), &data, sizeof data, &v);

	if (rc <= 0)
		return rc;
	return tab_valid(&data, v.len, n) ? (int64_t) data.s.version : -2;
}

bool
tab_keep_fn(void *ctx, const void *key, size_t len, const struct shmtab_val *v)
{
	uint32_t n;

	if (!tab_key_parse(key, len, &n) || !tab_valid(v->data, v->len, n))
		*(bool *) ctx = false;
	return true;
}

struct shmtab *
tab_memory(uint64_t bytes)
{
	struct shmtab *t;
	const char *why;

	if (shmtab_open(&t, -1, NULL, bytes, &why) < 0)
		fail_msg("shmtab_open: %s: %s", why, strerror(errno));
	tab_seed();
	return t;
}

enum shmtab_act
tab_put_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct tab_put *p = ctx;

	assert_null(new->data);
	assert_int_equal(new->len, 0);
	if ((p->found = old != NULL)) {
		p->old = *old;
		memcpy(p->old_data, old->data, old->len);
	}
	*new = p->val;
	return p->act;
}

int
tab_put_val(struct shmtab *t, const char *key, const char *val, int64_t expire_s, uint32_t mark, bool pinned)
{
	static struct tab_put p;

	p.act = SHMTAB_PUT;
	p.val = (struct shmtab_val) { .data = val, .len = strlen(val), .expire_s = expire_s, .mark = mark, .pinned = pinned };
	return shmtab_modify(t, key, strlen(key), TAB_NOW, tab_put_fn, &p);
}

void
tab_put(struct shmtab *t, const char *key, const char *val)
{
	if (tab_put_val(t, key, val, 0, 0, false) < 0)
		fail_msg("put %s: %s", key, strerror(errno));
}
