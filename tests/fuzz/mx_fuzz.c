/* tests/fuzz/mx_fuzz.c - a name server that answers anything to the look-up of a domain's mail exchangers
 * First byte: how we ask. Then its answers, one after the other: two bytes of length each, and the message as it would come
 * from the wire; when they are used up, there are no more. Whatever they say: one end, in bounded time, and nobody asked who
 * must not be.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <global/mx.h>
#include <util/mem.h>
#include <util/msg.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct {
	const uint8_t *p, *end;
	unsigned asked, ends;
	bool	reserved_fine;
} f;

static void *
fuzz_open(struct ev_loop *loop, const struct dns_conf *conf, const char **why_r)
{
	(void) conf;
	(void) why_r;
	return loop;
}

static void
fuzz_ask(void *carrier, const char *name, enum dns_type type, dns_carried_fn *done, void *ctx)
{
	size_t	n;
	unsigned char *copy;

	(void) carrier;
	(void) type;
	if (!dns_name_valid(name) || ++f.asked > 5000)
		abort();
	if (f.end - f.p < 2) {
		done(ctx, "name server time-out", NULL, 0);
		return;
	}
	n = (size_t) f.p[0] << 8 | f.p[1];
	f.p += 2;
	n = n < (size_t) (f.end - f.p) ? n : (size_t) (f.end - f.p);
	copy = mem_alloc(n + 1);			/* of its own: a byte behind it is seen */
	memcpy(copy, f.p, n);
	f.p += n;
	copy = realloc(copy, n > 0 ? n : 1);
	done(ctx, NULL, copy, n);
	free(copy);
}

static void
fuzz_close(void *carrier)
{
	(void) carrier;
}

static void
fuzz_found(void *ctx, const struct mx_answer *a)
{
	struct mx_list *list = a->list;

	(void) ctx;
	f.ends++;
	if (list == NULL) {
		if (a->text[0] == 0 || a->dsn[0] == 0 || a->status == VERIFY_OK || a->status == VERIFY_TODO)
			abort();
		for (const char *p = a->text; *p != 0; p++)
			if ((unsigned char) *p < 0x20 || (unsigned char) *p >= 0x7f)
				abort();
		return;
	}
	if (list->n == 0 || list->n > 5)
		abort();
	for (size_t i = 0; i < list->n; i++) {
		if (mx_addr_reserved(&list->host[i].addr) && !f.reserved_fine)
			abort();
		if (i > 0 && list->host[i].pref < list->host[i - 1].pref)
			abort();
		for (const char *p = list->host[i].name; *p != 0; p++)
			if ((unsigned char) *p <= 0x20 || (unsigned char) *p >= 0x7f)
				abort();
	}
	mx_list_free(&list);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct dns_carrier carrier = { fuzz_open, fuzz_ask, fuzz_close };
	static const struct dns_conf conf = { .try_ms = 5000, .tries = 2, .open_limit = 50, .wait_limit = 500, .cache_limit = 100 };
	struct mx_addr own = { .a.s_addr = 0x01090909 };
	struct mx_conf mc = { .ipv4 = true, .ipv6 = true, .prefer = MX_PREFER_ANY, .balance = true, .address_limit = 5,
		.own = &own, .own_n = 1 };
	struct mx_want want = { .domain = "example.org", .self_check = true };
	struct mx_lookup *l;
	struct ev_loop *loop;
	const char *why;
	struct dns *dns;

	if (n < 1)
		return 0;
	msg_to_stderr(NULL);
	loop = ev_loop_new_fake(1800000000);
	mc.ignore_mx_error = data[0] & 1;
	mc.reject_reserved = (data[0] & 2) == 0;
	want.own_route = (data[0] & 4) != 0;
	f.reserved_fine = want.own_route || !mc.reject_reserved;
	f.p = data + 1;
	f.end = data + n;
	f.asked = f.ends = 0;
	dns = dns_new(loop, &carrier, &conf, &why);
	l = mx_lookup(dns, &mc, &want, fuzz_found, NULL);
	for (int turns = 0; turns < 5000 && f.ends == 0; turns++)
		ev_turn(loop, 0);
	if (f.ends == 0 && (data[0] & 8) == 0)
		abort();
	if (f.ends == 0)
		mx_cancel(&l);
	for (int turns = 0; turns < 5; turns++)
		ev_turn(loop, 0);
	if (f.ends > 1)
		abort();
	dns_free(&dns);
	ev_loop_free(&loop);
	return 0;
}
