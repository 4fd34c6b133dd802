/* global/greylist.h - greylisting: what a daemon that asks whether a client shall come back later needs to know
 * One struct greylist per worker. It has the parameters greylist_*, the allow-lists (looked at again by itself when a
 * file changes), this host's records in shared memory and, with greylist_map, the database that all hosts share.
 * source: the order of decision is README_FILES/GREYLIST_README; each row of it has a reason below.
 *
 * What is asynchronous. greylist_decide answers at once (GREYLIST_NOW, a few microseconds) whenever an exemption, an allow-list
 * or a record in this host's memory decides, and always when there is neither a database nor greylist_dnswl_sites.
 * Otherwise it returns GREYLIST_LATER and calls back once, from the loop, never before it has returned, at the latest after
 * greylist_map_timeout plus greylist_dnswl_timeout. Nothing ever blocks.
 *
 * What is the caller's. A request that is repeated within its instance (same non-empty instance, state, sender, recipient
 * and client on one connection) must not be given to greylist_decide again: the caller answers what it answered before, and
 * DUNNO where that was PREPEND. Likewise the header of a result is for the first of an instance only: the caller knows
 * whether it has sent one, and uses `action` where it has. Decisions are logged and counted here.
 *
 * Life:  greylist_open, before privileges go and before the loop; greylist_start; greylist_close. A reload is another process
 * (multi_server.h), so parameters never change in one.
 */
#ifndef GLOBAL_GREYLIST_H
#define GLOBAL_GREYLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <global/params.h>
#include <util/buf.h>
#include <util/evloop.h>

struct greylist;
struct greylist_wait;			/* a decision that is under way */

enum greylist_verdict {
	GREYLIST_NO_OPINION,		/* DUNNO: not our business */
	GREYLIST_PASS,			/* DUNNO: looked at, and good */
	GREYLIST_DEFER,
};

/* REASON(id, word, verdict): word as in the log, in `vouch greylist show`, and in the counters (greylist_WORD) */
#define GREYLIST_REASONS(REASON) \
	REASON(OFF, "off", NO_OPINION) \
	REASON(STATE, "state", NO_OPINION) \
	REASON(EXEMPT_SASL, "exempt-sasl", NO_OPINION) \
	REASON(NO_CLIENT, "no-client", NO_OPINION) \
	REASON(EXEMPT_NETWORK, "exempt-network", NO_OPINION) \
	REASON(EXEMPT_CCERT, "exempt-ccert", NO_OPINION) \
	REASON(NO_RECIPIENT, "no-recipient", NO_OPINION) \
	REASON(NULL_SENDER, "null-sender", NO_OPINION) \
	REASON(ALLOW_CLIENT, "allow-client", PASS) \
	REASON(ALLOW_RECIPIENT, "allow-recipient", PASS) \
	REASON(ALLOW_SENDER, "allow-sender", PASS) \
	REASON(ALLOW_REGEXP, "allow-regexp", PASS) \
	REASON(KNOWN_CLIENT, "known-client", PASS) \
	REASON(KNOWN_DOMAIN, "known-domain", PASS) \
	REASON(KNOWN_SENDER, "known-sender", PASS) \
	REASON(KNOWN_TRIPLET, "known-triplet", PASS) \
	REASON(EARLY, "early", DEFER) \
	REASON(RETRY, "retry", PASS) \
	REASON(UNAVAILABLE, "store-unavailable", PASS) \
	REASON(ALLOW_DNS, "allow-dns", PASS) \
	REASON(PENDING_LIMIT, "pending-limit", DEFER)	/* PASS with greylist_delay = 0, as the next two */ \
	REASON(NEW, "new", DEFER) \
	REASON(LATE, "late", DEFER)

enum greylist_reason {
#define REASON(id, word, verdict) GREYLIST_##id,
	GREYLIST_REASONS(REASON)
#undef REASON
	GREYLIST_REASON_COUNT
};

/* What is known about one recipient, or about DATA. NULL and "" mean the same: not available. All borrowed for the call.
 * An unknown name is "unknown" or NULL. Nothing needs to be checked or made lower-case before. */
