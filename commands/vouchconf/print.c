/* commands/vouchconf/print.c - the form of one result */
#include "vouchconf.h"

#include <stdio.h>
#include <string.h>

#include <global/db_conf.h>
#include <util/json_out.h>

#define PRINT_MAX	(4u << 20)	/* bytes of one result */

static const char print_blank[] = " \t\r\n";

void
print_word(struct buf *out, size_t width, size_t *col, const char *word, size_t len)
{
	if (*col > 0 && width > 0 && *col + len >= width) {
		buf_addf(out, "\n%*s", PRINT_INDENT, "");
		*col = PRINT_INDENT;
	} else if (*col > 0) {
		buf_addc(out, ' ');
		(*col)++;
	}
	buf_add(out, word, len);
	*col += len;
}

/* print_words - append the words of a text, one blank between them */
static void
print_words(struct buf *out, size_t width, size_t col, const char *text)
{
	size_t	len;

	for (text += strspn(text, print_blank); *text != 0; text += strspn(text, print_blank)) {
		len = strcspn(text, print_blank);
		print_word(out, width, &col, text, len);
		text += len;
	}
}

void
print_text(const struct buf *text)
{
	struct buf shown = BUF_INIT(PRINT_MAX);

	db_conf_hide(&shown, buf_str(text));
	puts(buf_str(&shown));
	buf_fini(&shown);
}

void
print_row(const struct conf *c, const char *name, const char *secret)
{
	struct buf out = BUF_INIT(PRINT_MAX), plain = BUF_INIT(PRINT_MAX), shown = BUF_INIT(PRINT_MAX);
	const char *value;

	db_conf_hide(&shown, secret);
	value = buf_str(&shown);
	if (c->json) {
		print_words(&plain, 0, 0, value);
		json_open(&out, NULL, '{');
		json_put_str(&out, name, buf_str(&plain));
		json_close(&out, '}');
	} else if (c->names_only)
		buf_adds(&out, name);
	else {
		if (!c->values_only)
			buf_addf(&out, "%s =", name);
		print_words(&out, c->fold ? PRINT_ROW_WIDTH : 0, out.len, value);
	}
	puts(buf_str(&out));
	buf_fini(&out);
	buf_fini(&plain);
	buf_fini(&shown);
}
