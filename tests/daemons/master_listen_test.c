/* tests/daemons/master_listen_test.c - endpoints: made as the contract says, never taken from somebody, stale ones replaced */
#include <daemons/master/listen.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/lib/master_rig.h>
#include <util/mem.h>
#include <util/sock.h>

static struct rig rig;
static struct listen_user user;
static struct buf why = BUF_INIT(4000);
static char port[16];

static int
setup(void **state)
{
	struct passwd *pw = getpwnam("nobody");

	(void) state;
	rig_init(&rig, true);
	rig_port(port);
	user = (struct listen_user) { .uid = geteuid(), .gid = getegid() };
	if (geteuid() == 0 && pw != NULL) {
		user.uid = pw->pw_uid;
		user.gid = pw->pw_gid;
		assert_int_equal(chown("private", user.uid, user.gid), 0);
		assert_int_equal(chown("public", user.uid, user.gid), 0);
		assert_int_equal(chmod("private", 0700), 0);
		assert_int_equal(chmod(rig.dir, 0755), 0);
	}
	buf_reset(&why);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	rig_fini(&rig);
	buf_fini(&why);
	return 0;
}

static struct plan *
plan_of(const char *line)
{
	char   *etc = mem_printf("%s/etc", rig.dir);
	struct plan *p;

	rig_master_cf(&rig, line);
	if ((p = plan_load(etc, NULL, &why)) == NULL)
		fail_msg("%s: %s", line, buf_str(&why));
	mem_free(&etc);
	return p;
}

static int
open_line(struct listen *l, struct plan **p, const char *line)
{
	buf_reset(&why);
	*p = plan_of(line);
	return listen_open(l, TAILQ_FIRST(&(*p)->services), &user, false, &why);
}

static int
sockopt(int fd, int name)
{
	int	value = -1;
	socklen_t len = sizeof value;

	getsockopt(fd, SOL_SOCKET, name, &value, &len);
	return value;
}

