/* tests/fuzz/hop_reply_fuzz.c - a next hop that says anything: over SMTP, LMTP and QMQP; the first byte chooses
 * All is said as soon as the connection is there, which a client must not fall for; and it is cut where the second byte says.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <util/sock.h>
#include <global/qmqp_client.h>
#include <global/smtp_send.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char fuzz_message[] = "Subject: x\r\n\r\n.\r\nend\r\n";
static size_t fuzz_at;
static unsigned fuzz_done;
static enum hop_verdict fuzz_verdict;

static ssize_t
fuzz_read(void *ctx, void *data, size_t n)
{
	(void) ctx;
	n = n < sizeof fuzz_message - 1 - fuzz_at ? n : sizeof fuzz_message - 1 - fuzz_at;
	memcpy(data, fuzz_message + fuzz_at, n);
	fuzz_at += n;
	return (ssize_t) n;
}

static bool
fuzz_rewind(void *ctx)
{
	(void) ctx;
	fuzz_at = 0;
	return true;
}

static void
fuzz_told(void *ctx, const struct hop_answer *a)
{
	(void) ctx;
	fuzz_done++;
	fuzz_verdict = a->verdict;
	if (a->text == NULL || strpbrk(a->text, "\r\n") != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct smtp_send_ops ops = { NULL, fuzz_told };
	static const struct body_source source = { fuzz_read, NULL };
	static const char *const rcpts[] = { "bob@b.test", "eve@b.test" };
	static char path[64];
	static int listener = -1;
	struct ev_loop *loop = ev_loop_new_fake(1000000);
	struct smtp_hop_conf hc = { .client = { .helo = "front.test", .connect_ms = 1000, .greet_ms = 1000, .helo_ms = 1000,
	    .starttls_ms = 1000, .quit_ms = 1000 }, .uses = 1 };
	struct smtp_send_conf sc = { .xclient_ms = 1000, .mail_ms = 1000, .rcpt_ms = 1000, .data_ms = 1000, .body_ms = 1000,
	    .end_ms = 1000, .total_ms = 5000 };
	struct smtp_send_mail mail = { .sender = "ann@a.test" };
	struct qmqp_conf qc = { .connect_ms = 1000, .total_ms = 5000 };
	struct qmqp_mail qmail = { .sender = "", .rcpt = rcpts, .rcpts = 2, .source = &source, .rewind = fuzz_rewind };
	struct qmqp_send *qmqp = NULL;
	struct smtp_hop *hop = NULL;
	struct smtp_send *send_it = NULL;
	unsigned kind, cut, round = 0;
	char	sink[4096];
	int	fd = -1;

	if (n < 2 || n > 8192) {
		ev_loop_free(&loop);
		return 0;
	}
	if (listener < 0) {
		snprintf(path, sizeof path, "/tmp/hop_fuzz.%d", (int) getpid());
		if ((listener = sock_unix_listen(path, 5, 0600)) < 0)
			abort();
	}
	kind = data[0] % 4;
	cut = data[1];
	data += 2;
	n -= 2;
	fuzz_at = 0;
	fuzz_done = 0;
	hc.to.is_unix = qc.to.is_unix = true;
	strcpy(hc.to.host, path);
	strcpy(qc.to.host, path);
	hc.client.lmtp = sc.lmtp = kind == 1;
	sc.xclient = kind == 2;
	if (kind == 3)
		qmqp = qmqp_send_open(loop, &qc, NULL, &qmail, fuzz_told, NULL);
	else {
		hop = smtp_hop_new(loop, &hc, NULL);
		send_it = smtp_send_open(loop, hop, &sc, &mail, &ops, NULL);
		smtp_send_rcpt(send_it, rcpts[0], false);
		smtp_send_rcpt(send_it, rcpts[1], false);
		smtp_send_body(send_it, &source, sizeof fuzz_message - 1);
	}
	while (fuzz_done == 0 && round++ < 400) {
		ev_turn(loop, 0);
		if (fd < 0 && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0)
			continue;
		if (recv(fd, sink, sizeof sink, 0) >= 0 || round % 4 == 0) {
			size_t piece = cut + 1 < n ? cut + 1 : n;

			if (n == 0)
				shutdown(fd, SHUT_WR);
			else if (send(fd, data, piece, MSG_NOSIGNAL) == (ssize_t) piece) {
				data += piece;
				n -= piece;
			}
		}
		if (round > 300)
			ev_fake_advance(loop, 1000);
	}
	if (fuzz_done != 1 || (fuzz_verdict == HOP_OK && fuzz_at != sizeof fuzz_message - 1))
		abort();
	if (fd >= 0)
		close(fd);
	smtp_send_free(&send_it);
	smtp_hop_free(&hop);
	qmqp_send_free(&qmqp);
	ev_loop_free(&loop);
	return 0;
}
