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

#define SMTPCBD_HOUSE_MS 250		/* counters are handed over, files are looked at */

struct smtpcbd_conf smtpcbd_conf;
struct ev_loop *smtpcbd_loop;
struct verify_store *smtpcbd_store;
struct address_ask *smtpcbd_ask;

static const struct params *smtpcbd_params;
static struct address_rules smtpcbd_rules;
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
	address_rules_init(&smtpcbd_rules, p);
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
		.rules = smtpcbd_rules, .smtputf8 = p->smtputf8_enable, .bytes = p->address_verify_cache_size,
	};
	struct buf why = BUF_INIT(1024);
	struct address_ask_conf ask;
	char   *path;

	smtpcbd_loop = loop;
	if (verify_store_open(&smtpcbd_store, smtpcbd_data_fd, &conf, &why) < 0)
		msg_warn("%s in data_directory %s: verify is asked for every address", buf_str(&why), p->data_directory);
	buf_fini(&why);
	sock_close(&smtpcbd_data_fd);
	address_ask_conf_make(&ask, p, &smtpcbd_rules, (size_t) p->smtpcbd_max_waiters, &path);
	ask.store = smtpcbd_store;
	smtpcbd_ask = address_ask_new(loop, &ask);
	mem_free(&path);
	smtpcbd_stop_init();
	smtpcbd_house(NULL);
}

static void
smtpcbd_draining(void)
{
	address_ask_end(smtpcbd_ask);
	smtpcbd_stop_draining();
}

static void
smtpcbd_leaving(void)
{
	address_ask_free(&smtpcbd_ask);
	stats_flush(shmtab_words(verify_store_table(smtpcbd_store)));
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
