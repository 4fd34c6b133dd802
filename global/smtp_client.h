/* global/smtp_client.h - one session with an SMTP or LMTP server, as its client
 * Connects, waits for the greeting, says EHLO (HELO, LHLO), takes STARTTLS by policy; after that commands go out and their
 * replies come back in order, as many at a time as the owner likes. What is said and what replies mean is the
 * owner's. Every wait has a deadline of its own; a server can make a session hold SMTP_REPLY_TEXT_MAX bytes and what
 * the owner sends. A session ends once, with `ended`; the owner then frees it.
 */
#ifndef GLOBAL_SMTP_CLIENT_H
#define GLOBAL_SMTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <util/evloop.h>
#include <util/tls.h>
#include <global/body_wire.h>
#include <global/mx.h>
#include <global/smtp_class.h>
#include <global/smtp_reply.h>

#define SMTP_CLIENT_PENDING 64		/* commands whose replies are outstanding */

enum smtp_tls_level { SMTP_TLS_NONE, SMTP_TLS_MAY, SMTP_TLS_ENCRYPT };

enum {	/* what EHLO offered */
	SMTP_EXT_PIPELINING = 1, SMTP_EXT_STARTTLS = 2, SMTP_EXT_SMTPUTF8 = 4, SMTP_EXT_8BITMIME = 8, SMTP_EXT_SIZE = 16,
	SMTP_EXT_DSN = 32, SMTP_EXT_ESMTP = 64,	/* EHLO was accepted */
	SMTP_EXT_XCLIENT = 128
};
enum { SMTP_XCLIENT_NAME = 1, SMTP_XCLIENT_ADDR = 2, SMTP_XCLIENT_PORT = 4, SMTP_XCLIENT_PROTO = 8, SMTP_XCLIENT_HELO = 16 };

struct smtp_client_conf {		/* borrowed for the life of the session */
	const char *helo;
	const char *loop_name;		/* a server that gives this name is ourselves; NULL: do not look */
	bool	 lmtp;
	enum smtp_tls_level tls;
	struct tls_ctx *tls_ctx;	/* NULL: none */
	const struct mx_addr *bind4, *bind6;	/* NULL: any */
	int64_t	 connect_ms, greet_ms, helo_ms, starttls_ms, quit_ms;
};

struct smtp_client_to {			/* copied */
	const struct mx_addr *addr;
	unsigned port;
	const char *path;		/* UNIX socket; addr is not looked at then */
	const char *name;		/* for SNI; NULL: none */
};

enum smtp_client_end {
	SMTP_END_CONNECT,		/* no connection: why is strerror's text */
	SMTP_END_REFUSED,		/* greeting, EHLO, HELO or STARTTLS (level encrypt) was refused: see reply */
	SMTP_END_LOST,			/* connection closed or broken, or the server took its leave unasked */
	SMTP_END_TIMEOUT,
	SMTP_END_PROTOCOL,		/* that is not SMTP: why; reply shows what it was */
	SMTP_END_TLS,			/* handshake failed: why */
	SMTP_END_NO_TLS,		/* level encrypt, and no STARTTLS offered */
	SMTP_END_LOOP,			/* we talk to ourselves */
	SMTP_END_QUIT,			/* as the owner wanted */
};

struct smtp_client;

struct smtp_client_ops {
	/* ready: commands may be sent now */
	void	(*ready)(void *ctx);
	/* reply: to the oldest command that has none; borrowed for the call */
	void	(*reply)(void *ctx, enum smtp_at, const struct smtp_reply *);
	/* ended: the last call; `at` is what was going on; reply NULL when there is none; why static or borrowed for the call */
	void	(*ended)(void *ctx, enum smtp_client_end, enum smtp_at, const struct smtp_reply *, const char *why);
};

/* smtp_client_open - callbacks come from the loop, never before it returns */
struct smtp_client *smtp_client_open(struct ev_loop *, const struct smtp_client_conf *, const struct smtp_client_to *,
		    const struct smtp_client_ops *, void *ctx);
/* smtp_client_free - drops the connection as it is; may be called from a callback */
void	smtp_client_free(struct smtp_client **);
/* smtp_client_say - queue one command line (without CR LF); its reply must come timeout_ms after its turn has come.
 * Nothing is sent before smtp_client_flush. false: too many outstanding, or a line with CR or LF in it */
bool	smtp_client_say(struct smtp_client *, enum smtp_at, int64_t timeout_ms, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
void	smtp_client_flush(struct smtp_client *);
/* smtp_client_send_body - after the 354, no reply outstanding: send what the source gives, doubling first dots, and the
 * final dot; then as after a command, SMTP_AT_END, that has `replies` replies. A reply before the final dot ends the
 * session, and so does a source that fails (SMTP_END_LOST): the server gets no final dot then
 * source    borrowed until the replies are there, or the session ends; read in callbacks and in this call
 * stall_ms  longest time without any byte going out
 * end_ms    from the final dot to the reply, and from one reply to the next */
void	smtp_client_send_body(struct smtp_client *, const struct body_source *, unsigned replies, int64_t stall_ms,
		    int64_t end_ms);
/* smtp_client_hello - say EHLO again, as after XCLIENT; no reply outstanding; `ready` is called when it was accepted
 * helo	     another name; NULL: ours */
void	smtp_client_hello(struct smtp_client *, const char *helo);
/* smtp_client_own - from now on another owner's callbacks are called */
void	smtp_client_own(struct smtp_client *, const struct smtp_client_ops *, void *ctx);
/* smtp_client_quit - say QUIT when all replies are there, wait for the answer quit_ms at most; ended is called then
 * (never before this returns) */
void	smtp_client_quit(struct smtp_client *);
/* smtp_client_expire - as if the deadline of what is going on had come */
void	smtp_client_expire(struct smtp_client *);
unsigned smtp_client_ext(const struct smtp_client *);
const char *smtp_client_greeting(const struct smtp_client *);	/* the beginning of the first line, with its code */
unsigned smtp_client_xclient(const struct smtp_client *);	/* attributes that may be sent */
uint64_t smtp_client_size(const struct smtp_client *);	/* largest message, of the SIZE extension; 0: not announced */
unsigned smtp_client_pending(const struct smtp_client *);	/* commands without reply */
const char *smtp_client_tls(const struct smtp_client *);	/* "TLSv1.3", or NULL in clear */

#endif
