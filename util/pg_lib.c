/* util/pg_lib.c - the part of libpq that we use, as a struct of functions */
#include "pg_lib.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static struct pg_lib pg_lib;

static const struct {
	const char *symbol;
	size_t	    offset;
} pg_lib_table[] = {
#define F(type, name, args) { "PQ" #name, offsetof(struct pg_lib, name) },
	PG_LIB_FUNCTIONS(F)
#undef F
};

const struct pg_lib *
pg_lib_load(const char **why_r)
{
	static bool loaded;
	void   *so, *fn;

	if (loaded)
		return &pg_lib;
	if ((so = dlopen(PG_LIB_NAME, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		*why_r = PG_LIB_NAME " cannot be loaded: install the package libpq5";
		return NULL;
	}
	for (size_t i = 0; i < sizeof pg_lib_table / sizeof pg_lib_table[0]; i++) {
		if ((fn = dlsym(so, pg_lib_table[i].symbol)) == NULL) {
			*why_r = PG_LIB_NAME " is older than version 14: it has no pipeline mode";
			dlclose(so);
			return NULL;
		}
		memcpy((char *) &pg_lib + pg_lib_table[i].offset, &fn, sizeof fn);
	}
	loaded = true;
	return &pg_lib;
}
