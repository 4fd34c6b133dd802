/* commands/vouch/init.c - init DIR: an instance of its own, ready to run, for whoever runs this
 * Everything is built in a temporary directory first and moved into place as the last step: a failure leaves nothing,
 * and what is there already is never touched.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <util/mem.h>
#include <util/sock.h>
#include <global/main_cf_edit.h>

#include "vouch.h"

static const char init_main_cf[] =
#include <conf/main.cf.inc>
;
static const char init_master_cf[] =
#include <conf/master.cf.inc>
;
static const char init_plugins[] =
#include <conf/plugins.inc>
;
static const char init_clients[] =
#include <conf/greylist_clients.inc>
;
static const char init_recipients[] =
#include <conf/greylist_recipients.inc>
;

/* source: spec master-cf section 2, for one owner */
static const struct { const char *name; mode_t mode; } init_dirs[] = {
	{ "etc",	   0755 },
	{ "queue",	   0755 },
	{ "queue/private", 0700 },
	{ "queue/public",  0710 },
	{ "queue/pid",	   0755 },
	{ "data",	   0700 },
	{ "log",	   0755 },
};
static const char *const init_parts[] = { "etc", "queue", "data", "log" };

struct init {
	char   *dir;		/* where the instance goes, absolute, without links */
	bool	exists;		/* an empty directory is there already: it is filled, not replaced */
	char   *temp;		/* what is built; NULL: nothing yet */
};

static int
init_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void) st, (void) kind, (void) ftw;
	return remove(path);
}

