/* daemons/policy/policy_verify.c - one address verified: how long it is waited for, and what smtpd would say
 * source: spec greylisting section 12; the texts are those of reject_unverified_recipient and reject_unverified_sender
 */
#include "policy.h"

#include <string.h>

#include <global/stats.h>
#include <global/verify_proto.h>
#include <util/mem.h>

struct policy_asking {
	struct address_asker asker;
	enum policy_check check;
	bool	also_recipient;		/* the sender is asked about where smtpd will blame the recipient */
	policy_asked_fn *fn;
	void   *ctx;
	char	addr[];
};

static struct buf policy_verify_buf = BUF_INIT(POLICY_PROTO_MAX);	/* one answer is made at a time */

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

/* policy_verify_away - the answer when the verify service gives none; NULL: no opinion */
static const char *
policy_verify_away(enum policy_check check)
{
	struct buf *b = &policy_verify_buf;

	stats_add(STAT_policy_verify_away, 1);
	if (policy_conf.fallback_dunno)
		return NULL;
	buf_reset(b);
	buf_addf(b, "%s 4.1.%d address verification problem", policy_verify_conf(check)->defer_at_once ? "450" : "DEFER_IF_PERMIT",
	    policy_verify_detail(check));
	return buf_str(b);
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

/* policy_verify_refuse - what to answer with that reply code, as smtpd does: the code tells what is for good, whatever the
 * status was; NULL: no opinion */
static const char *
policy_verify_refuse(const struct policy_asking *a, int64_t code, const char *reason)
{
	const struct policy_verify_conf *c = policy_verify_conf(a->check);
	int	detail = policy_verify_detail(a->check);
	struct buf *b = &policy_verify_buf;

	if (code / 100 == 2)
		return NULL;
	if (c->reject_reason[0] != 0)
		reason = c->reject_reason;
	buf_reset(b);
	if (code / 100 == 5) {
		buf_addf(b, "%d 5.1.%d ", (int) code, detail);
		policy_verify_text(a, b, "undeliverable", reason);
		return buf_str(b);
	}
	if (c->defer_at_once)
		buf_addf(b, "%d 4.1.%d ", code / 100 == 4 ? (int) code : 450, detail);	/* 3NN is no refusal */
	else
		buf_addf(b, "DEFER_IF_PERMIT 4.1.%d ", detail);
	policy_verify_text(a, b, "unverified", reason);
	return buf_str(b);
}

/* policy_verify_action - what to answer, good until the next one; NULL: no opinion */
static const char *
policy_verify_action(const struct policy_asking *a, const struct address_verdict *v)
{
	const struct policy_verify_conf *c = policy_verify_conf(a->check);
	char	code[32];
	const char *reason = v->status == VERIFY_TODO ? VERIFY_TODO_TEXT :
		    reason_detail_text(policy_conf.detail, v->status, v->text, code, sizeof code);

	if (v->from == ADDRESS_BUSY || v->from == ADDRESS_UNAVAILABLE)
		return policy_verify_away(a->check);
	switch (v->status) {
	case VERIFY_OK:
		stats_add(STAT_policy_verify_ok, 1);
		return NULL;
	case VERIFY_BOUNCE:
		stats_add(STAT_policy_verify_bounce, 1);
		return policy_verify_refuse(a, c->reject_code, reason);
	case VERIFY_DEFER:
	case VERIFY_TODO:
		stats_add(STAT_policy_verify_defer, 1);
		return policy_verify_refuse(a, c->defer_code, reason);
	}
	return NULL;
}

static void
policy_verify_done(struct address_asker *asker, const struct address_verdict *v)
{
	struct policy_asking *a = (struct policy_asking *) (void *) ((char *) asker - offsetof(struct policy_asking, asker));

	a->fn(a->ctx, policy_verify_action(a, v));
	mem_free(&a);
}

/* policy_verify_wait - how long a probe is waited for: as long as smtpd would ask, or verify(8) would hold its answer */
static int64_t
policy_verify_wait(void)
{
	int64_t n = policy_conf.poll_count - 1;

	if (policy_conf.hold_ms > 0)
		return policy_conf.hold_ms < POLICY_WAIT_MAX_MS ? policy_conf.hold_ms : POLICY_WAIT_MAX_MS;
	if (n > 0 && policy_conf.poll_ms > POLICY_WAIT_MAX_MS / n)
		n = POLICY_WAIT_MAX_MS / policy_conf.poll_ms;
	return n * policy_conf.poll_ms;
}

struct policy_asking *
policy_verify_ask(enum policy_check check, const struct policy_request *req, policy_asked_fn *fn, void *ctx, const char **action_r)
{
	const char *addr = check == POLICY_VERIFY_SENDER ? req->sender : req->recipient;
	size_t	len = strlen(addr);
	struct policy_asking *a = mem_alloc(sizeof *a + len + 1);
	struct address_verdict v;

	a->check = check;
	a->also_recipient = check == POLICY_VERIFY_SENDER && req->recipient[0] != 0;
	a->fn = fn;
	a->ctx = ctx;
	a->asker.done = policy_verify_done;
	memcpy(a->addr, addr, len + 1);
	address_host_start(&policy_host, policy_loop);
	if (address_ask_start(policy_host.ask, &a->asker, a->addr, policy_verify_wait(), &v)) {
		*action_r = policy_verify_action(a, &v);
		mem_free(&a);
	}
	return a;
}

void
policy_verify_cancel(struct policy_asking **ap)
{
	if (*ap == NULL)
		return;
	address_ask_left(policy_host.ask, &(*ap)->asker);
	mem_free(ap);
}
