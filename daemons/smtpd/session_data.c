/* daemons/smtpd/session_data.c - a message: from DATA to the answer about it
 * The client is told 250 only when a queue plugin has said that somebody else has the message now.
 */
#include <bsd/string.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/utf8.h>

#include "smtpd.h"

void
session_data_start(struct vh_conn *s)
{
	data_reader_init(&s->reader, smtpd.conf.normalize);
	header_scan_init(&s->scan);
	session_enter(s, SESSION_DATA);
}

/* data_finish - the transaction is over, whatever became of it */
static void
data_finish(struct vh_conn *s)
{
	session_reset(s);
}

static void
data_queue_post(struct vh_conn *s, const char *text)
{
	struct vh_txn *t = s->txn;
	enum vh_rc rc;

	msg_info("%s: client=%s[%s] helo=<%s> from=<%s> nrcpt=%zu size=%llu status=accepted plugin=%s ms=%lld (%s)", t->id,
	    vh_conn_host(s), s->ip, vh_conn_hello(s), t->sender->text, t->rcpts, (unsigned long long) body_size(&t->body),
	    s->run.by != NULL ? s->run.by->name : "none", (long long) (ev_now_ms(smtpd.loop) - t->start_ms), text);
	for (size_t i = 0; i < t->rcpts; i++)
		msg_debug("%s: to=<%s>", t->id, t->rcpt[i]->text);
	stats_add(STAT_smtpd_messages, 1);
	stats_add(STAT_smtpd_recipients, t->rcpts);
	s->messages++;
	s->errors = s->junk = 0;
	rc = session_aside(s, VH_HOOK_QUEUE_POST, "");
	if (rc != VH_OK && rc != VH_DECLINED)
		msg_info("%s: hook queue_post: %s", t->id, vh_rc_name(rc));
}

static void
data_queue_done(struct vh_conn *s)
{
	if (session_verdict(s) == HOOK_GO) {
		char   *text = mem_strdup(session_text(s, "Message accepted"));

		session_say(s, 250, "2.6.0", "%s", text);
		data_queue_post(s, text);
		mem_free(&text);
	}
	data_finish(s);
}

static void
data_queue_pre_done(struct vh_conn *s)
{
	if (session_verdict(s) != HOOK_GO) {
		data_finish(s);
		return;
	}
	session_ask(s, VH_HOOK_QUEUE, NULL, "", data_queue_done);
}

static void
data_post_done(struct vh_conn *s)
{
	if (session_verdict(s) != HOOK_GO) {
		data_finish(s);
		return;
	}
	session_ask(s, VH_HOOK_QUEUE_PRE, NULL, "", data_queue_pre_done);
}

/* data_hops - mail that goes in circles has many of these */
static unsigned
data_hops(const struct vh_txn *t)
{
	size_t	n, hops = 0;

	while (hops <= smtpd.conf.hops && vh_header(t, "Received", hops, &n) != NULL)
		hops++;
	return (unsigned) hops;
}

/* data_trouble - reasons of our own not to take the message; true: said */
static bool
data_trouble(struct vh_conn *s)
{
	struct vh_txn *t = s->txn;

	if (s->refuse_code != 0) {			/* said by data_headers_end, or we have stopped keeping the message */
		session_error(s, s->refuse_code, s->refuse_enh, "%s", s->refuse_text);
		if (s->refuse_close)
			session_end(s, "refused by a plugin");
	} else if (t->body.failed)
		session_error(s, 451, "4.3.0", "Cannot keep the message here, try again later");
	else if (data_hops(t) > smtpd.conf.hops)
		session_error(s, 554, "5.4.6", "Too many hops: the message goes in circles");
	else
		return false;
	return true;
}

static void
data_complete(struct vh_conn *s)
{
	struct vh_txn *t = s->txn;

	header_scan_end(&s->scan, t);
	session_enter(s, SESSION_QUEUE);
	if (t->discard) {				/* for our own probe sender: nobody waits for it */
		session_say(s, 250, "2.6.0", "Message accepted");
		msg_info("%s: from=<%s> status=discarded (to the sender of our own probes)", t->id, t->sender->text);
		data_finish(s);
		return;
	}
	if (data_trouble(s)) {
		data_finish(s);
		return;
	}
	if (session_aside(s, VH_HOOK_RECEIVED_LINE, "") == VH_OK && s->side.call.text.len > 0)
		message_received(s, t, buf_str(&s->side.call.text));
	else
		message_received(s, t, NULL);
	session_ask(s, VH_HOOK_DATA_POST, NULL, "", data_post_done);
}

/* data_refuse_later - clients listen only after the end of the message; what follows is not kept */
static void
data_refuse_later(struct vh_conn *s, unsigned code, const char *enh, const char *text)
{
	if (s->refuse_code != 0)
		return;
	s->refuse_code = code;
	strlcpy(s->refuse_enh, enh, sizeof s->refuse_enh);
	s->refuse_text = mem_strdup(text);
}

static void
data_headers_done(struct vh_conn *s)
{
	const struct hook_answer *a = session_answer(s);
	const struct vh_call *c = &s->run.call;

	if (a->effect == HOOK_CLOSE)
		session_verdict(s);
	else if (a->effect == HOOK_REFUSE)
		data_refuse_later(s, c->code / 100 == a->code / 100 ? c->code : a->code, c->enh[0] != 0 ? c->enh : a->enh,
		    session_text(s, a->text));
}

static void
data_keep(struct vh_conn *s, const char *p, size_t n)
{
	struct vh_txn *t = s->txn;

	if (!s->scan.done)
		header_scan_add(&s->scan, t, p, n);
	if (t->discard || s->refuse_code != 0 || t->body.failed)
		return;
	if (smtpd.conf.message_limit > 0 && n > smtpd.conf.message_limit - body_size(&t->body)) {
		data_refuse_later(s, 552, "5.3.4", "Message is too large");
		return;
	}
	if (!t->eight)
		t->eight = !utf8_is_ascii(p, n);
	if (body_add(&t->body, p, n) < 0)
		msg_warn("%s: the message cannot be kept: smtpd_spool_directory: %s", t->id, strerror(errno));
}

size_t
session_data(struct vh_conn *s, const char *data, size_t n)
{
	const char *p = data, *part;
	size_t	len;
	bool	before;

	session_wait(s);
	for (;;) {
		before = s->scan.done;
		switch (data_reader_next(&s->reader, &p, &n, &part, &len)) {
		case DATA_PART:
			data_keep(s, part, len);
			if (s->scan.done && !before && !s->txn->discard)
				session_ask(s, VH_HOOK_DATA_HEADERS_END, NULL, "", data_headers_done);
			if (s->busy || s->state != SESSION_DATA)
				return (size_t) (p - data);
			break;
		case DATA_MORE:
			return (size_t) (p - data);
		case DATA_END:
			data_complete(s);
			return (size_t) (p - data);
		case DATA_BARE_LF:
		case DATA_BARE_CR:
			/* where this message ends is a matter of opinion: nothing more is read from this client */
			session_error(s, 550, "5.5.2", "Lines of a message must end with <CR><LF>, and CR and LF must not stand alone");
			session_end(s, "bare CR or LF in the message");
			return (size_t) (p - data);
		}
	}
}
