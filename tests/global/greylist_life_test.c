/* tests/global/greylist_life_test.c - what becomes of greylisting records: workers, full tables, clocks, removal, a reload */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <global/greylist_store.h>
#include <global/stats.h>
#include <tests/lib/greylist_world.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>

/* four workers are asked about the same triplet at once: it begins once; and once more, it is passed once */
static void
greylist_test_workers(void **state)
{
	enum { WORKERS = 4, ROUNDS = 50 };
	struct greylist_request q = world_plain;
	char	got[WORKERS], sender[40];
	unsigned new, early, retry, known;
	int	go[2], told[2];
	pid_t	pid;

	(void) state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < ROUNDS; i++) {
			if (i == 0 && round == 0)
				world_open("greylist_auto_allow_domain_count = 0\ngreylist_auto_allow_count = 0\n");
			if (i == 0 && round == 1)
				world_at(300);
			snprintf(sender, sizeof sender, "a@w%c%c.example", 'a' + i % 26, 'a' + i / 26);
			q.sender = sender;
			assert_int_equal(pipe(go), 0);
			assert_int_equal(pipe(told), 0);
			for (int k = 0; k < WORKERS; k++) {
				if ((pid = fork()) == 0) {
					struct greylist *g;
					struct greylist_result res;
					struct buf why = BUF_INIT(1000);
					char	c = 'x';

					close(go[1]);
					if (greylist_open(&g, world.params, "test", &why) < 0)
						_exit(1);
					greylist_start(g, world.loop);
					(void) !read(go[0], &c, 1);		/* end of file: now */
					if (greylist_decide(g, &q, &res, world_never, NULL, NULL) == GREYLIST_NOW)
						c = res.reason == GREYLIST_NEW ? 'n' : res.reason == GREYLIST_EARLY ? 'e' :
						    res.reason == GREYLIST_RETRY ? 'r' : res.reason == GREYLIST_KNOWN_SENDER ? 'k' : 'x';
					_exit(write(told[1], &c, 1) == 1 ? 0 : 1);
				}
				assert_true(pid > 0);
			}
			close(go[0]);
			close(go[1]);
			close(told[1]);
			new = early = retry = known = 0;
			for (int k = 0; k < WORKERS; k++) {
				assert_int_equal(read(told[0], &got[k], 1), 1);
				new += got[k] == 'n';
				early += got[k] == 'e';
				retry += got[k] == 'r';
				known += got[k] == 'k';
			}
			close(told[0]);
			while (wait(NULL) > 0)
				;
			if (round == 0 ? new != 1 || early != WORKERS - 1 : retry != 1 || known != WORKERS - 1)
				fail_msg("round %d.%d: %.4s", round, i, got);
		}
	}
	world_close();
}

/* a table full of pending triplets, from many networks, costs no known sender */
static void
greylist_test_full(void **state)
{
	struct greylist_request q = world_plain;
	char	addr[40];

	(void) state;
	world_open("");
	world_expect("first", world_ask("a@x.example", "b@example.com"), "new");
	world_at(300);
	world_expect("retry", world_ask("a@x.example", "b@example.com"), "retry");
	for (int i = 0; i < 60000; i++) {
		snprintf(addr, sizeof addr, "%d.%d.%d.1", 1 + i / 65025 % 100, i / 255 % 255, i % 255);
		q.client_address = addr;
		q.sender = "spam@spam.example";
		(void) world_decide(&q);
	}
	world_expect("still known", world_ask("a@x.example", "c@example.com"), "known-sender");
	world_close();
}

/* the clock is set back between attempt and retry */
static void
greylist_test_clock(void **state)
{
	struct ev_loop *earlier;

	(void) state;
	world_open("");
	world_expect("first", world_decide(&world_plain), "new");
	greylist_close(&world.g);
	earlier = world.loop;
	world.loop = ev_loop_new_fake(WORLD_NOW - 3600);
	world_up();
	world_expect("an hour back", world_decide(&world_plain), "early");
	assert_true(world.res.left_s > 0 && world.res.left_s <= 300);
	assert_true(stats_local[STAT_greylist_clock_corrections] > 0);
	ev_fake_advance(world.loop, 300 * 1000);
	world_expect("of age by the new clock", world_decide(&world_plain), "retry");
	ev_loop_free(&earlier);
	world_close();
}

