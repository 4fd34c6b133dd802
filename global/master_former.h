/* global/master_former.h - what a master that was killed leaves for a moment: workers that have not noticed yet
 * Its successor and "vouch check" must neither be kept out by them nor take anything from somebody else. Whom the pid file
 * names, its lock being free, is the former master.
 */
#ifndef GLOBAL_MASTER_FORMER_H
#define GLOBAL_MASTER_FORMER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* master_former_made - whether the listener that fd is connected to (UNIX) was made by former, which is dead */
bool	master_former_made(int fd, pid_t former);
/* master_former_wait - a port is in use: whether it makes sense to try again; waits a little before it says so
 * end_ms    0 before the first call for this instance; from then on the end of all waiting, 3 s later
 * returns   false at once when former is 0 or alive, or nobody of its process group is left, and when the time is up; errno is kept */
bool	master_former_wait(pid_t former, int64_t *end_ms);

#endif
