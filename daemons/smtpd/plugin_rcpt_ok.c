/* daemons/smtpd/plugin_rcpt_ok.c - accepts recipients of our domains, and any recipient of relay clients; refuses all others
 * source: spec smtpd-front section 8.4. Which domains are ours: rcpt_hosts.h. Must be the last plugin that decides about
 * recipients.
 */
#include <strings.h>

#include "rcpt_hosts.h"

static int
rcpt_ok_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	struct rcpt_hosts *h;

	if (argc > 1)
		return vh_error(err, "%s: takes no arguments but the common ones", argv[1]);
	if ((h = rcpt_hosts_new(inst, err)) == NULL)
		return -1;
	vh_set_data(inst, h);
	return 0;
}

static void
rcpt_ok_fini(struct vh_inst *inst)
{
	struct rcpt_hosts *h = vh_data(inst);

	rcpt_hosts_free(&h);
}

static enum vh_rc
rcpt_ok_rcpt(struct vh_call *call)
{
	struct rcpt_hosts *h = vh_data(vh_inst(call));
	const struct vh_addr *a = vh_address(call);
	const char *user = vh_addr_user(a), *host = vh_addr_host(a);

	if (vh_is_immune(vh_conn(call), vh_txn(call)))
		return VH_OK;
	if (host[0] != 0 ? rcpt_hosts_have(h, host) : strcasecmp(user, "postmaster") == 0 || strcasecmp(user, "abuse") == 0)
		return VH_OK;
	return vh_refuse(call, "7.1", "Relaying is not allowed");
}

const struct vh_plugin vh_builtin_rcpt_ok = {
	.abi = VH_ABI, .name = "rcpt_ok", .init = rcpt_ok_init, .fini = rcpt_ok_fini,
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_RCPT, rcpt_ok_rcpt }, { VH_END, NULL } },
};
