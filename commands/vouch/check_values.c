/* commands/vouch/check_values.c - values that are well-formed and yet cannot work; names nobody reads; -o options */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <global/addr_list.h>
#include <global/db_conf.h>
#include <global/greylist_lists.h>
#include <global/greylist_record.h>
#include <util/mem.h>
#include <util/msg.h>

#include "check.h"
#include "vouch.h"

/* check_prefixed - whether value begins with a word of list (comma or blanks between) */
static bool
check_prefixed(const char *value, const char *list)
{
	for (size_t n; list += strspn(list, ", \t"), *list != 0; list += n) {
		n = strcspn(list, ", \t");
		if (strncmp(value, list, n) == 0)
			return true;
	}
	return false;
}

/* check_map - vouch reads the names of Postfix's tables, and says what becomes of them */
static void
check_map(struct check *c, const char *name, const char *map)
{
	const char *reason;
	const struct pg_lib *lib = NULL;
	struct db_conf *db = NULL;
	struct buf shown = BUF_INIT(4096), why = BUF_INIT(1024);
	char   *where = check_where(c, name);

	db_conf_hide(&shown, map);		/* there may be a password in it */
	if (map[0] != 0 && !db_conf_is(map))
		check_warn(c, "%s: '%s': type '%.*s' is not supported and is treated as empty: remove the line", where,
		    buf_str(&shown), (int) strcspn(map, ":"), map);
	else if (map[0] != 0 && (lib = pg_lib_load(&reason)) == NULL)
		check_error(c, "%s: '%s': %s", where, buf_str(&shown), reason);
	else if (map[0] != 0 && (db = db_conf_read(lib, map, "vouch", &why)) == NULL)
		check_error(c, "%s: '%s': %s", where, buf_str(&shown), buf_str(&why));
	db_conf_free(&db);
	buf_fini(&shown);
	buf_fini(&why);
	free(where);
}

static void
check_maillog(struct check *c)
{
	const char *file = c->params->maillog_file, *slash = strrchr(file, '/');
	char   *where = check_where(c, "maillog_file"), *dir = mem_strndup(file, slash > file ? (size_t) (slash - file) : 1);

	if (file[0] != 0 && !check_prefixed(file, c->params->maillog_file_prefixes))
		check_error(c, "%s: '%s' begins with none of maillog_file_prefixes (%s): choose another file, or add a "
		    "prefix", where, file, c->params->maillog_file_prefixes);
	else if (slash != NULL && strncmp(file, "/dev/", 5) != 0 && access(file, W_OK) < 0 &&
	    (errno != ENOENT || access(dir, W_OK | X_OK) < 0))
		check_error(c, "%s: %s: %s: make the directory, or choose another file", where, file, strerror(errno));
	free(dir);
	free(where);
}

/* check_used - whether $name, ${name...} or $(name) stands in some value of main.cf or some argument in master.cf */
static bool
check_used_in(const char *text, const char *name)
{
	size_t	n = strlen(name);

	for (const char *p = strchr(text, '$'); p != NULL; p = strchr(p + 1, '$')) {
		const char *q = p + 1 + strspn(p + 1, "{( \t");

		if (strncmp(q, name, n) == 0 && strchr("?:}) \t/,.@-", q[n]) != NULL)
			return true;
	}
	return false;
}

static bool
check_used(const struct check *c, const char *name)
{
	const struct main_cf_entry *e = NULL;
	const struct master_cf_entry *s;

	while ((e = main_cf_next(c->cf, e)) != NULL)
		if (check_used_in(e->value, name))
			return true;
	TAILQ_FOREACH(s, &c->services, link)
		for (size_t i = 0; i < s->argc; i++)
			if (check_used_in(s->argv[i], name))
				return true;
	return false;
}

/* check_prefork - whether name is SERVICE_prefork_limit of a service in master.cf */
static bool
check_prefork(const struct check *c, const char *name)
{
	const struct master_cf_entry *s;
	size_t	n = strlen(name), tail = strlen("_prefork_limit");

	TAILQ_FOREACH(s, &c->services, link)
		if (n == strlen(s->name) + tail && strncmp(name, s->name, n - tail) == 0 &&
		    strcmp(name + n - tail, "_prefork_limit") == 0)
			return true;
	return false;
}

