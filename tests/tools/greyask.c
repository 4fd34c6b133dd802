/* tests/tools/greyask.c - a worker that only greylists: reads commands from standard input, prints one line for each
 * greyask CONFIG_DIRECTORY
 *	ask ADDRESS NAME SENDER RECIPIENT [STATE]   REASON LEFT; sender - is the null sender
 *	db			up, down or none
 *	count			pending= known= dirty=
 *	load KIND N		N decisions, KIND new or known, one after the other: rate= us_p50= us_p99= us_max= us_house_max= (of one
 *				turn of the loop in between; us_house_cpu_max= its processor time) later= (how many asked the database)
 *	quit			nothing
 * Log lines go to standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <global/greylist_int.h>
#include <global/main_cf.h>
#include <util/mem.h>
#include <util/msg.h>

static struct ev_loop *loop;
static struct greylist *g;
static struct ev_io io;
static struct buf in = BUF_INIT(1 << 20);

static void
say(const struct greylist_result *r)
{
	printf("%s %lld\n", greylist_reason_word(r->reason), (long long) r->left_s);
	fflush(stdout);
}

static void
decided(void *ctx, const struct greylist_result *r)
{
	(void) ctx;
	say(r);
}

static void
command_ask(char **word, int n)
{
	struct greylist_request q = { .state = n > 5 ? word[5] : "RCPT" };
	struct greylist_result r;

	if (n < 5) {
		printf("usage\n");
		return;
	}
	q.client_address = word[1];
	q.client_name = word[2];
	q.sender = strcmp(word[3], "-") == 0 ? "" : word[3];
	q.recipient = word[4];
	if (greylist_decide(g, &q, &r, decided, NULL, NULL) == GREYLIST_NOW)
		say(&r);
}

static void
command_count(void)
{
	struct shmtab_stat p, k;

	shmtab_stat(greylist_store_table(g->store, true), &p);
	shmtab_stat(greylist_store_table(g->store, false), &k);
	printf("pending=%llu known=%llu dirty=%llu\n", (unsigned long long) p.entries, (unsigned long long) k.entries,
	    (unsigned long long) (p.pinned + k.pinned));
}

static bool load_answered;
static ev_io_fn input;

static void
load_decided(void *ctx, const struct greylist_result *r)
{
	(void) ctx;
	(void) r;
	load_answered = true;
}

static int
load_cmp(const void *a, const void *b)
{
	double	x = *(const double *) a, y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double) ts.tv_sec * 1e6 + (double) ts.tv_nsec / 1e3;
}

static double
now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

static void
command_load(const char *kind, size_t n)
{
	static unsigned long serial;
	double *us = mem_array(n, sizeof *us), begin = now_us(), from, cpu, turn_max = 0, cpu_max = 0;
	char	sender[80], addr[40];
	struct greylist_request q = { .state = "RCPT", .client_address = addr, .client_name = "unknown", .sender = sender,
		.recipient = "bob.builder@example.com", .instance = "2e0b.6b008e34.c303e.0" };
	struct greylist_result r;
	size_t	later = 0;

	ev_io_cancel(loop, &io);			/* the next command waits */
	for (size_t i = 0; i < n; i++) {
		if (strcmp(kind, "new") == 0) {
			serial++;
			snprintf(addr, sizeof addr, "%lu.%lu.%lu.9", 1 + serial / 65536 % 99, serial / 256 % 256, serial % 256);
			snprintf(sender, sizeof sender, "sender%c%c@mail.load.test", (int) ('a' + serial % 26), (int) ('a' + serial / 26 % 26));
		} else {
			strcpy(addr, "192.0.2.25");
			strcpy(sender, "known@known.test");
		}
		from = now_us();
		load_answered = false;
		if (greylist_decide(g, &q, &r, load_decided, NULL, NULL) == GREYLIST_LATER) {
			later++;
			while (!load_answered)
				ev_turn(loop, 1000);
		}
		us[i] = now_us() - from;
		if (i % 64 == 0) {			/* what a request would wait for that came just now */
			from = now_us();
			cpu = clock_us(CLOCK_THREAD_CPUTIME_ID);
			ev_turn(loop, 0);
			if (now_us() - from > turn_max)
				turn_max = now_us() - from;
			if (clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu > cpu_max)
				cpu_max = clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu;
		}
	}
	from = now_us() - begin;
	ev_io_set(loop, &io, 0, EV_READ, input, NULL);
	qsort(us, n, sizeof *us, load_cmp);
	printf("rate=%.0f us_p50=%.2f us_p99=%.2f us_max=%.1f us_house_max=%.1f us_house_cpu_max=%.1f later=%zu\n", (double) n * 1e6 / from, us[n / 2], us[n * 99 / 100],
	    us[n - 1], turn_max, cpu_max, later);
	mem_free(&us);
}

static void
command(char *line)
{
	char   *word[8] = { NULL };
	int	n = 0;

	for (char *p = strtok(line, " "); p != NULL && n < 8; p = strtok(NULL, " "))
		word[n++] = p;
	if (n == 0)
		return;
	if (strcmp(word[0], "ask") == 0)
		command_ask(word, n);
	else if (strcmp(word[0], "db") == 0)
		printf("%s\n", !greylist_store_shared(g->store) ? "none" : greylist_store_usable(g->store) ? "up" : "down");
	else if (strcmp(word[0], "count") == 0)
		command_count();
	else if (strcmp(word[0], "load") == 0 && n == 3 && atoi(word[2]) > 0)
		command_load(word[1], (size_t) atoi(word[2]));
	else if (strcmp(word[0], "quit") == 0)
		ev_stop(loop);
	else
		printf("usage\n");
	fflush(stdout);
}

static void
input(void *ctx, int fd, unsigned events)
{
	char	chunk[4096], *nl, *line;
	ssize_t got = read(fd, chunk, sizeof chunk);

	(void) ctx;
	(void) events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		ev_stop(loop);
		return;
	}
	buf_add(&in, chunk, (size_t) got);
	while (in.len > 0 && (nl = memchr(in.data, '\n', in.len)) != NULL) {
		line = mem_strndup(in.data, (size_t) (nl - in.data));
		buf_drop(&in, (size_t) (nl - in.data) + 1);
		command(line);
		mem_free(&line);
	}
}

static void
warn(void *ctx, const char *text)
{
	(void) ctx;
	msg_warn("%s", text);
}

int
main(int argc, char **argv)
{
	struct buf why = BUF_INIT(10000);
	struct main_cf *cf;
	struct params *p;

	if (argc != 2) {
		fprintf(stderr, "usage: greyask config_directory\n");
		return 2;
	}
	msg_to_stderr("greyask");
	if ((cf = main_cf_read(argv[1], warn, NULL, &why)) == NULL || (p = params_load(cf, &why)) == NULL ||
	    greylist_open(&g, p, "vouch/greyask", &why) < 0)
		msg_fatal("%s", buf_str(&why));
	loop = ev_loop_new();
	greylist_start(g, loop);
	ev_io_set(loop, &io, 0, EV_READ, input, NULL);
	ev_run(loop);
	for (int i = 0; i < 100 && greylist_busy(g); i++)
		ev_turn(loop, 20);
	greylist_close(&g);
	ev_loop_free(&loop);
	params_free(&p);
	main_cf_free(&cf);
	buf_fini(&in);
	buf_fini(&why);
	return 0;
}
