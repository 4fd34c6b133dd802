/* daemons/probe/smtp_dialogue.c - one session with one server
 * A question goes through steps; each step is one command and the reply that it waits for. With pipelining the commands
 * of several steps leave together, and the replies of steps that no longer matter are skipped (`skip`).
 */
#include "smtp_dialogue.h"

#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>

#include <util/mem.h>
#include <util/msg.h>
#include <global/smtp_said.h>

enum dialogue_step { STEP_IDLE, STEP_RSET, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_RANDOM_RSET, STEP_RANDOM_MAIL, STEP_RANDOM_RCPT };

struct smtp_dialogue {
	struct ev_loop *loop;
	const struct smtp_dialogue_conf *conf;
	const struct smtp_dialogue_ops *ops;
	void	*ctx;
	struct smtp_client *client;
	char	*name, *host;		/* the exchange; NAME[ADDR] */
	unsigned port;			/* 0: UNIX socket */
	struct ev_defer early;		/* an answer that needs no dialogue: it must not come before ask returns */
	bool	 ready, over, ended;
	bool	 dirty;			/* a transaction was begun: RSET before the next */
	bool	 freed;
	unsigned inside;
	/* the question */
	enum dialogue_step step;
	bool	 open;
	char	*rcpt, *domain, *sender, *other_sender, *random;
	bool	 utf8, data;
	bool	 sender_refused, other_used;
	unsigned skip;			/* replies that do not matter any more */
	struct buf text;
	struct smtp_dialogue_answer answer;	/* that of the target, while the random address is asked */
};

static void
smtp_dialogue_forget(struct smtp_dialogue *d)
{
	mem_free(&d->rcpt);
	mem_free(&d->domain);
	mem_free(&d->sender);
	mem_free(&d->other_sender);
	mem_free(&d->random);
	d->sender_refused = d->other_used = false;
	ev_defer_cancel(d->loop, &d->early);
	d->open = false;
	d->step = STEP_IDLE;
}

static void
smtp_dialogue_destroy(struct smtp_dialogue *d)
{
	smtp_dialogue_forget(d);
	buf_fini(&d->text);
	mem_free(&d->name);
	mem_free(&d->host);
	mem_free(&d);
}

void
smtp_dialogue_free(struct smtp_dialogue **dp)
{
	struct smtp_dialogue *d = *dp;

	if (d == NULL)
		return;
	*dp = NULL;
	smtp_client_free(&d->client);
	d->freed = true;
	ev_defer_cancel(d->loop, &d->early);
	if (d->inside == 0)
		smtp_dialogue_destroy(d);
}

/* smtp_dialogue_leave - out of a callback of ours; false when the dialogue is gone */
static bool
smtp_dialogue_leave(struct smtp_dialogue *d)
{
	if (--d->inside == 0 && d->freed) {
		smtp_dialogue_destroy(d);
		return false;
	}
	return !d->freed;
}

/* texts, in the shapes of spec probe 6.3 */

/* smtp_dialogue_shown - who it was */
static const char *
smtp_dialogue_shown(const struct smtp_dialogue *d)
{
	return d->conf->hide_host && d->domain != NULL ? d->domain : d->host;
}

static struct smtp_said
smtp_dialogue_said(const struct smtp_dialogue *d)
{
	return (struct smtp_said) { .host = smtp_dialogue_shown(d), .port = d->port, .compact = d->conf->compact,
	    .utf8 = d->conf->utf8, .max = DIALOGUE_TEXT_MAX };
}

static void
smtp_dialogue_text_reply(struct smtp_dialogue *d, enum smtp_at at, const struct smtp_reply *r, bool ok)
{
	struct smtp_said said = smtp_dialogue_said(d);

	buf_reset(&d->text);
	smtp_said_reply(&d->text, &said, at, r, ok);
}

/* smtp_dialogue_tell - the question is answered; last in its caller */
static void
smtp_dialogue_tell(struct smtp_dialogue *d)
{
	struct smtp_dialogue_answer a = d->answer;
	struct buf text = d->text;

	a.text = buf_str(&text);
	a.over = d->over;
	a.ended = d->ended;
	a.sender_refused = d->sender_refused;
	a.other_sender_used = d->other_used;
	buf_init(&d->text, 2 * SMTP_REPLY_TEXT_MAX);
	smtp_dialogue_forget(d);
	d->inside++;
	d->ops->answer(d->ctx, &a);
	smtp_dialogue_leave(d);
	buf_fini(&text);
}

