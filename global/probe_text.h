/* global/probe_text.h - texts that probe(8) gives when it did not ask; others tell by them that nobody was asked */
#ifndef GLOBAL_PROBE_TEXT_H
#define GLOBAL_PROBE_TEXT_H

#include <stdbool.h>

/* formats; all begin alike */
#define PROBE_TEXT_BEGIN	"probing of "
#define PROBE_TEXT_SUSPENDED	PROBE_TEXT_BEGIN "%.200s suspended until %s: %.700s"	/* next hop, time, why */
#define PROBE_TEXT_NEVER	PROBE_TEXT_BEGIN "%s is turned off"
#define PROBE_TEXT_NEVER_MX	PROBE_TEXT_BEGIN "its mail exchangers is turned off"

bool	probe_text_unasked(const char *text);

#endif
