/* daemons/smtpd/plugin_count_unrecognized.c - after some unknown commands it is no mail client: refuse, and hang up
 * source: spec smtpd-front section 8.9
 */
#include <util/mem.h>
#include <util/units.h>

#include "builtin.h"

#define COUNT_UNRECOGNIZED_NOTE "unrecognized_commands"

static int
count_unrecognized_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	int64_t *limit, n = 4;

	if (argc > 2 || (argc == 2 && (!units_int_parse(argv[1], &n) || n < 1 || n > 1000000)))
		return vh_error(err, "%s: use one number from 1 to 1000000", argv[argc - 1]);
	limit = mem_alloc(sizeof *limit);
	*limit = n;
	vh_set_data(inst, limit);
	return 0;
}

static void
count_unrecognized_fini(struct vh_inst *inst)
{
	int64_t *limit = vh_data(inst);

	mem_free(&limit);
}

static enum vh_rc
count_unrecognized_command(struct vh_call *call)
{
	const int64_t *limit = vh_data(vh_inst(call));
	struct vh_notes *notes = vh_conn_notes(vh_conn(call));
	int64_t n = vh_note_int(notes, COUNT_UNRECOGNIZED_NOTE, 0) + 1;

	vh_note_set_int(notes, COUNT_UNRECOGNIZED_NOTE, n);
	if (n < *limit)
		return VH_DECLINED;
	vh_log(call, VH_LOG_INFO, "client=%s: %lld unknown commands, the last one: %.100s", vh_conn_ip(vh_conn(call)), (long long) n,
	    vh_arg(call));
	return vh_refuse(call, "5.1", "Too many unknown commands");
}

const struct vh_plugin vh_builtin_count_unrecognized = {
	.abi = VH_ABI, .name = "count_unrecognized", .flags = VH_REJECT_DISCONNECT, .init = count_unrecognized_init,
	.fini = count_unrecognized_fini,
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_UNRECOGNIZED_COMMAND, count_unrecognized_command }, { VH_END, NULL } },
};
