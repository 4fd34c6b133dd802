/* tests/daemons/probe_wire_test.c - replays the dialogues of tests/wire/ *.smtp: scripted servers, fake clock
 * A file holds dialogues; each begins with "== name". Before its first server: what is asked and how we are configured.
 *	ask ADDR	(ann@example.org when there is none; several are asked together, in order)
 *	conf NAME VALUE	see wire_conf		zone LINE	one more fact for the name server; "zone -" forgets the others
 *	mx N		as many exchanges, mx1 best (1)		deaf N	mxN takes no connections
 * "@ mxN" begins the script of the next connection to that exchange, in the language of tests/lib/smtp_stub.h, and:
 *	hello [EXT ...]	greeting and EHLO	mail, rcpt [ADDR]	our command (mail: and 250)
 *	bye		RSET, idle, QUIT	quit	QUIT
 * "= status category rule dsn | text" are the reports that must come, in order; '*' at the end: any rest. "=" twice
 * for the same address: it was asked again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <cmocka.h>

#include <tests/lib/prober_world.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>

#define OUR_SENDER "double-bounce@probe.example.net"

struct wire {
	const char *file;
	unsigned line;
	char	name[100];
	struct buf zone, script, want;
	char	ask[20][200];
	unsigned asks, mx, host, script_line;
	bool	deaf[SMTP_STUB_HOSTS], in_script, skip;
	const char *sender;
	struct prober_world w;
};

static unsigned wire_dialogues, wire_skipped, *wire_decided;

static void __attribute__((noreturn, format(printf, 2, 3)))
wire_fail(struct wire *x, const char *fmt, ...)
{
	char	text[4000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fail_msg("%s, line %u, %s: %s\nreports so far:\n%s", x->file, x->line, x->name, text, buf_str(&x->w.reports));
	abort();
}

static bool
wire_yes(const char *v)
{
	return strcmp(v, "yes") == 0;
}

static void
wire_conf(struct wire *x, const char *name, const char *v)
{
	struct prober_conf *c = &x->w.conf;
	int64_t ms = 0;

	units_time_parse(v, 's', &ms);
	if (strcmp(name, "tls") == 0) {
		c->tls_demand = strcmp(v, "demand") == 0;
		c->tls = strcmp(v, "may") == 0 ? SMTP_TLS_MAY : strcmp(v, "encrypt") == 0 ? SMTP_TLS_ENCRYPT : SMTP_TLS_NONE;
	} else if (strcmp(name, "own") == 0)
		c->route.relayhost = "example.org";
	else if (strcmp(name, "transport") == 0) {
		struct buf why = BUF_INIT(1000), spec = BUF_INIT(1000);
		const char *p;

		lookup_tables_free(&c->route.transport_maps);
		buf_adds(&spec, "* ");
		for (; (p = strstr(v, "PORT")) != NULL; v = p + 4) {
			buf_add(&spec, v, (size_t) (p - v));
			buf_addf(&spec, "%u", c->smtp_port);
		}
		buf_adds(&spec, v);
		c->route.transport_maps = lookup_tables_parse("texthash", "test", buf_str(&spec), spec.len, &why);
		buf_fini(&spec);
	} else if (strcmp(name, "pipelining") == 0)
		c->own_pipelining = c->inet_pipelining = wire_yes(v);
	else if (strcmp(name, "data") == 0)
		c->data_target = c->lmtp_data_target = wire_yes(v);
	else if (strcmp(name, "compat") == 0)
		c->dialogue.class.postfix = true;
	else if (strcmp(name, "policy") == 0)
		c->dialogue.class.policy = strcmp(v, "bounce") == 0 ? VERIFY_BOUNCE : VERIFY_DEFER;
	else if (strcmp(name, "greet_5xx") == 0)
		c->dialogue.class.greet_5xx_hard = strcmp(v, "hard") == 0;
	else if (strcmp(name, "full") == 0)
		c->dialogue.class.full = strcmp(v, "bounce") == 0 ? VERIFY_BOUNCE : VERIFY_DEFER;
	else if (strcmp(name, "catchall") == 0)
		c->catchall = strcmp(v, "always") == 0 ? CATCHALL_ALWAYS : CATCHALL_AUTO;
	else if (strcmp(name, "catchall_status") == 0)
		c->catchall_status = strcmp(v, "defer") == 0 ? VERIFY_DEFER : VERIFY_OK;
	else if (strcmp(name, "fallback") == 0)
		c->sender_fallback = wire_yes(v);
	else if (strcmp(name, "sender") == 0)
		x->sender = strcmp(v, "<>") == 0 ? "" : OUR_SENDER;
	else if (strcmp(name, "attempt") == 0)
		c->attempt_ms = ms;
	else if (strcmp(name, "session_probes") == 0)
		c->session_probes = c->own_session_probes = (unsigned) atoi(v);
	else if (strcmp(name, "dest_sessions") == 0)
		c->dest_sessions = c->own_dest_sessions = (unsigned) atoi(v);
	else if (strcmp(name, "attempt_sessions") == 0)
		c->attempt_sessions = (unsigned) atoi(v);
	else if (strcmp(name, "best_mx_only") == 0)
		c->best_mx_only = wire_yes(v);
	else if (strcmp(name, "compact") == 0)
		c->dialogue.compact = wire_yes(v);
	else if (strcmp(name, "hide_host") == 0)
		c->dialogue.hide_host = wire_yes(v);
	else if (strcmp(name, "utf8") == 0)
		c->dialogue.utf8 = wire_yes(v);
	else if (strcmp(name, "loop") == 0)
		x->w.conf.client.loop_name = "probe.example.net";
	else if (strcmp(name, "grey") == 0) {
		c->grey_ms[0] = ms;
		c->grey_ms[1] = 3 * ms;
	} else if (strcmp(name, "policy_time") == 0)
		c->manners.policy_ms = ms;
	else if (strcmp(name, "ipv6") == 0)
		x->skip = !smtp_stub_has_ipv6(x->w.stub);
	else
		wire_fail(x, "unknown setting %s", name);
}

/* wire_script - one line of a script, short forms written out */
static void
wire_script(struct wire *x, char *line)
{
	struct buf *b = &x->script;
	char   *arg = strchr(line, ' '), *ext;

	buf_addf(b, "#%u\n", x->line);
	if (strncmp(line, "hello", 5) == 0) {
		buf_addf(b, "S: 220 mx%u.example.org ESMTP\nC: EHLO probe.example.net\n", x->host);
		buf_addf(b, "S: 250-mx%u.example.org\n", x->host);
		while (arg != NULL && (ext = strsep(&arg, " ")) != NULL)
			if (*ext != 0)
				buf_addf(b, "S: 250-%s\n", ext);
		buf_adds(b, "S: 250 HELP\n");
	} else if (strcmp(line, "mail") == 0)
		buf_addf(b, "C: MAIL FROM:<%s>\nS: 250 2.1.0 Ok\n", x->sender);
	else if (strncmp(line, "rcpt", 4) == 0)
		buf_addf(b, "C: RCPT TO:<%s>\n", arg != NULL ? arg + 1 : "ann@example.org");
	else if (strcmp(line, "bye") == 0)
		buf_adds(b, "C: RSET\nS: 250 2.0.0 Ok\nT: +2s\nC: QUIT\nS: 221 2.0.0 Bye\nE:\n");
	else if (strcmp(line, "quit") == 0)
		buf_adds(b, "C: QUIT\nS: 221 2.0.0 Bye\nE:\n");
	else
		buf_addf(b, "%s\n", line);
}

