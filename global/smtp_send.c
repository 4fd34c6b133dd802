/* global/smtp_send.c - one mail transaction with the next hop
 * Commands go out as soon as they may; replies are counted off in order. `step` says which reply comes next; recipients
 * are asked in order, `asked` and `heard` count them.
 */
#include "smtp_send.h"

#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <global/smtp_said.h>
#include <global/smtp_xclient.h>

#define SEND_RCPTS_AT_ONCE (SMTP_CLIENT_PENDING / 2)

enum send_step { SEND_REST, SEND_DIAL, SEND_XCLIENT, SEND_HELLO, SEND_MAIL, SEND_RCPT, SEND_DATA, SEND_BODY, SEND_OVER };

struct send_rcpt {
	char	*addr;
	bool	 live, told;
	bool	 out;			/* a live one that was refused: none of the message's recipients */
	bool	 final;			/* LMTP: the answer is the one to the final dot */
	struct hop_answer answer;
};

struct smtp_send {
	struct ev_loop *loop;
	struct smtp_hop *hop;
	const struct smtp_send_conf *conf;
	const struct smtp_send_ops *ops;
	void	*ctx;
	char	*sender, *xclient[SMTP_XCLIENT_ATTRS];
	bool	 utf8, eightbit;
	uint64_t size;
	enum send_step step;
	struct smtp_hop_call *call;
	struct smtp_hop_session *session;
	bool	 data_said;		/* together with the recipients */
	bool	 again;			/* a fresh session was taken in place of one that broke */
	bool	 ended;			/* the session is closed */
	bool	 freed, done;
	unsigned inside;
	struct send_rcpt *rcpt;
	size_t	 rcpts, asked, heard;
	size_t	 next_end;		/* LMTP: whose reply to the final dot comes next */
	const struct body_source *source;
	struct body_source guard;	/* reads it, and remembers that it failed */
	bool	 unreadable, unsure;
	struct hop_answer all;	/* when not HOP_NONE, that of the whole transaction */
	struct ev_timer timer;
	struct ev_defer later;
};

static void smtp_send_pump(struct smtp_send *);
static const struct smtp_hop_ops smtp_send_hop_ops;

static struct smtp_said
smtp_send_said(const struct smtp_send *s)
{
	return (struct smtp_said) { .host = s->session->host, .port = s->session->port, .compact = true, .utf8 = s->utf8,
	    .max = HOP_ANSWER_TEXT_MAX };
}

static void
smtp_send_answer(const struct smtp_send *s, struct hop_answer *a, enum smtp_at at, const struct smtp_reply *r, unsigned good)
{
	struct smtp_said said = smtp_send_said(s);

	hop_answer_reply(a, &said, at, r, good);
}

/* life */

/* smtp_send_release - the session goes back; a closed one, and one that broke, is dropped whatever `how` */
static void
smtp_send_release(struct smtp_send *s, enum smtp_hop_how how)
{
	if (s->session != NULL)
		smtp_hop_give(s->hop, &s->session, s->ended ? SMTP_HOP_DROP : how);
}

static void
smtp_send_destroy(struct smtp_send *s)
{
	for (size_t i = 0; i < s->rcpts; i++) {
		mem_free(&s->rcpt[i].addr);
		hop_answer_clear(&s->rcpt[i].answer);
	}
	hop_answer_clear(&s->all);
	mem_free(&s->rcpt);
	mem_free(&s->sender);
	for (size_t i = 0; i < NELEM(s->xclient); i++)
		mem_free(&s->xclient[i]);
	mem_free(&s);
}

void
smtp_send_free(struct smtp_send **sp)
{
	struct smtp_send *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	smtp_hop_cancel(&s->call);
	ev_timer_cancel(s->loop, &s->timer);
	ev_defer_cancel(s->loop, &s->later);
	if (s->session != NULL && s->step == SEND_RCPT && smtp_client_pending(s->session->client) == 0)
		smtp_send_release(s, SMTP_HOP_RESET);
	else
		smtp_send_release(s, s->step < SEND_DATA ? SMTP_HOP_QUIT : SMTP_HOP_DROP);
	s->freed = true;
	if (s->inside == 0)
		smtp_send_destroy(s);
}

