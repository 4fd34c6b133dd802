/* global/reason_detail.c - what a client may see of a result's text */
#include "reason_detail.h"

#include <ctype.h>
#include <string.h>

enum reason_detail
reason_detail_find(const char *value)
{
	return strcmp(value, "code") == 0 ? REASON_DETAIL_CODE :
	    strcmp(value, "fixed") == 0 ? REASON_DETAIL_FIXED : REASON_DETAIL_FULL;
}

/* reason_detail_code - the SMTP reply code and enhanced status code in a text, "" when there is none
 * e.g. "host mx[192.0.2.1] said: 550 5.1.1 No such user (in reply to RCPT TO command)" -> "550 5.1.1" */
static void
reason_detail_code(const char *text, char *code, size_t size)
{
	size_t	n;

	code[0] = 0;
	for (const char *p = text; *p != 0; p += strcspn(p, " "), p += strspn(p, " ")) {
		if (strspn(p, "0123456789") != 3 || strchr("245", p[0]) == NULL || strchr(" -", p[3]) == NULL)
			continue;
		n = 3;
		if (p[3] != 0 && isdigit((unsigned char) p[4]) && p[5] == '.')
			n = 4 + strspn(p + 4, "0123456789.");
		if (n >= size)
			return;
		memcpy(code, p, n);
		code[n] = 0;
		if (n > 3)
			code[3] = ' ';
		return;
	}
}

const char *
reason_detail_text(enum reason_detail detail, enum verify_status status, const char *text, char *buf, size_t size)
{
	static const char *const fixed[VERIFY_STATUSES] = {
		[VERIFY_OK] = "Address accepts mail",
		[VERIFY_DEFER] = "Address status is temporarily unknown",
		[VERIFY_BOUNCE] = "Address does not accept mail",
		[VERIFY_TODO] = VERIFY_TODO_TEXT,
	};

	switch (detail) {
	case REASON_DETAIL_FULL:
		return text;
	case REASON_DETAIL_CODE:
		reason_detail_code(text, buf, size);
		return buf[0] != 0 ? buf : fixed[status];
	case REASON_DETAIL_FIXED:
		break;
	}
	return fixed[status];
}