static uint64_t
pending(void)
{
	struct shmtab_stat st;
	struct shmtab *tab;
	const char *why;
	int	fd = open(test_dir, O_RDONLY | O_DIRECTORY);

	assert_int_equal(shmtab_open_read(&tab, fd, GREYLIST_PENDING_FILE, &why), 0);
	shmtab_stat(tab, &st);
	shmtab_close(&tab);
	close(fd);
	return st.entries;
}

/* expired records go by themselves, and those that were never retried are counted */
static void
greylist_test_removal(void **state)
{
	uint64_t before = stats_local[STAT_greylist_never_retried];
	char	sender[40];

	(void) state;
	world_open("greylist_pending_limit = 0\n");
	ev_fake_advance(world.loop, 3700 * 1000);		/* a machine that has just been started removes nothing */
	world.at_s = 3700;
	for (int i = 0; i < 200; i++) {
		snprintf(sender, sizeof sender, "a@s%c%c.example", 'a' + i % 26, 'a' + i / 26);
		world_expect("first", world_ask(sender, "b@example.com"), "new");
	}
	world_at(4000);
	world_expect("retry", world_ask("a@saa.example", "b@example.com"), "retry");
	assert_int_equal(pending(), 199);
	world_at(3700 + 2 * WORLD_DAY);
	ev_fake_advance(world.loop, 0);
	world_at(world.at_s + 1 + 600);
	assert_int_equal(pending(), 0);
	assert_int_equal(stats_local[STAT_greylist_never_retried] - before, 199);
	world_expect("known ones stay", world_ask("a@saa.example", "c@example.com"), "known-sender");
	world_close();
}

/* the clock leaps forward, and back: nothing is removed meanwhile */
static void
greylist_test_leap(void **state)
{
	struct ev_loop *loops[3];

	(void) state;
	world_open("");
	world_expect("first", world_ask("a@x.example", "b@example.com"), "new");
	world_expect("another", world_ask("q@y.example", "b@example.com"), "new");
	world_at(300);
	world_expect("retry", world_ask("a@x.example", "b@example.com"), "retry");
	greylist_close(&world.g);
	loops[0] = world.loop;
	loops[1] = world.loop = ev_loop_new_fake(WORLD_NOW + 40 * WORLD_DAY);
	world_up();
	ev_fake_advance(world.loop, 3000 * 1000);		/* long enough for the tables to be gone through more than once */
	assert_int_equal(pending(), 1);
	greylist_close(&world.g);
	loops[2] = world.loop = ev_loop_new_fake(WORLD_NOW + 400);
	world_up();
	ev_fake_advance(world.loop, 1000);
	world_expect("still known", world_ask("a@x.example", "c@example.com"), "known-sender");
	world_expect("still waiting", world_ask("q@y.example", "b@example.com"), "retry");
	ev_loop_free(&loops[0]);
	ev_loop_free(&loops[1]);
	(void) loops[2];
	world_close();
}

/* another delay: what waits is judged by the new one */
static void
greylist_test_reload(void **state)
{
	struct params *old;
	struct main_cf *cf;
	struct buf why = BUF_INIT(1000);
	char   *text;

	(void) state;
	world_open("");
	world_expect("first", world_decide(&world_plain), "new");
	world_at(60);
	world_expect("early", world_decide(&world_plain), "early");
	greylist_close(&world.g);
	text = mem_printf("config_directory = %s\ndata_directory = %s\ngreylist_cache_size = 2M\ngreylist_delay = 60s\n", test_dir,
	    test_dir);
	cf = main_cf_parse("main.cf", text, strlen(text), NULL, NULL, &why);
	old = world.params;
	world.params = params_load(cf, &why);
	world_up();
	world_expect("with another delay", world_decide(&world_plain), "retry");
	params_free(&old);
	main_cf_free(&cf);
	mem_free(&text);
	buf_fini(&why);
	world_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greylist_test_workers),
		cmocka_unit_test(greylist_test_full),
		cmocka_unit_test(greylist_test_clock),
		cmocka_unit_test(greylist_test_removal),
		cmocka_unit_test(greylist_test_leap),
		cmocka_unit_test(greylist_test_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
