/* commands/vouch/attach_text.c - one line of Postfix's master.cf, changed to our verify and back
 * The old entry stays in the file, each physical line behind ATTACH_KEPT, directly above the new entry: so detach needs
 * nothing but the file, and nothing outside these lines is ever touched.
 */

#include <stdio.h>
#include <string.h>

#include <util/cfline.h>
#include <util/mem.h>
#include <global/master_cf.h>

#include "attach.h"

#define ATTACH_HEAD "#vouch: Postfix's own entry; vouch detach puts it back\n"
#define ATTACH_KEPT "#vouch|"
#define ATTACH_LAST "#vouch."		/* the same for a line without a line break at its end */
#define ATTACH_LINE_MAX (256u << 10)

static bool
attach_begins(const char *p, const char *end, const char *word)
{
	return (size_t) (end - p) >= strlen(word) && memcmp(p, word, strlen(word)) == 0;
}

/* attach_is_verify - whether a logical line begins "verify unix"; rest_r: what follows the eighth field */
static bool
attach_is_verify(const char *line, char field[8][64], const char **rest_r)
{
	const char *p = line;
	size_t	n;

	for (int i = 0; i < 8; i++) {
		p += strspn(p, " \t\r\n");
		n = strcspn(p, " \t\r\n");
		snprintf(field[i], sizeof(field[i]), "%.*s", (int) n, p);	/* long ones: only shown */
		if ((i == 0 && strcmp(field[0], "verify") != 0) || (i == 1 && strcmp(field[1], "unix") != 0))
			return false;
		p += n;
	}
	*rest_r = p;
	return true;
}

/* attach_find - the one verify/unix entry: 0 found, -1 with why; l stands on it, field and rest_r describe it */
static int
attach_find(struct cfline *l, const char *file, char field[8][64], const char **rest_r, struct buf *why)
{
	char	spare[8][64];
	struct cfline probe;
	const char *rest;
	unsigned first = 0;
	bool	found = false;

	while (!found && cfline_next(l))
		found = !l->orphan && attach_is_verify(buf_str(&l->text), field, rest_r);
	if (!found) {
		buf_addf(why, "%s: no entry 'verify unix': is this Postfix's master.cf?", file);
		return -1;
	}
	cfline_init(&probe, l->pos, (size_t) (l->end - l->pos), ATTACH_LINE_MAX);
	while (first == 0 && cfline_next(&probe))
		if (attach_is_verify(buf_str(&probe.text), spare, &rest))
			first = l->line + probe.first - 1;
	cfline_fini(&probe);
	if (first != 0) {
		buf_addf(why, "%s: two entries 'verify unix', lines %u and %u: remove one", file, l->first, first);
		return -1;
	}
	return 0;
}

int
attach_text(const char *file, const char *text, size_t n, const char *program, int maxproc, struct buf *out,
    char **old_r, unsigned *line_r, struct buf *why)
{
	const char *rest, *p, *next, *end = text + n;
	struct cfline l;
	char	field[8][64];
	unsigned line = 1;
	int	ret = -1;

	for (p = text; p < end; p = next, line++) {
		next = cfline_physical(p, end, NULL);
		if (attach_begins(p, end, ATTACH_HEAD)) {
			buf_addf(why, "%s: vouch is attached already, line %u; 'vouch detach' puts the old entry back",
			    file, line);
			return -1;
		}
	}
	cfline_init(&l, text, n, ATTACH_LINE_MAX);
	if (attach_find(&l, file, field, &rest, why) < 0)
		goto out;
	if (field[7][0] == 0) {
		buf_addf(why, "%s: line %u: the entry has no command", file, l.first);
		goto out;
	}
	buf_add(out, text, (size_t) (l.raw - text));
	buf_adds(out, ATTACH_HEAD);
	for (p = l.raw; p < l.raw_end; p = next) {
		next = cfline_physical(p, l.raw_end, NULL);
		buf_adds(out, next[-1] == '\n' ? ATTACH_KEPT : ATTACH_LAST);
		buf_add(out, p, (size_t) (next - p));
		if (next[-1] != '\n')
			buf_addc(out, '\n');
	}
	buf_addf(out, "%-9s %-7s %-7s %-7s %-7s %-7s %-7d %s%s\n", field[0], field[1], field[2], field[3], field[4],
	    field[5], maxproc, program, rest);
	buf_add(out, l.raw_end, (size_t) (end - l.raw_end));
	*old_r = mem_strdup(field[7]);
	*line_r = l.first;
	ret = 0;
out:
	cfline_fini(&l);
	return ret;
}

int
attach_undo(const char *file, const char *text, size_t n, struct buf *out, unsigned *line_r, struct buf *why)
{
	const char *head, *p, *next, *rest, *end = text + n;
	struct cfline l;
	char	field[8][64];
	unsigned line = 1, kept = 0;
	bool	ours;

	for (head = text; head < end && !attach_begins(head, end, ATTACH_HEAD); line++)
		head = cfline_physical(head, end, NULL);
	if (head >= end) {
		buf_addf(why, "%s: vouch is not attached here: nothing changed", file);
		return -1;
	}
	buf_add(out, text, (size_t) (head - text));
	*line_r = line;
	for (p = cfline_physical(head, end, NULL); p < end; p = next, kept++) {
		bool	last = attach_begins(p, end, ATTACH_LAST);

		next = cfline_physical(p, end, NULL);
		if (!last && !attach_begins(p, end, ATTACH_KEPT))
			break;
		p += strlen(ATTACH_KEPT);
		buf_add(out, p, (size_t) (next - p) - last);
	}
	cfline_init(&l, p, (size_t) (end - p), ATTACH_LINE_MAX);
	ours = kept > 0 && cfline_next(&l) && l.raw == p && attach_is_verify(buf_str(&l.text), field, &rest);
	if (ours && l.raw_end < end && buf_str(out)[out->len - 1] != '\n')
		buf_addc(out, '\n');		/* lines were added since to a file that had no line break at its end */
	if (ours)
		buf_add(out, l.raw_end, (size_t) (end - l.raw_end));
	else
		buf_addf(why, "%s: line %u: the lines are not as 'vouch attach' left them: remove vouch's entry and the "
		    "mark '" ATTACH_KEPT "' by hand", file, line);
	cfline_fini(&l);
	return ours ? 0 : -1;
}

char *
attach_relative(const char *dir, const char *path)
{
	struct buf b = BUF_INIT(64 * 1024);

	for (const char *p = dir; *p != 0; p += strcspn(p, "/")) {
		p += strspn(p, "/");
		if (*p != 0)
			buf_adds(&b, "../");
	}
	buf_adds(&b, path + strspn(path, "/"));
	return buf_take(&b);
}
