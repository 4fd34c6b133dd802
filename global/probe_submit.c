/* global/probe_submit.c - hands probe messages to the cleanup service
 * A probe waits in `waiting` or is tied to one connection. A connection is made for one probe and lives for one
 * attempt: announcement, message, final status. A failed attempt puts its probe back at the tail, so that a
 * probe that nobody can take does not stand in the way of the others. Callbacks come last in the function that
 * runs them, so they may add probes, and free the submitter.
 */
#include "probe_submit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <bsd/sys/queue.h>

#include <util/attr.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <global/mail_date.h>
#include <global/probe_sender.h>
#include <global/record.h>
#include <global/verify_proto.h>

#define SUBMIT_STR_MAX	   1024		/* kept of a queue id or a reason */
#define SUBMIT_LIST_MAX	   16384	/* an announcement or a final status */
#define SUBMIT_MESSAGE_MAX (256u << 10)	/* a sender, a recipient and three header lines */
#define SUBMIT_BUSY_MS	   10		/* until the next try when the service's listen queue is full */
#define SUBMIT_PAUSE_MIN_MS 50		/* after failures in a row, doubling */
#define SUBMIT_PAUSE_MAX_MS 10000
#define SUBMIT_WARN_MS	   1000		/* repeated trouble: one line of a kind in this time */

/* spec probe-submission 4 and 6 */
enum { CLEANUP_FLAG_MAP = 32, CLEANUP_FLAG_AUTOUTF8 = 512 };
enum { CLEANUP_STAT_FINAL = 4 | 8 | 16 | 64 | 512 };	/* size, content, hops, no recipients, policy */

struct probe_submit_probe {
	TAILQ_ENTRY(probe_submit_probe) link;	/* in waiting */
	struct probe_submit *ps;
	int64_t	 tag;
	int64_t	 born_ms;
	struct ev_timer age;			/* runs while waiting */
	unsigned tries;				/* attempts that failed */
	char	 rcpt[];
};

enum probe_submit_state { SUBMIT_BANNER, SUBMIT_MESSAGE, SUBMIT_STATUS };

static const char *const probe_submit_states[] = {
	[SUBMIT_BANNER] = "waiting for the announcement",
	[SUBMIT_MESSAGE] = "sending the message",
	[SUBMIT_STATUS] = "waiting for the final status",
};

struct probe_submit_conn {
	LIST_ENTRY(probe_submit_conn) link;
	struct probe_submit *ps;
	struct probe_submit_probe *probe;
	enum probe_submit_state state;
	int	 fd;
	struct ev_io io;
	struct ev_timer timeout;
	struct attr_in in;
	struct buf out;
	size_t	 sent;
	char	 id[32];			/* queue id, for messages */
};

struct probe_submit {
	struct ev_loop *loop;
	struct probe_submit_conf conf;
	probe_submit_done_fn *done;
	void	*ctx;
	TAILQ_HEAD(, probe_submit_probe) waiting;
	LIST_HEAD(, probe_submit_conn) open;
	struct ev_defer kick;
	struct ev_timer pause;			/* while it runs, no connection is made */
	unsigned fails;				/* failures since the last success */
	long long warned_connect, warned_attempt, warned_refused, warned_gave_up;
	struct probe_submit_stat stat;
};

static void probe_submit_io(void *, int, unsigned);
static void probe_submit_expire(void *);
static void probe_submit_kick(void *);

static void
probe_submit_wait(struct probe_submit_probe *p)
{
	struct probe_submit *ps = p->ps;

	TAILQ_INSERT_TAIL(&ps->waiting, p, link);
	ps->stat.waiting++;
	ev_timer_set(ps->loop, &p->age, p->born_ms + ps->conf.give_up_ms - ev_now_ms(ps->loop),
	    probe_submit_expire, p);
}

static void
probe_submit_unwait(struct probe_submit_probe *p)
{
	struct probe_submit *ps = p->ps;

	TAILQ_REMOVE(&ps->waiting, p, link);
	ps->stat.waiting--;
	ev_timer_cancel(ps->loop, &p->age);
}

static void
probe_submit_conn_free(struct probe_submit_conn *c)
{
	struct probe_submit *ps = c->ps;

	ev_timer_cancel(ps->loop, &c->timeout);
	ev_io_cancel(ps->loop, &c->io);
	sock_close(&c->fd);
	LIST_REMOVE(c, link);
	ps->stat.open--;
	attr_in_fini(&c->in);
	buf_fini(&c->out);
	mem_free(&c);
}

