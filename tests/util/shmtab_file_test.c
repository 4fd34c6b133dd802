/* tests/util/shmtab_file_test.c - the file of a table: made, found, refused, replaced, cut short */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/lib/tab_rig.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>
#include <util/shmtab.h>
#include <util/shmtab_file.h>

static enum shmtab_act
put_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new)
{
	(void) old;
	*new = *(struct shmtab_val *) ctx;
	return SHMTAB_PUT;
}

static int
put_val(struct shmtab *t, const char *key, const char *val, int64_t expire_s, uint32_t mark, bool pinned)
{
	struct shmtab_val v = { .data = val, .len = strlen(val), .expire_s = expire_s, .mark = mark, .pinned = pinned };

	return shmtab_modify(t, key, strlen(key), TAB_NOW, put_fn, &v);
}

static void
put(struct shmtab *t, const char *key, const char *val)
{
	if (put_val(t, key, val, 0, 0, false) < 0)
		fail_msg("put %s: %s", key, strerror(errno));
}

static void
check(struct shmtab *t)
{
	const char *why;

	if (shmtab_check(t, &why) < 0)
		fail_msg("shmtab_check: %s: %s", why, strerror(errno));
}

static off_t
file_size(const char *name)
{
	struct stat st;

	return fstatat(test_dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -1 : st.st_size;
}

static void
file_write(const char *name, const void *data, size_t n, off_t at)
{
	int	fd = openat(test_dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, n, at), n);
	close(fd);
}

/* opening */

