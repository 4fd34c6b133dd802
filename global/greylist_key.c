/* global/greylist_key.c - what identifies a client; identifiers of records. Senders and recipients: greylist_sender.c */
#include "greylist_key.h"

#include <ctype.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include <util/ascii.h>
#include <util/mem.h>
#include <util/siphash.h>

#define KEY_NAME_MAX	255

void
greylist_key_conf_init(struct greylist_key_conf *c, const struct params *p)
{
	c->client = strcmp(p->greylist_client_key, "net") == 0 ? GREYLIST_BY_NET :
	    strcmp(p->greylist_client_key, "address") == 0 ? GREYLIST_BY_ADDRESS : GREYLIST_BY_POOL;
	c->sender = strcmp(p->greylist_sender_key, "domain") == 0 ? GREYLIST_BY_DOMAIN :
	    strcmp(p->greylist_sender_key, "address") == 0 ? GREYLIST_BY_SENDER : GREYLIST_BY_NORMAL;
	c->ipv4_bits = (unsigned) p->greylist_ipv4_prefix_length;
	c->ipv6_bits = (unsigned) p->greylist_ipv6_prefix_length;
	c->sender_delimiter = p->greylist_sender_delimiter;
	c->recipient_delimiter = p->greylist_recipient_delimiter;
}

/* names that spell their address belong to one machine, of a dial-up pool as a rule */

static bool
key_spells_decimal(const char *name, const struct client_addr *a)
{
	unsigned last[3] = { 999, 999, 999 }, n;
	const unsigned char *b = a->bytes;

	for (const char *p = name; *p != 0;) {
		if (!isdigit((unsigned char) *p)) {
			p++;
			continue;
		}
		for (n = 0; isdigit((unsigned char) *p); p++)
			n = n > 255 ? n : 10 * n + (unsigned) (*p - '0');
		last[0] = last[1];
		last[1] = last[2];
		last[2] = n;
		for (int i = 0; i < 2; i++)
			if (last[1] == b[i + 1] && ((last[0] == b[i] && last[2] == b[i + 2]) ||
			    (last[0] == b[i + 2] && last[2] == b[i])))
				return true;
	}
	return false;
}

static bool
key_spells_hex(const char *name, const struct client_addr *a)
{
	const unsigned char *b = a->bytes;
	char	squeezed[KEY_NAME_MAX + 1], hex[17];
	size_t	n = 0;

	if (a->bits == 32) {
		snprintf(hex, sizeof hex, "%02x%02x%02x%02x", b[0], b[1], b[2], b[3]);
		if (strstr(name, hex) != NULL)
			return true;
		snprintf(hex, sizeof hex, "%02x%02x%02x%02x", b[3], b[2], b[1], b[0]);
		return strstr(name, hex) != NULL;
	}
	for (; *name != 0; name++)
		if (*name != '.' && *name != '-')
			squeezed[n++] = *name;
	squeezed[n] = 0;
	for (int half = 0; half < 2; half++) {
		for (int i = 0; i < 8; i++)
			snprintf(hex + 2 * i, 3, "%02x", b[8 * half + i]);
		if (strstr(squeezed, hex) != NULL)
			return true;
	}
	return false;
}

/* key_word - whether a token is a word for machines of many small customers */
static bool
key_word(const char *token, size_t n)
{
	static const char *const words[] = { "dyn", "dynamic", "dhcp", "dsl", "adsl", "vdsl", "xdsl", "ppp", "pppoe", "pool", "dial",
		"dialup", "dialin", "cable", "catv", "cust", "customer", "client", "user", "home", "res", "residential", "broadband",
		"dip", "ip", "host", "static", "vps", "ec2", "compute", "cloud" };
	char	plain[16];
	size_t	m = 0;

	for (size_t i = 0; i < n; i++)
		if (!isdigit((unsigned char) token[i])) {
			if (m == sizeof plain - 1)
				return false;
			plain[m++] = token[i];
		}
	plain[m] = 0;
	for (size_t i = 0; i < NELEM(words); i++)
		if (strcmp(plain, words[i]) == 0 || (strlen(words[i]) == n && memcmp(token, words[i], n) == 0))
			return true;
	return false;
}

/* key_dynamic - whether a label in front of `end` has such a word */
static bool
key_dynamic(const char *name, const char *end)
{
	size_t	n;

	for (const char *p = name; p < end; p += n + 1) {
		for (n = 0; p + n < end && isalnum((unsigned char) p[n]); n++)
			;
		if (n > 0 && key_word(p, n))
			return true;
	}
	return false;
}

/* key_registry - co.uk and the like, of which nobody is the owner */
static bool
key_registry(const char *name)
{
	static const char *const seconds[] = { "co", "com", "net", "org", "gov", "edu", "ac", "or", "ne", "go", "gob", "mil",
		"nom", "ltd", "plc", "sch", "asso" };
	const char *dot = strchr(name, '.');

	if (dot == NULL || strlen(dot + 1) != 2 || !isalpha((unsigned char) dot[1]) || !isalpha((unsigned char) dot[2]))
		return false;
	for (size_t i = 0; i < NELEM(seconds); i++)
		if (strlen(seconds[i]) == (size_t) (dot - name) && memcmp(name, seconds[i], (size_t) (dot - name)) == 0)
			return true;
	return false;
}

