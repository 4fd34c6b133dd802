/* util/utf8.c - UTF-8 as RFC 3629 has it (section 4, the UTF8-octets grammar) */
#include "utf8.h"

#include <stdint.h>
#include <string.h>

size_t
utf8_seq(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *) s;
	unsigned char lo = 0x80, hi = 0xbf;		/* range of the second byte */
	size_t	len;

	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	switch (p[0]) {
	case 0xe0: lo = 0xa0; break;			/* over-long */
	case 0xed: hi = 0x9f; break;			/* surrogates */
	case 0xf0: lo = 0x90; break;			/* over-long */
	case 0xf4: hi = 0x8f; break;			/* above U+10FFFF */
	}
	if (n < len || p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return len;
}

/* utf8_ascii - whole groups of eight bytes of ASCII at the beginning: most text is that; their bytes */
static size_t
utf8_ascii(const char *s, size_t n)
{
	uint64_t eight;
	size_t	i = 0;

	for (; n - i >= sizeof eight; i += sizeof eight) {
		memcpy(&eight, s + i, sizeof eight);
		if ((eight & 0x8080808080808080) != 0)
			break;
	}
	return i;
}

bool
utf8_is_ascii(const char *s, size_t n)
{
	for (size_t i = utf8_ascii(s, n); i < n; i++)
		if ((unsigned char) s[i] >= 0x80)
			return false;
	return true;
}

bool
utf8_valid(const char *s, size_t n)
{
	size_t	len;

	for (size_t i = utf8_ascii(s, n); i < n; i += len)
		if ((len = utf8_seq(s + i, n - i)) == 0)
			return false;
	return true;
}

void
utf8_sanitise(char *s, size_t n, bool allow_utf8)
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t eight;
	size_t	i = 0, len;

	for (; n - i >= sizeof eight; i += sizeof eight) {	/* as a rule all of it is printable ASCII: eight bytes at a time */
		memcpy(&eight, s + i, sizeof eight);
		/* 80..ff, 00..1f (borrows), 7f (carries); once one byte is found, what its neighbours say does not matter */
		if (((eight | (eight - ones * 0x20) | (eight + ones)) & ones * 0x80) != 0)
			break;
	}
	for (; i < n; i += len) {
		unsigned char c = (unsigned char) s[i];

		len = 1;
		if (c >= 0x20 && c <= 0x7e)
			continue;
		if (c >= 0x80 && allow_utf8 && (len = utf8_seq(s + i, n - i)) > 0)
			continue;
		s[i] = '?';
		len = 1;
	}
}

size_t
utf8_cut(const char *s, size_t n, size_t max)
{
	size_t	cut = max;

	if (n <= max)
		return n;
	/* back to the start of the sequence that crosses the cut, at most three bytes */
	while (cut > 0 && max - cut < 3 && ((unsigned char) s[cut] & 0xc0) == 0x80)
		cut--;
	return utf8_seq(s + cut, n - cut) > max - cut ? cut : max;
}
