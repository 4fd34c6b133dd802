/* daemons/policy/policy_verify.c - one address verified: waits, time limits, and what smtpd would say
 * source: spec greylisting section 12; the texts are those of reject_unverified_recipient and reject_unverified_sender
 */
#include "policy.h"

#include <string.h>

#include <global/stats.h>
#include <util/mem.h>

struct policy_asking {
	struct verify_async_req *req;	/* NULL between two polls */
	struct ev_timer timer;
	enum policy_check check;
	bool	also_recipient;		/* the sender is asked about where smtpd will blame the recipient */
	int64_t	begin_ms, polls;
	policy_asked_fn *fn;
	void   *ctx;
	char	addr[];
};

static const struct policy_verify_conf *
policy_verify_conf(enum policy_check check)
{
	return check == POLICY_VERIFY_SENDER ? &policy_conf.sender : &policy_conf.recipient;
}

static int
policy_verify_detail(enum policy_check check)
{
	return check == POLICY_VERIFY_SENDER ? 7 : 1;
}

const char *
policy_verify_away(enum policy_check check)
{
	stats_add(STAT_policy_verify_away, 1);
	if (policy_conf.fallback_dunno)
		return NULL;
	return check == POLICY_VERIFY_SENDER ? "DEFER_IF_PERMIT 4.1.7 address verification problem" :
	    "DEFER_IF_PERMIT 4.1.1 address verification problem";
}

/* policy_verify_text - append what is said about the address: what is "undeliverable" or "unverified" */
static void
policy_verify_text(const struct policy_asking *a, struct buf *b, const char *what, const char *reason)
{
	if (a->also_recipient)
		buf_addf(b, "sender address <%s> %s: %s", a->addr, what, reason);
	else
		buf_addf(b, "%s address: %s", what, reason);
}

/* policy_verify_action - what to answer; "": no opinion */
static void
policy_verify_action(const struct policy_asking *a, enum verify_status status, const char *reason, struct buf *b)
{
	const struct policy_verify_conf *c = policy_verify_conf(a->check);
	int	detail = policy_verify_detail(a->check);

	switch (status) {
	case VERIFY_OK:
		stats_add(STAT_policy_verify_ok, 1);
		return;
	case VERIFY_BOUNCE:
		stats_add(STAT_policy_verify_bounce, 1);
		if (c->reject_code / 100 == 2)
			return;
		buf_addf(b, "%d %d.1.%d ", (int) c->reject_code, (int) c->reject_code / 100, detail);
		policy_verify_text(a, b, "undeliverable", c->reject_reason[0] != 0 ? c->reject_reason : reason);
		return;
	case VERIFY_DEFER:
	case VERIFY_TODO:
		stats_add(STAT_policy_verify_defer, 1);
		if (c->defer_code / 100 == 2)
			return;
		if (c->defer_at_once)
			buf_addf(b, "%d %d.1.%d ", (int) c->defer_code, (int) c->defer_code / 100, detail);
		else
			buf_addf(b, "DEFER_IF_PERMIT 4.1.%d ", detail);
		policy_verify_text(a, b, "unverified", reason);
		return;
	}
}

static void
policy_verify_finish(struct policy_asking *a, const char *action)
{
	policy_asked_fn *fn = a->fn;
	void   *ctx = a->ctx;

	ev_timer_cancel(policy_loop, &a->timer);
	fn(ctx, action);
	mem_free(&a);
}

static void policy_verify_poll(void *);

static void
policy_verify_answer(void *ctx, enum verify_async_result result, enum verify_status status, const char *reason)
{
	struct policy_asking *a = ctx;
	struct buf b = BUF_INIT(POLICY_PROTO_MAX);
	int64_t spent;

	a->req = NULL;
	switch (result) {
	case VERIFY_ASYNC_DONE:
		break;
	case VERIFY_ASYNC_REFUSED:
	case VERIFY_ASYNC_FAILED:
		policy_verify_finish(a, policy_verify_away(a->check));
		return;
	}
	spent = ev_now_ms(policy_loop) - a->begin_ms;
	if (status == VERIFY_TODO && policy_conf.hold_ms == 0 && ++a->polls < policy_conf.poll_count &&
	    policy_conf.poll_ms <= POLICY_WAIT_MAX_MS - spent) {
		ev_timer_set(policy_loop, &a->timer, policy_conf.poll_ms, policy_verify_poll, a);
		return;
	}
	policy_verify_action(a, status, reason, &b);
	policy_verify_finish(a, b.len > 0 ? buf_str(&b) : NULL);
	buf_fini(&b);
}

static void
policy_verify_full(void *ctx)
{
	struct policy_asking *a = ctx;

	policy_verify_finish(a, policy_verify_away(a->check));
}

/* policy_verify_poll - ask, or ask again; the verify service itself holds its reply for address_verify_hold_time */
static void
policy_verify_poll(void *ctx)
{
	struct policy_asking *a = ctx;
	int64_t hold = policy_conf.hold_ms < POLICY_WAIT_MAX_MS ? policy_conf.hold_ms : POLICY_WAIT_MAX_MS;

	a->req = verify_async_query(policy_verify, a->addr, hold + POLICY_ANSWER_MS, policy_verify_answer, a);
	if (a->req == NULL)
		ev_timer_set(policy_loop, &a->timer, 0, policy_verify_full, a);
}

struct policy_asking *
policy_verify_ask(enum policy_check check, const struct policy_request *req, policy_asked_fn *fn, void *ctx)
{
	const char *addr = check == POLICY_VERIFY_SENDER ? req->sender : req->recipient;
	size_t	len = strlen(addr);
	struct policy_asking *a = mem_alloc(sizeof *a + len + 1);

	a->check = check;
	a->also_recipient = check == POLICY_VERIFY_SENDER && req->recipient[0] != 0;
	a->begin_ms = ev_now_ms(policy_loop);
	a->fn = fn;
	a->ctx = ctx;
	memcpy(a->addr, addr, len + 1);
	policy_verify_poll(a);
	return a;
}

void
policy_verify_cancel(struct policy_asking **ap)
{
	struct policy_asking *a = *ap;

	if (a == NULL)
		return;
	if (a->req != NULL)
		verify_async_cancel(policy_verify, a->req);
	ev_timer_cancel(policy_loop, &a->timer);
	mem_free(ap);
}
