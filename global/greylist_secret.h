/* global/greylist_secret.h - the file with the secret that keys the hashes of greylisting: 32 hexadecimal digits and a newline
 * With a plain hash anyone who reads a record could find the address by trying.
 */
#ifndef GLOBAL_GREYLIST_SECRET_H
#define GLOBAL_GREYLIST_SECRET_H

#include <global/greylist_key.h>

enum greylist_secret { GREYLIST_SECRET_READ, GREYLIST_SECRET_NONE, GREYLIST_SECRET_BAD };
/* greylist_secret_read - NONE: there is no such file; BAD: why_r, static text, and errno or 0 */
enum greylist_secret greylist_secret_read(int dirfd, const char *name, unsigned char secret_r[GREYLIST_SECRET_LEN],
	    const char **why_r);
/* greylist_secret_write - mode 0600, complete or not at all
 * replace   false: a file that is there stays, and -1 is returned with EEXIST
 * returns   0, or -1 with errno */
int	greylist_secret_write(int dirfd, const char *name, const unsigned char secret[GREYLIST_SECRET_LEN], bool replace);

#endif
