/* tests/tools/killer.c - kill -9 random children of a process, again and again
 *
 *   killer PID SECONDS PAUSE_MS
 *
 * Prints how many it has killed.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <util/buf.h>
#include <util/mem.h>

/* killer_child - one of the children of pid, by chance; 0: it has none just now */
static pid_t
killer_child(const char *pid)
{
	struct buf list = BUF_INIT(1 << 20);
	char	*path = mem_printf("/proc/%s/task/%s/children", pid, pid), *p, *end;
	pid_t	child, one = 0;
	long	seen = 0;

	if (buf_read_file(&list, AT_FDCWD, path) < 0)
		err(1, "%s", path);
	for (p = list.data; p != NULL && (child = (pid_t) strtol(p, &end, 10), end != p); p = end)
		if (random() % ++seen == 0)
			one = child;
	buf_fini(&list);
	mem_free(&path);
	return one;
}

int
main(int argc, char **argv)
{
	struct timespec pause;
	unsigned killed = 0;
	time_t	end;
	pid_t	pid;

	if (argc != 4) {
		fprintf(stderr, "usage: killer PID SECONDS PAUSE_MS\n");
		return 2;
	}
	pause.tv_sec = atol(argv[3]) / 1000;
	pause.tv_nsec = atol(argv[3]) % 1000 * 1000000;
	srandom((unsigned) getpid());
	for (end = time(NULL) + atol(argv[2]); time(NULL) < end; nanosleep(&pause, NULL))
		if ((pid = killer_child(argv[1])) > 0 && kill(pid, SIGKILL) == 0)
			killed++;
	printf("%u\n", killed);
	return 0;
}
