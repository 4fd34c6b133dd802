/* tests/daemons/smtpd_session_test.c - the protocol: commands in and out of order, in any cut; limits; messages; what is refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <global/probe_sender.h>
#include <tests/lib/dns_stub.h>
#include <tests/lib/smtpd_rig.h>
#include <util/mem.h>
#include <util/msg.h>

/* a next hop that keeps what it was given */
static struct {
	struct buf message, envelope;
	unsigned taken, resets;
	bool	smtputf8, mime8;
	char	param[40];
} hop;

static enum vh_rc
hop_rcpt(struct vh_call *c)
{
	if (strcmp(vh_addr_user(vh_address(c)), "nobody") == 0)
		return vh_reply(c, VH_DENY, "5.1.1", "No such user");
	return VH_OK;
}

static enum vh_rc
hop_queue(struct vh_call *c)
{
	struct vh_txn *t = vh_txn(c);
	struct vh_reader *r = vh_reader_open(t, VH_MESSAGE);
	char	data[777];
	ssize_t n;

	buf_reset(&hop.message);
	buf_reset(&hop.envelope);
	while ((n = vh_reader_read(r, data, sizeof data)) > 0)
		buf_add(&hop.message, data, (size_t) n);
	vh_reader_close(&r);
	assert_int_equal(n, 0);
	assert_int_equal(hop.message.len, vh_message_size(t, VH_MESSAGE));
	buf_addf(&hop.envelope, "<%s>", vh_addr_text(vh_sender(t)));
	for (size_t i = 0; i < vh_rcpts(t); i++)
		buf_addf(&hop.envelope, " <%s>", vh_addr_text(vh_rcpt(t, i)));
	hop.smtputf8 = vh_smtputf8(t);
	hop.mime8 = vh_8bitmime(t);
	snprintf(hop.param, sizeof hop.param, "%s", vh_mail_param(t, "SIZE") != NULL ? vh_mail_param(t, "SIZE") : "none");
	hop.taken++;
	return VH_OK;
}

static enum vh_rc
hop_reset(struct vh_call *c)
{
	(void) c;
	hop.resets++;
	return VH_DECLINED;
}

static const struct vh_plugin hop_plugin = {
	.abi = VH_ABI, .name = "hop",
	.hooks = (const struct vh_hook_fn[]) { { VH_HOOK_RCPT, hop_rcpt }, { VH_HOOK_QUEUE, hop_queue },
	    { VH_HOOK_RESET_TRANSACTION, hop_reset }, { VH_END, NULL } }
};
static const struct vh_plugin *const more[] = { &hop_plugin, NULL };

static void
begin(struct smtpd_rig *rig, struct smtpd_rig_client *c)
{
	buf_fini(&hop.message);
	buf_fini(&hop.envelope);
	memset(&hop, 0, sizeof hop);
	buf_init(&hop.message, 64u << 20);
	buf_init(&hop.envelope, 1u << 20);
	smtpd_rig_begin(rig, "hop\n", more);
	smtpd_rig_open(rig, c, "192.0.2.7");
	assert_string_equal(smtpd_rig_heard(c), "220 mx.test ESMTP\r\n");
}

static void
end(struct smtpd_rig *rig)
{
	smtpd_rig_end(rig);
	buf_fini(&hop.message);
	buf_fini(&hop.envelope);
}

/* dialogue - "C: line" is said, "S: text" is what the reply begins with, "S:" nothing, "X" the connection is gone */
static void
dialogue(struct smtpd_rig *rig, struct smtpd_rig_client *c, const char *script)
{
	char   *all = mem_strdup(script), *next = all, *line;
	char	heard[8192] = "";
	const char *at = heard;
	unsigned n = 0;

	while ((line = strsep(&next, "\n")) != NULL && *line != 0) {
		n++;
		if (strncmp(line, "C: ", 3) == 0) {
			if (*at != 0)
				fail_msg("line %u: %s: also heard \"%s\"", n, line, at);
			snprintf(heard, sizeof heard, "%s", smtpd_rig_ask(rig, c, line + 3));
			at = heard;
		} else if (strncmp(line, "S: ", 3) == 0) {
			if (strncmp(at, line + 3, strlen(line + 3)) != 0)
				fail_msg("line %u: want \"%s\", heard \"%s\"", n, line + 3, at);
			at = strstr(at, "\r\n") != NULL ? strstr(at, "\r\n") + 2 : "";
		} else if (strcmp(line, "X") == 0) {
			if (c->conn != NULL || *at != 0)
				fail_msg("line %u: the connection is still there; \"%s\"", n, at);
		} else
			fail_msg("line %u: %s?", n, line);
	}
	if (*at != 0)
		fail_msg("at the end: also heard \"%s\"", at);
	mem_free(&all);
}

