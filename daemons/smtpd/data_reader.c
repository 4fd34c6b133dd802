/* daemons/smtpd/data_reader.c - the bytes after DATA -> the message, and where it ends */
#include "data_reader.h"

#include <string.h>

void
data_reader_init(struct data_reader *r, bool normalize)
{
	r->normalize = normalize;
	r->state = DATA_LINE;
}

/* data_reader_plain - how many bytes at p can be passed on as they are: whole lines, up to one that begins with a dot, and
 * text up to a CR or LF that needs a look. state_r: where that leaves us */
static size_t
data_reader_plain(const char *p, size_t n, int *state_r)
{
	const char *at = p, *end = p + n, *lf, *cr;

	while (at < end) {
		if (*state_r == DATA_LINE && *at == '.')
			break;
		lf = memchr(at, '\n', (size_t) (end - at));
		cr = memchr(at, '\r', (size_t) ((lf != NULL ? lf : end) - at));
		if (lf == NULL || cr == NULL || cr + 1 != lf) {
			lf = cr != NULL ? cr : lf != NULL ? lf : end;
			if (lf > at)
				*state_r = DATA_TEXT;
			return (size_t) (lf - p);
		}
		at = lf + 1;
		*state_r = DATA_LINE;
	}
	return (size_t) (at - p);
}

static enum data_result
data_reader_part(struct data_reader *r, int state, const char *part, size_t n, const char **part_r, size_t *part_n_r)
{
	r->state = state;
	*part_r = part;
	*part_n_r = n;
	return DATA_PART;
}

enum data_result
data_reader_next(struct data_reader *r, const char **in, size_t *n, const char **part_r, size_t *part_n_r)
{
	const char *p;
	size_t	len;
	int	state;

	for (; *n > 0; ++*in, --*n) {
		p = *in;
		switch (r->state) {
		case DATA_LINE:
			if (*p == '.') {
				r->state = DATA_DOT;
				continue;
			}
			break;
		case DATA_DOT:
			if (*p == '\r') {
				r->state = DATA_DOT_CR;
				continue;
			}
			r->state = DATA_TEXT;		/* the dot was stuffing */
			break;
		case DATA_DOT_CR:
			if (*p == '\n') {
				++*in, --*n;
				return DATA_END;
			}
			if (!r->normalize)
				return DATA_BARE_CR;
			return data_reader_part(r, DATA_TEXT, " ", 1, part_r, part_n_r);
		case DATA_CR:
			if (*p == '\n') {
				++*in, --*n;
				return data_reader_part(r, DATA_LINE, "\r\n", 2, part_r, part_n_r);
			}
			if (!r->normalize)
				return DATA_BARE_CR;
			return data_reader_part(r, DATA_TEXT, " ", 1, part_r, part_n_r);
		case DATA_LF_LINE:			/* after a single LF: stuffed as any line, but not the end */
			r->state = DATA_TEXT;
			if (*p == '.')
				continue;
			break;
		case DATA_TEXT:
			break;
		}
		state = r->state;
		if ((len = data_reader_plain(p, *n, &state)) > 0) {
			*in += len;
			*n -= len;
			return data_reader_part(r, state, p, len, part_r, part_n_r);
		}
		if (*p == '\r') {
			r->state = DATA_CR;
			continue;
		}
		/* an LF without CR */
		if (!r->normalize)
			return DATA_BARE_LF;
		++*in, --*n;
		return data_reader_part(r, DATA_LF_LINE, "\r\n", 2, part_r, part_n_r);
	}
	return DATA_MORE;
}
