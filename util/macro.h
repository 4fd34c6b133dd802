/* util/macro.h - $name expansion as in main.cf
 * source: spec main-cf section 3: $name ${name} $(name) $$ ${name?text} ${name:text} ${name?{a}:{b}}
 * ${{x} OP {y}?{a}:{b}}, OPlevel. Recursive, with a limit.
 */
#ifndef UTIL_MACRO_H
#define UTIL_MACRO_H

#include <util/buf.h>

/* macro_lookup_fn - the unexpanded value of name, borrowed until the next call; NULL when undefined */
typedef const char *macro_lookup_fn(void *ctx, const char *name);

/* macro_expand - append the expansion of text to out
 * why       on failure a message in Postfix's words ("unbalanced {} in attribute expression", ...), cleared first
 * returns   0, or -1: syntax error, nesting deeper than 100, or out's limit
 */
int	macro_expand(struct buf *out, const char *text, macro_lookup_fn *, void *ctx, struct buf *why);

#endif
