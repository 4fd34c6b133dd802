/* daemons/smtpd/plugin_pre_limits.c - how many connections there may be at a time: from one address, and in all
 * source: spec smtpd-front section 8.1. Refuses before anything is said or looked up, for now unless told otherwise.
 */
#include <util/mem.h>

#include "builtin.h"
#include "plugin_args.h"

struct pre_limits {
	int64_t	per_ip, total;		/* 0: no limit */
};

static int
pre_limits_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	static const struct plugin_arg args[] = {
		{ "per_ip", PLUGIN_ARG_NUMBER, offsetof(struct pre_limits, per_ip), 0, 1000000, NULL },
		{ "total", PLUGIN_ARG_NUMBER, offsetof(struct pre_limits, total), 0, 1000000, NULL },
	};
	struct pre_limits *p = mem_alloc(sizeof *p);

	p->per_ip = 20;
	vh_set_data(inst, p);
	if (plugin_args_parse(p, args, NELEM(args), argc, argv, err) == 0)
		return 0;
	mem_free(&p);
	return -1;
}

static void
pre_limits_fini(struct vh_inst *inst)
{
	struct pre_limits *p = vh_data(inst);

	mem_free(&p);
}

static enum vh_rc
pre_limits_connection(struct vh_call *call)
{
	const struct pre_limits *p = vh_data(vh_inst(call));

	if (p->total > 0 && vh_conn_total() > p->total)
		return vh_refuse(call, "7.0", "Too many connections, try again later");
	if (p->per_ip > 0 && vh_conn_same_ip(vh_conn(call)) > p->per_ip)
		return vh_refuse(call, "7.0", "Too many connections from your address");
	return VH_DECLINED;
}

const struct vh_plugin vh_builtin_pre_limits = {
	.abi = VH_ABI, .name = "pre_limits", .flags = VH_REJECT_TEMP, .init = pre_limits_init, .fini = pre_limits_fini,
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_PRE_CONNECTION, pre_limits_connection }, { VH_END, NULL } },
};
