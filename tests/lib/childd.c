/* tests/lib/childd.c - a daemon that obeys the child contract and does what its clients tell it */
#include "childd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <global/master_proto.h>
#include <util/buf.h>
#include <util/sock.h>

#define CHILDD_CLIENTS 32

static struct {
	int	argc;
	char  **argv;
	const char *service, *type;
	int	listeners;
	uint32_t generation;
	bool	linger, report, draining, orphan;
	struct buf fds;				/* what was open at the start */
	struct { int fd; struct buf in; } client[CHILDD_CLIENTS];
} cd;

/* what the process was given */

static void
childd_socket(struct buf *b, int fd)
{
	int	domain = 0, type = 0, listens = 0, reuse = 0, port = 0;
	socklen_t len = sizeof domain;
	struct sockaddr_storage ss = { 0 };
	socklen_t sslen = sizeof ss;

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
	getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, &len);
	getsockname(fd, (struct sockaddr *) &ss, &sslen);
	buf_addf(b, "%s %s%s", domain == AF_UNIX ? "unix" : domain == AF_INET ? "inet" : domain == AF_INET6 ? "inet6" : "?",
	    type == SOCK_STREAM ? "stream" : type == SOCK_DGRAM ? "dgram" : "?", listens ? " listening" : "");
	if (domain == AF_UNIX && sslen > sizeof(sa_family_t))
		buf_addf(b, " %s", ((struct sockaddr_un *) &ss)->sun_path);
	if (domain != AF_UNIX) {
		port = ntohs(((struct sockaddr_in *) &ss)->sin_port);
		buf_addf(b, "%s%s", reuse ? " reuseaddr" : "", port != 0 ? " port" : "");
	}
}

static void
childd_fds(struct buf *b)
{
	DIR	*d = opendir("/proc/self/fd");
	struct dirent *e;
	char	link[256], path[64];
	ssize_t n;
	struct stat st;
	int	fd, fl;

	for (fd = 0; fd < 1024; fd++) {
		if (fd == dirfd(d) || (fl = fcntl(fd, F_GETFL)) < 0)
			continue;
		buf_addf(b, "%d ", fd);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		n = readlink(path, link, sizeof link - 1);
		link[n > 0 ? n : 0] = 0;
		fstat(fd, &st);
		if (S_ISSOCK(st.st_mode))
			childd_socket(b, fd);
		else if (S_ISFIFO(st.st_mode))
			buf_adds(b, strncmp(link, "pipe:", 5) == 0 ? "pipe" : "fifo");
		else
			buf_adds(b, link);
		fl &= O_ACCMODE | O_NONBLOCK;
		buf_addf(b, "%s%s%s\n", (fl & O_ACCMODE) == O_RDONLY ? " r" : (fl & O_ACCMODE) == O_WRONLY ? " w" : " rw",
		    fl & O_NONBLOCK ? " nonblock" : "", fcntl(fd, F_GETFD) & FD_CLOEXEC ? " cloexec" : "");
	}
	while ((e = readdir(d)) != NULL)		/* those above */
		if (atoi(e->d_name) >= 1024)
			buf_addf(b, "%s high\n", e->d_name);
	closedir(d);
}

static void
childd_proc_status(struct buf *b)
{
	static const char *const want[] = { "SigBlk:", "SigIgn:", "SigCgt:" };
	char	line[256];
	FILE	*f = fopen("/proc/self/status", "re");

	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
			if (strncmp(line, want[i], strlen(want[i])) == 0)
				/* signals 32 and 33 are the C library's: whoever started us may have left them ignored */
				buf_addf(b, "%s\t%016llx\n", want[i],
				    strtoull(line + strlen(want[i]), NULL, 16) & ~(3ULL << 31));
	if (f != NULL)
		fclose(f);
}

/* what it does */

static void
childd_status(int avail)
{
	struct master_status st = { .pid = (int32_t) getpid(), .generation = cd.generation, .avail = avail };

	if (write(MASTER_STATUS_FD, &st, sizeof st) != sizeof st && !cd.draining && avail)
		exit(0);
}

static void
childd_append(const char *file, const char *text)
{
	int	fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		exit(9);
	close(fd);
}

static void
childd_trigger(const char *data, size_t n)
{
	struct buf b = BUF_INIT(4096);

	buf_addf(&b, "%s", cd.service);
	for (size_t i = 0; i < n; i++)
		buf_addf(&b, " %02x", (unsigned char) data[i]);
	buf_addc(&b, '\n');
	childd_append("trigger", buf_str(&b));
	buf_fini(&b);
}

