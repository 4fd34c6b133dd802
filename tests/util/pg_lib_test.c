/* tests/util/pg_lib_test.c - libpq as it is installed: all that we use is there, and it is loaded only when asked for */
#include <util/pg_lib.h>

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
loaded_on_demand_and_once(void **state)
{
	const struct pg_lib *lib;
	const char *why = NULL;

	(void) state;
	assert_null(dlopen(PG_LIB_NAME, RTLD_NOW | RTLD_NOLOAD));	/* who needs no database does not pay for it */
	lib = pg_lib_load(&why);
	if (lib == NULL)
		fail_msg("%s", why);
	assert_ptr_equal(pg_lib_load(&why), lib);
#define F(type, name, args) assert_non_null(lib->name);
	PG_LIB_FUNCTIONS(F)
#undef F
	assert_true(lib->libVersion() >= 140000);
}

static void
what_was_loaded_is_libpq(void **state)
{
	const char *why;
	const struct pg_lib *lib = pg_lib_load(&why);
	PQconninfoOption *o;
	char   *reason = NULL;

	(void) state;
	assert_non_null(o = lib->conninfoParse("host=a", &reason));
	lib->conninfoFree(o);
	assert_null(lib->conninfoParse("hst=a", &reason));
	assert_non_null(strstr(reason, "hst"));
	lib->freemem(reason);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loaded_on_demand_and_once),
		cmocka_unit_test(what_was_loaded_is_libpq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
