/* commands/vouch/verify.c - verify: a whole list of addresses, of any length
 * Reads ahead as far as the window of addresses goes, and no further: memory does not depend on the length of the list.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/sock.h>
#include <util/units.h>

#include "ask.h"
#include "bulk.h"
#include "bulk_input.h"
#include "bulk_output.h"
#include "progress.h"

#define VERIFY_JOBS	100
#define VERIFY_JOBS_MAX	1000		/* connections; the workers take as many as they have descriptors for */
#define VERIFY_WINDOW	10		/* for each job: a slow address does not hold the others up */
#define VERIFY_COMPLAINTS 20		/* lines named on standard error; all of them are in the output */
#define VERIFY_MALFORMED "malformed"
#define VERIFY_REFUSED	"refused"

enum verify_word { WORD_MALFORMED = VERIFY_STATUSES, WORD_REFUSED, WORD_SILENT, WORDS };

/* what the answers come to; the first are those of query */
static const struct verify_said {
	const char *said, *figure;
	int	    code, exit_code;
} verify_said[WORDS] = {
	[VERIFY_OK]	 = { NULL,	       "deliverable",	0, VOUCH_DONE },
	[VERIFY_DEFER]	 = { NULL,	       "deferred",	1, VOUCH_TEMPORARY },
	[VERIFY_BOUNCE]	 = { NULL,	       "undeliverable", 2, VOUCH_REFUSED },
	[VERIFY_TODO]	 = { NULL,	       "in_progress",	3, VOUCH_TEMPORARY },
	[WORD_SILENT]	 = { ASK_NO_ANSWER,    "no_answer",    -1, VOUCH_TEMPORARY },
	[WORD_MALFORMED] = { VERIFY_MALFORMED, "malformed",    -2, VOUCH_REFUSED },
	[WORD_REFUSED]	 = { VERIFY_REFUSED,   "refused",      -3, VOUCH_REFUSED },
};

struct verify_run {
	struct ev_loop *loop;
	struct bulk *bulk;
	struct bulk_input input;
	struct bulk_output output;
	const char *file, *path;	/* the list; the service */
	int	 fd;
	struct ev_io io;		/* waits for more of the list; idle for a regular file */
	struct ev_defer more;		/* reads the next piece of a regular file; others come to their turn in between */
	bool	 regular, at_end, show;
	bool	 stopped;		/* before the end: what ret says was said */
	int	 ret;
	uint64_t bytes, size, known, complaints, count[WORDS];
};

static const char *
verify_word_said(int word)
{
	return word < VERIFY_STATUSES ? ask_words[word].said : verify_said[word].said;
}

static void
verify_stop(struct verify_run *v, int ret)
{
	if (!v->stopped)
		v->ret = ret;
	v->stopped = true;
	ev_io_cancel(v->loop, &v->io);
	ev_defer_cancel(v->loop, &v->more);
	ev_stop(v->loop);
}

static void
verify_stop_write(struct verify_run *v)
{
	progress_end();
	vouch_sorry("%s: %s%s", v->output.path != NULL ? v->output.path : "standard output", strerror(errno),
	    v->output.path != NULL ? ": when there is room, the same command goes on from there" : "");
	verify_stop(v, VOUCH_TEMPORARY);
}

static uint64_t
verify_total(const struct verify_run *v)
{
	uint64_t n = 0;

	for (int i = 0; i < WORDS; i++)
		n += v->count[i];
	return n;
}

