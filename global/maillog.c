/* global/maillog.c - where this program's log lines go */
#include "maillog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include <global/master_proto.h>
#include <util/msg.h>

static const struct {
	const char *name;
	int	facility;
} maillog_facilities[] = {
	{ "auth", LOG_AUTH }, { "authpriv", LOG_AUTHPRIV }, { "cron", LOG_CRON }, { "daemon", LOG_DAEMON },
	{ "ftp", LOG_FTP }, { "kern", LOG_KERN }, { "local0", LOG_LOCAL0 }, { "local1", LOG_LOCAL1 },
	{ "local2", LOG_LOCAL2 }, { "local3", LOG_LOCAL3 }, { "local4", LOG_LOCAL4 }, { "local5", LOG_LOCAL5 },
	{ "local6", LOG_LOCAL6 }, { "local7", LOG_LOCAL7 }, { "lpr", LOG_LPR }, { "mail", LOG_MAIL },
	{ "news", LOG_NEWS }, { "security", LOG_AUTH }, { "syslog", LOG_SYSLOG }, { "user", LOG_USER },
	{ "uucp", LOG_UUCP },
};

bool
maillog_facility(const char *name, int *facility_r)
{
	for (size_t i = 0; i < sizeof maillog_facilities / sizeof maillog_facilities[0]; i++)
		if (strcasecmp(maillog_facilities[i].name, name) == 0) {
			*facility_r = maillog_facilities[i].facility;
			return true;
		}
	return false;
}

/* maillog_postlog - whether Postfix's log service takes our lines: its master says where, ours would not */
static const char *
maillog_postlog(void)
{
	return getenv(MASTER_DRAIN_ENV) == NULL ? getenv("POSTLOG_SERVICE") : NULL;
}

static void
maillog_tag(char *tag, size_t size, const char *name, const char *progname)
{
	snprintf(tag, size, "%s/%s", name, progname);
}

void
maillog_early(const char *progname)
{
	const char *name = getenv("MAIL_LOGTAG"), *host = getenv("POSTLOG_HOSTNAME"), *postlog = maillog_postlog();
	char	tag[128];

	maillog_tag(tag, sizeof tag, name != NULL ? name : "vouch", progname);
	if (postlog == NULL || msg_to_dgram(postlog, host != NULL ? host : "amnesiac", tag) < 0)
		msg_to_syslog(tag, LOG_MAIL);
}

static bool
maillog_prefix_ok(const char *path, const char *prefixes)
{
	size_t	len;

	for (const char *p = prefixes + strspn(prefixes, ", \t"); *p != 0; p += len, p += strspn(p, ", \t")) {
		len = strcspn(p, ", \t");
		if (strncmp(path, p, len) == 0)
			return true;
	}
	return false;
}

int
maillog_init(const char *progname, const struct params *p, struct buf *why)
{
	const char *postlog = maillog_postlog();
	char	tag[128];
	int	facility = LOG_MAIL, ret = 0;

	maillog_tag(tag, sizeof tag, p->syslog_name, progname);
	maillog_facility(p->syslog_facility, &facility);
	if (p->maillog_file[0] != 0 && postlog != NULL) {
		if (msg_to_dgram(postlog, p->myhostname, tag) == 0) {
			msg_to_file(NULL, NULL, NULL, 0);
			msg_to_syslog(NULL, 0);
			return 0;
		}
	} else if (p->maillog_file[0] != 0) {
		if (!maillog_prefix_ok(p->maillog_file, p->maillog_file_prefixes)) {
			buf_addf(why, "maillog_file \"%s\" does not begin with one of maillog_file_prefixes (%s)",
			    p->maillog_file, p->maillog_file_prefixes);
			ret = -1;
		} else if (msg_to_file(p->maillog_file, p->myhostname, tag,
		    (unsigned) strtoul(p->maillog_file_permissions, NULL, 8)) < 0) {
			buf_addf(why, "maillog_file \"%s\": %s", p->maillog_file, strerror(errno));
			ret = -1;
		} else {
			msg_to_dgram(NULL, NULL, NULL);
			msg_to_syslog(NULL, 0);
			return 0;
		}
	}
	msg_to_file(NULL, NULL, NULL, 0);
	msg_to_dgram(NULL, NULL, NULL);
	msg_to_syslog(tag, facility);
	return ret;
}
