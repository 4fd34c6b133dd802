/* commands/vouch/top.c - top: a live view of this host, over the counters of stats
 * On a terminal a full screen that is drawn anew every interval, else a line of figures for each interval. A rate is what
 * was counted since the last look, divided by the time that has passed since then.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/units.h>

#include "figures.h"

#define TOP_INTERVAL_MS	   2000
#define TOP_INTERVAL_MIN_MS 100
#define TOP_INTERVAL_MAX_MS 3600000
#define TOP_KINDS	   32

/* the screen, and the words for a line; an empty label: an empty line, and no word */
static const struct top_row {
	const char *label, *word;
	enum stat_id id;
} top_rows[] = {
	{ "queries",			"queries",	STAT_queries },
	{ "  deliverable",		"ok",		STAT_query_ok },
	{ "  undeliverable",		"bounce",	STAT_query_bounce },
	{ "  deferred",			"defer",	STAT_query_defer },
	{ "  in progress",		"todo",		STAT_query_todo },
	{ "  held for the result",	"held",		STAT_held },
	{ "updates",			"updates",	STAT_updates },
	{ "probes started",		"probes",	STAT_probes },
	{ "  failed to submit",		"failed",	STAT_submission_failures },
};

struct top {
	const struct vouch *vouch;
	char	*queue;			/* queue_directory */
	int64_t	 interval_ms, count;	/* count 0: until it is ended */
	bool	 screen;
	struct figures then, now;
	int64_t	 then_ms, now_ms;
};

static volatile sig_atomic_t top_ended;
static struct termios top_tty;		/* as it was found */
static bool top_tty_changed;

static void
top_signal(int sig)
{
	top_ended = sig;
}

static int64_t
top_clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* figures */

/* top_since - what was counted since the last look; a new cache file begins at zero */
static uint64_t
top_since(const struct top *t, enum stat_id id)
{
	return t->now.count[id] >= t->then.count[id] ? t->now.count[id] - t->then.count[id] : t->now.count[id];
}

static double
top_rate(const struct top *t, enum stat_id id)
{
	return t->now_ms > t->then_ms ? (double) top_since(t, id) * 1000 / (double) (t->now_ms - t->then_ms) : 0;
}

/* top_hits - percent of these queries that got a result without waiting for a probe; -1: there were none */
static double
top_hits(uint64_t queries, uint64_t todo, uint64_t unavailable, uint64_t held_answered)
{
	uint64_t missed = todo + unavailable + held_answered;

	return queries == 0 ? -1 : missed >= queries ? 0 : (double) (queries - missed) * 100 / (double) queries;
}

static double
top_hits_since(const struct top *t)
{
	return top_hits(top_since(t, STAT_queries), top_since(t, STAT_query_todo), top_since(t, STAT_query_unavailable),
	    top_since(t, STAT_held_answered));
}

static double
top_hits_in_all(const struct top *t)
{
	const uint64_t *c = t->now.count;

	return top_hits(c[STAT_queries], c[STAT_query_todo], c[STAT_query_unavailable], c[STAT_held_answered]);
}

static double
top_full(const struct top *t)
{
	const struct shmtab_stat *st = &t->now.cache;

	return st->bytes > 0 && st->free_bytes <= st->bytes ? (double) (st->bytes - st->free_bytes) * 100 / (double) st->bytes : 0;
}

static void
top_put_percent(struct buf *b, const char *before, double percent)
{
	if (percent < 0)
		buf_addf(b, "%s-", before);
	else
		buf_addf(b, "%s%.1f%%", before, percent);
}

/* top_processes - "verify=2 probe=1", "-" when no master runs; separator stands between name and number */
static void
top_processes(const struct top *t, struct buf *b, const char *separator)
{
	struct vouch_processes kinds[TOP_KINDS];
	pid_t	pid;
	size_t	n = vouch_running(t->queue, &pid) > 0 ? vouch_processes(pid, kinds, TOP_KINDS) : 0;

	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%s%s%s%u", i > 0 ? *separator == '=' ? " " : ", " : "", kinds[i].name, separator, kinds[i].n);
	if (n == 0)
		buf_adds(b, *separator == '=' ? "processes=0" : "not running");
}

