/* tests/tools/pload.c - load on a policy socket, and a look at every answer
 *   pload [-c CONNECTIONS] [-d SECONDS | -n REQUESTS] [-f FIRST] [-K SIZE] [-r RATE] [-t LATE_MS] [-x ACTION] SOCKET
 *   -c  connections (16), one open request on each, as Postfix's smtpd does
 *   -f  requests are about triplets FIRST (0) .. FIRST + SIZE - 1 (-K, 1), in turn; eight of them share a client network
 *   -r  so many requests a second, each due at its own time: an answer's time counts from then, also when no connection was
 *       free; without -r the next request follows the answer. The kernel may put the load on the server's processor: with -r
 *       the load never takes it from a server that still answers others (SCHED_BATCH)
 *   -t  answers that take longer are counted as late= (1000)
 *   -x  what an answer's action begins with; others are wrong=
 * SOCKET is a path, or HOST:PORT. A request has all 29 attributes of Postfix 3.7; each is a mail transaction of its own.
 * Prints one line of name=value figures; SIGTERM ends the run as its time does. Exit 1 when an answer was wrong or a connection was lost.
 */
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <global/policy_proto.h>
#include <util/mem.h>
#include <util/sock.h>

#define PLOAD_SAMPLES	(8u << 20)	/* latencies kept; of more, the first ones */
#define PLOAD_GIVE_UP_MS 60000

struct pload_conn {
	int	 fd;
	bool	 busy;
	uint64_t due_ns;
	size_t	 len;
	char	 in[4096];
};

static struct {
	unsigned conns;
	uint64_t limit, first, size, rate, late_us, sent, done, wrong, late;
	double	 seconds;
	const char *action, *path;
	uint64_t begin_ns, end_ns;
	uint32_t *sample;		/* ns / 10 */
	size_t	 samples;
} load = { .conns = 16, .seconds = 1, .size = 1, .late_us = 1000000, .action = "" };

static volatile sig_atomic_t pload_stop;	/* no new requests */

static uint64_t
pload_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}

static size_t
pload_request(char *out, size_t size, uint64_t number)
{
	uint64_t net = number / 8;	/* below the pending limit of any server */

	return (size_t) snprintf(out, size, "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
	    "client_address=%u.%u.%u.25\nclient_name=unknown\nclient_port=41522\nreverse_client_name=unknown\n"
	    "server_address=198.51.100.5\nserver_port=25\nhelo_name=mail.example.org\nsender=user%09llu@sender%llu.example\n"
	    "recipient=bob@example.com\nrecipient_count=0\nqueue_id=\ninstance=%x.%llx.0\nsize=20480\netrn_domain=\nstress=\n"
	    "sasl_method=\nsasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\n"
	    "encryption_protocol=TLSv1.3\nencryption_cipher=TLS_AES_256_GCM_SHA384\nencryption_keysize=256\npolicy_context=\n\n",
	    (unsigned) (11 + net / 65536 % 100), (unsigned) (net / 256 % 256), (unsigned) (net % 256),
	    (unsigned long long) number, (unsigned long long) number, (unsigned) getpid(), (unsigned long long) load.sent);
}

/* pload_more - whether a request that is due then is still to be sent */
static bool
pload_more(uint64_t due)
{
	return !pload_stop && (load.limit > 0 ? load.sent < load.limit : due < load.end_ns);
}

/* pload_next - send what is due; false: nothing is, yet or any more */
static bool
pload_next(struct pload_conn *c, uint64_t now)
{
	char	out[2048];
	size_t	len;
	uint64_t due = load.rate > 0 ? load.begin_ns + load.sent * 1000000000u / load.rate : now;

	if (due > now || !pload_more(due))
		return false;
	len = pload_request(out, sizeof out, load.first + load.sent % load.size);
	load.sent++;
	c->due_ns = due;
	c->busy = true;
	if (sock_write_all(c->fd, out, len, PLOAD_GIVE_UP_MS) < 0)
		err(1, "write");
	return true;
}

static void
pload_answer(struct pload_conn *c)
{
	const char *action = "";
	size_t	len = 0;
	uint64_t us10;
	ssize_t	n = recv(c->fd, c->in + c->len, sizeof c->in - c->len, MSG_DONTWAIT);
	int	got;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || !c->busy)
		errx(1, "%s, %llu requests done", n > 0 ? "an answer to nothing" : "connection lost", (unsigned long long) load.done);
	c->len += (size_t) n;
	if ((got = policy_get_action(c->in, c->len, &action, &len)) == 0) {
		if (c->len == sizeof c->in)
			errx(1, "an answer without end");
		return;
	}
	us10 = (pload_now() - c->due_ns) / 10;
	if (us10 / 100 > load.late_us)
		load.late++;
	if (load.samples < PLOAD_SAMPLES)
		load.sample[load.samples++] = us10 < UINT32_MAX ? (uint32_t) us10 : UINT32_MAX;
	if ((got < 0 || len < strlen(load.action) || memcmp(action, load.action, strlen(load.action)) != 0) && load.wrong++ < 3)
		warnx("wrong answer: %.*s", (int) len, action);
	load.done++;
	c->busy = false;
	c->len = 0;
}