static void
orders(void **state)
{
	static const char *const scripts[] = {
		/* a session as it should be */
		"C: EHLO c.test\nS: 250-mx.test Hello\nS: 250-PIPELINING\nS: 250-SIZE 10240000\nS: 250-8BITMIME\n"
		"S: 250-ENHANCEDSTATUSCODES\nS: 250 SMTPUTF8\n"
		"C: MAIL FROM:<a@b.test> SIZE=5\nS: 250 2.1.0\nC: RCPT TO:<c@d.test>\nS: 250 2.1.5\nC: DATA\nS: 354 \n"
		"C: .\nS: 250 2.6.0\nC: QUIT\nS: 221 2.0.0\nX\n",
		/* verbs and keywords without case, blanks where people put them */
		("C: ehlo c.test\nS: 250-\nS: 250-\nS: 250-\nS: 250-\nS: 250-\nS: 250 \nC: mail from: <a@b.test> size=5 body=8bitmime\nS: 250 2.1.0\n"
		"C: rcpt to: <c@d.test>\nS: 250 2.1.5\nC: rset\nS: 250 2.0.0\n"),
		"C: HELO c.test\nS: 250 mx.test\nC: MAIL FROM:<>\nS: 250 2.1.0\nC: RCPT TO:<postmaster>\nS: 250 2.1.5\n",
		/* out of order */
		"C: RCPT TO:<c@d.test>\nS: 503 5.5.1\n", "C: DATA\nS: 503 5.5.1\n",
		"C: MAIL FROM:<a@b.test>\nS: 250\nC: DATA\nS: 503 5.5.1 Say RCPT\n",
		"C: MAIL FROM:<a@b.test>\nS: 250\nC: RCPT TO:<nobody@d.test>\nS: 550 5.1.1\nC: DATA\nS: 503 5.5.1 Say RCPT\n",
		/* a new MAIL, EHLO or RSET ends a transaction */
		"C: MAIL FROM:<a@b.test>\nS: 250\nC: RCPT TO:<c@d.test>\nS: 250\nC: MAIL FROM:<x@b.test>\nS: 250\nC: DATA\nS: 503\n",
		"C: MAIL FROM:<a@b.test>\nS: 250\nC: HELO again.test\nS: 250\nC: RCPT TO:<c@d.test>\nS: 503\n",
		"C: MAIL FROM:<a@b.test>\nS: 250\nC: RSET\nS: 250\nC: RCPT TO:<c@d.test>\nS: 503\n",
		/* syntax */
		"C: \nS: 500 5.5.2\n", "C: XYZZY\nS: 500 5.5.2\n", "C: EHLO\nS: 501 5.5.4\n", "C: HELO a b\nS: 501 5.5.4\n",
		"C: HELO <x>\nS: 501\n",
		"C: MAIL\nS: 501 5.5.4\n", "C: MAIL FROM\nS: 501 5.5.4\n", "C: MAIL TO:<a@b.test>\nS: 501\n", "C: MAIL FROM:\nS: 501\n",
		"C: MAIL FROM:a@b.test\nS: 501 5.1.7\n", "C: MAIL FROM:<a@b.test\nS: 501 5.1.7\n", "C: MAIL FROM:<a@@b.test>\nS: 501 5.1.7\n",
		"C: MAIL FROM:<a>\nS: 501 5.1.7\n", "C: MAIL FROM:<a@b.test>x\nS: 501 5.5.4\n",
		"C: MAIL FROM:<a@b.test> FOO=bar\nS: 555 5.5.4\n", "C: MAIL FROM:<a@b.test> SIZE=x\nS: 555 5.5.4\n",
		"C: MAIL FROM:<a@b.test> SIZE=99999999999999999999999\nS: 555 5.5.4\n", "C: MAIL FROM:<a@b.test> BODY=9BIT\nS: 555 5.5.4\n",
		"C: MAIL FROM:<a@b.test> SIZE=10240001\nS: 552 5.3.4\n", "C: MAIL FROM:<a@b.test> SIZE=10240000\nS: 250\n",
		"C: MAIL FROM:<a@b.test>\nS: 250\nC: RCPT TO:<>\nS: 501 5.1.3\nC: RCPT TO:<c>\nS: 501 5.1.3\nC: RCPT TO:<c@d.test> X=y\nS: 555\n",
		"C: DATA now\nS: 503\n", "C: RSET now\nS: 501\n", "C: VRFY\nS: 501\nC: VRFY x\nS: 252\nC: HELP\nS: 214-2.0.0 Comm\nS: 214 2.0.0\n",
		"C: STARTTLS\nS: 502 5.5.1\n", "C: AUTH PLAIN\nS: 500 5.5.2\nC: BDAT 5 LAST\nS: 500 5.5.2\n",
	};
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	for (size_t i = 0; i < NELEM(scripts); i++) {
		const char *help = strstr(scripts[i], "HELP\nS: 214-");
		char   *text = help == NULL ? mem_strdup(scripts[i]) :
		    mem_printf("%.*sHELP\nS: 214 2.0.0 Comm\n", (int) (help - scripts[i]), scripts[i]);

		begin(&rig, &c);
		dialogue(&rig, &c, text);
		mem_free(&text);
		end(&rig);
	}
}

