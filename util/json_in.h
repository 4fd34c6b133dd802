/* util/json_in.h - reads JSON text (RFC 8259) of unknown origin: one string out of one object
 * No tree is built; the text is checked to its end, and nesting is bounded.
 */
#ifndef UTIL_JSON_IN_H
#define UTIL_JSON_IN_H

#include <stddef.h>

#include <util/buf.h>

/* json_member - the value of a member of the object that this text is; of several the last, as JavaScript has it
 * names     NULL-terminated: the first of these that the object has, in any case of ASCII letters
 * value     reset first; the string as UTF-8, NUL excluded (JSON_IN_BAD)
 * returns   JSON_IN_ABSENT: no such member; JSON_IN_TYPE: it is no string; JSON_IN_BAD: not JSON, no object, or value full
 */
enum json_in { JSON_IN_OK, JSON_IN_ABSENT, JSON_IN_TYPE, JSON_IN_BAD };
enum json_in json_member(const char *text, size_t n, const char *const *names, struct buf *value);

#endif
