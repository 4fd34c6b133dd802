/* util/json_in.c - reads JSON text of unknown origin: one string out of one object
 * A recursive descent over the grammar of RFC 8259 that keeps nothing but where it is.
 */
#include <util/json_in.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <util/utf8.h>

#define JSON_DEPTH_MAX	64
#define JSON_NAME_MAX	256		/* a member's name that is longer is none of ours */

struct json_in_text {
	const char *p, *end;		/* p <= end */
};

static void
json_space(struct json_in_text *t)
{
	while (t->p < t->end && memchr(" \t\r\n", *t->p, 4) != NULL)
		t->p++;
}

/* json_take - skip blanks and then c; false: something else stands there */
static bool
json_take(struct json_in_text *t, char c)
{
	json_space(t);
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

static int
json_hex4(struct json_in_text *t)
{
	int	value = 0;

	for (int i = 0; i < 4; i++, t->p++) {
		const char *digits = "0123456789abcdef", *digit;

		if (t->p == t->end || *t->p == 0 ||
		    (digit = strchr(digits, *t->p >= 'A' && *t->p <= 'F' ? *t->p + 'a' - 'A' : *t->p)) == NULL)
			return -1;
		value = value * 16 + (int) (digit - digits);
	}
	return value;
}

static void
json_add_code(struct buf *b, uint32_t c)
{
	char	s[4];
	size_t	n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		s[i] = (char) (0x80 | (c & 0x3f));
	s[0] = (char) (n == 1 ? c : (0xf00u >> n & 0xff) | c);
	buf_add(b, s, n);
}

/* json_escape - what follows a backslash */
static bool
json_escape(struct json_in_text *t, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	int	c, low;

	if (t->p == t->end)
		return false;
	if (*t->p != 'u') {
		if (*t->p == 0 || (at = strchr(from, *t->p)) == NULL)
			return false;
		t->p++;
		buf_addc(out, to[at - from]);
		return true;
	}
	t->p++;
	if ((c = json_hex4(t)) <= 0)				/* NUL has no place in our strings */
		return false;
	if (c >= 0xdc00 && c <= 0xdfff)
		return false;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (t->end - t->p < 2 || t->p[0] != '\\' || t->p[1] != 'u')
			return false;
		t->p += 2;
		if ((low = json_hex4(t)) < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	json_add_code(out, (uint32_t) c);
	return true;
}

/* json_string - a string's content is appended to out; a full out is no mistake of the text */
static bool
json_string(struct json_in_text *t, struct buf *out)
{
	size_t	n;

	if (!json_take(t, '"'))
		return false;
	while (t->p < t->end && *t->p != '"') {
		if (*t->p == '\\') {
			t->p++;
			if (!json_escape(t, out))
				return false;
		} else {
			if ((unsigned char) *t->p < 0x20 || (n = utf8_seq(t->p, (size_t) (t->end - t->p))) == 0)
				return false;
			buf_add(out, t->p, n);
			t->p += n;
		}
	}
	return json_take(t, '"');
}

static bool
json_digits(struct json_in_text *t)
{
	const char *begin = t->p;

	while (t->p < t->end && *t->p >= '0' && *t->p <= '9')
		t->p++;
	return t->p > begin;
}

static bool
json_number(struct json_in_text *t)
{
	if (t->p < t->end && *t->p == '-')
		t->p++;
	if (t->p < t->end && *t->p == '0')
		t->p++;
	else if (!json_digits(t))
		return false;
	if (t->p < t->end && *t->p == '.') {
		t->p++;
		if (!json_digits(t))
			return false;
	}
	if (t->p < t->end && (*t->p == 'e' || *t->p == 'E')) {
		t->p++;
		if (t->p < t->end && (*t->p == '+' || *t->p == '-'))
			t->p++;
		if (!json_digits(t))
			return false;
	}
	return true;
}

static bool
json_word(struct json_in_text *t)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		size_t	n = strlen(words[i]);

		if ((size_t) (t->end - t->p) >= n && memcmp(t->p, words[i], n) == 0) {
			t->p += n;
			return true;
		}
	}
	return false;
}

/* json_value - skip one value of any kind */
static bool
json_value(struct json_in_text *t, int depth)
{
	struct buf none = BUF_INIT(0);
	char	close;

	json_space(t);
	if (t->p == t->end || depth > JSON_DEPTH_MAX)
		return false;
	if (*t->p == '"')
		return json_string(t, &none);
	if (*t->p != '{' && *t->p != '[')
		return *t->p == '-' || (*t->p >= '0' && *t->p <= '9') ? json_number(t) : json_word(t);
	close = *t->p++ == '{' ? '}' : ']';
	if (json_take(t, close))
		return true;
	do {
		if (close == '}' && (!json_string(t, &none) || !json_take(t, ':')))
			return false;
		if (!json_value(t, depth + 1))
			return false;
	} while (json_take(t, ','));
	return json_take(t, close);
}

/* json_rank - which of the names this is; the number of names when it is none */
static size_t
json_rank(const struct buf *name, const char *const *names)
{
	size_t	i;

	for (i = 0; names[i] != NULL && (name->full || strcasecmp(buf_str(name), names[i]) != 0); i++)
		;
	return i;
}

/* json_member_value - the value behind a name that was asked for */
static bool
json_member_value(struct json_in_text *t, struct buf *value, enum json_in *found)
{
	json_space(t);
	buf_reset(value);
	if (t->p == t->end || *t->p != '"') {
		*found = JSON_IN_TYPE;
		return json_value(t, 1);
	}
	*found = JSON_IN_OK;
	return json_string(t, value) && !value->full;
}

enum json_in
json_member(const char *text, size_t n, const char *const *names, struct buf *value)
{
	struct json_in_text t = { text, text + n };
	struct buf name = BUF_INIT(JSON_NAME_MAX);
	enum json_in found = JSON_IN_ABSENT, ret = JSON_IN_BAD;
	size_t	rank, best = SIZE_MAX;

	buf_reset(value);
	if (!json_take(&t, '{'))
		goto out;
	if (!json_take(&t, '}')) {
		do {
			buf_reset(&name);
			if (!json_string(&t, &name) || !json_take(&t, ':'))
				goto out;
			rank = json_rank(&name, names);
			if (names[rank] != NULL && rank <= best) {
				best = rank;
				if (!json_member_value(&t, value, &found))
					goto out;
			} else if (!json_value(&t, 1))
				goto out;
		} while (json_take(&t, ','));
		if (!json_take(&t, '}'))
			goto out;
	}
	json_space(&t);
	if (t.p == t.end)
		ret = found;
out:
	buf_fini(&name);
	return ret;
}
