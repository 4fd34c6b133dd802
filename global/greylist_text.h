/* global/greylist_text.h - what people are to see of greylisting records, for as long as the database may still have to be told
 * The texts of the latest records of this process; older ones go when there are too many.
 */
#ifndef GLOBAL_GREYLIST_TEXT_H
#define GLOBAL_GREYLIST_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct greylist_texts;

struct greylist_texts *greylist_texts_new(size_t max);
void	greylist_texts_free(struct greylist_texts **);
void	greylist_texts_put(struct greylist_texts *, const char *id, const char *text);
/* greylist_texts_get - NULL: not known; borrowed until the next put. id is GREYLIST_ID_LEN bytes, as above */
const char *greylist_texts_get(const struct greylist_texts *, const char *id);
/* greylist_texts_written - the database has it; nothing if it is not known */
void	greylist_texts_written(struct greylist_texts *, const char *id);
/* greylist_texts_each - oldest first; owed: not written since it was put. fn must not put */
typedef void greylist_text_fn(void *ctx, const char *id, bool owed);
void	greylist_texts_each(struct greylist_texts *, greylist_text_fn *, void *ctx);

#endif
