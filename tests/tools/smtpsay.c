/* tests/tools/smtpsay.c - say SMTP commands, show the replies
 *
 *   smtpsay HOST PORT COMMAND...
 *
 * Waits for the greeting, then sends each command and waits for its reply. Prints for the greeting and each command one
 * line: milliseconds, a blank, the reply with its lines joined by " / ". Exit 0, or 1 when the server was silent for
 * SMTPSAY_WAIT_MS, closed too early or could not be reached. Every command is said, whatever the replies are.
 */
#include <err.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <util/buf.h>
#include <util/sock.h>

#define SMTPSAY_WAIT_MS	30000		/* longer than any wait the tests configure */

static long long
smtpsay_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* smtpsay_reply - read one reply and print it; began_ms is when the command was sent */
static void
smtpsay_reply(int fd, struct buf *in, long long began_ms)
{
	bool	more = true, first = true;
	char	*eol;

	while (more) {
		while (in->len == 0 || (eol = memchr(in->data, '\n', in->len)) == NULL) {
			char	*room = buf_room(in, 4096);
			ssize_t	n;

			if (room == NULL)
				errx(1, "reply too long");
			if (sock_wait(fd, POLLIN, SMTPSAY_WAIT_MS) != 1)
				errx(1, "no reply");
			if ((n = recv(fd, room, 4096, 0)) <= 0)
				errx(1, "connection closed");
			buf_grew(in, (size_t) n);
		}
		more = eol - in->data > 3 && in->data[3] == '-';
		if (first)
			printf("%lld ", smtpsay_ms() - began_ms);
		printf("%s%.*s", first ? "" : " / ", (int) (strcspn(in->data, "\r\n")), in->data);
		first = false;
		buf_drop(in, (size_t) (eol + 1 - in->data));
	}
	printf("\n");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	long long began_ms = smtpsay_ms();
	int	fd;

	if (argc < 3) {
		fprintf(stderr, "usage: smtpsay HOST PORT COMMAND...\n");
		return 2;
	}
	if ((fd = sock_inet_connect(argv[1], argv[2], false)) < 0)
		err(1, "%s port %s", argv[1], argv[2]);
	smtpsay_reply(fd, &in, began_ms);
	for (int i = 3; i < argc; i++) {
		began_ms = smtpsay_ms();
		buf_reset(&out);
		if (buf_addf(&out, "%s\r\n", argv[i]) < 0 || sock_write_all(fd, out.data, out.len, SMTPSAY_WAIT_MS) < 0)
			err(1, "cannot send");
		smtpsay_reply(fd, &in, began_ms);
	}
	buf_fini(&in);
	buf_fini(&out);
	return 0;
}
