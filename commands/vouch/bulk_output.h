/* commands/vouch/bulk_output.h - the answers of vouch verify: a line for each address, in a file that may be continued
 * What an earlier run has written is compared with what this run would write, and taken as done; a last line that was cut off
 * is taken away.
 */
#ifndef BULK_OUTPUT_H
#define BULK_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <util/buf.h>

struct bulk_output {
	bool	 json;		/* else CSV with a header */
	const char *path;	/* NULL: standard output */
	/* private */
	int	 fd;
	FILE	*old;		/* what was there already, as far as it was not skipped yet; else NULL */
	char	*line;
	size_t	 line_size;
	uint64_t line_n;
	struct buf pending;	/* whole lines, not yet written */
};

/* bulk_output_open - the struct is set up, whatever becomes of it
 * dirfd     where path begins; path NULL: standard output
 * why       on -1: what is wrong, and what to do */
int	bulk_output_open(struct bulk_output *, int dirfd, const char *path, bool json, struct buf *why);
void	bulk_output_close(struct bulk_output *);
/* bulk_output_old - whether the next line was there already; word_r is its answer then, valid until the next call
 * returns   1, 0, or -1 with why: it is there, but not for this address */
int	bulk_output_old(struct bulk_output *, const char *addr, const char **word_r, struct buf *why);
/* bulk_output_at_end - whether all that was there has been asked for with bulk_output_old */
bool	bulk_output_at_end(struct bulk_output *);
/* bulk_output_put - add a line, and write if there is enough; as bulk_output_write */
int	bulk_output_put(struct bulk_output *, const char *addr, const char *said, int code, const char *reason);
/* bulk_output_write - what was put and is not written yet; 0, or -1 with errno, and then part of it may be in the file */
int	bulk_output_write(struct bulk_output *);

#endif
