/* util/pg.c - one asynchronous PostgreSQL connection that keeps itself alive
 *
 *	PAUSE --timer--> CONNECT --poll--> CHECK --answer--> READY
 *	  ^-----------------+-----------------+----------------+	any failure, each limited in time
 *
 * libpq closes and opens descriptors as it likes, inside any call; epoll must not lose track of one. So the loop
 * watches a duplicate of libpq's descriptor, which only we close.
 * Requests are answered in the order they were sent: `sent` is the pipeline. Each is followed by a Sync of its own,
 * so that each is a transaction of its own, and is finished by that Sync's result: only then is it committed.
 * A request whose time is up has lost its callback but keeps its place, until the server answers or is given up.
 */
#include "pg.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bsd/sys/queue.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/siphash.h>
#include <util/units.h>

#define PG_OFTEN	4		/* statements that go often, each prepared */

enum pg_state { PG_S_PAUSE, PG_S_CONNECT, PG_S_CHECK, PG_S_READY };

struct pg_req {
	TAILQ_ENTRY(pg_req) link;
	struct pg *pg;
	pg_done_fn *done;		/* NULL: nobody waits any more */
	void   *ctx;
	int64_t due_ms;
	struct ev_timer timer;
	PGresult *res;			/* so far */
	bool	failed, named;		/* named: a prepared statement */
	char	sqlstate[6], why[PG_WHY_MAX];
};

struct pg {
	struct ev_loop *loop;
	const struct pg_lib *lib;
	struct pg_conf conf;
	pg_check_fn *check;
	pg_event_fn *event;
	void   *ctx;

	enum pg_state state;
	unsigned host;			/* the one in use, or to be tried next */
	unsigned tried;			/* hosts that failed in this round */
	unsigned rounds;		/* failed rounds in a row: how long to pause */
	int64_t ready_ms;		/* since when READY */
	int64_t heard_ms;		/* when bytes came last */
	int64_t slow_ms;		/* first of a row of requests that got no answer in time; 0 = none */
	char	lost[PG_WHY_MAX];	/* reason of a loss found out inside a call */

	const char *often[PG_OFTEN];	/* prepared on this connection */
	unsigned often_n;
	bool	no_often;		/* a pooler is between us and the server */

	PGconn *conn;
	int	fd;			/* our duplicate */
	struct ev_io io;
	struct ev_timer timer;		/* PAUSE: its end. CONNECT, CHECK: their limit. READY: look for silence */
	struct ev_defer lose;
	TAILQ_HEAD(, pg_req) sent;
	unsigned sent_n;
};

static void	pg_readable(struct pg *);
static void	pg_connect(void *ctx);
static void	pg_enter(struct pg *, enum pg_state);

/* reasons */

/* pg_reason - the first line of libpq's text; what follows are guesses and hints */
static void
pg_reason(char *dst, size_t size, const char *text)
{
	char	line[4 * PG_WHY_MAX];

	snprintf(line, sizeof line, "%.*s", (int) strcspn(text, "\n"), text);
	msg_clean(dst, size, line);
}

/* requests */

/* pg_finish - answer and free the oldest request */
static void
pg_finish(struct pg *pg, struct pg_req *r, enum pg_outcome result)
{
	struct pg_reply reply = { .result = result, .res = r->res, .sqlstate = r->sqlstate, .why = r->why };
	pg_done_fn *done = r->done;

	TAILQ_REMOVE(&pg->sent, r, link);
	pg->sent_n--;
	ev_timer_cancel(pg->loop, &r->timer);
	if (done != NULL)
		done(r->ctx, &reply);
	pg->lib->clear(r->res);
	mem_free(&r);
}

static void
pg_req_late(void *ctx)
{
	struct pg_req *r = ctx;
	struct pg *pg = r->pg;
	struct pg_reply reply = { .result = PG_TIMEOUT, .sqlstate = "", .why = "no answer in time" };
	pg_done_fn *done = r->done;

	r->done = NULL;
	if (pg->slow_ms == 0)
		pg->slow_ms = ev_now_ms(pg->loop);
	if (done != NULL)
		done(r->ctx, &reply);
}

void
pg_cancel(struct pg *pg, void *ctx)
{
	struct pg_req *r;

	TAILQ_FOREACH(r, &pg->sent, link)
		if (r->ctx == ctx)
			r->done = NULL;
}

/* the end of a connection */

