/* daemons/smtpd/plugins_file.h - the text of the plugins file -> names and arguments
 * source: spec smtpd-front section 6, man/man5/plugins.5. Knows the shape of a line, not which plugins there are.
 */
#ifndef SMTPD_PLUGINS_FILE_H
#define SMTPD_PLUGINS_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>

#define PLUGINS_LINE_MAX	4096
#define PLUGINS_MAX		100	/* lines that name a plugin */
#define PLUGINS_ARGS_MAX	100	/* words in a line */
#define PLUGINS_NAME_MAX	100

struct plugins_line {
	unsigned line;			/* from 1 */
	char   *name;			/* "verify_sender": where the code is */
	char   *instance;		/* "verify_sender:1"; unique */
	int	argc;
	char  **argv;			/* argv[0] is instance; NULL-ended */
};

struct plugins_file {
	size_t	n;
	struct plugins_line *line;
};

/* plugins_file_parse - f_r is to be given to plugins_file_fini whatever is returned
 * why	     "line N: ..." on failure; the file's name is the caller's
 * returns   0 or -1 */
int	plugins_file_parse(struct plugins_file *f_r, const char *text, size_t n, struct buf *why);
void	plugins_file_fini(struct plugins_file *);

#endif
