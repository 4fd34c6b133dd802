/* daemons/probe/probe_conf.c - parameters -> configuration of the prober */
#include "probe.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <errno.h>

#include <global/nexthop.h>
#include <global/probe_sender.h>
#include <global/transport_map.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>

#define RULES_FILE_MAX	(1u << 20)
#define MINUTE_MS	60000
#define HOUR_MS		3600000
#define DAY_MS		(24 * HOUR_MS)
#define INFLIGHT_BYTES	256		/* of shared memory for an address: with its sender, and what the table needs */
#define OTHER_FDS	200		/* submitters, name servers, files */

static enum verify_status
probe_conf_status(const char *value)
{
	return strcmp(value, "ok") == 0 ? VERIFY_OK : strcmp(value, "bounce") == 0 ? VERIFY_BOUNCE : VERIFY_DEFER;
}

static enum smtp_tls_level
probe_conf_tls(const char *value)
{
	return strcmp(value, "may") == 0 ? SMTP_TLS_MAY : strcmp(value, "encrypt") == 0 ? SMTP_TLS_ENCRYPT : SMTP_TLS_NONE;
}

static void
probe_conf_word(const char *item, size_t n, char *out, size_t size)
{
	n = n < size ? n : size - 1;
	memcpy(out, item, n);
	out[n] = 0;
}

/* our addresses: those of the interfaces (or of inet_interfaces, when it lists some), and of proxies */

static void
probe_conf_own_add(struct probe_conf *c, const struct mx_addr *a)
{
	size_t	n = c->prober.mx.own_n;

	c->own = mem_grow(c->own, n + 1, sizeof *c->own);
	c->own[n] = *a;
	c->prober.mx.own = c->own;
	c->prober.mx.own_n = n + 1;
}

static void
probe_conf_own_list(struct probe_conf *c, const char *list)
{
	struct mx_addr a;
	char	word[64];
	const char *item;
	size_t	n;

	while ((item = nexthop_next(&list, &n)) != NULL) {
		probe_conf_word(item, n, word, sizeof word);
		if (mx_addr_parse(word, &a))
			probe_conf_own_add(c, &a);
	}
}

static void
probe_conf_own_system(struct probe_conf *c)
{
	struct ifaddrs *list, *i;
	struct mx_addr a;

	if (getifaddrs(&list) < 0)
		return;
	for (i = list; i != NULL; i = i->ifa_next) {
		memset(&a, 0, sizeof a);
		if (i->ifa_addr == NULL)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			memcpy(&a.a, &((struct sockaddr_in *) (void *) i->ifa_addr)->sin_addr, sizeof a.a);
		else if (i->ifa_addr->sa_family == AF_INET6) {
			a.ipv6 = true;
			memcpy(&a.aaaa, &((struct sockaddr_in6 *) (void *) i->ifa_addr)->sin6_addr, sizeof a.aaaa);
		} else
			continue;
		probe_conf_own_add(c, &a);
	}
	freeifaddrs(list);
}

static struct lookup_tables *
probe_conf_tables(const char *list, const char *name, struct buf *why, bool *ok)
{
	struct buf reason = BUF_INIT(8192);
	struct lookup_tables *t = lookup_tables_open(list, &reason);

	if (t == NULL) {
		buf_addf(why, "%sparameter %s: %s", why->len > 0 ? "\n" : "", name, buf_str(&reason));
		*ok = false;
	}
	buf_fini(&reason);
	return t;
}

/* probe_conf_domains - what cannot be used is left out, and said: a list of ours with one bad name is still a list */
static struct domain_list *
probe_conf_domains(const char *list, const char *name, bool parents, struct buf *why)
{
	struct buf reason = BUF_INIT(8192);
	struct domain_list *l = domain_list_open(list, parents, &reason);

	if (reason.len > 0)
		buf_addf(why, "%sparameter %s: %s", why->len > 0 ? "\n" : "", name, buf_str(&reason));
	buf_fini(&reason);
	return l;
}

static const struct smtp_rules *
probe_conf_rules(const char *file, struct buf *why, bool *ok)
{
	struct buf text = BUF_INIT(RULES_FILE_MAX);
	struct smtp_rules *rules = NULL;

	if (file[0] == 0)
		return NULL;
	if (buf_read_file(&text, AT_FDCWD, file) < 0)
		buf_addf(why, "%sparameter probe_reply_rules: %s: %s", why->len > 0 ? "\n" : "", file, strerror(errno));
	else
		rules = smtp_rules_parse(file, buf_str(&text), text.len, why);
	*ok &= rules != NULL;
	buf_fini(&text);
	return rules;
}

