/* tests/lib/master_rig.c - a master inside the test program */
#include "master_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#include "childd.h"

static struct buf rig_lines_logged = BUF_INIT(16u << 20);

void
rig_main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');

	if (strcmp(slash != NULL ? slash + 1 : argv[0], "childd") == 0)
		exit(childd_main(argc, argv));
	closefrom(STDERR_FILENO + 1);		/* as master's main does: what we inherited is not for our children */
}

static void
rig_catch(void *ctx, int level, const char *line)
{
	(void) ctx;
	(void) level;
	buf_addf(&rig_lines_logged, "%s\n", line);
	if (getenv("RIG_SHOW") != NULL)
		fprintf(stderr, "log: %s\n", line);
}

static int64_t
rig_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
rig_init(struct rig *r, bool fake)
{
	static const char *const dirs[] = { "etc", "libexec", "data", "queue", "queue/private", "queue/public", "queue/pid" };
	char	self[PATH_MAX], path[PATH_MAX];
	struct rlimit lim;
	ssize_t n;

	*r = (struct rig) { .started = false };
	buf_init(&r->why, SUPER_WHY_MAX);
	rig_log_forget();
	msg_catch(rig_catch, NULL);
	snprintf(r->dir, sizeof r->dir, "/tmp/master.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	for (size_t i = 0; i < NELEM(dirs); i++) {
		snprintf(path, sizeof path, "%s/%s", r->dir, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	n = readlink("/proc/self/exe", self, sizeof self - 1);
	assert_true(n > 0);
	self[n] = 0;
	snprintf(path, sizeof path, "%s/libexec/childd", r->dir);
	assert_int_equal(symlink(self, path), 0);
	snprintf(path, sizeof path, "%s/queue", r->dir);
	assert_int_equal(chdir(path), 0);
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	signal(SIGPIPE, SIG_IGN);
	r->loop = fake ? ev_loop_new_fake(1700000000) : ev_loop_new();
	rig_main_cf(r, "");
	rig_master_cf(r, "");
}

static int
rig_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st;
	(void) type;
	(void) ftw;
	return remove(path);
}

void
rig_fini(struct rig *r)
{
	char	left[256] = "";

	if (r->started) {
		child_kill_all(&r->super.children);
		super_fini(&r->super);
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	ev_loop_free(&r->loop);
	msg_catch(NULL, NULL);
	if (r->started) {
		for (int i = 0; i < 2; i++) {
			DIR	*d = opendir(i == 0 ? "private" : "public");
			struct dirent *e;

			while (d != NULL && (e = readdir(d)) != NULL)
				if (e->d_name[0] != '.')
					snprintf(left, sizeof left, "%s", e->d_name);
			if (d != NULL)
				closedir(d);
		}
	}
	assert_int_equal(chdir("/"), 0);
	nftw(r->dir, rig_remove, 16, FTW_DEPTH | FTW_PHYS);
	buf_fini(&r->why);
	buf_fini(&rig_lines_logged);
	if (left[0] != 0)
		fail_msg("endpoint %s is left behind", left);
}

static void
rig_write(const char *path, const char *head, const char *text)
{
	FILE	*f = fopen(path, "we");

	assert_non_null(f);
	fprintf(f, "%s%s", head, text);
	assert_int_equal(fclose(f), 0);
}

void
rig_main_cf(const struct rig *r, const char *text)
{
	char   *path = mem_printf("%s/etc/main.cf", r->dir);
	char   *head = mem_printf("queue_directory = %s/queue\ndata_directory = %s/data\ndaemon_directory = %s/libexec\n"
	    "mail_owner = %s\ninet_protocols = ipv4\nmyhostname = mx.example\nmaillog_file = %s/log\nmaillog_file_prefixes = /\n",
	    r->dir, r->dir, r->dir, getpwuid(geteuid())->pw_name, r->dir);

	rig_write(path, head, text);
	mem_free(&path);
	mem_free(&head);
}

void
rig_master_cf(const struct rig *r, const char *text)
{
	char   *path = mem_printf("%s/etc/master.cf", r->dir);

	rig_write(path, "", text);
	mem_free(&path);
}

bool
rig_start(struct rig *r)
{
	char   *etc = mem_printf("%s/etc", r->dir);
	struct plan *plan;
	bool	ok = false;

	buf_reset(&r->why);
	if ((plan = plan_load(etc, NULL, &r->why)) != NULL) {
		assert_int_equal(super_init(&r->super, r->loop, 0, &r->why), 0);
		r->started = true;
		ok = super_start(&r->super, &plan, &r->why) == 0;
	}
	plan_free(&plan);
	mem_free(&etc);
	return ok;
}

bool
rig_until(struct rig *r, rig_fn *fn, const void *ctx)
{
	int64_t end = rig_now_ms() + RIG_WAIT_MS;

	while (!fn(r, ctx)) {
		if (rig_now_ms() > end)
			return false;
		ev_turn(r->loop, 5);
	}
	return true;
}

void
rig_turn(struct rig *r, int ms)
{
	int64_t end = rig_now_ms() + ms;

	do
		ev_turn(r->loop, 5);
	while (rig_now_ms() < end);
}

int
rig_connect(const struct rig *r, const char *where)
{
	char   *path;
	int	fd;

	if (*where == ':')
		return sock_inet_connect("127.0.0.1", where + 1, false);
	path = mem_printf("%s/queue/%s", r->dir, where);
	fd = sock_unix_connect(path, false);
	mem_free(&path);
	return fd;
}

char *
rig_ask(struct rig *r, int fd, const char *request)
{
	char   *line = mem_printf("%s\n", request), data[4096];
	struct buf in = BUF_INIT(1u << 20);
	int64_t end = rig_now_ms() + RIG_WAIT_MS;
	char   *reply = NULL;
	ssize_t n;

	if (sock_write_all(fd, line, strlen(line), 1000) == 0)
		while (rig_now_ms() < end) {
			ev_turn(r->loop, 0);
			if (sock_wait(fd, POLLIN, 5) != 1)
				continue;
			if ((n = read(fd, data, sizeof data)) <= 0)
				break;
			buf_add(&in, data, (size_t) n);
			if (in.len >= 2 && memcmp(in.data + in.len - 2, ".\n", 2) == 0 && (in.len == 2 || in.data[in.len - 3] == '\n')) {
				buf_cut(&in, in.len > 2 ? in.len - 3 : 0);
				reply = mem_strdup(buf_str(&in));
				break;
			}
		}
	mem_free(&line);
	buf_fini(&in);
	return reply;
}

char *
rig_ask_new(struct rig *r, const char *where, const char *request)
{
	int	fd = rig_connect(r, where);
	char   *reply;

	if (fd < 0)
		return NULL;
	reply = rig_ask(r, fd, request);
	sock_close(&fd);
	return reply;
}

pid_t
rig_pid(struct rig *r, const char *where)
{
	char   *reply = rig_ask_new(r, where, "pid");
	pid_t	pid = reply != NULL ? (pid_t) atol(reply) : 0;

	mem_free(&reply);
	return pid;
}

void
rig_freeze(pid_t pid)
{
	siginfo_t si;

	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitid(P_PID, (id_t) pid, &si, WSTOPPED | WNOWAIT), 0);
}

struct service *
rig_service(const struct rig *r, const char *id)
{
	struct service *s;

	TAILQ_FOREACH(s, &r->super.services, link)
		if (strcmp(s->plan->id, id) == 0)
			return s;
	return NULL;
}

const char *
rig_log(void)
{
	return buf_str(&rig_lines_logged);
}

bool
rig_log_has(const char *text)
{
	return strstr(rig_log(), text) != NULL;
}

unsigned
rig_log_count(const char *text)
{
	unsigned n = 0;

	for (const char *p = rig_log(); (p = strstr(p, text)) != NULL; p += strlen(text))
		n++;
	return n;
}

void
rig_log_forget(void)
{
	buf_reset(&rig_lines_logged);
}

char *
rig_file(const struct rig *r, const char *name)
{
	char   *path = mem_printf("%s/queue/%s", r->dir, name), *text;
	struct buf b = BUF_INIT(1u << 20);

	buf_read_file(&b, AT_FDCWD, path);
	text = mem_strdup(buf_str(&b));
	buf_fini(&b);
	mem_free(&path);
	return text;
}

unsigned
rig_lines(const struct rig *r, const char *name)
{
	char   *text = rig_file(r, name);
	unsigned n = 0;

	for (char *p = text; *p != 0; p++)
		n += *p == '\n';
	mem_free(&text);
	return n;
}

void
rig_port(char port[16])
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof sin;
	int	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *) &sin, sizeof sin), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *) &sin, &len), 0);
	snprintf(port, 16, "%d", ntohs(sin.sin_port));
	close(fd);
}

