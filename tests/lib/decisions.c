/* tests/lib/decisions.c - the decision table of spec verify-protocol sections 7 and 8, row by row */
#include "decisions.h"

#include <string.h>

#include <util/mem.h>

#define TTL	1000
#define HOUR	3600
#define DAY	86400
#define NONE	DECISION_NONE

#define RULES(defer_refresh, defer_expire, ttl, cache) \
	{ \
		.positive_expire_s = 31 * DAY, .positive_refresh_s = 7 * DAY, \
		.negative_expire_s = 3 * DAY, .negative_refresh_s = 3 * HOUR, \
		.defer_expire_s = (defer_expire), .defer_refresh_s = (defer_refresh), \
		.probe_ttl_s = (ttl), .negative_cache = (cache), \
	}

static const struct decision decision_table[] = {
	/* name				  status probe	   age		   reply probe after */
	{ "no record",			  -1,	 NONE,	   NONE,	   3,	 true,	DECISION_FRESH },
	{ "OK, new",			  0,	 NONE,	   0,		   0,	 false, DECISION_SAME },
	{ "OK, refresh limit",		  0,	 NONE,	   604800,	   0,	 false, DECISION_SAME },
	{ "OK, refresh due",		  0,	 NONE,	   604801,	   0,	 true,	DECISION_REFRESH },
	{ "OK, expiry limit",		  0,	 NONE,	   2678400,	   0,	 true,	DECISION_REFRESH },
	{ "OK, expired",		  0,	 NONE,	   2678401,	   3,	 true,	DECISION_FRESH },
	{ "OK, probe lost, fresh",	  0,	 1001,	   604800,	   0,	 false, DECISION_SAME },
	{ "OK, probe lost, refresh",	  0,	 1001,	   604801,	   0,	 true,	DECISION_REFRESH },
	{ "OK, probe lost, expired",	  0,	 1001,	   2678401,	   3,	 true,	DECISION_FRESH },
	{ "OK, probe out, refresh due",	  0,	 1000,	   604801,	   0,	 false, DECISION_SAME },
	{ "OK, probe out, expired",	  0,	 1000,	   2678401,	   0,	 false, DECISION_SAME },
	{ "OK, probe just out, expired",  0,	 0,	   9999999,	   0,	 false, DECISION_SAME },
	{ "OK, probe in the future",	  0,	 -500,	   9999999,	   0,	 false, DECISION_SAME },
	{ "OK, updated in the future",	  0,	 NONE,	   -500,	   0,	 false, DECISION_SAME },
	{ "DEFER, new",			  1,	 NONE,	   0,		   1,	 false, DECISION_SAME },
	{ "DEFER, refresh limit",	  1,	 NONE,	   10800,	   1,	 false, DECISION_SAME },
	{ "DEFER, refresh due",		  1,	 NONE,	   10801,	   1,	 true,	DECISION_REFRESH },
	{ "DEFER, expiry limit",	  1,	 NONE,	   259200,	   1,	 true,	DECISION_REFRESH },
	{ "DEFER, expired",		  1,	 NONE,	   259201,	   3,	 true,	DECISION_FRESH },
	{ "DEFER, probe out, expired",	  1,	 1000,	   259201,	   1,	 false, DECISION_SAME },
	{ "DEFER, probe lost, expired",	  1,	 1001,	   259201,	   3,	 true,	DECISION_FRESH },
	{ "BOUNCE, new",		  2,	 NONE,	   0,		   2,	 false, DECISION_SAME },
	{ "BOUNCE, refresh limit",	  2,	 NONE,	   10800,	   2,	 false, DECISION_SAME },
	{ "BOUNCE, refresh due",	  2,	 NONE,	   10801,	   2,	 true,	DECISION_REFRESH },
	{ "BOUNCE, expiry limit",	  2,	 NONE,	   259200,	   2,	 true,	DECISION_REFRESH },
	{ "BOUNCE, expired",		  2,	 NONE,	   259201,	   3,	 true,	DECISION_FRESH },
	{ "BOUNCE, probe out, refresh",	  2,	 1000,	   10801,	   2,	 false, DECISION_SAME },
	{ "BOUNCE, probe out, expired",	  2,	 999,	   259201,	   2,	 false, DECISION_SAME },
	{ "BOUNCE, probe lost, refresh",  2,	 1001,	   10801,	   2,	 true,	DECISION_REFRESH },
	{ "BOUNCE, probe lost, expired",  2,	 1001,	   259201,	   3,	 true,	DECISION_FRESH },
	{ "TODO, probe out",		  3,	 0,	   NONE,	   3,	 false, DECISION_SAME },
	{ "TODO, probe limit",		  3,	 1000,	   NONE,	   3,	 false, DECISION_SAME },
	{ "TODO, probe lost",		  3,	 1001,	   NONE,	   3,	 true,	DECISION_FRESH },
	{ "TODO with a result time, new", 3,	 NONE,	   10800,	   3,	 false, DECISION_SAME },
	{ "TODO with a result time, due", 3,	 NONE,	   10801,	   3,	 true,	DECISION_REFRESH },
	{ "TODO with a result time, old", 3,	 NONE,	   259201,	   3,	 true,	DECISION_FRESH },
};

