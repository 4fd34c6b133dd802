/* commands/vouchconf/edit_services.c - change master.cf
 * The file is copied logical line by logical line. Lines that no request is about stay as they are.
 */
#include "vouchconf.h"

#include <errno.h>
#include <string.h>

#include <util/cfline.h>
#include <util/fileedit.h>
#include <util/mem.h>
#include <util/msg.h>
#include <global/params.h>
#include "request.h"
#include "service.h"

/* one edit of a file, under way */
struct edit {
	const struct conf *conf;
	enum main_cf_edit_op op;
	struct request *requests;
	struct master_cf_entry **entries;	/* -M: what each request puts in place; NULL otherwise */
	size_t	nrequests;
	char   *path;
	struct main_cf *cf;			/* main.cf, for the values of -P; read when needed */
	struct buf out;
};

/* edit_add - write an entry in the form of -Mf */
static void
edit_add(struct edit *e, const struct service *s)
{
	if (e->out.len > 0 && e->out.data[e->out.len - 1] != '\n')
		buf_addc(&e->out, '\n');
	service_add_entry(&e->out, s, true);
	buf_addc(&e->out, '\n');
}

/* edit_copy - copy physical lines of an entry: the comments between them, its own lines with a mark before each, or both
 * mark      NULL: the entry's own lines are left out */
static void
edit_copy(struct edit *e, const struct cfline *l, const char *mark)
{
	enum cfline_kind kind;
	const char *next;

	for (const char *p = l->raw; p < l->raw_end; p = next) {
		next = cfline_physical(p, l->raw_end, &kind);
		if (kind != CFLINE_VOID && mark == NULL)
			continue;
		if (kind != CFLINE_VOID)
			buf_adds(&e->out, mark);
		buf_add(&e->out, p, (size_t) (next - p));
	}
}

/* edit_field - set one field; -1 with why. entry is replaced */
static int
edit_field(struct master_cf_entry **entry, const struct request *r, struct buf *why)
{
	struct master_cf_entry *changed;
	struct service s;
	int	ret;

	service_init(&s, *entry);
	ret = service_parse(&s, r->field, r->value, &changed, why);
	service_fini(&s);
	if (ret == 0) {
		master_cf_entry_free(entry);
		*entry = changed;
	}
	return ret;
}

/* edit_config - main.cf for testing a -P value; when it cannot be read, the value is tested alone */
static const struct main_cf *
edit_config(struct edit *e)
{
	struct buf why = BUF_INIT(4096);

	if (e->cf == NULL && (e->cf = main_cf_read(e->conf->dir, conf_quiet, NULL, &why)) == NULL) {
		msg_warn("%s", buf_str(&why));
		e->cf = main_cf_new();
	}
	buf_fini(&why);
	return e->cf;
}

/* edit_option - set or remove one -o; -1 when the value is bad (said). entry is replaced */
static int
edit_option(struct edit *e, struct master_cf_entry **entry, const struct request *r, struct buf *why)
{
	struct master_cf_entry *changed;
	struct main_cf *both;
	struct service s;
	int	ret;

	service_init(&s, *entry);
	if (e->op == MAIN_CF_REMOVE)
		service_remove(&s, r->part[2]);
	else
		service_set(&s, r->part[2], r->value);
	both = service_config(&s, edit_config(e));
	ret = e->op == MAIN_CF_SET && edit_refused(both, r->part[2]) ? -1 :
	    service_parse(&s, -1, NULL, &changed, why);
	main_cf_free(&both);
	service_fini(&s);
	if (ret == 0) {
		master_cf_entry_free(entry);
		*entry = changed;
	}
	return ret;
}

