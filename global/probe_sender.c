/* global/probe_sender.c - the envelope sender of probes */
#include "probe_sender.h"

#include <string.h>
#include <strings.h>

/* base 31: digits and upper-case consonants, so that no word can come out */
static const char probe_sender_digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZ";
#define PROBE_SENDER_BASE	(sizeof probe_sender_digits - 1)

static bool
probe_sender_null(const char *value)
{
	return *value == 0 || strcmp(value, "<>") == 0;
}

const char *
probe_sender_check(const char *value)
{
	const char *at;

	if (probe_sender_null(value) || (at = strchr(value, '@')) == NULL)
		return NULL;
	if (at == value)
		return "must not start with '@'";
	if (at[1] == 0)
		return "must not end with '@'";
	return NULL;
}

void
probe_sender_slot(struct buf *out, uint64_t slot)
{
	char	text[16];				/* 2^64 has 13 digits in base 31 */
	size_t	i = sizeof text;

	for (; slot > 0; slot /= PROBE_SENDER_BASE)
		text[--i] = probe_sender_digits[slot % PROBE_SENDER_BASE];
	buf_add(out, text + i, sizeof text - i);
}

static uint64_t
probe_sender_now(int64_t ttl_ms, int64_t wall_s)
{
	int64_t ttl_s = ttl_ms < 1000 ? 1 : ttl_ms / 1000;

	return wall_s > 0 ? (uint64_t) (wall_s / ttl_s) : 0;
}

void
probe_sender_make(struct buf *out, const char *value, int64_t ttl_ms, const char *myorigin, int64_t wall_s)
{
	size_t	local = strcspn(value, "@");

	if (probe_sender_null(value))
		return;
	buf_add(out, value, local);
	if (ttl_ms > 0)
		probe_sender_slot(out, probe_sender_now(ttl_ms, wall_s));
	if (value[local] != 0)
		buf_adds(out, value + local);
	else
		buf_addf(out, "@%s", myorigin);
}

/* probe_sender_decode - n base-31 digits (none: 0); false when another byte is among them, or above 64 bits */
static bool
probe_sender_decode(const char *s, size_t n, uint64_t *slot_r)
{
	const char *d;
	uint64_t v = 0, digit;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == 0 || (d = strchr(probe_sender_digits, s[i])) == NULL)
			return false;
		digit = (uint64_t) (d - probe_sender_digits);
		if (v > (UINT64_MAX - digit) / PROBE_SENDER_BASE)
			return false;
		v = v * PROBE_SENDER_BASE + digit;
	}
	*slot_r = v;
	return true;
}

bool
probe_sender_match(const char *addr, const char *value, int64_t ttl_ms, const char *myorigin, int64_t wall_s)
{
	size_t	local = strcspn(value, "@");
	const char *domain = value[local] != 0 ? value + local + 1 : myorigin;
	const char *at;
	uint64_t slot, now;

	if (probe_sender_null(value))
		return *addr == 0;
	if (strncasecmp(addr, value, local) != 0 || (at = strchr(addr + local, '@')) == NULL ||
	    strcasecmp(at + 1, domain) != 0)
		return false;
	if (ttl_ms <= 0)
		return at == addr + local;
	now = probe_sender_now(ttl_ms, wall_s);
	return probe_sender_decode(addr + local, (size_t) (at - addr) - local, &slot) &&
	    (slot == now || slot == now + 1 || (now > 0 && slot == now - 1));
}
