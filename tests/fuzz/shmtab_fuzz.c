/* tests/fuzz/shmtab_fuzz.c - a table file of which anything may be damaged, before it is opened and while it is in use
 * The input is a program: bytes to write somewhere, and calls. The file is a small table that is always the same. As
 * long as no record was forged (damaged, and then given the right checksum), no value may come out that did not go in.
 */

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/shmtab.h>
#include <util/shmtab_file.h>

#define NOW	1000000
#define KEYS	60
#define BYTES	SHMTAB_BYTES_MIN

int	LLVMFuzzerInitialize(int *, char ***);
int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);
void	arc4random_buf(void *, size_t);

/* the key of a table must be the same in each run */
void
arc4random_buf(void *p, size_t n)
{
	memset(p, 0x5a, n);
}

static char fuzz_dir[] = "/dev/shm/vouch-fuzz.XXXXXX";
static int fuzz_dirfd, fuzz_fd;
static unsigned char *fuzz_image;
static struct shmtab_geo fuzz_geo;
static const struct siphash_key fuzz_key = { 0x5a5a5a5a5a5a5a5a, 0x5a5a5a5a5a5a5a5a };

struct input {
	const uint8_t *p;
	size_t	n;
};

static uint32_t
input_number(struct input *in, unsigned bytes)
{
	uint32_t v = 0;

	for (; bytes > 0 && in->n > 0; bytes--, in->p++, in->n--)
		v = v << 8 | *in->p;
	return v;
}

/* keys and values: a value is its key's number, then that number as often as its length says */

static size_t
fuzz_key_of(char key[32], unsigned n)
{
	return (size_t) snprintf(key, 32, "%0*u", 1 + (int) n % 20, n);
}

struct fuzz_change {
	unsigned n;
	uint32_t what;		/* bits 0-13 length, 14-15 expiry, 16 pinned, 17-19 what to do */
};

static enum shmtab_act
fuzz_put(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	static unsigned char val[SHMTAB_VAL_MAX];
	const struct fuzz_change *c = ctx;

	(void) old;
	if ((c->what >> 17 & 7) < 2)
		return (c->what >> 17 & 1) != 0 ? SHMTAB_DELETE : SHMTAB_KEEP;
	new->len = c->what & 0x3fff;
	memset(val, (int) c->n, new->len);
	new->data = val;
	new->expire_s = (c->what >> 14 & 3) * (NOW - 1);
	new->pinned = (c->what >> 16 & 1) != 0;
	new->mark = c->n;
	return SHMTAB_PUT;
}

static void
fuzz_modify(struct shmtab *t, unsigned n, uint32_t what)
{
	struct fuzz_change c = { n, what };
	char	key[32];

	shmtab_modify(t, key, fuzz_key_of(key, n), NOW, fuzz_put, &c);
}

static bool fuzz_forged;

static bool
fuzz_show(void *ctx, const void *key, size_t key_len, const struct shmtab_val *v)
{
	char	want[32];
	unsigned n = v->len > 0 ? *(const unsigned char *) v->data : KEYS;

	if (!fuzz_forged) {
		for (size_t i = 0; i < v->len; i++)
			if (((const unsigned char *) v->data)[i] != n)
				abort();
		if (v->len > 0 && (n >= KEYS || fuzz_key_of(want, n) != key_len || memcmp(key, want, key_len) != 0))
			abort();
	}
	return ctx == NULL || *(uint32_t *) ctx % 7 != n % 7;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct shmtab *t;
	const char *why;

	(void) argc;
	(void) argv;
	if (mkdtemp(fuzz_dir) == NULL || (fuzz_dirfd = open(fuzz_dir, O_RDONLY | O_DIRECTORY)) < 0)
		abort();
	if (shmtab_open(&t, fuzz_dirfd, "tab", BYTES, &why) < 0)
		abort();
	for (uint32_t i = 0; i < 4 * KEYS; i++)
		fuzz_modify(t, i % KEYS, i * 13 % 200 | (i % 3) << 14 | (uint32_t) (i % 11 == 0) << 16 | 7 << 17);
	shmtab_close(&t);
	fuzz_fd = openat(fuzz_dirfd, "tab", O_RDWR);
	fuzz_image = mem_alloc(BYTES);
	if (pread(fuzz_fd, fuzz_image, BYTES, 0) != (ssize_t) BYTES)
		abort();
	shmtab_geo_init(&fuzz_geo, BYTES, SHMTAB_FILE_HEAD, false, &fuzz_key);
	/* open but without a name: nothing is left behind, however this ends */
	unlinkat(fuzz_dirfd, "tab", 0);
	rmdir(fuzz_dir);
	if ((fuzz_dirfd = open("/dev/shm", O_RDONLY | O_DIRECTORY)) < 0)
		abort();
	return 0;
}

/* fuzz_write - some bytes of the input to somewhere in the file; not to where a lock would be ours for a second */
static void
fuzz_write(struct input *in, int fd, uint64_t at, uint64_t room)
{
	size_t	len = input_number(in, 1) % 40;

	at += input_number(in, 3) % room;
	len = len < in->n ? len : in->n;
	if (len > 0 && pwrite(fd, in->p, len, (off_t) at) < 0)
		abort();
	in->p += len;
	in->n -= len;
}

