/* tests/tools/echod.c - the floor of the benchmark: a verify server, or with -p ACTION a policy server, that thinks nothing
 * Same shape as the real thing: a UNIX stream socket, many clients, the announcement first, one list in, one
 * list out. It finds the end of the list and whether it is an update, no more; the reply is fixed. What
 * it reaches is what the kernel's sockets and one epoll loop allow, so no worker can be faster.
 * A policy server announces nothing, and a request ends with an empty line.
 * Clients are shared out evenly among the workers (-w): the floor must not suffer from the kernel's choice.
 */
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/sock.h>
#include <global/verify_proto.h>

#define ECHOD_CLIENTS	1024		/* descriptors per worker: the benchmark uses 100 */
#define ECHOD_IN	4096		/* as verify(8) reads */

static const char echod_banner[] = "protocol\0" VERIFY_PROTOCOL_NAME "\0";
/* as long as the average of the load generator's texts, 41 bytes */
static const char echod_query[] = "status\0" "0\0recipient_status\0" "0\0reason\0" "host 192.0.2.1 said: 450 4.2.0 later 0000\0";
static const char echod_update[] = "status\0" "0\0";

struct echod_client {
	size_t	len;
	char	in[ECHOD_IN];
};

static struct echod_client *echod_clients[ECHOD_CLIENTS];
static unsigned *echod_count;		/* clients of each worker, in memory they share */
static unsigned echod_workers = 1, echod_self;
static char echod_action[1024];		/* the reply of a policy server; "": it is none */
static size_t echod_action_len;

/* echod_complete - whether the bytes end with a list's empty name; a list may end in an empty value too, hence the walk */
static bool
echod_complete(const char *p, size_t n)
{
	const char *end = p + n, *nul;
	bool	is_name = true;

	if (echod_action_len > 0)
		return n > 1 && memcmp(end - 2, "\n\n", 2) == 0;
	while (p < end) {
		if (is_name && *p == 0)
			return true;
		if ((nul = memchr(p, 0, (size_t) (end - p))) == NULL)
			return false;
		is_name = !is_name;
		p = nul + 1;
	}
	return false;
}

static bool
echod_my_turn(void)
{
	for (unsigned i = 0; i < echod_workers; i++)
		if (__atomic_load_n(&echod_count[i], __ATOMIC_RELAXED) < echod_count[echod_self])
			return false;
	return true;
}

static void
echod_accept(int ep, int listener)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int	fd;

	if (!echod_my_turn()) {
		sched_yield();		/* level-triggered: whoever has fewer takes it */
		return;
	}
	if ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
		return;
	if (fd >= ECHOD_CLIENTS || (echod_action_len == 0 && send(fd, echod_banner, sizeof(echod_banner), MSG_NOSIGNAL) < 0)) {
		close(fd);
		return;
	}
	echod_clients[fd] = mem_alloc(sizeof(**echod_clients));
	ev.data.fd = fd;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		err(1, "epoll_ctl");
	__atomic_add_fetch(&echod_count[echod_self], 1, __ATOMIC_RELAXED);
}

static void
echod_serve(int fd)
{
	struct echod_client *c = echod_clients[fd];
	ssize_t	n;

	if ((n = recv(fd, c->in + c->len, sizeof(c->in) - c->len, 0)) <= 0) {
		if (n < 0 && errno == EAGAIN)
			return;
		mem_free(&echod_clients[fd]);
		close(fd);
		__atomic_sub_fetch(&echod_count[echod_self], 1, __ATOMIC_RELAXED);
		return;
	}
	c->len += (size_t) n;
	if (!echod_complete(c->in, c->len)) {
		if (c->len == sizeof(c->in))
			c->len = 0;
		return;
	}
	/* request\0query\0 or request\0update\0 */
	if (echod_action_len > 0)
		n = send(fd, echod_action, echod_action_len, MSG_NOSIGNAL);
	else if (c->len > 8 && c->in[8] == 'u')
		n = send(fd, echod_update, sizeof(echod_update), MSG_NOSIGNAL);
	else
		n = send(fd, echod_query, sizeof(echod_query), MSG_NOSIGNAL);
	c->len = 0;
}

static void
echod_work(int listener)
{
	struct epoll_event ev = { .events = EPOLLIN }, evs[128];
	int	ep, n;

	if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0)
		err(1, "epoll_create1");
	ev.data.fd = listener;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) < 0)
		err(1, "epoll_ctl");
	for (;;) {
		if ((n = epoll_wait(ep, evs, NELEM(evs), -1)) < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++)
			if (evs[i].data.fd == listener)
				echod_accept(ep, listener);
			else
				echod_serve(evs[i].data.fd);
	}
}

int
main(int argc, char **argv)
{
	const char *path = NULL;
	int	ch, listener;

	while ((ch = getopt(argc, argv, "p:s:w:")) != -1) {
		if (ch == 's')
			path = optarg;
		else if (ch == 'p' && strlen(optarg) + 16 < sizeof(echod_action))
			echod_action_len = (size_t) snprintf(echod_action, sizeof(echod_action), "action=%s\n\n", optarg);
		else if (ch == 'w' && atoi(optarg) > 0)
			echod_workers = (unsigned) atoi(optarg);
		else
			goto usage;
	}
	if (path == NULL || optind != argc) {
usage:		fprintf(stderr, "usage: echod -s SOCKET [-w WORKERS] [-p ACTION]\n");
		return 2;
	}
	if ((listener = sock_unix_listen(path, 128, 0666)) < 0)
		err(1, "%s", path);
	echod_count = mmap(NULL, echod_workers * sizeof(*echod_count), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (echod_count == MAP_FAILED)
		err(1, "mmap");
	for (unsigned i = 1; i < echod_workers; i++) {
		switch (fork()) {
		case -1:
			err(1, "fork");
		case 0:
			echod_self = i;
			prctl(PR_SET_PDEATHSIG, SIGTERM);	/* stopped with the first one */
			echod_work(listener);
		}
	}
	echod_work(listener);
	return 0;
}
