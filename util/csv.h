/* util/csv.h - comma-separated values as RFC 4180 has them, one record at a time
 * A field that begins with a quote is a quoted one: commas and line ends in it are part of it, and a doubled quote is one. A
 * quote elsewhere is a character like any other, so that one stray quote does not swallow the rest of a file.
 */
#ifndef UTIL_CSV_H
#define UTIL_CSV_H

#include <stddef.h>

#include <util/buf.h>

/* csv_put - append one field, quoted when it must be; separators are the caller's */
void	csv_put(struct buf *, const char *s);
/* csv_end - bytes of the record at the start of data, its line end included; 0: it does not end in these n bytes */
size_t	csv_end(const char *data, size_t n);
/* csv_next - take the next field off a record without its line end, unquoting it in place
 * rest      where the record goes on; NULL after its last field
 * returns   the field, part of the record; NULL when there is no further one */
char	*csv_next(char **rest);

#endif