static void
probe_conf_schedule(struct prober_conf *c, const char *list)
{
	const char *item;
	char	word[32];
	unsigned i = 0;
	size_t	n;

	while (i < PROBER_GREY_MAX && (item = nexthop_next(&list, &n)) != NULL) {
		probe_conf_word(item, n, word, sizeof word);
		if (units_time_parse(word, 's', &c->grey_ms[i]))
			i++;
	}
}

static char *
probe_conf_complete(const char *sender, const char *myorigin)
{
	return sender[0] == 0 || strcmp(sender, "<>") == 0 ? mem_strdup("") :
	    strchr(sender, '@') != NULL ? mem_strdup(sender) : mem_printf("%s@%s", sender, myorigin);
}

static bool
probe_conf_route(struct probe_conf *pc, const struct params *p, struct buf *why)
{
	struct route_conf *r = &pc->prober.route;
	const char *parents = p->parent_domain_matches_subdomains;
	bool	ok = true;

	r->myorigin = p->myorigin;
	r->mydestination = probe_conf_domains(p->mydestination, "mydestination", false, why);
	r->virtual_alias = probe_conf_domains(p->virtual_alias_domains, "virtual_alias_domains", false, why);
	r->virtual_mailbox = probe_conf_domains(p->virtual_mailbox_domains, "virtual_mailbox_domains", false, why);
	r->relay = probe_conf_domains(p->relay_domains, "relay_domains", nexthop_listed(parents, "relay_domains"), why);
	r->transport[ROUTE_LOCAL] = p->address_verify_local_transport;
	r->transport[ROUTE_ALIAS] = "error";
	r->transport[ROUTE_VIRTUAL] = p->address_verify_virtual_transport;
	r->transport[ROUTE_RELAY] = p->address_verify_relay_transport;
	r->transport[ROUTE_DEFAULT] = p->address_verify_default_transport;
	r->relayhost = p->address_verify_relayhost;
	r->transport_maps = probe_conf_tables(p->address_verify_transport_maps, "address_verify_transport_maps", why, &ok);
	r->recipient_delimiter = p->recipient_delimiter;
	r->transport_parents = nexthop_listed(parents, "transport_maps");
	r->smtp_transports = p->probe_smtp_transports;
	r->unknown_transport = probe_conf_status(p->probe_unknown_transport);
	r->own = pc->prober.mx.own;
	r->own_n = pc->prober.mx.own_n;
	return ok;
}

static void
probe_conf_mx(struct probe_conf *pc, const struct params *p)
{
	struct mx_conf *m = &pc->prober.mx;

	m->ipv4 = nexthop_listed(p->inet_protocols, "all") || nexthop_listed(p->inet_protocols, "ipv4");
	m->ipv6 = nexthop_listed(p->inet_protocols, "all") || nexthop_listed(p->inet_protocols, "ipv6");
	m->prefer = strcmp(p->smtp_address_preference, "ipv4") == 0 ? MX_PREFER_IPV4 :
	    strcmp(p->smtp_address_preference, "ipv6") == 0 ? MX_PREFER_IPV6 : MX_PREFER_ANY;
	m->balance = p->smtp_balance_inet_protocols;
	m->randomize = p->smtp_randomize_addresses;
	m->address_limit = (size_t) p->smtp_mx_address_limit;
	m->ignore_mx_error = p->ignore_mx_lookup_error;
	m->defer_no_address = p->smtp_defer_if_no_mx_address_found;
	m->reject_reserved = p->probe_reject_reserved_mx;
	probe_conf_own_system(pc);
	probe_conf_own_list(pc, p->inet_interfaces);
	probe_conf_own_list(pc, p->proxy_interfaces);
}

static void
probe_conf_manners(struct manners_conf *m, const struct params *p)
{
	*m = (struct manners_conf) {
		.host_sessions = (unsigned) p->probe_host_concurrency_limit,
		.own_host_sessions = (unsigned) p->probe_own_host_concurrency_limit,
		.provider_sessions = (unsigned) p->probe_provider_concurrency_limit,
		.provider_rate = (unsigned) p->probe_provider_rate_limit,
		.provider_burst = (unsigned) p->probe_provider_burst,
		.unknown_hour = (unsigned) p->probe_provider_unknown_limit,
		/* spec probe section 10 */
		.unknown_hold_ms = 15 * MINUTE_MS, .policy_ms = 15 * MINUTE_MS, .policy_max_ms = DAY_MS,
		.rate_ms = 2 * MINUTE_MS, .rate_max_ms = HOUR_MS, .dead_ms = MINUTE_MS, .dead_max_ms = HOUR_MS,
		.own_dead_ms = 2000, .own_dead_max_ms = 30000, .dead_fails = 3,
		.limit = (size_t) p->probe_destination_memory_limit,
	};
}

