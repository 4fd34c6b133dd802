/* daemons/smtpd/plugin_stats.h - how often each plugin instance came to which verdict */
#ifndef SMTPD_PLUGIN_STATS_H
#define SMTPD_PLUGIN_STATS_H

#include "smtpd.h"

static inline void
plugin_stats_count(struct vh_inst *inst, enum vh_rc rc)
{
	inst->counts[rc]++;
}

#endif
