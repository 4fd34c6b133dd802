/* daemons/smtpd/verify_core.h - one way for all plugins of the process to ask verify(8) about addresses */
#ifndef SMTPD_VERIFY_CORE_H
#define SMTPD_VERIFY_CORE_H

#include <global/address_ask.h>

/* each user: init in its init, start in its worker_init, fini in its fini */
void	verify_core_init(void);
void	verify_core_start(void);
void	verify_core_fini(void);
struct address_ask *verify_core_ask(void);	/* from start on */

#endif
