/* commands/vouch/bulk_input.c - a list of addresses, in pieces as they are read */
#include "bulk_input.h"

#include <string.h>
#include <strings.h>

#include <util/csv.h>
#include <util/json_in.h>
#include <util/mem.h>
#include <util/units.h>
#include <util/utf8.h>

#define BULK_SHOWN_MAX	200		/* bytes of a record that is no good, in the output */

/* names that say "here is the address", the best first */
static const char *const bulk_names[] = { "address", "email", "e-mail", "mail", "recipient", NULL };

void
bulk_input_init(struct bulk_input *in, enum bulk_form form, const char *column)
{
	*in = (struct bulk_input) { .form = form, .column = column, .line = 1 };
	buf_init(&in->data, 2 * BULK_RECORD_MAX + 1);	/* one record at most is left when more is fed */
	buf_init(&in->record, BULK_RECORD_MAX + 1);
}

void
bulk_input_fini(struct bulk_input *in)
{
	buf_fini(&in->data);
	buf_fini(&in->record);
}

void
bulk_input_feed(struct bulk_input *in, const char *data, size_t n)
{
	in->eof = n == 0;
	buf_drop(&in->data, in->pos);
	in->pos = 0;
	buf_add(&in->data, data, n);
}

/* records */

/* bulk_input_line - bytes of the line at pos, its end included; 0: its end is not there yet */
static size_t
bulk_input_line(const struct bulk_input *in)
{
	size_t	left = in->data.len - in->pos;
	const char *begin = left > 0 ? in->data.data + in->pos : NULL, *end = left > 0 ? memchr(begin, '\n', left) : NULL;

	return end != NULL ? (size_t) (end - begin) + 1 : in->eof ? left : 0;
}

/* bulk_input_size - bytes of the record at pos; 0: its end is not there yet. A quoted field that does not end within
 * reason is a mistake of its first line alone. */
static size_t
bulk_input_size(const struct bulk_input *in)
{
	size_t	line = bulk_input_line(in), left = in->data.len - in->pos, record;

	if (in->form != BULK_CSV || line == 0)
		return line;
	record = csv_end(in->data.data + in->pos, left);
	if (record == 0)
		return in->eof || left > BULK_RECORD_MAX ? line : 0;
	return record <= BULK_RECORD_MAX ? record : line;
}

/* bulk_input_skip - the rest of a line that is too long; false: its end is not there yet */
static bool
bulk_input_skip(struct bulk_input *in)
{
	size_t	n = bulk_input_line(in);

	in->skipping = n == 0 && !in->eof;
	in->pos = n > 0 ? in->pos + n : in->data.len;
	in->line += n > 0;
	return !in->skipping;
}

/* bulk_input_copy - what stands at pos, as a string without its line end; a NUL byte becomes another that no address has */
static char *
bulk_input_copy(struct bulk_input *in, size_t n)
{
	const char *from = in->data.data + in->pos;

	if (n > 0 && from[n - 1] == '\n')
		n--;
	if (n > 0 && from[n - 1] == '\r')
		n--;
	buf_reset(&in->record);
	buf_add(&in->record, from, n);
	buf_addc(&in->record, 0);
	for (size_t i = 0; i < n; i++)
		if (in->record.data[i] == 0)
			in->record.data[i] = 1;
	return in->record.data;
}

/* what the first record tells */

static void
bulk_input_guess(struct bulk_input *in, const char *text)
{
	size_t	n = strlen(text);
	char   *copy, *rest;

	if (text[strspn(text, " \t")] == '{') {
		in->form = BULK_JSON;
		return;
	}
	rest = copy = mem_strdup(text);
	csv_next(&rest);
	/* quotes may also be part of an address, but not around all of it */
	in->form = in->column != NULL || rest != NULL || (n > 1 && text[0] == '"' && text[n - 1] == '"') ? BULK_CSV : BULK_LINES;
	mem_free(&copy);
}

/* bulk_input_csv_header - find the column; 1: this record is a header, 0: it is not, -1: the column is not in it */
static int
bulk_input_csv_header(struct bulk_input *in, const char *text)
{
	const char *const one[] = { in->column, NULL }, *const *names = in->column != NULL ? one : bulk_names;
	char   *copy = mem_strdup(text), *rest = copy, *field;
	size_t	best = SIZE_MAX;
	int64_t number;
	bool	at = false, by_number = in->column != NULL && units_int_parse(in->column, &number) && number > 0;

	in->field = by_number ? (size_t) number - 1 : 0;
	for (size_t i = 0; (field = csv_next(&rest)) != NULL; i++) {
		field += strspn(field, " \t");
		at = at || strchr(field, '@') != NULL;
		for (size_t rank = 0; !by_number && names[rank] != NULL && rank < best; rank++)
			if (strcasecmp(field, names[rank]) == 0) {
				best = rank;
				in->field = i;
			}
	}
	mem_free(&copy);
	if (in->column != NULL && !by_number)
		return best == SIZE_MAX ? -1 : 1;
	return best != SIZE_MAX || !at;
}

