/* util/write_behind.h - bytes for a file that may be slow: a thread writes them in their order, while the caller goes on
 * A disk that is busy with something else holds up a write for many milliseconds; whoever serves clients need not wait that long. There
 * is one such thread in a process, from its first use on; one other thread uses it. It has no signals and knows nothing but its bytes.
 * What was taken is written, unless the process is killed, or ends without write_behind_wait. A child made by fork begins anew.
 * What a full disk does not take is lost, and counted. Where it took a part of a line, a line feed goes before what comes next.
 */
#ifndef UTIL_WRITE_BEHIND_H
#define UTIL_WRITE_BEHIND_H

#include <stdbool.h>
#include <stddef.h>

#define WRITE_BEHIND_MAX	(1u << 20)	/* bytes that are taken before those taken earlier are written */

#define WRITE_BEHIND_BEGIN	(256u << 10)	/* so many are written without being told: to wake a thread is dear */

/* write_behind - append n bytes to fd, some time after WRITE_BEHIND_BEGIN bytes or write_behind_begin; they are copied. fd must stay
 *	     open until write_behind_wait
 * returns   false: not taken, because so much waits already, or there can be no thread. Errors of the writing are nobody's */
bool	write_behind(int fd, const void *data, size_t n);
void	write_behind_begin(void);
bool	write_behind_busy(void);		/* something was taken that is not written yet */
/* write_behind_wait - until all is written. Before the descriptor is closed or written to directly, before fork and _exit */
void	write_behind_wait(void);
/* write_behind_now - write n bytes behind all that was taken before, in this thread */
void	write_behind_now(int fd, const void *data, size_t n);
bool	write_behind_lost(void);		/* something could not be written, and then something could */
/* write_behind_tell - how many bytes could not be written since this was asked last, and errno */
size_t	write_behind_tell(int *error_r);
/* write_behind_give_up - for a signal handler that ends the process: nothing is taken any more, nothing is waited for */
void	write_behind_give_up(void);

#endif
