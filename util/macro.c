/* util/macro.c - $name expansion: a recursive descent over the text, one call per reference */
#include "macro.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <util/mem.h>

#define MACRO_DEPTH	100	/* references inside values inside references: Postfix's limit, ends a=$b b=$a */
#define MACRO_STEPS	100000	/* references in one expansion: a=$b$b b=$c$c ... would otherwise double forever */
#define MACRO_SHOWN	40	/* bytes of text shown on each side of an error */

struct macro {
	macro_lookup_fn *lookup;
	void   *ctx;
	struct buf *why;
	unsigned depth, steps;
};

/* a piece of text: [p, end) */
struct macro_span {
	const char *p, *end;
};

static int macro_text(struct macro *, struct buf *, struct macro_span);

/* the relations of ${{x} OP {y}}; longer spellings first */
static const struct macro_op {
	const char *sign;
	bool	less, equal, more;
} macro_ops[] = {
	{ "==", false, true, false },
	{ "!=", true, false, true },
	{ "<=", true, true, false },
	{ ">=", false, true, true },
	{ "<", true, false, false },
	{ ">", false, false, true },
};

static const char macro_level[] = "level";

static bool
macro_isname(char c)
{
	return c == '_' || (isascii((unsigned char) c) && isalnum((unsigned char) c));
}

static bool
macro_isblank(char c)
{
	return isascii((unsigned char) c) && isspace((unsigned char) c);
}

static void
macro_skip(struct macro_span *s)
{
	while (s->p < s->end && macro_isblank(*s->p))
		s->p++;
}

static size_t
macro_len(struct macro_span s)
{
	return (size_t) (s.end - s.p);
}

/* macro_fail - what is wrong with whole, and where if at is given */
static int
macro_fail(struct macro *m, const char *what, struct macro_span whole, const char *at)
{
	struct macro_span before = { whole.p, at }, after = { at, whole.end };

	if (at == NULL) {
		if (macro_len(whole) > 2 * MACRO_SHOWN)
			whole.end = whole.p + 2 * MACRO_SHOWN;
		buf_addf(m->why, "%s: \"%.*s\"", what, (int) macro_len(whole), whole.p);
	} else {
		if (macro_len(before) > MACRO_SHOWN)
			before.p = at - MACRO_SHOWN;
		if (macro_len(after) > MACRO_SHOWN)
			after.end = at + MACRO_SHOWN;
		buf_addf(m->why, "%s at: \"...%.*s>>>%.*s\"", what, (int) macro_len(before), before.p,
		    (int) macro_len(after), after.p);
	}
	return -1;
}

/* macro_close - the bracket that closes the one at s.p, nesting counted; NULL when there is none */
static const char *
macro_close(struct macro_span s, char open, char close)
{
	size_t	nest = 0;

	for (; s.p < s.end; s.p++) {
		if (*s.p == open)
			nest++;
		else if (*s.p == close && --nest == 0)
			return s.p;
	}
	return NULL;
}

/* macro_braces - take {text} from the front of s, blanks around it too */
static int
macro_braces(struct macro *m, struct macro_span *s, struct macro_span *inner_r)
{
	const char *close = macro_close(*s, '{', '}');

	if (close == NULL)
		return macro_fail(m, "unbalanced {} in attribute expression", *s, NULL);
	*inner_r = (struct macro_span) { s->p + 1, close };
	s->p = close + 1;
	macro_skip(s);
	return 0;
}

/* macro_branches - what follows the name or the relation: ?yes, :no, ?{yes}, :{no}, ?{yes}:no, ?{yes}:{no}
 * rest      begins with ? or :
 * yes_r, no_r  set as far as present; p is NULL otherwise
 * Without braces everything after ? or : is text, colons included, as it was before there were braces. */
static int
macro_branches(struct macro *m, struct macro_span whole, struct macro_span rest, struct macro_span *yes_r,
    struct macro_span *no_r)
{
	struct macro_span literal;

	if (*rest.p == '?') {
		rest.p++;
		literal = rest;
		macro_skip(&rest);
		if (rest.p == rest.end || *rest.p != '{') {
			*yes_r = literal;
			return 0;
		}
		if (macro_braces(m, &rest, yes_r) < 0)
			return -1;
		if (rest.p == rest.end)
			return 0;
		if (*rest.p != ':')
			return macro_fail(m, "\":\" expected", whole, rest.p);
	}
	rest.p++;
	literal = rest;
	macro_skip(&rest);
	if (rest.p == rest.end || *rest.p != '{') {
		*no_r = literal;
		return 0;
	}
	if (macro_braces(m, &rest, no_r) < 0)
		return -1;
	if (rest.p != rest.end)
		return macro_fail(m, "unexpected input", whole, rest.p);
	return 0;
}

