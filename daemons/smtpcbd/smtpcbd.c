/* daemons/smtpcbd/smtpcbd.c - the server of qpsmtpd's smtp_callback plugin: one address in, one verdict out
 * source: spec smtpcbd-protocol. What this host's address verification table knows is answered from it; else verify(8) is
 * asked, and the probe waited for. Start-up, and the timers of the house.
 */
#include "smtpcbd.h"

#include <string.h>

#include <global/stats.h>
#include <util/msg.h>

#define SMTPCBD_HOUSE_MS 250		/* counters are handed over, $mydestination's files are looked at */

struct smtpcbd_conf smtpcbd_conf;
struct ev_loop *smtpcbd_loop;
struct address_host smtpcbd_host;

static struct ev_timer smtpcbd_house_timer;

static void
smtpcbd_house(void *ctx)
{
	(void) ctx;
	domain_list_check(smtpcbd_conf.ours, ev_now_ms(smtpcbd_loop));
	stats_flush(shmtab_words(verify_store_table(smtpcbd_host.store)));
	ev_timer_set(smtpcbd_loop, &smtpcbd_house_timer, SMTPCBD_HOUSE_MS, smtpcbd_house, NULL);
}

static void
smtpcbd_pre_jail(const struct params *p, const struct main_cf *cf)
{
	struct buf why = BUF_INIT(32768);
	char   *line, *next;

	(void) cf;
	smtpcbd_conf = (struct smtpcbd_conf) {
		.wait_ms = p->smtpcbd_wait,
		.read_ms = p->smtpcbd_read_timeout,
		.idle_ms = p->smtpcbd_idle_time,
		.utf8 = p->smtpcbd_utf8,
		.smtputf8 = p->smtputf8_enable,
		.extended = p->smtpcbd_extended,
		.suspended_ok = strcmp(p->smtpcbd_suspended, "ok") == 0,
		.stop_tempfail = strcmp(p->smtpcbd_on_stop, "tempfail") == 0,
		.detail = reason_detail_find(p->address_verify_reason_detail),
		.clients = addr_list_new(p->smtpcbd_clients, &why),	/* checked before */
		.ours = domain_list_open(p->mydestination, false, &why),
		.myhostname = p->myhostname,
		.myorigin = p->myorigin,
		.sender = p->address_verify_sender,
		.double_bounce = p->double_bounce_sender,
		.sender_ttl_ms = p->address_verify_sender_ttl,
	};
	for (next = why.data; next != NULL && (line = strsep(&next, "\n")) != NULL; )
		if (*line != 0)
			msg_warn("mydestination: %s", line);
	buf_fini(&why);
	address_host_init(&smtpcbd_host, p, (size_t) p->smtpcbd_max_waiters);
}

static void
smtpcbd_start(struct ev_loop *loop)
{
	smtpcbd_loop = loop;
	address_host_start(&smtpcbd_host, loop);
	smtpcbd_stop_init();
	smtpcbd_house(NULL);
}

static void
smtpcbd_draining(void)
{
	address_ask_end(smtpcbd_host.ask);
	smtpcbd_stop_draining();
}

static void
smtpcbd_leaving(void)
{
	stats_flush(shmtab_words(verify_store_table(smtpcbd_host.store)));
	address_host_fini(&smtpcbd_host);
}

int
main(int argc, char **argv)
{
	static const struct multi_server server = {
		.name = "smtpcbd", .persistent = true, .pre_jail = smtpcbd_pre_jail, .start = smtpcbd_start,
		.opened = smtpcbd_opened, .input = smtpcbd_input, .eof = smtpcbd_eof, .closed = smtpcbd_closed,
		.draining = smtpcbd_draining, .busy = smtpcbd_stop_busy, .leaving = smtpcbd_leaving,
	};

	multi_server_main(argc, argv, &server);
}
