/* tests/tools/cbload.c - load on an smtpcbd socket, and a check of every reply
 *   cbload [-c CONNECTIONS] [-w AHEAD] [-d SECONDS | -n REQUESTS] [-A ADDRESS] [-K SIZE] HOST PORT
 *   -c  connections (16)	-w  requests sent ahead of their replies on each (1)
 *   -A  the address; one % in it stands for the number, nine digits (user%@example.com)	-K  numbers 0 .. SIZE - 1 (1), in turn
 * Prints one line of name=value figures: requests, rate, p50_us, p99_us, ok, fail, tempfail, wrong (a reply about another address,
 * or no reply of six fields). Exit 1 when there were any of these, or a connection was lost.
 */
#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <bsd/stdlib.h>

#include <global/smtpcb_proto.h>
#include <util/mem.h>
#include <util/sock.h>

#define CBLOAD_AHEAD	64
#define CBLOAD_SAMPLES	(4u << 20)	/* latencies kept; of more, the first ones */
#define CBLOAD_LATE_MS	60000

struct cbload_conn {
	int	 fd;
	unsigned open, first;		/* requests without a reply; place of the oldest */
	struct { uint64_t number, begin_ns; } ask[CBLOAD_AHEAD];
	struct buf in;
};

static struct {
	unsigned conns, ahead;
	uint64_t limit, size, sent, done, wrong, code[SMTPCB_CODES];
	double	 seconds;
	const char *addr;
	uint64_t end_ns;
	uint32_t *sample;
	size_t	 samples;
} load = { .conns = 16, .ahead = 1, .seconds = 1, .size = 1, .addr = "user%@example.com" };

static uint64_t
cbload_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}

static void
cbload_addr(char *out, size_t size, uint64_t number)
{
	size_t	n = strcspn(load.addr, "%");

	if (load.addr[n] == '%')
		snprintf(out, size, "%.*s%09llu%s", (int) n, load.addr, (unsigned long long) number, load.addr + n + 1);
	else
		snprintf(out, size, "%s", load.addr);
}

/* cbload_fill - send what may be ahead, in one piece */
static void
cbload_fill(struct cbload_conn *c)
{
	static char out[CBLOAD_AHEAD * 600];
	uint64_t now = cbload_now();
	char	addr[500];
	size_t	len = 0;

	while (c->open < load.ahead && (load.limit > 0 ? load.sent < load.limit : now < load.end_ns)) {
		unsigned at = (c->first + c->open++) % CBLOAD_AHEAD;

		c->ask[at].number = load.sent++ % load.size;
		c->ask[at].begin_ns = now;
		cbload_addr(addr, sizeof addr, c->ask[at].number);
		len += (size_t) snprintf(out + len, sizeof out - len, "<%s>\n", addr);
	}
	if (len > 0 && sock_write_all(c->fd, out, len, CBLOAD_LATE_MS) < 0)
		err(1, "write");
}

static void
cbload_reply(struct cbload_conn *c, char *line, size_t n)
{
	struct smtpcb_reply r;
	char	addr[500];
	uint64_t ns;

	if (c->open == 0)
		errx(1, "a reply that was not asked for");
	cbload_addr(addr, sizeof addr, c->ask[c->first].number);
	ns = cbload_now() - c->ask[c->first].begin_ns;
	if (load.samples < CBLOAD_SAMPLES)
		load.sample[load.samples++] = (uint32_t) (ns / 10);
	if (smtpcb_reply_parse(line, n, &r) != NULL || strcmp(r.addr, addr) != 0)
		load.wrong++;
	else
		load.code[r.code]++;
	c->first = (c->first + 1) % CBLOAD_AHEAD;
	c->open--;
	load.done++;
}

static void
cbload_read(struct cbload_conn *c)
{
	size_t	used = 0;
	char   *end, *room = buf_room(&c->in, 16384);
	ssize_t n = room != NULL ? recv(c->fd, room, 16384, MSG_DONTWAIT) : 0;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		errx(1, "connection lost, %llu requests done", (unsigned long long) load.done);
	buf_grew(&c->in, (size_t) n);
	for (; (end = memchr(c->in.data + used, '\n', c->in.len - used)) != NULL; used = (size_t) (end - c->in.data) + 1)
		cbload_reply(c, c->in.data + used, (size_t) (end - c->in.data) - used);
	buf_drop(&c->in, used);
	cbload_fill(c);
}

static int
cbload_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

	return (x > y) - (x < y);
}

static double
cbload_percentile(unsigned percent)
{
	return load.samples == 0 ? 0 : load.sample[(load.samples - 1) * percent / 100] / 100.0;
}

int
main(int argc, char **argv)
{
	struct cbload_conn *conn;
	struct epoll_event ev[64];
	uint64_t begin;
	int	ch, ep, n;

	while ((ch = getopt(argc, argv, "A:c:d:K:n:w:")) != -1)
		switch (ch) {
		case 'A': load.addr = optarg; break;
		case 'c': load.conns = (unsigned) atoi(optarg); break;
		case 'd': load.seconds = atof(optarg); break;
		case 'K': load.size = strtoull(optarg, NULL, 10); break;
		case 'n': load.limit = strtoull(optarg, NULL, 10); break;
		case 'w': load.ahead = (unsigned) atoi(optarg); break;
		default: optind = argc;
		}
	if (argc - optind != 2 || load.conns == 0 || load.size == 0 || load.ahead == 0 || load.ahead > CBLOAD_AHEAD)
		errx(2, "usage: cbload [-c CONNECTIONS] [-w AHEAD] [-d SECONDS | -n REQUESTS] [-A ADDRESS] [-K SIZE] HOST PORT");
	load.sample = mem_array(CBLOAD_SAMPLES, sizeof *load.sample);
	conn = mem_array(load.conns, sizeof *conn);
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < load.conns; i++) {
		buf_init(&conn[i].in, 1 << 20);
		if ((conn[i].fd = sock_inet_connect(argv[optind], argv[optind + 1], false)) < 0)
			err(1, "connect %s:%s", argv[optind], argv[optind + 1]);
		ev[0] = (struct epoll_event) { .events = EPOLLIN, .data.ptr = &conn[i] };
		if (epoll_ctl(ep, EPOLL_CTL_ADD, conn[i].fd, &ev[0]) < 0)
			err(1, "epoll");
	}
	begin = cbload_now();
	load.end_ns = begin + (uint64_t) (load.seconds * 1e9);
	for (unsigned i = 0; i < load.conns; i++)
		cbload_fill(&conn[i]);
	while (load.done < load.sent) {
		if ((n = epoll_wait(ep, ev, 64, CBLOAD_LATE_MS)) == 0)
			errx(1, "no reply within 60 s");
		for (int i = 0; i < n; i++)
			cbload_read(ev[i].data.ptr);
	}
	qsort(load.sample, load.samples, sizeof *load.sample, cbload_cmp);
	printf("requests=%llu rate=%.0f p50_us=%.1f p99_us=%.1f ok=%llu fail=%llu tempfail=%llu wrong=%llu\n",
	    (unsigned long long) load.done, (double) load.done * 1e9 / (double) (cbload_now() - begin), cbload_percentile(50),
	    cbload_percentile(99), (unsigned long long) load.code[SMTPCB_OK], (unsigned long long) load.code[SMTPCB_FAIL],
	    (unsigned long long) load.code[SMTPCB_TEMPFAIL], (unsigned long long) load.wrong);
	return load.wrong > 0;
}
