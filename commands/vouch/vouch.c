/* commands/vouch/vouch.c - vouch(1): controls an instance, and asks its verify service
 * Everything a command needs to be found is its row in the table below.
 */

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/utf8.h>
#include <global/params.h>

#include "check.h"
#include "vouch.h"

enum vouch_need {
	NEED_NOTHING,
	NEED_DIR,		/* config_dir is a directory */
	NEED_CF,		/* and main.cf there was read */
	NEED_QUEUE,		/* or at least what is left of it without bad lines */
};

static const struct vouch_row {
	const char *name, *args;
	int	    args_min, args_max;	/* options included; -1: no limit */
	enum vouch_need need;
	int	    unready;		/* exit code when that cannot be had */
	vouch_fn   *run;
	const char *what;
} vouch_rows[] = {
	{ "init", "DIR", 1, 1, NEED_NOTHING, VOUCH_REFUSED, vouch_init,
	  "make a ready-to-run instance in DIR" },
	{ "start", "", 0, 0, NEED_DIR, VOUCH_REFUSED, vouch_start,
	  "check everything, start the master, wait until it is ready" },
	{ "start-fg", "", 0, 0, NEED_DIR, VOUCH_REFUSED, vouch_start_fg,
	  "the same in the foreground" },
	{ "stop", "", 0, 0, NEED_QUEUE, VOUCH_REFUSED, vouch_stop,
	  "end the instance and wait until it is gone" },
	{ "abort", "", 0, 0, NEED_QUEUE, VOUCH_REFUSED, vouch_abort,
	  "end the instance at once" },
	{ "reload", "", 0, 0, NEED_DIR, VOUCH_REFUSED, vouch_reload,
	  "check the changed configuration and put it in force" },
	{ "status", "", 0, 0, NEED_QUEUE, VOUCH_REFUSED, vouch_status,
	  "tell whether the instance runs" },
	{ "check", "", 0, 0, NEED_DIR, VOUCH_REFUSED, vouch_check,
	  "name every problem of the configuration" },
	{ "logrotate", "", 0, 0, NEED_DIR, VOUCH_REFUSED, vouch_logrotate,
	  "rename the log file and begin a new one" },
	{ "query", "ADDR... [--wait] [-t SECONDS] [--json]", 1, -1, NEED_CF, VOUCH_TEMPORARY, vouch_query,
	  "ask whether addresses are deliverable" },
	{ "verify", "-f FILE|- [-o OUT] [--from FORM] [--column NAME] [-p N] [-t SECONDS] [--json]", 2, -1, NEED_CF, VOUCH_TEMPORARY,
	  vouch_verify, "the same for a whole list of addresses" },
	{ "update", "ADDR STATUS TEXT", 3, 3, NEED_CF, VOUCH_TEMPORARY, vouch_update,
	  "report a result: ok, defer or bounce" },
	{ "stats", "[--json|--prometheus]", 0, 1, NEED_CF, VOUCH_TEMPORARY, vouch_stats,
	  "print the counters of this host" },
	{ "top", "[-i INTERVAL] [-n COUNT]", 0, -1, NEED_CF, VOUCH_TEMPORARY, vouch_top,
	  "watch them: rates, hits, open probes, cache, database, processes" },
	{ "forget", "ADDR|@DOMAIN ...", 1, -1, NEED_CF, VOUCH_TEMPORARY, vouch_forget,
	  "forget what is known about addresses, on every host" },
	{ "explain", "ADDR", 1, 1, NEED_CF, VOUCH_TEMPORARY, vouch_explain,
	  "tell what is known about an address, where and since when" },
	{ "list", "[ADDR|@DOMAIN] [--status STATUS] [--local] [--json]", 0, -1, NEED_CF, VOUCH_TEMPORARY, vouch_list,
	  "print what is known" },
	{ "export", "[ADDR|@DOMAIN] [--status STATUS] [--local]", 0, -1, NEED_CF, VOUCH_TEMPORARY, vouch_export,
	  "the same as CSV, for import" },
	{ "import", "FILE|-", 1, 1, NEED_CF, VOUCH_TEMPORARY, vouch_import,
	  "take results over: from \"vouch export\", or postmap's dump of an old verify cache" },
	{ "greylist", "list|forget [--pending|--known] [--client NET] [--sender A] [--recipient A] [--older TIME] [--json] [--local] |"
	  " show CLIENT SENDER RECIPIENT [--json] | allow CLIENT [SENDER] [--json]", 1, -1, NEED_CF, VOUCH_TEMPORARY, vouch_greylist,
	  "see and change what greylisting knows" },
	{ "db", "init [--role NAME] [--print] | check | upgrade [--as CONNECTION]", 1, -1, NEED_CF, VOUCH_TEMPORARY, vouch_db,
	  "make, examine or bring up to date the shared database" },
	{ "attach", "[/etc/postfix]", 0, 1, NEED_NOTHING, VOUCH_REFUSED, vouch_attach,
	  "put vouch's verify into Postfix's master.cf" },
	{ "detach", "[/etc/postfix]", 0, 1, NEED_NOTHING, VOUCH_REFUSED, vouch_detach,
	  "put Postfix's own verify back" },
};

static void __attribute__((format(printf, 2, 0)))
vouch_line(FILE *fp, const char *fmt, va_list ap)
{
	char   *text;

	if (vasprintf(&text, fmt, ap) < 0)
		msg_fatal("out of memory");
	utf8_sanitise(text, strlen(text), true);	/* what files, peers and the database say is shown, not obeyed */
	fprintf(fp, "vouch: %s\n", text);
	free(text);
}

void
vouch_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vouch_line(stdout, fmt, ap);
	va_end(ap);
	fflush(stdout);
}

