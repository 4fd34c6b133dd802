/* util/mem.h - allocate or die
 * For allocations whose size our own code decides. Sizes that a peer decides go through
 * buf.h, which has a limit and reports it. All memory is zeroed; running out is fatal
 * (the master restarts a daemon; a client asks again).
 */
#ifndef UTIL_MEM_H
#define UTIL_MEM_H

#include <stddef.h>
#include <stdlib.h>

#define NELEM(a)	(sizeof(a) / sizeof((a)[0]))

/* mem_alloc, mem_array - zeroed memory, never NULL; n * size is checked */
void	*mem_alloc(size_t size);
void	*mem_array(size_t n, size_t size);
/* mem_grow - resize to n elements; p may be NULL; new bytes are not zeroed */
void	*mem_grow(void *p, size_t n, size_t size);
char	*mem_strdup(const char *);
char	*mem_strndup(const char *, size_t len);
/* mem_printf - formatted copy on the heap, never NULL */
char	*mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* mem_free - free and null: mem_free(&p); NULL is fine */
#define mem_free(pp)	do { free(*(pp)); *(pp) = NULL; } while (0)

#endif
