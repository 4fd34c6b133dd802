/* global/greylist_store.h - greylisting records in this host's shared memory and, if there is one, in the database of all hosts
 * Joins greylist_record (rules), shmtab (bytes) and db_store: each change is one step for all workers of the host. Two tables
 * in data_directory, each half of the memory: what waits for its retry, and what is known. So a flood of new triplets can push
 * out other triplets that wait, and nothing else. Blocks at most for a shard lock (shmtab.h).
 * Records that the database does not have are pinned until it has them, unless half of a table is pinned already.
 */
#ifndef GLOBAL_GREYLIST_STORE_H
#define GLOBAL_GREYLIST_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <global/db_store.h>
#include <global/greylist_key.h>
#include <global/greylist_record.h>
#include <util/buf.h>
#include <util/evloop.h>
#include <util/shmtab.h>

#define GREYLIST_KNOWN_FILE	"greylist_known.vouch"		/* in data_directory */
#define GREYLIST_PENDING_FILE	"greylist_pending.vouch"

/* shared words of the first: the first is unused, so that a table of another kind is not taken for one */
enum {
	GREYLIST_WORD_KEYS = 1,		/* what the parameters that make keys were */
	GREYLIST_WORD_CLOCK,		/* wall clock less monotonic clock, seconds */
	GREYLIST_WORD_JUMPED,		/* monotonic second when that last went forward by far; 0: never */
	GREYLIST_WORD_HOUSE,		/* who goes through the tables, and when it last did */
	GREYLIST_WORD_PART,		/* how far */
	GREYLIST_WORD_WAITING,		/* records per kind at the last time round */
	GREYLIST_WORD_PASSED, GREYLIST_WORD_SENDERS, GREYLIST_WORD_DOMAINS, GREYLIST_WORD_CLIENTS,
	GREYLIST_WORD_WARNED,
	GREYLIST_WORD_COUNTING,		/* five more: the counts of this time round */
	GREYLIST_WORD_DB = 32,		/* those of db_store */
};

struct greylist_store;

struct greylist_store_conf {
	struct greylist_rules rules;
	struct greylist_key_conf keys;
	uint64_t bytes;				/* of both tables */
	bool	clear;				/* greylist_privacy: text may go to the database */
	int	secret_dirfd;			/* of greylist_secret_file; -1: the secret is not kept. Borrowed until closed */
	const char *secret_name;
};

/* greylist_store_open - dirfd is data_directory; -1: private memory
 * why	     what is degraded, one line each; the store is usable all the same */
void	greylist_store_open(struct greylist_store **, int dirfd, const struct greylist_store_conf *, struct buf *why);
void	greylist_store_close(struct greylist_store **);
/* greylist_store_keys - for daemons: note how keys are made; a line in why when the records were made otherwise */
void	greylist_store_keys(struct greylist_store *, struct buf *why);
/* greylist_store_connect - add the database; words and second of conf are set here */
void	greylist_store_connect(struct greylist_store *, struct ev_loop *, const struct db_store_conf *);
bool	greylist_store_shared(const struct greylist_store *);	/* there is a database */
bool	greylist_store_usable(const struct greylist_store *);	/* and it makes sense to wait for it now */

/* what a decision is about; keys as text, for people and for the hashes */
struct greylist_names {
	const char *client, *net, *sender, *domain, *recipient;	/* domain "": none */
};
struct greylist_ids {
	char	c[GREYLIST_ID_LEN + 1], d[GREYLIST_ID_LEN + 1], s[GREYLIST_ID_LEN + 1], t[GREYLIST_ID_LEN + 1];
	char	n[GREYLIST_ID_LEN + 1];
	bool	has_domain;
};
void	greylist_ids(struct greylist_hash *, const struct greylist_names *, struct greylist_ids *);
void	greylist_store_ids(struct greylist_store *, const struct greylist_names *, struct greylist_ids *);

/* greylist_store_get - what this host has; kind 0 where there is nothing
 * greylist_store_aim  comes before it, and best some other work between the two: memory takes its time */
#define GREYLIST_AIM_MAX	4
struct greylist_aim {
	size_t	n;
	struct shmtab_look look[GREYLIST_AIM_MAX];
	unsigned char value[GREYLIST_AIM_MAX][GREYLIST_VALUE_MAX];
};
void	greylist_store_aim(struct greylist_store *, const struct greylist_ids *, struct greylist_aim *);
void	greylist_store_get(struct greylist_store *, struct greylist_aim *, int64_t now_s, struct greylist_known *);
/* greylist_store_look - ask the database about all of it, with one statement
 * fn	     called once, later, within the time limit; all: every answer came. What was found is in k, and here, too
 * returns   false: cannot ask now, fn is not called */
typedef void greylist_looked_fn(void *ctx, bool all, const struct greylist_known *k);
bool	greylist_store_look(struct greylist_store *, const struct greylist_ids *, greylist_looked_fn *, void *ctx);

/* changes */
enum greylist_begun { GREYLIST_BEGUN, GREYLIST_THERE, GREYLIST_LOST };
/* greylist_store_begin - a triplet begins to wait. THERE: another worker was faster; it counts as one more attempt, and
 * *t_r is what holds now. LOST: no room, or the table is busy */
enum greylist_begun greylist_store_begin(struct greylist_store *, const struct greylist_ids *, const struct greylist_names *,
	    int64_t now_s, struct greylist_record *t_r);
/* greylist_store_written - after BEGUN: call fn, once, later, when the database has the triplet, or its time is up
 * returns   false: fn is not called, it will be written some time */
bool	greylist_store_written(struct greylist_store *, const struct greylist_ids *, db_write_fn *fn, void *ctx);
/* greylist_store_again - an early retry */
void	greylist_store_again(struct greylist_store *, const struct greylist_ids *, int64_t now_s);
/* greylist_store_pass - a good retry: its triplet is done, its sender, domain and client have proved themselves
 * exclude   greylist_auto_allow_exclude: only the triplet
 * returns   false when another worker has just done the same */
bool	greylist_store_pass(struct greylist_store *, const struct greylist_ids *, const struct greylist_names *, bool exclude,
	    int64_t now_s);
/* greylist_store_touch - the record of this id was seen again */
void	greylist_store_touch(struct greylist_store *, const char *id, const struct greylist_names *, int64_t now_s);
/* greylist_store_admit - one more triplet of this network waits; false: it must not */
bool	greylist_store_admit(struct greylist_store *, const struct greylist_ids *, int64_t now_s);

/* for commands: greylist_store_put unites a record with what is there; greylist_store_forget - 1 it is gone, 0 there was none,
 * -1 the table is busy */
bool	greylist_store_put(struct greylist_store *, const char *id, const struct greylist_record *, int64_t now_s);
int	greylist_store_forget(struct greylist_store *, const char *id);

/* greylist_store_house - every quarter of a second or so: follow replaced files and a changed secret, remove what has expired, in
 * small steps and by one worker of the host; -1 with why: private memory from now on */
int	greylist_store_house(struct greylist_store *, struct ev_loop *, struct buf *why);
bool	greylist_store_clock_ok(struct greylist_store *);	/* whether it is removed */
struct shmtab *greylist_store_table(struct greylist_store *, bool pending);	/* for statistics and commands */
struct greylist_hash *greylist_store_hash(struct greylist_store *);

#endif