static bool
macro_isnumber(const char *s)
{
	return *s != 0 && s[strspn(s, "0123456789")] == 0;
}

/* macro_cmp_number - compare digits of any length, so that no number is too large */
static int
macro_cmp_number(const char *a, size_t alen, const char *b, size_t blen)
{
	for (; alen > 0 && *a == '0'; alen--)
		a++;
	for (; blen > 0 && *b == '0'; blen--)
		b++;
	if (alen != blen)
		return alen < blen ? -1 : 1;
	return memcmp(a, b, alen);
}

/* macro_level_parse - a compatibility level, major[.minor[.patch]]; absent numbers are 0 */
static bool
macro_level_parse(const char *s, long level[3])
{
	char   *end;

	memset(level, 0, 3 * sizeof level[0]);
	s += strspn(s, " \t\r\n");
	for (int part = 0; part < 3; part++) {
		if (*s < '0' || *s > '9')
			return false;
		level[part] = strtol(s, &end, 10);	/* LONG_MAX if too large, which is large enough */
		if (*end == 0)
			return true;
		if (*end != '.')
			return false;
		s = end + 1;
	}
	return false;
}

static int
macro_cmp_level(struct macro *m, const char *a, const char *b, int *cmp_r)
{
	long	x[3], y[3];
	bool	a_ok = macro_level_parse(a, x);

	if (!a_ok || !macro_level_parse(b, y)) {
		buf_addf(m->why, "malformed compatibility level syntax: \"%.*s\"", MACRO_SHOWN, a_ok ? b : a);
		return -1;
	}
	*cmp_r = 0;
	for (int part = 0; part < 3 && *cmp_r == 0; part++)
		*cmp_r = (x[part] > y[part]) - (x[part] < y[part]);
	return 0;
}

/* macro_relation - evaluate {x} OP {y} at the front of s */
static int
macro_relation(struct macro *m, size_t max, struct macro_span whole, struct macro_span *s, bool *holds_r)
{
	struct macro_span left, right;
	struct buf x = BUF_INIT(max), y = BUF_INIT(max);
	const struct macro_op *op = NULL;
	bool	is_level = false;
	int	cmp, ret = -1;

	if (macro_braces(m, s, &left) < 0)
		return -1;
	for (size_t i = 0; i < NELEM(macro_ops) && op == NULL; i++)
		if (macro_len(*s) >= strlen(macro_ops[i].sign) &&
		    memcmp(s->p, macro_ops[i].sign, strlen(macro_ops[i].sign)) == 0)
			op = &macro_ops[i];
	if (op == NULL)
		return macro_fail(m, "one of == != <= >= < > expected", whole, s->p);
	s->p += strlen(op->sign);
	if (macro_len(*s) >= strlen(macro_level) && memcmp(s->p, macro_level, strlen(macro_level)) == 0) {
		is_level = true;
		s->p += strlen(macro_level);
	}
	if (s->p < s->end && macro_isname(*s->p))
		return macro_fail(m, "bad operator suffix", whole, s->p);
	macro_skip(s);
	if (s->p == s->end || *s->p != '{')
		return macro_fail(m, "\"{expression}\" expected", whole, s->p);
	if (macro_braces(m, s, &right) < 0 || macro_text(m, &x, left) < 0 || macro_text(m, &y, right) < 0)
		goto out;
	if (is_level) {
		if (macro_cmp_level(m, buf_str(&x), buf_str(&y), &cmp) < 0)
			goto out;
	} else if (macro_isnumber(buf_str(&x)) && macro_isnumber(buf_str(&y)))
		cmp = macro_cmp_number(x.data, x.len, y.data, y.len);
	else
		cmp = strcmp(buf_str(&x), buf_str(&y));
	*holds_r = cmp < 0 ? op->less : cmp == 0 ? op->equal : op->more;
	ret = 0;
out:
	buf_fini(&x);
	buf_fini(&y);
	return ret;
}

