/* global/stats_file.c - where a daemon without an address table of its own hands its counters over */
#include "stats_file.h"

#include <errno.h>
#include <string.h>

#include <global/stats.h>
#include <global/verify_store.h>
#include <util/msg.h>
#include <util/shmtab.h>

static struct shmtab *stats_file;	/* NULL: none */

void
stats_file_open(int data_fd, const struct params *p)
{
	const char *why;

	if (data_fd >= 0 && shmtab_open(&stats_file, data_fd, VERIFY_STORE_FILE, (uint64_t) p->address_verify_cache_size, &why) < 0) {
		msg_warn("%s: %s: %s: nothing is counted", VERIFY_STORE_FILE, why, strerror(errno));
		stats_file = NULL;
	}
}

void
stats_file_flush(void)
{
	const char *why;

	if (stats_file == NULL)
		return;
	shmtab_check(stats_file, &why);		/* what may be wrong there verify says */
	stats_flush(shmtab_words(stats_file));
}

void
stats_file_close(void)
{
	stats_file_flush();
	shmtab_close(&stats_file);
}
