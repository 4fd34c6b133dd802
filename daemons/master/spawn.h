/* daemons/master/spawn.h - start a process as the child contract says: descriptors, arguments, environment
 * source: spec master-child-contract section 1. Knows nothing of services' states; whether to start one is service.h.
 */
#ifndef MASTER_SPAWN_H
#define MASTER_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

struct spawn {				/* what all children of one master share */
	int	flow[2];		/* descriptors 3 and 4 */
	int	null;			/* /dev/null */
	bool	debug;			/* children get -d, and our own 0, 1 and 2 */
	bool	keep_stdout;		/* children get our 1 */
	bool	verbose;		/* children get -v */
	char  **env;			/* NULL-terminated, the last place is for GENERATION */
	size_t	env_n;
	uint32_t forks;			/* so far: the last GENERATION */
};

int	spawn_init(struct spawn *, struct buf *why);	/* 0, or -1 with why */
void	spawn_fini(struct spawn *);
/* spawn_env - make the environment of children from import_environment, our environment and the plan */
void	spawn_env(struct spawn *, const struct plan *, char *const *environment);
/* spawn_argv - the whole argument vector, NULL-terminated; spawn_free_vector it
 * stress    whether the service is under stress; counts only for services that can be */
char  **spawn_argv(const struct spawn *, const struct plan_service *, size_t listeners, bool stress);
void	spawn_free_vector(char ***);
/* spawn_child - fork and exec
 * status_fd, listen_fds become descriptors 5, and 6 and up
 * generation_r the child's GENERATION
 * returns   the pid, or -1 (errno). An exec that fails is seen as exit status 127 of the child, SPAWN_NO_EXEC.
 */
#define SPAWN_NO_EXEC 127
pid_t	spawn_child(struct spawn *, const char *path, char **argv, int status_fd, const int *listen_fds, size_t listeners,
	    uint32_t *generation_r);

#endif