/* a line */

static void
top_line(const struct top *t, struct buf *b)
{
	time_t	now = time(NULL);
	char	clock[32];
	struct tm tm;

	strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &tm));
	buf_addf(b, "time=%s", clock);
	for (size_t i = 0; i < NELEM(top_rows); i++)
		buf_addf(b, " %s=%.1f", top_rows[i].word, top_rate(t, top_rows[i].id));
	top_put_percent(b, " hits=", top_hits_since(t));
	if (t->now.has_probe)
		buf_addf(b, " probing=%" PRIu64, t->now.probing);
	top_put_percent(b, " cache=", top_full(t));
	buf_addf(b, " entries=%" PRIu64 " database=%s", t->now.cache.entries, figures_db_words[t->now.db]);
	if (t->now.db != DB_STATE_NONE)
		buf_addf(b, " unwritten=%" PRIu64, t->now.cache.pinned);
	buf_addc(b, ' ');
	top_processes(t, b, "=");
	buf_addc(b, '\n');
}

/* the screen */

static void
top_screen(const struct top *t, struct buf *b)
{
	time_t	now = time(NULL);
	char	clock[32], interval[32];
	struct tm tm;

	strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &tm));
	buf_addf(b, "vouch %s  %s, every %s; q ends it\n", t->vouch->config_dir, clock, units_time_print(interval, t->interval_ms));
	top_processes(t, b, " ");
	buf_addf(b, "\n\n%-26s %12s %14s\n", "", "per second", "in all");
	for (size_t i = 0; i < NELEM(top_rows); i++)
		buf_addf(b, "%-26s %12.1f %14" PRIu64 "\n", top_rows[i].label, top_rate(t, top_rows[i].id),
		    t->now.count[top_rows[i].id]);
	buf_addf(b, "%-26s", "answered at once");
	for (int all = 0; all < 2; all++) {
		struct buf percent = BUF_INIT(32);

		top_put_percent(&percent, "", all ? top_hits_in_all(t) : top_hits_since(t));
		buf_addf(b, all ? " %14s" : " %12s", buf_str(&percent));
		buf_fini(&percent);
	}
	buf_addf(b, "\n\n");
	if (t->now.has_probe) {
		buf_addf(b, "%-26s %12.1f %14" PRIu64 "\n", "sessions with mail servers", top_rate(t, STAT_probe_sessions),
		    t->now.count[STAT_probe_sessions]);
		buf_addf(b, "%-26s %12s %14" PRIu64 "\n", "addresses being asked", "", t->now.probing);
	}
	buf_addf(b, "%-26s %12s %14" PRIu64 "\n", "entries in the cache", "", t->now.cache.entries);
	buf_addf(b, "%-26s %12s %13.1f%%\n", "  room taken", "", top_full(t));
	buf_addf(b, "%-26s %12s %14" PRIu64 "\n", "  live ones that had to go", "", t->now.cache.evicted);
	buf_addf(b, "%-26s %12s %14s\n", "database", "", figures_db_words[t->now.db]);
	if (t->now.db != DB_STATE_NONE) {
		buf_addf(b, "%-26s %12.1f %14" PRIu64 "\n", "  asked", top_rate(t, STAT_db_asks), t->now.count[STAT_db_asks]);
		buf_addf(b, "%-26s %12.1f %14" PRIu64 "\n", "  without an answer", top_rate(t, STAT_db_unanswered),
		    t->now.count[STAT_db_unanswered]);
		buf_addf(b, "%-26s %12s %14" PRIu64 "\n", "  waiting to be written", "", t->now.cache.pinned);
	}
}

/* top_draw - put the text on the terminal, cut at its edges */
static void
top_draw(const char *text)
{
	struct winsize w = { .ws_row = 24, .ws_col = 80 };
	int	rows = 0;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0 || w.ws_row == 0)
		w = (struct winsize) { .ws_row = 24, .ws_col = 80 };
	fputs("\033[H", stdout);
	for (const char *p = text; *p != 0 && rows < w.ws_row; rows++) {
		int	n = (int) strcspn(p, "\n");

		printf("%s%.*s\033[K", rows > 0 ? "\r\n" : "", n < w.ws_col ? n : w.ws_col, p);
		p += n + (p[n] == '\n');
	}
	fputs("\033[J", stdout);
	fflush(stdout);
}

