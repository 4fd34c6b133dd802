/* tests/tools/vpeers.c - what one worker was told, all others know at once
 *
 *   vpeers SOCKET ROUNDS PID...
 *
 * Opens connections until every one of these processes holds at least one of them (their open sockets are counted), or gives
 * up. Then, ROUNDS times: one connection takes an update for a new address, and every connection is asked for it
 * at once. Prints how many connections and answers there were; exit 1 at the first wrong answer.
 */
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <util/mem.h>
#include <global/verify_clnt.h>

#define VPEERS_CONNS_MAX 256
#define VPEERS_TIMEOUT_MS 5000

static struct verify_clnt *vpeers_conns[VPEERS_CONNS_MAX];
static struct buf vpeers_why = BUF_INIT(4096), vpeers_reason = BUF_INIT(65536);

/* vpeers_sockets - how many sockets the process has open */
static unsigned
vpeers_sockets(const char *pid)
{
	char	path[512], target[64];
	struct dirent *e;
	unsigned n = 0;
	ssize_t	len;
	DIR	*dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	if ((dir = opendir(path)) == NULL)
		err(1, "%s", path);
	while ((e = readdir(dir)) != NULL) {
		if (!isdigit((unsigned char) e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, e->d_name);
		len = readlink(path, target, sizeof(target) - 1);
		n += len > 7 && memcmp(target, "socket:", 7) == 0;
	}
	closedir(dir);
	return n;
}

static void
vpeers_update(struct verify_clnt *c, const char *addr, const char *text)
{
	if (verify_clnt_update(c, addr, VERIFY_BOUNCE, text, &vpeers_why) != 0)
		errx(1, "update %s: %s", addr, buf_str(&vpeers_why));
}

static unsigned
vpeers_open(const char *path, int pids, char **pid)
{
	unsigned *before = mem_array((size_t) pids, sizeof(*before)), n;
	int	without = 0;

	for (int i = 0; i < pids; i++)
		before[i] = vpeers_sockets(pid[i]);
	for (n = 0; n < VPEERS_CONNS_MAX; ) {
		vpeers_conns[n] = verify_clnt_new(path, VPEERS_TIMEOUT_MS);
		vpeers_update(vpeers_conns[n++], "first@peers.test", "550 connected");
		without = 0;
		for (int i = 0; i < pids; i++)
			without += vpeers_sockets(pid[i]) <= before[i];
		if (without == 0) {
			mem_free(&before);
			return n;
		}
	}
	errx(1, "%u connections, and %d of %d workers hold none", n, without, pids);
}

int
main(int argc, char **argv)
{
	unsigned conns, asked = 0;
	enum verify_status status;
	char	addr[64], text[64];
	int	rounds;

	if (argc < 4 || (rounds = atoi(argv[2])) <= 0) {
		fprintf(stderr, "usage: vpeers SOCKET ROUNDS PID...\n");
		return 2;
	}
	conns = vpeers_open(argv[1], argc - 3, argv + 3);
	for (int i = 0; i < rounds; i++) {
		snprintf(addr, sizeof(addr), "peer%d@peers.test", i);
		snprintf(text, sizeof(text), "550 5.1.1 round %d", i);
		vpeers_update(vpeers_conns[(unsigned) i % conns], addr, text);
		for (unsigned j = 0; j < conns; j++, asked++) {
			if (verify_clnt_query(vpeers_conns[j], addr, &status, &vpeers_reason, &vpeers_why) != 0)
				errx(1, "query %s: %s", addr, buf_str(&vpeers_why));
			if (status != VERIFY_BOUNCE || strcmp(buf_str(&vpeers_reason), text) != 0)
				errx(1, "%s: connection %u was told by %u, answer: %d %s", addr, j, (unsigned) i % conns,
				    (int) status, buf_str(&vpeers_reason));
		}
	}
	printf("connections=%u answers=%u\n", conns, asked);
	for (unsigned j = 0; j < conns; j++)
		verify_clnt_free(&vpeers_conns[j]);
	buf_fini(&vpeers_why);
	buf_fini(&vpeers_reason);
	return 0;
}