unsigned
rig_fds(void)
{
	DIR	*d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
rig_split(const void *ctx, char id[64], int *n)
{
	assert_int_equal(sscanf(ctx, "%63s %d", id, n), 2);
}

bool
rig_total_is(struct rig *r, const void *ctx)
{
	char	id[64];
	int	n;

	rig_split(ctx, id, &n);
	return rig_service(r, id) != NULL && rig_service(r, id)->total == n;
}

bool
rig_avail_is(struct rig *r, const void *ctx)
{
	char	id[64];
	int	n;

	rig_split(ctx, id, &n);
	return rig_service(r, id) != NULL && rig_service(r, id)->avail == n;
}

bool
rig_children_are(struct rig *r, const void *ctx)
{
	return r->super.children.n == (size_t) atoi(ctx);
}

bool
rig_logged(struct rig *r, const void *ctx)
{
	(void) r;
	return rig_log_has(ctx);
}

/* fixtures */

struct rig master_rig;

int
master_rig_setup(void **state)
{
	(void) state;
	rig_init(&master_rig, true);
	return 0;
}

int
master_rig_setup_clock(void **state)
{
	(void) state;
	rig_init(&master_rig, false);
	return 0;
}

int
master_rig_teardown(void **state)
{
	(void) state;
	rig_fini(&master_rig);
	return 0;
}

void
master_rig_begin(const char *main_cf, const char *master_cf)
{
	if (main_cf != NULL)
		rig_main_cf(&master_rig, main_cf);
	rig_master_cf(&master_rig, master_cf);
	if (!rig_start(&master_rig))
		fail_msg("%s", buf_str(&master_rig.why));
}