static void
options(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	begin(&rig, &c);
	smtpd.conf.helo_required = true;
	dialogue(&rig, &c, "C: MAIL FROM:<a@b.test>\nS: 503 5.5.1 Say EHLO\n");
	smtpd.conf.helo_required = false;
	smtpd.conf.bare_path = true;
	dialogue(&rig, &c, "C: MAIL FROM:a@b.test SIZE=3\nS: 250\nC: RCPT TO:c@d.test\nS: 250\n");
	smtpd.conf.second_helo = false;
	dialogue(&rig, &c, "C: HELO a.test\nS: 250\nC: HELO a.test\nS: 503 5.5.1\n");
	smtpd.conf.null_rcpt_limit = 1;
	dialogue(&rig, &c, "C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<c@d.test>\nS: 250\nC: RCPT TO:<d@d.test>\nS: 452 4.5.3\n");
	smtpd.conf.tls = true;
	dialogue(&rig, &c, "C: STARTTLS x\nS: 501\n");
	smtpd.conf.tls_required = true;
	dialogue(&rig, &c, "C: MAIL FROM:<a@b.test>\nS: 530 5.7.0\nC: STARTTLS\nS: 220 2.0.0\n");
	assert_true(c.starttls);
	smtpd_session_tls(c.conn, "TLSv1.3", "SOME_CIPHER");
	dialogue(&rig, &c, "C: STARTTLS\nS: 503 5.5.1\nC: MAIL FROM:<a@b.test>\nS: 250\n");
	assert_string_equal(vh_conn_hello(c.conn), "");		/* what was said in clear is forgotten */
	end(&rig);
}

/* STARTTLS: what was sent before the handshake is not taken for what is said after it */
static void
starttls_injection(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	begin(&rig, &c);
	smtpd.conf.tls = true;
	smtpd.conf.forbid_pipelining = false;
	smtpd_rig_say(&rig, &c, "STARTTLS\r\nMAIL FROM:<evil@b.test>\r\n");
	assert_string_equal(smtpd_rig_heard(&c), "220 2.0.0 Ready to start TLS\r\n");
	assert_int_equal(c.in.len, 0);
	smtpd_session_tls(c.conn, "TLSv1.3", "SOME_CIPHER");
	smtpd_rig_turn(&rig);
	assert_string_equal(smtpd_rig_heard(&c), "");
	dialogue(&rig, &c, "C: RCPT TO:<c@d.test>\nS: 503 5.5.1 Say MAIL\n");
	end(&rig);
	/* nor is anything said into it */
	begin(&rig, &c);
	smtpd.conf.tls = true;
	smtpd_rig_say(&rig, &c, "STARTTLS\r\n");
	smtpd_rig_heard(&c);
	smtpd_rig_advance(&rig, 300001);
	assert_string_equal(smtpd_rig_heard(&c), "");
	assert_null(c.conn);
	end(&rig);
	/* the handshake fails */
	begin(&rig, &c);
	smtpd.conf.tls = true;
	smtpd_rig_say(&rig, &c, "STARTTLS\r\n");
	smtpd_session_tls(c.conn, NULL, NULL);
	smtpd_rig_turn(&rig);
	assert_null(c.conn);
	end(&rig);
}

#define MESSAGE "From: a@b.test\r\nSubject: x\r\n\r\n..dot\r\nend\r\n"
#define SESSION	"EHLO c.test\r\nMAIL FROM:<a@b.test> SIZE=40\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<nobody@d.test>\r\n" \
		"RCPT TO:<\"e f\"@d.test>\r\nDATA\r\n" MESSAGE ".\r\nQUIT\r\n"
static const char session_want[] = "550 5.1.1 No such user\r\n250 2.1.5 Recipient ok\r\n354 ";

static void
check_message(const char *name)
{
	if (hop.taken != 1 || strcmp(buf_str(&hop.envelope), "<a@b.test> <c@d.test> <\"e f\"@d.test>") != 0)
		fail_msg("%s: taken %u times, %s", name, hop.taken, buf_str(&hop.envelope));
	if (strncmp(buf_str(&hop.message), "Received: from c.test (unknown [192.0.2.7])\r\n\tby mx.test (vouch) with ESMTP id ", 77) != 0 ||
	    strstr(buf_str(&hop.message), "\r\nFrom: a@b.test\r\nSubject: x\r\n\r\n.dot\r\nend\r\n") == NULL)
		fail_msg("%s: %s", name, buf_str(&hop.message));
	assert_string_equal(hop.param, "40");
}

/* the same session in one packet, in pieces of every size, and byte by byte */
static void
cuts(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	const char *heard;
	char	name[40];

	(void) state;
	for (size_t piece = 1; piece <= sizeof SESSION; piece++) {
		begin(&rig, &c);
		smtpd.conf.forbid_pipelining = false;
		for (size_t at = 0; at < strlen(SESSION); at += piece)
			smtpd_rig_send(&rig, &c, &SESSION[at], strlen(SESSION) - at < piece ? strlen(SESSION) - at : piece);
		heard = smtpd_rig_heard(&c);
		snprintf(name, sizeof name, "pieces of %zu", piece);
		if (strstr(heard, session_want) == NULL || strstr(heard, "\r\n250 2.6.0 Message accepted\r\n221 2.0.0 Bye\r\n") == NULL ||
		    c.conn != NULL)
			fail_msg("%s: heard %s", name, heard);
		check_message(name);
		end(&rig);
	}
}

