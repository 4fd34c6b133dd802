/* global/smtp_xclient.c - the command XCLIENT */
#include "smtp_xclient.h"

/* smtp_xclient_xtext - what could be mistaken for syntax as +XX */
static void
smtp_xclient_xtext(struct buf *line, const char *value)
{
	for (; *value != 0; value++)
		if (*value > 32 && *value < 127 && *value != '+' && *value != '=')
			buf_addc(line, *value);
		else
			buf_addf(line, "+%02X", (unsigned char) *value);
}

void
smtp_xclient_line(struct buf *line, unsigned may, const char *const value[SMTP_XCLIENT_ATTRS])
{
	static const char *const names[SMTP_XCLIENT_ATTRS] = { "NAME", "ADDR", "PORT", "PROTO", "HELO" };

	buf_adds(line, "XCLIENT");
	for (size_t i = 0; i < SMTP_XCLIENT_ATTRS; i++)
		if ((may & 1u << i) != 0) {
			buf_addf(line, " %s=", names[i]);
			if (value[i] == NULL)
				buf_adds(line, "[UNAVAILABLE]");
			else
				smtp_xclient_xtext(line, value[i]);
		}
}