/* pg_close - give the connection up; the requests under way are answered LOST */
static void
pg_close(struct pg *pg)
{
	struct pg_req *r;

	ev_io_cancel(pg->loop, &pg->io);
	ev_defer_cancel(pg->loop, &pg->lose);
	if (pg->fd >= 0)
		close(pg->fd);
	pg->fd = -1;
	if (pg->conn != NULL)
		pg->lib->finish(pg->conn);
	pg->conn = NULL;
	pg->often_n = 0;
	while ((r = TAILQ_FIRST(&pg->sent)) != NULL) {
		if (!r->failed)
			snprintf(r->why, sizeof r->why, "connection lost");
		pg_finish(pg, r, PG_LOST);
	}
}

/* pg_lost - the attempt or the connection has failed: try the next host, or pause after the last
 * why       copied; a reason that the server gave earlier (pg->lost) is better */
static void
pg_lost(struct pg *pg, const char *why)
{
	char	text[PG_WHY_MAX];
	const char *where = pg->conf.hosts[pg->host].where;
	bool	was_ready = pg->state == PG_S_READY;

	snprintf(text, sizeof text, "%s", pg->lost[0] != 0 ? pg->lost : why);
	pg->lost[0] = 0;
	if (was_ready) {
		if (ev_now_ms(pg->loop) - pg->ready_ms >= pg->conf.settled_ms)
			pg->rounds = 0;
		pg->tried = 0;
	}
	pg->tried++;
	pg->host = (pg->host + 1) % pg->conf.hosts_n;
	pg->state = PG_S_PAUSE;			/* before the callbacks: they may ask pg_ready */
	pg_close(pg);
	pg_enter(pg, PG_S_PAUSE);
	pg->event(pg->ctx, PG_DOWN, where, text);
}

static void
pg_lose(void *ctx)
{
	pg_lost(ctx, "connection lost");
}

/* pg_lost_later - as pg_lost, from inside a call of ours that must not run callbacks */
static void
pg_lost_later(struct pg *pg, const char *why)
{
	if (pg->lost[0] == 0)
		snprintf(pg->lost, sizeof pg->lost, "%s", why);
	ev_defer_set(pg->loop, &pg->lose, pg_lose, pg);
}

void
pg_drop(struct pg *pg, const char *why)
{
	char	text[PG_WHY_MAX];

	if (pg->state != PG_S_READY)
		return;
	pg_reason(text, sizeof text, why);
	pg_lost_later(pg, text);
}

/* watching the descriptor */

static void
pg_io(void *ctx, int fd, unsigned events)
{
	struct pg *pg = ctx;

	(void) fd;
	if (pg->state == PG_S_CONNECT) {
		pg_connect(pg);
		return;
	}
	if (events & EV_WRITE) {
		switch (pg->lib->flush(pg->conn)) {
		case 0:
			ev_io_set(pg->loop, &pg->io, pg->fd, EV_READ, pg_io, pg);
			break;
		case 1:
			break;
		default:
			events |= EV_READ;	/* the server may have said why */
		}
	}
	if (events & EV_READ)
		pg_readable(pg);
}

/* pg_watch - watch libpq's present descriptor; false when there is none, or no room for a duplicate */
static bool
pg_watch(struct pg *pg, unsigned events)
{
	int	fd = pg->lib->socket(pg->conn);

	ev_io_cancel(pg->loop, &pg->io);
	if (pg->fd >= 0)
		close(pg->fd);
	pg->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (pg->fd < 0)
		return false;
	ev_io_set(pg->loop, &pg->io, pg->fd, events, pg_io, pg);
	return true;
}

/* sending */

bool
pg_ready(const struct pg *pg)
{
	const struct pg_req *r = TAILQ_FIRST(&pg->sent);

	return pg->state == PG_S_READY && !pg->lose.queued && pg->sent_n < pg->conf.sent_max &&
	    (r == NULL || r->due_ms > ev_now_ms(pg->loop));
}

/* pg_name - of a prepared statement: from its text, for behind a pooler others' statements have names, too */
static const char *
pg_name(char *name, size_t size, const char *sql)
{
	static const struct siphash_key key;

	snprintf(name, size, "vouch_%016llx", (unsigned long long) siphash(&key, sql, strlen(sql)));
	return name;
}

/* pg_prepare - 1: it can be sent by name, 0: it cannot, -1: the connection is lost */
static int
pg_prepare(struct pg *pg, const char *sql, const char *name, int n, const Oid *types)
{
	for (unsigned i = 0; i < pg->often_n; i++)
		if (pg->often[i] == sql)
			return 1;
	if (pg->no_often || pg->often_n == PG_OFTEN)
		return 0;
	if (pg->lib->sendPrepare(pg->conn, name, sql, n, types) != 1)
		return -1;
	pg->often[pg->often_n++] = sql;
	return 1;
}

