/* daemons/smtpd/queue_send.c - what queue/smtp and queue/lmtp do
 * What belongs to a transaction hangs on its notes, under the instance's name, and goes with it. Without "early" it is made
 * when the message is there; with it, at the first recipient, and used for the message if the recipients are the same.
 */
#include "queue_send.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>

#include <util/mem.h>
#include <global/hop_addrs.h>
#include <global/smtp_send.h>
#include <global/stats.h>

#define QUEUE_CONNECT_MS	30000
#define QUEUE_QUIT_MS		2000	/* nobody waits for the reply to QUIT */
#define QUEUE_IDLE_MAX		20	/* sessions kept: each holds a process of the next hop */
#define QUEUE_IDLE_MS		5000
#define QUEUE_LIFE_MS		300000	/* longer, and a next hop that was moved or has more hosts now is not noticed */
#define QUEUE_REUSE_MANY	100
#define QUEUE_REUSE_EXIM	10	/* what comes after these is queued there, and delivered some time later */
#define QUEUE_SESSIONS		20	/* what most servers bear from one client */
#define QUEUE_GRACE_MS		10000	/* between our own time limit and that of the hook */

struct queue_send {			/* an instance */
	struct queue_args args;
	struct smtp_hop_conf hop_conf;
	struct smtp_send_conf conf;
	struct smtp_hop *hop;
	struct smtp_hop_stat counted;	/* of its figures */
};

struct queue_txn {			/* a transaction */
	struct queue_send *q;
	struct vh_call *call;		/* suspended; NULL: none */
	struct smtp_send *send;
	struct vh_reader *reader;
	struct body_source source;
};

/* the instance */

int
queue_send_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err, bool lmtp, unsigned words, const struct queue_args *a)
{
	struct queue_send *q = mem_alloc(sizeof *q);
	int64_t ms;

	q->args = *a;
	if (queue_args_parse(&q->args, argc, argv, words, err) < 0) {
		mem_free(&q);
		return -1;
	}
	ms = q->args.timeout_ms;
	/* with early a session belongs to a client for as long as that likes: a few slow ones must not keep the others waiting */
	if (q->args.sessions == QUEUE_SESSIONS_AUTO)
		q->args.sessions = q->args.early ? 0 : QUEUE_SESSIONS;
	q->hop_conf = (struct smtp_hop_conf) { .to = q->args.to, .idle_ms = QUEUE_IDLE_MS, .life_ms = QUEUE_LIFE_MS,
	    .uses = q->args.reuse > 0 ? q->args.reuse : QUEUE_REUSE_MANY, .exim_uses = q->args.reuse > 0 ? 0 : QUEUE_REUSE_EXIM,
	    .sessions_max = q->args.sessions };
	if (q->args.reuse != 1 && !q->args.xclient)	/* XCLIENT: the session is the client's */
		q->hop_conf.idle_max = QUEUE_IDLE_MAX;
	q->hop_conf.client = (struct smtp_client_conf) { .lmtp = lmtp, .tls = q->args.starttls, .greet_ms = ms, .helo_ms = ms,
	    .connect_ms = ms < QUEUE_CONNECT_MS ? ms : QUEUE_CONNECT_MS, .starttls_ms = ms, .quit_ms = QUEUE_QUIT_MS };
	q->conf = (struct smtp_send_conf) { .xclient_ms = ms, .mail_ms = ms, .rcpt_ms = ms, .data_ms = ms, .body_ms = ms,
	    .end_ms = ms, .total_ms = ms, .lmtp = lmtp, .strict = q->args.strict, .xclient = q->args.xclient };
	vh_set_time_limit(inst, ms + QUEUE_GRACE_MS);
	vh_set_data(inst, q);
	return 0;
}

int
queue_send_worker_init(struct vh_inst *inst, struct vh_err *err)
{
	struct queue_send *q = vh_data(inst);
	const struct params *p = smtpd_params();

	q->hop_conf.client.helo = p != NULL ? p->smtp_helo_name : "localhost";
	q->hop_conf.ipv4 = p == NULL || strstr(p->inet_protocols, "all") != NULL || strstr(p->inet_protocols, "ipv4") != NULL;
	q->hop_conf.ipv6 = p == NULL || strstr(p->inet_protocols, "all") != NULL || strstr(p->inet_protocols, "ipv6") != NULL;
	if (q->args.starttls != SMTP_TLS_NONE && (q->hop_conf.client.tls_ctx = smtpd_client_tls()) == NULL &&
	    q->args.starttls == SMTP_TLS_ENCRYPT)
		return vh_error(err, "starttls encrypt: TLS is not possible here");
	q->hop = smtp_hop_new(smtpd_loop(), &q->hop_conf, hop_addrs_is_name(&q->args.to) ? smtpd_dns() : NULL);
	return 0;
}

void
queue_send_fini(struct vh_inst *inst)
{
	struct queue_send *q = vh_data(inst);

	smtp_hop_free(&q->hop);
	mem_free(&q);
}

