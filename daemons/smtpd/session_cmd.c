/* daemons/smtpd/session_cmd.c - the commands of an SMTP session
 * One table says which command may come in which state; a command that plugins decide about is done in two halves, before
 * and after their hook.
 * source: RFC 5321 section 4.1, RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 3207 (STARTTLS), RFC 2920
 * section 3.1 (which commands end a group), spec smtpd-front sections 4, 5 and 10
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <global/probe_sender.h>
#include <global/smtp_command.h>
#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>

#include "smtpd.h"

#define AT(state)	(1u << (state))
#define AT_ANY		(AT(SESSION_HELLO) | AT(SESSION_READY) | AT(SESSION_MAIL) | AT(SESSION_RCPT))

typedef void command_fn(struct vh_conn *, const struct smtp_command *);

/* replies */

static void
command_syntax(struct vh_conn *s, const char *what)
{
	session_error(s, 501, "5.5.4", "Syntax: %s", what);
}

/* command_junk - one more that gets no mail any further; true: one too many, the connection ends */
static bool
command_junk(struct vh_conn *s)
{
	if (++s->junk <= smtpd.conf.junk_limit)
		return false;
	session_say(s, 421, "4.7.0", "%s Too many commands that send no mail", smtpd.conf.hostname);
	session_end(s, "too many junk commands");
	return true;
}

/* HELO, EHLO */

static bool
command_hello_name(const struct smtp_word *w)
{
	if (w->n == 0 || w->n > SMTP_HOST_MAX)
		return false;
	for (size_t i = 0; i < w->n; i++)
		if (w->p[i] <= ' ' || w->p[i] == 127 || strchr("<>()\"\\;,@", w->p[i]) != NULL)
			return false;		/* bytes above 127 are negative: refused, too */
	return true;
}

static void
command_ehlo_lines(struct vh_conn *s)
{
	const struct smtpd_conf *c = &smtpd.conf;
	struct buf text = BUF_INIT(2048);

	buf_addf(&text, "%s Hello %s [%s]\nPIPELINING", c->hostname, vh_conn_host(s), s->ip);
	if (c->message_limit > 0)
		buf_addf(&text, "\nSIZE %llu", (unsigned long long) c->message_limit);
	else
		buf_adds(&text, "\nSIZE");
	buf_adds(&text, "\n8BITMIME\nENHANCEDSTATUSCODES");
	if (c->smtputf8)
		buf_adds(&text, "\nSMTPUTF8");
	if (c->tls && s->tls[0] == 0)
		buf_adds(&text, "\nSTARTTLS");
	session_say(s, 250, NULL, "%s", buf_str(&text));
	buf_fini(&text);
}

static void
command_hello_done(struct vh_conn *s)
{
	if (session_verdict(s) != HOOK_GO)
		return;
	s->esmtp = s->run.call.hook == VH_HOOK_EHLO;
	mem_free(&s->hello);
	s->hello = mem_strdup(s->arg);
	session_enter(s, SESSION_READY);
	if (s->esmtp)
		command_ehlo_lines(s);
	else
		session_say(s, 250, NULL, "%s Hello %s [%s]", smtpd.conf.hostname, vh_conn_host(s), s->ip);
}

static void
command_hello(struct vh_conn *s, const struct smtp_command *c)
{
	if (!command_hello_name(&c->arg)) {
		command_syntax(s, c->verb == SMTP_VERB_EHLO ? "EHLO your-name" : "HELO your-name");
		return;
	}
	if (s->hello != NULL && !smtpd.conf.second_helo) {
		session_error(s, 503, "5.5.1", "You have said hello already");
		return;
	}
	if (s->txn != NULL)
		session_reset(s);
	mem_free(&s->hello);
	session_enter(s, SESSION_HELLO);
	mem_free(&s->arg);
	s->arg = mem_strndup(c->arg.p, c->arg.n);
	session_ask(s, c->verb == SMTP_VERB_EHLO ? VH_HOOK_EHLO : VH_HOOK_HELO, NULL, s->arg, command_hello_done);
}

/* STARTTLS */

