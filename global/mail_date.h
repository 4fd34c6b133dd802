/* global/mail_date.h - the date of a header: "Fri, 20 Nov 2026 18:34:57 +0000 (UTC)"
 * source: RFC 5322 section 3.3; spec probe-submission 5.2 (day padded with a blank, zone name in parentheses)
 */
#ifndef GLOBAL_MAIL_DATE_H
#define GLOBAL_MAIL_DATE_H

#include <stddef.h>
#include <stdint.h>

/* mail_date - local time (TZ), English names whatever the locale; size >= 64; returns buf */
char	*mail_date(char *buf, size_t size, int64_t wall_s);

#endif
