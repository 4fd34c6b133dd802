/* tests/lib/fake_pg.h - a PostgreSQL server in the same process, behind the functions of util/pg_lib.h
 * One server for all connections of a test. What it answers is a function of the test's; answers become readable at
 * once, unless the server is frozen or told to keep them. Nothing here knows a clock.
 */
#ifndef TESTS_FAKE_PG_H
#define TESTS_FAKE_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <util/pg_lib.h>

enum fake_connect { FAKE_ACCEPT, FAKE_REFUSE, FAKE_HANG };

struct fake_param {			/* a parameter as it arrived */
	unsigned type;
	const char *data;
	size_t	    len;
};

struct fake_query {
	const char *sql;
	int	    n;
	const struct fake_param *param;
};

struct fake_answer;			/* filled by the test's function */
void	fake_row(struct fake_answer *, const char *first, ...);	/* one row: strings, NULL-terminated */
void	fake_row_v(struct fake_answer *, const char *const *cells, int n);
void	fake_error(struct fake_answer *, const char *sqlstate, const char *text);
/* fake_error_at_commit - the statement is executed, and fails when it is to be committed */
void	fake_error_at_commit(struct fake_answer *, const char *sqlstate, const char *text);
void	fake_silence(struct fake_answer *);	/* no answer to this one, nor to any later one */

typedef void fake_serve_fn(void *ctx, const struct fake_query *, struct fake_answer *);

struct fake_pg {
	enum fake_connect connect;
	bool	 frozen;		/* answers are made and kept; fake_thaw lets them out */
	unsigned connects;		/* attempts so far */
	unsigned queries;		/* statements so far */
	unsigned prepares;		/* statements prepared so far, on all connections */
	bool	 forgets;		/* knows no prepared statement: as behind a pooler, on another connection */
	char	 host[64];		/* value of "host" of the last attempt */
	fake_serve_fn *serve;
	void	*ctx;
};

extern struct fake_pg fake_pg;
extern const struct pg_lib fake_pg_lib;

void	fake_pg_reset(fake_serve_fn *, void *ctx);
void	fake_thaw(void);
void	fake_cut(void);			/* end of file on every connection */
void	fake_release(unsigned n);	/* frozen: let out the next n results */
unsigned fake_open(void);		/* connections not finished, results not cleared: 0 at the end of a test */

/* values of parameters */
int64_t	fake_int(const struct fake_query *, int i);			/* $(i + 1) */
int	fake_array_len(const struct fake_query *, int i);
int64_t	fake_array_int(const struct fake_query *, int i, int at);
/* fake_array_text - copied into buf as a string; returns buf */
char	*fake_array_text(const struct fake_query *, int i, int at, char *buf, size_t size);
char	*fake_text(const struct fake_query *, int i, char *buf, size_t size);

#endif
