/* commands/vouchconf/service.c - one entry of master.cf */
#include "service.h"

#include <string.h>

#include <util/mem.h>
#include <global/params.h>
#include "vouchconf.h"

#define SERVICE_COMMAND	7		/* index of the command field */

static const char service_blank[] = " \t\r\n";

/* service_insert - a new word at a place */
static struct service_word *
service_insert(struct service *s, size_t at, bool is_o, const char *text)
{
	if (s->count == s->room) {
		s->room = s->room == 0 ? 8 : s->room * 2;
		s->words = mem_grow(s->words, s->room, sizeof *s->words);
	}
	memmove(s->words + at + 1, s->words + at, (s->count - at) * sizeof *s->words);
	s->count++;
	s->words[at] = (struct service_word) { .is_o = is_o, .text = mem_strdup(text) };
	return &s->words[at];
}

static void
service_word_fini(struct service_word *w)
{
	mem_free(&w->text);
	mem_free(&w->name);
	mem_free(&w->value);
}

/* service_word_split - if the text of -o is name = value, tell them apart */
static void
service_word_split(struct service_word *w)
{
	const char *name = w->text + strspn(w->text, service_blank), *equal = strchr(name, '='), *end, *value;
	size_t	len;

	if (equal == NULL)
		return;
	for (end = equal; end > name && strchr(service_blank, end[-1]) != NULL; end--)
		;
	len = (size_t) (end - name);
	if (len == 0 || strcspn(name, service_blank) < len)
		return;
	value = equal + 1 + strspn(equal + 1, service_blank);
	for (end = value + strlen(value); end > value && strchr(service_blank, end[-1]) != NULL; end--)
		;
	w->name = mem_strndup(name, len);
	w->value = mem_strndup(value, (size_t) (end - value));
	mem_free(&w->text);
	w->text = mem_printf("%s=%s", w->name, w->value);
}

void
service_init(struct service *s, const struct master_cf_entry *e)
{
	size_t	i;

	memset(s, 0, sizeof *s);
	s->entry = e;
	for (i = 0; i < e->argc; i++) {
		const char *arg = e->argv[i], *o;

		if (arg[0] != '-' || arg[1] == 0 || strcmp(arg, "--") == 0)
			break;
		if ((o = strchr(arg + 1, 'o')) == NULL) {
			service_insert(s, s->count, false, arg);
			continue;
		}
		if (o > arg + 1) {			/* -vo: -v and -o */
			char   *before = mem_strndup(arg, (size_t) (o - arg));

			service_insert(s, s->count, false, before);
			mem_free(&before);
		}
		if (o[1] == 0 && i + 1 == e->argc)	/* a last -o without anything */
			service_insert(s, s->count, false, "-o");
		else
			service_word_split(service_insert(s, s->count, true, o[1] != 0 ? o + 1 : e->argv[++i]));
	}
	s->options = s->count;
	for (; i < e->argc; i++)
		service_insert(s, s->count, false, e->argv[i]);
}

void
service_fini(struct service *s)
{
	for (size_t i = 0; i < s->count; i++)
		service_word_fini(&s->words[i]);
	mem_free(&s->words);
	s->count = s->room = 0;
}

static bool
service_word_is(const struct service_word *w, const char *name)
{
	return w->name != NULL && strcmp(w->name, name) == 0;
}

const char *
service_get(const struct service *s, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < s->count; i++)
		if (service_word_is(&s->words[i], name))
			value = s->words[i].value;
	return value;
}

static void
service_word_set(struct service_word *w, const char *name, const char *value)
{
	char   *text = mem_printf("%s=%s", name, value);

	service_word_fini(w);
	w->text = text;
	w->name = mem_strndup(text, strlen(name));
	w->value = mem_strdup(text + strlen(name) + 1);
}

void
service_set(struct service *s, const char *name, const char *value)
{
	bool	found = false;

	for (size_t i = 0; i < s->count; i++)
		if (service_word_is(&s->words[i], name)) {
			service_word_set(&s->words[i], name, value);
			found = true;
		}
	if (!found)
		service_word_set(service_insert(s, s->options++, true, ""), name, value);
}

void
service_remove(struct service *s, const char *name)
{
	size_t	kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (service_word_is(&s->words[i], name)) {
			service_word_fini(&s->words[i]);
			s->options--;
		} else
			s->words[kept++] = s->words[i];
	}
	s->count = kept;
}

