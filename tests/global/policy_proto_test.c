/* tests/global/policy_proto_test.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <util/mem.h>
#include <util/utf8.h>
#include <global/policy_proto.h>

/* spec policy-delegation section 5, with what policy(8) looks at */
#define FULL \
	"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.25\n" \
	"client_name=mail.example.org\nclient_port=41522\nreverse_client_name=mail.example.org\nserver_address=198.51.100.5\n" \
	"server_port=25\nhelo_name=mail.example.org\nsender=news+bob=example.com@example.org\nrecipient=bob@example.com\n" \
	"recipient_count=0\nqueue_id=\ninstance=2e0b.6b008e34.c303e.0\nsize=20480\netrn_domain=\nstress=\nsasl_method=\n" \
	"sasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\n" \
	"encryption_protocol=TLSv1.3\nencryption_cipher=TLS_AES_256_GCM_SHA384\nencryption_keysize=256\npolicy_context=\n\n"

static char *
lines(unsigned n)
{
	struct buf b = BUF_INIT(POLICY_PROTO_MAX);

	for (unsigned i = 0; i < n; i++)
		buf_addf(&b, "x%u=%u\n", i, i);
	buf_adds(&b, "\n");
	return buf_take(&b);
}

static char *
filled(const char *before, size_t n, const char *after)
{
	struct buf b = BUF_INIT(1 << 20);

	buf_adds(&b, before);
	memset(buf_room(&b, n), 'x', n);
	buf_grew(&b, n);
	buf_adds(&b, after);
	return buf_take(&b);
}

/* policy_feed - the whole in pieces of so many bytes; used_r: what was taken until it was done, or bad */
static enum policy_in_next
policy_feed(struct policy_in *in, const char *data, size_t n, size_t piece, struct policy_request *req, size_t *used_r)
{
	enum policy_in_next next = POLICY_IN_MORE;
	size_t	used;

	for (*used_r = 0; *used_r < n && next == POLICY_IN_MORE; *used_r += used)
		next = policy_in_feed(in, data + *used_r, n - *used_r < piece ? n - *used_r : piece, &used, req);
	return next;
}

