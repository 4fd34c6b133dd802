/* tests/lib/fake_pg.c - a PostgreSQL server in the same process, behind the functions of util/pg_lib.h
 * A connection's descriptor is one end of a socket pair; one byte for each result that may be read makes it readable.
 */
#include "fake_pg.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bsd/sys/queue.h>

#include <util/mem.h>

#define FAKE_PARAMS	32
#define FAKE_CELLS	16
#define FAKE_PREPARED	8

struct fake_res {
	TAILQ_ENTRY(fake_res) link;
	ExecStatusType status;
	bool	 ends;			/* a NULL follows, as libpq ends each statement's results */
	char	 sqlstate[6], *text;
	int	 rows, cells;
	char  ***row;
};

struct fake_conn {
	TAILQ_ENTRY(fake_conn) link;
	int	 fd[2];
	bool	 polled, bad, silent;
	unsigned arrived;		/* results read from the socket and not fetched yet */
	bool	 null_next;
	struct fake_res commit;		/* of the last statement: what its Sync will say */
	bool	 commit_fails;
	char	 why[128];
	TAILQ_HEAD(, fake_res) out;	/* results, in order */
	unsigned out_n, signalled;	/* of them, bytes written so far */
	struct {
		char   *name, *sql;
		Oid	types[FAKE_PARAMS];
	} prepared[FAKE_PREPARED];
	unsigned prepared_n;
	bool	 aborted;		/* since the last Sync a statement has failed: those behind it are not executed */
};

struct fake_answer {
	struct fake_conn *conn;
	struct fake_res *res;
	bool	 silent;
};

struct fake_pg fake_pg;
static TAILQ_HEAD(, fake_conn) fake_conns = TAILQ_HEAD_INITIALIZER(fake_conns);
static unsigned fake_results;

void
fake_pg_reset(fake_serve_fn *serve, void *ctx)
{
	memset(&fake_pg, 0, sizeof fake_pg);
	fake_pg.serve = serve;
	fake_pg.ctx = ctx;
}

static struct fake_res *
fake_res_new(struct fake_conn *c, ExecStatusType status)
{
	struct fake_res *r = mem_alloc(sizeof *r);

	r->status = status;
	r->ends = status != PGRES_PIPELINE_SYNC;
	fake_results++;
	TAILQ_INSERT_TAIL(&c->out, r, link);
	c->out_n++;
	return r;
}

/* fake_signal - make at most n more results readable */
static void
fake_signal(struct fake_conn *c, unsigned n)
{
	for (; n > 0 && c->signalled < c->out_n && c->fd[1] >= 0; n--, c->signalled++)
		if (write(c->fd[1], "r", 1) != 1)
			return;
}

void
fake_thaw(void)
{
	struct fake_conn *c;

	fake_pg.frozen = false;
	TAILQ_FOREACH(c, &fake_conns, link)
		fake_signal(c, c->out_n);
}

void
fake_release(unsigned n)
{
	struct fake_conn *c;

	TAILQ_FOREACH(c, &fake_conns, link)
		fake_signal(c, n);
}

void
fake_cut(void)
{
	struct fake_conn *c;

	TAILQ_FOREACH(c, &fake_conns, link)
		if (c->fd[1] >= 0) {
			close(c->fd[1]);
			c->fd[1] = -1;
		}
}

unsigned
fake_open(void)
{
	struct fake_conn *c;
	unsigned n = fake_results;

	TAILQ_FOREACH(c, &fake_conns, link)
		n++;
	return n;
}

/* answers */

void
fake_row_v(struct fake_answer *a, const char *const *cells, int n)
{
	struct fake_res *r = a->res;

	r->row = mem_grow(r->row, (size_t) r->rows + 1, sizeof *r->row);
	r->row[r->rows] = mem_array((size_t) n, sizeof **r->row);
	for (int i = 0; i < n; i++)
		r->row[r->rows][i] = cells[i] != NULL ? mem_strdup(cells[i]) : NULL;
	r->cells = n;
	r->rows++;
}

void
fake_row(struct fake_answer *a, const char *first, ...)
{
	const char *cells[FAKE_CELLS];
	int	n = 0;
	va_list ap;

	va_start(ap, first);
	for (const char *s = first; s != NULL && n < FAKE_CELLS; s = va_arg(ap, const char *))
		cells[n++] = s;
	va_end(ap);
	fake_row_v(a, cells, n);
}

