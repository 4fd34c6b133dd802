/* global/address_ask.h - find out about an address: from this host's table, else from verify(8), waiting for its probe
 * For daemons that answer others. However many ask about an address, verify is asked once, and the probe is its affair. What
 * is known is answered at once, with the times of the record; a refresh that is due is asked for behind the answer.
 */
#ifndef GLOBAL_ADDRESS_ASK_H
#define GLOBAL_ADDRESS_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include <global/address_record.h>
#include <global/verify_store.h>
#include <util/evloop.h>

struct address_ask;
struct address_ask_entry;

enum address_from {
	ADDRESS_CACHE,			/* known */
	ADDRESS_PROBE,			/* a result that was waited for */
	/* no result; status is VERIFY_TODO */
	ADDRESS_IN_PROGRESS,		/* none in time */
	ADDRESS_BUSY,			/* too many wait already */
	ADDRESS_UNAVAILABLE,		/* verify does not answer */
};
enum { ADDRESS_FROMS = ADDRESS_UNAVAILABLE + 1 };
const char *address_from_name(enum address_from);	/* "in-progress" */

struct address_verdict {
	enum verify_status status;
	enum address_from from;
	const char *text;		/* the delivery agent's, or what is the matter; borrowed for the call */
	/* seconds since 1970: the result came; asking from then on starts a new probe. Without a record both are now, and
	 * without a result the second is a minute later */
	int64_t	 since_s, next_s;
};

struct address_ask_conf {
	struct verify_store *store;	/* this host's table, looked at only; borrowed */
	const char *verify_path;	/* "private/verify"; borrowed for address_ask_new */
	const struct address_rules *rules; /* borrowed */
	int64_t	 hold_ms;		/* address_verify_hold_time: verify may hold a query so long */
	int64_t	 query_ms;		/* limit for one query to it */
	int64_t	 idle_ms;		/* of a connection to it */
	size_t	 max_waiters;
	bool	 hears;			/* nobody is told "in progress" before verify has answered, or query_ms is over */
};

struct address_ask *address_ask_new(struct ev_loop *, const struct address_ask_conf *);
void	address_ask_free(struct address_ask **);	/* those who wait are not told */

struct address_asker {			/* the caller's; zeroed: waits for nothing */
	struct address_ask_entry *entry;
	TAILQ_ENTRY(address_asker) link;
	struct ev_timer timer;
	/* done: once, from the loop, unless address_ask_left came first */
	void	(*done)(struct address_asker *, const struct address_verdict *);
	/* is_gone: whether the one who asked may have left: asked when too many wait; NULL: never */
	bool	(*is_gone)(const struct address_asker *);
};

/* address_ask_start - find out about an address (unquoted, as verify(8) has it)
 * wait_ms   for a probe; 0: do not wait, but have it probed. With hears, verify's own answer is waited for all the same
 * returns   true: v_r is the verdict, done is not called; false: done will be called */
bool	address_ask_start(struct address_ask *, struct address_asker *, const char *addr, int64_t wait_ms, struct address_verdict *v_r);
void	address_ask_left(struct address_ask *, struct address_asker *);	/* one that does not wait is fine */
/* address_ask_end - the process is going: who waits is told "in progress" now, and nobody waits from now on */
void	address_ask_end(struct address_ask *);
bool	address_ask_ended(const struct address_ask *);

#endif