/* queue_send_count - what the hop has done since the last time */
static void
queue_send_count(struct queue_send *q)
{
	struct smtp_hop_stat now;

	smtp_hop_stat(q->hop, &now);
	stats_add(STAT_smtpd_hop_opened, now.opened - q->counted.opened);
	stats_add(STAT_smtpd_hop_reused, now.reused - q->counted.reused);
	stats_add(STAT_smtpd_hop_failed, now.failed - q->counted.failed);
	q->counted = now;
}

/* answers */

enum vh_rc
queue_answer(struct vh_call *call, const struct hop_answer *a)
{
	const char *text = a->said != NULL && *a->said != 0 ? a->said : NULL;

	switch (a->verdict) {
	case HOP_OK:
		return vh_reply(call, VH_OK, a->dsn, "%s", *a->text != 0 ? a->text : "Message accepted");
	case HOP_NONE:
		vh_log(call, VH_LOG_WARN, "%s", a->text);
		return VH_DECLINED;
	case HOP_SOFT:
		vh_log(call, VH_LOG_INFO, "not now: %s", a->text);
		vh_reply_code(call, a->code);
		return vh_reply(call, VH_DENYSOFT, a->dsn, "%s", text != NULL ? text : "The next mail server cannot be reached or does not "
		    "answer, try again later");
	case HOP_HARD:
		vh_log(call, VH_LOG_INFO, "refused: %s", a->text);
		vh_reply_code(call, a->code);
		return vh_reply(call, VH_DENY, a->dsn, "%s", text != NULL ? text : a->text);
	}
	return VH_DECLINED;
}

static void
queue_send_stop(struct queue_txn *t)
{
	smtp_send_free(&t->send);
	vh_reader_close(&t->reader);
}

static void
queue_send_destroy(void *ctx)
{
	struct queue_txn *t = ctx;

	queue_send_stop(t);
	mem_free(&t);
}

/* queue_send_cancel - the client has gone, or the time is up: what is under way is dropped */
static void
queue_send_cancel(void *ctx)
{
	struct queue_txn *t = ctx;

	t->call = NULL;
	queue_send_stop(t);
}

/* queue_send_rcpt_answer - live: the other plugins have said yes before it was asked */
static void
queue_send_rcpt_answer(void *ctx, size_t i, const struct hop_answer *a)
{
	struct queue_txn *t = ctx;
	struct vh_call *call = t->call;

	(void) i;
	if (call == NULL)
		return;
	t->call = NULL;
	queue_send_count(t->q);
	vh_resume(call, a->verdict == HOP_OK ? VH_OK : queue_answer(call, a));
}

static void
queue_send_done(void *ctx, const struct hop_answer *a)
{
	struct queue_txn *t = ctx;
	struct vh_call *call = t->call;
	enum vh_rc rc;

	if (call == NULL)
		return;
	t->call = NULL;
	queue_send_count(t->q);
	if (a->verdict == HOP_SOFT && smtp_send_unsure(t->send)) {
		stats_add(STAT_smtpd_hop_unsure, 1);
		vh_log(call, VH_LOG_WARN, "the next hop may have taken the message all the same: it may come twice");
	}
	if (a->verdict == HOP_OK)
		for (size_t i = 0; i < smtp_send_rcpts(t->send); i++) {
			const struct hop_answer *one = smtp_send_rcpt_answer(t->send, i);

			if (t->q->conf.lmtp && smtp_send_rcpt_wanted(t->send, i) && one->verdict != HOP_OK)
				vh_log(call, VH_LOG_WARN, "to=<%s> not delivered, though the message was accepted for others: %s",
				    smtp_send_rcpt_addr(t->send, i), one->text);
		}
	rc = queue_answer(call, a);
	queue_send_stop(t);
	vh_resume(call, rc);
}

static const struct smtp_send_ops queue_send_ops = { queue_send_rcpt_answer, queue_send_done };

/* the hooks */

static struct queue_txn *
queue_send_txn(struct vh_call *call)
{
	struct vh_notes *notes = vh_txn_notes(vh_txn(call));
	const char *name = vh_name(vh_inst(call));
	struct queue_txn *t = vh_note_ptr(notes, name);

	if (t == NULL) {
		t = mem_alloc(sizeof *t);
		t->q = vh_data(vh_inst(call));
		vh_note_set_ptr(notes, name, t, queue_send_destroy);
	}
	return t;
}

/* queue_send_client - who the client is */
static void
queue_send_client(struct smtp_send_mail *mail, const struct vh_conn *conn, char *addr, size_t addr_size, char *port, size_t port_size)
{
	const char *host = vh_conn_host(conn);
	bool	ip6 = vh_conn_peer(conn)->sa_family == AF_INET6, known = vh_conn_peer(conn)->sa_family != AF_UNSPEC;

	snprintf(addr, addr_size, "%s%s", ip6 ? "IPV6:" : "", vh_conn_ip(conn));
	snprintf(port, port_size, "%u", vh_conn_port(conn));
	mail->name = strcmp(host, "unknown") != 0 ? host : NULL;
	mail->addr = known ? addr : NULL;
	mail->port = known ? port : NULL;
	mail->helo = *vh_conn_hello(conn) != 0 ? vh_conn_hello(conn) : NULL;
}

