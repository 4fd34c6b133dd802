/* daemons/smtpd/message.c - the header of a message, what we put before it, and readers over the whole
 * source: RFC 5322 section 2.2, RFC 5321 section 4.4
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <global/mail_date.h>
#include <util/mem.h>
#include <util/utf8.h>

#include "smtpd.h"

void
header_scan_init(struct header_scan *h)
{
	memset(h, 0, sizeof *h);
	h->first = true;
}

/* header_scan_stop - the header ends before `at`; the body begins at `body` */
static void
header_scan_stop(struct header_scan *h, struct vh_txn *t, uint64_t at, uint64_t body)
{
	h->done = true;
	t->head_size = at;
	t->body_at = body;
}

static bool
header_ftext(int c)
{
	return c > ' ' && c < 127 && c != ':';
}

/* header_scan_byte - at the beginning of a line and in its name; after that only the line end counts */
static void
header_scan_byte(struct header_scan *h, struct vh_txn *t, int c)
{
	switch (h->at) {
	case HEADER_LINE:
		h->line = h->offset;
		if (c == '\r')
			h->at = HEADER_CR;
		else if ((c == ' ' || c == '\t') && !h->first)
			h->at = HEADER_VALUE;
		else if (header_ftext(c))
			h->at = HEADER_NAME;
		else
			header_scan_stop(h, t, h->line, h->line);
		h->first = false;
		break;
	case HEADER_NAME:
	case HEADER_NAME_END:
		if (c == ':')
			h->at = HEADER_VALUE;
		else if (c == ' ' || c == '\t')
			h->at = HEADER_NAME_END;
		else if (h->at == HEADER_NAME_END || !header_ftext(c))
			header_scan_stop(h, t, h->line, h->line);
		break;
	case HEADER_VALUE:
		break;
	case HEADER_CR:				/* the empty line: its LF */
		header_scan_stop(h, t, h->line, h->offset + 1);
		break;
	}
}

void
header_scan_add(struct header_scan *h, struct vh_txn *t, const char *p, size_t n)
{
	const char *end = p + n, *lf;

	for (; p < end && !h->done; p++, h->offset++) {
		if (h->at != HEADER_VALUE) {
			header_scan_byte(h, t, (unsigned char) *p);
			continue;
		}
		lf = memchr(p, '\n', (size_t) (end - p));
		h->offset += (uint64_t) ((lf != NULL ? lf : end - 1) - p);
		p = lf != NULL ? lf : end - 1;
		if (lf != NULL)
			h->at = HEADER_LINE;
	}
	if (!h->done && h->offset > smtpd.conf.header_limit)
		header_scan_stop(h, t, h->line, h->line);	/* that is no header any more, or we do not want to know */
}

void
header_scan_end(struct header_scan *h, struct vh_txn *t)
{
	if (h->done)
		return;
	if (h->at == HEADER_NAME || h->at == HEADER_NAME_END)
		header_scan_stop(h, t, h->line, h->line);
	else
		header_scan_stop(h, t, h->offset, h->offset);
}

/* header_text - the header as received, in one piece */
static const char *
header_text(const struct vh_txn *ct, size_t *n_r)
{
	struct vh_txn *t = (struct vh_txn *) (uintptr_t) ct;	/* the copy is a cache */
	size_t	have;
	ssize_t n;
	char   *room;

	*n_r = (size_t) t->head_size;
	if (t->body.fd < 0)
		return *n_r <= t->body.mem.len ? t->body.mem.data : NULL;
	while ((have = t->head.len) < t->head_size) {
		if ((room = buf_room(&t->head, (size_t) t->head_size - have)) == NULL ||
		    (n = body_read(&t->body, have, room, (size_t) t->head_size - have)) <= 0)
			return NULL;
		buf_grew(&t->head, (size_t) n);
	}
	return t->head.data;
}

const char *
vh_header(const struct vh_txn *t, const char *name, size_t nth, size_t *len_r)
{
	size_t	n, len = strlen(name);
	const char *p = header_text(t, &n), *end, *line, *lf, *value;

	if (p == NULL)
		return NULL;
	for (end = p + n; p < end; ) {
		line = p;
		do {					/* to the end of the folded line */
			lf = memchr(p, '\n', (size_t) (end - p));
			p = lf != NULL ? lf + 1 : end;
		} while (p < end && (*p == ' ' || *p == '\t'));
		if ((size_t) (p - line) <= len || strncasecmp(line, name, len) != 0)
			continue;
		for (value = line + len; value < p && (*value == ' ' || *value == '\t'); value++)
			;
		if (value == p || *value != ':' || nth-- > 0)
			continue;
		for (value++; value < p && (*value == ' ' || *value == '\t'); value++)
			;
		*len_r = (size_t) (p - value);
		while (*len_r > 0 && (value[*len_r - 1] == '\n' || value[*len_r - 1] == '\r'))
			--*len_r;
		return value;
	}
	return NULL;
}

