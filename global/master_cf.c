/* global/master_cf.c - master.cf as a list of services */
#include "master_cf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include <util/cfline.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>

#define MASTER_CF_SHOWN	60		/* bytes of a bad word shown in a message */

const char *const master_cf_fields[8] = {
	"service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command",
};
enum { FIELD_SERVICE, FIELD_TYPE, FIELD_PRIVATE, FIELD_UNPRIV, FIELD_CHROOT, FIELD_WAKEUP, FIELD_MAXPROC, FIELD_COMMAND };

static const char *const master_cf_types[] = {
	[MASTER_INET] = "inet",
	[MASTER_UNIX] = "unix",
	[MASTER_UNIX_DGRAM] = "unix-dgram",
	[MASTER_FIFO] = "fifo",
	[MASTER_PASS] = "pass",
};

static const char master_cf_blank[] = " \t\r\n";

const char *
master_cf_type_name(enum master_cf_type type)
{
	return master_cf_types[type];
}

bool
master_cf_type_find(const char *name, enum master_cf_type *type_r)
{
	for (size_t i = 0; i < NELEM(master_cf_types); i++)
		if (strcmp(name, master_cf_types[i]) == 0) {
			*type_r = (enum master_cf_type) i;
			return true;
		}
	return false;
}

/* master_cf_complain - "PROBLEM "WORD"; ADVICE", the word made printable */
static int
master_cf_complain(struct buf *why, const char *problem, const char *word, const char *advice)
{
	char	shown[MASTER_CF_SHOWN + 1];

	buf_addf(why, "%s \"%s\"; %s", problem, msg_clean(shown, sizeof shown, word), advice);
	return -1;
}

static int
master_cf_bad_field(struct buf *why, int field, const char *value, const char *advice)
{
	char   *problem = mem_printf("field \"%s\": bad value:", master_cf_fields[field]);
	int	ret = master_cf_complain(why, problem, value, advice);

	mem_free(&problem);
	return ret;
}

/* master_cf_yesno - y, n, or - for the default */
static int
master_cf_yesno(const struct master_cf_entry *e, int field, bool def, bool *r, struct buf *why)
{
	const char *text = e->field[field];

	if (strcmp(text, "-") == 0)
		*r = def;
	else if (strcmp(text, "y") == 0 || strcmp(text, "n") == 0)
		*r = *text == 'y';
	else
		return master_cf_bad_field(why, field, text, "use y, n, or - for the default");
	return 0;
}

/* master_cf_number - digits, or - for the default; suffix, if not 0, may follow and is reported */
static int
master_cf_number(const struct master_cf_entry *e, int field, int def, char suffix, int *r, bool *suffix_r,
    struct buf *why)
{
	char   *text = mem_strdup(e->field[field]);
	size_t	len = strlen(text);
	int64_t n = def;
	int	ret = 0;

	*suffix_r = suffix != 0 && len > 1 && text[len - 1] == suffix;
	if (*suffix_r)
		text[len - 1] = 0;
	if ((strcmp(text, "-") != 0 || *suffix_r) &&
	    (*text < '0' || *text > '9' || !units_int_parse(text, &n) || n > INT_MAX))
		ret = master_cf_bad_field(why, field, e->field[field], suffix != 0 ?
		    "use seconds, with ? to wake up only a service in use, or -" : "use a number, or - for the default");
	*r = (int) n;
	mem_free(&text);
	return ret;
}

/* master_cf_fields_parse - give the eight fields their meaning */
static int
master_cf_fields_parse(struct master_cf_entry *e, struct buf *why)
{
	static const int must[] = { FIELD_SERVICE, FIELD_TYPE, FIELD_COMMAND };
	bool	unused;

	for (size_t i = 0; i < NELEM(must); i++)
		if (strcmp(e->field[must[i]], "-") == 0) {
			buf_addf(why, "field \"%s\" has no default value; write one", master_cf_fields[must[i]]);
			return -1;
		}
	if (!master_cf_type_find(e->field[FIELD_TYPE], &e->type))
		return master_cf_complain(why, "bad transport type:", e->field[FIELD_TYPE],
		    "use inet, unix, unix-dgram, fifo or pass");
	if (master_cf_yesno(e, FIELD_PRIVATE, true, &e->is_private, why) < 0 ||
	    master_cf_yesno(e, FIELD_UNPRIV, true, &e->unpriv, why) < 0 ||
	    master_cf_yesno(e, FIELD_CHROOT, false, &e->chroot, why) < 0 ||
	    master_cf_number(e, FIELD_WAKEUP, 0, '?', &e->wakeup_s, &e->wakeup_lazy, why) < 0 ||
	    master_cf_number(e, FIELD_MAXPROC, -1, 0, &e->maxproc, &unused, why) < 0)
		return -1;
	if (e->type == MASTER_INET && e->is_private) {
		buf_addf(why, "inet service cannot be private; write n in the third field");
		return -1;
	}
	e->name = mem_strdup(e->field[FIELD_SERVICE]);
	e->command = mem_strdup(e->field[FIELD_COMMAND]);
	return 0;
}

/* master_cf_word - cut the next word; blanks inside { } belong to it
 * returns   NULL at the end */
static char *
master_cf_word(const char **p)
{
	const char *start = *p + strspn(*p, master_cf_blank), *end;
	size_t	nest = 0;

	for (end = start; *end != 0 && (nest > 0 || strchr(master_cf_blank, *end) == NULL); end++) {
		if (*end == '{')
			nest++;
		else if (*end == '}' && nest > 0)
			nest--;
	}
	*p = end;
	return end > start ? mem_strndup(start, (size_t) (end - start)) : NULL;
}

