/* util/pg.h - one asynchronous PostgreSQL connection that keeps itself alive
 * Non-blocking libpq in pipeline mode on our event loop. It connects by itself, to one of several hosts in turn; lets
 * the caller examine the server before anything else is sent; comes back after a loss with growing, jittered pauses.
 * Every wait has a deadline: connecting, each request, and the connection as a whole, which is given up when the
 * server owes an answer and sends nothing. The caller asks pg_ready before it lets anyone wait for a request.
 * Not a pool and not a queue: what cannot be sent now is refused at once.
 * A request is done when the server has committed it, not when it has executed it.
 */
#ifndef UTIL_PG_H
#define UTIL_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <util/evloop.h>
#include <util/pg_args.h>
#include <util/pg_lib.h>

#define PG_KEYS_MAX	64		/* keywords of a connection string; libpq knows about 40 */
#define PG_WHY_MAX	240		/* bytes of a reason */

struct pg;

/* One way to reach the database: keywords and values for libpq, one host each */
struct pg_host {
	const char *keys[PG_KEYS_MAX + 1], *values[PG_KEYS_MAX + 1];	/* NULL-terminated */
	const char *where;		/* for log lines: no secrets in it */
};

struct pg_conf {			/* borrowed: must outlive the connection */
	const struct pg_host *hosts;
	unsigned hosts_n;
	const char *check_sql;		/* asked first on each connection; no parameters */
	int64_t	 connect_ms;		/* one attempt, the answer to check_sql included */
	int64_t	 stall_ms;		/* silence of a server that owes an answer */
	int64_t	 pause_min_ms, pause_max_ms; /* between rounds of attempts: doubled each time, and jittered */
	int64_t	 settled_ms;		/* a connection that lived so long makes the next pause short again */
	unsigned sent_max;		/* requests under way */
};

enum pg_outcome {
	PG_DONE,			/* executed and committed; res has the rows, if any */
	PG_REFUSED,			/* the server said no: sqlstate, why */
	PG_TIMEOUT,			/* no answer in time; it may be executed all the same, now or later */
	PG_LOST,			/* the connection was lost; likewise */
};

struct pg_reply {			/* valid during the callback */
	enum pg_outcome result;
	const PGresult *res;		/* PG_DONE; text format */
	const char *sqlstate;		/* five characters, "" when there is none */
	const char *why;		/* printable, one line; never holds a password */
};

typedef void pg_done_fn(void *ctx, const struct pg_reply *);
/* pg_check_fn - the answer to check_sql, DONE or REFUSED: NULL when this server will do, else why not (borrowed until the
 * next call) */
typedef const char *pg_check_fn(void *ctx, const struct pg_reply *);
/* pg_event_fn - the connection can be used now, or was lost, or an attempt failed (why); where is the host's */
enum pg_event { PG_UP, PG_DOWN };
typedef void pg_event_fn(void *ctx, enum pg_event, const char *where, const char *why);

/* pg_new - starts connecting from the loop; callbacks never come before this returns */
struct pg *pg_new(struct ev_loop *, const struct pg_lib *, const struct pg_conf *, pg_check_fn *, pg_event_fn *, void *ctx);
void	pg_free(struct pg **);		/* callbacks of requests under way are not run; not from inside a callback */
const struct pg_lib *pg_get_lib(const struct pg *);

/* pg_ready - a request sent now has a fair chance: connected, examined, room in the pipeline, and the server is
 * not behind with an answer that was due already */
bool	pg_ready(const struct pg *);
/* pg_send - one statement, by itself a transaction
 * args      may be NULL; read before this returns
 * returns   false when it cannot be sent now: then done is not called. Otherwise done is called once, later. */
bool	pg_send(struct pg *, const char *sql, const struct pg_args *args, int64_t timeout_ms, pg_done_fn *done, void *ctx);
/* pg_send_often - the same for a statement that goes often: the server parses it once on each connection. It is planned without
 * its values: for statements that leave no choice. Behind a pooler that gives each transaction another connection the statement
 * may be refused because of that (26000): send it again, from then on it goes as with pg_send.
 * sql	     a constant, alive as long as pg */
bool	pg_send_often(struct pg *, const char *sql, const struct pg_args *, int64_t timeout_ms, pg_done_fn *, void *ctx);
/* pg_cancel - forget the callbacks of all requests with this ctx; they are executed all the same */
void	pg_cancel(struct pg *, void *ctx);
/* pg_drop - the caller found the server to be of no use (read-only, another schema): leave it, and come back later */
void	pg_drop(struct pg *, const char *why);

/* pg_int - a whole number out of a result; false for NULL and anything else */
bool	pg_int(const struct pg_lib *, const PGresult *, int row, int column, int64_t *r);

#endif
