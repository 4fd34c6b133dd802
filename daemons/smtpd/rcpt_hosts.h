/* daemons/smtpd/rcpt_hosts.h - the domains that we take mail for: settings files me (default: myhostname) and rcpthosts
 * A line of rcpthosts is a domain, ".domain" for all below it, "!domain", a file, or a table (global/domain_list.h).
 */
#ifndef SMTPD_RCPT_HOSTS_H
#define SMTPD_RCPT_HOSTS_H

#include <stdbool.h>

#include "vouch_plugin.h"

struct rcpt_hosts;
struct domain_list;

/* rcpt_hosts_new - in a plugin's init; NULL by vh_error */
struct rcpt_hosts *rcpt_hosts_new(struct vh_inst *, struct vh_err *);
void	rcpt_hosts_free(struct rcpt_hosts **);
bool	rcpt_hosts_have(struct rcpt_hosts *, const char *host);

/* rcpt_hosts_file - a settings file of such lines; *list_r NULL when there is no such file. 0, or -1 by vh_error */
int	rcpt_hosts_file(struct vh_inst *, const char *name, struct domain_list **list_r, struct vh_err *);
/* rcpt_hosts_match - the host in any case */
bool	rcpt_hosts_match(struct domain_list *, const char *host);

#endif
