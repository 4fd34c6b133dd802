/* tests/lib/dns_stub.c - a scripted name server */
#include "dns_stub.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bsd/sys/queue.h>

#include <util/buf.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define STUB_MESSAGE_MAX 65535
#define STUB_UDP_MAX	 512

enum stub_fault { STUB_NONE, STUB_SERVFAIL, STUB_REFUSED, STUB_TIMEOUT, STUB_NXDOMAIN, STUB_NODATA, STUB_GARBAGE,
	STUB_HALF, STUB_NOSOA, STUB_TRUNCATE, STUB_FAULTS };

static const char *const stub_faults[] = { "", "SERVFAIL", "REFUSED", "TIMEOUT", "NXDOMAIN", "NODATA", "GARBAGE",
	"HALF", "NOSOA", "TRUNCATE" };

struct stub_fact {
	struct stub_fact *next;
	char	*name;
	int	 type;			/* ns_t_*, 0 = all (faults) */
	enum stub_fault fault;
	bool	 chase;			/* CNAME+ */
	int64_t	 delay_ms;
	unsigned pref;
	char	*value;
};

struct stub_conn {
	LIST_ENTRY(stub_conn) link;
	struct dns_stub *stub;
	struct ev_io io;
	int	fd;
	struct buf in;
};

struct stub_reply {			/* one that waits for its delay, or a carrier's that waits for its turn */
	LIST_ENTRY(stub_reply) link;
	struct dns_stub *stub;
	struct ev_timer timer;
	struct buf msg;
	int	fd;			/* -1: carrier */
	bool	tcp;
	struct sockaddr_in to;
	dns_carried_fn *done;
	void	*ctx;
};

struct dns_stub {
	struct ev_loop *loop;
	struct stub_fact *facts;
	int	udp, tcp;
	struct ev_io udp_io, tcp_io;
	LIST_HEAD(, stub_conn) conns;
	LIST_HEAD(, stub_reply) replies;
	unsigned asked[2];
};

static struct dns_stub *dns_stub_last;

static int
stub_type(const char *s)
{
	return strcmp(s, "A") == 0 ? ns_t_a : strcmp(s, "AAAA") == 0 ? ns_t_aaaa : strcmp(s, "MX") == 0 ? ns_t_mx :
	    strcmp(s, "PTR") == 0 ? ns_t_ptr :
	    strcmp(s, "CNAME") == 0 || strcmp(s, "CNAME+") == 0 ? ns_t_cname : 0;
}

static void
stub_fact_add(struct dns_stub *s, char *line)
{
	char   *word[5], *p = line;
	size_t	n = 0, at = 1;
	struct stub_fact *f, **fp;

	while (n < NELEM(word) && (word[n] = strsep(&p, " \t")) != NULL)
		if (*word[n] != 0)
			n++;
	if (n == 0 || word[0][0] == '#')
		return;
	if (n < 2)
		msg_panic("dns_stub: %s: nothing said", word[0]);
	f = mem_alloc(sizeof *f);
	f->name = mem_strdup(word[0]);
	if ((f->type = stub_type(word[1])) != 0)
		at = 2;
	for (enum stub_fault i = STUB_SERVFAIL; i < STUB_FAULTS; i++)
		if (at < n && strcmp(word[at], stub_faults[i]) == 0)
			f->fault = i;
	if (at < n && strcmp(word[at], "DELAY") == 0 && at + 1 < n)
		f->delay_ms = atol(word[at + 1]);
	else if (f->fault == STUB_NONE) {
		if (f->type == 0 || at >= n || (f->type == ns_t_mx && at + 1 >= n))
			msg_panic("dns_stub: %s %s: not understood", word[0], word[1]);
		f->chase = strcmp(word[1], "CNAME+") == 0;
		if (f->type == ns_t_mx)
			f->pref = (unsigned) atoi(word[at++]);
		f->value = mem_strdup(word[at]);
	}
	for (fp = &s->facts; *fp != NULL; fp = &(*fp)->next)
		;
	*fp = f;
}

void
dns_stub_zone(struct dns_stub *s, const char *zone)
{
	char   *copy = mem_strdup(zone), *p = copy, *line;
	struct stub_fact *f;

	while ((f = s->facts) != NULL) {
		s->facts = f->next;
		mem_free(&f->name);
		mem_free(&f->value);
		mem_free(&f);
	}
	while ((line = strsep(&p, "\n")) != NULL)
		stub_fact_add(s, line);
	mem_free(&copy);
}

