/* global/smtp_client_part.h - what the files of smtp_client share; for nobody else */
#ifndef GLOBAL_SMTP_CLIENT_PART_H
#define GLOBAL_SMTP_CLIENT_PART_H

#include "smtp_client.h"

#include <stdarg.h>

#define CLIENT_OUT_MAX	 (64u << 10)
#define CLIENT_BODY_TURN (256u << 10)	/* sent in one go, so that a fast server does not starve the others */
#define CLIENT_BODY_READ (24u << 10)	/* one read of a message; doubled, it fits into what is empty */

enum client_state { CLIENT_CONNECT, CLIENT_BANNER, CLIENT_EHLO, CLIENT_HELO, CLIENT_STARTTLS, CLIENT_TLS, CLIENT_READY,
	CLIENT_QUIT, CLIENT_ENDED };
enum { CLIENT_STATES = CLIENT_ENDED + 1 };

struct smtp_client {
	struct ev_loop *loop;
	const struct smtp_client_conf *conf;
	const struct smtp_client_ops *ops;
	void	*ctx;
	char	*name;			/* for SNI */
	enum client_state state;
	int	 fd;
	struct tls *tls;
	bool	 tls_read_wants_write, tls_write_wants_read;
	bool	 tls_refused;		/* STARTTLS was tried and refused: go on in clear */
	bool	 quit_wanted;
	bool	 broken;		/* nothing goes out any more */
	bool	 freed;			/* by the owner, while inside */
	unsigned inside;		/* callbacks of ours on the stack */
	char	 greeting[320];		/* its beginning */
	unsigned ext, xclient;
	uint64_t size;
	struct ev_io io;
	struct ev_timer timer;
	struct ev_defer early;		/* what must not happen before we return: connect failed, body failed, QUIT */
	int	 connect_errno;
	struct smtp_reply reply;
	struct buf out;
	unsigned head, pending;		/* ring */
	struct {
		unsigned char at;
		unsigned replies;	/* that it waits for */
		int	 timeout_ms;
	} ring[SMTP_CLIENT_PENDING];
	struct {			/* the message that is being sent */
		const struct body_source *source;	/* NULL: none */
		struct body_wire wire;
		bool	 ended;		/* the final dot is in `out` */
		unsigned replies;
		int64_t	 stall_ms, end_ms;
	} body;
};

/* smtp_client.c */
void	smtp_client_io(void *, int, unsigned);
void	smtp_client_clock(struct smtp_client *);	/* the deadline of what we wait for now */
void	smtp_client_end(struct smtp_client *, enum smtp_client_end, const struct smtp_reply *, const char *why);

/* smtp_client_out.c */
void	smtp_client_watch(struct smtp_client *);
bool	smtp_client_sayv(struct smtp_client *, enum smtp_at, int64_t timeout_ms, const char *fmt, va_list)
	    __attribute__((format(printf, 4, 0)));
/* smtp_client_command - one of our own */
void	smtp_client_command(struct smtp_client *, enum smtp_at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int	smtp_client_connect(const struct smtp_client_conf *, const struct smtp_client_to *);	/* a socket, or -1 with errno */

#endif
