/* commands/vouch/logrotate.c - logrotate: rename the log file, and have everybody begin a new one
 * The old file is not compressed here: workers that finish their clients after the reload still write to it.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <util/mem.h>

#include "check.h"
#include "vouch.h"

/* logrotate_suffix - expand the administrator's format; false when it gives no file name */
static bool
logrotate_suffix(char *suffix, size_t size, const char *format)
{
	time_t	now = time(NULL);
	struct tm tm;
	size_t	n;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"	/* strftime(3) reads no arguments, and has a limit */
	n = strftime(suffix, size, format, localtime_r(&now, &tm));
#pragma GCC diagnostic pop
	return n > 0 && strchr(suffix, '/') == NULL;
}

static int
logrotate_file(struct check *c)
{
	const struct params *p = c->params;
	char	suffix[256], *to = NULL;
	pid_t	pid;
	int	ret = VOUCH_REFUSED;

	if (p->maillog_file[0] == 0) {
		vouch_sorry("maillog_file is empty: lines go to the system log, which has a rotation of its own");
		return VOUCH_REFUSED;
	}
	if (strncmp(p->maillog_file, "/dev/", 5) == 0) {
		vouch_sorry("maillog_file is %s, which cannot be rotated", p->maillog_file);
		return VOUCH_REFUSED;
	}
	if (!logrotate_suffix(suffix, sizeof(suffix), p->maillog_file_rotate_suffix)) {
		vouch_sorry("%s: parameter maillog_file_rotate_suffix: '%s' gives no file name", main_cf_path(c->cf),
		    p->maillog_file_rotate_suffix);
		return VOUCH_REFUSED;
	}
	to = mem_printf("%s.%s", p->maillog_file, suffix);
	if (renameat2(AT_FDCWD, p->maillog_file, AT_FDCWD, to, RENAME_NOREPLACE) < 0) {
		vouch_sorry("cannot rename %s to %s: %s%s", p->maillog_file, to, strerror(errno),
		    errno == EEXIST ? ": that name was taken a moment ago; try again" : "");
	} else if (c->running && vouch_running(p->queue_directory, &pid) > 0 &&
	    (ret = vouch_reload_master(p->queue_directory, pid)) != VOUCH_DONE) {
		vouch_sorry("the log file is %s now, and the running daemons go on writing to it", to);
	} else {
		vouch_say("%s is now %s", p->maillog_file, to);
		ret = VOUCH_DONE;
	}
	free(to);
	return ret;
}

int
vouch_logrotate(struct vouch *v)
{
	struct check c;
	int	ret = VOUCH_REFUSED;

	check_run(&c, v->config_dir);
	if (c.errors > 0)
		check_verdict(&c, "not rotated");
	else
		ret = logrotate_file(&c);
	check_fini(&c);
	return ret;
}
