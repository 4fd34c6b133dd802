/* tests/tools/mxd.c - an MX host that answers by rules and takes no mail (tests/lib/smtp_auto.h)
 *   mxd [-d MS] [-p] [-c N] [-g GREETING] [-r PREFIX=REPLY]... HOST PORT
 *   -d  wait so long before the reply to RCPT	-p  offer PIPELINING	-c  421 after N recipients of a session
 *   -r  reply to recipients whose local part begins so; "close", "silent" and "+MS REPLY" (after so many ms) are possible,
 *	 the first match decides
 * Prints "ready PORT"; forgets its rules on SIGUSR1; on SIGTERM one line of name=value figures.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tests/lib/smtp_auto.h>
#include <util/mem.h>

static struct ev_loop *loop;

static void
mxd_stop(void *ctx, int sig)
{
	(void) ctx;
	(void) sig;
	ev_stop(loop);
}

static void
mxd_forget(void *ctx, int sig)
{
	(void) sig;
	((struct smtp_auto *) ctx)->rules = 0;
}

int
main(int argc, char **argv)
{
	struct rlimit lim;
	struct smtp_auto s;
	char   *eq;
	int	ch;

	memset(&s, 0, sizeof s);
	while ((ch = getopt(argc, argv, "c:d:g:pr:")) != -1)
		switch (ch) {
		case 'c': s.close_after = (unsigned) atoi(optarg); break;
		case 'd': s.delay_ms = atoi(optarg); break;
		case 'g': s.greeting = optarg; break;
		case 'p': s.pipelining = true; break;
		case 'r':
			if ((eq = strchr(optarg, '=')) == NULL || s.rules == NELEM(s.rule))
				errx(2, "-r PREFIX=REPLY");
			*eq = 0;
			s.rule[s.rules++] = (struct smtp_auto_rule) { optarg, eq + 1 };
			break;
		default: errx(2, "usage: mxd [-d MS] [-p] [-c N] [-g GREETING] [-r PREFIX=REPLY]... HOST PORT");
		}
	if (argc - optind != 2)
		errx(2, "usage: mxd [-d MS] [-p] [-c N] [-g GREETING] [-r PREFIX=REPLY]... HOST PORT");
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	loop = ev_loop_new();
	ev_signal_set(loop, SIGTERM, mxd_stop, NULL);
	ev_signal_set(loop, SIGUSR1, mxd_forget, &s);
	printf("ready %u\n", smtp_auto_open(&s, loop, argv[optind], (unsigned) atoi(argv[optind + 1])));
	fflush(stdout);
	ev_run(loop);
	printf("accepted=%u open_max=%u rcpts=%u session_rcpts_max=%u data=%u odd=%u\n", s.accepted, s.open_max, s.rcpts,
	    s.session_rcpts_max, s.data, s.odd);
	smtp_auto_close(&s);
	ev_loop_free(&loop);
	return 0;
}
