/* daemons/smtpd/plugin_earlytalker.c - refuses clients that talk before they are asked to
 * source: spec smtpd-front section 7. Waits in silence before the greeting, or before the reply to DATA, or both, and
 * looks whether the client has sent anything meanwhile. A client that hangs up has not talked. Who has passed is not tested
 * again for a day (client_cache.h).
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <util/mem.h>
#include <util/units.h>

#include "builtin.h"
#include "client_cache.h"

#define EARLYTALKER_WAIT_WARN_MS 20000	/* clients give up from 30 s on */
#define EARLYTALKER_SHOWN	 100	/* bytes in the log */
#define EARLYTALKER_GOOD	 5	/* karma_history above which a client is trusted */
#define EARLYTALKER_CACHED	 65536	/* clients */
#define EARLYTALKER_STRESS	 75	/* percent of the connections there may be */

struct earlytalker {
	int64_t	wait_ms, stress_ms;	/* stress: -1, the same */
	bool	defer, at_connect, at_data;
	char   *teaser;
	struct client_cache *passed;	/* NULL: no cache */
};

struct earlytalker_wait {
	struct vh_call *call;
	struct vh_timer *timer;
	int64_t	left_ms;		/* after the first look */
	int64_t	begin_ms;
};

/* arguments */

static bool
earlytalker_yes(const char *value, bool *r)
{
	*r = strcmp(value, "1") == 0;
	return *r || strcmp(value, "0") == 0;
}

static bool
earlytalker_time(const char *value, int64_t *r)
{
	return units_time_parse(value, 's', r);
}

/* earlytalker_argument - NULL, or what to write instead */
static const char *
earlytalker_argument(struct vh_inst *inst, struct earlytalker *e, const char *name, const char *value, int64_t *cache_ms)
{
	if (strcasecmp(name, "wait") == 0)
		return earlytalker_time(value, &e->wait_ms) ? NULL : "a time";
	if (strcasecmp(name, "wait_stress") == 0)
		return earlytalker_time(value, &e->stress_ms) ? NULL : "a time";
	if (strcasecmp(name, "cache") == 0)
		return earlytalker_time(value, cache_ms) ? NULL : "a time, or 0";
	if (strcasecmp(name, "defer-reject") == 0)
		return earlytalker_yes(value, &e->defer) ? NULL : "0 or 1";
	if (strcasecmp(name, "action") == 0) {
		if (strcasecmp(value, "deny") != 0 && strcasecmp(value, "denysoft") != 0 && strcasecmp(value, "log") != 0)
			return "deny, denysoft or log";
		vh_set_reject(inst, strcasecmp(value, "log") == 0 ? "0" : "1");
		return NULL;
	}
	if (strcasecmp(name, "check-at") == 0) {
		if (strcasecmp(value, "CONNECT") == 0)
			e->at_connect = true;
		else if (strcasecmp(value, "DATA") == 0)
			e->at_data = true;
		else
			return "CONNECT or DATA";
		return NULL;
	}
	if (strcasecmp(name, "teaser") == 0) {
		mem_free(&e->teaser);
		e->teaser = mem_strdup(value);
		return strlen(value) <= 400 ? NULL : "a shorter text";
	}
	return "wait, wait_stress, reject, reject_type, action, defer-reject, check-at, cache or teaser";
}

static int
earlytalker_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	struct earlytalker *e = mem_alloc(sizeof *e);
	int64_t cache_ms = 86400000;
	const char *use;

	vh_set_data(inst, e);
	e->wait_ms = 1000;
	e->stress_ms = -1;
	if (argc % 2 == 0) {
		mem_free(&e);
		return vh_error(err, "%s: arguments come in pairs of name and value", argv[argc - 1]);
	}
	for (int i = 1; i < argc; i += 2)
		if ((use = earlytalker_argument(inst, e, argv[i], argv[i + 1], &cache_ms)) != NULL) {
			mem_free(&e->teaser);
			mem_free(&e);
			return vh_error(err, "%s %s: use %s", argv[i], argv[i + 1], use);
		}
	if (!e->at_connect && !e->at_data)
		e->at_connect = true;
	if (e->wait_ms > EARLYTALKER_WAIT_WARN_MS)
		vh_log_inst(inst, VH_LOG_WARN, "wait %llds: many clients give up when they are not greeted within 30 s",
		    (long long) e->wait_ms / 1000);
	vh_set_time_limit(inst, e->wait_ms + 5000);
	if (cache_ms > 0)
		e->passed = client_cache_new(cache_ms, EARLYTALKER_CACHED);
	return 0;
}

