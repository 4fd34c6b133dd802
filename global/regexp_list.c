/* global/regexp_list.c - the nogreylist file of qpsmtpd's greylist plugin */
#include "regexp_list.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <global/pattern.h>
#include <util/mem.h>
#include <util/msg.h>

struct regexp_list {
	struct {
		struct pattern *pattern;
		unsigned line;
	} *entry;
	size_t	n;
	char   *file;
};

/* regexp_list_capital - an upper-case letter that stands for itself: not \W, and not in (?...) */
static bool
regexp_list_capital(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\\')
			i++;
		else if (p[i] >= 'A' && p[i] <= 'Z' && !(i >= 2 && memchr(p, '?', i) != NULL))
			return true;
	return false;
}

struct regexp_list *
regexp_list_parse(const char *file, const char *text, size_t len, struct list_count *count)
{
	struct regexp_list *l = mem_alloc(sizeof *l);
	struct buf why = BUF_INIT(1000);
	struct list_line at = { .next = text, .end = text + len };
	unsigned capitals = 0;
	const char *nl;
	struct pattern *p;

	l->file = mem_strdup(file);
	while (at.next < at.end) {
		at.line++;
		at.text = at.next;
		nl = memchr(at.text, '\n', (size_t) (at.end - at.text));
		at.len = (size_t) ((nl != NULL ? nl : at.end) - at.text);
		at.next = nl != NULL ? nl + 1 : at.end;
		if (at.len > 0 && at.text[at.len - 1] == '\r')
			at.len--;
		if (at.len == 0 || at.text[0] == '#')
			continue;
		buf_reset(&why);
		p = NULL;
		if (at.len == 1)
			buf_adds(&why, "a single character");
		else if (l->n >= REGEXP_LIST_LINES)
			buf_addf(&why, "more than %d lines", REGEXP_LIST_LINES);
		else
			p = pattern_new(at.text, at.len, false, &why);
		if (p == NULL) {
			list_line_reject(file, &at, buf_str(&why), count);
			continue;
		}
		if (regexp_list_capital(at.text, at.len) && capitals++ < LIST_REJECTS)
			msg_warn("%s, line %u: upper-case letters never match: the text is made lower-case", file, at.line);
		if (l->n % 64 == 0)
			l->entry = mem_grow(l->entry, l->n + 64, sizeof l->entry[0]);
		l->entry[l->n].pattern = p;
		l->entry[l->n++].line = at.line;
		count->entries++;
	}
	buf_fini(&why);
	return l;
}

void
regexp_list_free(struct regexp_list **lp)
{
	if (*lp == NULL)
		return;
	for (size_t i = 0; i < (*lp)->n; i++)
		pattern_free(&(*lp)->entry[i].pattern);
	mem_free(&(*lp)->entry);
	mem_free(&(*lp)->file);
	mem_free(lp);
}

unsigned
regexp_list_match(struct regexp_list *l, const char *subject, size_t len, unsigned *over)
{
	for (size_t i = 0; i < l->n; i++)
		if (pattern_match(l->entry[i].pattern, subject, len, l->file, l->entry[i].line, over))
			return l->entry[i].line;
	return 0;
}
