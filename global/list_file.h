/* global/list_file.h - a small file that is read again when it changes
 * Its directory is opened at the start, so that it is found after the root directory has changed. A file that is being written
 * is left alone until it rests; one that has gone or cannot be read is reported once, and what was read stays in force.
 */
#ifndef GLOBAL_LIST_FILE_H
#define GLOBAL_LIST_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include <util/buf.h>

#define LIST_FILE_MAX	(16u << 20)

struct list_file {
	char   *path, *name;		/* name: inside the directory */
	int	dirfd;
	bool	known, trouble;
	bool	moving;			/* it has changed: look again in a second */
	struct stat seen;		/* when it was read */
	struct stat next;		/* when it was found changed: read when it is found so again */
};

void	list_file_init(struct list_file *, const char *path);
void	list_file_fini(struct list_file *);
/* list_file_look - true when there is something new, which text then has (a buf for LIST_FILE_MAX bytes); trouble is logged, but
 * not that a file never existed
 * at_once   else what has changed is taken when the next look finds it the same */
bool	list_file_look(struct list_file *, bool at_once, struct buf *text);
/* list_file_rule - "name:line" for logs; borrowed until the next call */
const char *list_file_rule(const struct list_file *, unsigned line);

#endif
