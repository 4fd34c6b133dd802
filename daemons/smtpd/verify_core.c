/* daemons/smtpd/verify_core.c - one way for all plugins of the process to ask verify(8) about addresses */
#include "verify_core.h"

#include <global/address_host.h>

#include "builtin.h"

static unsigned verify_core_users;
static struct address_host verify_core_host;

void
verify_core_init(void)
{
	if (verify_core_users++ == 0)
		address_host_init(&verify_core_host, smtpd_params(), (size_t) smtpd_params()->smtpd_client_limit);
}

void
verify_core_start(void)
{
	address_host_start(&verify_core_host, smtpd_loop());
}

void
verify_core_fini(void)
{
	if (--verify_core_users == 0)
		address_host_fini(&verify_core_host);
}

struct address_ask *
verify_core_ask(void)
{
	return verify_core_host.ask;
}
