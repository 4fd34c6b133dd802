/* util/units.h - "30s" <-> milliseconds, "64M" <-> bytes, and whole numbers; strict, never partial
 * source: spec main-cf section 5 (Postfix's time syntax), DESIGN section 5 (ms as well)
 */
#ifndef UTIL_UNITS_H
#define UTIL_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* units_time_parse - digits and a unit: ms s m h d w
 * def_unit  unit letter for a bare number (Postfix: the unit of the default value), 's' as a rule
 * ms_r      written on success; below 2^31 seconds, as in Postfix
 * As Postfix, only the first letter after the digits counts ("7days" is 7d), but "ms" is milliseconds;
 * blanks, signs, fractions and upper case are refused. */
bool	units_time_parse(const char *, char def_unit, int64_t *ms_r);
/* units_time_unit - the unit letter of a time value ("31d" -> 'd'), 's' when it has none; "ms" counts as 's' */
char	units_time_unit(const char *);
/* units_time_print - shortest exact form: "90s", "2h", "250ms"; buf of at least 32 bytes; returns buf */
char	*units_time_print(char *buf, int64_t ms);
/* units_size_parse - digits and an optional k, M, G (either case, powers of 1024) */
bool	units_size_parse(const char *, uint64_t *bytes_r);
/* units_int_parse - a whole decimal number, optional sign, nothing else */
bool	units_int_parse(const char *, int64_t *r);

#endif
