/* daemons/smtpd/session.c - one SMTP session: its replies, its time limits, the hooks it waits for, its input
 * What commands do is in session_cmd.c, what happens to a message in session_data.c. A session never reads by itself: bytes
 * come through smtpd_session_input, and while a plugin is suspended (busy) the rest of them is held back.
 */
#include <bsd/string.h>
#include <stdio.h>
#include <string.h>

#include <global/smtp_command.h>
#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/utf8.h>

#include "smtpd.h"

#define SESSION_OUT_KEEP 256		/* memory kept from one reply to the next */
#define SESSION_REPLY_MAX 500		/* bytes of a reply line before CR LF: RFC 5321 section 4.5.3.1.5 has 512 */

/* saying */

void
session_flush(struct vh_conn *s)
{
	if (s->out.len == 0 || s->penalty.pos != 0)
		return;
	s->wire->send(s->wire_ctx, s->out.data, s->out.len);
	buf_shrink(&s->out, SESSION_OUT_KEEP);
}

void
session_raw(struct vh_conn *s, const char *data, size_t n)
{
	if (buf_add(&s->out, data, n) < 0) {		/* that much: what is there goes first */
		s->wire->send(s->wire_ctx, s->out.data, s->out.len);
		buf_reset(&s->out);
		buf_add(&s->out, data, n);
	}
	if (!s->in_input)
		session_flush(s);
}

static void
session_line_out(struct vh_conn *s, unsigned code, bool more, const char *enh, const char *text, size_t n)
{
	char	line[SESSION_REPLY_MAX + 8] = { (char) ('0' + code / 100 % 10), (char) ('0' + code / 10 % 10), (char) ('0' + code % 10),
		more ? '-' : ' ' };
	size_t	len = 4;

	if (enh != NULL) {
		strlcpy(line + len, enh, 12);		/* vh_call's */
		len += strlen(line + len);
		line[len++] = ' ';
	}
	if (n > SESSION_REPLY_MAX - len)
		n = utf8_cut(text, n, SESSION_REPLY_MAX - len);
	memcpy(line + len, text, n);
	utf8_sanitise(line + len, n, s->txn != NULL && s->txn->smtputf8);
	memcpy(line + len + n, "\r\n", 2);
	session_raw(s, line, len + n + 2);
}

/* session_reply - text may have several lines; the enhanced code is made to agree with the code */
static void
session_reply(struct vh_conn *s, unsigned code, const char *enh, const char *text)
{
	char	own[12];
	size_t	n;

	if (enh != NULL && *enh != 0 && (unsigned) (*enh - '0') != code / 100) {
		snprintf(own, sizeof own, "%u%s", code / 100, enh + 1);
		enh = own;
	}
	if (enh != NULL && *enh == 0)
		enh = NULL;
	for (;; text += n + 1) {
		n = strcspn(text, "\n");
		session_line_out(s, code, text[n] != 0, enh, text, n);
		if (text[n] == 0)
			break;
	}
	if (msg_verbose > 0)
		msg_info("%s: reply %u %s %s", s->id, code, enh != NULL ? enh : "", text);
}

void
session_say(struct vh_conn *s, unsigned code, const char *enh, const char *fmt, ...)
{
	struct buf text = BUF_INIT(2 * HOOK_TEXT_MAX);
	va_list ap;

	va_start(ap, fmt);
	if (strcmp(fmt, "%s") == 0)			/* as a rule */
		session_reply(s, code, enh, va_arg(ap, const char *));
	else {
		buf_addv(&text, fmt, ap);
		session_reply(s, code, enh, buf_str(&text));
	}
	va_end(ap);
	buf_fini(&text);
}

static void
session_penalty_end(void *ctx)
{
	struct vh_conn *s = ctx;

	s->busy = s->run.active || s->naming != NULL;
	session_go_on(s);
}

void
session_penalty(struct vh_conn *s)
{
	if (smtpd.conf.error_sleep_ms <= 0 || s->state == SESSION_CLOSED)
		return;
	s->busy = true;
	ev_timer_set(smtpd.loop, &s->penalty, smtpd.conf.error_sleep_ms, session_penalty_end, s);
}

/* session_counted - a command was refused: from some number of errors on that costs time, then the connection */
static void
session_counted(struct vh_conn *s)
{
	s->errors++;
	if (s->state == SESSION_CLOSED)
		return;
	if (s->errors >= smtpd.conf.hard_errors) {
		session_say(s, 421, "4.7.0", "%s Too many errors", smtpd.conf.hostname);
		session_end(s, "too many errors");
	} else if (s->errors > smtpd.conf.soft_errors)
		session_penalty(s);
}

void
session_error(struct vh_conn *s, unsigned code, const char *enh, const char *fmt, ...)
{
	struct buf text = BUF_INIT(2 * HOOK_TEXT_MAX);
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&text, fmt, ap);
	va_end(ap);
	session_reply(s, code, enh, buf_str(&text));
	msg_info("%s: client=%s[%s] %u %s %s", s->id, vh_conn_host(s), s->ip, code, enh != NULL ? enh : "", buf_str(&text));
	buf_fini(&text);
	session_counted(s);
}