static bool
pg_send_now(struct pg *pg, const char *sql, const struct pg_args *args, int64_t timeout_ms, bool often, pg_done_fn *done,
    void *ctx)
{
	const char *values[PG_ARGS_MAX];
	int	lengths[PG_ARGS_MAX], formats[PG_ARGS_MAX], n = args != NULL ? (int) args->n : 0, more;
	Oid	types[PG_ARGS_MAX];
	struct pg_req *r;
	char	why[PG_WHY_MAX], name[32];
	int	named = 0, sent = 0;

	if (args != NULL && (args->mem.full || args->left != 0))
		return false;
	for (int i = 0; i < n; i++) {
		values[i] = args->arg[i].len > 0 ? args->mem.data + args->arg[i].at : "";
		lengths[i] = (int) args->arg[i].len;
		types[i] = args->arg[i].type;
		formats[i] = 1;
	}
	if (often)
		named = pg_prepare(pg, sql, pg_name(name, sizeof name, sql), n, types);
	if (named == 1)
		sent = pg->lib->sendQueryPrepared(pg->conn, name, n, values, lengths, formats, 0);
	else if (named == 0)
		sent = pg->lib->sendQueryParams(pg->conn, sql, n, types, values, lengths, formats, 0);
	if (sent != 1 || pg->lib->pipelineSync(pg->conn) != 1 || (more = pg->lib->flush(pg->conn)) < 0) {
		pg_reason(why, sizeof why, pg->lib->errorMessage(pg->conn));
		pg_lost_later(pg, why);
		return false;
	}
	r = mem_alloc(sizeof *r);
	r->pg = pg;
	r->named = named == 1;
	r->done = done;
	r->ctx = ctx;
	r->due_ms = ev_now_ms(pg->loop) + timeout_ms;
	ev_timer_set(pg->loop, &r->timer, timeout_ms, pg_req_late, r);
	if (TAILQ_EMPTY(&pg->sent))
		pg->heard_ms = ev_now_ms(pg->loop);	/* it owes us nothing until now */
	TAILQ_INSERT_TAIL(&pg->sent, r, link);
	pg->sent_n++;
	if (more == 1)
		ev_io_set(pg->loop, &pg->io, pg->fd, EV_READ | EV_WRITE, pg_io, pg);
	return true;
}

bool
pg_send(struct pg *pg, const char *sql, const struct pg_args *args, int64_t timeout_ms, pg_done_fn *done, void *ctx)
{
	return pg_ready(pg) && pg_send_now(pg, sql, args, timeout_ms, false, done, ctx);
}

bool
pg_send_often(struct pg *pg, const char *sql, const struct pg_args *args, int64_t timeout_ms, pg_done_fn *done, void *ctx)
{
	return pg_ready(pg) && pg_send_now(pg, sql, args, timeout_ms, true, done, ctx);
}

/* receiving */

/* pg_often_refused - a prepared statement was: is it because of its being prepared? 0A000 is what PostgreSQL says when a column
 * has changed its type meanwhile; if a feature is really lacking, the statement itself will be told so */
static void
pg_often_refused(struct pg *pg, struct pg_req *r)
{
	static const char unknown[] = "26000", known[] = "42P05", changed[] = "0A000";

	if (!r->named || (strcmp(r->sqlstate, unknown) != 0 && strcmp(r->sqlstate, known) != 0 && strcmp(r->sqlstate, changed) != 0))
		return;
	snprintf(r->sqlstate, sizeof r->sqlstate, "%s", unknown);
	pg->no_often = true;
	pg->often_n = 0;
}

