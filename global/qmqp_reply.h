/* global/qmqp_reply.h - bytes of a QMQP server -> its answer
 * source: the QMQP specification: one netstring, whose first byte is K (taken), Z (later) or D (never), then text for people
 */
#ifndef GLOBAL_QMQP_REPLY_H
#define GLOBAL_QMQP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#define QMQP_REPLY_TEXT_MAX 400		/* bytes kept */
#define QMQP_REPLY_LEN_MAX  10000	/* an answer that says it is longer is none */

enum qmqp_reply_result {
	QMQP_REPLY_MORE,
	QMQP_REPLY_DONE,	/* code and text are set */
	QMQP_REPLY_BAD,		/* no netstring, or an empty one */
};

struct qmqp_reply {		/* zero it */
	char	 code;		/* the first byte, whatever it is */
	char	 text[QMQP_REPLY_TEXT_MAX + 1];	/* printable ASCII, line ends are blanks */
	/* private */
	size_t	 digits, len, got, text_len;
	bool	 in_data;
};

/* qmqp_reply_feed - take bytes; those after the netstring are not looked at. After DONE and BAD the next call must be about
 * another, zeroed struct */
enum qmqp_reply_result qmqp_reply_feed(struct qmqp_reply *, const char *data, size_t n);

#endif