static int
bulk_input_header(struct bulk_input *in, const char *text)
{
	in->begun = true;
	if (in->form == BULK_CSV)
		return bulk_input_csv_header(in, text);
	for (size_t i = 0; in->form == BULK_LINES && bulk_names[i] != NULL; i++)
		if (strcasecmp(text, bulk_names[i]) == 0)
			return 1;
	return 0;
}

/* one record */

/* bulk_input_check - NULL, or why this is no address to ask for; everything else is the verify service's to judge */
static const char *
bulk_input_check(const char *addr)
{
	size_t	n = strlen(addr);
	const char *at = strrchr(addr, '@');

	if (n == 0)
		return "no address";
	for (const char *p = addr; *p != 0; p++)
		if ((unsigned char) *p < 0x20 || *p == 0x7f)
			return "a control character";
	if (!utf8_valid(addr, n))
		return "not UTF-8";
	if (at == NULL)
		return "no @";
	return at == addr ? "nothing before the @" : at[1] == 0 ? "nothing after the @" : NULL;
}

/* bulk_input_field - the address's place in the record, which is changed; why_r: not set unless there is none */
static char *
bulk_input_field(struct bulk_input *in, char *text, const char **why_r)
{
	const char *const one[] = { in->column, NULL };
	struct buf value = BUF_INIT(BULK_RECORD_MAX);
	char   *field = text, *rest = text;

	switch (in->form) {
	case BULK_GUESS:
	case BULK_LINES:
		break;
	case BULK_CSV:
		for (size_t i = 0; i <= in->field && field != NULL; i++)
			field = csv_next(&rest);
		if (field == NULL)
			*why_r = "too few fields";
		break;
	case BULK_JSON:
		switch (json_member(text, strlen(text), in->column != NULL ? one : bulk_names, &value)) {
		case JSON_IN_OK:		/* never longer than the text it comes from */
			memcpy(text, buf_str(&value), value.len + 1);
			break;
		case JSON_IN_ABSENT:
			*why_r = "no address in this object";
			break;
		case JSON_IN_TYPE:
			*why_r = "the address is no string";
			break;
		case JSON_IN_BAD:
			*why_r = "not a JSON object";
			break;
		}
		break;
	}
	buf_fini(&value);
	return field;
}

static void
bulk_input_malformed(struct bulk_record *r, char *text, const char *why)
{
	size_t	n = strlen(text);

	utf8_sanitise(text, n, true);
	text[utf8_cut(text, n, BULK_SHOWN_MAX)] = 0;
	r->addr = text;
	r->why = why;
}

static void
bulk_input_parse(struct bulk_input *in, char *text, struct bulk_record *r)
{
	char   *copy = mem_strdup(text), *field;
	size_t	n;

	r->why = NULL;
	if ((field = bulk_input_field(in, text, &r->why)) != NULL && r->why == NULL) {
		field += strspn(field, " \t");
		for (n = strlen(field); n > 0 && strchr(" \t", field[n - 1]) != NULL; n--)
			field[n - 1] = 0;
		r->addr = field;
		r->why = bulk_input_check(field);
	}
	if (r->why != NULL && field != NULL && *field != 0)
		bulk_input_malformed(r, field, r->why);
	else if (r->why != NULL) {			/* no field to show: the whole record */
		memcpy(text, copy, strlen(copy) + 1);
		bulk_input_malformed(r, text, r->why);
	}
	mem_free(&copy);
}

enum bulk_input_result
bulk_input_next(struct bulk_input *in, struct bulk_record *r)
{
	static const char bom[] = "\xef\xbb\xbf";
	size_t	size, left;
	char   *text;
	int	header;

	for (;;) {
		if (in->skipping && !bulk_input_skip(in))
			return BULK_INPUT_MORE;
		left = in->data.len - in->pos;
		size = bulk_input_size(in);
		r->line = in->line;
		if (size == 0 && left <= BULK_RECORD_MAX)
			return in->eof ? BULK_INPUT_END : BULK_INPUT_MORE;
		if (size == 0 || size > BULK_RECORD_MAX) {
			bulk_input_malformed(r, bulk_input_copy(in, BULK_SHOWN_MAX), "the line is too long");
			in->skipping = true;
			return BULK_INPUT_RECORD;
		}
		text = bulk_input_copy(in, size);
		if (in->line == 1 && strncmp(text, bom, 3) == 0)
			text += 3;
		if (in->form == BULK_GUESS && text[strspn(text, " \t")] != 0) {
			bulk_input_guess(in, text);
			continue;		/* the record may have another size now */
		}
		for (size_t i = 0; i < size; i++)
			in->line += in->data.data[in->pos + i] == '\n';
		in->pos += size;
		if (text[strspn(text, " \t\r\n")] == 0)
			continue;		/* an empty line is no record */
		if (!in->begun && (header = bulk_input_header(in, text)) != 0) {
			if (header < 0)
				return BULK_INPUT_NO_COLUMN;
			continue;
		}
		bulk_input_parse(in, text, r);
		return BULK_INPUT_RECORD;
	}
}
