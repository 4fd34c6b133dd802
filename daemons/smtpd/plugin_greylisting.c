/* daemons/smtpd/plugin_greylisting.c - asks clients that are not known to come back later
 * source: spec smtpd-front section 8.7; how it decides: README_FILES/GREYLIST_README. Records and parameters are those of
 * policy(8): who has passed there has passed here. A message of the null sender is decided about at DATA, so that callouts
 * of others, which end after RCPT, get their answer.
 */
#include <stdio.h>
#include <string.h>

#include <global/greylist.h>
#include <util/buf.h>
#include <util/mem.h>

#include "builtin.h"
#include "plugin_args.h"

#define GREYLISTING_MORE_MS 5000		/* above the times of the database and the DNS */
#define GREYLISTING_NOTE    "greylist"		/* of a transaction whose refusal was put off: the text */
#define GREYLISTING_HEADER  "greylist_header"	/* of a transaction: what is to be added to the message */

struct greylisting {
	struct params params;		/* a copy, with our arguments in it */
	int64_t	black_ms, white_ms;	/* 0: the parameters' */
	bool	late, except_tls;
	struct greylist *greylist;
};

struct greylisting_wait {
	struct vh_call *call;
	struct greylist_wait *wait;
};

static unsigned greylisting_n;			/* instances: the records are one worker's */

static void
greylisting_fini(struct vh_inst *inst)
{
	struct greylisting *g = vh_data(inst);

	greylist_close(&g->greylist);
	mem_free(&g);
	greylisting_n--;
}

static int
greylisting_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	static const struct plugin_arg args[] = {
		{ "black_timeout", PLUGIN_ARG_TIME, offsetof(struct greylisting, black_ms), 1000, 86400000, NULL },
		{ "white_timeout", PLUGIN_ARG_TIME, offsetof(struct greylisting, white_ms), 3600000, (int64_t) 400 * 86400000, NULL },
		{ "deny_late", PLUGIN_ARG_YES, offsetof(struct greylisting, late), 0, 0, NULL },
		{ "except_tls", PLUGIN_ARG_YES, offsetof(struct greylisting, except_tls), 0, 0, NULL },
	};
	struct greylisting *g = mem_alloc(sizeof *g);
	struct buf why = BUF_INIT(4096);
	int	ret;

	vh_set_data(inst, g);
	g->params = *smtpd_params();
	ret = greylisting_n++ > 0 ? vh_error(err, "can stand in the file once only") :
	    plugin_args_parse(g, args, NELEM(args), argc, argv, err);
	if (g->black_ms > 0)
		g->params.greylist_delay = g->black_ms;
	if (g->white_ms > 0)
		g->params.greylist_expire_time = g->white_ms;
	if (ret == 0 && greylist_open(&g->greylist, &g->params, "vouch/smtpd", &why) < 0)
		ret = vh_error(err, "%.*s", (int) strcspn(buf_str(&why), "\n"), buf_str(&why));
	buf_fini(&why);
	if (ret < 0)
		greylisting_fini(inst);
	else
		vh_set_time_limit(inst, g->params.greylist_map_timeout + g->params.greylist_dnswl_timeout + GREYLISTING_MORE_MS);
	return ret;
}

static int
greylisting_start(struct vh_inst *inst, struct vh_err *err)
{
	struct greylisting *g = vh_data(inst);

	(void) err;
	greylist_start(g->greylist, smtpd_loop());
	return 0;
}

/* greylisting_refuse - "4.2.0 text", or a text without a code */
static enum vh_rc
greylisting_refuse(struct vh_call *call, const char *text)
{
	char	subject[12] = "2.0";
	size_t	n = strspn(text, "0123456789.");

	if (n >= 5 && n < sizeof subject + 2 && text[1] == '.' && text[n] == ' ') {
		snprintf(subject, sizeof subject, "%.*s", (int) n - 2, text + 2);
		text += n + 1;
	}
	return vh_refuse_soft(call, subject, "%s", text);
}

