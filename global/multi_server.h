/* global/multi_server.h - the skeleton of a daemon that serves many clients in one process
 * Start-up under the child contract (spec master-child-contract), the event loop, accepting, buffers, time limits,
 * draining and leaving are here; what a request means is the daemon's. One request at a time per client, and
 * nothing blocks: a client that sends half a request, or takes no replies, waits alone.
 * End of file on the status channel means reload, or that the master is gone: the worker stops accepting, serves the
 * clients it holds until they leave, and ends. Under vouch's master it does so in place; under Postfix's it
 * forks and the parent leaves, as that contract wants it.
 */
#ifndef GLOBAL_MULTI_SERVER_H
#define GLOBAL_MULTI_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include <global/main_cf.h>
#include <global/params.h>
#include <util/buf.h>
#include <util/evloop.h>
#include <util/tls.h>

struct ms_client;		/* one connection */

enum ms_next {
	MS_MORE,		/* all bytes were used; read on */
	MS_HOLD,		/* a reply is to come later: read nothing more until ms_resume; used_r tells what was used */
	MS_CLOSE,		/* give this client up */
};

struct multi_server {
	const char *name;	/* the program */
	bool	    persistent;	/* max_idle and max_use do not apply */
	bool	    pass;	/* the service may be of type pass, too: connections are handed on by others */
	/* pre_jail: parameters are known, privileges (if any) still there: open files. Bad configuration: msg_fatal. */
	void	  (*pre_jail)(const struct params *, const struct main_cf *);
	/* start: the loop is there, privileges are gone. Nothing was accepted yet. */
	void	  (*start)(struct ev_loop *);
	/* opened: a client connected; send the greeting. Returns the client's context, given to the others. */
	void	 *(*opened)(struct ms_client *);
	/* input: bytes arrived. Everything must be used unless the answer is MS_HOLD or MS_CLOSE. partial_r: the client
	 * is in the middle of a request (its time is limited then, by ipc_timeout without progress). */
	enum ms_next (*input)(struct ms_client *, void *ctx, const char *data, size_t n, size_t *used_r, bool *partial_r);
	/* eof: the client will say no more, and all it said was used; it may still be reading. MS_HOLD: a reply is to come (then
	 * ms_resume, and this is called again); anything else: no reply is left to make. NULL: closed at once, replies or not. */
	enum ms_next (*eof)(struct ms_client *, void *ctx);
	/* closed: the client is gone, for whatever reason; free the context */
	void	  (*closed)(struct ms_client *, void *ctx);
	/* early: bytes came that are kept while the client is held (ms_peek); may be NULL, as all that follow */
	void	  (*early)(struct ms_client *, void *ctx);
	/* secured: what ms_starttls began has ended; tls NULL: it failed, nothing can be said any more but ms_finish */
	void	  (*secured)(struct ms_client *, void *ctx, const struct tls *);
	/* dismiss: the worker drains and wants this client to go: say goodbye and ms_finish, or wait for the next call, some
	 * 250 ms later; late: it will be closed soon. NULL: idle clients are closed without a word */
	void	  (*dismiss)(struct ms_client *, void *ctx, bool late);
	/* draining: from now on no new clients come */
	void	  (*draining)(void);
	/* busy: work is left that must be done before the process may end */
	bool	  (*busy)(void);
	/* leaving: last call before the process ends by itself */
	void	  (*leaving)(void);
	/* tally: hand over what was counted; SIGTERM ends the process without leaving */
	void	  (*tally)(void);
};

/* multi_server_main - the whole life of a daemon; never returns */
void	multi_server_main(int argc, char **argv, const struct multi_server *) __attribute__((noreturn));

/* ms_send - queue bytes for the client; what the socket does not take at once is kept, up to MS_OUT_MAX. A client that
 * takes nothing for ipc_timeout, or lets more than that pile up, is closed (after the current callback). */
#define MS_OUT_MAX	(256u << 10)
void	ms_send(struct ms_client *, const void *, size_t n);
/* ms_reply - as ms_send, for a short reply that may wait for those to other clients until the end of the turn. To wake a client that
 * sleeps costs as much as a small request; one that is awake finds its reply without that */
void	ms_reply(struct ms_client *, const void *, size_t n);
/* ms_resume - the held reply was sent (ms_send): go on with the client's next request, from the loop */
void	ms_resume(struct ms_client *);
/* ms_fd - the client's socket, for questions about it (getsockname); borrowed, neither to be read nor to be closed */
int	ms_fd(const struct ms_client *);
/* ms_peer - who has connected, as getpeername tells; false: it cannot be told. For a new client that is known already */
bool	ms_peer(const struct ms_client *, struct sockaddr_storage *);
/* ms_passed - for a client that was handed on: the value of this attribute, as client_address, client_port, server_address,
 * server_port; NULL: it was not said, or the client was accepted here. As trustworthy as who may connect to the service's socket */
const char *ms_passed(const struct ms_client *, const char *name);
/* ms_hold - from `opened`: as MS_HOLD from `input` */
void	ms_hold(struct ms_client *);
/* ms_limit - time for output to be taken, and for a partial request, instead of ipc_timeout */
void	ms_limit(struct ms_client *, int64_t ms);
/* ms_peek - copy what has come and is not used yet: held bytes, else what the socket has; 0: nothing, -1: the client has
 * closed its side. Not for clients under TLS, whose bytes mean nothing before they are held */
ssize_t	ms_peek(struct ms_client *, void *, size_t);
/* ms_starttls - when what was sent is out, take TLS as the server; bytes that came before are dropped. The client is held; `secured`
 * is called at the end. The context must outlive the client */
void	ms_starttls(struct ms_client *, struct tls_ctx *);
/* ms_finish - the last reply was sent: close the connection when it is out; from `input` return MS_HOLD after it
 * Without a reply: close it from the loop, soon. */
void	ms_finish(struct ms_client *);
/* ms_finish_with - send this and ms_finish, for a client that has said goodbye: reply and end go in one packet, when the connection is
 * closed, at the end of this turn */
void	ms_finish_with(struct ms_client *, const void *, size_t n);
/* ms_finish_slowly - likewise, for a client that may still be talking: closed while bytes come, a TCP connection is reset, and
 * the last reply lost. `closed` is called when the reply is out; then bytes are dropped for MS_LINGER_MS at most. */
#define MS_LINGER_MS	2000
void	ms_finish_slowly(struct ms_client *);

#endif
