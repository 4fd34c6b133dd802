/* tests/lib/test_dir.c - a folder of its own for each test */
#include "test_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

char test_dir[TEST_DIR_MAX];
int test_dirfd = -1;

int
test_dir_make(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void) state;
	snprintf(test_dir, sizeof test_dir, "%s/vouch-test.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(test_dir) == NULL)
		return -1;
	return (test_dirfd = open(test_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ? -1 : 0;
}

int
test_dir_remove(void **state)
{
	char   *command = mem_printf("rm -rf %s", test_dir);
	int	ret = system(command);

	(void) state;
	sock_close(&test_dirfd);
	mem_free(&command);
	return ret;
}

void
test_dir_file(const char *name, const char *text)
{
	char   *path = mem_printf("%s/%s", test_dir, name);
	FILE   *fp = fopen(path, "w");

	if (fp == NULL || fputs(text, fp) < 0 || fclose(fp) != 0)
		msg_panic("%s cannot be written", path);
	mem_free(&path);
}
