/* tests/lib/master_rig.h - a master inside the test program, in a temporary directory, with scripted children (childd.h)
 * DIR/etc/main.cf and master.cf, DIR/queue/{private,public,pid}, DIR/data, DIR/libexec/childd, which is the test program
 * itself under another name: its main() begins with rig_main. The loop has a fake clock unless asked for; descriptors and
 * processes are real, so everything is waited for with rig_until, which turns the loop.
 */
#ifndef TESTS_MASTER_RIG_H
#define TESTS_MASTER_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <daemons/master/super.h>
#include <util/buf.h>
#include <util/evloop.h>

#define RIG_WAIT_MS 10000

struct rig {
	char	dir[64];
	struct ev_loop *loop;
	struct super super;
	bool	started;
	struct buf why;			/* of the last start that failed */
};

/* rig_main - when argv[0] says childd, be that and exit; otherwise close what was inherited */
void	rig_main(int argc, char **argv);

/* one for each test: fixtures for cmocka, with the loop's fake clock, or with the real one */
extern struct rig master_rig;
int	master_rig_setup(void **state);
int	master_rig_setup_clock(void **state);
int	master_rig_teardown(void **state);
void	master_rig_begin(const char *main_cf, const char *master_cf);	/* write the files, and start; main_cf NULL: it stays as it is */

void	rig_init(struct rig *, bool fake_clock);
void	rig_fini(struct rig *);		/* kills what is left; fails the test when a file or socket of ours is left */
/* rig_main_cf, rig_master_cf - write the files; main.cf gets what every instance needs in front of text */
void	rig_main_cf(const struct rig *, const char *text);
void	rig_master_cf(const struct rig *, const char *text);
bool	rig_start(struct rig *);	/* plan_load and super_start; false with why */
/* rig_until - turn the loop until fn(ctx), at most RIG_WAIT_MS; false when it did not come true */
typedef bool rig_fn(struct rig *, const void *ctx);
bool	rig_until(struct rig *, rig_fn *, const void *ctx);
void	rig_turn(struct rig *, int ms);	/* turn the loop for so long */
/* MASTER_RIG_UNTIL - in a test: that of master_rig must come true */
#define MASTER_RIG_UNTIL(fn, ctx) do {							\
		if (!rig_until(&master_rig, fn, ctx))				\
			fail_msg("line %d: not within %d ms: %s %s; log:\n%s", __LINE__, RIG_WAIT_MS, #fn,	\
			    (const char *) (ctx), rig_log());			\
	} while (0)

/* rig_connect - to a local service by internal name ("private/x"), or a TCP port of 127.0.0.1 (":2525") */
int	rig_connect(const struct rig *, const char *where);
/* rig_ask - one request on a connection; the reply without its last line, heap; NULL when the connection ended
 * rig_ask_new - the same on a connection of its own */
char	*rig_ask(struct rig *, int fd, const char *request);
char	*rig_ask_new(struct rig *, const char *where, const char *request);
pid_t	rig_pid(struct rig *, const char *where);		/* who answers there; 0: nobody */

void	rig_freeze(pid_t);			/* stop a child, and see it stopped; SIGCONT lets it go on */
struct service *rig_service(const struct rig *, const char *id);	/* or NULL */
/* rig_log - all lines logged so far, "warning: text\n"; rig_log_has - whether one holds this; rig_log_forget */
const char *rig_log(void);
bool	rig_log_has(const char *text);
unsigned rig_log_count(const char *text);
void	rig_log_forget(void);
/* rig_file - content of a file in the queue directory, heap, "" when there is none */
char	*rig_file(const struct rig *, const char *name);
unsigned rig_lines(const struct rig *, const char *name);	/* of such a file */
void	rig_port(char port_r[16]);	/* a TCP port that nobody uses now */
unsigned rig_fds(void);			/* descriptors open in this process */

/* conditions for rig_until */
bool	rig_total_is(struct rig *, const void *id_and_number);		/* "private/x 3" */
bool	rig_avail_is(struct rig *, const void *id_and_number);
bool	rig_children_are(struct rig *, const void *number);		/* all, leaving or not: "0" */
bool	rig_logged(struct rig *, const void *text);

#endif