static void
queue_send_open(struct queue_txn *t, struct vh_call *call, uint64_t size)
{
	struct vh_conn *conn = vh_conn(call);
	struct vh_txn *txn = vh_txn(call);
	char	addr[80], port[16];
	struct smtp_send_mail mail = { .sender = vh_addr_text(vh_sender(txn)), .utf8 = vh_smtputf8(txn), .eightbit = vh_8bitmime(txn),
	    .size = size, .proto = vh_conn_esmtp(conn) ? "ESMTP" : "SMTP" };

	if (t->q->conf.xclient)
		queue_send_client(&mail, conn, addr, sizeof addr, port, sizeof port);
	t->send = smtp_send_open(smtpd_loop(), t->q->hop, &t->q->conf, &mail, &queue_send_ops, t);
}

/* queue_send_refuse - an address that cannot be said to the next hop: the parser does not let it come this far */
static enum vh_rc
queue_send_refuse(struct vh_call *call)
{
	return vh_reply(call, VH_DENY, "5.1.3", "This address cannot be passed on");
}

/* queue_send_rcpt_live - the plugins that follow have decided: the next hop is asked about those that they want */
static enum vh_rc
queue_send_rcpt_live(struct vh_call *call, enum vh_rc rc, void *ctx)
{
	struct queue_txn *t;
	const char *size;

	(void) ctx;
	if (rc != VH_OK)
		return rc;
	size = vh_mail_param(vh_txn(call), "SIZE");
	t = queue_send_txn(call);
	if (t->send == NULL)
		queue_send_open(t, call, size != NULL ? strtoull(size, NULL, 10) : 0);
	if (!smtp_send_rcpt(t->send, vh_addr_text(vh_address(call)), true))
		return queue_send_refuse(call);
	t->call = call;
	return vh_suspend(call, queue_send_cancel, t);
}

static enum vh_rc
queue_send_rcpt(struct vh_call *call)
{
	struct queue_send *q = vh_data(vh_inst(call));

	if (q->args.maxrcpt > 0 && vh_rcpts(vh_txn(call)) >= q->args.maxrcpt) {
		vh_reply_code(call, 452);
		return vh_reply(call, VH_DENYSOFT, "4.5.3", "Too many recipients for one message here, send it to this one separately");
	}
	return q->args.early ? vh_next(call, queue_send_rcpt_live, NULL) : VH_DECLINED;
}

/* queue_send_same - the recipients that the next hop has said yes to are those of the message */
static bool
queue_send_same(const struct queue_txn *t, struct vh_txn *txn)
{
	size_t	n = 0;

	for (size_t i = 0; i < smtp_send_rcpts(t->send); i++)
		if (smtp_send_rcpt_wanted(t->send, i) &&
		    (n >= vh_rcpts(txn) || strcmp(smtp_send_rcpt_addr(t->send, i), vh_addr_text(vh_rcpt(txn, n++))) != 0))
			return false;
	return n == vh_rcpts(txn);
}

static ssize_t
queue_send_read(void *ctx, void *data, size_t n)
{
	struct queue_txn *t = ctx;

	return vh_reader_read(t->reader, data, n);
}

static enum vh_rc
queue_send_queue(struct vh_call *call)
{
	struct queue_txn *t = queue_send_txn(call);
	struct vh_txn *txn = vh_txn(call);
	uint64_t size = vh_message_size(txn, VH_MESSAGE);

	if (t->send != NULL && !queue_send_same(t, txn))
		queue_send_stop(t);		/* somebody has changed our answer: begin again with what it is now */
	if (t->send == NULL) {
		queue_send_open(t, call, size);
		for (size_t i = 0; i < vh_rcpts(txn); i++)
			if (!smtp_send_rcpt(t->send, vh_addr_text(vh_rcpt(txn, i)), false)) {
				queue_send_stop(t);
				return queue_send_refuse(call);
			}
	}
	if ((t->reader = vh_reader_open(txn, VH_MESSAGE)) == NULL) {
		queue_send_stop(t);
		return vh_reply(call, VH_DENYSOFT, "4.3.0", "The message cannot be read here, try again later");
	}
	t->source = (struct body_source) { queue_send_read, t };
	t->call = call;
	smtp_send_body(t->send, &t->source, size);
	return vh_suspend(call, queue_send_cancel, t);
}

const struct vh_hook_fn queue_send_hooks[] = {
	{ VH_HOOK_RCPT, queue_send_rcpt },
	{ VH_HOOK_QUEUE, queue_send_queue },
	{ VH_END, NULL }
};
