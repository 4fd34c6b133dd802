/* daemons/verify/verify_request.c - one request in, one reply out
 * source: spec verify-protocol sections 3 to 8, attribute-protocol section 3.1 (what gets no reply)
 */
#include "verify.h"

#include <string.h>

#include <global/reason_detail.h>
#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/utf8.h>

#define VERIFY_ATTRS_MAX	16	/* strings of full length that one request may hold: twice what it needs */
#define VERIFY_SHOW_MAX		100	/* bytes of a peer's text in a log line */

struct verify_client {
	struct attr_in in;
	struct verify_hold *hold;
	struct verify_wait *wait;
};

/* verify_reply - the reply to a request that has no more to say than a status */
static void
verify_reply(struct ms_client *ms, enum verify_reply status)
{
	static struct buf b = BUF_INIT(64);	/* kept: one reply is made at a time */

	buf_reset(&b);
	attr_put_uint(&b, "status", (uint32_t) status);
	attr_put_end(&b);
	ms_send(ms, b.data, b.len);
}

bool
verify_query_reply(struct ms_client *ms, const struct verify_store_answer *ans, bool final)
{
	static const enum stat_id counter[VERIFY_STATUSES] = {
		[VERIFY_OK] = STAT_query_ok, [VERIFY_DEFER] = STAT_query_defer,
		[VERIFY_BOUNCE] = STAT_query_bounce, [VERIFY_TODO] = STAT_query_todo,
	};
	static struct buf b = BUF_INIT(2 * SHMTAB_VAL_MAX);	/* kept: one reply is made at a time */
	char	code[32];

	if (ans->status == VERIFY_TODO && verify_conf.hold_ms > 0 && !final)
		return false;
	buf_reset(&b);
	attr_put_uint(&b, "status", VERIFY_REPLY_OK);
	attr_put_uint(&b, "recipient_status", ans->status);
	attr_put_str(&b, "reason", reason_detail_text(verify_conf.detail, ans->status, ans->text, code, sizeof code));
	attr_put_end(&b);
	ms_send(ms, b.data, b.len);
	stats_add(STAT_queries, 1);
	stats_add(ans->unavailable ? STAT_query_unavailable : counter[ans->status], 1);
	return true;
}

void
verify_query_probe(const char *addr, const struct verify_store_answer *ans)
{
	if (!ans->probe)
		return;
	msg_debug("PROBE %s probed=%lld", addr, (long long) ans->tag);
	if (ans->adopted)
		stats_add(STAT_claims_adopted, 1);
	verify_probe_start(addr, ans->tag);
}

void
verify_query_waited(struct ms_client *ms, void *ctx, const char *addr, const struct verify_store_answer *ans)
{
	struct verify_client *c = ctx;

	if (verify_query_reply(ms, ans, false))
		ms_resume(ms);
	else
		verify_hold_new(&c->hold, ms, addr);
}

void
verify_update_reply(struct ms_client *ms)
{
	/* whatever became of it: any other answer would put the probe into the deferred queue */
	verify_reply(ms, VERIFY_REPLY_OK);
}

/* the requests: each handler reads its attributes; false means malformed, the reader says how */

static bool
verify_query(struct ms_client *ms, struct verify_client *c, struct attr_reader *r)
{
	const char *addr = attr_str(r, "address");
	struct verify_store_answer ans;

	if (addr == NULL)
		return false;
	verify_store_query(verify_store, addr, ev_wall_s(verify_loop), &ans);
	msg_debug("GOT %s status=%d text=%s", addr, ans.status, ans.text);
	verify_query_probe(addr, &ans);
	if (ans.ask && ans.status == VERIFY_TODO) {
		verify_wait_ask(&c->wait, ms, c, addr);
		return true;
	}
	if (!verify_query_reply(ms, &ans, false))
		verify_hold_new(&c->hold, ms, addr);
	if (ans.ask)
		verify_wait_ask(NULL, NULL, NULL, addr);	/* only to refresh what we know */
	return true;
}

/* verify_update_store - false: the reply is to wait */
static bool
verify_update_store(struct ms_client *ms, struct verify_client *c, const char *addr, enum verify_status status,
    const char *reason)
{
	char   *text = mem_strdup(reason), shown[VERIFY_SHOW_MAX];
	struct verify_wait *wait = verify_conf.commit_wait ? verify_wait_new(&c->wait, ms) : NULL;
	bool	reply = true;

	utf8_sanitise(text, strlen(text), verify_conf.smtputf8);
	switch (verify_store_update_then(verify_store, addr, status, text, ev_wall_s(verify_loop),
	    wait != NULL ? verify_wait_written : NULL, wait)) {
	case VERIFY_WRITING:
		reply = false;
		__attribute__((fallthrough));
	case VERIFY_STORED:
		msg_debug("PUT %s status=%d text=%s", addr, status, text);
		verify_hold_wake();
		break;
	case VERIFY_IGNORED:
		stats_add(STAT_updates_ignored, 1);
		break;
	case VERIFY_LOST:
		stats_add(STAT_updates_lost, 1);
		msg_warn("result for %s not kept: the address is too long or not valid UTF-8, or the cache is busy",
		    msg_clean(shown, sizeof shown, addr));
		break;
	}
	mem_free(&text);
	if (reply)
		verify_wait_free(&c->wait);
	return reply;
}

