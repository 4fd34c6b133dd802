/* commands/vouchconf/show_services.c - list entries, fields and options of master.cf */
#include "vouchconf.h"

#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <global/params.h>
#include "request.h"
#include "service.h"

#define SHOW_MAX	(2 * MASTER_CF_LINE_MAX)	/* bytes of one entry, with the line breaks of -f */
#define SHOW_COMMAND	7				/* index of the command field */

/* show_fields - the fields of one entry that the request names */
static void
show_fields(const struct conf *c, const struct request *r, const struct service *s)
{
	const struct master_cf_entry *e = s->entry;
	struct buf out = BUF_INIT(SHOW_MAX);

	for (int i = 0; i <= SHOW_COMMAND; i++) {
		char   *name = mem_printf("%s/%s/%s", e->name, master_cf_type_name(e->type), master_cf_fields[i]);

		if (r->field >= 0 && r->field != i) {
			mem_free(&name);
			continue;
		}
		buf_reset(&out);
		if (i < SHOW_COMMAND || c->names_only || c->json) {
			if (i == SHOW_COMMAND)
				service_add_command(&out, s, false, 0);
			print_row(c, name, i == SHOW_COMMAND ? buf_str(&out) : e->field[i]);
		} else {
			if (!c->values_only)
				buf_addf(&out, "%s =", name);
			service_add_command(&out, s, c->fold, out.len);
			print_text(&out);
		}
		mem_free(&name);
	}
	buf_fini(&out);
}

/* show_options - the -o parameters of one entry that the request names, sorted; true when there were any */
static bool
show_options(const struct conf *c, const struct request *r, const struct service *s)
{
	struct main_cf *sorted = main_cf_new();
	bool	any = false;

	for (size_t i = 0; i < s->count; i++)
		if (s->words[i].name != NULL && (request_any(r->part[2]) || strcmp(r->part[2], s->words[i].name) == 0))
			main_cf_set(sorted, s->words[i].name, s->words[i].value);
	for (const struct main_cf_entry *o = NULL; (o = main_cf_next(sorted, o)) != NULL; ) {
		char   *name = mem_printf("%s/%s/%s", s->entry->name, master_cf_type_name(s->entry->type), o->name);

		print_row(c, name, o->value);
		mem_free(&name);
		any = true;
	}
	main_cf_free(&sorted);
	return any || r->part[2] == NULL;
}

/* show_entry - one entry in the form that the mode asks for; -1 when it cannot be expanded (said) */
static int
show_entry(const struct conf *c, struct request *r, const struct master_cf_entry *e)
{
	struct buf out = BUF_INIT(SHOW_MAX), why = BUF_INIT(4096);
	struct service s;
	int	ret = 0;

	service_init(&s, e);
	if (c->expand && (ret = service_expand(&s, c->cf, &why)) < 0)
		conf_fatal("%s/master.cf: line %u: %s", c->dir, e->line, buf_str(&why));
	else if (c->mode == CONF_FIELDS)
		show_fields(c, r, &s);
	else if (c->mode == CONF_OPTIONS)
		r->matched = show_options(c, r, &s);
	else {
		service_add_entry(&out, &s, c->fold);
		print_text(&out);
	}
	service_fini(&s);
	buf_fini(&out);
	buf_fini(&why);
	return ret;
}

/* show_request - all entries of one request */
static int
show_request(const struct conf *c, struct request *r)
{
	const struct master_cf_entry *e;
	bool	matched = false;
	int	ret = CONF_OK;

	TAILQ_FOREACH(e, &c->services, link) {
		if (!request_match(r, e))
			continue;
		if (show_entry(c, r, e) < 0)
			ret = CONF_FAILED;
		matched |= r->matched;
	}
	r->matched = matched;
	return ret;
}

int
show_services(const struct conf *c, char **requests, size_t n)
{
	char	all[] = "*", *everything[] = { all };
	struct request *r = mem_array(n + 1, sizeof *r);
	int	ret = CONF_OK, one;
	size_t	taken = 0;

	if (n == 0) {
		requests = everything;
		n = 1;
	}
	for (; taken < n && ret == CONF_OK; taken++)
		ret = request_parse(&r[taken], c, requests[taken], 0);
	if (ret == CONF_OK)
		for (size_t i = 0; i < n; i++) {
			if ((one = show_request(c, &r[i])) != CONF_OK)
				ret = one;
			if (!r[i].matched && requests != everything)
				msg_warn("unmatched request: \"%s\"", requests[i]);
		}
	for (size_t i = 0; i < taken; i++)
		request_fini(&r[i]);
	mem_free(&r);
	return ret;
}
