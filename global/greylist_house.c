/* global/greylist_house.c - housework of the greylisting store: the secret, the clock, what has expired */
#include "greylist_store_int.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <string.h>

#include <global/greylist_secret.h>
#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

#define HOUSE_STEP_MS	500		/* one part of a table each: less than 2 ms of work */
#define HOUSE_LATE_S	10		/* whoever goes through the tables and says nothing for so long has died */
#define HOUSE_JUMP_S	3600		/* the clock went forward by more than that: it must hold for as long */

/* the secret: in a record of the first table, which all workers see, and which the database's mechanism carries */

struct house_secret {
	struct greylist_record is;
	bool	had, had_clean;		/* had_clean: the database has said so */
	bool	replace, dirty;
	unsigned char value[GREYLIST_VALUE_MAX];
};

static enum shmtab_act
house_secret_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	struct house_secret *h = ctx;
	struct greylist_record r;

	h->had = old != NULL && greylist_record_decode(&r, old->data, old->len) && r.kind == 'X';
	h->had_clean = h->had && !old->pinned;
	if (h->had && !h->replace) {
		h->is = r;
		return SHMTAB_KEEP;
	}
	new->data = h->value;
	new->len = greylist_record_encode(&h->is, h->value);
	new->pinned = h->dirty;
	return SHMTAB_PUT;
}

/* house_secret - make the table's secret ours, or ours the table's if it has none, or if replace
 * clean_r   what the table had is the database's */
static void
house_secret(struct greylist_store *s, bool replace, bool *clean_r)
{
	struct house_secret h = { .replace = replace, .dirty = s->db != NULL, .is = { .kind = 'X' } };

	*clean_r = false;
	memcpy(h.is.secret, s->secret, sizeof h.is.secret);
	if (shmtab_modify(s->known, GREYLIST_DB_SECRET, strlen(GREYLIST_DB_SECRET), 0, house_secret_fn, &h) < 0)
		return;
	*clean_r = h.had_clean;
	if (h.had && !replace)
		memcpy(s->secret, h.is.secret, sizeof s->secret);
}

static void
house_secret_use(struct greylist_store *s)
{
	greylist_hash_free(&s->hash);
	s->hash = greylist_hash_new(s->secret);
}

static void
house_secret_save(struct greylist_store *s, bool replace)
{
	static long long last;

	if (s->conf.secret_dirfd >= 0 && greylist_secret_write(s->conf.secret_dirfd, s->conf.secret_name, s->secret, replace) < 0 &&
	    errno != EEXIST && msg_rate(&last, 60000))
		msg_warn("greylist_secret_file: %s: %s: known senders are delayed once more should the table be lost",
		    s->conf.secret_name, strerror(errno));
}