static void
verify_done(void *ctx, const struct bulk_answer *a)
{
	struct verify_run *v = ctx;
	const char *reason = a->reason;
	int	word = WORD_SILENT;
	char   *trouble;

	if (v->stopped)
		return;
	switch (a->result) {
	case BULK_ANSWERED:
		word = (int) a->status;
		break;
	case BULK_REFUSED:
		word = WORD_REFUSED;
		break;
	case BULK_MALFORMED:
		word = WORD_MALFORMED;
		break;
	case BULK_SILENT:
		/* of a service that is gone, all others would get no answer either */
		if (!ask_listens(v->path)) {
			trouble = ask_trouble(v->path, strerror(errno));
			progress_end();
			vouch_sorry("%s", trouble);
			free(trouble);
			verify_stop(v, VOUCH_TEMPORARY);
			return;
		}
		if (a->in_progress) {		/* the service holds its reply: it goes on */
			word = VERIFY_TODO;
			reason = VERIFY_TODO_TEXT;
		}
		break;
	}
	v->count[word]++;
	if (bulk_output_put(&v->output, a->addr, verify_word_said(word), verify_said[word].code, reason) < 0)
		verify_stop_write(v);
}

/* verify_known - whether an earlier run has answered this one already; stops when it answered another */
static bool
verify_known(struct verify_run *v, const char *addr)
{
	struct buf why = BUF_INIT(64 * 1024);
	const char *said;
	int	known = bulk_output_old(&v->output, addr, &said, &why);

	if (known < 0) {
		progress_end();
		vouch_sorry("%s", buf_str(&why));
		verify_stop(v, VOUCH_REFUSED);
	}
	if (known > 0) {
		v->known++;
		for (int i = 0; i < WORDS; i++)
			v->count[i] += strcmp(said, verify_word_said(i)) == 0;
	}
	buf_fini(&why);
	return known > 0;
}

static void
verify_record(struct verify_run *v, const struct bulk_record *r)
{
	char   *why;

	if (verify_known(v, r->addr) || v->stopped)
		return;
	if (r->why == NULL) {
		bulk_add(v->bulk, r->addr);
		return;
	}
	why = mem_printf("%s:%" PRIu64 ": %s", v->file, r->line, r->why);
	if (v->complaints++ < VERIFY_COMPLAINTS) {
		progress_end();
		vouch_sorry("%s", why);
	}
	bulk_add_malformed(v->bulk, r->addr, why);
	free(why);
}

/* verify_read - one piece of the list; false: nothing came */
static bool
verify_read(struct verify_run *v)
{
	static char chunk[BULK_RECORD_MAX];
	ssize_t n = read(v->fd, chunk, sizeof chunk);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n < 0) {
		progress_end();
		vouch_sorry("%s: %s", v->file, strerror(errno));
		verify_stop(v, VOUCH_TEMPORARY);
		return false;
	}
	v->bytes += (uint64_t) n;
	bulk_input_feed(&v->input, chunk, (size_t) n);
	return true;
}

static void verify_room(void *);

static void
verify_readable(void *ctx, int fd, unsigned events)
{
	struct verify_run *v = ctx;

	(void) fd, (void) events;
	ev_io_cancel(v->loop, &v->io);
	if (verify_read(v))
		verify_room(v);
	else if (!v->stopped)
		ev_io_set(v->loop, &v->io, v->fd, EV_READ, verify_readable, v);
}

static void
verify_more(void *ctx)
{
	struct verify_run *v = ctx;

	if (verify_read(v))
		verify_room(v);
	else if (!v->stopped)
		ev_defer_set(v->loop, &v->more, verify_more, v);
}

static void
verify_end(struct verify_run *v)
{
	v->at_end = true;
	if (bulk_output_at_end(&v->output))
		return;
	progress_end();
	vouch_sorry("%s: has more lines than %s has addresses: it was made from another list; name another file",
	    v->output.path, v->file);
	verify_stop(v, VOUCH_REFUSED);
}

