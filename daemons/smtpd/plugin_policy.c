/* daemons/smtpd/plugin_policy.c - asks a policy service of Postfix's protocol, and does what it says
 * source: spec smtpd-front section 8.8, policy-delegation sections 3 and 6; access(5) for the actions. policy SERVICE [name value]...
 * The service is "unix:/path" or "address:port", as policy(8) or any other that Postfix's smtpd could ask.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <global/nexthop.h>
#include <global/policy_client.h>
#include <global/policy_proto.h>
#include <util/buf.h>
#include <util/mem.h>

#include "builtin.h"
#include "plugin_args.h"

#define POLICY_PLUGIN_IDLE_MS	300000		/* Postfix keeps a connection as long */
#define POLICY_PLUGIN_HEADER	"policy_headers"	/* note of a transaction: "Name: value" lines to be added */

struct policy_plugin {
	struct nexthop to;
	char	*port, *context;
	int64_t	 timeout_ms;
	int	 at;			/* place in policy_plugin_hooks */
	int	 unavailable;		/* soft, pass */
	struct policy_client *client;
};

struct policy_plugin_ask {
	struct vh_call *call;
	struct policy_client_ask *ask;
};

static const struct { enum vh_hook hook; const char *state; } policy_plugin_hooks[] = {
	{ VH_HOOK_CONNECT, "CONNECT" }, { VH_HOOK_MAIL, "MAIL" }, { VH_HOOK_RCPT, "RCPT" }, { VH_HOOK_DATA, "DATA" },
	{ VH_HOOK_DATA_POST, "END-OF-MESSAGE" },
};

/* start and end */

static void
policy_plugin_fini(struct vh_inst *inst)
{
	struct policy_plugin *p = vh_data(inst);

	policy_client_free(&p->client);
	mem_free(&p->port);
	mem_free(&p->context);
	mem_free(&p);
}

static int
policy_plugin_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	static const struct plugin_arg args[] = {
		{ "at", PLUGIN_ARG_WORD, offsetof(struct policy_plugin, at), 0, 0, "connect mail rcpt data data_post" },
		{ "timeout", PLUGIN_ARG_TIME, offsetof(struct policy_plugin, timeout_ms), 100, 3600000, NULL },
		{ "unavailable", PLUGIN_ARG_WORD, offsetof(struct policy_plugin, unavailable), 0, 0, "soft pass" },
		{ "context", PLUGIN_ARG_TEXT, offsetof(struct policy_plugin, context), 0, 0, NULL },
	};
	struct policy_plugin *p = mem_alloc(sizeof *p);
	const char *why = "";

	vh_set_data(inst, p);
	p->at = 2;
	p->timeout_ms = 10000;
	if (argc < 2 || !nexthop_parse(argv[1], strlen(argv[1]), &p->to, &why) ||
	    (!p->to.is_unix && (p->to.port == 0 || strspn(p->to.host, "0123456789abcdefABCDEF.:") != strlen(p->to.host)))) {
		policy_plugin_fini(inst);
		return vh_error(err, "%s: use unix:/path, or a numeric address and port such as 127.0.0.1:10031", argc > 1 ? argv[1] : "");
	}
	p->port = p->to.is_unix ? NULL : mem_printf("%u", p->to.port);
	if (plugin_args_parse(p, args, NELEM(args), argc - 1, argv + 1, err) < 0) {
		policy_plugin_fini(inst);
		return -1;
	}
	vh_set_time_limit(inst, p->timeout_ms + 5000);
	return 0;
}

static int
policy_plugin_start(struct vh_inst *inst, struct vh_err *err)
{
	struct policy_plugin *p = vh_data(inst);

	(void) err;
	p->client = policy_client_new(smtpd_loop(), p->to.is_unix ? p->to.host : NULL, p->to.host, p->port, vh_conn_limit(),
	    POLICY_PLUGIN_IDLE_MS);
	return 0;
}

/* the question */

static void
policy_plugin_number(struct buf *b, const char *name, uint64_t n)
{
	char	text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long) n);
	policy_put(b, name, text);
}

static void
policy_plugin_address(struct buf *b, const char *name, const struct vh_addr *a)
{
	char   *text = a != NULL ? smtpd_plain_address(a) : NULL;

	policy_put(b, name, text != NULL ? text : "");
	mem_free(&text);
}

