/* global/smtpcb_proto.h - the line protocol of qpsmtpd's smtp_callback plugin: one address in, one verdict out
 * source: spec smtpcbd-protocol sections 2 and 3. Pure: lines in memory, no I/O, no clock. Lines are given and made
 * without their LF. Both sides are here: smtpcbd(8) reads requests and writes replies, smtpd(8) the other way round.
 */
#ifndef GLOBAL_SMTPCB_PROTO_H
#define GLOBAL_SMTPCB_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <util/buf.h>

#define SMTPCB_LINE_MAX	   1024		/* bytes of a request; the plugin sends 412 and more for long local parts */
#define SMTPCB_MAILBOX_MAX 512		/* RFC 5321 allows 254 */
#define SMTPCB_REPLY_MAX   4096		/* bytes of a reply that we read */
#define SMTPCB_ADDR_MAX	   256		/* bytes of an address in a reply */

enum smtpcb_kind {
	SMTPCB_ADDRESS,		/* local is set, and domain, which may be "" */
	SMTPCB_NULL_SENDER,	/* <>, or qmail's <#@[]> */
	SMTPCB_BAD_ADDRESS,	/* can be no mailbox: empty local part, control bytes, a domain that is no host name ... */
	SMTPCB_LONG_ADDRESS,	/* above SMTPCB_MAILBOX_MAX */
	SMTPCB_UTF8_ADDRESS,	/* not ASCII, and utf8 is off */
	SMTPCB_BAD_REQUEST,	/* not a line of this protocol: no brackets and no mailbox, NUL bytes */
};

struct smtpcb_request {
	enum smtpcb_kind kind;
	char	local[SMTPCB_MAILBOX_MAX + 1];	/* without quotes and backslashes */
	char	domain[SMTPCB_MAILBOX_MAX + 1];	/* in lower case; or an address literal with its brackets */
	char	refused[SMTPCB_ADDR_MAX + 2];	/* of the three kinds that are none: the mailbox as it came, or its beginning */
};

/* smtpcb_request_parse - a line of n bytes; a CR at its end is fine, angle brackets may be missing */
enum smtpcb_kind smtpcb_request_parse(const char *line, size_t n, bool utf8, struct smtpcb_request *r);

enum smtpcb_code { SMTPCB_OK, SMTPCB_FAIL, SMTPCB_TEMPFAIL };
enum { SMTPCB_CODES = SMTPCB_TEMPFAIL + 1 };
const char *smtpcb_code_name(enum smtpcb_code);

struct smtpcb_reply {
	enum smtpcb_code code;
	const char *msg;		/* what the server said; any text */
	const char *addr;		/* the mailbox */
	const char *server;		/* who said so: NAME[ADDRESS] */
	int64_t	 since_s;		/* the status is so since then, seconds since 1970 */
	int64_t	 next_s;		/* asked again from then on */
};

/* smtpcb_reply_put - append the line, LF included: six fields, whatever is in the texts
 * now_s     since_s is cut down to it, next_s raised to it: the clock may have been set back
 * utf8      keep valid UTF-8; else every byte outside ASCII is '?'
 * more      further fields "key=value:key=value", or NULL */
void	smtpcb_reply_put(struct buf *, const struct smtpcb_reply *, int64_t now_s, bool utf8, const char *more);
/* smtpcb_reply_parse - a line of n bytes, which are changed, as is line[n]; the texts of r point into it
 * returns   NULL, or what is wrong with it (static text): then r is worth nothing */
const char *smtpcb_reply_parse(char *line, size_t n, struct smtpcb_reply *r);
/* smtpcb_split_text - the text of a result: "host NAME[ADDR] said: TEXT (in reply to RCPT TO command)"
 * server    size bytes, gets NAME[ADDR], "" when the text names none
 * returns   TEXT with its length in len_r, borrowed from text; all of it when it has another form */
const char *smtpcb_split_text(const char *text, char *server, size_t size, size_t *len_r);

#endif