/* probe_submit_report - the last words about a probe that is neither waiting nor open; last in its caller */
static void
probe_submit_report(struct probe_submit_probe *p, enum probe_submit_result result)
{
	struct probe_submit *ps = p->ps;

	switch (result) {
	case PROBE_SUBMITTED:
		ps->stat.submitted++;
		break;
	case PROBE_REFUSED:
		ps->stat.refused++;
		break;
	case PROBE_GAVE_UP:
		ps->stat.gave_up++;
		if (msg_rate(&ps->warned_gave_up, SUBMIT_WARN_MS))
			msg_warn("%s: gave the probe for <%s> up after %lld s, %u failed attempts; %llu so far",
			    ps->conf.path, p->rcpt, (long long) (ev_now_ms(ps->loop) - p->born_ms) / 1000,
			    p->tries, (unsigned long long) ps->stat.gave_up);
		break;
	}
	ps->done(ps->ctx, p->rcpt, p->tag, result);
	mem_free(&p);
}

static void
probe_submit_expire(void *ctx)
{
	struct probe_submit_probe *p = ctx;

	probe_submit_unwait(p);
	probe_submit_report(p, PROBE_GAVE_UP);
}

/* probe_submit_slow - the service is in trouble: the whole queue pauses; what fails meanwhile is part of it */
static void
probe_submit_slow(struct probe_submit *ps)
{
	int64_t ms = SUBMIT_PAUSE_MIN_MS;

	if (ps->pause.pos != 0)
		return;
	for (unsigned i = 0; i < ps->fails && ms < SUBMIT_PAUSE_MAX_MS; i++)
		ms *= 2;
	ps->fails++;
	ms = ms < SUBMIT_PAUSE_MAX_MS ? ms : SUBMIT_PAUSE_MAX_MS;
	ev_timer_set(ps->loop, &ps->pause, ms, probe_submit_kick, ps);
}

/* probe_submit_end - an attempt is over; result is what its probe comes to; last in its caller */
static void
probe_submit_end(struct probe_submit_conn *c, enum probe_submit_result result)
{
	struct probe_submit *ps = c->ps;
	struct probe_submit_probe *p = c->probe;

	probe_submit_conn_free(c);
	if (result != PROBE_GAVE_UP) {			/* the service works */
		ps->fails = 0;
		ev_timer_cancel(ps->loop, &ps->pause);
	}
	ev_defer_set(ps->loop, &ps->kick, probe_submit_kick, ps);
	probe_submit_report(p, result);
}

/* probe_submit_fail - an attempt failed: its probe waits for another, or is given up; last in its caller */
static void
probe_submit_fail(struct probe_submit_conn *c, const char *what)
{
	struct probe_submit *ps = c->ps;
	struct probe_submit_probe *p = c->probe;

	ps->stat.failed_attempts++;
	p->tries++;
	if (msg_rate(&ps->warned_attempt, SUBMIT_WARN_MS))
		msg_warn("%s: %s%s%s while %s, probe for <%s>; %llu failed attempts so far", ps->conf.path, c->id,
		    c->id[0] != 0 ? ": " : "", what, probe_submit_states[c->state], p->rcpt,
		    (unsigned long long) ps->stat.failed_attempts);
	probe_submit_slow(ps);
	if (p->tries >= ps->conf.tries) {
		probe_submit_end(c, PROBE_GAVE_UP);
		return;
	}
	probe_submit_conn_free(c);
	probe_submit_wait(p);
}

static void
probe_submit_timeout(void *ctx)
{
	probe_submit_fail(ctx, "time-out");
}

