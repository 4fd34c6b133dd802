/* tests/tools/dnsd.c - a name server on loopback that answers from a zone file (tests/lib/dns_stub.h)
 *   dnsd ZONEFILE      prints "ready PORT"; reads the file again on SIGHUP; ends on SIGTERM
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include <tests/lib/dns_stub.h>
#include <util/buf.h>

static struct ev_loop *loop;
static struct dns_stub *stub;
static const char *file;

static void
dnsd_read(void *ctx, int sig)
{
	struct buf zone = BUF_INIT(64u << 20);

	(void) ctx;
	(void) sig;
	if (buf_read_file(&zone, AT_FDCWD, file) < 0)
		err(1, "%s", file);
	dns_stub_zone(stub, buf_str(&zone));
	buf_fini(&zone);
}

static void
dnsd_stop(void *ctx, int sig)
{
	(void) ctx;
	(void) sig;
	ev_stop(loop);
}

int
main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: dnsd ZONEFILE");
	file = argv[1];
	loop = ev_loop_new();
	stub = dns_stub_new(loop, "");
	dnsd_read(NULL, 0);
	ev_signal_set(loop, SIGHUP, dnsd_read, NULL);
	ev_signal_set(loop, SIGTERM, dnsd_stop, NULL);
	printf("ready %d\n", dns_stub_listen(stub));
	fflush(stdout);
	ev_run(loop);
	dns_stub_free(&stub);
	ev_loop_free(&loop);
	return 0;
}
