/* tests/fuzz/smtpd_hooks_fuzz.c - plugins that return anything, suspend, resume late or twice, ask the others first, while clients talk
 * ahead, hang up and time passes. Each byte is one decision: of the client, or of a plugin that is being asked.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <daemons/smtpd/smtpd.h>
#include <util/msg.h>

#define CLIENTS	3
#define CALLS	64

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct {
	const uint8_t *p, *end;
} input;

static unsigned
decide(unsigned n)
{
	return input.p < input.end ? *input.p++ % n : 0;
}

/* clients */

static struct client {
	struct vh_conn *conn;
	struct buf in;			/* held back */
	bool	held, finished, tls;
} clients[CLIENTS];

static void
wire_send(void *ctx, const void *data, size_t n)
{
	const struct client *c = ctx;

	if (c->finished || n == 0 || ((const char *) data)[n - 1] != '\n')
		abort();
}

static void
wire_resume(void *ctx)
{
	struct client *c = ctx;

	if (!c->held || c->finished)
		abort();
	c->held = false;
}

static void
wire_finish(void *ctx, const void *data, size_t n, bool slowly)
{
	struct client *c = ctx;

	(void) slowly;
	if (n > 0)
		wire_send(ctx, data, n);
	if (c->finished)
		abort();
	c->finished = true;
}

static void
wire_starttls(void *ctx)
{
	((struct client *) ctx)->tls = true;
}

static ssize_t
wire_peek(void *ctx, void *data, size_t n)
{
	const struct client *c = ctx;

	n = n < c->in.len ? n : c->in.len;
	memcpy(data, buf_str(&c->in), n);
	return (ssize_t) n;
}

static const struct smtpd_wire wire = { wire_send, wire_resume, wire_finish, wire_starttls, wire_peek, NULL };

static void
client_input(struct client *c)
{
	struct buf in = c->in;
	size_t	used;

	if (c->conn == NULL || c->held || c->finished || c->tls || in.len == 0)
		return;
	buf_init(&c->in, 1u << 20);
	c->held = smtpd_session_input(c->conn, in.data, in.len, &used) == SMTPD_HOLD;
	if (used > in.len || (used < in.len && !c->held))
		abort();
	buf_add(&c->in, in.data + used, in.len - used);
	buf_fini(&in);
}

static void
client_gone(struct client *c)
{
	if (c->conn != NULL)
		smtpd_session_closed(&c->conn, "gone");
	buf_fini(&c->in);
}

static void
client_come(struct client *c)
{
	struct smtpd_peer peer;
	bool	hold;

	memset(&peer, 0, sizeof peer);
	client_gone(c);
	*c = (struct client) { .held = false };
	buf_init(&c->in, 1u << 20);
	c->conn = smtpd_session_open(&wire, c, &peer, &hold);
	c->held = hold;
}

/* plugins: calls that wait; each ends in one way */

static struct wait {
	struct vh_call *call;
	bool	resumed;
} waits[CALLS];

static void
wait_cancel(void *ctx)
{
	struct wait *w = ctx;

	if (w->call == NULL || w->resumed)
		abort();			/* told twice, or after it had resumed */
	w->call = NULL;
}

static void
wait_over(void)
{
	struct wait *w = &waits[decide(CALLS)];

	if (w->call == NULL)
		for (w = waits; w < waits + CALLS && w->call == NULL; w++)
			;
	if (w == waits + CALLS)
		return;
	w->resumed = true;
	vh_resume(w->call, (enum vh_rc) (decide(2) == 0 ? VH_OK : decide(VH_RCS + 2)));
	w->call = NULL;
	w->resumed = false;
}

static enum vh_rc
fuzz_after(struct vh_call *c, enum vh_rc rc, void *ctx)
{
	(void) ctx;
	if (rc == VH_YIELD)
		return rc;
	switch (decide(4)) {
	case 0:
		return vh_reply(c, VH_DENY, "5.1.1", "after");
	case 1:
		return VH_OK;
	default:
		return rc;
	}
}

static enum vh_rc
fuzz_fn(struct vh_call *c)
{
	struct wait *w;
	unsigned what = decide(16);

	if (vh_hook(c) == VH_HOOK_DENY || vh_hook(c) == VH_HOOK_OK)
		return VH_OK;
	if (vh_txn(c) != NULL && vh_hook(c) == VH_HOOK_QUEUE && vh_rcpts(vh_txn(c)) == 0)
		abort();
	switch (what) {
	case 0: case 1: case 2: case 3: case 4:
		return VH_DECLINED;
	case 5: case 6: case 7:
		return VH_OK;
	case 8:
		return vh_next(c, fuzz_after, NULL);
	case 9: case 10: case 11:
		for (w = waits; w < waits + CALLS && w->call != NULL; w++)
			;
		if (w == waits + CALLS)
			return VH_DECLINED;
		w->call = c;
		if (vh_suspend(c, wait_cancel, w) != VH_YIELD)
			abort();
		return VH_YIELD;
	case 12:
		vh_send(c, "250-mine");
		return VH_DONE;
	case 13:
		return vh_refuse(c, "1.1", "refused");
	case 14:
		vh_note_set_int(vh_conn_notes(vh_conn(c)), "seen", (int64_t) what);
		if (vh_txn(c) != NULL)
			vh_header_add(vh_txn(c), "X-Fuzz", "seen");
		return VH_DECLINED;
	default:
		return (enum vh_rc) decide(VH_RCS + 2);
	}
}

