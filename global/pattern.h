/* global/pattern.h - Perl-compatible regular expressions from configuration files, with limits
 * A match that needs more steps, depth or memory than the limits is none; an expression that needed that ten times is off
 * until it is loaded again.
 */
#ifndef GLOBAL_PATTERN_H
#define GLOBAL_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>

#define PATTERN_MAX	4096		/* bytes of an expression */

struct pattern;

/* pattern_new - NULL with why (one line) when it cannot be compiled */
struct pattern *pattern_new(const char *text, size_t len, bool caseless, struct buf *why);
void	pattern_free(struct pattern **);
/* pattern_match - search, unanchored; file and line name it in the log
 * over_r    is counted up when a limit ended the search */
bool	pattern_match(struct pattern *, const char *subject, size_t len, const char *file, unsigned line, unsigned *over_r);

#endif
