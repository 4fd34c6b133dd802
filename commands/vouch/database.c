/* commands/vouch/database.c - a command's connection to the database: ask, and wait for the answer */
#include "database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <global/db_conf.h>
#include <util/mem.h>
#include <util/units.h>

#define DATABASE_CONNECT_MS	5000	/* one host */
#define DATABASE_ANSWER_MS	600000	/* a statement may go over a large table */

struct database {
	struct ev_loop *loop;
	const struct pg_lib *lib;
	struct db_conf *conf;
	struct pg *pg;
	bool	 up, answered;
	unsigned failures;
	char	 where[256], why[PG_WHY_MAX], sqlstate[6];
	struct database_answer answer;
	char   **cells;			/* NULL: null */
	size_t	*lengths;
	int	 cells_n;
};

static const char *
database_check(void *ctx, const struct pg_reply *r)
{
	(void) ctx;
	return r->result == PG_DONE ? NULL : r->why;
}

static void
database_event(void *ctx, enum pg_event event, const char *where, const char *why)
{
	struct database *d = ctx;

	d->up = event == PG_UP;
	snprintf(d->where, sizeof d->where, "%s", where);
	if (event == PG_DOWN) {
		d->failures++;
		snprintf(d->why, sizeof d->why, "%s", why);
	}
}

struct database *
database_open(const char *value, struct buf *why)
{
	struct pg_conf pc = {
		.check_sql = "SELECT 1", .connect_ms = DATABASE_CONNECT_MS, .stall_ms = DATABASE_ANSWER_MS,
		.pause_min_ms = DATABASE_CONNECT_MS, .pause_max_ms = DATABASE_CONNECT_MS,
		.settled_ms = DATABASE_CONNECT_MS, .sent_max = 1,
	};
	struct database *d = mem_alloc(sizeof *d);
	const char *reason;

	if ((d->lib = pg_lib_load(&reason)) == NULL)
		buf_adds(why, reason);
	else if ((d->conf = db_conf_read(d->lib, value, "vouch", why)) != NULL) {
		pc.hosts = d->conf->hosts;
		pc.hosts_n = d->conf->hosts_n;
		d->loop = ev_loop_new();
		d->pg = pg_new(d->loop, d->lib, &pc, database_check, database_event, d);
		while (!d->up && d->failures < pc.hosts_n)
			ev_turn(d->loop, -1);
		if (d->up)
			return d;
		buf_addf(why, "%s: %s", d->where, d->why);
	}
	database_close(&d);
	return NULL;
}

static void
database_empty(struct database *d)
{
	for (int i = 0; i < d->cells_n; i++)
		mem_free(&d->cells[i]);
	mem_free(&d->cells);
	mem_free(&d->lengths);
	d->cells_n = 0;
}

void
database_close(struct database **dp)
{
	struct database *d = *dp;

	if (d == NULL)
		return;
	pg_free(&d->pg);
	ev_loop_free(&d->loop);
	db_conf_free(&d->conf);
	database_empty(d);
	mem_free(dp);
}

const char *
database_where(const struct database *d)
{
	return d->where;
}

static void
database_done(void *ctx, const struct pg_reply *r)
{
	struct database *d = ctx;
	const struct pg_lib *lib = d->lib;
	struct database_answer *a = &d->answer;
	int	i = 0;

	d->answered = true;
	a->result = r->result;
	snprintf(d->why, sizeof d->why, "%s", r->why);
	snprintf(d->sqlstate, sizeof d->sqlstate, "%s", r->sqlstate);
	if (r->result != PG_DONE || r->res == NULL)
		return;
	a->rows = lib->ntuples(r->res);
	a->columns = lib->nfields(r->res);
	d->cells_n = a->rows * a->columns;
	d->cells = mem_array((size_t) d->cells_n, sizeof *d->cells);
	d->lengths = mem_array((size_t) d->cells_n, sizeof *d->lengths);
	for (int row = 0; row < a->rows; row++)
		for (int column = 0; column < a->columns; column++, i++)
			if (!lib->getisnull(r->res, row, column)) {
				d->lengths[i] = (size_t) lib->getlength(r->res, row, column);
				d->cells[i] = mem_alloc(d->lengths[i] + 1);
				memcpy(d->cells[i], lib->getvalue(r->res, row, column), d->lengths[i]);
			}
}

bool
database_ask(struct database *d, const char *sql, const struct pg_args *args, struct database_answer *a)
{
	database_empty(d);
	d->answer = (struct database_answer) { .result = PG_LOST, .sqlstate = d->sqlstate, .why = d->why };
	d->sqlstate[0] = 0;
	d->answered = false;
	if (pg_send(d->pg, sql, args, DATABASE_ANSWER_MS, database_done, d))
		while (!d->answered)
			ev_turn(d->loop, -1);
	else if (d->why[0] == 0)
		snprintf(d->why, sizeof d->why, "connection lost");
	*a = d->answer;
	return a->result == PG_DONE;
}

const char *
database_text(const struct database *d, int row, int column)
{
	const char *s = d->cells[row * d->answer.columns + column];

	return s != NULL ? s : "";
}

size_t
database_length(const struct database *d, int row, int column)
{
	return d->lengths[row * d->answer.columns + column];
}

int64_t
database_int(const struct database *d, int row, int column)
{
	int64_t n;

	return units_int_parse(database_text(d, row, column), &n) ? n : 0;
}

int64_t
database_stamp(struct database *db, const char *newest)
{
	struct database_answer a;
	struct timespec ts;
	int64_t now, highest = 0;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	if (database_ask(db, newest, NULL, &a) && a.rows == 1)
		highest = database_int(db, 0, 0);
	return highest >= now ? highest + 1 : now;
}