struct main_cf *
service_config(const struct service *s, const struct main_cf *cf)
{
	struct main_cf *both = main_cf_new();

	for (const struct main_cf_entry *e = NULL; (e = main_cf_next(cf, e)) != NULL; )
		main_cf_set(both, e->name, e->value);
	for (size_t i = 0; i < s->count; i++)
		if (s->words[i].name != NULL)
			main_cf_set(both, s->words[i].name, s->words[i].value);
	main_cf_set(both, "service_name", s->entry->name);
	return both;
}

int
service_expand(struct service *s, const struct main_cf *cf, struct buf *why)
{
	struct main_cf *both = service_config(s, cf);
	struct buf out = BUF_INIT(PARAMS_VALUE_MAX);
	int	ret = 0;

	for (size_t i = 0; i < s->count && ret == 0; i++) {
		struct service_word *w = &s->words[i];

		if (w->name == NULL)
			continue;
		buf_reset(&out);
		if ((ret = params_expand(both, w->value, &out, why)) == 0) {
			char   *name = mem_strdup(w->name);

			service_word_set(w, name, buf_str(&out));
			mem_free(&name);
		}
	}
	buf_fini(&out);
	main_cf_free(&both);
	return ret;
}

/* service_quote - append a word as it must be written: in braces when it is empty, has blanks or begins with one */
static void
service_quote(struct buf *out, const char *text)
{
	long	nest = 0;
	bool	balanced;

	for (const char *p = text; *p != 0 && nest >= 0; p++)
		nest += (*p == '{') - (*p == '}');
	/* a brace left open takes the rest of the line, so this is the last word, and fine as it is */
	balanced = nest == 0;
	if (balanced && (*text == 0 || *text == '{' || strpbrk(text, service_blank) != NULL))
		buf_addf(out, "{%s}", text);
	else
		buf_adds(out, text);
}

void
service_add_command(struct buf *out, const struct service *s, bool fold, size_t col)
{
	struct buf word = BUF_INIT(MASTER_CF_LINE_MAX);
	size_t	width = fold ? PRINT_ENTRY_WIDTH : 0;
	bool	after_o = false;

	print_word(out, width, &col, s->entry->command, strlen(s->entry->command));
	for (size_t i = 0; i < s->count; i++) {
		bool	is_o = s->words[i].is_o;

		buf_reset(&word);
		if (is_o)
			buf_adds(&word, "-o ");
		service_quote(&word, s->words[i].text);
		if (fold && (is_o || after_o)) {
			buf_addf(out, "\n%*s%s", PRINT_INDENT, "", buf_str(&word));
			col = PRINT_INDENT + word.len;
		} else
			print_word(out, width, &col, buf_str(&word), word.len);
		after_o = is_o;
	}
	buf_fini(&word);
}

void
service_add_entry(struct buf *out, const struct service *s, bool fold)
{
	static const unsigned char columns[] = { 0, 11, 17, 25, 33, 41, 49, 57 };
	size_t	start = out->len, col;

	for (size_t i = 0; i < SERVICE_COMMAND; i++) {
		buf_adds(out, s->entry->field[i]);
		do
			buf_addc(out, ' ');
		while (out->len - start < columns[i + 1]);
	}
	/* print_word puts the last of these blanks itself */
	buf_cut(out, out->len - 1);
	col = out->len - start;
	service_add_command(out, s, fold, col);
}

int
service_parse(const struct service *s, int field, const char *value, struct master_cf_entry **entry_r,
    struct buf *why)
{
	struct buf text = BUF_INIT(MASTER_CF_LINE_MAX);
	int	ret;

	for (int i = 0; i < SERVICE_COMMAND; i++)
		buf_addf(&text, "%s ", i == field ? value : s->entry->field[i]);
	if (field == SERVICE_COMMAND)
		buf_adds(&text, value);
	else
		service_add_command(&text, s, false, 0);
	if (text.full) {
		buf_addf(why, "longer than %u bytes", MASTER_CF_LINE_MAX);
		ret = -1;
	} else
		ret = master_cf_entry_parse(buf_str(&text), entry_r, why);
	buf_fini(&text);
	return ret;
}
