/* tests/lib/smtpd_rig.c - smtpd's engine without sockets */
#include "smtpd_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <global/main_cf.h>
#include <util/mem.h>

#define RIG_WALL_S	1800000000
#define RIG_OUT_MAX	(16u << 20)
#define RIG_TURNS	1000		/* a rig that never comes to rest is a fault */

struct smtpd_rig_kept smtpd_rig_kept;

/* for the next rig */
static struct {
	struct params *params;
	const char *settings;
} rig_setup = { .settings = "/nonexistent" };

static void
rig_send(void *ctx, const void *data, size_t n)
{
	struct smtpd_rig_client *c = ctx;

	assert_false(c->finished);
	assert_int_equal(buf_add(&c->out, data, n), 0);
}

static void
rig_resume(void *ctx)
{
	struct smtpd_rig_client *c = ctx;

	assert_true(c->held);
	c->held = false;
}

static void
rig_finish(void *ctx, const void *data, size_t n, bool slowly)
{
	struct smtpd_rig_client *c = ctx;

	assert_false(c->finished);
	if (n > 0)
		rig_send(ctx, data, n);
	c->finished = true;
	c->slowly = slowly;
}

static void
rig_starttls(void *ctx)
{
	((struct smtpd_rig_client *) ctx)->starttls = true;
}

static ssize_t
rig_peek(void *ctx, void *data, size_t n)
{
	struct smtpd_rig_client *c = ctx;

	if (c->in.len == 0)
		return c->eof ? -1 : 0;
	n = n < c->in.len ? n : c->in.len;
	memcpy(data, c->in.data, n);
	return (ssize_t) n;
}

static const struct smtpd_wire rig_wire = { rig_send, rig_resume, rig_finish, rig_starttls, rig_peek, NULL };

void
smtpd_rig_setup(const char *text, const char *settings_dir)
{
	struct buf why = BUF_INIT(4096);
	struct main_cf *cf;

	params_free(&rig_setup.params);
	rig_setup.settings = settings_dir != NULL ? settings_dir : "/nonexistent";
	if (text == NULL)
		return;
	if ((cf = main_cf_parse("main.cf", text, strlen(text), NULL, NULL, &why)) == NULL ||
	    (rig_setup.params = params_load(cf, &why)) == NULL)
		fail_msg("%s", buf_str(&why));
	main_cf_free(&cf);
	buf_fini(&why);
}

const char *
smtpd_rig_refused(const char *plugins)
{
	static char text[4096];
	struct buf why = BUF_INIT(sizeof text);
	struct plugins *set;

	smtpd.conf.params = rig_setup.params;
	if ((set = plugins_parse("plugins", plugins, strlen(plugins), "", rig_setup.settings, &why)) != NULL)
		fail_msg("accepted: %s", plugins);
	snprintf(text, sizeof text, "%s", buf_str(&why));
	buf_fini(&why);
	return text;
}

void
smtpd_rig_begin(struct smtpd_rig *rig, const char *plugins, const struct vh_plugin *const *more)
{
	struct buf why = BUF_INIT(4096);

	memset(rig, 0, sizeof *rig);
	memset(&smtpd_rig_kept, 0, sizeof smtpd_rig_kept);
	rig->loop = ev_loop_new_fake(RIG_WALL_S);
	smtpd.loop = rig->loop;
	TAILQ_INIT(&smtpd.conns);			/* a test that has failed leaves some */
	smtpd.conns_n = 0;
	smtpd.conf = (struct smtpd_conf) {
		.hostname = "mx.test", .banner = "mx.test ESMTP", .mail_name = "vouch",
		.idle_ms = 300000, .session_ms = 3600000, .hook_ms = 60000, .error_sleep_ms = 0,
		.soft_errors = 1000, .hard_errors = 10000, .junk_limit = 10000, .rcpt_limit = 100, .overshoot_limit = 1000,
		.hops = 50, .client_limit = 100000, .unknown_limit = 10,
		.message_limit = 10240000, .body_memory = 65536, .header_limit = 102400,
		.second_helo = true, .smtputf8 = true, .forbid_pipelining = true,
		.params = rig_setup.params, .settings_dir = rig_setup.settings,
		.probe_sender = "double-bounce@mx.test", .double_bounce = "double-bounce", .myorigin = "mx.test",
	};
	if ((rig->spool_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		fail_msg("/tmp cannot be opened");
	smtpd.spool_fd = rig->spool_fd;
	loader_more = more;
	if ((smtpd.plugins = plugins_parse("plugins", plugins, strlen(plugins), "", rig_setup.settings, &why)) == NULL ||
	    plugins_start(smtpd.plugins, &why) < 0)
		fail_msg("%s", buf_str(&why));
	buf_fini(&why);
}

void
smtpd_rig_end(struct smtpd_rig *rig)
{
	struct smtpd_rig_client *c;

	for (c = rig->clients; c != NULL; c = c->next) {
		smtpd_rig_hangup(rig, c);
		buf_fini(&c->out);
		buf_fini(&c->in);
	}
	assert_int_equal(smtpd.conns_n, 0);
	plugins_free(&smtpd.plugins);
	smtpd_rig_setup(NULL, NULL);
	loader_more = NULL;
	ev_loop_free(&rig->loop);
	close(rig->spool_fd);
}

void
smtpd_rig_open(struct smtpd_rig *rig, struct smtpd_rig_client *c, const char *ip)
{
	struct smtpd_peer peer;
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(40000) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(40000) };
	bool	hold;

	for (struct smtpd_rig_client **at = &rig->clients; *at != NULL; at = &(*at)->next)
		if (*at == c) {			/* used before: that connection is over */
			smtpd_rig_hangup(rig, c);
			buf_fini(&c->out);
			buf_fini(&c->in);
			*at = c->next;
			break;
		}
	memset(c, 0, sizeof *c);
	memset(&peer, 0, sizeof peer);
	if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1)
		memcpy(&peer.peer, &v4, sizeof v4);
	else if (inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1)
		memcpy(&peer.peer, &v6, sizeof v6);
	buf_init(&c->out, RIG_OUT_MAX);
	buf_init(&c->in, RIG_OUT_MAX);
	c->next = rig->clients;
	rig->clients = c;
	c->conn = smtpd_session_open(&rig_wire, c, &peer, &hold);
	c->held = hold && !c->finished;
	smtpd_rig_turn(rig);
}

