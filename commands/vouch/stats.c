/* commands/vouch/stats.c - stats: the counters of this host's verify service, as text, JSON, or for Prometheus */

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <util/json_out.h>
#include <util/mem.h>

#include "figures.h"

static const struct stats_cache_row {
	const char *name, *help;
	size_t	    offset;
	bool	    counts;		/* only grows while the cache file lasts */
} stats_cache_table[] = {
	{ "bytes",	   "size of the cache file",		  offsetof(struct shmtab_stat, bytes), false },
	{ "entries",	   "entries in the cache",		  offsetof(struct shmtab_stat, entries), false },
	{ "entry_bytes",   "bytes of their addresses and texts",  offsetof(struct shmtab_stat, key_val_bytes), false },
	{ "free_bytes",	   "room left before an entry must go",	  offsetof(struct shmtab_stat, free_bytes), false },
	{ "pinned",	   "entries that wait to be written to the database", offsetof(struct shmtab_stat, pinned), false },
	{ "evicted",	   "live entries that went for want of room", offsetof(struct shmtab_stat, evicted), true },
	{ "expired",	   "expired entries that went for want of room", offsetof(struct shmtab_stat, expired), true },
	{ "damaged",	   "damaged entries dropped",		  offsetof(struct shmtab_stat, damaged), true },
	{ "recovered",	   "parts repaired after a worker died in them", offsetof(struct shmtab_stat, recovered), true },
	{ "stolen",	   "locks taken from a worker that stood still", offsetof(struct shmtab_stat, stolen), true },
};

enum stats_form { STATS_TEXT, STATS_JSON, STATS_PROMETHEUS };

static uint64_t
stats_cache_value(const struct shmtab_stat *st, size_t i)
{
	uint64_t value;

	memcpy(&value, (const char *) st + stats_cache_table[i].offset, sizeof(value));
	return value;
}

static void
stats_metric(const char *part, const char *name, const char *help, bool counts, uint64_t value)
{
	const char *suffix = counts ? "_total" : "";

	printf("# HELP vouch_%s_%s%s %s\n# TYPE vouch_%s_%s%s %s\nvouch_%s_%s%s %" PRIu64 "\n",
	    part, name, suffix, help, part, name, suffix, counts ? "counter" : "gauge", part, name, suffix, value);
}

static const char stats_probing[] = "addresses that probe(8) is asking about";

static void
stats_plugins(enum stats_form form, const struct figures_plugins *all, struct buf *out)
{
	const char *last = NULL;

	if (form == STATS_PROMETHEUS && all->n > 0)
		printf("# HELP vouch_smtpd_plugin_total results of the plugins of smtpd(8)\n# TYPE vouch_smtpd_plugin_total counter\n");
	if (form == STATS_JSON)
		json_open(out, "smtpd_plugins", '{');
	for (size_t i = 0; i < all->n; i++) {
		const struct figures_plugin *p = &all->row[i];

		switch (form) {
		case STATS_TEXT:
			printf("plugin %-30s %-20s %12" PRIu64 "\n", p->name, p->verdict, p->n);
			break;
		case STATS_JSON:
			if (last == NULL || strcmp(last, p->name) != 0) {
				if (last != NULL)
					json_close(out, '}');
				json_open(out, p->name, '{');
			}
			json_put_uint(out, p->verdict, p->n);
			last = p->name;
			break;
		case STATS_PROMETHEUS:			/* names have nothing in them that would need escaping: plugins(5) */
			printf("vouch_smtpd_plugin_total{plugin=\"%s\",verdict=\"%s\"} %" PRIu64 "\n", p->name, p->verdict, p->n);
			break;
		}
	}
	if (form == STATS_JSON) {
		if (last != NULL)
			json_close(out, '}');
		json_close(out, '}');
	}
}

