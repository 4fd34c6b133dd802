/* commands/vouch/check_dirs.c - the directories of an instance: there, owned, closed to others, with room
 * source: spec master-cf section 2, adapted: without root everything belongs to the one who runs it.
 */

#include <errno.h>
#include <fcntl.h>
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
	const struct passwd *pw = getpwnam(name);
	uid_t	me = geteuid();
	char	number[32];

	*uid_r = pw != NULL ? pw->pw_uid : me;
	snprintf(number, sizeof(number), "%u", (unsigned) me);
	if (pw == NULL && (me == 0 || strcmp(name, number) != 0)) {
		check_error(c, "%s: parameter mail_owner: no user '%s': make the user, or name another",
		    main_cf_path(c->cf), name);
		return false;
	}
	if (me != 0 && me != *uid_r) {
		check_error(c, "%s: parameter mail_owner: '%s' (uid %u) is not you (uid %u): run this as %s or as root",
		    main_cf_path(c->cf), name, (unsigned) *uid_r, (unsigned) me, name);
		return false;
	}
	return true;
}

/* check_dir - one directory
 * path      what it is for is said by `what`, a parameter or a name under one
 * root_too  may belong to root as well as to uid
 * closed    mode bits that must not be set
 * may_lack  start makes it
 * returns   whether it is there and usable
 */
static bool
check_dir(struct check *c, const char *what, const char *path, uid_t uid, bool root_too, mode_t closed, bool may_lack)
{
	unsigned errors = c->errors;
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno != ENOENT || !may_lack)
			check_error(c, "%s: %s: %s: %s", path, what, strerror(errno),
			    errno == EACCES ? "run this as root or as mail_owner" : "make it, or correct main.cf");
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		check_error(c, "%s: %s: not a directory: remove it, or correct main.cf", path, what);
		return false;
	}
	if (st.st_uid != uid && !(root_too && st.st_uid == 0))
		check_error(c, "%s: %s: belongs to uid %u, not to mail_owner (uid %u): chown it", path, what,
		    (unsigned) st.st_uid, (unsigned) uid);
	if ((st.st_mode & closed) != 0)
		check_error(c, "%s: %s: mode %04o is open to others: chmod %04o", path, what,
		    (unsigned) st.st_mode & 07777, (unsigned) (st.st_mode & 07777 & ~closed));
	return c->errors == errors;
}

static void
check_room(struct check *c)
{
	struct statvfs fs;
	struct stat st;
	char   *file = mem_printf("%s/%s", c->params->data_directory, VERIFY_STORE_FILE);
	uint64_t have = stat(file, &st) == 0 ? (uint64_t) st.st_blocks * 512 : 0, need = c->params->address_verify_cache_size;
	uint64_t room;

	if (statvfs(c->params->data_directory, &fs) == 0) {
		room = (uint64_t) fs.f_bavail * fs.f_frsize;
		if (need > have && need - have > room)
			check_error(c, "%s: parameter address_verify_cache_size: %lluk more are needed in %s, %lluk are free: "
			    "make it smaller, or make room", main_cf_path(c->cf), (unsigned long long) (need - have) / 1024,
			    c->params->data_directory, (unsigned long long) room / 1024);
	}
	free(file);
}

static void
check_logfile(struct check *c)
{
	const char *file = c->params->maillog_file;
	char   *dir = mem_strdup(file), *slash = strrchr(dir, '/');

	if (slash != NULL && strncmp(file, "/dev/", 5) != 0) {
		*(slash == dir ? slash + 1 : slash) = 0;
		if (access(file, W_OK) < 0 && (errno != ENOENT || access(dir, W_OK | X_OK) < 0))
			check_error(c, "%s: maillog_file: %s: correct main.cf, or make the directory writable", file,
			    strerror(errno));
	} else if (file[0] != 0 && slash == NULL) {
		check_error(c, "%s: maillog_file: not an absolute path: correct main.cf", file);
	}
	free(dir);
}

/* check_shared - no other instance may have its cache where ours is */
static void
check_shared(struct check *c)
{
	struct buf why = BUF_INIT(4096);
	char   *path = mem_printf("%s/%s", c->params->data_directory, PIDFILE_LOCK_DATA);
	pid_t	pid;

	switch (pidfile_lock_test(path, &pid, &why)) {
	case PIDFILE_FREE:
		break;
	case PIDFILE_HELD:
		check_error(c, "%s: data_directory: in use by another master, pid %d: give each instance its own",
		    c->params->data_directory, (int) pid);
		break;
	case PIDFILE_ERROR:
		check_error(c, "data_directory: %s", buf_str(&why));
		break;
	}
	buf_fini(&why);
	free(path);
}

void
check_dirs(struct check *c)
{
	static const struct { const char *name; mode_t closed; bool root_too; } parts[] = {
		{ "private", 0077, false },
		{ "public",  0007, false },
		{ "pid",     0022, true },
	};
	const struct params *p = c->params;
	uid_t	uid;

	check_logfile(c);
	if (!check_owner(c, &uid))
		return;
	if (check_dir(c, "queue_directory", p->queue_directory, uid, true, 0022, false)) {
		for (size_t i = 0; i < NELEM(parts); i++) {
			char   *path = mem_printf("%s/%s", p->queue_directory, parts[i].name);

			check_dir(c, "part of queue_directory", path, uid, parts[i].root_too, parts[i].closed, true);
			free(path);
		}
	}
	if (check_dir(c, "data_directory", p->data_directory, uid, false, 0022, false)) {
		check_room(c);
		if (!c->running)
			check_shared(c);
	}
}
