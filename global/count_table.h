/* global/count_table.h - counters whose names are known only at run time, of all workers of a host: a small file of their own
 * A name has two parts, as "earlytalker" and "deny". Counters survive workers, reload and restart as the cache file's do; there are as
 * many as fit into COUNT_TABLE_BYTES, some thousands. A worker that is killed loses what it has not handed over.
 */
#ifndef GLOBAL_COUNT_TABLE_H
#define GLOBAL_COUNT_TABLE_H

#include <stdint.h>

#define COUNT_TABLE_BYTES (1u << 20)
#define COUNT_TABLE_SMTPD "smtpd_counts"	/* the plugins of smtpd(8): instance, return code */

struct count_table;

/* count_table_open - data_fd: data_directory, borrowed; NULL with why_r (static text) when there can be none */
struct count_table *count_table_open(int data_fd, const char *name, const char **why_r);
void	count_table_close(struct count_table **);
/* count_table_add - 0; -1: the table is busy, try again later with the same n */
int	count_table_add(struct count_table *, const char *first, const char *second, uint64_t n);
/* count_table_check - once a second or so: follow a replaced file */
void	count_table_check(struct count_table *);

/* count_table_read - show all counters, in no order; for commands: makes nothing. -1 when there is no such file */
typedef void count_table_fn(void *ctx, const char *first, const char *second, uint64_t value);
int	count_table_read(int data_fd, const char *name, count_table_fn *, void *ctx);

#endif
