/* global/smtp_path.h - the address in MAIL FROM and RCPT TO: parse it strictly, write it again
 * source: RFC 5321 sections 4.1.2, 4.1.3 and 4.5.3.1, RFC 6531 section 3.3, spec smtpd-front section 5. A source route is
 * taken off. Syntax only: whether anybody lives there is somebody else's question.
 */
#ifndef GLOBAL_SMTP_PATH_H
#define GLOBAL_SMTP_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>

#define SMTP_PATH_MAX	512		/* bytes of a path with its brackets; RFC 5321 wants 256 at least */
#define SMTP_USER_MAX	255		/* bytes of a local part, quoting undone; RFC 5321 wants 64 at least */
#define SMTP_HOST_MAX	255		/* RFC 1035 section 2.3.4 */

enum {	/* what else is acceptable */
	SMTP_PATH_NULL = 1,		/* <>, and <#@[]> which means the same */
	SMTP_PATH_POSTMASTER = 2,	/* <postmaster> without a domain */
	SMTP_PATH_UTF8 = 4,		/* UTF-8 in either part */
	SMTP_PATH_BARE = 8		/* no brackets */
};

struct smtp_path {
	char	user[SMTP_USER_MAX + 1];	/* quoting undone; "" is the null path */
	char	host[SMTP_HOST_MAX + 1];	/* as it came; "[192.0.2.1]"; "" for <> and <postmaster> */
	bool	utf8;				/* there is UTF-8 in it */
};

/* smtp_path_span - length of the path that text begins with: to its closing bracket, without brackets to the next blank */
size_t	smtp_path_span(const char *text, size_t n);
/* smtp_path_parse - the whole text must be one path
 * why_r     on failure what is wrong (static text) */
bool	smtp_path_parse(struct smtp_path *, const char *text, size_t n, unsigned flags, const char **why_r);
/* smtp_path_show - append user@host, the local part quoted where it must be; nothing for the null path */
void	smtp_path_show(struct buf *, const char *user, const char *host);

#endif
