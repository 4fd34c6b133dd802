/* util/msg.h - diagnostics: one line each, to syslog, a file, a datagram socket or stderr
 * The shape of a line is Postfix's (spec logging): info has no word, the others have
 * "warning: ", "error: ", "fatal: ", "panic: ". Which sink is used is the caller's
 * decision (global/maillog.h); until it decides, lines go to stderr.
 * msg_fatal is for start-up code and mem.c only: no byte from a peer ends a process.
 */
#ifndef UTIL_MSG_H
#define UTIL_MSG_H

#include <stdbool.h>
#include <stddef.h>

extern int msg_verbose;		/* 0 = normal; n = number of -v */

/* msg_debug - an info line that is written only when msg_verbose > 0 */
#define msg_debug(...)	do { if (msg_verbose > 0) msg_info(__VA_ARGS__); } while (0)

void	msg_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	msg_info_text(const char *text, size_t len);	/* the same, where the text is ready: what is not printable becomes '?' */
void	msg_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	msg_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* msg_fatal - log, sleep msg_fatal_sleep seconds (0 unless set), _exit(msg_fatal_status) */
void	msg_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* msg_panic - our own bug: log, abort() */
void	msg_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

extern int msg_fatal_status;		/* exit status of msg_fatal, 1 unless set */
extern unsigned msg_fatal_sleep;	/* seconds; daemons set 1, it bounds restart loops */

/* msg_vlog - the one below all the above; level is one of syslog's LOG_INFO, LOG_WARNING, LOG_ERR, LOG_CRIT
 * word is "" or "warning: " and so on */
void	msg_vlog(int level, const char *word, const char *fmt, __builtin_va_list) __attribute__((format(printf, 3, 0)));

/* Sinks. Several may be on at once (a command on a terminal: syslog and stderr).
 * msg_to_stderr  lines are "PROG: word text"; tag is borrowed for good, NULL turns it off
 * msg_to_syslog  lines carry "TAG[pid]"; tag is copied; facility is LOG_MAIL and the like; NULL turns it off
 * msg_to_file    lines are "Mmm dd hh:mm:ss HOST TAG[pid]: ..."; appends; returns -1 with errno when the file
 *                cannot be opened (the sink is then unchanged); path NULL turns it off
 * msg_to_dgram   as a file's line, one datagram without newline, to a UNIX socket (Postfix's postlogd)
 */
void	msg_to_stderr(const char *tag);
void	msg_to_syslog(const char *tag, int facility);
int	msg_to_file(const char *path, const char *host, const char *tag, unsigned mode);
int	msg_to_dgram(const char *path, const char *host, const char *tag);

/* msg_hold - keep the info lines for the file until msg_pass: one write for many. A loop does so while it serves several clients
 *	     in one turn; whoever dies by a signal in the middle of that takes its lines along, and what a busy disk has not got yet
 * msg_pass  have them written, by a thread that waits for the disk (util/write_behind.h); so do lines of other levels and a full buffer.
 *	     Lines that come while that thread is still at it follow in their order
 * msg_flush they are in the file when it returns. Before _exit; msg_fatal, msg_panic and a fork do it themselves
 */
void	msg_hold(void);
void	msg_pass(void);
void	msg_flush(void);
bool	msg_kept(void);			/* whether there are such lines */

/* msg_catch - for tests, and commands that count what is said: every line is handed to fn instead (level, "word text"); NULL ends it */
typedef void msg_catch_fn(void *ctx, int level, const char *line);
void	msg_catch(msg_catch_fn *, void *ctx);

/* msg_clean - copy s into dst so that it is printable: other bytes become '?'; cut at size - 1
 * returns dst; for showing what a peer sent. size > 0 */
char	*msg_clean(char *dst, size_t size, const char *s);

/* msg_rate - true at most once in every ms milliseconds for this *last (monotonic); for repeated trouble */
bool	msg_rate(long long *last, long long ms);

#endif