/* pg_take - one result from libpq belongs to the oldest request; false when it cannot be */
static bool
pg_take(struct pg *pg, struct pg_req *r, PGresult *res)
{
	const char *state, *text;

	switch (pg->lib->resultStatus(res)) {
	case PGRES_PIPELINE_SYNC:
		pg->lib->clear(res);
		if (r->done != NULL && !r->failed)
			pg->slow_ms = 0;
		pg_finish(pg, r, r->failed ? PG_REFUSED : PG_DONE);
		return true;
	case PGRES_TUPLES_OK:
	case PGRES_COMMAND_OK:
		pg->lib->clear(r->res);
		r->res = res;
		return true;
	case PGRES_FATAL_ERROR:
	case PGRES_PIPELINE_ABORTED:
		if (!r->failed) {
			state = pg->lib->resultErrorField(res, PG_DIAG_SQLSTATE);
			text = pg->lib->resultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
			snprintf(r->sqlstate, sizeof r->sqlstate, "%s", state != NULL ? state : "");
			pg_reason(r->why, sizeof r->why, text != NULL ? text : "connection lost");
			/* a server that goes down says so before it closes the connection */
			if (strncmp(r->sqlstate, "57P", 3) == 0)
				snprintf(pg->lost, sizeof pg->lost, "%s", r->why);
			pg_often_refused(pg, r);
		}
		r->failed = true;
		pg->lib->clear(res);
		return true;
	case PGRES_EMPTY_QUERY:
	case PGRES_BAD_RESPONSE:
	case PGRES_NONFATAL_ERROR:
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_COPY_BOTH:
	case PGRES_SINGLE_TUPLE:
		break;
	}
	pg->lib->clear(res);
	return false;
}

static void
pg_readable(struct pg *pg)
{
	struct pg_req *r;
	PGresult *res;
	char	why[PG_WHY_MAX];
	unsigned nothing = 0, results = 0;
	bool	alive = pg->lib->consumeInput(pg->conn) == 1;

	pg->heard_ms = ev_now_ms(pg->loop);
	pg_reason(why, sizeof why, alive ? "" : pg->lib->errorMessage(pg->conn));
	/* what arrived before the end is still good. A NULL ends each statement's results; two mean there are no more */
	while ((r = TAILQ_FIRST(&pg->sent)) != NULL && nothing < 2 && !pg->lib->isBusy(pg->conn)) {
		if (!alive && results++ > 4 * pg->conf.sent_max)
			break;			/* a dead connection may have the same error for ever */
		if ((res = pg->lib->getResult(pg->conn)) == NULL) {
			nothing++;
			continue;
		}
		nothing = 0;
		if (!pg_take(pg, r, res)) {
			alive = false;
			snprintf(why, sizeof why, "unexpected kind of answer");
			break;
		}
	}
	if (alive && pg->lib->status(pg->conn) == CONNECTION_OK) {
		/* on a request's behalf libpq may have noticed that output is left */
		if (pg->io.events == EV_READ && pg->lib->flush(pg->conn) == 1)
			ev_io_set(pg->loop, &pg->io, pg->fd, EV_READ | EV_WRITE, pg_io, pg);
		return;
	}
	if (why[0] == 0)
		pg_reason(why, sizeof why, pg->lib->errorMessage(pg->conn));
	pg_lost(pg, why[0] != 0 ? why : "connection lost");
}

/* time limits */

static void
pg_late(void *ctx)
{
	pg_lost(ctx, "no answer in time while connecting");
}

/* pg_watchdog - four times in stall_ms: does the server owe an answer, and is silent? does it only ever answer late? */
static void
pg_watchdog(void *ctx)
{
	struct pg *pg = ctx;
	int64_t now = ev_now_ms(pg->loop);

	ev_timer_set(pg->loop, &pg->timer, pg->conf.stall_ms / 4, pg_watchdog, pg);
	if (!TAILQ_EMPTY(&pg->sent) && now - pg->heard_ms >= pg->conf.stall_ms * 3 / 4)
		pg_lost(pg, "the server is silent");
	else if (pg->slow_ms != 0 && now - pg->slow_ms >= pg->conf.stall_ms)
		pg_lost(pg, "the server answers too slowly");
}

/* states */

static void
pg_enter(struct pg *pg, enum pg_state next)
{
	int64_t pause;

	pg->state = next;
	switch (next) {
	case PG_S_PAUSE:
		if (pg->tried < pg->conf.hosts_n) {
			ev_timer_set(pg->loop, &pg->timer, 0, pg_connect, pg);
			return;
		}
		pg->tried = 0;
		pause = pg->conf.pause_min_ms;
		for (unsigned i = 0; i < pg->rounds && pause < pg->conf.pause_max_ms; i++)
			pause *= 2;
		if (pause > pg->conf.pause_max_ms)
			pause = pg->conf.pause_max_ms;
		pg->rounds++;
		/* many workers on many hosts must not come back all at once */
		pause = pause / 2 + (int64_t) arc4random_uniform((uint32_t) pause / 2 + 1);
		ev_timer_set(pg->loop, &pg->timer, pause, pg_connect, pg);
		return;
	case PG_S_CONNECT:
		ev_timer_set(pg->loop, &pg->timer, pg->conf.connect_ms, pg_late, pg);
		return;
	case PG_S_CHECK:
		return;				/* within the time for connecting */
	case PG_S_READY:
		pg->ready_ms = ev_now_ms(pg->loop);
		pg->slow_ms = 0;
		ev_timer_set(pg->loop, &pg->timer, pg->conf.stall_ms / 4, pg_watchdog, pg);
		return;
	}
	msg_panic("pg_enter: state %d", (int) next);
}

