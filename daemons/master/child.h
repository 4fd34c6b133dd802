/* daemons/master/child.h - the processes of this master, by pid; those that nobody wants any more are seen off
 * A child belongs to a service until it is told to leave (child_leave); then only its end is waited for, with SIGTERM and
 * SIGKILL when it takes too long. Nothing here waits in a loop.
 */
#ifndef MASTER_CHILD_H
#define MASTER_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include <util/evloop.h>

#define CHILD_KILL_MS	5000	/* from SIGTERM to SIGKILL */

struct service;

struct child {
	RB_ENTRY(child) node;
	TAILQ_ENTRY(child) link;	/* among its service's children */
	struct child_table *table;
	struct service *service;	/* NULL: leaving */
	char   *path;			/* of the program, for messages */
	pid_t	pid;
	uint32_t generation;
	int64_t	start_ms;		/* monotonic */
	uint64_t uses;			/* times it became available again */
	bool	avail;			/* would take a client now */
	bool	detached;		/* its status channel was replaced: it still counts, but cannot report */
	int	sent;			/* last signal we sent it, 0 = none */
	struct ev_timer timer;		/* leaving: the next signal */
};
RB_HEAD(child_tree, child);

struct child_table {
	struct ev_loop *loop;
	struct child_tree tree;
	size_t	n;			/* all */
	size_t	leaving;		/* of these, without a service */
};

void	child_table_init(struct child_table *, struct ev_loop *);
struct child *child_add(struct child_table *, struct service *, const char *path, pid_t, uint32_t generation);
struct child *child_find(struct child_table *, pid_t);	/* NULL when it is not ours */
/* child_remove - it was reaped; the service has let go of it */
void	child_remove(struct child **);
/* child_leave - the service lets go of it: SIGTERM after patience_ms (0: at once), SIGKILL CHILD_KILL_MS later */
void	child_leave(struct child *, int64_t patience_ms);
/* child_hurry_all - patience is over for every one, leaving or not: those that were not sent SIGTERM yet are now */
void	child_hurry_all(struct child_table *);
void	child_kill_all(struct child_table *);	/* SIGKILL */
/* child_log_end - one line about how it ended; nothing for exit 0, and nothing when we sent it a signal
 * returns   whether it was a clean exit, or our own doing */
bool	child_log_end(const struct child *, int wait_status);

#endif