static void
childd_raw(const char *hex)
{
	unsigned char bytes[256];
	unsigned value;
	size_t	n = 0;

	for (; n < sizeof bytes && sscanf(hex, "%2x", &value) == 1; hex += 2)
		bytes[n++] = (unsigned char) value;
	if (write(MASTER_STATUS_FD, bytes, n) != (ssize_t) n)
		exit(9);
}

static void
childd_request(const char *line, struct buf *out)
{
	struct master_status st;
	struct rlimit lim;
	mode_t	mask;
	char	cwd[4096];

	if (strcmp(line, "pid") == 0)
		buf_addf(out, "%ld\n", (long) getpid());
	else if (strcmp(line, "generation") == 0)
		buf_addf(out, "%u\n", cd.generation);
	else if (strcmp(line, "argv") == 0)
		for (int i = 0; i < cd.argc; i++)
			buf_addf(out, "%s\n", cd.argv[i]);
	else if (strcmp(line, "env") == 0)
		for (char **e = environ; *e != NULL; e++)
			buf_addf(out, "%s\n", *e);
	else if (strcmp(line, "cwd") == 0)
		buf_addf(out, "%s\n", getcwd(cwd, sizeof cwd));
	else if (strcmp(line, "umask") == 0) {
		mask = umask(077);
		umask(mask);
		buf_addf(out, "%03o\n", (unsigned) mask);
	} else if (strcmp(line, "limit") == 0) {
		getrlimit(RLIMIT_NOFILE, &lim);
		buf_addf(out, "%s\n", lim.rlim_cur == lim.rlim_max ? "soft is hard" : "soft is less");
	} else if (strcmp(line, "ids") == 0)
		buf_addf(out, "ppid %ld pgrp %ld sid %ld uid %ld euid %ld gid %ld\n", (long) getppid(), (long) getpgrp(),
		    (long) getsid(0), (long) getuid(), (long) geteuid(), (long) getgid());
	else if (strcmp(line, "signals") == 0)
		childd_proc_status(out);
	else if (strcmp(line, "fds") == 0)
		buf_adds(out, buf_str(&cd.fds));
	else if (strncmp(line, "echo ", 5) == 0)
		buf_addf(out, "%s\n", line + 5);
	else if (strncmp(line, "exit ", 5) == 0)
		exit(atoi(line + 5));
	else if (strncmp(line, "kill ", 5) == 0)
		kill(getpid(), atoi(line + 5));
	else if (strcmp(line, "taken") == 0)
		childd_status(MASTER_STAT_TAKEN);
	else if (strcmp(line, "avail") == 0)
		childd_status(MASTER_STAT_AVAIL);
	else if (sscanf(line, "status %d %u %d", &st.pid, &st.generation, &st.avail) == 3) {
		if (write(MASTER_STATUS_FD, &st, sizeof st) != sizeof st)
			exit(9);
	} else if (strncmp(line, "raw ", 4) == 0)
		childd_raw(line + 4);
	else
		buf_addf(out, "what?\n");
	buf_adds(out, ".\n");
}

/* clients */

static void
childd_client_end(int i)
{
	sock_close(&cd.client[i].fd);
	buf_fini(&cd.client[i].in);
}

static void
childd_client_read(int i)
{
	struct buf *in = &cd.client[i].in, out = BUF_INIT(1 << 20);
	char	data[4096], *nl;
	ssize_t n = read(cd.client[i].fd, data, sizeof data);

	if (n <= 0) {
		childd_client_end(i);
		return;
	}
	buf_add(in, data, (size_t) n);
	if (in->data[0] == 'W' && in->len <= 2 && (in->len == 2 ? in->data[1] == 0 : true)) {
		childd_trigger(in->data, in->len);
		childd_client_end(i);
		return;
	}
	while (cd.client[i].fd >= 0 && in->len > 0 && (nl = memchr(in->data, '\n', in->len)) != NULL) {
		*nl = 0;
		if (cd.report)
			childd_status(MASTER_STAT_TAKEN);
		childd_request(in->data, &out);
		if (cd.report)
			childd_status(MASTER_STAT_AVAIL);
		buf_drop(in, (size_t) (nl + 1 - in->data));
		if (sock_write_all(cd.client[i].fd, out.data, out.len, 5000) < 0)
			childd_client_end(i);
		buf_reset(&out);
	}
	buf_fini(&out);
}

