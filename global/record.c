/* global/record.c - Postfix's queue-file records */
#include "record.h"

#include <string.h>

#define RECORD_DATA_MAX	(((size_t) 1 << (7 * RECORD_LEN_BYTES_MAX)) - 1)

void
record_put(struct buf *b, int type, const void *data, size_t n)
{
	unsigned char head[1 + RECORD_LEN_BYTES_MAX];
	size_t	rest = n, k = 0;
	char   *to;

	if (n > RECORD_DATA_MAX) {
		buf_refuse(b);
		return;
	}
	head[k++] = (unsigned char) type;
	do {
		head[k] = rest & 0x7f;
		rest >>= 7;
		if (rest > 0)
			head[k] |= 0x80;
		k++;
	} while (rest > 0);
	if ((to = buf_room(b, k + n)) == NULL)		/* whole or not at all */
		return;
	memcpy(to, head, k);
	if (n > 0)
		memcpy(to + k, data, n);
	buf_grew(b, k + n);
}

void
record_puts(struct buf *b, int type, const char *s)
{
	record_put(b, type, s, strlen(s));
}

void
record_putf(struct buf *b, int type, const char *fmt, ...)
{
	struct buf text = BUF_INIT(RECORD_DATA_MAX);
	va_list ap;
	int	bad;

	va_start(ap, fmt);
	bad = buf_addv(&text, fmt, ap);
	va_end(ap);
	if (bad < 0)
		buf_refuse(b);
	else
		record_put(b, type, buf_str(&text), text.len);
	buf_fini(&text);
}

enum record_result
record_get(const char *p, size_t n, size_t max, struct record *rec, size_t *used_r)
{
	const unsigned char *u = (const unsigned char *) p;
	size_t	len = 0, k = 1;
	unsigned shift = 0;

	for (;; k++, shift += 7) {
		if (k > RECORD_LEN_BYTES_MAX)
			return RECORD_BAD;		/* the last byte allowed says that more follow */
		if (k >= n)
			return RECORD_MORE;
		len |= (size_t) (u[k] & 0x7f) << shift;
		if ((u[k] & 0x80) == 0)
			break;
	}
	k++;
	if (len > max)
		return RECORD_BAD;
	if (len > n - k)				/* k <= n */
		return RECORD_MORE;
	rec->type = u[0];
	rec->data = p + k;
	rec->len = len;
	*used_r = k + len;
	return RECORD_OK;
}
