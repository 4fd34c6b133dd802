/* daemons/smtpd/verify_address.c - what verify_sender and verify_rcpt share
 * source: spec smtpd-front sections 8.5 and 8.6. Asks verify(8), or a server of the smtp_callback line protocol; both hold their
 * answer for a probe, and neither is waited for longer than `wait`.
 */
#include "verify_address.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <global/domain_list.h>
#include <global/nexthop.h>
#include <global/reason_detail.h>
#include <global/smtpcb_client.h>
#include <util/buf.h>
#include <util/mem.h>

#include "builtin.h"
#include "plugin_args.h"
#include "verify_core.h"

#define VERIFY_WAIT_MS	   15000
#define VERIFY_MORE_MS	   5000		/* a server may need above our wait: then there is no answer */
#define VERIFY_SMTPCBD_PORT "4571"

/* arguments */

static int
verify_address_smtpcbd(struct verify_address *v, struct vh_err *err)
{
	struct nexthop to;
	const char *why = NULL;

	if (v->smtpcbd == NULL)
		return 0;
	if (!nexthop_parse(v->smtpcbd, strlen(v->smtpcbd), &to, &why) || to.is_unix ||
	    strspn(to.host, "0123456789abcdefABCDEF.:") != strlen(to.host))
		return vh_error(err, "smtpcbd %s: use a numeric address and a port, such as 127.0.0.1:4571", v->smtpcbd);
	v->host = mem_strdup(to.host);
	v->port = to.port != 0 ? mem_printf("%u", to.port) : mem_strdup(VERIFY_SMTPCBD_PORT);
	return 0;
}

static int
verify_address_file(struct vh_inst *inst, const char *name, struct domain_list **list, struct vh_err *err)
{
	if (name == NULL)
		return 0;
	if (rcpt_hosts_file(inst, name, list, err) < 0)
		return -1;
	return *list != NULL ? 0 : vh_error(err, "%s: there is no such settings file", name);
}

int
verify_address_init(struct vh_inst *inst, bool sender, int argc, char **argv, struct vh_err *err)
{
	static const struct plugin_arg args[] = {
		{ "wait", PLUGIN_ARG_TIME, offsetof(struct verify_address, wait_ms), 0, 50000, NULL },
		{ "tempfail", PLUGIN_ARG_WORD, offsetof(struct verify_address, tempfail), 0, 0, "soft pass" },
		{ "unavailable", PLUGIN_ARG_WORD, offsetof(struct verify_address, unavailable), 0, 0, "soft pass" },
		{ "only_domains", PLUGIN_ARG_TEXT, offsetof(struct verify_address, only_file), 0, 0, NULL },
		{ "except_domains", PLUGIN_ARG_TEXT, offsetof(struct verify_address, except_file), 0, 0, NULL },
		{ "show_host", PLUGIN_ARG_YES, offsetof(struct verify_address, show_host), 0, 0, NULL },
		{ "smtpcbd", PLUGIN_ARG_TEXT, offsetof(struct verify_address, smtpcbd), 0, 0, NULL },
		/* of senders; those of recipients are other words for the same */
		{ "stage", PLUGIN_ARG_WORD, offsetof(struct verify_address, stage), 0, 0, "mail rcpt" },
		{ "per_recipient", PLUGIN_ARG_YES, offsetof(struct verify_address, per_recipient), 0, 0, NULL },
	}, rcpt_args[] = {
		{ "wait", PLUGIN_ARG_TIME, offsetof(struct verify_address, wait_ms), 0, 50000, NULL },
		{ "unreachable", PLUGIN_ARG_WORD, offsetof(struct verify_address, tempfail), 0, 0, "soft accept" },
		{ "unavailable", PLUGIN_ARG_WORD, offsetof(struct verify_address, unavailable), 0, 0, "soft pass" },
		{ "only_domains", PLUGIN_ARG_TEXT, offsetof(struct verify_address, only_file), 0, 0, NULL },
		{ "except_domains", PLUGIN_ARG_TEXT, offsetof(struct verify_address, except_file), 0, 0, NULL },
		{ "show_host", PLUGIN_ARG_YES, offsetof(struct verify_address, show_host), 0, 0, NULL },
		{ "smtpcbd", PLUGIN_ARG_TEXT, offsetof(struct verify_address, smtpcbd), 0, 0, NULL },
	};
	struct verify_address *v = mem_alloc(sizeof *v);

	vh_set_data(inst, v);
	v->sender = sender;
	v->wait_ms = VERIFY_WAIT_MS;
	v->stage = VERIFY_AT_RCPT;
	v->show_host = true;
	verify_core_init();
	if (plugin_args_parse(v, sender ? args : rcpt_args, sender ? NELEM(args) : NELEM(rcpt_args), argc, argv, err) == 0 &&
	    verify_address_smtpcbd(v, err) == 0 && verify_address_file(inst, v->only_file, &v->only, err) == 0 &&
	    verify_address_file(inst, v->except_file, &v->except, err) == 0 &&
	    (sender || v->only != NULL || (v->hosts = rcpt_hosts_new(inst, err)) != NULL)) {
		vh_set_time_limit(inst, v->wait_ms + 2 * VERIFY_MORE_MS);
		return 0;
	}
	verify_address_fini(inst);
	return -1;
}

