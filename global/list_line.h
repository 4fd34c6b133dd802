/* global/list_line.h - lists of one entry a line: '#' begins a comment, blanks around an entry and empty lines do not count */
#ifndef GLOBAL_LIST_LINE_H
#define GLOBAL_LIST_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct list_line {
	const char *next, *end;		/* of the text that is left */
	unsigned line;			/* of the entry, from 1 */
	const char *text;		/* the entry: not empty, not terminated */
	size_t	len;
};

void	list_line_init(struct list_line *, const char *text, size_t len);
bool	list_line_next(struct list_line *);

/* what became of a file: for the line that says so */
struct list_count { unsigned entries, rejected; };
/* list_line_reject - report an entry; the first few of a file one by one */
void	list_line_reject(const char *file, const struct list_line *, const char *why, struct list_count *);

#endif
