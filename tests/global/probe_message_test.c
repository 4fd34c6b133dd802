/* tests/global/probe_message_test.c - submissions as cleanup reads them: recorded ones, and the deviations of the specification */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <global/probe_message.h>
#include <global/record.h>
#include <tests/lib/transcript.h>
#include <util/mem.h>

/* the parts of a message: a letter each; lower case: a variant */
static void
probe_message_test_build(struct buf *b, const char *parts)
{
	static const char extra[] = "bogus";

	buf_reset(b);
	for (; *parts != 0; parts++)
		switch (*parts) {
		case 'F': attr_put_uint(b, "flags", 544); attr_put_end(b); break;
		case 'f': attr_put_str(b, extra, "1"); attr_put_end(b); break;
		case 'T': record_puts(b, 'T', "1795199697 388776"); break;
		case 't': record_puts(b, 'T', ""); break;
		case 'A': record_puts(b, 'A', "trace_flags=256"); break;
		case 'a': record_puts(b, 'A', "trace_flags=2x6"); break;
		case 'o': record_puts(b, 'A', "trace_flags=512"); break;
		case 'l': record_puts(b, 'A', "log_message_origin=local"); break;
		case 'v': record_puts(b, 'A', "vouch_reason=refresh"); break;
		case 'e': record_puts(b, 'A', "nothing"); break;
		case 'S': record_puts(b, 'S', "double-bounce@spec.test"); break;
		case 's': record_puts(b, 'S', ""); break;
		case 'c': record_puts(b, 'S', "a@spec.test>\r\nDATA"); break;
		case 'R': record_puts(b, 'R', "ann@remote.test"); break;
		case 'n': record_put(b, 'R', "a\0b", 3); break;
		case 'O': record_puts(b, 'O', "ann@remote.test"); break;
		case 'M': record_puts(b, 'M', ""); break;
		case 'N': record_puts(b, 'N', "Received: by spec.test (Postfix)"); break;
		case 'd': record_puts(b, 'N', "Date: today"); break;
		case 'X': record_puts(b, 'X', ""); break;
		case 'E': record_puts(b, 'E', ""); break;
		case 'q': record_puts(b, 'Q', "?"); break;
		case 'p': record_puts(b, 'p', "000"); break;
		case 'b': buf_add(b, "N\xff\xff\xff\xff\xff\x01", 7); break;
		}
}