/* session_finish - the last reply is on its way; who has said QUIT says no more */
static void
session_finish(struct vh_conn *s)
{
	if (s->finished)
		return;
	s->finished = true;
	s->wire->finish(s->wire_ctx, s->out.data, s->out.len, s->run.call.hook != VH_HOOK_QUIT);
	buf_shrink(&s->out, 0);
}

/* time limits */

static void
session_timeout(struct vh_conn *s, const char *enh, const char *what)
{
	if (s->state == SESSION_CLOSED)
		return;
	if (s->state != SESSION_TLS)			/* in a handshake there is nothing that could be said */
		session_say(s, 421, enh, "%s %s", smtpd.conf.hostname, what);
	session_end(s, what);
}

static void
session_idle(void *ctx)
{
	session_timeout(ctx, "4.4.2", "Timeout: closing the connection");
}

void
session_whole(void *ctx)
{
	struct vh_conn *s = ctx;

	peer_name_cancel(&s->naming);
	hook_run_cancel(&s->run);
	s->busy = false;
	session_timeout(s, "4.4.2", "Session has taken too long");
}

void
session_wait(struct vh_conn *s)
{
	if (s->state != SESSION_CLOSED)
		ev_timer_set(smtpd.loop, &s->idle, smtpd.conf.idle_ms, session_idle, s);
}

/* states */

void
session_enter(struct vh_conn *s, enum session_state state)
{
	if (s->state != SESSION_CLOSED)
		s->state = state;
}

void
session_end(struct vh_conn *s, const char *why)
{
	if (s->state == SESSION_CLOSED)
		return;
	s->state = SESSION_CLOSED;
	mem_free(&s->why_closed);
	s->why_closed = mem_strdup(why);
	ev_timer_cancel(smtpd.loop, &s->idle);
	ev_timer_cancel(smtpd.loop, &s->whole);
	ev_timer_cancel(smtpd.loop, &s->penalty);
	if (!s->in_input)
		session_finish(s);
}

/* session_go_on - out of a callback of the loop: say what there is to say, take the input up again */
void
session_go_on(struct vh_conn *s)
{
	if (s->in_input || s->busy)
		return;
	if (s->state == SESSION_CLOSED) {
		session_finish(s);
		return;
	}
	session_flush(s);
	session_wait(s);
	if (s->held) {
		s->held = false;
		s->wire->resume(s->wire_ctx);
	}
}

/* hooks */

static void
session_hook_done(struct vh_conn *s)
{
	s->busy = false;
	s->next(s);
	session_go_on(s);
}

void
session_ask(struct vh_conn *s, enum vh_hook hook, struct vh_addr *addr, const char *arg, void (*next)(struct vh_conn *))
{
	s->next = next;
	if (hook_run(&s->run, hook, addr, arg, session_hook_done)) {
		next(s);
		return;
	}
	s->busy = true;
	ev_timer_cancel(smtpd.loop, &s->idle);		/* it is not the client that is slow now */
}

enum vh_rc
session_aside(struct vh_conn *s, enum vh_hook hook, const char *arg)
{
	hook_run(&s->side, hook, NULL, arg, NULL);
	return s->side.rc;
}

const struct hook_answer *
session_answer(const struct vh_conn *s)
{
	return &hook_table[s->run.call.hook].answer[s->run.rc];
}

const char *
session_text(const struct vh_conn *s, const char *otherwise)
{
	return s->run.call.text.len > 0 && s->run.rc != VH_DECLINED ? buf_str(&s->run.call.text) : otherwise;
}

/* session_refuse - code and text of a refusal: the plugin's where it has given some */
static void
session_refuse(struct vh_conn *s, const struct hook_answer *a)
{
	unsigned code = smtpd.conf.qpsmtpd_codes && a->code_qpsmtpd != 0 ? a->code_qpsmtpd : a->code;
	const struct vh_call *c = &s->run.call;
	const char *enh = c->enh[0] != 0 && s->run.by != NULL ? c->enh : a->enh, *text = session_text(s, a->text);

	if (code == 0)
		return;
	if (s->run.by != NULL && c->code / 100 == code / 100 && c->code < 600)
		code = c->code;
	session_reply(s, code, enh, text);
	if (code < 400)
		return;				/* the answer to QUIT */
	msg_info("%s: client=%s[%s] helo=<%s> hook=%s plugin=%s %s%s%s%s%s%s %u %s %s", s->id, vh_conn_host(s), s->ip, vh_conn_hello(s),
	    vh_hook_name(c->hook), s->run.by != NULL ? s->run.by->name : "none", s->txn != NULL && s->txn->sender != NULL ? "from=<" : "",
	    s->txn != NULL && s->txn->sender != NULL ? s->txn->sender->text : "",
	    s->txn != NULL && s->txn->sender != NULL ? ">" : "",
	    c->hook == VH_HOOK_RCPT ? " to=<" : "", c->hook == VH_HOOK_RCPT && c->addr != NULL ? c->addr->text : "",
	    c->hook == VH_HOOK_RCPT ? ">" : "", code, enh != NULL ? enh : "", text);
	stats_add(code < 500 ? STAT_smtpd_deferred : STAT_smtpd_refused, 1);
}

