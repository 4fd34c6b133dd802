/* global/probe_message.h - reads what a client of the cleanup service submits: flags, then a message in records
 * source: spec probe-submission sections 4 to 7. Only what a probe needs is kept; the content is looked at for its
 * Received: line and dropped. After an error everything up to the end of the message is still read, as cleanup does.
 * A codec over bytes: no I/O. A client can make it hold PROBE_MESSAGE_MAX bytes.
 */
#ifndef GLOBAL_PROBE_MESSAGE_H
#define GLOBAL_PROBE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <util/attr.h>
#include <util/buf.h>

#define PROBE_RECORD_MAX	 65536		/* one record: the longest address and header lines fit many times */
#define PROBE_MESSAGE_MAX	 (256u << 10)	/* kept of one message: sender, recipients, the unfinished record */
#define PROBE_MESSAGE_BYTES_MAX	 (10u << 20)	/* of one message: more is somebody's mail, not a probe */
#define PROBE_RCPT_MAX		 100		/* recipients of one message */

enum {	/* final status, bits */
	CLEANUP_STAT_BAD = 1, CLEANUP_STAT_WRITE = 2, CLEANUP_STAT_SIZE = 4, CLEANUP_STAT_CONT = 8, CLEANUP_STAT_HOPS = 16,
	CLEANUP_STAT_RCPT = 64, CLEANUP_STAT_DEFER = 256, CLEANUP_STAT_NOPERM = 512
};
#define PROBE_TRACE_FLAG	256		/* DEL_REQ_FLAG_MTA_VRFY: address probe requested by the mail system */

enum probe_message_result {
	PROBE_MESSAGE_MORE,	/* incomplete; all bytes were used */
	PROBE_MESSAGE_DONE,	/* complete: see status; further bytes may follow */
	PROBE_MESSAGE_LOST,	/* no records, or far too many: the end cannot be found; see status */
};

struct probe_message {
	unsigned status;	/* 0: a good probe; else CLEANUP_STAT_* and why (static text, for the log) */
	const char *why;
	uint32_t flags, trace_flags;
	char   *sender;		/* NULL: there was none */
	char   *rcpt[PROBE_RCPT_MAX];
	unsigned rcpts;
	char   *reason;		/* vouch_reason, or NULL */
	/* reading */
	struct attr_in list;
	struct buf part;	/* the unfinished record */
	size_t	bytes;
	enum { PROBE_PART_FLAGS, PROBE_PART_ENVELOPE, PROBE_PART_CONTENT, PROBE_PART_EXTRA, PROBE_PART_END } segment;
	bool	has_time, has_received;
};

void	probe_message_init(struct probe_message *);
void	probe_message_fini(struct probe_message *);
enum probe_message_result probe_message_feed(struct probe_message *, const char *data, size_t n, size_t *used_r);

#endif
