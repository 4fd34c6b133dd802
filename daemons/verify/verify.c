/* daemons/verify/verify.c - the address verification worker: start-up, and the timers of the house
 * Any number of workers of one host share the table in data_directory; see README_FILES/PROTOCOL_README for what they
 * speak and global/address_record.h for the rules.
 */
#include "verify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>

#define VERIFY_TABLE_NAME	"internal:verify"	/* as verify(8) calls its table in memory in the log */
#define VERIFY_HOUSE_MS		250			/* counters are handed over, the table's file is looked at */
#define VERIFY_WARNED_S		10			/* workers that start together say it once */
#define VERIFY_CLEAN_LATE_S	60			/* a cleanup run that says nothing for so long has died */

/* shared words of our own, above those of the store */
enum { VERIFY_WORD_CLEANED = SHMTAB_WORDS - 1, VERIFY_WORD_CLEANING = SHMTAB_WORDS - 2, VERIFY_WORD_WARNED = SHMTAB_WORDS - 3 };
_Static_assert((int) VERIFY_STORE_WORDS + (int) DB_WORDS <= (int) VERIFY_WORD_WARNED, "the store leaves room");

struct verify_conf verify_conf;
struct verify_store *verify_store;
struct ev_loop *verify_loop;

static const struct params *verify_params;
static const struct pg_lib *verify_pg;		/* NULL: no database */
static struct db_conf *verify_db;
static struct buf verify_map_trouble = BUF_INIT(8192);
static int verify_data_fd = -1;
static struct ev_timer verify_house_timer;

/* cache cleanup: one worker of the host at a time, one part of the table per turn (spec verify-protocol section 10) */

static struct {
	bool	 running;
	unsigned part;
	uint64_t retained, dropped;
	int64_t	 stamp_s;		/* what VERIFY_WORD_CLEANING holds while we are at it */
	struct ev_timer timer;
} verify_clean;

static _Atomic uint64_t *
verify_word(int i)
{
	return &shmtab_words(verify_store_table(verify_store))[i];
}

static void
verify_clean_log(const char *how)
{
	msg_info("cache %s %s cleanup: retained=%llu dropped=%llu entries", VERIFY_TABLE_NAME, how,
	    (unsigned long long) verify_clean.retained, (unsigned long long) verify_clean.dropped);
}

static void
verify_clean_part(void *ctx)
{
	int64_t now = ev_wall_s(verify_loop);

	(void) ctx;
	/* a part that is busy is left for the next run */
	verify_store_clean(verify_store, verify_clean.part, now, &verify_clean.retained, &verify_clean.dropped);
	if (++verify_clean.part < verify_store_parts(verify_store)) {
		atomic_store(verify_word(VERIFY_WORD_CLEANING), (uint64_t) now);
		ev_timer_set(verify_loop, &verify_clean.timer, 0, verify_clean_part, NULL);
		return;
	}
	atomic_store(verify_word(VERIFY_WORD_CLEANED), (uint64_t) now);
	atomic_store(verify_word(VERIFY_WORD_CLEANING), 0);
	verify_clean.running = false;
	stats_add(STAT_cleanups, 1);
	stats_add(STAT_cleaned, verify_clean.dropped);
	verify_clean_log("full");
}

static void
verify_clean_if_due(void)
{
	int64_t interval_s = verify_params->address_verify_cache_cleanup_interval / 1000, now = ev_wall_s(verify_loop);
	uint64_t cleaned = atomic_load(verify_word(VERIFY_WORD_CLEANED));
	uint64_t cleaning = atomic_load(verify_word(VERIFY_WORD_CLEANING));

	if (verify_clean.running || interval_s == 0)
		return;
	if (cleaned > (uint64_t) now) {		/* the clock was set back: not later than one interval from now */
		atomic_store(verify_word(VERIFY_WORD_CLEANED), (uint64_t) now);
		return;
	}
	if (now - (int64_t) cleaned < interval_s)
		return;
	if (cleaning <= (uint64_t) now && now - (int64_t) cleaning < VERIFY_CLEAN_LATE_S)
		return;				/* another worker is at it */
	if (!atomic_compare_exchange_strong(verify_word(VERIFY_WORD_CLEANING), &cleaning, (uint64_t) now))
		return;
	verify_clean.running = true;
	verify_clean.part = 0;
	verify_clean.retained = verify_clean.dropped = 0;
	ev_timer_set(verify_loop, &verify_clean.timer, 0, verify_clean_part, NULL);
}

/* the house */

static void
verify_tally(void)
{
	stats_flush(shmtab_words(verify_store_table(verify_store)));
}

static void
verify_house(void *ctx)
{
	static long long last;
	struct buf why = BUF_INIT(1024);

	(void) ctx;
	if (verify_store_check(verify_store, &why) < 0 && msg_rate(&last, 60000))
		msg_warn("%s: the cache is not shared with other workers until this is mended", buf_str(&why));
	buf_fini(&why);
	verify_clean_if_due();
	verify_probe_count();
	verify_tally();
	ev_timer_set(verify_loop, &verify_house_timer, VERIFY_HOUSE_MS, verify_house, NULL);
}

