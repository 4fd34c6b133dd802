/* util/units.c - times, sizes and whole numbers as text */
#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct units_time {
	char	unit;
	int64_t seconds;
} units_times[] = {
	{ 'w', 7 * 86400 }, { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 },
};
#define UNITS_TIMES	(sizeof(units_times) / sizeof(units_times[0]))

/* units_digits - the digits at the start of s; false when there are none or too many for 63 bits */
static bool
units_digits(const char *s, uint64_t *r, const char **rest_r)
{
	char   *end;

	if (!isdigit((unsigned char) *s))
		return false;
	errno = 0;
	*r = strtoull(s, &end, 10);
	*rest_r = end;
	return errno == 0 && *r <= INT64_MAX;
}

bool
units_time_parse(const char *s, char def_unit, int64_t *ms_r)
{
	uint64_t n;
	const char *rest;
	char	unit;

	if (!units_digits(s, &n, &rest))
		return false;
	if (strcmp(rest, "ms") == 0) {
		if (n / 1000 >= INT32_MAX)
			return false;
		*ms_r = (int64_t) n;
		return true;
	}
	unit = *rest != 0 ? *rest : def_unit;
	for (size_t i = 0; i < UNITS_TIMES; i++)
		if (units_times[i].unit == unit) {
			if (n >= (uint64_t) (INT32_MAX / units_times[i].seconds))
				return false;
			*ms_r = (int64_t) n * units_times[i].seconds * 1000;
			return true;
		}
	return false;
}

char
units_time_unit(const char *s)
{
	s += strspn(s, "0123456789");
	return *s != 0 && strchr("smhdw", *s) != NULL && strcmp(s, "ms") != 0 ? *s : 's';
}

char *
units_time_print(char *buf, int64_t ms)
{
	if (ms % 1000 != 0) {
		snprintf(buf, 32, "%lldms", (long long) ms);
		return buf;
	}
	for (size_t i = 0; i < UNITS_TIMES; i++)
		if (ms != 0 && ms / 1000 % units_times[i].seconds == 0) {
			snprintf(buf, 32, "%lld%c", (long long) (ms / 1000 / units_times[i].seconds), units_times[i].unit);
			return buf;
		}
	snprintf(buf, 32, "0s");
	return buf;
}

bool
units_size_parse(const char *s, uint64_t *bytes_r)
{
	uint64_t n, factor = 1;
	const char *rest;

	if (!units_digits(s, &n, &rest))
		return false;
	switch (*rest) {
	case 'k': case 'K':
		factor = (uint64_t) 1 << 10;
		break;
	case 'm': case 'M':
		factor = (uint64_t) 1 << 20;
		break;
	case 'g': case 'G':
		factor = (uint64_t) 1 << 30;
		break;
	}
	if ((factor > 1 ? rest[1] : rest[0]) != 0 || n > INT64_MAX / factor)
		return false;
	*bytes_r = n * factor;
	return true;
}

bool
units_int_parse(const char *s, int64_t *r)
{
	char   *end;

	if (!isdigit((unsigned char) *s) && !((*s == '-' || *s == '+') && isdigit((unsigned char) s[1])))
		return false;
	errno = 0;
	*r = strtoll(s, &end, 10);
	return errno == 0 && *end == 0;
}
