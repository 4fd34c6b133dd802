/* global/mail_date.c - the date of a header */
#include "mail_date.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char mail_days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char mail_months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
};

char *
mail_date(char *buf, size_t size, int64_t wall_s)
{
	time_t	when = (time_t) wall_s;
	struct tm tm;
	long	off;

	if (localtime_r(&when, &tm) == NULL) {		/* a year beyond int: no real clock */
		when = 0;
		localtime_r(&when, &tm);
	}
	off = labs(tm.tm_gmtoff) / 60;
	/* the zone's name comes from TZ: cut, so that the whole fits 64 bytes */
	snprintf(buf, size, "%s, %2d %s %d %02d:%02d:%02d %c%02ld%02ld (%.20s)", mail_days[tm.tm_wday], tm.tm_mday,
	    mail_months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    tm.tm_gmtoff < 0 ? '-' : '+', off / 60, off % 60, tm.tm_zone != NULL ? tm.tm_zone : "");
	return buf;
}
