/* daemons/smtpd/session_open.c - the beginning and the end of a session: who has connected, may it stay, what is it called */
#include <arpa/inet.h>
#include <bsd/string.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <global/client_addr.h>
#include <global/smtp_command.h>
#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

#include "smtpd.h"

#define SESSION_OUT_MAX	 (64u << 10)	/* replies of one turn; more is sent at once */

static void
session_address(const struct sockaddr_storage *ss, char *ip, size_t size, unsigned *port)
{
	const struct sockaddr_in *v4 = (const void *) ss;
	const struct sockaddr_in6 *v6 = (const void *) ss;

	struct client_addr a = { .bits = 32 };
	struct buf text = BUF_INIT(size - 1);

	strlcpy(ip, "unknown", size);
	if (ss->ss_family == AF_INET) {
		memcpy(a.bytes, &v4->sin_addr, 4);
		client_addr_print(&a, 32, &text);	/* every client has one: without printf */
		strlcpy(ip, buf_str(&text), size);
		*port = ntohs(v4->sin_port);
	}
	if (ss->ss_family == AF_INET6 && inet_ntop(AF_INET6, &v6->sin6_addr, ip, (socklen_t) size) != NULL)
		*port = ntohs(v6->sin6_port);
	buf_fini(&text);
}

/* session_unmap - an IPv4 client on an IPv6 socket is an IPv4 client */
static void
session_unmap(struct sockaddr_storage *ss)
{
	const struct sockaddr_in6 v6 = *(const struct sockaddr_in6 *) (const void *) ss;
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = v6.sin6_port };

	if (ss->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
		return;
	memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
	memset(ss, 0, sizeof *ss);
	memcpy(ss, &v4, sizeof v4);
}

static void
session_greeted(struct vh_conn *s)
{
	switch (session_verdict(s)) {
	case HOOK_GO:
		session_say(s, 220, NULL, "%s", session_text(s, smtpd.conf.banner));
		break;
	case HOOK_SILENT:
		break;
	case HOOK_REFUSE:
	case HOOK_CLOSE:
		return;
	}
	session_enter(s, SESSION_HELLO);
}

static void
session_named(void *ctx, const char *name)
{
	struct vh_conn *s = ctx;

	s->naming = NULL;
	s->busy = false;
	if (name != NULL)
		s->host = mem_strdup(name);
	session_ask(s, VH_HOOK_CONNECT, NULL, "", session_greeted);
	session_go_on(s);
}

static bool
session_loopback(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *v4 = (const void *) ss;
	const struct sockaddr_in6 *v6 = (const void *) ss;

	return ss->ss_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) : ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* session_name - find out the client's name, then connect; of this host's own addresses the name server knows nothing */
static void
session_name(struct vh_conn *s)
{
	if (smtpd.conf.name_ms == 0 || s->peer.ss_family == AF_UNSPEC || session_loopback(&s->peer)) {
		session_ask(s, VH_HOOK_CONNECT, NULL, "", session_greeted);
		return;
	}
	s->busy = true;
	s->naming = peer_name_ask(smtpd.loop, smtpd_dns(), (const struct sockaddr *) &s->peer, smtpd.conf.name_ms, session_named, s);
}

void
session_local(struct vh_conn *s)
{
	if (s->local_known)
		return;
	s->local_known = true;
	if (s->local.ss_family == AF_UNSPEC && s->wire->local != NULL)
		s->wire->local(s->wire_ctx, &s->local);
	session_unmap(&s->local);
	session_address(&s->local, s->local_ip, sizeof s->local_ip, &s->local_port);
}

