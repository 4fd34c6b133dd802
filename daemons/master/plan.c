/* daemons/master/plan.c - what main.cf and master.cf ask for, checked as a whole */
#include "plan.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <global/db_conf.h>
#include <util/mem.h>

#define PLAN_NOTES_MAX	(64u << 10)
#define PLAN_KEPT_MAX	(100u << 10)	/* it has to fit into the environment */

static void
plan_note(void *ctx, const char *text)
{
	struct plan *p = ctx;

	buf_addf(&p->notes, "%s\n", text);
}

/* plan_error - "FILE: line N: service NAME: " in front of what the caller adds */
static void
plan_error(const struct plan *p, const struct master_cf_entry *e, struct buf *why)
{
	if (why->len > 0 && why->data[why->len - 1] != '\n')
		buf_addc(why, '\n');
	buf_addf(why, "%s/master.cf: line %u: service %s: ", p->config_dir, e->line, e->name);
}

/* parameters */

/* plan_keep_start - put back the old value of each parameter that counts at start only
 * returns    whether there was one */
static bool
plan_keep_start(struct plan *p, const struct plan *old)
{
	bool	changed = false;

	for (size_t i = 0; i < params_count; i++) {
		const struct params_row *row = &params_table[i];
		struct buf was = BUF_INIT(PARAMS_VALUE_MAX), now = BUF_INIT(PARAMS_VALUE_MAX), why = BUF_INIT(1000);

		if (row->when == PARAM_START && params_eval(old->cf, row->name, &was, &why) == 0 &&
		    params_eval(p->cf, row->name, &now, &why) == 0 && strcmp(buf_str(&was), buf_str(&now)) != 0) {
			struct buf quoted = BUF_INIT(2 * PARAMS_VALUE_MAX);

			/* they go to the log: without passwords */
			buf_addf(&p->notes, "ignoring %s parameter value change: \"", row->name);
			db_conf_hide(&p->notes, buf_str(&was));
			buf_adds(&p->notes, "\" stays, \"");
			db_conf_hide(&p->notes, buf_str(&now));
			buf_adds(&p->notes, "\" comes with stop and start\n");
			for (const char *c = buf_str(&was); *c != 0; c++)
				buf_addf(&quoted, *c == '$' ? "$$" : "%c", *c);
			main_cf_set(p->cf, row->name, buf_str(&quoted));
			buf_addf(&p->kept, "%s=%s\n", row->name, buf_str(&quoted));
			buf_fini(&quoted);
			changed = true;
		}
		buf_fini(&was);
		buf_fini(&now);
		buf_fini(&why);
	}
	return changed;
}

static int
plan_load_params(struct plan *p, const struct plan *old, struct buf *why)
{
	if ((p->cf = main_cf_read(p->config_dir, plan_note, p, why)) == NULL)
		return -1;
	if ((p->params = params_load(p->cf, why)) == NULL)	/* new values are checked even when they have to wait */
		return -1;
	if (old != NULL && plan_keep_start(p, old)) {
		if (p->kept.full) {		/* daemons would have other values than we */
			buf_addf(why, "%s: the values that stay until a restart are longer than %u bytes: stop and start instead",
			    main_cf_path(p->cf), PLAN_KEPT_MAX);
			return -1;
		}
		params_free(&p->params);
		if ((p->params = params_load(p->cf, why)) == NULL)
			return -1;
	}
	return 0;
}

/* plan_load_owner - whom files and daemons belong to; without root that can only be ourselves */
static int
plan_load_owner(struct plan *p, const struct plan *old, struct buf *why)
{
	struct passwd *pw;

	if (old != NULL) {
		p->uid = old->uid;
		p->gid = old->gid;
		return 0;
	}
	if ((pw = getpwnam(p->params->mail_owner)) == NULL) {
		buf_addf(why, "%s: parameter mail_owner: no such user: \"%s\"; add the user, or name another", main_cf_path(p->cf),
		    p->params->mail_owner);
		return -1;
	}
	p->uid = pw->pw_uid;
	p->gid = pw->pw_gid;
	if (geteuid() == 0 || geteuid() == p->uid)
		return 0;
	buf_addf(why, "%s: parameter mail_owner is \"%s\", but this is user %ld, and without root everything belongs to one "
	    "user: ", main_cf_path(p->cf), p->params->mail_owner, (long) geteuid());
	if ((pw = getpwuid(geteuid())) != NULL)
		buf_addf(why, "set mail_owner = %s, or start as root", pw->pw_name);
	else
		buf_adds(why, "start as root");
	return -1;
}

/* services */

/* plan_disabled - master_service_disable: type or name/type (or name.type), "!" negates, the first match decides */
static bool
plan_disabled(const char *list, const struct master_cf_entry *e)
{
	char   *copy = mem_strdup(list), *save = NULL, *slash;
	const char *type = master_cf_type_name(e->type);
	bool	hit = false, yes = false;

	for (char *w = strtok_r(copy, ", \t\r\n", &save); w != NULL && !hit; w = strtok_r(NULL, ", \t\r\n", &save)) {
		for (yes = true; *w == '!'; w++)
			yes = !yes;
		if (strcasecmp(w, type) == 0) {
			hit = true;
		} else if ((slash = strrchr(w, '/')) != NULL || (slash = strrchr(w, '.')) != NULL) {
			*slash = 0;
			hit = strcasecmp(slash + 1, type) == 0 && strcasecmp(w, e->name) == 0;
		}
	}
	mem_free(&copy);
	return hit && yes;
}

