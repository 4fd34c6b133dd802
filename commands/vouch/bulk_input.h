/* commands/vouch/bulk_input.h - a list of addresses, in pieces as they are read: lines, CSV, or JSON lines
 * Of a record that is no good the line number and the cause are told; reading goes on behind it. Memory is bounded whatever
 * the bytes are.
 */
#ifndef BULK_INPUT_H
#define BULK_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include <util/buf.h>

#define BULK_RECORD_MAX (64u << 10)	/* a longer line or record is no good */

enum bulk_form {
	BULK_GUESS,		/* from the first line that is not empty */
	BULK_LINES,		/* an address on each line */
	BULK_CSV,		/* RFC 4180; a header is left out */
	BULK_JSON,		/* an object on each line */
};

struct bulk_input {
	enum bulk_form form;
	const char *column;	/* a name or, for CSV, a number from 1 on; NULL: an obvious name, or the first */
	/* private */
	struct buf data, record;
	size_t	 pos;		/* what is before it was used */
	uint64_t line;		/* of the byte at pos */
	bool	 eof, begun;	/* begun: the first record was looked at */
	bool	 skipping;	/* a line that is too long, to its end */
	size_t	 field;		/* CSV: which, from 0 on */
};

struct bulk_record {
	uint64_t line;		/* where it begins, from 1 on */
	const char *addr;	/* or, where why is not NULL, what stands there, cut and made printable */
	const char *why;	/* static text; why there is no address */
};

enum bulk_input_result {
	BULK_INPUT_RECORD,
	BULK_INPUT_MORE,	/* feed more, or tell the end */
	BULK_INPUT_END,
	BULK_INPUT_NO_COLUMN,	/* the CSV header does not have the column; nothing further can be read */
};

void	bulk_input_init(struct bulk_input *, enum bulk_form, const char *column);
void	bulk_input_fini(struct bulk_input *);
/* bulk_input_feed - only after BULK_INPUT_MORE (and first of all); at most BULK_RECORD_MAX bytes; 0 bytes: the end */
void	bulk_input_feed(struct bulk_input *, const char *, size_t n);
/* bulk_input_next - the record's texts are valid until the next call */
enum bulk_input_result bulk_input_next(struct bulk_input *, struct bulk_record *);

#endif
