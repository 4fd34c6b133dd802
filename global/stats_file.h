/* global/stats_file.h - where a daemon without an address table of its own hands its counters over
 * They are kept in the cache file of verify(8) (verify_store.h), which has those of the whole host. One per process.
 * Without the file nothing is counted, and nothing else suffers.
 */
#ifndef GLOBAL_STATS_FILE_H
#define GLOBAL_STATS_FILE_H

#include <global/params.h>

/* stats_file_open - data_fd is data_directory, borrowed, or -1; what goes wrong is logged */
void	stats_file_open(int data_fd, const struct params *);
/* stats_file_flush - a few times a second: follow a replaced file, add what was counted since */
void	stats_file_flush(void);
void	stats_file_close(void);		/* after a last flush */

#endif
