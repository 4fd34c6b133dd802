/* util/cfline.h - logical lines, as main.cf and master.cf have them
 * source: spec main-cf section 1: comments, continuation by leading white space, also across comments and
 * empty lines; the line break disappears, the leading blanks of the continuation stay.
 * The raw layout is kept (the bytes of all its physical lines), so that an editor can change one entry
 * and leave every other byte alone.
 */
#ifndef UTIL_CFLINE_H
#define UTIL_CFLINE_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>

struct cfline {
	const char *pos, *end;	/* unread text */
	unsigned    line;	/* physical line number of pos, from 1 */
	/* the current logical line, valid until the next cfline_next: */
	struct buf  text;	/* without line breaks and trailing blanks */
	unsigned    first;	/* physical line it begins on; reported in messages */
	const char *raw, *raw_end; /* its physical lines in the text, from the first byte to after the last newline;
				      comments and empty lines between continuation lines included */
	bool	    orphan;	/* begins with white space though nothing can be continued: to be warned of and skipped */
	bool	    cut;	/* was longer than the limit: text holds only its beginning */
};

/* what one physical line is */
enum cfline_kind {
	CFLINE_VOID,		/* empty, blanks only, or a comment: belongs to nobody */
	CFLINE_MORE,		/* begins with white space: continues the logical line before it */
	CFLINE_NEW		/* begins a logical line */
};

/* cfline_init - over n bytes of text, borrowed until cfline_fini; a line longer than line_max bytes is cut there */
void	cfline_init(struct cfline *, const char *text, size_t n, size_t line_max);
bool	cfline_next(struct cfline *);
void	cfline_fini(struct cfline *);

/* cfline_physical - the end of the physical line at p, after its newline if it has one; p < end; kind_r may be NULL */
const char *cfline_physical(const char *p, const char *end, enum cfline_kind *kind_r);

#endif
