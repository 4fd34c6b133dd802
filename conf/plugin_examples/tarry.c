/* tarry.c - an example of a plugin for vouch's smtpd(8) that waits: each recipient costs a client some time
 * Clients that may relay, and those on a white list, do not wait. Shows vh_suspend, a timer, and what to do when the client
 * goes in the meantime. Configure:  tarry 2000  (milliseconds), before the plugins that accept recipients.
 */
#include <stdlib.h>

#include <vouch_plugin.h>

/* one wait; it belongs to the call that is suspended */
struct tarry {
	struct vh_call *call;
	struct vh_timer *timer;
};

static int
tarry_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	char   *end;
	long	ms;

	if (argc != 2 || (ms = strtol(argv[1], &end, 10)) < 1 || *end != 0 || ms > 50000)
		return vh_error(err, "use: %s milliseconds, at most 50000", argv[0]);
	vh_set_data(inst, (void *) ms);
	return 0;
}

static void
tarry_free(struct tarry *t)
{
	vh_timer_stop(&t->timer);
	free(t);
}

/* the client has gone, or smtpd has lost patience: nobody waits for us any more */
static void
tarry_cancel(void *ctx)
{
	tarry_free(ctx);
}

static void
tarry_over(void *ctx)
{
	struct tarry *t = ctx;
	struct vh_call *call = t->call;

	tarry_free(t);
	vh_resume(call, VH_DECLINED);
}

static enum vh_rc
tarry_rcpt(struct vh_call *call)
{
	struct tarry *t;

	if (vh_is_immune(vh_conn(call), vh_txn(call)) || (t = calloc(1, sizeof *t)) == NULL)
		return VH_DECLINED;
	t->call = call;
	t->timer = vh_timer_start((long) vh_data(vh_inst(call)), tarry_over, t);
	return vh_suspend(call, tarry_cancel, t);
}

static const struct vh_hook_fn tarry_hooks[] = {
	{ VH_HOOK_RCPT, tarry_rcpt },
	{ VH_END, NULL }
};

const struct vh_plugin vouch_plugin = {
	.abi = VH_ABI,
	.name = "tarry",
	.init = tarry_init,
	.hooks = tarry_hooks,
};
