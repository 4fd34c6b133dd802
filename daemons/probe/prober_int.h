/* daemons/probe/prober_int.h - what prober.c (probes), dest.c (destinations) and session.c (sessions) share */
#ifndef PROBE_PROBER_INT_H
#define PROBE_PROBER_INT_H

#include "prober.h"

#define TARGET_MAX	32		/* servers of a destination that are tried: bits of probe.tried */

/* an answer that is kept: the last one of those that were not final */
struct result {
	enum verify_status status;
	enum smtp_cat cat;
	const char *rule;		/* static */
	char	 dsn[12];
	enum smtp_at at;
	unsigned code;
	bool	 backup_mx, elsewhere;	/* elsewhere: of a server that says it is not responsible */
	enum dialogue_catchall catchall;
	unsigned asked;			/* addresses asked before in that session */
	char	*relay, *tls;		/* of the session; "none", "" */
	char	 text[];
};

struct sender {				/* shared by the probes that have it */
	unsigned refs;
	char	 text[];
};

enum probe_state {
	PROBE_WAITING,			/* in its destination's queue */
	PROBE_ASKED,			/* a session has it */
	PROBE_REPORTING,		/* the report was handed over, prober_taken has not come */
	PROBE_SLEEPING,			/* reported; its timer asks again */
};

struct probe {
	RB_ENTRY(probe) node;		/* pr->probes, by addr */
	TAILQ_ENTRY(probe) link;	/* dest->queue, or pr->answers */
	struct prober *pr;
	struct dest *dest;		/* NULL: answered by routing */
	struct session *session;	/* PROBE_ASKED */
	struct sender *sender;
	struct result *result;		/* the best so far; the one to be reported */
	struct ev_timer timer;
	int64_t	 born_ms, began_ms, first_ms;	/* submitted; this attempt; first greylist answer (0: none) */
	char	 id[PROBER_ID_MAX];
	uint32_t tried;			/* bits: targets of dest that have answered in this attempt */
	enum probe_state state;
	unsigned char sessions;		/* of this attempt that got as far as a hello */
	unsigned char grey;		/* next step of the schedule */
	bool	 attempt;		/* began_ms is set, dest->attempts counts it */
	bool	 afresh;		/* was put back once because of the session, not of itself */
	bool	 need_tls;		/* the server insists */
	bool	 again;			/* asked again after a report */
	bool	 utf8;
	const char *rcpt, *final;	/* behind addr; final NULL when it is the same */
	char	 addr[];
};
TAILQ_HEAD(probes, probe);
RB_HEAD(probe_tree, probe);

struct target {				/* one server of a destination */
	struct peer peer;
	struct mx_addr addr;
	unsigned port;
	uint32_t pref;
	bool	 backup;
	char	*name;
	char	*path;			/* UNIX socket */
};

struct dest {
	RB_ENTRY(dest) node;
	TAILQ_ENTRY(dest) idle;
	struct prober *pr;
	struct wait_link wait;		/* pr->ready, or the list of whoever has no room for us */
	struct wait_list *woken_by;	/* pass its room on if we do not use it */
	bool	 own, lmtp, is_idle;
	struct probes queue;
	size_t	 refs;			/* probes */
	size_t	 attempts;		/* probes in the middle of an attempt: targets must stay */
	LIST_HEAD(, session) sessions;
	unsigned sessions_n, quitting_n;
	/* targets */
	struct target *target;
	size_t	 targets_n;
	int64_t	 targets_until_ms;
	struct mx_lookup *lookup;
	const char *hop;		/* the rest of nexthop that is still to be looked up */
	unsigned hops, hop_port;
	uint32_t ttl_s;
	struct result *failure;		/* no targets: why */
	/* manners and knowledge */
	struct bucket bucket;
	struct ev_timer timer;		/* a token will be there */
	struct backoff down;
	char	*why;
	int64_t	 sender_until_ms;	/* until then the other sender is the better one */
	int64_t	 catchall_until_ms;
	enum dialogue_catchall catchall;
	unsigned session_probes;	/* 0: as configured; else what they stand */
	const char *nexthop;		/* behind key */
	char	 key[];			/* "smtp:example.org" */
};
RB_HEAD(dest_tree, dest);
RB_PROTOTYPE(dest_tree, dest, node, dest_cmp)

struct session {
	LIST_ENTRY(session) link;
	TAILQ_ENTRY(session) idle;	/* pr->idle_sessions, while is_idle */
	struct dest *dest;
	unsigned target;		/* index in dest->target; of the question being asked */
	struct peer peer;		/* references of its own */
	char	*relay;			/* NAME[ADDR]:PORT */
	struct smtp_dialogue *dialogue;
	struct probe *probe;		/* being asked */
	struct ev_timer timer;		/* idle */
	int64_t	 born_ms, asked_ms;
	unsigned asked, rejected;
	bool	 backup, ready, quitting, encrypt, is_idle;
};

struct prober {
	struct ev_loop *loop;
	const struct prober_conf *conf;
	struct dns *dns;
	prober_report_fn *report;
	void	*ctx;
	struct manners *manners;
	struct smtp_dialogue_conf dialogue[2][2][3];	/* own route, LMTP, level of TLS */
	struct probe_tree probes;
	struct probes answers;		/* routing knew it all */
	struct sender *sender;		/* the last one used */
	struct dest_tree dests;
	TAILQ_HEAD(, session) idle_sessions;	/* idle for the longest time first */
	TAILQ_HEAD(, dest) idle;	/* least recently used first */
	size_t	 idle_n;
	struct wait_list ready, session_room, lookup_room;
	struct ev_defer kick;
	bool	 closing;
	int64_t	 brake_until_ms;
	struct prober_stat stat;
};

/* prober.c */
void	prober_kick(struct prober *);
struct result *result_new(enum verify_status, enum smtp_cat, const char *rule, const char *dsn, const char *relay,
	    const char *text);
void	result_free(struct result **);
void	probe_begin(struct probe *);				/* an attempt */
void	probe_wait(struct probe *, bool first);			/* into the queue of its destination */
void	probe_keep(struct probe *, struct result **);		/* remember, unless what is there is better */
void	probe_finish(struct probe *, enum smtp_then);		/* report the result it has */

/* dest.c */
struct dest *dest_get(struct prober *, const struct route *);
void	dest_unref(struct dest **);
void	dest_free(struct dest *);
void	dest_run(struct dest *);
void	dest_ready(struct dest *);
void	dest_idle_check(struct dest *);
int	dest_cmp(const struct dest *, const struct dest *);
void	prober_wake(struct prober *, struct wait_list *);	/* the first one that waits there may try */
struct result *dest_suspended(struct dest *, int64_t until_ms, const char *why);

/* session.c */
struct session *session_open(struct dest *, unsigned target, struct probe *);
void	session_ask(struct session *, unsigned target, struct probe *);
void	session_quit(struct session *);
void	session_make_room(struct prober *, const struct wait_list *);	/* an idle session that takes the place waited for ends */
void	session_free(struct session *);				/* drops the connection */

#endif
