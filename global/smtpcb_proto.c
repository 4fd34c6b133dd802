/* global/smtpcb_proto.c - the line protocol of qpsmtpd's smtp_callback plugin */
#include "smtpcb_proto.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <global/mx.h>
#include <util/mem.h>
#include <util/utf8.h>

#define SMTPCB_SERVER_MAX  80		/* with an address, about what the plugin's SMTP reply has room for */
#define SMTPCB_TEXTS_MAX   384		/* 512 bytes of an SMTP reply line less the plugin's own words */
#define SMTPCB_MSG_MIN	   64
#define SMTPCB_LABEL_MAX   63		/* RFC 1035 section 2.3.4 */
#define SMTPCB_DOMAIN_MAX  255
#define SMTPCB_TIME_DIGITS 15		/* far beyond any clock, far below overflow */

static const char *const smtpcb_names[SMTPCB_CODES] = {
	[SMTPCB_OK] = "OK", [SMTPCB_FAIL] = "FAIL", [SMTPCB_TEMPFAIL] = "TEMPFAIL",
};

const char *
smtpcb_code_name(enum smtpcb_code code)
{
	return smtpcb_names[code];
}

/* requests */

static bool
smtpcb_control(unsigned char c)
{
	return c < ' ' || c == 0x7f;
}

/* smtpcb_hostname - letters, digits, hyphens, and underscores, which are no reason to refuse; not all numbers. 8-bit bytes are
 * somebody's letters */