void
fake_error(struct fake_answer *a, const char *sqlstate, const char *text)
{
	a->res->status = PGRES_FATAL_ERROR;
	snprintf(a->res->sqlstate, sizeof a->res->sqlstate, "%s", sqlstate);
	a->res->text = mem_strdup(text);
}

void
fake_error_at_commit(struct fake_answer *a, const char *sqlstate, const char *text)
{
	a->conn->commit_fails = true;
	snprintf(a->conn->commit.sqlstate, sizeof a->conn->commit.sqlstate, "%s", sqlstate);
	a->conn->commit.text = mem_strdup(text);
}

void
fake_silence(struct fake_answer *a)
{
	a->silent = true;
}

/* the library's functions */

static PGconn *
fake_connect_start(const char *const *keys, const char *const *values, int expand)
{
	struct fake_conn *c = mem_alloc(sizeof *c);

	(void) expand;
	for (int i = 0; keys[i] != NULL; i++)
		if (strcmp(keys[i], "host") == 0)
			snprintf(fake_pg.host, sizeof fake_pg.host, "%s", values[i]);
	fake_pg.connects++;
	TAILQ_INIT(&c->out);
	TAILQ_INSERT_TAIL(&fake_conns, c, link);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, c->fd) < 0)
		c->bad = true;
	return (PGconn *) c;
}

static PostgresPollingStatusType
fake_connect_poll(PGconn *conn)
{
	struct fake_conn *c = (struct fake_conn *) conn;

	c->polled = true;
	switch (fake_pg.connect) {
	case FAKE_ACCEPT:
		return PGRES_POLLING_OK;
	case FAKE_REFUSE:
		c->bad = true;
		snprintf(c->why, sizeof c->why, "connection to server failed: FATAL:  refused\n\tIs it running?\n");
		return PGRES_POLLING_FAILED;
	case FAKE_HANG:
		break;
	}
	return PGRES_POLLING_READING;
}

static ConnStatusType
fake_status(const PGconn *conn)
{
	return ((const struct fake_conn *) conn)->bad ? CONNECTION_BAD : CONNECTION_OK;
}

static int
fake_socket(const PGconn *conn)
{
	return ((const struct fake_conn *) conn)->fd[0];
}

static char *
fake_error_message(const PGconn *conn)
{
	return ((struct fake_conn *) conn)->why;
}

static const char *
fake_parameter_status(const PGconn *conn, const char *name)
{
	(void) conn;
	return strcmp(name, "server_encoding") == 0 ? "UTF8" : NULL;
}

static int
fake_setnonblocking(PGconn *conn, int on)
{
	(void) conn;
	(void) on;
	return 0;
}

static PQnoticeReceiver
fake_set_notice_receiver(PGconn *conn, PQnoticeReceiver fn, void *ctx)
{
	(void) conn;
	(void) ctx;
	return fn;
}

static int
fake_enter_pipeline_mode(PGconn *conn)
{
	(void) conn;
	return 1;
}

static int
fake_send_query_params(PGconn *conn, const char *sql, int n, const Oid *types, const char *const *values,
    const int *lengths, const int *formats, int result_format)
{
	struct fake_conn *c = (struct fake_conn *) conn;
	struct fake_param param[FAKE_PARAMS];
	struct fake_query q = { sql, n, param };
	struct fake_answer a = { .conn = c };

	(void) formats;
	(void) result_format;
	if (c->bad)
		return 0;
	fake_pg.queries++;
	for (int i = 0; i < n && i < FAKE_PARAMS; i++)
		param[i] = (struct fake_param) { types[i], values[i], (size_t) lengths[i] };
	if (c->silent)
		return 1;
	a.res = fake_res_new(c, PGRES_COMMAND_OK);
	fake_pg.serve(fake_pg.ctx, &q, &a);
	if (a.res->rows > 0 && a.res->status == PGRES_COMMAND_OK)
		a.res->status = PGRES_TUPLES_OK;
	c->aborted = a.res->status == PGRES_FATAL_ERROR;
	c->silent = a.silent;
	if (a.silent) {
		TAILQ_REMOVE(&c->out, a.res, link);
		c->out_n--;
		fake_results--;
		mem_free(&a.res);
	}
	return 1;
}