/* fuzz_forge - write over the head of one of the first records, and give it the right checksum */
static void
fuzz_forge(struct input *in, int fd, uint64_t ring)
{
	uint64_t pos = 0;
	union shmtab_copy c;
	size_t	at, len, summed;
	ssize_t n;

	for (uint32_t skip = input_number(in, 1); skip > 0; skip--)
		if (pread(fd, &c, sizeof c.rec, (off_t) (ring + pos)) != (ssize_t) sizeof c.rec ||
		    (pos += shmtab_rec_size(&c.rec)) > 24000)
			return;
	if ((n = pread(fd, &c, sizeof c, (off_t) (ring + pos))) < (ssize_t) sizeof c.rec)
		return;
	at = 8 + input_number(in, 1) % 24;
	len = input_number(in, 1) % (sizeof c.rec + 1 - at);
	len = len < in->n ? len : in->n;
	memcpy(c.bytes + at, in->p, len);
	in->p += len;
	in->n -= len;
	fuzz_forged = true;
	summed = sizeof c.rec - 16 + shmtab_rec_key_len(&c.rec) + c.rec.val_len;
	if (summed > (size_t) n - 16)
		summed = (size_t) n - 16;
	c.rec.sum = siphash(&fuzz_key, c.bytes + 16, summed);
	if (pwrite(fd, &c, sizeof c.rec, (off_t) (ring + pos)) < 0)
		abort();
}

static void
fuzz_damage(struct input *in, int fd)
{
	uint32_t what = input_number(in, 1);
	const uint32_t n = what / 8 % fuzz_geo.parts;
	const uint64_t head = SHMTAB_FILE_HEAD + n * SHMTAB_PART_HEAD, body = SHMTAB_FILE_HEAD + fuzz_geo.bodies + n * fuzz_geo.part_bytes;
	uint32_t word;

	switch (what % 8) {
	case 0:
		fuzz_write(in, fd, 0, SHMTAB_FILE_HEAD);
		break;
	case 1:
		fuzz_write(in, fd, head + 4, 160);
		break;
	case 2:
		fuzz_write(in, fd, body, fuzz_geo.slots * 8);
		break;
	case 3:
		fuzz_write(in, fd, body + fuzz_geo.ring_off, 24000);	/* where the records are */
		break;
	case 4:
		fuzz_forge(in, fd, body + fuzz_geo.ring_off);
		break;
	case 5:			/* a lock that a dead process holds */
		word = input_number(in, 4) | 0x700;
		if (pwrite(fd, &word, sizeof word, (off_t) head) < 0)
			abort();
		break;
	case 6:
		if (input_number(in, 1) % 4 == 0 && ftruncate(fd, input_number(in, 3) % (BYTES + 5000)) < 0)
			abort();
		break;
	case 7:			/* one field of a part's head */
		word = input_number(in, 4);
		if (pwrite(fd, &word, sizeof word, (off_t) (head + 4 + input_number(in, 1) % 36 * 4)) < 0)
			abort();
		break;
	}
}

static void
fuzz_call(struct input *in, struct shmtab *t)
{
	uint32_t what = input_number(in, 1), n = input_number(in, 1) % KEYS;
	unsigned char data[300];
	struct shmtab_stat st;
	struct shmtab_val v;
	const char *why;
	uint64_t retained, dropped;
	char	key[32];
	size_t	key_len = fuzz_key_of(key, n);

	switch (what % 8) {
	case 0:
	case 1:
		if (shmtab_get(t, key, key_len, data, sizeof data, &v) == 1) {
			v.len = v.len < sizeof data ? v.len : sizeof data;
			fuzz_show(NULL, key, key_len, &v);
		}
		break;
	case 2:
	case 3:
		fuzz_modify(t, n, input_number(in, 3));
		break;
	case 4:
		shmtab_mark(t, key, key_len, n, input_number(in, 1));
		break;
	case 5:
		shmtab_clean(t, n % shmtab_parts(t), fuzz_show, what & 8 ? &what : NULL, &retained, &dropped);
		break;
	case 6:
		shmtab_walk(t, n % shmtab_parts(t), fuzz_show, NULL);
		break;
	case 7:
		shmtab_check(t, &why);
		shmtab_stat(t, &st);
		shmtab_changes(t, key, key_len);
		shmtab_alive(t, input_number(in, 4));
		shmtab_words(t)[n]++;
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct input in = { p, n };
	struct shmtab *t;
	const char *why;
	char	name[64];
	int	fd;

	if (fuzz_fd < 0)
		return 0;
	/* each run gets a file of its own: the one before may have been replaced */
	snprintf(name, sizeof name, "vouch-fuzz.%ld", (long) getpid());
	unlinkat(fuzz_dirfd, name, 0);
	if ((fd = openat(fuzz_dirfd, name, O_RDWR | O_CREAT | O_EXCL, 0600)) < 0 ||
	    pwrite(fd, fuzz_image, BYTES, 0) != (ssize_t) BYTES)
		abort();
	fuzz_forged = false;
	for (uint32_t before = input_number(&in, 1) % 8; before > 0; before--)
		fuzz_damage(&in, fd);
	if (shmtab_open(&t, fuzz_dirfd, name, BYTES, &why) < 0)
		abort();
	while (in.n > 0) {
		if (*in.p >= 0xc0)
			fuzz_damage(&in, fd);
		else
			fuzz_call(&in, t);
	}
	shmtab_close(&t);
	unlinkat(fuzz_dirfd, name, 0);
	close(fd);
	return 0;
}
