/* tests/daemons/inflight_test.c - addresses in flight: what a process leaves, another one takes, once, and without haste */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <daemons/probe/probe.h>
#include <util/mem.h>
#include <util/msg.h>

#define LIFE_S	1000
#define SIZE	(8u << 20)

static struct {
	struct ev_loop *loop;
	int	dir;
	unsigned room, adopted;
	int64_t	age_s;			/* of the last one adopted */
	char	last[100];		/* "addr sender" */
} t;

static bool
inflight_test_room(unsigned n)
{
	return t.room >= n;
}

static void
inflight_test_adopt(const char *addr, const char *sender, int64_t age_s)
{
	t.room--;
	t.adopted++;
	t.age_s = age_s;
	snprintf(t.last, sizeof t.last, "%s %s", addr, sender);
}

static void
inflight_test_open(unsigned room, int64_t now_s)
{
	t.room = room;
	t.adopted = 0;
	t.loop = ev_loop_new_fake(now_s);
	inflight_init(t.loop, t.dir, SIZE, LIFE_S, inflight_test_room, inflight_test_adopt);
}

static void
inflight_test_close(void)
{
	inflight_fini();
	ev_loop_free(&t.loop);
}

/* inflight_test_predecessor - a process that has n addresses in flight, of which it gives away `given`, and then dies, or
 * (stays) goes on until the descriptor returned is closed */
static int
inflight_test_predecessor(unsigned n, unsigned given, bool stays, pid_t *pid_r)
{
	int	ready[2], go[2];
	char	addr[40], byte;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	if ((*pid_r = fork()) == 0) {
		close(ready[0]);
		close(go[1]);
		inflight_test_open(0, 1800000000);
		for (unsigned i = 0; i < n; i++) {
			snprintf(addr, sizeof addr, "a%u@example.org", i);
			inflight_put(addr, "sender@probe.test");
		}
		for (unsigned i = 0; i < given; i++) {
			snprintf(addr, sizeof addr, "a%u@example.org", i);
			if (!inflight_give(addr))
				_exit(1);
		}
		(void) !write(ready[1], "x", 1);
		if (stays)
			(void) !read(go[0], &byte, 1);
		_exit(0);
	}
	close(ready[1]);
	close(go[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	if (!stays)
		assert_int_equal(waitpid(*pid_r, NULL, 0), *pid_r);
	return go[1];
}

static void
inflight_test_begin(char *dir)
{
	msg_to_stderr(NULL);
	strcpy(dir, "/tmp/vouch-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_true((t.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0);
}

static void
inflight_test_end(const char *dir)
{
	char	path[80];

	close(t.dir);
	snprintf(path, sizeof path, "%s/probe_inflight.vouch", dir);
	unlink(path);
	rmdir(dir);
}

/* all that a dead process had, in as many looks as it takes, and never again */
static void
inflight_test_dead(void **state)
{
	char	dir[40];
	pid_t	pid;

	(void) state;
	inflight_test_begin(dir);
	close(inflight_test_predecessor(2500, 0, false, &pid));
	inflight_test_open(10000, 1800000007);
	for (int i = 0; i < 10; i++)
		ev_turn(t.loop, 0);
	assert_int_equal(t.adopted, 2500);
	assert_int_equal(t.age_s, 7);
	assert_non_null(strstr(t.last, "@example.org sender@probe.test"));
	ev_fake_advance(t.loop, 60000);
	assert_int_equal(t.adopted, 2500);
	/* reported: gone; what a third process finds is the rest */
	for (int i = 0; i < 2499; i++) {
		char	addr[40];

		snprintf(addr, sizeof addr, "a%d@example.org", i);
		inflight_delete(addr);
	}
	inflight_test_close();
	inflight_test_open(10000, 1800000060);
	ev_turn(t.loop, 0);
	assert_int_equal(t.adopted, 1);
	assert_string_equal(t.last, "a2499@example.org sender@probe.test");
	inflight_test_close();
	inflight_test_end(dir);
}

/* more than there is room for: they are taken as room comes, and until then nobody runs in circles */
static void
inflight_test_no_room(void **state)
{
	unsigned ran = 0;
	char	dir[40];
	pid_t	pid;

	(void) state;
	inflight_test_begin(dir);
	close(inflight_test_predecessor(3000, 0, false, &pid));
	inflight_test_open(1500, 1800000000);
	for (int i = 0; i < 100; i++)
		ran += ev_turn(t.loop, 0);
	assert_int_equal(t.adopted, 1500);
	if (ran > 5)
		fail_msg("looked %u times in no time, with no room", ran);
	t.room = 5000;
	ev_fake_advance(t.loop, 2000);
	for (int i = 0; i < 10; i++)
		ev_turn(t.loop, 0);
	assert_int_equal(t.adopted, 3000);
	inflight_test_close();
	inflight_test_end(dir);
}

/* as many as main.cf(5) says for the size: 256 bytes each, for addresses longer than most */
static void
inflight_test_fits(void **state)
{
	const unsigned n = SIZE / 256;
	char	dir[40], addr[80];

	(void) state;
	inflight_test_begin(dir);
	inflight_test_open(n, 1800000000);
	for (unsigned i = 0; i < n; i++) {
		snprintf(addr, sizeof addr, "some.longer.name%u@department.example.org", i);
		inflight_put(addr, "double-bounce@mail.example.org");
	}
	for (unsigned i = 0; i < n; i++) {
		snprintf(addr, sizeof addr, "some.longer.name%u@department.example.org", i);
		if (!inflight_give(addr))
			fail_msg("%u of %u fit", i, n);
	}
	inflight_test_close();
	inflight_test_end(dir);
}

/* a process that lives keeps what is its own; what it gives away is taken at once */
static void
inflight_test_given(void **state)
{
	char	dir[40];
	pid_t	pid;
	int	go;

	(void) state;
	inflight_test_begin(dir);
	go = inflight_test_predecessor(100, 40, true, &pid);
	inflight_test_open(1000, 1800000000);
	ev_turn(t.loop, 0);
	assert_int_equal(t.adopted, 40);
	ev_fake_advance(t.loop, 10000);
	assert_int_equal(t.adopted, 40);
	close(go);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	ev_fake_advance(t.loop, 2000);
	assert_int_equal(t.adopted, 100);
	/* what is not there cannot be given */
	assert_false(inflight_give("nobody@example.org"));
	inflight_test_close();
	inflight_test_end(dir);
}

/* for what is older than anybody waits nobody asks */
static void
inflight_test_old(void **state)
{
	char	dir[40];
	pid_t	pid;

	(void) state;
	inflight_test_begin(dir);
	close(inflight_test_predecessor(10, 0, false, &pid));
	inflight_test_open(1000, 1800000000 + LIFE_S);
	ev_turn(t.loop, 0);
	assert_int_equal(t.adopted, 0);
	inflight_test_close();
	inflight_test_end(dir);
}

/* without a table all goes on; only nothing is found again */
static void
inflight_test_none(void **state)
{
	(void) state;
	msg_to_stderr(NULL);
	t.dir = -1;
	inflight_test_open(1000, 1800000000);
	inflight_put("a@example.org", "");
	inflight_delete("a@example.org");
	assert_false(inflight_give("a@example.org"));
	ev_turn(t.loop, 0);
	inflight_test_close();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(inflight_test_dead),
		cmocka_unit_test(inflight_test_no_room),
		cmocka_unit_test(inflight_test_fits),
		cmocka_unit_test(inflight_test_given),
		cmocka_unit_test(inflight_test_old),
		cmocka_unit_test(inflight_test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
