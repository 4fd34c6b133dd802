/* daemons/probe/prober.h - all probes of the process: what waits, what is asked, what was found
 * source: spec probe. Probes are gathered by destination (transport and next hop); a destination has sessions, each
 * of which asks about one address after the other. Exactly one final report for each probe before its deadline, whatever
 * servers do. A greylisted probe is reported at once and asked again later; a later result is a further report.
 * Everything is bounded: probes by `pending_limit` (prober_add refuses), sessions, look-ups, destinations kept.
 */
#ifndef PROBE_PROBER_H
#define PROBE_PROBER_H

#include <stdbool.h>
#include <stdint.h>

#include <util/dns.h>
#include <util/evloop.h>
#include <global/mx.h>
#include <global/verify_proto.h>

#include "manners.h"
#include "route.h"
#include "smtp_dialogue.h"

#define PROBER_GREY_MAX	8

struct prober_conf {			/* borrowed for the life of the prober */
	struct route_conf route;
	struct mx_conf mx;
	struct manners_conf manners;
	struct smtp_client_conf client;	/* what all sessions share; tls and lmtp are set here for each */
	struct smtp_dialogue_conf dialogue;	/* likewise; client, own_route and pipelining are not looked at */
	enum smtp_tls_level tls, lmtp_tls;
	bool	 tls_demand;		/* clear text first, TLS when the server insists */
	bool	 own_pipelining, inet_pipelining;
	bool	 data_target, lmtp_data_target;
	unsigned smtp_port;
	unsigned session_limit;		/* of the process */
	unsigned dest_sessions, own_dest_sessions;
	unsigned session_probes, own_session_probes, session_rejects;
	int64_t	 session_age_ms, idle_ms, own_idle_ms;
	unsigned attempt_sessions;	/* smtp_mx_session_limit; 0 = none */
	unsigned domain_rate, domain_burst;	/* Internet routes: probes per minute */
	int64_t	 attempt_ms, deadline_ms;
	size_t	 pending_limit;		/* waiting, asked, or being reported */
	size_t	 sleep_limit;		/* greylisted, to be asked again */
	size_t	 dest_limit;		/* unused destinations kept */
	unsigned lookup_limit;
	bool	 best_mx_only;
	bool	 sender_fallback;
	const char *other_sender;	/* for servers that refuse the null sender; "" : none */
	enum { CATCHALL_OFF, CATCHALL_AUTO, CATCHALL_ALWAYS } catchall;
	enum verify_status catchall_status;
	const char *catchall_key;	/* secret for the names that cannot exist */
	int64_t	 grey_ms[PROBER_GREY_MAX];	/* pauses since the first answer; 0 ends the list */
	int64_t	 down_ms, down_max_ms;	/* a destination none of whose servers can be reached */
	int64_t	 plain_ms;		/* a server whose TLS is broken is asked in clear for so long (level may) */
	int64_t	 slow_ms, slow_hold_ms;	/* one that took longer gets one session at a time for so long */
	int64_t	 sender_ms, catchall_ms;	/* how long is remembered what a destination said to the sender, to random names */
	int64_t	 brake_window_ms, brake_ms;	/* this many providers refuse us: stop asking in the Internet */
	unsigned brake_providers;
	struct domain_list *never;	/* opted out: domains, and names of exchanges */
};

struct prober_report {
	const char *id;			/* of the submission */
	const char *addr;		/* as submitted */
	const char *final;		/* completed, when different; else NULL: gets the same result */
	enum verify_status status;
	enum smtp_cat cat;
	const char *rule, *text, *dsn;
	enum smtp_at at;
	unsigned code;
	const char *route;		/* "smtp:example.org" */
	const char *relay;		/* "mx1.example.org[192.0.2.7]:25", or "none" */
	const char *tls;		/* "TLSv1.3", or "" */
	bool	 backup_mx, again;	/* again: asked again after a greylist answer */
	enum dialogue_catchall catchall;
	unsigned asked;			/* how many were asked before in that session */
	int64_t	 waited_ms, took_ms;	/* in the queue; from then until now */
};
/* prober_report_fn - everything is borrowed for the call; prober_taken(addr) must follow when the report was delivered */
typedef void prober_report_fn(void *ctx, const struct prober_report *);

struct prober;

struct prober *prober_new(struct ev_loop *, const struct prober_conf *, struct dns *, prober_report_fn *, void *ctx);
void	prober_free(struct prober **);		/* not from a callback; probes are forgotten */

enum prober_add { PROBER_ADDED, PROBER_MERGED, PROBER_FULL };
/* prober_add - addr as submitted, sender for MAIL FROM ("" null), id for the log (at most PROBER_ID_MAX - 1 bytes);
 * waited_ms: how long it was under way before */
#define PROBER_ID_MAX	16
enum prober_add prober_add(struct prober *, const char *addr, const char *sender, const char *id, int64_t waited_ms);
/* prober_taken - the report about addr was delivered; the probe ends here, unless it is to be asked again */
void	prober_taken(struct prober *, const char *addr);

struct prober_stat {
	size_t	 pending;		/* waiting + asked + being reported */
	size_t	 waiting, asked, reporting, sleeping, sessions, destinations, lookups;
	uint64_t added, merged, refused, reports, sessions_opened, connect_failures, again, expired;
	uint64_t by_status[VERIFY_STATUSES];
	uint64_t by_cat[SMTP_CAT_COUNT];
};
void	prober_stat(const struct prober *, struct prober_stat *);
/* prober_stop - attempts under way go on to their end; each probe that only waits is offered to `give`, which says whether
 * somebody else takes it; those that were greylisted, and reported, are forgotten */
void	prober_stop(struct prober *, bool (*give)(const char *addr));

#endif
