/* tests/fuzz/greylist_lists_fuzz.c - the files of greylisting's lists: any bytes are a list, and looking something up in it ends */
#include <stdint.h>
#include <string.h>

#include <global/address_list.h>
#include <global/client_list.h>
#include <global/regexp_list.h>
#include <util/msg.h>

static void
quiet(void *ctx, int level, const char *line)
{
	(void) ctx;
	(void) level;
	(void) line;
}

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct list_count count = { 0, 0 };
	struct client_addr v4, v6;
	struct client_list *c;
	struct address_list *a;
	struct regexp_list *r;
	unsigned bare, over = 0;

	if (n < 1)
		return 0;
	msg_catch(quiet, NULL);
	client_addr_parse(&v4, "192.0.2.25");
	client_addr_parse(&v6, "2001:db8::25");
	switch (data[0] % 3) {
	case 0:
		c = client_list_parse("list", (const char *) data + 1, n - 1, &count);
		(void) client_list_match(c, &v4, "mail.Example.org.", &over);
		(void) client_list_match(c, &v6, "", &over);
		client_list_free(&c);
		break;
	case 1:
		a = address_list_parse("list", (const char *) data + 1, n - 1, "-", true, &count, &bare);
		(void) address_list_match(a, "Bob+x-y@a.example.org", &v4, "mail.example.org", &over);
		(void) address_list_match(a, "@", &v6, "", &over);
		(void) address_list_match(a, "", NULL, "", &over);
		address_list_free(&a);
		break;
	case 2:
		r = regexp_list_parse("list", (const char *) data + 1, n - 1, &count);
		(void) regexp_list_match(r, "192.0.2.25/a@x.example/bob@example.com", 38, &over);
		regexp_list_free(&r);
		break;
	}
	return 0;
}