/* smtp_dialogue_classify - the answer is what this reply means */
static void
smtp_dialogue_classify(struct smtp_dialogue *d, enum smtp_at at, const struct smtp_reply *r)
{
	const char *omit[12], *const *own = d->conf->omit;
	char	words[SMTP_WORDS_MAX];
	size_t	n = 0;

	for (; own != NULL && *own != NULL && n < NELEM(omit) - 3; own++)
		omit[n++] = *own;
	if (d->open) {
		omit[n++] = d->rcpt;
		omit[n++] = d->domain;
	}
	omit[n] = NULL;
	smtp_class_words(words, sizeof words, r, omit);
	memset(&d->answer, 0, sizeof d->answer);
	d->answer.class = smtp_class(at, r, d->conf->own_route, d->name, words, &d->conf->class, d->conf->rules);
	d->answer.asked = true;
	d->answer.at = at;
	d->answer.code = r->code;
	smtp_reply_dsn(r, d->answer.dsn, sizeof d->answer.dsn);
	if (d->answer.class.status == VERIFY_OK && d->answer.dsn[0] != '2')
		strcpy(d->answer.dsn, "2.0.0");		/* 354, where DATA decides */
	if (r->code == 421)
		d->over = true;
	smtp_dialogue_text_reply(d, at, r, d->answer.class.status == VERIFY_OK);
}

/* what is said */

static void
smtp_dialogue_mail(struct smtp_dialogue *d)
{
	smtp_client_say(d->client, SMTP_AT_MAIL, d->conf->mail_ms, "MAIL FROM:<%s>%s", d->sender, d->utf8 ? " SMTPUTF8" : "");
	d->dirty = true;
}

static void
smtp_dialogue_rset(struct smtp_dialogue *d)
{
	smtp_client_say(d->client, SMTP_AT_RSET, d->conf->rset_ms, "RSET");
	d->dirty = false;
}

/* smtp_dialogue_begin - put the question, or put it again with another sender */
static void
smtp_dialogue_begin(struct smtp_dialogue *d)
{
	bool	group = d->conf->pipelining && (smtp_client_ext(d->client) & SMTP_EXT_PIPELINING) != 0;

	if (d->dirty)
		smtp_dialogue_rset(d);
	d->step = smtp_client_pending(d->client) > d->skip ? STEP_RSET : STEP_MAIL;	/* a RSET is under way */
	if (d->step == STEP_MAIL || group)
		smtp_dialogue_mail(d);
	if (group && !smtp_client_say(d->client, SMTP_AT_RCPT, d->conf->rcpt_ms, "RCPT TO:<%s>", d->rcpt))
		d->skip = 0;			/* cannot be: the address was checked */
	smtp_client_flush(d->client);
}

/* smtp_dialogue_no_utf8 - the server cannot take the address at all */
static void
smtp_dialogue_no_utf8(void *ctx)
{
	struct smtp_dialogue *d = ctx;

	memset(&d->answer, 0, sizeof d->answer);
	d->answer.class = (struct smtp_class) { .rule = "no-smtputf8", .status = VERIFY_BOUNCE, .cat = SMTP_CAT_UTF8,
	    .then = SMTP_THEN_ELSEWHERE };
	d->answer.asked = true;
	d->answer.at = SMTP_AT_MAIL;
	strcpy(d->answer.dsn, "5.6.7");
	buf_reset(&d->text);
	buf_addf(&d->text, "SMTPUTF8 is required, but was not offered by host %s", smtp_dialogue_shown(d));
	smtp_dialogue_tell(d);
}

static void
smtp_dialogue_put(struct smtp_dialogue *d)
{
	if (d->utf8 && (smtp_client_ext(d->client) & SMTP_EXT_SMTPUTF8) == 0)
		ev_defer_set(d->loop, &d->early, smtp_dialogue_no_utf8, d);
	else
		smtp_dialogue_begin(d);
}

