/* tests/lib/mini_master.h - just enough of a master to run one daemon under the child contract, ours or Postfix's
 * source: spec master-child-contract section 10. Works in a temporary directory of its own:
 * DIR/etc/main.cf, DIR/queue/{private,public,pid}, DIR/data. Everything is gone after mini_master_fini.
 */
#ifndef TESTS_MINI_MASTER_H
#define TESTS_MINI_MASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mini_master {
	char	dir[64];
	char	socket[128];		/* absolute path of private/verify */
	int	listen_fd, status_fd;	/* ours; the child has its ends */
	int	child_status_fd;
	int	flow[2];
	pid_t	pid;			/* 0: not running */
	bool	twin;			/* the directory is another's */
	bool	vouch;			/* set MASTER_DRAIN_ENV, as vouch's master does */
};

/* mini_master_init - make the directory; main.cf gets sensible settings and then extra ("a = b\nc = d\n"); mail_owner is
 * the caller, or for Postfix's daemons as root "postfix"; exits with a message when something cannot be done */
void	mini_master_init(struct mini_master *, const char *extra, bool postfix);
/* mini_master_twin - another listener, private/NAME, in the directories of m; end it before m, with mini_master_fini */
void	mini_master_twin(struct mini_master *twin, const struct mini_master *m, const char *name);
/* mini_master_start - run program as a service of this name; args: more argv elements, NULL-terminated, or NULL */
void	mini_master_start(struct mini_master *, const char *program, const char *const *args);
/* mini_master_reload - what a reload looks like to the child: end of file on descriptor 5; the child is forgotten */
pid_t	mini_master_reload(struct mini_master *);
void	mini_master_kill(struct mini_master *);		/* SIGKILL and reap */
void	mini_master_fini(struct mini_master *);
int	mini_master_connect(const struct mini_master *);	/* a connection to private/verify, or exit */
/* mini_master_log - the child's log so far (maillog_file); heap */
char	*mini_master_log(const struct mini_master *);

/* test_libexec - path of one of our daemons: $VOUCH_LIBEXEC/name; heap; NULL when the variable is not set */
char	*test_libexec(const char *name);
/* test_read_some - read what comes within ms milliseconds, up to size bytes, returning as soon as `until` bytes are there */
size_t	test_read_some(int fd, char *data, size_t size, size_t until, int ms);

#endif
