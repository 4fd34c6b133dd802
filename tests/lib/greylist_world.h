/* tests/lib/greylist_world.h - a host that greylists: a configuration in test_dir, a fake clock, and what it logged last */
#ifndef TESTS_GREYLIST_WORLD_H
#define TESTS_GREYLIST_WORLD_H

#include <global/greylist.h>
#include <global/main_cf.h>
#include <global/params.h>

#define WORLD_NOW	1700000000	/* at the beginning */
#define WORLD_DAY	86400

extern struct greylist_world {
	struct main_cf *cf;
	struct params *params;
	struct ev_loop *loop;
	struct greylist *g;
	int64_t	at_s;			/* since the beginning */
	struct greylist_result res;	/* of the last decision */
	char	log[4096];		/* the last line about greylisting */
	unsigned lines;
} world;

/* world_open - with these parameters; world_open_in - on a loop, which is the world's from now on */
void	world_open(const char *main_cf);
void	world_open_in(struct ev_loop *, const char *main_cf);
void	world_up(void);			/* start the process again, after greylist_close */
void	world_close(void);
void	world_at(int64_t at_s);		/* the clock goes on to this second; a long time is spent without a process */

extern const struct greylist_request world_plain;	/* 192.0.2.25, a@x.example to b@example.com, at RCPT */
/* world_decide - the reason, in a word; it must be known at once. world_ask - the same for world_plain of another envelope */
const char *world_decide(const struct greylist_request *);
const char *world_ask(const char *sender, const char *recipient);
void	world_expect(const char *what, const char *got, const char *want);
/* world_never - for decisions that must be made at once */
void	world_never(void *ctx, const struct greylist_result *);

#endif
