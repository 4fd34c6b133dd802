/* tests/lib/prober_world.c - a prober with scripted servers under a fake clock */
#include "prober_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>

static const char *const world_omit[] = { "probe.example.net", "double-bounce@probe.example.net", NULL };

static void
world_report(void *ctx, const struct prober_report *r)
{
	static const char *const status[] = { "ok", "defer", "bounce", "todo" };
	struct prober_world *w = ctx;
	char	port[16], *p;
	size_t	from;

	buf_addf(&w->reports, "%s %s %s %s%s%s%s | ", status[r->status], smtp_cat_name(r->cat), r->rule, r->dsn,
	    r->backup_mx ? " backup" : "", r->again ? " again" : "",
	    r->catchall == CATCHALL_YES ? " catchall" : r->catchall == CATCHALL_NO ? " checks" : "");
	from = w->reports.len;
	buf_adds(&w->reports, r->text);
	/* the servers' port differs from run to run */
	snprintf(port, sizeof port, ":%u", smtp_stub_port(w->stub));
	if ((p = strstr(w->reports.data + from, port)) != NULL) {
		memmove(p + 3, p + strlen(port), strlen(p + strlen(port)) + 1);
		memcpy(p, ":25", 3);
		w->reports.len -= strlen(port) - 3;
	}
	buf_addc(&w->reports, '\n');
	w->reports_n++;
	if (!w->keep_reports)
		prober_taken(w->prober, r->addr);
}

void
prober_world_begin(struct prober_world *w)
{
	struct buf why = BUF_INIT(1000);
	const char *bad = "";

	memset(w, 0, sizeof *w);
	buf_init(&w->reports, 1 << 24);
	w->loop = ev_loop_new_fake(1800000000);
	w->stub = smtp_stub_new(w->loop);
	w->names = dns_stub_new(w->loop, "");
	w->tls = tls_client_ctx_new(&bad);
	w->conf = (struct prober_conf) {
		.route = {
			.myorigin = "probe.example.net",
			.mydestination = domain_list_open("probe.example.net", false, &why),
			.virtual_alias = domain_list_open("alias.test", false, &why),
			.virtual_mailbox = domain_list_open("virtual.test", false, &why),
			.relay = domain_list_open("relay.test", true, &why),
			.transport = { "local", "error", "virtual", "relay", "smtp" },
			.relayhost = "", .transport_maps = lookup_tables_open("", &why), .recipient_delimiter = "+",
			.smtp_transports = "", .unknown_transport = VERIFY_DEFER,
		},
		.mx = { .ipv4 = true, .ipv6 = true, .prefer = MX_PREFER_IPV6, .balance = true, .address_limit = 5 },
		.manners = {
			.host_sessions = 2, .own_host_sessions = 10, .provider_sessions = 4, .provider_rate = 0, .provider_burst = 10,
			.unknown_hour = 20, .unknown_hold_ms = 900000, .policy_ms = 900000, .policy_max_ms = 86400000,
			.rate_ms = 120000, .rate_max_ms = 3600000, .dead_ms = 60000, .dead_max_ms = 3600000, .own_dead_ms = 2000,
			.own_dead_max_ms = 30000, .dead_fails = 3,
			.limit = 1000,
		},
		.client = {
			.helo = "probe.example.net", .tls_ctx = w->tls,
			.connect_ms = 30000, .greet_ms = 300000, .helo_ms = 300000, .starttls_ms = 300000, .quit_ms = 1000,
		},
		.dialogue = {
			.class = { .policy = VERIFY_DEFER, .full = VERIFY_DEFER },
			.mail_ms = 300000, .rcpt_ms = 300000, .data_ms = 120000, .rset_ms = 20000, .omit = world_omit,
		},
		.tls = SMTP_TLS_NONE, .own_pipelining = true, .smtp_port = smtp_stub_port(w->stub), .session_limit = 200,
		.dest_sessions = 2, .own_dest_sessions = 20, .session_probes = 20, .own_session_probes = 20, .session_rejects = 5,
		.session_age_ms = 60000, .idle_ms = 2000, .own_idle_ms = 2000, .attempt_sessions = 2, .domain_burst = 5,
		.attempt_ms = 120000, .deadline_ms = 900000, .pending_limit = 50000, .sleep_limit = 100, .dest_limit = 100,
		.lookup_limit = 50, .sender_fallback = true, .other_sender = "double-bounce@probe.example.net",
		.catchall_key = "key", .down_ms = 300000, .down_max_ms = 3600000, .plain_ms = 600000, .slow_ms = 60000,
		.slow_hold_ms = 3600000, .sender_ms = 86400000, .catchall_ms = 604800000,
		.brake_window_ms = 1800000, .brake_ms = 3600000, .brake_providers = 3,
	};
	buf_fini(&why);
}

void
prober_world_start(struct prober_world *w, const char *zone)
{
	static const struct dns_conf conf = { .try_ms = 5000, .tries = 2, .open_limit = 100, .wait_limit = 10000, .cache_limit = 1000 };
	const char *why = "";

	dns_stub_zone(w->names, zone);
	w->dns = dns_new(w->loop, &dns_stub_carrier, &conf, &why);
	w->prober = prober_new(w->loop, &w->conf, w->dns, world_report, w);
}

void
prober_world_end(struct prober_world *w)
{
	prober_free(&w->prober);
	dns_free(&w->dns);
	dns_stub_free(&w->names);
	smtp_stub_free(&w->stub);
	ev_loop_free(&w->loop);
	tls_ctx_free(&w->tls);
	domain_list_free(&w->conf.route.mydestination);
	domain_list_free(&w->conf.route.virtual_alias);
	domain_list_free(&w->conf.route.virtual_mailbox);
	domain_list_free(&w->conf.route.relay);
	domain_list_free(&w->conf.never);
	lookup_tables_free(&w->conf.route.transport_maps);
	buf_fini(&w->reports);
}

void
prober_world_settle(struct prober_world *w)
{
	for (int quiet = 0, turns = 0; quiet < 5 && turns < 100000; turns++)
		quiet = ev_turn(w->loop, quiet > 1) > 0 ? 0 : quiet + 1;
}