/* telling */

/* smtp_send_tell - what is known and was not told */
static void
smtp_send_tell(void *ctx)
{
	struct smtp_send *s = ctx;
	bool	waiting = false;

	s->inside++;
	for (size_t i = 0; i < s->rcpts && !s->freed; i++) {
		struct send_rcpt *r = &s->rcpt[i];

		if (!r->live || r->told)
			continue;
		if (r->answer.verdict == HOP_NONE) {
			waiting = true;
			continue;
		}
		r->told = true;
		r->out = r->answer.verdict != HOP_OK;
		s->ops->rcpt(s->ctx, i, &r->answer);
	}
	if (!s->freed && s->source == NULL && !waiting)
		ev_timer_cancel(s->loop, &s->timer);
	if (!s->freed && s->source != NULL && s->step == SEND_OVER && !s->done) {
		s->done = true;
		s->ops->done(s->ctx, &s->all);
	}
	if (--s->inside == 0 && s->freed)
		smtp_send_destroy(s);
}

/* smtp_send_over - s->all is the answer of the transaction, and of all recipients that have none of their own */
static void
smtp_send_over(struct smtp_send *s, enum smtp_hop_how how)
{
	s->step = SEND_OVER;
	smtp_hop_cancel(&s->call);
	smtp_send_release(s, how);
	ev_timer_cancel(s->loop, &s->timer);
	for (size_t i = 0; i < s->rcpts; i++) {
		struct send_rcpt *r = &s->rcpt[i];

		if (!r->out && !r->final && (r->answer.verdict == HOP_NONE || r->answer.verdict == HOP_OK))
			hop_answer_copy(&r->answer, &s->all);
	}
	ev_defer_set(s->loop, &s->later, smtp_send_tell, s);
}

/* smtp_send_combine - of the recipients' answers, that of the message
 * some	      a yes for some is a yes */
static void
smtp_send_combine(struct smtp_send *s, bool some)
{
	const struct hop_answer *of[HOP_HARD + 1] = { NULL }, *a;

	for (size_t i = 0; i < s->rcpts; i++)
		if (!s->rcpt[i].out && of[s->rcpt[i].answer.verdict] == NULL)
			of[s->rcpt[i].answer.verdict] = &s->rcpt[i].answer;
	if (some && of[HOP_OK] != NULL)
		a = of[HOP_OK];
	else
		a = of[HOP_SOFT] != NULL ? of[HOP_SOFT] : of[HOP_HARD] != NULL ? of[HOP_HARD] : of[HOP_OK];
	hop_answer_copy(&s->all, a);
}

/* smtp_send_combine_end - LMTP: all replies to the final dot are there */
static void
smtp_send_combine_end(struct smtp_send *s)
{
	bool	soft = false, yes = false;

	for (size_t i = 0; i < s->rcpts; i++) {
		soft |= !s->rcpt[i].out && s->rcpt[i].answer.verdict == HOP_SOFT;
		yes |= !s->rcpt[i].out && s->rcpt[i].answer.verdict == HOP_OK;
	}
	/* permanent refusals beside a yes: the message cannot be refused any more, nor would trying again help */
	smtp_send_combine(s, yes && !(s->conf->strict && soft));
	s->unsure |= yes && s->all.verdict != HOP_OK;
}

/* smtp_send_again - begin afresh in a new session, once; what the client was told stays told */
static void
smtp_send_again(struct smtp_send *s)
{
	s->again = true;
	smtp_send_release(s, SMTP_HOP_DROP);
	s->ended = false;
	s->data_said = false;
	s->asked = s->heard = 0;
	for (size_t i = 0; i < s->rcpts; i++)
		if (!s->rcpt[i].out && (!s->rcpt[i].live || s->rcpt[i].told || s->rcpt[i].answer.verdict == HOP_NONE))
			hop_answer_clear(&s->rcpt[i].answer);
	s->step = SEND_REST;
}

/* smtp_send_broken - the session has ended, or its time is up
 * at	      what was going on */
