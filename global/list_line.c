/* global/list_line.c - lists of one entry a line */
#include "list_line.h"

#include <stdbool.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>

#define LIST_WHY_MAX	1000

static bool
list_line_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool
list_line_next(struct list_line *l)
{
	const char *nl, *end, *hash;

	while (l->next < l->end) {
		l->line++;
		l->text = l->next;
		nl = memchr(l->next, '\n', (size_t) (l->end - l->next));
		end = nl != NULL ? nl : l->end;
		l->next = nl != NULL ? nl + 1 : l->end;
		if ((hash = memchr(l->text, '#', (size_t) (end - l->text))) != NULL)
			end = hash;
		while (l->text < end && list_line_blank(*l->text))
			l->text++;
		while (end > l->text && list_line_blank(end[-1]))
			end--;
		l->len = (size_t) (end - l->text);
		if (l->len > 0)
			return true;
	}
	return false;
}

void
list_line_reject(const char *file, const struct list_line *l, const char *why, struct list_count *count)
{
	char	raw[100], shown[100];
	size_t	n = l->len < sizeof raw - 1 ? l->len : sizeof raw - 1;

	memcpy(raw, l->text, n);
	raw[n] = 0;
	if (count->rejected++ < LIST_REJECTS)
		msg_warn("%s, line %u: %s: %s: this line is ignored", file, l->line, msg_clean(shown, sizeof shown, raw), why);
}

void
list_line_each(const char *file, const char *text, size_t len, list_line_fn *take, void *ctx, struct list_count *count)
{
	struct list_line l = { .next = text, .end = text + len };
	struct buf why = BUF_INIT(LIST_WHY_MAX);
	const char *bad;
	char   *entry;

	while (list_line_next(&l)) {
		buf_reset(&why);
		entry = mem_strndup(l.text, l.len);
		bad = strlen(entry) != l.len ? "has a NUL" : take(ctx, entry, l.len, l.line, &why);
		if (bad != NULL)
			list_line_reject(file, &l, bad, count);
		else
			count->entries++;
		mem_free(&entry);
	}
	buf_fini(&why);
}
