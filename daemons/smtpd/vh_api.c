/* daemons/smtpd/vh_api.c - what plugins may ask and set: the simple parts of vouch_plugin.h
 * What runs hooks is in hooks.c, notes in notes.c, the message in message.c.
 */
#include <bsd/string.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/utf8.h>

#include "smtpd.h"

#define VH_LOG_MAX	1000

/* the instance */

const char *
vh_name(const struct vh_inst *inst)
{
	return inst->name;
}

void
vh_set_data(struct vh_inst *inst, void *data)
{
	inst->data = data;
}

void *
vh_data(const struct vh_inst *inst)
{
	return inst->data;
}

int
vh_error(struct vh_err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&err->text, fmt, ap);
	va_end(ap);
	return -1;
}

bool
vh_set_reject(struct vh_inst *inst, const char *value)
{
	if (strcmp(value, "0") == 0)
		inst->reject = INST_REJECT_NO;
	else if (strcmp(value, "1") == 0)
		inst->reject = INST_REJECT_YES;
	else if (strcasecmp(value, "naughty") == 0)
		inst->reject = INST_REJECT_NAUGHTY;
	else
		return false;
	return true;
}

bool
vh_set_reject_type(struct vh_inst *inst, const char *value)
{
	static const struct { const char *word; enum vh_rc rc; } types[] = {
		{ "temp", VH_DENYSOFT }, { "soft", VH_DENYSOFT }, { "perm", VH_DENY }, { "hard", VH_DENY },
		{ "disconnect", VH_DENY_DISCONNECT }, { "temp_disconnect", VH_DENYSOFT_DISCONNECT },
	};

	for (size_t i = 0; i < NELEM(types); i++)
		if (strcasecmp(value, types[i].word) == 0) {
			inst->reject_type = types[i].rc;
			return true;
		}
	return false;
}

void
vh_set_time_limit(struct vh_inst *inst, int64_t ms)
{
	if (!inst->time_limit_given)
		inst->time_limit_ms = ms;
}

/* the call */

enum vh_hook
vh_hook(const struct vh_call *c)
{
	return c->hook;
}

struct vh_inst *
vh_inst(const struct vh_call *c)
{
	return c->inst;
}

struct vh_conn *
vh_conn(const struct vh_call *c)
{
	return c->conn;
}

struct vh_txn *
vh_txn(const struct vh_call *c)
{
	return c->conn != NULL ? c->conn->txn : NULL;
}

struct vh_addr *
vh_address(const struct vh_call *c)
{
	return c->addr;
}

const char *
vh_arg(const struct vh_call *c)
{
	return c->arg != NULL ? c->arg : "";
}

const struct vh_outcome *
vh_about(const struct vh_call *c)
{
	return &c->about;
}

void
vh_send(struct vh_call *c, const char *fmt, ...)
{
	struct buf line = BUF_INIT(1024);
	va_list ap;

	if (c->conn == NULL || c->conn->state == SESSION_CLOSED)
		return;
	va_start(ap, fmt);
	buf_addv(&line, fmt, ap);
	va_end(ap);
	if (line.len > 0) {
		utf8_sanitise(line.data, line.len, true);
		buf_adds(&line, "\r\n");
		session_raw(c->conn, line.data, line.len);
	}
	buf_fini(&line);
}

/* time and events */

int64_t
vh_now_ms(void)
{
	return ev_now_ms(smtpd.loop);
}

int64_t
vh_wall_s(void)
{
	return ev_wall_s(smtpd.loop);
}

struct vh_timer {
	struct ev_timer timer;
};

struct vh_timer *
vh_timer_start(int64_t ms, vh_event_fn *fn, void *ctx)
{
	struct vh_timer *t = mem_alloc(sizeof *t);

	ev_timer_set(smtpd.loop, &t->timer, ms < 0 ? 0 : ms, fn, ctx);
	return t;
}

void
vh_timer_stop(struct vh_timer **tp)
{
	if (*tp == NULL)
		return;
	ev_timer_cancel(smtpd.loop, &(*tp)->timer);
	mem_free(tp);
}

struct vh_io {
	struct ev_io io;
	vh_event_fn *fn;
	void   *ctx;
};

static void
vh_io_event(void *ctx, int fd, unsigned events)
{
	struct vh_io *io = ctx;

	(void) fd;
	(void) events;
	io->fn(io->ctx);
}

struct vh_io *
vh_io_start(int fd, unsigned events, vh_event_fn *fn, void *ctx)
{
	struct vh_io *io = mem_alloc(sizeof *io);

	io->fn = fn;
	io->ctx = ctx;
	ev_io_set(smtpd.loop, &io->io, fd, (events & VH_READ ? EV_READ : 0u) | (events & VH_WRITE ? EV_WRITE : 0u), vh_io_event, io);
	return io;
}

void
vh_io_stop(struct vh_io **iop)
{
	if (*iop == NULL)
		return;
	ev_io_cancel(smtpd.loop, &(*iop)->io);
	mem_free(iop);
}

/* the connection */

