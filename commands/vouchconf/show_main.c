/* commands/vouchconf/show_main.c - list parameters of main.cf */
#include "vouchconf.h"

#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <global/params.h>

#define SHOW_ERROR_MAX	4096		/* bytes of one complaint */

/* show_one - one parameter; -1 when it cannot be expanded (said) */
static int
show_one(const struct conf *c, const char *name)
{
	struct buf text = BUF_INIT(PARAMS_VALUE_MAX), out = BUF_INIT(PARAMS_VALUE_MAX), why = BUF_INIT(SHOW_ERROR_MAX);
	const struct main_cf_entry *e = main_cf_get(c->cf, name);
	const struct params_row *row = params_find(name);
	int	ret = 0;

	if (e != NULL)
		buf_adds(&text, e->value);
	else if (row != NULL)
		params_default(row, c->cf, &text);
	else
		buf_adds(&text, "0");		/* NAME_prefork_limit */
	if (!c->expand)
		print_row(c, name, buf_str(&text));
	else if ((ret = params_expand(c->cf, buf_str(&text), &out, &why)) == 0)
		print_row(c, name, buf_str(&out));
	else if (e != NULL && e->line > 0)
		conf_fatal("%s, line %u: parameter %s: %s", main_cf_path(c->cf), e->line, name, buf_str(&why));
	else
		conf_fatal("parameter %s: %s", name, buf_str(&why));
	buf_fini(&text);
	buf_fini(&out);
	buf_fini(&why);
	return ret;
}

/* show_all_names - what is listed without names on the command line, as a dictionary */
static struct main_cf *
show_all_names(const struct conf *c)
{
	struct main_cf *all = main_cf_new();

	if (!c->only_set)
		for (size_t i = 0; i < params_count; i++)
			main_cf_set(all, params_table[i].name, "");
	for (const struct main_cf_entry *e = NULL; (e = main_cf_next(c->cf, e)) != NULL; )
		if (names_shown(c, e->name) && !names_readonly(e->name) &&
		    (c->dir_given || strcmp(e->name, "config_directory") != 0))
			main_cf_set(all, e->name, "");
	return all;
}

int
show_main(const struct conf *c, char **names, size_t n)
{
	struct main_cf *all;
	int	ret = CONF_OK;

	for (size_t i = 0; i < n; i++) {
		if (!(c->defaults ? names_known(c, names[i]) : names_shown(c, names[i])))
			msg_warn("%s: unknown parameter", names[i]);
		else if ((!c->only_set || main_cf_get(c->cf, names[i]) != NULL) && show_one(c, names[i]) < 0)
			ret = CONF_FAILED;
	}
	if (n > 0)
		return ret;
	all = show_all_names(c);
	for (const struct main_cf_entry *e = NULL; (e = main_cf_next(all, e)) != NULL; )
		if (show_one(c, e->name) < 0)
			ret = CONF_FAILED;
	main_cf_free(&all);
	return ret;
}
