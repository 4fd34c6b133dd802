/* global/main_cf.c - main.cf as a dictionary */
#include "main_cf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <bsd/sys/tree.h>

#include <util/cfline.h>
#include <util/mem.h>

#define MAIN_CF_SHOWN	60	/* bytes of a bad line shown in a message */

struct main_cf_node {
	struct main_cf_entry entry;	/* first, so that an entry's address is its node's */
	RB_ENTRY(main_cf_node) link;
	char   *name, *value;
};

RB_HEAD(main_cf_tree, main_cf_node);

struct main_cf {
	struct main_cf_tree tree;
	char   *path;
};

static int
main_cf_cmp(const struct main_cf_node *a, const struct main_cf_node *b)
{
	return strcmp(a->entry.name, b->entry.name);
}

RB_GENERATE_INTERNAL(main_cf_tree, main_cf_node, link, main_cf_cmp, static __attribute__((unused)))

static bool
main_cf_isblank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct main_cf_node *
main_cf_find(const struct main_cf *cf, const char *name)
{
	struct main_cf_node key = { .entry = { .name = name } };

	return RB_FIND(main_cf_tree, (struct main_cf_tree *) &cf->tree, &key);
}

static void
main_cf_put(struct main_cf *cf, const char *name, const char *value, unsigned line)
{
	struct main_cf_node *n = main_cf_find(cf, name);
	char   *copy = mem_strdup(value);	/* value may be the old one */

	if (n == NULL) {
		n = mem_alloc(sizeof *n);
		n->entry.name = n->name = mem_strdup(name);
		RB_INSERT(main_cf_tree, &cf->tree, n);
	}
	mem_free(&n->value);
	n->entry.value = n->value = copy;
	n->entry.line = line;
}

/* main_cf_split - cut "name = value" into its parts; the strings end inside text
 * returns   NULL, or what is missing */
static const char *
main_cf_split(char *text, char **name_r, char **value_r)
{
	char   *name = text, *end, *value;

	while (main_cf_isblank(*name))
		name++;
	for (end = name; *end != 0 && *end != '=' && !main_cf_isblank(*end); end++)
		;
	for (value = end; main_cf_isblank(*value); value++)
		;
	if (*value != '=')
		return "missing '=' after attribute name";
	if (end == name)
		return "missing attribute name";
	*end = 0;
	for (value++; main_cf_isblank(*value); value++)
		;
	for (end = value + strlen(value); end > value && main_cf_isblank(end[-1]); end--)
		;
	*end = 0;
	*name_r = name;
	*value_r = value;
	return NULL;
}

static void __attribute__((format(printf, 3, 4)))
main_cf_warn(main_cf_warn_fn *warn, void *ctx, const char *fmt, ...)
{
	struct buf text = BUF_INIT(MAIN_CF_LINE_MAX + 4096);
	va_list ap;

	va_start(ap, fmt);
	buf_addv(&text, fmt, ap);
	va_end(ap);
	warn(ctx, buf_str(&text));
	buf_fini(&text);
}

/* main_cf_newline - between this message and the one before it, if there is one */
static void
main_cf_newline(struct buf *why)
{
	if (why->len > 0)
		buf_addc(why, '\n');
}

/* main_cf_line - take one logical line; -1 with why */
static int
main_cf_line(struct main_cf *cf, struct cfline *l, main_cf_warn_fn *warn, void *ctx, struct buf *why)
{
	const struct main_cf_entry *old;
	char   *text, *name, *value;
	const char *bad;

	if (l->cut) {
		main_cf_newline(why);
		buf_addf(why, "%s, line %u: longer than %u bytes: \"%.*s\"", cf->path, l->first, MAIN_CF_LINE_MAX,
		    MAIN_CF_SHOWN, buf_str(&l->text));
		return -1;
	}
	if (l->orphan) {
		main_cf_warn(warn, ctx, "%s, line %u: logical line must not start with whitespace: \"%.*s\"", cf->path,
		    l->first, MAIN_CF_SHOWN, buf_str(&l->text));
		return 0;
	}
	if (strlen(buf_str(&l->text)) != l->text.len)
		main_cf_warn(warn, ctx, "%s, line %u: text after a null byte is ignored", cf->path, l->first);
	text = mem_strdup(buf_str(&l->text));
	if ((bad = main_cf_split(text, &name, &value)) != NULL) {
		main_cf_newline(why);
		buf_addf(why, "%s, line %u: %s: \"%.*s\"", cf->path, l->first, bad, MAIN_CF_SHOWN, text);
		mem_free(&text);
		return -1;
	}
	if ((old = main_cf_get(cf, name)) != NULL && strcmp(old->value, value) != 0)
		main_cf_warn(warn, ctx, "%s, line %u: overriding earlier entry: %s=%s", cf->path, l->first, name,
		    old->value);
	main_cf_put(cf, name, value, l->first);
	mem_free(&text);
	return 0;
}