static bool
verify_update(struct ms_client *ms, struct verify_client *c, struct attr_reader *r)
{
	const char *addr = attr_str(r, "address");
	uint32_t status = attr_uint(r, "recipient_status");
	const char *reason = attr_str(r, "reason");
	char	shown[VERIFY_SHOW_MAX];

	if (reason == NULL)
		return false;
	if (status > VERIFY_BOUNCE) {		/* TODO is no result */
		msg_warn("bad recipient status %d for recipient %s", (int32_t) status,
		    msg_clean(shown, sizeof shown, addr));
		stats_add(STAT_updates_refused, 1);
		verify_reply(ms, VERIFY_REPLY_BAD);
		return true;
	}
	stats_add(STAT_updates, 1);
	if (verify_update_store(ms, c, addr, (enum verify_status) status, reason))
		verify_update_reply(ms);
	return true;
}

static const struct verify_req {
	const char *name;
	bool	  (*serve)(struct ms_client *, struct verify_client *, struct attr_reader *);
} verify_reqs[] = {
	{ "query",  verify_query },
	{ "update", verify_update },
};

static void
verify_malformed(const struct attr_reader *r)
{
	char	shown[VERIFY_SHOW_MAX];

	stats_add(STAT_malformed, 1);
	switch (r->error) {
	case ATTR_MISSING:
		msg_warn("missing attribute %s in input from verify socket", r->want);
		break;
	case ATTR_EXTRA:
		msg_warn("unexpected attribute %s from verify socket (expecting: %s)",
		    msg_clean(shown, sizeof shown, r->name), r->want);
		break;
	case ATTR_BADNUM:
		msg_warn("malformed numerical data from verify socket while reading input attribute value: %s",
		    msg_clean(shown, sizeof shown, r->value));
		break;
	case ATTR_DIFFERS:
	case ATTR_OK:
		break;
	}
}

/* verify_serve - one complete list. What cannot be understood gets no reply, as with verify(8) */
static void
verify_serve(struct ms_client *ms, struct verify_client *c)
{
	struct attr_reader r;
	const char *name, *extra;
	char	shown[VERIFY_SHOW_MAX];

	attr_reader_init(&r, c->in.list.data, c->in.list.len, false);
	if ((name = attr_str(&r, "request")) == NULL) {
		verify_malformed(&r);
		return;
	}
	for (size_t i = 0; i < NELEM(verify_reqs); i++) {
		if (strcmp(name, verify_reqs[i].name) != 0)
			continue;
		if (!verify_reqs[i].serve(ms, c, &r))
			verify_malformed(&r);
		else if ((extra = attr_end(&r)) != NULL)
			msg_warn("unexpected attribute %s from verify socket (expecting: (list terminator))",
			    msg_clean(shown, sizeof shown, extra));
		return;
	}
	stats_add(STAT_malformed, 1);
	msg_warn("unrecognized request: \"%s\", ignored", msg_clean(shown, sizeof shown, name));
	verify_reply(ms, VERIFY_REPLY_BAD);
}

void *
verify_opened(struct ms_client *ms)
{
	static const char banner[] = "protocol\0" VERIFY_PROTOCOL_NAME "\0";	/* and the NUL that ends the list */
	struct verify_client *c = mem_alloc(sizeof *c);

	attr_in_init(&c->in, verify_conf.str_max, VERIFY_ATTRS_MAX * verify_conf.str_max);
	stats_add(STAT_clients, 1);
	ms_send(ms, banner, sizeof banner);
	return c;
}

enum ms_next
verify_input(struct ms_client *ms, void *ctx, const char *data, size_t n, size_t *used_r, bool *partial_r)
{
	struct verify_client *c = ctx;
	size_t	used;

	for (*used_r = 0; *used_r < n; *used_r += used)
		switch (attr_in_feed(&c->in, data + *used_r, n - *used_r, &used)) {
		case ATTR_IN_MORE:
			break;
		case ATTR_IN_DONE:
			verify_serve(ms, c);
			attr_in_reset(&c->in);
			if (c->hold != NULL || c->wait != NULL) {
				*used_r += used;
				return MS_HOLD;
			}
			break;
		case ATTR_IN_FULL:
			stats_add(STAT_malformed, 1);
			msg_warn("request on verify socket is larger than any request may be: closing the connection");
			return MS_CLOSE;
		}
	*partial_r = attr_in_partial(&c->in);
	return MS_MORE;
}

void
verify_closed(struct ms_client *ms, void *ctx)
{
	struct verify_client *c = ctx;

	(void) ms;
	verify_hold_free(&c->hold);
	verify_wait_left(&c->wait);
	attr_in_fini(&c->in);
	mem_free(&c);
}
