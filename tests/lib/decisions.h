/* tests/lib/decisions.h - the decision table of spec verify-protocol sections 7 and 8, for all who must decide alike
 * Used on the rules alone (tests/global/address_record_test.c) and on whole stores, with and without a database
 * (tests/tools/decide.c). Ages are in seconds.
 */
#ifndef TESTS_DECISIONS_H
#define TESTS_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <global/address_record.h>

#define DECISION_NONE	(-1)		/* no probe outstanding; never updated */
#define DECISION_TEXT	"some text"	/* of every record */

/* one row: a record of this status, probe P seconds old, result `age` seconds old; what must come of it */
enum decision_after {
	DECISION_SAME,			/* record unchanged */
	DECISION_FRESH,			/* 3:now:0 */
	DECISION_REFRESH,		/* probed = now, rest as before */
};
struct decision {
	const char *name;
	int	status;			/* -1: no record */
	int64_t	probe_age, age;
	int	reply;
	bool	probe;
	enum decision_after after;
};

struct decision_set {
	const char *name;
	struct address_rules rules;
	const struct decision *row;
	size_t	n;
};

/* an update over a record of status old (-1: none): is it stored? */
struct decision_update {
	const char *name;
	int	old, status;
	bool	stored;
};

extern const struct decision_set decision_sets[];	/* the first with verify(8)'s default times */
extern const struct decision_update decision_updates[];
extern const size_t decision_sets_n, decision_updates_n;

/* decision_record - the record of a row at time now_s */
struct address_record decision_record(const struct decision *, int64_t now_s);

#endif
