/* commands/vouch/database.h - a command's connection to the database: ask, and wait for the answer
 * The daemons' own connection (util/pg.h) with a loop that turns until the answer is there: the same hosts, the same
 * time limits.
 */
#ifndef VOUCH_DATABASE_H
#define VOUCH_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include <util/buf.h>
#include <util/pg.h>

struct database;

struct database_answer {		/* valid until the next question */
	enum pg_outcome result;
	const char *sqlstate, *why;
	int	 rows, columns;
};

/* database_open - connect to what a value such as address_verify_map names
 * why	     on failure: one line, no password in it
 * returns   NULL after each host was tried once */
struct database *database_open(const char *value, struct buf *why);
void	database_close(struct database **);
const char *database_where(const struct database *);

/* database_ask - true when the statement was executed; the answer is in *a either way. Long statements have their time. */
bool	database_ask(struct database *, const char *sql, const struct pg_args *, struct database_answer *a);
/* database_text, database_int - a cell of the last answer; NULL is "" and 0 */
const char *database_text(const struct database *, int row, int column);
size_t	database_length(const struct database *, int row, int column);
int64_t	database_int(const struct database *, int row, int column);
/* database_stamp - above every stamp in the database, so that all hosts see the news; newest: the kind's statement for the highest */
int64_t	database_stamp(struct database *, const char *newest);

#endif
