/* global/smtp_said.c - what a server said, in words */
#include "smtp_said.h"

#include <util/utf8.h>

static void
smtp_said_cut(struct buf *out, size_t from, size_t max)
{
	if (out->len - from > max)
		buf_cut(out, from + utf8_cut(out->data + from, out->len - from, max));
}

void
smtp_said_reply(struct buf *out, const struct smtp_said *s, enum smtp_at at, const struct smtp_reply *r, bool ok)
{
	bool	command = at >= SMTP_AT_MAIL;
	size_t	from = out->len;

	if (!ok)
		buf_addf(out, "host %s %s: ", s->host, command ? "said" : "refused to talk to me");
	smtp_reply_show(r, out, s->compact, s->utf8);
	smtp_said_cut(out, from, s->max - 60);		/* the tail must fit: consumers look for it */
	if (!ok && command)
		buf_addf(out, " (in reply to %s command)", smtp_at_command(at));
}

const char *
smtp_said_end(struct buf *out, const struct smtp_said *s, enum smtp_client_end end, enum smtp_at at,
    const struct smtp_reply *r, const char *why)
{
	size_t	from = out->len;

	switch (end) {
	case SMTP_END_CONNECT:
		buf_addf(out, "connect to %s", s->host);
		if (s->port != 0)
			buf_addf(out, ":%u", s->port);
		buf_addf(out, ": %s", why);
		return "4.4.1";
	case SMTP_END_REFUSED:
		smtp_said_reply(out, s, at, r, false);
		return r->code / 100 == 5 ? "5.0.0" : "4.0.0";
	case SMTP_END_LOST:
		buf_addf(out, "lost connection with %s while %s", s->host, smtp_at_while(at));
		return "4.4.2";
	case SMTP_END_TIMEOUT:
		buf_addf(out, "conversation with %s timed out while %s", s->host, smtp_at_while(at));
		return "4.4.2";
	case SMTP_END_PROTOCOL:
		buf_addf(out, "Protocol error: host %s said: ", s->host);
		if (r != NULL)
			smtp_reply_show(r, out, s->compact, s->utf8);
		smtp_said_cut(out, from, s->max);
		return "4.5.0";
	case SMTP_END_TLS:
		buf_addf(out, "Cannot start TLS with host %s: %s", s->host, why);
		return "4.7.5";
	case SMTP_END_NO_TLS:
		buf_addf(out, "TLS is required, but was not offered by host %s", s->host);
		return "4.7.4";
	case SMTP_END_LOOP:
		buf_addf(out, "mail for %s loops back to myself", s->host);
		return "4.4.6";
	case SMTP_END_QUIT:
		return "4.4.2";
	}
	return "4.4.2";
}
