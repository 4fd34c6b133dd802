/* tests/tools/mload.c - load on an SMTP server: messages, a session for each, so many sessions at a time
 *   mload [-c SESSIONS] [-n MESSAGES] [-l BYTES] [-r RECIPIENT] HOST PORT
 * Prints one line of name=value figures: messages, accepted, rate (per second), p50_us, p99_us, max_us of a session, from connect
 * to the reply to the message. Exit 1 when a message was not accepted, and the first such answer is shown.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <global/smtp_send.h>
#include <util/mem.h>

struct mload_session {
	struct smtp_send *send;
	struct body_source source;
	size_t	 at;
	int64_t	 begin_us;
	struct ev_defer again;
};

static struct {
	struct ev_loop *loop;
	struct smtp_hop_conf hop_conf;
	struct smtp_send_conf conf;
	struct smtp_hop *hop;
	struct mload_session *session;
	const char *rcpt;
	char	*body;
	size_t	 body_len;
	unsigned messages, begun, done, accepted;
	unsigned *us;
	char	 why[500];
} mload = { .rcpt = "bob@sink.test" };

static int64_t
mload_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static ssize_t
mload_read(void *ctx, void *data, size_t n)
{
	struct mload_session *s = ctx;

	n = n < mload.body_len - s->at ? n : mload.body_len - s->at;
	memcpy(data, mload.body + s->at, n);
	s->at += n;
	return (ssize_t) n;
}

static void mload_done(void *, const struct hop_answer *);

static void
mload_begin(void *ctx)
{
	static const struct smtp_send_ops ops = { NULL, mload_done };
	static const struct smtp_send_mail mail = { .sender = "ann@load.test" };
	struct mload_session *s = ctx;

	smtp_send_free(&s->send);
	if (mload.begun == mload.messages)
		return;
	mload.begun++;
	s->begin_us = mload_now_us();
	s->at = 0;
	s->source = (struct body_source) { mload_read, s };
	s->send = smtp_send_open(mload.loop, mload.hop, &mload.conf, &mail, &ops, s);
	smtp_send_rcpt(s->send, mload.rcpt, false);
	smtp_send_body(s->send, &s->source, mload.body_len);
}

static void
mload_done(void *ctx, const struct hop_answer *a)
{
	struct mload_session *s = ctx;

	mload.us[mload.done++] = (unsigned) (mload_now_us() - s->begin_us);
	if (a->verdict == HOP_OK)
		mload.accepted++;
	else if (mload.why[0] == 0)
		snprintf(mload.why, sizeof mload.why, "%s", a->text);
	if (mload.done == mload.messages)
		ev_stop(mload.loop);
	else
		ev_defer_set(mload.loop, &s->again, mload_begin, s);
}

static int
mload_compare(const void *a, const void *b)
{
	unsigned x = *(const unsigned *) a, y = *(const unsigned *) b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	unsigned sessions = 20;
	size_t	bytes = 2000;
	struct rlimit lim;
	int64_t begin;
	int	ch;

	mload.messages = 1000;
	while ((ch = getopt(argc, argv, "c:l:n:r:")) != -1)
		switch (ch) {
		case 'c': sessions = (unsigned) atoi(optarg); break;
		case 'l': bytes = (size_t) atoi(optarg); break;
		case 'n': mload.messages = (unsigned) atoi(optarg); break;
		case 'r': mload.rcpt = optarg; break;
		default: errx(2, "usage: mload [-c SESSIONS] [-n MESSAGES] [-l BYTES] [-r RECIPIENT] HOST PORT");
		}
	if (argc - optind != 2 || sessions == 0 || mload.messages == 0 || strlen(argv[optind]) >= sizeof mload.hop_conf.to.host)
		errx(2, "usage: mload [-c SESSIONS] [-n MESSAGES] [-l BYTES] [-r RECIPIENT] HOST PORT");
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	mload.loop = ev_loop_new();
	strcpy(mload.hop_conf.to.host, argv[optind]);
	mload.hop_conf.to.port = (unsigned) atoi(argv[optind + 1]);
	mload.hop_conf.uses = 1;
	mload.hop_conf.ipv4 = mload.hop_conf.ipv6 = true;
	mload.hop_conf.client = (struct smtp_client_conf) { .helo = "load.test", .connect_ms = 60000, .greet_ms = 60000, .helo_ms = 60000,
	    .quit_ms = 60000 };
	mload.conf = (struct smtp_send_conf) { .mail_ms = 60000, .rcpt_ms = 60000, .data_ms = 60000, .body_ms = 60000, .end_ms = 60000,
	    .total_ms = 120000 };
	mload.hop = smtp_hop_new(mload.loop, &mload.hop_conf, NULL);
	mload.body = mem_alloc(bytes + 100);
	mload.body_len = (size_t) sprintf(mload.body, "Subject: load\r\n\r\n");
	while (mload.body_len < bytes)
		mload.body_len += (size_t) sprintf(mload.body + mload.body_len, "%s", "a line of sixty bytes, as lines of mail have them, more or le\r\n");
	mload.us = mem_array(mload.messages, sizeof *mload.us);
	mload.session = mem_array(sessions, sizeof *mload.session);
	begin = mload_now_us();
	for (unsigned i = 0; i < sessions; i++)
		mload_begin(&mload.session[i]);
	ev_run(mload.loop);
	begin = mload_now_us() - begin;
	qsort(mload.us, mload.done, sizeof *mload.us, mload_compare);
	if (mload.why[0] != 0)
		fprintf(stderr, "mload: %s\n", mload.why);
	printf("messages=%u accepted=%u rate=%.0f p50_us=%u p99_us=%u max_us=%u\n", mload.done, mload.accepted,
	    mload.done * 1e6 / (double) begin, mload.us[mload.done / 2], mload.us[mload.done * 99 / 100], mload.us[mload.done - 1]);
	return mload.accepted == mload.messages ? 0 : 1;
}
