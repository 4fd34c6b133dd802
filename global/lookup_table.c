/* global/lookup_table.c - TYPE:NAME tables
 * A table's content is an array of entries: sorted by key for texthash and inline, in the order of the file for patterns.
 */
#include "lookup_table.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pcre2.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/stdlib.h>

#include <util/ascii.h>
#include <util/cfline.h>
#include <util/mem.h>
#include <util/msg.h>

#define LOOKUP_CHECK_MS	   1000
#define LOOKUP_WARN_MS	   10000
#define LOOKUP_MATCH_LIMIT 100000	/* steps of one pattern: far above any sane one, far below a second */

enum lookup_type { LOOKUP_TEXTHASH, LOOKUP_INLINE, LOOKUP_STATIC, LOOKUP_PCRE, LOOKUP_REGEXP };
static const char *const lookup_types[] = { "texthash", "inline", "static", "pcre", "regexp" };

struct lookup_entry {
	char	*key, *value;		/* key NULL for patterns */
	bool	 negate;
	pcre2_code *pcre;
	regex_t *regexp;
};

struct lookup_content {
	struct lookup_entry *entry;
	size_t	 n;
};

struct lookup_table {
	enum lookup_type type;
	char	*name;			/* path, or what stands after the colon */
	struct stat st;			/* of the file that was read */
	struct stat seen;		/* of one that has changed since: read when it is found so again */
	struct lookup_content content;
};

struct lookup_tables {
	struct lookup_table *table;
	size_t	 n;
	int64_t	 checked_ms;
	pcre2_match_data *match;
	pcre2_match_context *limits;
};

/* content */

static void
lookup_content_fini(struct lookup_content *c)
{
	for (size_t i = 0; i < c->n; i++) {
		mem_free(&c->entry[i].key);
		mem_free(&c->entry[i].value);
		pcre2_code_free(c->entry[i].pcre);
		if (c->entry[i].regexp != NULL)
			regfree(c->entry[i].regexp);
		mem_free(&c->entry[i].regexp);
	}
	mem_free(&c->entry);
	c->n = 0;
}

static struct lookup_entry *
lookup_content_add(struct lookup_content *c)
{
	if ((c->n & (c->n - 1)) == 0)
		c->entry = mem_grow(c->entry, c->n > 0 ? 2 * c->n : 1, sizeof *c->entry);
	memset(&c->entry[c->n], 0, sizeof *c->entry);
	return &c->entry[c->n++];
}

static char *
lookup_trim(char *s)
{
	char   *end = s + strlen(s);

	while (end > s && isspace((unsigned char) end[-1]))
		*--end = 0;
	return s + strspn(s, " \t");
}

static const char *
lookup_put(struct lookup_content *c, char *key, char *value)
{
	struct lookup_entry *e;

	if (*key == 0 || *value == 0)
		return "key and value are needed";
	ascii_lower(key, strlen(key));
	e = lookup_content_add(c);
	e->key = mem_strdup(key);
	e->value = mem_strdup(value);
	return NULL;
}

/* lookup_line_hash - "key value" */
static const char *
lookup_line_hash(struct lookup_content *c, char *line)
{
	char   *value = line + strcspn(line, " \t");

	if (*value != 0)
		*value++ = 0;
	return lookup_put(c, line, lookup_trim(value));
}

