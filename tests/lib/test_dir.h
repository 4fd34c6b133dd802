/* tests/lib/test_dir.h - a folder of its own for each test, in $TMPDIR or /tmp, gone with all that is in it when the test ends */
#ifndef TESTS_TEST_DIR_H
#define TESTS_TEST_DIR_H

#define TEST_DIR_MAX	200

extern char test_dir[TEST_DIR_MAX];
extern int test_dirfd;

/* for cmocka_unit_test_setup_teardown, or to be called by functions that have more to do; state is not looked at */
int	test_dir_make(void **state);
int	test_dir_remove(void **state);
void	test_dir_file(const char *name, const char *text);	/* write one, anew */

#endif
