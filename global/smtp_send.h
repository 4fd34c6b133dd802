/* global/smtp_send.h - one mail transaction with the next hop: envelope and message in, the truth about each recipient out
 * source: spec smtpd-front 8.12 and 8.13. Recipients may be asked about one by one, while the client waits for its own reply
 * to RCPT, or all at once when the message is there. Nothing counts as taken but a positive reply to the final dot;
 * whatever goes wrong before it means "later", unless the server itself has said "never". When some recipients
 * are refused that the owner has accepted already, nothing is sent at all: half a delivery is one that is repeated.
 * A session that was kept, or that broke while nobody was using it, is replaced once by a fresh one, before DATA.
 */
#ifndef GLOBAL_SMTP_SEND_H
#define GLOBAL_SMTP_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <util/evloop.h>
#include <global/body_wire.h>
#include <global/hop_answer.h>
#include <global/smtp_hop.h>

struct smtp_send_conf {			/* borrowed for the life of the transaction */
	int64_t	 xclient_ms, mail_ms, rcpt_ms, data_ms;
	int64_t	 body_ms;		/* longest time without a byte of the message going out */
	int64_t	 end_ms;
	int64_t	 total_ms;		/* from smtp_send_body to `done`; also from a recipient to its answer. 0: no limit */
	bool	 lmtp;			/* as the hop's client configuration */
	bool	 strict;		/* LMTP: a message that some recipients got and others may get later is refused for now;
					 * otherwise one that got it is enough */
	bool	 xclient;		/* tell the server who the client is; when it does not offer that, refuse for now */
};

struct smtp_send_mail {			/* copied */
	const char *sender;		/* without <>; "" is the null sender */
	bool	 utf8;			/* needs SMTPUTF8 */
	bool	 eightbit;		/* BODY=8BITMIME, when that is offered */
	uint64_t size;			/* bytes of the message, about; 0: unknown */
	/* for XCLIENT; NULL: not known */
	const char *name, *addr, *port, *proto, *helo;
};

struct smtp_send;

struct smtp_send_ops {			/* never called before the call that they answer returns */
	/* rcpt: the next hop would take it, or not; once for each live recipient. NULL when there are none */
	void	(*rcpt)(void *ctx, size_t i, const struct hop_answer *);
	/* done: once, after smtp_send_body; borrowed for the call */
	void	(*done)(void *ctx, const struct hop_answer *);
};

/* smtp_send_open - nothing happens until there is a recipient */
struct smtp_send *smtp_send_open(struct ev_loop *, struct smtp_hop *, const struct smtp_send_conf *,
		    const struct smtp_send_mail *, const struct smtp_send_ops *, void *ctx);
/* smtp_send_free - the session goes back, or is dropped when the message was under way; may be called from a callback */
void	smtp_send_free(struct smtp_send **);
/* smtp_send_rcpt - ask about a recipient now (live), or let it be one of those that wait for the message
 * A live one that was refused is none of the message's recipients. false: the address cannot be said */
bool	smtp_send_rcpt(struct smtp_send *, const char *addr, bool live);
/* smtp_send_body - hand the message over to the recipients; source: see smtp_client_send_body; size in bytes */
void	smtp_send_body(struct smtp_send *, const struct body_source *, uint64_t size);
size_t	smtp_send_rcpts(const struct smtp_send *);
const char *smtp_send_rcpt_addr(const struct smtp_send *, size_t i);
bool	smtp_send_rcpt_wanted(const struct smtp_send *, size_t i);	/* not refused live: one of the message's recipients */
/* smtp_send_rcpt_answer - after `done`: what became of the message for it; before: whether it is taken; borrowed */
const struct hop_answer *smtp_send_rcpt_answer(const struct smtp_send *, size_t i);
/* smtp_send_unsure - the message was sent to its end, and we did not hear what became of it, or some recipients got it and the
 * answer is no all the same: it may come twice */
bool	smtp_send_unsure(const struct smtp_send *);

#endif
