/* daemons/smtpd/data_reader.h - the bytes after DATA -> the message, and where it ends
 * source: RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2, spec smtpd-front section 5. The end is CR LF "." CR LF and nothing else:
 * what we forward must end for the next hop where it ended for us. A CR or LF that stands alone is refused; or, with
 * `normalize`, an LF becomes a line end and a CR a blank, and the end is still that one sequence.
 */
#ifndef SMTPD_DATA_READER_H
#define SMTPD_DATA_READER_H

#include <stdbool.h>
#include <stddef.h>

enum data_result {
	DATA_PART,		/* a piece of the message; call again with the rest */
	DATA_MORE,		/* all bytes are used: the next input goes on */
	DATA_END,		/* the message is complete; what follows is a command */
	DATA_BARE_LF,		/* refused; the reader is of no use any more */
	DATA_BARE_CR
};

struct data_reader {
	bool	normalize;
	enum { DATA_LINE, DATA_DOT, DATA_DOT_CR, DATA_TEXT, DATA_CR, DATA_LF_LINE } state;
};

void	data_reader_init(struct data_reader *, bool normalize);
/* data_reader_next - take bytes off *in (*n of them)
 * part_r    on DATA_PART a piece of the message: lines end with CR LF, dots are not stuffed; it points into the input, or to
 *	     static bytes */
enum data_result data_reader_next(struct data_reader *, const char **in, size_t *n, const char **part_r, size_t *part_n_r);

#endif
