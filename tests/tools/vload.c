/* tests/tools/vload.c - load on a verify socket, and a check of every answer
 * Keeps one request open on each connection, as Postfix's clients do, and prints one line of name=value figures.
 *
 *   vload -s SOCKET [-c CONNECTIONS] [-d SECONDS | -n REQUESTS] [-A ADDRESS] [-K SIZE] [-f FIRST] [-o seq|uniform]
 *         [-g TIMES] [-u PERCENT] [-S STATUS] [-C | -M] [-R REQUESTS] [-r MS] [-t SECONDS] [-w MS] [-p]
 *   -A  the address; one % in it stands for the number, nine digits (user%@example.com)
 *   -K  numbers FIRST .. FIRST + SIZE - 1, asked in turn (seq) or at random (uniform)
 *   -g  each number so many times before the next (seq)
 *   -u  so many requests of a hundred are updates; what they say follows from the number (-S: this status always)
 *   -C  check: an answer must be what the number's update says, or "in progress" as long as none was acknowledged here
 *   -M  check: and every number is known already, so that "in progress" is wrong
 *   -R  reconnect after so many requests, as clients come and go
 *   -r  a client of Postfix's manners: before each request it looks whether the server has closed the connection, and if
 *       so reconnects without a word (reconnects=); a broken exchange is repeated after MS (broken=), as is a refused
 *       connection (refused=). Without -r any of these is an error.
 *   -t  an answer must come within so many seconds (late=, an error)
 *   -w  each connection rests so many ms after an answer: a load that leaves the machine room
 *   -p  print each answer: "status text"
 * SIGTERM ends the run as its time does: open requests are waited for. Exit 0; 1 when there were errors or wrong answers; 2 usage.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <bsd/stdlib.h>

#include <util/mem.h>
#include <util/sock.h>
#include <global/verify_proto.h>

#define VLOAD_IN	32768	/* the longest answer: two strings of 8192 and names */
#define VLOAD_ADDR	1024
#define VLOAD_REQ	(VLOAD_ADDR + 512)
#define VLOAD_COMPLAINTS 5	/* wrong answers shown */
#define VLOAD_SLICES	64	/* histogram: so many per power of two, so within 1.6 % */

enum vload_state { VLOAD_IDLE, VLOAD_BANNER, VLOAD_OPEN, VLOAD_AGAIN };

struct vload_conn {
	int	 fd;
	enum vload_state state;		/* AGAIN: waits until retry_ns to connect again */
	bool	 busy;			/* has a request to be answered */
	bool	 sent;			/* and it is on the wire */
	bool	 update;
	uint64_t number, began_ns, retry_ns;
	uint64_t rest_ns;		/* the next request is not sent before; 0: not resting */
	unsigned served;		/* on this connection */
	size_t	 req_len, in_len;
	char	 req[VLOAD_REQ];
	char	 in[VLOAD_IN];
};

static struct {
	const char *path, *addr, *addr_tail;
	unsigned conns, update_pct, reconnect_after, times;
	int	 status;		/* -1: from the number */
	double	 seconds;
	uint64_t count, size, first;
	bool	 uniform, check, known, retry, print;
	uint64_t retry_ns, limit_ns, rest_ns;
} vload_conf = { .conns = 1, .times = 1, .size = 1, .status = -1, .limit_ns = 10000000000u };

static struct {
	uint64_t done, updates, by_status[VERIFY_STATUSES], errors, late, bad, reconnects, broken, refused, max_ns;
	uint64_t last_ns;			/* time of the last answer */
	uint64_t addr_bytes, text_bytes;	/* of updates */
	uint64_t hist[64 * VLOAD_SLICES];
} vload_sum;

static struct vload_conn *vload_conns;
static uint64_t vload_issued, vload_random = 88172645463325252u;
static uint8_t *vload_acked;		/* one bit per number: an update was acknowledged */
static volatile sig_atomic_t vload_stop; /* no new requests */
static int	vload_ep;
static unsigned	vload_waiting;		/* connections in state AGAIN */
static uint64_t vload_time_ns;		/* read once for each answer, and once per turn */

static uint64_t
vload_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return vload_time_ns = (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}

static void vload_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void
vload_complain(const char *fmt, ...)
{
	va_list	ap;

	if (vload_sum.errors + vload_sum.bad > VLOAD_COMPLAINTS)
		return;
	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
}

/* vload_digits - nine decimal digits; printf would be half of the work */
static char *
vload_digits(char *p, uint64_t n)
{
	for (int i = 8; i >= 0; i--, n /= 10)
		p[i] = (char) ('0' + n % 10);
	return p + 9;
}

