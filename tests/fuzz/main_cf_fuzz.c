/* tests/fuzz/main_cf_fuzz.c - any bytes as main.cf: read, evaluated, edited
 * An edit must leave a file in which the edited name has the new value, and all others what they had.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <global/main_cf.h>
#include <global/main_cf_edit.h>
#include <global/params.h>

#define FUZZ_WHY	(1u << 20)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
fuzz_warn(void *ctx, const char *text)
{
	(void) ctx;
	if (strlen(text) == 0)
		abort();
}

static struct main_cf *
fuzz_parse(const char *text, size_t n)
{
	struct buf why = BUF_INIT(FUZZ_WHY);
	struct main_cf *cf = main_cf_parse("main.cf", text, n, fuzz_warn, NULL, &why);

	if ((cf == NULL) != (why.len > 0))
		abort();			/* a failure has a reason */
	buf_fini(&why);
	return cf;
}

static void
fuzz_params(const struct main_cf *cf)
{
	struct buf why = BUF_INIT(FUZZ_WHY), out = BUF_INIT(PARAMS_VALUE_MAX);
	struct params *p = params_load(cf, &why);

	if ((p == NULL) != (why.len > 0))
		abort();
	params_free(&p);
	for (const struct main_cf_entry *e = NULL; (e = main_cf_next(cf, e)) != NULL; ) {
		buf_reset(&out);
		params_eval(cf, e->name, &out, &why);
	}
	buf_fini(&why);
	buf_fini(&out);
}

/* all entries of a but for the name skip are in b, with the same value */
static void
fuzz_contains(const struct main_cf *a, const struct main_cf *b, const char *skip)
{
	const struct main_cf_entry *other;

	for (const struct main_cf_entry *e = NULL; (e = main_cf_next(a, e)) != NULL; ) {
		if (strcmp(e->name, skip) == 0)
			continue;
		if ((other = main_cf_get(b, e->name)) == NULL || strcmp(other->value, e->value) != 0)
			abort();
	}
}

static void
fuzz_edit(const struct main_cf *cf, const char *text, size_t n, const char *name, enum main_cf_edit_op op)
{
	const struct main_cf_edit edit = { name, "new value" };
	struct buf out = BUF_INIT(MAIN_CF_FILE_MAX);
	const struct main_cf_entry *e;
	struct main_cf *after;

	if (main_cf_edit(&out, "main.cf", text, n, op, &edit, 1, fuzz_warn, NULL) < 0)
		abort();
	if ((after = fuzz_parse(buf_str(&out), out.len)) == NULL)
		abort();
	e = main_cf_get(after, name);
	if (op == MAIN_CF_SET ? e == NULL || strcmp(e->value, "new value") != 0 : e != NULL)
		abort();
	fuzz_contains(cf, after, name);
	fuzz_contains(after, cf, name);
	main_cf_free(&after);
	buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *) data;
	struct main_cf *cf = fuzz_parse(text, n);
	const struct main_cf_entry *first;
	char   *name;

	if (cf == NULL)
		return 0;
	fuzz_params(cf);
	if ((first = main_cf_next(cf, NULL)) != NULL && first->name[0] != '#') {
		name = strdup(first->name);
		fuzz_edit(cf, text, n, name, MAIN_CF_SET);
		fuzz_edit(cf, text, n, name, MAIN_CF_REMOVE);
		fuzz_edit(cf, text, n, name, MAIN_CF_COMMENT);
		free(name);
	}
	fuzz_edit(cf, text, n, "not_there", MAIN_CF_SET);
	main_cf_free(&cf);
	return 0;
}
