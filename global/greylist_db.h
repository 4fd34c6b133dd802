/* global/greylist_db.h - greylisting records in PostgreSQL: their rules for db_store.h
 * The table vouch_greylist (conf/schema.sql). Writing a row unites it with what is there, by the rules of greylist_record_merge, and
 * returns the result. `forgot` is when it was last forgotten: what began before counts for nothing.
 * A text of db_row is: members, client, sender, recipient, parted by the character GREYLIST_DB_SEPARATOR; of rows that come
 * from the database it is the members alone. A member is eight hexadecimal digits and a comma.
 * The row GREYLIST_DB_SECRET holds the secret of the site, in hexadecimal: the first who writes it decides.
 */
#ifndef GLOBAL_GREYLIST_DB_H
#define GLOBAL_GREYLIST_DB_H

#include <global/db_store.h>
#include <global/greylist_record.h>

#define GREYLIST_DB_SECRET	"!secret"
#define GREYLIST_DB_SEPARATOR	'\037'
#define GREYLIST_DB_FORGET_S	(24 * 3600)	/* how long the database remembers what was forgotten */

enum { GREYLIST_DB_BEGUN, GREYLIST_DB_SEEN, GREYLIST_DB_TRIES, GREYLIST_DB_PASSED, GREYLIST_DB_FORGOT, GREYLIST_DB_NUMS };

/* the context of the kind */
struct greylist_db {
	const struct greylist_rules *rules;
	/* text: client, sender and recipient of a record for people, parted as above; "" when they are not known */
	const char *(*text)(void *ctx, const char *id, size_t id_len);
	void	 (*written)(void *ctx, const char *id, size_t id_len);	/* with that text; may be NULL */
	bool	 (*may_clean)(void *ctx);
	void	 (*up)(void *ctx);		/* may be NULL */
	void	*ctx;
	uint64_t never_retried;		/* removed in this run */
};

extern const struct db_kind greylist_db_kind;

/* greylist_db_key - whether a key can be one of ours; greylist_db_record - the record in a row; kind 0 when it was forgotten */
bool	greylist_db_key(const char *key, size_t key_len);
bool	greylist_db_record(const struct db_row *, struct greylist_record *);

/* statements for commands: the parameters are named in greylist_db.c */
extern const char greylist_db_forget_sql[], greylist_db_put_sql[];

#endif
