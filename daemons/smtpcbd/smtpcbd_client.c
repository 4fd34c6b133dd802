/* daemons/smtpcbd/smtpcbd_client.c - lines in, replies out, in order; time limits of a connection
 * source: spec smtpcbd-protocol section 4. A client that we do not understand, or do not want, is closed; each other line
 * has exactly one reply, whole and with its LF: the plugin waits for that without a limit.
 */
#include "smtpcbd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

#define SMTPCBD_COMPLAIN_MS 60000	/* once per client address */
#define SMTPCBD_COMPLAINTS  32		/* addresses that are remembered for that */
#define SMTPCBD_OUT_MAX	    (64u << 10)
#define SMTPCBD_TURN_MAX    (32u << 10)	/* bytes of replies; then others have their turn, and these are sent first */

struct smtpcbd_client {
	struct ms_client *ms;
	struct address_asker asker;
	struct smtpcb_request request;	/* the one that is waited for */
	int64_t	 asked_ms;
	struct ev_timer timer;
	int64_t	 line_ms;		/* when the unfinished line began */
	bool	 closing;
	struct ev_defer again;		/* go on with what came in the same piece */
	unsigned count;
	char	 peer[INET6_ADDRSTRLEN];
	struct buf line;		/* the unfinished line */
};

/* replies of one turn of a client; sent together */
static struct buf smtpcbd_out = BUF_INIT(SMTPCBD_OUT_MAX);

static void
smtpcbd_client_flush(struct smtpcbd_client *c)
{
	if (smtpcbd_out.len > 0 && address_ask_ended(smtpcbd_host.ask))
		ms_send(c->ms, smtpcbd_out.data, smtpcbd_out.len);	/* the process may not see the end of this turn */
	else if (smtpcbd_out.len > 0)
		ms_reply(c->ms, smtpcbd_out.data, smtpcbd_out.len);
	buf_reset(&smtpcbd_out);
}

/* smtpcbd_client_complain - whether it is time to say something about this client again */
static bool
smtpcbd_client_complain(const struct smtpcbd_client *c)
{
	static struct { char peer[INET6_ADDRSTRLEN]; long long last; } said[SMTPCBD_COMPLAINTS];
	size_t	oldest = 0;

	for (size_t i = 0; i < SMTPCBD_COMPLAINTS; i++) {
		if (strcmp(said[i].peer, c->peer) == 0)
			return msg_rate(&said[i].last, SMTPCBD_COMPLAIN_MS);
		if (said[i].last < said[oldest].last)
			oldest = i;
	}
	memcpy(said[oldest].peer, c->peer, sizeof c->peer);
	said[oldest].last = 0;
	return msg_rate(&said[oldest].last, SMTPCBD_COMPLAIN_MS);
}

static void
smtpcbd_client_late(void *ctx)
{
	struct smtpcbd_client *c = ctx;

	c->closing = true;
	ev_defer_cancel(smtpcbd_loop, &c->again);
	ms_finish(c->ms);
}

/* smtpcbd_client_patience - the time limit that holds while nothing is waited for */
static void
smtpcbd_client_patience(struct smtpcbd_client *c)
{
	int64_t left = smtpcbd_conf.idle_ms;

	if (c->line.len > 0) {			/* a whole line within idle_ms, a byte of it within read_ms */
		left -= ev_now_ms(smtpcbd_loop) - c->line_ms;
		if (left > smtpcbd_conf.read_ms)
			left = smtpcbd_conf.read_ms;
	} else if (c->count == 0)
		left = smtpcbd_conf.read_ms;
	ev_timer_set(smtpcbd_loop, &c->timer, left > 0 ? left : 0, smtpcbd_client_late, c);
}

/* smtpcbd_client_close - after the replies that are there */
static enum ms_next
smtpcbd_client_close(struct smtpcbd_client *c)
{
	c->closing = true;
	ev_timer_cancel(smtpcbd_loop, &c->timer);
	ev_defer_cancel(smtpcbd_loop, &c->again);
	smtpcbd_client_flush(c);
	ms_finish(c->ms);
	return MS_HOLD;
}

static void
smtpcbd_client_count(const struct smtpcbd_verdict *v)
{
	static const enum stat_id codes[SMTPCB_CODES] = {
		[SMTPCB_OK] = STAT_smtpcbd_ok, [SMTPCB_FAIL] = STAT_smtpcbd_fail, [SMTPCB_TEMPFAIL] = STAT_smtpcbd_tempfail,
	};
	static const enum stat_id sources[ADDRESS_FROMS] = {
		[ADDRESS_CACHE] = STAT_smtpcbd_cached, [ADDRESS_PROBE] = STAT_smtpcbd_probed,
		[ADDRESS_IN_PROGRESS] = STAT_smtpcbd_in_progress, [ADDRESS_BUSY] = STAT_smtpcbd_busy,
		[ADDRESS_UNAVAILABLE] = STAT_smtpcbd_unavailable,
	};

	stats_add(STAT_smtpcbd_requests, 1);
	stats_add(codes[v->code], 1);
	if (!v->local)
		stats_add(sources[v->from], 1);
}