static void
stub_put16(struct buf *b, unsigned v)
{
	buf_addc(b, (int) (v >> 8 & 255));
	buf_addc(b, (int) (v & 255));
}

static void
stub_put32(struct buf *b, uint32_t v)
{
	stub_put16(b, v >> 16);
	stub_put16(b, v & 0xffff);
}

static void
stub_put_name(struct buf *b, const char *name)
{
	size_t	n;

	if (strcmp(name, ".") == 0)
		name = "";
	for (; *name != 0; name += n + (name[n] == '.')) {
		n = strcspn(name, ".");
		buf_addc(b, (int) n);
		buf_add(b, name, n);
	}
	buf_addc(b, 0);
}

static void
stub_put_rr(struct buf *b, const char *name, int type, uint32_t ttl, const struct buf *data)
{
	stub_put_name(b, name);
	stub_put16(b, (unsigned) type);
	stub_put16(b, ns_c_in);
	stub_put32(b, ttl);
	stub_put16(b, (unsigned) data->len);
	buf_add(b, data->data, data->len);
}

/* stub_answer - the reply to a question; false: none at all; delay_r is added to */
static bool
stub_answer(struct dns_stub *s, const unsigned char *q, size_t n, bool udp, struct buf *out, int64_t *delay_r)
{
	char	name[NS_MAXDNAME], owner[NS_MAXDNAME];
	struct buf data = BUF_INIT(1024), answers = BUF_INIT(STUB_MESSAGE_MAX);
	enum stub_fault fault = STUB_NONE;
	unsigned count = 0, rcode = 0, flags = 0x8180;
	bool	exists = false, more = true, soa;
	ns_msg	m;
	ns_rr	rr;

	if (ns_initparse(q, (int) n, &m) < 0 || ns_msg_count(m, ns_s_qd) != 1 || ns_parserr(&m, ns_s_qd, 0, &rr) < 0)
		return false;
	strcpy(name, ns_rr_name(rr));
	strcpy(owner, name);
	for (int hop = 0; hop < 20 && more; hop++) {
		more = false;
		for (struct stub_fact *f = s->facts; f != NULL; f = f->next) {
			if (strcasecmp(f->name, owner) != 0)
				continue;
			exists = true;
			*delay_r += f->delay_ms;
			if (f->fault != STUB_NONE && (f->type == 0 || f->type == (int) ns_rr_type(rr)))
				fault = f->fault;
			if (f->value == NULL || (f->type != (int) ns_rr_type(rr) && f->type != ns_t_cname))
				continue;
			buf_reset(&data);
			if (f->type == ns_t_mx)
				stub_put16(&data, f->pref);
			if (f->type == ns_t_mx || f->type == ns_t_cname || f->type == ns_t_ptr)
				stub_put_name(&data, f->value);
			else if (inet_pton(f->type == ns_t_a ? AF_INET : AF_INET6, f->value, buf_room(&data, 16)) == 1)
				buf_grew(&data, f->type == ns_t_a ? 4 : 16);
			else
				msg_panic("dns_stub: %s: not an address", f->value);
			stub_put_rr(&answers, owner, f->type, 300, &data);
			count++;
			if (f->type == ns_t_cname && f->chase) {
				strcpy(owner, f->value);
				more = true;
				break;
			}
		}
	}
	if (fault == STUB_TIMEOUT) {
		buf_fini(&data);
		buf_fini(&answers);
		return false;
	}
	if (fault == STUB_SERVFAIL || fault == STUB_REFUSED || fault == STUB_NXDOMAIN || fault == STUB_NODATA)
		buf_reset(&answers), count = 0;
	if (fault == STUB_NXDOMAIN || !exists)
		rcode = ns_r_nxdomain;
	else if (fault == STUB_SERVFAIL)
		rcode = ns_r_servfail;
	else if (fault == STUB_REFUSED)
		rcode = ns_r_refused;
	if (fault == STUB_TRUNCATE && udp)
		buf_reset(&answers), count = 0, flags |= 0x200;
	soa = count == 0 && rcode != ns_r_servfail && rcode != ns_r_refused && fault != STUB_NOSOA;
	stub_put16(out, ns_msg_id(m));
	stub_put16(out, flags | rcode);
	stub_put16(out, 1);
	stub_put16(out, count);
	stub_put16(out, soa);
	stub_put16(out, 0);
	stub_put_name(out, name);
	stub_put16(out, ns_rr_type(rr));
	stub_put16(out, ns_c_in);
	buf_add(out, answers.data, answers.len);
	if (soa) {
		buf_reset(&data);
		stub_put_name(&data, "ns.test");
		stub_put_name(&data, "hostmaster.test");
		for (int i = 0; i < 5; i++)
			stub_put32(&data, 120);
		stub_put_rr(out, "test", ns_t_soa, 120, &data);
	}
	if (fault == STUB_GARBAGE)
		for (size_t i = 12; i < out->len; i++)
			out->data[i] = (char) (out->data[i] * 7 + 0x55);
	if (fault == STUB_HALF)
		buf_cut(out, out->len - out->len / 3);
	buf_fini(&data);
	buf_fini(&answers);
	return true;
}

