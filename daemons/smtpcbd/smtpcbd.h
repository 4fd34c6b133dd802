/* daemons/smtpcbd/smtpcbd.h - what the parts of the smtpcbd worker share
 *   smtpcbd.c		start-up: which parameters, which store; the timers of the house
 *   smtpcbd_client.c	lines in, replies out, in order; time limits of a connection
 *   smtpcbd_answer.c	a line -> the verdict, when nobody needs to be asked
 *   smtpcbd_wait.c	askers that wait for verify(8) and for a probe
 *   smtpcbd_stop.c	the end, when the master says so
 */
#ifndef DAEMONS_SMTPCBD_H
#define DAEMONS_SMTPCBD_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include <global/addr_list.h>
#include <global/address_record.h>
#include <global/domain_list.h>
#include <global/multi_server.h>
#include <global/reason_detail.h>
#include <global/smtpcb_proto.h>
#include <global/verify_async.h>
#include <global/verify_store.h>
#include <util/evloop.h>

struct smtpcbd_conf {
	int64_t	 wait_ms;		/* for a probe; 0: do not wait */
	int64_t	 read_ms, idle_ms;	/* limits of a connection */
	int64_t	 hold_ms;		/* how long verify(8) may hold a query, by its configuration */
	int64_t	 query_ms;		/* limit for one query to it */
	size_t	 max_waiters;
	bool	 utf8;			/* in replies */
	bool	 smtputf8;		/* addresses */
	bool	 extended, suspended_ok, stop_tempfail;
	enum reason_detail detail;
	struct addr_list *clients;
	struct domain_list *ours;	/* mydestination */
	const char *myhostname, *myorigin, *sender, *double_bounce;	/* of the parameters */
	int64_t	 sender_ttl_ms;
	struct address_rules rules;
};

extern struct smtpcbd_conf smtpcbd_conf;
extern struct ev_loop *smtpcbd_loop;
extern struct verify_store *smtpcbd_store;	/* this host's table; looked at, never changed */
extern struct verify_async *smtpcbd_verify;

/* where an answer comes from, for the log */
enum smtpcbd_from { SMTPCBD_CACHE, SMTPCBD_PROBE, SMTPCBD_LOCAL, SMTPCBD_IN_PROGRESS, SMTPCBD_BUSY, SMTPCBD_UNAVAILABLE };

struct smtpcbd_verdict {
	enum smtpcb_code code;
	enum smtpcbd_from from;
	enum verify_status status;	/* of a result: text is the delivery agent's */
	bool	 result;		/* else text is ours */
	const char *text;		/* borrowed */
	int64_t	 since_s, next_s;
};

/* smtpcbd_client.c: the daemon's side of multi_server.h */
void   *smtpcbd_opened(struct ms_client *);
enum ms_next smtpcbd_input(struct ms_client *, void *ctx, const char *data, size_t n, size_t *used_r, bool *partial_r);
enum ms_next smtpcbd_eof(struct ms_client *, void *ctx);
void	smtpcbd_closed(struct ms_client *, void *ctx);

/* smtpcbd_answer.c */
/* smtpcbd_answer_local - the verdict for what needs no look at any record: true; else r is an address with a domain */
bool	smtpcbd_answer_local(struct smtpcb_request *r, struct smtpcbd_verdict *v_r);
/* smtpcbd_answer_known - what this host's table says about local@domain, if it says anything: true
 * due_r     a new probe is due all the same */
bool	smtpcbd_answer_known(const char *addr, struct smtpcbd_verdict *v_r, bool *due_r);
/* smtpcbd_answer_status - the verdict for a status that came from verify(8) */
void	smtpcbd_answer_status(enum verify_status, const char *text, struct smtpcbd_verdict *v_r);
void	smtpcbd_answer_progress(struct smtpcbd_verdict *v_r);	/* in progress */
/* smtpcbd_answer_put - the reply line */
void	smtpcbd_answer_put(struct buf *, const struct smtpcb_request *, const struct smtpcbd_verdict *, const char *id);

/* smtpcbd_wait.c */
struct smtpcbd_addr;
struct smtpcbd_asker {			/* zeroed: waits for nothing */
	struct smtpcbd_addr *addr;
	TAILQ_ENTRY(smtpcbd_asker) link;
	struct ev_timer timer;
	/* done: once, from the loop, unless smtpcbd_wait_left came first; the verdict is borrowed */
	void	(*done)(struct smtpcbd_asker *, const struct smtpcbd_verdict *);
	bool	(*is_gone)(const struct smtpcbd_asker *);	/* whether the client has closed its side */
};
void	smtpcbd_wait_init(void);
void	smtpcbd_wait_fini(void);		/* those who wait are not told */
/* smtpcbd_wait_ask - find out about an address: true when the verdict is there now, else done is called later */
bool	smtpcbd_wait_ask(struct smtpcbd_asker *, const char *addr, struct smtpcbd_verdict *v_r);
void	smtpcbd_wait_left(struct smtpcbd_asker *);	/* the client has left; one that does not wait is fine */
/* smtpcbd_wait_end - the worker is going: who waits is answered now, and nobody waits from now on */
void	smtpcbd_wait_end(void);
bool	smtpcbd_wait_ended(void);

/* smtpcbd_stop.c */
void	smtpcbd_stop_init(void);
bool	smtpcbd_stop_busy(void);		/* still telling clients that we stop */

#endif
