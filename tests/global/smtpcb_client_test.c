/* tests/global/smtpcb_client_test.c - asking a server of the smtp_callback protocol: replies in pieces, none, too much, cancelled */
#include <global/smtpcb_client.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <util/mem.h>
#include <util/sock.h>

static struct ev_loop *loop;
static int listener;
static char port[10];

static struct {
	unsigned calls;
	bool	reply;
	enum smtpcb_code code;
	char	text[200];		/* msg, or why */
} got;

static void
answered(void *ctx, const struct smtpcb_reply *r, const char *why)
{
	assert_ptr_equal(ctx, &got);
	got.calls++;
	got.reply = r != NULL;
	got.code = r != NULL ? r->code : SMTPCB_TEMPFAIL;
	snprintf(got.text, sizeof got.text, "%s", r != NULL ? r->msg : why);
}

static int
setup(void **state)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;

	(void) state;
	loop = ev_loop_new_fake(1767000000);
	listener = sock_inet_listen("127.0.0.1", "0", 5);
	if (listener < 0 || getsockname(listener, (struct sockaddr *) &sin, &len) < 0)
		return -1;
	sock_nonblock(listener, false);
	snprintf(port, sizeof port, "%u", ntohs(sin.sin_port));
	memset(&got, 0, sizeof got);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	sock_close(&listener);
	ev_loop_free(&loop);
	return 0;
}

static void
turn(void)
{
	for (int quiet = 0; quiet < 5; ) {
		quiet = ev_turn(loop, 0) > 0 ? 0 : quiet + 1;
		usleep(200);
	}
}

/* ask - a question, and the server's end of it */
static int
ask(struct smtpcb_ask **a, const char *local)
{
	char	line[100];
	ssize_t n;
	int	fd;

	got.calls = 0;
	*a = smtpcb_ask_new(loop, "127.0.0.1", port, local, "b.test", 1000, answered, &got);
	assert_int_equal(got.calls, 0);
	turn();
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0 && sock_wait(fd, POLLIN, 5000) == 1);
	n = read(fd, line, sizeof line - 1);
	assert_true(n > 0);
	line[n] = 0;
	assert_string_equal(line, strcmp(local, "a b") == 0 ? "<\"a b\"@b.test>\n" : "<a@b.test>\n");
	return fd;
}

static void
test_replies(void **state)
{
	static const struct { const char *reply; bool ok; enum smtpcb_code code; const char *text; } cases[] = {
		{ "OK:fine:a:s:1:2\n", true, SMTPCB_OK, "fine" },
		{ "FAIL:no:a:s:1:2\r\n", true, SMTPCB_FAIL, "no" },
		{ "TEMPFAIL:later:a:s:1:2:age=1\nOK:x:a:s:1:2\n", true, SMTPCB_TEMPFAIL, "later" },
		{ "OK\n", false, SMTPCB_TEMPFAIL, "not six fields" },
		{ "YES:fine:a:s:1:2\n", false, SMTPCB_TEMPFAIL, "unknown code" },
		{ "", false, SMTPCB_TEMPFAIL, "connection closed before the reply" },
		{ "OK:fine:a:s:1:2", false, SMTPCB_TEMPFAIL, "connection closed before the reply" },
	};
	struct smtpcb_ask *a;

	(void) state;
	for (size_t i = 0; i < 2 * NELEM(cases); i++) {
		const char *reply = cases[i / 2].reply;
		int	fd = ask(&a, i % 2 ? "a b" : "a");

		if (i % 2)			/* byte by byte */
			for (const char *p = reply; *p != 0 && got.calls == 0; p++) {
				assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
				turn();
			}
		else
			assert_int_equal(send(fd, reply, strlen(reply), MSG_NOSIGNAL), (ssize_t) strlen(reply));
		close(fd);
		turn();
		if (got.calls != 1 || got.reply != cases[i / 2].ok || got.code != cases[i / 2].code || strcmp(got.text, cases[i / 2].text) != 0)
			fail_msg("%s: %u calls, reply %d, code %d, \"%s\"", reply, got.calls, got.reply, got.code, got.text);
	}
}

static void
test_trouble(void **state)
{
	struct smtpcb_ask *a;
	char   *flood, longest[3000];
	int	fd;

	(void) state;
	fd = ask(&a, "a");			/* silent */
	ev_fake_advance(loop, 999);
	assert_int_equal(got.calls, 0);
	ev_fake_advance(loop, 1);
	assert_int_equal(got.calls, 1);
	assert_string_equal(got.text, "no reply in time");
	close(fd);

	fd = ask(&a, "a");			/* a reply without an end */
	flood = mem_alloc(SMTPCB_REPLY_MAX + 100);
	memset(flood, 'x', SMTPCB_REPLY_MAX + 100);
	assert_true(send(fd, flood, SMTPCB_REPLY_MAX + 100, MSG_NOSIGNAL) > 0);
	turn();
	assert_int_equal(got.calls, 1);
	assert_string_equal(got.text, "reply too long");
	mem_free(&flood);
	close(fd);

	fd = ask(&a, "a");			/* nobody wants to know any more */
	smtpcb_ask_free(&a);
	assert_null(a);
	smtpcb_ask_free(&a);
	assert_true(sock_wait(fd, POLLIN, 5000) == 1);
	ev_fake_advance(loop, 5000);
	assert_int_equal(got.calls, 0);
	close(fd);

	memset(longest, 'a', sizeof longest - 1);	/* no address of this protocol */
	longest[sizeof longest - 1] = 0;
	a = smtpcb_ask_new(loop, "127.0.0.1", port, longest, "b.test", 1000, answered, &got);
	assert_int_equal(got.calls, 0);
	turn();
	assert_int_equal(got.calls, 1);
	assert_string_equal(got.text, "address too long");

	got.calls = 0;				/* nobody is there */
	sock_close(&listener);
	a = smtpcb_ask_new(loop, "127.0.0.1", port, "a", "b.test", 1000, answered, &got);
	turn();
	assert_int_equal(got.calls, 1);
	assert_string_equal(got.text, "Connection refused");
	got.calls = 0;
	a = smtpcb_ask_new(loop, "not an address", port, "a", "b.test", 1000, answered, &got);
	turn();
	assert_int_equal(got.calls, 1);
	assert_false(got.reply);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_replies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trouble, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
