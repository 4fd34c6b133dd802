/* commands/vouch/bulk.h - many addresses asked of the verify service, answered in the order in which they came
 * A window of bounded size: so many addresses wait for their answer at a time, and so many answers wait for those before them.
 * Who is still in progress is asked again, with growing pauses, until its time is up.
 */
#ifndef BULK_H
#define BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <global/verify_proto.h>
#include <util/evloop.h>

enum bulk_result {
	BULK_ANSWERED,		/* status and reason are the service's */
	BULK_REFUSED,		/* the service does not take this address */
	BULK_SILENT,		/* no answer in time */
	BULK_MALFORMED,		/* it was not asked for: bulk_add_malformed */
};

struct bulk_answer {
	const char *addr;	/* as it was added */
	enum bulk_result result;
	enum verify_status status;
	bool	 in_progress;	/* silent, but it was in progress when it was asked for before */
	const char *reason;	/* "" where there is none */
};

struct bulk_conf {
	unsigned jobs;		/* addresses asked for at a time, each on a connection of its own */
	size_t	 window;	/* addresses held at a time, answered or not; at least jobs */
	int64_t	 wait_ms;	/* the most that one address takes */
	/* done: one answer, in order; from the loop. room: after one or more of them, and first of all, when addresses may be
	 * added. Neither may free the bulk. */
	void	(*done)(void *ctx, const struct bulk_answer *);
	void	(*room)(void *ctx);
	void	*ctx;
};

struct bulk;

struct bulk *bulk_new(struct ev_loop *, const char *path, const struct bulk_conf *);
void	bulk_free(struct bulk **);
bool	bulk_has_room(const struct bulk *);
bool	bulk_is_empty(const struct bulk *);	/* all that was added was handed to done */
/* bulk_add, bulk_add_malformed - only while there is room; the texts are copied */
void	bulk_add(struct bulk *, const char *addr);
void	bulk_add_malformed(struct bulk *, const char *text, const char *why);

#endif
