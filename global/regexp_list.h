/* global/regexp_list.h - the nogreylist file of qpsmtpd's greylist plugin: one Perl-compatible expression a line
 * A line whose first column is '#' is a comment; all other bytes of a line count, blanks, too. Expressions are searched, not
 * anchored and with case, in a text that the caller has made lower-case; so upper-case letters in one never match, which
 * is reported. Lines of one character are dropped, as there.
 */
#ifndef GLOBAL_REGEXP_LIST_H
#define GLOBAL_REGEXP_LIST_H

#include <stddef.h>

#include <global/list_line.h>

#define REGEXP_LIST_LINES	10000

struct regexp_list;

struct regexp_list *regexp_list_parse(const char *file, const char *text, size_t len, struct list_count *count);
void	regexp_list_free(struct regexp_list **);
/* regexp_list_match - the line of the first expression that is found, 0: none */
unsigned regexp_list_match(struct regexp_list *, const char *subject, size_t len, unsigned *over);

#endif
