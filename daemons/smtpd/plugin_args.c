/* daemons/smtpd/plugin_args.c - arguments of built-in plugins */
#include "plugin_args.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <util/buf.h>
#include <util/mem.h>
#include <util/units.h>

/* plugin_args_word - place of value in a list of words; -1: it is not there */
static int
plugin_args_word(const char *words, const char *value)
{
	size_t	n, len = strlen(value);
	int	place = 0;

	for (const char *p = words; *p != 0; p += n, p += strspn(p, " "), place++) {
		n = strcspn(p, " ");
		if (n == len && strncasecmp(p, value, n) == 0)
			return place;
	}
	return -1;
}

static bool
plugin_args_set(char *at, const struct plugin_arg *a, const char *value)
{
	int64_t n = 0;
	int	place;

	switch (a->kind) {
	case PLUGIN_ARG_YES:
		*(bool *) (void *) at = strcmp(value, "1") == 0;
		return strcmp(value, "0") == 0 || strcmp(value, "1") == 0;
	case PLUGIN_ARG_TIME:
		if (!units_time_parse(value, 's', &n) || n < a->min || (a->max != 0 && n > a->max))
			return false;
		*(int64_t *) (void *) at = n;
		return true;
	case PLUGIN_ARG_NUMBER:
		if (!units_int_parse(value, &n) || n < a->min || n > a->max)
			return false;
		*(int64_t *) (void *) at = n;
		return true;
	case PLUGIN_ARG_WORD:
		place = plugin_args_word(a->words, value);
		*(int *) (void *) at = place;
		return place >= 0;
	case PLUGIN_ARG_TEXT:
		mem_free((char **) (void *) at);
		*(char **) (void *) at = mem_strdup(value);
		return *value != 0;
	}
	return false;
}

static void
plugin_args_use(const struct plugin_arg *a, struct buf *b)
{
	char	min[32], max[32];

	switch (a->kind) {
	case PLUGIN_ARG_YES:
		buf_adds(b, "0 or 1");
		break;
	case PLUGIN_ARG_TIME:
		buf_addf(b, "a time%s%s", a->max != 0 ? " from " : "", a->max != 0 ? units_time_print(min, a->min) : "");
		if (a->max != 0)
			buf_addf(b, " to %s", units_time_print(max, a->max));
		break;
	case PLUGIN_ARG_NUMBER:
		buf_addf(b, "a number from %lld to %lld", (long long) a->min, (long long) a->max);
		break;
	case PLUGIN_ARG_WORD:
		buf_addf(b, "one of: %s", a->words);
		break;
	case PLUGIN_ARG_TEXT:
		buf_adds(b, "a value");
		break;
	}
}

int
plugin_args_parse(void *to, const struct plugin_arg *args, size_t n, int argc, char **argv, struct vh_err *err)
{
	struct buf use = BUF_INIT(1000);
	size_t	a;
	int	ret = 0;

	for (int i = 1; i < argc && ret == 0; i += 2) {
		for (a = 0; a < n && strcasecmp(args[a].name, argv[i]) != 0; a++)
			;
		if (a == n) {
			for (a = 0; a < n; a++)
				buf_addf(&use, "%s%s", a > 0 ? ", " : "", args[a].name);
			ret = vh_error(err, "%s: no such argument; use %s", argv[i], buf_str(&use));
		} else if (i + 1 == argc || !plugin_args_set((char *) to + args[a].offset, &args[a], argv[i + 1])) {
			plugin_args_use(&args[a], &use);
			ret = vh_error(err, "%s %s: use %s", argv[i], i + 1 < argc ? argv[i + 1] : "", buf_str(&use));
		}
	}
	buf_fini(&use);
	return ret;
}
