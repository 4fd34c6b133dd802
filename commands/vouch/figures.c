/* commands/vouch/figures.c - what there is to count, read from files in data_directory */
#include "figures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <util/mem.h>
#include <util/sock.h>
#include <global/count_table.h>
#include <global/greylist_store.h>
#include <global/verify_store.h>

const char *const figures_db_words[] = {
	[DB_STATE_NONE] = "none", [DB_STATE_UP] = "up", [DB_STATE_PARTLY] = "partly", [DB_STATE_DOWN] = "down",
};

static void
figures_probing(struct figures *f, int data_fd)
{
	struct shmtab *tab = NULL;
	struct shmtab_stat st;
	const char *why;

	f->has_probe = shmtab_open_read(&tab, data_fd, PROBE_INFLIGHT_FILE, &why) == 0;
	if (f->has_probe) {
		shmtab_stat(tab, &st);
		f->probing = st.entries;
	}
	shmtab_close(&tab);
}

int
figures_read(const struct vouch *v, struct figures *f)
{
	struct shmtab *tab = NULL;
	const char *why = NULL;
	char   *dir;
	int	fd = -1, ret = VOUCH_TEMPORARY;

	memset(f, 0, sizeof *f);
	if ((dir = vouch_param(v, "data_directory")) == NULL)
		return VOUCH_TEMPORARY;
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		vouch_sorry("%s: %s%s", dir, strerror(errno),
		    errno == EACCES ? ": run this as root or as the instance's owner" : "");
		goto out;
	}
	if (shmtab_open_read(&tab, fd, VERIFY_STORE_FILE, &why) < 0) {
		vouch_sorry("%s/%s: %s: %s", dir, VERIFY_STORE_FILE, why, errno == ENOENT ?
		    "verify makes it when it starts for the first time" : errno == EACCES ?
		    "run this as root or as the instance's owner" : "verify makes a new one when it starts");
		goto out;
	}
	for (int i = 0; i < STATS; i++)
		f->count[i] = atomic_load_explicit(&shmtab_words(tab)[i], memory_order_relaxed);
	shmtab_stat(tab, &f->cache);
	f->db = db_state(shmtab_words(tab) + VERIFY_STORE_WORDS);
	figures_probing(f, fd);
	ret = VOUCH_DONE;
out:
	shmtab_close(&tab);
	sock_close(&fd);
	free(dir);
	return ret;
}

static void
figures_plugin_add(void *ctx, const char *first, const char *second, uint64_t value)
{
	struct figures_plugins *p = ctx;

	p->row = mem_grow(p->row, p->n + 1, sizeof *p->row);
	p->row[p->n++] = (struct figures_plugin) { mem_strdup(first), mem_strdup(second), value };
}

static int
figures_plugin_order(const void *a, const void *b)
{
	const struct figures_plugin *x = a, *y = b;
	int	order = strcmp(x->name, y->name);

	return order != 0 ? order : strcmp(x->verdict, y->verdict);
}

void
figures_plugins_read(const struct vouch *v, struct figures_plugins *p)
{
	char   *dir = vouch_param(v, "data_directory");
	int	fd = dir != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	memset(p, 0, sizeof *p);
	if (fd >= 0)
		count_table_read(fd, COUNT_TABLE_SMTPD, figures_plugin_add, p);
	if (p->n > 0)
		qsort(p->row, p->n, sizeof *p->row, figures_plugin_order);
	sock_close(&fd);
	free(dir);
}

void
figures_plugins_fini(struct figures_plugins *p)
{
	for (size_t i = 0; i < p->n; i++) {
		mem_free(&p->row[i].name);
		mem_free(&p->row[i].verdict);
	}
	mem_free(&p->row);
	p->n = 0;
}

enum {
	GREYLIST_WAITING, GREYLIST_PASSED, GREYLIST_SENDERS, GREYLIST_DOMAINS, GREYLIST_CLIENTS, GREYLIST_PINNED, GREYLIST_EVICTED,
	GREYLIST_DAMAGED,
};
const struct figures_greylist_row figures_greylist_rows[FIGURES_GREYLIST] = {
	[GREYLIST_WAITING] = { "waiting", "triplets that wait for their retry, as of the last time round", false },
	[GREYLIST_PASSED] = { "passed", "triplets that have passed, likewise", false },
	[GREYLIST_SENDERS] = { "senders", "known senders, likewise", false },
	[GREYLIST_DOMAINS] = { "domains", "sender domains on record, likewise", false },
	[GREYLIST_CLIENTS] = { "clients", "client networks on record, likewise", false },
	[GREYLIST_PINNED] = { "pinned", "greylisting records that wait to be written to the database", false },
	[GREYLIST_EVICTED] = { "evicted", "greylisting records that went for want of room", true },
	[GREYLIST_DAMAGED] = { "damaged", "damaged greylisting records dropped", true },
};

void
figures_greylist_read(const struct vouch *v, struct figures_greylist *g)
{
	static const char *const files[] = { GREYLIST_KNOWN_FILE, GREYLIST_PENDING_FILE };
	char   *dir = vouch_param(v, "data_directory");
	int	fd = dir != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct shmtab *tab;
	struct shmtab_stat st;
	const char *why;

	memset(g, 0, sizeof *g);
	for (size_t i = 0; i < NELEM(files) && fd >= 0; i++) {
		if (shmtab_open_read(&tab, fd, files[i], &why) < 0)
			continue;
		g->has = true;
		shmtab_stat(tab, &st);
		g->value[GREYLIST_PINNED] += st.pinned;
		g->value[GREYLIST_EVICTED] += st.evicted;
		g->value[GREYLIST_DAMAGED] += st.damaged;
		if (i == 0) {
			for (int k = GREYLIST_WAITING; k <= GREYLIST_CLIENTS; k++)
				g->value[k] = atomic_load(&shmtab_words(tab)[GREYLIST_WORD_WAITING + k]);
			g->db = db_state(shmtab_words(tab) + GREYLIST_WORD_DB);
		}
		shmtab_close(&tab);
	}
	sock_close(&fd);
	free(dir);
}
