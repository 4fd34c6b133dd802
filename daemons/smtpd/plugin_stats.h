/* daemons/smtpd/plugin_stats.h - how often each plugin instance came to which verdict; shown by "vouch stats"
 * Counted in the instance, handed over to global/count_table.h a few times a second.
 */
#ifndef SMTPD_PLUGIN_STATS_H
#define SMTPD_PLUGIN_STATS_H

#include "smtpd.h"

static inline void
plugin_stats_count(struct vh_inst *inst, enum vh_rc rc)
{
	inst->counts[rc]++;
}

void	plugin_stats_open(int data_fd);		/* data_directory, or -1; trouble is logged */
void	plugin_stats_flush(struct plugins *);
void	plugin_stats_close(void);

#endif