static bool
smtpcb_hostname(const char *s)
{
	size_t	label = 0;
	bool	name = false;

	if (strlen(s) > SMTPCB_DOMAIN_MAX)
		return false;
	for (const char *p = s; *p != 0; p++) {
		if (*p == '.') {
			if (label == 0 || p[-1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!isalnum((unsigned char) *p) && (unsigned char) *p < 0x80 && *p != '_' && (*p != '-' || label == 0))
			return false;
		name = name || !isdigit((unsigned char) *p);
		if (++label > SMTPCB_LABEL_MAX)
			return false;
	}
	return label > 0 && name && s[strlen(s) - 1] != '-';
}

/* smtpcb_domain - a host name, or an address literal */
static bool
smtpcb_domain(const char *s)
{
	size_t	len = strlen(s);
	char	addr[64];
	struct mx_addr a;

	if (*s != '[')
		return smtpcb_hostname(s);
	if (len < 3 || len - 2 >= sizeof addr || s[len - 1] != ']')
		return false;
	memcpy(addr, s + 1, len - 2);
	addr[len - 2] = 0;
	return mx_addr_parse(addr, &a);
}

/* smtpcb_unquote - the quoted string at p into out; returns what follows the closing quote, NULL when there is none */
static const char *
smtpcb_unquote(const char *p, char *out)
{
	for (p++; *p != '"'; p++) {
		if (*p == '\\')
			p++;
		if (*p == 0)
			return NULL;
		*out++ = *p;
	}
	*out = 0;
	return p + 1;
}

/* smtpcb_mailbox - split at the last @ outside quotes */
static bool
smtpcb_mailbox(const char *s, struct smtpcb_request *r)
{
	const char *at;

	if (*s == '"') {
		if ((at = smtpcb_unquote(s, r->local)) == NULL || (*at != '@' && *at != 0))
			return false;
	} else {
		if ((at = strrchr(s, '@')) == NULL)
			at = s + strlen(s);
		memcpy(r->local, s, (size_t) (at - s));
		r->local[at - s] = 0;
	}
	strcpy(r->domain, *at == '@' ? at + 1 : "");
	for (char *p = r->domain; *p != 0 && r->domain[0] != '['; p++)
		*p = (char) ((unsigned char) *p < 0x80 ? tolower((unsigned char) *p) : *p);
	for (const char *p = r->local; *p != 0; p++)
		if (smtpcb_control((unsigned char) *p))
			return false;
	return r->local[0] != 0 && (*at == 0 || smtpcb_domain(r->domain));
}

/* smtpcb_bare - whether a line without brackets is a mailbox that someone typed: an @, and no blank outside quotes */
static bool
smtpcb_bare(const char *s)
{
	bool	quoted = false, at = false;

	for (; *s != 0; s++) {
		if (smtpcb_control((unsigned char) *s))
			return false;
		if (*s == '\\' && quoted && s[1] != 0)
			s++;
		else if (*s == '"')
			quoted = !quoted;
		else if (!quoted && strchr(" <>", *s) != NULL)
			return false;
		else if (!quoted && *s == '@')
			at = true;
	}
	return at;
}

static enum smtpcb_kind
smtpcb_request_kind(const char *line, size_t n, bool utf8, struct smtpcb_request *r)
{
	char	s[SMTPCB_LINE_MAX + 1];
	const char *p = s;
	bool	ascii = true;

	if (n > 0 && line[n - 1] == '\r')
		n--;
	for (; n > 0 && line[n - 1] == ' '; n--)
		;
	for (; n > 0 && *line == ' '; n--)
		line++;
	if (n == 0 || n > SMTPCB_LINE_MAX || memchr(line, 0, n) != NULL)
		return SMTPCB_BAD_REQUEST;
	memcpy(s, line, n);
	s[n] = 0;
	if (*s == '<' && s[n - 1] == '>' && n > 1) {
		s[--n] = 0;
		p++;
		n--;
	} else if (!smtpcb_bare(s))
		return SMTPCB_BAD_REQUEST;
	if (n == 0 || strcmp(p, "#@[]") == 0)
		return SMTPCB_NULL_SENDER;
	snprintf(r->refused, sizeof r->refused, "%.*s", (int) sizeof r->refused - 1, p);
	if (n > SMTPCB_MAILBOX_MAX)
		return SMTPCB_LONG_ADDRESS;
	for (size_t i = 0; i < n; i++)
		ascii = ascii && (unsigned char) p[i] < 0x80;
	if (!smtpcb_mailbox(p, r))
		return SMTPCB_BAD_ADDRESS;
	if (ascii)
		return SMTPCB_ADDRESS;
	if (!utf8)
		return SMTPCB_UTF8_ADDRESS;
	return utf8_valid(r->local, strlen(r->local)) && utf8_valid(r->domain, strlen(r->domain)) ? SMTPCB_ADDRESS :
	    SMTPCB_BAD_ADDRESS;
}

enum smtpcb_kind
smtpcb_request_parse(const char *line, size_t n, bool utf8, struct smtpcb_request *r)
{
	r->local[0] = r->domain[0] = r->refused[0] = 0;
	r->kind = smtpcb_request_kind(line, n, utf8, r);
	if (r->kind != SMTPCB_ADDRESS)
		r->local[0] = r->domain[0] = 0;
	else
		r->refused[0] = 0;
	return r->kind;
}

/* replies */

/* smtpcb_clean - a text as a field: no colon, no control, no byte that the reader may not expect
 * colon     what stands for ':'; control: likewise, and blanks in a row become one when it is a blank */
static void
smtpcb_clean(struct buf *out, const char *s, size_t n, char colon, char control, bool utf8)
{
	size_t	seq;

	for (size_t i = 0; i < n; i += seq) {
		unsigned char c = (unsigned char) s[i];

		seq = 1;
		if (c >= 0x80) {
			if (utf8 && (seq = utf8_seq(s + i, n - i)) > 1)
				buf_add(out, s + i, seq);
			else
				buf_addc(out, '?');
			seq = seq > 0 ? seq : 1;
			continue;
		}
		if (c == ':')
			c = (unsigned char) colon;
		else if (smtpcb_control(c))
			c = (unsigned char) control;
		if (c == ' ' && control == ' ' && (out->len == 0 || out->data[out->len - 1] == ' '))
			continue;
		buf_addc(out, c);
	}
}

/* smtpcb_cut - at most max bytes, "..." included; at_blank: rather behind a word than in it */
static void
smtpcb_cut(struct buf *b, size_t max, bool at_blank)
{
	size_t	len;

	if (b->len <= max)
		return;
	len = utf8_cut(b->data, b->len, max - 3);
	if (at_blank)
		for (size_t i = len; i > len / 2; i--)
			if (b->data[i] == ' ') {
				len = i;
				break;
			}
	buf_cut(b, len);
	buf_adds(b, "...");
}

/* smtpcb_code_prefix - bytes of "550" or "550 5.1.1" or "550-5.1.1", with the blank behind; 0: it begins in another way */
static size_t
smtpcb_code_prefix(const char *s)
{
	size_t	n = 4, dsn;

	if (strspn(s, "0123456789") != 3 || (s[3] != ' ' && s[3] != '-'))
		return 0;
	dsn = strspn(s + 4, "0123456789.");
	if (dsn >= 5 && s[5] == '.' && (s[4 + dsn] == ' ' || s[4 + dsn] == 0))
		n += dsn + (s[4 + dsn] == ' ');
	return n;
}

/* smtpcb_join - lines of one reply that were joined with blanks: the first line's codes are enough */
static void
smtpcb_join(struct buf *b)
{
	size_t	prefix = b->len > 0 ? smtpcb_code_prefix(b->data) : 0, to, again;
	char   *s = b->data;

	if (prefix == 0 || s[3] != '-')
		return;
	s[3] = ' ';
	to = prefix;
	for (size_t i = prefix; i < b->len; ) {
		again = s[i - 1] == ' ' ? smtpcb_code_prefix(s + i) : 0;
		if (again > 0 && again <= prefix && memcmp(s + i, s, 3) == 0 && memcmp(s + i + 4, s + 4, again - 4) == 0)
			i += again;
		else
			s[to++] = s[i++];
	}
	buf_cut(b, to);
}

static void
smtpcb_msg(struct buf *b, const char *text, size_t max, bool utf8)
{
	smtpcb_clean(b, text, strlen(text), ';', ' ', utf8);
	smtpcb_join(b);
	while (b->len > 0 && strchr(". ", b->data[b->len - 1]) != NULL)
		buf_cut(b, b->len - 1);
	smtpcb_cut(b, max, true);
}

void
smtpcb_reply_put(struct buf *out, const struct smtpcb_reply *r, int64_t now_s, bool utf8, const char *more)
{
	struct buf msg = BUF_INIT(64 * 1024), addr = BUF_INIT(2 * SMTPCB_LINE_MAX), server = BUF_INIT(2 * SMTPCB_LINE_MAX);
	int64_t since = r->since_s < now_s ? r->since_s : now_s, next = r->next_s > now_s ? r->next_s : now_s;
	size_t	used;

	smtpcb_clean(&addr, r->addr, strlen(r->addr), '_', '?', utf8);
	smtpcb_cut(&addr, SMTPCB_ADDR_MAX, false);
	smtpcb_clean(&server, r->server, strlen(r->server), '_', '?', utf8);
	smtpcb_cut(&server, SMTPCB_SERVER_MAX, false);
	used = addr.len + server.len;
	smtpcb_msg(&msg, r->msg, used + SMTPCB_MSG_MIN > SMTPCB_TEXTS_MAX ? SMTPCB_MSG_MIN : SMTPCB_TEXTS_MAX - used, utf8);
	buf_addf(out, "%s:%s:%s:%s:%lld:%lld", smtpcb_names[r->code], buf_str(&msg), buf_str(&addr),
	    server.len > 0 ? buf_str(&server) : "localhost", (long long) (since > 0 ? since : 0), (long long) (next > 0 ? next : 0));
	if (more != NULL)
		buf_addf(out, ":%s", more);
	buf_addc(out, '\n');
	buf_fini(&msg);
	buf_fini(&addr);
	buf_fini(&server);
}

/* smtpcb_field - cut the next field off; NULL when there is none left */
static char *
smtpcb_field(char **p)
{
	char   *field = *p, *colon;

	if (field == NULL)
		return NULL;
	if ((colon = strchr(field, ':')) != NULL)
		*colon++ = 0;
	*p = colon;
	return field;
}

static bool
smtpcb_time(const char *s, int64_t *r)
{
	size_t	len = strspn(s, "0123456789");

	if (len == 0 || s[len] != 0 || len > SMTPCB_TIME_DIGITS)
		return false;
	for (*r = 0; *s != 0; s++)
		*r = *r * 10 + (*s - '0');
	return true;
}

const char *
smtpcb_reply_parse(char *line, size_t n, struct smtpcb_reply *r)
{
	const char *field[6];
	char   *p = line;
	size_t	i;

	if (n > 0 && line[n - 1] == '\r')
		n--;
	for (i = 0; i < n; i++)
		if (smtpcb_control((unsigned char) line[i]))
			return "control characters";
	line[n] = 0;
	for (i = 0; i < NELEM(field) && (field[i] = smtpcb_field(&p)) != NULL; i++)
		;
	if (i < NELEM(field))
		return "not six fields";
	for (i = 0; i < SMTPCB_CODES && strcmp(field[0], smtpcb_names[i]) != 0; i++)
		;
	if (i == SMTPCB_CODES)
		return "unknown code";
	*r = (struct smtpcb_reply) { .code = (enum smtpcb_code) i, .msg = field[1], .addr = field[2], .server = field[3] };
	if (!smtpcb_time(field[4], &r->since_s) || !smtpcb_time(field[5], &r->next_s))
		return "not a time";
	return NULL;
}

const char *
smtpcb_split_text(const char *text, char *server, size_t size, size_t *len_r)
{
	static const char said[] = " said: ", reply[] = " (in reply to ", end[] = " command)";
	const char *p, *q, *blank;

	server[0] = 0;
	*len_r = strlen(text);
	if (strncmp(text, "host ", 5) != 0 || (blank = strchr(text + 5, ' ')) == NULL ||
	    strncmp(blank, said, sizeof said - 1) != 0 || blank == text + 5 || (size_t) (blank - (text + 5)) >= size)
		return text;
	memcpy(server, text + 5, (size_t) (blank - (text + 5)));
	server[blank - (text + 5)] = 0;
	text = blank + sizeof said - 1;
	*len_r = strlen(text);
	for (p = text, q = NULL; (p = strstr(p, reply)) != NULL; p++)
		q = p;
	if (q != NULL && strlen(q) > sizeof end && strcmp(q + strlen(q) - (sizeof end - 1), end) == 0)
		*len_r = (size_t) (q - text);
	return text;
}