static void
top_screen_open(void)
{
	struct termios raw;

	fputs("\033[?1049h\033[?25l", stdout);		/* a screen of its own, without a cursor */
	if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &top_tty) == 0) {
		raw = top_tty;
		raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
		top_tty_changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
}

static void
top_screen_close(void)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (top_tty_changed)
		tcsetattr(STDIN_FILENO, TCSANOW, &top_tty);
}

/* the course of time */

/* top_wait - until the next look is due; false: the user has enough */
static bool
top_wait(const struct top *t, int64_t until_ms)
{
	struct pollfd in = { .fd = t->screen ? STDIN_FILENO : -1, .events = POLLIN };
	int64_t	left;
	char	key;

	while (top_ended == 0 && (left = until_ms - top_clock_ms()) > 0) {
		if (poll(&in, 1, (int) left) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1)
			in.fd = -1;			/* no keys to be had: a signal ends it */
		else if (key == 'q' || key == 'Q')
			return false;
	}
	return top_ended == 0;
}

static int
top_run(struct top *t)
{
	struct buf b = BUF_INIT(1 << 20);
	int64_t	due_ms;
	int	ret;

	if ((ret = figures_read(t->vouch, &t->now)) != VOUCH_DONE)
		return ret;
	t->then = t->now;
	t->then_ms = t->now_ms = due_ms = top_clock_ms();
	if (t->screen) {
		top_screen_open();
		top_screen(t, &b);
		top_draw(buf_str(&b));
	}
	for (int64_t looks = 0; t->count == 0 || looks < t->count; looks++) {
		due_ms = due_ms + t->interval_ms > top_clock_ms() ? due_ms + t->interval_ms : top_clock_ms();
		if (!top_wait(t, due_ms))
			break;
		t->then = t->now;
		t->then_ms = t->now_ms;
		if ((ret = figures_read(t->vouch, &t->now)) != VOUCH_DONE) {
			if (t->screen) {		/* what was said went with the screen */
				top_screen_close();
				t->screen = false;
				ret = figures_read(t->vouch, &t->now);
			}
			break;
		}
		t->now_ms = top_clock_ms();
		buf_reset(&b);
		if (t->screen) {
			top_screen(t, &b);
			top_draw(buf_str(&b));
		} else {
			top_line(t, &b);
			if (fputs(buf_str(&b), stdout) < 0 || fflush(stdout) != 0)
				break;			/* main() says so */
		}
	}
	if (t->screen)
		top_screen_close();
	buf_fini(&b);
	return ret;
}

int
vouch_top(struct vouch *v)
{
	struct sigaction act = { .sa_handler = top_signal };
	struct top t = { .vouch = v, .interval_ms = TOP_INTERVAL_MS, .screen = isatty(STDOUT_FILENO) };
	int	c, ret;

	opterr = 0;
	while ((c = getopt(v->argc, v->argv, "i:n:")) != -1) {
		switch (c) {
		case 'i':
			if (!units_time_parse(optarg, 's', &t.interval_ms) || t.interval_ms < TOP_INTERVAL_MIN_MS ||
			    t.interval_ms > TOP_INTERVAL_MAX_MS)
				return vouch_usage(v, "-i takes 100ms to 1h; a number alone counts seconds");
			break;
		case 'n':
			if (!units_int_parse(optarg, &t.count) || t.count < 1)
				return vouch_usage(v, "-n takes a number from 1 on");
			break;
		default:
			return vouch_usage(v, "unknown option, or its value is missing");
		}
	}
	if (optind < v->argc)
		return vouch_usage(v, "too many arguments");
	if ((t.queue = vouch_param(v, "queue_directory")) == NULL)
		return VOUCH_TEMPORARY;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	if (t.screen)
		signal(SIGTSTP, SIG_IGN);		/* the screen would stay as it is */
	ret = top_run(&t);
	free(t.queue);
	return ret;
}
