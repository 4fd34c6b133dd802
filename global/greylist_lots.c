/* global/greylist_lots.c - triplets of a network that were counted ahead */
#include "greylist_lots.h"

#include <string.h>

_Static_assert(GREYLIST_LOTS == 1 << 8, "a place has eight bits");

/* lots_place - an id is a hash in text: four characters of it, spread by a multiplication (Knuth, 6.4) */
static size_t
lots_place(const char *id)
{
	uint32_t four;

	memcpy(&four, id + 1, sizeof four);
	return four * 2654435769u >> 24;
}

static bool
lots_has(const struct greylist_lot *l, const char *id)
{
	return memcmp(l->id, id, GREYLIST_ID_LEN) == 0;
}

bool
greylist_lots_take(struct greylist_lots *lots, const char *id, int64_t now_s)
{
	struct greylist_lot *l = &lots->of[lots_place(id)];

	if (l->left == 0 || !lots_has(l, id) || now_s < l->counted_s || now_s - l->counted_s > GREYLIST_LOT_S)
		return false;
	l->left--;
	return true;
}

unsigned
greylist_lots_want(const struct greylist_lots *lots, const char *id)
{
	return lots_has(&lots->of[lots_place(id)], id) ? GREYLIST_LOT : 1;
}

void
greylist_lots_put(struct greylist_lots *lots, const char *id, unsigned left, int64_t now_s)
{
	struct greylist_lot *l = &lots->of[lots_place(id)];

	memcpy(l->id, id, GREYLIST_ID_LEN);
	l->left = (unsigned char) left;
	l->counted_s = now_s;
}