static void
wire_script_end(struct wire *x)
{
	if (x->in_script)
		smtp_stub_script(x->w.stub, x->host, buf_str(&x->script), x->script_line);
	buf_reset(&x->script);
	x->in_script = false;
}

static void
wire_begin(struct wire *x, const char *name)
{
	snprintf(x->name, sizeof x->name, "%s", name);
	x->asks = x->host = 0;
	x->mx = 1;
	x->skip = false;
	x->sender = OUR_SENDER;
	memset(x->deaf, 0, sizeof x->deaf);
	buf_reset(&x->zone);
	buf_reset(&x->want);
	buf_adds(&x->zone, "example.org MX 10 mx1.example.org\nmx1.example.org A 127.0.0.11\n");
	prober_world_begin(&x->w);
	x->w.conf.dialogue.class.decided = wire_decided;
	wire_dialogues++;
}

static void
wire_compare(struct wire *x)
{
	char   *got = buf_take(&x->w.reports), *want = buf_take(&x->want), *g = got, *v = want, *gl, *wl;
	size_t	n;

	for (;;) {
		gl = strsep(&g, "\n");
		wl = strsep(&v, "\n");
		if (gl != NULL && *gl == 0)
			gl = NULL;
		if (wl != NULL && *wl == 0)
			wl = NULL;
		if (gl == NULL && wl == NULL)
			break;
		n = wl != NULL ? strlen(wl) : 0;
		if (gl == NULL || wl == NULL || (wl[n - 1] == '*' ? strncmp(gl, wl, n - 1) : strcmp(gl, wl)) != 0)
			wire_fail(x, "\n got: %s\nwant: %s", gl != NULL ? gl : "nothing", wl != NULL ? wl : "nothing");
	}
	mem_free(&got);
	mem_free(&want);
}

