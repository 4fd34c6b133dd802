/* daemons/probe/submission.c - the cleanup service: takes probes, nothing else
 * source: spec probe-submission. The server speaks first; one message on a connection. When there are too many probes, the
 * submitter waits for its final status; if that takes too long, it is refused for now and tries again.
 */
#include "probe.h"

#include <stdio.h>
#include <string.h>
#include <bsd/sys/queue.h>

#include <global/probe_message.h>
#include <global/stats.h>
#include <global/verify_proto.h>
#include <util/attr.h>
#include <util/mem.h>
#include <util/msg.h>

#define SUBMISSION_HOLD_MS	20000	/* a submitter gives up after 100 s, and would have to begin again */
#define SUBMISSION_HELD_MAX	2000
#define SUBMISSION_WARN_MS	10000

struct submission {
	TAILQ_ENTRY(submission) link;	/* in held */
	struct ms_client *client;
	struct probe_message message;
	char	id[PROBER_ID_MAX];
	bool	is_held, done;
	struct ev_timer timer;
};

static struct {
	struct ev_loop *loop;
	const struct submission_ops *ops;
	TAILQ_HEAD(, submission) held;
	size_t	held_n;
	uint32_t count;
	bool	draining;
} submission;

void
submission_init(struct ev_loop *loop, const struct submission_ops *ops)
{
	submission.loop = loop;
	submission.ops = ops;
	TAILQ_INIT(&submission.held);
}

void *
submission_opened(struct ms_client *client)
{
	struct submission *s = mem_alloc(sizeof *s);
	struct buf b = BUF_INIT(256);

	s->client = client;
	probe_message_init(&s->message);
	/* unique for this host as long as it matters: microseconds, and a number */
	snprintf(s->id, sizeof s->id, "%05X%05X", (unsigned) (ev_wall_us(submission.loop) % 1000000), ++submission.count & 0xfffff);
	attr_put_str(&b, "protocol", CLEANUP_PROTOCOL_NAME);
	attr_put_str(&b, "queue_id", s->id);
	attr_put_end(&b);
	ms_send(client, b.data, b.len);
	buf_fini(&b);
	return s;
}

static void
submission_unhold(struct submission *s)
{
	if (!s->is_held)
		return;
	s->is_held = false;
	TAILQ_REMOVE(&submission.held, s, link);
	submission.held_n--;
	ev_timer_cancel(submission.loop, &s->timer);
}

void
submission_closed(struct ms_client *client, void *ctx)
{
	struct submission *s = ctx;

	(void) client;
	submission_unhold(s);
	probe_message_fini(&s->message);
	mem_free(&s);
}

static void
submission_status(struct submission *s, unsigned status, const char *reason)
{
	struct buf b = BUF_INIT(1024);

	attr_put_uint(&b, "status", status);
	attr_put_str(&b, "reason", reason);
	attr_put_end(&b);
	ms_send(s->client, b.data, b.len);
	ms_finish(s->client);
	s->done = true;
	buf_fini(&b);
	/* what it said is not needed while the connection is being closed */
	probe_message_fini(&s->message);
	probe_message_init(&s->message);
}

static void
submission_accept(struct submission *s)
{
	struct probe_message *m = &s->message;

	for (unsigned i = 0; i < m->rcpts; i++)
		submission.ops->add(m->rcpt[i], m->sender, s->id);
	submission_status(s, 0, "");
}

static void
submission_refuse(struct submission *s, unsigned status, const char *reason)
{
	static long long last;

	stats_add(STAT_probe_refused, 1);
	if (msg_rate(&last, SUBMISSION_WARN_MS))
		msg_warn("%s: message refused, status %u: %s", s->id, status, reason);
	submission_status(s, status, status == CLEANUP_STAT_BAD ? "" : reason);
}

static void
submission_timeout(void *ctx)
{
	struct submission *s = ctx;

	submission_unhold(s);
	submission_refuse(s, CLEANUP_STAT_DEFER, "4.3.2 Too many address verification requests");
}

static void
submission_hold(struct submission *s)
{
	if (submission.held_n >= SUBMISSION_HELD_MAX || submission.draining) {
		submission_refuse(s, CLEANUP_STAT_DEFER, "4.3.2 Too many address verification requests");
		return;
	}
	s->is_held = true;
	TAILQ_INSERT_TAIL(&submission.held, s, link);
	submission.held_n++;
	ev_timer_set(submission.loop, &s->timer, SUBMISSION_HOLD_MS, submission_timeout, s);
}

void
submission_room(void)
{
	struct submission *s;

	while ((s = TAILQ_FIRST(&submission.held)) != NULL && submission.ops->room(s->message.rcpts)) {
		submission_unhold(s);
		submission_accept(s);
	}
}

void
submission_drain(void)
{
	struct submission *s;

	submission.draining = true;
	while ((s = TAILQ_FIRST(&submission.held)) != NULL)
		submission_timeout(s);
}

enum ms_next
submission_input(struct ms_client *client, void *ctx, const char *data, size_t n, size_t *used_r, bool *partial_r)
{
	struct submission *s = ctx;
	struct probe_message *m = &s->message;

	(void) client;
	if (s->done)
		return MS_CLOSE;
	switch (probe_message_feed(m, data, n, used_r)) {
	case PROBE_MESSAGE_MORE:
		*partial_r = true;
		return MS_MORE;
	case PROBE_MESSAGE_LOST:
		*used_r = n;
		submission_refuse(s, m->status, m->why);
		return MS_HOLD;
	case PROBE_MESSAGE_DONE:
		*used_r = n;			/* one message on a connection */
		if (m->status != 0)
			submission_refuse(s, m->status, m->why);
		else if (TAILQ_EMPTY(&submission.held) && submission.ops->room(m->rcpts))
			submission_accept(s);
		else
			submission_hold(s);
		return MS_HOLD;
	}
	return MS_CLOSE;
}
