/* global/master_status.h - the running master's verdict on the configuration, for those who sent it a signal
 * One line in queue_directory, replaced as a whole (rename) after start and after each reload:
 *	generation N ok
 *	generation N failed: REASON
 * N is 0 after start and counts reloads, also refused ones: who sends SIGHUP reads N before, and waits until it differs.
 * The file outlives the master; whether one runs is pidfile_lock's to say.
 */
#ifndef GLOBAL_MASTER_STATUS_H
#define GLOBAL_MASTER_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <util/buf.h>

#define MASTER_STATUS_FILE "pid/master.status"	/* in queue_directory */

struct master_status_line {
	uint64_t generation;
	bool	 ok;
	char	 reason[1024];	/* one line, "" when ok; cut when it is longer */
};

/* master_status_write - 0, or -1 with why; the file is readable by all */
int	master_status_write(const char *queue_directory, const struct master_status_line *, struct buf *why);
/* master_status_read - 0, or -1 when there is no such file, or another text in it (errno EINVAL) */
int	master_status_read(const char *queue_directory, struct master_status_line *r);

#endif
