/* daemons/policy/policy.h - what the parts of the policy server share
 *   policy.c		start-up, and the timers of the house
 *   policy_conf.c	what the parameters say
 *   policy_client.c	one client: requests in, replies out, in order
 *   policy_said.c	what was answered in one mail transaction
 *   policy_check.c	one request through its checks: greylisting, verification
 *   policy_verify.c	one address verified: how long it is waited for, and what smtpd would say
 */
#ifndef DAEMONS_POLICY_H
#define DAEMONS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include <global/address_host.h>
#include <global/greylist.h>
#include <global/multi_server.h>
#include <global/policy_proto.h>
#include <global/reason_detail.h>
#include <util/evloop.h>

enum policy_check { POLICY_GREYLIST, POLICY_VERIFY_RECIPIENT, POLICY_VERIFY_SENDER, POLICY_CHECKS };

struct policy_order {			/* the checks of a request, first to last */
	enum policy_check check[POLICY_CHECKS];
	unsigned n;
};

struct policy_verify_conf {		/* Postfix's unverified_recipient_*, unverified_sender_* */
	int64_t	    reject_code, defer_code;
	const char *reject_reason;	/* "": the reason that verify gives */
	bool	    defer_at_once;		/* tempfail_action = defer */
};

struct policy_conf {
	struct policy_order order;	/* policy_checks */
	bool	observe;		/* policy_mode = observe */
	bool	exempt_sasl;		/* policy_verify_exempt_sasl */
	bool	fallback_dunno;		/* policy_verify_fallback_action = DUNNO */
	struct policy_verify_conf recipient, sender;
	int64_t	hold_ms;		/* address_verify_hold_time */
	int64_t	poll_count, poll_ms;	/* used when it is 0 */
	enum reason_detail detail;
};

#define POLICY_WAIT_MAX_MS	25000	/* for one address: a quarter of smtpd_policy_service_timeout's default */
#define POLICY_ANSWER_MS	1000	/* the time limit for what nobody wants to wait for */

extern struct policy_conf policy_conf;
extern struct greylist *policy_greylist;
extern struct address_host policy_host;	/* started when the first address is asked about */
extern struct ev_loop *policy_loop;

/* policy_conf.c */
void	policy_conf_init(const struct params *);
/* policy_order_parse - words separated by blanks or commas; false: one is unknown or stands twice (the order is then unchanged) */
bool	policy_order_parse(const char *words, struct policy_order *);

/* policy_client.c: the daemon's side of multi_server.h */
void   *policy_opened(struct ms_client *);
enum ms_next policy_input(struct ms_client *, void *ctx, const char *data, size_t n, size_t *used_r, bool *partial_r);
enum ms_next policy_eof(struct ms_client *, void *ctx);
void	policy_closed(struct ms_client *, void *ctx);

/* policy_said.c */
#define POLICY_SAID	16		/* answers that are remembered, the latest ones */
struct policy_said {
	struct buf instance;		/* of the transaction; empty: none */
	bool	prepended;		/* it has got its header */
	unsigned n;			/* answers so far */
	struct policy_saying {
		struct buf request, action;
	} of[POLICY_SAID];
};
void	policy_said_init(struct policy_said *);
void	policy_said_fini(struct policy_said *);
/* policy_said_same - whether this is the instance of last time; false: nothing is remembered of it. "": a request that has none */
bool	policy_said_same(struct policy_said *, const char *instance);
/* policy_said_look - the answer to the same request; NULL: there was none, or it is forgotten. Borrowed until the next call */
const char *policy_said_look(const struct policy_said *, const struct buf *request);
void	policy_said_add(struct policy_said *, const struct buf *request, const char *action);

struct policy_asking;

/* policy_check.c */
/* policy_done_fn - action: never "", borrowed for the call; header: to be prepended if none was yet, instead of DUNNO; or NULL */
typedef void policy_done_fn(void *ctx, const char *action, const char *header);
struct policy_run {			/* a request on its way through the checks; the fields are policy_check's */
	const struct policy_request *req;
	struct policy_order order;
	unsigned next;
	bool	waits;			/* for one of these */
	struct greylist_wait *greylist;
	struct policy_asking *asking;
	char   *header;			/* heap; NULL: none */
	policy_done_fn *fn;
	void   *ctx;
};
/* policy_run_start - begin; fn is called once, perhaps before this returns
 * req       must stay as it is until fn was called, or the run was cancelled
 * returns   false when fn was called; true: it will be, unless the run is cancelled */
bool	policy_run_start(struct policy_run *, const struct policy_request *req, policy_done_fn *fn, void *ctx);
void	policy_run_cancel(struct policy_run *);		/* the client is gone; only while it waits */

/* policy_verify.c */
/* policy_asked_fn - action NULL: no opinion; else borrowed for the call */
typedef void policy_asked_fn(void *ctx, const char *action);
/* policy_verify_ask - verify req's sender or recipient; req borrowed for the call
 * returns   NULL: *action_r is set, as policy_asked_fn has it, good until the next call; else fn will be called once, later,
 *	     unless this is cancelled */
struct policy_asking *policy_verify_ask(enum policy_check, const struct policy_request *, policy_asked_fn *, void *ctx,
	    const char **action_r);
void	policy_verify_cancel(struct policy_asking **);

#endif
