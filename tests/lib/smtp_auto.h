/* tests/lib/smtp_auto.h - an SMTP server that answers by rules, for many sessions at a time; it takes no mail
 * It keeps the count that a test needs: sessions at a time, recipients, and what no client of ours may say.
 */
#ifndef TESTS_SMTP_AUTO_H
#define TESTS_SMTP_AUTO_H

#include <stdbool.h>
#include <stdint.h>

#include <util/evloop.h>

struct smtp_auto_rule {
	const char *prefix;		/* of the local part */
	const char *reply;		/* "550 5.1.1 no such user"; "close": close the connection; "silent": say nothing;
					 * "+3000 250 Ok": after so many ms */
};

struct smtp_auto {
	/* the script; may be changed at any time */
	struct smtp_auto_rule rule[32];	/* first match decides; none: 250 */
	unsigned rules;
	int64_t	 delay_ms;		/* before the reply to RCPT */
	const char *greeting;		/* NULL: 220 */
	bool	 pipelining;
	unsigned close_after;		/* sessions end with 421 after so many recipients; 0: never */
	/* what happened */
	unsigned open, open_max, accepted, rcpts, session_rcpts_max;
	unsigned data, odd;		/* DATA commands; commands out of order, or unknown */
	/* private */
	struct ev_loop *loop;
	int	 fd;
	struct ev_io io;
	struct smtp_auto_conn *conns;
};

/* smtp_auto_open - listens on host (127.0.0.2 ...) and port (0: any); returns the port; panics when it cannot */
unsigned smtp_auto_open(struct smtp_auto *, struct ev_loop *, const char *host, unsigned port);
void	smtp_auto_close(struct smtp_auto *);

#endif
