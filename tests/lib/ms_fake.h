/* tests/lib/ms_fake.h - the skeleton's side of multi_server.h, played in the test's own process and loop
 * For tests of a daemon's parts: clients are made here, what they say is handed to the daemon, what it sends is kept.
 * A program that uses it must not link global/multi_server.c as well, so it names none of that file's other functions.
 */
#ifndef TESTS_MS_FAKE_H
#define TESTS_MS_FAKE_H

#include <stdbool.h>
#include <stddef.h>

#include <global/multi_server.h>
#include <util/buf.h>
#include <util/evloop.h>

struct ms_client {
	void   *ctx;
	int	fd, peer;		/* a connected pair of sockets, or -1: for what asks about the descriptor */
	bool	held, last, eof, closed;
	struct buf in, out;		/* out: what the daemon has sent, for the test to empty */
	struct ev_defer defer;
};

/* ms_fake_init - which daemon, on which loop; both must outlive the clients */
void	ms_fake_init(struct ev_loop *, const struct multi_server *);
struct ms_client *ms_fake_client(void);
struct ms_client *ms_fake_client_on(int fd, int peer);	/* owns both */
void	ms_fake_free(struct ms_client **);		/* the client leaves, if it has not */
/* ms_fake_say, ms_fake_eof - the client says so much, or that it will say no more; the daemon is called if it may be */
void	ms_fake_say(struct ms_client *, const void *, size_t n);
void	ms_fake_eof(struct ms_client *);
/* ms_fake_hear - as ms_fake_say, without what follows by itself */
void	ms_fake_hear(struct ms_client *, const void *, size_t n);
/* ms_fake_turn - until nothing more happens by itself */
void	ms_fake_turn(void);
/* ms_fake_pass - the fake clock moves on, with all that happens meanwhile */
void	ms_fake_pass(int64_t ms);

#endif
