/* tests/fuzz/transport_map_fuzz.c - a transport table's text, looked up with fixed addresses; next hops */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <util/msg.h>
#include <global/nexthop.h>
#include <global/transport_map.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const types[] = { "texthash", "pcre" };
	static const char *const domains[] = { "example.org", "a.b.c.test", "[192.0.2.1]", "x" };
	struct buf why = BUF_INIT(4096), spec = BUF_INIT(65536);
	struct transport_map_result r;
	struct lookup_tables *t;
	struct nexthop hop;
	const char *bad, *p, *item;
	size_t	len;

	if (n < 1 || n > 2000)
		return 0;
	msg_to_stderr(NULL);
	/* regexp: the C library's matcher has no limit; it is not ours to fuzz */
	t = lookup_tables_parse(types[data[0] & 1], "f", (const char *) data + 1, n - 1, &why);
	if (t == NULL && why.len == 0)
		abort();
	for (size_t i = 0; t != NULL && i < 4; i++)
		if (transport_map_find(t, "user+ext", domains[i], "+", i & 1, &r)) {
			if (strlen(r.transport) >= sizeof r.transport || strlen(r.nexthop) >= sizeof r.nexthop)
				abort();
			for (p = r.nexthop; (item = nexthop_next(&p, &len)) != NULL; )
				if (nexthop_parse(item, len, &hop, &bad) && (hop.host[0] == 0 || hop.port > 65535))
					abort();
		}
	lookup_tables_free(&t);
	buf_adds(&spec, "inline:");
	buf_add(&spec, data, n);
	if (strlen(buf_str(&spec)) == spec.len && memmem(data, n, ":/", 2) == NULL && data[0] != '/') {
		t = lookup_tables_open(buf_str(&spec), &why);
		if (t != NULL)
			lookup_tables_find(t, "key", true);
		lookup_tables_free(&t);
	}
	buf_fini(&spec);
	buf_fini(&why);
	return 0;
}
