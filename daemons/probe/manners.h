/* daemons/probe/manners.h - how much we ask of whom, and when we leave somebody alone
 * source: spec probe sections 5, 10 and 11. A host is one server address; a provider is who runs many of them, told by the
 * name of the exchange: thousands of domains share one. Pure book-keeping: no sockets, no timers, the caller gives
 * the time (monotonic ms). Everything is forgotten on exit; the tables are bounded, the least recently used goes.
 */
#ifndef PROBE_MANNERS_H
#define PROBE_MANNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include <global/mx.h>
#include <global/smtp_class.h>

/* back-off: suspended until, and for longer each time; over when something succeeds */
struct backoff {
	int64_t	 until_ms;		/* 0: never hit */
	unsigned level;			/* hits in a row; > 0 and the time is up: half open, one may try */
};
void	backoff_hit(struct backoff *, int64_t base_ms, int64_t max_ms, int64_t now_ms);
void	backoff_clear(struct backoff *);
bool	backoff_on(const struct backoff *, int64_t now_ms);
bool	backoff_half_open(const struct backoff *, int64_t now_ms);

/* token bucket: `burst` at once, `rate` per minute */
struct bucket {
	int64_t	 filled_ms;
	double	 tokens;
};
/* bucket_wait - 0: there is a token; else ms until there is one; rate 0: no limit */
int64_t	bucket_wait(struct bucket *, unsigned rate, unsigned burst, int64_t now_ms);
void	bucket_take(struct bucket *);

struct host;
struct provider;
/* those who wait for a place: destinations, in order */
struct wait_link { TAILQ_ENTRY(wait_link) link; struct wait_list *on; };
struct wait_list {
	TAILQ_HEAD(, wait_link) head;
	struct host *host;		/* whose room is waited for; both NULL: somebody else's */
	struct provider *provider;
};
void	wait_list_init(struct wait_list *);
void	wait_on(struct wait_list *, struct wait_link *);	/* leaves the list it is on, if any */
void	wait_off(struct wait_link *);
struct wait_link *wait_first(struct wait_list *);

#define PROVIDER_WINDOW	40

struct provider {
	RB_ENTRY(provider) node;
	TAILQ_ENTRY(provider) lru;
	unsigned refs;			/* peers */
	unsigned sessions;
	struct bucket bucket;
	struct backoff policy, rate;
	char	*why;			/* text of the last refusal of us */
	uint64_t window;		/* last PROVIDER_WINDOW answers, 1 = unknown mailbox */
	unsigned window_n;
	unsigned unknown_n;		/* unknown mailboxes in the hour that began at unknown_ms */
	int64_t	 unknown_ms;
	int64_t	 hold_until_ms;		/* too many unknown mailboxes */
	int64_t	 policy_ms;		/* last rejection that was about us */
	int64_t	 answered_ms;		/* last answer about a mailbox */
	struct wait_list waiters;
	char	 name[];
};

struct host {
	RB_ENTRY(host) node;
	TAILQ_ENTRY(host) lru;
	unsigned refs;			/* peers */
	unsigned sessions;
	bool	 own;
	struct backoff dead;		/* cannot be reached */
	unsigned fails;			/* connections that failed in a row */
	char	*why;
	int64_t	 slow_until_ms;		/* one session at a time */
	int64_t	 plain_until_ms;	/* TLS is broken there: level may goes in clear */
	struct wait_list waiters;
	unsigned port;
	struct mx_addr addr;
	char	 path[];		/* UNIX socket, or "" */
};

/* a server as one exchange names it. Who gives a name to an address is not who answers there: what the provider of one name
 * said must not keep us from the same address under another name */
struct peer {
	struct host *host;
	struct provider *provider;	/* NULL on own routes */
};

struct manners_conf {
	unsigned host_sessions, own_host_sessions, provider_sessions;
	unsigned provider_rate, provider_burst;		/* probes per minute; 0: no limit */
	unsigned unknown_hour;				/* unknown mailboxes per hour; 0: no limit */
	int64_t	 unknown_hold_ms;
	int64_t	 policy_ms, policy_max_ms, rate_ms, rate_max_ms, dead_ms, dead_max_ms, own_dead_ms, own_dead_max_ms;
	unsigned dead_fails;				/* failures in a row until a host counts as dead */
	size_t	 limit;					/* unused hosts and providers kept */
};

struct manners;

struct manners *manners_new(const struct manners_conf *);	/* borrowed */
void	manners_free(struct manners **);

/* manners_peer - the records of one server, made when there are none; released with manners_unref
 * exchange  its name, which tells the provider; path NULL or a UNIX socket */
struct peer manners_peer(struct manners *, const struct mx_addr *, unsigned port, const char *path, const char *exchange, bool own);
void	manners_unref(struct manners *, struct peer *);

/* manners_room - whether one more session may be opened: NULL, or the list to wait on (never for suspended ones) */
struct wait_list *manners_room(struct manners *, const struct peer *, int64_t now_ms);
bool	manners_has_room(struct manners *, const struct wait_list *, int64_t now_ms); /* of the list's host or provider */
/* manners_token - 0, or how long (ms) until the provider may be asked again */
int64_t	manners_token(struct manners *, const struct peer *, int64_t now_ms);
void	manners_take(struct manners *, const struct peer *);	/* a probe is asked */
void	manners_open(const struct peer *);
void	manners_close(const struct peer *);
/* manners_suspended - the provider is left alone: until when (ms), why; 0: it is not */
int64_t	manners_suspended(const struct peer *, int64_t now_ms, const char **why_r);

/* what came back */
void	manners_reached(struct host *);				/* a connection, and a greeting */
void	manners_failed(struct manners *, struct host *, const char *why, int64_t now_ms); /* no connection */
void	manners_answer(struct manners *, const struct peer *, enum smtp_cat, const char *text, int64_t now_ms);
/* manners_blocked - providers that refused us lately, and how many others answered in that time (for the global brake) */
unsigned manners_blocked(const struct manners *, int64_t now_ms, int64_t window_ms, unsigned *others_r);

/* manners_provider_name - "aspmx.l.google.com" -> "google.com"; addresses: their network; written to out */
char	*manners_provider_name(char *out, size_t size, const char *exchange, const struct mx_addr *);

#endif
