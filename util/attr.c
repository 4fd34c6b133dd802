/* util/attr.c - Postfix's null-terminated attribute lists */
#include "attr.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ATTR_KEEP	4096	/* memory an idle assembler may keep */

void
attr_in_init(struct attr_in *in, size_t str_max, size_t list_max)
{
	memset(in, 0, sizeof *in);
	buf_init(&in->list, list_max);
	in->str_max = str_max;
}

void
attr_in_fini(struct attr_in *in)
{
	buf_fini(&in->list);
}

void
attr_in_reset(struct attr_in *in)
{
	buf_shrink(&in->list, ATTR_KEEP);
	in->str_len = 0;
	in->strings = 0;
	in->cut = false;
}

bool
attr_in_partial(const struct attr_in *in)
{
	return in->list.len > 0 || in->cut;
}

enum attr_in_result
attr_in_feed(struct attr_in *in, const char *data, size_t n, size_t *used_r)
{
	const char *p = data, *end = data + n, *nul;
	size_t	len, keep;

	while (p < end) {
		nul = memchr(p, 0, (size_t) (end - p));
		len = (size_t) ((nul != NULL ? nul : end) - p);
		keep = len < in->str_max - in->str_len ? len : in->str_max - in->str_len;
		/* invariant: str_len <= str_max */
		if (keep == len) {
			if (buf_add(&in->list, p, len + (nul != NULL)) < 0)	/* the NUL as well */
				break;
		} else {
			in->cut = true;
			if (buf_add(&in->list, p, keep) < 0 || (nul != NULL && buf_addc(&in->list, 0) < 0))
				break;
		}
		in->str_len += keep;
		p += len;
		if (nul == NULL)
			continue;
		p++;
		if (in->str_len == 0 && in->strings % 2 == 0) {		/* an empty name ends the list */
			*used_r = (size_t) (p - data);
			return ATTR_IN_DONE;
		}
		in->str_len = 0;
		if (++in->strings > ATTR_STRINGS_MAX)
			return *used_r = (size_t) (p - data), ATTR_IN_FULL;
	}
	*used_r = (size_t) (p - data);
	return in->list.full ? ATTR_IN_FULL : ATTR_IN_MORE;
}

void
attr_reader_init(struct attr_reader *r, const char *list, size_t len, bool lenient)
{
	memset(r, 0, sizeof *r);
	r->p = list;
	r->end = list + len;
	r->lenient = lenient;
}

/* attr_pull - the next string; NULL when the list is not properly terminated (our caller's mistake, but harmless) */
static const char *
attr_pull(struct attr_reader *r)
{
	const char *s = r->p, *nul;

	if (s == r->end || (nul = memchr(s, 0, (size_t) (r->end - s))) == NULL)
		return NULL;
	r->p = nul + 1;
	return s;
}

bool
attr_any(struct attr_reader *r, const char **name_r, const char **value_r)
{
	const char *start = r->p;

	if (r->error != ATTR_OK || (*name_r = attr_pull(r)) == NULL || **name_r == 0 ||
	    (*value_r = attr_pull(r)) == NULL) {
		r->p = start;
		return false;
	}
	return true;
}

const char *
attr_str(struct attr_reader *r, const char *name)
{
	const char *got, *value;

	if (r->error != ATTR_OK)
		return NULL;
	r->want = name;
	while (attr_any(r, &got, &value)) {
		if (strcmp(got, name) == 0)
			return value;
		if (!r->lenient) {
			r->error = ATTR_EXTRA;
			r->name = got;
			return NULL;
		}
	}
	r->error = ATTR_MISSING;
	return NULL;
}

bool
attr_uint_parse(const char *s, uint32_t *r)
{
	unsigned long long v;
	bool	minus;
	const char *p = s;

	/* What one %u conversion takes: blanks, a sign, digits; saturates at 64 bits, is cut to 32 bits. */
	while (isspace((unsigned char) *p))
		p++;
	minus = *p == '-';
	if (*p == '-' || *p == '+')
		p++;
	if (p[0] == 0 || strspn(p, "0123456789") != strlen(p))
		return false;
	errno = 0;
	v = strtoull(p, NULL, 10);
	if (errno == ERANGE)
		minus = false;				/* saturated: all ones, sign or not */
	*r = (uint32_t) (minus ? 0 - v : v);
	return true;
}

uint32_t
attr_uint(struct attr_reader *r, const char *name)
{
	const char *value = attr_str(r, name);
	uint32_t n = 0;

	if (value != NULL && !attr_uint_parse(value, &n)) {
		r->error = ATTR_BADNUM;
		r->value = value;
	}
	return n;
}

void
attr_need(struct attr_reader *r, const char *name, const char *want)
{
	const char *value = attr_str(r, name);

	if (value != NULL && strcmp(value, want) != 0) {
		r->error = ATTR_DIFFERS;
		r->value = value;
	}
}

const char *
attr_end(struct attr_reader *r)
{
	const char *name, *value;

	return attr_any(r, &name, &value) ? name : NULL;
}

void
attr_put_str(struct buf *b, const char *name, const char *value)
{
	buf_add(b, name, strlen(name) + 1);
	buf_add(b, value, strlen(value) + 1);
}

void
attr_put_uint(struct buf *b, const char *name, uint32_t value)
{
	char	num[16], *p = num + sizeof num - 1;

	*p = 0;
	do {					/* every reply has one: not worth a formatted print */
		*--p = (char) ('0' + value % 10);
	} while ((value /= 10) > 0);
	attr_put_str(b, name, p);
}

void
attr_put_end(struct buf *b)
{
	buf_addc(b, 0);
}
