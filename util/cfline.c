/* util/cfline.c - logical lines */
#include "cfline.h"

#include <string.h>

/* cfline_isblank - what isspace(3) says in the C locale, whatever the locale is */
static bool
cfline_isblank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

const char *
cfline_physical(const char *p, const char *end, enum cfline_kind *kind_r)
{
	const char *nl = memchr(p, '\n', (size_t) (end - p));
	const char *stop = nl != NULL ? nl : end;
	const char *first = p;

	while (first < stop && cfline_isblank(*first))
		first++;
	if (kind_r != NULL)
		*kind_r = first == stop || *first == '#' ? CFLINE_VOID : first > p ? CFLINE_MORE : CFLINE_NEW;
	return nl != NULL ? nl + 1 : end;
}

void
cfline_init(struct cfline *l, const char *text, size_t n, size_t line_max)
{
	memset(l, 0, sizeof *l);
	l->pos = text;
	l->end = text + n;
	l->line = 1;
	buf_init(&l->text, line_max);
}

void
cfline_fini(struct cfline *l)
{
	buf_fini(&l->text);
}

/* cfline_append - add a physical line without its line break, as far as the limit allows */
static void
cfline_append(struct cfline *l, const char *p, const char *next)
{
	size_t	n = (size_t) (next - p), room = l->text.max - l->text.len;

	if (n > 0 && p[n - 1] == '\n')
		n--;
	if (n > room) {
		n = room;
		l->cut = true;
	}
	buf_add(&l->text, p, n);
}

bool
cfline_next(struct cfline *l)
{
	enum cfline_kind kind;
	const char *p, *next;
	unsigned line;
	bool	found = false;

	buf_reset(&l->text);
	l->orphan = l->cut = false;

	for (p = l->pos, line = l->line; p < l->end; p = next, line++) {
		next = cfline_physical(p, l->end, &kind);
		if (kind == CFLINE_VOID)
			continue;
		if (!found) {
			found = true;
			l->raw = p;
			l->first = line;
			l->orphan = kind == CFLINE_MORE;	/* only the first one can be: the others continue */
		} else if (kind == CFLINE_NEW)
			break;
		cfline_append(l, p, next);
		l->raw_end = l->pos = next;
		l->line = line + 1;
	}
	if (!found) {
		l->pos = l->end;
		return false;
	}
	while (l->text.len > 0 && cfline_isblank(l->text.data[l->text.len - 1]))
		buf_cut(&l->text, l->text.len - 1);
	return true;
}
