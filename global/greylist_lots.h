/* global/greylist_lots.h - triplets of a network that were counted ahead
 * How many triplets of a network wait is counted in the table that the workers of a host share, and a burst of new ones would change
 * that count each time. So a worker that meets a network again counts GREYLIST_LOT at once, and uses them up. What it does not use
 * stays counted: fewer than GREYLIST_LOT each time that a network's place is taken by another.
 * source: spec greylisting section 8: counted per host and approximately
 */
#ifndef GLOBAL_GREYLIST_LOTS_H
#define GLOBAL_GREYLIST_LOTS_H

#include <stdbool.h>

#include <global/greylist_key.h>

#define GREYLIST_LOT	8
#define GREYLIST_LOTS	256		/* networks that are remembered */

struct greylist_lots {
	struct greylist_lot {
		char	id[GREYLIST_ID_LEN];	/* of the network's count; zeroes: none */
		unsigned char left;
	} of[GREYLIST_LOTS];
};

/* greylist_lots_take - one that was counted ahead, if there is one */
bool	greylist_lots_take(struct greylist_lots *, const char *id);
/* greylist_lots_want - how many to count now: 1 unless the network was met lately */
unsigned greylist_lots_want(const struct greylist_lots *, const char *id);
/* greylist_lots_put - so many are left of those that were counted */
void	greylist_lots_put(struct greylist_lots *, const char *id, unsigned left);

#endif
