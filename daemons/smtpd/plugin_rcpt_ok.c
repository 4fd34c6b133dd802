/* daemons/smtpd/plugin_rcpt_ok.c - accepts recipients of our domains, and any recipient of relay clients; refuses all others
 * source: spec smtpd-front section 8.4. Settings files: me (default: myhostname) and rcpthosts: a domain in a line, ".domain" for all
 * below it. Must be the last plugin that decides about recipients.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include <global/domain_list.h>
#include <util/buf.h>
#include <util/mem.h>

#include "builtin.h"

#define RCPT_OK_LIST_MAX (16u << 20)

struct rcpt_ok {
	const char *me;
	struct domain_list *hosts;
};

static int
rcpt_ok_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	struct buf text = BUF_INIT(RCPT_OK_LIST_MAX), why = BUF_INIT(2000);
	const struct params *params = smtpd_params();
	char  **me = vh_config(inst, "me"), **lines = vh_config(inst, "rcpthosts");
	struct rcpt_ok *r;
	int	ret = 0;

	if (argc > 1)
		return vh_error(err, "%s: takes no arguments but the common ones", argv[1]);
	r = mem_alloc(sizeof *r);
	vh_set_data(inst, r);
	r->me = me != NULL && *me != NULL ? *me : params != NULL ? params->myhostname : "localhost";
	for (; lines != NULL && *lines != NULL; lines++)
		buf_addf(&text, "%s\n", *lines);
	if (text.full)
		ret = vh_error(err, "rcpthosts: too large");
	r->hosts = domain_list_open(buf_str(&text), false, &why);
	if (ret == 0 && why.len > 0)
		ret = vh_error(err, "rcpthosts: %.*s", (int) strcspn(buf_str(&why), "\n"), buf_str(&why));
	buf_fini(&text);
	buf_fini(&why);
	if (ret < 0) {
		domain_list_free(&r->hosts);
		mem_free(&r);
	}
	return ret;
}

static void
rcpt_ok_fini(struct vh_inst *inst)
{
	struct rcpt_ok *r = vh_data(inst);

	domain_list_free(&r->hosts);
	mem_free(&r);
}

static enum vh_rc
rcpt_ok_rcpt(struct vh_call *call)
{
	struct rcpt_ok *r = vh_data(vh_inst(call));
	const struct vh_addr *a = vh_address(call);
	char   *host, *p;
	bool	ours;

	if (vh_is_immune(vh_conn(call), vh_txn(call)))
		return VH_OK;
	if (vh_addr_host(a)[0] == 0)		/* at this host: what every host must have */
		return strcasecmp(vh_addr_user(a), "postmaster") == 0 || strcasecmp(vh_addr_user(a), "abuse") == 0 ? VH_OK :
		    vh_refuse(call, "7.1", "Relaying is not allowed");
	if (strcasecmp(vh_addr_host(a), r->me) == 0)
		return VH_OK;
	host = mem_strdup(vh_addr_host(a));
	for (p = host; *p != 0; p++)
		*p = (char) ((unsigned char) *p < 0x80 ? tolower((unsigned char) *p) : *p);
	domain_list_check(r->hosts, vh_now_ms());
	ours = domain_list_match(r->hosts, host);
	mem_free(&host);
	return ours ? VH_OK : vh_refuse(call, "7.1", "Relaying is not allowed");
}

const struct vh_plugin vh_builtin_rcpt_ok = {
	.abi = VH_ABI, .name = "rcpt_ok", .init = rcpt_ok_init, .fini = rcpt_ok_fini,
	.hooks = (const struct vh_hook_fn []) { { VH_HOOK_RCPT, rcpt_ok_rcpt }, { VH_END, NULL } },
};
