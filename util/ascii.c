/* util/ascii.c - letters A to Z, whatever the locale */
#include "ascii.h"

#include <stdint.h>
#include <string.h>

void
ascii_lower(char *s, size_t n)
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t eight, low, upper;

	for (; n >= sizeof eight; s += sizeof eight, n -= sizeof eight) {	/* keys are made of every address that is asked about */
		memcpy(&eight, s, sizeof eight);
		low = eight & ones * 0x7f;
		/* the highest bit of a byte: it is 'A' or more, and not more than 'Z', and ASCII */
		upper = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ~eight & ones * 0x80;
		eight |= upper >> 2;
		memcpy(s, &eight, sizeof eight);
	}
	for (; n > 0; s++, n--)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char) (*s | 0x20);
}