int
verify_address_start(struct vh_inst *inst, struct vh_err *err)
{
	const struct verify_address *v = vh_data(inst);

	(void) err;
	if (v->host == NULL)
		verify_core_start();
	return 0;
}

void
verify_address_fini(struct vh_inst *inst)
{
	struct verify_address *v = vh_data(inst);

	verify_core_fini();
	domain_list_free(&v->only);
	domain_list_free(&v->except);
	rcpt_hosts_free(&v->hosts);
	mem_free(&v->smtpcbd);
	mem_free(&v->only_file);
	mem_free(&v->except_file);
	mem_free(&v->host);
	mem_free(&v->port);
	mem_free(&v);
}

bool
verify_address_wanted(struct verify_address *v, const struct vh_addr *a)
{
	const char *host = vh_addr_host(a);

	if (v->only != NULL ? !rcpt_hosts_match(v->only, host) : v->hosts != NULL && !rcpt_hosts_have(v->hosts, host))
		return false;
	return v->except == NULL || !rcpt_hosts_match(v->except, host);
}

/* what is said */

static const char *
verify_address_time(char *out, size_t size, int64_t when)
{
	time_t	t = (time_t) when;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || strftime(out, size, "%Y-%m-%dT%H:%M:%S%z", &tm) == 0)
		snprintf(out, size, "%lld", (long long) when);
	return out;
}

enum vh_rc
verify_address_say(struct vh_call *call, const struct vh_addr *a, const struct verify_answer *ans)
{
	const struct verify_address *v = vh_data(vh_inst(call));
	const char *what = v->sender ? "Sender" : "Recipient", *subject = v->sender ? "1.8" : "1.1";
	bool	server = v->show_host && ans->server[0] != 0;
	char	times[100] = "", since[40], next[40];

	if (ans->since_s != 0)
		snprintf(times, sizeof times, " (known since %s, asked again from %s)", verify_address_time(since, sizeof since, ans->since_s),
		    verify_address_time(next, sizeof next, ans->next_s));
	switch (ans->known) {
	case VERIFY_KNOWN_OK:
		break;
	case VERIFY_KNOWN_BAD:
		return vh_refuse(call, subject, "%s address <%s> is refused%s%s: %s%s", what, vh_addr_text(a), server ? " by " : "",
		    server ? ans->server : "", ans->text, times);
	case VERIFY_KNOWN_SOFT:
		if (v->tempfail != VERIFY_SOFT)
			break;
		return vh_refuse_soft(call, subject, "%s address <%s> cannot be verified now%s%s: %s%s", what, vh_addr_text(a),
		    server ? ", by " : "", server ? ans->server : "", ans->text, times);
	case VERIFY_KNOWN_NOT:
		if (v->unavailable != VERIFY_SOFT)
			break;
		return vh_refuse_soft(call, subject, "%s address <%s> cannot be verified now, try again later", what, vh_addr_text(a));
	}
	return VH_DECLINED;
}

void
verify_answer_free(void *p)
{
	struct verify_answer *ans = p;

	mem_free(&ans->text);
	mem_free(&ans->server);
	mem_free(&ans);
}

/* asking */

struct verify_asking {
	struct vh_call *call;
	const struct vh_addr *addr;
	verify_keep_fn *keep;
	struct address_asker asker;
	struct smtpcb_ask *cb;
	int64_t	begin_ms;
};

/* verify_asking_end - the return code; the answer is kept or freed */
static enum vh_rc
verify_asking_end(struct verify_asking *q, struct verify_answer *ans, const char *from)
{
	static const char *const words[] = {
		[VERIFY_KNOWN_OK] = "ok", [VERIFY_KNOWN_BAD] = "bad", [VERIFY_KNOWN_SOFT] = "unknown for now", [VERIFY_KNOWN_NOT] = "no answer",
	};
	enum vh_rc rc;

	vh_log(q->call, VH_LOG_INFO, "addr=<%s> result=%s from=%s wait=%lldms (%s)", vh_addr_text(q->addr), words[ans->known], from,
	    (long long) (vh_now_ms() - q->begin_ms), ans->text);
	rc = verify_address_say(q->call, q->addr, ans);
	if (q->keep != NULL)
		q->keep(q->call, ans);
	else
		verify_answer_free(ans);
	mem_free(&q);
	return rc;
}

