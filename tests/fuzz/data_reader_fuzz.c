/* tests/fuzz/data_reader_fuzz.c - a message after DATA: the same in any cut, and what a plain reading of the rules says
 * The first byte is the size of the pieces, its lowest bit normalize.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <daemons/smtpd/data_reader.h>
#include <util/buf.h>

#define MESSAGE_MAX	8192

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static enum data_result
feed(const char *text, size_t len, size_t piece, bool normalize, struct buf *out, size_t *used_r)
{
	struct data_reader r;
	enum data_result result = DATA_MORE;
	const char *p, *part;
	size_t	n, part_n, at = 0;
	char   *copy;

	data_reader_init(&r, normalize);
	while (at < len && result == DATA_MORE) {
		n = len - at < piece ? len - at : piece;
		if ((p = copy = malloc(n)) == NULL)
			abort();
		memcpy(copy, text + at, n);
		while ((result = data_reader_next(&r, &p, &n, &part, &part_n)) == DATA_PART)
			buf_add(out, part, part_n);
		at += (size_t) (p - copy);
		free(copy);
	}
	*used_r = at;
	return result;
}

/* plain - line by line; strict only */
static enum data_result
plain(const char *text, size_t len, struct buf *out, size_t *used_r)
{
	size_t	line = 0, i;

	for (i = 0; i < len; i++) {
		if (text[i] == '\n')
			return DATA_BARE_LF;
		if (text[i] != '\r')
			continue;
		if (i + 1 == len)
			break;
		if (text[i + 1] != '\n')
			return DATA_BARE_CR;
		*used_r = i + 2;
		if (i - line == 1 && text[line] == '.')
			return DATA_END;
		line += text[line] == '.';
		buf_add(out, text + line, i + 2 - line);
		line = ++i + 1;
	}
	return DATA_MORE;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf one = BUF_INIT(3 * MESSAGE_MAX), two = BUF_INIT(3 * MESSAGE_MAX), three = BUF_INIT(3 * MESSAGE_MAX);
	const char *text = (const char *) data + 1;
	enum data_result a, b, c;
	size_t	used_a, used_b, used_c = 0;
	bool	normalize;

	if (n < 1 || n > MESSAGE_MAX)
		return 0;
	normalize = data[0] & 1;
	a = feed(text, n - 1, n, normalize, &one, &used_a);
	b = feed(text, n - 1, 1 + data[0] / 2, normalize, &two, &used_b);
	if (a != b || one.len != two.len || memcmp(buf_str(&one), buf_str(&two), one.len) != 0 || (a == DATA_END && used_a != used_b))
		abort();
	if (normalize) {
		if (a == DATA_BARE_CR || a == DATA_BARE_LF)
			abort();
		if (a == DATA_END && !(used_a == 3 || (used_a >= 5 && memcmp(text + used_a - 5, "\r\n.\r\n", 5) == 0)))
			abort();
	} else {
		c = plain(text, n - 1, &three, &used_c);
		if (a != c || (a == DATA_END && (used_a != used_c || one.len != three.len ||
		    memcmp(buf_str(&one), buf_str(&three), one.len) != 0)))
			abort();
	}
	/* what came out has no line end but CR LF */
	for (size_t i = 0; a == DATA_END && i < one.len; i++)
		if ((one.data[i] == '\n' && (i == 0 || one.data[i - 1] != '\r')) ||
		    (one.data[i] == '\r' && (i + 1 == one.len || one.data[i + 1] != '\n')))
			abort();
	buf_fini(&one);
	buf_fini(&two);
	buf_fini(&three);
	return 0;
}
