/* tests/global/greylist_lots_test.c - triplets of a network that are counted ahead: never too many, at least half of them */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <global/greylist_lots.h>
#include <tests/lib/greylist_world.h>
#include <util/mem.h>

#define LIMIT	100

static void
greylist_lots_test_places(void **state)
{
	static struct greylist_lots lots;
	static const char a[] = "Nabcdefghijklmnopqrstuv", b[] = "Nabcdefghijklmnopqrstuw", c[] = "NAbcdefghijklmnopqrstuv";

	(void) state;
	assert_int_equal(strlen(a), GREYLIST_ID_LEN);
	assert_int_equal(greylist_lots_want(&lots, a), 1);
	assert_false(greylist_lots_take(&lots, a, 1000));
	greylist_lots_put(&lots, a, 0, 1000);
	assert_int_equal(greylist_lots_want(&lots, a), GREYLIST_LOT);
	assert_int_equal(greylist_lots_want(&lots, b), 1);
	assert_false(greylist_lots_take(&lots, a, 1000));
	greylist_lots_put(&lots, a, 2, 1000);
	greylist_lots_put(&lots, c, 1, 1000);			/* elsewhere */
	assert_false(greylist_lots_take(&lots, b, 1000));
	assert_true(greylist_lots_take(&lots, a, 1000));
	assert_true(greylist_lots_take(&lots, a, 1000));
	assert_false(greylist_lots_take(&lots, a, 1000));
	greylist_lots_put(&lots, a, 7, 1000);
	greylist_lots_put(&lots, b, 0, 1000);			/* in the place of a */
	assert_false(greylist_lots_take(&lots, a, 1000));
	assert_false(greylist_lots_take(&lots, b, 1000));
	assert_int_equal(greylist_lots_want(&lots, a), 1);
	assert_true(greylist_lots_take(&lots, c, 1000));
	greylist_lots_put(&lots, a, 7, 1000);		/* good for so long */
	assert_true(greylist_lots_take(&lots, a, 1000 + GREYLIST_LOT_S));
	assert_false(greylist_lots_take(&lots, a, 1000 + GREYLIST_LOT_S + 1));
	assert_false(greylist_lots_take(&lots, a, 999));
}

/* begun - a new triplet of this network; whether it was recorded */
static bool
begun(struct greylist *g, unsigned net)
{
	static unsigned serial;
	struct greylist_request q = world_plain;
	struct greylist_result res;
	char	sender[40], address[20];

	snprintf(sender, sizeof sender, "a@s%c%c%c%c.example", 'a' + serial % 26, 'a' + serial / 26 % 26, 'a' + serial / 676 % 26,
	    'a' + serial / 17576 % 26);
	serial++;
	snprintf(address, sizeof address, "192.%u.%u.25", net / 256, net % 256);
	q.sender = sender;
	q.client_address = address;
	assert_int_equal(greylist_decide(g, &q, &res, world_never, NULL, NULL), GREYLIST_NOW);
	if (res.reason != GREYLIST_PENDING_LIMIT)
		assert_int_equal(res.reason, GREYLIST_NEW);
	return res.reason == GREYLIST_NEW;
}

/* one worker: to the limit, and not beyond; so of the next network */
static void
greylist_lots_test_one(void **state)
{
	(void) state;
	world_open("");
	for (unsigned net = 0; net < 3; net++)
		for (unsigned i = 0; i < 2 * LIMIT; i++)
			if (begun(world.g, net) != (i < LIMIT))
				fail_msg("network %u, triplet %u", net, i);
	world_close();
}

/* several workers: never more than the limit; what one has counted ahead the others lack */
static void
greylist_lots_test_workers(void **state)
{
	enum { WORKERS = 4 };
	struct greylist *g[WORKERS];
	struct buf why = BUF_INIT(10000);
	unsigned stored = 0;

	(void) state;
	world_open("");
	for (unsigned w = 0; w < WORKERS; w++) {
		if (greylist_open(&g[w], world.params, "test", &why) < 0)
			fail_msg("%s", buf_str(&why));
		greylist_start(g[w], world.loop);
	}
	for (unsigned i = 0; i < 4 * LIMIT; i++)
		stored += begun(g[i % WORKERS], 1);
	assert_int_equal(stored, LIMIT);
	stored = 0;
	for (unsigned w = 0; w < WORKERS; w++)		/* each stops in the middle of a lot, but for the last one */
		for (unsigned i = 0; i < (w < WORKERS - 1 ? 3 : 2 * LIMIT); i++)
			stored += begun(g[w], 2);
	assert_in_range(stored, LIMIT - (WORKERS - 1) * (GREYLIST_LOT - 1), LIMIT);
	for (unsigned w = 0; w < WORKERS; w++)
		greylist_close(&g[w]);
	world_close();
	buf_fini(&why);
}

/* networks that push one another out of their places: nobody is refused before half of the limit */
static void
greylist_lots_test_crowd(void **state)
{
	enum { NETS = 3 * GREYLIST_LOTS };
	static unsigned stored[NETS];
	unsigned refused = 0;

	(void) state;
	world_open("greylist_cache_size = 64M\n");
	for (unsigned i = 0; i < 2 * LIMIT; i++)
		for (unsigned net = 0; net < NETS; net++)
			for (unsigned twice = 0; twice < 2; twice++) {
				if (begun(world.g, net))
					stored[net]++;
				else
					refused++;
			}
	for (unsigned net = 0; net < NETS; net++)
		assert_in_range(stored[net], LIMIT / 2, LIMIT);
	assert_true(refused > 0);
	world_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greylist_lots_test_places),
		cmocka_unit_test(greylist_lots_test_one),
		cmocka_unit_test(greylist_lots_test_workers),
		cmocka_unit_test(greylist_lots_test_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
