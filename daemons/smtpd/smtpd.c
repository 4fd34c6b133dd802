/* daemons/smtpd/smtpd.c - the SMTP front end: start-up, and the wire between multi_server's clients and the sessions
 * Policy is in plugins (plugins(5)); nothing is kept here: a message is accepted when the next hop has accepted it.
 * "smtpd -t" shows the order of the plugins and ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <global/main_cf.h>
#include <global/multi_server.h>
#include <global/stats_file.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <util/units.h>

#include "plugin_stats.h"
#include "smtpd.h"

#define SMTPD_OPTIONS	100		/* -o with -t */
#define SMTPD_HOUSE_MS	250		/* counters are handed over */

static struct {
	int	data_fd;
	struct tls_ctx *tls;		/* the server's */
	struct ev_timer house;
} front = { .data_fd = -1 };

/* a client is a session */

static void
smtpd_wire_send(void *c, const void *data, size_t n)
{
	ms_send(c, data, n);
}

static void
smtpd_wire_resume(void *c)
{
	ms_resume(c);
}

static void
smtpd_wire_finish(void *c, const void *data, size_t n, bool slowly)
{
	if (slowly) {
		if (n > 0)
			ms_send(c, data, n);
		ms_finish_slowly(c);
	} else if (n > 0)
		ms_finish_with(c, data, n);
	else
		ms_finish(c);
}

static void
smtpd_wire_starttls(void *c)
{
	ms_starttls(c, front.tls);
}

static ssize_t
smtpd_wire_peek(void *c, void *data, size_t n)
{
	return ms_peek(c, data, n);
}

/* smtpd_passed - an address that came with a connection, in the place of one that the kernel has told */
static void
smtpd_passed(struct sockaddr_storage *ss, const char *address, const char *port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *) (void *) ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) (void *) ss;
	struct in6_addr a;
	int64_t n = 0;

	if (address == NULL)
		return;
	if (port != NULL && (!units_int_parse(port, &n) || n < 0 || n > 65535))
		n = 0;
	if (inet_pton(AF_INET, address, &a) == 1) {
		memset(ss, 0, sizeof *ss);
		memcpy(&v4->sin_addr, &a, sizeof v4->sin_addr);
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t) n);
	} else if (inet_pton(AF_INET6, address, &a) == 1) {
		memset(ss, 0, sizeof *ss);
		v6->sin6_addr = a;
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t) n);
	}
}

/* smtpd_wire_local - few plugins want to know: asked for then */
static void
smtpd_wire_local(void *c, struct sockaddr_storage *ss)
{
	socklen_t len = sizeof *ss;

	if (getsockname(ms_fd(c), (struct sockaddr *) ss, &len) < 0)
		ss->ss_family = AF_UNSPEC;
	smtpd_passed(ss, ms_passed(c, "server_address"), ms_passed(c, "server_port"));
}

static void *
smtpd_opened(struct ms_client *c)
{
	static const struct smtpd_wire wire = {
		smtpd_wire_send, smtpd_wire_resume, smtpd_wire_finish, smtpd_wire_starttls, smtpd_wire_peek,
		smtpd_wire_local
	};
	struct smtpd_peer peer;
	struct vh_conn *s;
	bool	hold;

	memset(&peer, 0, sizeof peer);
	if (!ms_peer(c, &peer.peer))
		peer.peer.ss_family = AF_UNSPEC;
	smtpd_passed(&peer.peer, ms_passed(c, "client_address"), ms_passed(c, "client_port"));
	ms_limit(c, smtpd.conf.idle_ms);
	s = smtpd_session_open(&wire, c, &peer, &hold);
	if (hold)
		ms_hold(c);
	return s;
}

static enum ms_next
smtpd_input(struct ms_client *c, void *ctx, const char *data, size_t n, size_t *used_r, bool *partial_r)
{
	(void) c;
	*partial_r = false;			/* sessions have time limits of their own */
	return smtpd_session_input(ctx, data, n, used_r) == SMTPD_HOLD ? MS_HOLD : MS_MORE;
}

static void
smtpd_early(struct ms_client *c, void *ctx)
{
	(void) c;
	smtpd_session_early(ctx);
}

static void
smtpd_secured(struct ms_client *c, void *ctx, const struct tls *tls)
{
	(void) c;
	if (tls == NULL)
		smtpd_session_tls(ctx, NULL, NULL);
	else
		smtpd_session_tls(ctx, tls_version(tls), tls_cipher(tls));
}

static void
smtpd_dismiss(struct ms_client *c, void *ctx, bool late)
{
	(void) c;
	smtpd_session_dismiss(ctx, late);
}

static void
smtpd_closed(struct ms_client *c, void *ctx)
{
	struct vh_conn *s = ctx;

	(void) c;
	smtpd_session_closed(&s, "lost connection");
}

/* the process */