static unsigned
wire_count(const struct buf *b)
{
	unsigned n = 0;

	for (const char *p = buf_str(b); (p = strchr(p, '\n')) != NULL; p++)
		n++;
	return n;
}

static void
wire_run(struct wire *x)
{
	struct prober_world *w = &x->w;
	unsigned want, quiet = 0;
	char   *ask;

	wire_script_end(x);
	if (x->skip) {
		wire_skipped++;
		prober_world_end(w);
		return;
	}
	want = wire_count(&x->want);
	for (unsigned i = 2; i <= x->mx; i++)
		buf_addf(&x->zone, "example.org MX %u mx%u.example.org\nmx%u.example.org A 127.0.0.%u\n", 10 * i, i, i, 10 + i);
	for (unsigned i = 0; i < SMTP_STUB_HOSTS; i++)
		if (x->deaf[i])
			smtp_stub_deaf(w->stub, i);
	prober_world_start(w, buf_str(&x->zone));
	if (x->asks == 0)
		strcpy(x->ask[x->asks++], "ann@example.org");
	for (unsigned i = 0; i < x->asks; i++)
		prober_add(w->prober, x->ask[i], x->sender, "id", 0);
	for (;;) {
		quiet = ev_turn(w->loop, quiet > 1) > 0 ? 0 : quiet + 1;
		if (*smtp_stub_error(w->stub) != 0)
			wire_fail(x, "%s", smtp_stub_error(w->stub));
		if (quiet < 4)
			continue;
		if (w->reports_n >= want && smtp_stub_done(w->stub))
			break;
		if (smtp_stub_advance(w->stub, &ask)) {
			if (ask != NULL)
				prober_add(w->prober, ask, x->sender, "id", 0);
			mem_free(&ask);
			quiet = 0;
		} else if (quiet > 40) {
			if (w->reports_n < want && smtp_stub_done(w->stub))
				ev_fake_advance(w->loop, 1000);	/* name server time-outs, suspended destinations */
			if (quiet > 3000)
				wire_fail(x, "stuck: %u of %u reports, scripts %s", w->reports_n, want,
				    smtp_stub_done(w->stub) ? "done" : "not at their end");
			if (!smtp_stub_done(w->stub) && quiet > 400)
				wire_fail(x, "stuck: %u of %u reports, a script is not at its end", w->reports_n, want);
		}
	}
	wire_compare(x);
	prober_world_end(w);
}

