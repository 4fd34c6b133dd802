/* commands/vouchconf/names.c - which parameters exist in this configuration */
#include "vouchconf.h"

#include <string.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>
#include <global/params.h>
#include "service.h"

/* set by each program itself */
static const char *const names_readonly_list[] = { "process_id", "process_name", "service_name" };

typedef void names_use_fn(void *ctx, const char *name);

bool
names_readonly(const char *name)
{
	for (size_t i = 0; i < NELEM(names_readonly_list); i++)
		if (strcmp(name, names_readonly_list[i]) == 0)
			return true;
	return false;
}

bool
names_known(const struct conf *c, const char *name)
{
	static const char suffix[] = "_prefork_limit";
	const struct master_cf_entry *e;
	size_t	len = strlen(name);

	if (params_find(name) != NULL || names_readonly(name))
		return true;
	if (len < sizeof suffix || strcmp(name + len - (sizeof suffix - 1), suffix) != 0)
		return false;
	len -= sizeof suffix - 1;
	TAILQ_FOREACH(e, &c->services, link)
		if (strlen(e->name) == len && memcmp(e->name, name, len) == 0)
			return true;
	return false;
}

static bool
names_isname(char c)
{
	return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* names_scan - call fn for each $name in a text, taken or not: both branches of ${x?{$y}:{$z}} count */
static void
names_scan(const char *p, names_use_fn *fn, void *ctx)
{
	const char *end;
	char   *name;

	while ((p = strchr(p, '$')) != NULL) {
		if (*++p == '$') {
			p++;
			continue;
		}
		if (*p == '{' || *p == '(')
			p += 1 + strspn(p + 1, " \t\r\n");
		for (end = p; names_isname(*end); end++)
			;
		if (end > p) {
			name = mem_strndup(p, (size_t) (end - p));
			fn(ctx, name);
			mem_free(&name);
		}
		p = end;
	}
}

/* names_scan_all - all values of main.cf, and of -o in master.cf */
static void
names_scan_all(const struct conf *c, names_use_fn *fn, void *ctx)
{
	const struct master_cf_entry *m;

	for (const struct main_cf_entry *e = NULL; (e = main_cf_next(c->cf, e)) != NULL; )
		names_scan(e->value, fn, ctx);
	TAILQ_FOREACH(m, &c->services, link) {
		struct service s;

		service_init(&s, m);
		for (size_t i = 0; i < s.count; i++)
			if (s.words[i].value != NULL)
				names_scan(s.words[i].value, fn, ctx);
		service_fini(&s);
	}
}

static void
names_collect(void *ctx, const char *name)
{
	main_cf_set(ctx, name, "");
}

bool
names_shown(const struct conf *c, const char *name)
{
	return names_known(c, name) || (main_cf_get(c->cf, name) != NULL && main_cf_get(c->used, name) != NULL);
}

/* who is looking for undefined names, and where */
struct names_place {
	const struct conf *conf;
	const struct service *service;	/* NULL: main.cf */
};

static void
names_complain(void *ctx, const char *name)
{
	const struct names_place *at = ctx;

	if (names_known(at->conf, name) || main_cf_get(at->conf->cf, name) != NULL ||
	    (at->service != NULL && service_get(at->service, name) != NULL))
		return;
	msg_warn("%s/%s: undefined parameter: %s", at->conf->dir, at->service != NULL ? "master.cf" : "main.cf", name);
}

void
names_check_early(struct conf *c)
{
	struct names_place at = { .conf = c };
	const struct main_cf_entry *e;
	const struct master_cf_entry *m;
	char   *id = mem_printf("%ld", (long) getpid());
	const char *const values[NELEM(names_readonly_list)] = { id, "vouchconf", "" };

	for (size_t i = 0; i < NELEM(names_readonly_list); i++) {
		if ((e = main_cf_get(c->cf, names_readonly_list[i])) != NULL)
			msg_warn("%s/main.cf: read-only parameter assignment: %s=%s", c->dir, e->name, e->value);
		main_cf_set(c->cf, names_readonly_list[i], values[i]);
	}
	mem_free(&id);
	names_scan_all(c, names_collect, c->used);
	if (c->quiet || c->defaults)
		return;
	for (e = NULL; (e = main_cf_next(c->cf, e)) != NULL; )
		names_scan(e->value, names_complain, &at);
	TAILQ_FOREACH(m, &c->services, link) {
		struct service s;

		service_init(&s, m);
		at.service = &s;
		for (size_t i = 0; i < s.count; i++)
			if (s.words[i].value != NULL)
				names_scan(s.words[i].value, names_complain, &at);
		service_fini(&s);
	}
}

void
names_check_late(const struct conf *c)
{
	const struct main_cf_entry *e;
	const struct master_cf_entry *m;

	if (c->quiet || c->defaults)
		return;
	if (c->mode == CONF_MAIN)
		for (e = NULL; (e = main_cf_next(c->cf, e)) != NULL; )
			if (!names_shown(c, e->name))
				msg_warn("%s/main.cf: unused parameter: %s=%s", c->dir, e->name, e->value);
	TAILQ_FOREACH(m, &c->services, link) {
		struct service s;

		service_init(&s, m);
		for (size_t i = 0; i < s.count; i++)
			if (s.words[i].name != NULL && !names_known(c, s.words[i].name) &&
			    main_cf_get(c->used, s.words[i].name) == NULL)
				msg_warn("%s/master.cf: unused parameter: %s=%s", c->dir, s.words[i].name,
				    s.words[i].value);
		service_fini(&s);
	}
}