/* header_value - append a value, '\n' as CR LF; false: a line end that is no folding, or control characters */
static bool
header_value(struct buf *out, const char *value)
{
	size_t	run;

	for (const char *p = value; *p != 0; p += run) {
		for (run = 0; ((unsigned char) p[run] >= ' ' && p[run] != 127) || p[run] == '\t'; run++)
			;
		buf_add(out, p, run);
		if (p[run] == 0)
			break;
		if (p[run] != '\n' || (p[run + 1] != ' ' && p[run + 1] != '\t'))
			return false;
		buf_adds(out, "\r\n");
		run++;
	}
	return utf8_valid(value, strlen(value));
}

static void
message_words(struct buf *out, const char *const *words)
{
	for (; *words != NULL; words++)
		buf_adds(out, *words);
}

bool
vh_header_add(struct vh_txn *t, const char *name, const char *value)
{
	struct buf all = BUF_INIT(t->added.max);
	bool	ok = *name != 0;

	for (const char *p = name; *p != 0; p++)
		ok = ok && header_ftext((unsigned char) *p);
	if (ok) {
		message_words(&all, (const char *const []) { name, ": ", NULL });
		ok = header_value(&all, value);
		buf_adds(&all, "\r\n");
		buf_add(&all, buf_str(&t->added), t->added.len);
	}
	if (!ok || all.full) {
		buf_fini(&all);
		return false;
	}
	buf_fini(&t->added);
	t->added = all;
	return true;
}

/* message_date - now; made once a second */
static const char *
message_date(void)
{
	static int64_t made_s = -1;
	static char date[64];
	int64_t now_s = ev_wall_s(smtpd.loop);

	if (now_s != made_s)
		mail_date(date, sizeof date, now_s);
	made_s = now_s;
	return date;
}

void
message_received(struct vh_conn *s, struct vh_txn *t, const char *value)
{
	struct buf text = BUF_INIT(4096);

	if (value != NULL && vh_header_add(t, "Received", value))
		return;
	message_words(&text, (const char *const []) { "from ", s->hello != NULL ? s->hello : "unknown", " (", vh_conn_host(s), " [",
	    s->peer.ss_family == AF_INET6 ? "IPv6:" : "", s->ip, "])\n", NULL });
	if (s->tls[0] != 0)
		message_words(&text, (const char *const []) { "\t(using ", s->tls, " with cipher ", s->cipher, ")\n", NULL });
	message_words(&text, (const char *const []) { "\tby ", smtpd.conf.hostname, " (", smtpd.conf.mail_name, ") with ",
	    t->smtputf8 ? "UTF8SMTP" : s->esmtp ? "ESMTP" : "SMTP", s->tls[0] != 0 && s->esmtp ? "S" : "", " id ", t->id, NULL });
	if (t->rcpts == 1)
		message_words(&text, (const char *const []) { "\n\tfor <", t->rcpt[0]->text, ">", NULL });
	message_words(&text, (const char *const []) { ";\n\t", message_date(), NULL });
	if (!vh_header_add(t, "Received", buf_str(&text)))
		vh_header_add(t, "Received", "by unknown");		/* an address with a control character: cannot be */
	buf_fini(&text);
}

/* readers */

struct vh_reader {
	const struct vh_txn *txn;
	bool	added;			/* what was put before it comes first */
	uint64_t at;
};

static uint64_t
message_start(const struct vh_txn *t, enum vh_part part)
{
	return part == VH_BODY ? t->body_at : 0;
}

uint64_t
vh_message_size(const struct vh_txn *t, enum vh_part part)
{
	uint64_t size = body_size(&t->body), start = message_start(t, part);

	size = size > start ? size - start : 0;
	return size + (part == VH_MESSAGE ? t->added.len : 0);
}

struct vh_reader *
vh_reader_open(const struct vh_txn *t, enum vh_part part)
{
	struct vh_reader *r = mem_alloc(sizeof *r);

	r->txn = t;
	r->added = part == VH_MESSAGE;
	r->at = r->added ? 0 : message_start(t, part);
	return r;
}

ssize_t
vh_reader_read(struct vh_reader *r, void *out, size_t n)
{
	const struct buf *added = &r->txn->added;
	ssize_t got;

	if (r->added && r->at < added->len) {
		if (n > added->len - (size_t) r->at)
			n = added->len - (size_t) r->at;
		memcpy(out, added->data + r->at, n);
		r->at += n;
		return (ssize_t) n;
	}
	if (r->added) {
		r->added = false;
		r->at = 0;
	}
	if ((got = body_read(&r->txn->body, r->at, out, n)) > 0)
		r->at += (uint64_t) got;
	return got;
}

void
vh_reader_close(struct vh_reader **rp)
{
	mem_free(rp);
}

int
vh_tempfile(struct vh_txn *t)
{
	int	fd = body_file(smtpd.spool_fd);

	if (fd >= 0) {
		t->files = mem_grow(t->files, t->files_n + 1, sizeof *t->files);
		t->files[t->files_n++] = fd;
	}
	return fd;
}
