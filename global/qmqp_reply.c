/* global/qmqp_reply.c - bytes of a QMQP server -> its answer */
#include "qmqp_reply.h"

/* qmqp_reply_byte - one byte of the answer */
static void
qmqp_reply_byte(struct qmqp_reply *r, char c)
{
	if (r->got++ == 0)
		r->code = c;
	else if (r->text_len < QMQP_REPLY_TEXT_MAX)
		r->text[r->text_len++] = c == '\n' || c == '\r' || c == '\t' ? ' ' : c < ' ' || c > '~' ? '?' : c;
}

enum qmqp_reply_result
qmqp_reply_feed(struct qmqp_reply *r, const char *p, size_t n)
{
	for (; n > 0; p++, n--)
		if (!r->in_data) {
			if (*p >= '0' && *p <= '9' && r->len <= QMQP_REPLY_LEN_MAX && !(r->digits == 1 && r->len == 0)) {
				r->len = r->len * 10 + (size_t) (*p - '0');
				r->digits++;
			} else if (*p == ':' && r->digits > 0 && r->len > 0 && r->len <= QMQP_REPLY_LEN_MAX)
				r->in_data = true;
			else
				return QMQP_REPLY_BAD;
		} else if (r->got < r->len)
			qmqp_reply_byte(r, *p);
		else {
			while (r->text_len > 0 && r->text[r->text_len - 1] == ' ')
				r->text_len--;
			r->text[r->text_len] = 0;
			return *p == ',' ? QMQP_REPLY_DONE : QMQP_REPLY_BAD;
		}
	return QMQP_REPLY_MORE;
}
