/* util/mem.c - allocate or die */
#include "mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <util/msg.h>

static void *
mem_check(void *p, size_t n)
{
	if (p == NULL)
		msg_fatal("out of memory (%zu bytes)", n);
	return p;
}

void *
mem_alloc(size_t size)
{
	return mem_check(calloc(1, size > 0 ? size : 1), size);
}

void *
mem_array(size_t n, size_t size)
{
	void   *p = calloc(n > 0 ? n : 1, size > 0 ? size : 1);	/* checks n * size */

	return mem_check(p, n);
}

void *
mem_grow(void *p, size_t n, size_t size)
{
	return mem_check(reallocarray(p, n > 0 ? n : 1, size > 0 ? size : 1), n);
}

char *
mem_strdup(const char *s)
{
	return mem_check(strdup(s), strlen(s));
}

char *
mem_strndup(const char *s, size_t len)
{
	return mem_check(strndup(s, len), len);
}

char *
mem_printf(const char *fmt, ...)
{
	char   *s;
	va_list ap;
	int	n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return mem_check(n < 0 ? NULL : s, 0);
}