/* childd_received - pass: the descriptor that a connection brings; attributes that may follow are ignored */
static int
childd_received(int conn)
{
	char	byte;
	union {
		struct cmsghdr hdr;
		char	space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
	    .msg_controllen = sizeof control.space };
	struct cmsghdr *c;
	int	fd = -1;

	if (sock_wait(conn, POLLIN, 5000) == 1 && recvmsg(conn, &msg, MSG_CMSG_CLOEXEC) == 1 &&
	    (c = CMSG_FIRSTHDR(&msg)) != NULL && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
	close(conn);
	return fd;
}

static void
childd_listener(int fd)
{
	char	data[4096];
	ssize_t n;
	int	conn;

	if (strcmp(cd.type, "unix-dgram") == 0 || strcmp(cd.type, "fifo") == 0) {
		if ((n = read(fd, data, sizeof data)) > 0)
			childd_trigger(data, (size_t) n);
		return;
	}
	if ((conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) < 0)
		return;
	if (strcmp(cd.type, "pass") == 0 && (conn = childd_received(conn)) < 0)
		return;
	for (int i = 0; i < CHILDD_CLIENTS; i++)
		if (cd.client[i].fd < 0) {
			cd.client[i].fd = conn;
			buf_init(&cd.client[i].in, 4096);
			return;
		}
	close(conn);
}

static void
childd_turn(void)
{
	struct pollfd p[1 + 64 + CHILDD_CLIENTS];
	nfds_t	n = 0;
	bool	clients = false;

	if (!cd.draining) {
		if (!cd.orphan)
			p[n++] = (struct pollfd) { .fd = MASTER_STATUS_FD, .events = POLLIN };
		for (int i = 0; i < cd.listeners && i < 64; i++)
			p[n++] = (struct pollfd) { .fd = MASTER_LISTEN_FD + i, .events = POLLIN };
	}
	for (int i = 0; i < CHILDD_CLIENTS; i++)
		if (cd.client[i].fd >= 0) {
			clients = true;
			p[n++] = (struct pollfd) { .fd = cd.client[i].fd, .events = POLLIN };
		}
	if (cd.draining && !clients)
		exit(0);
	if (poll(p, n, -1) < 0)
		return;
	for (nfds_t k = 0; k < n; k++) {
		if (p[k].revents == 0)
			continue;
		if (p[k].fd == MASTER_STATUS_FD && !cd.draining) {
			if (cd.linger) {
				cd.orphan = true;	/* and goes on accepting */
				continue;
			}
			cd.draining = true;
			for (int i = 0; i < cd.listeners; i++)
				close(MASTER_LISTEN_FD + i);
			return;
		}
		if (p[k].fd < MASTER_LISTEN_FD + cd.listeners && !cd.draining)
			childd_listener(p[k].fd);
		else
			for (int i = 0; i < CHILDD_CLIENTS; i++)
				if (cd.client[i].fd == p[k].fd)
					childd_client_read(i);
	}
}

int
childd_main(int argc, char **argv)
{
	const char *text = getenv("GENERATION");
	char	line[64];

	cd.argc = argc;
	cd.argv = argv;
	cd.listeners = 1;
	cd.service = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
	buf_init(&cd.fds, 1 << 20);
	childd_fds(&cd.fds);
	for (int i = 0; i < CHILDD_CLIENTS; i++)
		cd.client[i].fd = -1;
	if (text != NULL)
		cd.generation = (uint32_t) strtoul(text, NULL, 8);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-n") == 0 && i + 1 < argc)
			cd.service = argv[++i];
		else if (strcmp(argv[i], "-t") == 0 && i + 1 < argc)
			cd.type = argv[++i];
		else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc)
			cd.listeners = atoi(argv[++i]);
		else if (strcmp(argv[i], "-o") == 0)
			i++;
		else if (strncmp(argv[i], "count=", 6) == 0) {
			snprintf(line, sizeof line, "%ld %u\n", (long) getpid(), cd.generation);
			childd_append(argv[i] + 6, line);
		} else if (strncmp(argv[i], "exit=", 5) == 0)
			_exit(atoi(argv[i] + 5));
		else if (strcmp(argv[i], "noterm") == 0)
			signal(SIGTERM, SIG_IGN);
		else if (strcmp(argv[i], "linger") == 0)
			cd.linger = true;
		else if (strcmp(argv[i], "report") == 0)
			cd.report = true;
	}
	if (cd.type == NULL)
		return 8;
	for (;;)
		childd_turn();
}
