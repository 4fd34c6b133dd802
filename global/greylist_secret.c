/* global/greylist_secret.c - the file with the secret of greylisting */
#include "greylist_secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <util/sock.h>

#define SECRET_TEXT	(2 * GREYLIST_SECRET_LEN + 1)

enum greylist_secret
greylist_secret_read(int dirfd, const char *name, unsigned char secret_r[GREYLIST_SECRET_LEN], const char **why_r)
{
	char	text[SECRET_TEXT + 1];
	int	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	unsigned byte;
	ssize_t n;

	if (fd < 0) {
		*why_r = "cannot be read";
		return errno == ENOENT ? GREYLIST_SECRET_NONE : GREYLIST_SECRET_BAD;
	}
	n = read(fd, text, sizeof text);
	sock_close(&fd);
	*why_r = "does not hold 32 hexadecimal digits";
	errno = 0;
	if (n != SECRET_TEXT || text[n - 1] != '\n')
		return GREYLIST_SECRET_BAD;
	for (int i = 0; i < GREYLIST_SECRET_LEN; i++) {
		if (!isxdigit((unsigned char) text[2 * i]) || !isxdigit((unsigned char) text[2 * i + 1]) ||
		    sscanf(text + 2 * i, "%2x", &byte) != 1)
			return GREYLIST_SECRET_BAD;
		secret_r[i] = (unsigned char) byte;
	}
	return GREYLIST_SECRET_READ;
}

int
greylist_secret_write(int dirfd, const char *name, const unsigned char secret[GREYLIST_SECRET_LEN], bool replace)
{
	char	text[SECRET_TEXT + 1], temp[256];
	int	fd, saved;

	for (int i = 0; i < GREYLIST_SECRET_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", secret[i]);
	strcpy(text + 2 * GREYLIST_SECRET_LEN, "\n");
	if (snprintf(temp, sizeof temp, "%s.%d", name, (int) getpid()) >= (int) sizeof temp) {
		errno = ENAMETOOLONG;
		return -1;
	}
	(void) unlinkat(dirfd, temp, 0);
	if ((fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
		return -1;
	if (write(fd, text, SECRET_TEXT) == SECRET_TEXT && fsync(fd) == 0 &&
	    (replace ? renameat(dirfd, temp, dirfd, name) : linkat(dirfd, temp, dirfd, name, 0)) == 0) {
		if (!replace)
			(void) unlinkat(dirfd, temp, 0);
		sock_close(&fd);
		return 0;
	}
	saved = errno;
	(void) unlinkat(dirfd, temp, 0);
	sock_close(&fd);
	errno = saved;
	return -1;
}
