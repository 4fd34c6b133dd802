/* util/pg_args.h - the parameters of one SQL statement, in PostgreSQL's binary form
 * Values never become part of a statement's text. Arrays are how one statement handles many rows:
 * ... FROM unnest($1::text[], $2::bigint[]) - each array one parameter, whatever its length.
 * Bounded; what does not fit sets mem.full, and the statement is then refused whole.
 */
#ifndef UTIL_PG_ARGS_H
#define UTIL_PG_ARGS_H

#include <stdint.h>

#include <util/buf.h>

#define PG_ARGS_MAX	24
#define PG_ARGS_BYTES	((size_t) 8 << 20)

/* PostgreSQL's own numbers for its types; the same in the engines that speak its protocol */
enum { PG_TYPE_INT = 20, PG_TYPE_TEXT = 25, PG_TYPE_INT_ARRAY = 1016, PG_TYPE_TEXT_ARRAY = 1009 };

struct pg_args {
	struct buf mem;
	unsigned n;
	struct {
		unsigned type;
		size_t	 at, len;	/* in mem */
	} arg[PG_ARGS_MAX];
	unsigned left;			/* elements that the open array still expects */
};

void	pg_args_init(struct pg_args *);
void	pg_args_fini(struct pg_args *);
/* each call adds the next parameter, $1 first */
void	pg_arg_int(struct pg_args *, int64_t);
void	pg_arg_text(struct pg_args *, const char *, size_t len);
void	pg_arg_str(struct pg_args *, const char *);
/* pg_arg_array - type PG_TYPE_INT or PG_TYPE_TEXT; n elements must follow, with these calls */
void	pg_arg_array(struct pg_args *, unsigned type, unsigned n);
void	pg_elem_int(struct pg_args *, int64_t);
void	pg_elem_text(struct pg_args *, const char *, size_t len);

#endif
