/* global/smtp_xclient.h - the command XCLIENT: who our client is, for a server that trusts us
 * source: Postfix's XCLIENT_README: attributes are NAME=value, xtext-encoded (RFC 3461 section 4), [UNAVAILABLE] when not known
 */
#ifndef GLOBAL_SMTP_XCLIENT_H
#define GLOBAL_SMTP_XCLIENT_H

#include <util/buf.h>

#define SMTP_XCLIENT_ATTRS 5		/* NAME ADDR PORT PROTO HELO, the order of the bits of smtp_client_xclient */

/* smtp_xclient_line - append the command without CR LF, with those of the values that `may` has a bit for; NULL: not known */
void	smtp_xclient_line(struct buf *, unsigned may, const char *const value[SMTP_XCLIENT_ATTRS]);

#endif
