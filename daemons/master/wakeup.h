/* daemons/master/wakeup.h - poke a service: one trigger, sent without waiting
 * source: spec master-child-contract section 7. To the service a trigger is a client like any other.
 */
#ifndef MASTER_WAKEUP_H
#define MASTER_WAKEUP_H

#include <stdbool.h>

#include <util/evloop.h>

#include "listen.h"
#include "plan.h"

struct wakeup {
	struct ev_loop *loop;
	char   *what;			/* NAME(ID), for messages */
	int	fd;			/* the connection; -1: none under way */
	int	gift;			/* pass: the descriptor that is handed over, until then */
	bool	sent;
	struct ev_io io;
	struct ev_timer timer;
};

void	wakeup_init(struct wakeup *, struct ev_loop *);
void	wakeup_fini(struct wakeup *);
/* wakeup_send - one trigger; nothing is done while the one before is still open; trouble is logged, the next may succeed */
void	wakeup_send(struct wakeup *, const struct plan_service *, const struct listen *);

#endif
