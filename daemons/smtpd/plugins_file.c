/* daemons/smtpd/plugins_file.c - the text of the plugins file -> names and arguments */
#include "plugins_file.h"

#include <string.h>

#include <util/mem.h>

static int
plugins_bad(struct buf *why, unsigned line, const char *text)
{
	buf_addf(why, "line %u: %s", line, text);
	return -1;
}

static void
plugins_line_fini(struct plugins_line *l)
{
	for (int i = 0; i < l->argc; i++)
		mem_free(&l->argv[i]);
	mem_free(&l->argv);
	mem_free(&l->name);
	l->instance = NULL;			/* it was argv[0] */
}

void
plugins_file_fini(struct plugins_file *f)
{
	for (size_t i = 0; i < f->n; i++)
		plugins_line_fini(&f->line[i]);
	mem_free(&f->line);
	f->n = 0;
}

/* plugins_words - split at blanks; "..." keeps blanks, \" and \\ stand for themselves in it */
static int
plugins_words(struct plugins_line *l, const char *p, const char *end, struct buf *why)
{
	struct buf word = BUF_INIT(PLUGINS_LINE_MAX);
	bool	quoted;

	for (;;) {
		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		if (p == end || *p == '#')
			break;
		if (l->argc == PLUGINS_ARGS_MAX) {
			buf_fini(&word);
			return plugins_bad(why, l->line, "too many words");
		}
		for (quoted = false; p < end && (quoted || (*p != ' ' && *p != '\t')); p++) {
			if (*p == '"') {
				quoted = !quoted;
				continue;
			}
			if (quoted && *p == '\\' && p + 1 < end)
				p++;
			buf_addc(&word, *p);
		}
		if (quoted) {
			buf_fini(&word);
			return plugins_bad(why, l->line, "a quote is not closed");
		}
		l->argv = mem_grow(l->argv, (size_t) l->argc + 2, sizeof *l->argv);
		l->argv[l->argc++] = mem_strdup(buf_str(&word));
		l->argv[l->argc] = NULL;
		buf_reset(&word);
	}
	buf_fini(&word);
	return 0;
}

/* plugins_name - NAME or NAME:N */
static int
plugins_name(const struct plugins_file *f, struct plugins_line *l, struct buf *why)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/";
	size_t	n;

	l->instance = l->argv[0];
	n = strspn(l->instance, letters);
	if (n == 0 || strlen(l->instance) > PLUGINS_NAME_MAX || l->instance[0] == '/' || l->instance[n - 1] == '/' ||
	    strstr(l->instance, "//") != NULL)
		return plugins_bad(why, l->line, "a plugin's name has letters, digits, _, - and / between them");
	l->name = mem_strndup(l->instance, n);
	if (l->instance[n] != 0 && (l->instance[n] != ':' || l->instance[n + 1] == 0 ||
	    l->instance[n + 1 + strspn(l->instance + n + 1, "0123456789")] != 0))
		return plugins_bad(why, l->line, "after a plugin's name only \":\" and a number may follow: NAME:1");
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->line[i].instance, l->instance) == 0) {
			buf_addf(why, "line %u: %s stands already in line %u: call the second %s:1", l->line, l->instance,
			    f->line[i].line, l->name);
			return -1;
		}
	return 0;
}

static int
plugins_line_parse(struct plugins_file *f, unsigned number, const char *p, const char *end, struct buf *why)
{
	struct plugins_line l = { .line = number };

	if (end > p && end[-1] == '\r')
		end--;
	if (end - p > PLUGINS_LINE_MAX)
		return plugins_bad(why, number, "too long");
	for (const char *c = p; c < end; c++)
		if ((*c < ' ' && *c != '\t') || *c > 126)
			return plugins_bad(why, number, "only printable ASCII may stand here");
	if (plugins_words(&l, p, end, why) < 0 || (l.argc > 0 && plugins_name(f, &l, why) < 0)) {
		plugins_line_fini(&l);
		return -1;
	}
	if (l.argc == 0)
		return 0;
	if (f->n == PLUGINS_MAX) {
		plugins_line_fini(&l);
		return plugins_bad(why, number, "too many plugins");
	}
	f->line = mem_grow(f->line, f->n + 1, sizeof *f->line);
	f->line[f->n++] = l;
	return 0;
}

int
plugins_file_parse(struct plugins_file *f, const char *text, size_t n, struct buf *why)
{
	const char *end = text + n, *lf;
	unsigned number = 0;

	memset(f, 0, sizeof *f);
	while (text < end) {
		if ((lf = memchr(text, '\n', (size_t) (end - text))) == NULL)
			lf = end;
		if (plugins_line_parse(f, ++number, text, lf, why) < 0)
			return -1;
		text = lf < end ? lf + 1 : end;
	}
	return 0;
}
