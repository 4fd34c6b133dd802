/* commands/vouch/attach.c - attach and detach: put our verify into the master.cf of a Postfix, and take it out */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <util/fileedit.h>
#include <util/mem.h>
#include <global/main_cf.h>
#include <global/master_cf.h>
#include <global/params.h>

#include "attach.h"
#include "vouch.h"

#define ATTACH_POSTFIX	  "/etc/postfix"
#define ATTACH_WAIT_MS	  5000		/* for another editor of the file */
#define ATTACH_MAXPROC	  8		/* one process answers some 100,000 queries a second */

static void
attach_no_warning(void *ctx, const char *text)
{
	(void) ctx, (void) text;
}

/* attach_daemons - Postfix's daemon_directory, without links; where main.cf does not name it, the usual places are tried
 * heap; NULL: said */
static char *
attach_daemons(const char *dir)
{
	static const char *const usual[] = { "/usr/lib/postfix/sbin", "/usr/libexec/postfix", "/usr/lib/postfix",
	    "/usr/lib/postfix/bin", "/usr/local/libexec/postfix" };
	struct buf value = BUF_INIT(4096), why = BUF_INIT(64 * 1024);
	struct main_cf *cf = main_cf_read(dir, attach_no_warning, NULL, &why);
	char   *real = NULL, *path;

	if (cf == NULL) {
		vouch_sorry_lines(buf_str(&why));
		goto out;
	}
	if (main_cf_get(cf, "daemon_directory") != NULL) {
		if (params_eval(cf, "daemon_directory", &value, &why) < 0)
			vouch_sorry("%s/main.cf: daemon_directory: %s", dir, buf_str(&why));
		else if ((real = realpath(buf_str(&value), NULL)) == NULL)
			vouch_sorry("%s/main.cf: daemon_directory %s: %s", dir, buf_str(&value), strerror(errno));
		goto out;
	}
	for (size_t i = 0; real == NULL && i < NELEM(usual); i++) {
		path = mem_printf("%s/smtpd", usual[i]);
		if (access(path, X_OK) == 0)
			real = realpath(usual[i], NULL);
		free(path);
	}
	if (real == NULL)
		vouch_sorry("%s/main.cf: cannot find Postfix's programs: set daemon_directory there ('postconf -d "
		    "daemon_directory' tells the default)", dir);
out:
	main_cf_free(&cf);
	buf_fini(&value);
	buf_fini(&why);
	return real;
}

static int
attach_maxproc(void)
{
	long	n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > ATTACH_MAXPROC ? ATTACH_MAXPROC : (int) n;
}

/* attach_commit - put the new text in place if it is a master.cf; false: said, and nothing changed */
static bool
attach_commit(struct fileedit **edit, const char *file, const struct buf *text)
{
	struct buf why = BUF_INIT(64 * 1024);
	struct master_cf list;
	bool	ok = false;

	if (text->full)
		buf_addf(&why, "%s: too large", file);
	else if (master_cf_parse(&list, file, buf_str(text), text->len, attach_no_warning, NULL, &why) == 0) {
		master_cf_free(&list);
		ok = fileedit_commit(edit, buf_str(text), text->len, &why) == 0;
	}
	if (!ok)
		vouch_sorry_lines(buf_str(&why));
	buf_fini(&why);
	return ok;
}

/* attach_remind - how the change comes into force */
static void
attach_remind(const char *dir)
{
	if (strcmp(dir, ATTACH_POSTFIX) == 0)
		vouch_say("to put it in force: postfix reload");
	else
		vouch_say("to put it in force: postfix -c %s reload", dir);
}

static int
attach_change(struct vouch *v, bool attach)
{
	const char *arg = v->argc > 1 ? v->argv[1] : ATTACH_POSTFIX;
	char   *dir = realpath(arg, NULL);	/* postfix -c wants it absolute */
	struct buf text = BUF_INIT(MASTER_CF_FILE_MAX), out = BUF_INIT(MASTER_CF_FILE_MAX), why = BUF_INIT(4096);
	char   *libexec = NULL, *daemons = NULL, *own = NULL, *program = NULL, *old = NULL, *file;
	struct fileedit *edit = NULL;
	unsigned line = 0;
	int	ret = VOUCH_REFUSED;

	if (dir == NULL) {
		vouch_sorry("%s: %s: name Postfix's configuration directory", arg, strerror(errno));
		return VOUCH_REFUSED;
	}
	file = mem_printf("%s/master.cf", dir);
	if (attach) {
		if ((libexec = vouch_libexec()) == NULL || (daemons = attach_daemons(dir)) == NULL)
			goto out;
		own = mem_printf("%s/verify", libexec);
		if (access(own, X_OK) < 0) {
			vouch_sorry("%s: %s: install vouch again", own, strerror(errno));
			goto out;
		}
		program = attach_relative(daemons, own);
	}
	if ((edit = fileedit_open(file, &text, ATTACH_WAIT_MS, &why)) == NULL ||
	    (attach ? attach_text(file, buf_str(&text), text.len, program, attach_maxproc(), &out, &old, &line, &why) :
	    attach_undo(file, buf_str(&text), text.len, &out, &line, &why)) < 0) {
		vouch_sorry("%s%s", buf_str(&why), geteuid() != 0 && edit == NULL ? ": run this as root" : "");
		goto out;
	}
	if (!attach_commit(&edit, file, &out))
		goto out;
	ret = VOUCH_DONE;
	if (attach) {
		vouch_say("%s: the verify service is now %s, up to %d processes; its old entry (line %u, command %s) stays "
		    "above it as a comment", file, own, attach_maxproc(), line, old);
		attach_remind(dir);
		if (strcmp(dir, ATTACH_POSTFIX) == 0)
			vouch_say("to go back: vouch detach");
		else
			vouch_say("to go back: vouch detach %s", dir);
	} else {
		vouch_say("%s: line %u: the verify service is Postfix's own again", file, line);
		attach_remind(dir);
	}
out:
	fileedit_abandon(&edit);
	buf_fini(&text);
	buf_fini(&out);
	buf_fini(&why);
	free(libexec);
	free(daemons);
	free(own);
	free(program);
	free(old);
	free(file);
	free(dir);
	return ret;
}

int
vouch_attach(struct vouch *v)
{
	return attach_change(v, true);
}

int
vouch_detach(struct vouch *v)
{
	return attach_change(v, false);
}
