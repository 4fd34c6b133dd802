/* daemons/smtpd/plugin_verify_rcpt.c - refuses recipients that the server behind us does not take
 * source: spec smtpd-front section 8.6. Asks about recipients of our domains only, unless only_domains names others: nobody
 * shall make us ask strangers about any address. Not in null-sender transactions: those are callouts and bounces.
 */
#include "verify_address.h"

static int
verify_rcpt_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	return verify_address_init(inst, false, argc, argv, err);
}

static enum vh_rc
verify_rcpt_rcpt(struct vh_call *call)
{
	const struct vh_addr *a = vh_address(call);

	if (vh_addr_null(vh_sender(vh_txn(call))) || vh_addr_host(a)[0] == 0 || vh_is_immune(vh_conn(call), vh_txn(call)) ||
	    !verify_address_wanted(vh_data(vh_inst(call)), a))
		return VH_DECLINED;
	return verify_address_ask(call, a, NULL);
}

const struct vh_plugin vh_builtin_verify_rcpt = {
	.abi = VH_ABI, .name = "verify_rcpt", .flags = VH_ERROR_DENYSOFT, .init = verify_rcpt_init,
	.worker_init = verify_address_start, .fini = verify_address_fini,
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_RCPT, verify_rcpt_rcpt }, { VH_END, NULL } },
};