/* smtpd_prepare - everything that a bad configuration could spoil, as root if we are; 0, or -1 with why */
static int
smtpd_prepare(const struct params *p, struct buf *why)
{
	struct buf reason = BUF_INIT(4096);
	int	ret = -1;

	smtpd_conf_make(&smtpd.conf, p);
	if ((smtpd.plugins = plugins_load(p->smtpd_plugins, p->smtpd_plugin_directory, p->smtpd_settings_directory, why)) == NULL)
		goto out;
	if ((smtpd.spool_fd = open(p->smtpd_spool_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		buf_addf(why, "smtpd_spool_directory %s: %s", p->smtpd_spool_directory, strerror(errno));
		goto out;
	}
	if (smtpd.conf.tls && (front.tls = tls_server_ctx_new(p->smtpd_tls_cert_file, p->smtpd_tls_key_file, &reason)) == NULL) {
		buf_addf(why, "smtpd_tls_security_level is %s, but smtpd_tls_cert_file or smtpd_tls_key_file cannot be used: %s",
		    p->smtpd_tls_security_level, buf_str(&reason));
		goto out;
	}
	ret = 0;
out:
	buf_fini(&reason);
	return ret;
}

static void
smtpd_pre_jail(const struct params *p, const struct main_cf *cf)
{
	struct buf why = BUF_INIT(16384);

	(void) cf;
	if (smtpd_prepare(p, &why) < 0)
		msg_fatal("%s", buf_str(&why));
	if ((front.data_fd = open(p->data_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		msg_warn("data_directory %s: %s: nothing is counted", p->data_directory, strerror(errno));
	buf_fini(&why);
}

static void
smtpd_tally(void)
{
	stats_file_flush();
	plugin_stats_flush(smtpd.plugins);
}

static void
smtpd_house(void *ctx)
{
	(void) ctx;
	smtpd_tally();
	if (smtpd.clients != NULL)
		client_count_check(smtpd.clients);
	ev_timer_set(smtpd.loop, &front.house, SMTPD_HOUSE_MS, smtpd_house, NULL);
}

static void
smtpd_start(struct ev_loop *loop)
{
	struct buf reason = BUF_INIT(8192);
	const char *why = "";

	smtpd.loop = loop;
	if (smtpd.conf.name_ms > 0)
		smtpd_dns();			/* bad name servers show now */
	if (plugins_start(smtpd.plugins, &reason) < 0)
		msg_fatal("%s", buf_str(&reason));
	buf_fini(&reason);
	stats_file_open(front.data_fd, smtpd.conf.params);
	plugin_stats_open(front.data_fd);
	if (front.data_fd >= 0 && (smtpd.clients = client_count_open(front.data_fd, &why)) == NULL)
		msg_warn("%s: %s: connections of a client are counted in each worker alone", CLIENT_COUNT_FILE, why);
	smtpd_house(NULL);
}

static void
smtpd_draining(void)
{
	smtpd.draining = true;
}

static void
smtpd_leaving(void)
{
	plugin_stats_flush(smtpd.plugins);
	plugin_stats_close();
	plugins_free(&smtpd.plugins);
	client_count_close(&smtpd.clients);
	stats_file_close();
}

/* smtpd -t */

static void
smtpd_warn(void *ctx, const char *text)
{
	(void) ctx;
	msg_warn("%s", text);
}

static int
smtpd_test(int argc, char **argv)
{
	const char *dir = getenv("MAIL_CONFIG");
	const char *option[SMTPD_OPTIONS];
	size_t	options = 0;
	int	ch;
	struct buf why = BUF_INIT(65536), out = BUF_INIT(65536);
	struct main_cf *cf;
	struct params *p;
	const struct plugins *set;

	msg_to_stderr("smtpd");
	while ((ch = getopt(argc - 1, argv, "c:o:")) != -1)
		if (ch == 'c')
			dir = optarg;
		else if (ch == 'o' && options < NELEM(option))
			option[options++] = optarg;
		else
			msg_fatal("use: smtpd [-c config_dir] [-o parameter=value] -t");
	if (dir == NULL)
		dir = "/etc/vouch";
	if ((cf = main_cf_read(dir, smtpd_warn, NULL, &why)) == NULL)
		msg_fatal("%s", buf_str(&why));
	for (size_t i = 0; i < options; i++)
		if (main_cf_set_arg(cf, option[i], &why) < 0)
			msg_fatal("invalid \"-o %s\" option value: %s", option[i], buf_str(&why));
	main_cf_set(cf, "process_name", "smtpd");
	main_cf_set(cf, "service_name", "smtpd");
	if ((p = params_load(cf, &why)) == NULL)
		msg_fatal("%s", buf_str(&why));
	if (smtpd_prepare(p, &why) < 0)
		msg_fatal("%s", buf_str(&why));
	set = smtpd.plugins;
	plugins_show(set, &out);
	fputs(buf_str(&out), stdout);
	if (set->chain_n[VH_HOOK_RCPT] == 0)
		msg_warn("%s: no plugin decides about recipients: all are refused for now", p->smtpd_plugins);
	if (set->chain_n[VH_HOOK_QUEUE] == 0)
		msg_warn("%s: no plugin takes messages: all are refused for now", p->smtpd_plugins);
	ch = fflush(stdout) == 0 ? 0 : 1;
	plugins_free(&smtpd.plugins);
	tls_ctx_free(&front.tls);
	sock_close(&smtpd.spool_fd);
	params_free(&p);
	main_cf_free(&cf);
	buf_fini(&why);
	buf_fini(&out);
	return ch;
}

int
main(int argc, char **argv)
{
	static const struct multi_server server = {
		.name = "smtpd", .persistent = true, .pass = true, .pre_jail = smtpd_pre_jail, .start = smtpd_start,
		.opened = smtpd_opened, .input = smtpd_input, .closed = smtpd_closed,
		.early = smtpd_early, .secured = smtpd_secured, .dismiss = smtpd_dismiss,
		.draining = smtpd_draining, .leaving = smtpd_leaving, .tally = smtpd_tally,
	};

	if (argc > 1 && strcmp(argv[argc - 1], "-t") == 0)	/* a master gives it with a type */
		return smtpd_test(argc, argv);
	multi_server_main(argc, argv, &server);
}
