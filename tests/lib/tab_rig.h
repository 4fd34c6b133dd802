/* tests/lib/tab_rig.h - tables of shared memory for their tests: one in test_dir; values that show whether they were ever stored */
#ifndef TESTS_TAB_RIG_H
#define TESTS_TAB_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <util/shmtab.h>

#define TAB_NOW		1000000
#define TAB_MB		((uint64_t) 1 << 20)
#define TAB_WORKERS	4

/* tab_setup, tab_teardown - a folder; the latter fails when other files are left in it than "tab", "tab.new" and "other" */
int	tab_setup(void **state);
int	tab_teardown(void **state);
/* tab_rnd - below a number; the same numbers in each run, from tab_setup or tab_seed on */
extern uint64_t tab_random;
void	tab_seed(void);
uint32_t tab_rnd(uint32_t below);
int64_t	tab_now_us(void);
/* tab_fork - a child, in which tab_open ends the process when it fails: no test of its own can fail there */
pid_t	tab_fork(void);
enum {					/* how children end that have something to say */
	CHILD_BAD_VALUE = 10, CHILD_FAILED, CHILD_WAITED, CHILD_WENT_BACK, CHILD_CLEAN_FAILED, CHILD_OPEN, CHILD_CHECK,
	CHILD_WALK,
};

struct shmtab *tab_open(uint64_t bytes);		/* the file "tab" */
struct shmtab_stat tab_stat(struct shmtab *);
const char *tab_get(struct shmtab *, const char *key);	/* the value as a string, or NULL; good until the next call */

/* tab_memory - a table that no other process has
 * tab_put      a string for a string; tab_put_val: with all that comes with it, as shmtab_modify
 * tab_put_fn   a shmtab_fn for struct tab_put */
struct shmtab *tab_memory(uint64_t bytes);
struct tab_put {
	enum shmtab_act act;
	struct shmtab_val val;
	bool	found;			/* results: what was there */
	struct shmtab_val old;
	char	old_data[SHMTAB_VAL_MAX];
};
enum shmtab_act tab_put_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new_r);
int	tab_put_val(struct shmtab *, const char *key, const char *val, int64_t expire_s, uint32_t mark, bool pinned);
void	tab_put(struct shmtab *, const char *key, const char *val);

/* values of numbered keys: key, version, filler, and a checksum of their own. A version that is a multiple of 3 expires, one of 64
 * is long; every fourth key is pinned, the version is the mark */
struct tab_value {
	uint32_t key, version;
	uint64_t sum;
	unsigned char filler[];
};
size_t	tab_key(char key[32], uint32_t n);
bool	tab_key_parse(const void *key, size_t len, uint32_t *n_r);
bool	tab_valid(const void *data, size_t len, uint32_t n);
/* tab_change - put or delete such a value, as shmtab_modify
 * sig	     when not 0: sent to oneself, inside the lock
 * bad_r     something was there that nobody stored */
int	tab_change(struct shmtab *, uint32_t n, uint32_t version, enum shmtab_act, int sig, bool *bad_r);
/* tab_version - of what is stored for key n: 0 none; -1 the lock was not had; -2 it was never stored */
int64_t	tab_version(struct shmtab *, uint32_t n);
/* tab_keep_fn - for shmtab_clean and shmtab_walk: keeps all; *ctx, a bool, is false when something was never stored */
bool	tab_keep_fn(void *ctx, const void *key, size_t len, const struct shmtab_val *);

#endif
