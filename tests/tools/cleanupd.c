/* tests/tools/cleanupd.c - a scripted cleanup service as a program, for integration tests, bench and demo
 * usage: cleanupd [options] SOCKET
 *   --mode NAME	  behaviour, a name from tests/lib/cleanup_stub.c; default good
 *   --backlog N	  listen queue, default 511
 *   --delay MS		  before each announcement
 *   --status-delay MS	  before each final status
 *   --status N		  final status of good messages, default 0
 *   --log FILE		  append one line for each probe: SENDER RCPT FLAGS STATUS ("<>" for an empty address)
 *   --verify PATH	  report a result for each probe to this verify service, as a delivery agent does
 *   --result [PATTERN=]STATUS:TEXT	the result: 0 deliverable, 1 deferred, 2 undeliverable; PATTERN: a shell pattern for
 *			  the recipient, the first that fits counts; STATUS "-" reports nothing; may be repeated
 *   --result-delay MS	  before each report
 * Prints "ready" once it listens; SIGTERM and SIGINT end it with status 0, and the counts on stdout.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <util/attr.h>
#include <util/evloop.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/units.h>
#include <global/verify_async.h>
#include <tests/lib/cleanup_stub.h>

#define CLEANUPD_REPORT_MS 60000	/* deadline of one report */
#define CLEANUPD_RESULTS   64

struct cleanupd {
	struct ev_loop *loop;
	struct cleanup_stub stub;
	int	 log_fd;
	struct verify_async *va;
	int64_t	 result_ms;
	struct cleanupd_result {
		char	*pattern;	/* NULL: any */
		int	 status;	/* -1: none */
		const char *text;
	} results[CLEANUPD_RESULTS];
	size_t	 results_n;
	unsigned long reported, failed;
	LIST_HEAD(, cleanupd_report) reports;	/* under way */
};

struct cleanupd_report {
	LIST_ENTRY(cleanupd_report) link;
	struct cleanupd *d;
	struct ev_timer delay;
	const struct cleanupd_result *result;
	char	 rcpt[];
};

static void
cleanupd_reported(void *ctx, enum verify_async_result result, enum verify_status status, const char *reason)
{
	struct cleanupd_report *rep = ctx;

	(void) status, (void) reason;
	if (result == VERIFY_ASYNC_DONE)
		rep->d->reported++;
	else {
		rep->d->failed++;
		msg_warn("result for <%s> was not taken", rep->rcpt);
	}
	LIST_REMOVE(rep, link);
	mem_free(&rep);
}

static void
cleanupd_report(void *ctx)
{
	struct cleanupd_report *rep = ctx;

	if (verify_async_update(rep->d->va, rep->rcpt, rep->result->status, rep->result->text, CLEANUPD_REPORT_MS,
	    cleanupd_reported, rep) == NULL)
		cleanupd_reported(rep, VERIFY_ASYNC_FAILED, VERIFY_TODO, "");
}

static void
cleanupd_seen(void *ctx, struct cleanup_stub_probe *p)
{
	struct cleanupd *d = ctx;
	struct cleanupd_report *rep;
	struct buf line = BUF_INIT(65536);
	size_t	i;

	if (d->log_fd >= 0) {
		buf_addf(&line, "%s %s %u %u\n", p->sender != NULL && *p->sender != 0 ? p->sender : "<>",
		    p->rcpt != NULL && *p->rcpt != 0 ? p->rcpt : "<>", p->flags, p->status);
		if (write(d->log_fd, line.data, line.len) < 0)
			msg_warn("log: %s", strerror(errno));
		buf_fini(&line);
	}
	if (p->why != NULL)
		msg_warn("%s: %s", p->queue_id, p->why);
	if (d->va == NULL || p->status != 0 || p->rcpt == NULL)
		return;
	for (i = 0; i < d->results_n; i++)
		if (d->results[i].pattern == NULL || fnmatch(d->results[i].pattern, p->rcpt, 0) == 0)
			break;
	if (i == d->results_n || d->results[i].status < 0)
		return;
	rep = mem_alloc(sizeof *rep + strlen(p->rcpt) + 1);
	rep->d = d;
	rep->result = &d->results[i];
	memcpy(rep->rcpt, p->rcpt, strlen(p->rcpt) + 1);
	LIST_INSERT_HEAD(&d->reports, rep, link);
	ev_timer_set(d->loop, &rep->delay, d->result_ms, cleanupd_report, rep);
}

static void
cleanupd_stop(void *ctx, int signo)
{
	struct cleanupd *d = ctx;

	(void) signo;
	ev_stop(d->loop);
}

static void
cleanupd_usage(const char *what, const char *arg)
{
	fprintf(stderr, "cleanupd: %s: %s; usage is at the top of tests/tools/cleanupd.c\n", arg, what);
	exit(EX_USAGE);
}