static void
command_starttls(struct vh_conn *s, const struct smtp_command *c)
{
	if (!smtpd.conf.tls)
		session_error(s, 502, "5.5.1", "TLS is not available here");
	else if (s->tls[0] != 0)
		session_error(s, 503, "5.5.1", "TLS is active already");
	else if (c->arg.n > 0)
		command_syntax(s, "STARTTLS");
	else {
		if (s->txn != NULL)
			session_reset(s);
		session_say(s, 220, "2.0.0", "Ready to start TLS");
		session_enter(s, SESSION_TLS);
	}
}

/* MAIL */

static void
command_address_drop(struct vh_conn *s)
{
	addr_free(&s->pending);
	mem_free(&s->arg);
	mem_free(&s->params);
}

static void
command_mail_done(struct vh_conn *s)
{
	struct vh_txn *t = s->txn;

	if (session_verdict(s) != HOOK_GO) {
		session_reset(s);
		session_enter(s, s->hello != NULL ? SESSION_READY : SESSION_HELLO);
		return;
	}
	session_enter(s, SESSION_MAIL);
	session_say(s, 250, "2.1.0", "%s", session_text(s, "Sender ok"));
	msg_debug("%s: from=<%s>", t->id, t->sender->text);
}

/* command_mail_params - what the parameters of MAIL FROM say; false: refused */
static bool
command_mail_params(struct vh_conn *s, struct vh_txn *t)
{
	struct smtp_word rest = { s->params, strlen(s->params) }, name, value;
	char	number[24];
	int64_t size;
	int	one;

	while ((one = smtp_param_next(&rest, &name, &value)) > 0) {
		if (smtp_word_is(&name, "SIZE") && value.p != NULL) {
			snprintf(number, sizeof number, "%.*s", (int) (value.n < 20 ? value.n : 20), value.p);
			if (!units_int_parse(number, &size) || size < 0 || value.n >= 20)
				break;
			t->declared_size = (uint64_t) size;
		} else if (smtp_word_is(&name, "BODY") && smtp_word_is(&value, "8BITMIME"))
			t->mime8 = true;
		else if (smtp_word_is(&name, "BODY") && smtp_word_is(&value, "7BIT"))
			t->mime8 = false;
		else if (smtp_word_is(&name, "SMTPUTF8") && value.p == NULL && smtpd.conf.smtputf8)
			t->smtputf8 = true;
		else
			break;
	}
	if (one > 0) {
		session_error(s, 555, "5.5.4", "Parameter of MAIL is not known, or has a bad value");
		return false;
	}
	if (one < 0) {
		command_syntax(s, "MAIL FROM:<address> [parameters]");
		return false;
	}
	if (smtpd.conf.message_limit > 0 && t->declared_size > smtpd.conf.message_limit) {
		session_error(s, 552, "5.3.4", "Message is larger than the limit of %llu bytes",
		    (unsigned long long) smtpd.conf.message_limit);
		return false;
	}
	return true;
}

/* command_address - the text of a path into s->pending; false: refused */
static bool
command_address(struct vh_conn *s, const char *text, unsigned flags, const char *enh)
{
	struct smtp_path path;
	const char *why;

	if (smtpd.conf.bare_path)
		flags |= SMTP_PATH_BARE;
	if (s->txn->smtputf8)
		flags |= SMTP_PATH_UTF8;
	if (!smtp_path_parse(&path, text, strlen(text), flags, &why)) {
		session_error(s, 501, enh, "Bad address: %s", why);
		return false;
	}
	addr_free(&s->pending);
	s->pending = addr_new(&path, text, strlen(text));
	return true;
}

static void
command_mail_pre_done(struct vh_conn *s)
{
	struct vh_txn *t = s->txn;

	if (session_verdict(s) != HOOK_GO || !command_address(s, session_text(s, s->arg), SMTP_PATH_NULL, "5.1.7")) {
		session_reset(s);
		session_enter(s, s->hello != NULL ? SESSION_READY : SESSION_HELLO);
		return;
	}
	addr_free(&t->sender);
	t->sender = s->pending;
	s->pending = NULL;
	session_ask(s, VH_HOOK_MAIL, t->sender, s->arg, command_mail_done);
}