/* lookup_line_pattern - "/pattern/flags value", "!/pattern/ value"; any delimiter that is no letter, digit or blank */
static const char *
lookup_line_pattern(struct lookup_content *c, enum lookup_type type, char *line, char *detail, size_t size)
{
	bool	negate = *line == '!', icase = true;
	struct lookup_entry *e;
	char	delim, *pattern, *p, *value;
	uint32_t options = PCRE2_NEVER_BACKSLASH_C;
	PCRE2_SIZE where;
	int	rc;

	line += negate;
	line += strspn(line, " \t");
	delim = *line;
	if (delim == 0 || isalnum((unsigned char) delim) || isspace((unsigned char) delim))
		return "no pattern: write /pattern/ value (if and endif are not supported)";
	for (p = pattern = line + 1; *p != 0 && *p != delim; p++)
		if (*p == '\\' && p[1] != 0)
			p++;
	if (*p == 0)
		return "pattern without end";
	*p++ = 0;
	for (; *p != 0 && *p != ' ' && *p != '\t'; p++)
		switch (*p) {
		case 'i':
			icase = !icase;
			break;
		case 'x':
			options |= PCRE2_EXTENDED;
			break;
		case 's':
			options |= PCRE2_DOTALL;
			break;
		default:
			return "unknown pattern flag: use i, x or s";
		}
	value = lookup_trim(p);
	if (*value == 0)
		return "key and value are needed";
	for (p = value; (p = strchr(p, '$')) != NULL; p += 2)
		if (p[1] != '$')
			return "\"$\" in the value: substitution is not supported, write the value out (or $$)";
	for (p = value; (p = strstr(p, "$$")) != NULL; p++)
		memmove(p, p + 1, strlen(p));
	e = lookup_content_add(c);
	e->value = mem_strdup(value);
	e->negate = negate;
	if (type == LOOKUP_PCRE) {
		e->pcre = pcre2_compile((PCRE2_SPTR) pattern, PCRE2_ZERO_TERMINATED,
		    options | (icase ? PCRE2_CASELESS : 0u), &rc, &where, NULL);
		if (e->pcre == NULL) {
			pcre2_get_error_message(rc, (PCRE2_UCHAR *) detail, size);
			return detail;
		}
	} else {
		e->regexp = mem_alloc(sizeof *e->regexp);
		if ((rc = regcomp(e->regexp, pattern, REG_EXTENDED | REG_NOSUB | (icase ? REG_ICASE : 0))) != 0) {
			regerror(rc, e->regexp, detail, size);
			mem_free(&e->regexp);
			return detail;
		}
	}
	return NULL;
}

static int
lookup_cmp(const void *a, const void *b)
{
	return strcmp(((const struct lookup_entry *) a)->key, ((const struct lookup_entry *) b)->key);
}

/* lookup_content_parse - false with why: a line for each that is bad; the content is empty then */
static bool
lookup_content_parse(struct lookup_content *c, enum lookup_type type, const char *file, const char *text, size_t n,
    struct buf *why)
{
	char	detail[160];
	struct cfline line;
	const char *bad;
	bool	ok = true;

	cfline_init(&line, text, n, LOOKUP_LINE_MAX);
	while (cfline_next(&line)) {
		char   *copy = mem_strdup(buf_str(&line.text));

		if (line.orphan || line.cut)
			bad = line.cut ? "line too long" : "continues nothing";
		else if (type == LOOKUP_PCRE || type == LOOKUP_REGEXP)
			bad = lookup_line_pattern(c, type, copy, detail, sizeof detail);
		else
			bad = lookup_line_hash(c, copy);
		mem_free(&copy);
		if (bad != NULL) {
			buf_addf(why, "%s%s, line %u: %s", why->len > 0 ? "\n" : "", file, line.first, bad);
			ok = false;
		}
	}
	cfline_fini(&line);
	if (!ok)
		lookup_content_fini(c);
	else if (c->n > 0 && (type == LOOKUP_TEXTHASH || type == LOOKUP_INLINE))
		mergesort(c->entry, c->n, sizeof *c->entry, lookup_cmp);
	return ok;
}

/* lookup_inline - "{ {key = value}, {key = value} }", the inner braces and commas as Postfix has them; also "{k=v, k=v}" */
static const char *
lookup_inline(struct lookup_content *c, const char *text)
{
	char   *copy = mem_strdup(text), *p, *end, *item, *eq;
	const char *bad = NULL;

	p = lookup_trim(copy);
	end = p + strlen(p);
	if (*p != '{' || end[-1] != '}' || end - p < 2)
		bad = "write inline:{ {key = value}, {key = value} }";
	else {
		*--end = 0;
		for (p++; bad == NULL && *(p += strspn(p, " \t,")) != 0; ) {
			if (*p == '{') {
				item = ++p;
				p += strcspn(p, "}");
				if (*p == 0)
					bad = "unbalanced {}";
				else
					*p++ = 0;
			} else {
				item = p;
				p += strcspn(p, ",");
				if (*p != 0)
					*p++ = 0;
			}
			if (bad == NULL && (eq = strchr(item, '=')) != NULL) {
				*eq++ = 0;
				bad = lookup_put(c, lookup_trim(item), lookup_trim(eq));
			} else if (bad == NULL)
				bad = "missing '='";
		}
	}
	mem_free(&copy);
	if (bad == NULL && c->n > 0)
		mergesort(c->entry, c->n, sizeof *c->entry, lookup_cmp);
	return bad;
}

