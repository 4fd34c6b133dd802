/* global/db_conf.h - how to reach the database: a value such as address_verify_map, as keywords for libpq
 *	pgsql:/path/file		parameters in the manner of pgsql_table(5), or conninfo = ...
 *	pgsql:postgresql://user@host/db	a URI
 *	pgsql:host=a,b dbname=vouch	a connection string
 * A password in any of them is shown nowhere: reasons never quote the value, and what shows configuration
 * shows it through db_conf_hide.
 */
#ifndef GLOBAL_DB_CONF_H
#define GLOBAL_DB_CONF_H

#include <stdbool.h>

#include <util/buf.h>
#include <util/pg.h>

#define DB_CONF_PREFIX	"pgsql:"
#define DB_CONF_HOSTS	16
#define DB_CONF_FILE_MAX (64u << 10)

struct db_conf {
	struct pg_host *hosts;		/* one for each host that was named */
	unsigned hosts_n;
	void   *strings;		/* what they point to */
};

/* db_conf_is - whether a value names a database of the kind that we can use */
bool	db_conf_is(const char *value);
/* db_conf_read - app is what the server shows as the name of the application
 * why	     on failure one line that names the remedy and quotes nothing secret
 * returns   NULL on failure */
struct db_conf *db_conf_read(const struct pg_lib *, const char *value, const char *app, struct buf *why);
void	db_conf_free(struct db_conf **);
/* db_conf_hide - append the value with every password in it as *** */
void	db_conf_hide(struct buf *out, const char *value);

#endif
