/* daemons/policy/policy_client.c - one client: requests in, replies out, in order
 * source: spec policy-delegation section 9
 */
#include "policy.h"

#include <string.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

struct policy_client {
	struct ms_client *ms;
	struct policy_in in;
	struct policy_request req;
	struct policy_run run;		/* the request in hand */
	bool	waits;			/* for what its checks ask */
	bool	bad, odd_said;
	struct policy_said said;
};

static void
policy_reply(struct policy_client *c, const char *action)
{
	/* kept: many say the same as the one before, whoever it was for */
	static struct buf last = BUF_INIT(POLICY_PROTO_HEADER_MAX + 100), b = BUF_INIT(POLICY_PROTO_HEADER_MAX + 100);

	if (last.len == 0 || strcmp(action, last.data) != 0) {
		buf_reset(&last);
		buf_adds(&last, action);	/* a longer one than any reply is none that will be known again */
		buf_reset(&b);
		policy_put_action(&b, action);
	}
	ms_reply(c->ms, b.data, b.len);
	stats_add(STAT_policy_requests, 1);
}

/* policy_answer - the checks have decided */
static void
policy_answer(void *ctx, const char *action, const char *header)
{
	struct policy_client *c = ctx;
	const char *state = c->req.protocol_state;
	char   *prepend = NULL;

	/* one header for a message, and only where smtpd takes it */
	if (header != NULL && !c->said.prepended && (strcmp(state, "RCPT") == 0 || strcmp(state, "DATA") == 0))
		prepend = mem_printf("PREPEND %s", header);
	policy_said_add(&c->said, &c->in.text, action);
	c->said.prepended |= prepend != NULL;
	policy_reply(c, prepend != NULL ? prepend : action);
	mem_free(&prepend);
	if (c->waits) {
		c->waits = false;
		policy_in_reset(&c->in);
		ms_resume(c->ms);
	}
}

/* policy_serve - one complete request; false: close the connection without a reply */
static bool
policy_serve(struct policy_client *c)
{
	char	shown[100];
	const char *again;

	if (strcmp(c->req.request, POLICY_PROTO_REQUEST) != 0) {
		msg_warn("policy request \"%s\" is not %s: closing the connection",
		    msg_clean(shown, sizeof shown, c->req.request), POLICY_PROTO_REQUEST);
		return false;
	}
	again = policy_said_same(&c->said, c->req.instance) ? policy_said_look(&c->said, &c->in.text) : NULL;
	if (again != NULL) {
		stats_add(STAT_policy_repeats, 1);
		policy_reply(c, again);
	} else
		c->waits = policy_run_start(&c->run, &c->req, policy_answer, c);
	return true;
}

void *
policy_opened(struct ms_client *ms)
{
	struct policy_client *c = mem_alloc(sizeof *c);

	c->ms = ms;
	policy_in_init(&c->in);
	policy_said_init(&c->said);
	return c;
}

/* policy_odd - a line that is no attribute is read over, and reported once */
static void
policy_odd(struct policy_client *c)
{
	if (c->odd_said || c->in.odd[0] == 0)
		return;
	c->odd_said = true;
	msg_warn("policy request: line without \"=\" ignored: %s", c->in.odd);
}

enum ms_next
policy_input(struct ms_client *ms, void *ctx, const char *data, size_t n, size_t *used_r, bool *partial_r)
{
	struct policy_client *c = ctx;
	size_t	used;

	(void) ms;
	for (*used_r = 0; *used_r < n; *used_r += used)
		switch (policy_in_feed(&c->in, data + *used_r, n - *used_r, &used, &c->req)) {
		case POLICY_IN_MORE:
			break;
		case POLICY_IN_DONE:
			policy_odd(c);
			if (!policy_serve(c)) {
				c->bad = true;
				stats_add(STAT_policy_bad, 1);
				return MS_CLOSE;
			}
			if (c->waits) {
				*used_r += used;
				return MS_HOLD;
			}
			policy_in_reset(&c->in);
			break;
		case POLICY_IN_BAD:
			c->bad = true;
			stats_add(STAT_policy_bad, 1);
			msg_warn("policy request: %s: closing the connection", c->in.why);
			return MS_CLOSE;
		}
	*partial_r = policy_in_partial(&c->in);
	return MS_MORE;
}

enum ms_next
policy_eof(struct ms_client *ms, void *ctx)
{
	(void) ms;
	(void) ctx;
	return MS_CLOSE;
}

void
policy_closed(struct ms_client *ms, void *ctx)
{
	struct policy_client *c = ctx;

	(void) ms;
	if (!c->waits && !c->bad && policy_in_partial(&c->in)) {
		stats_add(STAT_policy_bad, 1);
		msg_warn("policy request: the client has gone in the middle of it");
	}
	if (c->waits)
		policy_run_cancel(&c->run);
	policy_said_fini(&c->said);
	policy_in_fini(&c->in);
	mem_free(&c);
}