static enum vh_rc
greylisting_decided(struct vh_call *call, const struct greylist_result *res)
{
	const struct greylisting *g = vh_data(vh_inst(call));
	struct vh_notes *notes = vh_txn_notes(vh_txn(call));
	enum vh_rc rc;

	if (!res->deferred) {
		if (res->header != NULL && !vh_note_has(notes, GREYLISTING_HEADER))
			vh_note_set_str(notes, GREYLISTING_HEADER, res->header);
		return VH_DECLINED;
	}
	if (g->late && vh_hook(call) == VH_HOOK_RCPT) {
		vh_note_set_str(notes, GREYLISTING_NOTE, res->text);
		return VH_DECLINED;
	}
	rc = greylisting_refuse(call, res->text);
	if (res->code / 100 == 4)
		vh_reply_code(call, (unsigned) res->code);
	return rc;
}

static void
greylisting_done(void *ctx, const struct greylist_result *res)
{
	struct greylisting_wait *w = ctx;
	struct vh_call *call = w->call;

	mem_free(&w);
	vh_resume(call, greylisting_decided(call, res));
}

static void
greylisting_cancel(void *ctx)
{
	struct greylisting_wait *w = ctx;

	greylist_cancel(&w->wait);
	mem_free(&w);
}

static enum vh_rc
greylisting_ask(struct vh_call *call, const char *state, const struct vh_addr *rcpt)
{
	struct greylisting *g = vh_data(vh_inst(call));
	const struct vh_txn *t = vh_txn(call);
	const char *ip = vh_conn_ip(vh_conn(call));
	char   *from = smtpd_plain_address(vh_sender(t)), *to = smtpd_plain_address(rcpt);
	struct greylist_request q = {
		.state = state, .client_address = strcmp(ip, "unknown") != 0 ? ip : NULL, .sender = from, .recipient = to,
		.instance = vh_txn_id(t),
	};
	struct greylisting_wait *w = mem_alloc(sizeof *w);
	struct greylist_result res;
	enum greylist_when when;

	w->call = call;
	when = greylist_decide(g->greylist, &q, &res, greylisting_done, w, &w->wait);
	mem_free(&from);
	mem_free(&to);
	if (when == GREYLIST_LATER)
		return vh_suspend(call, greylisting_cancel, w);
	mem_free(&w);
	return greylisting_decided(call, &res);
}

static bool
greylisting_spared(struct vh_call *call)
{
	const struct greylisting *g = vh_data(vh_inst(call));

	return vh_is_immune(vh_conn(call), vh_txn(call)) || (g->except_tls && vh_conn_tls(vh_conn(call)) != NULL);
}

static enum vh_rc
greylisting_rcpt(struct vh_call *call)
{
	return greylisting_spared(call) ? VH_DECLINED : greylisting_ask(call, "RCPT", vh_address(call));
}

static enum vh_rc
greylisting_data(struct vh_call *call)
{
	const struct vh_txn *t = vh_txn(call);
	const char *text = vh_note_str(vh_txn_notes(vh_txn(call)), GREYLISTING_NOTE);

	if (greylisting_spared(call))
		return VH_DECLINED;
	if (text != NULL)
		return greylisting_refuse(call, text);
	if (vh_addr_null(vh_sender(t)) && vh_rcpts(t) == 1)
		return greylisting_ask(call, "DATA", vh_rcpt(t, 0));
	return VH_DECLINED;
}

/* greylisting_header - tell the reader of the message why it is late */
static enum vh_rc
greylisting_header(struct vh_call *call)
{
	const char *header = vh_note_str(vh_txn_notes(vh_txn(call)), GREYLISTING_HEADER), *colon;
	char	name[100];

	if (header == NULL || (colon = strchr(header, ':')) == NULL || (size_t) (colon - header) >= sizeof name)
		return VH_DECLINED;
	snprintf(name, sizeof name, "%.*s", (int) (colon - header), header);
	if (!vh_header_add(vh_txn(call), name, colon + 1 + strspn(colon + 1, " ")))
		vh_log(call, VH_LOG_WARN, "greylist_header cannot be added: %s", header);
	return VH_DECLINED;
}

const struct vh_plugin vh_builtin_greylisting = {
	.abi = VH_ABI, .name = "greylisting", .init = greylisting_init, .worker_init = greylisting_start, .fini = greylisting_fini,
	.hooks = (const struct vh_hook_fn []) {
		{ VH_HOOK_RCPT, greylisting_rcpt },
		{ VH_HOOK_DATA, greylisting_data },
		{ VH_HOOK_DATA_POST, greylisting_header },
		{ VH_END, NULL },
	},
};
