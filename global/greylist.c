/* global/greylist.c - greylisting: from its parameters to a decision-maker, and its end */
#include "greylist_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <util/dns_ares.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define GREYLIST_HOUSE_MS	250

static void
greylist_house(void *ctx)
{
	static long long last;
	struct greylist *g = ctx;
	struct buf why = BUF_INIT(1000);

	if (greylist_store_house(g->store, g->loop, &why) < 0 && msg_rate(&last, 60000))
		msg_warn("%s: they are not shared with other workers until this is mended", buf_str(&why));
	buf_fini(&why);
	greylist_lists_check(g->lists, ev_now_ms(g->loop), false);
	greylist_back(g);
	ev_timer_set(g->loop, &g->house, GREYLIST_HOUSE_MS, greylist_house, g);
}

static void
greylist_warn_lines(const char *why)
{
	size_t	n;

	for (; *why != 0; why += n + (why[n] == '\n')) {
		n = strcspn(why, "\n");
		if (n > 0)
			msg_warn("%.*s", (int) n, why);
	}
}

/* greylist_map - what greylist_map names */
static void
greylist_map(struct greylist *g, const char *app)
{
	const char *map = g->params->greylist_map, *reason;
	struct buf why = BUF_INIT(1000), shown = BUF_INIT(8192);

	if (map[0] == 0)
		return;
	db_conf_hide(&shown, map);
	if (!db_conf_is(map))
		buf_adds(&why, "this table type is not supported; use pgsql:..., or nothing");
	else if ((g->pg = pg_lib_load(&reason)) == NULL)
		buf_adds(&why, reason);
	else
		g->db = db_conf_read(g->pg, map, app, &why);
	if (g->db == NULL)
		msg_warn("greylist_map = %s: %s: greylisting records are kept on this host only", buf_str(&shown), buf_str(&why));
	buf_fini(&why);
	buf_fini(&shown);
}

/* greylist_exempt_list - what is not understood is reported and left out: it may come from Postfix's mynetworks */
static struct addr_list *
greylist_exempt_list(const char *text)
{
	struct buf good = BUF_INIT(1u << 20), why = BUF_INIT(1000);
	struct addr_list *l;
	size_t	n;
	char   *word;

	for (const char *p = text + strspn(text, " \t,"); *p != 0; p += n, p += strspn(p, " \t,")) {
		n = strcspn(p, " \t,");
		word = mem_strndup(p, n);
		if (addr_list_check(word) == NULL)
			buf_addf(&good, "%s ", word);
		else
			msg_warn("greylist_exempt_networks: \"%s\" is not an address or network: it is left out", word);
		mem_free(&word);
	}
	if ((l = addr_list_new(buf_str(&good), &why)) == NULL)
		l = addr_list_new("", &why);
	buf_fini(&good);
	buf_fini(&why);
	return l;
}