struct greylist_request {
	const char *state;		/* protocol_state: "RCPT" and "DATA" are decided about, others are not ours */
	const char *client_address;
	const char *client_name;	/* one that resolves both ways; never the reverse name alone */
	const char *sender;		/* "" is the null sender, as is "<>" */
	const char *recipient;
	const char *instance;		/* for the log */
	const char *sasl_username;
	const char *ccert_subject;	/* of a trusted certificate */
};

struct greylist_result {
	enum greylist_verdict verdict;
	enum greylist_reason reason;
	bool	 observed;		/* greylist_mode = observe: `action` is DUNNO whatever the verdict */
	/* the answer for the policy protocol: DUNNO, or greylist_action and greylist_text, expanded; never "" */
	const char *action;
	/* greylist_header, expanded, "Name: value"; NULL unless it is to be added: see "what is the caller's" */
	const char *header;
	/* for a front end that speaks SMTP itself: the reply to give when `deferred`, e.g. 450 "4.2.0 Greylisted, ..." */
	bool	 deferred;		/* verdict is DEFER and this is not observe mode */
	int	 code;			/* 450, or the number in greylist_action */
	const char *text;		/* greylist_text, expanded; NULL unless verdict is DEFER */
	/* the facts, for log lines and tests */
	const char *key;		/* pool name or net in use; "" when it was not looked at */
	int64_t	 left_s;		/* DEFER: until a retry passes */
	int64_t	 delay_s;		/* RETRY: since the first attempt */
	unsigned tries;			/* RETRY: attempts, this one included */
	const char *rule;		/* ALLOW_*: file:line, or the DNS zone; "" otherwise */
};

/* greylist_open - evaluate the parameters, read the allow-lists, find the files; before privileges and the root
 *	     directory change
 * params    must outlive it
 * app       what a database shows as the name of the application, e.g. "vouch/policy"
 * why       one line for each bad value ("parameter NAME: ..."); what is only degraded is logged and does not fail
 * returns   0, or -1: bad configuration */
int	greylist_open(struct greylist **, const struct params *, const char *app, struct buf *why);
/* greylist_start - open this host's records, connect to the database, start the timers */
void	greylist_start(struct greylist *, struct ev_loop *);
/* greylist_close - callbacks that are due are not run; what is not written to the database yet stays in the host's records */
void	greylist_close(struct greylist **);
/* greylist_busy - whether something is on its way to the database: worth waiting for, a little, before leaving */
bool	greylist_busy(const struct greylist *);
/* greylist_reread - look at the files of the allow-lists now, not at the next interval */
void	greylist_reread(struct greylist *);

/* greylist_done_fn - res is valid during the call, as long as it does not call greylist_decide itself */
typedef void greylist_done_fn(void *ctx, const struct greylist_result *res);
enum greylist_when { GREYLIST_NOW, GREYLIST_LATER };

/* greylist_decide - one decision, with all that follows from it: records, counters, one log line
 * res_r     NOW: the answer; its strings are valid until the next call for this greylist
 * wait_r    LATER: for greylist_cancel; NULL again when fn is called. The variable must live until then; NULL is fine
 * returns   NOW: fn will not be called. LATER: fn will be called once, later, unless it is cancelled. */
enum greylist_when greylist_decide(struct greylist *, const struct greylist_request *, struct greylist_result *res_r,
	    greylist_done_fn *fn, void *ctx, struct greylist_wait **wait_r);
/* greylist_cancel - the client is gone: fn is not called. The decision is still made and recorded, so that the retry that
 * will follow counts */
void	greylist_cancel(struct greylist_wait **);

const char *greylist_reason_word(enum greylist_reason);

/* greylist_preview - for commands, on a greylist that was opened and not started: what would be decided, without any change
 * known     what is known about it (greylist_record.h)
 * rule_r    as result.rule; left_r: seconds until a retry passes, where it would not now
 * returns   NEW also where the pending limit or a DNS allow-list would decide: they are not asked */
struct greylist_known;
enum greylist_reason greylist_preview(struct greylist *, const struct greylist_request *, const struct greylist_known *,
	    int64_t now_s, const char **rule_r, int64_t *left_r);

#endif
