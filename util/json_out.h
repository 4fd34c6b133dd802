/* util/json_out.h - writes JSON text (RFC 8259) into a buf; commas are its own business
 * No reader here. Nesting is the caller's: each open needs its close. A buf that is full stays sticky, as always.
 */
#ifndef UTIL_JSON_OUT_H
#define UTIL_JSON_OUT_H

#include <stdint.h>

#include <util/buf.h>

/* json_str - append s as a JSON string, quotes included
 * source    RFC 8259 section 7; bytes that are not valid UTF-8 become U+FFFD, one each, so that the text always parses */
void	json_str(struct buf *, const char *s);
/* json_open, json_close - bracket is one of { [ } ]; name NULL for the outermost and for elements of an array */
void	json_open(struct buf *, const char *name, char bracket);
void	json_close(struct buf *, char bracket);
void	json_put_str(struct buf *, const char *name, const char *value);
void	json_put_uint(struct buf *, const char *name, uint64_t value);
void	json_put_int(struct buf *, const char *name, int64_t value);

#endif