/* check_distance - how many letters must be changed, added or removed; above 3 it does not matter */
static unsigned
check_distance(const char *a, const char *b, unsigned limit)
{
	unsigned best, d;

	while (*a != 0 && *a == *b)
		a++, b++;
	if (*a == 0 && *b == 0)
		return 0;
	if (limit == 0)
		return 1;
	best = limit;
	if (*a != 0 && *b != 0 && (d = check_distance(a + 1, b + 1, limit - 1)) < best)
		best = d;
	if (*a != 0 && (d = check_distance(a + 1, b, limit - 1)) < best)
		best = d;
	if (*b != 0 && (d = check_distance(a, b + 1, limit - 1)) < best)
		best = d;
	return best + 1;
}

/* check_likely - the parameter that name was probably meant to be, or NULL */
static const char *
check_likely(const char *name)
{
	const char *likely = NULL;
	unsigned d, best = 4;

	for (size_t i = 0; i < params_count; i++)
		if ((d = check_distance(name, params_table[i].name, 3)) < best) {
			best = d;
			likely = params_table[i].name;
		}
	return likely;
}

/* check_foreign - whether a service runs a program that is not vouch's own: it may read any name */
static bool
check_foreign(const struct check *c)
{
	const struct master_cf_entry *s;
	char   *own = vouch_libexec(), *dir = realpath(c->params->daemon_directory, NULL);
	bool	foreign = own == NULL || dir == NULL || strcmp(own, dir) != 0;

	TAILQ_FOREACH(s, &c->services, link)
		foreign |= strchr(s->command, '/') != NULL;
	free(own);
	free(dir);
	return foreign;
}

static void
check_names(struct check *c)
{
	const struct main_cf_entry *e = NULL;
	bool	foreign = check_foreign(c);
	const char *likely;

	while ((e = main_cf_next(c->cf, e)) != NULL) {
		if (e->line == 0 || params_find(e->name) != NULL || check_prefork(c, e->name) || check_used(c, e->name))
			continue;
		if ((likely = check_likely(e->name)) != NULL)
			check_warn(c, "%s, line %u: unknown parameter %s: did you mean %s?", main_cf_path(c->cf), e->line,
			    e->name, likely);
		else if (!foreign)
			check_warn(c, "%s, line %u: unknown parameter %s: nothing reads it; 'vouchconf -d' lists all",
			    main_cf_path(c->cf), e->line, e->name);
	}
}

/* check_option - one "name=value" of a service, as its program will see it */
static void
check_option(struct check *c, const struct master_cf_entry *s, const char *arg)
{
	struct main_cf *cf = main_cf_new();
	const struct main_cf_entry *e = NULL;
	const struct params_row *row;
	struct buf why = BUF_INIT(64 * 1024);
	char   *name = mem_strndup(arg + strspn(arg, " \t"), strcspn(arg + strspn(arg, " \t"), " \t="));

	while ((e = main_cf_next(c->cf, e)) != NULL)
		main_cf_set(cf, e->name, e->value);
	if (main_cf_set_arg(cf, arg, &why) < 0 || ((row = params_find(name)) != NULL && params_test(cf, row, &why) < 0))
		check_error(c, "%s/master.cf: line %u: service %s: %s", c->config_dir, s->line, s->name, buf_str(&why));
	free(name);
	main_cf_free(&cf);
	buf_fini(&why);
}

void
check_options(struct check *c)
{
	const struct master_cf_entry *s, *t;
	struct buf why = BUF_INIT(4096);
	char   *name;

	TAILQ_FOREACH(s, &c->services, link) {
		for (size_t i = 0; i < s->argc && s->argv[i][0] == '-'; i++) {
			if (strncmp(s->argv[i], "-o", 2) != 0)
				continue;
			if (s->argv[i][2] != 0)
				check_option(c, s, s->argv[i] + 2);
			else if (i + 1 < s->argc)
				check_option(c, s, s->argv[++i]);
			else
				check_error(c, "%s/master.cf: line %u: service %s: -o without name=value", c->config_dir,
				    s->line, s->name);
		}
		for (t = TAILQ_FIRST(&c->services); t != s && strcmp(t->name, s->name) != 0; t = TAILQ_NEXT(t, link))
			;
		buf_reset(&why);
		name = mem_printf("%s_prefork_limit", s->name);
		/* one that has a row of its own was looked at with all other parameters */
		if (t == s && params_find(name) == NULL && params_prefork(c->cf, s->name, s->maxproc, &why) < 0)
			check_error(c, "%s", buf_str(&why));
		free(name);
	}
	buf_fini(&why);
}