static void
test_kinds(void **state)
{
	static const struct { const char *type, *path; mode_t mode, kind; int sock_type; bool listens; } rows[] = {
		{ "x unix - - n - 1 childd",	   "private/x", 0666, S_IFSOCK, SOCK_STREAM, true },
		{ "x pass n - n - 1 childd",	   "public/x",  0666, S_IFSOCK, SOCK_STREAM, true },
		{ "x unix-dgram n - n - 1 childd", "public/x",	0666, S_IFSOCK, SOCK_DGRAM,  false },
		{ "x fifo n - n - 1 childd",	   "public/x",	0622, S_IFIFO,	0,	     false },
	};
	mode_t	old = umask(077);

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct listen l;
		struct plan *p;
		struct stat st;

		if (open_line(&l, &p, rows[i].type) < 0)
			fail_msg("%s: %s", rows[i].type, buf_str(&why));
		assert_int_equal(l.n, 1);
		assert_int_equal(fcntl(l.fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		assert_int_equal(fcntl(l.fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
		assert_int_equal(lstat(rows[i].path, &st), 0);
		if ((st.st_mode & S_IFMT) != rows[i].kind || (st.st_mode & 07777) != rows[i].mode || st.st_uid != user.uid)
			fail_msg("%s: got mode %o of user %d", rows[i].type, st.st_mode, (int) st.st_uid);
		if (rows[i].sock_type != 0) {
			assert_int_equal(sockopt(l.fds[0], SO_TYPE), rows[i].sock_type);
			assert_int_equal(sockopt(l.fds[0], SO_ACCEPTCONN), rows[i].listens);
		}
		listen_close(&l, &user);
		assert_int_equal(lstat(rows[i].path, &st), -1);
		plan_free(&p);
		assert_int_equal(geteuid(), getuid());
	}
	umask(old);
}

static void
test_inet(void **state)
{
	struct listen a, b;
	struct plan *p, *q;
	char	line[100], want[200];

	(void) state;
	snprintf(line, sizeof line, "127.0.0.1:%s inet n - n - 1 childd", port);
	assert_int_equal(open_line(&a, &p, line), 0);
	assert_int_equal(a.n, 1);
	assert_int_equal(sockopt(a.fds[0], SO_ACCEPTCONN), 1);
	assert_int_equal(sockopt(a.fds[0], SO_REUSEADDR), 1);
	assert_int_equal(sockopt(a.fds[0], SO_REUSEPORT), 0);

	/* a second one is refused, the line says what to do, and nothing is left open */
	unsigned before = rig_fds();
	assert_int_equal(open_line(&b, &q, line), -1);
	snprintf(want, sizeof want, "cannot listen on 127.0.0.1 port %s: Address already in use; end the process that does", port);
	if (strstr(buf_str(&why), want) == NULL)
		fail_msg("got \"%s\", want \"%s\"", buf_str(&why), want);
	assert_int_equal(rig_fds(), before);
	plan_free(&q);

	/* unless ours is about to go: then the wildcard takes over, and a third is refused again */
	snprintf(line, sizeof line, "%s inet n - n - 1 childd", port);
	q = plan_of(line);
	listen_share(&a, true);
	if (listen_open(&b, TAILQ_FIRST(&q->services), &user, true, &why) < 0)
		fail_msg("%s", buf_str(&why));
	assert_int_equal(sockopt(b.fds[0], SO_REUSEPORT), 0);
	listen_close(&a, &user);
	assert_int_equal(sock_inet_listen("127.0.0.1", port, 5), -1);
	listen_close(&b, &user);
	plan_free(&p);
	plan_free(&q);
}

/* several addresses: all or none */
static void
test_inet_several(void **state)
{
	struct listen l;
	struct plan *p;
	char	line[100], main_cf[100];
	unsigned before;
	int	fd;

	(void) state;
	snprintf(main_cf, sizeof main_cf, "inet_interfaces = 127.0.0.1, 127.0.0.2, 127.0.0.3\n");
	rig_main_cf(&rig, main_cf);
	snprintf(line, sizeof line, "%s inet n - n - 1 childd", port);
	assert_int_equal(open_line(&l, &p, line), 0);
	assert_int_equal(l.n, 3);
	listen_close(&l, &user);
	plan_free(&p);
	assert_true((fd = sock_inet_listen("127.0.0.3", port, 5)) >= 0);
	before = rig_fds();
	assert_int_equal(open_line(&l, &p, line), -1);
	assert_non_null(strstr(buf_str(&why), "127.0.0.3 port"));
	assert_int_equal(rig_fds(), before);
	close(fd);
	plan_free(&p);
}

static void
test_stale(void **state)
{
	struct listen l;
	struct plan *p;
	int	fd;

	(void) state;
	assert_true((fd = sock_unix_listen("private/x", 5, 0666)) >= 0);
	close(fd);
	assert_int_equal(open_line(&l, &p, "x unix - - n - 1 childd"), 0);
	listen_close(&l, &user);
	plan_free(&p);
	assert_int_equal(mkfifo("private/x", 0600), 0);
	assert_int_equal(chmod("private/x", 0622), 0);
	assert_int_equal(open_line(&l, &p, "x unix - - n - 1 childd"), 0);
	listen_close(&l, &user);
	plan_free(&p);
	assert_true((fd = sock_unix_listen("private/x", 5, 0666)) >= 0);
	close(fd);
	assert_int_equal(open_line(&l, &p, "x fifo - - n - 1 childd"), 0);
	listen_close(&l, &user);
	plan_free(&p);
}

/* a process that holds an endpoint of each kind; one byte on *go ends it */
static pid_t
holder(const char *line, int *go)
{
	int	up[2], down[2];
	struct listen l;
	struct plan *p;
	pid_t	pid;
	char	c;

	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	if ((pid = fork()) == 0) {
		close(down[1]);
		if (open_line(&l, &p, line) < 0 || write(up[1], "x", 1) != 1)
			_exit(1);
		if (read(down[0], &c, 1) < 0)
			_exit(1);
		_exit(0);		/* as if killed: the file stays */
	}
	close(up[1]);
	close(down[0]);
	assert_int_equal(read(up[0], &c, 1), 1);
	close(up[0]);
	*go = down[1];
	return pid;
}

static void
test_taken(void **state)
{
	static const char *const rows[] = {
		"x unix - - n - 1 childd", "x pass - - n - 1 childd", "x unix-dgram - - n - 1 childd", "x fifo - - n - 1 childd",
	};

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		int	go;
		pid_t	pid = holder(rows[i], &go);
		struct listen l;
		struct plan *p;
		char	want[60];
		struct stat before, after;

		assert_int_equal(lstat("private/x", &before), 0);
		for (size_t k = 0; k < NELEM(rows); k++) {
			if (open_line(&l, &p, rows[k]) == 0)
				fail_msg("\"%s\" was taken over by \"%s\"", rows[i], rows[k]);
			if (strstr(buf_str(&why), "private/x is in use by another process") == NULL)
				fail_msg("\"%s\": got \"%s\"", rows[i], buf_str(&why));
			snprintf(want, sizeof want, "(pid %ld)", (long) pid);
			if (i < 2 && strstr(buf_str(&why), want) == NULL)
				fail_msg("\"%s\": got \"%s\", want %s", rows[i], buf_str(&why), want);
			plan_free(&p);
		}
		assert_int_equal(lstat("private/x", &after), 0);
		assert_int_equal(before.st_ino, after.st_ino);
		close(go);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		if (open_line(&l, &p, rows[i]) < 0)
			fail_msg("\"%s\" after its end: %s", rows[i], buf_str(&why));
		listen_close(&l, &user);
		plan_free(&p);
	}
}

/* a server that is so busy that its queue is full is a server all the same */
static void
test_taken_busy(void **state)
{
	struct listen l;
	struct plan *p;
	int	fd, clients[100], n = 0;

	(void) state;
	assert_true((fd = sock_unix_listen("private/x", 1, 0666)) >= 0);
	while (n < 100 && (clients[n] = sock_unix_connect("private/x", true)) >= 0)
		n++;
	assert_true(n < 100);
	assert_int_equal(open_line(&l, &p, "x unix - - n - 1 childd"), -1);
	assert_non_null(strstr(buf_str(&why), "private/x is in use by another process; end that"));
	plan_free(&p);
	while (n > 0)
		close(clients[--n]);
	close(fd);
}

/* what is no socket is not removed */
static void
test_in_the_way(void **state)
{
	struct listen l;
	struct plan *p;
	int	fd;

	(void) state;
	assert_true((fd = open("private/x", O_WRONLY | O_CREAT, 0600)) >= 0);
	close(fd);
	assert_int_equal(open_line(&l, &p, "x unix - - n - 1 childd"), -1);
	assert_non_null(strstr(buf_str(&why), "private/x is in the way, it is no socket; remove it"));
	assert_int_equal(access("private/x", F_OK), 0);
	plan_free(&p);
	unlink("private/x");
	assert_int_equal(symlink("y", "private/x"), 0);
	assert_int_equal(open_line(&l, &p, "x unix - - n - 1 childd"), -1);
	plan_free(&p);
	unlink("private/x");
	if (geteuid() == 0)			/* the directory of nobody else */
		assert_int_equal(chown("private", 0, 0), 0);
	else
		assert_int_equal(chmod("private", 0500), 0);
	assert_int_equal(open_line(&l, &p, "x unix - - n - 1 childd"), -1);
	assert_non_null(strstr(buf_str(&why), "Permission denied"));
	plan_free(&p);
	chmod("private", 0700);
}

/* ours may have been replaced by an administrator: then it is not ours to remove */
static void
test_replaced(void **state)
{
	struct listen l;
	struct plan *p;
	int	fd;

	(void) state;
	assert_int_equal(open_line(&l, &p, "x unix - - n - 1 childd"), 0);
	assert_int_equal(unlink("private/x"), 0);
	/* keep the inode number from being used again */
	assert_true((fd = open("private/y", O_WRONLY | O_CREAT, 0600)) >= 0);
	close(fd);
	assert_true((fd = sock_unix_listen("private/x", 5, 0666)) >= 0);
	listen_close(&l, &user);
	assert_int_equal(access("private/x", F_OK), 0);
	close(fd);
	plan_free(&p);
}

/* after kill -9 of a master its workers may still hold the socket; the next master, which has the lock, is not kept out */
static void
test_former(void **state)
{
	int	up[2], down[2];
	struct listen l;
	struct plan *p;
	pid_t	pid;
	char	c;

	(void) state;
	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	if ((pid = fork()) == 0) {			/* "the master" */
		close(down[1]);
		if (open_line(&l, &p, "x unix - - n - 1 childd") < 0)
			_exit(1);
		if (fork() == 0) {			/* "a worker": keeps the listener until told */
			if (write(up[1], "x", 1) != 1 || read(down[0], &c, 1) < 0)
				_exit(1);
			_exit(0);
		}
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(read(up[0], &c, 1), 1);

	assert_int_equal(open_line(&l, &p, "x unix - - n - 1 childd"), -1);	/* somebody's, for all we know */
	plan_free(&p);
	user.former = pid;
	if (open_line(&l, &p, "x unix - - n - 1 childd") < 0)
		fail_msg("%s", buf_str(&why));
	listen_close(&l, &user);
	plan_free(&p);
	close(up[0]);
	close(down[1]);
}

/* the same for a port, which cannot be had until they have closed it: the successor waits for them, and for nobody else */
static void
test_former_port(void **state)
{
	static const struct { const char *name; bool leads; int leave_ms; bool known; int want; } cases[] = {
		{ "a worker that leaves", true, 300, true, 0 },
		{ "a worker that leaves, of a master nobody knows", true, 1000, false, -1 },
		{ "a process that has nothing to do with it", false, 1000, true, -1 },
		{ "a worker that does not leave", true, 60000, true, -1 },
	};
	char	line[100], c;
	struct listen l;
	struct plan *p;
	int	up[2];
	pid_t	pid;

	(void) state;
	snprintf(line, sizeof line, "127.0.0.1:%s inet n - n - 1 childd", port);
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct timespec begin, end;
		int	got;

		assert_int_equal(pipe(up), 0);
		user.former = 0;
		if ((pid = fork()) == 0) {			/* "the master" */
			if (cases[i].leads)
				setsid();
			if (open_line(&l, &p, line) < 0)
				_exit(1);
			if (fork() == 0) {			/* "a worker" */
				if (write(up[1], "x", 1) != 1)
					_exit(1);
				close(up[1]);
				poll(NULL, 0, cases[i].leave_ms);
				_exit(0);
			}
			_exit(0);
		}
		close(up[1]);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(read(up[0], &c, 1), 1);
		user.former = cases[i].known ? pid : 0;
		clock_gettime(CLOCK_MONOTONIC, &begin);
		got = open_line(&l, &p, line);
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (got != cases[i].want)
			fail_msg("%s: got %d: %s", cases[i].name, got, buf_str(&why));
		if (got < 0 && strstr(buf_str(&why), "Address already in use; end the process") == NULL)
			fail_msg("%s: %s", cases[i].name, buf_str(&why));
		if (end.tv_sec - begin.tv_sec > 20)
			fail_msg("%s: waited for %ld s", cases[i].name, (long) (end.tv_sec - begin.tv_sec));
		if (got == 0)
			listen_close(&l, &user);
		plan_free(&p);
		kill(-pid, SIGKILL);
		/* until the kernel has closed it */
		for (int fd = -1, tries = 0; fd < 0 && tries < 500; tries++) {
			if ((fd = sock_inet_listen("127.0.0.1", port, 5)) < 0)
				poll(NULL, 0, 10);
			else
				close(fd);
		}
		close(up[0]);
	}
}

static void
test_own(void **state)
{
	struct listen l, m;
	struct plan *p, *q;

	(void) state;
	assert_int_equal(open_line(&l, &p, "x unix - - n - 1 childd"), 0);
	assert_int_equal(open_line(&m, &q, "x pass - - n - 1 childd"), -1);
	assert_non_null(strstr(buf_str(&why), "private/x is still in use for a service of another type"));
	listen_close(&l, &user);
	plan_free(&p);
	plan_free(&q);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inet_several, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_former, setup, teardown),
		cmocka_unit_test_setup_teardown(test_former_port, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own, setup, teardown),
	};

	rig_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
