/* util/shmtab_file.c - the file of a shared table: made, checked, replaced, mapped */
#include "shmtab_file.h"

#include <assert.h>
#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/sock.h>

#define FILE_MAGIC	0x6261746863756f76	/* "vouchtab" on a little-endian machine; another order is another file */
#define FILE_VERSION	6
#define FILE_MAX	((uint64_t) 1 << 40)	/* far more than any host's memory, and far below the lock bytes */
#define FILE_TRIES	10		/* how often the file may be replaced while we look at it */

struct file_id {			/* what makes this file a table, and this table */
	uint64_t magic;
	uint32_t version, parts;
	uint64_t bytes;
	uint64_t hashed;		/* 0 or 1 */
	struct siphash_key key;		/* random; of hashes; k0 is the seed of the records' checksums, too */
	uint64_t sum;			/* of the above, with the key */
};

struct shmtab_file {
	struct file_id id;
	unsigned char unused[1024 - sizeof(struct file_id)];
	_Atomic uint64_t words[SHMTAB_WORDS];
	struct shmtab_seats seats;
};
static_assert(sizeof(struct shmtab_file) <= SHMTAB_FILE_HEAD, "the head fits");

/* a file that became shorter */

static struct shmtab_map *file_maps;
static struct sigaction file_old_action;