/* in one packet, with the check: refused at the first command whose reply had to be waited for */
static void
unauthorized_pipelining(void **state)
{
	static const struct { const char *text, *want; bool stays; } rows[] = {
		{ SESSION, "554 5.5.0 ", false },
		{ "HELO c.test\r\nMAIL FROM:<a@b.test>\r\n", "554 5.5.0 ", false },
		{ "NOOP\r\nRSET\r\n", "554 5.5.0 ", false },
		{ "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx", "250 ", false },
		{ "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n", "250 ", true },
		{ "RSET\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRSET\r\nEHLO c.test\r\n", "250 ", true },
	};
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	const char *heard;

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		begin(&rig, &c);
		smtpd_rig_say(&rig, &c, rows[i].text);
		heard = smtpd_rig_heard(&c);
		if (strncmp(heard, rows[i].want, strlen(rows[i].want)) != 0 || (c.conn != NULL) != rows[i].stays ||
		    (!rows[i].stays && strstr(heard, "554 5.5.0 ") == NULL) || (!rows[i].stays && !c.slowly))
			fail_msg("row %zu: heard %s", i, heard);
		assert_int_equal(hop.taken, 0);
		end(&rig);
	}
}

/* smuggling: the session ends, nothing is handed over, nothing behind the false end is taken for a command */
static void
smuggling(void **state)
{
	static const char *const ends[] = {
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n\r.\r\n", "\r\r\n.\r\n", "\r\r\n.\r\r\n", "\n\n.\r\n", "\r\n.\r\r\n",
		"\r\n\r.\r\n", "\n.\r", "\r.\n", "\r\n.\r.\r\n",
	};
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	char	text[500];
	const char *heard;

	(void) state;
	for (size_t i = 0; i < NELEM(ends); i++)
		for (int header = 0; header < 2; header++) {
			begin(&rig, &c);
			smtpd_rig_say(&rig, &c, "EHLO c.test\r\n");
			smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
			smtpd_rig_heard(&c);
			snprintf(text, sizeof text, "A: b%s%sMAIL FROM:<evil@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nA: c\r\n.\r\n",
			    header ? "" : "\r\n\r\nbody", ends[i]);
			smtpd_rig_say(&rig, &c, text);
			heard = smtpd_rig_heard(&c);
			if (strncmp(heard, "550 5.5.2 ", 10) != 0 || strchr(heard, '\n')[1] != 0 || c.conn != NULL || !c.slowly ||
			    hop.taken != 0)
				fail_msg("end %zu%s: heard \"%s\", taken %u", i, header ? " in the header" : "", heard, hop.taken);
			end(&rig);
		}
}

static void
bare_lines(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	begin(&rig, &c);
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\n");
	assert_memory_equal(smtpd_rig_heard(&c), "500 5.5.2 Lines", 15);
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\rRCPT TO:<c@d.test>\r\n");
	assert_memory_equal(smtpd_rig_heard(&c), "500 5.5.2 Bad", 13);
	smtpd_rig_send(&rig, &c, "NOOP\0\r\n", 7);
	assert_memory_equal(smtpd_rig_heard(&c), "500 5.5.2 Bad", 13);
	smtpd.conf.normalize = true;
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\nDATA\n");
	assert_string_equal(smtpd_rig_heard(&c), "250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n");
	smtpd_rig_say(&rig, &c, "A: b\n\nx\n.\nMAIL FROM:<evil@b.test>\n");
	assert_string_equal(smtpd_rig_heard(&c), "");
	smtpd_rig_say(&rig, &c, ".\r\n");
	assert_string_equal(smtpd_rig_heard(&c), "");			/* after a single LF: no end */
	smtpd_rig_say(&rig, &c, ".\r\n");
	assert_memory_equal(smtpd_rig_heard(&c), "250 2.6.0", 9);
	assert_non_null(strstr(buf_str(&hop.message), "\r\n\r\nx\r\n\r\nMAIL FROM:<evil@b.test>\r\n\r\n"));
	end(&rig);
}

static void
long_lines(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	struct buf line = BUF_INIT(4096);
	size_t	before;

	(void) state;
	begin(&rig, &c);
	for (size_t n = 511; n <= 513; n++) {			/* with CR LF */
		buf_reset(&line);
		buf_adds(&line, "NOOP ");
		while (line.len < n - 2)
			buf_addc(&line, 'x');
		assert_memory_equal(smtpd_rig_ask(&rig, &c, buf_str(&line)), n <= 512 ? "250 2.0.0" : "500 5.5.2", 9);
	}
	for (size_t n = 2047; n <= 2049; n++) {
		buf_reset(&line);
		buf_adds(&line, "MAIL FROM:<a@b.test> ");
		while (line.len < n - 2)
			buf_addc(&line, ' ');
		assert_memory_equal(smtpd_rig_ask(&rig, &c, buf_str(&line)), n <= 2048 ? "250 2.1.0" : "500 5.5.2", 9);
	}
	/* one that does not end: no memory, and one reply when it does */
	smtpd_rig_heard(&c);
	buf_reset(&line);
	while (line.len < 4000)
		buf_addc(&line, 'y');
	for (int i = 0; i < 1000; i++)
		smtpd_rig_send(&rig, &c, line.data, line.len);
	assert_true(c.conn->line.cap <= 4096);
	assert_string_equal(smtpd_rig_heard(&c), "");
	smtpd_rig_say(&rig, &c, "\r\nRSET\r\n");
	assert_string_equal(smtpd_rig_heard(&c), "500 5.5.2 Line too long\r\n250 2.0.0 Ok\r\n");
	/* a client that is slow with a line has as long for the whole of it as for nothing */
	before = 0;
	smtpd_rig_say(&rig, &c, "NO");
	for (; before < 299; before++) {
		smtpd_rig_advance(&rig, 1000);
		smtpd_rig_say(&rig, &c, "O");
	}
	assert_string_equal(smtpd_rig_heard(&c), "");
	smtpd_rig_advance(&rig, 2000);
	assert_memory_equal(smtpd_rig_heard(&c), "421 4.4.2 ", 10);
	assert_null(c.conn);
	end(&rig);
	buf_fini(&line);
}