static bool
probe_conf_sessions(struct probe_conf *pc, const struct params *p, struct buf *why)
{
	struct prober_conf *c = &pc->prober;
	const char *bad = "";
	size_t	n = 0;
	bool	ok = true;

	c->client = (struct smtp_client_conf) {
		.helo = p->smtp_helo_name, .loop_name = p->probe_smtp_port == 25 ? p->myhostname : NULL,
		.connect_ms = p->smtp_connect_timeout > 0 ? p->smtp_connect_timeout : 10 * MINUTE_MS,
		.greet_ms = p->smtp_helo_timeout, .helo_ms = p->smtp_helo_timeout, .starttls_ms = p->smtp_starttls_timeout,
		.quit_ms = 1000,
	};
	if (p->smtp_bind_address[0] != 0 && mx_addr_parse(p->smtp_bind_address, &pc->bind4) && !pc->bind4.ipv6)
		c->client.bind4 = &pc->bind4;
	if (p->smtp_bind_address6[0] != 0 && mx_addr_parse(p->smtp_bind_address6, &pc->bind6) && pc->bind6.ipv6)
		c->client.bind6 = &pc->bind6;
	c->tls = probe_conf_tls(p->smtp_tls_security_level);
	c->lmtp_tls = probe_conf_tls(p->lmtp_tls_security_level);
	c->tls_demand = strcmp(p->smtp_tls_security_level, "demand") == 0;
	if ((c->client.tls_ctx = tls_client_ctx_new(&bad)) == NULL) {
		buf_addf(why, "%sTLS: %s", why->len > 0 ? "\n" : "", bad);
		ok = false;
	}
	c->dialogue.class = (struct smtp_class_conf) {
		.policy = probe_conf_status(p->probe_policy_status), .full = probe_conf_status(p->probe_full_status),
		.greet_5xx_hard = !p->smtp_skip_5xx_greeting, .postfix = strcmp(p->probe_compat, "postfix") == 0,
	};
	c->dialogue.rules = probe_conf_rules(p->probe_reply_rules, why, &ok);
	c->dialogue.mail_ms = p->smtp_mail_timeout;
	c->dialogue.rcpt_ms = p->smtp_rcpt_timeout;
	c->dialogue.data_ms = p->smtp_data_init_timeout;
	c->dialogue.rset_ms = p->smtp_rset_timeout;
	c->dialogue.compact = strcmp(p->probe_text, "compact") == 0;
	c->dialogue.utf8 = p->smtputf8_enable;
	c->dialogue.hide_host = p->probe_text_hide_host;
	pc->omit[n++] = p->myhostname;
	pc->omit[n++] = p->mydomain;
	pc->omit[n++] = p->smtp_helo_name;
	if (pc->sender[0] != 0)
		pc->omit[n++] = pc->sender;
	c->dialogue.omit = pc->omit;
	return ok;
}

/* probe_conf_session_limit - what is configured, as far as there are descriptors: without one, a server that is well would
 * look like one that cannot be reached, and be left alone */
static unsigned
probe_conf_session_limit(const struct params *p, struct buf *why)
{
	unsigned long long want = (unsigned long long) p->probe_session_limit, room;
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur == RLIM_INFINITY)
		return (unsigned) want;
	room = lim.rlim_cur > 4 * OTHER_FDS ? lim.rlim_cur - OTHER_FDS : lim.rlim_cur / 2;
	if (want <= room)
		return (unsigned) want;
	buf_addf(why, "%sparameter probe_session_limit: %llu sessions need more descriptors than the %llu that this process may "
	    "have (ulimit -n): %llu sessions", why->len > 0 ? "\n" : "", want, (unsigned long long) lim.rlim_cur, room);
	return (unsigned) room;
}

/* probe_conf_inflight - what does not fit into the table is lost when the process is killed */
static void
probe_conf_inflight(const struct params *p, struct buf *why)
{
	uint64_t need = (uint64_t) p->address_verify_pending_request_limit * INFLIGHT_BYTES;

	if (p->probe_inflight_size < need)
		buf_addf(why, "%sparameter probe_inflight_size: %llu bytes do not hold %lld addresses "
		    "(address_verify_pending_request_limit); use %lluM", why->len > 0 ? "\n" : "",
		    (unsigned long long) p->probe_inflight_size, (long long) p->address_verify_pending_request_limit,
		    (unsigned long long) (need >> 20) + 1);
}

