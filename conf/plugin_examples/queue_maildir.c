/* queue_maildir.c - an example of a loadable plugin for vouch's smtpd(8): delivers each message into a maildir
 * Build:      cc -shared -fPIC -Wall -O2 -o queue_maildir.so queue_maildir.c
 * Install:    as root into a directory of smtpd_plugin_directory, mode 0755
 * Configure:  a line in the plugins file:  queue_maildir /var/mail/in
 * README_FILES/PLUGIN_README explains it step by step.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vouch_plugin.h>

struct maildir {
	char   *path;			/* as configured */
	int	fd;			/* the directory; -1 until the worker has started */
	unsigned count;			/* messages of this process */
	char	host[64];
};

/* at start: look at the arguments, touch nothing else */
static int
maildir_init(struct vh_inst *inst, int argc, char **argv, struct vh_err *err)
{
	struct maildir *m;

	if (argc != 2 || argv[1][0] != '/')
		return vh_error(err, "use: %s /directory", argv[0]);
	if ((m = calloc(1, sizeof *m)) == NULL || (m->path = strdup(argv[1])) == NULL) {
		free(m);
		return vh_error(err, "out of memory");
	}
	m->fd = -1;
	vh_set_data(inst, m);
	return 0;
}

/* in the worker: privileges are gone, so what can be opened now can be used later */
static int
maildir_worker_init(struct vh_inst *inst, struct vh_err *err)
{
	static const char *const parts[] = { "tmp", "new", "cur" };
	struct maildir *m = vh_data(inst);

	if ((m->fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return vh_error(err, "%s: %s", m->path, strerror(errno));
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (mkdirat(m->fd, parts[i], 0700) < 0 && errno != EEXIST)
			return vh_error(err, "%s/%s: %s", m->path, parts[i], strerror(errno));
	gethostname(m->host, sizeof m->host - 1);
	return 0;
}

static void
maildir_fini(struct vh_inst *inst)
{
	struct maildir *m = vh_data(inst);

	if (m->fd >= 0)
		close(m->fd);
	free(m->path);
	free(m);
}

static int
maildir_write(int fd, const char *p, size_t n)
{
	ssize_t done;

	for (; n > 0; p += done, n -= (size_t) done)
		if ((done = write(fd, p, n)) < 0) {
			if (errno != EINTR)
				return -1;
			done = 0;
		}
	return 0;
}

/* maildir_copy - the message with the line ends of this system; the reader gives CR LF, in pieces of its own choice */
static int
maildir_copy(int fd, struct vh_txn *txn)
{
	struct vh_reader *r = vh_reader_open(txn, VH_MESSAGE);
	char	in[8192], out[8192];
	size_t	n;
	ssize_t got;

	while ((got = vh_reader_read(r, in, sizeof in)) > 0) {
		n = 0;
		for (ssize_t i = 0; i < got; i++)
			if (in[i] != '\r')		/* there are none but those of line ends */
				out[n++] = in[i];
		if (maildir_write(fd, out, n) < 0) {
			got = -1;
			break;
		}
	}
	vh_reader_close(&r);
	return got < 0 ? -1 : 0;
}

/* the hook: the message is complete. OK may be said only when it is safe */
static enum vh_rc
maildir_queue(struct vh_call *call)
{
	struct maildir *m = vh_data(vh_inst(call));
	struct vh_txn *txn = vh_txn(call);
	char	tmp[256], new[256];
	int	fd, saved;

	snprintf(tmp, sizeof tmp, "tmp/%lld.%d_%u.%s", (long long) vh_wall_s(), (int) getpid(), ++m->count, m->host);
	snprintf(new, sizeof new, "new%s", tmp + 3);
	if (!vh_header_add(txn, "Delivered-To", vh_addr_text(vh_rcpt(txn, 0))))
		vh_log(call, VH_LOG_WARN, "no Delivered-To: header");
	if ((fd = openat(m->fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
		goto trouble;
	if (maildir_copy(fd, txn) < 0 || fsync(fd) < 0) {
		saved = errno;
		close(fd);
		errno = saved;
		goto trouble;
	}
	if (close(fd) < 0 || renameat(m->fd, tmp, m->fd, new) < 0)
		goto trouble;
	vh_log(call, VH_LOG_INFO, "delivered to %s/%s", m->path, new);
	return vh_reply(call, VH_OK, NULL, "Delivered");

trouble:
	vh_log(call, VH_LOG_ERROR, "%s/%s: %s", m->path, tmp, strerror(errno));
	unlinkat(m->fd, tmp, 0);
	return vh_reply(call, VH_DENYSOFT, "4.3.0", "Cannot deliver now");
}

static const struct vh_hook_fn maildir_hooks[] = {
	{ VH_HOOK_QUEUE, maildir_queue },
	{ VH_END, NULL }
};

const struct vh_plugin vouch_plugin = {
	.abi = VH_ABI,
	.name = "queue_maildir",
	.init = maildir_init,
	.worker_init = maildir_worker_init,
	.fini = maildir_fini,
	.hooks = maildir_hooks,
};
