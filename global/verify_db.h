/* global/verify_db.h - address status in PostgreSQL: verify(8)'s rules for db_store.h
 * The table vouch_address (conf/schema.sql): status, probed, updated and text are the fields of address_record.h;
 * `forgot` is when the address was last forgotten: news from before that count for nothing.
 * A row whose key is @domain says so of all addresses in that domain. It has no other content; addresses that begin
 * with @ are therefore not kept in the database.
 */
#ifndef GLOBAL_VERIFY_DB_H
#define GLOBAL_VERIFY_DB_H

#include <global/address_record.h>
#include <global/db_store.h>

enum { VERIFY_DB_STATUS, VERIFY_DB_PROBED, VERIFY_DB_UPDATED, VERIFY_DB_FORGOT, VERIFY_DB_NUMS };

#define VERIFY_DB_FORGET_S	(24 * 3600)	/* how long the database remembers what was forgotten */

/* the statements' context: the rules; borrowed */
extern const struct db_kind verify_db_kind;

/* verify_db_key - whether an address can be a key in the database */
bool	verify_db_key(const char *key, size_t key_len);
/* verify_db_domain - the domain of an address, "" when it has none; borrowed from key */
const char *verify_db_domain(const char *key, size_t key_len, size_t *len_r);

/* statements for commands: the parameters are named in verify_db.c */
extern const char verify_db_forget_sql[], verify_db_forget_range_sql[], verify_db_put_sql[];

#endif
