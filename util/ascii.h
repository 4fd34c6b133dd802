/* util/ascii.h - letters A to Z, whatever the locale: names of hosts and domains, addresses (RFC 4343; RFC 5321 section 2.4)
 * Bytes outside ASCII are left as they are, so UTF-8 stays UTF-8.
 */
#ifndef UTIL_ASCII_H
#define UTIL_ASCII_H

#include <stddef.h>

/* ascii_lower - A-Z to a-z, in place */
void	ascii_lower(char *, size_t n);

#endif
