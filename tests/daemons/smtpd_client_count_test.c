/* tests/daemons/smtpd_client_count_test.c - connections and unknown recipients of a client, over several workers, of which some die
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <daemons/smtpd/client_count.h>
#include <util/msg.h>

#define NOW	1800000000

static char dir[] = "/tmp/vouch-clients.XXXXXX";
static int dir_fd;

static const struct sockaddr *
client(const char *ip)
{
	static struct sockaddr_in6 v6;
	static struct sockaddr_in v4;

	memset(&v4, 0, sizeof v4);
	memset(&v6, 0, sizeof v6);
	v4.sin_family = AF_INET;
	v6.sin6_family = AF_INET6;
	if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1)
		return (const struct sockaddr *) &v4;
	assert_int_equal(inet_pton(AF_INET6, ip, &v6.sin6_addr), 1);
	return (const struct sockaddr *) &v6;
}

static struct client_count *
open_one(void)
{
	const char *why = "";
	struct client_count *c = client_count_open(dir_fd, &why);

	if (c == NULL)
		fail_msg("%s", why);
	return c;
}

static void
one_worker(void **state)
{
	struct client_count *c = open_one();

	(void) state;
	assert_int_equal(client_count_enter(c, client("192.0.2.1"), NOW), 1);
	assert_int_equal(client_count_enter(c, client("192.0.2.1"), NOW), 2);
	assert_int_equal(client_count_enter(c, client("192.0.2.2"), NOW), 1);
	assert_int_equal(client_count_enter(c, client("2001:db8::1"), NOW), 1);
	assert_int_equal(client_count_enter(c, client("2001:db8::2"), NOW), 2);		/* the same /64 */
	assert_int_equal(client_count_enter(c, client("2001:db8:0:1::2"), NOW), 1);
	client_count_leave(c, client("192.0.2.1"), NOW);
	client_count_leave(c, client("192.0.2.1"), NOW);
	client_count_leave(c, client("192.0.2.1"), NOW);				/* once too often: harmless */
	assert_int_equal(client_count_enter(c, client("192.0.2.1"), NOW), 1);
	client_count_leave(c, client("192.0.2.1"), NOW);
	client_count_leave(c, client("192.0.2.2"), NOW);
	client_count_leave(c, client("2001:db8::1"), NOW);
	client_count_leave(c, client("2001:db8::2"), NOW);
	client_count_leave(c, client("2001:db8:0:1::2"), NOW);
	/* unknown recipients: an hour without one, and they are forgotten */
	for (unsigned i = 1; i <= 5; i++)
		assert_int_equal(client_count_unknown(c, client("192.0.2.3"), NOW + i), i);
	assert_int_equal(client_count_unknown(c, client("192.0.2.4"), NOW), 1);
	assert_int_equal(client_count_unknown(c, client("192.0.2.3"), NOW + 5 + CLIENT_COUNT_MEMORY_S), 6);
	assert_int_equal(client_count_unknown(c, client("192.0.2.3"), NOW + 6 + 2 * CLIENT_COUNT_MEMORY_S), 1);
	assert_int_equal(client_count_unknown(c, client("192.0.2.3"), NOW), 1);		/* the clock was set back */
	client_count_close(&c);
	client_count_close(&c);
}

/* another worker with n connections; it says so and waits to be killed */
static pid_t
worker(unsigned n)
{
	struct client_count *c;
	const char *why;
	int	fds[2];
	char	byte;
	pid_t	pid;

	assert_int_equal(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);	/* a test that fails leaves nobody behind */
		if ((c = client_count_open(dir_fd, &why)) == NULL)
			_exit(1);
		while (n-- > 0)
			client_count_enter(c, client("192.0.2.9"), NOW);
		if (write(fds[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	close(fds[1]);
	return pid;
}

static void
several_workers(void **state)
{
	struct client_count *c = open_one();
	pid_t	a = worker(3), b = worker(4);

	(void) state;
	assert_int_equal(client_count_enter(c, client("192.0.2.9"), NOW), 8);
	kill(a, SIGKILL);
	waitpid(a, NULL, 0);
	assert_int_equal(client_count_enter(c, client("192.0.2.9"), NOW), 6);		/* 4 + 2: those of the dead are gone */
	client_count_leave(c, client("192.0.2.9"), NOW);
	client_count_leave(c, client("192.0.2.9"), NOW);
	kill(b, SIGKILL);
	waitpid(b, NULL, 0);
	assert_int_equal(client_count_enter(c, client("192.0.2.9"), NOW), 1);
	client_count_leave(c, client("192.0.2.9"), NOW);
	a = worker(1);					/* a single one of the dead would do harm where one is the limit */
	kill(a, SIGKILL);
	waitpid(a, NULL, 0);
	assert_int_equal(client_count_enter(c, client("192.0.2.9"), NOW), 1);
	client_count_leave(c, client("192.0.2.9"), NOW);
	client_count_close(&c);
}

static int
begin(void **state)
{
	(void) state;
	msg_to_stderr(NULL);
	return mkdtemp(dir) != NULL && (dir_fd = open(dir, O_RDONLY | O_DIRECTORY)) >= 0 ? 0 : -1;
}

static int
end(void **state)
{
	(void) state;
	unlinkat(dir_fd, CLIENT_COUNT_FILE, 0);
	close(dir_fd);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_worker),
		cmocka_unit_test(several_workers),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
