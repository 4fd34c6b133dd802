/* util/dns_ares.c - c-ares on our event loop
 * c-ares tells which of its sockets it wants watched; its own clock decides repeats, so after each event one timer is set
 * to what ares_timeout says. Whatever it calls back with is handed on as bytes; reading them is dns.c's.
 */
#include "dns_ares.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/time.h>

#include <util/buf.h>
#include <util/mem.h>
#include <util/msg.h>

#define DNS_ARES_EDNS_SIZE 1232		/* fits every path without fragments (DNS flag day 2020) */

struct dns_ares_sock {
	struct dns_ares_sock *next;
	struct ev_io io;
	int	fd;
};

struct dns_ares {
	struct ev_loop *loop;
	ares_channel channel;
	struct dns_ares_sock *socks;
	struct ev_timer timer;
};

struct dns_ares_ask {
	struct dns_ares *da;
	dns_carried_fn *done;
	void	*ctx;
};

static void dns_ares_timer(void *);

static void
dns_ares_rearm(struct dns_ares *da)
{
	struct timeval tv, *wait = ares_timeout(da->channel, NULL, &tv);

	if (wait == NULL)
		ev_timer_cancel(da->loop, &da->timer);
	else
		ev_timer_set(da->loop, &da->timer, wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1, dns_ares_timer, da);
}

static void
dns_ares_timer(void *ctx)
{
	struct dns_ares *da = ctx;

	ares_process_fd(da->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	dns_ares_rearm(da);
}

static void
dns_ares_io(void *ctx, int fd, unsigned events)
{
	struct dns_ares *da = ctx;

	ares_process_fd(da->channel, events & EV_READ ? fd : ARES_SOCKET_BAD, events & EV_WRITE ? fd : ARES_SOCKET_BAD);
	dns_ares_rearm(da);
}

/* dns_ares_watch - c-ares: watch this socket so; neither means that it is about to be closed */
static void
dns_ares_watch(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct dns_ares *da = ctx;
	struct dns_ares_sock *s, **sp = &da->socks;
	unsigned events = (readable ? EV_READ : 0u) | (writable ? EV_WRITE : 0u);

	for (; (s = *sp) != NULL && s->fd != fd; sp = &s->next)
		;
	if (events == 0) {
		if (s != NULL) {
			ev_io_cancel(da->loop, &s->io);
			*sp = s->next;
			mem_free(&s);
		}
		return;
	}
	if (s == NULL) {
		s = mem_alloc(sizeof *s);
		s->fd = fd;
		s->next = da->socks;
		da->socks = s;
	}
	ev_io_set(da->loop, &s->io, fd, events, dns_ares_io, da);
}

static void
dns_ares_done(void *ctx, int status, int timeouts, unsigned char *msg, int len)
{
	struct dns_ares_ask *a = ctx, ask = *a;

	(void) timeouts;
	mem_free(&a);
	if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
		return;
	if (msg != NULL && len > 0 &&
	    (status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND || status == ARES_ESERVFAIL))
		ask.done(ask.ctx, NULL, msg, (size_t) len);
	else if (status == ARES_ETIMEOUT)
		ask.done(ask.ctx, "name server time-out", NULL, 0);
	else if (status == ARES_ECONNREFUSED)
		ask.done(ask.ctx, "no usable answer from the name servers", NULL, 0);
	else if (status == ARES_ESERVFAIL)
		ask.done(ask.ctx, "name server failure", NULL, 0);
	else
		ask.done(ask.ctx, ares_strerror(status), NULL, 0);
}

static void
dns_ares_ask(void *carrier, const char *name, enum dns_type type, dns_carried_fn *done, void *ctx)
{
	static const int types[] = { [DNS_A] = ns_t_a, [DNS_AAAA] = ns_t_aaaa, [DNS_MX] = ns_t_mx, [DNS_PTR] = ns_t_ptr };
	struct dns_ares *da = carrier;
	struct dns_ares_ask *a = mem_alloc(sizeof *a);

	*a = (struct dns_ares_ask) { .da = da, .done = done, .ctx = ctx };
	ares_query(da->channel, name, ns_c_in, types[type], dns_ares_done, a);
	dns_ares_rearm(da);
}

static void
dns_ares_close(void *carrier)
{
	struct dns_ares *da = carrier;

	ares_destroy(da->channel);			/* closes its sockets, which unwatches them */
	ev_timer_cancel(da->loop, &da->timer);
	mem_free(&da);
	ares_library_cleanup();
}

static void *
dns_ares_open(struct ev_loop *loop, const struct dns_conf *conf, const char **why_r)
{
	struct dns_ares *da = mem_alloc(sizeof *da);
	struct ares_options o = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS | ARES_FLAG_STAYOPEN,
		.timeout = (int) conf->try_ms, .tries = (int) conf->tries, .ednspsz = DNS_ARES_EDNS_SIZE,
		.sock_state_cb = dns_ares_watch, .sock_state_cb_data = da,
	};
	char   *servers, *p;
	int	rc;

	da->loop = loop;
	if ((rc = ares_library_init(ARES_LIB_INIT_ALL)) != ARES_SUCCESS ||
	    (rc = ares_init_options(&da->channel, &o, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
	    ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB)) != ARES_SUCCESS) {
		*why_r = ares_strerror(rc);
		mem_free(&da);
		return NULL;
	}
	if (conf->servers != NULL && conf->servers[strspn(conf->servers, " ,\t")] != 0) {
		servers = mem_strdup(conf->servers + strspn(conf->servers, " ,\t"));
		for (p = servers; *p != 0; p++)
			if (*p == ' ' || *p == '\t')
				*p = ',';
		/* c-ares takes no empty elements */
		for (p = servers; (p = strstr(p, ",,")) != NULL; )
			memmove(p, p + 1, strlen(p));
		if ((p = strrchr(servers, ',')) != NULL && p[1] == 0)
			*p = 0;
		rc = ares_set_servers_ports_csv(da->channel, servers);
		mem_free(&servers);
		if (rc != ARES_SUCCESS) {
			*why_r = "name servers: not a list of addresses with optional ports";
			dns_ares_close(da);
			return NULL;
		}
	}
	return da;
}

const struct dns_carrier dns_ares = { dns_ares_open, dns_ares_ask, dns_ares_close };