static char *
vload_copy(char *p, const char *s)
{
	return stpcpy(p, s) + 1;
}

/* vload_address - the address of a number, with its NUL; returns the byte after it */
static char *
vload_address(char *p, uint64_t number)
{
	p = stpcpy(p, vload_conf.addr);
	if (vload_conf.addr_tail != NULL)
		p = stpcpy(vload_digits(p, number), vload_conf.addr_tail);
	return p + 1;
}

static enum verify_status
vload_status(uint64_t number)
{
	static const enum verify_status mix[] = { VERIFY_OK, VERIFY_BOUNCE, VERIFY_OK, VERIFY_DEFER };

	return vload_conf.status >= 0 ? (enum verify_status) vload_conf.status : mix[number % NELEM(mix)];
}

/* vload_text - what the update for a number says, with its NUL; different for each number */
static char *
vload_text(char *p, uint64_t number)
{
	static const char *const head[] = { "250 2.1.5 Ok: recipient ", "host 192.0.2.1 said: 450 4.2.0 later ",
	    "host 192.0.2.1 said: 550 5.1.1 No such user " };

	p = vload_digits(stpcpy(p, head[vload_status(number)]), number);
	*p = 0;
	return p + 1;
}

static void
vload_request(struct vload_conn *c)
{
	static const char query[] = "request\0query\0address", update[] = "request\0update\0address";
	char	*p = c->req, *q;

	if (vload_conf.uniform) {
		vload_random ^= vload_random << 13;
		vload_random ^= vload_random >> 7;
		vload_random ^= vload_random << 17;
		c->number = vload_conf.first + vload_random % vload_conf.size;
	} else
		c->number = vload_conf.first + vload_issued / vload_conf.times % vload_conf.size;
	c->update = vload_issued * 61 % 100 < vload_conf.update_pct;	/* spread evenly; 61 and 100 are coprime */
	vload_issued++;
	if (c->update) {
		memcpy(p, update, sizeof(update));
		p = vload_address(q = p + sizeof(update), c->number);
		vload_sum.addr_bytes += (uint64_t) (p - q - 1);
		p = vload_copy(p, "recipient_status");
		*p++ = (char) ('0' + vload_status(c->number));
		*p++ = 0;
		p = vload_text(q = vload_copy(p, "reason"), c->number);
		vload_sum.text_bytes += (uint64_t) (p - q - 1);
	} else {
		memcpy(p, query, sizeof(query));
		p = vload_address(p + sizeof(query), c->number);
	}
	*p++ = 0;
	c->req_len = (size_t) (p - c->req);
	c->busy = true;
	c->began_ns = vload_time_ns;
}

static void
vload_again(struct vload_conn *c)
{
	c->state = VLOAD_AGAIN;
	c->retry_ns = vload_time_ns + vload_conf.retry_ns;
	vload_waiting++;
}

static void
vload_close(struct vload_conn *c)
{
	sock_close(&c->fd);
	c->state = VLOAD_IDLE;
	c->in_len = 0;
	c->sent = false;
	c->served = 0;
}

static void
vload_connect(struct vload_conn *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	if ((c->fd = sock_unix_connect(vload_conf.path, true)) < 0) {
		vload_sum.refused++;
		if (errno == EAGAIN) {			/* the listen queue is full: a blocking connect would wait */
			vload_again(c);
			c->retry_ns = vload_time_ns + 1000000;
		} else if (vload_conf.retry)
			vload_again(c);
		else {
			vload_sum.errors++;
			vload_complain("%s: %s", vload_conf.path, strerror(errno));
			c->busy = false;
		}
		return;
	}
	if (epoll_ctl(vload_ep, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		err(1, "epoll_ctl");
	c->state = VLOAD_BANNER;
}

/* vload_broken - the exchange failed; the request is kept and repeated when that is the policy */
static void
vload_broken(struct vload_conn *c, const char *what)
{
	vload_close(c);
	if (vload_conf.retry) {
		vload_sum.broken++;
		vload_again(c);
		return;
	}
	vload_sum.errors++;
	vload_complain("%s", what);
	c->busy = false;
}

static void
vload_send(struct vload_conn *c)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };

	if (vload_conf.retry && poll(&pfd, 1, 0) != 0) {
		vload_sum.reconnects++;
		vload_close(c);
		vload_connect(c);
		return;
	}
	c->sent = true;
	if (send(c->fd, c->req, c->req_len, MSG_NOSIGNAL) != (ssize_t) c->req_len)
		vload_broken(c, "cannot send");
}

