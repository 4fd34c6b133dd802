/* global/list_line.h - lists of one entry a line: '#' begins a comment, blanks around an entry and empty lines do not count */
#ifndef GLOBAL_LIST_LINE_H
#define GLOBAL_LIST_LINE_H

#include <stddef.h>

#include <util/buf.h>

#define LIST_REJECTS	20		/* lines of a file that are reported one by one */

/* what became of a file: for the line that says so */
struct list_count { unsigned entries, rejected; };

struct list_line {			/* a reader's place; zeroed but for next and end: at the beginning */
	const char *next, *end;		/* of the text that is left */
	unsigned line;			/* of the entry, from 1 */
	const char *text;		/* the entry: not terminated */
	size_t	len;
};
/* list_line_reject - report an entry; the first few of a file one by one */
void	list_line_reject(const char *file, const struct list_line *, const char *why, struct list_count *);

/* list_line_fn - take an entry: not empty, terminated, for the function to change; line counts from 1
 * returns   NULL, or what is wrong with it, which may be in why */
typedef const char *list_line_fn(void *ctx, char *entry, size_t len, unsigned line, struct buf *why);
/* list_line_each - all entries of a text; bad ones are reported (list_line_reject), count is added to */
void	list_line_each(const char *file, const char *text, size_t len, list_line_fn *, void *ctx, struct list_count *count);

#endif
