/* daemons/master/reload.h - from the plan in force to another one, as a whole or not at all */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include <util/buf.h>

#include "super.h"

/* reload_apply - everything that can fail is done first, beside the running services; then the change is made
 * next      taken on success
 * returns   0, or -1 with why: "FILE: line N: service NAME: reason", and nothing has changed
 */
int	reload_apply(struct super *, struct plan **next, struct buf *why);

#endif