static void
policy_plugin_request(struct vh_call *call, const struct policy_plugin *p, const char *state, struct buf *b)
{
	const struct vh_conn *c = vh_conn(call);
	const struct vh_txn *t = vh_txn(call);
	const struct vh_addr *rcpt = vh_hook(call) == VH_HOOK_RCPT ? vh_address(call) :
	    t != NULL && vh_rcpts(t) == 1 ? vh_rcpt(t, 0) : NULL;
	bool	late = vh_hook(call) == VH_HOOK_DATA || vh_hook(call) == VH_HOOK_DATA_POST;
	const char *size = t != NULL ? vh_mail_param(t, "SIZE") : NULL;

	policy_put(b, "request", POLICY_PROTO_REQUEST);
	policy_put(b, "protocol_state", state);
	policy_put(b, "protocol_name", vh_conn_esmtp(c) ? "ESMTP" : "SMTP");
	policy_put(b, "client_address", vh_conn_ip(c));
	policy_put(b, "client_name", "unknown");		/* one that resolves both ways is not looked for */
	policy_plugin_number(b, "client_port", vh_conn_port(c));
	policy_put(b, "reverse_client_name", vh_conn_host(c));
	policy_put(b, "server_address", vh_conn_local_ip(c));
	policy_plugin_number(b, "server_port", vh_conn_local_port(c));
	policy_put(b, "helo_name", vh_conn_hello(c));
	policy_plugin_address(b, "sender", t != NULL ? vh_sender(t) : NULL);
	policy_plugin_address(b, "recipient", rcpt);
	policy_plugin_number(b, "recipient_count", late ? vh_rcpts(t) : 0);
	policy_put(b, "queue_id", "");
	policy_put(b, "instance", t != NULL && vh_hook(call) != VH_HOOK_MAIL ? vh_txn_id(t) : "");
	if (vh_hook(call) == VH_HOOK_DATA_POST)
		policy_plugin_number(b, "size", vh_message_size(t, VH_RECEIVED));
	else
		policy_put(b, "size", size != NULL && *size != 0 ? size : "0");
	policy_put(b, "encryption_protocol", vh_conn_tls(c) != NULL ? vh_conn_tls(c) : "");
	policy_put(b, "policy_context", p->context != NULL ? p->context : "");
	policy_put_end(b);
}

/* the answer */

/* policy_plugin_word - whether the action begins with this word; rest_r: what follows it */
static bool
policy_plugin_word(const char *action, const char *word, const char **rest_r)
{
	size_t	n = strlen(word);

	if (strncasecmp(action, word, n) != 0 || (action[n] != 0 && action[n] != ' ' && action[n] != '\t'))
		return false;
	*rest_r = action + n + strspn(action + n, " \t");
	return true;
}

/* policy_plugin_refuse - rest: "[d.s.n] [text]" */
static enum vh_rc
policy_plugin_refuse(struct vh_call *call, bool soft, unsigned code, const char *rest, const char *otherwise)
{
	char	subject[12] = "7.1";
	size_t	n = strspn(rest, "0123456789.");
	enum vh_rc rc;

	if (n >= 5 && n < sizeof subject + 2 && strchr("45", rest[0]) != NULL && rest[1] == '.' && (rest[n] == ' ' || rest[n] == 0)) {
		snprintf(subject, sizeof subject, "%.*s", (int) n - 2, rest + 2);
		rest += n + strspn(rest + n, " ");
	}
	rc = soft ? vh_refuse_soft(call, subject, "%s", *rest != 0 ? rest : otherwise) :
	    vh_refuse(call, subject, "%s", *rest != 0 ? rest : otherwise);
	if (code != 0 && rc != VH_DECLINED)
		vh_reply_code(call, code);
	return rc;
}

static void
policy_plugin_prepend(struct vh_call *call, const char *header)
{
	struct vh_txn *t = vh_txn(call);
	const char *had = t != NULL ? vh_note_str(vh_txn_notes(t), POLICY_PLUGIN_HEADER) : NULL;
	char   *all;

	if (t == NULL)
		return;
	all = mem_printf("%s%s%s", had != NULL ? had : "", had != NULL ? "\n" : "", header);
	vh_note_set_str(vh_txn_notes(t), POLICY_PLUGIN_HEADER, all);
	mem_free(&all);
}