bool
probe_conf_make(struct probe_conf *pc, const struct params *p, struct buf *why)
{
	struct prober_conf *c = &pc->prober;
	bool	ok;

	memset(pc, 0, sizeof *pc);
	pc->sender = probe_conf_complete(p->address_verify_sender, p->myorigin);
	pc->other_sender = probe_conf_complete(p->double_bounce_sender, p->myorigin);
	/* names that cannot exist: not to be guessed by others, the same on all hosts of a site */
	pc->key = mem_printf("%s/%s", p->myorigin, p->address_verify_sender);
	pc->dns = (struct dns_conf) {
		.servers = p->probe_dns_servers, .try_ms = p->probe_dns_timeout, .tries = 2,
		.open_limit = (size_t) p->probe_lookup_limit * 4, .wait_limit = (size_t) p->probe_lookup_limit * 200,
		.cache_limit = 20000,
	};
	probe_conf_mx(pc, p);
	probe_conf_manners(&c->manners, p);
	ok = probe_conf_route(pc, p, why);
	ok &= probe_conf_sessions(pc, p, why);
	c->never = probe_conf_domains(p->probe_never_destinations, "probe_never_destinations", true, why);
	probe_conf_inflight(p, why);
	c->own_pipelining = p->probe_own_pipelining;
	c->inet_pipelining = p->probe_pipelining;
	c->data_target = strcmp(p->smtp_address_verify_target, "data") == 0;
	c->lmtp_data_target = strcmp(p->lmtp_address_verify_target, "data") == 0;
	c->smtp_port = (unsigned) p->probe_smtp_port;
	c->session_limit = probe_conf_session_limit(p, why);
	c->dest_sessions = (unsigned) p->probe_destination_concurrency_limit;
	c->own_dest_sessions = (unsigned) p->probe_own_destination_concurrency_limit;
	c->session_probes = (unsigned) p->probe_session_probe_limit;
	c->own_session_probes = (unsigned) p->probe_own_session_probe_limit;
	c->session_rejects = (unsigned) p->probe_session_reject_limit;
	c->session_age_ms = MINUTE_MS;
	c->idle_ms = 2000;
	c->own_idle_ms = 10000;
	c->attempt_sessions = (unsigned) p->smtp_mx_session_limit;
	c->domain_rate = (unsigned) p->probe_domain_rate_limit;
	c->domain_burst = (unsigned) p->probe_domain_burst;
	c->attempt_ms = p->probe_attempt_time_limit;
	c->deadline_ms = p->probe_deadline;
	c->pending_limit = (size_t) p->address_verify_pending_request_limit;
	c->sleep_limit = c->pending_limit;
	c->dest_limit = (size_t) p->probe_destination_memory_limit;
	c->lookup_limit = (unsigned) p->probe_lookup_limit;
	c->best_mx_only = p->probe_best_mx_only;
	c->sender_fallback = p->probe_sender_fallback;
	c->other_sender = pc->other_sender;
	c->catchall = strcmp(p->probe_random_check, "auto") == 0 ? CATCHALL_AUTO :
	    strcmp(p->probe_random_check, "always") == 0 ? CATCHALL_ALWAYS : CATCHALL_OFF;
	c->catchall_status = probe_conf_status(p->probe_catchall_status);
	c->catchall_key = pc->key;
	probe_conf_schedule(c, p->probe_greylist_schedule);
	c->down_ms = 5 * MINUTE_MS;
	c->down_max_ms = HOUR_MS;
	c->plain_ms = 10 * MINUTE_MS;
	c->slow_ms = MINUTE_MS;
	c->slow_hold_ms = HOUR_MS;
	c->sender_ms = DAY_MS;
	c->catchall_ms = 7 * DAY_MS;
	c->brake_window_ms = 30 * MINUTE_MS;
	c->brake_ms = HOUR_MS;
	c->brake_providers = 3;
	return ok;
}

void
probe_conf_check(struct probe_conf *pc, int64_t now_ms)
{
	struct route_conf *r = &pc->prober.route;

	lookup_tables_check(r->transport_maps, now_ms);
	domain_list_check(r->mydestination, now_ms);
	domain_list_check(r->virtual_alias, now_ms);
	domain_list_check(r->virtual_mailbox, now_ms);
	domain_list_check(r->relay, now_ms);
	domain_list_check(pc->prober.never, now_ms);
}
