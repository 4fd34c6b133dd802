/* daemons/smtpd/plugin_naughty.c - refuses, at one hook, the connections that other plugins have marked ("reject naughty")
 * source: spec smtpd-front section 8.10. The notes: naughty, the reason; naughty_reject_type, how. They are never taken back.
 */
#include <string.h>

#include <util/mem.h>

#include "builtin.h"
#include "plugin_args.h"

struct naughty {
	int	at;			/* place in naughty_hooks */
};

static const enum vh_hook naughty_hooks[] = { VH_HOOK_CONNECT, VH_HOOK_MAIL, VH_HOOK_RCPT, VH_HOOK_DATA, VH_HOOK_DATA_POST };

static int
naughty_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	static const struct plugin_arg args[] = {
		{ "at", PLUGIN_ARG_WORD, offsetof(struct naughty, at), 0, 0, "connect mail rcpt data data_post" },
	};
	struct naughty *n = mem_alloc(sizeof *n);

	n->at = 2;
	vh_set_data(inst, n);
	if (plugin_args_parse(n, args, NELEM(args), argc, argv, err) == 0)
		return 0;
	mem_free(&n);
	return -1;
}

static void
naughty_fini(struct vh_inst *inst)
{
	struct naughty *n = vh_data(inst);

	mem_free(&n);
}

static enum vh_rc
naughty_refuse(struct vh_call *call)
{
	static const struct { const char *word; enum vh_rc rc; } types[] = {
		{ "perm", VH_DENY }, { "temp", VH_DENYSOFT }, { "temp_disconnect", VH_DENYSOFT_DISCONNECT },
	};
	const struct naughty *n = vh_data(vh_inst(call));
	const struct vh_notes *notes = vh_conn_notes(vh_conn(call));
	const char *why = vh_note_str(notes, "naughty"), *type = vh_note_str(notes, "naughty_reject_type");
	enum vh_rc rc = VH_DENY_DISCONNECT;

	if (vh_hook(call) != naughty_hooks[n->at] || !vh_note_has(notes, "naughty"))
		return VH_DECLINED;
	for (size_t i = 0; i < NELEM(types); i++)
		if (type != NULL && strcmp(type, types[i].word) == 0)
			rc = types[i].rc;
	return vh_reply(call, rc, rc == VH_DENY || rc == VH_DENY_DISCONNECT ? "5.7.1" : "4.7.1", "%s",
	    why != NULL ? why : "Refused");
}

const struct vh_plugin vh_builtin_naughty = {
	.abi = VH_ABI, .name = "naughty", .init = naughty_init, .fini = naughty_fini,
	.hooks = (const struct vh_hook_fn []) {
		{ VH_HOOK_CONNECT, naughty_refuse },
		{ VH_HOOK_MAIL, naughty_refuse },
		{ VH_HOOK_RCPT, naughty_refuse },
		{ VH_HOOK_DATA, naughty_refuse },
		{ VH_HOOK_DATA_POST, naughty_refuse },
		{ VH_END, NULL },
	},
};
