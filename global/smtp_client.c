/* global/smtp_client.c - one session with an SMTP or LMTP server
 * A state is what we wait for; one function enters it. In READY the owner's commands are outstanding in a ring; the
 * timer runs for the oldest one. Callbacks may free the session: `inside` keeps the memory until we are out of them.
 * What goes out is in smtp_client_out.c.
 */
#include "smtp_client_part.h"

#include <assert.h>
#include <bsd/string.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define CLIENT_READ_SIZE (16u << 10)	/* one read; shared by all sessions */
#define CLIENT_READS	 4		/* reads in one go, so that a fast server does not starve the others */

static const struct client_state_row {
	const char *name;
	enum smtp_at at;		/* for the owner, when the session ends here */
	int	 limit;			/* offset in the configuration, -1 none */
} client_states[] = {
#define LIMIT(m) (int) offsetof(struct smtp_client_conf, m)
	[CLIENT_CONNECT] = { "connect", SMTP_AT_BANNER, LIMIT(connect_ms) },
	[CLIENT_BANNER] = { "banner", SMTP_AT_BANNER, LIMIT(greet_ms) },
	[CLIENT_EHLO] = { "ehlo", SMTP_AT_EHLO, LIMIT(helo_ms) },
	[CLIENT_HELO] = { "helo", SMTP_AT_HELO, LIMIT(helo_ms) },
	[CLIENT_STARTTLS] = { "starttls", SMTP_AT_STARTTLS, LIMIT(starttls_ms) },
	[CLIENT_TLS] = { "tls", SMTP_AT_STARTTLS, LIMIT(starttls_ms) },
	[CLIENT_READY] = { "ready", SMTP_AT_RSET, -1 },
	[CLIENT_QUIT] = { "quit", SMTP_AT_QUIT, LIMIT(quit_ms) },
	[CLIENT_ENDED] = { "ended", SMTP_AT_QUIT, -1 },
#undef LIMIT
};
static_assert(NELEM(client_states) == CLIENT_STATES, "each state has a row");

static void smtp_client_enter(struct smtp_client *, enum client_state);

/* life */

static void
smtp_client_destroy(struct smtp_client *c)
{
	tls_free(&c->tls);
	smtp_reply_fini(&c->reply);
	buf_fini(&c->out);
	mem_free(&c->name);
	mem_free(&c);
}

/* smtp_client_disconnect - nothing comes from the loop any more */
static void
smtp_client_disconnect(struct smtp_client *c)
{
	ev_timer_cancel(c->loop, &c->timer);
	ev_defer_cancel(c->loop, &c->early);
	ev_io_cancel(c->loop, &c->io);
	sock_close(&c->fd);
	c->state = CLIENT_ENDED;
}

void
smtp_client_free(struct smtp_client **cp)
{
	struct smtp_client *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	smtp_client_disconnect(c);
	c->freed = true;
	if (c->inside == 0)
		smtp_client_destroy(c);
}

/* smtp_client_leave - out of our callbacks; false when the session is gone */
static bool
smtp_client_leave(struct smtp_client *c)
{
	if (--c->inside == 0 && c->freed) {
		smtp_client_destroy(c);
		return false;
	}
	return !c->freed;
}

void
smtp_client_end(struct smtp_client *c, enum smtp_client_end end, const struct smtp_reply *reply, const char *why)
{
	enum smtp_at at = client_states[c->state].at;

	if (c->state == CLIENT_ENDED)
		return;
	if (c->state == CLIENT_READY && c->body.source != NULL)
		at = SMTP_AT_BODY;
	else if (c->state == CLIENT_READY && c->pending > 0)
		at = c->ring[c->head].at;
	if (c->state == CLIENT_QUIT)
		end = SMTP_END_QUIT;		/* whatever it was: we were leaving */
	smtp_client_disconnect(c);
	c->inside++;
	c->ops->ended(c->ctx, end, at, reply, why);
	smtp_client_leave(c);
}

static void
smtp_client_timeout(void *ctx)
{
	smtp_client_end(ctx, SMTP_END_TIMEOUT, NULL, "timed out");
}

