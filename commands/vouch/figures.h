/* commands/vouch/figures.h - what there is to count about this host's verify service, read from files in data_directory
 * Asks no daemon: works while none runs, and costs the workers nothing.
 */
#ifndef FIGURES_H
#define FIGURES_H

#include <stdint.h>

#include <util/shmtab.h>
#include <global/db_store.h>
#include <global/stats.h>

#include "vouch.h"

struct figures {
	uint64_t count[STATS];		/* by enum stat_id */
	struct shmtab_stat cache;
	enum db_state db;
	bool	 has_probe;		/* there is a probe(8), or was one */
	uint64_t probing;		/* addresses that it is asking about */
};
extern const char *const figures_db_words[];	/* by enum db_state */

/* figures_read - VOUCH_DONE, or VOUCH_TEMPORARY, which is said */
int	figures_read(const struct vouch *, struct figures *);

struct figures_plugin {			/* how often a plugin of smtpd(8) came to this verdict */
	char   *name, *verdict;
	uint64_t n;
};
struct figures_plugins {
	struct figures_plugin *row;	/* sorted by name and verdict */
	size_t	 n;
};
/* figures_plugins_read - nothing where there was no smtpd(8); for figures_plugins_fini */
void	figures_plugins_read(const struct vouch *, struct figures_plugins *);
void	figures_plugins_fini(struct figures_plugins *);

/* greylisting's tables in data_directory: names, and what stands there; a gauge is what is there now */
#define FIGURES_GREYLIST	8
struct figures_greylist {
	bool	 has;			/* there is, or was, something that greylists */
	enum db_state db;
	uint64_t value[FIGURES_GREYLIST];
};
extern const struct figures_greylist_row {
	const char *name, *help;
	bool	 counts;
} figures_greylist_rows[FIGURES_GREYLIST];
void	figures_greylist_read(const struct vouch *, struct figures_greylist *);

/* vouch_processes - how many processes of each name the master has, as the kernel tells it; how many kinds there are */
struct vouch_processes {
	char	 name[32];
	unsigned n;
};
size_t	vouch_processes(pid_t master, struct vouch_processes *, size_t max);

#endif
