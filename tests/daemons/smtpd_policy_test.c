/* tests/daemons/smtpd_policy_test.c - the policy plugin of smtpd(8): each action, what is asked, connections that break
 * The service is played by the test, on the rig's loop: a recipient rN@... gets the N-th row's action.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/lib/smtpd_rig.h>
#include <tests/lib/test_dir.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define OK	"250 2.1.5 Recipient ok\r\n"
#define AWAY	"450 4.3.5 Policy service is not available, try again later\r\n"

static struct smtpd_rig rig;
static struct smtpd_rig_client c;

static const struct vh_plugin *const helpers[] = { &smtpd_rig_keep, NULL };

/* rows: the action for rN@, and what the client is told; raw: the reply as it is */
static const struct row { const char *action, *want; bool open, raw; } rows[] = {
	{ "DUNNO", OK, true, false },
	{ "dunno", OK, true, false },
	{ "OK", OK, true, false },
	{ "REJECT", "550 5.7.1 Access denied\r\n", true, false },
	{ "REJECT 5.7.9 Not you", "550 5.7.9 Not you\r\n", true, false },
	{ "reject Not you", "550 5.7.1 Not you\r\n", true, false },
	{ "DEFER", "450 4.7.1 Access denied\r\n", true, false },
	{ "DEFER_IF_PERMIT 4.2.0 Greylisted", "450 4.2.0 Greylisted\r\n", true, false },
	{ "DEFER_IF_PERMIT", "450 4.7.1 Service unavailable\r\n", true, false },
	{ "451 4.3.5 Trouble", "451 4.3.5 Trouble\r\n", true, false },
	{ "554 5.7.1 No", "554 5.7.1 No\r\n", true, false },
	{ "421 Bye", "421 4.7.1 Bye\r\n", true, false },
	{ "PREPEND X-One: 1", OK, true, false },
	{ "HOLD", OK, true, false },
	{ "FILTER smtp:x", OK, true, false },
	{ "600 x", OK, true, false },
	{ "", OK, true, false },
	{ "noise=1\naction=REJECT 5.7.2 Mind\n\n", "550 5.7.2 Mind\r\n", true, true },
	{ "noise=1\n\n", AWAY, true, true },
	{ "CLOSE", AWAY, true, true },
	{ "SILENT", AWAY, true, true },
	{ "LONG", AWAY, true, true },
};

/* the service */

static struct {
	int	listen_fd, fd[10];
	struct ev_io listen_io, io[10];
	unsigned n, connections, requests, closed;
	struct buf in[10];
	char	last[4000];
	bool	once;			/* closes each connection after a reply */
} service;

static void
service_request(unsigned i)
{
	const char *at = strstr(service.in[i].data, "\nrecipient=r");
	const struct row *r = at != NULL ? &rows[(unsigned) atoi(at + 12) % NELEM(rows)] : &rows[0];
	struct buf out = BUF_INIT(1 << 20);

	service.requests++;
	snprintf(service.last, sizeof service.last, "%s", buf_str(&service.in[i]));
	buf_reset(&service.in[i]);
	if (r->raw && strcmp(r->action, "SILENT") == 0)
		return;
	if (r->raw && strcmp(r->action, "CLOSE") == 0) {
		shutdown(service.fd[i], SHUT_RDWR);
		return;
	}
	if (r->raw && strcmp(r->action, "LONG") == 0)
		for (int k = 0; k < 10000; k++)
			buf_addc(&out, 'x');
	else
		buf_addf(&out, r->raw ? "%s" : "action=%s\n\n", r->action);
	assert_int_equal(send(service.fd[i], out.data, out.len, MSG_NOSIGNAL), (ssize_t) out.len);
	buf_fini(&out);
	if (service.once)
		shutdown(service.fd[i], SHUT_RDWR);
}

static void
service_read(void *ctx, int fd, unsigned events)
{
	unsigned i = (unsigned) (size_t) ctx;
	char	chunk[4096];
	ssize_t n = recv(fd, chunk, sizeof chunk, 0);

	(void) events;
	if (n <= 0) {
		ev_io_cancel(rig.loop, &service.io[i]);
		service.closed++;
		return;
	}
	buf_add(&service.in[i], chunk, (size_t) n);
	if (service.in[i].len >= 2 && strcmp(service.in[i].data + service.in[i].len - 2, "\n\n") == 0)
		service_request(i);
}

static void
service_accept(void *ctx, int fd, unsigned events)
{
	unsigned i = service.n++ % 10;

	(void) ctx;
	(void) events;
	if (service.n > 10) {
		ev_io_cancel(rig.loop, &service.io[i]);
		close(service.fd[i]);
		buf_fini(&service.in[i]);
	}
	service.connections++;
	service.fd[i] = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
	assert_true(service.fd[i] >= 0);
	buf_init(&service.in[i], 1 << 20);
	ev_io_set(rig.loop, &service.io[i], service.fd[i], EV_READ, service_read, (void *) (size_t) i);
}