static void
vload_next(struct vload_conn *c)
{
	if (!c->busy) {
		if (vload_stop || (vload_conf.count != 0 && vload_issued >= vload_conf.count))
			return;
		vload_request(c);
	}
	if (c->state == VLOAD_OPEN && vload_conf.reconnect_after != 0 && c->served >= vload_conf.reconnect_after)
		vload_close(c);
	if (c->state == VLOAD_IDLE)
		vload_connect(c);
	else if (c->state == VLOAD_OPEN)
		vload_send(c);
}

/* vload_list - length of the complete list at the start of n bytes, 0 when there is none yet */
static size_t
vload_list(const char *p, size_t n)
{
	const char *s = p, *end = p + n, *nul;

	for (bool is_name = true; s < end; is_name = !is_name, s = nul + 1) {
		if (is_name && *s == 0)
			return (size_t) (s + 1 - p);
		if ((nul = memchr(s, 0, (size_t) (end - s))) == NULL)
			return 0;
	}
	return 0;
}

static const char *
vload_expect(const char **pp, const char *name)
{
	const char *value;

	if (*pp == NULL || strcmp(*pp, name) != 0) {
		*pp = NULL;
		return "";
	}
	value = *pp + strlen(name) + 1;
	*pp = value + strlen(value) + 1;
	return value;
}

/* vload_wrong - NULL, or what is wrong with this answer; list is complete, and no attribute may be missing or extra */
static const char *
vload_wrong(struct vload_conn *c, const char *list)
{
	char	want[256];
	const char *p = list, *reply, *status, *text;
	uint64_t bit = c->number - vload_conf.first;
	unsigned s;

	reply = vload_expect(&p, "status");
	if (c->update) {
		if (p == NULL || *p != 0 || strcmp(reply, "0") != 0)
			return "update not acknowledged";
		if (vload_acked != NULL)
			vload_acked[bit / 8] |= (uint8_t) (1u << bit % 8);
		vload_sum.updates++;
		return NULL;
	}
	status = vload_expect(&p, "recipient_status");
	text = vload_expect(&p, "reason");
	if (p == NULL || *p != 0 || strcmp(reply, "0") != 0 || status[0] < '0' || status[0] > '3' || status[1] != 0)
		return "not a query reply";
	s = (unsigned) (status[0] - '0');
	vload_sum.by_status[s]++;
	if (vload_conf.print)
		printf("%u %s\n", s, text);
	if (!vload_conf.check)
		return NULL;
	if (s == VERIFY_TODO)
		return vload_conf.known || (vload_acked[bit / 8] & (1u << bit % 8)) ? "in progress, but it is known" : NULL;
	if (s != vload_status(c->number))
		return "wrong status";
	vload_text(want, c->number);
	return strcmp(text, want) != 0 ? "wrong text" : NULL;
}

static void
vload_measure(uint64_t ns)
{
	unsigned power;

	if (ns > vload_sum.max_ns)
		vload_sum.max_ns = ns;
	if (ns < VLOAD_SLICES) {
		vload_sum.hist[ns]++;
		return;
	}
	power = 63 - (unsigned) __builtin_clzll(ns);		/* 2^power <= ns, power >= 6 */
	vload_sum.hist[(power - 5) * VLOAD_SLICES + (ns >> (power - 6)) % VLOAD_SLICES]++;
}

static double
vload_percentile(double share)
{
	uint64_t want = (uint64_t) ((double) vload_sum.done * share), seen = 0;

	for (size_t i = 0; i < NELEM(vload_sum.hist); i++)
		if ((seen += vload_sum.hist[i]) > want) {
			size_t power = i / VLOAD_SLICES + 5;

			if (i < VLOAD_SLICES)
				return (double) i / 1000;
			return (double) ((VLOAD_SLICES + i % VLOAD_SLICES) << (power - 6)) / 1000;
		}
	return (double) vload_sum.max_ns / 1000;
}

static void
vload_answer(struct vload_conn *c, size_t len)
{
	const char *wrong;
	char	addr[VLOAD_ADDR];

	vload_sum.last_ns = vload_clock();
	vload_measure(vload_time_ns - c->began_ns);
	if ((wrong = vload_wrong(c, c->in)) != NULL) {
		vload_sum.bad++;
		vload_address(addr, c->number);
		vload_complain("%s %s: %s", c->update ? "update" : "query", addr, wrong);
	}
	vload_sum.done++;
	c->busy = c->sent = false;
	c->served++;
	memmove(c->in, c->in + len, c->in_len - len);
	if ((c->in_len -= len) != 0) {
		vload_sum.bad++;
		vload_complain("bytes after the answer");
		c->in_len = 0;
	}
	if (vload_conf.rest_ns != 0 && !vload_stop)
		c->rest_ns = vload_time_ns + vload_conf.rest_ns;
	else
		vload_next(c);
}

