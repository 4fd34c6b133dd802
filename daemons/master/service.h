/* daemons/master/service.h - one running service: when a process is started for it, and what follows when one ends
 * source: spec master-child-contract sections 3.2 to 3.6. A process is started when a client waits and no process is free, up
 * to the limit; and, if the service has prefork, whenever fewer than that many are there. A process that fails before it
 * was of use brings a pause for the service.
 * After a reload the old processes leave by themselves; they are no part of the service any more and do not count.
 */
#ifndef MASTER_SERVICE_H
#define MASTER_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include <util/evloop.h>

#include "child.h"
#include "listen.h"
#include "plan.h"
#include "spawn.h"
#include "wakeup.h"

struct service_shared {			/* what all services of one master have in common; the owner is super.h */
	struct ev_loop *loop;
	struct child_table *children;
	struct spawn *spawn;
	const struct params *params;	/* of the plan in force */
	struct listen_user user;
};

struct service {
	TAILQ_ENTRY(service) link;
	const struct service_shared *shared;
	const struct plan_service *plan;	/* borrowed from the plan in force */
	struct listen listen;
	struct ev_io *watch;		/* one for each listener */
	int	status[2];		/* our end, the end all processes of the service share */
	struct ev_io status_io;

	TAILQ_HEAD(, child) children;
	int	total, avail;		/* of these */

	bool	paused;			/* no process is started, nobody watches the listeners */
	int64_t	pause_ms;		/* the last pause; 0: all is well */
	int64_t	failed_ms;		/* when it began */
	struct ev_timer pause;

	bool	lazy;			/* wake-ups begin with the next process */
	struct wakeup wakeup;
	struct ev_timer wakeup_timer;

	int64_t	stress_end_ms;		/* processes started before this are told of stress */
	long long warned_limit, warned_status;	/* msg_rate */
};
TAILQ_HEAD(services, service);

/* service_pair_open - a status channel: 0, or -1 (errno) */
int	service_pair_open(int pair[2]);

/* service_new - take over an endpoint and a status channel; nothing runs yet */
struct service *service_new(const struct service_shared *, const struct plan_service *, struct listen *take, int pair_take[2]);
/* service_start - begin to serve: prefork, wake-ups, listeners */
void	service_start(struct service *);
/* service_renew - reload: the endpoint stays, processes are replaced; a pause ends, for the trouble may be gone */
void	service_renew(struct service *, const struct plan_service *, int pair_take[2]);
/* service_free - close the endpoint; processes leave within patience_ms (0: SIGTERM at once) */
void	service_free(struct service **, int64_t patience_ms);
/* service_child_ended - one of its processes was reaped; the child is gone afterwards */
void	service_child_ended(struct service *, struct child **, int wait_status);
/* service_patience - how long processes may take to leave by themselves after a reload */
int64_t	service_patience(const struct service_shared *);

#endif