void
greylist_pool_name(const char *client_name, const struct client_addr *a, struct buf *out)
{
	char	name[KEY_NAME_MAX + 1], *dots[2] = { NULL, NULL };
	size_t	n = client_name != NULL ? strlen(client_name) : 0;

	if (n > 0 && client_name[n - 1] == '.')
		n--;
	if (n == 0 || n > KEY_NAME_MAX || client_name[0] == '.')
		return;
	memcpy(name, client_name, n);
	ascii_lower(name, n);
	for (size_t i = 0; i < n; i++) {
		if (name[i] == '.') {
			if (i > 0 && name[i - 1] == '.')
				return;
			dots[0] = dots[1];
			dots[1] = &name[i];
		}
	}
	name[n] = 0;
	if (dots[1] == NULL)				/* one label; "unknown" is one */
		return;
	if ((a->bits == 32 && key_spells_decimal(name, a)) || key_spells_hex(name, a) ||
	    (dots[0] != NULL && key_dynamic(name, dots[0])))
		return;
	if (dots[0] != NULL && !key_registry(strchr(name, '.') + 1))
		buf_adds(out, strchr(name, '.') + 1);
	else
		buf_adds(out, name);
}

void
greylist_net(const struct greylist_key_conf *c, const struct client_addr *a, struct buf *out)
{
	struct client_addr net = *a;
	unsigned keep = a->bits == 32 ? c->ipv4_bits : c->ipv6_bits;

	client_addr_mask(&net, keep);
	client_addr_print(&net, keep, out);
}

void
greylist_client(const struct greylist_key_conf *c, const struct client_addr *a, const char *client_name, const char *net,
    struct buf *out)
{
	size_t	before = out->len;

	if (c->client == GREYLIST_BY_ADDRESS) {
		client_addr_print(a, a->bits, out);
		return;
	}
	if (c->client == GREYLIST_BY_POOL)
		greylist_pool_name(client_name, a, out);
	if (out->len == before)
		buf_adds(out, net);
}

/* identifiers */

struct greylist_hash {
	struct siphash_key key;		/* the secret */
	struct buf text;
};

struct greylist_hash *
greylist_hash_new(const unsigned char secret[GREYLIST_SECRET_LEN])
{
	struct greylist_hash *h = mem_alloc(sizeof *h);
	uint64_t half[2];

	_Static_assert(sizeof half == GREYLIST_SECRET_LEN, "the secret is a key of SipHash");
	memcpy(half, secret, sizeof half);
	h->key = (struct siphash_key) { le64toh(half[0]), le64toh(half[1]) };
	buf_init(&h->text, 4 * GREYLIST_ADDR_MAX);
	return h;
}

void
greylist_hash_free(struct greylist_hash **hp)
{
	if (*hp == NULL)
		return;
	buf_fini(&(*hp)->text);
	mem_free(hp);
}

static void
key_sum(struct greylist_hash *h, unsigned char sum[16])
{
	siphash_128(&h->key, h->text.data, h->text.len, sum);
}

void
greylist_hash_hex(struct greylist_hash *h, const char *text, char hex_r[17])
{
	unsigned char sum[16];

	buf_reset(&h->text);
	buf_adds(&h->text, text);
	key_sum(h, sum);
	for (int i = 0; i < 8; i++)
		snprintf(hex_r + 2 * i, 3, "%02x", sum[i]);
}

/* key_digits - n digits of base64 for names, of six bits each, from the top of bits; returns the end */
static char *
key_digits(char *o, uint64_t bits, unsigned n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (; n > 0; n--, bits <<= 6)
		*o++ = digits[bits >> 58];
	return o;
}

void
greylist_id(struct greylist_hash *h, char kind, const char *client, const char *sender, const char *recipient,
    char id_r[GREYLIST_ID_LEN + 1])
{
	const char *parts[] = { client, sender, recipient };
	unsigned char sum[16];
	uint64_t half[2];
	uint32_t len;
	char   *o = id_r;

	buf_reset(&h->text);
	buf_addc(&h->text, kind);
	for (size_t i = 0; i < NELEM(parts) && parts[i] != NULL; i++) {
		len = (uint32_t) strlen(parts[i]);
		buf_add(&h->text, &len, sizeof len);
		buf_add(&h->text, parts[i], len);
	}
	key_sum(h, sum);
	memcpy(half, sum, sizeof half);
	half[0] = be64toh(half[0]);
	half[1] = be64toh(half[1]);
	*o++ = kind;
	o = key_digits(o, half[0], 10);
	o = key_digits(o, half[0] << 60 | half[1] >> 4, 10);
	o = key_digits(o, half[1] << 56, 2);
	*o = 0;
}
