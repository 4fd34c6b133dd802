/* tests/fuzz/plugins_file_fuzz.c - the text of a plugins file */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <daemons/smtpd/plugins_file.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf why = BUF_INIT(4096);
	struct plugins_file f;

	if (plugins_file_parse(&f, (const char *) data, n, &why) < 0) {
		if (why.len == 0 || strncmp(why.data, "line ", 5) != 0)
			abort();
	} else
		for (size_t i = 0; i < f.n; i++) {
			const struct plugins_line *l = &f.line[i];

			if (l->argc < 1 || l->argv[l->argc] != NULL || strcmp(l->argv[0], l->instance) != 0 ||
			    strncmp(l->instance, l->name, strlen(l->name)) != 0 || strstr(l->name, "..") != NULL || l->name[0] == '/')
				abort();
			for (size_t j = 0; j < i; j++)
				if (strcmp(f.line[j].instance, l->instance) == 0)
					abort();
		}
	plugins_file_fini(&f);
	buf_fini(&why);
	return 0;
}
