/* daemons/policy/policy_conf.c - what the parameters say */
#include "policy.h"

#include <string.h>

#include <util/msg.h>

struct policy_conf policy_conf;

bool
policy_order_parse(const char *words, struct policy_order *order)
{
	static const char *const names[POLICY_CHECKS] = {
		[POLICY_GREYLIST] = "greylist",
		[POLICY_VERIFY_RECIPIENT] = "verify_recipient",
		[POLICY_VERIFY_SENDER] = "verify_sender",
	};
	struct policy_order o = { .n = 0 };
	bool	seen[POLICY_CHECKS] = { false };

	for (const char *p = words + strspn(words, " \t,"); *p != 0; p += strspn(p, " \t,")) {
		size_t	len = strcspn(p, " \t,");
		unsigned i = 0;

		while (i < POLICY_CHECKS && (strlen(names[i]) != len || strncmp(names[i], p, len) != 0))
			i++;
		if (i == POLICY_CHECKS || seen[i])
			return false;
		seen[i] = true;
		o.check[o.n++] = i;
		p += len;
	}
	*order = o;
	return true;
}

void
policy_conf_init(const struct params *p)
{
	if (!policy_order_parse(p->policy_checks, &policy_conf.order))
		msg_fatal("parameter policy_checks: '%s': use greylist, verify_recipient and verify_sender, each at most once",
		    p->policy_checks);
	policy_conf.observe = strcmp(p->policy_mode, "observe") == 0;
	policy_conf.exempt_sasl = p->policy_verify_exempt_sasl;
	policy_conf.fallback_dunno = strcmp(p->policy_verify_fallback_action, "DUNNO") == 0;
	policy_conf.recipient = (struct policy_verify_conf) {
		p->unverified_recipient_reject_code, p->unverified_recipient_defer_code, p->unverified_recipient_reject_reason,
		strcmp(p->unverified_recipient_tempfail_action, "defer") == 0,
	};
	policy_conf.sender = (struct policy_verify_conf) {
		p->unverified_sender_reject_code, p->unverified_sender_defer_code, p->unverified_sender_reject_reason,
		strcmp(p->unverified_sender_tempfail_action, "defer") == 0,
	};
	policy_conf.hold_ms = p->address_verify_hold_time;
	policy_conf.poll_count = p->address_verify_poll_count;
	policy_conf.poll_ms = p->address_verify_poll_delay;
	policy_conf.detail = reason_detail_find(p->address_verify_reason_detail);
}