static void
requests(void **state)
{
	char   *line_max = filled("sender=", POLICY_PROTO_LINE_MAX - 7, "\n\n"), *line_over = filled("sender=", POLICY_PROTO_LINE_MAX - 6, "\n\n");
	char   *endless = filled("", 70000, ""), *lines_max = lines(200), *lines_over = lines(201);
	const struct {
		const char *name, *data;
		size_t	    n;		/* 0: strlen */
		enum policy_in_next want;
		const char *sender, *why;
	} cases[] = {
		{ "full", FULL, 0, POLICY_IN_DONE, "news+bob=example.com@example.org", "" },
		{ "empty", "\n", 0, POLICY_IN_DONE, "", "" },
		{ "CR LF", "request=smtpd_access_policy\r\nsender=a@b\r\n\r\n", 0, POLICY_IN_DONE, "a@b", "" },
		{ "CR inside", "sender=a\rb\r\r\n\n", 0, POLICY_IN_DONE, "a\rb\r", "" },
		{ "= in the value", "sender=a=b=c@example.org\n\n", 0, POLICY_IN_DONE, "a=b=c@example.org", "" },
		{ "last wins", "sender=a\nsender=b\n\n", 0, POLICY_IN_DONE, "b", "" },
		{ "last wins, empty", "sender=a\nsender=\n\n", 0, POLICY_IN_DONE, "", "" },
		{ "no =", "garbage\nsender=a\n\n", 0, POLICY_IN_DONE, "a", "" },
		{ "other names", "Sender=a\nsender =b\nsenders=c\nsende=d\n=e\n\n", 0, POLICY_IN_DONE, "", "" },
		{ "8-bit, blanks", "sender= \xc3\xa9\xff\t \n\n", 0, POLICY_IN_DONE, " \xc3\xa9\xff\t ", "" },
		{ "no end", "sender=a\n", 0, POLICY_IN_MORE, NULL, "" },
		{ "no end of line", "sender=a", 0, POLICY_IN_MORE, NULL, "" },
		{ "NUL", "sender=a\0b\n\n", 12, POLICY_IN_BAD, NULL, "a NUL byte" },
		{ "longest line", line_max, 0, POLICY_IN_DONE, line_max + 7, "" },
		{ "line too long", line_over, 0, POLICY_IN_BAD, NULL, "a line of more than 16 kB" },
		{ "no LF at all", endless, 0, POLICY_IN_BAD, NULL, "a line of more than 16 kB" },
		{ "200 lines", lines_max, 0, POLICY_IN_DONE, "", "" },
		{ "201 lines", lines_over, 0, POLICY_IN_BAD, NULL, "more than 200 lines" },
	};
	static const size_t pieces[] = { 1, 2, 7, 1000000 };

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++)
		for (size_t j = 0; j < NELEM(pieces); j++) {
			size_t	n = cases[i].n != 0 ? cases[i].n : strlen(cases[i].data), used;
			struct policy_request req = { 0 };
			struct policy_in in;
			enum policy_in_next got;

			policy_in_init(&in);
			got = policy_feed(&in, cases[i].data, n, pieces[j], &req, &used);
			if (got != cases[i].want)
				fail_msg("%s, pieces of %zu: got %d, want %d", cases[i].name, pieces[j], got, cases[i].want);
			if (got == POLICY_IN_BAD && strcmp(in.why, cases[i].why) != 0)
				fail_msg("%s, pieces of %zu: %s", cases[i].name, pieces[j], in.why);
			if (got != POLICY_IN_BAD && used != n)
				fail_msg("%s, pieces of %zu: %zu of %zu bytes used", cases[i].name, pieces[j], used, n);
			if (got != POLICY_IN_BAD && policy_in_partial(&in) != (cases[i].want == POLICY_IN_MORE || n > 1))
				fail_msg("%s: partial or not", cases[i].name);
			if (got == POLICY_IN_DONE && strncmp(req.sender, cases[i].sender, strcspn(cases[i].sender, "\n")) != 0)
				fail_msg("%s, pieces of %zu: sender %s, want %s", cases[i].name, pieces[j], req.sender, cases[i].sender);
			if (in.text.cap > 2 * POLICY_PROTO_MAX)
				fail_msg("%s: %zu bytes held", cases[i].name, in.text.cap);
			policy_in_fini(&in);
		}
	free(line_max);
	free(line_over);
	free(endless);
	free(lines_max);
	free(lines_over);
}