/* probe_submit_message - the flags and the eleven records, into c->out (spec probe-submission 4 and 5.2) */
static void
probe_submit_message(struct probe_submit_conn *c, const char *queue_id)
{
	const struct probe_submit_conf *conf = &c->ps->conf;
	struct buf *out = &c->out, sender = BUF_INIT(SUBMIT_MESSAGE_MAX);
	int64_t now_us = ev_wall_us(c->ps->loop);
	char	date[64];

	mail_date(date, sizeof date, now_us / 1000000);
	probe_sender_make(&sender, conf->sender, conf->sender_ttl_ms, conf->myorigin, now_us / 1000000);
	attr_put_uint(out, "flags", CLEANUP_FLAG_MAP | (conf->smtputf8_autodetect ? CLEANUP_FLAG_AUTOUTF8 : 0));
	attr_put_end(out);
	record_putf(out, REC_TYPE_TIME, "%lld %lld", (long long) (now_us / 1000000),
	    (long long) (now_us % 1000000));
	record_puts(out, REC_TYPE_ATTR, "log_message_origin=local");
	record_puts(out, REC_TYPE_ATTR, "trace_flags=256");
	record_puts(out, REC_TYPE_FROM, buf_str(&sender));
	record_puts(out, REC_TYPE_RCPT, c->probe->rcpt);
	record_puts(out, REC_TYPE_MESG, "");
	record_putf(out, REC_TYPE_NORM, "Received: by %s (%s)", conf->myhostname, conf->mail_name);
	record_putf(out, REC_TYPE_NORM, "\tid %s; %s", queue_id, date);
	record_putf(out, REC_TYPE_NORM, "Date: %s", date);
	record_puts(out, REC_TYPE_XTRA, "");
	record_puts(out, REC_TYPE_END, "");
	buf_fini(&sender);
}

/* probe_submit_send - go on sending the message; false when the connection is gone */
static bool
probe_submit_send(struct probe_submit_conn *c)
{
	ssize_t n;

	while (c->sent < c->out.len) {
		n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			probe_submit_fail(c, strerror(errno));
			return false;
		}
		c->sent += (size_t) n;
	}
	c->state = c->sent < c->out.len ? SUBMIT_MESSAGE : SUBMIT_STATUS;
	ev_io_set(c->ps->loop, &c->io, c->fd, c->state == SUBMIT_MESSAGE ? EV_READ | EV_WRITE : EV_READ,
	    probe_submit_io, c);
	return true;
}

/* probe_submit_banner - the announcement is here; false when the connection is gone */
static bool
probe_submit_banner(struct probe_submit_conn *c)
{
	struct attr_reader r;
	const char *id, *extra;

	attr_reader_init(&r, c->in.list.data, c->in.list.len, false);
	attr_need(&r, "protocol", CLEANUP_PROTOCOL_NAME);
	id = attr_str(&r, "queue_id");
	if (r.error == ATTR_DIFFERS && msg_rate(&c->ps->warned_connect, SUBMIT_WARN_MS))
		msg_warn("unexpected protocol %.100s from %s socket (expected: %s)", r.value, c->ps->conf.path,
		    CLEANUP_PROTOCOL_NAME);
	if (r.error != ATTR_OK) {
		probe_submit_fail(c, "unexpected announcement");
		return false;
	}
	if ((extra = attr_end(&r)) != NULL)
		msg_debug("%s: unexpected attribute %.100s in the announcement", c->ps->conf.path, extra);
	msg_clean(c->id, sizeof c->id, id);
	probe_submit_message(c, id);
	attr_in_reset(&c->in);
	if (c->out.full) {				/* no mail address is so long: the same at every attempt */
		probe_submit_end(c, PROBE_REFUSED);
		return false;
	}
	return probe_submit_send(c);
}

/* probe_submit_status - the final status is here; last in its caller */
static void
probe_submit_status(struct probe_submit_conn *c)
{
	struct probe_submit *ps = c->ps;
	struct attr_reader r;
	uint32_t status;
	const char *reason;

	attr_reader_init(&r, c->in.list.data, c->in.list.len, true);
	status = attr_uint(&r, "status");
	if (r.error != ATTR_OK) {
		probe_submit_fail(c, "malformed final status");
		return;
	}
	if (status == 0) {
		probe_submit_end(c, PROBE_SUBMITTED);
		return;
	}
	reason = attr_str(&r, "reason");
	if (msg_rate(&ps->warned_refused, SUBMIT_WARN_MS))
		msg_warn("%s: %s: probe for <%s> not accepted: status %u%s%.200s", c->id, ps->conf.path, c->probe->rcpt,
		    status, reason != NULL && *reason != 0 ? ": " : "", reason != NULL ? reason : "");
	if ((status & CLEANUP_STAT_FINAL) != 0)
		probe_submit_end(c, PROBE_REFUSED);
	else
		probe_submit_fail(c, "probe not accepted");
}