/* verify_asking_of - an answer from what verify(8) has */
static struct verify_answer *
verify_asking_of(const struct address_verdict *v)
{
	static const enum verify_known known[VERIFY_STATUSES] = {
		[VERIFY_OK] = VERIFY_KNOWN_OK, [VERIFY_BOUNCE] = VERIFY_KNOWN_BAD, [VERIFY_DEFER] = VERIFY_KNOWN_SOFT,
		[VERIFY_TODO] = VERIFY_KNOWN_SOFT,
	};
	struct verify_answer *ans = mem_alloc(sizeof *ans);
	enum reason_detail detail = reason_detail_find(smtpd_params()->address_verify_reason_detail);
	char	server[300] = "", code[32];
	const char *text = v->text;
	size_t	len = strlen(text);

	if (v->status != VERIFY_TODO && detail == REASON_DETAIL_FULL)
		text = smtpcb_split_text(v->text, server, sizeof server, &len);
	else if (v->status != VERIFY_TODO)
		len = strlen(text = reason_detail_text(detail, v->status, v->text, code, sizeof code));
	ans->known = v->from == ADDRESS_BUSY || v->from == ADDRESS_UNAVAILABLE ? VERIFY_KNOWN_NOT : known[v->status];
	ans->text = mem_strndup(text, len);
	ans->server = mem_strdup(server);
	if (v->status != VERIFY_TODO && v->next_s > v->since_s) {
		ans->since_s = v->since_s;
		ans->next_s = v->next_s;
	}
	return ans;
}

static void
verify_asking_done(struct address_asker *a, const struct address_verdict *v)
{
	struct verify_asking *q = (struct verify_asking *) (void *) ((char *) a - offsetof(struct verify_asking, asker));
	struct vh_call *call = q->call;

	vh_resume(call, verify_asking_end(q, verify_asking_of(v), address_from_name(v->from)));
}

static void
verify_asking_replied(void *ctx, const struct smtpcb_reply *r, const char *why)
{
	static const enum verify_known known[SMTPCB_CODES] = {
		[SMTPCB_OK] = VERIFY_KNOWN_OK, [SMTPCB_FAIL] = VERIFY_KNOWN_BAD, [SMTPCB_TEMPFAIL] = VERIFY_KNOWN_SOFT,
	};
	struct verify_asking *q = ctx;
	struct verify_answer *ans = mem_alloc(sizeof *ans);
	struct vh_call *call = q->call;

	q->cb = NULL;
	ans->known = r != NULL ? known[r->code] : VERIFY_KNOWN_NOT;
	ans->text = mem_strdup(r != NULL ? r->msg : why);
	ans->server = mem_strdup(r != NULL ? r->server : "");
	ans->since_s = r != NULL ? r->since_s : 0;
	ans->next_s = r != NULL ? r->next_s : 0;
	vh_resume(call, verify_asking_end(q, ans, "smtpcbd"));
}

static void
verify_asking_cancel(void *ctx)
{
	struct verify_asking *q = ctx;

	if (q->asker.entry != NULL)
		address_ask_left(verify_core_ask(), &q->asker);
	smtpcb_ask_free(&q->cb);
	mem_free(&q);
}

enum vh_rc
verify_address_ask(struct vh_call *call, const struct vh_addr *a, verify_keep_fn *keep)
{
	const struct verify_address *v = vh_data(vh_inst(call));
	struct verify_asking *q = mem_alloc(sizeof *q);
	struct address_verdict verdict;
	char   *addr;
	bool	now;

	q->call = call;
	q->addr = a;
	q->keep = keep;
	q->begin_ms = vh_now_ms();
	if (v->host != NULL) {
		q->cb = smtpcb_ask_new(smtpd_loop(), v->host, v->port, vh_addr_user(a), vh_addr_host(a), v->wait_ms + VERIFY_MORE_MS,
		    verify_asking_replied, q);
		return vh_suspend(call, verify_asking_cancel, q);
	}
	q->asker.done = verify_asking_done;
	addr = smtpd_plain_address(a);
	now = address_ask_start(verify_core_ask(), &q->asker, addr, v->wait_ms, &verdict);
	mem_free(&addr);
	if (now)
		return verify_asking_end(q, verify_asking_of(&verdict), address_from_name(verdict.from));
	return vh_suspend(call, verify_asking_cancel, q);
}