struct main_cf *
main_cf_parse(const char *file, const char *text, size_t n, main_cf_warn_fn *warn, void *ctx, struct buf *why)
{
	struct main_cf *cf = main_cf_new();
	struct cfline l;
	bool	ok = true;

	mem_free(&cf->path);
	cf->path = mem_strdup(file);
	cfline_init(&l, text, n, MAIN_CF_LINE_MAX);
	while (cfline_next(&l))
		if (main_cf_line(cf, &l, warn, ctx, why) < 0)
			ok = false;		/* and go on, so that all bad lines are named at once */
	cfline_fini(&l);
	if (!ok)
		main_cf_free(&cf);
	return cf;
}

struct main_cf *
main_cf_read(const char *dir, main_cf_warn_fn *warn, void *ctx, struct buf *why)
{
	struct buf text = BUF_INIT(MAIN_CF_FILE_MAX);
	struct main_cf *cf = NULL;
	char   *path = mem_printf("%s/main.cf", dir);

	if (buf_read_file(&text, AT_FDCWD, path) < 0) {
		buf_addf(why, "open %s: %s", path, errno == EFBIG ? "larger than any main.cf should be (4 MB)" :
		    strerror(errno));
		goto out;
	}
	if ((cf = main_cf_parse(path, buf_str(&text), text.len, warn, ctx, why)) != NULL)
		main_cf_set(cf, "config_directory", dir);	/* whatever the file says */
out:
	buf_fini(&text);
	mem_free(&path);
	return cf;
}

struct main_cf *
main_cf_new(void)
{
	struct main_cf *cf = mem_alloc(sizeof *cf);

	RB_INIT(&cf->tree);
	cf->path = mem_strdup("main.cf");
	return cf;
}

void
main_cf_free(struct main_cf **cfp)
{
	struct main_cf_node *n;

	if (*cfp == NULL)
		return;
	while ((n = RB_MIN(main_cf_tree, &(*cfp)->tree)) != NULL) {
		RB_REMOVE(main_cf_tree, &(*cfp)->tree, n);
		mem_free(&n->name);
		mem_free(&n->value);
		mem_free(&n);
	}
	mem_free(&(*cfp)->path);
	mem_free(cfp);
}

const char *
main_cf_path(const struct main_cf *cf)
{
	return cf->path;
}

void
main_cf_set(struct main_cf *cf, const char *name, const char *value)
{
	main_cf_put(cf, name, value, 0);
}

int
main_cf_set_arg(struct main_cf *cf, const char *arg, struct buf *why)
{
	char   *text = mem_strdup(arg), *name, *value;
	const char *bad = main_cf_split(text, &name, &value);

	if (bad == NULL)
		main_cf_put(cf, name, value, 0);
	else
		buf_addf(why, "%s: \"%.*s\"", bad, MAIN_CF_SHOWN, arg);
	mem_free(&text);
	return bad == NULL ? 0 : -1;
}

const struct main_cf_entry *
main_cf_get(const struct main_cf *cf, const char *name)
{
	struct main_cf_node *n = main_cf_find(cf, name);

	return n != NULL ? &n->entry : NULL;
}

const struct main_cf_entry *
main_cf_next(const struct main_cf *cf, const struct main_cf_entry *entry)
{
	struct main_cf_node *n;

	if (entry == NULL)
		n = RB_MIN(main_cf_tree, (struct main_cf_tree *) &cf->tree);
	else
		n = RB_NEXT(main_cf_tree, &cf->tree, (struct main_cf_node *) entry);
	return n != NULL ? &n->entry : NULL;
}
