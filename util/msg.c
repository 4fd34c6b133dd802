/* util/msg.c - diagnostics: one line each, to syslog, a file, a datagram socket or stderr */
#include "msg.h"

#include <errno.h>
#include <fcntl.h>
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

#define MSG_LINE_MAX	2000		/* bytes of text in one line, as Postfix */
#define MSG_TAG_MAX	128

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
} msg_file = { .fd = -1 }, msg_dgram = { .fd = -1 };
static msg_catch_fn *msg_catcher;
static void *msg_catcher_ctx;

static void
msg_line_write(const struct msg_line_sink *s, const char *word, const char *text, bool newline)
{
	char	line[MSG_LINE_MAX + 4 * MSG_TAG_MAX], stamp[32];
	struct tm tm;
	time_t	now = time(NULL);
	int	n;
	ssize_t done;

	if (localtime_r(&now, &tm) == NULL || strftime(stamp, sizeof stamp, "%b %d %H:%M:%S", &tm) == 0)
		stamp[0] = 0;
	n = snprintf(line, sizeof line - 1, "%s %s %s[%ld]: %s%s", stamp, s->host, s->tag, (long) getpid(), word, text);
	if (n < 0)
		return;
	if ((size_t) n > sizeof line - 2)
		n = sizeof line - 2;
	if (newline)
		line[n++] = '\n';
	done = write(s->fd, line, (size_t) n);		/* one write: lines of several processes do not mix */
	(void) done;					/* nowhere to report it */
}

void
msg_vlog(int level, const char *word, const char *fmt, va_list ap)
{
	char	text[MSG_LINE_MAX + 4];		/* the whole of a character that crosses the limit */
	int	saved = errno, n;
	static bool busy;		/* a sink that logs would come back here */

	n = vsnprintf(text, sizeof text, fmt, ap);
	if (n < 0 || busy)
		goto out;
	n = (int) utf8_cut(text, strlen(text), MSG_LINE_MAX);
	text[n] = 0;
	utf8_sanitise(text, (size_t) n, true);
	busy = true;
	if (msg_catcher != NULL) {
		char	line[sizeof text + 16];

		snprintf(line, sizeof line, "%s%s", word, text);
		msg_catcher(msg_catcher_ctx, level, line);
	} else {
		if (msg_stderr_tag != NULL)
			fprintf(stderr, "%s: %s%s\n", msg_stderr_tag, word, text);
		if (msg_syslog_tag[0] != 0)
			syslog(level | msg_syslog_facility, "%s%s", word, text);
		if (msg_file.fd >= 0)
			msg_line_write(&msg_file, word, text, true);
		if (msg_dgram.fd >= 0)
			msg_line_write(&msg_dgram, word, text, false);
	}
	busy = false;
out:
	errno = saved;
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
	if (msg_fatal_sleep > 0)
		sleep(msg_fatal_sleep);
	_exit(msg_fatal_status);
}

void
msg_panic(const char *fmt, ...)
{
	MSG_DO(LOG_CRIT, "panic: ");
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
	if (s->fd >= 0)
		close(s->fd);
	s->fd = fd;
	snprintf(s->host, sizeof s->host, "%.*s", (int) strcspn(host, "."), host);
	snprintf(s->tag, sizeof s->tag, "%s", tag);
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
