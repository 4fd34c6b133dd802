/* global/maillog.h - where this program's log lines go
 * source: spec logging. Under Postfix's master a daemon logs as Postfix's own daemons do: to POSTLOG_SERVICE when
 * that is in the environment, else syslog. Under vouch's master: to maillog_file directly, else syslog.
 */
#ifndef GLOBAL_MAILLOG_H
#define GLOBAL_MAILLOG_H

#include <global/params.h>

/* maillog_early - before main.cf is read: tag from MAIL_LOGTAG (else "vouch"), sink from the environment */
void	maillog_early(const char *progname);
/* maillog_init - with the final names; 0, or -1 with why when maillog_file is set and cannot be used (then: syslog) */
int	maillog_init(const char *progname, const struct params *, struct buf *why);
/* maillog_facility - a value of syslog_facility; false when there is no such facility */
bool	maillog_facility(const char *name, int *facility_r);

#endif