static void
stub_reply_free(struct stub_reply *r)
{
	ev_timer_cancel(r->stub->loop, &r->timer);
	LIST_REMOVE(r, link);
	buf_fini(&r->msg);
	mem_free(&r);
}

static void
stub_reply_send(void *ctx)
{
	struct stub_reply *r = ctx;
	unsigned char len[2] = { (unsigned char) (r->msg.len >> 8), (unsigned char) r->msg.len };

	if (r->done != NULL)
		r->done(r->ctx, NULL, (unsigned char *) r->msg.data, r->msg.len);
	else if (r->tcp) {
		(void) !write(r->fd, len, 2);
		(void) !write(r->fd, r->msg.data, r->msg.len);
	} else
		sendto(r->fd, r->msg.data, r->msg.len, 0, (struct sockaddr *) &r->to, sizeof r->to);
	stub_reply_free(r);
}

static struct stub_reply *
stub_reply_new(struct dns_stub *s, const unsigned char *q, size_t n, bool udp)
{
	struct stub_reply *r = mem_alloc(sizeof *r);
	int64_t delay = 0;

	s->asked[!udp]++;
	r->stub = s;
	r->fd = -1;
	r->tcp = !udp;
	buf_init(&r->msg, STUB_MESSAGE_MAX);
	LIST_INSERT_HEAD(&s->replies, r, link);
	if (!stub_answer(s, q, n, udp, &r->msg, &delay)) {
		stub_reply_free(r);
		return NULL;
	}
	ev_timer_set(s->loop, &r->timer, delay, stub_reply_send, r);
	return r;
}

static void
stub_udp(void *ctx, int fd, unsigned events)
{
	struct dns_stub *s = ctx;
	unsigned char q[STUB_UDP_MAX * 8];
	struct sockaddr_in from;
	socklen_t flen = sizeof from;
	struct stub_reply *r;
	ssize_t n;

	(void) events;
	if ((n = recvfrom(fd, q, sizeof q, 0, (struct sockaddr *) &from, &flen)) <= 0)
		return;
	if ((r = stub_reply_new(s, q, (size_t) n, true)) != NULL) {
		r->fd = fd;
		r->to = from;
	}
}

static void
stub_conn_free(struct stub_conn *c)
{
	struct stub_reply *r, *next;

	LIST_FOREACH_SAFE(r, &c->stub->replies, link, next)
		if (r->tcp && r->fd == c->fd)
			stub_reply_free(r);
	ev_io_cancel(c->stub->loop, &c->io);
	sock_close(&c->fd);
	LIST_REMOVE(c, link);
	buf_fini(&c->in);
	mem_free(&c);
}

static void
stub_tcp_read(void *ctx, int fd, unsigned events)
{
	struct stub_conn *c = ctx;
	struct stub_reply *r;
	char	chunk[2048];
	ssize_t n;
	size_t	len;

	(void) events;
	if ((n = recv(fd, chunk, sizeof chunk, 0)) <= 0) {
		if (n == 0 || errno != EAGAIN)
			stub_conn_free(c);
		return;
	}
	buf_add(&c->in, chunk, (size_t) n);
	while (c->in.len >= 2 &&
	    c->in.len - 2 >= (len = (size_t) (((unsigned char) c->in.data[0] << 8) | (unsigned char) c->in.data[1]))) {
		if ((r = stub_reply_new(c->stub, (unsigned char *) c->in.data + 2, len, false)) != NULL)
			r->fd = c->fd;
		buf_drop(&c->in, len + 2);
	}
}

