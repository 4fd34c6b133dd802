/* global/body_wire.c - a message as it goes over the wire */
#include "body_wire.h"

#include <string.h>

#define BODY_WIRE_LOOK	512	/* bytes looked at in one go: with "x CR x CR ..." each look finds one byte */

/* body_wire_run - from p on: bytes of the line that is being read, without its end; not all of them, perhaps */
static size_t
body_wire_run(const char *p, size_t n)
{
	const char *lf, *cr;

	if (n > BODY_WIRE_LOOK)
		n = BODY_WIRE_LOOK;
	lf = memchr(p, '\n', n);
	if (lf != NULL)
		n = (size_t) (lf - p);
	cr = memchr(p, '\r', n);
	return cr != NULL ? (size_t) (cr - p) : n;
}

/* body_wire_lines - from p on, the beginning of a line: bytes of whole lines that go out as they are */
static size_t
body_wire_lines(const char *p, size_t n)
{
	const char *at = p, *end = p + n, *lf;
	size_t	look;

	while (at < end && *at != '.') {
		look = (size_t) (end - at) < BODY_WIRE_LOOK ? (size_t) (end - at) : BODY_WIRE_LOOK;
		if ((lf = memchr(at, '\n', look)) == NULL || memchr(at, '\r', (size_t) (lf - at)) != lf - 1)
			break;
		at = lf + 1;
	}
	return (size_t) (at - p);
}

/* body_wire_walk - both add and count; out NULL: count only */
static uint64_t
body_wire_walk(struct body_wire *w, struct buf *out, const char *p, size_t n)
{
	const char *eol = w->form == BODY_SMTP ? "\r\n" : "\n";
	size_t	eol_len = strlen(eol), run;
	uint64_t total = 0;

	for (; n > 0; p += run, n -= run) {
		if (*p == '\n' && w->cr) {
			w->cr = false;
			run = 1;
			continue;
		}
		w->cr = false;
		if (!w->in_line && w->form == BODY_SMTP && (run = body_wire_lines(p, n)) > 0) {
			total += run;
			if (out != NULL)
				buf_add(out, p, run);
			continue;
		}
		if (*p == '\n' || *p == '\r') {
			w->cr = *p == '\r';
			w->in_line = false;
			total += eol_len;
			if (out != NULL)
				buf_add(out, eol, eol_len);
			run = 1;
			continue;
		}
		run = body_wire_run(p, n);
		if (!w->in_line && *p == '.' && w->form == BODY_SMTP) {
			total++;
			if (out != NULL)
				buf_addc(out, '.');
		}
		w->in_line = true;
		total += run;
		if (out != NULL)
			buf_add(out, p, run);
	}
	return total;
}

int
body_wire_add(struct body_wire *w, struct buf *out, const void *data, size_t n)
{
	body_wire_walk(w, out, data, n);
	return out->full ? -1 : 0;
}

int
body_wire_end(struct body_wire *w, struct buf *out)
{
	if (w->in_line)
		buf_adds(out, w->form == BODY_SMTP ? "\r\n" : "\n");
	w->in_line = w->cr = false;
	if (w->form == BODY_SMTP)
		buf_adds(out, ".\r\n");
	return out->full ? -1 : 0;
}

uint64_t
body_wire_count(struct body_wire *w, const void *data, size_t n)
{
	return body_wire_walk(w, NULL, data, n);
}

uint64_t
body_wire_count_end(struct body_wire *w)
{
	uint64_t n = w->in_line ? w->form == BODY_SMTP ? 2 : 1 : 0;

	w->in_line = w->cr = false;
	return n + (w->form == BODY_SMTP ? 3 : 0);
}