/* command_params_split - NUL after each parameter, and one more at the end: what vh_mail_param looks through */
static char *
command_params_split(const struct smtp_word *params)
{
	char   *all = mem_alloc(params->n + 2), *to = all;

	for (size_t i = 0; i < params->n; i++)
		if (params->p[i] != ' ' && params->p[i] != '\t')
			*to++ = params->p[i];
		else if (to > all && to[-1] != 0)
			*to++ = 0;
	return all;
}

static void
command_mail(struct vh_conn *s, const struct smtp_command *c)
{
	struct smtp_word path, params;

	if (s->state == SESSION_HELLO && smtpd.conf.helo_required) {
		session_error(s, 503, "5.5.1", "Say EHLO or HELO first");
		return;
	}
	if (smtpd.conf.tls_required && s->tls[0] == 0) {
		session_error(s, 530, "5.7.0", "Say STARTTLS first");
		return;
	}
	if (s->txn != NULL) {				/* the one before was for nothing */
		if (command_junk(s))
			return;
		session_reset(s);
	}
	if (!smtp_command_path(c, &path, &params)) {
		command_syntax(s, "MAIL FROM:<address> [parameters]");
		return;
	}
	command_address_drop(s);
	s->arg = mem_strndup(path.p, path.n);
	s->params = mem_strndup(params.p, params.n);
	s->txn = txn_new(s);
	s->txn->params = command_params_split(&params);
	s->txn->sender = mem_alloc(sizeof *s->txn->sender);	/* null until there is another */
	s->txn->sender->text = mem_strdup("");
	s->txn->sender->raw = mem_strdup(s->arg);
	if (!command_mail_params(s, s->txn)) {
		txn_free(&s->txn);
		return;
	}
	session_ask(s, VH_HOOK_MAIL_PRE, NULL, s->arg, command_mail_pre_done);
}

/* RCPT */

/* command_exempt - what is accepted without any test, so that callouts of others reach us
 * returns   0 no; 1 postmaster; 2 our own probe sender: accepted, and what is sent there is thrown away */
static int
command_exempt(const struct vh_addr *a)
{
	const struct smtpd_conf *c = &smtpd.conf;
	bool	ours = a->path.host[0] == 0 || strcasecmp(a->path.host, c->hostname) == 0 ||
	    strcasecmp(a->path.host, c->myorigin) == 0;

	if (ours && strcasecmp(a->path.user, "postmaster") == 0)
		return 1;
	if (ours && strcasecmp(a->path.user, c->double_bounce) == 0)
		return 2;
	if (c->probe_sender[0] != 0 && strcmp(c->probe_sender, "<>") != 0 && probe_sender_match(a->text, c->probe_sender,
	    c->probe_sender_ttl_ms, c->myorigin, ev_wall_s(smtpd.loop)))
		return 2;
	return 0;
}

static void
command_rcpt_ok(struct vh_conn *s, const char *text)
{
	struct vh_txn *t = s->txn;

	t->rcpt = mem_grow(t->rcpt, t->rcpts + 1, sizeof *t->rcpt);
	t->rcpt[t->rcpts++] = s->pending;
	s->pending = NULL;
	session_enter(s, SESSION_RCPT);
	session_say(s, 250, "2.1.5", "%s", text);
}

/* command_unknown - one more recipient that does not exist: how many of this client, in this session or on the whole host */
static unsigned
command_unknown(struct vh_conn *s)
{
	unsigned n = 0;

	if (smtpd.clients != NULL)
		n = client_count_unknown(smtpd.clients, vh_conn_peer(s), ev_wall_s(smtpd.loop));
	return ++s->unknown_rcpts > n ? s->unknown_rcpts : n;
}

static void
command_rcpt_done(struct vh_conn *s)
{
	switch (session_verdict(s)) {
	case HOOK_GO:
		command_rcpt_ok(s, session_text(s, "Recipient ok"));
		return;
	case HOOK_REFUSE:
		/* a sender who tries names is slowed down; one who is refused for other reasons is not */
		if (strcmp(s->run.call.enh, "5.1.1") == 0 && command_unknown(s) > smtpd.conf.unknown_limit)
			session_penalty(s);
		break;
	case HOOK_CLOSE:
	case HOOK_SILENT:
		break;
	}
	addr_free(&s->pending);
}

