/* daemons/smtpd/world.c - what there is once in a process, and what built-in plugins may have of it */
#include <util/dns_ares.h>
#include <util/mem.h>
#include <util/msg.h>

#include "smtpd.h"

#define WORLD_DNS_TRIES	  2
#define WORLD_DNS_TRY_MS  5000
#define WORLD_DNS_OPEN	  200		/* questions at a time */
#define WORLD_DNS_WAIT	  10000
#define WORLD_DNS_CACHE	  10000

struct smtpd smtpd = { .spool_fd = -1, .conns = TAILQ_HEAD_INITIALIZER(smtpd.conns) };

static struct {
	struct tls_ctx *tls;
	bool	tls_tried;
} world;

const struct params *
smtpd_params(void)
{
	return smtpd.conf.params;
}

struct ev_loop *
smtpd_loop(void)
{
	return smtpd.loop;
}

struct dns *
smtpd_dns(void)
{
	const struct dns_conf conf = { .servers = smtpd.conf.params != NULL ? smtpd.conf.params->smtpd_dns_servers : "",
		.try_ms = WORLD_DNS_TRY_MS, .tries = WORLD_DNS_TRIES, .open_limit = WORLD_DNS_OPEN, .wait_limit = WORLD_DNS_WAIT,
		.cache_limit = WORLD_DNS_CACHE };
	const char *why = "";

	if (smtpd.dns == NULL && (smtpd.dns = dns_new(smtpd.loop, &dns_ares, &conf, &why)) == NULL)
		msg_fatal("parameter smtpd_dns_servers: %s: %s", conf.servers, why);
	return smtpd.dns;
}

char *
smtpd_plain_address(const struct vh_addr *a)
{
	const char *host = vh_addr_host(a);

	return mem_printf("%s%s%s", vh_addr_user(a), *host != 0 ? "@" : "", host);
}

struct tls_ctx *
smtpd_client_tls(void)
{
	const char *why = "";

	if (!world.tls_tried && (world.tls = tls_client_ctx_new(&why)) == NULL)
		msg_warn("TLS with next hops is not possible: %s", why);
	world.tls_tried = true;
	return world.tls;
}
