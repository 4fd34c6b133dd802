/* global/smtp_reply.c - bytes of an SMTP or LMTP server -> replies
 * A line's first bytes are kept apart (head), so that codes are seen also where the text is full. A line is judged
 * when it is complete; the last one decides the code, as in Postfix.
 */
#include "smtp_reply.h"

#include <string.h>

#include <util/utf8.h>

#define REPLY_KEEP	512	/* memory kept between replies: nearly every reply fits */

void
smtp_reply_init(struct smtp_reply *r)
{
	memset(r, 0, sizeof *r);
	buf_init(&r->text, SMTP_REPLY_TEXT_MAX);
}

void
smtp_reply_fini(struct smtp_reply *r)
{
	buf_fini(&r->text);
}

void
smtp_reply_reset(struct smtp_reply *r)
{
	struct buf text = r->text;

	buf_shrink(&text, REPLY_KEEP);
	memset(r, 0, sizeof *r);
	r->text = text;
}

bool
smtp_reply_partial(const struct smtp_reply *r)
{
	return r->bytes > 0;
}

static bool
smtp_reply_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* smtp_reply_dsn_len - length of the enhanced status code D.DDD.DDD at p, 0 when there is none */
static size_t
smtp_reply_dsn_len(const char *p, size_t n)
{
	size_t	i = 1, from;

	if (n < 5 || (p[0] != '2' && p[0] != '4' && p[0] != '5'))
		return 0;
	for (int part = 0; part < 2; part++) {
		if (i >= n || p[i] != '.')
			return 0;
		for (from = ++i; i < n && smtp_reply_digit(p[i]); i++)
			;
		if (i == from || i - from > 3)
			return 0;
	}
	return i == n || p[i] == ' ' ? i : 0;
}

/* smtp_reply_line_end - the line in head is complete: MORE, DONE or BAD */
static enum smtp_reply_result
smtp_reply_line_end(struct smtp_reply *r)
{
	const char *h = r->head;
	size_t	n = r->head_len, len;
	char	sep = n > 3 ? h[3] : ' ';

	if (n < 3 || !smtp_reply_digit(h[0]) || !smtp_reply_digit(h[1]) || !smtp_reply_digit(h[2]) ||
	    (sep != ' ' && sep != '-'))
		return SMTP_REPLY_BAD;
	r->code = (unsigned) ((h[0] - '0') * 100 + (h[1] - '0') * 10 + (h[2] - '0'));
	/* one that disagrees with the code says nothing; the last line that has one decides */
	if (n > 4 && (len = smtp_reply_dsn_len(h + 4, n - 4)) > 0 && len < sizeof r->dsn && h[4] == h[0]) {
		memcpy(r->dsn, h + 4, len);
		r->dsn[len] = 0;
	}
	r->lines++;
	r->head_len = r->line_len = 0;
	if (sep == ' ') {
		if (r->dsn[0] != h[0])		/* of an earlier line with another code */
			r->dsn[0] = 0;
		return SMTP_REPLY_DONE;
	}
	if (r->lines >= SMTP_REPLY_LINES_MAX)
		return SMTP_REPLY_BAD;
	return SMTP_REPLY_MORE;
}

static void
smtp_reply_byte(struct smtp_reply *r, unsigned char c)
{
	if (c < 0x20 || c == 0x7f)
		c = '?';
	if (r->line_len == 0 && r->lines > 0 && r->text.len < r->text.max)
		buf_addc(&r->text, '\n');
	if (r->head_len < sizeof r->head)
		r->head[r->head_len++] = (char) c;
	if (r->line_len < SMTP_REPLY_LINE_MAX) {
		r->line_len++;
		if (r->text.len < r->text.max)
			buf_addc(&r->text, c);
	}
}

