/* util/fileedit.h - change a small text file in one step
 * The new content is written to PATH.tmp in the same directory, which is also the lock against
 * other editors (postconf(1) uses the same name and lock), synced, and renamed over the file:
 * readers see the old file or the new one, nothing between. Owner, group and mode stay; a
 * symbolic link stays too, its target is changed.
 */
#ifndef UTIL_FILEEDIT_H
#define UTIL_FILEEDIT_H

#include <stddef.h>

#include <util/buf.h>

struct fileedit;

/* fileedit_open - lock the file and append its content to text
 * why       on failure one line: path and reason
 * blocks    while another editor has the lock, at most wait_ms
 * returns   NULL on failure; errno is EWOULDBLOCK if the lock could not be had in time */
struct fileedit *fileedit_open(const char *path, struct buf *text, unsigned wait_ms, struct buf *why);
/* fileedit_commit - put the new content in place and end the edit; -1 with why, the file is then as it was */
int	fileedit_commit(struct fileedit **, const void *text, size_t n, struct buf *why);
/* fileedit_abandon - end the edit without a change; NULL is fine */
void	fileedit_abandon(struct fileedit **);

#endif