static void
stub_tcp_accept(void *ctx, int fd, unsigned events)
{
	struct dns_stub *s = ctx;
	struct stub_conn *c;
	int	conn;

	(void) events;
	if ((conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
		return;
	c = mem_alloc(sizeof *c);
	c->stub = s;
	c->fd = conn;
	buf_init(&c->in, 2 * STUB_MESSAGE_MAX);
	LIST_INSERT_HEAD(&s->conns, c, link);
	ev_io_set(s->loop, &c->io, conn, EV_READ, stub_tcp_read, c);
}

struct dns_stub *
dns_stub_new(struct ev_loop *loop, const char *zone)
{
	struct dns_stub *s = mem_alloc(sizeof *s);

	s->loop = loop;
	s->udp = s->tcp = -1;
	LIST_INIT(&s->conns);
	LIST_INIT(&s->replies);
	dns_stub_zone(s, zone);
	return dns_stub_last = s;
}

int
dns_stub_listen(struct dns_stub *s)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;

	for (int tries = 0; tries < 50; tries++) {
		s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		memset(&sin, 0, sizeof sin);
		sin.sin_family = AF_INET;
		sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (s->udp < 0 || s->tcp < 0 || bind(s->udp, (struct sockaddr *) &sin, sizeof sin) < 0 ||
		    getsockname(s->udp, (struct sockaddr *) &sin, &len) < 0)
			break;
		if (bind(s->tcp, (struct sockaddr *) &sin, sizeof sin) == 0 && listen(s->tcp, 20) == 0) {
			ev_io_set(s->loop, &s->udp_io, s->udp, EV_READ, stub_udp, s);
			ev_io_set(s->loop, &s->tcp_io, s->tcp, EV_READ, stub_tcp_accept, s);
			return ntohs(sin.sin_port);
		}
		sock_close(&s->udp);
		sock_close(&s->tcp);
	}
	msg_panic("dns_stub: no port: %s", strerror(errno));
}

unsigned
dns_stub_asked(const struct dns_stub *s, bool tcp)
{
	return s->asked[tcp];
}

void
dns_stub_free(struct dns_stub **sp)
{
	struct dns_stub *s = *sp;
	struct stub_conn *c;
	struct stub_reply *r;

	if (s == NULL)
		return;
	while ((c = LIST_FIRST(&s->conns)) != NULL)
		stub_conn_free(c);
	while ((r = LIST_FIRST(&s->replies)) != NULL)
		stub_reply_free(r);
	ev_io_cancel(s->loop, &s->udp_io);
	ev_io_cancel(s->loop, &s->tcp_io);
	sock_close(&s->udp);
	sock_close(&s->tcp);
	dns_stub_zone(s, "");
	if (dns_stub_last == s)
		dns_stub_last = NULL;
	mem_free(sp);
}

static void *
stub_carrier_open(struct ev_loop *loop, const struct dns_conf *conf, const char **why_r)
{
	(void) loop;
	(void) conf;
	*why_r = "no stub";
	return dns_stub_last;
}

static void
stub_carrier_ask(void *carrier, const char *name, enum dns_type type, dns_carried_fn *done, void *ctx)
{
	struct dns_stub *s = carrier;
	struct buf q = BUF_INIT(1024);
	struct stub_reply *r;

	for (int i = 0; i < 6; i++)
		stub_put16(&q, i == 2);
	stub_put_name(&q, name);
	stub_put16(&q, type == DNS_A ? ns_t_a : type == DNS_AAAA ? ns_t_aaaa : type == DNS_PTR ? ns_t_ptr : ns_t_mx);
	stub_put16(&q, ns_c_in);
	if ((r = stub_reply_new(s, (unsigned char *) q.data, q.len, false)) != NULL) {
		r->done = done;
		r->ctx = ctx;
	}
	buf_fini(&q);
}

static void
stub_carrier_close(void *carrier)
{
	struct dns_stub *s = carrier;
	struct stub_reply *r, *next;

	LIST_FOREACH_SAFE(r, &s->replies, link, next)
		if (r->done != NULL)
			stub_reply_free(r);
}

const struct dns_carrier dns_stub_carrier = { stub_carrier_open, stub_carrier_ask, stub_carrier_close };
