/* daemons/smtpd/plugin_relay.c - relay clients: who may send mail to anywhere, and is spared most tests
 * source: spec smtpd-front section 8.3. Settings files norelayclients, which goes first, and relayclients: an address or network in
 * a line (global/addr_list.h). Decided before all other plugins, wherever it stands in the file.
 */
#include <string.h>

#include <global/addr_list.h>
#include <util/buf.h>
#include <util/mem.h>

#include "builtin.h"
#include "plugin_args.h"

#define RELAY_LIST_MAX	(1u << 20)

struct relay {
	struct addr_list *yes, *no;
	bool	only;			/* everybody else is refused */
};

static void
relay_fini(struct vh_inst *inst)
{
	struct relay *r = vh_data(inst);

	addr_list_free(&r->yes);
	addr_list_free(&r->no);
	mem_free(&r);
}

/* relay_list - the addresses in a settings file; none when there is no such file. -1 when something in it is no address */
static int
relay_list(struct vh_inst *inst, const char *name, struct addr_list **list, struct vh_err *err)
{
	struct buf text = BUF_INIT(RELAY_LIST_MAX), why = BUF_INIT(1000);
	char  **lines = vh_config(inst, name);
	int	ret = 0;

	for (; lines != NULL && *lines != NULL; lines++)
		buf_addf(&text, "%s\n", *lines);
	if (text.full)
		ret = vh_error(err, "%s: too large", name);
	else if ((*list = addr_list_new(buf_str(&text), &why)) == NULL)
		ret = vh_error(err, "%s: %.*s", name, (int) strcspn(buf_str(&why), "\n"), buf_str(&why));
	buf_fini(&text);
	buf_fini(&why);
	return ret;
}

static int
relay_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	static const struct plugin_arg args[] = { { "only", PLUGIN_ARG_YES, offsetof(struct relay, only), 0, 0, NULL } };
	struct relay *r = mem_alloc(sizeof *r);

	vh_set_data(inst, r);
	if (plugin_args_parse(r, args, NELEM(args), argc, argv, err) == 0 && relay_list(inst, "relayclients", &r->yes, err) == 0 &&
	    relay_list(inst, "norelayclients", &r->no, err) == 0)
		return 0;
	relay_fini(inst);
	return -1;
}

static enum vh_rc
relay_connection(struct vh_call *call)
{
	const struct relay *r = vh_data(vh_inst(call));
	const char *ip = vh_conn_ip(vh_conn(call));

	if (addr_list_match_text(r->yes, ip) && !addr_list_match_text(r->no, ip)) {
		vh_conn_set_relay(vh_conn(call), true);
		vh_log(call, VH_LOG_DEBUG, "client=%s is a relay client", ip);
	}
	return VH_DECLINED;
}

static enum vh_rc
relay_rcpt(struct vh_call *call)
{
	const struct relay *r = vh_data(vh_inst(call));

	if (!r->only || vh_conn_relay(vh_conn(call)))
		return VH_DECLINED;
	return vh_refuse(call, "7.1", "Mail is taken from relay clients only");
}

const struct vh_plugin vh_builtin_relay = {
	.abi = VH_ABI, .name = "relay", .flags = VH_ERROR_DENYSOFT, .init = relay_init, .fini = relay_fini,
	.hooks = (const struct vh_hook_fn []) {
		{ VH_HOOK_PRE_CONNECTION, relay_connection },
		{ VH_HOOK_RCPT, relay_rcpt },
		{ VH_END, NULL },
	},
};
