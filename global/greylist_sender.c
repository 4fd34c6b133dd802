/* global/greylist_sender.c - keys of senders and recipients: an address without what changes from message to message */
#include "greylist_key.h"

#include <string.h>

#include <util/ascii.h>
#include <util/mem.h>

#define SENDER_VERP_MAX	320		/* RFC 5321 section 4.5.3.1: local part and domain */

/* what a byte is; in lower case. Bytes of other alphabets are letters */
enum { SENDER_DIGIT = 1, SENDER_HEX = 2, SENDER_ALNUM = 4 };
static const unsigned char sender_class[256] = {
	['0' ... '9'] = SENDER_DIGIT | SENDER_HEX | SENDER_ALNUM,
	['a' ... 'f'] = SENDER_HEX | SENDER_ALNUM,
	['g' ... 'z'] = SENDER_ALNUM,
	[0x80 ... 0xff] = SENDER_ALNUM,
};

static bool
sender_digit(char c)
{
	return (sender_class[(unsigned char) c] & SENDER_DIGIT) != 0;
}

static bool
sender_alnum(char c)
{
	return (sender_class[(unsigned char) c] & SENDER_ALNUM) != 0;
}

static bool
sender_hex(char c)
{
	return (sender_class[(unsigned char) c] & SENDER_HEX) != 0;
}

/* sender_lower - append in lower case */
static void
sender_lower(struct buf *out, const char *s, size_t n)
{
	size_t	at = out->len;

	if (n > 0 && buf_add(out, s, n) == 0)
		ascii_lower(out->data + at, n);
}

/* wrappers: other people's schemes to mark or rewrite a sender. Each looks at [p, end), NUL-terminated at the end, and
 * returns where the sender within begins, or NULL */

/* sender_field - step over "text=" with at least one character; NULL when it is not there */
static const char *
sender_field(const char *p)
{
	const char *eq = p != NULL ? strchr(p, '=') : NULL;

	return eq != NULL && eq > p ? eq + 1 : NULL;
}

/* sender_srs - host_r: the host that the sender was at, not terminated */
static const char *
sender_srs(const char *p, const char **host_r, size_t *host_len_r)
{
	bool	twice;

	if (strncmp(p, "srs", 3) != 0 || (p[3] != '0' && p[3] != '1') || p[4] == 0 || strchr("-+=", p[4]) == NULL)
		return NULL;
	twice = p[3] == '1';
	p = sender_field(p + 5);			/* hash */
	if (twice && (p = sender_field(p)) != NULL) {	/* the first forwarder, then the rest of its own */
		if (*p == 0 || strchr("-+=", *p) == NULL)
			return NULL;
		p = sender_field(p + 1);
	}
	p = sender_field(p);				/* time stamp */
	*host_r = p;
	if ((p = sender_field(p)) == NULL || *p == 0)
		return NULL;
	*host_len_r = (size_t) (p - 1 - *host_r);
	return p;
}

/* sender_tag - ten letters or digits, at least one of them a digit */
static bool
sender_tag(const char *p, size_t n)
{
	bool	digit = false;

	for (size_t i = 0; i < n; i++) {
		if (!sender_alnum(p[i]) || (unsigned char) p[i] >= 0x80)
			return false;
		digit = digit || sender_digit(p[i]);
	}
	return n == 10 && digit;
}

/* sender_batv - *end_r may move, too */
static const char *
sender_batv(const char *p, const char **end_r)
{
	const char *q, *last;

	if (strncmp(p, "prvs=", 5) == 0) {
		p += 5;
		if ((q = strchr(p, '=')) == NULL)
			return NULL;
		if (sender_tag(p, (size_t) (q - p)) && q[1] != 0)
			return q + 1;
		last = strrchr(p, '=');
		if (last > p && sender_tag(last + 1, (size_t) (*end_r - last - 1))) {
			*end_r = last;
			return p;
		}
		return NULL;
	}
	if (strncmp(p, "btv1==", 6) == 0)
		return (q = strstr(p + 6, "==")) != NULL && q > p + 6 && q[2] != 0 ? q + 2 : NULL;
	if (strncmp(p, "msprvs1=", 8) == 0)
		return (q = sender_field(p + 8)) != NULL && *q != 0 ? q : NULL;
	return NULL;
}

