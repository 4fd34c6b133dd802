/* global/greylist_lots.h - triplets of a network that were counted ahead
 * How many triplets of a network wait is counted in the table that the workers of a host share, and a burst of new ones would change
 * that count each time. So a worker that meets a network again counts GREYLIST_LOT at once, and uses them up within GREYLIST_LOT_S.
 * What it does not use stays counted: fewer than GREYLIST_LOT each time that a network's place is taken by another.
 * source: spec greylisting section 8: counted per host and approximately
 */
#ifndef GLOBAL_GREYLIST_LOTS_H
#define GLOBAL_GREYLIST_LOTS_H

#include <stdbool.h>
#include <stdint.h>

#include <global/greylist_key.h>

#define GREYLIST_LOT	8
#define GREYLIST_LOT_S	60		/* then the count itself may be gone */
#define GREYLIST_LOTS	256		/* networks that are remembered */

struct greylist_lots {
	struct greylist_lot {
		char	id[GREYLIST_ID_LEN];	/* of the network's count; zeroes: none */
		unsigned char left;
		int64_t	counted_s;
	} of[GREYLIST_LOTS];
};

/* greylist_lots_take - one that was counted ahead, if there is one */
bool	greylist_lots_take(struct greylist_lots *, const char *id, int64_t now_s);
/* greylist_lots_want - how many to count now: 1 unless the network was met lately */
unsigned greylist_lots_want(const struct greylist_lots *, const char *id);
/* greylist_lots_put - so many are left of those that were counted now */
void	greylist_lots_put(struct greylist_lots *, const char *id, unsigned left, int64_t now_s);

#endif
