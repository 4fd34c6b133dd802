/* util/csv.c - comma-separated values as RFC 4180 has them, one record at a time */
#include <util/csv.h>

#include <stdbool.h>
#include <string.h>

void
csv_put(struct buf *b, const char *s)
{
	size_t	n;

	if (strpbrk(s, ",\"\r\n") == NULL) {
		buf_adds(b, s);
		return;
	}
	buf_addc(b, '"');
	for (; *s != 0; s += n) {
		n = *s == '"' ? 1 : strcspn(s, "\"");
		buf_add(b, s, n);
		if (*s == '"')
			buf_addc(b, '"');
	}
	buf_addc(b, '"');
}

size_t
csv_end(const char *data, size_t n)
{
	bool	quoted = false, begin = true;

	for (size_t i = 0; i < n; i++) {
		char	c = data[i];

		if (quoted) {
			if (c == '"' && i + 1 < n && data[i + 1] == '"')
				i++;
			else if (c == '"')
				quoted = false;
			continue;
		}
		if (c == '\n')
			return i + 1;
		quoted = begin && c == '"';
		begin = c == ',';
	}
	return 0;
}

char *
csv_next(char **rest)
{
	char   *from = *rest, *to = *rest, *field = *rest;
	bool	quoted;

	if (field == NULL)
		return NULL;
	if ((quoted = *from == '"'))
		from++;
	for (; *from != 0 && (quoted || *from != ','); from++) {
		if (quoted && *from == '"') {
			if (from[1] == '"')
				from++;
			else {
				quoted = false;		/* what follows it up to the comma is taken as it is */
				continue;
			}
		}
		*to++ = *from;
	}
	*rest = *from == ',' ? from + 1 : NULL;
	*to = 0;
	return field;
}
