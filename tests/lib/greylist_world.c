/* tests/lib/greylist_world.c - a host that greylists */
#include "greylist_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <tests/lib/test_dir.h>
#include <util/mem.h>
#include <util/msg.h>

#define WORLD_AWAY_S	7200		/* more than this is spent without a process */

struct greylist_world world;

const struct greylist_request world_plain = {
	.state = "RCPT", .client_address = "192.0.2.25", .client_name = "unknown", .sender = "a@x.example",
	.recipient = "b@example.com", .instance = "1.2.3",
};

static void
world_log(void *ctx, int level, const char *line)
{
	(void) ctx;
	(void) level;
	if (strncmp(line, "greylist=", 9) != 0)
		return;
	snprintf(world.log, sizeof world.log, "%s", line);
	world.lines++;
}

void
world_up(void)
{
	struct buf why = BUF_INIT(10000);

	if (greylist_open(&world.g, world.params, "test", &why) < 0)
		fail_msg("%s", buf_str(&why));
	greylist_start(world.g, world.loop);
	buf_fini(&why);
}

void
world_open_in(struct ev_loop *loop, const char *main_cf)
{
	struct buf why = BUF_INIT(10000);
	char   *cf;

	memset(&world, 0, sizeof world);
	assert_int_equal(test_dir_make(NULL), 0);
	cf = mem_printf("config_directory = %s\ndata_directory = %s\nmyhostname = mx.test\n%s%s", test_dir, test_dir,
	    strstr(main_cf, "greylist_cache_size") != NULL ? "" : "greylist_cache_size = 2M\n", main_cf);
	world.cf = main_cf_parse("main.cf", cf, strlen(cf), NULL, NULL, &why);
	if (world.cf == NULL || (world.params = params_load(world.cf, &why)) == NULL)
		fail_msg("%s", buf_str(&why));
	mem_free(&cf);
	buf_fini(&why);
	world.loop = loop;
	msg_catch(world_log, NULL);
	world_up();
}

void
world_open(const char *main_cf)
{
	world_open_in(ev_loop_new_fake(WORLD_NOW), main_cf);
}

void
world_close(void)
{
	greylist_close(&world.g);
	ev_loop_free(&world.loop);
	params_free(&world.params);
	main_cf_free(&world.cf);
	msg_catch(NULL, NULL);
	assert_int_equal(test_dir_remove(NULL), 0);
}

void
world_at(int64_t at_s)
{
	bool	away = at_s - world.at_s > WORLD_AWAY_S;

	if (away)
		greylist_close(&world.g);
	ev_fake_advance(world.loop, (at_s - world.at_s) * 1000);
	if (away)
		world_up();
	world.at_s = at_s;
}

void
world_never(void *ctx, const struct greylist_result *res)
{
	(void) ctx;
	(void) res;
	fail_msg("called back without having been told to wait");
}

const char *
world_decide(const struct greylist_request *q)
{
	assert_int_equal(greylist_decide(world.g, q, &world.res, world_never, NULL, NULL), GREYLIST_NOW);
	return greylist_reason_word(world.res.reason);
}

const char *
world_ask(const char *sender, const char *recipient)
{
	struct greylist_request q = world_plain;

	q.sender = sender;
	q.recipient = recipient;
	return world_decide(&q);
}

void
world_expect(const char *what, const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		fail_msg("%s: got %s, want %s", what, got, want);
}
