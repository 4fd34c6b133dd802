/* global/address_host.c - what a daemon opens to find out about addresses */
#include "address_host.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define HOST_CHECK_MS	1000		/* the table's file may have been replaced */
#define HOST_WARN_MS	60000
#define HOST_QUERY_MS	5000		/* a query to verify, above the times it may take by its configuration */

void
address_host_init(struct address_host *h, const struct params *p, size_t max_waiters)
{
	memset(h, 0, sizeof *h);
	h->params = p;
	address_rules_init(&h->rules, p);
	h->path = mem_printf("private/%s", p->address_verify_service_name);
	h->conf = (struct address_ask_conf) {
		.verify_path = h->path, .rules = &h->rules, .max_waiters = max_waiters, .idle_ms = p->ipc_idle,
		.hold_ms = p->address_verify_hold_time,
		.query_ms = p->address_verify_hold_time + p->address_verify_map_timeout + HOST_QUERY_MS,
	};
	if ((h->data_fd = open(p->data_directory, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		msg_warn("data_directory %s: %s: verify is asked for every address", p->data_directory, strerror(errno));
}

static void
address_host_check(void *ctx)
{
	static long long last;
	struct address_host *h = ctx;
	struct buf why = BUF_INIT(1024);

	if (verify_store_check(h->store, &why) < 0 && msg_rate(&last, HOST_WARN_MS))
		msg_warn("%s: verify is asked for every address until this is mended", buf_str(&why));
	buf_fini(&why);
	ev_timer_set(h->loop, &h->check, HOST_CHECK_MS, address_host_check, h);
}

void
address_host_start(struct address_host *h, struct ev_loop *loop)
{
	const struct params *p = h->params;
	struct verify_store_conf conf;
	struct buf why = BUF_INIT(1024);

	if (h->ask != NULL)
		return;
	h->loop = loop;
	conf = (struct verify_store_conf) { .rules = h->rules, .smtputf8 = p->smtputf8_enable, .bytes = p->address_verify_cache_size };
	if (verify_store_open(&h->store, h->data_fd, &conf, &why) < 0)
		msg_warn("%s in data_directory %s: verify is asked for every address", buf_str(&why), p->data_directory);
	buf_fini(&why);
	sock_close(&h->data_fd);
	h->conf.store = h->store;
	h->ask = address_ask_new(loop, &h->conf);
	address_host_check(h);
}

void
address_host_fini(struct address_host *h)
{
	if (h->params == NULL)
		return;
	if (h->ask != NULL)
		ev_timer_cancel(h->loop, &h->check);
	address_ask_free(&h->ask);
	verify_store_close(&h->store);
	sock_close(&h->data_fd);
	mem_free(&h->path);
	h->params = NULL;
}
