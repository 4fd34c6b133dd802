/* global/smtp_path.c - the address in MAIL FROM and RCPT TO */
#include "smtp_path.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include <util/utf8.h>

#define LABEL_MAX	63		/* RFC 1035 section 2.3.4 */

/* one reading of a path */
struct path_in {
	const char *p, *end;
	unsigned flags;
	const char *why;
	struct smtp_path *out;
};

size_t
smtp_path_span(const char *text, size_t n)
{
	bool	quoted = false, bracket = n > 0 && *text == '<';

	for (size_t i = 0; i < n; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && bracket && text[i] == '>')
			return i + 1;
		else if (!quoted && !bracket && (text[i] == ' ' || text[i] == '\t'))
			return i;
	}
	return n;
}

static bool
path_alnum(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
path_atext(int c)
{
	return path_alnum(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
path_bad(struct path_in *in, const char *why)
{
	if (in->why == NULL)
		in->why = why;
	return false;
}

/* path_utf8 - length of the UTF-8 sequence here, 0 when that is none, or not acceptable */
static size_t
path_utf8(struct path_in *in)
{
	size_t	n = (unsigned char) *in->p >= 0x80 ? utf8_seq(in->p, (size_t) (in->end - in->p)) : 0;

	if (n == 0 || !(in->flags & SMTP_PATH_UTF8))
		return 0;
	in->out->utf8 = true;
	return n;
}

static bool
path_put(struct path_in *in, char *field, size_t *len, size_t max, size_t n)
{
	if (n > max - *len)
		return path_bad(in, "address too long");
	memcpy(field + *len, in->p, n);
	*len += n;
	field[*len] = 0;
	in->p += n;
	return true;
}

static bool
path_quoted(struct path_in *in)
{
	size_t	len = 0, n;

	for (in->p++; in->p < in->end && *in->p != '"'; ) {
		if (*in->p == '\\')
			in->p++;
		if (in->p == in->end)
			break;
		n = *in->p >= ' ' && *in->p < 127 ? 1 : path_utf8(in);
		if (n == 0)
			return path_bad(in, "bad character in the local part");
		if (!path_put(in, in->out->user, &len, SMTP_USER_MAX, n))
			return false;
	}
	if (in->p == in->end)
		return path_bad(in, "quote is not closed");
	in->p++;
	return len > 0 || path_bad(in, "empty local part");
}

/* path_local - atoms with single dots between them */
static bool
path_local(struct path_in *in)
{
	size_t	len = 0, n;
	bool	dot = true;		/* a dot may not come now */

	if (in->p < in->end && *in->p == '"')
		return path_quoted(in);
	for (; in->p < in->end && *in->p != '@'; dot = *(in->p - 1) == '.') {
		n = path_atext((unsigned char) *in->p) || (*in->p == '.' && !dot) ? 1 : path_utf8(in);
		if (n == 0)
			return path_bad(in, *in->p == '.' ? "misplaced dot in the local part" : "bad character in the local part");
		if (!path_put(in, in->out->user, &len, SMTP_USER_MAX, n))
			return false;
	}
	if (len == 0)
		return path_bad(in, "empty local part");
	return !dot || path_bad(in, "misplaced dot in the local part");
}

static bool
path_literal(struct path_in *in, const char *text, size_t n)
{
	char	addr[INET6_ADDRSTRLEN];
	struct in6_addr any;
	int	family = AF_INET;

	if (n >= 5 && strncasecmp(text, "IPv6:", 5) == 0) {
		family = AF_INET6;
		text += 5;
		n -= 5;
	}
	if (n >= sizeof addr)
		return path_bad(in, "bad address literal");
	memcpy(addr, text, n);
	addr[n] = 0;
	return (strlen(addr) == n && inet_pton(family, addr, &any) == 1) || path_bad(in, "bad address literal");
}

/* path_domain - labels with single dots between them; underscores are not for host names, but in use */
static bool
path_domain(struct path_in *in)
{
	size_t	len = 0, label = 0, n;
	const char *close;

	if (in->p < in->end && *in->p == '[') {
		if ((close = memchr(in->p, ']', (size_t) (in->end - in->p))) == NULL)
			return path_bad(in, "bad address literal");
		return path_literal(in, in->p + 1, (size_t) (close - in->p - 1)) &&
		    path_put(in, in->out->host, &len, SMTP_HOST_MAX, (size_t) (close + 1 - in->p));
	}
	while (in->p < in->end && *in->p != ':' && *in->p != ',') {
		if (*in->p == '.') {
			if (label == 0 || *(in->p - 1) == '-')
				return path_bad(in, "bad domain");
			label = 0;
			n = 1;
		} else {
			n = path_alnum((unsigned char) *in->p) || *in->p == '_' || (*in->p == '-' && label > 0) ? 1 : path_utf8(in);
			if (n == 0 || (label += n) > LABEL_MAX)
				return path_bad(in, "bad domain");
		}
		if (!path_put(in, in->out->host, &len, SMTP_HOST_MAX, n))
			return false;
	}
	return (label > 0 && *(in->p - 1) != '-') || path_bad(in, "bad domain");
}

/* path_route - "@one,@two:" is read and forgotten */
static bool
path_route(struct path_in *in)
{
	while (in->p < in->end && *in->p == '@') {
		in->p++;
		if (!path_domain(in))
			return false;
		if (in->p < in->end && *in->p == ':') {
			in->p++;
			in->out->host[0] = 0;
			in->out->utf8 = false;
			return true;
		}
		if (in->p == in->end || *in->p++ != ',' || in->p == in->end || *in->p != '@')
			return path_bad(in, "bad source route");
	}
	return true;
}

static bool
path_address(struct path_in *in)
{
	if (in->p == in->end || (in->end - in->p == 4 && memcmp(in->p, "#@[]", 4) == 0))
		return (in->flags & SMTP_PATH_NULL) != 0 || path_bad(in, "empty address");
	if (!path_route(in) || !path_local(in))
		return false;
	if (in->p == in->end)
		return ((in->flags & SMTP_PATH_POSTMASTER) && strcasecmp(in->out->user, "postmaster") == 0) ||
		    path_bad(in, "domain missing");
	if (*in->p++ != '@')
		return path_bad(in, "bad character in the local part");
	return path_domain(in) && (in->p == in->end || path_bad(in, "bad domain"));
}

bool
smtp_path_parse(struct smtp_path *out, const char *text, size_t n, unsigned flags, const char **why_r)
{
	struct path_in in = { .p = text, .end = text + n, .flags = flags, .out = out };
	bool	ok = false;

	memset(out, 0, sizeof *out);
	if (n > SMTP_PATH_MAX)
		path_bad(&in, "address too long");
	else if (n >= 2 && text[0] == '<' && text[n - 1] == '>') {
		in.p++;
		in.end--;
		ok = path_address(&in);
	} else if (n == 0 || text[0] == '<' || !(flags & SMTP_PATH_BARE))
		path_bad(&in, "address must be in <brackets>");
	else
		ok = path_address(&in);
	if (!ok)
		*why_r = in.why;
	return ok;
}

void
smtp_path_show(struct buf *out, const char *user, const char *host)
{
	bool	plain = true, dot = true;

	if (*user == 0)
		return;
	for (const char *p = user; *p != 0; dot = *p++ == '.')
		if (!(path_atext((unsigned char) *p) || (unsigned char) *p >= 0x80 || (*p == '.' && !dot)))
			plain = false;
	if (plain && !dot)
		buf_adds(out, user);
	else {
		buf_addc(out, '"');
		for (const char *p = user; *p != 0; p++) {
			if (*p == '"' || *p == '\\')
				buf_addc(out, '\\');
			buf_addc(out, *p);
		}
		buf_addc(out, '"');
	}
	if (*host != 0)
		buf_addf(out, "@%s", host);
}
