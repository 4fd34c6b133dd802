/* global/probe_submit.h - hands probe messages to the cleanup service, many at a time, none lost
 * source: spec probe-submission sections 1 to 6 and 9. A bounded queue in memory; at most `open_limit` connections;
 * a failed submission is tried again with growing pauses, and given up (reported) after `tries` attempts or `give_up_ms`.
 * A full listen queue (EAGAIN) is not a failure: the submitter waits a moment. While the service is away the
 * whole queue pauses, not each probe by itself. Nothing here blocks.
 */
#ifndef GLOBAL_PROBE_SUBMIT_H
#define GLOBAL_PROBE_SUBMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include <util/evloop.h>

struct probe_submit;

struct probe_submit_conf {		/* borrowed strings must outlive the submitter */
	const char *path;		/* "public/cleanup", relative to the working directory */
	unsigned open_limit;		/* connections at a time */
	size_t	 queue_limit;		/* probes waiting, open ones not counted */
	int64_t	 timeout_ms;		/* one attempt, from connect to final status */
	unsigned tries;			/* attempts that got as far as a connection and failed */
	int64_t	 give_up_ms;		/* after so long in the queue, whatever the reason */
	bool	 smtputf8_autodetect;	/* flags 544, else 32 */
	const char *sender, *myorigin, *myhostname, *mail_name;
	int64_t	 sender_ttl_ms;
};

enum probe_submit_result {
	PROBE_SUBMITTED,		/* final status 0 */
	PROBE_REFUSED,			/* final status that no retry will change (spec section 6: 4, 8, 16, 64, 512) */
	PROBE_GAVE_UP,			/* tried, and tried again */
};
/* probe_submit_done_fn - called once per accepted probe, never before probe_submit_add returns; rcpt and tag are those given */
typedef void probe_submit_done_fn(void *ctx, const char *rcpt, int64_t tag, enum probe_submit_result);

struct probe_submit_stat {
	size_t	 waiting, open;
	uint64_t submitted, failed_attempts, refused, gave_up;
};

struct probe_submit *probe_submit_new(struct ev_loop *, const struct probe_submit_conf *, probe_submit_done_fn *, void *ctx);
/* probe_submit_free - closes connections; probes not yet submitted are not reported */
void	probe_submit_free(struct probe_submit **);
/* probe_submit_add - queue one probe for the recipient address (copied); tag is handed back; 0, or -1 when the queue is full */
int	probe_submit_add(struct probe_submit *, const char *rcpt, int64_t tag);
void	probe_submit_stat(const struct probe_submit *, struct probe_submit_stat *);
/* probe_submit_idle - nothing waiting and nothing open */
bool	probe_submit_idle(const struct probe_submit *);

#endif
