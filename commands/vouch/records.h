/* commands/vouch/records.h - the records that list, export, import, forget and explain work on
 * In the database, when address_verify_map names one; in this host's cache otherwise, or with --local.
 */
#ifndef VOUCH_RECORDS_H
#define VOUCH_RECORDS_H

#include <global/address_record.h>
#include <global/verify_store.h>

#include "database.h"
#include "vouch.h"

struct records {
	struct params *params;
	struct address_rules rules;
	struct database *db;		/* NULL: none is configured, or it is not wanted */
	struct shmtab *table;		/* this host's, to look at; NULL: there is none yet */
	struct verify_store *store;	/* this host's, to change */
	int64_t	 now_s;
};

enum {
	RECORDS_DB = 1,			/* the database, if one is configured */
	RECORDS_LOOK = 2,		/* this host's cache; it need not be there */
	RECORDS_CHANGE = 4,		/* likewise, for writing: made when it is missing, with its owner's rights */
};

/* records_open - an exit code; when it is not VOUCH_DONE, that was said, and what could be opened is open */
int	records_open(struct records *, const struct vouch *, unsigned what);
void	records_close(struct records *);

/* records_become - the cache file must stay its owner's: root works on it as mail_owner; false: said */
bool	records_become(const char *owner);

struct record {
	const char *addr, *text;	/* NUL-terminated */
	enum verify_status status;
	int64_t	 probed_s, updated_s, forgot_s, origin;
	bool	 dirty;			/* this host's: the database does not have it yet */
};
/* records_each - every record, in no particular order for the cache, by address for the database
 * only	     NULL, an address, or @domain
 * local     look in this host's cache even though there is a database
 * fn	     false ends it
 * returns   an exit code, said */
typedef bool records_fn(void *ctx, const struct record *);
int	records_each(struct records *, const char *only, bool local, records_fn *, void *ctx);

/* record_status - by word or number; false: no such status */
bool	record_status(const char *, enum verify_status *);
const char *record_word(enum verify_status);	/* ok, defer, bounce, todo */

#endif
