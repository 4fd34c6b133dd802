/* commands/vouch/vouch.h - what the commands of vouch(1) share: the invocation, messages, exit codes
 * One row per command in vouch.c; main() has done what the row says the command needs before its handler runs.
 */
#ifndef VOUCH_H
#define VOUCH_H

#include <stdbool.h>
#include <sys/types.h>

#include <util/buf.h>
#include <global/main_cf.h>

enum {
	VOUCH_DONE = 0,
	VOUCH_REFUSED = 1,	/* asked and refused, or not deliverable */
	VOUCH_USAGE = 2,
	VOUCH_TEMPORARY = 75,	/* no answer now: EX_TEMPFAIL */
};

struct vouch {
	const char *config_dir;	/* absolute; from -c, MAIL_CONFIG or the default */
	struct main_cf *cf;	/* NULL unless the command's row needs it */
	const char *name;	/* of the command */
	int	 argc;		/* its arguments; argv[0] is its name, so that getopt(3) fits */
	char   **argv;
};

typedef int vouch_fn(struct vouch *);	/* returns an exit code */

vouch_fn vouch_init;
vouch_fn vouch_start, vouch_start_fg, vouch_stop, vouch_abort, vouch_reload, vouch_status, vouch_check, vouch_logrotate;
vouch_fn vouch_query, vouch_verify, vouch_update;
vouch_fn vouch_stats, vouch_top;
vouch_fn vouch_attach, vouch_detach;
vouch_fn vouch_list, vouch_export, vouch_import, vouch_forget, vouch_explain, vouch_db, vouch_greylist;

/* vouch_say - "vouch: ..." on standard output; vouch_sorry - the same on standard error */
void	vouch_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	vouch_sorry(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* vouch_sorry_lines - each line of text, which ends with a newline or not */
void	vouch_sorry_lines(const char *text);
/* vouch_usage - the command's own usage line on standard error; returns VOUCH_USAGE */
int	vouch_usage(const struct vouch *, const char *what);
/* vouch_param - the expanded value of one parameter, which need not exist (then ""); heap
 * Only this parameter must make sense: a bad value elsewhere does not keep anyone from status or stop.
 * returns   NULL when the value cannot be expanded; said */
char	*vouch_param(const struct vouch *, const char *name);
/* vouch_enter - go to queue_directory, where sockets have short names; false when that fails; said */
bool	vouch_enter(const struct vouch *);
/* vouch_libexec - the directory of this vouch's own daemons, found from where this program is; heap; NULL: none; said */
char	*vouch_libexec(void);
/* vouch_running - whether a master holds the lock of this queue directory: 1 and its pid, 0, or -1 cannot be told; said */
int	vouch_running(const char *queue_directory, pid_t *pid_r);
/* vouch_reload_master - SIGHUP to the master, and its verdict; an exit code, failures said */
int	vouch_reload_master(const char *queue_directory, pid_t);

#endif
