/* global/greylist_store_int.h - what greylist_store.c and greylist_house.c share; for them alone */
#ifndef GLOBAL_GREYLIST_STORE_INT_H
#define GLOBAL_GREYLIST_STORE_INT_H

#include <bsd/sys/queue.h>

#include <global/greylist_db.h>
#include <global/greylist_lots.h>
#include <global/greylist_store.h>
#include <global/greylist_text.h>

#define GREYLIST_TEXTS	8192		/* records of this process: those that wait for the database, and more */

struct greylist_look;
struct greylist_look_key {
	struct greylist_look *look;
	struct greylist_record *record;
};
struct greylist_look {				/* one decision waits for the database */
	TAILQ_ENTRY(greylist_look) link;
	struct greylist_store *s;
	greylist_looked_fn *fn;
	void   *ctx;
	unsigned open;
	bool	failed;
	struct greylist_known known;
	struct greylist_look_key key[4];
};

struct greylist_store {
	struct shmtab *known, *pending;
	struct greylist_store_conf conf;
	struct greylist_hash *hash;
	struct greylist_lots lots;
	unsigned char secret[GREYLIST_SECRET_LEN];
	struct ev_loop *loop;			/* with a database only, as the rest */
	struct db_store *db;
	struct greylist_db db_ctx;
	struct greylist_texts *texts;
	TAILQ_HEAD(, greylist_look) looks;
	uint64_t never_retried;			/* removed in this round, where there is no database */
	int64_t	house_ms;			/* the last step through the tables */
};

/* greylist_house.c */
void	greylist_house_secret_init(struct greylist_store *, struct buf *why);
/* greylist_house_secret_share - there is a database now: offer it our secret, and hear what it has */
void	greylist_house_secret_share(struct greylist_store *);

#endif