static const struct vh_plugin fuzz_plugin = {
	.abi = VH_ABI, .name = "fuzz",
	.hooks = (const struct vh_hook_fn[]) {
		{ VH_HOOK_PRE_CONNECTION, fuzz_fn }, { VH_HOOK_CONNECT, fuzz_fn }, { VH_HOOK_HELO, fuzz_fn }, { VH_HOOK_EHLO, fuzz_fn },
		{ VH_HOOK_MAIL_PRE, fuzz_fn }, { VH_HOOK_MAIL, fuzz_fn }, { VH_HOOK_RCPT_PRE, fuzz_fn }, { VH_HOOK_RCPT, fuzz_fn },
		{ VH_HOOK_DATA, fuzz_fn }, { VH_HOOK_DATA_HEADERS_END, fuzz_fn }, { VH_HOOK_RECEIVED_LINE, fuzz_fn },
		{ VH_HOOK_DATA_POST, fuzz_fn }, { VH_HOOK_QUEUE_PRE, fuzz_fn }, { VH_HOOK_QUEUE, fuzz_fn }, { VH_HOOK_QUEUE_POST, fuzz_fn },
		{ VH_HOOK_RESET_TRANSACTION, fuzz_fn }, { VH_HOOK_UNRECOGNIZED_COMMAND, fuzz_fn }, { VH_HOOK_HELP, fuzz_fn },
		{ VH_HOOK_VRFY, fuzz_fn }, { VH_HOOK_NOOP, fuzz_fn }, { VH_HOOK_QUIT, fuzz_fn }, { VH_HOOK_DISCONNECT, fuzz_fn },
		{ VH_HOOK_DENY, fuzz_fn }, { VH_HOOK_OK, fuzz_fn }, { VH_END, NULL } }
};
static const struct vh_plugin *const fuzz_plugins[] = { &fuzz_plugin, NULL };

static void
begin(void)
{
	static const char text[] = "fuzz\nfuzz:1 on_error denysoft time_limit 5s\nfuzz:2 reject naughty\n";
	struct buf why = BUF_INIT(1000);

	msg_to_stderr(NULL);
	smtpd.loop = ev_loop_new_fake(1800000000);
	smtpd.conf = (struct smtpd_conf) {
		.hostname = "mx.test", .banner = "mx.test", .mail_name = "vouch", .idle_ms = 300000, .session_ms = 3600000,
		.hook_ms = 60000, .error_sleep_ms = 1000, .soft_errors = 5, .hard_errors = 20, .junk_limit = 100, .rcpt_limit = 5,
		.overshoot_limit = 5, .hops = 3, .client_limit = 10, .unknown_limit = 2, .message_limit = 3000, .body_memory = 512,
		.header_limit = 300, .second_helo = true, .smtputf8 = true, .probe_sender = "probe@mx.test", .double_bounce = "double-bounce",
		.myorigin = "mx.test", .tls = true,
	};
	smtpd.spool_fd = open("/tmp", O_RDONLY | O_DIRECTORY);
	loader_more = fuzz_plugins;
	if ((smtpd.plugins = plugins_parse("f", text, sizeof text - 1, "", "/nonexistent", &why)) == NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const lines[] = {
		"EHLO c.test\r\n", "MAIL FROM:<a@b.test>\r\n", "RCPT TO:<c@d.test>\r\n", "DATA\r\n", "Subject: x\r\n\r\nbody\r\n.\r\n", "QUIT\r\n",
		"RSET\r\n", "HELO c.test\r\n", "NOOP\r\n", "VRFY x\r\n", "XYZZY\r\n", "HELP\r\n", "STARTTLS\r\n", "Subject: y\r\n", "\r\n", ".\r\n",
		"RCPT TO:<postmaster>\r\n", "RCPT TO:<double-bounce>\r\n", "x\ny\r\n", "MAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n",
	};
	struct client *c;

	if (n > 4000)
		return 0;
	if (smtpd.loop == NULL)
		begin();
	input.p = data;
	input.end = data + n;
	for (c = clients; c < clients + CLIENTS; c++)
		client_come(c);
	while (input.p < input.end) {
		c = &clients[decide(CLIENTS)];
		switch (decide(10)) {
		case 0: case 1: case 2: case 3: case 4:
			if (c->conn != NULL && !c->finished) {
				buf_adds(&c->in, lines[decide(sizeof lines / sizeof lines[0])]);
				if (c->held)
					smtpd_session_early(c->conn);
			}
			break;
		case 5: case 6:
			wait_over();
			break;
		case 7:
			ev_fake_advance(smtpd.loop, 1 + 700 * decide(256));
			break;
		case 8:
			if (c->tls && c->conn != NULL && !c->finished) {
				c->tls = false;
				smtpd_session_tls(c->conn, decide(2) ? "TLSv1.3" : NULL, "x");
			} else if (c->conn != NULL)
				smtpd_session_dismiss(c->conn, decide(2));
			break;
		case 9:
			if (decide(2))
				client_come(c);
			else
				client_gone(c);
			break;
		}
		for (int turn = (int) decide(4); turn > 0; turn--) {	/* 0: more happens before the loop comes round */
			ev_turn(smtpd.loop, 0);
			for (c = clients; c < clients + CLIENTS; c++) {
				client_input(c);
				if (c->finished && c->conn != NULL)
					smtpd_session_closed(&c->conn, "finished");
			}
		}
	}
	for (c = clients; c < clients + CLIENTS; c++)
		client_gone(c);
	for (struct wait *w = waits; w < waits + CALLS; w++)
		if (w->call != NULL)
			abort();			/* nobody has told it */
	ev_fake_advance(smtpd.loop, 10000000);
	return 0;
}
