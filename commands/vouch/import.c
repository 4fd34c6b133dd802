/* commands/vouch/import.c - import: results from an old verify cache or from another vouch, with their times
 * Two forms are read, told apart by the first line:
 *   address,status,probed,updated,text	what "vouch export" writes (RFC 4180)
 *   KEY <tab> STATUS:PROBED:UPDATED:TEXT	what "postmap -s btree:/path" prints (spec verify-protocol section 6)
 * What says only that a probe was under way is left out. Newer results stay, and OK stays, as with any update.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <global/verify_db.h>
#include <util/csv.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>
#include <util/utf8.h>

#include "progress.h"
#include "records.h"

#define IMPORT_ROWS	2000		/* in one statement */
#define IMPORT_BYTES	((size_t) 1 << 20) /* likewise, about; PG_ARGS_BYTES is the limit */
#define IMPORT_LINE_MAX	(64u << 10)
#define IMPORT_COMPLAINTS 5
#define IMPORT_HEADER	"address,status,probed,updated,text"
#define IMPORT_STAMP	"_LAST_CACHE_CLEANUP_COMPLETED_"	/* verify(8)'s own entry, not an address */
#define IMPORT_FIELDS	5

struct import_row {
	char   *addr, *text;
	enum verify_status status;
	int64_t	updated_s;
};

struct import {
	struct records records;
	const char *file;
	bool	 utf8;
	uint64_t line, bad, open, old, done, bytes, size;
	unsigned n;
	size_t	 waiting;		/* bytes of the rows */
	struct import_row row[IMPORT_ROWS];
};

static void
import_bad(struct import *m, const char *why)
{
	if (m->bad++ < IMPORT_COMPLAINTS) {
		progress_end();
		vouch_sorry("%s, line %llu: %s", m->file, (unsigned long long) m->line, why);
	}
}

/* writing */

static int
import_row_cmp(const void *a, const void *b)
{
	const struct import_row *x = a, *y = b;
	int	c = strcmp(x->addr, y->addr);

	return c != 0 ? c : (x->updated_s > y->updated_s) - (x->updated_s < y->updated_s);
}

/* import_unite - of several rows for one address the one that would be left if they had come one after the other */
static void
import_unite(struct import *m)
{
	struct import_row *r, *last;
	unsigned n = 0;

	qsort(m->row, m->n, sizeof m->row[0], import_row_cmp);
	for (unsigned i = 0; i < m->n; i++) {
		r = &m->row[i];
		last = n > 0 ? &m->row[n - 1] : NULL;
		if (last == NULL || strcmp(last->addr, r->addr) != 0) {
			m->row[n++] = *r;
			continue;
		}
		m->old++;
		if (last->status == VERIFY_OK && r->status != VERIFY_OK) {
			free(r->addr);
			free(r->text);
		} else {
			free(last->addr);
			free(last->text);
			*last = *r;
		}
	}
	m->n = n;
}

/* import_db - the rows that wait, in one statement */
static int
import_db(struct import *m)
{
	struct database_answer a;
	struct pg_args args;
	struct import_row *r;
	int64_t stamp;
	unsigned n;
	int	ret = VOUCH_DONE;

	import_unite(m);
	n = m->n;
	/* anew for each statement: hosts go on reading meanwhile, and not again what is older */
	stamp = database_stamp(m->records.db, verify_db_kind.newest);
	pg_args_init(&args);
	pg_arg_array(&args, PG_TYPE_TEXT, n);
	for (r = m->row; r < m->row + n; r++)
		pg_elem_text(&args, r->addr, strlen(r->addr));
	pg_arg_array(&args, PG_TYPE_TEXT, n);
	for (r = m->row; r < m->row + n; r++)
		pg_elem_text(&args, r->text, strlen(r->text));
	pg_arg_array(&args, PG_TYPE_INT, n);
	for (r = m->row; r < m->row + n; r++)
		pg_elem_int(&args, stamp++);
	pg_arg_int(&args, 0);			/* no host: all of them take notice */
	pg_arg_array(&args, PG_TYPE_INT, n);
	for (r = m->row; r < m->row + n; r++)
		pg_elem_int(&args, r->status);
	pg_arg_array(&args, PG_TYPE_INT, n);
	for (r = m->row; r < m->row + n; r++)
		pg_elem_int(&args, r->updated_s);
	if (!database_ask(m->records.db, verify_db_put_sql, &args, &a)) {
		progress_end();
		vouch_sorry("%s: %s: stopped before line %llu", database_where(m->records.db), a.why, (unsigned long long) m->line);
		ret = VOUCH_TEMPORARY;
	} else {
		m->done += (uint64_t) a.rows;
		m->old += n - (uint64_t) a.rows;
	}
	pg_args_fini(&args);
	return ret;
}

