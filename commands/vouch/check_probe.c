/* commands/vouch/check_probe.c - what probe(8) would not start with: name servers and tables; only where it is to run */

#include <stdlib.h>
#include <string.h>

#include <util/dns_ares.h>
#include <util/evloop.h>
#include <global/lookup_table.h>

#include "check.h"

static void
check_probe_servers(struct check *c)
{
	const struct dns_conf conf = { .servers = c->params->probe_dns_servers, .try_ms = 1000, .tries = 1 };
	struct ev_loop *loop = ev_loop_new();
	char   *where = check_where(c, "probe_dns_servers");
	const char *why = "";
	struct dns *dns = dns_new(loop, &dns_ares, &conf, &why);

	if (dns == NULL)
		check_error(c, "%s: '%s': %s: write \"192.0.2.1\" or \"192.0.2.1:53\", several with blanks between them", where,
		    conf.servers, why);
	dns_free(&dns);
	ev_loop_free(&loop);
	free(where);
}

static void
check_probe_tables(struct check *c, const char *name, const char *list)
{
	char   *where = check_where(c, name);
	struct buf why = BUF_INIT(64 * 1024);
	struct lookup_tables *t = lookup_tables_open(list, &why);
	size_t	n;

	for (const char *p = t == NULL ? buf_str(&why) : ""; *p != 0; p += n + (p[n] == '\n')) {
		n = strcspn(p, "\n");
		check_error(c, "%s: %.*s", where, (int) n, p);
	}
	lookup_tables_free(&t);
	buf_fini(&why);
	free(where);
}

void
check_probe(struct check *c)
{
	const struct master_cf_entry *s;

	TAILQ_FOREACH(s, &c->services, link)
		if (strcmp(s->command, "probe") == 0)
			break;
	if (s == NULL)
		return;
	check_probe_servers(c);
	check_probe_tables(c, "address_verify_transport_maps", c->params->address_verify_transport_maps);
}
