/* util/attr.h - Postfix's null-terminated attribute lists: name NUL value NUL ... NUL
 * source: spec attribute-protocol. Three small parts: an assembler that turns arriving bytes
 * into one complete list (attr_in), a reader with a sticky error over such a list
 * (attr_reader), and writers that append to a buf. None of them does I/O.
 * A peer can make an assembler hold at most ATTR_STRINGS_MAX strings of str_max bytes, and
 * list_max bytes in all; a longer string is kept up to str_max and its rest dropped (`cut`).
 */
#ifndef UTIL_ATTR_H
#define UTIL_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <util/buf.h>

#define ATTR_STRINGS_MAX	2048	/* names and values in one list; pass service: 1024 attributes */

struct attr_in {
	struct buf list;	/* the list so far */
	size_t	 str_max;	/* bytes kept of one name or value */
	size_t	 str_len;	/* bytes kept of the unfinished string */
	unsigned strings;	/* finished strings */
	bool	 cut;		/* some string was longer than str_max */
};

enum attr_in_result {
	ATTR_IN_MORE,		/* list incomplete, all bytes used */
	ATTR_IN_DONE,		/* list complete; further bytes may follow it */
	ATTR_IN_FULL,		/* more strings or bytes than any list may have: give this peer up */
};

void	attr_in_init(struct attr_in *, size_t str_max, size_t list_max);
void	attr_in_fini(struct attr_in *);
void	attr_in_reset(struct attr_in *);	/* ready for the next list */
bool	attr_in_partial(const struct attr_in *);/* some bytes of a list are here */
/* attr_in_feed - take bytes; used_r tells how many (all of them unless DONE) */
enum attr_in_result attr_in_feed(struct attr_in *, const char *data, size_t n, size_t *used_r);

enum attr_error {
	ATTR_OK,
	ATTR_MISSING,		/* the list ended before the wanted attribute; `want` names it */
	ATTR_EXTRA,		/* another attribute stands there (strict reader only); `name` names it */
	ATTR_BADNUM,		/* malformed numerical data; `value` holds it */
	ATTR_DIFFERS,		/* attr_need: the value is another one */
};

struct attr_reader {
	const char *p, *end;	/* the rest of the list; strings are NUL-terminated in place */
	bool	    lenient;	/* skip attributes with other names, as Postfix's clients do with replies */
	enum attr_error error;	/* the first error; all later calls do nothing */
	const char *want, *name, *value; /* of the error; borrowed from the caller and the list */
};

/* attr_reader_init - over a complete list (attr_in: list.data, list.len), which must outlive the reader */
void	attr_reader_init(struct attr_reader *, const char *list, size_t len, bool lenient);
/* attr_str - the value of the next attribute, which must have this name; NULL on error; borrowed from the list */
const char *attr_str(struct attr_reader *, const char *name);
/* attr_uint - the same, as a number by the rules of spec attribute-protocol 1.2 (modulo 2^32); 0 on error */
uint32_t attr_uint(struct attr_reader *, const char *name);
/* attr_need - the next attribute must have this name and value */
void	attr_need(struct attr_reader *, const char *name, const char *value);
/* attr_end - NULL when nothing is left, else the name of the next attribute; no error either way */
const char *attr_end(struct attr_reader *);
/* attr_any - the next attribute whatever its name; false at the end of the list */
bool	attr_any(struct attr_reader *, const char **name_r, const char **value_r);
/* attr_uint_parse - one number by the same rules; false when malformed */
bool	attr_uint_parse(const char *, uint32_t *r);

void	attr_put_str(struct buf *, const char *name, const char *value);
void	attr_put_uint(struct buf *, const char *name, uint32_t value);
void	attr_put_end(struct buf *);

#endif