struct vh_conn *
smtpd_session_open(const struct smtpd_wire *wire, void *wire_ctx, const struct smtpd_peer *peer, bool *hold_r)
{
	static unsigned pid;
	struct vh_conn *s = mem_alloc(sizeof *s);
	const struct hook_answer *a;

	s->wire = wire;
	s->wire_ctx = wire_ctx;
	s->peer = peer->peer;
	s->local = peer->local;
	if (s->peer.ss_family != AF_INET && s->peer.ss_family != AF_INET6)
		s->peer.ss_family = AF_UNSPEC;		/* a program on this host, over a UNIX socket */
	session_unmap(&s->peer);
	session_address(&s->peer, s->ip, sizeof s->ip, &s->port);
	if (pid == 0)
		pid = (unsigned) getpid();		/* a child that drains goes on with its parent's, which is gone */
	snprintf(s->id, sizeof s->id, "%llX%X", (unsigned long long) ev_wall_us(smtpd.loop) & 0xffffffffffull, pid * 4096 + (unsigned) (smtpd.conns_seen++ & 4095));
	s->start_ms = ev_now_ms(smtpd.loop);
	buf_init(&s->line, SMTP_COMMAND_PARAMS_MAX + 1);
	buf_init(&s->out, SESSION_OUT_MAX);
	hook_run_init(&s->run, s);
	hook_run_init(&s->side, s);
	if (smtpd.plugins->n > 0)
		s->results = mem_array(smtpd.plugins->n, VH_HOOKS);
	TAILQ_INSERT_TAIL(&smtpd.conns, s, link);
	smtpd.conns_n++;
	stats_add(STAT_smtpd_clients, 1);
	if (smtpd.clients != NULL && s->peer.ss_family != AF_UNSPEC)
		s->same_ip = client_count_enter(smtpd.clients, vh_conn_peer(s), ev_wall_s(smtpd.loop));
	ev_timer_set(smtpd.loop, &s->whole, smtpd.conf.session_ms, session_whole, s);
	s->in_input = true;				/* nothing is closed before we have returned */
	hook_run(&s->run, VH_HOOK_PRE_CONNECTION, NULL, s->ip, NULL);	/* cannot suspend */
	a = session_answer(s);
	if (smtpd.conns_n > smtpd.conf.client_limit ||
	    (smtpd.conf.client_ip_limit > 0 && vh_conn_same_ip(s) > smtpd.conf.client_ip_limit)) {
		session_error(s, 421, "4.7.0", "%s Too many connections", smtpd.conf.hostname);
		session_end(s, "too many connections");
	} else if (a->effect == HOOK_CLOSE)
		session_verdict(s);
	else
		session_name(s);
	s->in_input = false;
	session_go_on(s);
	session_flush(s);
	s->held = s->busy;
	*hold_r = s->busy || s->finished;
	return s;
}

void
smtpd_session_closed(struct vh_conn **sp, const char *why)
{
	struct vh_conn *s = *sp;

	if (s == NULL)
		return;
	peer_name_cancel(&s->naming);
	hook_run_cancel(&s->run);
	s->busy = true;					/* nothing goes out any more */
	if (s->txn != NULL)
		session_reset(s);
	session_aside(s, VH_HOOK_DISCONNECT, s->why_closed != NULL ? s->why_closed : why);
	msg_info("%s: disconnect from %s[%s] helo=<%s> messages=%u errors=%u why=%s ms=%lld", s->id, vh_conn_host(s), s->ip,
	    vh_conn_hello(s), s->messages, s->errors, s->why_closed != NULL ? s->why_closed : why,
	    (long long) (ev_now_ms(smtpd.loop) - s->start_ms));
	ev_timer_cancel(smtpd.loop, &s->idle);
	ev_timer_cancel(smtpd.loop, &s->whole);
	ev_timer_cancel(smtpd.loop, &s->penalty);
	if (s->same_ip > 0)
		client_count_leave(smtpd.clients, vh_conn_peer(s), ev_wall_s(smtpd.loop));
	TAILQ_REMOVE(&smtpd.conns, s, link);
	smtpd.conns_n--;
	hook_run_fini(&s->run);
	hook_run_fini(&s->side);
	addr_free(&s->pending);
	notes_fini(&s->notes);
	buf_fini(&s->line);
	buf_fini(&s->out);
	mem_free(&s->results);
	mem_free(&s->host);
	mem_free(&s->hello);
	mem_free(&s->why_closed);
	mem_free(&s->refuse_text);
	mem_free(&s->arg);
	mem_free(&s->params);
	mem_free(sp);
}
