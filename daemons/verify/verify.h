/* daemons/verify/verify.h - what the parts of the verify worker share
 *   verify.c	       start-up: which parameters, which store; the timers of the house
 *   verify_request.c  one request in, one reply out
 *   verify_hold.c     replies that wait for a probe's result
 *   verify_wait.c     replies that wait for the database
 *   verify_probe.c    claims turned into submitted probes
 */
#ifndef DAEMONS_VERIFY_H
#define DAEMONS_VERIFY_H

#include <global/multi_server.h>
#include <global/reason_detail.h>
#include <global/verify_store.h>
#include <util/attr.h>
#include <util/evloop.h>

struct verify_conf {
	int64_t	hold_ms;		/* 0: never hold a reply */
	bool	smtputf8;
	size_t	str_max;		/* bytes kept of a string in a request */
	enum reason_detail detail;
	bool	commit_wait;		/* an update is acknowledged when it is committed; false without a database */
};

extern struct verify_conf verify_conf;
extern struct verify_store *verify_store;
extern struct ev_loop *verify_loop;

/* verify_request.c: the daemon's side of multi_server.h */
void   *verify_opened(struct ms_client *);
enum ms_next verify_input(struct ms_client *, void *ctx, const char *data, size_t n, size_t *used_r, bool *partial_r);
void	verify_closed(struct ms_client *, void *ctx);
/* verify_query_reply - reply with this answer, unless it is not known yet and may be worth waiting for: returns true when
 * the reply was sent. final: reply whatever is known */
bool	verify_query_reply(struct ms_client *, const struct verify_store_answer *, bool final);
/* verify_query_probe - if the answer brings a claim: send the probe */
void	verify_query_probe(const char *addr, const struct verify_store_answer *);
/* verify_query_waited - the database has answered: reply and resume, or hold; ctx is the client's context */
void	verify_query_waited(struct ms_client *, void *ctx, const char *addr, const struct verify_store_answer *);
void	verify_update_reply(struct ms_client *);

/* verify_hold.c */
struct verify_hold;
/* verify_hold_new - the reply to a query for addr (copied) waits until there is a result or the time is up; then it is sent,
 * *slot is NULL again, and the client resumed. slot belongs to the client's context. */
void	verify_hold_new(struct verify_hold **slot, struct ms_client *, const char *addr);
void	verify_hold_free(struct verify_hold **slot);	/* the client has left; NULL is fine */
void	verify_hold_wake(void);				/* look at the waiting queries soon: a result came */

/* verify_wait.c */
struct verify_wait;
/* verify_wait_ask - ask the database about addr; then verify_query_waited. ms NULL, slot NULL: nobody waits, but a probe is
 * sent if it gives us one to send */
void	verify_wait_ask(struct verify_wait **slot, struct ms_client *, void *ctx, const char *addr);
/* verify_wait_new - the reply to an update waits until it is committed: verify_wait_written is to be called with it */
struct verify_wait *verify_wait_new(struct verify_wait **slot, struct ms_client *);
void	verify_wait_written(void *wait);
void	verify_wait_free(struct verify_wait **slot);	/* not begun after all; NULL is fine */
void	verify_wait_left(struct verify_wait **slot);	/* the client has left; NULL is fine */
bool	verify_wait_busy(void);

/* verify_probe.c */
void	verify_probe_init(const struct params *);
void	verify_probe_start(const char *addr, int64_t tag); /* we have the claim: submit, or release it */
bool	verify_probe_busy(void);
void	verify_probe_count(void);	/* hand failed attempts over to the counters */

#endif
