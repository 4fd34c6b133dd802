/* tests/lib/ask_rig.h - a daemon that asks about addresses, as its tests see it: clients on ms_fake, verify_stub for verify(8),
 * this host's table, in which the test writes what a probe has found, a fake clock, and the log
 * One rig at a time.
 */
#ifndef TESTS_ASK_RIG_H
#define TESTS_ASK_RIG_H

#include <global/address_host.h>
#include <tests/lib/ms_fake.h>
#include <tests/lib/verify_stub.h>

#define ASK_RIG_NOW	1767000000	/* what the clock says at the beginning */

extern struct ask_rig {
	struct ev_loop *loop;
	struct verify_stub stub;
	struct buf logged;		/* lines, "info: text\n" */
	unsigned lines;
	/* private */
	struct address_host *host;
	struct address_rules rules;
	struct address_ask_conf conf;
} ask_rig;

/* ask_rig_begin - conf: the limits; the rest of it is set here. The host's store and ask are there then */
void	ask_rig_begin(struct address_host *, const struct multi_server *, const struct address_ask_conf *);
void	ask_rig_end(void);
void	ask_rig_waiters(size_t max);	/* a new ask with another limit; none may be waiting */
void	ask_rig_say(struct ms_client *, const char *text);
/* ask_rig_want - what the client has heard since the last call */
void	ask_rig_want(struct ms_client *, const char *name, const char *text);
void	ask_rig_result(const char *addr, enum verify_status, const char *text, int64_t when_s);

#endif