/* file_sigbus - put empty private memory where the file is gone; runs at the very instruction that touched it */
static void
file_sigbus(int sig, siginfo_t *si, void *ctx)
{
	uintptr_t at = (uintptr_t) si->si_addr;
	int	saved = errno;

	for (struct shmtab_map *m = si->si_code > 0 ? file_maps : NULL; m != NULL; m = m->next)
		if (at - (uintptr_t) m->base < m->geo.bytes &&
		    mmap(m->base, m->geo.bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED) {
			m->lost = true;
			errno = saved;
			return;
		}
	if ((file_old_action.sa_flags & SA_SIGINFO) != 0)
		file_old_action.sa_sigaction(sig, si, ctx);
	else if (file_old_action.sa_handler != SIG_DFL && file_old_action.sa_handler != SIG_IGN)
		file_old_action.sa_handler(sig);
	else
		signal(sig, SIG_DFL);		/* the instruction runs again */
}

static void
file_sigbus_install(void)
{
	const struct sigaction ours = { .sa_sigaction = file_sigbus, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction now;

	if (sigaction(SIGBUS, NULL, &now) == 0 && now.sa_sigaction != file_sigbus) {
		file_old_action = now;
		sigaction(SIGBUS, &ours, NULL);
	}
}

/* the head */

static uint64_t
file_id_sum(const struct file_id *id)
{
	return siphash(&id->key, id, offsetof(struct file_id, sum));
}

static void
file_id_make(struct file_id *id, const struct shmtab_geo *g)
{
	memset(id, 0, sizeof *id);
	id->magic = FILE_MAGIC;
	id->version = FILE_VERSION;
	id->parts = g->parts;
	id->bytes = g->bytes;
	id->hashed = g->hashed;
	id->key = g->key;
	id->sum = file_id_sum(id);
}

/* file_id_check - whether this is the head of a table, and the file as long as it says */
static bool
file_id_check(const struct file_id *id, off_t size, struct shmtab_geo *g)
{
	if (id->magic != FILE_MAGIC || id->version != FILE_VERSION || id->sum != file_id_sum(id) ||
	    id->bytes < SHMTAB_BYTES_MIN || (uint64_t) size != id->bytes || id->hashed > 1)
		return false;
	shmtab_geo_init(g, id->bytes, SHMTAB_FILE_HEAD, id->hashed != 0, &id->key);
	return g->parts == id->parts;
}

/* file_read_id - other_r: it may well be a table, of another version */
static bool
file_read_id(int fd, struct shmtab_geo *g, bool *other_r)
{
	struct file_id id;
	struct stat st;
	bool	got = fstat(fd, &st) == 0 && pread(fd, &id, sizeof id, 0) == (ssize_t) sizeof id;

	*other_r = got && id.magic == FILE_MAGIC && id.version != FILE_VERSION;
	return got && file_id_check(&id, st.st_size, g);
}

/* mapping */

static struct shmtab_file *
file_of(const struct shmtab_map *m)
{
	return (struct shmtab_file *) m->base;
}

/* file_map - takes fd over when it succeeds */
static struct shmtab_map *
file_map(int fd, const struct shmtab_geo *g, uint32_t old_id, const char **why_r)
{
	struct shmtab_map *m;
	struct shmtab_part p;
	struct stat st;
	void   *base;

	*why_r = "cannot be mapped";
	if (fstat(fd, &st) < 0 || (base = mmap(NULL, g->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
		return NULL;
	madvise(base, g->bytes, MADV_DONTDUMP);
	m = mem_alloc(sizeof *m);
	m->geo = *g;
	m->base = base;
	m->fd = fd;
	m->dev = st.st_dev;
	m->ino = st.st_ino;
	file_sigbus_install();
	m->next = file_maps;
	file_maps = m;
	*why_r = "too many processes have it open, or it cannot be locked";
	if (shmtab_seat_take(&m->seat, fd, &file_of(m)->seats, old_id) < 0) {
		m->fd = -1;			/* stays the caller's */
		shmtab_map_close(&m);
		return NULL;
	}
	for (uint32_t i = 0; i < g->parts; i++) {
		shmtab_map_part(m, i, &p);
		shmtab_part_inherited(&p, &m->seat);
	}
	*why_r = NULL;
	return m;
}

void
shmtab_map_close(struct shmtab_map **mp)
{
	struct shmtab_map *m = *mp;
	int	saved = errno;

	if (m == NULL)
		return;
	for (struct shmtab_map **p = &file_maps; *p != NULL; p = &(*p)->next)
		if (*p == m) {
			*p = m->next;
			break;
		}
	munmap(m->base, m->geo.bytes);
	sock_close(&m->fd);
	mem_free(mp);
	errno = saved;
}

void
shmtab_map_part(const struct shmtab_map *m, uint32_t n, struct shmtab_part *p)
{
	shmtab_part_init(p, &m->geo, m->base + SHMTAB_FILE_HEAD, n);
}

_Atomic uint64_t *
shmtab_map_words(struct shmtab_map *m)
{
	return file_of(m)->words;
}

/* making a file */

/* file_make - size an empty file and give it a head with a new key */
static int
file_make(int fd, const struct shmtab_where *at, bool on_disk, struct shmtab_geo *g, const char **why_r)
{
	const uint64_t bytes = at->bytes;
	struct siphash_key key;
	struct file_id id;
	struct rlimit rl;

	*why_r = "the limit on file sizes is in the way";
	if (getrlimit(RLIMIT_FSIZE, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY && rl.rlim_cur < bytes) {
		errno = EFBIG;			/* to try would be a signal */
		return -1;
	}
	*why_r = "no room";
	if (bytes < SHMTAB_BYTES_MIN || bytes > FILE_MAX) {
		errno = EINVAL;
		return -1;
	}
	errno = 0;
	if (ftruncate(fd, (off_t) bytes) < 0 || (on_disk && (errno = posix_fallocate(fd, 0, (off_t) bytes)) != 0))
		return -1;
	arc4random_buf(&key, sizeof key);
	shmtab_geo_init(g, bytes, SHMTAB_FILE_HEAD, at->hashed, &key);
	file_id_make(&id, g);
	*why_r = "cannot be written";
	return pwrite(fd, &id, sizeof id, 0) == (ssize_t) sizeof id ? 0 : -1;
}

struct file_carry {
	struct shmtab_map *to;
	union shmtab_copy rec;		/* the new table's */
	union shmtab_copy old;		/* the old one's */
};

static bool
file_carry_fn(void *ctx, const struct shmtab_rec *r)
{
	struct file_carry *c = ctx;
	size_t	key_len = shmtab_rec_key_len(r);
	uint64_t h = shmtab_geo_hash(&c->to->geo, shmtab_rec_key(r), key_len);
	struct shmtab_part p;

	shmtab_map_part(c->to, shmtab_geo_part(&c->to->geo, h), &p);
	memcpy(c->rec.bytes, r, sizeof *r + key_len + r->val_len);
	c->rec.rec.hash = (uint32_t) h;
	if (shmtab_part_enter(&p, &c->to->seat) == 0) {
		/* no clock here, and nothing to be late for: 0 means that nothing has expired */
		shmtab_part_put(&p, SHMTAB_NONE, &c->rec, false, 0);
		shmtab_part_leave(&p, &c->to->seat);
	}
	return true;
}

/* file_carry - bring everything into the new table; each part of the old one is retired as it is done
 * returns   0, or -1: the old table is to be kept */
static int
file_carry(struct shmtab_map *from, struct shmtab_map *to)
{
	struct file_carry *c = mem_alloc(sizeof *c);
	struct shmtab_part p;
	uint32_t i;
	int	ret = 0;

	c->to = to;
	for (i = 0; i < from->geo.parts && ret == 0; i++) {
		shmtab_map_part(from, i, &p);
		if ((ret = shmtab_part_enter(&p, &from->seat)) < 0)
			break;
		shmtab_part_each(&p, file_carry_fn, c, &c->old);
		shmtab_part_retire(&p, true);
		shmtab_part_leave(&p, &from->seat);
	}
	for (i = 0; i < SHMTAB_WORDS; i++)
		file_of(to)->words[i] = file_of(from)->words[i];
	mem_free(&c);
	return ret;
}

static void
file_unretire(const struct shmtab_map *m)
{
	struct shmtab_part p;

	for (uint32_t i = 0; i < m->geo.parts; i++) {
		shmtab_map_part(m, i, &p);
		if (shmtab_part_retired(&p))
			shmtab_part_retire(&p, false);
	}
}

/* file_temp - the name of what will be at->name: whoever has the lock of that one may make it, and remove it */
static bool
file_temp(const struct shmtab_where *at, char temp[NAME_MAX + 1])
{
	return snprintf(temp, NAME_MAX + 1, "%s.new", at->name) <= NAME_MAX;
}

/* file_tidy - somebody died over making another file, and nobody wants one any more */
static void
file_tidy(const struct shmtab_where *at)
{
	char	temp[NAME_MAX + 1];

	if (file_temp(at, temp))
		unlinkat(at->dirfd, temp, 0);
}

/* file_replace - make a new file, with what is in from (may be NULL), and give it the name
 * The new file is locked like the old one before anybody can see it. */
static struct shmtab_map *
file_replace(const struct shmtab_where *at, struct shmtab_map *from, uint32_t old_id, const char **why_r)
{
	char	temp[NAME_MAX + 1];
	struct shmtab_map *m = NULL;
	struct shmtab_geo g;
	int	fd, saved;

	*why_r = "its name is too long";
	if (!file_temp(at, temp)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	unlinkat(at->dirfd, temp, 0);		/* of somebody who died over it */
	*why_r = "cannot be created";
	if ((fd = openat(at->dirfd, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return NULL;
	if (shmtab_file_lock(fd, 0) < 0 || file_make(fd, at, true, &g, why_r) < 0)
		goto fail;
	if (from != NULL) {
		*why_r = "cannot be written";
		if (pwrite(fd, &file_of(from)->seats, sizeof(struct shmtab_seats), offsetof(struct shmtab_file, seats)) !=
		    (ssize_t) sizeof(struct shmtab_seats))
			goto fail;
		old_id = from->seat.id;
	}
	if ((m = file_map(fd, &g, old_id, why_r)) == NULL)
		goto fail;
	fd = -1;
	*why_r = "its entries cannot be carried over";
	if (from != NULL && file_carry(from, m) < 0)
		goto fail;
	*why_r = "cannot be renamed into place";
	if (renameat(at->dirfd, temp, at->dirfd, at->name) < 0)
		goto fail;
	*why_r = NULL;
	return m;
fail:
	saved = errno;
	unlinkat(at->dirfd, temp, 0);
	shmtab_map_close(&m);
	sock_close(&fd);
	if (from != NULL)
		file_unretire(from);
	errno = saved;
	return NULL;
}

/* opening */

static bool
file_is_named(int fd, int dirfd, const char *name, struct stat *st)
{
	struct stat now;

	return fstat(fd, st) == 0 && fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_dev == st->st_dev &&
	    now.st_ino == st->st_ino;
}

static int
file_open_anonymous(struct shmtab_map **mp, const struct shmtab_where *at, const char **why_r)
{
	struct shmtab_geo g;
	int	fd;

	*why_r = "no memory";
	if ((fd = memfd_create("vouch-table", MFD_CLOEXEC)) < 0)
		return -1;
	if (file_make(fd, at, false, &g, why_r) == 0 && (*mp = file_map(fd, &g, 0, why_r)) != NULL)
		return 0;
	sock_close(&fd);
	return -1;
}

/* file_decide - we have the lock of the file at the name: use it, or put another one in its place */
static int
file_decide(struct shmtab_map **mp, int *fdp, const struct stat *st, const struct shmtab_where *at,
    const struct shmtab_map *old, bool *rebuilt_r, const char **why_r)
{
	bool	 again = old != NULL && old->dev == st->st_dev && old->ino == st->st_ino;
	uint32_t old_id = old != NULL ? old->seat.id : 0;
	struct shmtab_map *m;
	struct shmtab_geo g;
	bool	other;

	if (!file_read_id(*fdp, &g, &other) || (again && old->lost)) {
		*why_r = other ? "of another version" : "not a table";
		/* while a new version replaces an old one, both run: the file is the new one's */
		if (!at->create || (other && old != NULL)) {
			errno = EINVAL;
			return -1;
		}
		*rebuilt_r = st->st_size > 0;
		*mp = file_replace(at, NULL, old_id, why_r);
		return *mp == NULL ? -1 : 0;
	}
	if (again && memcmp(&g.key, &old->geo.key, sizeof g.key) == 0) {
		file_unretire(old);
		return 0;
	}
	if ((m = file_map(*fdp, &g, old_id, why_r)) == NULL)
		return -1;
	*fdp = -1;
	if (at->create) {
		file_unretire(m);		/* somebody died over replacing it: we have his lock */
		file_tidy(at);
	}
	if (at->create && !at->any_size && (at->bytes != g.bytes || at->hashed != g.hashed) &&
	    (*mp = file_replace(at, m, old_id, why_r)) != NULL)
		shmtab_map_close(&m);
	else
		*mp = m;
	return 0;
}

int
shmtab_map_open(struct shmtab_map **mp, const struct shmtab_where *at, const struct shmtab_map *old, bool *rebuilt_r,
    const char **why_r)
{
	int	flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (at->create ? O_CREAT : 0);
	int	fd = -1, ret = -1, saved;
	struct stat st;

	*mp = NULL;
	*rebuilt_r = false;
	if (at->name == NULL)
		return file_open_anonymous(mp, at, why_r);
	for (int i = 0; i < FILE_TRIES; i++) {
		*why_r = "cannot be opened";
		if ((fd = openat(at->dirfd, at->name, flags, 0600)) < 0)
			return -1;
		*why_r = "not a regular file";
		if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
			errno = EINVAL;
			break;
		}
		*why_r = "another process has it locked";
		if (shmtab_file_lock(fd, at->wait_ms) < 0)
			break;
		if (file_is_named(fd, at->dirfd, at->name, &st)) {
			ret = file_decide(mp, &fd, &st, at, old, rebuilt_r, why_r);
			if (ret < 0 && st.st_size == 0 && at->create) {
				saved = errno;
				unlinkat(at->dirfd, at->name, 0);	/* our own empty one */
				errno = saved;
			}
			break;
		}
		*why_r = "somebody keeps replacing it";
		errno = EBUSY;
		sock_close(&fd);
	}
	if (*mp != NULL)
		shmtab_file_unlock((*mp)->fd);
	sock_close(&fd);
	return ret;
}

bool
shmtab_map_current(struct shmtab_map *m, int dirfd, const char *name)
{
	struct file_id want, is;
	struct shmtab_geo g;
	struct stat st;

	if (!m->lost && name != NULL) {
		if (!file_is_named(m->fd, dirfd, name, &st) || (uint64_t) st.st_size != m->geo.bytes)
			return false;
	}
	file_id_make(&want, &m->geo);
	memcpy(&is, &file_of(m)->id, sizeof is);
	if (memcmp(&want, &is, sizeof is) != 0) {
		if (file_id_check(&is, (off_t) m->geo.bytes, &g))
			return false;		/* another table was copied over it */
		memcpy(&file_of(m)->id, &want, sizeof want);
	}
	shmtab_seat_mend(&m->seat);
	return !m->lost;
}
