/* tests/plugins/rcpt_test.c - decides about recipients by their names: what the integration tests of smtpd(8) need
 *	nobody	refused		later	refused for now		crash	the worker dies
 *	hang	never decided	all others	accepted
 */
#include <stdlib.h>
#include <string.h>

#include <vouch_plugin.h>

static void
rcpt_test_cancel(void *ctx)
{
	(void) ctx;
}

static enum vh_rc
rcpt_test_rcpt(struct vh_call *call)
{
	const char *user = vh_addr_user(vh_address(call));

	if (strcmp(user, "nobody") == 0)
		return vh_reply(call, VH_DENY, "5.1.1", "No such user");
	if (strcmp(user, "later") == 0)
		return vh_reply(call, VH_DENYSOFT, "4.2.1", "Come back later");
	if (strcmp(user, "crash") == 0)
		abort();
	if (strcmp(user, "hang") == 0)
		return vh_suspend(call, rcpt_test_cancel, NULL);
	return VH_OK;
}

static const struct vh_hook_fn rcpt_test_hooks[] = { { VH_HOOK_RCPT, rcpt_test_rcpt }, { VH_END, NULL } };

const struct vh_plugin vouch_plugin = { .abi = VH_ABI, .name = "rcpt_test", .hooks = rcpt_test_hooks };
