/* tests/lib/command.h - run a program as its user would, and keep what it said; private directories to do it in */
#ifndef TESTS_COMMAND_H
#define TESTS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <util/buf.h>

#define COMMAND_LIMIT_MS 30000		/* then it is killed, and the test fails */

struct command {
	uid_t	 uid;		/* run as this user; 0: as we are */
	int	 code;		/* exit status; 128 + N: ended by signal N */
	struct buf out, err;	/* what it wrote; strings */
	long	 ms;		/* how long it took */
};

/* command_run - a program of ours ("vouch", "vouchconf"), found in $VOUCH_BIN or in the tree, or any other with a path
 * c         zeroed, or used before; the last argument is NULL; fails the test on time-out */
void	command_run(struct command *c, const char *program, ...) __attribute__((sentinel));
void	command_fini(struct command *);
/* command_want - fail the test, showing everything, unless code is this and each text (separated by |) is somewhere in
 * out or err */
void	command_want(const struct command *, const char *name, int code, const char *texts);

char   *command_path(const char *program);	/* where command_run finds it; heap */

/* command_dir - a new directory for this test, mode 0755, without links in its name; heap */
char   *command_dir(void);
void	command_remove(char **dir);	/* with all that is in it */
/* command_install - copy our programs to DIR/bin and DIR/libexec/vouch, where every user may run them; path of vouch; heap */
char   *command_install(const char *dir);
void	command_write(const char *path, const char *text);	/* a file with this content */
void	command_append(const char *path, const char *text);
char   *command_read(const char *path);				/* heap; fails the test when it cannot be read */
bool	command_exists(const char *path);

#endif