/* plan_program - whether the program can be started; 0, or -1 with why */
static int
plan_program(const struct plan *p, const struct plan_service *s, struct buf *why)
{
	struct stat st;
	const char *reason = NULL;

	if (stat(s->path, &st) < 0)
		reason = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		reason = "not a regular file";
	else if (access(s->path, X_OK) < 0)
		reason = "not executable";
	if (reason == NULL)
		return 0;
	plan_error(p, s->entry, why);
	buf_addf(why, "program %s: %s; correct the line, or daemon_directory", s->path, reason);
	return -1;
}

/* plan_endpoint - identity of the service; 0, or -1 with why */
static int
plan_endpoint(const struct plan *p, struct plan_service *s, struct buf *why)
{
	const struct master_cf_entry *e = s->entry;
	struct buf reason = BUF_INIT(1000);
	size_t	room = sizeof ((struct sockaddr_un *) NULL)->sun_path;
	int	ret = 0;

	if (e->type == MASTER_INET) {
		if ((ret = inet_endpoint_find(e->name, p->params, &s->inet, &reason)) < 0) {
			plan_error(p, e, why);
			buf_adds(why, buf_str(&reason));
		} else {
			s->id = mem_strdup(s->inet.id);
			s->remote = !s->inet.loopback;
		}
	} else {
		s->id = mem_printf("%s/%s", e->is_private ? "private" : "public", e->name);
		s->remote = e->type == MASTER_PASS;
		if (strlen(s->id) >= room) {
			plan_error(p, e, why);
			buf_addf(why, "%s is too long for a socket; use at most %zu bytes", s->id, room - 1);
			ret = -1;
		}
	}
	buf_fini(&reason);
	return ret;
}

static struct plan_service *
plan_lookup(const struct plan *p, enum master_cf_type type, const char *id)
{
	struct plan_service *s;

	TAILQ_FOREACH(s, &p->services, link)
		if (s->entry->type == type && strcmp(s->id, id) == 0)
			return s;
	return NULL;
}

const struct plan_service *
plan_find(const struct plan *p, enum master_cf_type type, const char *id)
{
	return plan_lookup(p, type, id);
}

static void
plan_service_free(struct plan_service **sp)
{
	struct plan_service *s = *sp;

	if (s == NULL)
		return;
	inet_endpoint_fini(&s->inet);
	mem_free(&s->id);
	mem_free(&s->path);
	mem_free(sp);
}

/* plan_add - one entry of master.cf; what is wrong goes to why, and the rest of the file is looked at all the same */
static void
plan_add(struct plan *p, const struct master_cf_entry *e, struct buf *why)
{
	struct plan_service *s = mem_alloc(sizeof *s);
	struct plan_service *twin;
	struct buf reason = BUF_INIT(4000);

	s->entry = e;
	s->path = mem_printf("%s/%s", p->params->daemon_directory, e->command);
	s->maxproc = e->maxproc >= 0 ? e->maxproc : (int) p->params->default_process_limit;
	plan_program(p, s, why);
	if (e->chroot && geteuid() != 0) {
		plan_error(p, e, why);
		buf_adds(why, "chroot needs root; write n in the fifth field, or start as root");
	}
	if ((s->prefork = params_prefork(p->cf, e->name, s->maxproc, &reason)) < 0) {
		if (why->len > 0)
			buf_addc(why, '\n');
		buf_adds(why, buf_str(&reason));
	}
	if (plan_endpoint(p, s, why) == 0) {
		if ((twin = plan_lookup(p, e->type, s->id)) != NULL) {
			buf_addf(&p->notes, "duplicate master.cf entry for service \"%s\" (%s) -- using the last entry\n", e->name,
			    s->id);
			TAILQ_REMOVE(&p->services, twin, link);
			plan_service_free(&twin);
		}
		TAILQ_INSERT_TAIL(&p->services, s, link);
	} else
		plan_service_free(&s);
	buf_fini(&reason);
}

struct plan *
plan_load(const char *config_dir, const struct plan *old, struct buf *why)
{
	struct plan *p = mem_alloc(sizeof *p);
	const struct master_cf_entry *e;
	struct buf wrong = BUF_INIT(why->max);

	TAILQ_INIT(&p->entries);
	TAILQ_INIT(&p->services);
	buf_init(&p->kept, PLAN_KEPT_MAX);
	buf_init(&p->notes, PLAN_NOTES_MAX);
	p->config_dir = mem_strdup(config_dir);
	if (plan_load_params(p, old, &wrong) == 0 && plan_load_owner(p, old, &wrong) == 0 &&
	    master_cf_read(&p->entries, config_dir, plan_note, p, &wrong) == 0)
		TAILQ_FOREACH(e, &p->entries, link)
			if (!plan_disabled(p->params->master_service_disable, e))
				plan_add(p, e, &wrong);
	if (wrong.len > 0 || wrong.full) {
		buf_adds(why, buf_str(&wrong));
		plan_free(&p);
	}
	buf_fini(&wrong);
	return p;
}

void
plan_free(struct plan **pp)
{
	struct plan *p = *pp;
	struct plan_service *s;

	if (p == NULL)
		return;
	while ((s = TAILQ_FIRST(&p->services)) != NULL) {
		TAILQ_REMOVE(&p->services, s, link);
		plan_service_free(&s);
	}
	master_cf_free(&p->entries);
	params_free(&p->params);
	main_cf_free(&p->cf);
	buf_fini(&p->kept);
	buf_fini(&p->notes);
	mem_free(&p->config_dir);
	mem_free(pp);
}
