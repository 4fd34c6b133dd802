/* global/main_cf_edit.c - change entries of main.cf */
#include "main_cf_edit.h"

#include <stdlib.h>
#include <string.h>

#include <util/cfline.h>
#include <util/fileedit.h>
#include <util/mem.h>

#define MAIN_CF_EDIT_WAIT_MS	10000	/* for another editor: ten times what a slow disk needs */

/* main_cf_edit_find - the edit for the entry on this logical line, or nedits */
static size_t
main_cf_edit_find(const struct cfline *l, const struct main_cf_edit *edits, size_t nedits)
{
	const char *name = buf_str(&l->text);
	size_t	len = strcspn(name, "= \t\r\n\v\f"), i;

	/* an orphan, which readers skip, begins with a blank: len is 0 */
	for (i = 0; i < nedits; i++)
		if (strlen(edits[i].name) == len && memcmp(edits[i].name, name, len) == 0)
			break;
	return i;
}

/* main_cf_edit_lines - copy the physical lines of an entry
 * mark      put before each line that belongs to it; NULL drops these lines; the comments between them stay */
static void
main_cf_edit_lines(struct buf *out, const char *p, const char *end, const char *mark)
{
	enum cfline_kind kind;
	const char *next;

	for (; p < end; p = next) {
		next = cfline_physical(p, end, &kind);
		if (kind != CFLINE_VOID && mark == NULL)
			continue;
		if (kind != CFLINE_VOID)
			buf_adds(out, mark);
		buf_add(out, p, (size_t) (next - p));
	}
}

static void
main_cf_edit_set(struct buf *out, const struct main_cf_edit *edit)
{
	buf_addf(out, "%s = %s\n", edit->name, edit->value);
}

static int
main_cf_edit_cmp(const void *a, const void *b)
{
	const struct main_cf_edit *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* main_cf_edit_append - add the names that the text did not have */
static void
main_cf_edit_append(struct buf *out, const struct main_cf_edit *edits, const unsigned *seen, size_t nedits)
{
	const struct main_cf_edit **missing = mem_array(nedits + 1, sizeof *missing);
	size_t	n = 0;

	for (size_t i = 0; i < nedits; i++)
		if (seen[i] == 0)
			missing[n++] = &edits[i];
	qsort(missing, n, sizeof *missing, main_cf_edit_cmp);
	if (n > 0 && out->len > 0 && out->data[out->len - 1] != '\n')
		buf_addc(out, '\n');
	for (size_t i = 0; i < n; i++)
		main_cf_edit_set(out, missing[i]);
	mem_free(&missing);
}

int
main_cf_edit(struct buf *out, const char *file, const char *text, size_t n, enum main_cf_edit_op op,
    const struct main_cf_edit *edits, size_t nedits, main_cf_warn_fn *warn, void *ctx)
{
	unsigned *seen = mem_array(nedits + 1, sizeof *seen);
	const char *copied = text;
	struct cfline l;
	char   *warning;
	size_t	i;

	cfline_init(&l, text, n, MAIN_CF_LINE_MAX);
	while (cfline_next(&l)) {
		buf_add(out, copied, (size_t) (l.raw - copied));
		copied = l.raw_end;
		if ((i = main_cf_edit_find(&l, edits, nedits)) == nedits) {
			buf_add(out, l.raw, (size_t) (l.raw_end - l.raw));
			continue;
		}
		if (++seen[i] == 2) {
			warning = mem_printf("%s: multiple entries for \"%s\"", file, edits[i].name);
			warn(ctx, warning);
			mem_free(&warning);
		}
		switch (op) {
		case MAIN_CF_SET:
			main_cf_edit_set(out, &edits[i]);
			main_cf_edit_lines(out, l.raw, l.raw_end, NULL);
			break;
		case MAIN_CF_REMOVE:
			main_cf_edit_lines(out, l.raw, l.raw_end, NULL);
			break;
		case MAIN_CF_COMMENT:
			main_cf_edit_lines(out, l.raw, l.raw_end, "#");
			break;
		}
	}
	buf_add(out, copied, (size_t) (text + n - copied));
	if (op == MAIN_CF_SET)
		main_cf_edit_append(out, edits, seen, nedits);
	cfline_fini(&l);
	mem_free(&seen);
	return out->full ? -1 : 0;
}

int
main_cf_edit_file(const char *dir, enum main_cf_edit_op op, const struct main_cf_edit *edits, size_t nedits,
    main_cf_warn_fn *warn, void *ctx, struct buf *why)
{
	struct buf text = BUF_INIT(MAIN_CF_FILE_MAX), out = BUF_INIT(MAIN_CF_FILE_MAX);
	char   *path = mem_printf("%s/main.cf", dir);
	struct fileedit *f;
	int	ret = -1;

	if ((f = fileedit_open(path, &text, MAIN_CF_EDIT_WAIT_MS, why)) == NULL)
		goto out;
	if (main_cf_edit(&out, path, buf_str(&text), text.len, op, edits, nedits, warn, ctx) == 0)
		ret = fileedit_commit(&f, buf_str(&out), out.len, why);
	else
		buf_addf(why, "%s would become larger than %u bytes", path, MAIN_CF_FILE_MAX);
out:
	fileedit_abandon(&f);
	buf_fini(&text);
	buf_fini(&out);
	mem_free(&path);
	return ret;
}
