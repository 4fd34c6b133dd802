/* tests/lib/ask_rig.c - a daemon that asks about addresses, as its tests see it */
#include "ask_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <global/stats.h>
#include <tests/lib/decisions.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>
#include <util/msg.h>

struct ask_rig ask_rig = { .logged = BUF_INIT(1 << 20) };

static void
ask_rig_log(void *ctx, int level, const char *line)
{
	(void) ctx;
	(void) level;
	ask_rig.lines++;
	buf_adds(&ask_rig.logged, line);
	buf_addc(&ask_rig.logged, '\n');
}

static void
ask_rig_new(void)
{
	char   *path = mem_printf("%s/verify", test_dir);

	ask_rig.conf.verify_path = path;
	ask_rig.host->ask = address_ask_new(ask_rig.loop, &ask_rig.conf);
	mem_free(&path);
}

void
ask_rig_begin(struct address_host *host, const struct multi_server *server, const struct address_ask_conf *conf)
{
	struct verify_store_conf store = { .smtputf8 = true, .bytes = 4u << 20 };
	struct buf why = BUF_INIT(1000);
	char   *path;

	assert_int_equal(test_dir_make(NULL), 0);
	store.rules = decision_sets[0].rules;
	store.rules.defer_refresh_s = 60;
	ask_rig.rules = store.rules;
	ask_rig.host = host;
	assert_int_equal(verify_store_open(&host->store, test_dirfd, &store, &why), 0);
	buf_fini(&why);
	ask_rig.loop = ev_loop_new_fake(ASK_RIG_NOW);
	ms_fake_init(ask_rig.loop, server);
	path = mem_printf("%s/verify", test_dir);
	assert_int_equal(verify_stub_open(&ask_rig.stub, ask_rig.loop, path, 600), 0);
	mem_free(&path);
	ask_rig.conf = *conf;
	ask_rig.conf.store = host->store;
	ask_rig.conf.rules = &ask_rig.rules;
	ask_rig.conf.idle_ms = 5000;
	ask_rig_new();
	buf_reset(&ask_rig.logged);
	ask_rig.lines = 0;
	memset(stats_local, 0, sizeof stats_local);
	msg_catch(ask_rig_log, NULL);
}

void
ask_rig_waiters(size_t max)
{
	address_ask_free(&ask_rig.host->ask);
	ask_rig.conf.max_waiters = max;
	ask_rig_new();
}

void
ask_rig_end(void)
{
	msg_catch(NULL, NULL);
	ms_fake_turn();
	address_ask_free(&ask_rig.host->ask);
	verify_stub_close(&ask_rig.stub);
	verify_store_close(&ask_rig.host->store);
	ev_loop_free(&ask_rig.loop);
	assert_int_equal(test_dir_remove(NULL), 0);
}

void
ask_rig_say(struct ms_client *c, const char *text)
{
	ms_fake_say(c, text, strlen(text));
}

void
ask_rig_want(struct ms_client *c, const char *name, const char *text)
{
	if (strcmp(buf_str(&c->out), text) != 0)
		fail_msg("%s:\n got %s\nwant %s", name, buf_str(&c->out), text);
	buf_reset(&c->out);
}

void
ask_rig_result(const char *addr, enum verify_status status, const char *text, int64_t when_s)
{
	assert_int_equal(verify_store_update(ask_rig.host->store, addr, status, text, when_s), VERIFY_STORED);
}
