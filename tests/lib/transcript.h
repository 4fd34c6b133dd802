/* tests/lib/transcript.h - recorded dialogues, as they are in tests/wire/transcripts
 * "C> 0000  72 65 ...  |re...|": direction, offset in the message, bytes, the same for the eye. A message begins at
 * offset 0000 (lines of the same direction that follow each other with offset 0000 are two messages). "#" begins a
 * comment; those before a message belong to it.
 */
#ifndef TESTS_TRANSCRIPT_H
#define TESTS_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>

struct transcript_msg {
	char	 dir[3];	/* "C>", "S>", "V<", "V>" */
	unsigned line;		/* its first line in the file */
	struct buf data;
	struct buf comment;	/* lines before it, each with its newline, without "# " */
};

struct transcript {
	struct transcript_msg *msg;
	size_t	n;
};

/* transcript_read - a file of tests/wire/transcripts, by its name; relative to the source tree, where tests run
 * why	     on failure: file, line and reason
 * returns   0 or -1
 */
int	transcript_read(struct transcript *, const char *name, struct buf *why);
void	transcript_fini(struct transcript *);
/* transcript_join - append all messages of one direction, from message number `from` on, up to the first of another
 * direction when `run` is set; returns the number of the first message not looked at */
size_t	transcript_join(const struct transcript *, const char *dir, size_t from, bool run, struct buf *out);

#endif