static uint32_t
rnd(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* altered - FULL, somewhat changed: a byte is another one, is gone, or one more is there; a line is gone, or there twice */
static struct buf
altered(uint32_t *seed)
{
	static const char bytes[] = "=\n\r\0ax";
	struct buf b = BUF_INIT(POLICY_PROTO_MAX);

	buf_adds(&b, FULL);
	for (unsigned i = rnd(seed) % 4; i > 0; i--) {
		size_t	at = rnd(seed) % (b.len - 1), line = at;
		char   *c = b.data + at, *lf = strchr(c, '\n');

		while (line > 0 && b.data[line - 1] != '\n')
			line--;
		switch (rnd(seed) % 5) {
		case 0:
			*c = bytes[rnd(seed) % (sizeof bytes - 1)];
			break;
		case 1:
			memmove(c, c + 1, b.len - at);
			b.len--;
			break;
		case 2:
			buf_room(&b, 1);
			memmove(b.data + at + 1, b.data + at, b.len - at);
			b.data[at] = bytes[rnd(seed) % (sizeof bytes - 1)];
			buf_grew(&b, 1);
			break;
		case 3:
			if (lf == NULL)
				break;
			memmove(b.data + line, lf + 1, b.len - (size_t) (lf + 1 - b.data) + 1);
			b.len -= (size_t) (lf + 1 - b.data) - line;
			break;
		case 4:
			if (lf == NULL)
				break;
			at = (size_t) (lf + 1 - b.data) - line;
			buf_room(&b, at);
			memmove(b.data + line + at, b.data + line, b.len - line);
			buf_grew(&b, at);
		}
	}
	return b;
}

/* what a request said before is never taken for what it says now: read at once, byte by byte, and once more at once, it is the same */
static void
lines_of_the_request_before(void **state)
{
	uint32_t seed = 1;

	(void) state;
	for (unsigned i = 0; i < 20000; i++) {
		struct buf b = altered(&seed);
		struct policy_in in[3];
		enum policy_in_next got[3];
		struct policy_request req[3];
		size_t	used[3];

		for (unsigned j = 0; j < 3; j++) {
			policy_in_init(&in[j]);
			got[j] = policy_feed(&in[j], b.data, b.len, j == 1 ? 1 : b.len, &req[j], &used[j]);
			assert_int_equal(got[j], got[0]);
			assert_int_equal(in[j].lines, in[0].lines);
			assert_string_equal(in[j].odd, in[0].odd);
			if (got[j] == POLICY_IN_BAD)
				assert_string_equal(in[j].why, in[0].why);
			if (got[j] != POLICY_IN_DONE)
				continue;
			assert_int_equal(used[j], used[0]);
#define A(name) assert_string_equal(req[j].name, req[0].name);
			POLICY_PROTO_ATTRS(A)
#undef A
		}
		for (unsigned j = 0; j < 3; j++)
			policy_in_fini(&in[j]);
		buf_fini(&b);
	}
}

static void
all_attributes(void **state)
{
	struct policy_request req = { 0 };
	struct policy_in in;
	size_t	used;

	(void) state;
	policy_in_init(&in);
	/* the second of two in one write is not touched; the first leaves nothing behind */
	assert_int_equal(policy_in_feed(&in, FULL "sender=x\n\n", sizeof FULL - 1 + 10, &used, &req), POLICY_IN_DONE);
	assert_int_equal(used, sizeof FULL - 1);
	assert_string_equal(req.request, POLICY_PROTO_REQUEST);
	assert_string_equal(req.protocol_state, "RCPT");
	assert_string_equal(req.client_address, "192.0.2.25");
	assert_string_equal(req.client_name, "mail.example.org");
	assert_string_equal(req.recipient, "bob@example.com");
	assert_string_equal(req.instance, "2e0b.6b008e34.c303e.0");
	assert_string_equal(req.sasl_username, "");
	assert_string_equal(req.ccert_subject, "");
	assert_string_equal(req.policy_context, "");
	policy_in_reset(&in);
	assert_false(policy_in_partial(&in));
	assert_int_equal(policy_in_feed(&in, "odd\nsender=x\nodder\n\n", 20, &used, &req), POLICY_IN_DONE);
	assert_string_equal(req.sender, "x");
	assert_string_equal(req.request, "");
	assert_string_equal(in.odd, "odd");
	policy_in_fini(&in);
}

/* 64 kB in lines that are each allowed */
static void
too_much(void **state)
{
	char   *line = filled("a=", 1000, "\n");
	struct policy_request req;
	struct policy_in in;
	enum policy_in_next next = POLICY_IN_MORE;
	size_t	used, n = 0;

	(void) state;
	policy_in_init(&in);
	while (next == POLICY_IN_MORE && n < 2 * POLICY_PROTO_MAX) {
		next = policy_in_feed(&in, line, strlen(line), &used, &req);
		n += used;
	}
	assert_int_equal(next, POLICY_IN_BAD);
	assert_string_equal(in.why, "more than 64 kB");
	assert_in_range(n, POLICY_PROTO_MAX - 2000, POLICY_PROTO_MAX);
	policy_in_fini(&in);
	free(line);
}

static void
actions_out(void **state)
{
	char   *much = filled("450 4.2.0 ", 1000, ""), *eights = filled("", POLICY_PROTO_TEXT_MAX - 1, "\xc3\xa9");
	static const struct {
		const char *action, *want;
	} cases[] = {
		{ "DUNNO", "action=DUNNO\n\n" },
		{ "450 4.2.0 a\nb\rc\td\x7f" "e\x01", "action=450 4.2.0 a?b?c?d?e?\n\n" },
		{ "450 4.2.0 %s%n \xc3\xa9 \xff \xed\xa0\x80", "action=450 4.2.0 %s%n \xc3\xa9 ? ???\n\n" },
	};
	struct buf b = BUF_INIT(10000);

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		buf_reset(&b);
		assert_int_equal(policy_put_action(&b, cases[i].action), 0);
		if (strcmp(buf_str(&b), cases[i].want) != 0)
			fail_msg("%s: got %s", cases[i].action, buf_str(&b));
	}
	buf_reset(&b);
	assert_int_equal(policy_put_action(&b, much), 0);
	assert_int_equal(b.len, strlen("action=\n\n") + POLICY_PROTO_TEXT_MAX);
	/* a sequence is not cut in two */
	buf_reset(&b);
	assert_int_equal(policy_put_action(&b, eights), 0);
	assert_true(utf8_valid(b.data, b.len));
	assert_int_equal(b.len, strlen("action=\n\n") + POLICY_PROTO_TEXT_MAX - 1);
	/* a header is no reply of SMTP */
	memcpy(much, "PREPEND X: ", strlen("PREPEND X: "));
	buf_reset(&b);
	assert_int_equal(policy_put_action(&b, much), 0);
	assert_int_equal(b.len, strlen("action=PREPEND \n\n") + POLICY_PROTO_HEADER_MAX);
	buf_fini(&b);
	free(much);
	free(eights);
}