static int
greylist_dir(const char *path)
{
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int
greylist_open(struct greylist **gp, const struct params *p, const char *app, struct buf *why)
{
	struct greylist *g = mem_alloc(sizeof *g);
	struct buf reason = BUF_INIT(4096);
	char   *path, *base;
	int	ret;

	*gp = g;
	g->params = p;
	TAILQ_INIT(&g->waits);
	TAILQ_INIT(&g->writes);
	g->data_dirfd = g->secret_dirfd = -1;
	for (struct buf *b = &g->client; b <= &g->line; b++)
		buf_init(b, GREYLIST_ADDR_MAX + 1024);
	g->mode = strcmp(p->greylist_mode, "off") == 0 ? GREYLIST_MODE_OFF :
	    strcmp(p->greylist_mode, "observe") == 0 ? GREYLIST_OBSERVE : GREYLIST_ENFORCE;
	g->null_sender = strcmp(p->greylist_null_sender, "rcpt") == 0 ? GREYLIST_NULL_RCPT :
	    strcmp(p->greylist_null_sender, "never") == 0 ? GREYLIST_NULL_NEVER : GREYLIST_NULL_DATA;
	g->clear = strcmp(p->greylist_privacy, "hash") != 0;
	g->log_known = p->greylist_log_known;
	g->fallback_greylist = strcmp(p->greylist_fallback_action, "greylist") == 0;
	g->action = p->greylist_action;
	g->code = g->action[0] == '4' ? atoi(g->action) : 450;
	ret = greylist_rules_init(&g->store_conf.rules, p, why);
	greylist_key_conf_init(&g->store_conf.keys, p);
	g->store_conf.clear = g->clear;
	g->store_conf.bytes = p->greylist_cache_size;
	g->exempt = greylist_exempt_list(p->greylist_exempt_networks);
	if ((g->sites = dnswl_sites_parse(p->greylist_dnswl_sites, &reason)) == NULL) {
		buf_addf(why, "parameter greylist_dnswl_sites: %s\n", buf_str(&reason));
		ret = -1;
	}
	buf_fini(&reason);
	if (ret < 0) {
		greylist_close(gp);
		return -1;
	}
	g->lists = greylist_lists_open(p);
	if ((g->data_dirfd = greylist_dir(p->data_directory)) < 0)
		msg_warn("data_directory %s: %s: greylisting records are not shared with other workers and not kept",
		    p->data_directory, strerror(errno));
	path = mem_strdup(p->greylist_secret_file);
	base = strrchr(path, '/');			/* it is an absolute path */
	g->secret_name = mem_strdup(base + 1);
	base[base == path] = 0;
	if ((g->secret_dirfd = greylist_dir(path)) < 0)
		msg_warn("greylist_secret_file: %s: %s", path, strerror(errno));
	mem_free(&path);
	greylist_map(g, app);
	return 0;
}

void
greylist_start(struct greylist *g, struct ev_loop *loop)
{
	const struct params *p = g->params;
	struct db_store_conf conf = {
		.lib = g->pg, .where = g->db, .timeout_ms = p->greylist_map_timeout,
		.sync_ms = p->address_verify_sync_interval,
		.clean_s = p->address_verify_cache_cleanup_interval / 1000, .host_name = p->myhostname,
	};
	struct dns_conf dns = { .servers = p->probe_dns_servers, .try_ms = p->greylist_dnswl_timeout, .tries = 1,
		.open_limit = 1000, .wait_limit = 10000, .cache_limit = 10000 };
	struct buf why = BUF_INIT(8192);
	const char *reason;

	g->loop = loop;
	g->store_conf.secret_dirfd = g->secret_dirfd;
	g->store_conf.secret_name = g->secret_name;
	greylist_store_open(&g->store, g->data_dirfd, &g->store_conf, &why);
	greylist_store_keys(g->store, &why);
	greylist_warn_lines(buf_str(&why));
	buf_fini(&why);
	if (g->db != NULL)
		greylist_store_connect(g->store, loop, &conf);
	if (g->sites->n > 0 && (g->dns = dns_new(loop, &dns_ares, &dns, &reason)) == NULL)
		msg_warn("greylist_dnswl_sites: %s: they are not asked", reason);
	greylist_lists_check(g->lists, ev_now_ms(loop), true);
	ev_timer_set(loop, &g->house, GREYLIST_HOUSE_MS, greylist_house, g);
}

void
greylist_close(struct greylist **gp)
{
	struct greylist *g = *gp;
	struct greylist_wait *w;
	struct greylist_write *write;

	if (g == NULL)
		return;
	if (g->loop != NULL)
		ev_timer_cancel(g->loop, &g->house);
	greylist_store_close(&g->store);
	while ((w = TAILQ_FIRST(&g->waits)) != NULL) {
		TAILQ_REMOVE(&g->waits, w, link);
		if (w->slot != NULL)
			*w->slot = NULL;
		greylist_dns_free(&w->dns);
		ev_timer_cancel(g->loop, &w->timer);
		mem_free(&w);
	}
	while ((write = TAILQ_FIRST(&g->writes)) != NULL) {
		TAILQ_REMOVE(&g->writes, write, link);
		mem_free(&write);
	}
	if (g->dns != NULL)
		dns_free(&g->dns);
	dnswl_sites_free(&g->sites);
	greylist_lists_free(&g->lists);
	addr_list_free(&g->exempt);
	db_conf_free(&g->db);
	sock_close(&g->data_dirfd);
	sock_close(&g->secret_dirfd);
	mem_free(&g->secret_name);
	for (struct buf *b = &g->client; b <= &g->line; b++)
		buf_fini(b);
	mem_free(gp);
}

bool
greylist_busy(const struct greylist *g)
{
	return !TAILQ_EMPTY(&g->waits);
}

void
greylist_reread(struct greylist *g)
{
	greylist_lists_check(g->lists, ev_now_ms(g->loop), true);
}
