/* tests/fuzz/record_fuzz.c - queue-file records from a peer
 * The first two bytes bound the length of a record's data. What must hold: a record lies inside its input and its limit;
 * written again and read again it is the same; a shorter input is never OK.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <global/record.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define MUST(x)	do { if (!(x)) abort(); } while (0)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p;
	struct buf again = BUF_INIT(1 << 20);
	struct record rec, same;
	size_t	max, used = 0, used_again, nothing;

	if (n < 2)
		return 0;
	max = (size_t) data[0] << 8 | data[1];
	p = (const char *) data + 2;
	n -= 2;
	while (record_get(p, n, max, &rec, &used) == RECORD_OK) {
		MUST(used >= 2 && used <= n && rec.len <= max && rec.type >= 0 && rec.type <= 255);
		MUST(rec.data >= p && rec.data + rec.len == p + used);
		MUST(record_get(p, used, max, &same, &nothing) == RECORD_OK);
		MUST(record_get(p, used - 1, max, &same, &nothing) == RECORD_MORE);
		buf_reset(&again);
		record_put(&again, rec.type, rec.data, rec.len);
		MUST(!again.full && again.len <= used);		/* the input may be longer than needed */
		MUST(record_get(again.data, again.len, max, &same, &used_again) == RECORD_OK);
		MUST(used_again == again.len && same.type == rec.type && same.len == rec.len);
		MUST(rec.len == 0 || memcmp(same.data, rec.data, rec.len) == 0);
		p += used;
		n -= used;
	}
	buf_fini(&again);
	return 0;
}