static void
file_survives_all_its_users(void **state)
{
	struct shmtab *t = tab_open(2 * TAB_MB + 5);
	struct shmtab_val v;
	char	data[16];
	struct stat st;

	(void) state;
	assert_int_equal(tab_stat(t).rebuilt, 0);
	assert_int_equal(file_size("tab"), 2 * TAB_MB);
	fstatat(test_dirfd, "tab", &st, 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true((uint64_t) st.st_blocks * 512 >= 2 * TAB_MB);	/* a full disk must not be noticed later */
	assert_int_equal(put_val(t, "a", "one", 77, 5, true), 0);
	shmtab_words(t)[SHMTAB_WORDS - 1] = 42;
	shmtab_close(&t);
	t = tab_open(2 * TAB_MB);
	assert_int_equal(tab_stat(t).rebuilt, 0);
	assert_int_equal(shmtab_get(t, "a", 1, data, sizeof data, &v), 1);
	assert_memory_equal(data, "one", 3);
	assert_int_equal(v.expire_s, 77);
	assert_int_equal(v.mark, 5);
	assert_true(v.pinned);
	assert_int_equal(shmtab_words(t)[SHMTAB_WORDS - 1], 42);
	assert_int_equal(shmtab_words(t)[0], 0);
	assert_int_equal(file_size("tab.new"), -1);
	shmtab_close(&t);
}

static void
file_is_shared_by_handles(void **state)
{
	struct shmtab *a = tab_open(TAB_MB), *b = tab_open(TAB_MB);
	uint32_t a_id = shmtab_self(a), b_id = shmtab_self(b);
	uint64_t before = shmtab_changes(b, "k", 1);

	(void) state;
	put(a, "k", "from a");
	assert_string_equal(tab_get(b, "k"), "from a");
	assert_true(shmtab_changes(b, "k", 1) != before);
	shmtab_words(a)[3] = 7;
	assert_int_equal(shmtab_words(b)[3], 7);

	assert_true(a_id != 0 && b_id != 0 && a_id != b_id);
	assert_true(shmtab_alive(a, a_id) && shmtab_alive(a, b_id) && shmtab_alive(b, a_id));
	assert_false(shmtab_alive(a, 0));
	assert_false(shmtab_alive(a, 0xffffffff));
	assert_false(shmtab_alive(a, a_id + 100));
	assert_false(shmtab_alive(a, b_id + (1 << 11)));		/* the next one on that seat */
	shmtab_close(&b);
	assert_false(shmtab_alive(a, b_id));
	for (int i = 0; i < 3000; i++) {		/* no id comes back soon */
		b = tab_open(TAB_MB);
		assert_true(shmtab_self(b) != b_id && shmtab_self(b) != a_id);
		assert_true(shmtab_alive(a, shmtab_self(b)));
		shmtab_close(&b);
	}
	assert_false(shmtab_alive(a, b_id));
	shmtab_close(&a);
}

/* whatever lies there becomes an empty table, and says so */
static void
file_unusable(void **state)
{
	static const struct { const char *name; off_t size; const char *bytes; off_t at; uint64_t rebuilt; } cases[] = {
		{ "empty file",		   0,			"",	     0,	  0 },
		{ "text",		   6,			"hello\n",   0,	  1 },
		{ "zeroes of its size",	   TAB_MB,			"",	     0,	  1 },
		{ "cut off",		   TAB_MB - 4096,		NULL,	     0,	  1 },
		{ "cut to one page",	   4096,		NULL,	     0,	  1 },
		{ "longer than it says",   TAB_MB + 1,		NULL,	     0,	  1 },
		{ "wrong magic",	   TAB_MB,			NULL,	     0,	  1 },
		{ "another version",	   TAB_MB,			NULL,	     8,	  1 },
		{ "another number of parts", TAB_MB,		NULL,	     12,  1 },
		{ "another size in it",	   TAB_MB,			NULL,	     16,  1 },
		{ "another key",	   TAB_MB,			NULL,	     24,  1 },
		{ "wrong checksum",	   TAB_MB,			NULL,	     40,  1 },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct shmtab *t;
		const char *why;
		int	fd;

		unlinkat(test_dirfd, "tab", 0);
		if (cases[i].bytes == NULL) {
			t = tab_open(TAB_MB);
			put(t, "k", "old");
			shmtab_close(&t);
			if (cases[i].size == (off_t) TAB_MB)
				file_write("tab", "\x55\xaa", 2, cases[i].at);
		} else
			file_write("tab", cases[i].bytes, strlen(cases[i].bytes), 0);
		fd = openat(test_dirfd, "tab", O_RDWR | O_CLOEXEC);
		assert_int_equal(ftruncate(fd, cases[i].size), 0);
		close(fd);

		if (shmtab_open_read(&t, test_dirfd, "tab", &why) == 0 || errno != EINVAL)
			fail_msg("%s: open_read: got %s", cases[i].name, strerror(errno));
		assert_non_null(why);
		if (file_size("tab") != cases[i].size)
			fail_msg("%s: open_read changed the file", cases[i].name);
		t = tab_open(TAB_MB);
		if (tab_stat(t).rebuilt != cases[i].rebuilt || tab_get(t, "k") != NULL || tab_stat(t).entries != 0)
			fail_msg("%s: rebuilt %u, %u entries", cases[i].name, (unsigned) tab_stat(t).rebuilt,
			    (unsigned) tab_stat(t).entries);
		put(t, "k", "new");
		shmtab_close(&t);
		t = tab_open(TAB_MB);
		assert_string_equal(tab_get(t, "k"), "new");
		assert_int_equal(tab_stat(t).rebuilt, 0);
		shmtab_close(&t);
	}
}

static void
file_not_openable(void **state)
{
	struct shmtab *t;
	const char *why;

	(void) state;
	assert_int_equal(shmtab_open_read(&t, test_dirfd, "tab", &why), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(file_size("tab"), -1);
	assert_null(t);

	assert_int_equal(mkdirat(test_dirfd, "tab", 0700), 0);
	assert_int_equal(shmtab_open(&t, test_dirfd, "tab", TAB_MB, &why), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(unlinkat(test_dirfd, "tab", AT_REMOVEDIR), 0);

	assert_int_equal(mkfifoat(test_dirfd, "tab", 0600), 0);
	assert_int_equal(shmtab_open(&t, test_dirfd, "tab", TAB_MB, &why), -1);
	assert_string_equal(why, "not a regular file");
	assert_int_equal(unlinkat(test_dirfd, "tab", 0), 0);

	assert_int_equal(symlinkat("other", test_dirfd, "tab"), 0);
	assert_int_equal(shmtab_open(&t, test_dirfd, "tab", TAB_MB, &why), -1);
	assert_int_equal(errno, ELOOP);
	assert_int_equal(file_size("other"), -1);
	assert_int_equal(unlinkat(test_dirfd, "tab", 0), 0);

	assert_int_equal(shmtab_open(&t, test_dirfd, "tab", TAB_MB / 2, &why), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(file_size("tab"), -1);		/* nothing is left behind */
	assert_int_equal(shmtab_open(&t, test_dirfd, "no/tab", TAB_MB, &why), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(shmtab_open(&t, -1, "tab", TAB_MB, &why), -1);
	assert_int_equal(errno, EBADF);
}

static void
file_reader_follows_nothing_it_would_have_to_make(void **state)
{
	struct shmtab *t = tab_open(TAB_MB), *r;
	const char *why;

	(void) state;
	put(t, "k", "v");
	assert_int_equal(shmtab_open_read(&r, test_dirfd, "tab", &why), 0);
	assert_string_equal(tab_get(r, "k"), "v");
	unlinkat(test_dirfd, "tab", 0);
	assert_int_equal(shmtab_check(r, &why), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(file_size("tab"), -1);
	assert_string_equal(tab_get(r, "k"), "v");
	shmtab_close(&r);
	shmtab_close(&t);
}

/* the disk */

static void
file_no_room(void **state)
{
	struct rlimit old, rl;
	struct shmtab *t = tab_open(TAB_MB);
	const char *why;

	(void) state;
	put(t, "k", "v");
	shmtab_close(&t);
	getrlimit(RLIMIT_FSIZE, &old);
	rl = old;
	rl.rlim_cur = 3 * TAB_MB;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &rl), 0);
	assert_int_equal(shmtab_open(&t, test_dirfd, "tab", 4 * TAB_MB, &why), 0);	/* the old size goes on */
	assert_non_null(why);
	assert_int_equal(tab_stat(t).bytes, TAB_MB);
	assert_string_equal(tab_get(t, "k"), "v");
	put(t, "k", "w");
	shmtab_close(&t);
	assert_int_equal(file_size("tab.new"), -1);
	unlinkat(test_dirfd, "tab", 0);
	assert_int_equal(shmtab_open(&t, test_dirfd, "tab", 4 * TAB_MB, &why), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(file_size("tab"), -1);
	assert_int_equal(file_size("tab.new"), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	t = tab_open(4 * TAB_MB);
	shmtab_close(&t);
}

static void
file_full_disk(void **state)
{
	char	mount_dir[PATH_MAX + 8];
	struct shmtab *t = NULL;
	const char *why = NULL;
	int	dirfd, rc, err;

	(void) state;
	snprintf(mount_dir, sizeof mount_dir, "%s/other", test_dir);
	assert_int_equal(mkdir(mount_dir, 0700), 0);
	if (mount("none", mount_dir, "tmpfs", 0, "size=2m") < 0) {
		rmdir(mount_dir);
		skip();			/* needs root */
	}
	dirfd = open(mount_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = shmtab_open(&t, dirfd, "tab", 4 * TAB_MB, &why);
	err = errno;
	assert_int_equal(faccessat(dirfd, "tab", F_OK, 0), -1);
	assert_int_equal(faccessat(dirfd, "tab.new", F_OK, 0), -1);
	if (rc < 0)
		rc = shmtab_open(&t, dirfd, "tab", TAB_MB, &why) == 0 ? -2 : -3;
	if (t != NULL) {
		put(t, "k", "v");
		shmtab_close(&t);
	}
	assert_int_equal(shmtab_open(&t, dirfd, "tab", TAB_MB + TAB_MB / 2, &why), 0);	/* no room for both: the old one stays */
	assert_non_null(why);
	assert_string_equal(tab_get(t, "k"), "v");
	shmtab_close(&t);
	close(dirfd);
	umount2(mount_dir, MNT_DETACH);
	rmdir(mount_dir);
	assert_int_equal(rc, -2);
	assert_int_equal(err, ENOSPC);
}

/* another size */

static void
put_many(struct shmtab *t, unsigned from, unsigned to)
{
	char	key[32], val[64];

	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof key, "key%u", i);
		snprintf(val, sizeof val, "value %u", i);
		if (put_val(t, key, val, i % 2 != 0 ? TAB_NOW + i : 0, i, i % 10 == 0) < 0)
			fail_msg("put %s: %s", key, strerror(errno));
	}
}

static unsigned
have_many(struct shmtab *t, unsigned from, unsigned to)
{
	char	key[32], val[64], data[64];
	struct shmtab_val v;
	unsigned n = 0;

	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof key, "key%u", i);
		snprintf(val, sizeof val, "value %u", i);
		if (shmtab_get(t, key, strlen(key), data, sizeof data, &v) != 1)
			continue;
		n++;
		if (v.len != strlen(val) || memcmp(data, val, v.len) != 0 || v.expire_s != (i % 2 != 0 ? TAB_NOW + i : 0) ||
		    v.mark != i || v.pinned != (i % 10 == 0))
			fail_msg("%s is not what was stored", key);
	}
	return n;
}

static void
file_of_another_size_keeps_its_entries(void **state)
{
	static const uint64_t sizes[] = { 3 * TAB_MB, 8 * TAB_MB, TAB_MB, 2 * TAB_MB + 4096, TAB_MB };
	struct shmtab *t = tab_open(TAB_MB);

	(void) state;
	put_many(t, 0, 3000);
	shmtab_words(t)[5] = 55;
	shmtab_close(&t);
	for (size_t i = 0; i < NELEM(sizes); i++) {
		t = tab_open(sizes[i]);
		assert_int_equal(tab_stat(t).bytes, sizes[i]);
		assert_int_equal(file_size("tab"), sizes[i]);
		assert_int_equal(tab_stat(t).rebuilt, 0);
		assert_int_equal(tab_stat(t).entries, 3000);
		assert_int_equal(tab_stat(t).pinned, 300);
		assert_int_equal(have_many(t, 0, 3000), 3000);
		assert_int_equal(shmtab_words(t)[5], 55);
		assert_int_equal(file_size("tab.new"), -1);
		shmtab_close(&t);
	}
}

/* a table for keys of any kind becomes one for keys that are hashes, and the other way round */
static void
file_of_another_hash_keeps_its_entries(void **state)
{
	struct shmtab *plain = tab_open(TAB_MB), *hashed, *reader;
	const char *why;

	(void) state;
	put_many(plain, 0, 3000);
	assert_int_equal(shmtab_open_hashed(&hashed, test_dirfd, "tab", TAB_MB, &why), 0);
	assert_null(why);
	assert_int_equal(tab_stat(hashed).rebuilt, 0);
	assert_int_equal(tab_stat(hashed).entries, 3000);
	assert_int_equal(have_many(hashed, 0, 3000), 3000);
	put_many(hashed, 3000, 3100);
	assert_int_equal(shmtab_check(plain, &why), 0);		/* who has it open takes it as it is now */
	assert_int_equal(have_many(plain, 0, 3100), 3100);
	put_many(plain, 3100, 3200);
	assert_int_equal(shmtab_open_read(&reader, test_dirfd, "tab", &why), 0);
	assert_int_equal(have_many(reader, 0, 3200), 3200);
	shmtab_close(&reader);
	shmtab_close(&plain);
	assert_int_equal(have_many(hashed, 0, 3200), 3200);
	shmtab_close(&hashed);
	plain = tab_open(TAB_MB);
	assert_int_equal(have_many(plain, 0, 3200), 3200);
	shmtab_close(&plain);
}

static void
file_made_smaller_keeps_what_fits(void **state)
{
	struct shmtab *t = tab_open(8 * TAB_MB);
	unsigned n;

	(void) state;
	put_many(t, 0, 30000);
	assert_int_equal(have_many(t, 0, 30000), 30000);
	shmtab_close(&t);
	t = tab_open(TAB_MB);
	n = have_many(t, 0, 30000);
	assert_true(n > 5000);
	for (unsigned i = 0; i < 30000; i += 10)
		if (have_many(t, i, i + 1) == 0)
			fail_msg("key%u was pinned and is gone", i);
	shmtab_close(&t);
}

static void
file_users_move_to_the_new_size(void **state)
{
	struct shmtab *a = tab_open(TAB_MB), *b = tab_open(TAB_MB), *c;
	uint32_t a_id = shmtab_self(a), b_id = shmtab_self(b);
	uint64_t before;

	(void) state;
	put_many(a, 0, 2000);
	before = shmtab_changes(b, "key1", 4);
	c = tab_open(3 * TAB_MB);
	assert_true(shmtab_changes(b, "key1", 4) != before);	/* notices by itself */
	assert_int_equal(tab_stat(b).bytes, 3 * TAB_MB);
	put(a, "from a", "1");				/* and so does a, which asks nothing before */
	assert_int_equal(tab_stat(a).bytes, 3 * TAB_MB);
	put(b, "from b", "2");
	assert_string_equal(tab_get(c, "from a"), "1");
	assert_string_equal(tab_get(c, "from b"), "2");
	assert_int_equal(have_many(c, 0, 2000), 2000);
	assert_int_equal(shmtab_self(a), a_id);		/* claims stay whose they were */
	assert_int_equal(shmtab_self(b), b_id);
	assert_true(shmtab_alive(c, a_id) && shmtab_alive(c, b_id) && shmtab_alive(a, shmtab_self(c)));
	for (int i = 0; i < 5; i++) {			/* nobody goes back */
		check(a);
		check(b);
		check(c);
		assert_int_equal(tab_stat(a).bytes, 3 * TAB_MB);
	}
	shmtab_close(&b);
	b = tab_open(TAB_MB);
	shmtab_close(&b);
	check(a);
	assert_int_equal(tab_stat(a).bytes, TAB_MB);
	assert_int_equal(have_many(a, 0, 2000), 2000);
	assert_int_equal(shmtab_self(a), a_id);
	shmtab_close(&a);
	shmtab_close(&c);
}

/* somebody dies over it: the old file goes on, with all its entries */
static void
file_death_while_changing_the_size(void **state)
{
	struct shmtab *t = tab_open(4 * TAB_MB);
	unsigned killed = 0;

	(void) state;
	put_many(t, 0, 10000);
	for (unsigned i = 0; i < 40; i++) {
		pid_t	pid = fork();
		int	status;

		if (pid == 0) {
			struct shmtab *mine;
			const char *why;

			for (;;) {
				if (shmtab_open(&mine, test_dirfd, "tab", 2 * TAB_MB, &why) < 0)
					_exit(1);
				shmtab_close(&mine);
				if (shmtab_open(&mine, test_dirfd, "tab", 4 * TAB_MB, &why) < 0)
					_exit(1);
				shmtab_close(&mine);
			}
		}
		assert_true(pid > 0);
		usleep(1000 + i * 500);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		killed += WIFSIGNALED(status);
		if (have_many(t, 0, 10000) != 10000)
			fail_msg("round %u: %u of 10000 entries are left", i, have_many(t, 0, 10000));
		check(t);
		assert_int_equal(have_many(t, 0, 10000), 10000);
		put_many(t, i * 100, i * 100 + 100);
	}
	assert_int_equal(killed, 40);
	shmtab_close(&t);
	t = tab_open(3 * TAB_MB);				/* the half-made file of a dead process is not in the way */
	assert_int_equal(have_many(t, 0, 10000), 10000);
	assert_int_equal(file_size("tab.new"), -1);
	shmtab_close(&t);
}

/* somebody is stopped over it: calls fail, the first one after a while, the next ones at once */
/* whoever died over making another size may be the last who wanted it: what he left goes as well */
static void
file_left_half_made_goes(void **state)
{
	struct shmtab *t = tab_open(TAB_MB);

	(void) state;
	put(t, "a", "1");
	shmtab_close(&t);
	file_write("tab.new", "half", 4, 0);
	t = tab_open(TAB_MB);
	assert_int_equal(file_size("tab.new"), -1);
	assert_int_equal(file_size("tab"), TAB_MB);
	assert_int_equal(tab_stat(t).rebuilt, 0);
	shmtab_close(&t);
}

static void
file_stop_while_changing_the_size(void **state)
{
	struct shmtab *t = tab_open(TAB_MB), *next;
	int	fd = openat(test_dirfd, "tab", O_RDWR | O_CLOEXEC);
	struct siphash_key none = { 0, 0 };
	struct shmtab_geo g;
	struct shmtab_val v;
	time_t	start = time(NULL);
	char	data[8];

	(void) state;
	put(t, "k", "v");
	assert_int_equal(shmtab_file_lock(fd, 0), 0);
	shmtab_geo_init(&g, TAB_MB, SHMTAB_FILE_HEAD, false, &none);
	for (uint32_t i = 0; i < g.parts; i++)		/* every part is retired, but there is no new file */
		file_write("tab", "\1", 1, (off_t) (SHMTAB_FILE_HEAD + i * SHMTAB_PART_HEAD + 4));
	assert_int_equal(shmtab_get(t, "k", 1, data, sizeof data, &v), -1);
	assert_int_equal(errno, EBUSY);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(put_val(t, "k", "w", 0, 0, false), -1);
	assert_true(time(NULL) - start <= 3);
	close(fd);					/* he dies */
	next = tab_open(TAB_MB);
	assert_string_equal(tab_get(t, "k"), "v");
	assert_string_equal(tab_get(next, "k"), "v");
	put(t, "k", "w");
	assert_string_equal(tab_get(next, "k"), "w");
	shmtab_close(&next);
	shmtab_close(&t);
}

/* files that are changed under us */

static void
file_replaced_or_removed(void **state)
{
	struct shmtab *a = tab_open(TAB_MB), *b = tab_open(TAB_MB), *c;

	(void) state;
	put(a, "k", "old");
	assert_int_equal(unlinkat(test_dirfd, "tab", 0), 0);
	assert_string_equal(tab_get(a, "k"), "old");		/* until somebody looks */
	check(a);
	assert_null(tab_get(a, "k"));
	assert_int_equal(tab_stat(a).rebuilt, 0);
	put(a, "k", "new");
	assert_string_equal(tab_get(b, "k"), "old");
	check(b);
	assert_string_equal(tab_get(b, "k"), "new");
	check(b);

	assert_int_equal(renameat(test_dirfd, "tab", test_dirfd, "other"), 0);
	c = tab_open(TAB_MB);
	put(c, "k", "newest");
	check(a);
	check(b);
	assert_string_equal(tab_get(a, "k"), "newest");
	assert_string_equal(tab_get(b, "k"), "newest");
	assert_int_equal(renameat(test_dirfd, "other", test_dirfd, "tab"), 0);	/* and back again */
	check(a);
	assert_string_equal(tab_get(a, "k"), "new");
	shmtab_close(&a);
	shmtab_close(&b);
	shmtab_close(&c);
}

static void
file_head_is_mended(void **state)
{
	struct shmtab *t = tab_open(TAB_MB);
	uint32_t id = shmtab_self(t);
	char	noise[1024];

	(void) state;
	put(t, "k", "v");
	memset(noise, 0xa5, sizeof noise);
	file_write("tab", noise, sizeof noise, 0);
	assert_string_equal(tab_get(t, "k"), "v");
	check(t);
	shmtab_close(&t);
	t = tab_open(TAB_MB);
	assert_int_equal(tab_stat(t).rebuilt, 0);
	assert_string_equal(tab_get(t, "k"), "v");
	assert_true(shmtab_self(t) != id);
	shmtab_close(&t);
}

static void
file_overwritten_with_another_table(void **state)
{
	struct shmtab *t = tab_open(TAB_MB);
	char   *image = mem_alloc(TAB_MB);
	int	fd;

	(void) state;
	put(t, "k", "one");
	fd = openat(test_dirfd, "tab", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, image, TAB_MB, 0), TAB_MB);
	close(fd);
	shmtab_close(&t);
	unlinkat(test_dirfd, "tab", 0);
	t = tab_open(TAB_MB);
	put(t, "k", "two");
	file_write("tab", image, TAB_MB, 0);		/* a copy is put back while it is in use */
	check(t);
	assert_string_equal(tab_get(t, "k"), "one");
	mem_free(&image);
	shmtab_close(&t);
}

/* during an upgrade the old processes must not take the file away from the new ones */
static void
file_replaced_by_another_version(void **state)
{
	struct shmtab *t = tab_open(TAB_MB), *next;
	const char *why;
	struct stat before, after;

	(void) state;
	put(t, "k", "v");
	renameat(test_dirfd, "tab", test_dirfd, "other");
	next = tab_open(TAB_MB);
	shmtab_close(&next);
	file_write("tab", "\x63", 1, 8);		/* the version */
	fstatat(test_dirfd, "tab", &before, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(shmtab_check(t, &why), -1);
		assert_int_equal(errno, EINVAL);
		put(t, "k", i % 2 == 0 ? "w" : "v");
		assert_string_equal(tab_get(t, "k"), i % 2 == 0 ? "w" : "v");
	}
	fstatat(test_dirfd, "tab", &after, 0);
	assert_int_equal(before.st_ino, after.st_ino);
	shmtab_close(&t);
	t = tab_open(TAB_MB);				/* a process that starts takes what it needs */
	assert_int_equal(tab_stat(t).rebuilt, 1);
	shmtab_close(&t);
}

static void
file_cut_short(void **state)
{
	static const off_t sizes[] = { 0, 1, 4096, 8192, 9000, 300000, TAB_MB - 4096 };
	char	path[PATH_MAX + 8];

	(void) state;
	snprintf(path, sizeof path, "%s/tab", test_dir);
	for (size_t i = 0; i < NELEM(sizes); i++) {
		struct shmtab *a = tab_open(TAB_MB), *b = tab_open(TAB_MB);

		put_many(a, 0, 2000);
		assert_int_equal(have_many(b, 0, 2000), 2000);
		assert_int_equal(truncate(path, sizes[i]), 0);
		have_many(a, 0, 2000);			/* no matter what is found, if it is what was stored */
		have_many(b, 0, 1);
		shmtab_words(b)[1]++;
		shmtab_alive(b, shmtab_self(a));
		tab_stat(b);
		check(a);
		put_many(a, 0, 100);
		check(b);
		if (have_many(b, 0, 100) != 100)
			fail_msg("cut to %lld: b does not see what a stored", (long long) sizes[i]);
		assert_int_equal(file_size("tab"), TAB_MB);
		check(a);
		assert_int_equal(have_many(a, 0, 100), 100);
		shmtab_close(&a);
		shmtab_close(&b);
	}
}

static void
file_works_after_the_directory_is_out_of_reach(void **state)
{
	int	fd = openat(test_dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), status;
	struct shmtab *t;
	const char *why;
	pid_t	pid;

	(void) state;
	assert_int_equal(shmtab_open(&t, fd, "tab", TAB_MB, &why), 0);
	close(fd);
	pid = fork();
	if (pid == 0) {
		if (chdir("/proc") < 0 || (geteuid() == 0 && chroot("/proc/self/fdinfo") < 0))
			_exit(2);
		unlinkat(test_dirfd, "tab", 0);
		if (shmtab_check(t, &why) < 0 || put_val(t, "k", "v", 0, 0, false) < 0)
			_exit(3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	check(t);
	assert_string_equal(tab_get(t, "k"), "v");
	shmtab_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, tab_setup, tab_teardown)
		T(file_survives_all_its_users),
		T(file_is_shared_by_handles),
		T(file_unusable),
		T(file_not_openable),
		T(file_reader_follows_nothing_it_would_have_to_make),
		T(file_no_room),
		T(file_full_disk),
		T(file_of_another_size_keeps_its_entries),
		T(file_of_another_hash_keeps_its_entries),
		T(file_made_smaller_keeps_what_fits),
		T(file_users_move_to_the_new_size),
		T(file_left_half_made_goes),
		T(file_death_while_changing_the_size),
		T(file_stop_while_changing_the_size),
		T(file_replaced_or_removed),
		T(file_head_is_mended),
		T(file_overwritten_with_another_table),
		T(file_replaced_by_another_version),
		T(file_cut_short),
		T(file_works_after_the_directory_is_out_of_reach),
#undef T
	};

	return cmocka_run_group_tests_name("shmtab_file", tests, NULL, NULL);
}