/* verify_room - read and add while there is room, write what is there; the end of the run, when everything is done */
static void
verify_room(void *ctx)
{
	struct verify_run *v = ctx;
	struct bulk_record r;

	while (!v->stopped && !v->at_end && v->io.events == 0 && !v->more.queued && bulk_has_room(v->bulk)) {
		switch (bulk_input_next(&v->input, &r)) {
		case BULK_INPUT_RECORD:
			verify_record(v, &r);
			break;
		case BULK_INPUT_MORE:
			if (v->regular)
				ev_defer_set(v->loop, &v->more, verify_more, v);
			else
				ev_io_set(v->loop, &v->io, v->fd, EV_READ, verify_readable, v);
			break;
		case BULK_INPUT_END:
			verify_end(v);
			break;
		case BULK_INPUT_NO_COLUMN:
			vouch_sorry("%s:%" PRIu64 ": no column '%s' in the header", v->file, r.line, v->input.column);
			verify_stop(v, VOUCH_REFUSED);
			break;
		}
	}
	if (!v->stopped && bulk_output_write(&v->output) < 0)
		verify_stop_write(v);
	if (v->show && !v->stopped)
		progress("verified", verify_total(v), v->bytes, v->size);
	if (v->at_end && bulk_is_empty(v->bulk))
		ev_stop(v->loop);
}

static void
verify_signal(void *ctx, int signo)
{
	struct verify_run *v = ctx;

	progress_end();
	vouch_sorry("stopped by signal %d%s", signo, v->output.path != NULL ? "; the same command goes on from there" : "");
	verify_stop(v, VOUCH_TEMPORARY);
}

/* verify_summary - and the exit code: an answer that is missing or may change outweighs "undeliverable" */
static int
verify_summary(const struct verify_run *v)
{
	struct buf line = BUF_INIT(4096);
	int	worst = VOUCH_DONE;

	buf_addf(&line, "addresses=%" PRIu64, verify_total(v));
	for (int i = 0; i < WORDS; i++) {
		buf_addf(&line, " %s=%" PRIu64, verify_said[i].figure, v->count[i]);
		if (v->count[i] > 0 && verify_said[i].exit_code > worst)
			worst = verify_said[i].exit_code;
	}
	vouch_sorry("%s known_before=%" PRIu64, buf_str(&line), v->known);
	buf_fini(&line);
	return v->stopped ? VOUCH_TEMPORARY : worst;
}

static int
verify_run(struct verify_run *v, const struct bulk_conf *conf)
{
	int	ret;

	v->loop = ev_loop_new();
	ev_signal_set(v->loop, SIGINT, verify_signal, v);
	ev_signal_set(v->loop, SIGTERM, verify_signal, v);
	v->bulk = bulk_new(v->loop, v->path, conf);
	ev_run(v->loop);
	if (!v->stopped || v->ret == VOUCH_TEMPORARY)		/* what was put before the cause is right */
		if (bulk_output_write(&v->output) < 0 && !v->stopped)
			verify_stop_write(v);
	if (v->output.path != NULL && fsync(v->output.fd) < 0 && !v->stopped)
		verify_stop_write(v);
	progress_end();
	ret = v->stopped && v->ret == VOUCH_REFUSED ? VOUCH_REFUSED : verify_summary(v);
	bulk_free(&v->bulk);
	ev_loop_free(&v->loop);
	return ret;
}

/* verify_open - the list; false: said */
static bool
verify_open(struct verify_run *v)
{
	struct stat st;

	if (strcmp(v->file, "-") != 0)
		v->fd = open(v->file, O_RDONLY | O_CLOEXEC);
	if (v->fd < 0 || fstat(v->fd, &st) < 0) {
		vouch_sorry("%s: %s", v->file, strerror(errno));
		return false;
	}
	if (S_ISDIR(st.st_mode)) {
		vouch_sorry("%s: %s", v->file, strerror(EISDIR));
		return false;
	}
	/* the others can be waited for; of /dev/null there is nothing to wait for */
	v->regular = S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && !isatty(v->fd));
	v->size = S_ISREG(st.st_mode) ? (uint64_t) st.st_size : 0;
	return true;
}