static void
stats_greylist(enum stats_form form, const struct figures_greylist *g, struct buf *out)
{
	if (!g->has)
		return;
	if (form == STATS_JSON)
		json_open(out, "greylist", '{');
	for (int i = 0; i < FIGURES_GREYLIST; i++)
		switch (form) {
		case STATS_TEXT:
			printf("greylist_records_%-12s %5" PRIu64 "  %s\n", figures_greylist_rows[i].name, g->value[i],
			    figures_greylist_rows[i].help);
			break;
		case STATS_JSON:
			json_put_uint(out, figures_greylist_rows[i].name, g->value[i]);
			break;
		case STATS_PROMETHEUS:
			stats_metric("greylist_records", figures_greylist_rows[i].name, figures_greylist_rows[i].help,
			    figures_greylist_rows[i].counts, g->value[i]);
			break;
		}
	if (form == STATS_TEXT)
		printf("%-22s %12s  connection of those that greylist to their database\n", "greylist_database",
		    figures_db_words[g->db]);
	if (form == STATS_JSON) {
		json_put_str(out, "database", figures_db_words[g->db]);
		json_close(out, '}');
	}
	if (form == STATS_PROMETHEUS && g->db != DB_STATE_NONE)
		stats_metric("greylist", "database_up", "whether those that greylist are connected to their database", false,
		    g->db == DB_STATE_UP);
}

static void
stats_print(enum stats_form form, const struct figures *f, const struct figures_plugins *plugins,
    const struct figures_greylist *greylist)
{
	const struct shmtab_stat *st = &f->cache;
	const uint64_t *words = f->count;
	struct buf out = BUF_INIT(64 * 1024);

	switch (form) {
	case STATS_TEXT:
		for (int i = 0; i < STATS; i++)
			printf("%-22s %12" PRIu64 "  %s\n", stats_table[i].name, words[i], stats_table[i].help);
		for (size_t i = 0; i < NELEM(stats_cache_table); i++)
			printf("cache_%-16s %12" PRIu64 "  %s\n", stats_cache_table[i].name, stats_cache_value(st, i),
			    stats_cache_table[i].help);
		if (f->has_probe)
			printf("%-22s %12" PRIu64 "  %s\n", "probing", f->probing, stats_probing);
		stats_plugins(form, plugins, &out);
		stats_greylist(form, greylist, &out);
		printf("%-22s %12s  connection to the shared database, of the workers\n", "database", figures_db_words[f->db]);
		break;
	case STATS_JSON:
		json_open(&out, NULL, '{');
		json_open(&out, "verify", '{');
		for (int i = 0; i < STATS; i++)
			json_put_uint(&out, stats_table[i].name, words[i]);
		json_close(&out, '}');
		json_open(&out, "cache", '{');
		for (size_t i = 0; i < NELEM(stats_cache_table); i++)
			json_put_uint(&out, stats_cache_table[i].name, stats_cache_value(st, i));
		json_close(&out, '}');
		if (f->has_probe)
			json_put_uint(&out, "probing", f->probing);
		stats_plugins(form, plugins, &out);
		stats_greylist(form, greylist, &out);
		json_put_str(&out, "database", figures_db_words[f->db]);
		json_close(&out, '}');
		printf("%s\n", buf_str(&out));
		break;
	case STATS_PROMETHEUS:
		for (int i = 0; i < STATS; i++)
			stats_metric("verify", stats_table[i].name, stats_table[i].help, true, words[i]);
		for (size_t i = 0; i < NELEM(stats_cache_table); i++)
			stats_metric("cache", stats_cache_table[i].name, stats_cache_table[i].help,
			    stats_cache_table[i].counts, stats_cache_value(st, i));
		if (f->has_probe)
			stats_metric("probe", "probing", stats_probing, false, f->probing);
		stats_plugins(form, plugins, &out);
		stats_greylist(form, greylist, &out);
		if (f->db != DB_STATE_NONE)
			stats_metric("database", "up", "whether the workers are connected to the shared database", false,
			    f->db == DB_STATE_UP);
		break;
	}
	buf_fini(&out);
}

int
vouch_stats(struct vouch *v)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "prometheus", no_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	enum stats_form form = STATS_TEXT;
	struct figures_plugins plugins;
	struct figures_greylist greylist;
	struct figures f;
	int	c, ret;

	opterr = 0;
	while ((c = getopt_long(v->argc, v->argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			form = STATS_JSON;
			break;
		case 'p':
			form = STATS_PROMETHEUS;
			break;
		default:
			return vouch_usage(v, "unknown option");
		}
	}
	if (optind < v->argc)
		return vouch_usage(v, "too many arguments");

	if ((ret = figures_read(v, &f)) != VOUCH_DONE)
		return ret;
	figures_plugins_read(v, &plugins);
	figures_greylist_read(v, &greylist);
	stats_print(form, &f, &plugins, &greylist);
	figures_plugins_fini(&plugins);
	return ret;
}