void
smtp_client_clock(struct smtp_client *c)
{
	int	limit = client_states[c->state].limit;
	int64_t ms;

	if (limit >= 0)
		memcpy(&ms, (const char *) c->conf + limit, sizeof ms);
	else if (c->state == CLIENT_READY && c->body.source != NULL)
		ms = c->body.stall_ms;
	else if (c->state == CLIENT_READY && c->pending > 0)
		ms = c->ring[c->head].timeout_ms;
	else {
		ev_timer_cancel(c->loop, &c->timer);
		return;
	}
	ev_timer_set(c->loop, &c->timer, ms, smtp_client_timeout, c);
}

/* the way to READY */

static void
smtp_client_enter(struct smtp_client *c, enum client_state next)
{
	msg_debug("smtp fd=%d state=%s next=%s", c->fd, client_states[c->state].name, client_states[next].name);
	c->state = next;
	smtp_client_clock(c);
}

void
smtp_client_hello(struct smtp_client *c, const char *helo)
{
	c->ext = c->xclient = 0;
	c->size = 0;
	smtp_client_enter(c, CLIENT_EHLO);
	smtp_client_command(c, SMTP_AT_EHLO, "%s %s", c->conf->lmtp ? "LHLO" : "EHLO", helo != NULL ? helo : c->conf->helo);
}

static void
smtp_client_say_quit(struct smtp_client *c)
{
	smtp_client_enter(c, CLIENT_QUIT);
	smtp_client_command(c, SMTP_AT_QUIT, "QUIT");
}

static void
smtp_client_ready(struct smtp_client *c)
{
	smtp_client_enter(c, CLIENT_READY);
	smtp_client_watch(c);
	if (c->quit_wanted)
		smtp_client_say_quit(c);
	else
		c->ops->ready(c->ctx);
}

/* smtp_client_xclient_words - "NAME ADDR ..." */
static unsigned
smtp_client_xclient_words(const char *p, size_t len)
{
	static const char *const names[] = { "NAME", "ADDR", "PORT", "PROTO", "HELO" };	/* in the order of the bits */
	const char *end = p + len;
	unsigned found = 0;
	size_t	word;

	for (; p < end; p += word) {
		for (; p < end && *p == ' '; p++)
			;
		for (word = 0; p + word < end && p[word] != ' '; word++)
			;
		for (size_t i = 0; i < NELEM(names); i++)
			if (word == strlen(names[i]) && strncasecmp(p, names[i], word) == 0)
				found |= 1u << i;
	}
	return found;
}

/* smtp_client_size_value - "12345", followed by anything; 0: no number, or too large to matter */
static uint64_t
smtp_client_size_value(const char *p, size_t len)
{
	uint64_t v = 0;

	for (; len > 0 && *p >= '0' && *p <= '9'; p++, len--) {
		if (v > UINT64_MAX / 10 - 1)
			return 0;
		v = v * 10 + (unsigned) (*p - '0');
	}
	return v;
}

/* smtp_client_extensions - from the lines of the EHLO reply but the first */
static void
smtp_client_extensions(struct smtp_client *c)
{
	static const struct {
		const char *word;
		unsigned ext;
	} words[] = {
		{ "PIPELINING", SMTP_EXT_PIPELINING }, { "STARTTLS", SMTP_EXT_STARTTLS }, { "SMTPUTF8", SMTP_EXT_SMTPUTF8 },
		{ "8BITMIME", SMTP_EXT_8BITMIME }, { "SIZE", SMTP_EXT_SIZE }, { "DSN", SMTP_EXT_DSN },
		{ "XCLIENT", SMTP_EXT_XCLIENT },
	};
	const char *line;
	size_t	len, word;

	c->ext = SMTP_EXT_ESMTP;
	for (unsigned i = 1; (line = smtp_reply_line(&c->reply, i, &len)) != NULL; i++)
		for (size_t k = 0; k < NELEM(words); k++) {
			word = strlen(words[k].word);
			if (len < word || strncasecmp(line, words[k].word, word) != 0 ||
			    (len > word && line[word] != ' ' && line[word] != '='))
				continue;
			c->ext |= words[k].ext;
			if (words[k].ext == SMTP_EXT_SIZE && len > word)
				c->size = smtp_client_size_value(line + word + 1, len - word - 1);
			else if (words[k].ext == SMTP_EXT_XCLIENT && len > word)
				c->xclient = smtp_client_xclient_words(line + word + 1, len - word - 1);
		}
}

