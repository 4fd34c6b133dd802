/* util/utf8.h - UTF-8 as RFC 3629 has it: no over-long forms, no surrogates, nothing above U+10FFFF
 * Non-characters such as U+FFFE are allowed (spec verify-protocol section 5.4).
 */
#ifndef UTIL_UTF8_H
#define UTIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* utf8_seq - length (1 to 4) of the valid sequence at p, n bytes long at most; 0 when there is none */
size_t	utf8_seq(const char *p, size_t n);
bool	utf8_valid(const char *, size_t n);
bool	utf8_is_ascii(const char *, size_t n);	/* no byte above 127 */
/* utf8_sanitise - in place: control characters, DEL and what is not valid UTF-8 become '?', byte by byte
 * allow_utf8 false: everything outside 20..7e does (spec verify-protocol section 8.2) */
void	utf8_sanitise(char *, size_t n, bool allow_utf8);
/* utf8_cut - the largest length <= max at which s (n bytes) can be cut without splitting a sequence */
size_t	utf8_cut(const char *s, size_t n, size_t max);

#endif