void
greylist_house_secret_init(struct greylist_store *s, struct buf *why)
{
	unsigned char file[GREYLIST_SECRET_LEN];
	enum greylist_secret got = GREYLIST_SECRET_NONE;
	const char *reason;
	bool	clean;

	if (s->conf.secret_dirfd >= 0)
		got = greylist_secret_read(s->conf.secret_dirfd, s->conf.secret_name, file, &reason);
	if (got == GREYLIST_SECRET_BAD)
		buf_addf(why, "greylist_secret_file: %s: %s%s%s: remove it, or put back what was there\n", s->conf.secret_name,
		    reason, errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
	if (got == GREYLIST_SECRET_READ)
		memcpy(s->secret, file, sizeof s->secret);
	else
		arc4random_buf(s->secret, sizeof s->secret);
	house_secret(s, false, &clean);
	if (got == GREYLIST_SECRET_READ && memcmp(s->secret, file, sizeof file) != 0) {
		/* the database's is newer than the file; but without one, the file is what the administrator put there */
		if (clean && shmtab_words(s->known)[GREYLIST_WORD_DB + DB_WORD_SITE] != 0)
			house_secret_save(s, true);
		else {
			memcpy(s->secret, file, sizeof s->secret);
			house_secret(s, true, &clean);
		}
	} else if (got == GREYLIST_SECRET_NONE)
		house_secret_save(s, false);
	house_secret_use(s);
}

void
greylist_house_secret_share(struct greylist_store *s)
{
	bool	clean;

	house_secret(s, true, &clean);
}

/* house_secret_follow - another worker, or the database, may have brought another secret */
static void
house_secret_follow(struct greylist_store *s)
{
	unsigned char old[GREYLIST_SECRET_LEN];
	bool	clean;

	memcpy(old, s->secret, sizeof old);
	house_secret(s, false, &clean);
	if (memcmp(old, s->secret, sizeof old) == 0)
		return;
	msg_info("greylisting uses the secret of the database's site from now on");
	house_secret_use(s);
	house_secret_save(s, true);
}

/* the clock */

static void
house_clock(struct greylist_store *s, struct ev_loop *loop)
{
	_Atomic uint64_t *w = shmtab_words(s->known);
	int64_t mono = ev_now_ms(loop) / 1000, ahead = ev_wall_s(loop) - mono;
	uint64_t old = atomic_load(&w[GREYLIST_WORD_CLOCK]), jumped = atomic_load(&w[GREYLIST_WORD_JUMPED]);

	if (jumped > (uint64_t) mono + 1)		/* from before the machine was started */
		atomic_compare_exchange_strong(&w[GREYLIST_WORD_JUMPED], &jumped, (uint64_t) mono + 1);
	if (old == (uint64_t) ahead || !atomic_compare_exchange_strong(&w[GREYLIST_WORD_CLOCK], &old, (uint64_t) ahead))
		return;
	/* the first look at a clock: believed if the machine has been up for long enough */
	if (old == 0 ? mono < HOUSE_JUMP_S : ahead - (int64_t) old > HOUSE_JUMP_S) {
		atomic_store(&w[GREYLIST_WORD_JUMPED], (uint64_t) mono + 1);
		if (old != 0)
			msg_warn("the clock went forward by %lld s: no greylisting record is removed until it has held for an hour",
			    (long long) (ahead - (int64_t) old));
	}
}

bool
greylist_store_clock_ok(struct greylist_store *s)
{
	const _Atomic uint64_t *w = shmtab_words(s->known);
	uint64_t jumped = atomic_load(&w[GREYLIST_WORD_JUMPED]);

	return jumped == 0 || (s->house_ms > 0 && (uint64_t) (s->house_ms / 1000) + 1 >= jumped + HOUSE_JUMP_S);
}

/* what has expired */

struct house_step {
	struct greylist_store *s;
	int64_t	now_s;
	bool	remove;
	uint64_t count[5], never_retried;
};

static bool
house_keep_fn(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	static const char kinds[] = "TPSDC";
	struct house_step *h = ctx;
	struct greylist_record r;
	const char *at;

	(void) key;
	(void) key_len;
	if (!greylist_record_decode(&r, v->data, v->len))
		return v->pinned;
	if (h->remove && !v->pinned && !greylist_record_alive(&r, &h->s->conf.rules, h->now_s)) {
		h->never_retried += r.kind == 'T' && r.passed_s == 0;
		return false;
	}
	if ((at = strchr(kinds, r.kind == 'T' && r.passed_s != 0 ? 'P' : r.kind)) != NULL && *at != 0)
		h->count[at - kinds]++;
	return true;
}

static void
house_round(struct greylist_store *s, _Atomic uint64_t *w)
{
	for (int i = 0; i < 5; i++) {
		atomic_store(&w[GREYLIST_WORD_WAITING + i], atomic_load(&w[GREYLIST_WORD_COUNTING + i]));
		atomic_store(&w[GREYLIST_WORD_COUNTING + i], 0);
	}
	if (s->db == NULL && s->never_retried > 0)	/* otherwise the database's rows are what counts */
		msg_info("greylist=expired never_retried=%llu", (unsigned long long) s->never_retried);
	s->never_retried = 0;
}

/* house_step - the next part of the tables, by one worker of the host */
static void
house_step(struct greylist_store *s, struct ev_loop *loop)
{
	struct house_step h = { .s = s, .now_s = ev_wall_s(loop), .remove = greylist_store_clock_ok(s) };
	_Atomic uint64_t *w = shmtab_words(s->known);
	uint64_t house = atomic_load(&w[GREYLIST_WORD_HOUSE]), kept = 0, gone = 0, part;
	uint32_t self = shmtab_self(s->known), now = (uint32_t) (ev_now_ms(loop) / 1000);
	unsigned known = shmtab_parts(s->known), all = known + shmtab_parts(s->pending);

	if ((uint32_t) (house >> 32) != self && house != 0 && now - (uint32_t) house < HOUSE_LATE_S &&
	    shmtab_alive(s->known, (uint32_t) (house >> 32)))
		return;
	if (!atomic_compare_exchange_strong(&w[GREYLIST_WORD_HOUSE], &house, (uint64_t) self << 32 | now))
		return;
	part = atomic_load(&w[GREYLIST_WORD_PART]);
	if (part >= all) {
		part = 0;
		house_round(s, w);
	}
	(void) shmtab_clean(part < known ? s->known : s->pending, (unsigned) (part < known ? part : part - known), house_keep_fn, &h,
	    &kept, &gone);
	for (int i = 0; i < 5; i++)
		atomic_fetch_add(&w[GREYLIST_WORD_COUNTING + i], h.count[i]);
	atomic_store(&w[GREYLIST_WORD_PART], part + 1);
	if (s->db == NULL) {
		s->never_retried += h.never_retried;
		stats_add(STAT_greylist_never_retried, h.never_retried);
	}
}

int
greylist_store_house(struct greylist_store *s, struct ev_loop *loop, struct buf *why)
{
	const char *reason;
	int	ret = 0;

	if (shmtab_check(s->known, &reason) < 0 || shmtab_check(s->pending, &reason) < 0) {
		buf_addf(why, "greylisting records: %s: %s", reason, strerror(errno));
		ret = -1;
	}
	house_secret_follow(s);
	house_clock(s, loop);
	if (s->house_ms == 0 || ev_now_ms(loop) - s->house_ms >= HOUSE_STEP_MS) {
		s->house_ms = ev_now_ms(loop) > 0 ? ev_now_ms(loop) : 1;
		house_step(s, loop);
	}
	return ret;
}
