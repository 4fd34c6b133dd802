/* global/address_record.h - what is known about an address, and verify(8)'s rules about it
 * source: spec verify-protocol sections 6 to 10. Pure: no clock, no store, no I/O; the decision table is here and
 * nowhere else. A record is a value: copy it, compare it, nothing to free; its text is borrowed.
 * Differences to verify(8), on purpose (DESIGN section 5): DEFER has its own times; the claim of a probe
 * under way is kept also where no record is (claim_only); keep-OK looks at the record's status.
 */
#ifndef GLOBAL_ADDRESS_RECORD_H
#define GLOBAL_ADDRESS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <global/params.h>
#include <global/verify_proto.h>

struct address_record {
	enum verify_status status;
	bool	    claim_only;		/* says only that a probe is under way: no record as verify(8) would keep */
	uint8_t	    nth;		/* counts an entry's results: no two that differ have the bytes of one before (db_store_write) */
	int64_t	    probed_s;		/* when the outstanding probe was claimed, seconds since 1970; 0 = none */
	int64_t	    updated_s;		/* when the last result came; 0 = none yet */
	const char *text;		/* not NUL-terminated; a TODO record has none */
	size_t	    text_len;
};

struct address_rules {			/* whole seconds */
	int64_t	positive_expire_s, positive_refresh_s;
	int64_t	negative_expire_s, negative_refresh_s;
	int64_t	defer_expire_s, defer_refresh_s;
	int64_t	probe_ttl_s;
	bool	negative_cache;
};

/* address_rules_init - from the parameters; fractions of a second are rounded up */
void	address_rules_init(struct address_rules *, const struct params *);

enum address_act { ADDRESS_KEEP, ADDRESS_STORE, ADDRESS_DELETE };

struct address_answer {
	enum verify_status status;	/* the reply */
	const char *text;		/* the record's, or a fixed one */
	size_t	    text_len;
	bool	    probe;		/* send one */
	enum address_act act;		/* what becomes of the record */
	struct address_record after;	/* on ADDRESS_STORE */
};

/* address_query - section 7; old NULL: no record, or a malformed one
 * storable  the address may be a key (section 5.4); if not, nothing but a claim is stored */
void	address_query(const struct address_record *old, bool storable, int64_t now_s, const struct address_rules *,
	    struct address_answer *);
/* address_update - section 8; whether a result of this status is to be stored over old (the keep-OK rule) */
bool	address_update(const struct address_record *old, enum verify_status);
/* address_release - the probe claimed at tag_s will not be sent: what becomes of old */
enum address_act address_release(const struct address_record *old, int64_t tag_s, struct address_record *after_r);
/* address_keep - section 10: whether cache cleanup keeps the record */
bool	address_keep(const struct address_record *, int64_t now_s, const struct address_rules *);
/* address_after - how many seconds after its result a record of this status is refreshed when it is asked for, and expires */
struct address_after { int64_t refresh_s, expire_s; };
struct address_after address_after(enum verify_status, const struct address_rules *);
/* address_expiry - from when on the record is worth nothing, seconds since 1970 */
int64_t	address_expiry(const struct address_record *, const struct address_rules *);

/* address_refresh - from when on asking for it starts a new probe; 0 when it has no result */
int64_t	address_refresh(const struct address_record *, const struct address_rules *);

/* The record as bytes in the store. address_encode returns the length, size is at least ADDRESS_HEADER + text_len;
 * address_decode is false for anything that is not a valid record (section 6.1) */
#define ADDRESS_HEADER	20
size_t	address_encode(const struct address_record *, void *data, size_t size);
bool	address_decode(struct address_record *, const void *data, size_t len);

#endif
