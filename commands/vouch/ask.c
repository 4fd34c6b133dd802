/* commands/vouch/ask.c - query and update: a client of the verify service for people and scripts */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/units.h>
#include <util/utf8.h>
#include <global/verify_clnt.h>

#include "ask.h"

struct ask {				/* one address */
	const char *addr;
	bool	    answered;		/* status and reason are set; else reason says why not */
	enum verify_status status;
	char	   *reason;
};

static int64_t
ask_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

char *
ask_path(const struct vouch *v)
{
	char   *name = vouch_param(v, "address_verify_service_name");
	char   *path = name != NULL && vouch_enter(v) ? mem_printf("private/%s", name) : NULL;

	free(name);
	return path;
}

/* ask_all_listen - whether the service is there; if not, that is everybody's answer
 * The client tries again and again, which is right for --wait, but who asks an instance that does not run wants to
 * hear so at once. */
static bool
ask_all_listen(const char *path, struct ask *asks, size_t n)
{
	bool	listens = ask_listens(path);

	for (size_t i = 0; i < n && !listens; i++)
		asks[i].reason = ask_trouble(path, strerror(errno));
	return listens;
}

/* ask_once - one query on a connection of its own, so that what is left of the time is its limit
 * A service that holds its reply may hold it beyond that: what it said before stands then */
static void
ask_once(struct ask *a, const char *path, int64_t deadline_ms)
{
	int64_t left_ms = deadline_ms - ask_now_ms();
	struct buf reason = BUF_INIT(64 * 1024), why = BUF_INIT(4096);
	struct verify_clnt *clnt;
	enum verify_status status = VERIFY_TODO;
	bool	answered;

	if (left_ms <= 0) {
		if (a->reason == NULL)
			a->reason = mem_strdup("no answer in time");
		return;
	}
	clnt = verify_clnt_new(path, (int) left_ms);
	answered = verify_clnt_query(clnt, a->addr, &status, &reason, &why) == 0;
	if (answered || !a->answered || ask_now_ms() < deadline_ms) {
		mem_free(&a->reason);
		a->answered = answered;
		a->status = status;
		a->reason = answered ? mem_strdup(buf_str(&reason)) : ask_trouble(path, buf_str(&why));
		utf8_sanitise(a->reason, strlen(a->reason), true);
	}
	verify_clnt_free(&clnt);
	buf_fini(&reason);
	buf_fini(&why);
}

static void
ask_print(const struct ask *a, bool json)
{
	const char *said = a->answered ? ask_words[a->status].said : ASK_NO_ANSWER;
	struct buf line = BUF_INIT(512 * 1024);

	if (!json) {
		printf("%s: %s (%s)\n", a->addr, said, a->reason);
	} else {
		ask_json(&line, a->addr, said, a->answered ? (int) a->status : -1, a->reason);
		printf("%s\n", buf_str(&line));
	}
	fflush(stdout);
	buf_fini(&line);
}

/* ask_exit - an answer that is missing or may change outweighs "undeliverable": 1 means that every answer is final */
static int
ask_exit(const struct ask *asks, size_t n)
{
	int	code, worst = VOUCH_DONE;

	for (size_t i = 0; i < n; i++) {
		code = asks[i].answered ? ask_words[asks[i].status].exit_code : VOUCH_TEMPORARY;
		if (code > worst)
			worst = code;
	}
	return worst;
}

int
vouch_query(struct vouch *v)
{
	static const struct option longs[] = {
		{ "wait", no_argument, NULL, 'w' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct timespec pause;
	struct ask *asks;
	char   *path;
	size_t	n, open, printed;
	int64_t timeout_s = ASK_TIMEOUT_S, deadline_ms, pause_ms = ASK_PAUSE_MIN_MS;
	bool	json = false, wait = false;
	int	c, ret;

	opterr = 0;
	while ((c = getopt_long(v->argc, v->argv, "jt:w", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'w':
			wait = true;
			break;
		case 't':
			if (!ask_seconds(optarg, &timeout_s))
				return vouch_usage(v, "-t takes 1 to 86400 seconds");
			break;
		default:
			return vouch_usage(v, "unknown option, or its value is missing");
		}
	}
	if (optind >= v->argc)
		return vouch_usage(v, "argument missing");
	if ((path = ask_path(v)) == NULL)
		return VOUCH_TEMPORARY;

	n = (size_t) (v->argc - optind);
	asks = mem_array(n, sizeof(*asks));
	for (size_t i = 0; i < n; i++)
		asks[i].addr = v->argv[optind + (int) i];
	deadline_ms = ask_now_ms() + timeout_s * 1000;
	printed = 0;
	for (bool listens = wait || ask_all_listen(path, asks, n); listens; ) {
		/* all are asked before any is waited for, so that their probes run side by side */
		open = 0;
		for (size_t i = 0; i < n; i++) {
			if (!asks[i].answered || asks[i].status == VERIFY_TODO)
				ask_once(&asks[i], path, deadline_ms);
			if (wait && (!asks[i].answered || asks[i].status == VERIFY_TODO))
				open++;
			else if (printed == i && open == 0)
				ask_print(&asks[printed++], json);
		}
		if (open == 0 || ask_now_ms() + pause_ms >= deadline_ms)
			break;
		pause = (struct timespec){ pause_ms / 1000, pause_ms % 1000 * 1000000 };
		nanosleep(&pause, NULL);
		pause_ms = pause_ms * 2 < ASK_PAUSE_MAX_MS ? pause_ms * 2 : ASK_PAUSE_MAX_MS;
	}
	while (printed < n)
		ask_print(&asks[printed++], json);
	ret = ask_exit(asks, n);
	for (size_t i = 0; i < n; i++)
		free(asks[i].reason);
	free(asks);
	free(path);
	return ret;
}

/* ask_status - "ok", "deliverable" or a number; a number that is no status is the service's to refuse */
static bool
ask_status(const char *s, int *status_r)
{
	int64_t number;

	for (int i = 0; i < VERIFY_STATUSES; i++) {
		if (strcmp(s, ask_words[i].said) == 0 || (ask_words[i].code != NULL && strcmp(s, ask_words[i].code) == 0)) {
			*status_r = i;
			return true;
		}
	}
	if (!units_int_parse(s, &number) || number < 0 || number > 99)
		return false;
	*status_r = (int) number;
	return true;
}

int
vouch_update(struct vouch *v)
{
	struct buf why = BUF_INIT(4096);
	struct verify_clnt *clnt;
	char   *path, *trouble;
	int	status, ret = VOUCH_DONE;

	if (!ask_status(v->argv[2], &status))
		return vouch_usage(v, "STATUS is ok, defer or bounce, or 0, 1 or 2");
	if ((path = ask_path(v)) == NULL)
		return VOUCH_TEMPORARY;
	clnt = verify_clnt_new(path, ASK_TIMEOUT_S * 1000);
	switch (verify_clnt_update(clnt, v->argv[1], status, v->argv[3], &why)) {
	case 0:
		break;
	case -2:
		vouch_sorry("%s: the verify service refused the update: %s", v->argv[1], buf_str(&why));
		ret = VOUCH_REFUSED;
		break;
	case -1:
		trouble = ask_trouble(path, buf_str(&why));
		vouch_sorry("%s: %s", v->argv[1], trouble);
		free(trouble);
		ret = VOUCH_TEMPORARY;
		break;
	}
	verify_clnt_free(&clnt);
	free(path);
	buf_fini(&why);
	return ret;
}
