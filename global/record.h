/* global/record.h - Postfix's queue-file records: type, length in 7-bit groups, data
 * source: spec probe-submission section 5. A codec over bytes; no I/O.
 */
#ifndef GLOBAL_RECORD_H
#define GLOBAL_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include <util/buf.h>

#define RECORD_LEN_BYTES_MAX 4	/* as 3.12; readers refuse longer encodings */

enum record_type {
	REC_TYPE_TIME = 'T', REC_TYPE_ATTR = 'A', REC_TYPE_FROM = 'S', REC_TYPE_RCPT = 'R', REC_TYPE_MESG = 'M',
	REC_TYPE_NORM = 'N', REC_TYPE_CONT = 'L', REC_TYPE_XTRA = 'X', REC_TYPE_END = 'E',
	REC_TYPE_ORCP = 'O', REC_TYPE_DONE = 'D', REC_TYPE_PTR = 'p',
};

/* record_put - append one record; fails as buf does (sticky), and at 2^28 bytes of data */
void	record_put(struct buf *, int type, const void *data, size_t n);
void	record_puts(struct buf *, int type, const char *);
void	record_putf(struct buf *, int type, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

enum record_result { RECORD_OK, RECORD_MORE, RECORD_BAD };
struct record {
	int	    type;
	const char *data;	/* borrowed from the input; not NUL-terminated */
	size_t	    len;
};
/* record_get - the record at the start of n bytes
 * used_r    bytes it takes, on RECORD_OK
 * returns   RECORD_MORE when incomplete, RECORD_BAD when its length has too many bytes or is above max
 */
enum record_result record_get(const char *p, size_t n, size_t max, struct record *, size_t *used_r);

#endif