static void
smtp_send_broken(struct smtp_send *s, enum smtp_client_end end, enum smtp_at at, const struct smtp_reply *r, const char *why)
{
	struct smtp_said said = smtp_send_said(s);
	struct buf text = BUF_INIT(4 * SMTP_REPLY_TEXT_MAX);
	const char *dsn;

	s->unsure |= at == SMTP_AT_END;
	dsn = smtp_said_end(&text, &said, end, at, r, why);
	if (s->unreadable)
		hop_answer_set(&s->all, HOP_SOFT, "4.3.0", "the message cannot be read from the spool");
	else
		hop_answer_set(&s->all, HOP_SOFT, dsn, buf_str(&text));
	buf_fini(&text);
	if (s->conf->lmtp && s->next_end > 0) {		/* some have their reply to the final dot */
		for (size_t i = 0; i < s->rcpts; i++)
			if (!s->rcpt[i].out && !s->rcpt[i].final) {
				hop_answer_copy(&s->rcpt[i].answer, &s->all);
				s->rcpt[i].final = true;
			}
		smtp_send_combine_end(s);
	}
	smtp_send_over(s, SMTP_HOP_DROP);
}

static void
smtp_send_timeout(void *ctx)
{
	static const enum smtp_at at[] = { [SEND_XCLIENT] = SMTP_AT_XCLIENT, [SEND_HELLO] = SMTP_AT_EHLO, [SEND_MAIL] = SMTP_AT_MAIL,
		[SEND_RCPT] = SMTP_AT_RCPT, [SEND_DATA] = SMTP_AT_DATA, [SEND_BODY] = SMTP_AT_BODY };
	struct smtp_send *s = ctx;

	if (s->session != NULL) {
		smtp_send_broken(s, SMTP_END_TIMEOUT, s->step == SEND_BODY && smtp_client_pending(s->session->client) > 0 ?
		    SMTP_AT_END : at[s->step], NULL, "");
		return;
	}
	hop_answer_set(&s->all, HOP_SOFT, "4.4.1", "no connection to the next hop within the time limit");
	smtp_send_over(s, SMTP_HOP_DROP);
}

/* what is said */

static void
smtp_send_mail(struct smtp_send *s)
{
	unsigned ext = smtp_client_ext(s->session->client);
	char	size[40] = "";

	if (s->size > 0 && (ext & SMTP_EXT_SIZE) != 0)
		snprintf(size, sizeof size, " SIZE=%llu", (unsigned long long) s->size);
	smtp_client_say(s->session->client, SMTP_AT_MAIL, s->conf->mail_ms, "MAIL FROM:<%s>%s%s%s", s->sender, size,
	    s->eightbit && (ext & SMTP_EXT_8BITMIME) != 0 ? " BODY=8BITMIME" : "", s->utf8 ? " SMTPUTF8" : "");
	s->step = SEND_MAIL;
	smtp_send_pump(s);
}

/* smtp_send_xclient - who the client is, as far as the server wants to know it */
static void
smtp_send_xclient(struct smtp_send *s)
{
	unsigned may = smtp_client_xclient(s->session->client);
	struct buf line = BUF_INIT(4096);

	smtp_xclient_line(&line, may, (const char *const *) s->xclient);
	if (may == 0 || line.full) {
		hop_answer_say(&s->all, HOP_SOFT, "4.3.5", "host %s does not let us say XCLIENT", s->session->host);
		smtp_send_over(s, SMTP_HOP_QUIT);
	} else {
		smtp_client_say(s->session->client, SMTP_AT_XCLIENT, s->conf->xclient_ms, "%s", buf_str(&line));
		s->step = SEND_XCLIENT;
		smtp_client_flush(s->session->client);
	}
	buf_fini(&line);
}

/* smtp_send_all_yes - no recipient of the message was refused, and there is one */
static bool
smtp_send_all_yes(const struct smtp_send *s)
{
	bool	yes = false;

	for (size_t i = 0; i < s->rcpts; i++)
		if (!s->rcpt[i].out && s->rcpt[i].answer.verdict == HOP_OK)
			yes = true;
		else if (!s->rcpt[i].out)
			return false;
	return yes;
}

