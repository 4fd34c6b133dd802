/* global/greylist_record.h - what greylisting remembers: records, their rules and the decision; pure, no clock of its own
 *	T  triplet of client, sender and recipient that waits for its retry, or has passed
 *	S  sender from a client, D  its domain from a client, C  client network: they have proved themselves
 *	N  how many triplets of a client network wait: on this host only
 *	X  the secret of the site (greylist_secret.h)
 * A record is a value. In tables it has a fixed size for each kind: with its key at most 64 bytes. Times are wall-clock seconds.
 * source: README_FILES/GREYLIST_README. "Longer ago than" is strict everywhere: at exactly the delay a retry is good, at exactly
 * the end of the window, too, and what was seen exactly greylist_expire_time ago is still known.
 */
#ifndef GLOBAL_GREYLIST_RECORD_H
#define GLOBAL_GREYLIST_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <global/greylist.h>
#include <global/params.h>

#define GREYLIST_DOMAIN_MAX	4	/* members of D */
#define GREYLIST_CLIENT_MAX	8	/* of C */
#define GREYLIST_VALUE_MAX	41	/* bytes of an encoded record; the key has 23 */
#define GREYLIST_TIME_MAX	((int64_t) UINT32_MAX)

struct greylist_rules {
	int64_t	delay_s, window_s, expire_s, interval_s, skew_s, touch_s;
	unsigned domain_count, client_count;	/* members that make D and C full; 0: never */
	unsigned pending_limit;			/* 0: none */
	bool	by_triplet;			/* greylist_pass_scope */
	bool	keep_passed;			/* triplets that passed are of use: that, or greylist_auto_allow_exclude */
};
/* greylist_rules_init - -1 with a line in why when the parameters contradict each other */
int	greylist_rules_init(struct greylist_rules *, const struct params *, struct buf *why);

struct greylist_record {
	char	 kind;			/* 0: there is none */
	unsigned tries;			/* T; N: how many */
	unsigned members;		/* D, C */
	int64_t	 first_s, last_s;	/* T, S: both; D, C, N: last_s alone */
	int64_t	 passed_s;		/* T: 0 or when */
	int64_t	 stored_s;		/* last_s as the database has it; 0: it does not */
	uint32_t member[GREYLIST_CLIENT_MAX];	/* ascending */
	unsigned char secret[16];	/* X */
};

/* greylist_record_encode - returns the length; decode: false when it cannot be a record */
size_t	greylist_record_encode(const struct greylist_record *, unsigned char value_r[GREYLIST_VALUE_MAX]);
bool	greylist_record_decode(struct greylist_record *, const void *value, size_t len);

/* greylist_record_alive - whether it counts for anything at that time */
bool	greylist_record_alive(const struct greylist_record *, const struct greylist_rules *, int64_t now_s);
bool	greylist_record_pending(const struct greylist_record *, const struct greylist_rules *, int64_t now_s);
/* greylist_record_expiry - until when; after it the record may go from a table that is full */
int64_t	greylist_record_expiry(const struct greylist_record *, const struct greylist_rules *);
/* greylist_record_mend - times further in the future than clocks may differ become now; true when something was */
bool	greylist_record_mend(struct greylist_record *, const struct greylist_rules *, int64_t now_s);
/* greylist_record_merge - unite with another record of the same key; in any order and however often, the result is the same */
void	greylist_record_merge(struct greylist_record *, const struct greylist_record *, const struct greylist_rules *);
/* greylist_record_covers - whether `a` has everything that merging b into it would bring, but for a later last_s
 * and, where its set is full, other members */
bool	greylist_record_covers(const struct greylist_record *a, const struct greylist_record *b, const struct greylist_rules *);
/* greylist_record_full - D, C: enough members */
bool	greylist_record_full(const struct greylist_record *, const struct greylist_rules *);

/* changes; each makes the record if there is none (kind 0), or if what there is is dead */
void	greylist_record_begin(struct greylist_record *, const struct greylist_rules *, int64_t now_s);	/* T */
void	greylist_record_again(struct greylist_record *, int64_t now_s);					/* T, an early retry */
void	greylist_record_pass(struct greylist_record *, int64_t now_s);					/* T */
void	greylist_record_know(struct greylist_record *, const struct greylist_rules *, int64_t now_s);	/* S */
void	greylist_record_add(struct greylist_record *, char kind, uint32_t member, const struct greylist_rules *,
	    int64_t now_s);											/* D, C */

/* The decision about a triplet from what is known (records of kind 0: nothing), rows 14 to 19. exclude: greylist_auto_allow_exclude
 * returns   GREYLIST_KNOWN_*, EARLY (left_r), RETRY (delay_r); GREYLIST_NEW or LATE: nothing known decides */
struct greylist_known {
	struct greylist_record c, d, s, t;
};
enum greylist_reason greylist_judge(const struct greylist_known *, const struct greylist_rules *, bool exclude, int64_t now_s,
	    int64_t *left_r, int64_t *delay_r);

#endif
