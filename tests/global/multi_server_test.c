/* tests/global/multi_server_test.c - the worker skeleton, run as a daemon of its own: this program, executed again
 * The daemon answers each line: "echo X" with X, "hold" after 50 ms with "held", "big" with 200 kB, "quit" by closing.
 * With ECHO_TALK in the environment it is held from the beginning for 50 ms, greets with what it has seen until then, answers "bye" by
 * closing slowly, "quit" with six bytes and the end, and with 400 kB when there is more in the line's packet, and "who" with what was
 * handed over, says "leaving" when it drains.
 */
#include <global/multi_server.h>

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/master_proto.h>
#include <tests/lib/mini_master.h>
#include <util/mem.h>
#include <util/sock.h>

#define WAIT_MS	5000

/* the daemon */

static struct ev_loop *echo_loop;
static void (*echo_say)(struct ms_client *, const void *, size_t) = ms_send;	/* or ms_reply */

struct echo {
	struct ms_client *ms;
	struct ev_timer timer;
	char	line[256];
	size_t	len;
};

static void
echo_start(struct ev_loop *loop)
{
	echo_loop = loop;
}

static void *
echo_opened(struct ms_client *ms)
{
	struct echo *e = mem_alloc(sizeof *e);

	e->ms = ms;
	echo_say(ms, "hello\n", 6);
	return e;
}

static void
echo_held(void *ctx)
{
	struct echo *e = ctx;

	echo_say(e->ms, "held\n", 5);
	ms_resume(e->ms);
}

static enum ms_next
echo_input(struct ms_client *ms, void *ctx, const char *data, size_t n, size_t *used, bool *partial)
{
	struct echo *e = ctx;
	char   *big;

	for (*used = 0; *used < n;) {
		if (e->len == sizeof e->line)
			return MS_CLOSE;
		e->line[e->len++] = data[(*used)++];
		if (e->line[e->len - 1] != '\n')
			continue;
		e->line[e->len - 1] = 0;
		e->len = 0;
		if (strncmp(e->line, "echo ", 5) == 0) {
			echo_say(ms, e->line + 5, strlen(e->line + 5));
			echo_say(ms, "\n", 1);
		} else if (strcmp(e->line, "pid") == 0) {
			char	text[16];
			int	len = snprintf(text, sizeof text, "%7d\n", (int) getpid());

			echo_say(ms, text, (size_t) len);
		} else if (strcmp(e->line, "hold") == 0) {
			ev_timer_set(echo_loop, &e->timer, 50, echo_held, e);
			return MS_HOLD;
		} else if (strcmp(e->line, "big") == 0) {
			big = mem_alloc(200000);
			memset(big, 'b', 200000);
			echo_say(ms, big, 200000);
			mem_free(&big);
		} else
			return MS_CLOSE;
	}
	*partial = e->len > 0;
	return MS_MORE;
}

static void
echo_closed(struct ms_client *ms, void *ctx)
{
	struct echo *e = ctx;

	(void) ms;
	ev_timer_cancel(echo_loop, &e->timer);
	mem_free(&e);
}

/* echo_eof - what is left is a line, which has its answer after 50 ms; used with ECHO_EOF in the environment */
static enum ms_next
echo_eof(struct ms_client *ms, void *ctx)
{
	struct echo *e = ctx;

	(void) ms;
	if (e->len == 0)
		return MS_CLOSE;
	e->len = 0;
	ev_timer_set(echo_loop, &e->timer, 50, echo_held, e);
	return MS_HOLD;
}

/* ECHO_TALK: what servers of conversations do */

static unsigned echo_early_n;

static void
echo_talk_greet(void *ctx)
{
	struct echo *e = ctx;
	char	data[100], text[60];
	ssize_t n = ms_peek(e->ms, data, sizeof data);

	snprintf(text, sizeof text, "peek %zd early %u\n", n, echo_early_n);
	echo_say(e->ms, text, strlen(text));
	ms_resume(e->ms);
}

static void *
echo_talk_opened(struct ms_client *ms)
{
	struct echo *e = mem_alloc(sizeof *e);

	e->ms = ms;
	echo_early_n = 0;
	ms_hold(ms);
	ev_timer_set(echo_loop, &e->timer, 50, echo_talk_greet, e);
	return e;
}

static void
echo_talk_early(struct ms_client *ms, void *ctx)
{
	(void) ms;
	(void) ctx;
	echo_early_n++;
}

