/* global/greylist_lists.c - the allow-lists of greylisting */
#include "greylist_lists.h"

#include <string.h>

#include <global/address_list.h>
#include <global/client_list.h>
#include <global/list_file.h>
#include <global/regexp_list.h>
#include <global/stats.h>
#include <util/ascii.h>
#include <util/mem.h>
#include <util/msg.h>

#define LISTS_FILES	32		/* of one parameter */
#define LISTS_REST_MS	1000		/* a file that has changed has to keep still for so long */

enum lists_kind { LISTS_CLIENT, LISTS_RECIPIENT, LISTS_SENDER, LISTS_REGEXP, LISTS_EXCLUDE, LISTS_KINDS };

struct lists_file {
	struct list_file file;
	struct client_list *clients;	/* one of these, once it was read */
	struct address_list *addresses;
	struct regexp_list *regexps;
};

struct greylist_lists {
	struct lists_file *file[LISTS_KINDS];
	size_t	n[LISTS_KINDS];
	const char *delimiter;
	int64_t	interval_ms, looked_ms;
	bool	moving;			/* some file has just changed */
	struct buf text;
	struct buf subject;
	unsigned over;
};

static void
lists_free_content(struct lists_file *f)
{
	client_list_free(&f->clients);
	address_list_free(&f->addresses);
	regexp_list_free(&f->regexps);
}

static void
lists_load(struct greylist_lists *l, enum lists_kind kind, struct lists_file *f)
{
	struct list_count count = { 0, 0 };
	unsigned bare = 0;
	const char *path = f->file.path;

	lists_free_content(f);
	switch (kind) {
	case LISTS_CLIENT:
	case LISTS_EXCLUDE:
		f->clients = client_list_parse(path, buf_str(&l->text), l->text.len, &count);
		break;
	case LISTS_RECIPIENT:
	case LISTS_SENDER:
		f->addresses = address_list_parse(path, buf_str(&l->text), l->text.len, l->delimiter, kind == LISTS_SENDER, &count,
		    &bare);
		break;
	case LISTS_REGEXP:
		f->regexps = regexp_list_parse(path, buf_str(&l->text), l->text.len, &count);
		break;
	case LISTS_KINDS:
		break;
	}
	msg_info("%s: %u entries, %u lines rejected", path, count.entries, count.rejected);
	if (kind == LISTS_SENDER && bare > 0)
		msg_info("%s: %u entries name no client: anyone can send with these senders", path, bare);
}

static void
lists_name(struct greylist_lists *l, enum lists_kind kind, const char *paths)
{
	size_t	n;
	char   *path;

	for (const char *p = paths + strspn(paths, " \t,"); *p != 0; p += n, p += strspn(p, " \t,")) {
		n = strcspn(p, " \t,");
		if (l->n[kind] == LISTS_FILES) {
			msg_warn("more than %d files of one greylist list: the rest is ignored", LISTS_FILES);
			return;
		}
		path = mem_strndup(p, n);
		l->file[kind] = mem_grow(l->file[kind], l->n[kind] + 1, sizeof l->file[kind][0]);
		memset(&l->file[kind][l->n[kind]], 0, sizeof l->file[kind][0]);
		list_file_init(&l->file[kind][l->n[kind]++].file, path);
		mem_free(&path);
	}
}

struct greylist_lists *
greylist_lists_open(const struct params *p)
{
	struct greylist_lists *l = mem_alloc(sizeof *l);

	l->delimiter = p->recipient_delimiter;
	l->interval_ms = p->greylist_allowlist_check_interval;
	buf_init(&l->text, LIST_FILE_MAX);
	buf_init(&l->subject, 256u << 10);
	lists_name(l, LISTS_CLIENT, p->greylist_client_allowlist);
	lists_name(l, LISTS_RECIPIENT, p->greylist_recipient_allowlist);
	lists_name(l, LISTS_SENDER, p->greylist_sender_allowlist);
	lists_name(l, LISTS_REGEXP, p->greylist_exempt_regexp_file);
	lists_name(l, LISTS_EXCLUDE, p->greylist_auto_allow_exclude);
	greylist_lists_check(l, 0, true);
	return l;
}