static void
many_recipients(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	char	line[60];
	unsigned ok = 0, over = 0;
	const char *heard;

	(void) state;
	begin(&rig, &c);
	smtpd.conf.soft_errors = 10;
	smtpd.conf.hard_errors = 20;
	smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>");
	for (int i = 0; i < 10000 && c.conn != NULL; i++) {
		snprintf(line, sizeof line, "RCPT TO:<r%d@d.test>", i);
		heard = smtpd_rig_ask(&rig, &c, line);
		if (strncmp(heard, "250 2.1.5", 9) == 0)
			ok++;
		else if (strncmp(heard, "452 4.5.3", 9) == 0)
			over++;
		else
			fail_msg("recipient %d: %s", i, heard);
	}
	assert_int_equal(ok, 100);
	assert_int_equal(over, 1000 + 20);			/* then they count as errors */
	assert_null(c.conn);
	end(&rig);
	/* all that was accepted is handed over */
	begin(&rig, &c);
	smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>");
	for (int i = 0; i < 101; i++) {
		snprintf(line, sizeof line, "RCPT TO:<r%d@d.test>", i);
		smtpd_rig_ask(&rig, &c, line);
	}
	smtpd_rig_ask(&rig, &c, "DATA");
	assert_memory_equal(smtpd_rig_ask(&rig, &c, "\r\n."), "250 2.6.0", 9);
	assert_non_null(strstr(buf_str(&hop.envelope), " <r99@d.test>"));
	assert_null(strstr(buf_str(&hop.envelope), " <r100@d.test>"));
	end(&rig);
}

static void
errors_and_junk(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	const char *heard;
	unsigned n;

	(void) state;
	begin(&rig, &c);
	smtpd.conf.soft_errors = 3;
	smtpd.conf.hard_errors = 6;
	smtpd.conf.error_sleep_ms = 1000;
	for (n = 0; n < 3; n++)
		assert_memory_equal(smtpd_rig_ask(&rig, &c, "XYZZY"), "500 5.5.2", 9);
	assert_string_equal(smtpd_rig_ask(&rig, &c, "XYZZY"), "");	/* the fourth costs time */
	smtpd_rig_advance(&rig, 999);
	assert_string_equal(smtpd_rig_heard(&c), "");
	smtpd_rig_advance(&rig, 2);
	assert_memory_equal(smtpd_rig_heard(&c), "500 5.5.2", 9);
	smtpd_rig_ask(&rig, &c, "XYZZY");
	smtpd_rig_advance(&rig, 1001);
	smtpd_rig_heard(&c);
	heard = smtpd_rig_ask(&rig, &c, "XYZZY");			/* the sixth ends it */
	if (strncmp(heard, "500 5.5.2", 9) != 0 || strstr(heard, "\r\n421 4.7.0 ") == NULL || c.conn != NULL)
		fail_msg("heard \"%s\"", heard);
	end(&rig);
	begin(&rig, &c);
	smtpd.conf.junk_limit = 5;
	for (n = 0; n < 5; n++)
		assert_memory_equal(smtpd_rig_ask(&rig, &c, "NOOP"), "250 2.0.0", 9);
	assert_memory_equal(smtpd_rig_ask(&rig, &c, "NOOP"), "421 4.7.0", 9);
	assert_null(c.conn);
	end(&rig);
	/* one MAIL after the other, and the same exempt recipient again and again */
	for (unsigned kind = 0; kind < 2; kind++) {
		begin(&rig, &c);
		smtpd.conf.junk_limit = 5;
		smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>");
		if (kind == 1)
			smtpd_rig_ask(&rig, &c, "RCPT TO:<double-bounce@mx.test>");
		for (n = 0; n < 5; n++)
			assert_memory_equal(smtpd_rig_ask(&rig, &c, kind == 0 ? "MAIL FROM:<a@b.test>" : "RCPT TO:<double-bounce@mx.test>"), "250 2.1", 7);
		assert_memory_equal(smtpd_rig_ask(&rig, &c, kind == 0 ? "MAIL FROM:<a@b.test>" : "RCPT TO:<double-bounce@mx.test>"), "421 4.7.0", 9);
		assert_null(c.conn);
		end(&rig);
	}
	/* a message that was accepted makes up for it */
	begin(&rig, &c);
	smtpd.conf.hard_errors = 5;
	for (n = 0; n < 4; n++)
		smtpd_rig_ask(&rig, &c, "XYZZY");
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
	smtpd_rig_say(&rig, &c, ".\r\n");
	for (n = 0; n < 4; n++)
		smtpd_rig_ask(&rig, &c, "XYZZY");
	assert_non_null(c.conn);
	end(&rig);
	/* unknown recipients */
	begin(&rig, &c);
	smtpd.conf.unknown_limit = 2;
	smtpd.conf.error_sleep_ms = 1000;
	smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>");
	for (n = 0; n < 2; n++)
		assert_memory_equal(smtpd_rig_ask(&rig, &c, "RCPT TO:<nobody@d.test>"), "550 5.1.1", 9);
	assert_string_equal(smtpd_rig_ask(&rig, &c, "RCPT TO:<nobody@d.test>"), "");
	smtpd_rig_advance(&rig, 1001);
	assert_memory_equal(smtpd_rig_heard(&c), "550 5.1.1", 9);
	end(&rig);
}

