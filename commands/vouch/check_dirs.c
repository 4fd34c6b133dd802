/* commands/vouch/check_dirs.c - the directories of an instance: there, owned, closed to others, with room
 * source: spec master-cf section 2, adapted: without root everything belongs to the one who runs it.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <util/mem.h>
#include <global/pidfile_lock.h>
#include <global/verify_store.h>

#include "check.h"

/* check_owner - the user that daemons run as; false when that cannot be; said
 * Without root nobody changes user, so a uid without a name, as containers have, will do as a number. */
static bool
check_owner(struct check *c, uid_t *uid_r)
{
	const char *name = c->params->mail_owner;
	char   *where = check_where(c, "mail_owner");
	const struct passwd *pw = getpwnam(name);
	uid_t	me = geteuid();
	char	number[32];
	bool	ok = false;

	*uid_r = pw != NULL ? pw->pw_uid : me;
	snprintf(number, sizeof(number), "%u", (unsigned) me);
	if (pw == NULL && (me == 0 || strcmp(name, number) != 0))
		check_error(c, "%s: no user '%s': make the user, or name another", where, name);
	else if (me != 0 && me != *uid_r)
		check_error(c, "%s: '%s' (uid %u) is not you (uid %u): run this as %s or as root", where, name,
		    (unsigned) *uid_r, (unsigned) me, name);
	else
		ok = true;
	free(where);
	return ok;
}

struct check_dir {
	const char *param;	/* the parameter that names it, or under which it is */
	const char *part;	/* name under it, or NULL */
	mode_t	    closed;	/* mode bits that must not be set */
	bool	    root_too;	/* may belong to root as well as to mail_owner */
};

/* check_dir - one directory; parts of another one may lack, start makes them; whether it is there and as it should be */
static bool
check_dir(struct check *c, const struct check_dir *d, const char *dir, uid_t uid)
{
	unsigned errors = c->errors;
	char   *path = d->part != NULL ? mem_printf("%s/%s", dir, d->part) : mem_strdup(dir);
	char   *where = check_where(c, d->param);
	struct stat st;
	bool	there = stat(path, &st) == 0;

	if (!there && (errno != ENOENT || d->part == NULL))
		check_error(c, "%s: %s: %s: %s", where, path, strerror(errno),
		    errno == EACCES ? "run this as root or as mail_owner" : "make it, or correct the parameter");
	else if (there && !S_ISDIR(st.st_mode))
		check_error(c, "%s: %s: Not a directory: remove it, or correct the parameter", where, path);
	else if (there) {
		if (st.st_uid != uid && !(d->root_too && st.st_uid == 0))
			check_error(c, "%s: %s: belongs to uid %u, not to mail_owner (uid %u): chown it", where, path,
			    (unsigned) st.st_uid, (unsigned) uid);
		if ((st.st_mode & d->closed) != 0)
			check_error(c, "%s: %s: mode %04o is open to others: chmod %04o", where, path,
			    (unsigned) st.st_mode & 07777, (unsigned) (st.st_mode & 07777 & ~d->closed));
		if (access(path, W_OK) < 0 && errno == EROFS)
			check_error(c, "%s: %s: %s: mount it for writing, or correct the parameter", where, path, strerror(errno));
	}
	free(where);
	free(path);
	return there && c->errors == errors;
}

static void
check_room(struct check *c)
{
	const char *dir = c->params->data_directory;
	char   *file = mem_printf("%s/%s", dir, VERIFY_STORE_FILE), *where = check_where(c, "address_verify_cache_size");
	uint64_t need = c->params->address_verify_cache_size, have, room;
	struct statvfs fs;
	struct stat st;

	have = stat(file, &st) == 0 ? (uint64_t) st.st_blocks * 512 : 0;
	if (statvfs(dir, &fs) == 0) {
		room = (uint64_t) fs.f_bavail * fs.f_frsize;
		if (need > have && need - have > room)
			check_error(c, "%s: %lluk more are needed in %s, %lluk are free: make it smaller, or make room", where,
			    (unsigned long long) (need - have) / 1024, dir, (unsigned long long) room / 1024);
	}
	free(where);
	free(file);
}

/* check_shared - no other instance may have its cache where ours is */
static void
check_shared(struct check *c)
{
	char   *where = check_where(c, "data_directory");
	char   *path = mem_printf("%s/%s", c->params->data_directory, PIDFILE_LOCK_DATA);
	struct buf why = BUF_INIT(4096);
	pid_t	pid;

	switch (pidfile_lock_test(path, &pid, &why)) {
	case PIDFILE_FREE:
		break;
	case PIDFILE_HELD:
		check_error(c, "%s: %s: in use by another master, pid %d: give each instance its own", where,
		    c->params->data_directory, (int) pid);
		break;
	case PIDFILE_ERROR:
		check_error(c, "%s: %s", where, buf_str(&why));
		break;
	}
	buf_fini(&why);
	free(path);
	free(where);
}

/* check_tables - files of shared memory that are another's: daemons could not open them, and each would remember for itself alone */
static void
check_tables(struct check *c, uid_t uid)
{
	static const char *const tables[] = { "*.vouch", "smtpd_clients" };
	const char *dir = c->params->data_directory;
	char   *where = check_where(c, "data_directory");
	DIR    *dp = opendir(dir);
	struct dirent *e;
	struct stat st;

	while (dp != NULL && (e = readdir(dp)) != NULL)
		for (size_t i = 0; i < NELEM(tables); i++)
			if (fnmatch(tables[i], e->d_name, 0) == 0 && fstatat(dirfd(dp), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			    st.st_uid != uid)
				check_warn(c, "%s: %s/%s: belongs to uid %u, not to mail_owner (uid %u): chown it, or remove it", where, dir,
				    e->d_name, (unsigned) st.st_uid, (unsigned) uid);
	if (dp != NULL)
		closedir(dp);
	free(where);
}

void
check_dirs(struct check *c)
{
	static const struct check_dir queue = { "queue_directory", NULL, 0022, true };
	static const struct check_dir parts[] = {
		{ "queue_directory", "private", 0077, false },
		{ "queue_directory", "public",	0007, false },
		{ "queue_directory", "pid",	0022, true },
	};
	static const struct check_dir data = { "data_directory", NULL, 0022, false };
	uid_t	uid;

	if (!check_owner(c, &uid))
		return;
	if (check_dir(c, &queue, c->params->queue_directory, uid))
		for (size_t i = 0; i < NELEM(parts); i++)
			check_dir(c, &parts[i], c->params->queue_directory, uid);
	if (check_dir(c, &data, c->params->data_directory, uid)) {
		check_room(c);
		check_tables(c, uid);
		if (!c->running)
			check_shared(c);
	}
}
