/* daemons/smtpd/queue_qmqp.c - plugin queue/qmqp: hands messages over to a QMQP server (plugins(5)) */
#include <string.h>

#include <util/mem.h>
#include <global/hop_addrs.h>
#include <global/qmqp_client.h>

#include "queue_send.h"

#define QUEUE_QMQP_CONNECT_MS	30000
#define QUEUE_QMQP_GRACE_MS	10000

struct queue_qmqp {			/* an instance */
	struct queue_args args;
	struct qmqp_conf conf;
	struct dns *dns;
};

struct queue_qmqp_txn {
	struct vh_call *call;
	struct vh_txn *txn;
	struct vh_reader *reader;
	struct body_source source;
	const char **rcpt;
	struct qmqp_mail mail;
	struct qmqp_send *send;
};

static int
queue_qmqp_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	struct queue_qmqp *q = mem_alloc(sizeof *q);

	q->args = (struct queue_args) { .to = { .port = QMQP_PORT }, .timeout_ms = 120000 };
	if (queue_args_parse(&q->args, argc, argv, 0, err) < 0) {
		mem_free(&q);
		return -1;
	}
	q->conf = (struct qmqp_conf) { .to = q->args.to, .total_ms = q->args.timeout_ms,
	    .connect_ms = q->args.timeout_ms < QUEUE_QMQP_CONNECT_MS ? q->args.timeout_ms : QUEUE_QMQP_CONNECT_MS };
	vh_set_time_limit(inst, q->args.timeout_ms + QUEUE_QMQP_GRACE_MS);
	vh_set_data(inst, q);
	return 0;
}

static int
queue_qmqp_worker_init(struct vh_inst *inst, struct vh_err *err)
{
	struct queue_qmqp *q = vh_data(inst);
	const struct params *p = smtpd_params();

	(void) err;
	q->conf.ipv4 = p == NULL || strstr(p->inet_protocols, "all") != NULL || strstr(p->inet_protocols, "ipv4") != NULL;
	q->conf.ipv6 = p == NULL || strstr(p->inet_protocols, "all") != NULL || strstr(p->inet_protocols, "ipv6") != NULL;
	q->dns = hop_addrs_is_name(&q->args.to) ? smtpd_dns() : NULL;
	return 0;
}

static void
queue_qmqp_fini(struct vh_inst *inst)
{
	struct queue_qmqp *q = vh_data(inst);

	mem_free(&q);
}

/* a message */

static void
queue_qmqp_free(struct queue_qmqp_txn *t)
{
	qmqp_send_free(&t->send);
	vh_reader_close(&t->reader);
	mem_free(&t->rcpt);
	mem_free(&t);
}

static void
queue_qmqp_cancel(void *ctx)
{
	queue_qmqp_free(ctx);
}

static void
queue_qmqp_done(void *ctx, const struct hop_answer *a)
{
	struct queue_qmqp_txn *t = ctx;
	struct vh_call *call = t->call;
	enum vh_rc rc = queue_answer(call, a);

	queue_qmqp_free(t);
	vh_resume(call, rc);
}

static ssize_t
queue_qmqp_read(void *ctx, void *data, size_t n)
{
	struct queue_qmqp_txn *t = ctx;

	return t->reader != NULL ? vh_reader_read(t->reader, data, n) : -1;
}

static bool
queue_qmqp_rewind(void *ctx)
{
	struct queue_qmqp_txn *t = ctx;

	vh_reader_close(&t->reader);
	return (t->reader = vh_reader_open(t->txn, VH_MESSAGE)) != NULL;
}

static enum vh_rc
queue_qmqp_queue(struct vh_call *call)
{
	struct queue_qmqp *q = vh_data(vh_inst(call));
	struct queue_qmqp_txn *t = mem_alloc(sizeof *t);
	size_t	n = vh_rcpts(vh_txn(call));

	t->call = call;
	t->txn = vh_txn(call);
	t->source = (struct body_source) { queue_qmqp_read, t };
	t->rcpt = mem_array(n > 0 ? n : 1, sizeof *t->rcpt);
	for (size_t i = 0; i < n; i++)
		t->rcpt[i] = vh_addr_text(vh_rcpt(t->txn, i));
	t->mail = (struct qmqp_mail) { .sender = vh_addr_text(vh_sender(t->txn)), .rcpt = t->rcpt, .rcpts = n, .source = &t->source,
	    .rewind = queue_qmqp_rewind };
	queue_qmqp_rewind(t);
	t->send = qmqp_send_open(smtpd_loop(), &q->conf, q->dns, &t->mail, queue_qmqp_done, t);
	return vh_suspend(call, queue_qmqp_cancel, t);
}

static const struct vh_hook_fn queue_qmqp_hooks[] = {
	{ VH_HOOK_QUEUE, queue_qmqp_queue },
	{ VH_END, NULL }
};

const struct vh_plugin vh_builtin_queue_qmqp = {
	.abi = VH_ABI, .name = "queue/qmqp", .flags = VH_ERROR_DENYSOFT, .init = queue_qmqp_init,
	.worker_init = queue_qmqp_worker_init, .fini = queue_qmqp_fini, .hooks = queue_qmqp_hooks,
};