static void
command_rcpt_pre_done(struct vh_conn *s)
{
	if (session_verdict(s) != HOOK_GO || !command_address(s, session_text(s, s->arg), SMTP_PATH_POSTMASTER, "5.1.3"))
		return;
	switch (command_exempt(s->pending)) {
	case 1:
		command_rcpt_ok(s, "Recipient ok");
		return;
	case 2:
		if (s->txn->probe_rcpt && command_junk(s))
			return;
		s->txn->probe_rcpt = true;
		addr_free(&s->pending);
		session_enter(s, SESSION_RCPT);
		session_say(s, 250, "2.1.5", "Recipient ok");
		return;
	}
	session_ask(s, VH_HOOK_RCPT, s->pending, s->arg, command_rcpt_done);
}

static void
command_rcpt(struct vh_conn *s, const struct smtp_command *c)
{
	struct smtp_word path, params, name, value;
	struct vh_txn *t = s->txn;

	if (!smtp_command_path(c, &path, &params)) {
		command_syntax(s, "RCPT TO:<address>");
		return;
	}
	if (smtp_param_next(&params, &name, &value) != 0) {
		session_error(s, 555, "5.5.4", "Parameter of RCPT is not known");
		return;
	}
	if (t->rcpts >= smtpd.conf.rcpt_limit || (smtpd.conf.null_rcpt_limit > 0 && t->sender->path.user[0] == 0 &&
	    t->rcpts >= smtpd.conf.null_rcpt_limit)) {
		if (++s->overshoot > smtpd.conf.overshoot_limit)
			session_error(s, 452, "4.5.3", "Too many recipients");
		else
			session_say(s, 452, "4.5.3", "Too many recipients");
		return;
	}
	command_address_drop(s);
	s->arg = mem_strndup(path.p, path.n);
	session_ask(s, VH_HOOK_RCPT_PRE, NULL, s->arg, command_rcpt_pre_done);
}

/* DATA */

static void
command_data_done(struct vh_conn *s)
{
	switch (session_verdict(s)) {
	case HOOK_GO:
		session_say(s, 354, NULL, "%s", session_text(s, "End data with <CR><LF>.<CR><LF>"));
		session_data_start(s);
		break;
	case HOOK_REFUSE:
		session_reset(s);
		break;
	case HOOK_CLOSE:
	case HOOK_SILENT:
		break;
	}
}

static void
command_data(struct vh_conn *s, const struct smtp_command *c)
{
	if (c->arg.n > 0) {
		command_syntax(s, "DATA");
		return;
	}
	s->txn->discard = s->txn->rcpts == 0;
	if (s->txn->discard) {				/* a callout that goes as far as this */
		session_say(s, 354, NULL, "End data with <CR><LF>.<CR><LF>");
		session_data_start(s);
		return;
	}
	session_ask(s, VH_HOOK_DATA, NULL, "", command_data_done);
}

/* the others */

static void
command_rset(struct vh_conn *s, const struct smtp_command *c)
{
	if (c->arg.n > 0) {
		command_syntax(s, "RSET");
		return;
	}
	session_reset(s);
	session_say(s, 250, "2.0.0", "Ok");
}

static void
command_quit_done(struct vh_conn *s)
{
	session_verdict(s);
}

static void
command_quit(struct vh_conn *s, const struct smtp_command *c)
{
	(void) c;
	session_ask(s, VH_HOOK_QUIT, NULL, "", command_quit_done);
}

static void
command_simple_done(struct vh_conn *s)
{
	const struct hook_answer *a = session_answer(s);

	if (session_verdict(s) == HOOK_GO)
		session_say(s, a->code, a->enh, "%s", session_text(s, a->text));
}

static void
command_help_done(struct vh_conn *s)
{
	struct buf text = BUF_INIT(HOOK_TEXT_MAX + 256);

	if (session_verdict(s) != HOOK_GO)
		return;
	buf_adds(&text, "Commands: EHLO HELO MAIL RCPT DATA RSET NOOP QUIT HELP VRFY");
	if (smtpd.conf.tls)
		buf_adds(&text, " STARTTLS");
	if (s->run.call.text.len > 0)
		buf_addf(&text, "\n%s", buf_str(&s->run.call.text));
	session_say(s, 214, "2.0.0", "%s", buf_str(&text));
	buf_fini(&text);
}

