/* daemons/smtpd/plugin_resolvable_fromhost.c - refuses senders whose domain cannot receive mail: no such domain, no mail exchanger,
 * or only such with reserved addresses
 * source: spec smtpd-front section 8.11. A cheap filter before verify_sender; the look-up is that of probe(8) (global/mx.h).
 */
#include <stdio.h>
#include <string.h>

#include <global/mx.h>
#include <util/mem.h>

#include "builtin.h"
#include "plugin_args.h"

struct resolvable {
	int	tempfail;		/* soft, pass */
	struct mx_conf mx;
};

struct resolvable_ask {
	struct vh_call *call;
	struct mx_lookup *lookup;
	char	domain[256];		/* an address literal without its brackets */
};

static int
resolvable_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	static const struct plugin_arg args[] = {
		{ "tempfail", PLUGIN_ARG_WORD, offsetof(struct resolvable, tempfail), 0, 0, "soft pass" },
		{ "reserved", PLUGIN_ARG_YES, offsetof(struct resolvable, mx.reject_reserved), 0, 0, NULL },
	};
	const char *protocols = smtpd_params()->inet_protocols;
	bool	all = strstr(protocols, "all") != NULL;
	struct resolvable *r = mem_alloc(sizeof *r);

	vh_set_data(inst, r);
	r->mx = (struct mx_conf) { .ipv4 = all || strstr(protocols, "ipv4") != NULL, .ipv6 = all || strstr(protocols, "ipv6") != NULL,
	    .reject_reserved = true };
	if (plugin_args_parse(r, args, NELEM(args), argc, argv, err) == 0)
		return 0;
	mem_free(&r);
	return -1;
}

static int
resolvable_start(struct vh_inst *inst, struct vh_err *err)
{
	(void) inst;
	(void) err;
	smtpd_dns();
	return 0;
}

static void
resolvable_fini(struct vh_inst *inst)
{
	struct resolvable *r = vh_data(inst);

	mem_free(&r);
}

static void
resolvable_found(void *ctx, const struct mx_answer *ans)
{
	struct resolvable_ask *q = ctx;
	struct vh_call *call = q->call;
	const struct resolvable *r = vh_data(vh_inst(call));
	struct mx_list *list = ans->list;
	enum vh_rc rc = VH_DECLINED;

	mem_free(&q);
	if (list == NULL && ans->status == VERIFY_BOUNCE)
		rc = vh_refuse(call, "1.8", "Sender address: %s", ans->text);
	else if (list == NULL && r->tempfail == 0)
		rc = vh_refuse_soft(call, "1.8", "Sender address: %s", ans->text);
	mx_list_free(&list);
	vh_resume(call, rc);
}

static void
resolvable_cancel(void *ctx)
{
	struct resolvable_ask *q = ctx;

	mx_cancel(&q->lookup);
	mem_free(&q);
}

static enum vh_rc
resolvable_mail(struct vh_call *call)
{
	const struct resolvable *r = vh_data(vh_inst(call));
	const char *host = vh_addr_host(vh_address(call));
	size_t	n = strlen(host);
	struct resolvable_ask *q;
	struct mx_want want = { .direct = false };

	if (vh_addr_null(vh_address(call)) || n == 0 || vh_is_immune(vh_conn(call), vh_txn(call)))
		return VH_DECLINED;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char) host[i] >= 0x80)	/* what it is called in the DNS is not known here */
			return VH_DECLINED;
	q = mem_alloc(sizeof *q);
	q->call = call;
	want.direct = host[0] == '[' && n > 2;
	snprintf(q->domain, sizeof q->domain, "%.*s", (int) (want.direct ? n - 2 : n), host + want.direct);
	want.domain = q->domain;
	q->lookup = mx_lookup(smtpd_dns(), &r->mx, &want, resolvable_found, q);
	return vh_suspend(call, resolvable_cancel, q);
}

const struct vh_plugin vh_builtin_resolvable_fromhost = {
	.abi = VH_ABI, .name = "resolvable_fromhost", .init = resolvable_init, .worker_init = resolvable_start,
	.fini = resolvable_fini,
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_MAIL, resolvable_mail }, { VH_END, NULL } },
};
