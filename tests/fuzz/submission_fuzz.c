/* tests/fuzz/submission_fuzz.c - the cleanup service of probe(8) as a client sees it, and the routing of what it submits
 * The first byte: size of the pieces, and whether there is room for probes. The rest is what the client sends; it may go on
 * after its message, and leave at any time.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <daemons/probe/probe.h>
#include <global/probe_message.h>
#include <util/attr.h>
#include <util/mem.h>
#include <util/msg.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* the skeleton's side: what the service sends, and that it closes */
static struct buf sent = BUF_INIT(1 << 20);
static unsigned finished;
static bool has_room;
static unsigned added;
static struct route_conf routes;

void
ms_send(struct ms_client *client, const void *p, size_t n)
{
	(void) client;
	buf_add(&sent, p, n);
}

void
ms_finish(struct ms_client *client)
{
	(void) client;
	finished++;
}

static bool
submission_fuzz_room(unsigned n)
{
	if (n == 0 || n > PROBE_RCPT_MAX)
		abort();
	return has_room;
}

/* submission_fuzz_route - whatever was submitted, what goes out is one line, and a next hop that fits */
static void
submission_fuzz_route(const char *addr)
{
	struct route r;

	route_find(&routes, addr, &r);
	if (r.kind == ROUTE_ANSWER) {
		if (memchr(r.text, 0, sizeof r.text) == NULL || r.text[0] == 0 || r.dsn[0] == 0)
			abort();
		return;
	}
	if (strrchr(r.rcpt, '@') == NULL || r.nexthop[0] == 0 || r.domain[0] == 0)
		abort();
	for (const char *p = r.rcpt; *p != 0; p++)
		if ((unsigned char) *p < 0x20 || *p == 0x7f)
			abort();
	if (strpbrk(strrchr(r.rcpt, '@'), "<> \t") != NULL)
		abort();
}

static void
submission_fuzz_add(const char *addr, const char *sender, const char *id)
{
	if (addr == NULL || sender == NULL || strlen(id) >= PROBER_ID_MAX)
		abort();
	for (const char *p = sender; *p != 0; p++)
		if ((unsigned char) *p < 0x20 || *p == 0x7f)
			abort();
	added++;
	submission_fuzz_route(addr);
}

/* submission_fuzz_status - what was sent since `from` is one final status; its number */
static unsigned
submission_fuzz_status(size_t from)
{
	struct attr_reader r;
	struct attr_in in;
	unsigned status;
	size_t	used;

	attr_in_init(&in, 1024, 8192);
	if (attr_in_feed(&in, sent.data + from, sent.len - from, &used) != ATTR_IN_DONE || used != sent.len - from)
		abort();
	attr_reader_init(&r, in.list.data, in.list.len, false);
	status = attr_uint(&r, "status");
	attr_str(&r, "reason");
	if (r.error != ATTR_OK || attr_end(&r) != NULL)
		abort();
	attr_in_fini(&in);
	return status;
}

static struct ev_loop *
submission_fuzz_init(void)
{
	static const struct submission_ops ops = { submission_fuzz_room, submission_fuzz_add };
	static struct mx_addr own = { .a.s_addr = 0x0100007f };
	struct buf why = BUF_INIT(4096);
	struct ev_loop *loop = ev_loop_new_fake(1800000000);

	msg_to_stderr(NULL);
	submission_init(loop, &ops);
	routes = (struct route_conf) {
		.myorigin = "origin.test", .mydestination = domain_list_open("local.test", false, &why),
		.virtual_alias = domain_list_open("alias.test", false, &why),
		.virtual_mailbox = domain_list_open("virtual.test", false, &why), .relay = domain_list_open("relay.test", true, &why),
		.transport = { "lmtp:unix:/run/lmtp", "error", "smtp:[inside.test]", "relay", "smtp" }, .relayhost = "",
		.transport_maps = lookup_tables_open("inline:{.a.test=smtp:[b.test]:25, u@c.test=error:5.1.1 no, d.test=retry:x}", &why),
		.recipient_delimiter = "+-", .smtp_transports = "outside", .unknown_transport = VERIFY_DEFER, .own = &own, .own_n = 1,
	};
	if (why.len > 0)
		abort();
	return loop;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct ev_loop *loop;
	const char *p = (const char *) data + 1, *end = (const char *) data + n;
	enum ms_next next = MS_MORE;
	struct ms_client *client = (struct ms_client *) (void *) &finished;	/* never looked into */
	size_t	piece, used, greeting;
	bool	partial;
	void   *ctx;

	if (n < 2)
		return 0;
	if (loop == NULL)
		loop = submission_fuzz_init();
	piece = (data[0] & 0x7f) == 0x7f ? n : (data[0] & 0x7f) + 1u;
	has_room = (data[0] & 0x80) != 0;
	buf_reset(&sent);
	finished = added = 0;
	ctx = submission_opened(client);
	greeting = sent.len;
	if (greeting == 0)
		abort();				/* the server speaks first */
	for (; p < end && next == MS_MORE; p += used) {
		partial = false;
		used = 0;
		next = submission_input(client, ctx, p, piece < (size_t) (end - p) ? piece : (size_t) (end - p), &used, &partial);
		if (used > (size_t) (end - p) || (next == MS_MORE && (!partial || sent.len != greeting)))
			abort();
	}
	if (next == MS_HOLD && finished == 0) {		/* no room: it waits, and gets in, or is refused in the end */
		if (has_room || sent.len != greeting || added > 0)
			abort();
		has_room = data[n - 1] & 1;
		submission_room();
		if (has_room != (finished == 1))
			abort();
		ev_fake_advance(loop, 60000);
	}
	if (next == MS_HOLD) {
		unsigned status = submission_fuzz_status(greeting);

		if (finished != 1 || (status == 0) != (added > 0))
			abort();
	} else if (finished > 0 || added > 0)
		abort();
	submission_closed(client, ctx);
	/* and the bytes as an address */
	char   *addr = mem_strndup((const char *) data + 1, n - 1);

	submission_fuzz_route(addr);
	mem_free(&addr);
	return 0;
}