/* verify_is_list - whether this name is the list's, too */
static bool
verify_is_list(const struct verify_run *v, const char *path)
{
	struct stat a, b;

	return fstat(v->fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool
verify_form(const char *word, enum bulk_form *form_r)
{
	static const struct { const char *word; enum bulk_form form; } forms[] = {
		{ "lines", BULK_LINES }, { "csv", BULK_CSV }, { "json", BULK_JSON },
	};

	for (size_t i = 0; i < NELEM(forms); i++)
		if (strcmp(word, forms[i].word) == 0) {
			*form_r = forms[i].form;
			return true;
		}
	return false;
}

int
vouch_verify(struct vouch *vouch)
{
	static const struct option longs[] = {
		{ "column", required_argument, NULL, 'C' }, { "from", required_argument, NULL, 'F' },
		{ "json", no_argument, NULL, 'J' }, { NULL, 0, NULL, 0 },
	};
	struct verify_run v = { .fd = STDIN_FILENO };
	struct buf why = BUF_INIT(64 * 1024);
	enum bulk_form form = BULK_GUESS;
	const char *out = NULL, *column = NULL;
	int64_t jobs = VERIFY_JOBS, wait_s = ASK_TIMEOUT_S;
	bool	json = false;
	int	c, cwd = -1, ret = VOUCH_TEMPORARY;
	char   *path = NULL, *trouble;

	opterr = 0;
	while ((c = getopt_long(vouch->argc, vouch->argv, "f:o:p:t:", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			v.file = optarg;
			break;
		case 'o':
			out = optarg;
			break;
		case 'p':
			if (!units_int_parse(optarg, &jobs) || jobs < 1 || jobs > VERIFY_JOBS_MAX)
				return vouch_usage(vouch, "-p takes 1 to 1000 addresses");
			break;
		case 't':
			if (!ask_seconds(optarg, &wait_s))
				return vouch_usage(vouch, "-t takes 1 to 86400 seconds");
			break;
		case 'C':
			column = optarg;
			break;
		case 'F':
			if (!verify_form(optarg, &form))
				return vouch_usage(vouch, "--from takes lines, csv or json");
			break;
		case 'J':
			json = true;
			break;
		default:
			return vouch_usage(vouch, "unknown option, or its value is missing");
		}
	}
	if (v.file == NULL || optind < vouch->argc)
		return vouch_usage(vouch, v.file == NULL ? "-f is missing" : "too many arguments");
	if (column != NULL && form == BULK_LINES)
		return vouch_usage(vouch, "lines have no columns");

	if (!verify_open(&v))
		return VOUCH_REFUSED;
	if (out != NULL && verify_is_list(&v, out)) {
		vouch_sorry("%s: is the list itself: name another file for the answers", out);
		ret = VOUCH_REFUSED;
		goto out;
	}
	bulk_input_init(&v.input, form, column);
	if ((cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) {
		vouch_sorry("working directory: %s", strerror(errno));
		goto out;
	}
	if ((v.path = path = ask_path(vouch)) == NULL)
		goto out;
	if (!ask_listens(path)) {			/* before the output is made */
		trouble = ask_trouble(path, strerror(errno));
		vouch_sorry("%s", trouble);
		free(trouble);
		goto out;
	}
	if (bulk_output_open(&v.output, cwd, out, json, &why) < 0) {
		vouch_sorry("%s", buf_str(&why));
		ret = VOUCH_REFUSED;
	} else {
		v.show = out != NULL || !isatty(STDOUT_FILENO);
		ret = verify_run(&v, &(struct bulk_conf) { (unsigned) jobs, (size_t) jobs * VERIFY_WINDOW, wait_s * 1000,
		    verify_done, verify_room, &v });
	}
	bulk_output_close(&v.output);
out:
	free(path);
	sock_close(&cwd);
	bulk_input_fini(&v.input);
	if (strcmp(v.file, "-") != 0)
		sock_close(&v.fd);
	buf_fini(&why);
	return ret;
}
