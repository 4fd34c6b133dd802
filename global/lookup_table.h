/* global/lookup_table.h - TYPE:NAME tables as main.cf names them: texthash, inline, static, pcre, regexp
 * source: Postfix's table types, spec probe section 3.2. A file is read whole, and again when it has changed; one that
 * cannot be read or parsed any more is reported and the old content stays in force. Keys are compared in lower case.
 * Results are plain text: "$1" and the like are refused. if/endif are not supported.
 */
#ifndef GLOBAL_LOOKUP_TABLE_H
#define GLOBAL_LOOKUP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <util/buf.h>

#define LOOKUP_FILE_MAX	(64u << 20)
#define LOOKUP_LINE_MAX	(64u << 10)

struct lookup_tables;			/* a list of tables, searched in order */

/* lookup_tables_open - "TYPE:NAME, TYPE:NAME ..."; a bare path is a texthash; "" is an empty list
 * why	     on failure one line for each table that is no good: what, where, and what to write instead
 * returns   NULL on failure */
struct lookup_tables *lookup_tables_open(const char *list, struct buf *why);
/* lookup_tables_parse - one table of that type from text, as if it were a file's content */
struct lookup_tables *lookup_tables_parse(const char *type, const char *file, const char *text, size_t n, struct buf *why);
void	lookup_tables_free(struct lookup_tables **);
/* lookup_tables_find - the value, borrowed until the next lookup_tables_check; NULL when there is none
 * whole     the key is a whole address: only such keys are shown to patterns */
const char *lookup_tables_find(struct lookup_tables *, const char *key, bool whole);
/* lookup_tables_check - re-read files that changed, and did not change again until the next look: one that is being written
 * is not taken half. Looks at most once a second (monotonic ms); trouble is logged */
void	lookup_tables_check(struct lookup_tables *, int64_t now_ms);
bool	lookup_tables_empty(const struct lookup_tables *);

#endif
