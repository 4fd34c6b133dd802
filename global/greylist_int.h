/* global/greylist_int.h - what the parts of greylisting share; for them alone
 *	greylist.c	   life
 *	greylist_decide.c  the order of decision
 *	greylist_answer.c  answers, log lines, counters
 *	greylist_dns.c	   DNS allow-lists
 */
#ifndef GLOBAL_GREYLIST_INT_H
#define GLOBAL_GREYLIST_INT_H

#include <bsd/sys/queue.h>

#include <global/addr_list.h>
#include <global/dnswl_sites.h>
#include <global/greylist.h>
#include <global/greylist_lists.h>
#include <global/greylist_store.h>
#include <util/dns.h>

enum greylist_mode { GREYLIST_ENFORCE, GREYLIST_OBSERVE, GREYLIST_MODE_OFF };
enum greylist_null { GREYLIST_NULL_DATA, GREYLIST_NULL_RCPT, GREYLIST_NULL_NEVER };

/* one decision; while it is being made at once its strings are borrowed, otherwise they are in greylist_wait.strings */
struct greylist_case {
	struct greylist_request req;		/* no NULL in it */
	struct client_addr addr;
	struct greylist_names names;
	struct greylist_ids ids;
	struct greylist_known known;
	bool	exclude, fallback;
	enum greylist_reason absent;		/* NEW or LATE: what it is to us */
	/* the outcome */
	enum greylist_reason reason;
	int64_t	left_s, delay_s;
	unsigned tries;
	const char *rule;
};

struct greylist_write {				/* the database is told of a new triplet */
	TAILQ_ENTRY(greylist_write) link;
	struct greylist *g;
	struct greylist_wait *w;		/* NULL: it was answered without */
};

struct greylist_wait {
	TAILQ_ENTRY(greylist_wait) link;
	struct greylist *g;
	struct greylist_case c;
	greylist_done_fn *fn;			/* NULL: nobody waits any more */
	void   *ctx;
	struct greylist_wait **slot;		/* the caller's */
	struct greylist_dns *dns;
	struct greylist_write *write;
	struct ev_timer timer;
	int64_t	begun_ms;
	char	rule[DNSWL_NAME_MAX + 1];
	char	strings[];
};

struct greylist {
	const struct params *params;
	struct ev_loop *loop;
	enum greylist_mode mode;
	enum greylist_null null_sender;
	bool	clear, log_known, fallback_greylist;
	const char *action;			/* DEFER_IF_PERMIT, DEFER, 4NN */
	int	code;
	struct addr_list *exempt;
	struct greylist_lists *lists;
	struct greylist_store *store;
	struct greylist_store_conf store_conf;
	int	data_dirfd, secret_dirfd;
	char   *secret_name;
	const struct pg_lib *pg;		/* with a database */
	struct db_conf *db;
	struct dnswl_sites *sites;
	struct dns *dns;
	TAILQ_HEAD(, greylist_wait) waits;
	TAILQ_HEAD(, greylist_write) writes;
	struct ev_timer house;
	bool	away;				/* the database: decided without it */
	uint64_t away_n;
	int64_t	away_ms;			/* the last time */
	/* keys and answers of the present decision */
	struct buf client, net, sender, recipient, action_text, text, text_domain, number, header, line;
	int64_t	text_wait_s;			/* what text says, with text_domain; 0: there is none */
};

/* greylist_decide.c: greylist_back - if the database was away, see whether it is back */
void	greylist_back(struct greylist *);

/* greylist_answer.c */
extern const enum greylist_verdict greylist_verdicts[GREYLIST_REASON_COUNT];
/* greylist_answer - fill in the result of a decided case, log and count it; strings are g's */
void	greylist_answer(struct greylist *, const struct greylist_case *, struct greylist_result *);

/* greylist_dns.c: dnswl_fn - site NULL: no list has the address */
typedef void greylist_dns_fn(void *ctx, const char *site);
struct greylist_dns *greylist_dns_ask(struct greylist *, const struct client_addr *, greylist_dns_fn *, void *ctx);
void	greylist_dns_free(struct greylist_dns **);

#endif
