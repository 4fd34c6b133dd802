/* global/params.h - every parameter's value, typed, bounded and expanded
 * The rows of params.def declare them; this module evaluates a main_cf into a struct of
 * variables. A struct params is plain data: made once, read everywhere, freed as a whole.
 * Times are milliseconds, sizes bytes.
 */
#ifndef GLOBAL_PARAMS_H
#define GLOBAL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <util/buf.h>
#include <global/main_cf.h>

enum params_kind { PARAM_STR, PARAM_INT, PARAM_BOOL, PARAM_TIME, PARAM_SIZE };
enum params_when { PARAM_RELOAD, PARAM_START };

#define PARAMS_TYPE_STR	 const char *
#define PARAMS_TYPE_INT	 int64_t
#define PARAMS_TYPE_BOOL bool
#define PARAMS_TYPE_TIME int64_t	/* milliseconds */
#define PARAMS_TYPE_SIZE uint64_t

#define PARAMS_VALUE_MAX (1u << 20)	/* bytes of one expanded value */

struct params {
#define P(kind, name, def, min, max, when, check, what) PARAMS_TYPE_##kind name;
#include <global/params.def>
#undef P
};

/* params_check_fn - NULL, or what to write instead of this value (static text) */
typedef const char *params_check_fn(const char *value);

struct params_row {
	const char *name;
	enum params_kind kind;
	size_t	    offset;		/* in struct params */
	const char *def, *min, *max;	/* text; min and max may be NULL */
	enum params_when when;
	params_check_fn *check;		/* or NULL */
	const char *what;		/* manual text */
};

extern const struct params_row params_table[];
extern const size_t params_count;

const struct params_row *params_find(const char *name);
/* params_default - append the default's text, as vouchconf -d prints it
 * cf        may be NULL; myhostname and mydomain are what the system says, and what cf says about the other of the two */
void	params_default(const struct params_row *, const struct main_cf *cf, struct buf *out);
/* params_expand - append the expanded value of any text in this configuration: $name sees main.cf, -o, and all defaults
 * -1 with why on a macro error */
int	params_expand(const struct main_cf *, const char *text, struct buf *out, struct buf *why);
/* params_eval - append one parameter's expanded value as text, default included; unknown and unset: nothing appended, 0
 * A myorigin that begins with / has become the first line of that file. */
int	params_eval(const struct main_cf *, const char *name, struct buf *out, struct buf *why);
/* params_test - whether one row has a good value; -1 with "parameter NAME: reason" added to why, not where it is written */
int	params_test(const struct main_cf *, const struct params_row *, struct buf *why);
/* params_load - evaluate all rows
 * why       every bad value, one line each: "FILE, line N: parameter NAME: bad time value or unit: V; use ...";
 *	     a value that did not come from the file is named "default" or "-o"
 * returns   a new struct params, or NULL when anything is wrong
 */
struct params *params_load(const struct main_cf *, struct buf *why);
void	params_free(struct params **);
/* params_prefork - workers to start at once for a service of this name and process limit (0 = none); "verify" has its row,
 * other services NAME_prefork_limit in main.cf; -1 with why when malformed
 * maxproc   0 or less: no limit */
int	params_prefork(const struct main_cf *, const char *service, int maxproc, struct buf *why);

#endif