static void
vload_readable(struct vload_conn *c)
{
	static const char banner[] = "protocol\0" VERIFY_PROTOCOL_NAME "\0";
	ssize_t	n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
	size_t	len;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (c->sent || c->state == VLOAD_BANNER)
			vload_broken(c, c->sent ? "connection closed before the answer" : "closed before the announcement");
		else {					/* idle at the end of the run */
			vload_sum.reconnects++;
			vload_close(c);
		}
		return;
	}
	c->in_len += (size_t) n;
	if ((len = vload_list(c->in, c->in_len)) == 0) {
		if (c->in_len == sizeof(c->in))
			vload_broken(c, "answer without end");
		return;
	}
	if (c->state == VLOAD_BANNER) {
		if (len != sizeof(banner) || c->in_len != len || memcmp(c->in, banner, len) != 0) {
			vload_sum.bad++;
			vload_complain("wrong announcement");
		}
		c->in_len = 0;
		c->state = VLOAD_OPEN;
		vload_next(c);
	} else if (!c->sent) {
		vload_sum.bad++;
		vload_complain("an answer to nothing");
		c->in_len = 0;
	} else
		vload_answer(c, len);
}

/* vload_tick - what is due by time: connections to be tried again, answers that are late; returns how many are open */
static unsigned
vload_tick(void)
{
	unsigned busy = 0;

	vload_clock();
	for (unsigned i = 0; i < vload_conf.conns; i++) {
		struct vload_conn *c = &vload_conns[i];

		if (c->state == VLOAD_AGAIN && vload_time_ns >= c->retry_ns) {
			c->state = VLOAD_IDLE;
			vload_waiting--;
			vload_next(c);
		}
		if (c->busy && vload_time_ns - c->began_ns > vload_conf.limit_ns) {
			vload_sum.late++;
			vload_sum.errors++;
			vload_complain("no answer in time");
			if (c->state == VLOAD_AGAIN)
				vload_waiting--;
			vload_close(c);
			c->busy = false;
			vload_next(c);
		}
		if (c->rest_ns != 0 && (vload_stop || vload_time_ns >= c->rest_ns)) {
			c->rest_ns = 0;
			vload_next(c);
		}
		busy += c->busy || c->rest_ns != 0;
	}
	return busy;
}