static void
import_local(struct import *m)
{
	for (struct import_row *r = m->row; r < m->row + m->n; r++)
		switch (verify_store_put_result(m->records.store, r->addr, r->status, r->text, r->updated_s)) {
		case VERIFY_STORED:
		case VERIFY_WRITING:
			m->done++;
			break;
		case VERIFY_IGNORED:
			m->old++;
			break;
		case VERIFY_LOST:
			m->bad++;
			break;
		}
}

static int
import_flush(struct import *m)
{
	int	ret = VOUCH_DONE;

	if (m->n > 0 && m->records.db != NULL)
		ret = import_db(m);
	else if (m->n > 0)
		import_local(m);
	for (unsigned i = 0; i < m->n; i++) {
		free(m->row[i].addr);
		free(m->row[i].text);
	}
	m->n = 0;
	m->waiting = 0;
	if (ret == VOUCH_DONE)
		progress("imported", m->done + m->old, m->bytes, m->size);
	return ret;
}

/* import_add - one result; NULL, or what is wrong with it */
static const char *
import_add(struct import *m, const char *addr, const char *status, const char *probed, const char *updated, const char *text)
{
	struct import_row *r = &m->row[m->n];
	int64_t probed_s, updated_s;
	size_t	len = strlen(addr);

	if (!record_status(status, &r->status))
		return "the status is none of ok, defer, bounce, todo, 0, 1, 2, 3";
	if (!units_int_parse(probed, &probed_s) || !units_int_parse(updated, &updated_s) || probed_s < 0 || updated_s < 0 ||
	    updated_s > ((int64_t) 1 << 40))
		return "a time is not a number of seconds since 1970";
	if (updated_s == 0 || r->status == VERIFY_TODO) {
		m->open++;
		return NULL;
	}
	if (m->records.db != NULL ? !verify_db_key(addr, len) : len > SHMTAB_KEY_MAX)
		return "the address is too long, or not UTF-8, or begins with @";
	if (updated_s > m->records.now_s)
		updated_s = m->records.now_s;
	r->addr = mem_strdup(addr);
	for (char *p = r->addr; *p != 0; p++)
		if (*p == ':')
			*p = '_';
	r->text = mem_strdup(text);
	utf8_sanitise(r->text, strlen(r->text), m->utf8);
	r->text[utf8_cut(r->text, strlen(r->text), SHMTAB_VAL_MAX - ADDRESS_HEADER)] = 0;
	r->updated_s = updated_s;
	m->waiting += len + strlen(r->text);
	m->n++;
	return NULL;
}

/* reading */

/* import_postmap - "KEY\tSTATUS:PROBED:UPDATED:TEXT" */
static const char *
import_postmap(struct import *m, char *line)
{
	char   *value = strchr(line, '\t'), *part[4];

	if (value == NULL)
		return "no tab between address and value";
	*value++ = 0;
	if (strcmp(line, IMPORT_STAMP) == 0)
		return NULL;
	for (int i = 0; i < 3; i++)
		if ((part[i] = strsep(&value, ":")) == NULL || value == NULL)
			return "the value is not STATUS:PROBED:UPDATED:TEXT";
	part[3] = value;
	return import_add(m, line, part[0], part[1], part[2], part[3]);
}

