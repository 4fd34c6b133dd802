/* daemons/smtpd/plugins.c - the plugins of this process: from the file to instances and chains of hooks
 * Arguments that all plugins understand (loglevel, reject, reject_type, on_error, time_limit) are taken out here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <util/mem.h>
#include <util/units.h>

#include "plugins_file.h"
#include "smtpd.h"

#define PLUGINS_FILE_MAX	(1u << 20)

static struct {
	const struct plugins *loading;	/* those that answer the config hook while the next one is being made */
	const char *settings;
} plugins_now;

/* common arguments */

static bool
plugins_level(struct vh_inst *inst, const char *value)
{
	int64_t n;

	if (!units_int_parse(value, &n) || n < -7 || n > 7)
		return false;
	inst->log_fixed = *value != '+' && *value != '-';
	if (inst->log_fixed)
		inst->log_level = (int) n;
	else
		inst->log_shift = (int) -n;	/* +1: a line more important than it says */
	return true;
}

static bool
plugins_on_error(struct vh_inst *inst, const char *value)
{
	if (strcmp(value, "declined") == 0)
		inst->on_error = VH_DECLINED;
	else if (strcmp(value, "denysoft") == 0)
		inst->on_error = VH_DENYSOFT;
	else
		return false;
	return true;
}

static bool
plugins_limit(struct vh_inst *inst, const char *value)
{
	int64_t ms;

	if (!units_time_parse(value, 's', &ms) || ms < 1000 || ms > 3600000)
		return false;
	inst->time_limit_ms = ms;
	inst->time_limit_given = true;
	return true;
}

static const struct {
	const char *word, *use;
	bool  (*set)(struct vh_inst *, const char *);
} plugins_common[] = {
	{ "loglevel", "a level from 0 to 7, or +n, -n", plugins_level },
	{ "on_error", "declined or denysoft", plugins_on_error },
	{ "reject", "0, 1 or naughty", vh_set_reject },
	{ "reject_type", "temp, perm, disconnect or temp_disconnect", vh_set_reject_type },
	{ "time_limit", "a time from 1s to 1h", plugins_limit },
};

/* plugins_arguments - take the common ones out of argv; words come in pairs, as far as these are concerned */
static int
plugins_arguments(struct vh_inst *inst, int *argc, char **argv, struct buf *why)
{
	int	kept = 1;
	size_t	c;

	for (int i = 1; i < *argc; i++) {
		for (c = 0; c < NELEM(plugins_common); c++)
			if (strcasecmp(argv[i], plugins_common[c].word) == 0)
				break;
		if (c == NELEM(plugins_common)) {
			argv[kept++] = argv[i];
			continue;
		}
		if (i + 1 == *argc || !plugins_common[c].set(inst, argv[i + 1])) {
			buf_addf(why, "%s: %s %s: use %s", inst->name, argv[i], i + 1 < *argc ? argv[i + 1] : "", plugins_common[c].use);
			return -1;
		}
		i++;
	}
	*argc = kept;
	argv[kept] = NULL;
	return 0;
}

/* instances */

static void
plugins_inst_free(struct vh_inst **ip)
{
	struct vh_inst *inst = *ip;

	for (size_t i = 0; i < inst->lists_n; i++) {
		for (char **line = inst->lists[i]; *line != NULL; line++)
			mem_free(line);
		mem_free(&inst->lists[i]);
	}
	mem_free(&inst->lists);
	mem_free(&inst->counts);
	mem_free(&inst->name);
	mem_free(&inst->place);
	mem_free(ip);
}

static void
plugins_hook(struct plugins *set, struct vh_inst *inst)
{
	size_t	n;

	for (const struct vh_hook_fn *h = inst->plugin->hooks; h->hook != VH_END; h++) {
		n = set->chain_n[h->hook]++;
		set->chain[h->hook] = mem_grow(set->chain[h->hook], n + 1, sizeof *set->chain[0]);
		set->chain[h->hook][n] = (struct hook_step) { inst, h->fn };
	}
}

/* plugins_add - one line of the file; argv is changed */
static int
plugins_add(struct plugins *set, const char *file, struct plugins_line *l, const char *dirs, struct buf *why)
{
	const struct vh_plugin *p = loader_find(l->name, dirs, why);
	struct vh_err err = { .text = BUF_INIT(4096) };
	char  **argv;
	struct vh_inst *inst;
	int	ret = 0, argc = l->argc;

	if (p == NULL)
		return -1;
	inst = mem_alloc(sizeof *inst);
	inst->plugin = p;
	inst->name = mem_strdup(l->instance);
	inst->place = mem_printf("%s, line %u", file, l->line);
	inst->index = (unsigned) set->n;
	inst->reject = INST_REJECT_YES;
	inst->reject_type = p->flags & VH_REJECT_TEMP ? VH_DENYSOFT : p->flags & VH_REJECT_DISCONNECT ? VH_DENY_DISCONNECT : VH_DENY;
	inst->on_error = p->flags & VH_ERROR_DENYSOFT ? VH_DENYSOFT : VH_DECLINED;
	inst->time_limit_ms = p->time_limit_s > 0 ? (int64_t) p->time_limit_s * 1000 : smtpd.conf.hook_ms;
	inst->counts = mem_array(VH_RCS, sizeof *inst->counts);
	argv = mem_array((size_t) argc + 1, sizeof *argv);	/* a plugin may move its words about */
	memcpy(argv, l->argv, (size_t) argc * sizeof *argv);
	if (plugins_arguments(inst, &argc, argv, why) < 0)
		ret = -1;
	else if (p->init == NULL && argc > 1) {
		buf_addf(why, "%s: takes no arguments but the common ones: %s", inst->name, argv[1]);
		ret = -1;
	} else if (p->init != NULL && p->init(inst, argc, argv, &err) < 0) {
		buf_addf(why, "%s: %s", inst->name, err.text.len > 0 ? buf_str(&err.text) : "cannot be used");
		ret = -1;
	}
	buf_fini(&err.text);
	mem_free(&argv);
	if (ret < 0) {
		plugins_inst_free(&inst);
		return -1;
	}
	set->inst = mem_grow(set->inst, set->n + 1, sizeof *set->inst);
	set->inst[set->n++] = inst;
	plugins_hook(set, inst);
	return 0;
}