/* tokens */

/* sender_uuid - whether a UUID stands at p: 8-4-4-4-12 hexadecimal digits and no alphanumeric behind them */
static bool
sender_uuid(const char *p, const char *end)
{
	if (end - p < 36 || (end - p > 36 && sender_alnum(p[36])))
		return false;
	for (int i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? p[i] != '-' : !sender_hex(p[i]))
			return false;
	return true;
}

/* sender_volatile - whether a token looks like a number, a time or a hash */
static bool
sender_volatile(const char *p, size_t n)
{
	size_t	digits = 0, hex = 0;

	for (size_t i = 0; i < n; i++) {
		digits += sender_digit(p[i]);
		hex += sender_hex(p[i]);
	}
	return digits == n || digits >= 5 || (n >= 6 && hex == n && digits >= 2) || (n >= 12 && digits > 0) || n >= 20;
}

/* sender_token - the length of the token at p */
static size_t
sender_token(const char *p, const char *end)
{
	size_t	n = 0;

	while (p + n < end && sender_alnum(p[n]))
		n++;
	return n;
}

/* sender_run - whether the tokens from p on are those of rcpt (in lower case); the end of the run, or NULL */
static const char *
sender_run(const char *p, const char *end, const char *rcpt, const char *rcpt_end)
{
	size_t	n, m;

	for (;;) {
		while (rcpt < rcpt_end && !sender_alnum(*rcpt))
			rcpt++;
		if (rcpt == rcpt_end)
			return p;
		while (p < end && !sender_alnum(*p))
			p++;
		n = sender_token(p, end);
		m = sender_token(rcpt, rcpt_end);
		if (n != m || memcmp(p, rcpt, n) != 0)
			return NULL;
		p += n;
		rcpt += n;
	}
}

/* sender_tokens - append [p, end) with what is volatile as '#'; rcpt "" for none */
static void
sender_tokens(struct buf *out, const char *p, const char *end, const char *rcpt)
{
	const char *rcpt_end = rcpt + strlen(rcpt), *run;
	bool	begins = true;			/* p is not behind an alphanumeric character */
	size_t	n, hash = SIZE_MAX;		/* where the last '#' was put; nothing but separators since */

	while (p < end) {
		if (!sender_alnum(*p)) {
			buf_addc(out, *p++);
			begins = true;
			continue;
		}
		n = sender_token(p, end);
		if (begins && sender_uuid(p, end))
			n = 36;
		else if (*rcpt != 0 && (run = sender_run(p, end, rcpt, rcpt_end)) != NULL && run > p) {
			n = (size_t) (run - p);
			rcpt = rcpt_end;
		} else if (!sender_volatile(p, n)) {
			buf_add(out, p, n);
			hash = SIZE_MAX;
			p += n;
			begins = false;
			continue;
		}
		if (hash != SIZE_MAX)
			buf_cut(out, hash);
		hash = out->len;
		buf_addc(out, '#');
		p += n;
		begins = false;
	}
}

/* sender_label - append one label of a domain: volatile tokens, then runs of digits, as '#' */
static void
sender_label(struct buf *out, const char *p, const char *end)
{
	size_t	n;

	while (p < end) {
		if ((n = sender_token(p, end)) == 0) {
			buf_addc(out, *p++);
			continue;
		}
		if (sender_volatile(p, n))
			buf_addc(out, '#');
		else
			for (size_t i = 0; i < n; i++) {
				if (!sender_digit(p[i]))
					buf_addc(out, p[i]);
				else if (i == 0 || !sender_digit(p[i - 1]))
					buf_addc(out, '#');
			}
		p += n;
	}
}

