/* tests/fuzz/smtp_dialogue_fuzz.c - a server that says anything, at any time, to the dialogue of probe(8)
 * The first two bytes: how we are configured. The rest is what the server says; a byte 0xfe ends a piece: the next is sent when
 * all is quiet, 0xfd the same ten seconds later. Then it closes. Whatever it does: each question has one answer, the session
 * ends once, and we say only what we may, a whole line at a time.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <daemons/probe/smtp_dialogue.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { USE_PIPELINING = 1, USE_LMTP = 2, USE_DATA = 4, USE_RANDOM = 8, USE_UTF8 = 16, USE_NULL = 32, USE_OWN = 64, USE_POSTFIX = 128 };

static struct {
	struct ev_loop *loop;
	int	listener, server;
	unsigned use, end;		/* end: what the owner does after its last answer */
	struct smtp_dialogue *dialogue;
	unsigned asked, answers, ended;
	bool	open, silent;		/* a question is open; after 354 nothing may be said */
	struct buf said;
} f;
static char path[60];

static void fuzz_ask(void);

static void
fuzz_ready(void *ctx)
{
	(void) ctx;
	if (f.ended > 0 || f.dialogue == NULL)
		abort();
}

static void
fuzz_answer(void *ctx, const struct smtp_dialogue_answer *a)
{
	(void) ctx;
	if (!f.open || f.ended > 0 || a->text == NULL || strlen(a->text) > DIALOGUE_TEXT_MAX || a->class.rule == NULL)
		abort();
	for (const char *p = a->text; *p != 0; p++)
		if ((unsigned char) *p < 0x20 || *p == 0x7f)
			abort();
	if (a->class.status == VERIFY_OK && (!a->asked || a->code / 100 > 3 || a->code < 200))
		abort();
	f.answers++;
	f.open = false;
	if (a->at == SMTP_AT_DATA && a->code / 100 == 3) {
		f.silent = true;
		smtp_dialogue_free(&f.dialogue);
	} else if (a->ended)
		return;
	else if (!a->over && f.asked < 3)
		fuzz_ask();
	else if (f.end == 0)
		smtp_dialogue_quit(f.dialogue);
	else if (f.end == 1)
		smtp_dialogue_free(&f.dialogue);
	else if (f.end == 2)
		smtp_dialogue_rest(f.dialogue);
}

static void
fuzz_ended(void *ctx, enum smtp_client_end end, const char *text)
{
	(void) ctx;
	(void) end;
	if (f.open || f.ended++ > 0 || text == NULL)
		abort();
	smtp_dialogue_free(&f.dialogue);
}

static const struct smtp_dialogue_ops fuzz_ops = { fuzz_ready, fuzz_answer, fuzz_ended };

static void
fuzz_ask(void)
{
	static const char *const rcpts[] = { "ann@example.org", "bob@example.org", "\"a b\"@example.org" };
	struct smtp_dialogue_question q = {
		.rcpt = rcpts[f.asked % 3], .domain = "example.org", .sender = f.use & USE_NULL ? "" : "us@probe.test",
		.other_sender = f.use & USE_NULL ? "us@probe.test" : "", .random = f.use & USE_RANDOM ? "vouchx@example.org" : NULL,
		.utf8 = (f.use & USE_UTF8) != 0, .data = (f.use & USE_DATA) != 0,
	};

	f.asked++;
	f.open = true;
	smtp_dialogue_ask(f.dialogue, &q);
}

static void
fuzz_settle(void)
{
	for (int quiet = 0, turns = 0; quiet < 3 && turns < 1000; turns++)
		quiet = ev_turn(f.loop, 0) > 0 ? 0 : quiet + 1;
}

/* fuzz_said - what the client has said: whole lines, of the commands it has */
static void
fuzz_said(void)
{
	static const char *const commands[] = { "EHLO us.test", "HELO us.test", "LHLO us.test", "MAIL FROM:<", "RCPT TO:<", "RSET", "DATA",
		"QUIT" };
	char	chunk[8192], *nl, *line;
	ssize_t n;
	size_t	i;

	buf_reset(&f.said);
	while ((n = recv(f.server, chunk, sizeof chunk, MSG_DONTWAIT)) > 0)
		buf_add(&f.said, chunk, (size_t) n);
	for (line = f.said.data; line != NULL && *line != 0; line = nl + 1) {
		if ((nl = strchr(line, '\n')) == NULL || nl == line || nl[-1] != '\r' || f.silent)
			abort();
		for (i = 0; i < NELEM(commands) && strncmp(line, commands[i], strlen(commands[i])) != 0; i++)
			;
		if (i == NELEM(commands) || (strncmp(line, "DATA", 4) == 0 && (f.use & USE_DATA) == 0))
			abort();
	}
}

static void
fuzz_leave(void)
{
	unlink(path);
}

static void
fuzz_init(void)
{
	msg_to_stderr(NULL);
	snprintf(path, sizeof path, "/tmp/vouch-fuzz.%d", (int) getpid());
	if ((f.listener = sock_unix_listen(path, 10, 0600)) < 0)
		abort();
	atexit(fuzz_leave);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct smtp_dialogue_conf conf;
	struct smtp_dialogue_to to = { .client = { .path = path }, .host = "mx.example.org" };
	const uint8_t *p = data + 2, *end = data + n, *piece;

	if (n < 2)
		return 0;
	if (path[0] == 0)
		fuzz_init();
	buf_fini(&f.said);
	buf_init(&f.said, 1 << 20);
	f.loop = ev_loop_new_fake(1800000000);
	f.use = data[0];
	f.end = data[1] & 3;
	f.asked = f.answers = f.ended = 0;
	f.open = f.silent = false;
	conf = (struct smtp_dialogue_conf) {
		.client = { .helo = "us.test", .loop_name = data[1] & 4 ? "loop.test" : NULL, .lmtp = (f.use & USE_LMTP) != 0,
			.connect_ms = 30000, .greet_ms = 30000, .helo_ms = 30000, .starttls_ms = 30000, .quit_ms = 1000 },
		.class = { .policy = VERIFY_DEFER, .full = VERIFY_DEFER, .postfix = (f.use & USE_POSTFIX) != 0 },
		.mail_ms = 30000, .rcpt_ms = 30000, .data_ms = 30000, .rset_ms = 20000,
		.pipelining = (f.use & USE_PIPELINING) != 0, .own_route = (f.use & USE_OWN) != 0,
		.compact = (data[1] & 8) != 0, .hide_host = (data[1] & 16) != 0,
	};
	f.dialogue = smtp_dialogue_open(f.loop, &conf, &to, &fuzz_ops, NULL);
	fuzz_ask();
	if ((f.server = accept4(f.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
		abort();
	while (p < end) {
		for (piece = p; p < end && *p < 0xfd; p++)
			;
		(void) !send(f.server, piece, (size_t) (p - piece), MSG_NOSIGNAL);
		fuzz_settle();
		fuzz_said();
		if (p < end && *p++ == 0xfd)
			ev_fake_advance(f.loop, 10000);
	}
	if (data[1] & 32) {				/* it stays, and says nothing more */
		for (int i = 0; i < 10; i++) {
			ev_fake_advance(f.loop, 31000);
			fuzz_settle();
		}
		fuzz_said();
		if (f.open)
			abort();
	}
	close(f.server);
	fuzz_settle();
	if (f.open || f.answers != f.asked)
		abort();
	if (f.dialogue != NULL && f.end != 3 && f.end != 2)	/* all but a session left open has ended */
		abort();
	smtp_dialogue_free(&f.dialogue);
	fuzz_settle();
	ev_loop_free(&f.loop);
	return 0;
}
