/* tests/lib/db_rig.h - a db_store over fake_pg: a toy kind of records, a table, a server that keeps rows, a clock that stands still
 * A toy record is a version and a text; the higher version wins. A key that begins with @ is broad: it voids clean entries whose
 * key ends like it. A text that begins with ! is no valid row, one that begins with - is not for the database.
 */
#ifndef TESTS_DB_RIG_H
#define TESTS_DB_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include <global/db_store.h>

#include "fake_pg.h"

#define RIG_NOW		1700000000
#define RIG_TIMEOUT_MS	1000
#define RIG_SYNC_MS	1000
#define RIG_ROWS	4096

struct rig_row {			/* in the server */
	char	key[64], text[64];
	int64_t	version, changed, origin;
};

struct rig_entry {			/* in tier 1 */
	bool	there, dirty;
	uint32_t mark;
	int64_t	version;
	char	text[64];
};

/* what the server was asked, by the name that stands where SQL would: "claim", "read" ...; "lease", "keep", "host" for the housework's */
enum rig_sql { RIG_CHECK, RIG_CLAIM, RIG_PLAIN, RIG_READ, RIG_WRITE, RIG_RELEASE, RIG_PULL, RIG_NEWEST, RIG_CLEAN_TO, RIG_CLEAN,
	RIG_LEASE, RIG_KEEP, RIG_HOST, RIG_SQLS };

struct db_rig {
	struct ev_loop *loop;
	struct shmtab *table;
	struct db_store *ds;
	struct db_kind kind;
	struct db_store_conf conf;
	struct rig_row row[RIG_ROWS];
	unsigned rows;
	unsigned asked[RIG_SQLS];
	unsigned keys[RIG_SQLS];		/* in $1 of the last of each */
	/* hook: a test's own answer; true when it gave one */
	bool	(*hook)(enum rig_sql, const struct fake_query *, struct fake_answer *);
	bool	lease;				/* whether it is given */
};
extern struct db_rig rig;

/* rig_setup, rig_teardown - for cmocka; a store whose connection is up and whose first pull is done
 * teardown fails when a connection or a result is left */
int	rig_setup(void **state);
int	rig_setup_closed(void **state);		/* the same without the store: rig_open when the server is as it should be */
int	rig_teardown(void **state);
void	rig_open(void);
void	rig_turns(void);			/* serve what is there, the clock stands */
void	rig_pass(int64_t ms);
struct rig_row *rig_row_put(const char *key, int64_t version, const char *text, int64_t changed, int64_t origin);
struct rig_row *rig_row_find(const char *key);
void	rig_put(const char *key, int64_t version, const char *text, bool dirty);
struct rig_entry rig_get(const char *key);
/* rig_forget_asked - counts begin again */
void	rig_forget_asked(void);

#endif
