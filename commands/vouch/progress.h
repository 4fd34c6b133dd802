/* commands/vouch/progress.h - a progress bar on standard error, for as long as that is a terminal */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdint.h>

/* progress - draw it anew, a few times a second at most
 * n	     how many, for people
 * total     what done will be in the end; 0: unknown */
void	progress(const char *what, uint64_t n, uint64_t done, uint64_t total);
/* progress_end - leave the line; before anything else is said there */
void	progress_end(void);

#endif