static void
vload_run(void)
{
	struct epoll_event evs[128];
	uint64_t begin, end, tick = 0;
	double	seconds;
	struct rusage ru;
	int	n;

	begin = vload_clock();
	end = vload_conf.seconds > 0 ? begin + (uint64_t) (vload_conf.seconds * 1e9) : UINT64_MAX;
	for (unsigned i = 0; i < vload_conf.conns; i++) {
		vload_conns[i].fd = -1;
		vload_next(&vload_conns[i]);
	}
	for (;;) {
		if (vload_time_ns >= end)
			vload_stop = 1;
		if (vload_time_ns >= tick || vload_waiting != 0 || vload_conf.rest_ns != 0) {
			if (vload_tick() == 0)
				break;
			tick = vload_time_ns + 20000000;
		}
		n = epoll_wait(vload_ep, evs, NELEM(evs), vload_waiting != 0 || vload_conf.rest_ns != 0 ? 1 : 20);
		for (int i = 0; i < n; i++)
			vload_readable(evs[i].data.ptr);
		if (n <= 0)
			vload_clock();
	}
	seconds = (double) ((vload_sum.done ? vload_sum.last_ns : vload_time_ns) - begin + 1) / 1e9;
	getrusage(RUSAGE_SELF, &ru);
	printf("requests=%llu seconds=%.3f rate=%.0f p50_us=%.1f p99_us=%.1f max_us=%.1f errors=%llu late=%llu bad=%llu "
	    "ok=%llu defer=%llu bounce=%llu todo=%llu updates=%llu reconnects=%llu broken=%llu refused=%llu "
	    "addr_bytes=%.1f text_bytes=%.1f cpu_pct=%.0f\n",
	    (unsigned long long) vload_sum.done, seconds, (double) vload_sum.done / seconds,
	    vload_percentile(0.5), vload_percentile(0.99), (double) vload_sum.max_ns / 1000,
	    (unsigned long long) vload_sum.errors, (unsigned long long) vload_sum.late, (unsigned long long) vload_sum.bad,
	    (unsigned long long) vload_sum.by_status[VERIFY_OK], (unsigned long long) vload_sum.by_status[VERIFY_DEFER],
	    (unsigned long long) vload_sum.by_status[VERIFY_BOUNCE], (unsigned long long) vload_sum.by_status[VERIFY_TODO],
	    (unsigned long long) vload_sum.updates, (unsigned long long) vload_sum.reconnects,
	    (unsigned long long) vload_sum.broken, (unsigned long long) vload_sum.refused,
	    vload_sum.updates ? (double) vload_sum.addr_bytes / (double) vload_sum.updates : 0,
	    vload_sum.updates ? (double) vload_sum.text_bytes / (double) vload_sum.updates : 0,
	    100 * ((double) (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	    (double) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6) / seconds);
}

static void
vload_signal(int signo)
{
	(void) signo;
	vload_stop = 1;
}

static void
vload_usage(void)
{
	fprintf(stderr, "usage: vload -s SOCKET [-c CONNECTIONS] [-d SECONDS | -n REQUESTS] [-A ADDRESS] [-K SIZE] [-f FIRST]\n"
	    "             [-o seq|uniform] [-g TIMES] [-u PERCENT] [-S STATUS] [-C | -M] [-R REQUESTS] [-r MS] [-t SECONDS] [-w MS]\n             [-p]\n");
	exit(2);
}

static uint64_t
vload_number(const char *s, long long min, long long max)
{
	const char *why;
	long long n = strtonum(s, min, max, &why);

	if (why != NULL)
		errx(2, "%s: number is %s", s, why);
	return (uint64_t) n;
}

int
main(int argc, char **argv)
{
	char	*addr = NULL, *percent;
	int	ch;

	while ((ch = getopt(argc, argv, "A:CK:MR:S:c:d:f:g:n:o:pr:s:t:u:w:")) != -1) {
		switch (ch) {
		case 'A': mem_free(&addr); addr = mem_strdup(optarg); break;
		case 'C': vload_conf.check = true; break;
		case 'K': vload_conf.size = vload_number(optarg, 1, 999999999); break;
		case 'M': vload_conf.check = vload_conf.known = true; break;
		case 'R': vload_conf.reconnect_after = (unsigned) vload_number(optarg, 1, 1000000000); break;
		case 'S': vload_conf.status = (int) vload_number(optarg, 0, 2); break;
		case 'c': vload_conf.conns = (unsigned) vload_number(optarg, 1, 10000); break;
		case 'd': vload_conf.seconds = strtod(optarg, NULL); break;
		case 'f': vload_conf.first = vload_number(optarg, 0, 999999999); break;
		case 'g': vload_conf.times = (unsigned) vload_number(optarg, 1, 1000000); break;
		case 'n': vload_conf.count = vload_number(optarg, 1, 1000000000); break;
		case 'o': vload_conf.uniform = strcmp(optarg, "uniform") == 0; break;
		case 'p': vload_conf.print = true; break;
		case 'r': vload_conf.retry = true; vload_conf.retry_ns = vload_number(optarg, 1, 60000) * 1000000; break;
		case 's': vload_conf.path = optarg; break;
		case 't': vload_conf.limit_ns = vload_number(optarg, 1, 3600) * 1000000000; break;
		case 'u': vload_conf.update_pct = (unsigned) vload_number(optarg, 0, 100); break;
		case 'w': vload_conf.rest_ns = vload_number(optarg, 1, 60000) * 1000000; break;
		default: vload_usage();
		}
	}
	if (vload_conf.path == NULL || optind != argc)
		vload_usage();
	if (addr == NULL)
		addr = mem_strdup("user%@example.com");
	if (strlen(addr) > VLOAD_ADDR - 16)
		errx(2, "the address is too long");
	if ((percent = strchr(addr, '%')) != NULL) {
		*percent = 0;
		vload_conf.addr_tail = percent + 1;
	}
	vload_conf.addr = addr;
	if (vload_conf.seconds <= 0 && vload_conf.count == 0)
		vload_conf.count = 1;
	if (vload_conf.check)
		vload_acked = mem_alloc(vload_conf.size / 8 + 1);
	if ((vload_ep = epoll_create1(EPOLL_CLOEXEC)) < 0)
		err(1, "epoll_create1");
	vload_conns = mem_array(vload_conf.conns, sizeof(*vload_conns));
	signal(SIGTERM, vload_signal);
	vload_run();
	return vload_sum.errors + vload_sum.bad != 0;
}