static void
command_other(struct vh_conn *s, const struct smtp_command *c)
{
	static const struct { enum vh_hook hook; void (*done)(struct vh_conn *); } hooks[SMTP_VERBS] = {
		[SMTP_VERB_UNKNOWN] = { VH_HOOK_UNRECOGNIZED_COMMAND, command_simple_done },
		[SMTP_VERB_HELP] = { VH_HOOK_HELP, command_help_done },
		[SMTP_VERB_VRFY] = { VH_HOOK_VRFY, command_simple_done },
		[SMTP_VERB_NOOP] = { VH_HOOK_NOOP, command_simple_done },
	};
	const struct smtp_word *arg = &c->arg;
	char   *p;

	if (c->verb == SMTP_VERB_VRFY && arg->n == 0) {
		command_syntax(s, "VRFY address");
		return;
	}
	mem_free(&s->arg);
	if (c->verb == SMTP_VERB_UNKNOWN)
		s->arg = mem_printf("%.*s%s%.*s", (int) c->name.n, c->name.p, arg->n > 0 ? " " : "", (int) arg->n, arg->p);
	else
		s->arg = mem_strndup(arg->p, arg->n);
	for (p = s->arg; *p != 0; p++)
		if ((unsigned char) *p < ' ' || (unsigned char) *p > 126)
			*p = '?';
	session_ask(s, hooks[c->verb].hook, NULL, s->arg, hooks[c->verb].done);
}

/* the table */

static const struct command_row {
	unsigned states;		/* where it may come */
	bool	last;			/* nothing may follow before it was answered */
	bool	junk;			/* does not get mail any further */
	command_fn *fn;
} commands[SMTP_VERBS] = {
	[SMTP_VERB_UNKNOWN] =  { AT_ANY, false, true, command_other },
	[SMTP_VERB_HELO] =     { AT_ANY, true, true, command_hello },
	[SMTP_VERB_EHLO] =     { AT_ANY, true, true, command_hello },
	[SMTP_VERB_MAIL] =     { AT_ANY, false, false, command_mail },
	[SMTP_VERB_RCPT] =     { AT(SESSION_MAIL) | AT(SESSION_RCPT), false, false, command_rcpt },
	[SMTP_VERB_DATA] =     { AT(SESSION_RCPT), true, false, command_data },
	[SMTP_VERB_RSET] =     { AT_ANY, false, true, command_rset },
	[SMTP_VERB_NOOP] =     { AT_ANY, true, true, command_other },
	[SMTP_VERB_QUIT] =     { AT_ANY, false, false, command_quit },
	[SMTP_VERB_HELP] =     { AT_ANY, false, true, command_other },
	[SMTP_VERB_VRFY] =     { AT_ANY, true, true, command_other },
	[SMTP_VERB_STARTTLS] = { AT_ANY, true, false, command_starttls },
};

void
session_command(struct vh_conn *s, const char *line, size_t n)
{
	const struct command_row *row;
	struct smtp_command c;

	smtp_command_parse(&c, line, n);
	row = &commands[c.verb];
	if (n + 2 > SMTP_COMMAND_MAX && c.verb != SMTP_VERB_MAIL && c.verb != SMTP_VERB_RCPT) {
		session_error(s, 500, "5.5.2", "Line too long");
		return;
	}
	if (row->last && s->ahead && smtpd.conf.forbid_pipelining) {
		session_error(s, 554, "5.5.0", "Commands were sent after %s before it was answered", smtp_verb_name(c.verb));
		session_end(s, "unauthorized pipelining");
		return;
	}
	if (row->junk && command_junk(s))
		return;
	if (!(row->states & AT(s->state))) {
		session_error(s, 503, "5.5.1", s->txn == NULL ? "Say MAIL FROM first" : "Say RCPT TO first");
		return;
	}
	row->fn(s, &c);
}
