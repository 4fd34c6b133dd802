/* daemons/probe/probe.c - the queue submitter that asks the remote mail server itself: start-up, and the timers of the house
 * Takes probes as cleanup(8) would (submission.c), asks about each address over SMTP (prober.h), and reports to the
 * verify service (results.c). Delivers nothing, bounces nothing, keeps no mail. One process holds thousands of sessions.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <global/stats.h>
#include <global/stats_file.h>
#include <util/dns_ares.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define PROBE_HOUSE_MS	250		/* counters are handed over, files are looked at */

static struct {
	const struct params *params;
	struct ev_loop *loop;
	struct probe_conf conf;
	struct results_conf results;
	struct dns *dns;
	struct prober *prober;
	int	data_fd;
	bool	draining;
	struct ev_timer house;
	struct prober_stat counted;
} probe = { .data_fd = -1 };

/* submissions */

static bool
probe_room(unsigned n)
{
	struct prober_stat st;

	prober_stat(probe.prober, &st);
	return !probe.draining && st.pending + n <= probe.conf.prober.pending_limit;
}

static void
probe_add(const char *addr, const char *sender, const char *id)
{
	stats_add(STAT_probe_received, 1);
	switch (prober_add(probe.prober, addr, sender, id, 0)) {
	case PROBER_ADDED:
		inflight_put(addr, sender);
		return;
	case PROBER_MERGED:
		stats_add(STAT_probe_merged, 1);
		return;
	case PROBER_FULL:			/* one message with more recipients than there is room for */
		stats_add(STAT_probe_refused, 1);
		return;
	}
}

static void
probe_adopt(const char *addr, const char *sender, int64_t age_s)
{
	/* what is left of its time; an address that waits for its second chance long ago is asked at once */
	prober_add(probe.prober, addr, sender, "adopted", age_s * 1000 < probe.conf.prober.deadline_ms / 2 ? age_s * 1000 : 0);
}

static void
probe_taken(const char *addr)
{
	inflight_delete(addr);
	prober_taken(probe.prober, addr);
	submission_room();
}

static void
probe_report(void *ctx, const struct prober_report *r)
{
	(void) ctx;
	results_report(r);
}

/* the house */

static void
probe_count(void)
{
	struct prober_stat st;

	prober_stat(probe.prober, &st);
	stats_add(STAT_probe_sessions, st.sessions_opened - probe.counted.sessions_opened);
	stats_add(STAT_probe_connect_failures, st.connect_failures - probe.counted.connect_failures);
	stats_add(STAT_probe_again, st.again - probe.counted.again);
	probe.counted = st;
	stats_file_flush();
}

static void
probe_house(void *ctx)
{
	(void) ctx;
	probe_count();
	probe_conf_check(&probe.conf, ev_now_ms(probe.loop));
	ev_timer_set(probe.loop, &probe.house, PROBE_HOUSE_MS, probe_house, NULL);
}

/* the process */

static void
probe_pre_jail(const struct params *p, const struct main_cf *cf)
{
	struct buf why = BUF_INIT(32768);
	char   *line, *next;
	bool	ok;

	(void) cf;
	probe.params = p;
	ok = probe_conf_make(&probe.conf, p, &why);
	for (next = why.data; next != NULL && (line = strsep(&next, "\n")) != NULL; )
		if (*line != 0)
			msg_warn("%s", line);
	if (!ok)
		msg_fatal("probes cannot be routed with this configuration: see the warnings before this line");
	if ((probe.data_fd = open(p->data_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		msg_warn("data_directory %s: %s", p->data_directory, strerror(errno));
	if (p->probe_deadline >= p->address_verify_probe_ttl)
		msg_warn("probe_deadline should be less than address_verify_probe_ttl: an address may be probed twice");
	buf_fini(&why);
}

static void
probe_start(struct ev_loop *loop)
{
	static const struct submission_ops ops = { probe_room, probe_add };
	const struct params *p = probe.params;
	const char *why = "";

	probe.loop = loop;
	if ((probe.dns = dns_new(loop, &dns_ares, &probe.conf.dns, &why)) == NULL)
		msg_fatal("parameter probe_dns_servers: %s: %s", p->probe_dns_servers, why);
	probe.prober = prober_new(loop, &probe.conf.prober, probe.dns, probe_report, NULL);
	probe.results = (struct results_conf) {
		.verify_path = mem_printf("private/%s", p->address_verify_service_name),
		.negative_cache = p->address_verify_negative_cache, .give_up_ms = p->address_verify_probe_ttl,
		.limit = 2 * probe.conf.prober.pending_limit + 1000,
	};
	results_init(loop, &probe.results, probe_taken);
	submission_init(loop, &ops);
	if (probe.data_fd >= 0)
		inflight_init(loop, probe.data_fd, p->probe_inflight_size, p->address_verify_probe_ttl / 1000, probe_room, probe_adopt);
	stats_file_open(probe.data_fd, p);
	probe_house(NULL);
}

static void
probe_draining(void)
{
	probe.draining = true;
	submission_drain();
	prober_stop(probe.prober, inflight_give);
}

static bool
probe_busy(void)
{
	struct prober_stat st;

	prober_stat(probe.prober, &st);
	return st.pending + results_open() > 0;
}

static void
probe_leaving(void)
{
	probe_count();
	inflight_fini();
	stats_file_close();
}

int
main(int argc, char **argv)
{
	static const struct multi_server server = {
		.name = "probe", .persistent = true, .pre_jail = probe_pre_jail, .start = probe_start,
		.opened = submission_opened, .input = submission_input, .closed = submission_closed,
		.draining = probe_draining, .busy = probe_busy, .leaving = probe_leaving, .tally = probe_count,
	};

	multi_server_main(argc, argv, &server);
}
