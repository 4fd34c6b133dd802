/* daemons/smtpd/loader.c - the code of a plugin: built in, or a shared object
 * A shared object is trusted as the daemon is: it must belong to root or to whom the daemon runs as, and nobody else may be
 * able to write to it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <util/mem.h>

#include "smtpd.h"

static const struct vh_plugin *const loader_builtin[] = {
#define BUILTIN(name) &vh_builtin_##name,
#include "builtin.def"
#undef BUILTIN
	NULL
};

const struct vh_plugin *const *loader_more;

static const struct vh_plugin *
loader_refuse(void *so, struct buf *why, const char *path, const char *what)
{
	buf_addf(why, "%s: %s", path, what);
	if (so != NULL)
		dlclose(so);
	return NULL;
}

static const struct vh_plugin *
loader_open(const char *path, struct buf *why)
{
	const struct vh_plugin *p;
	struct stat st;
	void   *so;

	if (stat(path, &st) < 0)
		return loader_refuse(NULL, why, path, strerror(errno));
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0)
		return loader_refuse(NULL, why, path, "others can change this file: it must belong to root, mode 0755 or less");
	if ((so = dlopen(path, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		buf_addf(why, "%s", dlerror());
		return NULL;
	}
	if ((p = dlsym(so, "vouch_plugin")) == NULL)
		return loader_refuse(so, why, path, "is no plugin: it defines no vouch_plugin");
	if (p->abi != VH_ABI) {
		buf_addf(why, "%s: made for plugin interface %d, this program has %d: compile it again", path, p->abi, VH_ABI);
		dlclose(so);
		return NULL;
	}
	return p;			/* never unloaded: its code may still be on somebody's list */
}

static const char *
loader_check(const struct vh_plugin *p)
{
	if (p->hooks == NULL)
		return "has no table of hooks";
	for (const struct vh_hook_fn *h = p->hooks; h->hook != VH_END; h++)
		if ((unsigned) h->hook >= VH_HOOKS || h->fn == NULL)
			return "has a bad table of hooks";
	return NULL;
}

const struct vh_plugin *
loader_find(const char *name, const char *dirs, struct buf *why)
{
	const struct vh_plugin *p = NULL;
	const char *dir, *bad;
	char   *path;
	size_t	n;

	for (size_t i = 0; i + 1 < NELEM(loader_builtin); i++)
		if (strcmp(loader_builtin[i]->name, name) == 0)
			return loader_builtin[i];
	for (const struct vh_plugin *const *more = loader_more; more != NULL && *more != NULL; more++)
		if (strcmp((*more)->name, name) == 0)
			return *more;
	for (dir = dirs; p == NULL && *(dir += strspn(dir, " \t,")) != 0; dir += n) {
		n = strcspn(dir, " \t,");
		path = mem_printf("%.*s/%s.so", (int) n, dir, name);
		if (access(path, F_OK) == 0 && (p = loader_open(path, why)) == NULL) {
			mem_free(&path);
			return NULL;
		}
		mem_free(&path);
	}
	if (p == NULL) {
		buf_addf(why, "no plugin %s: it is not built in, and there is no %s.so in smtpd_plugin_directory (%s)", name, name,
		    *dirs != 0 ? dirs : "which is empty");
		return NULL;
	}
	if ((bad = loader_check(p)) != NULL) {
		buf_addf(why, "plugin %s %s", name, bad);
		return NULL;
	}
	return p;
}
