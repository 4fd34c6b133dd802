/* global/greylist_record.c - what greylisting remembers, and what follows from it */
#include "greylist_record.h"

#include <string.h>

_Static_assert(23 + GREYLIST_VALUE_MAX <= 64, "a record with its key is at most 64 bytes");

int
greylist_rules_init(struct greylist_rules *r, const struct params *p, struct buf *why)
{
	int	ret = 0;

	*r = (struct greylist_rules) {
		.delay_s = (p->greylist_delay + 999) / 1000,
		.window_s = p->greylist_retry_window / 1000,
		.expire_s = p->greylist_expire_time / 1000,
		.interval_s = p->greylist_auto_allow_interval / 1000,
		.skew_s = p->greylist_clock_skew / 1000,
		.touch_s = p->greylist_touch_interval / 1000,
		.domain_count = (unsigned) p->greylist_auto_allow_domain_count,
		.client_count = (unsigned) p->greylist_auto_allow_count,
		.pending_limit = (unsigned) p->greylist_pending_limit,
		.by_triplet = strcmp(p->greylist_pass_scope, "triplet") == 0,
	};
	r->keep_passed = r->by_triplet || p->greylist_auto_allow_exclude[0] != 0;
	if (p->greylist_delay >= p->greylist_retry_window) {
		buf_adds(why, "parameter greylist_delay: must be less than greylist_retry_window\n");
		ret = -1;
	}
	if (p->greylist_retry_window > p->greylist_expire_time) {
		buf_adds(why, "parameter greylist_retry_window: must not be more than greylist_expire_time\n");
		ret = -1;
	}
	return ret;
}

/* values in tables: the kind, then numbers of 32 bits in the machine's order, then 16 */

static unsigned char *
record_put(unsigned char *p, int64_t number)
{
	uint32_t v = number < 0 ? 0 : number > GREYLIST_TIME_MAX ? UINT32_MAX : (uint32_t) number;

	memcpy(p, &v, sizeof v);
	return p + sizeof v;
}

static const unsigned char *
record_get(const unsigned char *p, int64_t *number_r)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	*number_r = v;
	return p + sizeof v;
}

static unsigned
record_room(char kind)
{
	return kind == 'D' ? GREYLIST_DOMAIN_MAX : GREYLIST_CLIENT_MAX;
}

size_t
greylist_record_encode(const struct greylist_record *r, unsigned char value_r[GREYLIST_VALUE_MAX])
{
	unsigned char *p = value_r;
	uint16_t tries = r->tries > UINT16_MAX ? UINT16_MAX : (uint16_t) r->tries;

	*p++ = (unsigned char) r->kind;
	if (r->kind == 'X') {
		memcpy(p, r->secret, sizeof r->secret);
		return (size_t) (p - value_r) + sizeof r->secret;
	}
	p = record_put(p, r->last_s);
	if (r->kind != 'N')
		p = record_put(p, r->stored_s);
	if (r->kind == 'T' || r->kind == 'S')
		p = record_put(p, r->first_s);
	if (r->kind == 'T')
		p = record_put(p, r->passed_s);
	if (r->kind == 'T' || r->kind == 'N') {
		memcpy(p, &tries, sizeof tries);
		p += sizeof tries;
	}
	if (r->kind == 'D' || r->kind == 'C')
		for (unsigned i = 0; i < r->members; i++)
			p = record_put(p, r->member[i]);
	return (size_t) (p - value_r);
}