/* edit_rewrite - -F and -P: all requests about this entry, in order; -1 when one does not fit (said) */
static int
edit_rewrite(struct edit *e, const struct cfline *l, struct master_cf_entry **entry)
{
	struct buf why = BUF_INIT(4096);
	struct service s;
	bool	about = false;

	for (size_t i = 0; i < e->nrequests; i++) {
		struct request *r = &e->requests[i];

		if (!request_match(r, *entry))
			continue;
		about = true;
		if ((e->conf->mode == CONF_FIELDS ? edit_field(entry, r, &why) : edit_option(e, entry, r, &why)) < 0) {
			if (why.len > 0)
				conf_fatal("nothing is changed: %s: %s", e->path, buf_str(&why));
			buf_fini(&why);
			return -1;
		}
	}
	buf_fini(&why);
	if (!about) {
		buf_add(&e->out, l->raw, (size_t) (l->raw_end - l->raw));
		return 0;
	}
	edit_copy(e, l, NULL);			/* comments inside the entry come before it */
	service_init(&s, *entry);
	edit_add(e, &s);
	service_fini(&s);
	return 0;
}

static bool
edit_same(const struct master_cf_entry *a, const struct master_cf_entry *b)
{
	return strcmp(a->name, b->name) == 0 && a->type == b->type;
}

/* edit_replace - -M: entries that a request is about, or that would be there twice, give way to the new one */
static void
edit_replace(struct edit *e, const struct cfline *l, const struct master_cf_entry *entry)
{
	struct service s;

	for (size_t i = 0; i < e->nrequests; i++) {
		bool	first = !e->requests[i].matched;

		if (!request_match(&e->requests[i], entry) &&
		    (e->op != MAIN_CF_SET || !edit_same(entry, e->entries[i])))
			continue;
		e->requests[i].matched = true;
		if (e->op == MAIN_CF_COMMENT) {
			edit_copy(e, l, "#");
			return;
		}
		if (e->op == MAIN_CF_SET && first) {
			service_init(&s, e->entries[i]);
			edit_add(e, &s);
			service_fini(&s);
		}
		edit_copy(e, l, NULL);
		return;
	}
	buf_add(&e->out, l->raw, (size_t) (l->raw_end - l->raw));
}

/* edit_text - make the new text of the file in e->out; -1 when that cannot be (said) */
static int
edit_text(struct edit *e, const struct buf *text)
{
	const char *copied = buf_str(text);
	struct buf why = BUF_INIT(4096);
	struct cfline l;
	int	ret = 0;

	cfline_init(&l, copied, text->len, MASTER_CF_LINE_MAX);
	while (ret == 0 && cfline_next(&l)) {
		struct master_cf_entry *entry = NULL;

		buf_add(&e->out, copied, (size_t) (l.raw - copied));
		copied = l.raw_end;
		if (l.orphan)
			buf_add(&e->out, l.raw, (size_t) (l.raw_end - l.raw));
		else if (l.cut || master_cf_entry_parse(buf_str(&l.text), &entry, &why) < 0) {
			conf_fatal("%s: line %u: %s", e->path, l.first, l.cut ? "too long" : buf_str(&why));
			ret = -1;
		} else if (e->conf->mode == CONF_ENTRIES)
			edit_replace(e, &l, entry);
		else
			ret = edit_rewrite(e, &l, &entry);
		master_cf_entry_free(&entry);
	}
	if (ret == 0)
		buf_add(&e->out, copied, (size_t) (buf_str(text) + text->len - copied));
	cfline_fini(&l);
	buf_fini(&why);
	return ret;
}

/* edit_rest - requests that no entry answered: -M appends, the others are told of */
static void
edit_rest(struct edit *e, char **args)
{
	struct service s;

	for (size_t i = 0; i < e->nrequests; i++) {
		if (e->requests[i].matched || (e->conf->mode == CONF_ENTRIES && e->op != MAIN_CF_SET))
			continue;
		if (e->conf->mode == CONF_ENTRIES) {
			service_init(&s, e->entries[i]);
			edit_add(e, &s);
			service_fini(&s);
		} else
			msg_warn("unmatched service_name/type: \"%s\"", args[i]);
	}
}

