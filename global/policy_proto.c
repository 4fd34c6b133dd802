/* global/policy_proto.c - SMTPD access policy delegation, the lines between an MTA and its policy service */
#include "policy_proto.h"

#include <stdint.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/utf8.h>

static const char policy_in_long[] = "a line of more than 16 kB", policy_in_large[] = "more than 64 kB";

enum policy_in_attr {
#define A(name) POLICY_IN_##name,
	POLICY_PROTO_ATTRS(A)
#undef A
	POLICY_IN_ATTRS
};
_Static_assert(POLICY_IN_ATTRS == NELEM(((struct policy_in *) 0)->value), "one place for each attribute");

/* policy_in_find - which of ours that name is, or POLICY_IN_ATTRS; its length settles most of it */
static enum policy_in_attr
policy_in_find(const char *name, size_t len)
{
#define A(ours) | 1u << (sizeof #ours - 1)
	static const unsigned lengths = 0 POLICY_PROTO_ATTRS(A);
#undef A

	if (len >= 32 || (lengths >> len & 1) == 0)
		return POLICY_IN_ATTRS;
#define A(ours) if (len == sizeof #ours - 1 && memcmp(name, #ours, sizeof #ours - 1) == 0) return POLICY_IN_##ours;
	POLICY_PROTO_ATTRS(A)
#undef A
	return POLICY_IN_ATTRS;
}

void
policy_in_init(struct policy_in *in)
{
	memset(in, 0, sizeof *in);
	buf_init(&in->text, POLICY_PROTO_MAX);
	buf_init(&in->line, POLICY_PROTO_LINE_MAX);
}

void
policy_in_fini(struct policy_in *in)
{
	buf_fini(&in->text);
	buf_fini(&in->line);
}

void
policy_in_reset(struct policy_in *in)
{
	buf_shrink(&in->text, 4096);
	in->bytes = 0;
	in->lines = 0;
	memset(in->value, 0, sizeof in->value);
}

bool
policy_in_partial(const struct policy_in *in)
{
	return in->bytes > 0;
}

static enum policy_in_next
policy_in_bad(struct policy_in *in, const char *why)
{
	in->why = why;
	return POLICY_IN_BAD;
}

/* policy_in_odd - the first line that is no attribute, for the log */
static void
policy_in_odd(struct policy_in *in, const char *line, size_t n)
{
	char	shown[sizeof in->odd] = "";

	if (in->odd[0] != 0)
		return;
	memcpy(shown, line, n < sizeof shown ? n : sizeof shown - 1);
	msg_clean(in->odd, sizeof in->odd, shown);
}

/* The lines of the request before, whoever sent it: an MTA's requests have the same lines in the same order, and most of them say
 * the same. A line that is there once more is known by one look at it, its end and its name included. */
#define POLICY_IN_SEEN	32			/* bytes of a line, with its end; and lines */
static struct policy_in_seen {
	unsigned char line[POLICY_IN_SEEN];
	unsigned char len, eq;			/* where its end is, 0 when none was seen yet; where its first "=" is */
	enum policy_in_attr attr;
} policy_in_seen[POLICY_IN_SEEN];

static uint64_t
policy_in_word(const void *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof w);
	return w;
}

/* policy_in_again - the line at p, of which POLICY_IN_SEEN bytes can be read, if the request before had it in this place, or NULL */
static const struct policy_in_seen *
policy_in_again(const struct policy_in *in, const char *p)
{
	static const unsigned char ones[2 * POLICY_IN_SEEN] = { [0 ... POLICY_IN_SEEN - 1] = 0xff };
	const struct policy_in_seen *s = &policy_in_seen[in->lines];
	const unsigned char *mask = ones + POLICY_IN_SEEN - 1 - s->len;
	uint64_t differ = 0;

	for (size_t i = 0; i < POLICY_IN_SEEN; i += sizeof differ)
		differ |= (policy_in_word(p + i) ^ policy_in_word(s->line + i)) & policy_in_word(mask + i);
	return differ == 0 && s->len > 0 ? s : NULL;
}

static void
policy_in_see(const struct policy_in *in, const char *line, size_t n, size_t eq, enum policy_in_attr attr)
{
	struct policy_in_seen *s;

	if (in->lines >= NELEM(policy_in_seen) || n >= POLICY_IN_SEEN)
		return;
	s = &policy_in_seen[in->lines];
	memcpy(s->line, line, n);
	s->line[n] = '\n';
	s->len = (unsigned char) n;
	s->eq = (unsigned char) eq;
	s->attr = attr;
}

/* policy_in_keep - the line of an attribute: if it is one of ours, keep it, NUL-terminated; the last one of a name wins */
static enum policy_in_next
policy_in_keep(struct policy_in *in, const char *line, size_t n, size_t eq, enum policy_in_attr attr)
{
	size_t	from = in->text.len;

	in->lines++;
	if (attr == POLICY_IN_ATTRS)
		return POLICY_IN_MORE;
	if (buf_add(&in->text, line, n + 1) < 0)
		return policy_in_bad(in, policy_in_large);
	in->text.data[from + n] = 0;
	in->value[attr] = from + eq + 1;
	return POLICY_IN_MORE;
}

