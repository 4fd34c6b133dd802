/* tests/fuzz/master_cf_fuzz.c - any bytes as master.cf */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <util/mem.h>
#include <global/master_cf.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
fuzz_warn(void *ctx, const char *text)
{
	(void) ctx;
	if (strlen(text) == 0)
		abort();
}

static void
fuzz_entry(const struct master_cf_entry *e)
{
	enum master_cf_type type;

	if (e->line == 0 || e->wakeup_s < 0 || e->maxproc < -1 || (e->type == MASTER_INET && e->is_private))
		abort();
	if (!master_cf_type_find(master_cf_type_name(e->type), &type) || type != e->type)
		abort();
	for (size_t i = 0; i < NELEM(e->field); i++)
		if (*e->field[i] == 0 || strpbrk(e->field[i], " \t\r\n") != NULL)
			abort();
	for (size_t i = 0; i < e->argc; i++)
		if (e->argv[i] == NULL)
			abort();
	if (e->argv[e->argc] != NULL || strcmp(e->name, e->field[0]) != 0 || strcmp(e->command, e->field[7]) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf why = BUF_INIT(1 << 20);
	struct master_cf list;
	const struct master_cf_entry *e;
	unsigned line = 0;

	if (master_cf_parse(&list, "master.cf", (const char *) data, n, fuzz_warn, NULL, &why) < 0) {
		if (why.len == 0 || !TAILQ_EMPTY(&list))
			abort();
	}
	TAILQ_FOREACH(e, &list, link) {
		if (e->line <= line)
			abort();
		line = e->line;
		fuzz_entry(e);
	}
	master_cf_free(&list);
	buf_fini(&why);
	return 0;
}
