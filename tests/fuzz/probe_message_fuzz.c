/* tests/fuzz/probe_message_fuzz.c - a submission, in pieces: the first byte says how large */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <global/probe_message.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *) data + 1, *end = (const char *) data + n;
	enum probe_message_result result = PROBE_MESSAGE_MORE;
	struct probe_message m;
	size_t	used, piece;

	if (n < 2)
		return 0;
	piece = data[0] + 1u;
	probe_message_init(&m);
	for (; p < end && result == PROBE_MESSAGE_MORE; p += used) {
		result = probe_message_feed(&m, p, piece < (size_t) (end - p) ? piece : (size_t) (end - p), &used);
		if (used > (size_t) (end - p) || m.rcpts > PROBE_RCPT_MAX)
			abort();
	}
	if (result == PROBE_MESSAGE_DONE && m.status == 0 && (m.sender == NULL || m.rcpts == 0 || (m.trace_flags & 256) == 0))
		abort();
	if (m.status != 0 && m.why == NULL)
		abort();
	probe_message_fini(&m);
	return 0;
}
