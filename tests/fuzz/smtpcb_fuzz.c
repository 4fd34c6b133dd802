/* tests/fuzz/smtpcb_fuzz.c - the smtp_callback line protocol: a request, its text in a reply, the reply read again */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <global/smtp_path.h>
#include <global/smtpcb_proto.h>
#include <util/mem.h>
#include <util/utf8.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
smtpcb_fuzz_reply(const char *text, const char *addr, const char *server, bool utf8)
{
	struct smtpcb_reply r = { SMTPCB_FAIL, text, addr, server, 1, 2 }, back;
	struct buf b = BUF_INIT(8192);

	smtpcb_reply_put(&b, &r, 3, utf8, NULL);
	if (b.full || b.len == 0 || b.data[b.len - 1] != '\n' || b.len > 512 || (utf8 && !utf8_valid(b.data, b.len)))
		abort();
	if (smtpcb_reply_parse(b.data, b.len - 1, &back) != NULL || back.since_s != 1 || back.next_s != 3)
		abort();
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smtpcb_request r, again;
	struct smtpcb_reply reply;
	struct buf b = BUF_INIT(8192);
	bool	utf8;
	char   *text, server[300];
	size_t	len;

	if (n < 1)
		return 0;
	utf8 = data[0] & 1;
	data++;
	n--;
	text = mem_strndup((const char *) data, n);
	if (smtpcb_request_parse((const char *) data, n, utf8, &r) == SMTPCB_ADDRESS) {
		buf_addc(&b, '<');
		smtp_path_show(&b, r.local, r.domain);
		buf_addc(&b, '>');
		/* escaping may make it too long, nothing else */
		if (b.len <= SMTPCB_MAILBOX_MAX && (smtpcb_request_parse(b.data, b.len, utf8, &again) != SMTPCB_ADDRESS ||
		    strcmp(r.local, again.local) != 0 || strcmp(r.domain, again.domain) != 0))
			abort();
	}
	smtpcb_split_text(text, server, sizeof server, &len);
	smtpcb_fuzz_reply(text, text, text, utf8);
	smtpcb_fuzz_reply(text, r.local, server, utf8);
	smtpcb_reply_parse(text, strlen(text), &reply);
	mem_free(&text);
	buf_fini(&b);
	return 0;
}