/* import_csv - one record; a quoted field may hold line ends, and then more of the file is read into line */
static const char *
import_csv(struct import *m, FILE *f, struct buf *line)
{
	char   *field[IMPORT_FIELDS], *rest, *more = NULL;
	size_t	size = 0;
	int	n = 0;

	while (buf_addc(line, '\n') == 0 && csv_end(line->data, line->len) == 0) {
		if (getline(&more, &size, f) < 0 || buf_adds(line, more) < 0) {
			free(more);
			return "an open quote";
		}
		m->line++;
		m->bytes += strlen(more);
		if (line->data[line->len - 1] == '\n')
			buf_cut(line, line->len - 1);
	}
	free(more);
	if (line->full)
		return "the line is too long";
	buf_cut(line, line->len - 1);
	if (line->len > 0 && line->data[line->len - 1] == '\r')
		buf_cut(line, line->len - 1);
	rest = line->data;
	for (; rest != NULL && n < IMPORT_FIELDS; n++)
		field[n] = csv_next(&rest);
	if (rest != NULL)
		return "more than five fields";
	if (n != IMPORT_FIELDS)
		return "not five fields";
	return import_add(m, field[0], field[1], field[2], field[3], field[4]);
}

static int
import_read(struct import *m, FILE *f)
{
	struct buf line = BUF_INIT(IMPORT_LINE_MAX);
	char   *text = NULL;
	size_t	size = 0;
	ssize_t len;
	bool	csv = false;
	const char *why;
	int	ret = VOUCH_DONE;

	while (ret == VOUCH_DONE && (len = getline(&text, &size, f)) >= 0) {
		m->line++;
		m->bytes += (uint64_t) len;
		if (memchr(text, 0, (size_t) len) != NULL) {
			import_bad(m, "a NUL byte");
			continue;
		}
		while (len > 0 && strchr("\r\n", text[len - 1]) != NULL)
			text[--len] = 0;
		if (m->line == 1 && strcmp(text, IMPORT_HEADER) == 0) {
			csv = true;
			continue;
		}
		if (len == 0)
			continue;
		buf_reset(&line);
		if (buf_adds(&line, text) < 0) {
			import_bad(m, "the line is too long");
			continue;
		}
		why = csv ? import_csv(m, f, &line) : import_postmap(m, line.data);
		if (why != NULL)
			import_bad(m, why);
		if (m->n == IMPORT_ROWS || m->waiting >= IMPORT_BYTES)
			ret = import_flush(m);
	}
	if (ret == VOUCH_DONE && ferror(f)) {
		vouch_sorry("%s: %s", m->file, strerror(errno));
		ret = VOUCH_TEMPORARY;
	}
	if (ret == VOUCH_DONE)
		ret = import_flush(m);
	progress_end();
	free(text);
	buf_fini(&line);
	return ret;
}

int
vouch_import(struct vouch *v)
{
	struct import *m = mem_alloc(sizeof *m);
	struct stat st;
	FILE   *f = stdin;
	int	ret;

	m->file = v->argv[1];
	if (strcmp(m->file, "-") != 0 && (f = fopen(m->file, "re")) == NULL) {	/* before root becomes somebody else */
		vouch_sorry("%s: %s", m->file, strerror(errno));
		mem_free(&m);
		return VOUCH_REFUSED;
	}
	if (fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode))
		m->size = (uint64_t) st.st_size;
	ret = records_open(&m->records, v, RECORDS_DB | RECORDS_CHANGE);
	if (ret == VOUCH_DONE) {
		m->utf8 = m->records.params->smtputf8_enable;
		ret = import_read(m, f);
		vouch_say("imported=%llu known=%llu unfinished=%llu bad=%llu", (unsigned long long) m->done,
		    (unsigned long long) m->old, (unsigned long long) m->open, (unsigned long long) m->bad);
		if (ret == VOUCH_DONE && m->bad > 0)
			ret = VOUCH_REFUSED;
	}
	records_close(&m->records);
	if (f != stdin)
		fclose(f);
	mem_free(&m);
	return ret;
}