const char *vh_conn_id(const struct vh_conn *c) { return c->id; }
const struct sockaddr *vh_conn_peer(const struct vh_conn *c) { return (const void *) &c->peer; }
const char *vh_conn_ip(const struct vh_conn *c) { return c->ip; }
unsigned vh_conn_port(const struct vh_conn *c) { return c->port; }
const char *vh_conn_host(const struct vh_conn *c) { return c->host != NULL ? c->host : "unknown"; }
const char *vh_conn_hello(const struct vh_conn *c) { return c->hello != NULL ? c->hello : ""; }
bool vh_conn_esmtp(const struct vh_conn *c) { return c->esmtp; }
const char *vh_conn_tls(const struct vh_conn *c) { return c->tls[0] != 0 ? c->tls : NULL; }
bool vh_conn_relay(const struct vh_conn *c) { return c->relay; }
void vh_conn_set_relay(struct vh_conn *c, bool relay) { c->relay = relay; }
int64_t vh_conn_start_ms(const struct vh_conn *c) { return c->start_ms; }
unsigned vh_conn_total(void) { return smtpd.conns_n; }
unsigned vh_conn_limit(void) { return smtpd.conf.client_limit; }

const char *
vh_conn_local_ip(const struct vh_conn *c)
{
	session_local((struct vh_conn *) (uintptr_t) c);	/* what it remembers is no change */
	return c->local_ip;
}

unsigned
vh_conn_local_port(const struct vh_conn *c)
{
	session_local((struct vh_conn *) (uintptr_t) c);
	return c->local_port;
}

unsigned
vh_conn_same_ip(const struct vh_conn *c)
{
	const struct vh_conn *other;
	unsigned n = 0;

	if (c->peer.ss_family == AF_UNSPEC)
		return 1;				/* no address, and not all the same */
	if (c->same_ip > 0)
		return c->same_ip;
	TAILQ_FOREACH(other, &smtpd.conns, link)
		if (other->peer.ss_family == c->peer.ss_family && strcmp(other->ip, c->ip) == 0)
			n++;
	return n;
}

ssize_t
vh_peek(struct vh_conn *c, void *data, size_t n)
{
	return c->wire->peek(c->wire_ctx, data, n);
}

bool
vh_is_immune(const struct vh_conn *c, const struct vh_txn *t)
{
	return c->relay || vh_note_has(&c->notes, "whitelisthost") || vh_note_has(&c->notes, "whitelistsender") ||
	    (t != NULL && vh_note_has(&t->notes, "whitelistsender"));
}

void
vh_karma(struct vh_conn *c, int delta)
{
	vh_note_set_int(&c->notes, "karma", vh_note_int(&c->notes, "karma", 0) + delta);
}

/* transaction and addresses */

struct vh_addr *vh_sender(const struct vh_txn *t) { return t->sender; }
size_t vh_rcpts(const struct vh_txn *t) { return t->rcpts; }
struct vh_addr *vh_rcpt(const struct vh_txn *t, size_t i) { return i < t->rcpts ? t->rcpt[i] : NULL; }
bool vh_smtputf8(const struct vh_txn *t) { return t->smtputf8; }
bool vh_8bitmime(const struct vh_txn *t) { return t->mime8 || t->eight; }
const char *vh_txn_id(const struct vh_txn *t) { return t->id; }
bool vh_addr_null(const struct vh_addr *a) { return a->path.user[0] == 0; }
const char *vh_addr_user(const struct vh_addr *a) { return a->path.user; }
const char *vh_addr_host(const struct vh_addr *a) { return a->path.host; }
const char *vh_addr_text(const struct vh_addr *a) { return a->text; }
const char *vh_addr_raw(const struct vh_addr *a) { return a->raw; }
struct vh_notes *vh_conn_notes(struct vh_conn *c) { return &c->notes; }
struct vh_notes *vh_txn_notes(struct vh_txn *t) { return &t->notes; }
struct vh_notes *vh_addr_notes(struct vh_addr *a) { return &a->notes; }

const char *
vh_mail_param(const struct vh_txn *t, const char *name)
{
	size_t	n = strlen(name);

	for (const char *p = t->params; *p != 0; p += strlen(p) + 1)
		if (strncasecmp(p, name, n) == 0 && (p[n] == 0 || p[n] == '='))
			return p[n] == '=' ? p + n + 1 : p + n;
	return NULL;
}

/* log lines */

static void __attribute__((format(printf, 4, 0)))
vh_log_line(const struct vh_inst *inst, enum vh_level level, const char *id, const char *fmt, va_list ap)
{
	char	line[VH_LOG_MAX];
	int	shown = (int) level + inst->log_shift;

	vsnprintf(line, sizeof line, fmt, ap);
	utf8_sanitise(line, strlen(line), true);
	if (inst->log_fixed ? (int) level > inst->log_level : shown >= VH_LOG_DEBUG && msg_verbose == 0)
		return;
	if (shown <= VH_LOG_ERROR)
		msg_error("%s%splugin=%s %s", id, *id != 0 ? ": " : "", inst->name, line);
	else if (shown <= VH_LOG_WARN)
		msg_warn("%s%splugin=%s %s", id, *id != 0 ? ": " : "", inst->name, line);
	else
		msg_info("%s%splugin=%s %s", id, *id != 0 ? ": " : "", inst->name, line);
}

void
vh_log(const struct vh_call *c, enum vh_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vh_log_line(c->inst, level, c->conn != NULL ? c->conn->txn != NULL ? c->conn->txn->id : c->conn->id : "", fmt, ap);
	va_end(ap);
}

void
vh_log_inst(const struct vh_inst *inst, enum vh_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vh_log_line(inst, level, "", fmt, ap);
	va_end(ap);
}