static void
probe_submit_io(void *ctx, int fd, unsigned events)
{
	struct probe_submit_conn *c = ctx;
	char	chunk[4096];
	const char *p = chunk;
	size_t	used;
	ssize_t n;

	if ((events & EV_WRITE) != 0 && c->state == SUBMIT_MESSAGE && !probe_submit_send(c))
		return;
	if ((events & EV_READ) == 0)
		return;
	n = recv(fd, chunk, sizeof chunk, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		probe_submit_fail(c, n < 0 ? strerror(errno) : "connection closed");
		return;
	}
	for (; n > 0; p += used, n -= (ssize_t) used) {
		switch (attr_in_feed(&c->in, p, (size_t) n, &used)) {
		case ATTR_IN_MORE:
			return;
		case ATTR_IN_FULL:
			probe_submit_fail(c, "too long a list");
			return;
		case ATTR_IN_DONE:
			break;
		}
		switch (c->state) {
		case SUBMIT_BANNER:
			if (!probe_submit_banner(c))
				return;
			break;			/* a status may follow at once */
		case SUBMIT_MESSAGE:
		case SUBMIT_STATUS:
			probe_submit_status(c);
			return;
		}
	}
}

/* probe_submit_kick - connect for waiting probes, as many as may be open */
static void
probe_submit_kick(void *ctx)
{
	struct probe_submit *ps = ctx;
	struct probe_submit_conn *c;
	int	fd;

	while (ps->stat.waiting > 0 && ps->stat.open < ps->conf.open_limit && ps->pause.pos == 0) {
		if ((fd = sock_unix_connect(ps->conf.path, true)) < 0) {
			if (errno == EAGAIN) {		/* busy, not broken: no failure counted */
				ev_timer_set(ps->loop, &ps->pause, SUBMIT_BUSY_MS, probe_submit_kick, ps);
				return;
			}
			if (msg_rate(&ps->warned_connect, SUBMIT_WARN_MS))
				msg_warn("connect to service: %s: %s; %zu probes wait", ps->conf.path, strerror(errno),
				    ps->stat.waiting);
			probe_submit_slow(ps);
			return;
		}
		c = mem_alloc(sizeof *c);
		c->ps = ps;
		c->fd = fd;
		c->probe = TAILQ_FIRST(&ps->waiting);
		probe_submit_unwait(c->probe);
		attr_in_init(&c->in, SUBMIT_STR_MAX, SUBMIT_LIST_MAX);
		buf_init(&c->out, SUBMIT_MESSAGE_MAX);
		LIST_INSERT_HEAD(&ps->open, c, link);
		ps->stat.open++;
		ev_io_set(ps->loop, &c->io, fd, EV_READ, probe_submit_io, c);
		ev_timer_set(ps->loop, &c->timeout, ps->conf.timeout_ms, probe_submit_timeout, c);
	}
}

int
probe_submit_add(struct probe_submit *ps, const char *rcpt, int64_t tag)
{
	struct probe_submit_probe *p;
	size_t	len = strlen(rcpt);

	if (ps->stat.waiting >= ps->conf.queue_limit)
		return -1;
	p = mem_alloc(sizeof *p + len + 1);
	p->ps = ps;
	p->tag = tag;
	p->born_ms = ev_now_ms(ps->loop);
	memcpy(p->rcpt, rcpt, len + 1);
	probe_submit_wait(p);
	ev_defer_set(ps->loop, &ps->kick, probe_submit_kick, ps);	/* never call back before we return */
	return 0;
}

void
probe_submit_stat(const struct probe_submit *ps, struct probe_submit_stat *stat_r)
{
	*stat_r = ps->stat;
}

bool
probe_submit_idle(const struct probe_submit *ps)
{
	return ps->stat.waiting == 0 && ps->stat.open == 0;
}

struct probe_submit *
probe_submit_new(struct ev_loop *loop, const struct probe_submit_conf *conf, probe_submit_done_fn *done, void *ctx)
{
	struct probe_submit *ps = mem_alloc(sizeof *ps);

	ps->loop = loop;
	ps->conf = *conf;
	ps->done = done;
	ps->ctx = ctx;
	TAILQ_INIT(&ps->waiting);
	LIST_INIT(&ps->open);
	return ps;
}

void
probe_submit_free(struct probe_submit **psp)
{
	struct probe_submit *ps = *psp;
	struct probe_submit_probe *p;
	struct probe_submit_conn *c;

	if (ps == NULL)
		return;
	while ((c = LIST_FIRST(&ps->open)) != NULL) {
		mem_free(&c->probe);
		probe_submit_conn_free(c);
	}
	while ((p = TAILQ_FIRST(&ps->waiting)) != NULL) {
		probe_submit_unwait(p);
		mem_free(&p);
	}
	ev_defer_cancel(ps->loop, &ps->kick);
	ev_timer_cancel(ps->loop, &ps->pause);
	mem_free(psp);
}