/* macro_value - append the expansion of a parameter's value; borrowed may go away with the next look-up */
static int
macro_value(struct macro *m, struct buf *out, const char *borrowed)
{
	char   *value = mem_strdup(borrowed);
	int	ret = macro_text(m, out, (struct macro_span) { value, value + strlen(value) });

	mem_free(&value);
	return ret;
}

static const char *
macro_find(struct macro *m, struct macro_span name)
{
	char   *key = mem_strndup(name.p, macro_len(name));
	const char *value = m->lookup(m->ctx, key);

	mem_free(&key);
	return value;
}

/* macro_body - append the expansion of what stands between the brackets of one reference
 * text      the whole text it is in, for messages */
static int
macro_body(struct macro *m, struct buf *out, struct macro_span body, struct macro_span text)
{
	struct macro_span s = body, name = { NULL, NULL }, yes = { NULL, NULL }, no = { NULL, NULL };
	const char *value = NULL;
	bool	holds = false;

	macro_skip(&s);
	if (s.p < s.end && *s.p == '{') {
		if (macro_relation(m, out->max, body, &s, &holds) < 0)
			return -1;
		if (s.p == s.end)
			return holds ? buf_adds(out, "true") : 0;
	} else {
		for (name.p = name.end = s.p; name.end < s.end && macro_isname(*name.end); name.end++)
			;
		s.p = name.end;
		macro_skip(&s);
		if (macro_len(name) == 0 && s.p == s.end)
			return macro_fail(m, "empty macro name", text, NULL);
		if (macro_len(name) == 0 || (s.p < s.end && *s.p != '?' && *s.p != ':'))
			return macro_fail(m, "attribute name syntax error", body, name.end);
		value = macro_find(m, name);
		if (s.p == s.end)
			return value != NULL ? macro_value(m, out, value) : 0;
		holds = value != NULL && *value != 0;
	}
	if (*s.p != '?' && *s.p != ':')
		return macro_fail(m, "\"?\" or \":\" expected", body, s.p);
	if (macro_branches(m, body, s, &yes, &no) < 0)
		return -1;
	if (holds)
		return yes.p != NULL ? macro_text(m, out, yes) : 0;
	return no.p != NULL ? macro_text(m, out, no) : 0;
}

/* macro_reference - append the expansion of the reference whose $ stands before *p; *p moves behind it */
static int
macro_reference(struct macro *m, struct buf *out, const char **p, struct macro_span text)
{
	struct macro_span body = { *p, text.end };
	const char *close;

	if (body.p < body.end && (*body.p == '{' || *body.p == '(')) {
		close = *body.p == '{' ? macro_close(body, '{', '}') : macro_close(body, '(', ')');
		if (close == NULL)
			return macro_fail(m, "truncated macro reference", text, NULL);
		body = (struct macro_span) { body.p + 1, close };
		*p = close + 1;
	} else {
		for (body.end = body.p; body.end < text.end && macro_isname(*body.end); body.end++)
			;
		if (macro_len(body) == 0)
			return macro_fail(m, "empty macro name", text, NULL);
		*p = body.end;
	}
	if (m->steps++ == MACRO_STEPS)
		return macro_fail(m, "unreasonable number of macro references", body, NULL);
	return macro_body(m, out, body, text);
}

/* macro_text - append the expansion of a text */
static int
macro_text(struct macro *m, struct buf *out, struct macro_span text)
{
	const char *p = text.p, *dollar;
	int	ret = 0;

	if (m->depth == MACRO_DEPTH)
		return macro_fail(m, "unreasonable macro call nesting", text, NULL);
	m->depth++;
	while (ret == 0 && p < text.end) {
		if ((dollar = memchr(p, '$', (size_t) (text.end - p))) == NULL)
			dollar = text.end;
		ret = buf_add(out, p, (size_t) (dollar - p));
		p = dollar;
		if (p == text.end || ret < 0)
			break;
		p++;
		if (p < text.end && *p == '$') {
			ret = buf_addc(out, '$');
			p++;
		} else
			ret = macro_reference(m, out, &p, text);
	}
	m->depth--;
	return ret;
}

int
macro_expand(struct buf *out, const char *text, macro_lookup_fn *lookup, void *ctx, struct buf *why)
{
	struct macro m = { .lookup = lookup, .ctx = ctx, .why = why };
	int	ret;

	buf_reset(why);
	ret = macro_text(&m, out, (struct macro_span) { text, text + strlen(text) });
	if (ret < 0 && why->len == 0)
		buf_addf(why, "expansion is longer than %zu bytes", out->max);
	return ret;
}