/* what is heard */

static void
smtp_dialogue_ready(void *ctx)
{
	struct smtp_dialogue *d = ctx;

	d->ready = true;
	d->inside++;
	d->ops->ready(d->ctx);
	if (smtp_dialogue_leave(d) && d->open && d->step == STEP_IDLE)
		smtp_dialogue_put(d);
}

/* smtp_dialogue_accepted - RCPT got a 2xx */
static void
smtp_dialogue_accepted(struct smtp_dialogue *d)
{
	bool	group = d->conf->pipelining && (smtp_client_ext(d->client) & SMTP_EXT_PIPELINING) != 0;

	if (d->data) {
		d->step = STEP_DATA;
		smtp_client_say(d->client, SMTP_AT_DATA, d->conf->data_ms, "DATA");
		smtp_client_flush(d->client);
	} else if (d->random != NULL && !d->over) {
		d->step = STEP_RANDOM_RSET;
		smtp_dialogue_rset(d);
		if (group) {
			smtp_dialogue_mail(d);
			smtp_client_say(d->client, SMTP_AT_RCPT, d->conf->rcpt_ms, "RCPT TO:<%s>", d->random);
		}
		smtp_client_flush(d->client);
	} else
		smtp_dialogue_tell(d);
}

static void
smtp_dialogue_mail_refused(struct smtp_dialogue *d, const struct smtp_reply *r)
{
	smtp_dialogue_classify(d, SMTP_AT_MAIL, r);
	d->dirty = false;
	d->skip = smtp_client_pending(d->client);	/* a pipelined RCPT: its 503 says nothing */
	if (d->answer.class.then == SMTP_THEN_SENDER && d->other_sender != NULL && !d->over) {
		d->sender_refused = d->other_used = true;
		mem_free(&d->sender);
		d->sender = d->other_sender;
		d->other_sender = NULL;
		d->dirty = true;		/* RSET first: some count a second MAIL as an error */
		smtp_dialogue_begin(d);
		return;
	}
	if (d->answer.class.cat == SMTP_CAT_SENDER && d->sender[0] == 0)
		d->answer.class.cat = SMTP_CAT_NULLSENDER;
	smtp_dialogue_tell(d);
}

static void
smtp_dialogue_rcpt_answered(struct smtp_dialogue *d, const struct smtp_reply *r)
{
	smtp_dialogue_classify(d, SMTP_AT_RCPT, r);
	if (d->answer.class.status == VERIFY_OK) {
		smtp_dialogue_accepted(d);
		return;
	}
	/* a sender that is refused only now */
	if (d->answer.class.then == SMTP_THEN_SENDER && d->other_sender != NULL && !d->over) {
		d->sender_refused = d->other_used = true;
		mem_free(&d->sender);
		d->sender = d->other_sender;
		d->other_sender = NULL;
		smtp_dialogue_begin(d);
		return;
	}
	smtp_dialogue_tell(d);
}

/* smtp_dialogue_random - the reply to the address that cannot exist; the answer about the target is in `answer` */
static void
smtp_dialogue_random(struct smtp_dialogue *d, const struct smtp_reply *r)
{
	struct smtp_class c = smtp_class(SMTP_AT_RCPT, r, d->conf->own_route, d->name, NULL, &d->conf->class, d->conf->rules);

	if (c.status == VERIFY_OK)
		d->answer.catchall = CATCHALL_YES;
	else if (c.status == VERIFY_BOUNCE && c.cat == SMTP_CAT_UNKNOWN)
		d->answer.catchall = CATCHALL_NO;
	else
		d->answer.catchall = CATCHALL_UNKNOWN;
	if (r->code == 421)
		d->over = true;
	smtp_dialogue_tell(d);
}

