/* tests/fuzz/attr_fuzz.c - bytes of a peer: attribute lists in any pieces, then all that is read from lists
 * The first byte is the size of the pieces less one, the second bounds the strings. What must hold: any cut of the
 * input into pieces gives the same lists; every list ends in an empty name; the limits hold; what a reader gives
 * back can be written again as the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <util/attr.h>
#include <global/verify_clnt.h>

#define LIST_MAX 2000

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define MUST(x)	do { if (!(x)) abort(); } while (0)

/* attr_fuzz_lists - append all complete lists to out, each behind its length; returns how it ended */
static enum attr_in_result
attr_fuzz_lists(const char *p, size_t n, size_t piece, size_t str_max, struct buf *out, size_t *used_r)
{
	struct attr_in in;
	enum attr_in_result res = ATTR_IN_MORE;
	size_t	pos = 0, used, want;

	attr_in_init(&in, str_max, LIST_MAX);
	while (pos < n && res != ATTR_IN_FULL) {
		want = piece < n - pos ? piece : n - pos;
		res = attr_in_feed(&in, p + pos, want, &used);
		MUST(used <= want && (res != ATTR_IN_MORE || used == want));
		MUST(in.list.len <= LIST_MAX && in.str_len <= str_max);
		pos += used;
		if (res == ATTR_IN_DONE) {
			MUST(used > 0 && in.list.len > 0 && in.list.data[in.list.len - 1] == 0);
			buf_add(out, &in.list.len, sizeof in.list.len);
			buf_add(out, in.list.data, in.list.len);
			attr_in_reset(&in);
			MUST(!attr_in_partial(&in));
		}
	}
	*used_r = pos;
	attr_in_fini(&in);
	return res;
}

/* attr_fuzz_read - every reader over one list */
static void
attr_fuzz_read(const char *list, size_t n)
{
	struct buf again = BUF_INIT(2 * LIST_MAX);
	struct attr_reader r;
	const char *name, *value, *reason;
	enum verify_status status;
	int	reply;

	attr_reader_init(&r, list, n, false);
	while (attr_any(&r, &name, &value))
		attr_put_str(&again, name, value);
	attr_put_end(&again);
	MUST(r.error == ATTR_OK && !again.full && again.len == n && memcmp(again.data, list, n) == 0);
	for (int lenient = 0; lenient < 2; lenient++) {
		attr_reader_init(&r, list, n, lenient);
		attr_str(&r, "request");
		attr_str(&r, "address");
		attr_uint(&r, "recipient_status");
		attr_str(&r, "reason");
		MUST(r.error != ATTR_EXTRA || !lenient);
		attr_end(&r);
		attr_reader_init(&r, list, n, lenient);
		attr_need(&r, "protocol", "x");
		attr_uint(&r, "status");
	}
	verify_clnt_get_banner(list, n);
	if (verify_clnt_get_query(list, n, &reply, &status, &reason) == NULL && reply == VERIFY_REPLY_OK)
		MUST(status < VERIFY_STATUSES && strlen(reason) < n);
	verify_clnt_get_update(list, n, &reply);
	buf_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf pieces = BUF_INIT(1 << 22), whole = BUF_INIT(1 << 22);
	const char *p = (const char *) data + 2;
	size_t	used1, used2, len, str_max;
	enum attr_in_result res1, res2;

	if (n < 2)
		return 0;
	n -= 2;
	str_max = data[1] + 1u;
	res1 = attr_fuzz_lists(p, n, data[0] + 1u, str_max, &pieces, &used1);
	res2 = attr_fuzz_lists(p, n, n > 0 ? n : 1, str_max, &whole, &used2);
	/* DONE or MORE at the very end depends on nothing but the bytes; a list that is full is full in both */
	MUST(res1 == res2 && pieces.len == whole.len);
	MUST(pieces.len == 0 || memcmp(pieces.data, whole.data, whole.len) == 0);
	for (size_t pos = 0; pos < pieces.len; pos += len) {
		memcpy(&len, pieces.data + pos, sizeof len);
		pos += sizeof len;
		attr_fuzz_read(pieces.data + pos, len);
	}
	buf_fini(&pieces);
	buf_fini(&whole);
	return 0;
}
