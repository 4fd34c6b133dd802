/* commands/vouchconf/vouchconf.c - vouchconf(1): show, check and edit parameters, in the manner of postconf(1) */
#include "vouchconf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>
#include <global/params.h>

static const char conf_options[] = "c:defFhHjMno:pPqvxX#";

/* of each group one option at most */
static const char *const conf_groups[] = {
	"pMFP", "den#X", "fe#Xj", "xe#X", "ode#X", "hHe#Xj", "Md", "Mn", "Fd", "Fn", "Pd", "Pn", "Mh", "MH", "Mj", "F#", "FX",
	"P#",
};

void
conf_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	msg_vlog(LOG_CRIT, "fatal: ", fmt, ap);
	va_end(ap);
}

void
conf_warn(void *ctx, const char *text)
{
	(void) ctx;
	msg_warn("%s", text);
}

void
conf_quiet(void *ctx, const char *text)
{
	(void) ctx;
	(void) text;
}

static int
conf_usage(const char *program)
{
	fprintf(stderr, "usage: %s [-c config_dir] [-dfhHjnqx] [-o name=value] [name ...]\n"
	    "       %s [-c config_dir] [-e] name=value ...\n"
	    "       %s [-c config_dir] -X | -# name ...\n"
	    "       %s [-c config_dir] -M | -F | -P [-fhHjqx] [service[/type[/name]] ...]\n"
	    "       %s [-c config_dir] -M | -F | -P [-e] service/type[/name]=value ...\n"
	    "       %s [-c config_dir] -MX | -M# | -PX service/type[/name] ...\n", program, program, program, program,
	    program, program);
	return CONF_USAGE;
}

/* conf_conflict - say so if two options of one group were given */
static bool
conf_conflict(const bool given[128])
{
	for (size_t i = 0; i < NELEM(conf_groups); i++) {
		int	first = 0;

		for (const char *o = conf_groups[i]; *o != 0; o++) {
			if (!given[(unsigned char) *o])
				continue;
			if (first != 0) {
				conf_fatal("specify one of -%c, -%c", first, *o);
				return true;
			}
			first = *o;
		}
	}
	return false;
}

/* conf_read_main - main.cf and -o; CONF_OK or what went wrong (said) */
static int
conf_read_main(struct conf *c)
{
	struct buf why = BUF_INIT(65536);
	int	ret = CONF_OK;

	if (c->defaults)
		c->cf = main_cf_new();
	else if ((c->cf = main_cf_read(c->dir, conf_warn, NULL, &why)) == NULL) {
		conf_fatal("%s", buf_str(&why));
		c->cf = main_cf_new();
		ret = CONF_FAILED;
	}
	for (size_t i = 0; i < c->noverrides && ret == CONF_OK; i++)
		if (main_cf_set_arg(c->cf, c->overrides[i], &why) < 0) {
			conf_fatal("invalid parameter override: %s", buf_str(&why));
			ret = CONF_USAGE;
		}
	buf_fini(&why);
	return ret;
}

/* conf_read - the configuration; where only parameters are wanted, a bad master.cf is no obstacle */
static int
conf_read(struct conf *c)
{
	struct buf why = BUF_INIT(4096);
	int	ret = conf_read_main(c);

	c->used = main_cf_new();
	TAILQ_INIT(&c->services);
	if (ret == CONF_OK && master_cf_read(&c->services, c->dir, conf_warn, NULL, &why) < 0) {
		if (c->mode != CONF_MAIN) {
			conf_fatal("%s", buf_str(&why));
			ret = CONF_FAILED;
		} else if (!c->defaults)
			msg_warn("%s", buf_str(&why));
	}
	buf_fini(&why);
	return ret;
}

static int
conf_show(struct conf *c, char **names, size_t n)
{
	int	ret = conf_read(c);

	if (ret == CONF_OK) {
		names_check_early(c);
		ret = c->mode == CONF_MAIN ? show_main(c, names, n) : show_services(c, names, n);
		if (fflush(stdout) != 0 || ferror(stdout)) {
			conf_fatal("cannot write the result");
			ret = CONF_FAILED;
		}
		names_check_late(c);
	}
	main_cf_free(&c->cf);
	main_cf_free(&c->used);
	master_cf_free(&c->services);
	return ret;
}

static int
conf_edit(const struct conf *c, const bool given[128], char **args, size_t n)
{
	enum main_cf_edit_op op = given['X'] ? MAIN_CF_REMOVE : given['#'] ? MAIN_CF_COMMENT : MAIN_CF_SET;

	if (n == 0) {
		conf_fatal(op == MAIN_CF_SET ? "-e requires name=value argument" : "-X and -# require a name");
		return CONF_USAGE;
	}
	return c->mode == CONF_MAIN ? edit_main(c, op, args, n) : edit_services(c, op, args, n);
}

/* conf_directory - where the configuration is: -c, else MAIL_CONFIG, else the default */
static void
conf_directory(struct conf *c)
{
	const char *env = getenv("MAIL_CONFIG");

	if (c->dir == NULL && env != NULL && *env != 0)
		c->dir = env;
	c->dir_given = c->dir != NULL;
	if (c->dir == NULL)
		c->dir = params_find("config_directory")->def;
}

int
main(int argc, char **argv)
{
	struct conf c = { .mode = CONF_MAIN };
	bool	given[128] = { false };
	int	opt, ret;

	msg_to_stderr(argv[0]);
	c.overrides = mem_array((size_t) argc + 1, sizeof *c.overrides);
	while ((opt = getopt(argc, argv, conf_options)) != -1) {
		if (opt == '?') {
			mem_free(&c.overrides);
			return conf_usage(argv[0]);
		}
		given[opt] = true;
		if (opt == 'c')
			c.dir = optarg;
		else if (opt == 'o')
			c.overrides[c.noverrides++] = optarg;
		else if (opt == 'v')
			msg_verbose++;
	}
	c.mode = given['M'] ? CONF_ENTRIES : given['F'] ? CONF_FIELDS : given['P'] ? CONF_OPTIONS : CONF_MAIN;
	c.only_set = given['n'];
	c.defaults = given['d'];
	c.values_only = given['h'];
	c.names_only = given['H'];
	c.expand = given['x'];
	c.fold = given['f'];
	c.json = given['j'];
	c.quiet = given['q'];
	argc -= optind;
	argv += optind;
	conf_directory(&c);
	if (!given['X'] && !given['#'] && argc > 0 && strchr(argv[0], '=') != NULL)
		given['e'] = true;
	if (conf_conflict(given))
		ret = CONF_USAGE;
	else if (given['e'] || given['X'] || given['#'])
		ret = conf_edit(&c, given, argv, (size_t) argc);
	else
		ret = conf_show(&c, argv, (size_t) argc);
	mem_free(&c.overrides);
	return ret;
}