static void
pg_checked(void *ctx, const struct pg_reply *reply)
{
	struct pg *pg = ctx;
	const char *why = NULL;

	switch (reply->result) {
	case PG_DONE:
	case PG_REFUSED:
		why = pg->check(pg->ctx, reply);
		break;
	case PG_TIMEOUT:		/* pg_late comes */
	case PG_LOST:
		return;
	}
	if (why != NULL) {
		pg_lost_later(pg, why);
		return;
	}
	pg_enter(pg, PG_S_READY);
	pg->event(pg->ctx, PG_UP, pg->conf.hosts[pg->host].where, "");
}

static void
pg_notice(void *ctx, const PGresult *res)
{
	(void) ctx;		/* libpq would print it on standard error */
	(void) res;
}

/* pg_connected - libpq has a connection: examine it */
static void
pg_connected(struct pg *pg)
{
	pg_enter(pg, PG_S_CHECK);
	if (!pg_watch(pg, EV_READ))
		pg_lost(pg, "no file descriptor left");
	else if (pg->lib->setnonblocking(pg->conn, 1) != 0 || pg->lib->enterPipelineMode(pg->conn) != 1)
		pg_lost(pg, "pipeline mode refused");
	else
		/* twice the limit: connect_ms is the one that counts */
		(void) pg_send_now(pg, pg->conf.check_sql, NULL, 2 * pg->conf.connect_ms, false, pg_checked, pg);
}

/* pg_connect - begin, or go on with, connecting */
static void
pg_connect(void *ctx)
{
	struct pg *pg = ctx;
	const struct pg_host *h = &pg->conf.hosts[pg->host];
	PostgresPollingStatusType poll = PGRES_POLLING_WRITING;
	char	why[PG_WHY_MAX];

	if (pg->conn == NULL) {
		pg_enter(pg, PG_S_CONNECT);
		if ((pg->conn = pg->lib->connectStartParams(h->keys, h->values, 0)) == NULL) {
			pg_lost(pg, "out of memory");
			return;
		}
		pg->lib->setNoticeReceiver(pg->conn, pg_notice, NULL);
		if (pg->lib->status(pg->conn) == CONNECTION_BAD)
			poll = PGRES_POLLING_FAILED;
	} else
		poll = pg->lib->connectPoll(pg->conn);
	switch (poll) {
	case PGRES_POLLING_OK:
		pg_connected(pg);
		return;
	case PGRES_POLLING_READING:
		if (pg_watch(pg, EV_READ))
			return;
		break;
	case PGRES_POLLING_WRITING:
		if (pg_watch(pg, EV_WRITE))
			return;
		break;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
		break;
	}
	pg_reason(why, sizeof why, pg->lib->errorMessage(pg->conn));
	pg_lost(pg, why[0] != 0 ? why : "cannot connect");
}

struct pg *
pg_new(struct ev_loop *loop, const struct pg_lib *lib, const struct pg_conf *conf, pg_check_fn *check,
    pg_event_fn *event, void *ctx)
{
	struct pg *pg = mem_alloc(sizeof *pg);

	pg->loop = loop;
	pg->lib = lib;
	pg->conf = *conf;
	pg->check = check;
	pg->event = event;
	pg->ctx = ctx;
	pg->fd = -1;
	TAILQ_INIT(&pg->sent);
	ev_timer_set(loop, &pg->timer, 0, pg_connect, pg);
	return pg;
}

void
pg_free(struct pg **pgp)
{
	struct pg *pg = *pgp;
	struct pg_req *r;

	if (pg == NULL)
		return;
	TAILQ_FOREACH(r, &pg->sent, link)
		r->done = NULL;
	ev_timer_cancel(pg->loop, &pg->timer);
	pg_close(pg);
	mem_free(pgp);
}

const struct pg_lib *
pg_get_lib(const struct pg *pg)
{
	return pg->lib;
}

bool
pg_int(const struct pg_lib *lib, const PGresult *res, int row, int column, int64_t *r)
{
	return !lib->getisnull(res, row, column) && units_int_parse(lib->getvalue(res, row, column), r);
}
