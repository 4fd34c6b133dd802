/* commands/vouchconf/request.c - service/type/what */
#include "request.h"

#include <string.h>

#include <util/mem.h>
#include <util/msg.h>

bool
request_any(const char *part)
{
	return part == NULL || strcmp(part, "*") == 0;
}

/* request_field - the index of a field's name; -2 when there is no such field */
static int
request_field(const char *name)
{
	if (request_any(name))
		return -1;
	for (size_t i = 0; i < NELEM(master_cf_fields); i++)
		if (strcmp(name, master_cf_fields[i]) == 0)
			return (int) i;
	return -2;
}

int
request_parse(struct request *r, const struct conf *c, const char *text, size_t exact)
{
	static const char *const shapes[] = {
		[CONF_ENTRIES] = "service/type",
		[CONF_FIELDS] = "service/type/field",
		[CONF_OPTIONS] = "service/type/parameter",
	};
	const char *p = text, *slash;
	size_t	most = c->mode == CONF_ENTRIES ? 2 : 3;

	memset(r, 0, sizeof *r);
	r->field = -1;
	do {
		if (r->parts == most)
			goto shape;
		slash = strchr(p, '/');
		r->part[r->parts++] = slash != NULL ? mem_strndup(p, (size_t) (slash - p)) : mem_strdup(p);
		p = slash != NULL ? slash + 1 : NULL;
	} while (p != NULL);
	if (exact > 0 && r->parts != exact)
		goto shape;
	for (size_t i = 0; i < r->parts; i++)
		if (*r->part[i] == 0 || strpbrk(r->part[i], " \t\r\n{}") != NULL)
			goto shape;
	if (c->mode == CONF_FIELDS && (r->field = request_field(r->part[2])) == -2) {
		conf_fatal("invalid service attribute name: \"%s\"; use service, type, private, unprivileged, chroot, wakeup, "
		    "process_limit or command", r->part[2]);
		goto bad;
	}
	return CONF_OK;
shape:
	conf_fatal("\"%s\": not of the form %s", text, shapes[c->mode]);
bad:
	request_fini(r);
	return CONF_USAGE;
}

void
request_fini(struct request *r)
{
	for (size_t i = 0; i < REQUEST_PARTS; i++)
		mem_free(&r->part[i]);
}

bool
request_match(struct request *r, const struct master_cf_entry *e)
{
	bool	match = (request_any(r->part[0]) || strcmp(r->part[0], e->name) == 0) &&
	    (request_any(r->part[1]) || strcmp(r->part[1], master_cf_type_name(e->type)) == 0);

	r->matched |= match;
	return match;
}
