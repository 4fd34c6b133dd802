/* daemons/policy/policy_check.c - one request through its checks: greylisting, verification
 * The first check that has an opinion answers; a header that greylisting wants added is none, and waits for the rest.
 */
#include "policy.h"

#include <string.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

#define POLICY_SHOW_MAX	 200		/* bytes of an address in a log line */
#define POLICY_RATE_MS	 60000

/* policy_run_log - what a check other than greylisting, which does it itself, has decided */
static void
policy_run_log(const struct policy_run *run, const char *what, const char *action)
{
	const struct policy_request *q = run->req;
	char	name[POLICY_SHOW_MAX], addr[64], from[POLICY_SHOW_MAX], to[POLICY_SHOW_MAX], instance[64], said[POLICY_PROTO_TEXT_MAX + 1];

	msg_info("%s client=%s[%s] from=<%s> to=<%s> action=\"%s\"%s%s", what,
	    msg_clean(name, sizeof name, q->client_name), msg_clean(addr, sizeof addr, q->client_address),
	    msg_clean(from, sizeof from, q->sender), msg_clean(to, sizeof to, q->recipient),
	    msg_clean(said, sizeof said, action),
	    q->instance[0] != 0 ? " instance=" : "", msg_clean(instance, sizeof instance, q->instance));
}

/* policy_run_end - action NULL: no check has an opinion */
static void
policy_run_end(struct policy_run *run, const char *action)
{
	char   *header = run->header;
	bool	silent = action != NULL || policy_conf.observe;

	run->header = NULL;
	if (action != NULL && policy_conf.observe)
		policy_run_log(run, "policy=observe", action);
	run->fn(run->ctx, action != NULL && !policy_conf.observe ? action : "DUNNO", silent ? NULL : header);
	mem_free(&header);			/* the run is not ours any more */
}

static bool policy_run_go(struct policy_run *);

/* policy_run_greylisted - true: go on with the next check; false: the run has ended */
static bool
policy_run_greylisted(struct policy_run *run, const struct greylist_result *res)
{
	if (res->header != NULL && run->header == NULL)
		run->header = mem_strdup(res->header);
	if (res->verdict != GREYLIST_DEFER || res->observed)
		return true;
	policy_run_end(run, res->action);
	return false;
}

static void
policy_run_greylist_done(void *ctx, const struct greylist_result *res)
{
	struct policy_run *run = ctx;

	run->greylist = NULL;
	if (policy_run_greylisted(run, res))
		policy_run_go(run);
}

/* policy_run_greylist - as policy_run_greylisted; waits is set when it takes longer */
static bool
policy_run_greylist(struct policy_run *run)
{
	const struct policy_request *q = run->req;
	const struct greylist_request req = {
		.state = q->protocol_state, .client_address = q->client_address, .client_name = q->client_name,
		.sender = q->sender, .recipient = q->recipient, .instance = q->instance,
		.sasl_username = q->sasl_username, .ccert_subject = q->ccert_subject,
	};
	struct greylist_result res;

	switch (greylist_decide(policy_greylist, &req, &res, policy_run_greylist_done, run, &run->greylist)) {
	case GREYLIST_NOW:
		return policy_run_greylisted(run, &res);
	case GREYLIST_LATER:
		break;
	}
	run->waits = true;
	return true;
}

/* policy_run_verified - as policy_run_greylisted */
static bool
policy_run_verified(struct policy_run *run, const char *action)
{
	enum policy_check check = run->order.check[run->next - 1];

	if (action == NULL)
		return true;
	policy_run_log(run, check == POLICY_VERIFY_SENDER ? "check=verify_sender" : "check=verify_recipient", action);
	policy_run_end(run, action);
	return false;
}

static void
policy_run_asked(void *ctx, const char *action)
{
	struct policy_run *run = ctx;

	run->asking = NULL;
	if (policy_run_verified(run, action))
		policy_run_go(run);
}

/* policy_run_verifiable - whether this request is one to verify an address for */
static bool
policy_run_verifiable(const struct policy_run *run, enum policy_check check)
{
	static long long last;
	const struct policy_request *q = run->req;
	bool	rcpt = strcmp(q->protocol_state, "RCPT") == 0;

	if (policy_conf.exempt_sasl && q->sasl_username[0] != 0)
		return false;
	if (check == POLICY_VERIFY_SENDER)
		return (rcpt || strcmp(q->protocol_state, "MAIL") == 0) && q->sender[0] != 0 && strcmp(q->sender, "<>") != 0;
	if (rcpt && q->recipient[0] == 0) {
		stats_add(STAT_policy_incomplete, 1);
		if (msg_rate(&last, POLICY_RATE_MS))
			msg_warn("policy request for RCPT without recipient: verify_recipient has no opinion");
		return false;
	}
	return rcpt;
}

/* policy_run_go - the checks from the next one on; true when one of them waits, false: the run has ended and is gone */
static bool
policy_run_go(struct policy_run *run)
{
	const char *action;

	for (run->waits = false; run->next < run->order.n; ) {
		enum policy_check check = run->order.check[run->next++];

		switch (check) {
		case POLICY_GREYLIST:
			if (!policy_run_greylist(run))
				return false;
			break;
		case POLICY_VERIFY_RECIPIENT:
		case POLICY_VERIFY_SENDER:
			if (!policy_run_verifiable(run, check))
				break;
			run->asking = policy_verify_ask(check, run->req, policy_run_asked, run, &action);
			if (run->asking == NULL && !policy_run_verified(run, action))
				return false;
			run->waits = run->asking != NULL;
			break;
		case POLICY_CHECKS:
			break;
		}
		if (run->waits)
			return true;
	}
	policy_run_end(run, NULL);
	return false;
}

bool
policy_run_start(struct policy_run *run, const struct policy_request *req, policy_done_fn *fn, void *ctx)
{
	*run = (struct policy_run) { .req = req, .order = policy_conf.order, .fn = fn, .ctx = ctx };
	if (req->policy_context[0] != 0) {	/* anything else than names of checks is somebody else's */
		policy_order_parse(req->policy_context, &run->order);
		if (run->order.n == 0)
			run->order = policy_conf.order;
	}
	return policy_run_go(run);
}

void
policy_run_cancel(struct policy_run *run)
{
	greylist_cancel(&run->greylist);
	policy_verify_cancel(&run->asking);
	mem_free(&run->header);
}
