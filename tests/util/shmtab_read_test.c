/* tests/util/shmtab_read_test.c - looking without the lock: it leaves no trace, and sees what is there while others write */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/lib/tab_rig.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>
#include <util/shmtab_part.h>

#define READ_BYTES	TAB_MB

/* file - what is in the table's file; the caller frees it */
static char *
file(size_t *len_r)
{
	char	path[256], *data;
	struct stat st;
	int	fd;

	snprintf(path, sizeof path, "%s/tab", test_dir);
	assert_true((fd = open(path, O_RDONLY)) >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	data = mem_alloc((size_t) st.st_size);
	assert_int_equal(pread(fd, data, (size_t) st.st_size, 0), st.st_size);
	close(fd);
	*len_r = (size_t) st.st_size;
	return data;
}

/* what was written just now, or is not there, is read without a write; an old entry is found of use, and that is written down */
static void
shmtab_reads_leave_no_trace(void **state)
{
	struct shmtab *t = tab_open(READ_BYTES);
	char   *before, *after, key[20];
	size_t	len, len2;

	(void) state;
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof key, "k%d", i);
		tab_put(t, key, key);
	}
	before = file(&len);
	for (int i = 0; i < 400; i++) {
		snprintf(key, sizeof key, "k%d", i);
		if (i < 200)
			assert_string_equal(tab_get(t, key), key);
		else
			assert_null(tab_get(t, key));
	}
	after = file(&len2);
	assert_int_equal(len, len2);
	assert_memory_equal(before, after, len);
	mem_free(&after);
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof key, "later %d", i);
		tab_put(t, key, key);
	}
	mem_free(&before);
	before = file(&len);
	assert_string_equal(tab_get(t, "k7"), "k7");
	after = file(&len2);
	assert_memory_not_equal(before, after, len);
	mem_free(&before);
	mem_free(&after);
	shmtab_close(&t);
}

#define WATCHED		2500		/* pinned: they are always there */
#define OTHERS		20000
#define READS		1500000

/* put - version of a key, as its value and as its mark; version 0: delete it */
static int
put(struct shmtab *t, char kind, uint32_t n, uint32_t version)
{
	static struct tab_put p;
	char	key[20], val[20];

	snprintf(key, sizeof key, "%c%u", kind, n);
	snprintf(val, sizeof val, "%u", version);
	p.act = version == 0 ? SHMTAB_DELETE : SHMTAB_PUT;
	p.val = (struct shmtab_val) { .data = val, .len = strlen(val) + 1, .mark = version, .pinned = kind == 'w' };
	return shmtab_modify(t, key, strlen(key), TAB_NOW, tab_put_fn, &p);
}

/* version - of what is watched; 0: it is not there, or it was never stored */
static uint32_t
version(struct shmtab *t, uint32_t n)
{
	char	key[20], val[20] = "", want[20];
	struct shmtab_val v;

	snprintf(key, sizeof key, "w%u", n);
	if (shmtab_get(t, key, strlen(key), val, sizeof val, &v) != 1)
		return 0;
	snprintf(want, sizeof want, "%u", v.mark);
	return v.len == strlen(want) + 1 && strcmp(val, want) == 0 && v.pinned ? v.mark : 0;
}

/* child_write - now and then a new version of what is watched, and around it what fills the ring and shifts the index; until killed */
static void
child_write(void)
{
	struct shmtab *t = tab_open(READ_BYTES);

	for (uint32_t v = 2;; v++)
		if (put(t, 'o', tab_rnd(OTHERS), tab_rnd(3) == 0 ? 0 : v) < 0 || (v % 64 == 0 && put(t, 'w', tab_rnd(WATCHED), v) < 0))
			_exit(CHILD_FAILED);
}

