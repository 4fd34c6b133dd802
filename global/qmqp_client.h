/* global/qmqp_client.h - hands one message to a QMQP server
 * source: the QMQP specification, spec smtpd-front 8.14. The message goes out as it is read, never held as a whole; for that
 * its length in the form of the wire (lines end with LF) is counted beforehand, a piece at a time. Each address of the server
 * is tried until one takes a connection; what happens after that is the answer.
 */
#ifndef GLOBAL_QMQP_CLIENT_H
#define GLOBAL_QMQP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <util/dns.h>
#include <util/evloop.h>
#include <global/body_wire.h>
#include <global/hop_answer.h>
#include <global/nexthop.h>

#define QMQP_PORT	628

struct qmqp_conf {			/* borrowed while a message is under way */
	struct nexthop to;		/* port set, or a UNIX socket */
	bool	 ipv4, ipv6;		/* see hop_addrs_find */
	int64_t	 connect_ms;		/* each address */
	int64_t	 total_ms;		/* the whole */
};

struct qmqp_mail {			/* borrowed while the message is under way */
	const char *sender;		/* "" is the null sender */
	const char *const *rcpt;
	size_t	 rcpts;
	const struct body_source *source;
	bool	(*rewind)(void *ctx);	/* the source's ctx: from its beginning again; false: it cannot be read */
};

struct qmqp_send;
/* qmqp_done_fn - once, never before qmqp_send_open returns. HOP_NONE: the server's answer is not one of the three; the
 * text says what it was. Borrowed for the call */
typedef void qmqp_done_fn(void *ctx, const struct hop_answer *);

/* qmqp_send_open - dns: see hop_addrs_find */
struct qmqp_send *qmqp_send_open(struct ev_loop *, const struct qmqp_conf *, struct dns *, const struct qmqp_mail *,
		    qmqp_done_fn *, void *ctx);
void	qmqp_send_free(struct qmqp_send **);	/* drops the connection as it is; may be called from the callback */

/* qmqp_package_len - of the whole but the outer netstring's length and punctuation; UINT64_MAX: too long to be said */
uint64_t qmqp_package_len(const struct qmqp_mail *, uint64_t message_len);

#endif
