/* daemons/master/super.h - all services of one master: start, reload, stop
 * Works in the current directory, which is the queue directory. Signals: HUP reloads; TERM, INT and QUIT stop.
 */
#ifndef MASTER_SUPER_H
#define MASTER_SUPER_H

#include <stdbool.h>
#include <stdint.h>

#include <util/buf.h>
#include <util/evloop.h>

#include "child.h"
#include "plan.h"
#include "service.h"
#include "spawn.h"

#define SUPER_WHY_MAX	(64u << 10)

struct super {
	struct ev_loop *loop;
	struct plan *plan;		/* in force; NULL before the start */
	struct service_shared shared;
	struct child_table children;
	struct spawn spawn;
	struct services services;
	uint64_t reloads;
	bool	foreground;		/* without a log file, our lines go to standard error as well */
	bool	leads;			/* the session is ours: its process group is to be stopped with us */
	bool	stopping, ended;
	struct ev_timer stop;
};

/* super_init - former: the pid that the lock file named before us */
int	super_init(struct super *, struct ev_loop *, pid_t former, struct buf *why);
/* super_start - put the first plan into force (taken on success); 0, or -1 with why and nothing left behind */
int	super_start(struct super *, struct plan **, struct buf *why);
/* super_reload - read the configuration again; what is wrong with it is logged, and the old one stays in force */
bool	super_reload(struct super *);
/* super_stop - end every process: SIGTERM, and SIGKILL after CHILD_KILL_MS, or when called again
 * signo     what we were asked with, for the log; 0: our time is over
 * When the last process is gone, ended is set and the loop stopped. */
void	super_stop(struct super *, int signo);
void	super_fini(struct super *);

#endif
