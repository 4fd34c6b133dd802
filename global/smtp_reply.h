/* global/smtp_reply.h - bytes of an SMTP or LMTP server -> replies; no opinions
 * source: RFC 5321 section 4.2, RFC 2034 (enhanced status codes). Fed with whatever arrived, in any cut; a server
 * can make it hold SMTP_REPLY_TEXT_MAX bytes, whatever it sends. What a code means is smtp_class.h.
 */
#ifndef GLOBAL_SMTP_REPLY_H
#define GLOBAL_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>

#define SMTP_REPLY_LINE_MAX  1024	/* bytes kept of a line: RFC 5321's 512 and as much again; the rest is dropped */
#define SMTP_REPLY_LINES_MAX 128	/* lines of one reply: the longest EHLO lists seen have about thirty */
#define SMTP_REPLY_TEXT_MAX  4096	/* bytes kept of a reply */
#define SMTP_REPLY_BYTES_MAX (2u << 20)	/* bytes of a reply, kept or not: a line of 1 MB passes, an endless one does not */

struct smtp_reply {
	unsigned code;		/* of the last line; 0 until there is one */
	char	 dsn[12];	/* enhanced status code that agrees with the code, "5.1.1"; "" when there is none */
	unsigned lines;
	struct buf text;	/* the lines with their codes, '\n' between them; what is not printable is '?' */
	/* the line that is being read */
	char	 head[20];	/* its first bytes */
	size_t	 head_len, line_len, bytes;
	bool	 cr;		/* a CR is held back: part of the line end, perhaps */
};

enum smtp_reply_result {
	SMTP_REPLY_MORE,	/* incomplete; all bytes were used */
	SMTP_REPLY_DONE,	/* complete; further bytes may follow it */
	SMTP_REPLY_BAD,		/* no SMTP reply; text shows the beginning of what came instead */
};

void	smtp_reply_init(struct smtp_reply *);
void	smtp_reply_fini(struct smtp_reply *);
void	smtp_reply_reset(struct smtp_reply *);		/* ready for the next reply; keeps a small buffer */
bool	smtp_reply_partial(const struct smtp_reply *);	/* some bytes of a reply are here */
/* smtp_reply_feed - take bytes; used_r: all of them unless DONE. After DONE and BAD the next call must be reset or fini */
enum smtp_reply_result smtp_reply_feed(struct smtp_reply *, const char *data, size_t n, size_t *used_r);
/* smtp_reply_line - the n-th line without code and separator; *len_r its length; NULL when there is none; borrowed */
const char *smtp_reply_line(const struct smtp_reply *, unsigned n, size_t *len_r);
/* smtp_reply_show - append the whole reply as one line: its lines joined by a blank, codes included
 * compact   leave out the code and enhanced code of all lines but the first
 * utf8	     keep valid UTF-8; otherwise everything outside printable ASCII becomes '?' */
void	smtp_reply_show(const struct smtp_reply *, struct buf *out, bool compact, bool utf8);
/* smtp_reply_dsn - the enhanced status code: the server's, or "4.0.0" and the like from the code; size >= 12; returns out */
char	*smtp_reply_dsn(const struct smtp_reply *, char *out, size_t size);

#endif