bool
greylist_record_decode(struct greylist_record *r, const void *value, size_t len)
{
	const unsigned char *p = value;
	uint16_t tries = 0;
	int64_t member;

	memset(r, 0, sizeof *r);
	if (len < 1)
		return false;
	switch (*p) {
	case 'T':
		if (len != 19)
			return false;
		break;
	case 'S':
		if (len != 13)
			return false;
		break;
	case 'D':
	case 'C':
		if (len < 9 || (len - 9) % 4 != 0 || (len - 9) / 4 > record_room((char) *p))
			return false;
		break;
	case 'N':
		if (len != 7)
			return false;
		break;
	case 'X':
		if (len != 17)
			return false;
		r->kind = 'X';
		memcpy(r->secret, p + 1, sizeof r->secret);
		return true;
	default:
		return false;
	}
	r->kind = (char) *p++;
	p = record_get(p, &r->last_s);
	if (r->kind != 'N')
		p = record_get(p, &r->stored_s);
	r->first_s = r->last_s;
	if (r->kind == 'T' || r->kind == 'S')
		p = record_get(p, &r->first_s);
	if (r->kind == 'T')
		p = record_get(p, &r->passed_s);
	if (r->kind == 'T' || r->kind == 'N') {
		memcpy(&tries, p, sizeof tries);
		r->tries = tries;
	}
	if (r->kind == 'D' || r->kind == 'C') {
		r->members = (unsigned) (len - 9) / 4;
		for (unsigned i = 0; i < r->members; i++) {
			p = record_get(p, &member);
			r->member[i] = (uint32_t) member;
		}
	}
	return true;
}

/* life */

bool
greylist_record_pending(const struct greylist_record *r, const struct greylist_rules *rules, int64_t now)
{
	return r->kind == 'T' && r->passed_s == 0 && now - r->first_s <= rules->window_s;
}

bool
greylist_record_alive(const struct greylist_record *r, const struct greylist_rules *rules, int64_t now)
{
	switch (r->kind) {
	case 'T':
		return r->passed_s == 0 ? now - r->first_s <= rules->window_s : now - r->last_s <= rules->expire_s;
	case 'S':
	case 'D':
	case 'C':
		return now - r->last_s <= rules->expire_s;
	case 'N':
		return now - r->last_s <= rules->window_s;
	}
	return r->kind == 'X';
}

int64_t
greylist_record_expiry(const struct greylist_record *r, const struct greylist_rules *rules)
{
	switch (r->kind) {
	case 'T':
		if (r->passed_s == 0)
			return r->first_s + rules->window_s;
		return rules->keep_passed ? r->last_s + rules->expire_s : r->passed_s;
	case 'N':
		return r->last_s + rules->window_s;
	case 'X':
		return 0;
	}
	return r->last_s + rules->expire_s;
}

bool
greylist_record_mend(struct greylist_record *r, const struct greylist_rules *rules, int64_t now)
{
	int64_t *times[] = { &r->first_s, &r->last_s, &r->passed_s, &r->stored_s };
	bool	mended = false;

	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		if (*times[i] > now + rules->skew_s) {
			*times[i] = now;
			mended = true;
		}
	return mended;
}

/* merging */