/* tables */

static bool
lookup_has_file(enum lookup_type type)
{
	return type != LOOKUP_INLINE && type != LOOKUP_STATIC;
}

static bool
lookup_table_read(struct lookup_table *t, struct buf *why)
{
	struct buf text = BUF_INIT(LOOKUP_FILE_MAX);
	struct lookup_content c = { 0 };
	bool	ok = false;
	struct stat st;
	int	fd;

	if ((fd = open(t->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) < 0 || fstat(fd, &st) < 0 ||
	    buf_read_fd(&text, fd) < 0)
		buf_addf(why, "%s%s: %s", why->len > 0 ? "\n" : "", t->name, strerror(errno));
	else
		ok = lookup_content_parse(&c, t->type, t->name, buf_str(&text), text.len, why);
	if (ok) {
		lookup_content_fini(&t->content);
		t->content = c;
		t->st = st;
	}
	if (fd >= 0)
		close(fd);
	buf_fini(&text);
	return ok;
}

static bool
lookup_table_open(struct lookup_table *t, const char *spec, struct buf *why)
{
	size_t	n = strcspn(spec, ":");
	const char *bad = NULL;
	size_t	i;

	if (spec[0] == '/') {
		t->type = LOOKUP_TEXTHASH;
		t->name = mem_strdup(spec);
		return lookup_table_read(t, why);
	}
	for (i = 0; i < NELEM(lookup_types); i++)
		if (strlen(lookup_types[i]) == n && strncmp(spec, lookup_types[i], n) == 0 && spec[n] == ':')
			break;
	if (i == NELEM(lookup_types)) {
		buf_addf(why, "%s%.100s: unsupported table type: use texthash:/FILE (a plain text file, no postmap needed), "
		    "inline:, static:, pcre: or regexp:", why->len > 0 ? "\n" : "", spec);
		return false;
	}
	t->type = (enum lookup_type) i;
	t->name = mem_strdup(spec + n + 1);
	if (lookup_has_file(t->type))
		return lookup_table_read(t, why);
	if (t->type == LOOKUP_INLINE)
		bad = lookup_inline(&t->content, t->name);
	else
		lookup_content_add(&t->content)->value = mem_strdup(t->name);
	if (bad != NULL)
		buf_addf(why, "%s%.100s: %s", why->len > 0 ? "\n" : "", spec, bad);
	return bad == NULL;
}

static struct lookup_tables *
lookup_tables_new(void)
{
	struct lookup_tables *ts = mem_alloc(sizeof *ts);

	if ((ts->match = pcre2_match_data_create(1, NULL)) == NULL ||
	    (ts->limits = pcre2_match_context_create(NULL)) == NULL)
		msg_fatal("out of memory");
	pcre2_set_match_limit(ts->limits, LOOKUP_MATCH_LIMIT);
	pcre2_set_depth_limit(ts->limits, 1000);
	return ts;
}

struct lookup_tables *
lookup_tables_open(const char *list, struct buf *why)
{
	struct lookup_tables *ts = lookup_tables_new();
	const char *p = list;
	unsigned depth;
	char   *spec;
	size_t	n;
	bool	ok = true;

	while (*(p += strspn(p, " \t,")) != 0) {
		for (n = 0, depth = 0; p[n] != 0 && (depth > 0 || strchr(" \t,", p[n]) == NULL); n++)
			if (p[n] == '{')
				depth++;
			else if (p[n] == '}' && depth > 0)
				depth--;
		spec = mem_strndup(p, n);
		p += n;
		ts->table = mem_grow(ts->table, ts->n + 1, sizeof *ts->table);
		memset(&ts->table[ts->n], 0, sizeof *ts->table);
		ok &= lookup_table_open(&ts->table[ts->n++], spec, why);
		mem_free(&spec);
	}
	if (!ok)
		lookup_tables_free(&ts);
	return ts;
}

struct lookup_tables *
lookup_tables_parse(const char *type, const char *file, const char *text, size_t n, struct buf *why)
{
	struct lookup_tables *ts = lookup_tables_new();
	struct lookup_table *t = ts->table = mem_alloc(sizeof *t);

	ts->n = 1;
	t->name = mem_strdup(file);
	for (size_t i = 0; i < NELEM(lookup_types); i++)
		if (strcmp(type, lookup_types[i]) == 0)
			t->type = (enum lookup_type) i;
	if (!lookup_content_parse(&t->content, t->type, file, text, n, why))
		lookup_tables_free(&ts);
	return ts;
}

void
lookup_tables_free(struct lookup_tables **tsp)
{
	struct lookup_tables *ts = *tsp;

	if (ts == NULL)
		return;
	for (size_t i = 0; i < ts->n; i++) {
		lookup_content_fini(&ts->table[i].content);
		mem_free(&ts->table[i].name);
	}
	pcre2_match_data_free(ts->match);
	pcre2_match_context_free(ts->limits);
	mem_free(&ts->table);
	mem_free(tsp);
}

bool
lookup_tables_empty(const struct lookup_tables *ts)
{
	return ts->n == 0;
}

static const char *
lookup_pattern_find(struct lookup_tables *ts, const struct lookup_table *t, const char *key)
{
	static long long last;
	bool	hit;
	int	rc;

	for (size_t i = 0; i < t->content.n; i++) {
		const struct lookup_entry *e = &t->content.entry[i];

		if (e->pcre != NULL) {
			rc = pcre2_match(e->pcre, (PCRE2_SPTR) key, strlen(key), 0, 0, ts->match, ts->limits);
			if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
				if (msg_rate(&last, LOOKUP_WARN_MS))	/* whoever chooses the address can do it again and again */
					msg_warn("%s: pattern %zu is too expensive, treated as no match", t->name, i + 1);
				continue;
			}
			hit = rc >= 0;
		} else
			hit = regexec(e->regexp, key, 0, NULL, 0) == 0;
		if (hit != e->negate)
			return e->value;
	}
	return NULL;
}

