/* global/smtp_said.h - what a server said, or that it said nothing, in words for people and logs
 * source: the shapes of spec probe 6.3, which programs look for: "host NAME said: REPLY (in reply to COMMAND command)".
 */
#ifndef GLOBAL_SMTP_SAID_H
#define GLOBAL_SMTP_SAID_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>
#include <global/smtp_class.h>
#include <global/smtp_client.h>
#include <global/smtp_reply.h>

struct smtp_said {
	const char *host;	/* "NAME[ADDRESS]" */
	unsigned port;		/* 0: none, a UNIX socket */
	bool	 compact, utf8;	/* see smtp_reply_show */
	size_t	 max;		/* bytes; the tail "(in reply to ...)" always fits */
};

/* smtp_said_reply - append the reply; `ok`: the reply alone */
void	smtp_said_reply(struct buf *, const struct smtp_said *, enum smtp_at, const struct smtp_reply *, bool ok);
/* smtp_said_end - append why a session ended (not SMTP_END_QUIT); reply may be NULL; returns the enhanced status code, static */
const char *smtp_said_end(struct buf *, const struct smtp_said *, enum smtp_client_end, enum smtp_at,
		    const struct smtp_reply *, const char *why);

#endif