static void
actions_in(void **state)
{
	static const struct {
		const char *data;
		int	    ret;
		const char *action;
	} cases[] = {
		{ "action=DUNNO\n\n", 1, "DUNNO" }, { "action=\n\n", 1, "" }, { "a=b\naction=450 x=y\naction=OK\nc\n\n", 1, "450 x=y" },
		{ "action=DUNNO\n", 0, NULL }, { "action=DUNNO", 0, NULL }, { "", 0, NULL }, { "\n", -1, NULL },
		{ "ACTION=OK\n\n", -1, NULL }, { "action = OK\n\n", -1, NULL }, { " action=OK\n\n", -1, NULL },
		{ "action=OK\r\n\r\n", 0, NULL }, { "action=OK\n\naction=", 1, "OK" },
	};

	(void) state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		const char *action = NULL;
		size_t	len = 0;
		int	ret = policy_get_action(cases[i].data, strlen(cases[i].data), &action, &len);

		if (ret != cases[i].ret || (ret == 1 && (len != strlen(cases[i].action) || memcmp(action, cases[i].action, len) != 0)))
			fail_msg("%s: got %d", cases[i].data, ret);
	}
}

/* what is written is read, and no value breaks out of its line */
static void
there_and_back(void **state)
{
	struct buf b = BUF_INIT(1000);
	struct policy_request req;
	struct policy_in in;
	size_t	used;

	(void) state;
	policy_put(&b, "request", POLICY_PROTO_REQUEST);
	policy_put(&b, "sender", "a\n\nrecipient=evil");
	policy_put(&b, "recipient", "b=c@d");
	assert_int_equal(policy_put_end(&b), 0);
	policy_in_init(&in);
	assert_int_equal(policy_in_feed(&in, b.data, b.len, &used, &req), POLICY_IN_DONE);
	assert_int_equal(used, b.len);
	assert_string_equal(req.request, POLICY_PROTO_REQUEST);
	assert_string_equal(req.sender, "a??recipient=evil");
	assert_string_equal(req.recipient, "b=c@d");
	policy_in_fini(&in);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(lines_of_the_request_before),
		cmocka_unit_test(all_attributes),
		cmocka_unit_test(too_much),
		cmocka_unit_test(actions_out),
		cmocka_unit_test(actions_in),
		cmocka_unit_test(there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
