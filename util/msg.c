/* util/msg.c - diagnostics: one line each, to syslog, a file, a datagram socket or stderr */
#include "msg.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <util/utf8.h>
#include <util/write_behind.h>

#define MSG_LINE_MAX	2000		/* bytes of text in one line, as Postfix */
#define MSG_TAG_MAX	128
#define MSG_HELD_MAX	16384		/* bytes of lines that are kept for one write */
#define MSG_LOST_MS	60000		/* what a full disk did not take is told once in this time */

int	msg_verbose;
int	msg_fatal_status = 1;
unsigned msg_fatal_sleep;

/* one sink each; fd -1 or tag "" means off */
static const char *msg_stderr_tag = "vouch";
static char msg_syslog_tag[MSG_TAG_MAX];
static int msg_syslog_facility;
static struct msg_line_sink {		/* file and datagram lines have the same shape */
	int	fd;
	char	host[MSG_TAG_MAX], tag[MSG_TAG_MAX];
	time_t	made;			/* the second of the head; -1: there is none */
	size_t	head_len;
	char	head[32 + 2 * MSG_TAG_MAX + 24];	/* "Mmm dd hh:mm:ss HOST TAG[pid]: " */
} msg_file = { .fd = -1, .made = -1 }, msg_dgram = { .fd = -1, .made = -1 };
static msg_catch_fn *msg_catcher;
static void *msg_catcher_ctx;

static struct {
	bool	hold;
	size_t	len;
	char	text[MSG_HELD_MAX];
} msg_held;
static bool msg_fork_ready;		/* forks are looked after */

/* msg_head - make the head of a sink's lines, once a second */
static void
msg_head(struct msg_line_sink *s)
{
	time_t	now = time(NULL);
	char	stamp[32];
	struct tm tm;

	if (now == s->made)
		return;
	if (localtime_r(&now, &tm) == NULL || strftime(stamp, sizeof stamp, "%b %d %H:%M:%S", &tm) == 0)
		stamp[0] = 0;
	s->head_len = (size_t) snprintf(s->head, sizeof s->head, "%s %s %s[%ld]: ", stamp, s->host, s->tag, (long) getpid());
	s->made = now;
}

/* msg_write - a datagram */
static void
msg_write(int fd, const char *text, size_t len)
{
	ssize_t done = write(fd, text, len);

	(void) done;				/* nowhere to report it */
}

/* msg_held_pass - what is held is written by another thread; if that is too far behind, here */
static void
msg_held_pass(void)
{
	if (msg_held.len > 0 && !write_behind(msg_file.fd, msg_held.text, msg_held.len))
		write_behind_now(msg_file.fd, msg_held.text, msg_held.len);
	msg_held.len = 0;
}

static void
msg_pass_on(void)
{
	msg_held_pass();
	write_behind_begin();
}

/* msg_held_write - what is held, and what was passed on, is in the file when this returns */
static void
msg_held_write(void)
{
	write_behind_wait();
	if (msg_held.len > 0)
		write_behind_now(msg_file.fd, msg_held.text, msg_held.len);
	msg_held.len = 0;
}

static void
msg_forked(void)
{
	msg_file.made = msg_dgram.made = -1;
}

static bool
msg_fork_look(void)
{
	if (!msg_fork_ready)
		msg_fork_ready = pthread_atfork(msg_held_write, NULL, msg_forked) == 0;
	return msg_fork_ready;
}

static void
msg_line_write(struct msg_line_sink *s, bool hold, const char *word, const char *text, size_t len, bool newline)
{
	size_t	word_len = strlen(word);
	char   *p;

	if (!msg_fork_look())
		s->made = -1;
	msg_head(s);
	if (msg_held.len + s->head_len + word_len + len + 1 > sizeof msg_held.text)
		msg_held_pass();
	p = mempcpy(msg_held.text + msg_held.len, s->head, s->head_len);
	p = mempcpy(p, word, word_len);
	p = mempcpy(p, text, len);
	if (newline)
		*p++ = '\n';
	len = (size_t) (p - msg_held.text) - msg_held.len;
	if (s != &msg_file)
		msg_write(s->fd, msg_held.text + msg_held.len, len);
	else {
		msg_held.len += len;
		if (!hold && write_behind_busy())
			msg_pass_on();
		else if (!hold)
			msg_held_write();
	}
}

/* msg_lost - the file was full, and can be written again: what is missing in it */
static void
msg_lost(bool hold)
{
	static long long last;
	char	text[120], buf[80];
	size_t	bytes;
	int	error = 0, n;

	if (!write_behind_lost() || !msg_rate(&last, MSG_LOST_MS))
		return;
	bytes = write_behind_tell(&error);
	n = snprintf(text, sizeof text, "%zu bytes of log lines could not be written: %s", bytes,
	    strerror_r(error, buf, sizeof buf));
	if (n > 0)
		msg_line_write(&msg_file, hold, "warning: ", text, strlen(text), true);
}

void
msg_hold(void)
{
	msg_held.hold = msg_fork_look();
}

bool
msg_kept(void)
{
	return msg_held.len > 0;
}

void
msg_pass(void)
{
	msg_pass_on();
	msg_held.hold = false;
}

void
msg_flush(void)
{
	msg_held_write();
	msg_held.hold = false;
}