/* fake_refuse - an error of the server's own about a prepared statement */
static int
fake_refuse(struct fake_conn *c, const char *sqlstate)
{
	struct fake_answer a = { .conn = c, .res = fake_res_new(c, PGRES_COMMAND_OK) };

	fake_error(&a, sqlstate, "prepared statement");
	c->aborted = true;
	return 1;
}

static int
fake_send_prepare(PGconn *conn, const char *name, const char *sql, int n, const Oid *types)
{
	struct fake_conn *c = (struct fake_conn *) conn;

	if (c->bad)
		return 0;
	if (c->silent)
		return 1;
	for (unsigned i = 0; i < c->prepared_n; i++)
		if (strcmp(c->prepared[i].name, name) == 0)
			return fake_refuse(c, "42P05");
	if (c->prepared_n == FAKE_PREPARED)
		return 0;
	fake_pg.prepares++;
	c->prepared[c->prepared_n].name = mem_strdup(name);
	c->prepared[c->prepared_n].sql = mem_strdup(sql);
	for (int i = 0; i < n && i < FAKE_PARAMS; i++)
		c->prepared[c->prepared_n].types[i] = types[i];
	c->prepared_n++;
	fake_res_new(c, PGRES_COMMAND_OK);
	return 1;
}

static int
fake_send_query_prepared(PGconn *conn, const char *name, int n, const char *const *values, const int *lengths,
    const int *formats, int result_format)
{
	struct fake_conn *c = (struct fake_conn *) conn;

	if (c->bad)
		return 0;
	if (c->silent)
		return 1;
	if (c->aborted) {
		fake_res_new(c, PGRES_PIPELINE_ABORTED);
		return 1;
	}
	for (unsigned i = 0; i < c->prepared_n && !fake_pg.forgets; i++)
		if (strcmp(c->prepared[i].name, name) == 0)
			return fake_send_query_params(conn, c->prepared[i].sql, n, c->prepared[i].types, values, lengths, formats,
			    result_format);
	return fake_refuse(c, "26000");
}

static int
fake_pipeline_sync(PGconn *conn)
{
	struct fake_conn *c = (struct fake_conn *) conn;
	struct fake_res *r;

	if (c->bad)
		return 0;
	c->aborted = false;
	if (!c->silent) {
		if (c->commit_fails) {
			r = fake_res_new(c, PGRES_FATAL_ERROR);
			memcpy(r->sqlstate, c->commit.sqlstate, sizeof r->sqlstate);
			r->text = c->commit.text;
			c->commit.text = NULL;
			c->commit_fails = false;
		}
		fake_res_new(c, PGRES_PIPELINE_SYNC);
		if (!fake_pg.frozen)
			fake_signal(c, c->out_n);
	}
	return 1;
}

static int
fake_flush(PGconn *conn)
{
	return ((struct fake_conn *) conn)->bad ? -1 : 0;
}

static int
fake_consume_input(PGconn *conn)
{
	struct fake_conn *c = (struct fake_conn *) conn;
	char	buf[256];
	ssize_t n = read(c->fd[0], buf, sizeof buf);

	if (n > 0)
		c->arrived += (unsigned) n;
	if (n != 0)
		return 1;
	c->bad = true;
	snprintf(c->why, sizeof c->why, "server closed the connection unexpectedly\n");
	return 0;
}

static int
fake_is_busy(PGconn *conn)
{
	const struct fake_conn *c = (struct fake_conn *) conn;

	return c->arrived == 0 && !c->null_next && !c->bad;
}

static PGresult *
fake_get_result(PGconn *conn)
{
	struct fake_conn *c = (struct fake_conn *) conn;
	struct fake_res *r;

	if (c->null_next || c->arrived == 0) {
		c->null_next = false;
		return NULL;
	}
	r = TAILQ_FIRST(&c->out);
	TAILQ_REMOVE(&c->out, r, link);
	c->out_n--;
	c->signalled--;
	c->arrived--;
	c->null_next = r->ends;
	return (PGresult *) r;
}

static void
fake_clear(PGresult *res)
{
	struct fake_res *r = (struct fake_res *) res;

	if (r == NULL)
		return;
	for (int i = 0; i < r->rows; i++) {
		for (int j = 0; j < r->cells; j++)
			mem_free(&r->row[i][j]);
		mem_free(&r->row[i]);
	}
	mem_free(&r->row);
	mem_free(&r->text);
	mem_free(&r);
	fake_results--;
}