static const struct decision decision_defer[] = {
	{ "DEFER, own refresh limit",	  1,	 NONE,	   60,		   1,	 false, DECISION_SAME },
	{ "DEFER, own refresh due",	  1,	 NONE,	   61,		   1,	 true,	DECISION_REFRESH },
	{ "DEFER, own expiry limit",	  1,	 NONE,	   600,		   1,	 true,	DECISION_REFRESH },
	{ "DEFER, own expiry",		  1,	 NONE,	   601,		   3,	 true,	DECISION_FRESH },
	{ "BOUNCE keeps its times",	  2,	 NONE,	   601,		   2,	 false, DECISION_SAME },
	{ "OK keeps its times",		  0,	 NONE,	   601,		   0,	 false, DECISION_SAME },
};

static const struct decision decision_ttl[] = {
	{ "TODO, own limit",		  3,	 30,	   NONE,	   3,	 false, DECISION_SAME },
	{ "TODO, own lost",		  3,	 31,	   NONE,	   3,	 true,	DECISION_FRESH },
};

const struct decision_set decision_sets[] = {
	{ "defaults", RULES(3 * HOUR, 3 * DAY, TTL, true), decision_table, NELEM(decision_table) },
	/* section 9: every row that ends in 3:now:0 leaves no record, but the claim is kept apart */
	{ "negative cache off", RULES(3 * HOUR, 3 * DAY, TTL, false), decision_table, NELEM(decision_table) },
	{ "own times of DEFER", RULES(60, 600, TTL, true), decision_defer, NELEM(decision_defer) },
	{ "own time of probes", RULES(3 * HOUR, 3 * DAY, 30, true), decision_ttl, NELEM(decision_ttl) },
};
const size_t decision_sets_n = NELEM(decision_sets);

const struct decision_update decision_updates[] = {
	{ "nothing, OK", -1, 0, true },	 { "nothing, DEFER", -1, 1, true },  { "nothing, BOUNCE", -1, 2, true },
	{ "OK, OK", 0, 0, true },	 { "OK, DEFER", 0, 1, false },	     { "OK, BOUNCE", 0, 2, false },
	{ "DEFER, OK", 1, 0, true },	 { "DEFER, DEFER", 1, 1, true },     { "DEFER, BOUNCE", 1, 2, true },
	{ "BOUNCE, OK", 2, 0, true },	 { "BOUNCE, DEFER", 2, 1, true },    { "BOUNCE, BOUNCE", 2, 2, true },
	{ "TODO, OK", 3, 0, true },	 { "TODO, DEFER", 3, 1, true },	     { "TODO, BOUNCE", 3, 2, true },
};
const size_t decision_updates_n = NELEM(decision_updates);

struct address_record
decision_record(const struct decision *d, int64_t now_s)
{
	return (struct address_record) {
		.status = (enum verify_status) d->status,
		.probed_s = d->probe_age == NONE ? 0 : now_s - d->probe_age,
		.updated_s = d->age == NONE ? 0 : now_s - d->age,
		.text = DECISION_TEXT, .text_len = strlen(DECISION_TEXT),
	};
}
