/* global/client_addr.c - the address of an SMTP client, as bytes */
#include "client_addr.h"

#include <arpa/inet.h>
#include <string.h>

bool
client_addr_parse(struct client_addr *a, const char *text)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	char	plain[INET6_ADDRSTRLEN + 1];
	size_t	n = strcspn(text, "%");

	memset(a, 0, sizeof *a);
	if (n >= sizeof plain)
		return false;
	memcpy(plain, text, n);
	plain[n] = 0;
	if (inet_pton(AF_INET, plain, a->bytes) == 1)
		a->bits = 32;
	else if (inet_pton(AF_INET6, plain, a->bytes) == 1)
		a->bits = 128;
	if (a->bits == 128 && memcmp(a->bytes, mapped, sizeof mapped) == 0) {
		memmove(a->bytes, a->bytes + 12, 4);
		memset(a->bytes + 4, 0, 12);
		a->bits = 32;
	}
	return a->bits != 0;
}

void
client_addr_mask(struct client_addr *a, unsigned keep)
{
	size_t	whole = keep / 8;

	if (whole >= sizeof a->bytes)
		return;
	a->bytes[whole] &= (unsigned char) ~(0xff >> keep % 8);
	memset(a->bytes + whole + 1, 0, sizeof a->bytes - whole - 1);
}

/* addr_digits - 0 to 255, without printf, which would take most of the time; returns the end */
static char *
addr_digits(char *p, unsigned n)
{
	if (n >= 100)
		*p++ = (char) ('0' + n / 100);
	if (n >= 10)
		*p++ = (char) ('0' + n / 10 % 10);
	*p++ = (char) ('0' + n % 10);
	return p;
}

void
client_addr_print(const struct client_addr *a, unsigned keep, struct buf *out)
{
	char	text[INET6_ADDRSTRLEN + 4], *p = text;

	if (a->bits == 32)
		for (int i = 0; i < 4; i++) {
			if (i > 0)
				*p++ = '.';
			p = addr_digits(p, a->bytes[i]);
		}
	else if (a->bits != 0 && inet_ntop(AF_INET6, a->bytes, text, INET6_ADDRSTRLEN) != NULL)
		p += strlen(p);
	else
		return;
	if (keep < a->bits) {
		*p++ = '/';
		p = addr_digits(p, keep);
	}
	buf_add(out, text, (size_t) (p - text));
}

bool
client_addr_in(const struct client_addr *a, const struct client_addr *net, unsigned keep)
{
	size_t	whole = keep / 8;

	if (a->bits != net->bits)
		return false;
	if (whole >= sizeof a->bytes)
		return memcmp(a->bytes, net->bytes, sizeof a->bytes) == 0;
	return memcmp(a->bytes, net->bytes, whole) == 0 && ((a->bytes[whole] ^ net->bytes[whole]) & ~(0xff >> keep % 8) & 0xff) == 0;
}