/* smtp_reply_run - bytes of one line that need no look each; how many */
static size_t
smtp_reply_run(struct smtp_reply *r, const char *p, size_t n)
{
	size_t	run = 0, part;

	while (run < n && (unsigned char) p[run] >= 0x20 && p[run] != 0x7f)
		run++;
	if (run == 0 || run > SMTP_REPLY_BYTES_MAX - r->bytes)
		return 0;
	if (r->line_len == 0 && r->lines > 0 && r->text.len < r->text.max)
		buf_addc(&r->text, '\n');
	part = run < sizeof r->head - r->head_len ? run : sizeof r->head - r->head_len;
	memcpy(r->head + r->head_len, p, part);
	r->head_len += part;
	part = run < SMTP_REPLY_LINE_MAX - r->line_len ? run : SMTP_REPLY_LINE_MAX - r->line_len;
	r->line_len += part;
	buf_add(&r->text, p, part < r->text.max - r->text.len ? part : r->text.max - r->text.len);
	r->bytes += run;
	return run;
}

enum smtp_reply_result
smtp_reply_feed(struct smtp_reply *r, const char *data, size_t n, size_t *used_r)
{
	enum smtp_reply_result result;
	size_t	run;

	for (size_t i = 0; i < n; i++) {
		if (!r->cr && (run = smtp_reply_run(r, data + i, n - i)) > 0 && (i += run) == n)
			break;
		if (data[i] == '\n') {
			r->cr = false;
			r->bytes++;
			if ((result = smtp_reply_line_end(r)) != SMTP_REPLY_MORE) {
				*used_r = result == SMTP_REPLY_DONE ? i + 1 : n;
				return result;
			}
			continue;
		}
		if (r->bytes++ >= SMTP_REPLY_BYTES_MAX) {
			*used_r = n;
			return SMTP_REPLY_BAD;
		}
		if (r->cr)
			smtp_reply_byte(r, '\r');	/* it was in the middle of a line */
		r->cr = data[i] == '\r';
		if (!r->cr)
			smtp_reply_byte(r, (unsigned char) data[i]);
	}
	*used_r = n;
	return SMTP_REPLY_MORE;
}

const char *
smtp_reply_line(const struct smtp_reply *r, unsigned n, size_t *len_r)
{
	const char *p = buf_str(&r->text), *end;

	for (;; p = end + 1, n--) {
		end = strchr(p, '\n');
		if (n == 0)
			break;
		if (end == NULL)
			return NULL;
	}
	*len_r = end != NULL ? (size_t) (end - p) : strlen(p);
	if (*len_r <= 4) {
		*len_r = 0;
		return "";
	}
	*len_r -= 4;
	return p + 4;
}

void
smtp_reply_show(const struct smtp_reply *r, struct buf *out, bool compact, bool utf8)
{
	const char *p = buf_str(&r->text), *end;
	size_t	n, from = out->len, len;

	for (bool first = true;; first = false, p = end + 1) {
		end = strchr(p, '\n');
		n = end != NULL ? (size_t) (end - p) : strlen(p);
		if (compact && !first && n >= 4) {
			p += 4;
			n -= 4;
			if ((len = smtp_reply_dsn_len(p, n)) > 0) {
				len += len < n;		/* the blank after it */
				p += len;
				n -= len;
			}
		}
		if (!first)
			buf_addc(out, ' ');
		buf_add(out, p, n);
		if (end == NULL)
			break;
	}
	if (out->data != NULL)
		utf8_sanitise(out->data + from, out->len - from, utf8);
}

char *
smtp_reply_dsn(const struct smtp_reply *r, char *out, size_t size)
{
	unsigned class = r->code / 100;

	if (r->dsn[0] != 0)
		memcpy(out, r->dsn, strlen(r->dsn) + 1 < size ? strlen(r->dsn) + 1 : size);
	else {
		memcpy(out, "4.0.0", 6);
		if (class == 2 || class == 5)
			out[0] = (char) ('0' + class);
	}
	out[size - 1] = 0;
	return out;
}
