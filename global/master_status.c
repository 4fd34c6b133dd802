/* global/master_status.c - the running master's verdict on the configuration, for those who sent it a signal */
#include "master_status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define MASTER_STATUS_TEMP MASTER_STATUS_FILE ".new"

static const char master_status_word[] = "generation ", master_status_ok[] = " ok\n", master_status_failed[] = " failed: ";

int
master_status_write(const char *queue_directory, const struct master_status_line *s, struct buf *why)
{
	char   *path = mem_printf("%s/%s", queue_directory, MASTER_STATUS_FILE);
	char   *temp = mem_printf("%s/%s", queue_directory, MASTER_STATUS_TEMP);
	char	reason[sizeof s->reason], text[sizeof reason + 64];
	int	fd, n, ret = -1;

	msg_clean(reason, sizeof reason, s->reason);
	n = s->ok ? snprintf(text, sizeof text, "%s%" PRIu64 "%s", master_status_word, s->generation, master_status_ok) :
	    snprintf(text, sizeof text, "%s%" PRIu64 "%s%s\n", master_status_word, s->generation, master_status_failed, reason);
	unlink(temp);			/* of a master that died here; O_EXCL: never through a link */
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd >= 0 && fchmod(fd, 0644) == 0 && write(fd, text, (size_t) n) == n && rename(temp, path) == 0)
		ret = 0;
	else
		buf_addf(why, "cannot write %s: %s", path, strerror(errno));
	sock_close(&fd);
	mem_free(&path);
	mem_free(&temp);
	return ret;
}

int
master_status_read(const char *queue_directory, struct master_status_line *r)
{
	struct buf text = BUF_INIT(sizeof r->reason + 64);
	char   *path = mem_printf("%s/%s", queue_directory, MASTER_STATUS_FILE), *end;
	const char *p;
	size_t	skip = sizeof master_status_word - 1, len;
	int	ret = -1;

	*r = (struct master_status_line) { .ok = false };
	if (buf_read_file(&text, AT_FDCWD, path) < 0)
		goto out;
	errno = EINVAL;
	p = buf_str(&text);
	if (strncmp(p, master_status_word, skip) != 0 || p[skip] < '0' || p[skip] > '9')
		goto out;
	errno = 0;
	r->generation = strtoull(p + skip, &end, 10);
	if (errno != 0)
		goto out;
	errno = EINVAL;
	skip = sizeof master_status_failed - 1;
	if (strcmp(end, master_status_ok) == 0)
		r->ok = true;
	else if (strncmp(end, master_status_failed, skip) == 0 && end[len = strcspn(end, "\n")] == '\n') {
		snprintf(r->reason, sizeof r->reason, "%.*s", (int) (len - skip), end + skip);
	} else
		goto out;
	ret = 0;
out:
	buf_fini(&text);
	mem_free(&path);
	return ret;
}
