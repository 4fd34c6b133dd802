/* global/address_record.c - what is known about an address, and verify(8)'s rules about it */
#include "address_record.h"

#include <string.h>

#define ADDRESS_TIME_MAX ((int64_t) 1 << 40)	/* far beyond any clock, far below overflow */
#define ADDRESS_VERSION	 1

static int64_t
address_seconds(int64_t ms)
{
	return (ms + 999) / 1000;
}

void
address_rules_init(struct address_rules *r, const struct params *p)
{
	r->positive_expire_s = address_seconds(p->address_verify_positive_expire_time);
	r->positive_refresh_s = address_seconds(p->address_verify_positive_refresh_time);
	r->negative_expire_s = address_seconds(p->address_verify_negative_expire_time);
	r->negative_refresh_s = address_seconds(p->address_verify_negative_refresh_time);
	r->defer_expire_s = address_seconds(p->address_verify_defer_expire_time);
	r->defer_refresh_s = address_seconds(p->address_verify_defer_refresh_time);
	r->probe_ttl_s = address_seconds(p->address_verify_probe_ttl);
	r->negative_cache = p->address_verify_negative_cache;
}

struct address_after
address_after(enum verify_status status, const struct address_rules *r)
{
	switch (status) {
	case VERIFY_OK:
		return (struct address_after) { r->positive_refresh_s, r->positive_expire_s };
	case VERIFY_DEFER:
		return (struct address_after) { r->defer_refresh_s, r->defer_expire_s };
	case VERIFY_BOUNCE:
	case VERIFY_TODO:
		break;
	}
	return (struct address_after) { r->negative_refresh_s, r->negative_expire_s };
}

static bool
address_expired(const struct address_record *a, int64_t now_s, const struct address_rules *r)
{
	return a->updated_s + address_after(a->status, r).expire_s < now_s;
}

void
address_query(const struct address_record *old, bool storable, int64_t now_s, const struct address_rules *r,
    struct address_answer *ans)
{
	static const struct address_record unknown = { .status = VERIFY_TODO };
	struct address_record a = old != NULL ? *old : unknown;
	bool	replaced = old == NULL;

	memset(ans, 0, sizeof *ans);
	if (old != NULL && now_s - a.probed_s > r->probe_ttl_s && address_expired(&a, now_s, r)) {
		a = unknown;
		replaced = true;
	}
	ans->status = a.status;
	ans->text = a.status == VERIFY_TODO ? VERIFY_TODO_TEXT : a.text;
	ans->text_len = a.status == VERIFY_TODO ? strlen(VERIFY_TODO_TEXT) : a.text_len;
	ans->probe = now_s - a.probed_s > r->probe_ttl_s && a.updated_s + address_after(a.status, r).refresh_s < now_s;
	ans->after = a;
	if (ans->probe) {
		ans->act = ADDRESS_STORE;
		ans->after.probed_s = now_s;
		ans->after.claim_only = a.updated_s == 0 && (!r->negative_cache || !storable);
	} else if (replaced && old != NULL)
		ans->act = ADDRESS_DELETE;
	else
		ans->act = ADDRESS_KEEP;
}

bool
address_update(const struct address_record *old, enum verify_status status)
{
	return status == VERIFY_OK || old == NULL || old->status != VERIFY_OK;
}

enum address_act
address_release(const struct address_record *old, int64_t tag_s, struct address_record *after)
{
	if (old == NULL || old->probed_s != tag_s)
		return ADDRESS_KEEP;			/* a result came meanwhile, or a later claim */
	if (old->updated_s == 0)
		return ADDRESS_DELETE;
	*after = *old;
	after->probed_s = 0;
	return ADDRESS_STORE;
}

bool
address_keep(const struct address_record *a, int64_t now_s, const struct address_rules *r)
{
	return now_s - a->probed_s < r->probe_ttl_s || !address_expired(a, now_s, r);
}

int64_t
address_expiry(const struct address_record *a, const struct address_rules *r)
{
	int64_t result = a->updated_s != 0 ? a->updated_s + address_after(a->status, r).expire_s : 0;
	int64_t claim = a->probed_s != 0 ? a->probed_s + r->probe_ttl_s : 0;

	return result > claim ? result : claim;
}

int64_t
address_refresh(const struct address_record *a, const struct address_rules *r)
{
	return a->updated_s != 0 ? a->updated_s + address_after(a->status, r).refresh_s + 1 : 0;
}

size_t
address_encode(const struct address_record *a, void *data, size_t size)
{
	unsigned char *p = data;
	size_t	len = a->status == VERIFY_TODO ? 0 : a->text_len;

	if (len > size - ADDRESS_HEADER)		/* invariant: size >= ADDRESS_HEADER */
		len = size - ADDRESS_HEADER;
	p[0] = ADDRESS_VERSION;
	p[1] = (unsigned char) a->status;
	p[2] = a->claim_only;
	p[3] = a->nth;
	memcpy(p + 4, &a->probed_s, sizeof a->probed_s);
	memcpy(p + 12, &a->updated_s, sizeof a->updated_s);
	if (len > 0)
		memcpy(p + ADDRESS_HEADER, a->text, len);
	return ADDRESS_HEADER + len;
}

bool
address_decode(struct address_record *a, const void *data, size_t len)
{
	const unsigned char *p = data;

	if (len < ADDRESS_HEADER || p[0] != ADDRESS_VERSION || p[1] >= VERIFY_STATUSES || p[2] > 1)
		return false;
	a->status = (enum verify_status) p[1];
	a->claim_only = p[2] != 0;
	a->nth = p[3];
	memcpy(&a->probed_s, p + 4, sizeof a->probed_s);
	memcpy(&a->updated_s, p + 12, sizeof a->updated_s);
	a->text = (const char *) p + ADDRESS_HEADER;
	a->text_len = len - ADDRESS_HEADER;
	return a->probed_s >= 0 && a->probed_s <= ADDRESS_TIME_MAX && a->updated_s >= 0 &&
	    a->updated_s <= ADDRESS_TIME_MAX && (a->probed_s != 0 || a->updated_s != 0);
}