/* msg_put - text has len bytes, room for one more, and may be changed */
static void
msg_put(int level, const char *word, char *text, size_t len)
{
	static bool busy;		/* a sink that logs would come back here */
	int	saved = errno;

	if (busy)
		return;
	len = utf8_cut(text, len, MSG_LINE_MAX);
	text[len] = 0;
	utf8_sanitise(text, len, true);
	busy = true;
	if (msg_catcher != NULL) {
		char	line[MSG_LINE_MAX + 16];

		snprintf(line, sizeof line, "%s%s", word, text);
		msg_catcher(msg_catcher_ctx, level, line);
	} else {
		if (msg_stderr_tag != NULL)
			fprintf(stderr, "%s: %s%s\n", msg_stderr_tag, word, text);
		if (msg_syslog_tag[0] != 0)
			syslog(level | msg_syslog_facility, "%s%s", word, text);
		if (msg_file.fd >= 0)
			msg_lost(msg_held.hold);
		if (msg_file.fd >= 0)
			msg_line_write(&msg_file, msg_held.hold && level == LOG_INFO, word, text, len, true);
		if (msg_dgram.fd >= 0)
			msg_line_write(&msg_dgram, false, word, text, len, false);
	}
	busy = false;
	errno = saved;
}

void
msg_vlog(int level, const char *word, const char *fmt, va_list ap)
{
	char	text[MSG_LINE_MAX + 4];		/* the whole of a character that crosses the limit */
	int	saved = errno, n = vsnprintf(text, sizeof text, fmt, ap);

	if (n >= 0)
		msg_put(level, word, text, (size_t) n < sizeof text ? (size_t) n : sizeof text - 1);
	errno = saved;
}

void
msg_info_text(const char *text, size_t len)
{
	char	copy[MSG_LINE_MAX + 4];

	len = len < sizeof copy ? len : sizeof copy - 1;
	memcpy(copy, text, len);
	msg_put(LOG_INFO, "", copy, len);
}

#define MSG_DO(level, word) do {			\
		va_list ap;				\
							\
		va_start(ap, fmt);			\
		msg_vlog(level, word, fmt, ap);		\
		va_end(ap);				\
	} while (0)

void
msg_info(const char *fmt, ...)
{
	MSG_DO(LOG_INFO, "");
}

void
msg_warn(const char *fmt, ...)
{
	MSG_DO(LOG_WARNING, "warning: ");
}

void
msg_error(const char *fmt, ...)
{
	MSG_DO(LOG_ERR, "error: ");
}

void
msg_fatal(const char *fmt, ...)
{
	MSG_DO(LOG_CRIT, "fatal: ");
	msg_flush();
	if (msg_fatal_sleep > 0)
		sleep(msg_fatal_sleep);
	_exit(msg_fatal_status);
}

void
msg_panic(const char *fmt, ...)
{
	MSG_DO(LOG_CRIT, "panic: ");
	msg_flush();
	abort();
}

void
msg_to_stderr(const char *tag)
{
	msg_stderr_tag = tag;
}

void
msg_to_syslog(const char *tag, int facility)
{
	if (msg_syslog_tag[0] != 0)
		closelog();
	snprintf(msg_syslog_tag, sizeof msg_syslog_tag, "%s", tag != NULL ? tag : "");
	msg_syslog_facility = facility;
	if (msg_syslog_tag[0] != 0)
		openlog(msg_syslog_tag, LOG_PID | LOG_NDELAY, facility);	/* now: before chroot */
}

static void
msg_sink_set(struct msg_line_sink *s, int fd, const char *host, const char *tag)
{
	msg_held_write();
	if (s->fd >= 0)
		close(s->fd);
	s->fd = fd;
	snprintf(s->host, sizeof s->host, "%.*s", (int) strcspn(host, "."), host);
	snprintf(s->tag, sizeof s->tag, "%s", tag);
	s->made = -1;
}

int
msg_to_file(const char *path, const char *host, const char *tag, unsigned mode)
{
	int	fd = -1;

	if (path != NULL && (fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, (mode_t) mode)) < 0)
		return -1;
	msg_sink_set(&msg_file, fd, path != NULL ? host : "", path != NULL ? tag : "");
	return 0;
}

int
msg_to_dgram(const char *path, const char *host, const char *tag)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int	fd = -1, saved;

	if (path != NULL) {
		if (strlen(path) >= sizeof sun.sun_path) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(sun.sun_path, path, strlen(path));
		/* non-blocking: a stuck log service must not stop a mail service; the line is lost then */
		if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
			return -1;
		if (connect(fd, (struct sockaddr *) &sun, sizeof sun) < 0) {
			saved = errno;
			close(fd);
			errno = saved;
			return -1;
		}
	}
	msg_sink_set(&msg_dgram, fd, path != NULL ? host : "", path != NULL ? tag : "");
	return 0;
}

void
msg_catch(msg_catch_fn *fn, void *ctx)
{
	msg_catcher = fn;
	msg_catcher_ctx = ctx;
}

char *
msg_clean(char *dst, size_t size, const char *s)
{
	size_t	n = strnlen(s, size - 1);

	memcpy(dst, s, n);
	dst[n] = 0;
	utf8_sanitise(dst, n, false);
	return dst;
}

bool
msg_rate(long long *last, long long ms)
{
	struct timespec ts;
	long long now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (long long) ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + 1;	/* never 0: 0 means not yet */
	if (*last != 0 && now - *last < ms)
		return false;
	*last = now;
	return true;
}
