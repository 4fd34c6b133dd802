/* daemons/smtpcbd/smtpcbd.c - the server of qpsmtpd's smtp_callback plugin: one address in, one verdict out
 * source: spec smtpcbd-protocol. What this host's address verification table knows is answered from it; else verify(8) is
 * asked, and the probe waited for. Start-up, and the timers of the house.
 */
#include "smtpcbd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define SMTPCBD_HOUSE_MS   250		/* counters are handed over, files are looked at */
#define SMTPCBD_QUERY_MS   5000		/* a query to verify, above the times it may take by its configuration */
#define SMTPCBD_CONN_LIMIT 1000		/* connections to verify: each held query has one */

struct smtpcbd_conf smtpcbd_conf;
struct ev_loop *smtpcbd_loop;
struct verify_store *smtpcbd_store;
struct verify_async *smtpcbd_verify;

static const struct params *smtpcbd_params;
static int smtpcbd_data_fd = -1;
static struct ev_timer smtpcbd_house_timer;

static void
smtpcbd_house(void *ctx)
{
	static long long last;
	struct buf why = BUF_INIT(1024);

	(void) ctx;
	if (verify_store_check(smtpcbd_store, &why) < 0 && msg_rate(&last, 60000))
		msg_warn("%s: verify is asked for every address until this is mended", buf_str(&why));
	buf_fini(&why);
	domain_list_check(smtpcbd_conf.ours, ev_now_ms(smtpcbd_loop));
	stats_flush(shmtab_words(verify_store_table(smtpcbd_store)));
	ev_timer_set(smtpcbd_loop, &smtpcbd_house_timer, SMTPCBD_HOUSE_MS, smtpcbd_house, NULL);
}

static void
smtpcbd_pre_jail(const struct params *p, const struct main_cf *cf)
{
	struct buf why = BUF_INIT(32768);
	char   *line, *next;

	(void) cf;
	smtpcbd_params = p;
	smtpcbd_conf = (struct smtpcbd_conf) {
		.wait_ms = p->smtpcbd_wait,
		.read_ms = p->smtpcbd_read_timeout,
		.idle_ms = p->smtpcbd_idle_time,
		.hold_ms = p->address_verify_hold_time,
		.query_ms = p->address_verify_hold_time + p->address_verify_map_timeout + SMTPCBD_QUERY_MS,
		.max_waiters = (size_t) p->smtpcbd_max_waiters,
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
	address_rules_init(&smtpcbd_conf.rules, p);
	for (next = why.data; next != NULL && (line = strsep(&next, "\n")) != NULL; )
		if (*line != 0)
			msg_warn("mydestination: %s", line);
	buf_fini(&why);
	if ((smtpcbd_data_fd = open(p->data_directory, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		msg_warn("data_directory %s: %s: verify is asked for every address", p->data_directory, strerror(errno));
}

static void
smtpcbd_start(struct ev_loop *loop)
{
	const struct params *p = smtpcbd_params;
	struct verify_store_conf conf = {
		.rules = smtpcbd_conf.rules, .smtputf8 = p->smtputf8_enable, .bytes = p->address_verify_cache_size,
	};
	struct buf why = BUF_INIT(1024);
	char   *path = mem_printf("private/%s", p->address_verify_service_name);
	size_t	conns = smtpcbd_conf.max_waiters < SMTPCBD_CONN_LIMIT ? smtpcbd_conf.max_waiters : SMTPCBD_CONN_LIMIT;

	smtpcbd_loop = loop;
	if (verify_store_open(&smtpcbd_store, smtpcbd_data_fd, &conf, &why) < 0)
		msg_warn("%s in data_directory %s: verify is asked for every address", buf_str(&why), p->data_directory);
	buf_fini(&why);
	sock_close(&smtpcbd_data_fd);
	smtpcbd_verify = verify_async_new(loop, path, (unsigned) conns, 2 * smtpcbd_conf.max_waiters, p->ipc_idle);
	mem_free(&path);
	smtpcbd_wait_init();
	smtpcbd_stop_init();
	smtpcbd_house(NULL);
}

static void
smtpcbd_leaving(void)
{
	smtpcbd_wait_fini();
	stats_flush(shmtab_words(verify_store_table(smtpcbd_store)));
}

int
main(int argc, char **argv)
{
	static const struct multi_server server = {
		.name = "smtpcbd", .persistent = true, .pre_jail = smtpcbd_pre_jail, .start = smtpcbd_start,
		.opened = smtpcbd_opened, .input = smtpcbd_input, .eof = smtpcbd_eof, .closed = smtpcbd_closed,
		.draining = smtpcbd_wait_end, .busy = smtpcbd_stop_busy, .leaving = smtpcbd_leaving,
	};

	multi_server_main(argc, argv, &server);
}
