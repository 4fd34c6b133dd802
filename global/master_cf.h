/* global/master_cf.h - master.cf as a list of services; no sockets, no processes
 * source: spec master-cf sections 1 to 3 and 6.
 * Two lines for the same service are both in the list, in file order: which names mean the same
 * is known to the master only, who resolves addresses and ports (the last line counts).
 */
#ifndef GLOBAL_MASTER_CF_H
#define GLOBAL_MASTER_CF_H

#include <stdbool.h>
#include <stddef.h>
#include <bsd/sys/queue.h>

#include <util/buf.h>

#define MASTER_CF_FILE_MAX (4u << 20)	/* bytes in one master.cf */
#define MASTER_CF_LINE_MAX (256u << 10)	/* bytes in one entry */

enum master_cf_type { MASTER_INET, MASTER_UNIX, MASTER_UNIX_DGRAM, MASTER_FIFO, MASTER_PASS };

struct master_cf_entry {
	TAILQ_ENTRY(master_cf_entry) link;
	unsigned line;			/* first physical line */
	char	*name;			/* first field as written */
	enum master_cf_type type;
	bool	 is_private;
	bool	 unpriv, chroot;
	int	 wakeup_s;		/* 0 = never */
	bool	 wakeup_lazy;		/* '?' */
	int	 maxproc;		/* 0 = no limit; -1 = $default_process_limit */
	char	*command;		/* as written, relative to $daemon_directory */
	char   **argv;			/* arguments after the command, braces stripped; NULL-terminated */
	size_t	 argc;
	char	*field[8];		/* the eight fields as written ("-" kept), for vouchconf -M -F */
};

/* names of the eight fields, as messages and vouchconf -F say them */
extern const char *const master_cf_fields[8];

TAILQ_HEAD(master_cf, master_cf_entry);

typedef void master_cf_warn_fn(void *ctx, const char *text);

/* master_cf_read - dir/master.cf; fills list (initialised here)
 * why       on failure "FILE: line N: reason" for each bad entry, one a line, reasons in Postfix's words and what to
 *	     write instead
 * returns   0 or -1; on failure the list is empty
 */
int	master_cf_read(struct master_cf *list, const char *dir, master_cf_warn_fn *, void *ctx, struct buf *why);
int	master_cf_parse(struct master_cf *list, const char *file, const char *text, size_t n,
	    master_cf_warn_fn *, void *ctx, struct buf *why);
void	master_cf_free(struct master_cf *list);
/* master_cf_entry_parse - one entry from the text of its logical line; -1 with a reason, without file and line */
int	master_cf_entry_parse(const char *text, struct master_cf_entry **entry_r, struct buf *why);
void	master_cf_entry_free(struct master_cf_entry **);
const char *master_cf_type_name(enum master_cf_type);
bool	master_cf_type_find(const char *, enum master_cf_type *);

#endif
