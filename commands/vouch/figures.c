/* commands/vouch/figures.c - what there is to count, read from files in data_directory */
#include "figures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <util/sock.h>
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