static void
smtp_send_say_data(struct smtp_send *s)
{
	s->data_said = smtp_client_say(s->session->client, SMTP_AT_DATA, s->conf->data_ms, "DATA");
	smtp_client_flush(s->session->client);
}

/* smtp_send_data - every recipient has its answer, and the message is there */
static void
smtp_send_data(struct smtp_send *s)
{
	if (!s->data_said && !smtp_send_all_yes(s)) {
		smtp_send_combine(s, false);
		smtp_send_over(s, SMTP_HOP_RESET);
		return;
	}
	if (!s->data_said)
		smtp_send_say_data(s);
	s->step = SEND_DATA;
}

/* smtp_send_pump - say what may be said now */
static void
smtp_send_pump(struct smtp_send *s)
{
	struct smtp_client *c;
	bool	group;

	if (s->step == SEND_REST && s->rcpts > 0) {
		s->step = SEND_DIAL;
		s->call = smtp_hop_take(s->hop, s->again, &smtp_send_hop_ops, s);
		return;
	}
	if (s->step != SEND_MAIL && s->step != SEND_RCPT)
		return;
	c = s->session->client;
	group = (smtp_client_ext(c) & SMTP_EXT_PIPELINING) != 0;
	for (; s->asked < s->rcpts; s->asked++) {
		if (s->rcpt[s->asked].out)
			continue;
		if (smtp_client_pending(c) >= (group ? SEND_RCPTS_AT_ONCE : 1))
			break;
		if (!smtp_client_say(c, SMTP_AT_RCPT, s->conf->rcpt_ms, "RCPT TO:<%s>", s->rcpt[s->asked].addr))
			break;
	}
	/* in one group with the recipients (RFC 2920 3.1): saves a round trip; should one be refused, no message follows */
	if (group && s->source != NULL && s->asked == s->rcpts && !s->data_said && smtp_client_pending(c) > 0)
		smtp_send_say_data(s);
	smtp_client_flush(c);
	if (s->step == SEND_RCPT && s->source != NULL && s->asked == s->rcpts && smtp_client_pending(c) == (s->data_said ? 1 : 0))
		smtp_send_data(s);
}

/* what is heard */

static ssize_t
smtp_send_guard(void *ctx, void *data, size_t n)
{
	struct smtp_send *s = ctx;
	ssize_t got = s->source->read(s->source->ctx, data, n);

	s->unreadable |= got < 0;
	return got;
}

/* smtp_send_said_no - MAIL or DATA was refused, or XCLIENT */
static void
smtp_send_said_no(struct smtp_send *s, enum smtp_at at, const struct smtp_reply *r)
{
	smtp_send_answer(s, &s->all, at, r, at == SMTP_AT_DATA ? 3 : 2);
	if (at == SMTP_AT_XCLIENT && s->all.verdict == HOP_HARD) {	/* about us, not about the mail */
		s->all.verdict = HOP_SOFT;
		s->all.dsn[0] = '4';
	}
	smtp_send_over(s, at == SMTP_AT_DATA ? SMTP_HOP_RESET : SMTP_HOP_QUIT);
}

/* smtp_send_end_reply - the reply to the final dot, or one of them */
static void
smtp_send_end_reply(struct smtp_send *s, const struct smtp_reply *r)
{
	enum smtp_hop_how how = r->code == 421 ? SMTP_HOP_QUIT : SMTP_HOP_KEEP;

	if (!s->conf->lmtp) {
		smtp_send_answer(s, &s->all, SMTP_AT_END, r, 2);
		smtp_send_over(s, how);
		return;
	}
	while (s->rcpt[s->next_end].out)
		s->next_end++;
	smtp_send_answer(s, &s->rcpt[s->next_end].answer, SMTP_AT_END, r, 2);
	s->rcpt[s->next_end].final = true;
	s->next_end++;
	if (smtp_client_pending(s->session->client) == 0) {
		smtp_send_combine_end(s);
		smtp_send_over(s, how);
	}
}