/* check_greylist - times that contradict each other */
static void
check_greylist(struct check *c)
{
	struct greylist_rules rules;
	struct buf why = BUF_INIT(4096);
	const char *rest, *name;
	char   *where, *line;

	if (greylist_rules_init(&rules, c->params, &why) < 0)
		for (rest = buf_str(&why); *rest != 0; rest += strcspn(rest, "\n"), rest += *rest == '\n') {
			line = mem_strndup(rest, strcspn(rest, "\n"));
			name = line + strlen("parameter ");		/* "parameter NAME: reason" */
			*strchr(line, ':') = 0;
			where = check_where(c, name);
			check_error(c, "%s:%s", where, name + strlen(name) + 1);
			free(where);
			free(line);
		}
	buf_fini(&why);
}

/* check_greylist_networks - words that will be left out */
static void
check_greylist_networks(struct check *c)
{
	char   *where = check_where(c, "greylist_exempt_networks"), *word;
	size_t	n;

	for (const char *p = c->params->greylist_exempt_networks; p += strspn(p, " \t,"), *p != 0; p += n) {
		n = strcspn(p, " \t,");
		word = mem_strndup(p, n);
		if (addr_list_check(word) != NULL)
			check_warn(c, "%s: '%s' is not an address or network: it is left out", where, word);
		free(word);
	}
	free(where);
}

/* check_list_said - what the reader of lists says: trouble is for us, how many entries there are is not */
static void
check_list_said(void *ctx, int level, const char *line)
{
	static const char word[] = "warning: ";

	if (level <= LOG_WARNING)
		check_warn(ctx, "%s", line + (strncmp(line, word, sizeof word - 1) == 0 ? sizeof word - 1 : 0));
}

/* check_greylist_lists - those that are there are read; a default that is not is meant to be so */
static void
check_greylist_lists(struct check *c)
{
	const struct params *p = c->params;
	const struct { const char *name, *files; } lists[] = {
		{ "greylist_auto_allow_exclude", p->greylist_auto_allow_exclude },
		{ "greylist_client_allowlist", p->greylist_client_allowlist },
		{ "greylist_exempt_regexp_file", p->greylist_exempt_regexp_file },
		{ "greylist_recipient_allowlist", p->greylist_recipient_allowlist },
		{ "greylist_sender_allowlist", p->greylist_sender_allowlist },
	};
	const struct main_cf_entry *e;
	struct greylist_lists *read;
	char   *where, *path;
	size_t	n;

	for (size_t i = 0; i < NELEM(lists); i++) {
		if ((e = main_cf_get(c->cf, lists[i].name)) == NULL || e->line == 0)
			continue;
		where = check_where(c, lists[i].name);
		for (const char *f = lists[i].files; f += strspn(f, " \t,"), *f != 0; f += n) {
			n = strcspn(f, " \t,");
			path = mem_strndup(f, n);
			if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
				check_warn(c, "%s: %s: %s: it is an empty list", where, path, strerror(errno));
			free(path);
		}
		free(where);
	}
	msg_catch(check_list_said, c);
	read = greylist_lists_open(p);
	greylist_lists_free(&read);
	msg_catch(NULL, NULL);
}

void
check_values(struct check *c)
{
	check_greylist(c);
	check_greylist_networks(c);
	check_greylist_lists(c);
	check_map(c, "address_verify_map", c->params->address_verify_map);
	if (strcmp(c->params->greylist_map, c->params->address_verify_map) != 0)
		check_map(c, "greylist_map", c->params->greylist_map);
	check_maillog(c);
	check_names(c);
}