static bool
smtp_client_is_loop(const struct smtp_client *c)
{
	size_t	len, word, ours;
	const char *line = smtp_reply_line(&c->reply, 0, &len);

	if (c->conf->loop_name == NULL || line == NULL)
		return false;
	for (word = 0; word < len && line[word] != ' '; word++)
		;
	ours = strlen(c->conf->loop_name);
	return word == ours && strncasecmp(line, c->conf->loop_name, ours) == 0;
}

/* smtp_client_greeted - EHLO or HELO was accepted */
static void
smtp_client_greeted(struct smtp_client *c)
{
	bool	want = c->conf->tls != SMTP_TLS_NONE && c->conf->tls_ctx != NULL && c->tls == NULL && !c->tls_refused;

	if (smtp_client_is_loop(c))
		smtp_client_end(c, SMTP_END_LOOP, &c->reply, "talks to itself");
	else if (want && (c->ext & SMTP_EXT_STARTTLS) != 0) {
		smtp_client_enter(c, CLIENT_STARTTLS);
		smtp_client_command(c, SMTP_AT_STARTTLS, "STARTTLS");
	} else if (c->conf->tls == SMTP_TLS_ENCRYPT && c->tls == NULL)
		smtp_client_end(c, SMTP_END_NO_TLS, &c->reply, "TLS is required, but was not offered");
	else
		smtp_client_ready(c);
}

static void
smtp_client_tls_step(struct smtp_client *c)
{
	switch (tls_handshake(c->tls)) {
	case TLS_DONE:
		smtp_client_hello(c, NULL);		/* RFC 3207 4.2: what was offered before does not count */
		return;
	case TLS_WANT_READ:
		ev_io_set(c->loop, &c->io, c->fd, EV_READ, smtp_client_io, c);
		return;
	case TLS_WANT_WRITE:
		ev_io_set(c->loop, &c->io, c->fd, EV_WRITE, smtp_client_io, c);
		return;
	case TLS_FAILED:
		smtp_client_end(c, SMTP_END_TLS, NULL, tls_why(c->tls));
		return;
	}
}

/* smtp_client_reply - a complete reply; `more`: bytes are behind it, other than a server's farewell */
static void
smtp_client_reply(struct smtp_client *c, bool more)
{
	enum smtp_at at = c->pending > 0 ? c->ring[c->head].at : SMTP_AT_BANNER;
	bool	ok = c->reply.code / 100 == 2;

	if (c->pending > 0 && --c->ring[c->head].replies == 0) {
		c->head = (c->head + 1) % SMTP_CLIENT_PENDING;
		c->pending--;
	}
	/* whatever is behind the last reply was sent before its command: taken for that one's, all replies would be about
	 * something else from then on */
	if (more && c->pending == 0 && c->state != CLIENT_QUIT) {
		smtp_client_end(c, SMTP_END_PROTOCOL, &c->reply, "reply before the command");
		return;
	}
	switch (c->state) {
	case CLIENT_BANNER:
		strlcpy(c->greeting, buf_str(&c->reply.text), sizeof c->greeting);
		c->greeting[strcspn(c->greeting, "\n")] = 0;
		if (ok)
			smtp_client_hello(c, NULL);
		else
			smtp_client_end(c, SMTP_END_REFUSED, &c->reply, "refused");
		return;
	case CLIENT_EHLO:
		if (ok) {
			smtp_client_extensions(c);
			smtp_client_greeted(c);
		} else if (c->reply.code / 100 == 5 && !c->conf->lmtp && c->tls == NULL) {
			smtp_client_enter(c, CLIENT_HELO);
			smtp_client_command(c, SMTP_AT_HELO, "HELO %s", c->conf->helo);
		} else
			smtp_client_end(c, SMTP_END_REFUSED, &c->reply, "refused");
		return;
	case CLIENT_HELO:
		if (ok)
			smtp_client_greeted(c);
		else
			smtp_client_end(c, SMTP_END_REFUSED, &c->reply, "refused");
		return;
	case CLIENT_STARTTLS:
		if (ok) {
			smtp_client_enter(c, CLIENT_TLS);
			c->tls = tls_client_new(c->conf->tls_ctx, c->fd, c->name);
			smtp_client_tls_step(c);
		} else if (c->conf->tls == SMTP_TLS_ENCRYPT || c->reply.code == 421)
			smtp_client_end(c, SMTP_END_REFUSED, &c->reply, "refused");
		else {
			c->tls_refused = true;
			smtp_client_ready(c);
		}
		return;
	case CLIENT_READY:
		smtp_client_clock(c);
		c->ops->reply(c->ctx, at, &c->reply);
		if (c->state == CLIENT_READY && c->quit_wanted && c->pending == 0)
			smtp_client_say_quit(c);
		return;
	case CLIENT_QUIT:
		smtp_client_end(c, SMTP_END_QUIT, &c->reply, "");
		return;
	case CLIENT_CONNECT:
	case CLIENT_TLS:
	case CLIENT_ENDED:
		return;
	}
}