static enum vh_rc
policy_plugin_action(struct vh_call *call, const char *action)
{
	const char *rest;
	unsigned code = 0;

	if (policy_plugin_word(action, "DUNNO", &rest))
		return VH_DECLINED;
	if (policy_plugin_word(action, "OK", &rest) || policy_plugin_word(action, "PERMIT", &rest))
		return VH_OK;
	if (policy_plugin_word(action, "REJECT", &rest))
		return policy_plugin_refuse(call, false, 0, rest, "Access denied");
	if (policy_plugin_word(action, "DEFER_IF_PERMIT", &rest))	/* at once: whoever would refuse does so at the next attempt */
		return policy_plugin_refuse(call, true, 0, rest, "Service unavailable");
	if (policy_plugin_word(action, "DEFER", &rest))
		return policy_plugin_refuse(call, true, 0, rest, "Access denied");
	if (policy_plugin_word(action, "PREPEND", &rest)) {
		policy_plugin_prepend(call, rest);
		return VH_DECLINED;
	}
	if (strchr("45", action[0]) != NULL && strspn(action, "0123456789") == 3 && (action[3] == ' ' || action[3] == 0)) {
		code = (unsigned) (100 * (action[0] - '0') + 10 * (action[1] - '0') + (action[2] - '0'));
		return policy_plugin_refuse(call, code < 500, code, action + 3 + strspn(action + 3, " "), "Access denied");
	}
	vh_log(call, VH_LOG_WARN, "action \"%.100s\" is not understood: treated as DUNNO", action);
	return VH_DECLINED;
}

static void
policy_plugin_answered(void *ctx, const char *action, const char *why)
{
	struct policy_plugin_ask *q = ctx;
	struct vh_call *call = q->call;
	const struct policy_plugin *p = vh_data(vh_inst(call));
	enum vh_rc rc = VH_DECLINED;

	mem_free(&q);
	if (action != NULL)
		rc = policy_plugin_action(call, action);
	else {
		vh_log(call, VH_LOG_WARN, "policy service %s%s%s: %s", p->to.host, p->port != NULL ? ":" : "",
		    p->port != NULL ? p->port : "", why);
		if (p->unavailable == 0)
			rc = vh_refuse_soft(call, "3.5", "Policy service is not available, try again later");
	}
	vh_resume(call, rc);
}

static void
policy_plugin_cancel(void *ctx)
{
	struct policy_plugin_ask *q = ctx;

	policy_client_cancel(&q->ask);
	mem_free(&q);
}

static enum vh_rc
policy_plugin_hook(struct vh_call *call)
{
	struct policy_plugin *p = vh_data(vh_inst(call));
	struct policy_plugin_ask *q;
	struct buf b = BUF_INIT(POLICY_PROTO_MAX);

	if (vh_hook(call) != policy_plugin_hooks[p->at].hook || vh_is_immune(vh_conn(call), vh_txn(call)))
		return VH_DECLINED;
	q = mem_alloc(sizeof *q);
	q->call = call;
	policy_plugin_request(call, p, policy_plugin_hooks[p->at].state, &b);
	q->ask = policy_client_ask(p->client, b.data, b.len, p->timeout_ms, policy_plugin_answered, q);
	buf_fini(&b);
	return vh_suspend(call, policy_plugin_cancel, q);
}

/* policy_plugin_headers - what PREPEND has brought; by the first instance that is asked */
static void
policy_plugin_headers(struct vh_call *call)
{
	struct vh_notes *notes = vh_txn_notes(vh_txn(call));
	const char *headers = vh_note_str(notes, POLICY_PLUGIN_HEADER);
	char   *copy, *next, *line, *value;

	if (headers == NULL)
		return;
	copy = next = mem_strdup(headers);
	while ((line = strsep(&next, "\n")) != NULL) {
		if ((value = strchr(line, ':')) != NULL)
			*value++ = 0;
		if (value == NULL || !vh_header_add(vh_txn(call), line, value + strspn(value, " ")))
			vh_log(call, VH_LOG_WARN, "PREPEND %s: not a header, left out", line);
	}
	mem_free(&copy);
	vh_note_clear(notes, POLICY_PLUGIN_HEADER);
}

static enum vh_rc
policy_plugin_message(struct vh_call *call)
{
	policy_plugin_headers(call);
	return policy_plugin_hook(call);
}

const struct vh_plugin vh_builtin_policy = {
	.abi = VH_ABI, .name = "policy", .init = policy_plugin_init, .worker_init = policy_plugin_start, .fini = policy_plugin_fini,
	.hooks = (const struct vh_hook_fn []) {
		{ VH_HOOK_CONNECT, policy_plugin_hook },
		{ VH_HOOK_MAIL, policy_plugin_hook },
		{ VH_HOOK_RCPT, policy_plugin_hook },
		{ VH_HOOK_DATA, policy_plugin_hook },
		{ VH_HOOK_DATA_POST, policy_plugin_message },
		{ VH_END, NULL },
	},
};
