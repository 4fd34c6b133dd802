/* global/ms_part.h - what the parts of multi_server share; for them alone
 *   multi_server.c	the life of the process: start-up, accepting, status reports, drain, end
 *   ms_client.c	one client's input and output
 *   ms_pass.c		connections handed on by others
 */
#ifndef GLOBAL_MS_PART_H
#define GLOBAL_MS_PART_H

#include <bsd/sys/queue.h>

#include <global/multi_server.h>
#include <util/tls.h>

#define MS_READ_SIZE	 (64u << 10)	/* one read: many requests of a client that sends ahead */

#define MS_TOGETHER	 16		/* replies that wait for each other: one wakes a client that serves several connections */

struct ms_client {
	TAILQ_ENTRY(ms_client) link;
	int	fd;
	bool	held, partial, broken;
	bool	last;			/* closed when its output is gone */
	bool	slowly;			/* and after it has been listened to for a while */
	bool	over;			/* that is now: the daemon knows it no more */
	int64_t	limit_ms;		/* for the timer below */
	struct tls *tls;		/* NULL: in clear */
	struct tls_ctx *tls_ctx;	/* set until the handshake is done */
	bool	eof;			/* nothing more will come */
	bool	later;			/* a reply waits for others: it is in out, and one of those to be sent at the end of the turn */
	int64_t active_ms;		/* last time bytes came or went */
	const struct sockaddr_storage *peer;	/* known from accepting it, while it is new */
	void   *ctx;
	struct ev_io io;
	struct ev_timer timer;		/* set while partial or while output waits */
	struct ev_defer resume;
	struct buf in;			/* bytes behind a held request */
	struct buf out;			/* replies the socket did not take */
	struct buf passed;		/* what came with it: an attribute list; empty: it was accepted here */
};
TAILQ_HEAD(ms_clients, ms_client);

struct ms_process {
	const struct multi_server *ops;
	const struct params *params;
	struct ev_loop *loop;
	int	listeners;		/* descriptors from MASTER_LISTEN_FD on */
	struct ev_io *listen_io;
	struct ev_io status_io;
	uint32_t generation;
	bool	under_vouch;		/* our own master: drain in place */
	bool	reported;		/* told the master that we were of use */
	bool	taken;			/* told the master that we are crowded */
	bool	draining;
	bool	pass;			/* connections are handed to us, not made */
	int64_t drain_end_ms;
	struct ms_clients clients;
	size_t	clients_n;
	int64_t served;			/* clients that have left */
	struct ev_timer idle, pause, look, drain, watchdog;
};
extern struct ms_process ms_process;

/* multi_server.c */
void	ms_report_use(void);			/* a request was served */
void	ms_report_crowd(void);			/* there is a client more, or less */
void	ms_left(void);				/* a client is gone: there may be nothing left to do */

/* ms_client.c */
/* ms_client_new - a connection is there; fd is the client's then, and so is the content of passed (NULL: none)
 * peer	     who has connected, borrowed for the call; NULL: to be asked for */
void	ms_client_new(int fd, const struct sockaddr_storage *peer, struct buf *passed);
void	ms_client_close(struct ms_client *);

/* ms_pass.c */
void	ms_pass_new(int fd);			/* somebody has connected who wants to hand over a connection; owns fd */

#endif
