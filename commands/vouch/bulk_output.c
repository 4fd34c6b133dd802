/* commands/vouch/bulk_output.c - the answers of vouch verify, in a file that may be continued
 * A line holds nothing that could be a line end, so the file is lines whatever the form. They are written in order: what a run
 * that was killed leaves is the beginning of what it would have written.
 */
#include "bulk_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <util/csv.h>
#include <util/json_out.h>
#include <util/mem.h>
#include <util/sock.h>
#include <util/utf8.h>

#include "ask.h"

#define BULK_WRITE	(64u << 10)	/* bytes written at a time */
#define BULK_PENDING_MAX (4u << 20)	/* BULK_WRITE, and a line: address and text are bounded, even with every byte escaped */
#define BULK_HEADER	"address,status,code,reason\n"
#define BULK_OBJECT	"{\"address\":\""

/* bulk_output_lead - how a line for this address begins; its status follows */
static void
bulk_output_lead(const struct bulk_output *o, struct buf *b, const char *addr)
{
	if (o->json) {
		json_open(b, NULL, '{');
		json_put_str(b, "address", addr);
		buf_adds(b, ",\"status\":\"");
	} else {
		csv_put(b, addr);
		buf_addc(b, ',');
	}
}

int
bulk_output_put(struct bulk_output *o, const char *addr, const char *said, int code, const char *reason)
{
	char   *clean = mem_strdup(reason);

	utf8_sanitise(clean, strlen(clean), true);
	if (o->json)
		ask_json(&o->pending, addr, said, code, clean);
	else {
		csv_put(&o->pending, addr);
		buf_addf(&o->pending, ",%s,%d,", said, code);
		csv_put(&o->pending, clean);
	}
	buf_addc(&o->pending, '\n');
	mem_free(&clean);
	return o->pending.len >= BULK_WRITE ? bulk_output_write(o) : 0;
}

int
bulk_output_write(struct bulk_output *o)
{
	ssize_t n;

	while (o->pending.len > 0) {
		n = write(o->fd, o->pending.data, o->pending.len);
		if (n > 0)
			buf_drop(&o->pending, (size_t) n);
		else if (n < 0 && errno == EAGAIN) {	/* somebody else's descriptor */
			if (sock_wait(o->fd, POLLOUT, -1) < 0)
				return -1;
		} else if (n < 0 && errno != EINTR)
			return -1;
	}
	return 0;
}

/* continuing */

int
bulk_output_old(struct bulk_output *o, const char *addr, const char **word_r, struct buf *why)
{
	struct buf lead = BUF_INIT(BULK_PENDING_MAX);
	char   *word;
	ssize_t n;
	int	ret = 0;

	if (o->old == NULL)
		return 0;
	if ((n = getline(&o->line, &o->line_size, o->old)) <= 0) {
		if (ferror(o->old)) {
			buf_addf(why, "%s: %s", o->path, strerror(errno));
			return -1;
		}
		fclose(o->old);
		o->old = NULL;
		return 0;
	}
	o->line_n++;
	bulk_output_lead(o, &lead, addr);
	if ((size_t) n > lead.len && memcmp(o->line, lead.data, lead.len) == 0) {
		word = o->line + lead.len;
		word[strcspn(word, o->json ? "\"" : ",")] = 0;
		*word_r = word;
		ret = 1;
	} else {
		buf_addf(why, "%s, line %llu: not the answer for %.200s: it was made from another list; name another file",
		    o->path, (unsigned long long) o->line_n, addr);
		ret = -1;
	}
	buf_fini(&lead);
	return ret;
}

bool
bulk_output_at_end(struct bulk_output *o)
{
	int	c;

	if (o->old == NULL)
		return true;
	if ((c = getc(o->old)) != EOF)
		ungetc(c, o->old);
	return c == EOF;
}

/* bulk_output_end - where the last whole line ends; -1 with errno */
static off_t
bulk_output_end(int fd, off_t size)
{
	char	chunk[4096];
	ssize_t n;
	off_t	at;

	while (size > 0) {
		at = size > (off_t) sizeof chunk ? size - (off_t) sizeof chunk : 0;
		if ((n = pread(fd, chunk, (size_t) (size - at), at)) < 0)
			return -1;
		if (n == 0)
			break;
		for (ssize_t i = n - 1; i >= 0; i--)
			if (chunk[i] == '\n')
				return at + i + 1;
		size = at;
	}
	return 0;
}

/* bulk_output_ours - whether it begins as one of ours, as far as it goes; else why */
static bool
bulk_output_ours(struct bulk_output *o, off_t size, struct buf *why)
{
	const char *begin = o->json ? BULK_OBJECT : BULK_HEADER;
	char	got[sizeof BULK_HEADER];
	size_t	n = strlen(begin);
	ssize_t len = pread(o->fd, got, (off_t) n < size ? n : (size_t) size, 0);

	if (len < 0)
		buf_addf(why, "%s: %s", o->path, strerror(errno));
	else if (memcmp(got, begin, (size_t) len) != 0)
		buf_addf(why, "%s: not what 'vouch verify%s' writes: nothing is overwritten; name another file", o->path,
		    o->json ? " --json" : "");
	else
		return true;
	return false;
}

/* bulk_output_continue - take away what was cut off, and be ready to compare the rest */
static int
bulk_output_continue(struct bulk_output *o, off_t size, struct buf *why)
{
	off_t	end;
	int	fd;

	if (!bulk_output_ours(o, size, why))
		return -1;
	if ((end = bulk_output_end(o->fd, size)) < 0 || (end < size && ftruncate(o->fd, end) < 0) ||
	    (fd = dup(o->fd)) < 0) {
		buf_addf(why, "%s: %s", o->path, strerror(errno));
		return -1;
	}
	if (end == 0) {
		close(fd);
		return 0;
	}
	if ((o->old = fdopen(fd, "r")) == NULL) {
		buf_addf(why, "%s: %s", o->path, strerror(errno));
		close(fd);
		return -1;
	}
	if (!o->json && getline(&o->line, &o->line_size, o->old) > 0)
		o->line_n++;
	return 0;
}

int
bulk_output_open(struct bulk_output *o, int dirfd, const char *path, bool json, struct buf *why)
{
	struct stat st;

	*o = (struct bulk_output) { .json = json, .path = path, .fd = STDOUT_FILENO };
	buf_init(&o->pending, BULK_PENDING_MAX);
	if (path != NULL) {
		/* O_APPEND: the descriptor that reads what is there shares the position */
		if ((o->fd = openat(dirfd, path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0 || fstat(o->fd, &st) < 0) {
			buf_addf(why, "%s: %s", path, strerror(errno));
			return -1;
		}
		if (!S_ISREG(st.st_mode)) {
			buf_addf(why, "%s: no regular file", path);
			return -1;
		}
		if (flock(o->fd, LOCK_EX | LOCK_NB) < 0) {
			buf_addf(why, "%s: %s", path, errno == EWOULDBLOCK ? "another vouch verify is writing it" : strerror(errno));
			return -1;
		}
		if (fstat(o->fd, &st) < 0 || (st.st_size > 0 && bulk_output_continue(o, st.st_size, why) < 0))
			return -1;
	}
	if (!json && o->old == NULL)
		buf_adds(&o->pending, BULK_HEADER);
	return 0;
}

void
bulk_output_close(struct bulk_output *o)
{
	if (o->old != NULL)
		fclose(o->old);
	if (o->path != NULL)
		sock_close(&o->fd);
	free(o->line);
	buf_fini(&o->pending);
}
