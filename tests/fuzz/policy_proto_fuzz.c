/* tests/fuzz/policy_proto_fuzz.c - bytes of a policy client, and of a policy server; the first byte cuts the input */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <global/policy_proto.h>
#include <util/utf8.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
fuzz_action(const struct policy_request *req)
{
	struct buf b = BUF_INIT(2000);
	const char *action;
	size_t	len;

	if (req->sender[0] == 0)
		return;
	if (policy_put_action(&b, req->sender) < 0 || !utf8_valid(b.data, b.len) || memchr(b.data, '\n', b.len) != b.data + b.len - 2 ||
	    policy_get_action(b.data, b.len, &action, &len) != 1 ||
	    len > (strncmp(action, "PREPEND ", 8) == 0 ? 8 + POLICY_PROTO_HEADER_MAX : POLICY_PROTO_TEXT_MAX))
		abort();
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *) data + 1, *end = (const char *) data + n, *action;
	struct policy_request req;
	struct policy_in in;
	size_t	used, piece, len;

	if (n < 2)
		return 0;
	piece = data[0] + 1u;
	if (policy_get_action(p, n - 1, &action, &len) == 1 && (action < p || len > (size_t) (end - action)))
		abort();
	policy_in_init(&in);
	for (; p < end; p += used) {
		switch (policy_in_feed(&in, p, piece < (size_t) (end - p) ? piece : (size_t) (end - p), &used, &req)) {
		case POLICY_IN_MORE:
			if (used == 0)
				abort();
			continue;
		case POLICY_IN_DONE:
#define A(name) if (strchr(req.name, '\n') != NULL) abort();
			POLICY_PROTO_ATTRS(A)
#undef A
			fuzz_action(&req);
			policy_in_reset(&in);
			continue;
		case POLICY_IN_BAD:
			break;
		}
		break;
	}
	if (in.text.len > POLICY_PROTO_MAX)
		abort();
	policy_in_fini(&in);
	return 0;
}
