/* daemons/smtpd/hook_table.c - what each return code of each hook means: reply code, and what becomes of the session
 * source: spec smtpd-front section 4; RFC 5321 section 4.3.2 for the codes. The one place where they stand; the engine,
 * the test and PLUGIN_README follow it. A second code is the one of "smtpd_reply_codes = qpsmtpd".
 */
#include "smtpd.h"

#define GO			{ HOOK_GO, 0, 0, NULL, NULL }
#define SAY(code, enh, text)	{ HOOK_GO, code, 0, enh, text }
#define NO(code, enh, text)	{ HOOK_REFUSE, code, 0, enh, text }
#define NO2(code, old, enh, text) { HOOK_REFUSE, code, old, enh, text }
#define BYE(code, enh, text)	{ HOOK_CLOSE, code, 0, enh, text }
#define BYE2(code, old, enh, text) { HOOK_CLOSE, code, old, enh, text }
#define QUIET			{ HOOK_SILENT, 0, 0, NULL, NULL }

#define REFUSED	 "Refused"
#define LATER	 "Not now, try again later"

/* results do not matter */
#define IGNORED(hook, word, txn) \
	[hook] = { word, false, true, txn, { GO, GO, GO, GO, GO, GO, GO } }

const struct hook_row hook_table[VH_HOOKS] = {
	[VH_END] = { "none", false, true, false, { GO, GO, GO, GO, GO, GO, GO } },
	IGNORED(VH_HOOK_CONFIG, "config", false),
	[VH_HOOK_PRE_CONNECTION] = { "pre_connection", false, false, false, {
		[VH_DECLINED] = GO, [VH_OK] = GO,
		[VH_DENY] = BYE(550, "5.7.1", REFUSED), [VH_DENYSOFT] = BYE(451, "4.7.1", LATER),
		[VH_DENY_DISCONNECT] = BYE(550, "5.7.1", REFUSED), [VH_DENYSOFT_DISCONNECT] = BYE(451, "4.7.1", LATER),
		[VH_DONE] = BYE(0, NULL, NULL) } },
	[VH_HOOK_CONNECT] = { "connect", true, false, false, {
		[VH_DECLINED] = SAY(220, NULL, NULL), [VH_OK] = SAY(220, NULL, NULL),
		[VH_DENY] = BYE2(554, 550, "5.7.1", REFUSED), [VH_DENYSOFT] = BYE2(421, 450, "4.7.1", LATER),
		[VH_DENY_DISCONNECT] = BYE2(554, 550, "5.7.1", REFUSED),
		[VH_DENYSOFT_DISCONNECT] = BYE2(421, 450, "4.7.1", LATER), [VH_DONE] = QUIET } },
#define HELLO(word) { word, true, false, false, { \
		[VH_DECLINED] = SAY(250, NULL, NULL), [VH_OK] = SAY(250, NULL, NULL), \
		[VH_DENY] = NO(550, "5.7.1", REFUSED), [VH_DENYSOFT] = NO(450, "4.7.1", LATER), \
		[VH_DENY_DISCONNECT] = BYE(550, "5.7.1", REFUSED), [VH_DENYSOFT_DISCONNECT] = BYE(450, "4.7.1", LATER), \
		[VH_DONE] = QUIET } }
	[VH_HOOK_HELO] = HELLO("helo"),
	[VH_HOOK_EHLO] = HELLO("ehlo"),
#define ADDRESS(word, ok, none, deny, soft, enough) { word, true, false, true, { \
		[VH_DECLINED] = none, [VH_OK] = SAY(250, ok, enough), \
		[VH_DENY] = NO(550, "5." deny, REFUSED), [VH_DENYSOFT] = NO(450, "4." soft, LATER), \
		[VH_DENY_DISCONNECT] = BYE(550, "5." deny, REFUSED), [VH_DENYSOFT_DISCONNECT] = BYE(421, "4." soft, LATER), \
		[VH_DONE] = QUIET } }
	[VH_HOOK_MAIL_PRE] = ADDRESS("mail_pre", NULL, GO, "7.1", "7.1", NULL),
	[VH_HOOK_MAIL] = ADDRESS("mail", "2.1.0", SAY(250, "2.1.0", "Sender ok"), "7.1", "7.1", "Sender ok"),
	[VH_HOOK_RCPT_PRE] = ADDRESS("rcpt_pre", NULL, GO, "7.1", "7.1", NULL),
	[VH_HOOK_RCPT] = ADDRESS("rcpt", "2.1.5", NO(450, "4.7.1", "No plugin has decided about this recipient"), "7.1", "7.1",
	    "Recipient ok"),
	[VH_HOOK_DATA] = { "data", true, false, true, {
		[VH_DECLINED] = SAY(354, NULL, "End data with <CR><LF>.<CR><LF>"),
		[VH_OK] = SAY(354, NULL, "End data with <CR><LF>.<CR><LF>"),
		[VH_DENY] = NO(554, "5.7.1", REFUSED), [VH_DENYSOFT] = NO(451, "4.7.1", LATER),
		[VH_DENY_DISCONNECT] = BYE(554, "5.7.1", REFUSED), [VH_DENYSOFT_DISCONNECT] = BYE(451, "4.7.1", LATER),
		[VH_DONE] = QUIET } },
	/* a plain refusal is said after the end of the message: clients listen only then */
	[VH_HOOK_DATA_HEADERS_END] = { "data_headers_end", true, false, true, {
		[VH_DECLINED] = GO, [VH_OK] = GO,
		[VH_DENY] = NO(554, "5.7.1", REFUSED), [VH_DENYSOFT] = NO(451, "4.7.1", LATER),
		[VH_DENY_DISCONNECT] = BYE(554, "5.7.1", REFUSED), [VH_DENYSOFT_DISCONNECT] = BYE(421, "4.7.1", LATER),
		[VH_DONE] = GO } },
	IGNORED(VH_HOOK_RECEIVED_LINE, "received_line", true),