/* edit_request - one argument of the command line; CONF_OK or CONF_USAGE (said) */
static int
edit_request(const struct conf *c, enum main_cf_edit_op op, char *arg, struct request *r, struct master_cf_entry **entry_r)
{
	struct buf why = BUF_INIT(4096);
	const char *name, *value;
	int	ret = edit_argument(arg, op, &name, &value);

	if (ret == CONF_OK)
		ret = request_parse(r, c, name, c->mode == CONF_ENTRIES ? 2 : 3);
	if (ret != CONF_OK)
		return ret;
	r->value = value;
	if (c->mode == CONF_ENTRIES && op == MAIN_CF_SET) {
		if (master_cf_entry_parse(value, entry_r, &why) < 0) {
			conf_fatal("\"%s\": %s", value, buf_str(&why));
			ret = CONF_USAGE;
		}
	} else if (c->mode != CONF_ENTRIES && request_any(r->part[2])) {
		conf_fatal("\"%s\": an edit needs one name after the second slash, not *", name);
		ret = CONF_USAGE;
	} else if (c->mode == CONF_FIELDS && strcmp(r->part[2], "command") != 0 &&
	    (*value == 0 || *value == '#' || strpbrk(value, " \t") != NULL)) {
		conf_fatal("\"%s\": the field %s takes one word", value, r->part[2]);
		ret = CONF_USAGE;
	}
	buf_fini(&why);
	return ret;
}

/* edit_commit - put the new text in place; CONF_OK, or CONF_FAILED (said) */
static int
edit_commit(struct edit *e, struct fileedit **f, const struct buf *text)
{
	struct buf why = BUF_INIT(4096);
	struct master_cf list;
	int	ret = CONF_FAILED;

	TAILQ_INIT(&list);
	if (e->out.full)
		conf_fatal("%s would become larger than %u bytes", e->path, MASTER_CF_FILE_MAX);
	else if (master_cf_parse(&list, e->path, buf_str(&e->out), e->out.len, conf_quiet, NULL, &why) < 0)
		conf_fatal("nothing is changed: %s: %s", e->path, buf_str(&why));
	else if (e->out.len == text->len && memcmp(buf_str(&e->out), buf_str(text), text->len) == 0)
		ret = CONF_OK;
	else if (fileedit_commit(f, buf_str(&e->out), e->out.len, &why) < 0)
		conf_fatal("%s", buf_str(&why));
	else
		ret = CONF_OK;
	master_cf_free(&list);
	buf_fini(&why);
	return ret;
}

int
edit_services(const struct conf *c, enum main_cf_edit_op op, char **args, size_t n)
{
	struct edit e = { .conf = c, .op = op, .nrequests = n, .out = BUF_INIT(MASTER_CF_FILE_MAX) };
	struct buf text = BUF_INIT(MASTER_CF_FILE_MAX), why = BUF_INIT(4096);
	struct fileedit *f = NULL;
	int	ret = CONF_OK;

	e.requests = mem_array(n, sizeof *e.requests);
	e.entries = mem_array(n, sizeof *e.entries);
	e.path = mem_printf("%s/master.cf", c->dir);
	for (size_t i = 0; i < n && ret == CONF_OK; i++)
		ret = edit_request(c, op, args[i], &e.requests[i], &e.entries[i]);
	if (ret != CONF_OK)
		goto out;
	ret = CONF_FAILED;
	if ((f = fileedit_open(e.path, &text, EDIT_WAIT_MS, &why)) == NULL) {
		ret = errno == EWOULDBLOCK ? CONF_LATER : CONF_FAILED;
		conf_fatal("%s", buf_str(&why));
	} else if (edit_text(&e, &text) == 0) {
		edit_rest(&e, args);
		ret = edit_commit(&e, &f, &text);
	}
out:
	fileedit_abandon(&f);
	for (size_t i = 0; i < n; i++) {
		request_fini(&e.requests[i]);
		master_cf_entry_free(&e.entries[i]);
	}
	mem_free(&e.requests);
	mem_free(&e.entries);
	mem_free(&e.path);
	main_cf_free(&e.cf);
	buf_fini(&e.out);
	buf_fini(&text);
	buf_fini(&why);
	return ret;
}