/* sender_domain - append a domain; trailing dots are cut already */
static void
sender_domain(struct buf *out, const char *p, const char *end)
{
	const char *tail = end, *dot;

	if (p < end && *p == '[') {
		buf_add(out, p, (size_t) (end - p));
		return;
	}
	for (int dots = 0; dots < 2 && tail != NULL; dots++)
		tail = memrchr(p, '.', (size_t) (tail - p));
	if (tail == NULL)
		tail = p;			/* two labels at most: they stay */
	while (p < tail) {
		dot = memchr(p, '.', (size_t) (end - p));
		sender_label(out, p, dot);
		buf_addc(out, '.');
		p = dot + 1;
	}
	buf_add(out, p, (size_t) (end - p));
}

static const char *
sender_undot(const char *p, const char *end)
{
	while (end > p && end[-1] == '.')
		end--;
	return end;
}

/* sender_cut - the length of a local part without its extension */
static size_t
sender_cut(const char *p, size_t n, const char *delimiter)
{
	const char *at;

	for (; n > 1 && *delimiter != 0; delimiter++)
		if ((at = memchr(p + 1, *delimiter, n - 1)) != NULL)
			n = (size_t) (at - p);
	return n;
}

void
greylist_sender(const struct greylist_key_conf *c, const char *sender, const char *recipient, struct buf *out)
{
	static struct buf text = BUF_INIT(GREYLIST_ADDR_MAX), rcpt = BUF_INIT(GREYLIST_ADDR_MAX); /* kept: no allocation */
	const char *local, *end, *domain = NULL, *domain_end = NULL, *inner, *inner_end, *host;
	size_t	len = strlen(sender), host_len;
	char   *at;

	if (len == 0 || strcmp(sender, "<>") == 0) {
		buf_adds(out, "<>");
		return;
	}
	buf_reset(&text);
	buf_reset(&rcpt);
	sender_lower(&text, sender, len);
	local = buf_str(&text);
	end = local + text.len;
	if (c->sender == GREYLIST_BY_SENDER || text.full) {
		buf_add(out, local, text.len);		/* an address beyond all limits: nothing, and all of those are one */
		return;
	}
	if ((at = memrchr(local, '@', text.len)) != NULL) {
		*at = 0;
		domain = at + 1;
		domain_end = sender_undot(domain, end);
		end = at;
	}
	if (c->sender == GREYLIST_BY_DOMAIN && domain != NULL && domain < domain_end) {
		sender_domain(out, domain, domain_end);
		return;
	}
	if ((inner = sender_srs(local, &host, &host_len)) != NULL) {
		buf_add(out, local, 4);
		buf_addc(out, '=');
		buf_add(out, host, host_len);
		buf_addc(out, '=');
		local = inner;
	}
	inner_end = end;
	if ((inner = sender_batv(local, &inner_end)) != NULL) {
		local = inner;
		end = inner_end;
	}
	end = local + sender_cut(local, (size_t) (end - local), c->sender_delimiter);
	/* VERP of a recipient longer than any address: work for two at the cost of one, and nobody's */
	if (strchr(recipient, '@') != NULL && strlen(recipient) <= SENDER_VERP_MAX)
		sender_lower(&rcpt, recipient, strlen(recipient));
	sender_tokens(out, local, end, buf_str(&rcpt));
	if (domain != NULL) {
		buf_addc(out, '@');
		sender_domain(out, domain, domain_end);
	}
}

void
greylist_recipient(const struct greylist_key_conf *c, const char *recipient, struct buf *out)
{
	size_t	n = strlen(recipient);
	const char *at = memrchr(recipient, '@', n), *end = recipient + n;
	size_t	local = at != NULL ? (size_t) (at - recipient) : n;

	sender_lower(out, recipient, sender_cut(recipient, local, c->recipient_delimiter));
	if (at != NULL)
		sender_lower(out, at, (size_t) (sender_undot(at, end) - at));
}

const char *
greylist_sender_domain(const struct greylist_key_conf *c, const char *key)
{
	const char *at = strrchr(key, '@');

	if (at == NULL)
		return c->sender == GREYLIST_BY_DOMAIN && strcmp(key, "<>") != 0 ? key : "";
	return at + 1;
}