static void
init_remove(const char *path)
{
	nftw(path, init_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* init_is_empty - whether dir has no entries at all; -1 when it cannot be read */
static int
init_is_empty(const char *dir)
{
	DIR    *dp = opendir(dir);
	struct dirent *e;
	int	empty = 1;

	if (dp == NULL)
		return -1;
	while (empty && (e = readdir(dp)) != NULL)
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	closedir(dp);
	return empty;
}

/* init_place - find out where DIR is and whether it may be made; false: said */
static bool
init_place(struct init *in, const char *arg)
{
	char   *copy, *slash, *parent;
	size_t	n = strlen(arg);
	int	empty;

	if ((in->dir = realpath(arg, NULL)) != NULL) {
		if ((empty = init_is_empty(in->dir)) < 0)
			vouch_sorry("%s: %s: choose another directory", in->dir, strerror(errno));
		else if (!empty)
			vouch_sorry("%s: not empty: nothing is ever overwritten; choose another directory", in->dir);
		in->exists = true;
		return empty == 1;
	}
	if (errno != ENOENT || n == 0) {
		vouch_sorry("'%s': %s", arg, strerror(n == 0 ? EINVAL : errno));
		return false;
	}
	while (n > 1 && arg[n - 1] == '/')
		n--;
	copy = mem_strndup(arg, n);
	if ((slash = strrchr(copy, '/')) != NULL)
		*slash = 0;
	parent = realpath(slash == NULL ? "." : slash == copy ? "/" : copy, NULL);
	if (parent == NULL)
		vouch_sorry("%s: %s: make that directory first", copy, strerror(errno));
	else
		in->dir = mem_printf("%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash != NULL ? slash + 1 : copy);
	free(parent);
	free(copy);
	return in->dir != NULL;
}

/* init_value - text as a value of main.cf: $ begins a name there; heap */
static char *
init_value(const char *text)
{
	struct buf b = BUF_INIT(2 * PATH_MAX);

	for (; *text != 0; text++)
		buf_adds(&b, *text == '$' ? "$$" : (char[]){ *text, 0 });
	return buf_take(&b);
}

/* init_write - a new file of this content in the directory being built; false: said */
static bool
init_write(const struct init *in, const char *name, const char *text, size_t n)
{
	char   *path = mem_printf("%s/%s", in->temp, name);
	int	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool	ok = fd >= 0 && sock_write_all(fd, text, n, -1) == 0 && fchmod(fd, 0644) == 0 && fsync(fd) == 0;

	if (!ok)
		vouch_sorry("%s: %s", path, strerror(errno));
	sock_close(&fd);
	free(path);
	return ok;
}

static void
init_no_warning(void *ctx, const char *text)
{
	(void) ctx, (void) text;
}

/* init_configure - etc/main.cf: the sample, with this instance's places and owner; etc/master.cf and the rest: the samples */
static bool
init_configure(const struct init *in, const char *libexec)
{
	const struct passwd *pw = getpwuid(geteuid());
	const struct group *gr = getgrgid(getegid());
	char   *dir = init_value(in->dir);
	char   *values[] = {
		init_value(libexec),
		mem_printf("%s/data", dir),
		pw != NULL ? mem_strdup(pw->pw_name) : mem_printf("%u", (unsigned) geteuid()),
		mem_printf("%s/log/vouch.log", dir),
		mem_printf("%s/log", dir),
		mem_printf("%s/queue", dir),
		mem_strdup(gr != NULL ? gr->gr_name : ""),
	};
	const struct main_cf_edit edits[] = {
		{ "daemon_directory", values[0] },
		{ "data_directory", values[1] },
		{ "mail_owner", values[2] },
		{ "maillog_file", values[3] },
		{ "maillog_file_prefixes", values[4] },
		{ "queue_directory", values[5] },
		{ "setgid_group", values[6] },		/* last: left alone when the group has no name */
	};
	struct buf out = BUF_INIT(MAIN_CF_FILE_MAX);
	bool	ok = false;

	if (main_cf_edit(&out, "main.cf", init_main_cf, strlen(init_main_cf), MAIN_CF_SET, edits,
	    NELEM(edits) - (gr == NULL), init_no_warning, NULL) < 0)
		vouch_sorry("%s: the name is too long", in->dir);
	else
		ok = init_write(in, "etc/main.cf", buf_str(&out), out.len) &&
		    init_write(in, "etc/master.cf", init_master_cf, strlen(init_master_cf)) &&
		    init_write(in, "etc/plugins", init_plugins, strlen(init_plugins)) &&
		    init_write(in, "etc/greylist_clients", init_clients, strlen(init_clients)) &&
		    init_write(in, "etc/greylist_recipients", init_recipients, strlen(init_recipients));
	buf_fini(&out);
	for (size_t i = 0; i < NELEM(values); i++)
		free(values[i]);
	free(dir);
	return ok;
}

/* init_build - the whole instance under in->temp; false: said */
static bool
init_build(struct init *in, const char *libexec)
{
	char   *slash = strrchr(in->dir, '/'), *path;
	bool	ok;

	in->temp = in->exists ? mem_printf("%s/.vouch-init.XXXXXX", in->dir) :
	    mem_printf("%.*s/.%s.XXXXXX", (int) (slash - in->dir), in->dir, slash + 1);
	if (mkdtemp(in->temp) == NULL) {
		vouch_sorry("cannot make %s: %s: choose a directory that you may write to", in->dir, strerror(errno));
		mem_free(&in->temp);
		return false;
	}
	if (chmod(in->temp, 0755) < 0) {
		vouch_sorry("%s: %s", in->temp, strerror(errno));
		return false;
	}
	for (size_t i = 0; i < NELEM(init_dirs); i++) {
		path = mem_printf("%s/%s", in->temp, init_dirs[i].name);
		ok = mkdir(path, 0700) == 0 && chmod(path, init_dirs[i].mode) == 0;	/* whatever the umask is */
		if (!ok)
			vouch_sorry("%s: %s", path, strerror(errno));
		free(path);
		if (!ok)
			return false;
	}
	return init_configure(in, libexec);
}

/* init_fill - move the parts into the directory that exists; on failure those moved go again; false: said */
static bool
init_fill(const struct init *in)
{
	char   *from, *to;
	bool	ok = true;
	size_t	i;

	for (i = 0; i < NELEM(init_parts) && ok; i++) {
		from = mem_printf("%s/%s", in->temp, init_parts[i]);
		to = mem_printf("%s/%s", in->dir, init_parts[i]);
		ok = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0;
		if (!ok)
			vouch_sorry("%s: %s", to, strerror(errno));
		free(from);
		free(to);
	}
	if (!ok) {
		for (i--; i-- > 0; ) {		/* the last one tried was not moved */
			to = mem_printf("%s/%s", in->dir, init_parts[i]);
			init_remove(to);
			free(to);
		}
	}
	return ok;
}

/* init_finish - put what was built where it belongs; false: said */
static bool
init_finish(const struct init *in)
{
	if (in->exists)
		return init_fill(in);
	/* somebody may have made it meanwhile: then this fails, unless it is an empty directory */
	if (rename(in->temp, in->dir) == 0)
		return true;
	vouch_sorry("%s: %s", in->dir, strerror(errno));
	return false;
}

int
vouch_init(struct vouch *v)
{
	struct init in = { 0 };
	char   *libexec = vouch_libexec();
	int	ret = VOUCH_REFUSED;

	if (libexec == NULL || !init_place(&in, v->argv[1]))
		goto out;
	if (init_build(&in, libexec) && init_finish(&in))
		ret = VOUCH_DONE;
	if (in.temp != NULL && (ret != VOUCH_DONE || in.exists))
		init_remove(in.temp);
	if (ret != VOUCH_DONE)
		goto out;
	vouch_say("made %s: configuration in etc, sockets in queue, cache in data, log in log", in.dir);
	if (geteuid() == 0)
		vouch_say("the workers keep root's rights: to take them away, make a user, give it %s/data, %s/queue/private "
		    "and %s/queue/public, and set mail_owner", in.dir, in.dir, in.dir);
	vouch_say("start it with: vouch -c %s/etc start", in.dir);
out:
	free(in.dir);
	free(in.temp);
	free(libexec);
	return ret;
}