static int64_t
record_min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
record_max(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* record_member - into an ascending set; when that is full the smallest goes: of intervals the oldest */
static void
record_member(struct greylist_record *r, uint32_t m)
{
	unsigned i = 0, room = record_room(r->kind);

	while (i < r->members && r->member[i] < m)
		i++;
	if (i < r->members && r->member[i] == m)
		return;
	if (r->members < room)
		r->members++;
	else if (i-- == 0)
		return;
	else {
		memmove(r->member, r->member + 1, i * sizeof r->member[0]);
		r->member[i] = m;
		return;
	}
	memmove(r->member + i + 1, r->member + i, (r->members - 1 - i) * sizeof r->member[0]);
	r->member[i] = m;
}

void
greylist_record_merge(struct greylist_record *a, const struct greylist_record *b, const struct greylist_rules *rules)
{
	int64_t last, stored;
	bool	a_dead, b_dead;

	if (b->kind == 0 || (a->kind != 0 && a->kind != b->kind))
		return;
	if (a->kind == 0) {				/* and nothing else of it means anything */
		*a = *b;
		if (a->kind == 'D' || a->kind == 'C')
			a->first_s = a->last_s;
		return;
	}
	last = record_max(a->last_s, b->last_s);
	stored = record_max(a->stored_s, b->stored_s);
	a_dead = !greylist_record_alive(a, rules, last);
	b_dead = !greylist_record_alive(b, rules, last);
	if ((a_dead && !b_dead) || (a_dead && b->first_s > a->first_s))
		*a = *b;
	else if (!b_dead || (a_dead && b->first_s == a->first_s)) {
		a->first_s = record_min(a->first_s, b->first_s);
		a->passed_s = a->passed_s == 0 ? b->passed_s : b->passed_s == 0 ? a->passed_s :
		    record_min(a->passed_s, b->passed_s);
		a->tries = a->tries > b->tries ? a->tries : b->tries;
		for (unsigned i = 0; i < b->members; i++)
			record_member(a, b->member[i]);
	}
	a->last_s = last;
	a->stored_s = stored;
	if (a->kind == 'D' || a->kind == 'C')
		a->first_s = last;
}

bool
greylist_record_covers(const struct greylist_record *a, const struct greylist_record *b, const struct greylist_rules *rules)
{
	struct greylist_record u = *a;
	bool	set = a->kind == 'D' || a->kind == 'C';

	greylist_record_merge(&u, b, rules);
	if (a->kind != u.kind || (!set && a->first_s != u.first_s) || a->passed_s != u.passed_s)
		return false;
	/* which members a full set has does not matter any more; and who adds to it may keep others than we would */
	return (set && a->members == record_room(a->kind) && greylist_record_alive(a, rules, u.last_s)) ||
	    (a->members == u.members && memcmp(a->member, u.member, sizeof u.member) == 0);
}

bool
greylist_record_full(const struct greylist_record *r, const struct greylist_rules *rules)
{
	unsigned n = r->kind == 'D' ? rules->domain_count : rules->client_count;

	return n > 0 && r->members >= n;
}

/* changes */

void
greylist_record_begin(struct greylist_record *r, const struct greylist_rules *rules, int64_t now)
{
	int64_t stored = r->stored_s;

	(void) rules;
	memset(r, 0, sizeof *r);
	r->kind = 'T';
	r->first_s = r->last_s = now;
	r->stored_s = stored;
	r->tries = 1;
}

void
greylist_record_again(struct greylist_record *r, int64_t now)
{
	r->last_s = record_max(r->last_s, now);
	r->tries++;
}

void
greylist_record_pass(struct greylist_record *r, int64_t now)
{
	greylist_record_again(r, now);
	r->passed_s = now;
}

/* record_fresh - what is dead begins anew */
static void
record_fresh(struct greylist_record *r, char kind, const struct greylist_rules *rules, int64_t now)
{
	if (r->kind != kind || !greylist_record_alive(r, rules, now)) {
		memset(r, 0, sizeof *r);
		r->kind = kind;
		r->first_s = now;
	}
	r->last_s = record_max(r->last_s, now);
}

void
greylist_record_know(struct greylist_record *r, const struct greylist_rules *rules, int64_t now)
{
	record_fresh(r, 'S', rules, now);
}

void
greylist_record_add(struct greylist_record *r, char kind, uint32_t member, const struct greylist_rules *rules, int64_t now)
{
	record_fresh(r, kind, rules, now);
	r->first_s = r->last_s;
	record_member(r, member);
}

/* the decision */

enum greylist_reason
greylist_judge(const struct greylist_known *k, const struct greylist_rules *rules, bool exclude, int64_t now, int64_t *left_r,
    int64_t *delay_r)
{
	const struct greylist_record *t = &k->t;
	int64_t age;

	*left_r = *delay_r = 0;
	if (!exclude && k->c.kind == 'C' && greylist_record_full(&k->c, rules) && greylist_record_alive(&k->c, rules, now))
		return GREYLIST_KNOWN_CLIENT;
	if (!exclude && k->d.kind == 'D' && greylist_record_full(&k->d, rules) && greylist_record_alive(&k->d, rules, now))
		return GREYLIST_KNOWN_DOMAIN;
	if (!exclude && !rules->by_triplet && k->s.kind == 'S' && greylist_record_alive(&k->s, rules, now))
		return GREYLIST_KNOWN_SENDER;
	if (t->kind != 'T')
		return GREYLIST_NEW;
	/* of use where senders do not become known; elsewhere it stands for a sender that was forgotten alone */
	if (t->passed_s != 0)
		return greylist_record_alive(t, rules, now) ? GREYLIST_KNOWN_TRIPLET : GREYLIST_NEW;
	age = record_max(now - t->first_s, 0);		/* another host's clock may be a little ahead */
	if (age < rules->delay_s) {
		*left_r = rules->delay_s - age;
		return GREYLIST_EARLY;
	}
	if (age > rules->window_s)
		return GREYLIST_LATE;
	*delay_r = age;
	return GREYLIST_RETRY;
}
