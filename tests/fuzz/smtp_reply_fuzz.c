/* tests/fuzz/smtp_reply_fuzz.c - bytes of a server: replies, their words and class; the first byte cuts the input */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <global/smtp_class.h>
#include <global/smtp_reply.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct smtp_class_conf conf = { .policy = VERIFY_DEFER, .full = VERIFY_DEFER };
	const char *p = (const char *) data + 1, *end = (const char *) data + n;
	struct buf show = BUF_INIT(8192);
	char	words[SMTP_WORDS_MAX], dsn[12];
	struct smtp_reply r;
	struct smtp_class c;
	size_t	used, piece;

	if (n < 2)
		return 0;
	piece = data[0] + 1u;
	smtp_reply_init(&r);
	for (; p < end; p += used) {
		switch (smtp_reply_feed(&r, p, piece < (size_t) (end - p) ? piece : (size_t) (end - p), &used)) {
		case SMTP_REPLY_MORE:
			continue;
		case SMTP_REPLY_BAD:
		case SMTP_REPLY_DONE:
			break;
		}
		if (used == 0 || r.text.len > SMTP_REPLY_TEXT_MAX || r.code > 999 || strlen(buf_str(&r.text)) != r.text.len)
			abort();
		smtp_class_words(words, sizeof words, &r, NULL);
		for (enum smtp_at at = 0; at < (enum smtp_at) SMTP_ATS; at++) {
			c = smtp_class(at, &r, data[0] & 1, "mx.example.org", words, &conf, NULL);
			/* what a server says can only be a yes where we asked about the recipient */
			if (c.status == VERIFY_OK && (at < SMTP_AT_RCPT || (r.code / 100 != 2 && r.code != 354)))
				abort();
		}
		smtp_reply_show(&r, &show, data[0] & 2, data[0] & 4);
		if (strpbrk(buf_str(&show), "\r\n") != NULL)
			abort();
		smtp_reply_dsn(&r, dsn, sizeof dsn);
		buf_reset(&show);
		smtp_reply_reset(&r);
	}
	smtp_reply_fini(&r);
	buf_fini(&show);
	return 0;
}
