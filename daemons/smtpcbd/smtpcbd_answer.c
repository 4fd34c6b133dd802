/* daemons/smtpcbd/smtpcbd_answer.c - what is asked and what is known -> the reply
 * source: spec smtpcbd-protocol sections 3 and 4. FAIL is for what is known about the address; every doubt is TEMPFAIL.
 */
#include "smtpcbd.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <global/probe_sender.h>
#include <global/probe_text.h>
#include <global/smtp_path.h>
#include <util/mem.h>

void
smtpcbd_answer_own(struct smtpcbd_verdict *v, enum smtpcb_code code, const char *text)
{
	int64_t now = ev_wall_s(smtpcbd_loop);

	*v = (struct smtpcbd_verdict) { .code = code, .local = true, .text = text, .since_s = now, .next_s = now };
}

/* smtpcbd_answer_is_ours - an address at which nobody needs to be asked: probing it would come back to us */
static bool
smtpcbd_answer_is_ours(const struct smtpcb_request *r)
{
	const char *bounce = smtpcbd_conf.double_bounce;
	char   *addr = mem_printf("%s@%s", r->local, r->domain);
	bool	ours = probe_sender_match(addr, smtpcbd_conf.sender, smtpcbd_conf.sender_ttl_ms, smtpcbd_conf.myorigin,
	    ev_wall_s(smtpcbd_loop));
	size_t	len = strcspn(bounce, "@");

	mem_free(&addr);
	if (ours)
		return true;
	if (strcasecmp(r->local, "postmaster") != 0 && (len == 0 || strlen(r->local) != len || strncasecmp(r->local, bounce, len) != 0))
		return false;
	return strcasecmp(r->domain, smtpcbd_conf.myorigin) == 0 || strcasecmp(r->domain, smtpcbd_conf.myhostname) == 0 ||
	    domain_list_match(smtpcbd_conf.ours, r->domain);
}

bool
smtpcbd_answer_local(struct smtpcb_request *r, struct smtpcbd_verdict *v)
{
	switch (r->kind) {
	case SMTPCB_NULL_SENDER:
		smtpcbd_answer_own(v, SMTPCB_OK, "null sender");
		return true;
	case SMTPCB_BAD_ADDRESS:
		smtpcbd_answer_own(v, SMTPCB_FAIL, "5.1.7 bad sender address syntax");
		return true;
	case SMTPCB_LONG_ADDRESS:
		smtpcbd_answer_own(v, SMTPCB_FAIL, "5.1.7 address too long");
		return true;
	case SMTPCB_UTF8_ADDRESS:
		smtpcbd_answer_own(v, SMTPCB_FAIL, "5.6.7 address is not ASCII, and SMTPUTF8 is not enabled");
		return true;
	case SMTPCB_BAD_REQUEST:
		smtpcbd_answer_own(v, SMTPCB_TEMPFAIL, "bad request");
		return true;
	case SMTPCB_ADDRESS:
		break;
	}
	if (r->domain[0] == 0)
		snprintf(r->domain, sizeof r->domain, "%s", smtpcbd_conf.myorigin);
	if (!smtpcbd_answer_is_ours(r))
		return false;
	smtpcbd_answer_own(v, SMTPCB_OK, "our own address");
	return true;
}

void
smtpcbd_answer_of(const struct address_verdict *a, struct smtpcbd_verdict *v)
{
	static const enum smtpcb_code codes[VERIFY_STATUSES] = {
		[VERIFY_OK] = SMTPCB_OK, [VERIFY_BOUNCE] = SMTPCB_FAIL, [VERIFY_DEFER] = SMTPCB_TEMPFAIL, [VERIFY_TODO] = SMTPCB_TEMPFAIL,
	};

	*v = (struct smtpcbd_verdict) { .code = codes[a->status], .from = a->from, .status = a->status,
	    .result = a->status != VERIFY_TODO, .text = a->text, .since_s = a->since_s, .next_s = a->next_s };
	if (a->status == VERIFY_DEFER && smtpcbd_conf.suspended_ok && probe_text_unasked(a->text))
		v->code = SMTPCB_OK;
}

void
smtpcbd_answer_show(struct buf *out, const struct smtpcb_request *r)
{
	if (r->local[0] != 0)
		smtp_path_show(out, r->local, r->domain);
	else
		buf_adds(out, r->refused);
}

void
smtpcbd_answer_put(struct buf *out, const struct smtpcb_request *r, const struct smtpcbd_verdict *v, const char *id)
{
	struct smtpcb_reply reply = { .code = v->code, .msg = v->text, .since_s = v->since_s, .next_s = v->next_s };
	struct buf mailbox = BUF_INIT(4 * SMTPCB_MAILBOX_MAX);
	int64_t now = ev_wall_s(smtpcbd_loop);
	char	server[300] = "", code[32], more[100], *msg = NULL;
	const char *text = v->text;
	size_t	len;

	if (v->result && smtpcbd_conf.detail == REASON_DETAIL_FULL) {
		text = smtpcb_split_text(v->text, server, sizeof server, &len);
		reply.msg = msg = mem_strndup(text, len);
	} else if (v->result)
		reply.msg = reason_detail_text(smtpcbd_conf.detail, v->status, v->text, code, sizeof code);
	reply.server = server[0] != 0 ? server : smtpcbd_conf.myhostname;
	smtpcbd_answer_show(&mailbox, r);
	reply.addr = buf_str(&mailbox);
	snprintf(more, sizeof more, "age=%lld:id=%s", (long long) (now > v->since_s ? now - v->since_s : 0), id);
	smtpcb_reply_put(out, &reply, now, smtpcbd_conf.utf8, smtpcbd_conf.extended ? more : NULL);
	buf_fini(&mailbox);
	mem_free(&msg);
}