/* master_cf_unbrace - remove the braces around a word, and the blanks inside them; -1 with why */
static int
master_cf_unbrace(char *word, struct buf *why)
{
	size_t	nest = 0, end, start;

	if (*word != '{')
		return 0;
	for (end = 0; word[end] != 0; end++) {
		if (word[end] == '{')
			nest++;
		else if (word[end] == '}' && --nest == 0)
			break;
	}
	if (word[end] == 0)
		return master_cf_complain(why, "missing '}' in", word, "close each { of an argument");
	if (word[end + 1] != 0)
		return master_cf_complain(why, "syntax error after '}' in", word, "put a blank after the }");
	start = 1 + strspn(word + 1, master_cf_blank);
	if (start > end)
		start = end;
	while (end > start && strchr(master_cf_blank, word[end - 1]) != NULL)
		end--;
	memmove(word, word + start, end - start);
	word[end - start] = 0;
	return 0;
}

int
master_cf_entry_parse(const char *text, struct master_cf_entry **entry_r, struct buf *why)
{
	struct master_cf_entry *e = mem_alloc(sizeof *e);
	size_t	room = 0;
	char   *word;

	e->argv = mem_array(1, sizeof *e->argv);
	for (size_t i = 0; i < NELEM(e->field); i++) {
		text += strspn(text, master_cf_blank);
		if (*text == 0) {
			buf_addf(why, "missing \"%s\" field; an entry has eight fields", master_cf_fields[i]);
			goto bad;
		}
		e->field[i] = mem_strndup(text, strcspn(text, master_cf_blank));
		text += strlen(e->field[i]);
	}
	if (master_cf_fields_parse(e, why) < 0)
		goto bad;
	while ((word = master_cf_word(&text)) != NULL) {
		if (e->argc == room) {
			room = room == 0 ? 8 : room * 2;
			e->argv = mem_grow(e->argv, room + 1, sizeof *e->argv);
		}
		e->argv[e->argc++] = word;
		e->argv[e->argc] = NULL;
		if (master_cf_unbrace(word, why) < 0)
			goto bad;
	}
	*entry_r = e;
	return 0;
bad:
	master_cf_entry_free(&e);
	return -1;
}

void
master_cf_entry_free(struct master_cf_entry **ep)
{
	struct master_cf_entry *e = *ep;

	if (e == NULL)
		return;
	for (size_t i = 0; i < e->argc; i++)
		mem_free(&e->argv[i]);
	for (size_t i = 0; i < NELEM(e->field); i++)
		mem_free(&e->field[i]);
	mem_free(&e->argv);
	mem_free(&e->name);
	mem_free(&e->command);
	mem_free(ep);
}

/* master_cf_line - take one logical line; -1 with why */
static int
master_cf_line(struct master_cf *list, const char *file, const struct cfline *l, master_cf_warn_fn *warn, void *ctx,
    struct buf *why)
{
	struct master_cf_entry *e;
	struct buf reason = BUF_INIT(1000);
	char	shown[MASTER_CF_SHOWN + 1], *text;
	int	ret = -1;

	if (l->orphan) {
		text = mem_printf("%s: line %u: logical line must not start with whitespace: \"%s\"", file, l->first,
		    msg_clean(shown, sizeof shown, buf_str(&l->text)));
		warn(ctx, text);
		mem_free(&text);
		return 0;
	}
	if (l->cut)
		buf_addf(&reason, "longer than %u bytes", MASTER_CF_LINE_MAX);
	else if (strlen(buf_str(&l->text)) != l->text.len)
		buf_addf(&reason, "null byte in text; remove it");
	else
		ret = master_cf_entry_parse(buf_str(&l->text), &e, &reason);
	if (ret == 0) {
		e->line = l->first;
		TAILQ_INSERT_TAIL(list, e, link);
	} else
		buf_addf(why, "%s%s: line %u: %s", why->len > 0 ? "\n" : "", file, l->first, buf_str(&reason));
	buf_fini(&reason);
	return ret;
}

int
master_cf_parse(struct master_cf *list, const char *file, const char *text, size_t n, master_cf_warn_fn *warn,
    void *ctx, struct buf *why)
{
	struct cfline l;
	int	ret = 0;

	TAILQ_INIT(list);
	cfline_init(&l, text, n, MASTER_CF_LINE_MAX);
	while (cfline_next(&l))
		if (master_cf_line(list, file, &l, warn, ctx, why) < 0)
			ret = -1;		/* and go on, so that all bad lines are named at once */
	cfline_fini(&l);
	if (ret < 0)
		master_cf_free(list);
	return ret;
}

int
master_cf_read(struct master_cf *list, const char *dir, master_cf_warn_fn *warn, void *ctx, struct buf *why)
{
	struct buf text = BUF_INIT(MASTER_CF_FILE_MAX);
	char   *path = mem_printf("%s/master.cf", dir);
	int	ret = -1;

	TAILQ_INIT(list);
	if (buf_read_file(&text, AT_FDCWD, path) < 0)
		buf_addf(why, "open %s: %s", path, errno == EFBIG ? "larger than any master.cf should be (4 MB)" :
		    strerror(errno));
	else
		ret = master_cf_parse(list, path, buf_str(&text), text.len, warn, ctx, why);
	buf_fini(&text);
	mem_free(&path);
	return ret;
}

void
master_cf_free(struct master_cf *list)
{
	struct master_cf_entry *e;

	while ((e = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, e, link);
		master_cf_entry_free(&e);
	}
}