static int64_t
cleanupd_number(const char *arg)
{
	int64_t n;

	if (!units_int_parse(arg, &n) || n < 0 || n > INT32_MAX)
		cleanupd_usage("not a number from 0 to 2147483647", arg);
	return n;
}

static void
cleanupd_result(struct cleanupd *d, char *arg)
{
	struct cleanupd_result *r = &d->results[d->results_n];
	char   *colon = strchr(arg, ':'), *eq = strchr(arg, '=');

	if (d->results_n == CLEANUPD_RESULTS)
		cleanupd_usage("too many results", arg);
	if (eq != NULL && (colon == NULL || eq < colon)) {
		*eq = 0;
		r->pattern = arg;
		arg = eq + 1;
	}
	if (strcmp(arg, "-") == 0)
		r->status = -1;
	else if (arg[0] >= '0' && arg[0] <= '2' && arg[1] == ':') {
		r->status = arg[0] - '0';
		r->text = arg + 2;
	} else
		cleanupd_usage("not [PATTERN=]STATUS:TEXT", arg);
	d->results_n++;
}

int
main(int argc, char **argv)
{
	enum { OPT_MODE = 256, OPT_BACKLOG, OPT_DELAY, OPT_STATUS_DELAY, OPT_STATUS, OPT_LOG, OPT_VERIFY, OPT_RESULT,
		OPT_RESULT_DELAY };
	static const struct option options[] = {
		{ "mode", required_argument, NULL, OPT_MODE },
		{ "backlog", required_argument, NULL, OPT_BACKLOG },
		{ "delay", required_argument, NULL, OPT_DELAY },
		{ "status-delay", required_argument, NULL, OPT_STATUS_DELAY },
		{ "status", required_argument, NULL, OPT_STATUS },
		{ "log", required_argument, NULL, OPT_LOG },
		{ "verify", required_argument, NULL, OPT_VERIFY },
		{ "result", required_argument, NULL, OPT_RESULT },
		{ "result-delay", required_argument, NULL, OPT_RESULT_DELAY },
		{ NULL, 0, NULL, 0 }
	};
	struct cleanupd *d = mem_alloc(sizeof *d);
	enum cleanup_stub_mode mode = STUB_GOOD;
	int64_t backlog = 511, delay_ms = 0, status_ms = 0, status = 0;
	const char *verify = NULL;
	struct cleanupd_report *rep;
	int	opt;

	msg_to_stderr("cleanupd");
	d->log_fd = -1;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case OPT_MODE:
			if (!cleanup_stub_mode_find(optarg, &mode))
				cleanupd_usage("unknown mode", optarg);
			break;
		case OPT_BACKLOG:
			backlog = cleanupd_number(optarg);
			break;
		case OPT_DELAY:
			delay_ms = cleanupd_number(optarg);
			break;
		case OPT_STATUS_DELAY:
			status_ms = cleanupd_number(optarg);
			break;
		case OPT_STATUS:
			status = cleanupd_number(optarg);
			break;
		case OPT_LOG:
			d->log_fd = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
			if (d->log_fd < 0)
				msg_fatal("%s: %s", optarg, strerror(errno));
			break;
		case OPT_VERIFY:
			verify = optarg;
			break;
		case OPT_RESULT:
			cleanupd_result(d, optarg);
			break;
		case OPT_RESULT_DELAY:
			d->result_ms = cleanupd_number(optarg);
			break;
		default:
			return EX_USAGE;
		}
	}
	if (argc - optind != 1)
		cleanupd_usage("exactly one socket is wanted", "arguments");
	d->loop = ev_loop_new();
	ev_signal_set(d->loop, SIGTERM, cleanupd_stop, d);
	ev_signal_set(d->loop, SIGINT, cleanupd_stop, d);
	if (verify != NULL)
		d->va = verify_async_new(d->loop, verify, 10, 1000000, 5000);
	if (cleanup_stub_open(&d->stub, d->loop, argv[optind], (int) backlog) < 0)
		msg_fatal("%s: %s", argv[optind], strerror(errno));
	d->stub.announce_ms = delay_ms;
	d->stub.status_ms = status_ms;
	d->stub.status = (unsigned) status;
	d->stub.seen = cleanupd_seen;
	d->stub.ctx = d;
	cleanup_stub_script(&d->stub, mode);
	printf("ready\n");
	fflush(stdout);
	ev_run(d->loop);
	printf("connections %u, messages %u, most open at a time %u, results reported %lu, not taken %lu\n",
	    d->stub.accepted, d->stub.messages, d->stub.open_max, d->reported, d->failed);
	cleanup_stub_close(&d->stub);
	verify_async_free(&d->va);
	while ((rep = LIST_FIRST(&d->reports)) != NULL) {
		LIST_REMOVE(rep, link);
		ev_timer_cancel(d->loop, &rep->delay);
		mem_free(&rep);
	}
	ev_loop_free(&d->loop);
	mem_free(&d);
	return 0;
}
