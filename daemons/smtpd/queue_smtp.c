/* daemons/smtpd/queue_smtp.c - plugin queue/smtp: hands messages over to an SMTP server (plugins(5)) */
#include "queue_send.h"

static int
queue_smtp_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	static const struct queue_args defaults = { .to = { .port = 25 }, .timeout_ms = 300000, .sessions = QUEUE_SESSIONS_AUTO };

	return queue_send_init(inst, argc, argv, err, false,
	    QUEUE_EARLY | QUEUE_MAXRCPT | QUEUE_XCLIENT | QUEUE_STARTTLS | QUEUE_REUSE, &defaults);
}

const struct vh_plugin vh_builtin_queue_smtp = {
	.abi = VH_ABI, .name = "queue/smtp", .flags = VH_ERROR_DENYSOFT, .init = queue_smtp_init,
	.worker_init = queue_send_worker_init, .fini = queue_send_fini, .hooks = queue_send_hooks,
};
