/* daemons/smtpcbd/smtpcbd.h - what the parts of the smtpcbd worker share
 *   smtpcbd.c		start-up: which parameters, which store; the timers of the house
 *   smtpcbd_client.c	lines in, replies out, in order; time limits of a connection
 *   smtpcbd_answer.c	what is asked and what is known -> the reply
 *   smtpcbd_stop.c	the end, when the master says so
 */
#ifndef DAEMONS_SMTPCBD_H
#define DAEMONS_SMTPCBD_H

#include <stdbool.h>
#include <stdint.h>

#include <global/addr_list.h>
#include <global/address_host.h>
#include <global/domain_list.h>
#include <global/multi_server.h>
#include <global/reason_detail.h>
#include <global/smtpcb_proto.h>
#include <util/evloop.h>

struct smtpcbd_conf {
	int64_t	 wait_ms;		/* for a probe; 0: do not wait */
	int64_t	 read_ms, idle_ms;	/* limits of a connection */
	bool	 utf8;			/* in replies */
	bool	 smtputf8;		/* addresses */
	bool	 extended, suspended_ok, stop_tempfail;
	enum reason_detail detail;
	struct addr_list *clients;
	struct domain_list *ours;	/* mydestination */
	const char *myhostname, *myorigin, *sender, *double_bounce;	/* of the parameters */
	int64_t	 sender_ttl_ms;
};

extern struct smtpcbd_conf smtpcbd_conf;
extern struct ev_loop *smtpcbd_loop;
extern struct address_host smtpcbd_host;

struct smtpcbd_verdict {
	enum smtpcb_code code;
	bool	 local;			/* nothing was looked up */
	enum address_from from;		/* unless it is local */
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
void	smtpcbd_answer_of(const struct address_verdict *, struct smtpcbd_verdict *v_r);
/* smtpcbd_answer_own - a verdict of our own making: the present moment, this host's name */
void	smtpcbd_answer_own(struct smtpcbd_verdict *, enum smtpcb_code, const char *text);
/* smtpcbd_answer_show - append the mailbox that was asked about, for people */
void	smtpcbd_answer_show(struct buf *, const struct smtpcb_request *);
/* smtpcbd_answer_put - the reply line */
void	smtpcbd_answer_put(struct buf *, const struct smtpcb_request *, const struct smtpcbd_verdict *, const char *id);

/* smtpcbd_stop.c */
void	smtpcbd_stop_init(void);
void	smtpcbd_stop_draining(void);		/* the master has let go of us: reload, or the end */
bool	smtpcbd_stop_busy(void);		/* still telling clients that we stop, or waiting to be told to */

#endif
