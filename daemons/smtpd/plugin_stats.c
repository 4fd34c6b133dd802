/* daemons/smtpd/plugin_stats.c - how often each plugin instance came to which verdict */
#include "plugin_stats.h"

#include <global/count_table.h>
#include <util/msg.h>

static struct count_table *plugin_stats;	/* NULL: none */

void
plugin_stats_open(int data_fd)
{
	const char *why = "";

	if (data_fd >= 0 && (plugin_stats = count_table_open(data_fd, COUNT_TABLE_SMTPD, &why)) == NULL)
		msg_warn("%s: %s: plugins are not counted", COUNT_TABLE_SMTPD, why);
}

void
plugin_stats_flush(struct plugins *set)
{
	if (plugin_stats == NULL)
		return;
	count_table_check(plugin_stats);
	for (size_t i = 0; i < set->n; i++)
		for (int rc = VH_DECLINED; rc < VH_YIELD; rc++) {
			uint64_t *n = &set->inst[i]->counts[rc];

			if (*n > 0 && count_table_add(plugin_stats, set->inst[i]->name, vh_rc_name((enum vh_rc) rc), *n) == 0)
				*n = 0;
		}
}

void
plugin_stats_close(void)
{
	count_table_close(&plugin_stats);
}