void
greylist_lists_free(struct greylist_lists **lp)
{
	struct greylist_lists *l = *lp;

	if (l == NULL)
		return;
	for (int kind = 0; kind < LISTS_KINDS; kind++) {
		for (size_t i = 0; i < l->n[kind]; i++) {
			lists_free_content(&l->file[kind][i]);
			list_file_fini(&l->file[kind][i].file);
		}
		mem_free(&l->file[kind]);
	}
	buf_fini(&l->text);
	buf_fini(&l->subject);
	mem_free(lp);
}

void
greylist_lists_check(struct greylist_lists *l, int64_t now_ms, bool at_once)
{
	if (!at_once && now_ms - l->looked_ms < (l->moving ? LISTS_REST_MS : l->interval_ms))
		return;
	l->looked_ms = now_ms;
	l->moving = false;
	for (int kind = 0; kind < LISTS_KINDS; kind++)
		for (size_t i = 0; i < l->n[kind]; i++) {
			if (list_file_look(&l->file[kind][i].file, at_once, &l->text))
				lists_load(l, (enum lists_kind) kind, &l->file[kind][i]);
			l->moving |= l->file[kind][i].file.moving;
		}
	buf_shrink(&l->text, 64u << 10);
}

/* lists_found - count what ran into limits, and name the rule */
static bool
lists_found(struct greylist_lists *l, const struct lists_file *f, unsigned line, const char **rule_r)
{
	if (l->over > 0) {
		stats_add(STAT_greylist_regexp_limit, l->over);
		l->over = 0;
	}
	if (line == 0)
		return false;
	*rule_r = list_file_rule(&f->file, line);
	return true;
}

static bool
lists_clients(struct greylist_lists *l, enum lists_kind kind, const struct client_addr *a, const char *name, const char **rule_r)
{
	for (size_t i = 0; i < l->n[kind]; i++) {
		struct lists_file *f = &l->file[kind][i];

		if (f->clients != NULL && lists_found(l, f, client_list_match(f->clients, a, name, &l->over), rule_r))
			return true;
	}
	return false;
}

static bool
lists_addresses(struct greylist_lists *l, enum lists_kind kind, const char *address, const struct client_addr *a, const char *name,
    const char **rule_r)
{
	for (size_t i = 0; i < l->n[kind]; i++) {
		struct lists_file *f = &l->file[kind][i];

		if (f->addresses != NULL && lists_found(l, f, address_list_match(f->addresses, address, a, name, &l->over), rule_r))
			return true;
	}
	return false;
}

bool
greylist_lists_client(struct greylist_lists *l, const struct client_addr *a, const char *name, const char **rule_r)
{
	return lists_clients(l, LISTS_CLIENT, a, name, rule_r);
}

bool
greylist_lists_recipient(struct greylist_lists *l, const char *recipient, const char **rule_r)
{
	return lists_addresses(l, LISTS_RECIPIENT, recipient, NULL, "", rule_r);
}

bool
greylist_lists_sender(struct greylist_lists *l, const char *sender, const struct client_addr *a, const char *name,
    const char **rule_r)
{
	return lists_addresses(l, LISTS_SENDER, sender, a, name, rule_r);
}

bool
greylist_lists_regexp(struct greylist_lists *l, const char *client, const char *sender, const char *recipient, const char **rule_r)
{
	bool	made = false;

	for (size_t i = 0; i < l->n[LISTS_REGEXP]; i++) {
		struct lists_file *f = &l->file[LISTS_REGEXP][i];

		if (f->regexps == NULL)
			continue;
		if (!made) {
			buf_reset(&l->subject);
			buf_addf(&l->subject, "%s/%s/%s", client, sender, recipient);
			ascii_lower(l->subject.data, l->subject.len);
			made = true;
		}
		if (lists_found(l, f, regexp_list_match(f->regexps, buf_str(&l->subject), l->subject.len, &l->over), rule_r))
			return true;
	}
	return false;
}

bool
greylist_lists_excluded(struct greylist_lists *l, const struct client_addr *a, const char *name)
{
	const char *rule;

	return l->n[LISTS_EXCLUDE] > 0 && lists_clients(l, LISTS_EXCLUDE, a, name, &rule);
}