static void
earlytalker_fini(struct vh_inst *inst)
{
	struct earlytalker *e = vh_data(inst);

	client_cache_free(&e->passed);
	mem_free(&e->teaser);
	mem_free(&e);
}

/* the test */

static int64_t
earlytalker_wait_ms(struct vh_call *call, const struct earlytalker *e)
{
	const struct vh_notes *notes = vh_conn_notes(vh_conn(call));
	int64_t s;

	if (vh_note_has(notes, "earlytalker_wait") && (s = vh_note_int(notes, "earlytalker_wait", -1)) >= 0 && s <= 3600)
		return s * 1000;
	if (e->stress_ms >= 0 && (uint64_t) vh_conn_total() * 100 > (uint64_t) vh_conn_limit() * EARLYTALKER_STRESS)
		return e->stress_ms;
	return e->wait_ms;
}

static enum vh_rc
earlytalker_refuse(struct vh_call *call)
{
	return vh_refuse(call, "5.1", "You have sent something before it was your turn");
}

/* earlytalker_caught - there are n bytes; what becomes of the client */
static enum vh_rc
earlytalker_caught(struct vh_call *call, const char *data, size_t n, int64_t after_ms)
{
	struct earlytalker *e = vh_data(vh_inst(call));
	struct vh_notes *notes = vh_conn_notes(vh_conn(call));
	char	shown[4 * EARLYTALKER_SHOWN + 1];
	size_t	len = 0;

	for (size_t i = 0; i < n && i < EARLYTALKER_SHOWN; i++)
		len += (size_t) snprintf(shown + len, sizeof shown - len,
		    data[i] == '\\' ? "\\\\" : data[i] >= ' ' && data[i] < 127 ? "%c" : "\\x%02x", (unsigned char) data[i]);
	shown[len] = 0;
	vh_log(call, VH_LOG_INFO, "client=%s talks early: hook=%s after_ms=%lld bytes=%zu%s \"%s\"", vh_conn_ip(vh_conn(call)),
	    vh_hook_name(vh_hook(call)), (long long) after_ms, n, n > EARLYTALKER_SHOWN ? " or more" : "", shown);
	if (!vh_note_has(notes, "earlytalker")) {
		vh_note_set_int(notes, "earlytalker", 1);
		vh_karma(vh_conn(call), -1);
	}
	client_cache_drop(e->passed, vh_conn_peer(vh_conn(call)));
	if (vh_hook(call) == VH_HOOK_CONNECT && e->defer)
		return VH_DECLINED;
	return earlytalker_refuse(call);
}

static enum vh_rc
earlytalker_passed(struct vh_call *call)
{
	struct earlytalker *e = vh_data(vh_inst(call));

	vh_log(call, VH_LOG_DEBUG, "pass: hook=%s", vh_hook_name(vh_hook(call)));
	/* who has passed before the greeting only is no good at DATA: what is kept is the last test of those configured */
	if (vh_hook(call) == (e->at_data ? VH_HOOK_DATA : VH_HOOK_CONNECT) &&
	    !vh_note_has(vh_conn_notes(vh_conn(call)), "earlytalker"))
		client_cache_put(e->passed, vh_conn_peer(vh_conn(call)), vh_now_ms());
	return VH_DECLINED;
}

static void
earlytalker_end(void *ctx)
{
	struct earlytalker_wait *w = ctx;

	vh_timer_stop(&w->timer);
	mem_free(&w);
}

static void
earlytalker_resume(struct earlytalker_wait *w, enum vh_rc rc)
{
	struct vh_call *call = w->call;

	earlytalker_end(w);
	vh_resume(call, rc);
}