/* rig_input - what the client has sent, as far as it may be looked at; true: something has happened */
static bool
rig_input(struct smtpd_rig_client *c)
{
	struct buf in = c->in;
	size_t	used = 0;

	if (c->conn == NULL || c->held || c->finished || in.len == 0)
		return false;
	buf_init(&c->in, RIG_OUT_MAX);
	if (smtpd_session_input(c->conn, in.data, in.len, &used) == SMTPD_HOLD)
		c->held = true;
	else
		assert_int_equal(used, in.len);
	buf_add(&c->in, in.data + used, in.len - used);
	buf_fini(&in);
	return true;
}

void
smtpd_rig_turn(struct smtpd_rig *rig)
{
	bool	more;
	unsigned turns = 0;

	do {
		more = ev_turn(rig->loop, 0) > 0;
		for (struct smtpd_rig_client *c = rig->clients; c != NULL; c = c->next) {
			more = rig_input(c) || more;
			if (c->conn != NULL && c->finished)
				smtpd_session_closed(&c->conn, "closed");
		}
		assert_true(++turns < RIG_TURNS);
	} while (more);
}

void
smtpd_rig_advance(struct smtpd_rig *rig, int64_t ms)
{
	ev_fake_advance(rig->loop, ms);
	smtpd_rig_turn(rig);
}

void
smtpd_rig_send(struct smtpd_rig *rig, struct smtpd_rig_client *c, const char *data, size_t n)
{
	bool	held = c->held;

	assert_int_equal(buf_add(&c->in, data, n), 0);
	if (held && c->conn != NULL)
		smtpd_session_early(c->conn);
	smtpd_rig_turn(rig);
}

void
smtpd_rig_say(struct smtpd_rig *rig, struct smtpd_rig_client *c, const char *text)
{
	smtpd_rig_send(rig, c, text, strlen(text));
}

const char *
smtpd_rig_heard(struct smtpd_rig_client *c)
{
	static struct buf last = BUF_INIT(RIG_OUT_MAX);

	buf_reset(&last);
	buf_add(&last, buf_str(&c->out), c->out.len);
	buf_reset(&c->out);
	return buf_str(&last);
}

const char *
smtpd_rig_ask(struct smtpd_rig *rig, struct smtpd_rig_client *c, const char *line)
{
	smtpd_rig_heard(c);
	smtpd_rig_say(rig, c, line);
	smtpd_rig_say(rig, c, "\r\n");
	return smtpd_rig_heard(c);
}

void
smtpd_rig_hangup(struct smtpd_rig *rig, struct smtpd_rig_client *c)
{
	(void) rig;
	if (c->conn != NULL)
		smtpd_session_closed(&c->conn, "lost connection");
}

const char *
smtpd_rig_mail(struct smtpd_rig *rig, struct smtpd_rig_client *c, const char *from, const char *args)
{
	char   *line = mem_printf("MAIL FROM:<%s>%s%s", from, *args != 0 ? " " : "", args);
	const char *heard;

	smtpd_rig_open(rig, c, "192.0.2.1");
	smtpd_rig_ask(rig, c, "EHLO client.test");
	heard = smtpd_rig_ask(rig, c, line);
	mem_free(&line);
	return heard;
}

const char *
smtpd_rig_rcpt(struct smtpd_rig *rig, struct smtpd_rig_client *c, const char *to)
{
	char   *line = mem_printf("RCPT TO:<%s>", to);
	const char *heard = smtpd_rig_ask(rig, c, line);

	mem_free(&line);
	return heard;
}

/* keep */

static enum vh_rc
keep_connection(struct vh_call *call)
{
	vh_conn_set_relay(vh_conn(call), smtpd_rig_kept.relay);
	return VH_DECLINED;
}

static enum vh_rc
keep_rcpt(struct vh_call *call)
{
	(void) call;
	return VH_OK;
}

static enum vh_rc
keep_queue(struct vh_call *call)
{
	struct vh_reader *r = vh_reader_open(vh_txn(call), VH_MESSAGE);
	ssize_t n = vh_reader_read(r, smtpd_rig_kept.message, sizeof smtpd_rig_kept.message - 1);

	smtpd_rig_kept.message[n > 0 ? n : 0] = 0;
	vh_reader_close(&r);
	return VH_OK;
}

const struct vh_plugin smtpd_rig_keep = {
	.abi = VH_ABI, .name = "keep",
	.hooks = (const struct vh_hook_fn []) {
		{ VH_HOOK_PRE_CONNECTION, keep_connection }, { VH_HOOK_RCPT, keep_rcpt }, { VH_HOOK_QUEUE, keep_queue }, { VH_END, NULL }
	},
};
