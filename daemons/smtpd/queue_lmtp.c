/* daemons/smtpd/queue_lmtp.c - plugin queue/lmtp: hands messages over to an LMTP server (plugins(5))
 * Such a server answers for each recipient after the final dot, when the client can be told one thing only: so one
 * recipient for each message is the default.
 */
#include "queue_send.h"

static int
queue_lmtp_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	static const struct queue_args defaults = { .to = { .port = 24 }, .timeout_ms = 300000, .sessions = QUEUE_SESSIONS_AUTO,
	    .maxrcpt = 1 };

	return queue_send_init(inst, argc, argv, err, true,
	    QUEUE_EARLY | QUEUE_STRICT | QUEUE_MAXRCPT | QUEUE_XCLIENT | QUEUE_STARTTLS | QUEUE_REUSE, &defaults);
}

const struct vh_plugin vh_builtin_queue_lmtp = {
	.abi = VH_ABI, .name = "queue/lmtp", .flags = VH_ERROR_DENYSOFT, .init = queue_lmtp_init,
	.worker_init = queue_send_worker_init, .fini = queue_send_fini, .hooks = queue_send_hooks,
};
