/* tests/fuzz/smtpd_session_fuzz.c - a whole session of smtpd's engine: whatever a client sends, every reply is one, and what is handed
 * to the next hop has clean lines. The first byte: options, and the size of the pieces in which the rest arrives.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <daemons/smtpd/smtpd.h>
#include <util/msg.h>

#define REPLIES_MAX	(1u << 20)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct {
	struct buf out;
	bool	finished, held, starttls;
} wire;

static void
wire_send(void *ctx, const void *data, size_t n)
{
	(void) ctx;
	if (wire.finished)
		abort();
	buf_add(&wire.out, data, n);
}

static void
wire_resume(void *ctx)
{
	(void) ctx;
	if (!wire.held)
		abort();
	wire.held = false;
}

static void
wire_finish(void *ctx, const void *data, size_t n, bool slowly)
{
	(void) slowly;
	if (n > 0)
		wire_send(ctx, data, n);
	if (wire.finished)
		abort();
	wire.finished = true;
}

static void
wire_starttls(void *ctx)
{
	(void) ctx;
	wire.starttls = true;
}

static ssize_t
wire_peek(void *ctx, void *data, size_t n)
{
	(void) ctx, (void) data, (void) n;
	return 0;
}

static enum vh_rc
fuzz_rcpt(struct vh_call *c)
{
	return vh_addr_user(vh_address(c))[0] == 'x' ? vh_refuse(c, "1.1", "no %s", vh_addr_text(vh_address(c))) : VH_OK;
}

static enum vh_rc
fuzz_queue(struct vh_call *c)
{
	struct vh_reader *r = vh_reader_open(vh_txn(c), VH_MESSAGE);
	char	data[100], last = '\n';
	uint64_t size = 0;
	ssize_t n;
	size_t	len;

	while ((n = vh_reader_read(r, data, sizeof data)) > 0) {
		for (ssize_t i = 0; i < n; last = data[i++])
			if ((data[i] == '\n') != (last == '\r'))
				abort();
		size += (uint64_t) n;
	}
	vh_reader_close(&r);
	if (n < 0 || size != vh_message_size(vh_txn(c), VH_MESSAGE) || last != '\n' || vh_rcpts(vh_txn(c)) == 0 ||
	    vh_header(vh_txn(c), "Subject", 1, &len) == data || vh_message_size(vh_txn(c), VH_BODY) > size)
		abort();
	return VH_OK;
}

static const struct vh_plugin fuzz_plugin = {
	.abi = VH_ABI, .name = "fuzz",
	.hooks = (const struct vh_hook_fn[]) { { VH_HOOK_RCPT, fuzz_rcpt }, { VH_HOOK_QUEUE, fuzz_queue }, { VH_END, NULL } }
};
static const struct vh_plugin *const fuzz_plugins[] = { &fuzz_plugin, NULL };

static void
check_replies(void)
{
	const char *p = buf_str(&wire.out), *lf;

	for (; *p != 0; p = lf + 1)
		if ((lf = strchr(p, '\n')) == NULL || lf == p || lf[-1] != '\r' || lf + 1 - p > 512 || lf - p < 5 ||
		    *p < '2' || *p > '5' || p[1] < '0' || p[1] > '9' || p[2] < '0' || p[2] > '9' || (p[3] != ' ' && p[3] != '-'))
			abort();
	if (strlen(buf_str(&wire.out)) != wire.out.len)
		abort();			/* a NUL */
}

static void
begin(void)
{
	struct buf why = BUF_INIT(1000);

	msg_to_stderr(NULL);
	smtpd.loop = ev_loop_new_fake(1800000000);
	smtpd.conf = (struct smtpd_conf) {
		.hostname = "mx.test", .banner = "mx.test", .mail_name = "vouch", .idle_ms = 300000, .session_ms = 3600000,
		.hook_ms = 60000, .soft_errors = 10, .hard_errors = 20, .junk_limit = 100, .rcpt_limit = 5, .overshoot_limit = 5, .hops = 3,
		.client_limit = 10, .unknown_limit = 2, .message_limit = 3000, .body_memory = 512, .header_limit = 300,
		.second_helo = true, .smtputf8 = true, .probe_sender = "probe@mx.test", .double_bounce = "double-bounce",
		.myorigin = "mx.test",
	};
	smtpd.spool_fd = open("/tmp", O_RDONLY | O_DIRECTORY);
	loader_more = fuzz_plugins;
	if ((smtpd.plugins = plugins_parse("f", "fuzz\n", 5, "", "/nonexistent", &why)) == NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct smtpd_wire ops = { wire_send, wire_resume, wire_finish, wire_starttls, wire_peek, NULL };
	static const struct smtpd_peer peer;
	const char *p = (const char *) data + 1, *end = (const char *) data + n;
	struct vh_conn *s;
	size_t	piece, used;
	bool	hold;

	if (n < 1 || n > 20000)
		return 0;
	if (smtpd.loop == NULL)
		begin();
	smtpd.conf.normalize = data[0] & 1;
	smtpd.conf.forbid_pipelining = data[0] & 2;
	smtpd.conf.tls = data[0] & 4;
	smtpd.conf.bare_path = data[0] & 8;
	buf_init(&wire.out, REPLIES_MAX);
	wire.finished = wire.held = wire.starttls = false;
	s = smtpd_session_open(&ops, NULL, &peer, &hold);
	while (p < end && !wire.finished && !wire.starttls) {
		piece = (size_t) (end - p) < 1u + data[0] / 16u * 50u ? (size_t) (end - p) : 1u + data[0] / 16u * 50u;
		wire.held = smtpd_session_input(s, p, piece, &used) == SMTPD_HOLD;
		if (used > piece || (used < piece && !wire.held))
			abort();
		p += used;
		while (wire.held && !wire.finished && !wire.starttls)
			ev_turn(smtpd.loop, 0);
	}
	smtpd_session_closed(&s, "end");
	check_replies();
	buf_fini(&wire.out);
	return 0;
}