static void
probe_message_test_table(void **state)
{
	static const struct {
		const char *name, *parts;
		enum probe_message_result result;
		unsigned status, rcpts;
	} cases[] = {
		{ "a probe", "FTlASRMNdXE", PROBE_MESSAGE_DONE, 0, 1 },
		{ "null sender", "FTAsRMNXE", PROBE_MESSAGE_DONE, 0, 1 },
		{ "two recipients", "FTASRRMNXE", PROBE_MESSAGE_DONE, 0, 2 },
		{ "what others add", "FTASORvMNXE", PROBE_MESSAGE_DONE, 0, 1 },
		{ "recipient behind the content", "FTASMNXRE", PROBE_MESSAGE_DONE, 0, 1 },
		{ "no Received:", "FTASRMdXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "no sender", "FTARMNXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "two senders", "FTASSRMNXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "no time", "FASRMNXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "empty time", "FtASRMNXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "no recipient", "FTASMNXE", PROBE_MESSAGE_DONE, 64, 0 },
		{ "bad trace_flags", "FTaSRMNXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "malformed attribute", "FTAeSRMNXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "unknown record type", "FTAqSRMNXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "pointer record", "FTASRMNpXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "no X", "FTASRMNE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "only E", "FE", PROBE_MESSAGE_DONE, 1, 0 },
		{ "other attribute", "fTASRMNXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "a command in the sender", "FTAcRMNXE", PROBE_MESSAGE_DONE, 1, 1 },
		{ "NUL in the recipient", "FTASnMNXE", PROBE_MESSAGE_DONE, 1, 0 },
		{ "mail, no probe", "FTSRMNXE", PROBE_MESSAGE_DONE, 512, 1 },
		{ "asked by a user", "FToSRMNXE", PROBE_MESSAGE_DONE, 512, 1 },
		{ "first trace_flags wins", "FTAoSRMNXE", PROBE_MESSAGE_DONE, 0, 1 },
		{ "not at its end", "FTASRMNX", PROBE_MESSAGE_MORE, 0, 1 },
		{ "malformed length", "FTASRMb", PROBE_MESSAGE_LOST, 1, 1 },
	};
	struct buf b = BUF_INIT(100000);
	struct probe_message m;
	enum probe_message_result got;
	size_t	used, at;

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		for (size_t cut = 1; cut < 200; cut = cut * 3 + 1) {
			probe_message_test_build(&b, cases[i].parts);
			if (cases[i].result == PROBE_MESSAGE_DONE)
				buf_adds(&b, "rest");
			probe_message_init(&m);
			got = PROBE_MESSAGE_MORE;
			for (at = 0; at < b.len && got == PROBE_MESSAGE_MORE; at += used)
				got = probe_message_feed(&m, b.data + at, cut < b.len - at ? cut : b.len - at, &used);
			if (got != cases[i].result || m.status != cases[i].status || m.rcpts != cases[i].rcpts)
				fail_msg("%s, by %zu: got result %d status %u (%s) %u recipients, want %d %u %u", cases[i].name, cut,
				    (int) got, m.status, m.why, m.rcpts, (int) cases[i].result, cases[i].status, cases[i].rcpts);
			if (got == PROBE_MESSAGE_DONE && b.len - at > 4)
				fail_msg("%s, by %zu: %zu bytes left, want 4 at most", cases[i].name, cut, b.len - at);
			if (m.status != 0 && m.why == NULL)
				fail_msg("%s: no reason", cases[i].name);
			probe_message_fini(&m);
		}
	buf_fini(&b);
}

static void
probe_message_test_content(void **state)
{
	struct buf b = BUF_INIT(100000);
	struct probe_message m;
	size_t	used;

	(void) state;
	probe_message_test_build(&b, "FTlAvSRRMNdXE");
	probe_message_init(&m);
	assert_int_equal(probe_message_feed(&m, b.data, b.len, &used), PROBE_MESSAGE_DONE);
	assert_int_equal(used, b.len);
	assert_int_equal(m.flags, 544);
	assert_int_equal(m.trace_flags, 256);
	assert_string_equal(m.sender, "double-bounce@spec.test");
	assert_string_equal(m.rcpt[1], "ann@remote.test");
	assert_string_equal(m.reason, "refresh");
	probe_message_fini(&m);
	buf_fini(&b);
}

static void
probe_message_test_limits(void **state)
{
	struct buf b = BUF_INIT(1 << 20), line = BUF_INIT(100000);
	struct probe_message m;
	enum probe_message_result got = PROBE_MESSAGE_MORE;
	size_t	used;

	(void) state;
	/* somebody's mail: never kept, and given up at a limit */
	for (int i = 0; i < 60000; i++)
		buf_addc(&line, 'x');
	probe_message_init(&m);
	probe_message_test_build(&b, "FTASRMN");
	assert_int_equal(probe_message_feed(&m, b.data, b.len, &used), PROBE_MESSAGE_MORE);
	buf_reset(&b);
	record_puts(&b, 'N', line.data);
	for (int i = 0; i < 1000 && got == PROBE_MESSAGE_MORE; i++) {
		got = probe_message_feed(&m, b.data, b.len, &used);
		assert_true(m.part.cap < PROBE_RECORD_MAX * 2 + 100);
	}
	assert_int_equal(got, PROBE_MESSAGE_LOST);
	assert_int_equal(m.status, CLEANUP_STAT_SIZE);
	probe_message_fini(&m);

	/* too many recipients */
	probe_message_init(&m);
	probe_message_test_build(&b, "FTAS");
	for (int i = 0; i <= PROBE_RCPT_MAX; i++)
		record_puts(&b, 'R', "x@y.test");
	record_puts(&b, 'M', "");
	record_puts(&b, 'N', "Received: x");
	record_puts(&b, 'X', "");
	record_puts(&b, 'E', "");
	assert_int_equal(probe_message_feed(&m, b.data, b.len, &used), PROBE_MESSAGE_DONE);
	assert_int_equal(m.status, CLEANUP_STAT_BAD);
	probe_message_fini(&m);
	buf_fini(&b);
	buf_fini(&line);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe_message_test_table),
		cmocka_unit_test(probe_message_test_content),
		cmocka_unit_test(probe_message_test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