static void
begin(const char *args)
{
	char   *path = mem_printf("%s/policy", test_dir), *plugins = mem_printf("policy unix:%s %s\nkeep\n", path, args);

	memset(&service, 0, sizeof service);
	smtpd_rig_begin(&rig, plugins, helpers);
	service.listen_fd = sock_unix_listen(path, 10, 0600);
	assert_true(service.listen_fd >= 0);
	ev_io_set(rig.loop, &service.listen_io, service.listen_fd, EV_READ, service_accept, NULL);
	mem_free(&path);
	mem_free(&plugins);
}

static void
service_stop(void)
{
	if (service.listen_fd < 0)
		return;
	ev_io_cancel(rig.loop, &service.listen_io);
	sock_close(&service.listen_fd);
	for (unsigned i = 0; i < service.n && i < 10; i++) {
		ev_io_cancel(rig.loop, &service.io[i]);
		close(service.fd[i]);
		buf_fini(&service.in[i]);
	}
	service.n = 0;
}

static void
end(void)
{
	smtpd_rig_hangup(&rig, &c);
	service_stop();
	smtpd_rig_end(&rig);
}

static void
mail(const char *from)
{
	smtpd_rig_mail(&rig, &c, from, "SIZE=77");
}

static const char *
rcpt(const char *to)
{
	return smtpd_rig_rcpt(&rig, &c, to);
}

static void
test_actions(void **state)
{
	char	to[40];
	const char *heard;

	(void) state;
	for (size_t i = 0; i < NELEM(rows); i++) {
		begin("");
		mail("a@b.test");
		snprintf(to, sizeof to, "r%zu@d.test", i);
		heard = rcpt(to);
		if (strcmp(rows[i].action, "SILENT") == 0) {
			assert_string_equal(heard, "");
			smtpd_rig_advance(&rig, 9999);
			assert_string_equal(smtpd_rig_heard(&c), "");
			smtpd_rig_advance(&rig, 1);
			heard = smtpd_rig_heard(&c);
		}
		if (strcmp(heard, rows[i].want) != 0 || (c.conn != NULL) != rows[i].open)
			fail_msg("%s: heard \"%s\", open %d", rows[i].action, heard, c.conn != NULL);
		end();
	}
	begin("unavailable pass");
	mail("a@b.test");
	assert_string_equal(rcpt("r19@d.test"), OK);
	end();
	begin("reject_type temp");
	mail("a@b.test");
	assert_string_equal(rcpt("r4@d.test"), "450 4.7.9 Not you\r\n");
	end();
	begin("reject 0");
	mail("a@b.test");
	assert_string_equal(rcpt("r4@d.test"), OK);
	assert_string_equal(rcpt("r7@d.test"), OK);
	end();
	begin("");
	smtpd_rig_kept.relay = true;
	mail("a@b.test");
	assert_string_equal(rcpt("r4@d.test"), OK);
	assert_int_equal(service.requests, 0);
	end();
}

