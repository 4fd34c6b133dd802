/* util/shmtab_file.h - the file of a shared table: made, checked, replaced, mapped
 * Decisions about the file at a name are taken under a lock on that file (shmtab_file_lock), and a new file gets its
 * name only when it is complete. The head lies in front of the parts; what a process needs of it is copied when it
 * attaches and never read again. If the file is cut short under a mapping, the mapping turns into empty private memory and
 * says so (`lost`) instead of ending the process.
 */
#ifndef UTIL_SHMTAB_FILE_H
#define UTIL_SHMTAB_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <util/shmtab_part.h>

#define SHMTAB_FILE_HEAD 8192	/* bytes in front of the parts' heads, behind which are their bodies */

struct shmtab_file;		/* shared; in shmtab_file.c */

struct shmtab_map {		/* private */
	struct shmtab_geo geo;
	struct shmtab_seat seat;
	unsigned char *base;
	int	 fd;
	dev_t	 dev;
	ino_t	 ino;
	volatile bool lost;	/* set by the signal handler */
	struct shmtab_map *next;/* the handler's list */
};

struct shmtab_where {
	int	 dirfd;
	const char *name;	/* NULL: anonymous memory */
	uint64_t bytes;		/* wanted size */
	bool	 hashed;	/* wanted: its keys are hashes themselves */
	bool	 any_size;	/* a table of another size or hash is as good */
	bool	 create;	/* false: only what is there, whatever its size and hash */
	int	 wait_ms;	/* for others who are at the same */
};

/* shmtab_map_open - attach, after making or replacing the file if need be
 * old       what this process had before, or NULL: its seat is kept if possible, and if it is `lost`, that file is
 *	     not used again
 * rebuilt_r a file was there, but not usable
 * why_r     static text: on failure; or on success, when a table had to be kept in another size (else NULL)
 * returns   0 (with NULL when old is still the right one), or -1 with errno
 */
int	shmtab_map_open(struct shmtab_map **, const struct shmtab_where *, const struct shmtab_map *old,
	    bool *rebuilt_r, const char **why_r);
void	shmtab_map_close(struct shmtab_map **);
/* shmtab_map_current - whether dirfd/name is still this file, whole; mends damage to its head */
bool	shmtab_map_current(struct shmtab_map *, int dirfd, const char *name);
void	shmtab_map_part(const struct shmtab_map *, uint32_t n, struct shmtab_part *);
_Atomic uint64_t *shmtab_map_words(struct shmtab_map *);

#endif
