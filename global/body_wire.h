/* global/body_wire.h - a message as it goes over the wire: for SMTP lines end with CR LF and first dots are doubled, for QMQP lines end with LF
 * The message comes in any cut. CR LF, LF and CR each end a line, so that the other side cannot read another
 * end of the message, or of a line, out of it than we do. A last line without an end gets one.
 */
#ifndef GLOBAL_BODY_WIRE_H
#define GLOBAL_BODY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <util/buf.h>

/* where a message comes from, once, from its beginning */
struct body_source {
	ssize_t (*read)(void *ctx, void *data, size_t n);	/* bytes; 0 at the end; -1: it cannot be read */
	void	*ctx;
};

enum body_form { BODY_SMTP, BODY_LF };

struct body_wire {		/* zero it, set the form */
	enum body_form form;
	bool	 in_line;	/* the line has begun */
	bool	 cr;		/* a CR ended the line: a LF right behind it belongs to it */
};

/* body_wire_add - data in the form of the wire; out grows by at most twice n. -1: out is full */
int	body_wire_add(struct body_wire *, struct buf *out, const void *data, size_t n);
/* body_wire_end - the end of the last line; for SMTP the final dot, too */
int	body_wire_end(struct body_wire *, struct buf *out);
/* body_wire_count - by how many bytes data would make it longer, and body_wire_end at its end, without writing them */
uint64_t body_wire_count(struct body_wire *, const void *data, size_t n);
uint64_t body_wire_count_end(struct body_wire *);

#endif
