/* commands/vouchconf/edit_main.c - change main.cf */
#include "vouchconf.h"

#include <errno.h>
#include <string.h>

#include <util/fileedit.h>
#include <util/mem.h>
#include <util/msg.h>
#include <global/params.h>

char *
edit_trim(char *s)
{
	static const char blank[] = " \t\r\n\v\f";
	size_t	len;

	s += strspn(s, blank);
	for (len = strlen(s); len > 0 && strchr(blank, s[len - 1]) != NULL; len--)
		;
	s[len] = 0;
	return s;
}

int
edit_argument(char *arg, enum main_cf_edit_op op, const char **name_r, const char **value_r)
{
	char   *equal = strchr(arg, '=');
	const char *problem = NULL;

	if (strpbrk(arg, "\r\n") != NULL)
		problem = "more than one line; give one line";
	else if (*edit_trim(arg) == '#')
		problem = "looks like a comment; edit the file for that";
	else if (op != MAIN_CF_SET && equal != NULL)
		problem = "has a value; give the name alone with -X or -#, or use -e";
	else if (op == MAIN_CF_SET && equal == NULL)
		problem = "missing '=' after attribute name";
	if (problem != NULL) {
		conf_fatal("\"%s\": %s", arg, problem);
		return CONF_USAGE;
	}
	*value_r = NULL;
	if (equal != NULL) {
		*equal = 0;
		*value_r = edit_trim(equal + 1);
	}
	*name_r = edit_trim(arg);
	if (**name_r == 0) {
		conf_fatal("missing attribute name%s%s", *value_r != NULL ? " before =" : "", *value_r != NULL ? *value_r : "");
		return CONF_USAGE;
	}
	return CONF_OK;
}

bool
edit_refused(const struct main_cf *cf, const char *name)
{
	const struct params_row *row = params_find(name);
	struct buf why = BUF_INIT(4096);
	bool	bad = row != NULL && params_test(cf, row, &why) < 0;

	if (bad)
		conf_fatal("nothing is changed: %s", buf_str(&why));
	buf_fini(&why);
	return bad;
}

/* edit_main_requests - the command line as edits, each name once
 * returns   CONF_OK or CONF_USAGE (said) */
static int
edit_main_requests(enum main_cf_edit_op op, char **args, size_t n, struct main_cf_edit *edits, size_t *nedits_r)
{
	struct main_cf_edit e;
	size_t	have = 0, i;
	int	ret;

	for (size_t arg = 0; arg < n; arg++) {
		if ((ret = edit_argument(args[arg], op, &e.name, &e.value)) != CONF_OK)
			return ret;
		if (strpbrk(e.name, " \t") != NULL) {
			conf_fatal("\"%s\": a name has no blanks", e.name);
			return CONF_USAGE;
		}
		for (i = 0; i < have && strcmp(edits[i].name, e.name) != 0; i++)
			;
		if (i < have && op == MAIN_CF_SET)
			msg_warn("ignoring earlier request: '%s = %s'", e.name, edits[i].value);
		edits[i] = e;
		have += i == have;
	}
	*nedits_r = have;
	return CONF_OK;
}

/* edit_main_check - test the new values in the text they will be in; true when one is bad (said) */
static bool
edit_main_check(const struct conf *c, const char *path, const struct buf *text, const struct main_cf_edit *edits, size_t n)
{
	struct buf why = BUF_INIT(4096);
	struct main_cf *cf = main_cf_parse(path, buf_str(text), text->len, conf_quiet, NULL, &why);
	bool	bad = false;

	if (cf == NULL) {
		/* the file was broken before; this edit may be on the way to mend it */
		msg_warn("%s", buf_str(&why));
		cf = main_cf_new();
		for (size_t i = 0; i < n; i++)
			main_cf_set(cf, edits[i].name, edits[i].value);
	}
	main_cf_set(cf, "config_directory", c->dir);
	for (size_t i = 0; i < n; i++)
		bad |= edit_refused(cf, edits[i].name);
	main_cf_free(&cf);
	buf_fini(&why);
	return bad;
}

int
edit_main(const struct conf *c, enum main_cf_edit_op op, char **args, size_t n)
{
	struct buf text = BUF_INIT(MAIN_CF_FILE_MAX), out = BUF_INIT(MAIN_CF_FILE_MAX), why = BUF_INIT(4096);
	struct main_cf_edit *edits = mem_array(n, sizeof *edits);
	char   *path = mem_printf("%s/main.cf", c->dir);
	struct fileedit *f = NULL;
	size_t	nedits = 0;
	int	ret = edit_main_requests(op, args, n, edits, &nedits);

	if (ret != CONF_OK)
		goto out;
	ret = CONF_FAILED;
	if ((f = fileedit_open(path, &text, EDIT_WAIT_MS, &why)) == NULL) {
		ret = errno == EWOULDBLOCK ? CONF_LATER : CONF_FAILED;
		conf_fatal("%s", buf_str(&why));
	} else if (main_cf_edit(&out, path, buf_str(&text), text.len, op, edits, nedits, conf_warn, NULL) < 0)
		conf_fatal("%s would become larger than %u bytes", path, MAIN_CF_FILE_MAX);
	else if (op == MAIN_CF_SET && edit_main_check(c, path, &out, edits, nedits))
		;				/* said */
	else if (out.len == text.len && memcmp(buf_str(&out), buf_str(&text), out.len) == 0)
		ret = CONF_OK;
	else if (fileedit_commit(&f, buf_str(&out), out.len, &why) < 0)
		conf_fatal("%s", buf_str(&why));
	else
		ret = CONF_OK;
out:
	fileedit_abandon(&f);
	buf_fini(&text);
	buf_fini(&out);
	buf_fini(&why);
	mem_free(&edits);
	mem_free(&path);
	return ret;
}
