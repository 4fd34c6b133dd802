/* tests/fuzz/list_fuzz.c - files of addresses: JSON and CSV of unknown origin
 * What must hold: reading stays inside; a string taken out of an object can be written and taken out again; the fields of a
 * record, written again, are the same fields.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <util/csv.h>
#include <util/json_in.h>
#include <util/json_out.h>
#include <util/mem.h>
#include <util/utf8.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define MUST(x)	do { if (!(x)) abort(); } while (0)

static const char *const names[] = { "address", "email", NULL };

static void
list_fuzz_json(const char *p, size_t n)
{
	struct buf value = BUF_INIT(4096), text = BUF_INIT(1 << 20), again = BUF_INIT(4096);

	if (json_member(p, n, names, &value) == JSON_IN_OK) {
		MUST(!value.full && strlen(buf_str(&value)) == value.len && utf8_valid(buf_str(&value), value.len));
		json_open(&text, NULL, '{');
		json_put_str(&text, "address", buf_str(&value));
		json_close(&text, '}');
		MUST(json_member(text.data, text.len, names, &again) == JSON_IN_OK);
		MUST(strcmp(buf_str(&value), buf_str(&again)) == 0);
	}
	buf_fini(&value);
	buf_fini(&text);
	buf_fini(&again);
}

static void
list_fuzz_record(const char *p, size_t n)
{
	char   *copy = mem_strndup(p, n), *again, *rest = copy, *rest2, *field, *field2;
	struct buf text = BUF_INIT(8u << 20);
	int	n_fields = 0;

	while ((field = csv_next(&rest)) != NULL) {
		if (n_fields++ > 0)
			buf_addc(&text, ',');
		csv_put(&text, field);
		MUST(field >= copy && field + strlen(field) <= copy + n);
		MUST(rest == NULL || rest <= copy + n);
	}
	free(copy);
	copy = mem_strndup(p, n);
	again = mem_strdup(buf_str(&text));
	rest = copy;
	rest2 = again;
	while ((field = csv_next(&rest)) != NULL) {
		field2 = csv_next(&rest2);
		MUST(field2 != NULL && strcmp(field, field2) == 0);
	}
	MUST(csv_next(&rest2) == NULL);
	free(copy);
	free(again);
	buf_fini(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *) data;
	size_t	end;

	list_fuzz_json(p, n);
	while ((end = csv_end(p, n)) > 0) {
		MUST(end <= n && p[end - 1] == '\n');
		list_fuzz_record(p, end - 1);
		p += end;
		n -= end;
	}
	list_fuzz_record(p, n);
	return 0;
}