static void
verify_leaving(void)
{
	if (verify_clean.running && verify_clean.part > 0)
		verify_clean_log("partial");
	verify_tally();
	verify_store_close(&verify_store);
}

/* start-up */

/* verify_map - what address_verify_map names; if it cannot be used, verify_map_trouble says why */
static void
verify_map(const struct params *p)
{
	struct buf why = BUF_INIT(1024);
	const char *reason;

	if (p->address_verify_map[0] == 0)
		return;
	buf_adds(&verify_map_trouble, "address_verify_map = ");
	db_conf_hide(&verify_map_trouble, p->address_verify_map);
	if (!db_conf_is(p->address_verify_map))
		buf_adds(&verify_map_trouble, ": this table type is not supported; set it to nothing, or to pgsql:... to share the "
		    "cache with other hosts (DATABASE_README)");
	else if ((verify_pg = pg_lib_load(&reason)) == NULL)
		buf_addf(&verify_map_trouble, ": %s", reason);
	else if ((verify_db = db_conf_read(verify_pg, p->address_verify_map, "vouch/verify", &why)) == NULL)
		buf_addf(&verify_map_trouble, ": %s", buf_str(&why));
	else
		buf_fini(&verify_map_trouble);
	verify_conf.commit_wait = verify_db != NULL && strcmp(p->address_verify_map_commit, "async") != 0;
	buf_fini(&why);
}

/* verify_map_warn - once for all workers */
static void
verify_map_warn(void)
{
	uint64_t now = (uint64_t) ev_wall_s(verify_loop), last = atomic_load(verify_word(VERIFY_WORD_WARNED));

	if (verify_map_trouble.len > 0 && (last > now || now - last > VERIFY_WARNED_S) &&
	    atomic_compare_exchange_strong(verify_word(VERIFY_WORD_WARNED), &last, now))
		msg_warn("%s: the cache is kept on this host only", buf_str(&verify_map_trouble));
}

static void
verify_pre_jail(const struct params *p, const struct main_cf *cf)
{
	(void) cf;
	verify_params = p;
	verify_conf.hold_ms = p->address_verify_hold_time;
	verify_conf.smtputf8 = p->smtputf8_enable;
	verify_conf.str_max = 4 * (size_t) p->line_length_limit;
	if (verify_conf.str_max <= SHMTAB_KEY_MAX)	/* an address that was cut is then too long to be a key */
		verify_conf.str_max = SHMTAB_KEY_MAX + 1;
	verify_conf.detail = reason_detail_find(p->address_verify_reason_detail);
	verify_map(p);
	if ((verify_data_fd = open(p->data_directory, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		msg_warn("data_directory %s: %s: the cache is not shared with other workers and not kept",
		    p->data_directory, strerror(errno));
}

static void
verify_connect(void)
{
	struct db_store_conf conf = {
		.lib = verify_pg,
		.where = verify_db,
		.timeout_ms = verify_params->address_verify_map_timeout,
		.sync_ms = verify_params->address_verify_sync_interval,
		.clean_s = verify_params->address_verify_cache_cleanup_interval / 1000,
		.host_name = verify_params->myhostname,
	};

	verify_map_warn();
	if (verify_db != NULL)
		verify_store_connect(verify_store, verify_loop, &conf, verify_conf.commit_wait);
}

static void
verify_start(struct ev_loop *loop)
{
	struct verify_store_conf conf = {
		.smtputf8 = verify_conf.smtputf8,
		.bytes = verify_params->address_verify_cache_size,
	};
	struct shmtab_stat st;
	struct buf why = BUF_INIT(1024);

	verify_loop = loop;
	address_rules_init(&conf.rules, verify_params);
	if (verify_store_open(&verify_store, verify_data_fd, &conf, &why) < 0)
		msg_warn("%s in data_directory %s: the cache is not shared with other workers and not kept",
		    buf_str(&why), verify_params->data_directory);
	buf_fini(&why);
	sock_close(&verify_data_fd);
	shmtab_stat(verify_store_table(verify_store), &st);
	if (st.rebuilt)
		msg_info("cache file %s is new: there was none, or it was damaged or of another version",
		    VERIFY_STORE_FILE);
	verify_probe_init(verify_params);
	verify_connect();
	stats_add(STAT_workers, 1);
	verify_house(NULL);
}

static bool
verify_busy(void)
{
	return verify_probe_busy() || verify_wait_busy();
}

static const struct multi_server verify_ops = {
	.name = "verify",
	.persistent = true,
	.pre_jail = verify_pre_jail,
	.start = verify_start,
	.opened = verify_opened,
	.input = verify_input,
	.closed = verify_closed,
	.busy = verify_busy,
	.leaving = verify_leaving,
	.tally = verify_tally,
};

int
main(int argc, char **argv)
{
	multi_server_main(argc, argv, &verify_ops);
}