/* smtpcbd_client_reply - one reply, into smtpcbd_out */
static void
smtpcbd_client_reply(struct smtpcbd_client *c, const struct smtpcb_request *r, const struct smtpcbd_verdict *v, int64_t waited_ms)
{
	static unsigned number;
	static long pid;		/* a system call for each request would be felt */
	char	id[40], addr[2 * SMTPCB_MAILBOX_MAX], text[400];
	struct buf mailbox = BUF_INIT(4 * SMTPCB_MAILBOX_MAX);

	if (pid == 0)
		pid = (long) getpid();
	snprintf(id, sizeof id, "%lX.%X", pid, ++number);
	smtpcbd_client_count(v);
	smtpcbd_answer_show(&mailbox, r);
	msg_info("%s: client=%s, addr=<%s>, code=%s, from=%s, wait=%lldms (%s)", id, c->peer,
	    msg_clean(addr, sizeof addr, buf_str(&mailbox)), smtpcb_code_name(v->code), v->local ? "local" : address_from_name(v->from), (long long) waited_ms,
	    msg_clean(text, sizeof text, v->text));
	buf_fini(&mailbox);
	if (smtpcbd_out.max - smtpcbd_out.len < SMTPCB_REPLY_MAX)
		smtpcbd_client_flush(c);
	smtpcbd_answer_put(&smtpcbd_out, r, v, id);
}

/* smtpcbd_client_done - what was waited for */
static void
smtpcbd_client_done(struct address_asker *a, const struct address_verdict *found)
{
	struct smtpcbd_client *c = (struct smtpcbd_client *) ((char *) a - offsetof(struct smtpcbd_client, asker));
	struct smtpcbd_verdict v;

	smtpcbd_answer_of(found, &v);
	smtpcbd_client_reply(c, &c->request, &v, ev_now_ms(smtpcbd_loop) - c->asked_ms);
	if (address_ask_ended(smtpcbd_host.ask)) {
		smtpcbd_client_close(c);
		return;
	}
	smtpcbd_client_flush(c);
	smtpcbd_client_patience(c);
	ms_resume(c->ms);
}

static bool
smtpcbd_client_gone(const struct address_asker *a)
{
	const struct smtpcbd_client *c = (const struct smtpcbd_client *) ((const char *) a - offsetof(struct smtpcbd_client, asker));
	char	byte;
	ssize_t n = recv(ms_fd(c->ms), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* smtpcbd_client_odd - the reply to what is no request; the connection is closed behind it */
static enum ms_next
smtpcbd_client_odd(struct smtpcbd_client *c, const char *text)
{
	struct smtpcb_request r = { .kind = SMTPCB_BAD_REQUEST };
	struct smtpcbd_verdict v;

	smtpcbd_answer_own(&v, SMTPCB_TEMPFAIL, text);
	stats_add(STAT_smtpcbd_requests, 1);
	stats_add(STAT_smtpcbd_tempfail, 1);
	stats_add(STAT_smtpcbd_malformed, 1);
	if (smtpcbd_client_complain(c))
		msg_warn("client=%s: %s", c->peer, text);
	smtpcbd_answer_put(&smtpcbd_out, &r, &v, "-");
	return smtpcbd_client_close(c);
}

/* smtpcbd_client_serve - one line: MS_MORE when its reply is made, MS_HOLD when it is to come or the client is to go */
static enum ms_next
smtpcbd_client_serve(struct smtpcbd_client *c, const char *line, size_t n)
{
	struct smtpcb_request *r = &c->request;
	struct address_verdict found;
	struct smtpcbd_verdict v;
	char	addr[sizeof r->local + sizeof r->domain];

	c->count++;
	if (smtpcb_request_parse(line, n, smtpcbd_conf.smtputf8, r) == SMTPCB_BAD_REQUEST)
		return smtpcbd_client_odd(c, "bad request");
	if (!smtpcbd_answer_local(r, &v)) {
		snprintf(addr, sizeof addr, "%s@%s", r->local, r->domain);
		if (!address_ask_start(smtpcbd_host.ask, &c->asker, addr, smtpcbd_conf.wait_ms, &found)) {
			c->asked_ms = ev_now_ms(smtpcbd_loop);
			ev_timer_cancel(smtpcbd_loop, &c->timer);
			return MS_HOLD;
		}
		smtpcbd_answer_of(&found, &v);
	}
	smtpcbd_client_reply(c, r, &v, 0);
	return address_ask_ended(smtpcbd_host.ask) ? smtpcbd_client_close(c) : MS_MORE;
}

static void
smtpcbd_client_peer(struct smtpcbd_client *c)
{
	struct sockaddr_storage ss;

	snprintf(c->peer, sizeof c->peer, "unknown");
	if (!ms_peer(c->ms, &ss))
		return;
	if (ss.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *) &ss)->sin_addr, c->peer, sizeof c->peer);
	else if (ss.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *) &ss)->sin6_addr, c->peer, sizeof c->peer);
	else if (ss.ss_family == AF_UNIX)
		snprintf(c->peer, sizeof c->peer, "local");
}

