/* daemons/smtpd/queue_discard.c - plugin queue/discard: says yes and throws the message away (plugins(5))
 * With "note NAME" only messages of which a plugin has noted that, in the transaction or the connection.
 */
#include <string.h>
#include <strings.h>

#include <util/mem.h>

#include "builtin.h"

static int
queue_discard_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	if (argc == 1)
		return 0;
	if (argc != 3 || strcasecmp(argv[1], "note") != 0 || argv[2][0] == 0)
		return vh_error(err, "%s: use no argument, or note NAME", argv[1]);
	vh_set_data(inst, mem_strdup(argv[2]));
	return 0;
}

static void
queue_discard_fini(struct vh_inst *inst)
{
	char	*note = vh_data(inst);

	mem_free(&note);
}

static enum vh_rc
queue_discard_queue(struct vh_call *call)
{
	const char *note = vh_data(vh_inst(call));

	if (note != NULL && !vh_note_has(vh_txn_notes(vh_txn(call)), note) && !vh_note_has(vh_conn_notes(vh_conn(call)), note))
		return VH_DECLINED;
	vh_log(call, VH_LOG_INFO, "discarded");
	return VH_OK;
}

static const struct vh_hook_fn queue_discard_hooks[] = {
	{ VH_HOOK_QUEUE, queue_discard_queue },
	{ VH_END, NULL }
};

const struct vh_plugin vh_builtin_queue_discard = {
	.abi = VH_ABI, .name = "queue/discard", .flags = VH_ERROR_DENYSOFT, .init = queue_discard_init,
	.fini = queue_discard_fini, .hooks = queue_discard_hooks,
};