#define MESSAGE(word, none, ok, deny, deny2, soft, soft2) { word, true, false, true, { \
		[VH_DECLINED] = none, [VH_OK] = ok, \
		[VH_DENY] = NO2(deny, deny2, "5.7.1", REFUSED), [VH_DENYSOFT] = NO2(soft, soft2, "4.7.1", LATER), \
		[VH_DENY_DISCONNECT] = BYE2(deny, deny2, "5.7.1", REFUSED), \
		[VH_DENYSOFT_DISCONNECT] = BYE2(soft, soft2, "4.7.1", LATER), [VH_DONE] = QUIET } }
	[VH_HOOK_DATA_POST] = MESSAGE("data_post", GO, GO, 550, 552, 451, 452),
	[VH_HOOK_QUEUE_PRE] = MESSAGE("queue_pre", GO, GO, 554, 552, 451, 452),
	[VH_HOOK_QUEUE] = MESSAGE("queue", NO2(451, 0, "4.3.5", "No plugin has taken the message"), SAY(250, "2.6.0", "Message accepted"),
	    554, 552, 451, 452),
	IGNORED(VH_HOOK_QUEUE_POST, "queue_post", true),
	IGNORED(VH_HOOK_RESET_TRANSACTION, "reset_transaction", false),
#define OTHER(word, none, ok, deny, deny_off) { word, true, false, false, { \
		[VH_DECLINED] = none, [VH_OK] = ok, \
		[VH_DENY] = deny, [VH_DENYSOFT] = NO(450, "4.7.1", LATER), \
		[VH_DENY_DISCONNECT] = deny_off, [VH_DENYSOFT_DISCONNECT] = BYE(421, "4.7.1", LATER), [VH_DONE] = QUIET } }
	[VH_HOOK_UNRECOGNIZED_COMMAND] = OTHER("unrecognized_command", NO(500, "5.5.2", "Unrecognized command"),
	    NO(500, "5.5.2", "Unrecognized command"), NO(500, "5.5.2", "Unrecognized command"), BYE(521, "5.5.2", REFUSED)),
	[VH_HOOK_HELP] = OTHER("help", SAY(214, "2.0.0", NULL), SAY(214, "2.0.0", NULL), NO(500, "5.7.1", REFUSED),
	    BYE(500, "5.7.1", REFUSED)),
	[VH_HOOK_VRFY] = OTHER("vrfy", SAY(252, "2.5.2", "Cannot VRFY, but will take messages for recipients we know"),
	    SAY(250, "2.1.5", "Recipient ok"), NO(550, "5.7.1", REFUSED), BYE(550, "5.7.1", REFUSED)),
	[VH_HOOK_NOOP] = OTHER("noop", SAY(250, "2.0.0", "Ok"), SAY(250, "2.0.0", "Ok"), NO(500, "5.7.1", REFUSED),
	    BYE(500, "5.7.1", REFUSED)),
	/* the connection ends, whatever is returned */
	[VH_HOOK_QUIT] = { "quit", true, false, false, {
		[VH_DECLINED] = BYE(221, "2.0.0", "Bye"), [VH_OK] = BYE(221, "2.0.0", "Bye"), [VH_DENY] = BYE(221, "2.0.0", "Bye"),
		[VH_DENYSOFT] = BYE(221, "2.0.0", "Bye"), [VH_DENY_DISCONNECT] = BYE(221, "2.0.0", "Bye"),
		[VH_DENYSOFT_DISCONNECT] = BYE(221, "2.0.0", "Bye"), [VH_DONE] = BYE(0, NULL, NULL) } },
	IGNORED(VH_HOOK_DISCONNECT, "disconnect", false),
	IGNORED(VH_HOOK_DENY, "deny", false),
	IGNORED(VH_HOOK_OK, "ok", false),
};

static const char *const hook_codes[VH_RCS] = {
	[VH_DECLINED] = "declined", [VH_OK] = "ok", [VH_DENY] = "deny", [VH_DENYSOFT] = "denysoft",
	[VH_DENY_DISCONNECT] = "deny_disconnect", [VH_DENYSOFT_DISCONNECT] = "denysoft_disconnect", [VH_DONE] = "done",
	[VH_YIELD] = "yield", [VH_NEXT] = "next",
};

const char *
vh_hook_name(enum vh_hook hook)
{
	return (unsigned) hook < VH_HOOKS ? hook_table[hook].name : "unknown";
}

const char *
vh_rc_name(enum vh_rc rc)
{
	return (unsigned) rc < VH_RCS ? hook_codes[rc] : "unknown";
}
