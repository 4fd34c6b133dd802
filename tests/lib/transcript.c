/* tests/lib/transcript.c - recorded dialogues */
#include "transcript.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <util/mem.h>

#define TRANSCRIPT_MAX	(1u << 20)

/* transcript_line - take one line; -1 when it is malformed */
static int
transcript_line(struct transcript *t, struct buf *comment, char *line, unsigned number)
{
	struct transcript_msg *m;
	unsigned long off;
	char   *p, *end;

	if (line[0] == 0)
		return 0;
	if (line[0] == '#') {
		buf_adds(comment, line + 1 + (line[1] == ' '));
		buf_addc(comment, '\n');
		return 0;
	}
	if (strlen(line) < 8 || strchr("CSV", line[0]) == NULL || strchr("<>", line[1]) == NULL || line[2] != ' ')
		return -1;
	off = strtoul(line + 3, &p, 16);
	if (p != line + 7)
		return -1;
	if (off == 0) {
		t->msg = mem_grow(t->msg, t->n + 1, sizeof *t->msg);
		m = &t->msg[t->n++];
		memcpy(m->dir, (char[]) { line[0], line[1], 0 }, 3);
		m->line = number;
		buf_init(&m->data, TRANSCRIPT_MAX);
		m->comment = *comment;			/* its memory moves */
		buf_init(comment, TRANSCRIPT_MAX);
	}
	m = t->n > 0 ? &t->msg[t->n - 1] : NULL;
	if (m == NULL || strncmp(m->dir, line, 2) != 0 || m->data.len != off)
		return -1;
	for (; *p == ' '; p = end) {
		p += strspn(p, " ");
		if (!isxdigit((unsigned char) p[0]) || !isxdigit((unsigned char) p[1]) || p[2] != ' ')
			break;				/* the part for the eye */
		buf_addc(&m->data, (int) strtoul(p, &end, 16));
	}
	return m->data.len > off && *p == '|' ? 0 : -1;
}

int
transcript_read(struct transcript *t, const char *name, struct buf *why)
{
	struct buf text = BUF_INIT(TRANSCRIPT_MAX), path = BUF_INIT(4096), comment = BUF_INIT(TRANSCRIPT_MAX);
	char   *line, *next;
	unsigned number = 0;
	int	ret = -1;

	memset(t, 0, sizeof *t);
	buf_reset(why);
	buf_addf(&path, "tests/wire/transcripts/%s", name);
	if (buf_read_file(&text, AT_FDCWD, buf_str(&path)) < 0) {
		buf_addf(why, "%s: %s", buf_str(&path), strerror(errno));
		goto out;
	}
	for (line = text.data; line != NULL && *line != 0; line = next) {
		number++;
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = 0;
		if (transcript_line(t, &comment, line, number) < 0) {
			buf_addf(why, "%s, line %u: malformed", buf_str(&path), number);
			goto out;
		}
	}
	ret = 0;
out:
	if (ret < 0)
		transcript_fini(t);
	buf_fini(&comment);
	buf_fini(&path);
	buf_fini(&text);
	return ret;
}

void
transcript_fini(struct transcript *t)
{
	for (size_t i = 0; i < t->n; i++) {
		buf_fini(&t->msg[i].data);
		buf_fini(&t->msg[i].comment);
	}
	mem_free(&t->msg);
	t->n = 0;
}

size_t
transcript_join(const struct transcript *t, const char *dir, size_t from, bool run, struct buf *out)
{
	for (; from < t->n; from++) {
		if (strcmp(t->msg[from].dir, dir) == 0)
			buf_add(out, t->msg[from].data.data, t->msg[from].data.len);
		else if (run)
			break;
	}
	return from;
}
