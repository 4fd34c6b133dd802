/* tests/tools/policysay.c - say requests to a policy server, show its actions
 *   policysay SOCKET [NAME=VALUE]... [-- [NAME=VALUE]...]...
 * SOCKET is a path, or HOST:PORT. One connection; each "--", and the end, sends a request: a second one has the attributes of the one
 * before it, but for those that are given anew. The first begins with request=smtpd_access_policy and protocol_state=RCPT.
 * Prints one line for each: milliseconds, a blank, the action, or "closed". Exit 0; 1 when a reply was missing, strange or not there
 * within POLICYSAY_WAIT_MS.
 */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <global/policy_proto.h>
#include <util/mem.h>
#include <util/sock.h>

#define POLICYSAY_WAIT_MS 30000
#define POLICYSAY_ATTRS	100

static const char *policysay_attr[POLICYSAY_ATTRS] = { "request=" POLICY_PROTO_REQUEST, "protocol_state=RCPT" };
static unsigned policysay_n = 2;

static long long
policysay_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void
policysay_set(const char *attr)
{
	size_t	len = strcspn(attr, "=");

	for (unsigned i = 0; i < policysay_n; i++)
		if (strncmp(policysay_attr[i], attr, len + 1) == 0) {
			policysay_attr[i] = attr;
			return;
		}
	if (attr[len] == 0 || policysay_n == POLICYSAY_ATTRS)
		errx(2, "%s: not NAME=VALUE, or too many", attr);
	policysay_attr[policysay_n++] = attr;
}

/* policysay_one - false: the server has closed the connection */
static bool
policysay_one(int fd)
{
	struct buf out = BUF_INIT(1 << 20);
	long long began = policysay_ms();
	const char *action;
	char	in[4096];
	size_t	len = 0, action_len;
	ssize_t	n;
	int	got;

	for (unsigned i = 0; i < policysay_n; i++)
		if (buf_addf(&out, "%s\n", policysay_attr[i]) < 0)
			errx(2, "the request is too long");
	if (policy_put_end(&out) < 0 || sock_write_all(fd, out.data, out.len, POLICYSAY_WAIT_MS) < 0)
		err(1, "cannot send");
	buf_fini(&out);
	for (;;) {
		if (sock_wait(fd, POLLIN, POLICYSAY_WAIT_MS) != 1)
			errx(1, "no reply");
		if ((n = recv(fd, in + len, sizeof in - len, 0)) <= 0) {
			printf("%lld closed\n", policysay_ms() - began);
			return false;
		}
		len += (size_t) n;
		if ((got = policy_get_action(in, len, &action, &action_len)) != 0)
			break;
		if (len == sizeof in)
			errx(1, "a reply without end");
	}
	if (got < 0 || action + action_len + 2 != in + len)
		errx(1, "not a reply: %.*s", (int) len, in);
	printf("%lld %.*s\n", policysay_ms() - began, (int) action_len, action);
	fflush(stdout);
	return true;
}

int
main(int argc, char **argv)
{
	char   *port;
	int	fd;

	if (argc < 2)
		errx(2, "usage: policysay SOCKET [NAME=VALUE]... [-- [NAME=VALUE]...]...");
	if (argv[1][0] != '/' && (port = strrchr(argv[1], ':')) != NULL) {
		*port++ = 0;
		fd = sock_inet_connect(argv[1], port, false);
	} else
		fd = sock_unix_connect(argv[1], false);
	if (fd < 0)
		err(1, "%s", argv[1]);
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--") != 0)
			policysay_set(argv[i]);
		else if (!policysay_one(fd))
			return 1;
	return policysay_one(fd) ? 0 : 1;
}
