/* global/address_host.h - what a daemon opens to find out about addresses: this host's table, to be looked at, and verify(8)
 * Without the table verify is asked for every address.
 */
#ifndef GLOBAL_ADDRESS_HOST_H
#define GLOBAL_ADDRESS_HOST_H

#include <global/address_ask.h>
#include <global/params.h>

struct address_host {			/* the caller's; zeroed: nothing is open */
	struct address_ask_conf conf;	/* the caller may change it before the start */
	/* from the start on */
	struct verify_store *store;
	struct address_ask *ask;
	/* private */
	const struct params *params;
	struct address_rules rules;
	struct ev_loop *loop;
	struct ev_timer check;
	int	data_fd;
	char   *path;
};

/* address_host_init - before the jail; params must outlive it */
void	address_host_init(struct address_host *, const struct params *, size_t max_waiters);
void	address_host_start(struct address_host *, struct ev_loop *);	/* once: more are fine */
void	address_host_fini(struct address_host *);

#endif
