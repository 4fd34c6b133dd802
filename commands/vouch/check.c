/* commands/vouch/check.c - every problem of an instance's configuration, found at once */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <util/cfline.h>
#include <util/mem.h>

#include "check.h"
#include "vouch.h"

#define CHECK_WHY_MAX (64u << 10)	/* bytes of reasons from one reader; more are counted as one */

static void __attribute__((format(printf, 2, 0)))
check_say(const char *word, const char *fmt, va_list ap)
{
	char   *text;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	vouch_sorry("%s%s", word, text);
	free(text);
}

void
check_error(struct check *c, const char *fmt, ...)
{
	va_list ap;

	c->errors++;
	va_start(ap, fmt);
	check_say("", fmt, ap);
	va_end(ap);
}

void
check_warn(struct check *c, const char *fmt, ...)
{
	va_list ap;

	c->warnings++;
	va_start(ap, fmt);
	check_say("warning: ", fmt, ap);
	va_end(ap);
}

static void
check_cf_warning(void *ctx, const char *text)
{
	check_warn(ctx, "%s", text);
}

char *
check_where(const struct check *c, const char *name)
{
	const struct main_cf_entry *e = main_cf_get(c->cf, name);

	return e != NULL && e->line > 0 ? mem_printf("%s, line %u: parameter %s", main_cf_path(c->cf), e->line, name) :
	    mem_printf("%s: parameter %s (default)", main_cf_path(c->cf), name);
}

/* check_why - each line of a reader's reasons is one error */
static void
check_why(struct check *c, const struct buf *why)
{
	const char *p = buf_str(why);

	for (size_t n; *p != 0; p += n + (p[n] == '\n')) {
		n = strcspn(p, "\n");
		if (n > 0)
			check_error(c, "%.*s", (int) n, p);
	}
	if (why->full)
		check_error(c, "there are more errors like these");
}

/* check_silence - make a comment of each logical line that `bad` dislikes, so that the rest can be examined as well;
 * the number of every line stays */
static void
check_silence(struct buf *text, bool (*bad)(const char *line, size_t n))
{
	struct cfline l;
	const char *next;

	cfline_init(&l, text->data, text->len, MAIN_CF_LINE_MAX);
	while (cfline_next(&l))
		if (bad(l.raw, (size_t) (l.raw_end - l.raw)))
			for (const char *p = l.raw; p < l.raw_end; p = next) {
				next = cfline_physical(p, l.raw_end, NULL);
				if (*p != '\n')
					text->data[p - text->data] = '#';
			}
	cfline_fini(&l);
}

static void
check_ignore(void *ctx, const char *text)
{
	(void) ctx, (void) text;
}

static bool
check_bad_value_line(const char *line, size_t n)
{
	struct buf why = BUF_INIT(4096);
	struct main_cf *cf = main_cf_parse("", line, n, check_ignore, NULL, &why);
	bool	bad = cf == NULL;

	main_cf_free(&cf);
	buf_fini(&why);
	return bad;
}

static bool
check_bad_service_line(const char *line, size_t n)
{
	struct buf why = BUF_INIT(4096);
	struct master_cf list;
	bool	bad = master_cf_parse(&list, "", line, n, check_ignore, NULL, &why) < 0;

	if (!bad)
		master_cf_free(&list);
	buf_fini(&why);
	return bad;
}

/* check_rest - what is left of main.cf without its bad lines */
static struct main_cf *
check_rest(const char *config_dir)
{
	struct buf text = BUF_INIT(MAIN_CF_FILE_MAX), why = BUF_INIT(CHECK_WHY_MAX);
	char   *path = mem_printf("%s/main.cf", config_dir);
	struct main_cf *cf = NULL;

	if (buf_read_file(&text, AT_FDCWD, path) == 0 && text.len > 0) {
		check_silence(&text, check_bad_value_line);
		if ((cf = main_cf_parse(path, text.data, text.len, check_ignore, NULL, &why)) != NULL)
			main_cf_set(cf, "config_directory", config_dir);
	}
	free(path);
	buf_fini(&text);
	buf_fini(&why);
	return cf;
}

struct main_cf *
check_read(const char *config_dir, bool lenient)
{
	struct buf why = BUF_INIT(CHECK_WHY_MAX);
	struct main_cf *cf = main_cf_read(config_dir, check_ignore, NULL, &why);

	if (cf == NULL && lenient && (cf = check_rest(config_dir)) != NULL && main_cf_get(cf, "queue_directory") == NULL)
		main_cf_free(&cf);		/* perhaps its line is the bad one: no guessing whom to signal */
	if (cf == NULL)
		vouch_sorry_lines(buf_str(&why));
	buf_fini(&why);
	return cf;
}

