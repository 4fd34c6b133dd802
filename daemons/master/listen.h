/* daemons/master/listen.h - the endpoint of one service: sockets or a FIFO that its processes inherit
 * source: spec master-cf section 2 "Creating endpoints". Local endpoints are made and removed as mail_owner, who owns their
 * directory: root does not follow names that somebody else can change.
 * An endpoint on which another process answers is never taken over; what a dead master has left is.
 */
#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "plan.h"

struct listen_user {
	uid_t	uid;			/* mail_owner; used only when we are root */
	gid_t	gid;
	pid_t	former;			/* the last master of this queue directory, 0 = none; we hold its lock */
};

struct listen {
	int    *fds;			/* non-blocking, close-on-exec */
	size_t	n;
	char   *path;			/* relative to the queue directory; NULL for inet */
	dev_t	dev;			/* path as we made it */
	ino_t	ino;
};

/* listen_open - make the endpoint, in the current directory
 * share     an endpoint of ours that is to be closed may be in the way: see listen_share
 * returns   0, or -1 with why (the reason alone); nothing is left behind then
 */
int	listen_open(struct listen *, const struct plan_service *, const struct listen_user *, bool share, struct buf *why);
/* listen_close - close it; the file of a local one goes too, unless somebody has put another in its place */
void	listen_close(struct listen *, const struct listen_user *);
/* listen_share - whether a TCP endpoint that is about to be closed lets its successor bind to an overlapping address
 * (127.0.0.1:25 -> 25), so that nobody can take the port in between and no connection is refused */
void	listen_share(struct listen *, bool on);

#endif