/* smtp_client_input - bytes from the server */
static void
smtp_client_input(struct smtp_client *c, const char *data, size_t n)
{
	size_t	used;

	for (; n > 0 && !c->freed && c->state != CLIENT_ENDED; data += used, n -= used) {
		bool	waiting = c->pending > 0 || c->state == CLIENT_BANNER;

		switch (smtp_reply_feed(&c->reply, data, n, &used)) {
		case SMTP_REPLY_MORE:
			if (!waiting && c->reply.bytes > 512)
				smtp_client_end(c, SMTP_END_PROTOCOL, &c->reply, "unexpected data");
			return;
		case SMTP_REPLY_BAD:
			smtp_client_end(c, SMTP_END_PROTOCOL, &c->reply, "not a reply");
			return;
		case SMTP_REPLY_DONE:
			break;
		}
		if (waiting)
			smtp_client_reply(c, used < n && strncmp(data + used, "421", n - used < 3 ? n - used : 3) != 0);
		else if (c->reply.code == 421)
			smtp_client_end(c, SMTP_END_LOST, &c->reply, "closed by the server");
		else
			smtp_client_end(c, SMTP_END_PROTOCOL, &c->reply, "reply without a command");
		if (c->state == CLIENT_TLS) {
			if (used < n)			/* somebody put it there: it would be taken for the server's */
				smtp_client_end(c, SMTP_END_PROTOCOL, &c->reply, "data before the TLS handshake");
			else
				smtp_reply_reset(&c->reply);
			return;
		}
		if (!c->freed)
			smtp_reply_reset(&c->reply);
	}
}

static void
smtp_client_read(struct smtp_client *c)
{
	static char data[CLIENT_READ_SIZE];
	size_t	n = 0;
	ssize_t got;

	for (int i = 0; i < CLIENT_READS && !c->freed && c->state != CLIENT_ENDED && c->state != CLIENT_TLS; i++) {
		if (c->tls != NULL) {
			c->tls_read_wants_write = false;
			switch (tls_read(c->tls, data, sizeof data, &n)) {
			case TLS_DONE:
				break;
			case TLS_WANT_WRITE:
				c->tls_read_wants_write = true;
				__attribute__((fallthrough));
			case TLS_WANT_READ:
				smtp_client_watch(c);
				return;
			case TLS_FAILED:
				smtp_client_end(c, SMTP_END_LOST, NULL, tls_why(c->tls));
				return;
			}
		} else {
			got = recv(c->fd, data, sizeof data, 0);
			if (got < 0 && (errno == EAGAIN || errno == EINTR))
				return;
			if (got < 0) {
				smtp_client_end(c, SMTP_END_LOST, NULL, strerror(errno));
				return;
			}
			n = (size_t) got;
		}
		if (n == 0) {
			smtp_client_end(c, SMTP_END_LOST, NULL, "connection closed");
			return;
		}
		smtp_client_input(c, data, n);
		if (c->tls == NULL && n < sizeof data)
			return;
	}
	/* TLS may hold bytes that no event will tell of: come again */
	if (!c->freed && c->tls != NULL && c->state != CLIENT_ENDED && c->state != CLIENT_TLS)
		ev_io_set(c->loop, &c->io, c->fd, EV_READ | EV_WRITE, smtp_client_io, c);
}