static enum ms_next
echo_talk_input(struct ms_client *ms, void *ctx, const char *data, size_t n, size_t *used, bool *partial)
{
	const char *address = ms_passed(ms, "client_address"), *port = ms_passed(ms, "client_port");
	char	text[200];

	if (n >= 4 && memcmp(data, "bye\n", 4) == 0) {
		echo_say(ms, "bye\n", 4);
		ms_finish_slowly(ms);
		return MS_HOLD;
	}
	if (n >= 5 && memcmp(data, "quit\n", 5) == 0) {
		static char big[400000];

		memset(big, 'q', sizeof big);
		ms_finish_with(ms, big, n == 5 ? 6 : sizeof big);
		return MS_HOLD;
	}
	if (n >= 4 && memcmp(data, "who\n", 4) == 0) {
		snprintf(text, sizeof text, "%s %s\n", address != NULL ? address : "none", port != NULL ? port : "none");
		echo_say(ms, text, strlen(text));
		return MS_MORE;
	}
	return echo_input(ms, ctx, data, n, used, partial);
}

static void
echo_talk_dismiss(struct ms_client *ms, void *ctx, bool late)
{
	(void) ctx;
	(void) late;
	echo_say(ms, "leaving\n", 8);
	ms_finish(ms);
}

static const struct multi_server echo_ops = {
	.name = "echo", .start = echo_start, .opened = echo_opened, .input = echo_input, .closed = echo_closed,
};

/* the tests */

static void
begin(struct mini_master *m, const char *extra, bool vouch, const char *const *args)
{
	mini_master_init(m, extra, false);
	m->vouch = vouch;
	mini_master_start(m, "/proc/self/exe", args);
}

static int
hello(struct mini_master *m)
{
	char	got[8];
	int	fd = mini_master_connect(m);

	assert_int_equal(test_read_some(fd, got, sizeof got, 6, WAIT_MS), 6);
	assert_memory_equal(got, "hello\n", 6);
	return fd;
}

static void
say(int fd, const char *text, const char *want)
{
	char	got[1024];
	size_t	n;

	assert_int_equal(sock_write_all(fd, text, strlen(text), WAIT_MS), 0);
	n = test_read_some(fd, got, sizeof got, strlen(want), WAIT_MS);
	if (n != strlen(want) || memcmp(got, want, n) != 0)
		fail_msg("said \"%s\", got \"%.*s\", want \"%s\"", text, (int) n, got, want);
}

static void
closed(int fd, int within_ms)
{
	char	c;

	if (sock_wait(fd, POLLIN, within_ms) != 1 || read(fd, &c, 1) > 0)
		fail_msg("the connection is still open");
	close(fd);
}

static int
exit_status(pid_t pid)
{
	int	status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void
test_requests(void **state)
{
	struct mini_master m;
	int	fd, other;

	(void) state;
	begin(&m, "", true, NULL);
	fd = hello(&m);
	say(fd, "echo a\n", "a\n");
	say(fd, "ec", "");
	other = hello(&m);			/* half a request stops nobody else */
	say(other, "echo b\necho c\n", "b\nc\n");
	say(fd, "ho d\n", "d\n");
	say(other, "hold\necho behind\n", "held\nbehind\n");	/* replies keep their order */
	say(other, "hold\n", "held\n");
	say(other, "quit\n", "");
	closed(other, WAIT_MS);
	close(fd);
	mini_master_fini(&m);
}

/* many whose requests are there in one turn; some leave, some are left, some take nothing yet */
static void
test_together(void **state)
{
	struct mini_master m;
	char	text[40], want[60], got[65536];
	size_t	sum = 0;
	int	fd[60], n;
	pid_t	pid;

	(void) state;
	begin(&m, "", true, NULL);
	for (int i = 0; i < 60; i++)
		fd[i] = hello(&m);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(kill(pid = m.pid, SIGSTOP), 0);
		for (int i = 0; i < 60; i++) {
			n = snprintf(text, sizeof text, "echo %d\n%s%s", i, i % 5 == 0 ? "echo more\n" : i == 33 ? "big\n" : "",
			    round == 2 && i % 7 == 0 ? "quit\n" : "");
			assert_int_equal(write(fd[i], text, (size_t) n), n);
			if (round == 1 && i % 11 == 0) {
				close(fd[i]);
				fd[i] = -1;
			}
		}
		assert_int_equal(kill(pid, SIGCONT), 0);
		for (int i = 0; i < 60; i++) {
			if (fd[i] < 0) {
				fd[i] = hello(&m);
				continue;
			}
			if (i == 33) {		/* more than a socket takes at once */
				for (sum = 0; sum < 200003; sum += (size_t) n)
					assert_true((n = (int) test_read_some(fd[i], got, sizeof got, 1, WAIT_MS)) > 0);
				assert_int_equal(sum, 200003);
			} else {
				snprintf(want, sizeof want, "%d\n%s", i, i % 5 == 0 ? "more\n" : "");
				say(fd[i], "", want);
			}
			if (round == 2) {
				if (i % 7 == 0)
					closed(fd[i], WAIT_MS);
				else
					close(fd[i]);
			}
		}
	}
	mini_master_fini(&m);
}