static void
smtp_send_reply(void *ctx, enum smtp_at at, const struct smtp_reply *r)
{
	struct smtp_send *s = ctx;
	unsigned class = r->code / 100, n = 0;

	if ((r->code == 421 || (class == 4 && s->step == SEND_MAIL)) && s->step < SEND_DATA && s->session->used > 0 && !s->again) {
		smtp_send_again(s);		/* a session that was kept too long for its server's taste, or has carried too much */
		smtp_send_pump(s);
		return;
	}
	switch (s->step) {
	case SEND_XCLIENT:
		if (class != 2) {
			smtp_send_said_no(s, SMTP_AT_XCLIENT, r);
			return;
		}
		s->step = SEND_HELLO;
		smtp_client_hello(s->session->client, s->xclient[4]);	/* the client's words, not ours, from here on */
		return;
	case SEND_MAIL:
		if (class != 2) {
			smtp_send_said_no(s, SMTP_AT_MAIL, r);
			return;
		}
		s->step = SEND_RCPT;
		break;
	case SEND_RCPT:
		while (s->rcpt[s->heard].out)
			s->heard++;
		smtp_send_answer(s, &s->rcpt[s->heard].answer, SMTP_AT_RCPT, r, 2);
		s->heard++;
		ev_defer_set(s->loop, &s->later, smtp_send_tell, s);
		break;
	case SEND_DATA:
		if (!smtp_send_all_yes(s)) {	/* it was said before that was known; a 354 cannot be taken back but by leaving */
			smtp_send_combine(s, false);
			smtp_send_over(s, class == 3 ? SMTP_HOP_DROP : SMTP_HOP_RESET);
			return;
		}
		if (class != 3) {
			smtp_send_said_no(s, SMTP_AT_DATA, r);
			return;
		}
		s->step = SEND_BODY;
		for (size_t i = 0; i < s->rcpts; i++)
			n += !s->rcpt[i].out;
		smtp_client_send_body(s->session->client, &s->guard, s->conf->lmtp ? n : 1, s->conf->body_ms, s->conf->end_ms);
		return;
	case SEND_BODY:
		if (at == SMTP_AT_END)
			smtp_send_end_reply(s, r);
		return;
	case SEND_REST:
	case SEND_DIAL:
	case SEND_HELLO:
	case SEND_OVER:
		return;
	}
	smtp_send_pump(s);
}

/* smtp_send_ready - the session is there, or it said hello again after XCLIENT */
static void
smtp_send_ready(void *ctx)
{
	struct smtp_send *s = ctx;
	struct smtp_client *c = s->session->client;
	uint64_t limit = smtp_client_size(c);

	if (s->conf->xclient && s->step == SEND_DIAL)
		smtp_send_xclient(s);
	else if (s->utf8 && (smtp_client_ext(c) & SMTP_EXT_SMTPUTF8) == 0) {
		hop_answer_say(&s->all, HOP_HARD, "5.6.7", "SMTPUTF8 is required, but was not offered by host %s",
		    s->session->host);
		smtp_send_over(s, SMTP_HOP_KEEP);
	} else if (limit > 0 && s->size > limit) {
		hop_answer_say(&s->all, HOP_HARD, "5.3.4", "message size %llu exceeds size limit %llu of host %s",
		    (unsigned long long) s->size, (unsigned long long) limit, s->session->host);
		smtp_send_over(s, SMTP_HOP_KEEP);
	} else
		smtp_send_mail(s);
}

static void
smtp_send_ended(void *ctx, enum smtp_client_end end, enum smtp_at at, const struct smtp_reply *r, const char *why)
{
	struct smtp_send *s = ctx;
	bool	idle = s->step == SEND_RCPT && s->source == NULL && s->heard == s->asked;

	s->ended = true;
	if (end == SMTP_END_LOST && !s->again && s->step < SEND_DATA && (idle || s->session->used > 0)) {
		smtp_send_again(s);
		if (!idle)			/* otherwise when it is needed */
			smtp_send_pump(s);
		return;
	}
	smtp_send_broken(s, end, at, r, why);
}

static const struct smtp_client_ops smtp_send_client_ops = { smtp_send_ready, smtp_send_reply, smtp_send_ended };