const char *
lookup_tables_find(struct lookup_tables *ts, const char *key, bool whole)
{
	struct lookup_entry want = { 0 }, *e;
	const char *value = NULL;
	char	lower[1024];

	if (strlen(key) >= sizeof lower)
		return NULL;
	strcpy(lower, key);
	ascii_lower(lower, strlen(lower));
	want.key = lower;
	for (size_t i = 0; i < ts->n && value == NULL; i++) {
		struct lookup_table *t = &ts->table[i];

		switch (t->type) {
		case LOOKUP_TEXTHASH:
		case LOOKUP_INLINE:
			e = t->content.n == 0 ? NULL :
			    bsearch(&want, t->content.entry, t->content.n, sizeof *e, lookup_cmp);
			/* of several equal keys the first in the file */
			while (e != NULL && e > t->content.entry && lookup_cmp(e - 1, &want) == 0)
				e--;
			value = e != NULL ? e->value : NULL;
			break;
		case LOOKUP_STATIC:
			value = t->content.entry[0].value;
			break;
		case LOOKUP_PCRE:
		case LOOKUP_REGEXP:
			value = whole ? lookup_pattern_find(ts, t, lower) : NULL;
			break;
		}
	}
	return value;
}

static bool
lookup_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void
lookup_tables_check(struct lookup_tables *ts, int64_t now_ms)
{
	struct buf why = BUF_INIT(4096);
	struct stat st;

	if (ts->checked_ms != 0 && now_ms - ts->checked_ms < LOOKUP_CHECK_MS)
		return;
	ts->checked_ms = now_ms;
	for (size_t i = 0; i < ts->n; i++) {
		struct lookup_table *t = &ts->table[i];

		if (!lookup_has_file(t->type))
			continue;
		if (stat(t->name, &st) < 0) {
			if (t->st.st_ino != 0)
				msg_warn("%s: %s: the old content stays in force", t->name, strerror(errno));
			t->st.st_ino = 0;
			continue;
		}
		if (lookup_same_file(&st, &t->st))
			continue;
		if (!lookup_same_file(&st, &t->seen)) {	/* perhaps half of it is written: let it keep still first */
			t->seen = st;
			continue;
		}
		buf_reset(&why);
		if (!lookup_table_read(t, &why)) {
			msg_warn("%s: the old content stays in force", buf_str(&why));
			t->st = st;			/* say it once for each change */
		} else
			msg_info("%s: re-read, %zu entries", t->name, t->content.n);
	}
	buf_fini(&why);
}