/* policy_in_line - line[n] is its end */
static enum policy_in_next
policy_in_line(struct policy_in *in, const char *line, size_t n)
{
	enum policy_in_attr attr;
	const char *eq;

	if (n > POLICY_PROTO_LINE_MAX)
		return policy_in_bad(in, policy_in_long);
	if (n > 0 && line[n - 1] == '\r')
		n--;
	if (n == 0)
		return POLICY_IN_DONE;
	if (in->lines == POLICY_PROTO_LINES_MAX)
		return policy_in_bad(in, "more than 200 lines");
	if ((eq = memchr(line, '=', n)) == NULL) {
		in->lines++;
		policy_in_odd(in, line, n);
		return POLICY_IN_MORE;
	}
	attr = policy_in_find(line, (size_t) (eq - line));
	policy_in_see(in, line, n, (size_t) (eq - line), attr);
	return policy_in_keep(in, line, n, (size_t) (eq - line), attr);
}

/* policy_in_part - n bytes of a line that began before, or goes on behind them */
static enum policy_in_next
policy_in_part(struct policy_in *in, const char *data, size_t n)
{
	return buf_add(&in->line, data, n) < 0 ? policy_in_bad(in, policy_in_long) : POLICY_IN_MORE;
}

static void
policy_in_done(struct policy_in *in, struct policy_request *req)
{
#define A(name) req->name = in->value[POLICY_IN_##name] != 0 ? in->text.data + in->value[POLICY_IN_##name] : "";
	POLICY_PROTO_ATTRS(A)
#undef A
}

enum policy_in_next
policy_in_feed(struct policy_in *in, const char *data, size_t n, size_t *used_r, struct policy_request *req)
{
	enum policy_in_next next = POLICY_IN_MORE;
	const char *p = data, *end = data + n, *beyond = NULL, *lf;

	if (n >= POLICY_PROTO_MAX - in->bytes) {
		end = data + (POLICY_PROTO_MAX - in->bytes);
		beyond = policy_in_large;
	}
	if ((lf = memchr(data, 0, (size_t) (end - data))) != NULL) {
		end = lf;
		beyond = "a NUL byte";
	}
	for (; next == POLICY_IN_MORE; p = lf + 1) {
		const struct policy_in_seen *again;
		const char *line = p;
		size_t	len;

		if (in->line.len == 0 && in->lines < NELEM(policy_in_seen) && end - p >= POLICY_IN_SEEN &&
		    (again = policy_in_again(in, p)) != NULL) {
			next = policy_in_keep(in, p, again->len, again->eq, again->attr);
			lf = p + again->len;
			continue;
		}
		if ((lf = memchr(p, '\n', (size_t) (end - p))) == NULL)
			break;
		len = (size_t) (lf - p);
		if (in->line.len > 0) {			/* its beginning came before */
			if ((next = policy_in_part(in, p, len)) == POLICY_IN_BAD)
				break;
			line = in->line.data;
			len = in->line.len;
		}
		next = policy_in_line(in, line, len);
		if (line != p)
			buf_shrink(&in->line, 4096);
	}
	if (next == POLICY_IN_MORE && (next = policy_in_part(in, p, (size_t) (end - p))) == POLICY_IN_MORE) {
		p = end;
		if (beyond != NULL)
			next = policy_in_bad(in, beyond);
	}
	if (next == POLICY_IN_DONE)
		policy_in_done(in, req);
	*used_r = (size_t) (p - data);
	in->bytes += *used_r - (next == POLICY_IN_DONE);	/* without the empty line */
	return next;
}

int
policy_put(struct buf *b, const char *name, const char *value)
{
	size_t	from;

	if (buf_adds(b, name) < 0 || buf_add(b, "=", 1) < 0)
		return -1;
	from = b->len;
	if (buf_adds(b, value) < 0)
		return -1;
	for (char *p = b->data + from; (p = memchr(p, '\n', (size_t) (b->data + b->len - p))) != NULL; )
		*p = '?';
	return buf_add(b, "\n", 1);
}

int
policy_put_end(struct buf *b)
{
	return buf_add(b, "\n", 1);
}

int
policy_put_action(struct buf *b, const char *action)
{
	static const char prepend[] = "PREPEND ";
	const size_t word = sizeof prepend - 1, max = strncmp(action, prepend, word) == 0 ? word + POLICY_PROTO_HEADER_MAX :
		    POLICY_PROTO_TEXT_MAX;
	size_t	len = utf8_cut(action, strlen(action), max), from;

	if (len == 0)
		msg_panic("policy_put_action: an empty action accepts the mail");
	if (buf_adds(b, "action=") < 0)
		return -1;
	from = b->len;
	if (buf_add(b, action, len) < 0)
		return -1;
	utf8_sanitise(b->data + from, len, true);
	return buf_add(b, "\n\n", 2);
}

int
policy_get_action(const char *data, size_t n, const char **action_r, size_t *len_r)
{
	static const char name[] = "action=";
	const char *line = data, *lf;
	int	found = -1;

	while ((lf = memchr(line, '\n', n - (size_t) (line - data))) != NULL) {
		size_t	len = (size_t) (lf - line);

		if (len == 0)
			return found;
		if (found < 0 && len >= sizeof name - 1 && memcmp(line, name, sizeof name - 1) == 0) {
			found = 1;
			*action_r = line + sizeof name - 1;
			*len_r = len - (sizeof name - 1);
		}
		line = lf + 1;
	}
	return 0;
}