static void
smtp_send_got(void *ctx, struct smtp_hop_session *session)
{
	struct smtp_send *s = ctx;

	s->call = NULL;
	s->session = session;
	smtp_client_own(session->client, &smtp_send_client_ops, s);
	smtp_send_ready(s);
}

static void
smtp_send_failed(void *ctx, const char *dsn, const char *text)
{
	struct smtp_send *s = ctx;

	s->call = NULL;
	hop_answer_set(&s->all, HOP_SOFT, dsn, text);
	smtp_send_over(s, SMTP_HOP_DROP);
}

static const struct smtp_hop_ops smtp_send_hop_ops = { smtp_send_got, smtp_send_failed };

/* for the owner */

struct smtp_send *
smtp_send_open(struct ev_loop *loop, struct smtp_hop *hop, const struct smtp_send_conf *conf, const struct smtp_send_mail *mail,
    const struct smtp_send_ops *ops, void *ctx)
{
	const char *const xclient[] = { mail->name, mail->addr, mail->port, mail->proto, mail->helo };
	struct smtp_send *s = mem_alloc(sizeof *s);

	s->loop = loop;
	s->hop = hop;
	s->conf = conf;
	s->ops = ops;
	s->ctx = ctx;
	s->sender = mem_strdup(mail->sender);
	s->utf8 = mail->utf8;
	s->eightbit = mail->eightbit;
	s->size = mail->size;
	for (size_t i = 0; conf->xclient && i < NELEM(xclient); i++)
		s->xclient[i] = xclient[i] != NULL ? mem_strdup(xclient[i]) : NULL;
	if (strpbrk(mail->sender, "\r\n") != NULL) {
		hop_answer_set(&s->all, HOP_HARD, "5.1.7", "this sender cannot be said");
		s->step = SEND_OVER;
	}
	return s;
}

bool
smtp_send_rcpt(struct smtp_send *s, const char *addr, bool live)
{
	struct send_rcpt *r;

	if (strpbrk(addr, "\r\n") != NULL || s->source != NULL)
		return false;
	if ((s->rcpts & (s->rcpts - 1)) == 0)			/* 0, 1, 2, 4 ...: full */
		s->rcpt = mem_grow(s->rcpt, s->rcpts > 0 ? 2 * s->rcpts : 1, sizeof *s->rcpt);
	r = &s->rcpt[s->rcpts++];
	*r = (struct send_rcpt) { .addr = mem_strdup(addr), .live = live };
	if (s->step == SEND_OVER) {
		hop_answer_copy(&r->answer, &s->all);
		ev_defer_set(s->loop, &s->later, smtp_send_tell, s);
	} else if (live) {
		if (s->conf->total_ms > 0)
			ev_timer_set(s->loop, &s->timer, s->conf->total_ms, smtp_send_timeout, s);
		smtp_send_pump(s);
	}
	return true;
}

void
smtp_send_body(struct smtp_send *s, const struct body_source *source, uint64_t size)
{
	s->source = source;
	s->guard = (struct body_source) { smtp_send_guard, s };
	s->size = size;
	if (s->rcpts == 0 && s->step != SEND_OVER) {
		hop_answer_set(&s->all, HOP_SOFT, "4.5.1", "no recipients");
		s->step = SEND_OVER;
	}
	if (s->step == SEND_OVER) {
		ev_defer_set(s->loop, &s->later, smtp_send_tell, s);
		return;
	}
	if (s->conf->total_ms > 0)
		ev_timer_set(s->loop, &s->timer, s->conf->total_ms, smtp_send_timeout, s);
	smtp_send_pump(s);
}

size_t
smtp_send_rcpts(const struct smtp_send *s)
{
	return s->rcpts;
}

const char *
smtp_send_rcpt_addr(const struct smtp_send *s, size_t i)
{
	return s->rcpt[i].addr;
}

bool
smtp_send_rcpt_wanted(const struct smtp_send *s, size_t i)
{
	return !s->rcpt[i].out;
}

const struct hop_answer *
smtp_send_rcpt_answer(const struct smtp_send *s, size_t i)
{
	return &s->rcpt[i].answer;
}

bool
smtp_send_unsure(const struct smtp_send *s)
{
	return s->unsure;
}