void
vouch_sorry(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vouch_line(stderr, fmt, ap);
	va_end(ap);
}

void
vouch_sorry_lines(const char *text)
{
	for (size_t n; *text != 0; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		if (n > 0)
			vouch_sorry("%.*s", (int) n, text);
	}
}

static const struct vouch_row *
vouch_find(const char *name)
{
	for (size_t i = 0; i < NELEM(vouch_rows); i++)
		if (strcmp(vouch_rows[i].name, name) == 0)
			return &vouch_rows[i];
	return NULL;
}

int
vouch_usage(const struct vouch *v, const char *what)
{
	const struct vouch_row *r = vouch_find(v->name);

	vouch_sorry("%s; usage: vouch %s%s%s", what, r->name, *r->args != 0 ? " " : "", r->args);
	return VOUCH_USAGE;
}

static void
vouch_help(FILE *fp)
{
	fprintf(fp, "usage: vouch [-v] [-c config_dir] command ...\n");
	for (size_t i = 0; i < NELEM(vouch_rows); i++) {
		const struct vouch_row *r = &vouch_rows[i];
		int	n = fprintf(fp, "  %s %s", r->name, r->args);

		if (n > 27)
			fprintf(fp, "\n");
		fprintf(fp, "%*s%s\n", n > 27 ? 28 : 28 - n, "", r->what);
	}
	fprintf(fp, "manual: vouch(1)\n");
}

char *
vouch_param(const struct vouch *v, const char *name)
{
	struct buf out = BUF_INIT(64 * 1024), why = BUF_INIT(64 * 1024);
	char   *value = NULL;

	if (params_eval(v->cf, name, &out, &why) < 0)
		vouch_sorry("%s: parameter %s: %s", main_cf_path(v->cf), name, buf_str(&why));
	else
		value = mem_strdup(buf_str(&out));
	buf_fini(&out);
	buf_fini(&why);
	return value;
}

bool
vouch_enter(const struct vouch *v)
{
	char   *dir = vouch_param(v, "queue_directory");
	bool	ok = dir != NULL && chdir(dir) == 0;

	if (dir != NULL && !ok)
		vouch_sorry("%s: queue_directory %s: %s%s", main_cf_path(v->cf), dir, strerror(errno),
		    errno == ENOENT ? ": correct the parameter, or make the directory" :
		    errno == EACCES ? ": run this as root or as the instance's owner" : "");
	free(dir);
	return ok;
}

char *
vouch_libexec(void)
{
	static const char *const places[] = { "../libexec", "../libexec/vouch" };	/* source tree, installed */
	char	exe[PATH_MAX], *slash, *path, *real;
	ssize_t	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0) {
		vouch_sorry("/proc/self/exe: %s: cannot find vouch's own daemons", strerror(errno));
		return NULL;
	}
	exe[n] = 0;
	if ((slash = strrchr(exe, '/')) != NULL)
		*slash = 0;
	for (size_t i = 0; i < NELEM(places); i++) {
		path = mem_printf("%s/%s/verify", exe, places[i]);
		real = access(path, X_OK) == 0 ? realpath(path, NULL) : NULL;
		free(path);
		if (real != NULL) {
			*strrchr(real, '/') = 0;
			return real;
		}
	}
	vouch_sorry("no program 'verify' in %s/../libexec or %s/../libexec/vouch: install vouch again", exe, exe);
	return NULL;
}

/* vouch_config_dir - make the name absolute, so that it stays right wherever a command goes; heap, NULL: said */
static char *
vouch_config_dir(const char *option)
{
	const char *dir = option, *env = getenv("MAIL_CONFIG");
	char   *real;

	if (dir == NULL)
		dir = env != NULL && *env != 0 ? env : params_find("config_directory")->def;
	if ((real = realpath(dir, NULL)) == NULL)
		vouch_sorry("%s: %s: name the configuration directory with -c, or make one with 'vouch init DIR'",
		    dir, strerror(errno));
	return real;
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	const struct vouch_row *r;
	const char *config_dir = NULL;
	struct vouch v = { 0 };
	char   *dir = NULL;
	int	c, ret;

	msg_to_stderr("vouch");
	signal(SIGXFSZ, SIG_IGN);		/* the write says so */
	while ((c = getopt_long(argc, argv, "+c:hv", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			config_dir = optarg;
			break;
		case 'v':
			msg_verbose++;
			break;
		case 'h':
			vouch_help(stdout);
			return VOUCH_DONE;
		default:
			vouch_help(stderr);
			return VOUCH_USAGE;
		}
	}
	if (optind >= argc) {
		vouch_help(stderr);
		return VOUCH_USAGE;
	}
	v.name = argv[optind];
	v.argc = argc - optind;
	v.argv = argv + optind;
	optind = 0;			/* the handler's getopt(3) begins anew */
	if ((r = vouch_find(v.name)) == NULL) {
		vouch_sorry("unknown command '%s'; 'vouch -h' lists the commands", v.name);
		return VOUCH_USAGE;
	}
	if (v.argc - 1 < r->args_min || (r->args_max >= 0 && v.argc - 1 > r->args_max))
		return vouch_usage(&v, v.argc - 1 < r->args_min ? "argument missing" : "too many arguments");

	if (r->need != NEED_NOTHING && (v.config_dir = dir = vouch_config_dir(config_dir)) == NULL)
		return r->unready;
	if (r->need >= NEED_CF && (v.cf = check_read(dir, r->need == NEED_QUEUE)) == NULL)
		ret = r->unready;
	else
		ret = r->run(&v);
	main_cf_free(&v.cf);
	free(dir);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		vouch_sorry("standard output: %s", strerror(errno));
		return ret == VOUCH_DONE ? VOUCH_TEMPORARY : ret;
	}
	return ret;
}
