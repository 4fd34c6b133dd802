/* daemons/smtpd/builtin.h - what a built-in plugin may use beyond vouch_plugin.h: util/, global/, and the daemon's own loop
 * A built-in plugin is a file plugin_NAME.c (queue_NAME.c for queue/NAME) that defines `const struct vh_plugin
 * vh_builtin_NAME`, and a row in builtin.def. Statics and globals bear the file's name: all are linked together.
 */
#ifndef SMTPD_BUILTIN_H
#define SMTPD_BUILTIN_H

#include <global/params.h>
#include <util/dns.h>
#include <util/evloop.h>
#include <util/tls.h>

#include "vouch_plugin.h"

const struct params *smtpd_params(void);	/* from init on; NULL in tests without a configuration */
struct ev_loop *smtpd_loop(void);		/* from worker_init on, as those that follow */
struct dns *smtpd_dns(void);			/* one resolver for all plugins, made when first asked for in worker_init: a bad
					 * smtpd_dns_servers ends the process */
char   *smtpd_plain_address(const struct vh_addr *);	/* user@host without quotes, as verify(8) and policy services have it; heap */
struct tls_ctx *smtpd_client_tls(void);		/* for connections to next hops; NULL: OpenSSL is out of order (logged) */

#define BUILTIN(name) extern const struct vh_plugin vh_builtin_##name;
#include "builtin.def"
#undef BUILTIN

#endif