static void
smtp_client_connected(struct smtp_client *c)
{
	socklen_t len = sizeof c->connect_errno;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &c->connect_errno, &len) < 0)
		c->connect_errno = errno;
	if (c->connect_errno != 0) {
		smtp_client_end(c, SMTP_END_CONNECT, NULL, strerror(c->connect_errno));
		return;
	}
	smtp_client_enter(c, CLIENT_BANNER);
	smtp_client_watch(c);
}

void
smtp_client_io(void *ctx, int fd, unsigned events)
{
	struct smtp_client *c = ctx;

	(void) fd;
	c->inside++;
	if (c->state == CLIENT_CONNECT)
		smtp_client_connected(c);
	else if (c->state == CLIENT_TLS)
		smtp_client_tls_step(c);
	else {
		if ((events & EV_WRITE) != 0 || c->tls_write_wants_read)
			smtp_client_flush(c);
		if ((events & EV_READ) != 0 || c->tls != NULL)
			smtp_client_read(c);
	}
	smtp_client_leave(c);
}

static void
smtp_client_early(void *ctx)
{
	struct smtp_client *c = ctx;

	smtp_client_end(c, SMTP_END_CONNECT, NULL, strerror(c->connect_errno));
}

struct smtp_client *
smtp_client_open(struct ev_loop *loop, const struct smtp_client_conf *conf, const struct smtp_client_to *to,
    const struct smtp_client_ops *ops, void *ctx)
{
	struct smtp_client *c = mem_alloc(sizeof *c);

	c->loop = loop;
	c->conf = conf;
	c->ops = ops;
	c->ctx = ctx;
	c->name = to->name != NULL ? mem_strdup(to->name) : NULL;
	smtp_reply_init(&c->reply);
	buf_init(&c->out, CLIENT_OUT_MAX);
	c->state = CLIENT_CONNECT;
	if ((c->fd = smtp_client_connect(conf, to)) < 0) {
		c->connect_errno = errno;
		ev_defer_set(loop, &c->early, smtp_client_early, c);
		return c;
	}
	smtp_client_watch(c);
	smtp_client_clock(c);
	return c;
}

static void
smtp_client_late_quit(void *ctx)
{
	struct smtp_client *c = ctx;

	if (c->state == CLIENT_READY && c->pending == 0)
		smtp_client_say_quit(c);
}

void
smtp_client_quit(struct smtp_client *c)
{
	c->quit_wanted = true;
	if (c->state == CLIENT_READY && c->pending == 0)
		ev_defer_set(c->loop, &c->early, smtp_client_late_quit, c);
}

void
smtp_client_expire(struct smtp_client *c)
{
	smtp_client_timeout(c);
}

unsigned
smtp_client_ext(const struct smtp_client *c)
{
	return c->ext;
}

unsigned
smtp_client_pending(const struct smtp_client *c)
{
	return c->pending;
}

const char *
smtp_client_tls(const struct smtp_client *c)
{
	return c->tls != NULL && c->state != CLIENT_TLS ? tls_version(c->tls) : NULL;
}

const char *
smtp_client_greeting(const struct smtp_client *c)
{
	return c->greeting;
}

unsigned
smtp_client_xclient(const struct smtp_client *c)
{
	return c->xclient;
}

uint64_t
smtp_client_size(const struct smtp_client *c)
{
	return c->size;
}

void
smtp_client_own(struct smtp_client *c, const struct smtp_client_ops *ops, void *ctx)
{
	c->ops = ops;
	c->ctx = ctx;
}
