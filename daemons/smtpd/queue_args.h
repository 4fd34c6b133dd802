/* daemons/smtpd/queue_args.h - the arguments of the queue plugins: "queue/NAME HOST [PORT] [WORD VALUE]..."
 * HOST is an address, a name, "host:port", "[address]:port" or "unix:/path".
 */
#ifndef SMTPD_QUEUE_ARGS_H
#define SMTPD_QUEUE_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include <global/nexthop.h>
#include <global/smtp_client.h>

#include "vouch_plugin.h"

enum {	/* which words a plugin takes, beside host, port and timeout */
	QUEUE_EARLY = 1, QUEUE_STRICT = 2, QUEUE_MAXRCPT = 4, QUEUE_XCLIENT = 8, QUEUE_STARTTLS = 16, QUEUE_REUSE = 32,	/* and sessions */
};

#define QUEUE_SESSIONS_AUTO UINT32_MAX

struct queue_args {			/* set to the defaults before */
	struct nexthop to;
	int64_t	 timeout_ms;		/* the whole hand-over */
	bool	 early, strict, xclient;
	enum smtp_tls_level starttls;
	unsigned maxrcpt;		/* 0: no limit */
	unsigned reuse;			/* messages in one session; 0: not given */
	unsigned sessions;		/* at a time; 0: no limit; QUEUE_SESSIONS_AUTO: not given */
};

/* queue_args_parse - 0, or -1 by vh_error
 * to.port   the default when it is called; 0 for a UNIX socket when it returns */
int	queue_args_parse(struct queue_args *, int argc, char **argv, unsigned words, struct vh_err *);

#endif
