/* global/pidfile_lock.h - a file that is locked while its process lives, and names it
 * source: spec control-command section 3. The lock, not the content, means "running"; the content tells whom to
 * signal, or to blame. Same bytes and same kind of lock as Postfix's, so that a Postfix master and ours exclude each other.
 */
#ifndef GLOBAL_PIDFILE_LOCK_H
#define GLOBAL_PIDFILE_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

#include <util/buf.h>

#define PIDFILE_LOCK_MASTER "pid/master.pid"	/* in queue_directory */
#define PIDFILE_LOCK_DATA   "master.lock"	/* in data_directory */

enum pidfile_lock_result { PIDFILE_FREE, PIDFILE_HELD, PIDFILE_ERROR };

struct pidfile_lock {
	int	fd;		/* close-on-exec; the lock lasts as long as this is open */
	pid_t	named;		/* whom the file names: the holder when PIDFILE_HELD, else the last one; 0 = nobody */
	bool	created;	/* the file was not there before */
};

/* pidfile_lock_take - open, or create with mode 0600, and lock; the content is left as it is
 * lock_r    fd is -1 unless PIDFILE_FREE
 * why       one line when PIDFILE_ERROR: no regular file, several links, a symbolic link, no directory ...
 * blocks    up to 200 ms while others merely test the lock
 */
enum pidfile_lock_result pidfile_lock_take(const char *path, struct pidfile_lock *lock_r, struct buf *why);
/* pidfile_lock_room - make sure that the pid will find room on disk, before anything is begun; the content that is there stays:
 * 0, or -1 with why */
int	pidfile_lock_room(const struct pidfile_lock *, struct buf *why);
/* pidfile_lock_write - put our pid into a file taken before: 0, or -1 with why */
int	pidfile_lock_write(const struct pidfile_lock *, struct buf *why);
/* pidfile_lock_drop - release a lock; a file that taking it created is removed, unless our pid stands in it */
void	pidfile_lock_drop(const char *path, struct pidfile_lock *);
/* pidfile_lock_test - whether a process holds it, nothing changed; no file is PIDFILE_FREE; named_r as above */
enum pidfile_lock_result pidfile_lock_test(const char *path, pid_t *named_r, struct buf *why);

#endif