static void
shmtab_reads_beside_a_writer(void **state)
{
	struct shmtab *t = tab_open(READ_BYTES);
	static uint32_t seen[WATCHED];
	uint32_t got;
	unsigned news = 0;
	int	status;
	pid_t	pid;

	(void) state;
	for (uint32_t n = 0; n < WATCHED; n++)
		assert_int_equal(put(t, 'w', n, 1), 0);
	if ((pid = tab_fork()) == 0)
		child_write();
	for (unsigned i = 0; i < READS || news < 1000; i++) {
		uint32_t n = tab_rnd(WATCHED);

		if ((got = version(t, n)) < 1 || got < seen[n]) {
			kill(pid, SIGKILL);
			fail_msg("read %u: version %u of key %u after version %u", i, got, n, seen[n]);
		}
		news += got > seen[n];
		seen[n] = got;
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(tab_stat(t).damaged, 0);
	shmtab_close(&t);
}

/* the index, of which a page cannot be read: whoever gets there waits for a writer who shifts what lies behind it */

#define PAGE		4096
#define HOME		(PAGE / 8 - 1)		/* the last slot of the first page of an index */

static struct {
	struct shmtab_geo geo;
	unsigned char *base, *second;	/* of the mapping; the second page of the index of part 0 */
	struct shmtab_seat seat;
	struct shmtab_part writer;
	union shmtab_copy copy;
	unsigned faults;
} shift;

static uint32_t
shift_hash(void)
{
	return (uint32_t) ((((uint64_t) HOME << 32) + shift.geo.slots - 1) / shift.geo.slots);
}

static void
shift_put(const char *key)
{
	struct shmtab_rec *r = &shift.copy.rec;

	memset(r, 0, sizeof *r);
	r->hash = shift_hash();
	r->key_len = (uint16_t) strlen(key);
	memcpy(shift.copy.bytes + sizeof *r, key, r->key_len);
	assert_int_equal(shmtab_part_enter(&shift.writer, &shift.seat), 0);
	assert_int_equal(shmtab_part_put(&shift.writer, SHMTAB_NONE, &shift.copy, false, TAB_NOW), 0);
	shmtab_part_leave(&shift.writer, &shift.seat);
}

/* shift_fault - what the other process does meanwhile: it drops the first of the two, and the second comes to its place */
static void
shift_fault(int signo, siginfo_t *info, void *ctx)
{
	int64_t	slot;

	(void) ctx;
	if (shift.faults++ > 0 || (unsigned char *) info->si_addr < shift.second || (unsigned char *) info->si_addr >= shift.second + PAGE ||
	    mprotect(shift.second, PAGE, PROT_READ | PROT_WRITE) < 0) {
		signal(signo, SIG_DFL);
		return;
	}
	if (shmtab_part_enter(&shift.writer, &shift.seat) == 0) {
		slot = shmtab_part_find(&shift.writer, shift_hash(), "first", 5, &shift.copy);
		if (slot == HOME)
			(void) shmtab_part_drop(&shift.writer, slot);
		shmtab_part_leave(&shift.writer, &shift.seat);
	}
}

static void
shmtab_reads_beside_a_shift(void **state)
{
	static union shmtab_copy copy;
	static const struct siphash_key key = { 1, 2 };
	struct sigaction fault = { .sa_sigaction = shift_fault, .sa_flags = SA_SIGINFO }, old;
	struct shmtab_part p;
	size_t	bytes;
	int64_t	slot;

	(void) state;
	shmtab_geo_init(&shift.geo, TAB_MB, PAGE, false, &key);
	bytes = shift.geo.bodies + shift.geo.part_bytes;
	shift.base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(shift.base, MAP_FAILED);
	shift.second = shift.base + shift.geo.bodies + PAGE;
	shift.seat = (struct shmtab_seat) { .fd = -1, .id = 1 };
	shmtab_part_init(&shift.writer, &shift.geo, shift.base, 0);
	shift_put("first");
	shift_put("second");
	shmtab_part_init(&p, &shift.geo, shift.base, 0);
	assert_int_equal(shmtab_part_look(&p, shift_hash(), "second", 6, &copy), HOME + 1);
	assert_int_equal(shmtab_part_look(&p, shift_hash(), "third", 5, &copy), SHMTAB_NONE);
	assert_int_equal(sigaction(SIGSEGV, &fault, &old), 0);
	assert_int_equal(mprotect(shift.second, PAGE, PROT_NONE), 0);
	slot = shmtab_part_look(&p, shift_hash(), "second", 6, &copy);
	assert_int_equal(sigaction(SIGSEGV, &old, NULL), 0);
	assert_int_equal(shift.faults, 1);
	assert_int_equal(slot, SHMTAB_DAMAGED);			/* which makes the caller go in and find */
	assert_int_equal(shmtab_part_look(&p, shift_hash(), "second", 6, &copy), HOME);
	assert_int_equal(shmtab_part_look(&p, shift_hash(), "first", 5, &copy), SHMTAB_NONE);
	/* nobody looks beside a writer who is still at it */
	assert_int_equal(shmtab_part_enter(&shift.writer, &shift.seat), 0);
	assert_int_equal(shmtab_part_look(&p, shift_hash(), "second", 6, &copy), SHMTAB_DAMAGED);
	shmtab_part_leave(&shift.writer, &shift.seat);
	munmap(shift.base, bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shmtab_reads_leave_no_trace, tab_setup, tab_teardown),
		cmocka_unit_test_setup_teardown(shmtab_reads_beside_a_writer, tab_setup, tab_teardown),
		cmocka_unit_test(shmtab_reads_beside_a_shift),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
