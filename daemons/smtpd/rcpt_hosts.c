/* daemons/smtpd/rcpt_hosts.c - the domains that we take mail for */
#include "rcpt_hosts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <global/domain_list.h>
#include <global/smtp_path.h>
#include <util/ascii.h>
#include <util/buf.h>
#include <util/mem.h>

#include "builtin.h"

#define RCPT_HOSTS_MAX (16u << 20)

struct rcpt_hosts {
	const char *me;
	struct domain_list *hosts;	/* or NULL */
};

int
rcpt_hosts_file(struct vh_inst *inst, const char *name, struct domain_list **list, struct vh_err *err)
{
	struct buf text = BUF_INIT(RCPT_HOSTS_MAX), why = BUF_INIT(2000);
	char  **lines = vh_config(inst, name);
	int	ret = 0;

	*list = NULL;
	if (lines == NULL)
		return 0;
	for (; *lines != NULL; lines++)
		buf_addf(&text, "%s\n", *lines);
	if (text.full)
		ret = vh_error(err, "%s: too large", name);
	else {
		*list = domain_list_open(buf_str(&text), false, &why);
		if (why.len > 0)
			ret = vh_error(err, "%s: %.*s", name, (int) strcspn(buf_str(&why), "\n"), buf_str(&why));
	}
	if (ret < 0)
		domain_list_free(list);
	buf_fini(&text);
	buf_fini(&why);
	return ret;
}

bool
rcpt_hosts_match(struct domain_list *list, const char *host)
{
	char	lower[SMTP_HOST_MAX + 1];

	snprintf(lower, sizeof lower, "%s", host);
	ascii_lower(lower, strlen(lower));
	domain_list_check(list, vh_now_ms());
	return domain_list_match(list, lower);
}

struct rcpt_hosts *
rcpt_hosts_new(struct vh_inst *inst, struct vh_err *err)
{
	struct rcpt_hosts *h = mem_alloc(sizeof *h);
	const struct params *params = smtpd_params();
	char  **me = vh_config(inst, "me");

	h->me = me != NULL && *me != NULL ? *me : params != NULL ? params->myhostname : "localhost";
	if (rcpt_hosts_file(inst, "rcpthosts", &h->hosts, err) < 0)
		mem_free(&h);
	return h;
}

void
rcpt_hosts_free(struct rcpt_hosts **hp)
{
	if (*hp == NULL)
		return;
	domain_list_free(&(*hp)->hosts);
	mem_free(hp);
}

bool
rcpt_hosts_have(struct rcpt_hosts *h, const char *host)
{
	return strcasecmp(host, h->me) == 0 || (h->hosts != NULL && rcpt_hosts_match(h->hosts, host));
}