/* a client that has said all it will say, and waits: for what was held, for what is behind it, for half a request */
static void
test_half_closed(void **state)
{
	static const struct { const char *name, *said, *want; } cases[] = {
		{ "nothing", "", "" },
		{ "a whole request", "echo a\n", "a\n" },
		{ "a held one", "hold\n", "held\n" },
		{ "one behind a held one", "hold\necho b\n", "held\nb\n" },
		{ "half a request", "echo a\nrest", "a\nheld\n" },
		{ "half a request behind a held one", "hold\necho b\nrest", "held\nb\nheld\n" },
	};
	struct mini_master m;
	char	got[100];
	size_t	n;
	int	fd;

	(void) state;
	setenv("ECHO_EOF", "1", 1);
	begin(&m, "", true, NULL);
	for (size_t i = 0; i < NELEM(cases); i++) {
		fd = hello(&m);
		assert_int_equal(sock_write_all(fd, cases[i].said, strlen(cases[i].said), WAIT_MS), 0);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		n = test_read_some(fd, got, sizeof got, sizeof got, WAIT_MS);
		if (n != strlen(cases[i].want) || memcmp(got, cases[i].want, n) != 0)
			fail_msg("%s: got \"%.*s\", want \"%s\"", cases[i].name, (int) n, got, cases[i].want);
		closed(fd, WAIT_MS);
	}
	fd = hello(&m);				/* gone in earnest */
	assert_int_equal(write(fd, "hold\n", 5), 5);
	close(fd);
	fd = hello(&m);
	say(fd, "hold\n", "held\n");
	close(fd);
	unsetenv("ECHO_EOF");
	mini_master_fini(&m);
}

