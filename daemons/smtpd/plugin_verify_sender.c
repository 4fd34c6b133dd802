/* daemons/smtpd/plugin_verify_sender.c - refuses mail from senders that cannot receive any
 * source: spec smtpd-front section 8.5. Asked once in a transaction; every recipient then gets the same answer.
 */
#include <string.h>

#include <global/probe_sender.h>
#include <util/mem.h>

#include "builtin.h"
#include "verify_address.h"

static int
verify_sender_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	return verify_address_init(inst, true, argc, argv, err);
}

/* verify_sender_keep - in the transaction, under the instance's name; the note smtp_callback is for other plugins */
static void
verify_sender_keep(struct vh_call *call, struct verify_answer *ans)
{
	static const char *const words[] = {
		[VERIFY_KNOWN_OK] = "OK", [VERIFY_KNOWN_BAD] = "FAIL", [VERIFY_KNOWN_SOFT] = "TEMPFAIL", [VERIFY_KNOWN_NOT] = "TEMPFAIL",
	};
	struct vh_notes *notes = vh_txn_notes(vh_txn(call));

	vh_note_set_str(notes, "smtp_callback", words[ans->known]);
	vh_note_set_ptr(notes, vh_name(vh_inst(call)), ans, verify_answer_free);
}

/* verify_sender_skip - nobody there to ask about, or nobody whom we ask about */
static bool
verify_sender_skip(struct vh_call *call, const struct vh_addr *a)
{
	const struct params *p = smtpd_params();

	return vh_addr_null(a) || vh_addr_host(a)[0] == 0 || vh_is_immune(vh_conn(call), vh_txn(call)) ||
	    !verify_address_wanted(vh_data(vh_inst(call)), a) ||
	    probe_sender_match(vh_addr_text(a), p->address_verify_sender, p->address_verify_sender_ttl, p->myorigin, vh_wall_s());
}

static enum vh_rc
verify_sender_check(struct vh_call *call)
{
	const struct vh_addr *a = vh_sender(vh_txn(call));
	const struct verify_answer *known = vh_note_ptr(vh_txn_notes(vh_txn(call)), vh_name(vh_inst(call)));

	if (known != NULL)
		return verify_address_say(call, a, known);
	if (verify_sender_skip(call, a))
		return VH_DECLINED;
	return verify_address_ask(call, a, verify_sender_keep);
}

static enum vh_rc
verify_sender_mail(struct vh_call *call)
{
	const struct verify_address *v = vh_data(vh_inst(call));

	return v->stage == VERIFY_AT_MAIL ? verify_sender_check(call) : VH_DECLINED;
}

static enum vh_rc
verify_sender_rcpt(struct vh_call *call)
{
	const struct verify_address *v = vh_data(vh_inst(call));
	const struct vh_notes *notes = vh_addr_notes(vh_address(call));

	if (v->stage != VERIFY_AT_RCPT || (v->per_recipient && !(vh_note_int(notes, "smtp_callback", 0) != 0 ||
	    vh_note_str(notes, "smtp_callback") != NULL)))
		return VH_DECLINED;
	return verify_sender_check(call);
}

const struct vh_plugin vh_builtin_verify_sender = {
	.abi = VH_ABI, .name = "verify_sender", .flags = VH_ERROR_DENYSOFT, .init = verify_sender_init,
	.worker_init = verify_address_start, .fini = verify_address_fini,
	.hooks = (const struct vh_hook_fn []) {
		{ VH_HOOK_MAIL, verify_sender_mail },
		{ VH_HOOK_RCPT, verify_sender_rcpt },
		{ VH_END, NULL },
	},
};