struct plugins *
plugins_parse(const char *file, const char *text, size_t n, const char *dirs, const char *settings, struct buf *why)
{
	struct plugins *set = mem_alloc(sizeof *set);
	struct plugins_file f;
	struct buf reason = BUF_INIT(8192);
	bool	ok = true;

	plugins_now.loading = set;
	plugins_now.settings = settings;
	if (plugins_file_parse(&f, text, n, &reason) < 0) {
		buf_addf(why, "%s, %s", file, buf_str(&reason));
		ok = false;
	}
	for (size_t i = 0; ok && i < f.n; i++)
		if (plugins_add(set, file, &f.line[i], dirs, &reason) < 0) {
			buf_addf(why, "%s, line %u: %s", file, f.line[i].line, buf_str(&reason));
			ok = false;
		}
	plugins_now.loading = NULL;
	plugins_file_fini(&f);
	buf_fini(&reason);
	if (!ok)
		plugins_free(&set);
	return set;
}

struct plugins *
plugins_load(const char *file, const char *dirs, const char *settings, struct buf *why)
{
	struct buf text = BUF_INIT(PLUGINS_FILE_MAX);
	struct plugins *set = NULL;

	if (buf_read_file(&text, AT_FDCWD, file) < 0)
		buf_addf(why, "%s: %s", file, errno == EFBIG ? "too large" : strerror(errno));
	else
		set = plugins_parse(file, buf_str(&text), text.len, dirs, settings, why);
	buf_fini(&text);
	return set;
}

int
plugins_start(struct plugins *set, struct buf *why)
{
	struct vh_err err = { .text = BUF_INIT(4096) };

	for (size_t i = 0; i < set->n; i++) {
		struct vh_inst *inst = set->inst[i];

		if (inst->plugin->worker_init == NULL || inst->plugin->worker_init(inst, &err) == 0)
			continue;
		buf_addf(why, "%s: %s: %s", inst->place, inst->name, err.text.len > 0 ? buf_str(&err.text) : "cannot start");
		buf_fini(&err.text);
		return -1;
	}
	return 0;
}

void
plugins_free(struct plugins **sp)
{
	struct plugins *set = *sp;

	if (set == NULL)
		return;
	for (size_t i = set->n; i-- > 0; ) {
		if (set->inst[i]->plugin->fini != NULL)
			set->inst[i]->plugin->fini(set->inst[i]);
		plugins_inst_free(&set->inst[i]);
	}
	for (int h = 0; h < VH_HOOKS; h++)
		mem_free(&set->chain[h]);
	mem_free(&set->inst);
	mem_free(sp);
}

void
plugins_show(const struct plugins *set, struct buf *out)
{
	for (int h = VH_END + 1; h < VH_HOOKS; h++) {
		if (set->chain_n[h] == 0)
			continue;
		buf_addf(out, "%-22s", vh_hook_name((enum vh_hook) h));
		for (size_t i = 0; i < set->chain_n[h]; i++)
			buf_addf(out, " %s", set->chain[h][i].inst->name);
		buf_addc(out, '\n');
	}
}

struct vh_inst *
plugins_find(const struct plugins *set, const char *instance)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->inst[i]->name, instance) == 0)
			return set->inst[i];
	return NULL;
}

/* settings files */

static void
plugins_list_add(char ***list, size_t *n, const char *p, size_t len)
{
	while (len > 0 && (*p == ' ' || *p == '\t'))
		p++, len--;
	while (len > 0 && strchr(" \t\r", p[len - 1]) != NULL)
		len--;
	if (len == 0 || *p == '#')
		return;
	*list = mem_grow(*list, *n + 2, sizeof **list);
	(*list)[(*n)++] = mem_strndup(p, len);
	(*list)[*n] = NULL;
}

char **
vh_config(struct vh_inst *inst, const char *name)
{
	struct buf text = BUF_INIT(PLUGINS_FILE_MAX);
	char  **list = NULL, *path;
	size_t	n = 0, len;

	if (plugins_now.loading == NULL)
		return NULL;
	if (!hook_config(plugins_now.loading, name, &text)) {
		path = *name == '/' ? mem_strdup(name) : mem_printf("%s/%s", plugins_now.settings, name);
		if (buf_read_file(&text, AT_FDCWD, path) < 0) {
			if (errno != ENOENT)
				vh_log_inst(inst, VH_LOG_ERROR, "%s: %s", path, strerror(errno));
			mem_free(&path);
			buf_fini(&text);
			return NULL;
		}
		mem_free(&path);
	}
	list = mem_array(1, sizeof *list);
	for (const char *p = buf_str(&text); *p != 0; p += len + (p[len] != 0)) {
		len = strcspn(p, "\n");
		plugins_list_add(&list, &n, p, len);
	}
	buf_fini(&text);
	inst->lists = mem_grow(inst->lists, inst->lists_n + 1, sizeof *inst->lists);
	inst->lists[inst->lists_n++] = list;
	return list;
}