static void
time_limits(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	begin(&rig, &c);
	smtpd_rig_advance(&rig, 299999);
	assert_string_equal(smtpd_rig_heard(&c), "");
	smtpd_rig_advance(&rig, 2);
	assert_memory_equal(smtpd_rig_heard(&c), "421 4.4.2 mx.test", 17);
	assert_null(c.conn);
	end(&rig);
	/* bytes of a message keep it going, but not for ever */
	begin(&rig, &c);
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
	smtpd_rig_heard(&c);
	for (int i = 0; i < 13; i++) {
		smtpd_rig_advance(&rig, 270000);
		smtpd_rig_say(&rig, &c, "x");
	}
	assert_string_equal(smtpd_rig_heard(&c), "");
	smtpd_rig_advance(&rig, 270000);
	assert_memory_equal(smtpd_rig_heard(&c), "421 4.4.2 ", 10);
	assert_null(c.conn);
	assert_int_equal(hop.taken, 0);
	end(&rig);
	/* dismissed: between transactions at once, in one only when it is late */
	begin(&rig, &c);
	smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>");
	smtpd_session_dismiss(c.conn, false);
	smtpd_rig_turn(&rig);
	assert_string_equal(smtpd_rig_heard(&c), "");
	smtpd_rig_ask(&rig, &c, "RSET");
	smtpd_session_dismiss(c.conn, false);
	smtpd_rig_turn(&rig);
	assert_memory_equal(smtpd_rig_heard(&c), "421 4.3.2 ", 10);
	end(&rig);
	begin(&rig, &c);
	smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>");
	smtpd_session_dismiss(c.conn, true);
	smtpd_rig_turn(&rig);
	assert_memory_equal(smtpd_rig_heard(&c), "421 4.3.2 ", 10);
	end(&rig);
}

static void
connections(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c[5];

	(void) state;
	begin(&rig, &c[0]);
	smtpd.conf.client_ip_limit = 2;
	smtpd.conf.client_limit = 3;
	smtpd_rig_open(&rig, &c[1], "192.0.2.7");
	assert_memory_equal(smtpd_rig_heard(&c[1]), "220 ", 4);
	smtpd_rig_open(&rig, &c[2], "192.0.2.7");		/* too many of this address */
	assert_memory_equal(smtpd_rig_heard(&c[2]), "421 4.7.0 ", 10);
	assert_null(c[2].conn);
	smtpd_rig_open(&rig, &c[3], "2001:db8::1");
	assert_memory_equal(smtpd_rig_heard(&c[3]), "220 ", 4);
	smtpd_rig_open(&rig, &c[4], "192.0.2.8");		/* too many in all */
	assert_memory_equal(smtpd_rig_heard(&c[4]), "421 4.7.0 ", 10);
	assert_int_equal(vh_conn_total(), 3);
	assert_int_equal(vh_conn_same_ip(c[0].conn), 2);
	end(&rig);
	/* programs of this host, over a UNIX socket: no address, so not "too many of one address" */
	begin(&rig, &c[0]);
	smtpd.conf.client_ip_limit = 1;
	smtpd_rig_open(&rig, &c[1], "");
	assert_memory_equal(smtpd_rig_heard(&c[1]), "220 ", 4);
	smtpd_rig_open(&rig, &c[2], "");
	assert_memory_equal(smtpd_rig_heard(&c[2]), "220 ", 4);
	assert_string_equal(vh_conn_ip(c[2].conn), "unknown");
	assert_int_equal(vh_conn_peer(c[2].conn)->sa_family, AF_UNSPEC);
	end(&rig);
}

