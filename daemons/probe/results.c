/* daemons/probe/results.c - reports: one line in the log, and an update to the verify service, repeated until it is taken
 * An address that was completed gets a second update in its complete form, as Postfix's delivery agents do it.
 */
#include "probe.h"

#include <stdio.h>
#include <string.h>

#include <global/stats.h>
#include <global/verify_async.h>
#include <util/mem.h>
#include <util/msg.h>

#define RESULTS_CONNS	   8
#define RESULTS_DEADLINE_MS 30000	/* one try; then it waits its turn again */
#define RESULTS_PAUSE_MS   1000
#define RESULTS_WARN_MS	   10000

struct results_item {
	char	*addr, *final, *text;	/* final NULL when done or not wanted */
	enum verify_status status;
	int64_t	 born_ms;
	struct ev_timer timer;
};

static struct {
	struct ev_loop *loop;
	const struct results_conf *conf;
	results_taken_fn *taken;
	struct verify_async *verify;
	size_t	open;
} results;

void
results_init(struct ev_loop *loop, const struct results_conf *conf, results_taken_fn *taken)
{
	results.loop = loop;
	results.conf = conf;
	results.taken = taken;
	results.verify = verify_async_new(loop, conf->verify_path, RESULTS_CONNS, conf->limit, 5000);
}

size_t
results_open(void)
{
	return results.open;
}

static void
results_end(struct results_item *it)
{
	results.open--;
	ev_timer_cancel(results.loop, &it->timer);
	results.taken(it->addr);
	mem_free(&it->addr);
	mem_free(&it->final);
	mem_free(&it->text);
	mem_free(&it);
}

static void results_done(void *, enum verify_async_result, enum verify_status, const char *);

static void
results_send(void *ctx)
{
	struct results_item *it = ctx;

	if (verify_async_update(results.verify, it->addr, it->status, it->text, RESULTS_DEADLINE_MS, results_done, it) == NULL)
		ev_timer_set(results.loop, &it->timer, RESULTS_PAUSE_MS, results_send, it);
}

static void
results_final_done(void *ctx, enum verify_async_result result, enum verify_status status, const char *reason)
{
	(void) result;			/* a second form of the address: nobody waits for it */
	(void) status;
	(void) reason;
	results_end(ctx);
}

static void
results_done(void *ctx, enum verify_async_result result, enum verify_status status, const char *reason)
{
	static long long last;
	struct results_item *it = ctx;

	(void) status;
	(void) reason;
	switch (result) {
	case VERIFY_ASYNC_DONE:
		if (it->final != NULL && verify_async_update(results.verify, it->final, it->status, it->text,
		    RESULTS_DEADLINE_MS, results_final_done, it) != NULL)
			return;
		break;
	case VERIFY_ASYNC_REFUSED:
		stats_add(STAT_probe_reports_lost, 1);
		msg_warn("%s: the verify service refuses the result for <%.200s>", results.conf->verify_path, it->addr);
		break;
	case VERIFY_ASYNC_FAILED:
		if (ev_now_ms(results.loop) - it->born_ms < results.conf->give_up_ms) {
			ev_timer_set(results.loop, &it->timer, RESULTS_PAUSE_MS, results_send, it);
			return;
		}
		stats_add(STAT_probe_reports_lost, 1);
		if (msg_rate(&last, RESULTS_WARN_MS))
			msg_warn("%s: does not take the result for <%.200s>: given up", results.conf->verify_path, it->addr);
		break;
	}
	results_end(it);
}

static void
results_log(const struct prober_report *r, bool cached)
{
	char	place[80] = "", extra[120], addr[400], text[DIALOGUE_TEXT_MAX + 1];

	if (r->code != 0)
		snprintf(place, sizeof place, " at=%s, code=%u,", smtp_at_name(r->at), r->code);
	snprintf(extra, sizeof extra, "%s%s%s%s%s%s", r->tls[0] != 0 ? " tls=" : "", r->tls, r->tls[0] != 0 ? "," : "",
	    r->backup_mx ? " backup_mx=yes," : "", r->again ? " again=yes," : "",
	    r->catchall == CATCHALL_YES ? " catchall=yes," : r->catchall == CATCHALL_NO ? " catchall=no," : "");
	msg_clean(addr, sizeof addr, r->addr);
	msg_clean(text, sizeof text, r->text);
	msg_info("%s: to=<%s>, relay=%s, delay=%.2f, delays=%.2f/%.2f, dsn=%s,%s category=%s, rule=%s,%s status=%s (%s)", r->id, addr,
	    r->relay, (double) (r->waited_ms + r->took_ms) / 1000, (double) r->waited_ms / 1000, (double) r->took_ms / 1000,
	    r->dsn, place, smtp_cat_name(r->cat), r->rule, extra,
	    r->status == VERIFY_OK ? "deliverable" : cached ? "undeliverable" : "undeliverable-but-not-cached", text);
}

void
results_report(const struct prober_report *r)
{
	bool	cached = r->status == VERIFY_OK || results.conf->negative_cache;
	struct results_item *it;

	stats_add(r->status == VERIFY_OK ? STAT_probe_ok : r->status == VERIFY_BOUNCE ? STAT_probe_bounce : STAT_probe_defer, 1);
	if (r->cat == SMTP_CAT_GREYLIST)
		stats_add(STAT_probe_greylisted, 1);
	if (r->cat == SMTP_CAT_POLICY || r->cat == SMTP_CAT_SENDER || r->cat == SMTP_CAT_NULLSENDER)
		stats_add(STAT_probe_policy, 1);
	if (r->cat == SMTP_CAT_SUSPENDED)
		stats_add(STAT_probe_suspended, 1);
	results_log(r, cached);
	it = mem_alloc(sizeof *it);
	it->addr = mem_strdup(r->addr);
	it->final = r->final != NULL ? mem_strdup(r->final) : NULL;
	it->text = mem_strdup(r->text);
	it->status = r->status;
	it->born_ms = ev_now_ms(results.loop);
	results.open++;
	if (cached)
		results_send(it);
	else
		results_end(it);
}