static void
smtp_dialogue_reply(void *ctx, enum smtp_at at, const struct smtp_reply *r)
{
	struct smtp_dialogue *d = ctx;
	bool	ok = r->code / 100 == 2;
	bool	more = smtp_client_pending(d->client) > 0;	/* the next step's command is out already */

	(void) at;
	if (r->code == 421)
		d->over = true;
	if (d->skip > 0) {
		d->skip--;
		return;
	}
	switch (d->step) {
	case STEP_IDLE:				/* a RSET that nobody waits for */
		if (!ok)
			d->over = true;
		return;
	case STEP_RSET:
		if (!ok) {			/* this session is over; the question has not been put */
			d->over = true;
			memset(&d->answer, 0, sizeof d->answer);
			d->answer.end = SMTP_END_LOST;
			d->answer.at = SMTP_AT_RSET;
			d->answer.class = (struct smtp_class) { .rule = "rset-refused", .status = VERIFY_DEFER,
			    .cat = SMTP_CAT_PROTOCOL, .then = SMTP_THEN_AFRESH };
			d->skip = smtp_client_pending(d->client);
			smtp_dialogue_text_reply(d, SMTP_AT_RSET, r, false);
			smtp_reply_dsn(r, d->answer.dsn, sizeof d->answer.dsn);
			smtp_dialogue_tell(d);
			return;
		}
		d->step = STEP_MAIL;
		if (!more) {
			smtp_dialogue_mail(d);
			smtp_client_flush(d->client);
		}
		return;
	case STEP_MAIL:
		if (!ok) {
			smtp_dialogue_mail_refused(d, r);
			return;
		}
		d->step = STEP_RCPT;
		if (!more) {
			smtp_client_say(d->client, SMTP_AT_RCPT, d->conf->rcpt_ms, "RCPT TO:<%s>", d->rcpt);
			smtp_client_flush(d->client);
		}
		return;
	case STEP_RCPT:
		smtp_dialogue_rcpt_answered(d, r);
		return;
	case STEP_DATA:
		smtp_dialogue_classify(d, SMTP_AT_DATA, r);
		d->over = true;			/* after 354 nothing more is said, not even QUIT */
		smtp_dialogue_tell(d);
		return;
	case STEP_RANDOM_RSET:
		if (!ok) {
			d->over = true;
			smtp_dialogue_tell(d);
			return;
		}
		d->step = STEP_RANDOM_MAIL;
		if (!more) {
			smtp_dialogue_mail(d);
			smtp_client_flush(d->client);
		}
		return;
	case STEP_RANDOM_MAIL:
		if (!ok) {
			d->skip = smtp_client_pending(d->client);
			smtp_dialogue_tell(d);
			return;
		}
		d->step = STEP_RANDOM_RCPT;
		if (!more) {
			smtp_client_say(d->client, SMTP_AT_RCPT, d->conf->rcpt_ms, "RCPT TO:<%s>", d->random);
			smtp_client_flush(d->client);
		}
		return;
	case STEP_RANDOM_RCPT:
		smtp_dialogue_random(d, r);
		return;
	}
}

/* smtp_dialogue_text_end - the text and class of a session that ended by itself */
static void
smtp_dialogue_text_end(struct smtp_dialogue *d, enum smtp_client_end end, enum smtp_at at, const struct smtp_reply *r,
    const char *why)
{
	static const struct {
		const char *rule;
		enum smtp_cat cat;
	} rows[] = {
		[SMTP_END_CONNECT] = { "no-connection", SMTP_CAT_NETWORK }, [SMTP_END_LOST] = { "lost", SMTP_CAT_LOST },
		[SMTP_END_TIMEOUT] = { "timeout", SMTP_CAT_TIMEOUT }, [SMTP_END_PROTOCOL] = { "not-smtp", SMTP_CAT_PROTOCOL },
		[SMTP_END_TLS] = { "tls-failed", SMTP_CAT_TLS }, [SMTP_END_NO_TLS] = { "tls-not-offered", SMTP_CAT_TLS },
		[SMTP_END_LOOP] = { "loop", SMTP_CAT_LOOP }, [SMTP_END_QUIT] = { "quit", 0 },
	};
	struct smtp_said said = smtp_dialogue_said(d);

	if (end == SMTP_END_REFUSED) {
		smtp_dialogue_classify(d, at, r);
		d->answer.asked = false;
		d->answer.end = end;
		return;
	}
	if (end == SMTP_END_LOOP && d->domain != NULL)
		said.host = d->domain;
	memset(&d->answer, 0, sizeof d->answer);
	d->answer.end = end;
	d->answer.at = at;
	d->answer.class = (struct smtp_class) { .rule = rows[end].rule, .cat = rows[end].cat, .status = VERIFY_DEFER,
	    .then = SMTP_THEN_NEXT };
	buf_reset(&d->text);
	strcpy(d->answer.dsn, smtp_said_end(&d->text, &said, end, at, r, why));
}

