/* tests/lib/prober_world.h - a prober with scripted servers and a scripted name server under a fake clock */
#ifndef TESTS_PROBER_WORLD_H
#define TESTS_PROBER_WORLD_H

#include <daemons/probe/prober.h>
#include <tests/lib/dns_stub.h>
#include <tests/lib/smtp_stub.h>

struct prober_world {
	struct ev_loop *loop;
	struct smtp_stub *stub;
	struct dns_stub *names;
	struct dns *dns;
	struct prober_conf conf;	/* may be changed between begin and start */
	struct tls_ctx *tls;
	struct prober *prober;
	struct buf reports;		/* one line each: "status category rule dsn | text" */
	unsigned reports_n;
	bool	 keep_reports;		/* prober_taken is the test's affair */
};

void	prober_world_begin(struct prober_world *);
void	prober_world_start(struct prober_world *, const char *zone);
void	prober_world_end(struct prober_world *);
/* prober_world_settle - turns until nothing happens any more for a while; the clock stands still */
void	prober_world_settle(struct prober_world *);

#endif