static void
wire_line(struct wire *x, char *line)
{
	unsigned n;
	char	name[50], value[200];

	if (strncmp(line, "@ mx", 4) == 0 && sscanf(line + 4, "%u", &n) == 1 && n < SMTP_STUB_HOSTS) {
		wire_script_end(x);
		x->host = n;
		x->in_script = true;
		x->script_line = x->line;
	} else if (strncmp(line, "= ", 2) == 0) {
		buf_addf(&x->want, "%s\n", line + 2);
	} else if (x->in_script)
		wire_script(x, line);
	else if (strncmp(line, "ask ", 4) == 0)
		snprintf(x->ask[x->asks++], sizeof x->ask[0], "%s", line + 4);
	else if (sscanf(line, "conf %49s %199[^\n]", name, value) == 2)
		wire_conf(x, name, value);
	else if (strcmp(line, "zone -") == 0)
		buf_reset(&x->zone);
	else if (strncmp(line, "zone ", 5) == 0)
		buf_addf(&x->zone, "%s\n", line + 5);
	else if (sscanf(line, "mx %u", &n) == 1 && n < SMTP_STUB_HOSTS)
		x->mx = n;
	else if (sscanf(line, "deaf %u", &n) == 1 && n < SMTP_STUB_HOSTS)
		x->deaf[n] = true;
	else
		wire_fail(x, "not understood: %s", line);
}

static void
wire_file(const char *file)
{
	struct buf text = BUF_INIT(1 << 20);
	struct wire *x = mem_alloc(sizeof *x);
	bool	open = false;
	char   *next, *line;

	x->file = file;
	buf_init(&x->zone, 10000);
	buf_init(&x->script, 1 << 20);
	buf_init(&x->want, 10000);
	assert_int_equal(buf_read_file(&text, AT_FDCWD, file), 0);
	for (next = text.data; (line = strsep(&next, "\n")) != NULL; ) {
		x->line++;
		if (*line == '#' || *line == 0)
			continue;
		if (strncmp(line, "== ", 3) == 0) {
			if (open)
				wire_run(x);
			wire_begin(x, line + 3);
			open = true;
		} else if (!open)
			fail_msg("%s, line %u: no dialogue was begun", file, x->line);
		else
			wire_line(x, line);
	}
	if (open)
		wire_run(x);
	buf_fini(&x->zone);
	buf_fini(&x->script);
	buf_fini(&x->want);
	buf_fini(&text);
	mem_free(&x);
}

/* wire_rows - each row of the classification table decided in some dialogue: one that is added needs one of its own */
static void
wire_rows(void)
{
	unsigned missing = 0;
	char	row[200];

	for (unsigned i = 0; i < smtp_class_rows(); i++)
		if (wire_decided[i] == 0) {
			print_error("no dialogue puts this row to use: %s\n", smtp_class_row(i, row, sizeof row));
			missing++;
		}
	if (missing > 0)
		fail_msg("%u of %u rows of global/smtp_class.c without a dialogue in tests/wire/", missing, smtp_class_rows());
}

static void
wire_test(void **state)
{
	const char *only = getenv("WIRE");
	glob_t	g;

	(void) state;
	msg_to_stderr(NULL);
	wire_decided = mem_array(smtp_class_rows(), sizeof *wire_decided);
	assert_int_equal(glob(only != NULL ? only : "tests/wire/*.smtp", 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++)
		wire_file(g.gl_pathv[i]);
	globfree(&g);
	print_message("%u dialogues, %u skipped for want of IPv6\n", wire_dialogues, wire_skipped);
	if (only == NULL) {
		assert_true(wire_dialogues - wire_skipped >= 120);
		wire_rows();
	}
	mem_free(&wire_decided);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_test),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
