/* util/json_out.c - writes JSON text (RFC 8259) into a buf */

#include <inttypes.h>
#include <string.h>

#include <util/json_out.h>
#include <util/utf8.h>

void
json_str(struct buf *b, const char *s)
{
	size_t	left = strlen(s), n;

	buf_addc(b, '"');
	for (; left > 0; s += n, left -= n) {
		unsigned char c = (unsigned char) *s;

		if ((n = utf8_seq(s, left)) == 0) {
			buf_adds(b, "\\ufffd");
			n = 1;
		} else if (c == '"' || c == '\\') {
			buf_addc(b, '\\');
			buf_addc(b, c);
		} else if (c < 0x20 || c == 0x7f) {
			buf_addf(b, "\\u%04x", c);
		} else {
			buf_add(b, s, n);
		}
	}
	buf_addc(b, '"');
}

/* json_lead - comma when something stands before this member, and the member's name */
static void
json_lead(struct buf *b, const char *name)
{
	if (b->len > 0 && strchr("{[\n", b->data[b->len - 1]) == NULL)
		buf_addc(b, ',');
	if (name != NULL) {
		json_str(b, name);
		buf_addc(b, ':');
	}
}

void
json_open(struct buf *b, const char *name, char bracket)
{
	json_lead(b, name);
	buf_addc(b, bracket);
}

void
json_close(struct buf *b, char bracket)
{
	buf_addc(b, bracket);
}

void
json_put_str(struct buf *b, const char *name, const char *value)
{
	json_lead(b, name);
	json_str(b, value);
}

void
json_put_uint(struct buf *b, const char *name, uint64_t value)
{
	json_lead(b, name);
	buf_addf(b, "%" PRIu64, value);
}

void
json_put_int(struct buf *b, const char *name, int64_t value)
{
	json_lead(b, name);
	buf_addf(b, "%" PRId64, value);
}