/* earlytalker_look - whether the client has talked, or gone: then the test is over */
static bool
earlytalker_look(struct earlytalker_wait *w)
{
	char	data[EARLYTALKER_SHOWN + 1];
	ssize_t n = vh_peek(vh_conn(w->call), data, sizeof data);

	if (n > 0)
		earlytalker_resume(w, earlytalker_caught(w->call, data, (size_t) n, vh_now_ms() - w->begin_ms));
	else if (n < 0)
		earlytalker_resume(w, VH_DECLINED);	/* it has left: neither good nor bad */
	return n != 0;
}

static void
earlytalker_input(void *ctx)
{
	earlytalker_look(ctx);
}

static void
earlytalker_timer(void *ctx)
{
	struct earlytalker_wait *w = ctx;

	if (earlytalker_look(w))
		return;
	if (w->left_ms <= 0) {
		earlytalker_resume(w, earlytalker_passed(w->call));
		return;
	}
	vh_timer_stop(&w->timer);
	w->timer = vh_timer_start(w->left_ms, earlytalker_timer, w);
	w->left_ms = 0;
}

/* earlytalker_test - wait_ms of silence from from_ms on */
static enum vh_rc
earlytalker_test(struct vh_call *call, int64_t from_ms, int64_t wait_ms)
{
	struct earlytalker_wait *w = mem_alloc(sizeof *w);

	w->call = call;
	w->begin_ms = from_ms;
	w->left_ms = wait_ms - (vh_now_ms() - from_ms);
	/* the first look from the loop: what came in one piece with the command is to be seen then, not before */
	w->timer = vh_timer_start(0, earlytalker_timer, w);
	vh_on_input(call, earlytalker_input, w);
	return vh_suspend(call, earlytalker_end, w);
}

static enum vh_rc
earlytalker_connect(struct vh_call *call)
{
	struct earlytalker *e = vh_data(vh_inst(call));
	struct vh_conn *c = vh_conn(call);
	int64_t wait_ms = earlytalker_wait_ms(call, e);

	if (!e->at_connect || wait_ms == 0 || vh_is_immune(c, NULL) ||
	    vh_note_int(vh_conn_notes(c), "karma_history", 0) > EARLYTALKER_GOOD)
		return VH_DECLINED;
	if (client_cache_has(e->passed, vh_conn_peer(c), vh_now_ms())) {
		vh_log(call, VH_LOG_DEBUG, "pass: tested before");
		return VH_DECLINED;
	}
	if (e->teaser != NULL)
		vh_send(call, "220-%s", e->teaser);
	return earlytalker_test(call, vh_conn_start_ms(c), wait_ms);
}

static enum vh_rc
earlytalker_data(struct vh_call *call)
{
	struct earlytalker *e = vh_data(vh_inst(call));
	struct vh_conn *c = vh_conn(call);
	int64_t wait_ms = earlytalker_wait_ms(call, e);

	if (!e->at_data || wait_ms == 0 || vh_is_immune(c, vh_txn(call)) ||
	    client_cache_has(e->passed, vh_conn_peer(c), vh_now_ms()))
		return VH_DECLINED;
	return earlytalker_test(call, vh_now_ms(), wait_ms);
}

/* earlytalker_mail - the refusal that was put off */
static enum vh_rc
earlytalker_mail(struct vh_call *call)
{
	struct earlytalker *e = vh_data(vh_inst(call));

	if (!e->defer || !vh_note_has(vh_conn_notes(vh_conn(call)), "earlytalker"))
		return VH_DECLINED;
	return earlytalker_refuse(call);
}

const struct vh_plugin vh_builtin_earlytalker = {
	.abi = VH_ABI, .name = "earlytalker", .init = earlytalker_init, .fini = earlytalker_fini,
	.hooks = (const struct vh_hook_fn []) {
		{ VH_HOOK_CONNECT, earlytalker_connect },
		{ VH_HOOK_MAIL, earlytalker_mail },
		{ VH_HOOK_DATA, earlytalker_data },
		{ VH_END, NULL },
	},
};
