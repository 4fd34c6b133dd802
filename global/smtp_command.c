/* global/smtp_command.c - one command line of an SMTP client */
#include "smtp_command.h"

#include <string.h>
#include <strings.h>

#include <global/smtp_path.h>

static const char *const smtp_verbs[SMTP_VERBS] = {
	[SMTP_VERB_UNKNOWN] = "unknown",
	[SMTP_VERB_HELO] = "HELO", [SMTP_VERB_EHLO] = "EHLO", [SMTP_VERB_MAIL] = "MAIL", [SMTP_VERB_RCPT] = "RCPT",
	[SMTP_VERB_DATA] = "DATA", [SMTP_VERB_RSET] = "RSET", [SMTP_VERB_NOOP] = "NOOP", [SMTP_VERB_QUIT] = "QUIT",
	[SMTP_VERB_HELP] = "HELP", [SMTP_VERB_VRFY] = "VRFY", [SMTP_VERB_STARTTLS] = "STARTTLS",
};

const char *
smtp_verb_name(enum smtp_verb verb)
{
	return smtp_verbs[verb];
}

bool
smtp_word_is(const struct smtp_word *w, const char *text)
{
	return w->p != NULL && strlen(text) == w->n && strncasecmp(w->p, text, w->n) == 0;
}

static bool
smtp_blank(int c)
{
	return c == ' ' || c == '\t';
}

static void
smtp_word_trim(struct smtp_word *w)
{
	while (w->n > 0 && smtp_blank(*w->p)) {
		w->p++;
		w->n--;
	}
	while (w->n > 0 && smtp_blank(w->p[w->n - 1]))
		w->n--;
}

void
smtp_command_parse(struct smtp_command *c, const char *line, size_t n)
{
	size_t	len = 0;

	while (len < n && !smtp_blank(line[len]))
		len++;
	c->verb = SMTP_VERB_UNKNOWN;
	c->name = (struct smtp_word) { line, len };
	c->arg = (struct smtp_word) { line + len, n - len };
	smtp_word_trim(&c->arg);
	for (enum smtp_verb v = SMTP_VERB_UNKNOWN + 1; v < SMTP_VERBS && len > 0; v++)
		if ((line[0] & 0xdf) == smtp_verbs[v][0] && smtp_word_is(&c->name, smtp_verbs[v])) {	/* most differ there */
			c->verb = v;
			break;
		}
}

bool
smtp_command_path(const struct smtp_command *c, struct smtp_word *path_r, struct smtp_word *params_r)
{
	const char *key = c->verb == SMTP_VERB_MAIL ? "FROM:" : "TO:";
	size_t	len = strlen(key);
	struct smtp_word w = c->arg;

	if (w.n < len || strncasecmp(w.p, key, len) != 0)
		return false;
	w.p += len;
	w.n -= len;
	smtp_word_trim(&w);		/* a blank after the colon is wrong, and common */
	path_r->p = w.p;
	path_r->n = smtp_path_span(w.p, w.n);
	params_r->p = w.p + path_r->n;
	params_r->n = w.n - path_r->n;
	return path_r->n > 0;
}

int
smtp_param_next(struct smtp_word *rest, struct smtp_word *name_r, struct smtp_word *value_r)
{
	struct smtp_word one;
	const char *equal;
	size_t	len = 0;

	if (rest->n > 0 && !smtp_blank(*rest->p))
		return -1;				/* something sticks to the path */
	smtp_word_trim(rest);
	if (rest->n == 0)
		return 0;
	while (len < rest->n && !smtp_blank(rest->p[len]))
		len++;
	one = (struct smtp_word) { rest->p, len };
	rest->p += len;
	rest->n -= len;
	equal = memchr(one.p, '=', one.n);
	*name_r = (struct smtp_word) { one.p, equal != NULL ? (size_t) (equal - one.p) : one.n };
	*value_r = (struct smtp_word) { NULL, 0 };
	if (equal != NULL)
		*value_r = (struct smtp_word) { equal + 1, (size_t) (one.p + one.n - equal - 1) };
	for (size_t i = 0; i < name_r->n; i++)
		if (!((name_r->p[i] | 32) >= 'a' && (name_r->p[i] | 32) <= 'z') && !(name_r->p[i] >= '0' && name_r->p[i] <= '9') &&
		    (name_r->p[i] != '-' || i == 0))
			return -1;
	for (size_t i = 0; i < value_r->n; i++)
		if (value_r->p[i] <= ' ' || value_r->p[i] == '=' || value_r->p[i] == 127) {
			if ((unsigned char) value_r->p[i] < 0x80)
				return -1;
		}
	return name_r->n > 0 && (value_r->p == NULL || value_r->n > 0) ? 1 : -1;
}