void *
smtpcbd_opened(struct ms_client *ms)
{
	struct smtpcbd_client *c = mem_alloc(sizeof *c);

	c->ms = ms;
	c->asker.done = smtpcbd_client_done;
	c->asker.is_gone = smtpcbd_client_gone;
	buf_init(&c->line, SMTPCB_LINE_MAX + 1);	/* and a CR */
	smtpcbd_client_peer(c);
	/* whoever reaches a UNIX socket may use it: its directory decides */
	if (strcmp(c->peer, "local") != 0 && !addr_list_match_text(smtpcbd_conf.clients, c->peer)) {
		c->closing = true;
		stats_add(STAT_smtpcbd_refused, 1);
		if (smtpcbd_client_complain(c))
			msg_warn("client=%s: not in smtpcbd_clients: connection closed", c->peer);
		ms_finish(ms);
		return c;
	}
	smtpcbd_client_patience(c);
	return c;
}

/* smtpcbd_client_line - the first line in data, joined with what came before it; NULL: incomplete, all is kept in c->line */
static const char *
smtpcbd_client_line(struct smtpcbd_client *c, const char *data, size_t n, size_t *used, size_t *len_r)
{
	const char *end = memchr(data, '\n', n);

	*used = end != NULL ? (size_t) (end - data) + 1 : n;
	if (end != NULL && c->line.len == 0) {
		*len_r = *used - 1;
		return data;
	}
	if (c->line.len == 0)
		c->line_ms = ev_now_ms(smtpcbd_loop);
	buf_add(&c->line, data, end != NULL ? *used - 1 : n);
	*len_r = c->line.len;
	return end != NULL ? buf_str(&c->line) : NULL;
}

/* smtpcbd_client_alien - bytes that no line of ours has: no need to wait for its end */
static bool
smtpcbd_client_alien(const struct buf *line)
{
	unsigned char first = line->len > 0 ? (unsigned char) line->data[0] : ' ';

	return (first < ' ' && first != '\r') || first >= 0x80 || memchr(buf_str(line), 0, line->len) != NULL;
}

static void
smtpcbd_client_again(void *ctx)
{
	struct smtpcbd_client *c = ctx;

	ms_resume(c->ms);
}

enum ms_next
smtpcbd_input(struct ms_client *ms, void *ctx, const char *data, size_t n, size_t *used_r, bool *partial_r)
{
	struct smtpcbd_client *c = ctx;
	enum ms_next next = MS_MORE;
	const char *line;
	size_t	used, len;

	(void) ms;
	(void) partial_r;			/* our own limits are shorter */
	*used_r = n;
	if (c->closing)
		return MS_HOLD;
	for (*used_r = 0; *used_r < n && next == MS_MORE && smtpcbd_out.len < SMTPCBD_TURN_MAX; *used_r += used) {
		line = smtpcbd_client_line(c, data + *used_r, n - *used_r, &used, &len);
		if (c->line.full || len > SMTPCB_LINE_MAX + (line != NULL))
			next = smtpcbd_client_odd(c, "request too long");
		else if (line != NULL) {
			next = smtpcbd_client_serve(c, line, len);
			buf_shrink(&c->line, 256);
		} else if (smtpcbd_client_alien(&c->line))
			next = smtpcbd_client_odd(c, "bad request");
	}
	if (c->closing) {
		*used_r = n;
		return MS_HOLD;
	}
	smtpcbd_client_flush(c);
	if (next == MS_MORE)
		smtpcbd_client_patience(c);
	if (next == MS_MORE && *used_r < n) {
		ev_defer_set(smtpcbd_loop, &c->again, smtpcbd_client_again, c);
		return MS_HOLD;
	}
	return next;
}

enum ms_next
smtpcbd_eof(struct ms_client *ms, void *ctx)
{
	struct smtpcbd_client *c = ctx;
	enum ms_next next;

	(void) ms;
	if (c->closing || c->line.len == 0)
		return c->closing ? MS_HOLD : MS_CLOSE;
	next = smtpcbd_client_serve(c, buf_str(&c->line), c->line.len);
	buf_shrink(&c->line, 0);
	smtpcbd_client_flush(c);
	return next == MS_HOLD ? MS_HOLD : MS_CLOSE;
}

void
smtpcbd_closed(struct ms_client *ms, void *ctx)
{
	struct smtpcbd_client *c = ctx;

	(void) ms;
	address_ask_left(smtpcbd_host.ask, &c->asker);
	ev_timer_cancel(smtpcbd_loop, &c->timer);
	ev_defer_cancel(smtpcbd_loop, &c->again);
	buf_fini(&c->line);
	mem_free(&c);
}
