/* global/main_cf_edit.h - change, remove or comment out entries of main.cf; every other byte stays
 * source: spec postconf section 6. Used by vouchconf(1) and by "vouch init".
 */
#ifndef GLOBAL_MAIN_CF_EDIT_H
#define GLOBAL_MAIN_CF_EDIT_H

#include <stddef.h>

#include <util/buf.h>
#include <global/main_cf.h>

enum main_cf_edit_op {
	MAIN_CF_SET,		/* all entries of that name become "name = value"; a new name goes to the end */
	MAIN_CF_REMOVE,
	MAIN_CF_COMMENT		/* # before each physical line */
};

struct main_cf_edit {
	const char *name, *value;	/* value counts for MAIN_CF_SET only */
};

/* main_cf_edit - append the changed text to out
 * file      names the text in warnings (a name that occurs more than once)
 * edits     each name once; new names are added in byte order
 * returns   0, or -1 when out's limit is in the way */
int	main_cf_edit(struct buf *out, const char *file, const char *text, size_t n, enum main_cf_edit_op,
	    const struct main_cf_edit *edits, size_t nedits, main_cf_warn_fn *, void *ctx);
/* main_cf_edit_file - the same for dir/main.cf, in one step (util/fileedit.h); -1 with why */
int	main_cf_edit_file(const char *dir, enum main_cf_edit_op, const struct main_cf_edit *edits, size_t nedits,
	    main_cf_warn_fn *, void *ctx, struct buf *why);

#endif
