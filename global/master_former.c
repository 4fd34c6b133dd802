/* global/master_former.c - what a master that was killed leaves for a moment */
#include "master_former.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#define FORMER_WAIT_MS	3000		/* a worker closes its listeners as soon as it notices; unless the machine is busy, at once */
#define FORMER_TICK_MS	20

static bool
master_former_is_dead(pid_t former)
{
	return former > 1 && kill(former, 0) < 0 && errno == ESRCH;
}

bool
master_former_made(int fd, pid_t former)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof cred;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.pid == former && master_former_is_dead(former);
}

/* master_former_remains - whether processes of its group are left; a master leads one */
static bool
master_former_remains(pid_t former)
{
	return master_former_is_dead(former) && (kill(-former, 0) == 0 || errno != ESRCH);
}

bool
master_former_wait(pid_t former, int64_t *end_ms)
{
	const struct timespec tick = { 0, FORMER_TICK_MS * 1000000L };
	int	saved = errno;
	bool	again = master_former_remains(former);
	struct timespec now;
	int64_t	now_ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ms = (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
	if (*end_ms == 0)
		*end_ms = now_ms + FORMER_WAIT_MS;
	again = again && now_ms < *end_ms;
	if (again)
		nanosleep(&tick, NULL);
	errno = saved;
	return again;
}
