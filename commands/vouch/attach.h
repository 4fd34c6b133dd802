/* commands/vouch/attach.h - one line of Postfix's master.cf, changed to our verify and back; text in, text out */
#ifndef VOUCH_ATTACH_H
#define VOUCH_ATTACH_H

#include <util/buf.h>

/* attach_text - append to out the text with its verify/unix entry replaced, the old one kept in comment lines
 * file      for messages
 * program   as it stands in the command field: relative to Postfix's daemon_directory
 * maxproc   process limit of the new entry
 * old_r     the command the entry had; heap; line_r its line
 * returns   0, or -1 with why: no such entry, two of them, attached already */
int	attach_text(const char *file, const char *text, size_t n, const char *program, int maxproc, struct buf *out,
	    char **old_r, unsigned *line_r, struct buf *why);
/* attach_undo - append to out the text as it was before attach_text, byte for byte where nobody else changed it
 * returns   0, or -1 with why: not attached, or the lines are not as attach_text left them */
int	attach_undo(const char *file, const char *text, size_t n, struct buf *out, unsigned *line_r, struct buf *why);
/* attach_relative - path as seen from dir, with as many ../ as dir has parts; both absolute and without links; heap */
char   *attach_relative(const char *dir, const char *path);

#endif