enum hook_effect
session_verdict(struct vh_conn *s)
{
	const struct hook_answer *a = session_answer(s);

	switch (a->effect) {
	case HOOK_GO:
	case HOOK_SILENT:
		break;
	case HOOK_REFUSE:
		session_refuse(s, a);
		session_counted(s);
		break;
	case HOOK_CLOSE:
		session_refuse(s, a);
		session_end(s, s->run.call.hook == VH_HOOK_QUIT ? "quit" : "refused by a plugin");
		break;
	}
	return a->effect;
}

void
session_reset(struct vh_conn *s)
{
	const struct plugins *set = smtpd.plugins;

	session_aside(s, VH_HOOK_RESET_TRANSACTION, "");
	txn_free(&s->txn);
	mem_free(&s->refuse_text);
	s->refuse_code = 0;
	s->refuse_close = false;
	for (size_t i = 0; s->results != NULL && i < set->n; i++)
		for (int h = VH_HOOK_MAIL_PRE; h <= VH_HOOK_QUEUE_POST; h++)
			s->results[i * VH_HOOKS + (size_t) h] = 0;
	if (s->state == SESSION_MAIL || s->state == SESSION_RCPT || s->state == SESSION_DATA || s->state == SESSION_QUEUE)
		session_enter(s, s->hello != NULL ? SESSION_READY : SESSION_HELLO);
}

/* input */

/* session_line - bytes up to the end of a line; used */
static size_t
session_line(struct vh_conn *s, const char *p, size_t n)
{
	const char *lf = memchr(p, '\n', n), *line = p;
	size_t	take = lf != NULL ? (size_t) (lf + 1 - p) : n, len = take;
	bool	bare = false;

	if (lf == NULL || s->line.len > 0) {
		if (take > SMTP_COMMAND_PARAMS_MAX - s->line.len) {
			s->line_long = true;
			buf_shrink(&s->line, 0);
		} else if (!s->line_long)
			buf_add(&s->line, p, take);
		if (lf == NULL)
			return take;
		line = s->line.data;
		len = s->line.len;
	} else if (take > SMTP_COMMAND_PARAMS_MAX)
		s->line_long = true;
	s->ahead = take < n;
	session_wait(s);
	if (s->line_long) {
		s->line_long = false;
		buf_shrink(&s->line, 0);
		session_error(s, 500, "5.5.2", "Line too long");
		return take;
	}
	len--;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	else
		bare = !smtpd.conf.normalize;
	if (bare || memchr(line, '\r', len) != NULL || memchr(line, 0, len) != NULL)
		session_error(s, 500, "5.5.2", bare ? "Lines must end with <CR><LF>" : "Bad character in command");
	else
		session_command(s, line, len);
	buf_shrink(&s->line, 0);
	return take;
}

enum smtpd_next
smtpd_session_input(struct vh_conn *s, const char *data, size_t n, size_t *used_r)
{
	size_t	used = 0;

	s->in_input = true;
	while (used < n && !s->busy && s->state != SESSION_CLOSED && s->state != SESSION_TLS)
		used += s->state == SESSION_DATA ? session_data(s, data + used, n - used) :
		    session_line(s, data + used, n - used);
	s->in_input = false;
	if (s->state == SESSION_CLOSED || s->state == SESSION_TLS) {
		*used_r = n;				/* what follows is not for us, or an attempt to get in before TLS */
		if (s->state == SESSION_CLOSED)
			session_finish(s);
		else {
			session_flush(s);
			s->held = true;
			s->wire->starttls(s->wire_ctx);
		}
		return SMTPD_HOLD;
	}
	session_flush(s);
	*used_r = used;
	s->held = s->busy;
	return s->busy ? SMTPD_HOLD : SMTPD_MORE;
}

void
smtpd_session_early(struct vh_conn *s)
{
	hook_input(&s->run);
}

void
smtpd_session_tls(struct vh_conn *s, const char *version, const char *cipher)
{
	if (version == NULL) {
		session_end(s, "TLS handshake failed");
		return;
	}
	snprintf(s->tls, sizeof s->tls, "%s", version);
	snprintf(s->cipher, sizeof s->cipher, "%s", cipher);
	vh_note_set_int(&s->notes, "tls_enabled", 1);
	mem_free(&s->hello);
	s->esmtp = false;
	s->state = SESSION_HELLO;
	session_go_on(s);
}

void
smtpd_session_dismiss(struct vh_conn *s, bool late)
{
	if (s->state == SESSION_CLOSED || (!late && (s->busy || s->txn != NULL || s->state == SESSION_TLS)))
		return;
	peer_name_cancel(&s->naming);
	hook_run_cancel(&s->run);
	s->busy = false;
	session_timeout(s, "4.3.2", "Service is being restarted");
}