/* what is asked, at each hook; what PREPEND adds */
static void
test_requests(void **state)
{
	char   *want;

	(void) state;
	begin("context here");
	mail("\"a b\"@b.test");
	assert_string_equal(rcpt("r12@d.test"), OK);
	want = mem_printf("request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.1\n"
	    "client_name=unknown\nclient_port=40000\nreverse_client_name=unknown\nserver_address=unknown\nserver_port=0\n"
	    "helo_name=client.test\nsender=a b@b.test\nrecipient=r12@d.test\nrecipient_count=0\nqueue_id=\ninstance=%s\nsize=77\n"
	    "encryption_protocol=\npolicy_context=here\n\n", vh_txn_id(c.conn->txn));
	assert_string_equal(service.last, want);
	mem_free(&want);
	assert_string_equal(rcpt("r12@d.test"), OK);
	smtpd_rig_ask(&rig, &c, "DATA");
	smtpd_rig_ask(&rig, &c, "Subject: x\r\n\r\ntext\r\n.");
	assert_non_null(strstr(smtpd_rig_kept.message, "X-One: 1\r\nX-One: 1\r\n"));
	end();

	/* two instances: each asks, no header is added twice */
	want = mem_printf("\npolicy:1 unix:%s/policy", test_dir);
	begin(want);
	mem_free(&want);
	mail("a@b.test");
	assert_string_equal(rcpt("r12@d.test"), OK);
	assert_int_equal(service.requests, 2);
	smtpd_rig_ask(&rig, &c, "DATA");
	smtpd_rig_ask(&rig, &c, "Subject: x\r\n\r\ntext\r\n.");
	assert_non_null(strstr(smtpd_rig_kept.message, "X-One: 1\r\nX-One: 1\r\n"));
	assert_null(strstr(smtpd_rig_kept.message, "X-One: 1\r\nX-One: 1\r\nX-One"));
	end();

	begin("at data_post");
	mail("a@b.test");
	rcpt("r4@d.test");
	assert_int_equal(service.requests, 0);
	smtpd_rig_ask(&rig, &c, "DATA");
	assert_string_equal(smtpd_rig_ask(&rig, &c, "Subject: x\r\n\r\ntext\r\n."), "550 5.7.9 Not you\r\n");
	assert_non_null(strstr(service.last, "protocol_state=END-OF-MESSAGE\n"));
	assert_non_null(strstr(service.last, "recipient=r4@d.test\nrecipient_count=1\n"));
	assert_non_null(strstr(service.last, "size=20\n"));
	end();

	begin("at data");
	mail("a@b.test");
	rcpt("r4@d.test");
	rcpt("r5@d.test");
	smtpd_rig_ask(&rig, &c, "DATA");
	assert_non_null(strstr(service.last, "protocol_state=DATA\n"));
	assert_non_null(strstr(service.last, "recipient=\nrecipient_count=2\n"));
	end();

	begin("at connect");
	smtpd_rig_open(&rig, &c, "192.0.2.1");
	assert_non_null(strstr(service.last, "protocol_state=CONNECT\nprotocol_name=SMTP\n"));
	assert_non_null(strstr(service.last, "helo_name=\nsender=\nrecipient=\n"));
	end();
	begin("at mail");
	mail("a@b.test");
	assert_non_null(strstr(service.last, "protocol_state=MAIL\n"));
	assert_non_null(strstr(service.last, "instance=\n"));
	end();
}

/* connections: kept, closed by the service meanwhile, refused, a client that leaves */
static void
test_connections(void **state)
{
	(void) state;
	begin("");
	for (int i = 0; i < 5; i++) {
		mail("a@b.test");
		assert_string_equal(rcpt("r0@d.test"), OK);
	}
	assert_int_equal(service.connections, 1);
	smtpd_rig_advance(&rig, 300000);		/* too long idle */
	mail("a@b.test");
	assert_string_equal(rcpt("r0@d.test"), OK);
	assert_int_equal(service.connections, 2);
	service.once = true;				/* the service closes behind each reply */
	for (int i = 0; i < 5; i++) {
		mail("a@b.test");
		assert_string_equal(rcpt("r0@d.test"), OK);
	}
	service.once = false;
	assert_string_equal(rcpt("r0@d.test"), OK);
	/* a kept connection that dies with the question on it: asked again once, on a new one */
	service.requests = service.connections = 0;
	mail("a@b.test");
	assert_string_equal(rcpt("r19@d.test"), AWAY);
	assert_int_equal(service.requests, 2);
	assert_int_equal(service.connections, 1);
	/* the client leaves while the service thinks */
	mail("a@b.test");
	assert_string_equal(rcpt("r20@d.test"), "");
	service.closed = 0;
	smtpd_rig_hangup(&rig, &c);
	smtpd_rig_turn(&rig);
	assert_int_equal(service.closed, 1);
	/* not there any more */
	service_stop();
	mail("a@b.test");
	assert_string_equal(rcpt("r0@d.test"), AWAY);
	end();
}

static void
test_arguments(void **state)
{
	(void) state;
	assert_string_equal(smtpd_rig_refused("policy"),
	    "plugins, line 1: policy: : use unix:/path, or a numeric address and port such as 127.0.0.1:10031");
	assert_string_equal(smtpd_rig_refused("policy localhost:10031"),
	    "plugins, line 1: policy: localhost:10031: use unix:/path, or a numeric address and port such as 127.0.0.1:10031");
	assert_string_equal(smtpd_rig_refused("policy 127.0.0.1"),
	    "plugins, line 1: policy: 127.0.0.1: use unix:/path, or a numeric address and port such as 127.0.0.1:10031");
	assert_string_equal(smtpd_rig_refused("policy 127.0.0.1:1 at quit"),
	    "plugins, line 1: policy: at quit: use one of: connect mail rcpt data data_post");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_actions, test_dir_make, test_dir_remove),
		cmocka_unit_test_setup_teardown(test_requests, test_dir_make, test_dir_remove),
		cmocka_unit_test_setup_teardown(test_connections, test_dir_make, test_dir_remove),
		cmocka_unit_test_setup_teardown(test_arguments, test_dir_make, test_dir_remove),
	};

	msg_to_stderr(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
