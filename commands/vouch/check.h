/* commands/vouch/check.h - every problem of an instance's configuration, found at once
 * Looks, and changes nothing. What it calls an error keeps the instance, or one of its services, from working.
 */
#ifndef VOUCH_CHECK_H
#define VOUCH_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <global/main_cf.h>
#include <global/master_cf.h>
#include <global/params.h>

struct check {
	const char *config_dir;		/* borrowed */
	struct main_cf *cf;		/* without its bad lines; NULL when main.cf cannot be read */
	struct params *params;		/* with defaults for bad values; NULL when that does not help either */
	struct master_cf services;	/* without bad entries */
	bool	 placed;		/* the values of directories and mail_owner are good */
	unsigned errors, warnings;	/* lines said */
	pid_t	 former;		/* the last master of this instance, 0: none */
	int64_t	 former_end_ms;		/* for master_former_wait */
	bool	 running;		/* a master has this instance: its sockets and ports are not "taken" */
};

/* check_run - read and examine the configuration; each finding is one line on standard error
 * running is found out by itself. Call check_fini afterwards, whatever was found. */
void	check_run(struct check *, const char *config_dir);
void	check_fini(struct check *);
/* check_read - main.cf alone, for commands that need little of it; NULL: said
 * lenient   do without lines that make no sense, as long as queue_directory is known */
struct main_cf *check_read(const char *config_dir, bool lenient);
/* check_verdict - the last line, "3 errors, 1 warning: what"; nothing when there was no finding */
void	check_verdict(const struct check *, const char *what);
/* check_error, check_warn - count and say one finding */
void	check_error(struct check *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void	check_warn(struct check *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* check_where - "FILE, line 7: parameter NAME", or "FILE: parameter NAME (default)"; heap */
char   *check_where(const struct check *, const char *name);

/* parts of check_run, each in a file of its own */
void	check_values(struct check *);	/* check_values.c: values that cannot work, names that nobody reads */
void	check_options(struct check *);	/* check_values.c: -o options in master.cf */
void	check_probe(struct check *);	/* check_probe.c: what probe(8) would not start with */
void	check_dirs(struct check *);	/* check_dirs.c: directories, owners, modes, room on disk */
void	check_plugins(struct check *);	/* check_plugins.c: what smtpd(8) says about its plugins file */
void	check_services(struct check *);	/* check_services.c: programs, sockets and ports of master.cf */

#endif