static int
pload_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

	return (x > y) - (x < y);
}

static double
pload_percentile(double share)
{
	return load.samples == 0 ? 0 : load.sample[(size_t) ((double) (load.samples - 1) * share)] / 100.0;
}

static void
pload_signal(int signo)
{
	(void) signo;
	pload_stop = 1;
}

static int
pload_connect(void)
{
	char   *host = mem_strdup(load.path), *port = strrchr(host, ':');
	int	fd;

	if (load.path[0] != '/' && port != NULL) {
		*port++ = 0;
		fd = sock_inet_connect(host, port, false);
	} else
		fd = sock_unix_connect(load.path, false);
	if (fd < 0)
		err(1, "%s", load.path);
	mem_free(&host);
	return fd;
}

/* pload_run - until all that was sent is answered, and nothing more will be due */
static void
pload_run(struct pload_conn *conn, int ep)
{
	struct epoll_event ev[64];
	unsigned turn = 0;

	for (;;) {
		uint64_t now = pload_now(), due;
		struct timespec wait = { .tv_sec = PLOAD_GIVE_UP_MS / 1000 };
		unsigned busy = 0;
		int	n;

		for (unsigned i = 0; i < load.conns; i++) {
			struct pload_conn *c = &conn[(turn + i) % load.conns];

			busy += c->busy || pload_next(c, now);
		}
		turn++;
		if (load.rate > 0 && busy < load.conns && pload_more(due = load.begin_ns + load.sent * 1000000000u / load.rate)) {
			now = pload_now();
			wait = (struct timespec) { .tv_nsec = due > now ? (long) (due - now) % 1000000000 : 0 };
		} else if (busy == 0)
			return;
		if ((n = epoll_pwait2(ep, ev, NELEM(ev), &wait, NULL)) < 0 && errno != EINTR)
			err(1, "epoll");
		if (n == 0 && wait.tv_sec > 0)
			errx(1, "no answer within 60 s");
		for (int i = 0; i < n; i++)
			pload_answer(ev[i].data.ptr);
	}
}

int
main(int argc, char **argv)
{
	struct pload_conn *conn;
	struct epoll_event ev;
	double	seconds;
	int	ch, ep;

	while ((ch = getopt(argc, argv, "c:d:f:K:n:r:t:x:")) != -1)
		switch (ch) {
		case 'c': load.conns = (unsigned) atoi(optarg); break;
		case 'd': load.seconds = atof(optarg); break;
		case 'f': load.first = strtoull(optarg, NULL, 10); break;
		case 'K': load.size = strtoull(optarg, NULL, 10); break;
		case 'n': load.limit = strtoull(optarg, NULL, 10); break;
		case 'r': load.rate = strtoull(optarg, NULL, 10); break;
		case 't': load.late_us = strtoull(optarg, NULL, 10) * 1000; break;
		case 'x': load.action = optarg; break;
		default: optind = argc;
		}
	if (argc - optind != 1 || load.conns == 0 || load.size == 0)
		errx(2, "usage: pload [-c CONNECTIONS] [-d SECONDS | -n REQUESTS] [-f FIRST] [-K SIZE] [-r RATE] [-t LATE_MS] [-x ACTION] SOCKET");
	load.path = argv[optind];
	load.sample = mem_array(PLOAD_SAMPLES, sizeof *load.sample);
	conn = mem_array(load.conns, sizeof *conn);
	signal(SIGTERM, pload_signal);
	prctl(PR_SET_TIMERSLACK, 1);
	if (load.rate > 0 && sched_setscheduler(0, SCHED_BATCH, &(struct sched_param) { 0 }) < 0)
		err(1, "SCHED_BATCH");
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < load.conns; i++) {
		conn[i].fd = pload_connect();
		ev = (struct epoll_event) { .events = EPOLLIN, .data.ptr = &conn[i] };
		if (epoll_ctl(ep, EPOLL_CTL_ADD, conn[i].fd, &ev) < 0)
			err(1, "epoll");
	}
	load.begin_ns = pload_now();
	load.end_ns = load.begin_ns + (uint64_t) (load.seconds * 1e9);
	pload_run(conn, ep);
	seconds = (double) (pload_now() - load.begin_ns) / 1e9;
	qsort(load.sample, load.samples, sizeof *load.sample, pload_cmp);
	printf("requests=%llu rate=%.0f p50_us=%.1f p99_us=%.1f max_us=%.1f late=%llu wrong=%llu\n", (unsigned long long) load.done,
	    (double) load.done / seconds, pload_percentile(0.5), pload_percentile(0.99), pload_percentile(1),
	    (unsigned long long) load.late, (unsigned long long) load.wrong);
	for (unsigned i = 0; i < load.conns; i++)
		close(conn[i].fd);
	mem_free(&conn);
	mem_free(&load.sample);
	return load.wrong > 0;
}
