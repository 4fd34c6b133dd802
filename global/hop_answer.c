/* global/hop_answer.c - what the next hop says, as it is passed on */
#include "hop_answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <bsd/string.h>

#include <util/mem.h>
#include <util/utf8.h>

static char *
hop_answer_cut(const char *text)
{
	size_t	n = strlen(text);

	return mem_strndup(text, n > HOP_ANSWER_TEXT_MAX ? utf8_cut(text, n, HOP_ANSWER_TEXT_MAX) : n);
}

void
hop_answer_clear(struct hop_answer *a)
{
	mem_free(&a->text);
	mem_free(&a->said);
	a->code = 0;
	a->verdict = HOP_NONE;
}

void
hop_answer_set(struct hop_answer *a, enum hop_verdict v, const char *dsn, const char *text)
{
	static const char class[] = { '4', '2', '4', '5' };

	hop_answer_clear(a);
	a->verdict = v;
	strlcpy(a->dsn, dsn, sizeof a->dsn);
	a->dsn[0] = class[v];		/* a greeting of 5yz is no reason to give up, for one */
	a->text = hop_answer_cut(text);
}

void
hop_answer_said(struct hop_answer *a, const char *said)
{
	mem_free(&a->said);
	a->said = hop_answer_cut(said);
}

void
hop_answer_copy(struct hop_answer *to, const struct hop_answer *from)
{
	hop_answer_set(to, from->verdict, from->dsn, from->text);
	to->code = from->code;
	if (from->said != NULL)
		hop_answer_said(to, from->said);
}

void
hop_answer_say(struct hop_answer *a, enum hop_verdict v, const char *dsn, const char *fmt, ...)
{
	char	text[HOP_ANSWER_TEXT_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	hop_answer_set(a, v, dsn, text);
}

void
hop_answer_reply(struct hop_answer *a, const struct smtp_said *said, enum smtp_at at, const struct smtp_reply *r, unsigned good)
{
	enum hop_verdict v = r->code / 100 == good ? HOP_OK : r->code / 100 == 5 ? HOP_HARD : HOP_SOFT;
	struct buf text = BUF_INIT(4 * SMTP_REPLY_TEXT_MAX), words = BUF_INIT(4 * SMTP_REPLY_TEXT_MAX);
	char	dsn[12];
	const char *p;

	smtp_said_reply(&words, said, at, r, true);
	smtp_reply_dsn(r, dsn, sizeof dsn);
	p = buf_str(&words);
	p += strspn(p, "0123456789");
	p += strspn(p, " -");
	if (r->dsn[0] != 0 && strncmp(p, r->dsn, strlen(r->dsn)) == 0)
		p += strlen(r->dsn);
	p += strspn(p, " ");
	if (v != HOP_OK)
		smtp_said_reply(&text, said, at, r, false);
	hop_answer_set(a, v, dsn, v == HOP_OK ? p : buf_str(&text));
	hop_answer_said(a, p);
	a->code = r->code;
	buf_fini(&text);
	buf_fini(&words);
}
