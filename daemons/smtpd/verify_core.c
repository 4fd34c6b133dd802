/* daemons/smtpd/verify_core.c - one way for all plugins of the process to ask verify(8) about addresses
 * This host's table is opened to be looked at. Without it, verify is asked for every address.
 */
#include "verify_core.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#include "builtin.h"

#define VERIFY_CORE_HOUSE_MS 1000

static struct {
	unsigned users;
	int	 data_fd;
	struct address_rules rules;
	struct verify_store *store;
	struct address_ask *ask;
	struct ev_timer house;
} verify_core = { .data_fd = -1 };

void
verify_core_init(void)
{
	const char *dir = smtpd_params()->data_directory;

	if (verify_core.users++ == 0 && (verify_core.data_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		msg_warn("data_directory %s: %s: verify is asked for every address", dir, strerror(errno));
}

static void
verify_core_house(void *ctx)
{
	static long long last;
	struct buf why = BUF_INIT(1024);

	(void) ctx;
	if (verify_store_check(verify_core.store, &why) < 0 && msg_rate(&last, 60000))
		msg_warn("%s: verify is asked for every address until this is mended", buf_str(&why));
	buf_fini(&why);
	ev_timer_set(smtpd_loop(), &verify_core.house, VERIFY_CORE_HOUSE_MS, verify_core_house, NULL);
}

void
verify_core_start(void)
{
	const struct params *p = smtpd_params();
	struct verify_store_conf conf = { .smtputf8 = p->smtputf8_enable, .bytes = p->address_verify_cache_size };
	struct address_ask_conf ask;
	struct buf why = BUF_INIT(1024);
	char   *path;

	if (verify_core.ask != NULL)
		return;
	address_rules_init(&verify_core.rules, p);
	conf.rules = verify_core.rules;
	if (verify_store_open(&verify_core.store, verify_core.data_fd, &conf, &why) < 0)
		msg_warn("%s in data_directory %s: verify is asked for every address", buf_str(&why), p->data_directory);
	buf_fini(&why);
	sock_close(&verify_core.data_fd);
	address_ask_conf_make(&ask, p, &verify_core.rules, (size_t) p->smtpd_client_limit, &path);
	ask.store = verify_core.store;
	verify_core.ask = address_ask_new(smtpd_loop(), &ask);
	mem_free(&path);
	verify_core_house(NULL);
}

void
verify_core_fini(void)
{
	if (--verify_core.users > 0)
		return;
	if (verify_core.ask != NULL)
		ev_timer_cancel(smtpd_loop(), &verify_core.house);
	address_ask_free(&verify_core.ask);
	verify_store_close(&verify_core.store);
	sock_close(&verify_core.data_fd);
}

struct address_ask *
verify_core_ask(void)
{
	return verify_core.ask;
}
