/* global/probe_text.c - texts that probe(8) gives when it did not ask */
#include "probe_text.h"

#include <string.h>

bool
probe_text_unasked(const char *text)
{
	return strncmp(text, PROBE_TEXT_BEGIN, sizeof PROBE_TEXT_BEGIN - 1) == 0 &&
	    (strstr(text, " suspended until ") != NULL || strstr(text, " is turned off") != NULL);
}