/* messages of every kind: the size, the spool, the header */
static void
messages(void **state)
{
	static const size_t sizes[] = { 0, 1, 1000, 65535, 65536, 65537, 131072, 1000000, 5000000 };
	struct smtpd_rig rig;
	struct smtpd_rig_client c;
	struct buf text = BUF_INIT(64u << 20), want = BUF_INIT(64u << 20);
	const char *got;

	(void) state;
	for (size_t i = 0; i < NELEM(sizes); i++) {
		begin(&rig, &c);
		smtpd_rig_say(&rig, &c, "EHLO c.test\r\n");
		smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
		smtpd_rig_heard(&c);
		buf_reset(&text);
		buf_reset(&want);
		for (unsigned n = 0; want.len < sizes[i]; n++) {
			buf_addf(&want, "%s%u: \xe4 line %u%*s\r\n", n % 3 == 0 ? "." : "", n, n, (int) (n % 900), "x");
			buf_addf(&text, "%s%u: \xe4 line %u%*s\r\n", n % 3 == 0 ? ".." : "", n, n, (int) (n % 900), "x");
		}
		buf_adds(&text, ".\r\n");
		for (size_t at = 0; at < text.len; at += 40000)
			smtpd_rig_send(&rig, &c, text.data + at, text.len - at < 40000 ? text.len - at : 40000);
		assert_memory_equal(smtpd_rig_heard(&c), "250 2.6.0", 9);
		got = strstr(buf_str(&hop.message), "(UTC)\r\n");
		assert_non_null(got);
		got += 7;
		if (hop.message.len - (size_t) (got - hop.message.data) != want.len || memcmp(got, buf_str(&want), want.len) != 0)
			fail_msg("size %zu: %zu bytes arrived, or others", sizes[i], hop.message.len);
		assert_true(hop.mime8 == (sizes[i] > 0));
		end(&rig);
	}
	/* too large: refused at the end, not before; the session goes on */
	begin(&rig, &c);
	smtpd.conf.message_limit = 1000;
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
	smtpd_rig_heard(&c);
	for (int i = 0; i < 200; i++)
		smtpd_rig_say(&rig, &c, "0123456789\r\n");
	assert_string_equal(smtpd_rig_heard(&c), "");
	smtpd_rig_say(&rig, &c, ".\r\n");
	assert_memory_equal(smtpd_rig_heard(&c), "552 5.3.4", 9);
	assert_memory_equal(smtpd_rig_ask(&rig, &c, "MAIL FROM:<a@b.test>"), "250", 3);
	assert_int_equal(hop.taken, 0);
	end(&rig);
	/* in circles */
	for (int hops = 50; hops <= 51; hops++) {
		begin(&rig, &c);
		smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
		smtpd_rig_heard(&c);
		for (int i = 0; i < hops; i++)
			smtpd_rig_say(&rig, &c, "Received: x\r\n");
		smtpd_rig_say(&rig, &c, "\r\nReceived: not in the header\r\n.\r\n");
		assert_memory_equal(smtpd_rig_heard(&c), hops == 50 ? "250 2.6.0" : "554 5.4.6", 9);
		end(&rig);
	}
	/* no spool directory: the client is told to try again */
	begin(&rig, &c);
	smtpd.spool_fd = -1;
	smtpd_rig_say(&rig, &c, "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
	smtpd_rig_heard(&c);
	for (int i = 0; i < 10000; i++)
		smtpd_rig_say(&rig, &c, "0123456789\r\n");
	smtpd_rig_say(&rig, &c, ".\r\n");
	assert_memory_equal(smtpd_rig_heard(&c), "451 4.3.0", 9);
	assert_int_equal(hop.taken, 0);
	end(&rig);
	buf_fini(&text);
	buf_fini(&want);
}

/* callouts of others: our probe sender is a recipient for anybody, without any test; what comes for it is thrown away */
static void
callouts(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	begin(&rig, &c);
	smtpd.conf.probe_sender = "nobody";
	smtpd.conf.probe_sender_ttl_ms = 3600000;
	smtpd.plugins->chain_n[VH_HOOK_RCPT] = 0;		/* nobody says OK to anything */
	dialogue(&rig, &c, "C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<double-bounce@mx.test>\nS: 250 2.1.5\nC: RSET\nS: 250\n"
	    "C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<postmaster>\nS: 250\nC: RCPT TO:<Postmaster@mx.test>\nS: 250\n"
	    "C: RCPT TO:<postmaster@d.test>\nS: 450\nC: RCPT TO:<nobody-old@mx.test>\nS: 450\nC: RCPT TO:<nobody@mx.test>\nS: 450\n");
	{
		struct buf sender = BUF_INIT(200);

		buf_adds(&sender, "RCPT TO:<");
		probe_sender_make(&sender, "nobody", 3600000, "mx.test", ev_wall_s(rig.loop) - 3000);
		buf_adds(&sender, ">");
		assert_memory_equal(smtpd_rig_ask(&rig, &c, buf_str(&sender)), "250 2.1.5", 9);
		buf_fini(&sender);
	}
	dialogue(&rig, &c, "C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<double-bounce@mx.test>\nS: 250 2.1.5\nC: DATA\nS: 354\n"
	    "C: Subject: x\nC: .\nS: 250 2.6.0\n");
	assert_int_equal(hop.taken, 0);
	/* together with another recipient the message goes to that one */
	dialogue(&rig, &c, "C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<double-bounce@mx.test>\nS: 250 2.1.5\nC: RCPT TO:<postmaster>\nS: 250\n"
	    "C: DATA\nS: 354\nC: Subject: x\nC: .\nS: 250 2.6.0\n");
	assert_int_equal(hop.taken, 1);
	assert_string_equal(buf_str(&hop.envelope), "<> <postmaster>");
	end(&rig);
}

static void
utf8(void **state)
{
	struct smtpd_rig rig;
	struct smtpd_rig_client c;

	(void) state;
	begin(&rig, &c);
	smtpd_rig_ask(&rig, &c, "EHLO c.test");
	dialogue(&rig, &c, "C: MAIL FROM:<j\xc3\xbcrgen@b.test>\nS: 501 5.1.7\nC: MAIL FROM:<j\xc3\xbcrgen@b.test> SMTPUTF8\nS: 250\n"
	    "C: RCPT TO:<g\xc3\xb6@\xc3\xb6.test>\nS: 250\nC: RCPT TO:<g\xc3@d.test>\nS: 501 5.1.3\nC: DATA\nS: 354\nC: .\nS: 250\n");
	assert_true(hop.smtputf8);
	assert_string_equal(buf_str(&hop.envelope), "<j\xc3\xbcrgen@b.test> <g\xc3\xb6@\xc3\xb6.test>");
	assert_non_null(strstr(buf_str(&hop.message), "with UTF8SMTP id"));
	smtpd.conf.smtputf8 = false;
	dialogue(&rig, &c, "C: MAIL FROM:<a@b.test> SMTPUTF8\nS: 555\n");
	end(&rig);
}

/* the client's name is found out before the greeting; it may leave meanwhile, or the session may be ended */
static void
peer_names(void **state)
{
	struct dns_conf conf = { .servers = "", .try_ms = 1000000, .tries = 1, .open_limit = 10, .wait_limit = 10, .cache_limit = 10 };
	struct smtpd_rig rig;
	struct smtpd_rig_client c[5];
	struct dns_stub *stub;
	const char *why = "";

	(void) state;
	begin(&rig, &c[0]);
	stub = dns_stub_new(rig.loop, "7.2.0.192.in-addr.arpa PTR c.test\nc.test A 192.0.2.7\n"
	    "8.2.0.192.in-addr.arpa DELAY 60000\n8.2.0.192.in-addr.arpa PTR slow.test\nslow.test A 192.0.2.8\n");
	smtpd.dns = dns_new(rig.loop, &dns_stub_carrier, &conf, &why);
	smtpd.conf.name_ms = 5000;
	smtpd_rig_open(&rig, &c[1], "192.0.2.7");
	assert_string_equal(smtpd_rig_heard(&c[1]), "220 mx.test ESMTP\r\n");
	assert_string_equal(vh_conn_host(c[1].conn), "c.test");
	smtpd_rig_open(&rig, &c[2], "192.0.2.8");
	smtpd_rig_say(&rig, &c[2], "RSET\r\n");		/* talks ahead: waits its turn */
	assert_string_equal(smtpd_rig_heard(&c[2]), "");
	smtpd_rig_advance(&rig, 5001);
	assert_string_equal(smtpd_rig_heard(&c[2]), "220 mx.test ESMTP\r\n250 2.0.0 Ok\r\n");
	assert_string_equal(vh_conn_host(c[2].conn), "unknown");
	smtpd_rig_open(&rig, &c[3], "192.0.2.8");
	smtpd_rig_hangup(&rig, &c[3]);
	smtpd_rig_open(&rig, &c[4], "192.0.2.8");
	smtpd_session_dismiss(c[4].conn, true);
	smtpd_rig_turn(&rig);
	assert_memory_equal(smtpd_rig_heard(&c[4]), "421 4.3.2", 9);
	smtpd_rig_advance(&rig, 100000);
	assert_string_equal(smtpd_rig_heard(&c[4]), "");
	dns_free(&smtpd.dns);
	dns_stub_free(&stub);
	end(&rig);
}

/* what a waiting connection costs */
static void
memory(void **state)
{
	enum { CLIENTS = 1000 };
	static struct smtpd_rig_client c[CLIENTS];
	struct smtpd_rig rig;
	size_t	cost = sizeof(struct vh_conn);

	(void) state;
	begin(&rig, &c[0]);
	for (int i = 1; i < CLIENTS; i++)
		smtpd_rig_open(&rig, &c[i], "192.0.2.9");
	for (int i = 0; i < CLIENTS; i++) {
		smtpd_rig_ask(&rig, &c[i], "EHLO c.test");
		assert_true(c[i].conn->out.cap <= 4096 && c[i].conn->line.cap <= 4096);
	}
	assert_true(cost + c[5].conn->out.cap + c[5].conn->line.cap < 16384);
	end(&rig);
}

static int
quiet(void **state)
{
	(void) state;
	msg_to_stderr(NULL);
	setenv("TZ", "UTC", 1);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders),
		cmocka_unit_test(options),
		cmocka_unit_test(starttls_injection),
		cmocka_unit_test(cuts),
		cmocka_unit_test(unauthorized_pipelining),
		cmocka_unit_test(smuggling),
		cmocka_unit_test(bare_lines),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(many_recipients),
		cmocka_unit_test(errors_and_junk),
		cmocka_unit_test(time_limits),
		cmocka_unit_test(connections),
		cmocka_unit_test(messages),
		cmocka_unit_test(callouts),
		cmocka_unit_test(utf8),
		cmocka_unit_test(peer_names),
		cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests(tests, quiet, NULL);
}