/* a client that leaves while its reply is held; one that takes nothing; one that sends without end */
static void
test_bad_clients(void **state)
{
	struct mini_master m;
	char	got[65536];
	size_t	n, sum = 0;
	int	fd;

	(void) state;
	begin(&m, "ipc_timeout = 1s\n", true, NULL);
	fd = hello(&m);
	assert_int_equal(write(fd, "hold\n", 5), 5);
	close(fd);
	fd = hello(&m);
	say(fd, "big\n", "");			/* more than a socket takes at once: arrives in full */
	while (sum < 200000 && (n = test_read_some(fd, got, sizeof got, 1, WAIT_MS)) > 0)
		sum += n;
	assert_int_equal(sum, 200000);
	for (int i = 0; i < 4; i++)
		say(fd, "big\n", "");		/* not taken: given up after ipc_timeout */
	if (sock_wait(fd, 0, WAIT_MS) != 1)	/* hang-up is reported unasked */
		fail_msg("a client that takes nothing is still connected");
	close(fd);
	fd = hello(&m);
	say(fd, "half a request", "");
	closed(fd, WAIT_MS);			/* after ipc_timeout */
	fd = hello(&m);
	memset(got, 'x', sizeof got);
	assert_int_equal(sock_write_all(fd, got, 300, WAIT_MS), 0);
	closed(fd, WAIT_MS);
	fd = hello(&m);
	assert_int_equal(write(fd, "hold\n", 5), 5);
	while (send(fd, got, sizeof got, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		;				/* ahead of a held reply: the socket fills, we are not read for ever */
	close(fd);
	fd = hello(&m);
	say(fd, "echo alive\n", "alive\n");
	close(fd);
	mini_master_fini(&m);
}

static void
test_status_reports(void **state)
{
	struct master_status st[2];
	struct mini_master m;
	int	fd;

	(void) state;
	begin(&m, "", true, NULL);
	fd = hello(&m);
	say(fd, "echo a\n", "a\n");
	assert_int_equal(test_read_some(m.status_fd, (char *) st, sizeof st, sizeof st, WAIT_MS), sizeof st);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(st[i].pid, m.pid);
		assert_int_equal(st[i].generation, 0115);
		assert_int_equal(st[i].avail, i == 0 ? MASTER_STAT_TAKEN : MASTER_STAT_AVAIL);
	}
	close(fd);
	mini_master_fini(&m);
}

static void
test_drain_in_place(void **state)
{
	struct mini_master m;
	pid_t	old;
	int	fd;

	(void) state;
	begin(&m, "ipc_idle = 1s\n", true, NULL);
	fd = hello(&m);
	old = mini_master_reload(&m);
	mini_master_start(&m, "/proc/self/exe", NULL);
	say(fd, "echo still here\n", "still here\n");
	assert_int_equal(waitpid(old, NULL, WNOHANG), 0);
	closed(fd, WAIT_MS);			/* idle for ipc_idle */
	assert_int_equal(exit_status(old), 0);
	fd = hello(&m);
	say(fd, "echo new\n", "new\n");
	close(fd);
	mini_master_fini(&m);
}

/* a busy client keeps a draining worker only up to the limit (VOUCH_DRAIN_MS, 3 s here) */
static void
test_drain_limit(void **state)
{
	struct mini_master m;
	char	got[64];
	pid_t	old;
	int	fd, rounds;

	(void) state;
	begin(&m, "", true, NULL);
	fd = hello(&m);
	old = mini_master_reload(&m);
	for (rounds = 0; rounds < 1000; rounds++) {
		if (send(fd, "echo x\n", 7, MSG_NOSIGNAL) != 7 || test_read_some(fd, got, sizeof got, 2, WAIT_MS) != 2)
			break;
		poll(NULL, 0, 10);
	}
	assert_true(rounds > 50 && rounds < 1000);
	assert_int_equal(exit_status(old), 0);
	close(fd);
	mini_master_fini(&m);
}

/* under Postfix's master the process it knows leaves at once, and its child serves the rest */
static void
test_drain_by_fork(void **state)
{
	struct mini_master m;
	pid_t	old;
	int	fd;

	(void) state;
	begin(&m, "ipc_idle = 1s\n", false, NULL);
	fd = hello(&m);
	old = mini_master_reload(&m);
	assert_int_equal(exit_status(old), 0);
	say(fd, "echo still here\n", "still here\n");
	closed(fd, WAIT_MS);
	mini_master_start(&m, "/proc/self/exe", NULL);
	fd = hello(&m);
	old = m.pid;
	say(fd, "quit\n", "");
	closed(fd, WAIT_MS);
	mini_master_reload(&m);			/* no client: it just leaves */
	assert_int_equal(exit_status(old), 0);
	mini_master_fini(&m);
}

/* a master that stops says so with SIGTERM: heard by a worker, and by the child that a draining one has left behind */
static void
test_terminated(void **state)
{
	struct mini_master m;
	char	text[16];
	int	fd;

	(void) state;
	begin(&m, "ipc_idle = 60s\n", false, NULL);
	fd = hello(&m);
	assert_int_equal(kill(m.pid, SIGTERM), 0);
	closed(fd, WAIT_MS);
	assert_int_equal(exit_status(m.pid), 1000 + SIGTERM);
	mini_master_start(&m, "/proc/self/exe", NULL);
	fd = hello(&m);
	assert_int_equal(exit_status(mini_master_reload(&m)), 0);
	assert_int_equal(sock_write_all(fd, "pid\n", 4, WAIT_MS), 0);
	assert_int_equal(test_read_some(fd, text, sizeof text, 8, WAIT_MS), 8);
	assert_int_equal(kill(atoi(text), SIGTERM), 0);
	closed(fd, WAIT_MS);
	mini_master_fini(&m);
}

static void
test_limits_of_life(void **state)
{
	static const char *const idle[] = { "-o", "max_idle=1s", NULL };
	static const char *const use[] = { "-m", "2", NULL };
	struct mini_master m;
	int	fd;

	(void) state;
	begin(&m, "", true, idle);
	fd = hello(&m);
	say(fd, "echo a\n", "a\n");
	close(fd);
	assert_int_equal(exit_status(m.pid), 0);
	m.pid = 0;
	mini_master_fini(&m);
	begin(&m, "", true, use);
	for (int i = 0; i < 2; i++) {
		fd = hello(&m);
		say(fd, "quit\n", "");
		closed(fd, WAIT_MS);
	}
	assert_int_equal(exit_status(m.pid), 0);
	m.pid = 0;
	mini_master_fini(&m);
}

static void
test_bad_start(void **state)
{
	static const struct {
		const char *name, *extra, *args[4];
	} cases[] = {
		{ "bad time", "ipc_timeout = 1 fortnight\n", { NULL } },
		{ "bad -o", "", { "-o", "foo", NULL } },
		{ "bad -o value", "", { "-o", "max_idle=soon", NULL } },
		{ "bad option", "", { "-x", NULL } },
		{ "bad transport", "", { "-t", "fifo", NULL } },
		{ "more sockets than there are", "", { "-s", "3", NULL } },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct mini_master m;

		begin(&m, cases[i].extra, true, cases[i].args);
		if (exit_status(m.pid) != 1)
			fail_msg("%s: exit status is not 1", cases[i].name);
		m.pid = 0;
		mini_master_fini(&m);
	}
}

/* stand_in - another worker of the service, which is woken for one client and then stands still; returns when it waits */
static pid_t
stand_in(int listen_fd)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	char	path[64], state = 0;
	FILE   *fp;
	pid_t	pid = fork();

	if (pid == 0) {
		int	fd = epoll_create1(0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (epoll_ctl(fd, EPOLL_CTL_ADD, listen_fd, &e) < 0)
			_exit(1);
		epoll_wait(fd, &e, 1, -1);
		for (;;)
			pause();
	}
	snprintf(path, sizeof path, "/proc/%d/wchan", (int) pid);
	for (int tries = 0; tries < WAIT_MS / 10; tries++) {
		char	where[64] = "";

		if ((fp = fopen(path, "r")) != NULL) {
			if (fscanf(fp, "%63s", where) == 1 && strncmp(where, "ep_poll", 7) == 0)
				state = 'S';
			fclose(fp);
		}
		if (state != 0)
			break;
		poll(NULL, 0, 10);
	}
	if (state == 0)
		poll(NULL, 0, 200);			/* a kernel that does not tell */
	return pid;
}

/* the kernel wakes one worker for a client; when that one dies, or stands still, before it accepts, another must */
static void
test_lost_wakeup(void **state)
{
	struct mini_master m;
	int	fd[3];
	pid_t	pid;

	(void) state;
	begin(&m, "", true, NULL);
	fd[0] = hello(&m);
	pid = stand_in(m.listen_fd);
	fd[1] = hello(&m);			/* for this one the worker is woken, and stands behind the other then */
	fd[2] = hello(&m);
	for (size_t i = 0; i < NELEM(fd); i++)
		close(fd[i]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	mini_master_fini(&m);
}

static void
hears(int fd, const char *want)
{
	char	got[200];
	size_t	n = test_read_some(fd, got, sizeof got, strlen(want), WAIT_MS);

	if (n != strlen(want) || memcmp(got, want, n) != 0)
		fail_msg("heard \"%.*s\", want \"%s\"", (int) n, got, want);
}

static void
test_conversations(void **state)
{
	struct mini_master m;
	char	rubbish[65536] = { 0 };
	int	fd;

	(void) state;
	setenv("ECHO_TALK", "1", 1);
	begin(&m, "", true, NULL);
	fd = mini_master_connect(&m);			/* held from the beginning; silent */
	hears(fd, "peek 0 early 0\n");
	say(fd, "echo x\n", "x\n");
	close(fd);
	fd = mini_master_connect(&m);			/* talks ahead: seen, kept, used afterwards */
	assert_int_equal(write(fd, "echo ahead\n", 11), 11);
	hears(fd, "peek 11 early 1\nahead\n");
	close(fd);
	fd = mini_master_connect(&m);			/* leaves while held */
	close(fd);
	/* closing slowly: the reply arrives although we go on talking */
	fd = mini_master_connect(&m);
	memcpy(rubbish, "bye\n", 4);
	for (int i = 0; i < 2; i++)			/* more than is read while held */
		assert_int_equal(sock_write_all(fd, rubbish, sizeof rubbish, WAIT_MS), 0);
	assert_int_equal(test_read_some(fd, rubbish, sizeof rubbish, 21, WAIT_MS), 21);
	assert_memory_equal(rubbish, "peek 100 early 1\nbye\n", 21);
	assert_int_equal(read(fd, rubbish, 1), 0);	/* an end, and no reset */
	close(fd);
	/* the last reply and the end in one: a short one, and one that the socket does not take at once */
	for (int big = 0; big < 2; big++) {
		static char all[400001];

		fd = mini_master_connect(&m);
		hears(fd, "peek 0 early 0\n");
		assert_int_equal(write(fd, big ? "quit\n.\n" : "quit\n", big ? 7 : 5), big ? 7 : 5);
		if (big)
			poll(NULL, 0, 20);		/* nobody reads */
		assert_int_equal(test_read_some(fd, all, sizeof all, sizeof all, WAIT_MS), big ? 400000 : 6);
		assert_int_equal(read(fd, all, 1), 0);
		close(fd);
	}
	/* draining: told so */
	fd = mini_master_connect(&m);
	hears(fd, "peek 0 early 0\n");
	{
		pid_t	pid = mini_master_reload(&m);

		hears(fd, "leaving\n");
		closed(fd, WAIT_MS);
		assert_int_equal(exit_status(pid), 0);
	}
	unsetenv("ECHO_TALK");
	mini_master_fini(&m);
}

/* give - hand over one end of a socket pair, and what comes with it, in pieces; the other end is returned */
static int
give(struct mini_master *m, const char *list, size_t n, size_t piece)
{
	int	pair[2], fd = mini_master_connect(m);
	char	byte = 0;
	union {
		struct cmsghdr hdr;
		char	space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pair[0], sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, 0), 1);
	for (size_t at = 0; at < n; at += piece) {
		assert_true(send(fd, list + at, n - at < piece ? n - at : piece, MSG_NOSIGNAL) > 0);
		poll(NULL, 0, 1);
	}
	if (n == 0)
		shutdown(fd, SHUT_WR);
	closed(fd, WAIT_MS);
	close(pair[0]);
	return pair[1];
}

/* a service of type pass: connections come over the socket, with what is known about them */
static void
test_pass(void **state)
{
	static const char list[] = "client_address\000192.0.2.7\0client_port\0004711\0server_address\000192.0.2.1\0";
	static const char *const args[] = { "-t", "pass", NULL };
	struct mini_master m;
	int	fd;

	(void) state;
	setenv("ECHO_TALK", "1", 1);
	begin(&m, "", true, args);
	fd = give(&m, list, sizeof list, sizeof list);
	hears(fd, "peek 0 early 0\n");
	say(fd, "who\n", "192.0.2.7 4711\n");
	close(fd);
	fd = give(&m, list, sizeof list, 7);
	hears(fd, "peek 0 early 0\n");
	say(fd, "who\n", "192.0.2.7 4711\n");
	close(fd);
	fd = give(&m, "", 0, 1);			/* nothing is known */
	hears(fd, "peek 0 early 0\n");
	say(fd, "who\n", "none none\n");
	close(fd);
	fd = mini_master_connect(&m);			/* nothing is handed over */
	assert_int_equal(write(fd, "W", 1), 1);
	closed(fd, WAIT_MS);
	fd = mini_master_connect(&m);
	close(fd);
	fd = give(&m, list, sizeof list, sizeof list);
	hears(fd, "peek 0 early 0\n");
	close(fd);
	mini_master_fini(&m);
	unsetenv("ECHO_TALK");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_bad_clients),
		cmocka_unit_test(test_status_reports),
		cmocka_unit_test(test_drain_in_place),
		cmocka_unit_test(test_drain_limit),
		cmocka_unit_test(test_drain_by_fork),
		cmocka_unit_test(test_terminated),
		cmocka_unit_test(test_limits_of_life),
		cmocka_unit_test(test_bad_start),
		cmocka_unit_test(test_lost_wakeup),
		cmocka_unit_test(test_conversations),
		cmocka_unit_test(test_pass),
	};
	/* the same with replies that may wait for each other */
	const struct CMUnitTest replies[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_bad_clients),
		cmocka_unit_test(test_drain_in_place),
		cmocka_unit_test(test_pass),
	};
	int	failed;

	struct multi_server ops = echo_ops;

	if (getenv("ECHO_EOF") != NULL)
		ops.eof = echo_eof;
	if (getenv("ECHO_REPLY") != NULL)
		echo_say = ms_reply;
	if (getenv("ECHO_TALK") != NULL) {
		ops.pass = true;
		ops.opened = echo_talk_opened;
		ops.input = echo_talk_input;
		ops.early = echo_talk_early;
		ops.dismiss = echo_talk_dismiss;
	}
	if (getenv("GENERATION") != NULL)
		multi_server_main(argc, argv, &ops);
	signal(SIGPIPE, SIG_IGN);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	setenv("ECHO_REPLY", "1", 1);
	return failed + cmocka_run_group_tests(replies, NULL, NULL);
}
