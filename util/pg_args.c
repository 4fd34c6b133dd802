/* util/pg_args.c - the parameters of one SQL statement, in PostgreSQL's binary form
 * source: PostgreSQL's array_send and array_recv: dimensions, has-nulls, element type; per dimension length and
 * lower bound; per element length and bytes. All numbers big-endian.
 */
#include "pg_args.h"

#include <endian.h>
#include <string.h>

#include <util/msg.h>

void
pg_args_init(struct pg_args *a)
{
	memset(a, 0, sizeof *a);
	buf_init(&a->mem, PG_ARGS_BYTES);
}

void
pg_args_fini(struct pg_args *a)
{
	buf_fini(&a->mem);
}

static void
pg_put32(struct pg_args *a, uint32_t v)
{
	v = htobe32(v);
	buf_add(&a->mem, &v, sizeof v);
}

static void
pg_put64(struct pg_args *a, int64_t v)
{
	uint64_t u = htobe64((uint64_t) v);

	buf_add(&a->mem, &u, sizeof u);
}

static void
pg_arg_open(struct pg_args *a, unsigned type)
{
	if (a->n == PG_ARGS_MAX || a->left != 0)
		msg_panic("pg_args: too many parameters, or an array has fewer elements than it said");
	a->arg[a->n].type = type;
	a->arg[a->n].at = a->mem.len;
	a->n++;
}

/* pg_arg_grown - the last parameter reaches to where we are now */
static void
pg_arg_grown(struct pg_args *a)
{
	a->arg[a->n - 1].len = a->mem.len - a->arg[a->n - 1].at;
}

void
pg_arg_int(struct pg_args *a, int64_t v)
{
	pg_arg_open(a, PG_TYPE_INT);
	pg_put64(a, v);
	pg_arg_grown(a);
}

void
pg_arg_text(struct pg_args *a, const char *s, size_t len)
{
	pg_arg_open(a, PG_TYPE_TEXT);
	buf_add(&a->mem, s, len);
	pg_arg_grown(a);
}

void
pg_arg_str(struct pg_args *a, const char *s)
{
	pg_arg_text(a, s, strlen(s));
}

void
pg_arg_array(struct pg_args *a, unsigned type, unsigned n)
{
	pg_arg_open(a, type == PG_TYPE_INT ? PG_TYPE_INT_ARRAY : PG_TYPE_TEXT_ARRAY);
	pg_put32(a, n > 0 ? 1 : 0);	/* dimensions */
	pg_put32(a, 0);			/* no nulls */
	pg_put32(a, type);
	if (n > 0) {
		pg_put32(a, n);
		pg_put32(a, 1);		/* lower bound */
	}
	a->left = n;
	pg_arg_grown(a);
}

static void
pg_elem(struct pg_args *a, unsigned array_type, size_t len)
{
	if (a->n == 0 || a->left == 0 || a->arg[a->n - 1].type != array_type)
		msg_panic("pg_args: an element without its array");
	a->left--;
	pg_put32(a, (uint32_t) len);
}

void
pg_elem_int(struct pg_args *a, int64_t v)
{
	pg_elem(a, PG_TYPE_INT_ARRAY, sizeof v);
	pg_put64(a, v);
	pg_arg_grown(a);
}

void
pg_elem_text(struct pg_args *a, const char *s, size_t len)
{
	pg_elem(a, PG_TYPE_TEXT_ARRAY, len);
	buf_add(&a->mem, s, len);
	pg_arg_grown(a);
}