static void
smtp_dialogue_ended(void *ctx, enum smtp_client_end end, enum smtp_at at, const struct smtp_reply *r, const char *why)
{
	struct smtp_dialogue *d = ctx;
	bool	known = d->open && d->step > STEP_DATA;
	char	*text = NULL;

	d->over = d->ended = true;
	d->inside++;
	if (known)
		smtp_dialogue_tell(d);		/* the target was accepted; only the random address got no answer */
	else {
		smtp_dialogue_text_end(d, end, at, r, why);
		text = mem_strdup(buf_str(&d->text));
		if (d->open)
			smtp_dialogue_tell(d);
	}
	if (!d->freed)
		d->ops->ended(d->ctx, end, text != NULL ? text : "");
	mem_free(&text);
	smtp_dialogue_leave(d);
}

static const struct smtp_client_ops smtp_dialogue_client = {
	smtp_dialogue_ready, smtp_dialogue_reply, smtp_dialogue_ended
};

struct smtp_dialogue *
smtp_dialogue_open(struct ev_loop *loop, const struct smtp_dialogue_conf *conf, const struct smtp_dialogue_to *to,
    const struct smtp_dialogue_ops *ops, void *ctx)
{
	struct smtp_dialogue *d = mem_alloc(sizeof *d);
	char	addr[INET6_ADDRSTRLEN];

	d->loop = loop;
	d->conf = conf;
	d->ops = ops;
	d->ctx = ctx;
	d->name = mem_strdup(to->host);
	d->port = to->client.path != NULL ? 0 : to->client.port;
	if (to->client.path != NULL)
		d->host = mem_printf("%s[%s]", to->host, to->client.path);
	else
		d->host = mem_printf("%s[%s]", to->host, mx_addr_text(to->client.addr, addr, sizeof addr));
	buf_init(&d->text, 2 * SMTP_REPLY_TEXT_MAX);
	d->client = smtp_client_open(loop, &conf->client, &to->client, &smtp_dialogue_client, d);
	return d;
}

void
smtp_dialogue_ask(struct smtp_dialogue *d, const struct smtp_dialogue_question *q)
{
	if (d->open || d->over)
		msg_panic("smtp_dialogue_ask: %s", d->open ? "a question is open" : "the session is over");
	d->rcpt = mem_strdup(q->rcpt);
	d->domain = mem_strdup(q->domain);
	d->sender = mem_strdup(q->sender);
	d->other_sender = q->other_sender != NULL ? mem_strdup(q->other_sender) : NULL;
	d->random = q->random != NULL ? mem_strdup(q->random) : NULL;
	d->utf8 = q->utf8;
	d->data = q->data;
	d->open = true;
	d->step = STEP_IDLE;
	/* from `ready` and `answer` we come back to put it; an idle session has nobody to do that */
	if (d->ready)
		smtp_dialogue_put(d);
}

void
smtp_dialogue_rest(struct smtp_dialogue *d)
{
	if (d->dirty && d->ready && !d->over) {
		smtp_dialogue_rset(d);
		smtp_client_flush(d->client);
	}
}

void
smtp_dialogue_quit(struct smtp_dialogue *d)
{
	bool	rest = d->dirty && d->ready && !d->ended && !d->over;

	d->over = true;
	if (rest) {				/* leave nothing half done: some log it as a lost mail */
		smtp_dialogue_rset(d);
		smtp_client_flush(d->client);
	}
	smtp_client_quit(d->client);
}

void
smtp_dialogue_expire(struct smtp_dialogue *d)
{
	smtp_client_expire(d->client);
}

bool
smtp_dialogue_over(const struct smtp_dialogue *d)
{
	return d->over;
}

const char *
smtp_dialogue_tls(const struct smtp_dialogue *d)
{
	return d->client != NULL ? smtp_client_tls(d->client) : NULL;
}
