/* global/main_cf.h - main.cf as a dictionary of unexpanded values; what they mean is params.h
 * source: spec main-cf. Knows where each value came from, for messages.
 */
#ifndef GLOBAL_MAIN_CF_H
#define GLOBAL_MAIN_CF_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>

#define MAIN_CF_FILE_MAX (4u << 20)	/* bytes in one main.cf: far above any real one */
#define MAIN_CF_LINE_MAX (256u << 10)	/* bytes in one logical line */

struct main_cf;			/* one configuration */

struct main_cf_entry {
	const char *name, *value;	/* borrowed from the main_cf */
	unsigned    line;		/* in main.cf; 0 = given with -o or by the program */
};

/* main_cf_warn_fn - warnings that do not stop the reading (overriding earlier entry, orphan line) */
typedef void main_cf_warn_fn(void *ctx, const char *text);

/* main_cf_read - read dir/main.cf; config_directory is set to dir
 * why       on failure one line for each bad line of the file: file, line, reason
 *	     ("/x/main.cf, line 3: missing '=' after attribute name: ...")
 * returns   a new main_cf, or NULL
 */
struct main_cf *main_cf_read(const char *dir, main_cf_warn_fn *, void *ctx, struct buf *why);
/* main_cf_parse - the same from text; file names it in messages */
struct main_cf *main_cf_parse(const char *file, const char *text, size_t n, main_cf_warn_fn *, void *ctx,
		    struct buf *why);
struct main_cf *main_cf_new(void);		/* empty: defaults only */
void	main_cf_free(struct main_cf **);
const char *main_cf_path(const struct main_cf *);	/* for messages */

void	main_cf_set(struct main_cf *, const char *name, const char *value);	/* as -o, or read-only ones */
/* main_cf_set_arg - "name=value", blanks around both trimmed; -1 with why ("missing '=' after attribute name") */
int	main_cf_set_arg(struct main_cf *, const char *arg, struct buf *why);
/* main_cf_get - the unexpanded entry, NULL when not set; no defaults here */
const struct main_cf_entry *main_cf_get(const struct main_cf *, const char *name);
/* main_cf_next - all entries in byte order of their names; start with NULL */
const struct main_cf_entry *main_cf_next(const struct main_cf *, const struct main_cf_entry *);

#endif