static void
check_main_cf(struct check *c)
{
	struct buf why = BUF_INIT(CHECK_WHY_MAX);

	if ((c->cf = main_cf_read(c->config_dir, check_cf_warning, c, &why)) == NULL) {
		check_why(c, &why);
		c->cf = check_rest(c->config_dir);
	}
	buf_fini(&why);
}

static void
check_master_cf(struct check *c)
{
	struct buf text = BUF_INIT(MASTER_CF_FILE_MAX), why = BUF_INIT(CHECK_WHY_MAX);
	char   *path = mem_printf("%s/master.cf", c->config_dir);

	if (master_cf_read(&c->services, c->config_dir, check_cf_warning, c, &why) < 0) {
		check_why(c, &why);
		buf_reset(&why);
		if (buf_read_file(&text, AT_FDCWD, path) == 0 && text.len > 0) {
			check_silence(&text, check_bad_service_line);
			master_cf_parse(&c->services, path, text.data, text.len, check_ignore, NULL, &why);
		}
	} else if (TAILQ_EMPTY(&c->services))
		check_warn(c, "%s: no services: nothing will run", path);
	free(path);
	buf_fini(&text);
	buf_fini(&why);
}

/* check_params - evaluate all values; those that are bad are left out, so that the others can be examined */
static void
check_params(struct check *c)
{
	static const char *const places[] = { "queue_directory", "data_directory", "daemon_directory", "mail_owner" };
	const struct main_cf_entry *e = NULL;
	const struct params_row *row;
	struct main_cf *good;
	struct buf why = BUF_INIT(CHECK_WHY_MAX);

	if ((c->params = params_load(c->cf, &why)) != NULL) {
		c->placed = true;
		buf_fini(&why);
		return;
	}
	check_why(c, &why);
	good = main_cf_new();
	c->placed = true;
	while ((e = main_cf_next(c->cf, e)) != NULL) {
		buf_reset(&why);
		if ((row = params_find(e->name)) == NULL || params_test(c->cf, row, &why) == 0) {
			main_cf_set(good, e->name, e->value);
			continue;
		}
		for (size_t i = 0; i < NELEM(places); i++)
			c->placed &= strcmp(e->name, places[i]) != 0;
	}
	buf_reset(&why);
	c->params = params_load(good, &why);
	main_cf_free(&good);
	buf_fini(&why);
}

/* check_is_elsewhere - whether this is no configuration directory at all; said in one line, not in one for each file */
static bool
check_is_elsewhere(struct check *c)
{
	static const char *const names[] = { "main.cf", "master.cf" };
	bool	empty = true;

	for (size_t i = 0; i < NELEM(names); i++) {
		char   *path = mem_printf("%s/%s", c->config_dir, names[i]);

		empty &= access(path, F_OK) < 0 && errno == ENOENT;
		free(path);
	}
	if (empty)
		check_error(c, "%s: neither main.cf nor master.cf is here: name the configuration directory with -c, or make "
		    "one with 'vouch init DIR'", c->config_dir);
	return empty;
}

void
check_run(struct check *c, const char *config_dir)
{
	pid_t	pid;

	memset(c, 0, sizeof(*c));
	TAILQ_INIT(&c->services);
	c->config_dir = config_dir;
	if (check_is_elsewhere(c))
		return;
	check_main_cf(c);
	if (c->cf != NULL)
		check_params(c);
	check_master_cf(c);
	if (c->params == NULL)
		return;
	c->running = c->placed && vouch_running(c->params->queue_directory, &pid) > 0;
	c->former = c->running ? 0 : pid;
	check_values(c);
	check_options(c);
	check_probe(c);
	if (c->placed) {
		check_dirs(c);
		check_services(c);
	}
	if (c->errors == 0)			/* it would say the same again */
		check_plugins(c);
}

void
check_fini(struct check *c)
{
	params_free(&c->params);
	main_cf_free(&c->cf);
	master_cf_free(&c->services);
}

void
check_verdict(const struct check *c, const char *what)
{
	if (c->errors + c->warnings > 0)
		vouch_sorry("%u error%s, %u warning%s: %s", c->errors, c->errors == 1 ? "" : "s", c->warnings,
		    c->warnings == 1 ? "" : "s", what);
}