static void
fake_finish(PGconn *conn)
{
	struct fake_conn *c = (struct fake_conn *) conn;
	struct fake_res *r;

	while ((r = TAILQ_FIRST(&c->out)) != NULL) {
		TAILQ_REMOVE(&c->out, r, link);
		fake_clear((PGresult *) r);
	}
	TAILQ_REMOVE(&fake_conns, c, link);
	for (int i = 0; i < 2; i++)
		if (c->fd[i] >= 0)
			close(c->fd[i]);
	for (unsigned i = 0; i < c->prepared_n; i++) {
		mem_free(&c->prepared[i].name);
		mem_free(&c->prepared[i].sql);
	}
	mem_free(&c->commit.text);
	mem_free(&c);
}

static ExecStatusType
fake_result_status(const PGresult *res)
{
	return ((const struct fake_res *) res)->status;
}

static char *
fake_result_error_field(const PGresult *res, int field)
{
	const struct fake_res *r = (const struct fake_res *) res;

	return field == PG_DIAG_SQLSTATE ? (char *) (uintptr_t) r->sqlstate : r->text;
}

static int
fake_ntuples(const PGresult *res)
{
	return ((const struct fake_res *) res)->rows;
}

static int
fake_nfields(const PGresult *res)
{
	return ((const struct fake_res *) res)->cells;
}

static char *
fake_getvalue(const PGresult *res, int row, int column)
{
	static char empty[1];
	const struct fake_res *r = (const struct fake_res *) res;

	return r->row[row][column] != NULL ? r->row[row][column] : empty;
}

static int
fake_getlength(const PGresult *res, int row, int column)
{
	return (int) strlen(fake_getvalue(res, row, column));
}

static int
fake_getisnull(const PGresult *res, int row, int column)
{
	return ((const struct fake_res *) res)->row[row][column] == NULL;
}

const struct pg_lib fake_pg_lib = {
	.connectStartParams = fake_connect_start,
	.connectPoll = fake_connect_poll,
	.status = fake_status,
	.socket = fake_socket,
	.errorMessage = fake_error_message,
	.parameterStatus = fake_parameter_status,
	.setnonblocking = fake_setnonblocking,
	.setNoticeReceiver = fake_set_notice_receiver,
	.enterPipelineMode = fake_enter_pipeline_mode,
	.sendQueryParams = fake_send_query_params,
	.sendPrepare = fake_send_prepare,
	.sendQueryPrepared = fake_send_query_prepared,
	.pipelineSync = fake_pipeline_sync,
	.flush = fake_flush,
	.consumeInput = fake_consume_input,
	.isBusy = fake_is_busy,
	.getResult = fake_get_result,
	.finish = fake_finish,
	.resultStatus = fake_result_status,
	.resultErrorField = fake_result_error_field,
	.ntuples = fake_ntuples,
	.nfields = fake_nfields,
	.getvalue = fake_getvalue,
	.getlength = fake_getlength,
	.getisnull = fake_getisnull,
	.clear = fake_clear,
};

/* parameters */

static uint32_t
fake_be32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return be32toh(v);
}

static int64_t
fake_be64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return (int64_t) be64toh(v);
}

int64_t
fake_int(const struct fake_query *q, int i)
{
	return fake_be64(q->param[i].data);
}

char *
fake_text(const struct fake_query *q, int i, char *buf, size_t size)
{
	snprintf(buf, size, "%.*s", (int) q->param[i].len, q->param[i].data);
	return buf;
}

int
fake_array_len(const struct fake_query *q, int i)
{
	return fake_be32(q->param[i].data) == 0 ? 0 : (int) fake_be32(q->param[i].data + 12);
}

/* fake_elem - where element `at` begins; its length */
static const char *
fake_elem(const struct fake_query *q, int i, int at, size_t *len)
{
	const char *p = q->param[i].data + 20;

	for (; at > 0; at--)
		p += 4 + fake_be32(p);
	*len = fake_be32(p);
	return p + 4;
}

int64_t
fake_array_int(const struct fake_query *q, int i, int at)
{
	size_t	len;

	return fake_be64(fake_elem(q, i, at, &len));
}

char *
fake_array_text(const struct fake_query *q, int i, int at, char *buf, size_t size)
{
	size_t	len;
	const char *p = fake_elem(q, i, at, &len);

	snprintf(buf, size, "%.*s", (int) len, p);
	return buf;
}
