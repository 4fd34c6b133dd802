/* daemons/probe/inflight.c - addresses being probed, in shared memory, so that a successor can take over
 * A process that is killed leaves its entries; each entry names its owner, and an owner that does not live any more is
 * told by the table. One that drains gives away what it has not begun. Whoever finds such entries asks about those addresses
 * itself. The table is a convenience: without it, or when it is full, everything works, and a kill costs the probes of that
 * moment.
 */
#include "probe.h"

#include <errno.h>
#include <string.h>

#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/shmtab.h>

#define INFLIGHT_LOOK_MS  2000		/* how often we look for orphans */
#define INFLIGHT_BATCH	  1000		/* orphans taken in one go */

struct inflight_val {			/* and the sender behind it */
	uint32_t owner;			/* 0: nobody */
	uint32_t pad;
	int64_t	 born_s;
};

struct inflight_orphan {
	char   *addr, *sender;
	int64_t born_s;
};

static struct {
	struct ev_loop *loop;
	struct shmtab *table;
	int64_t	life_s;
	uint64_t own;			/* entries of ours */
	bool	(*room)(unsigned n);
	inflight_adopt_fn *adopt;
	struct ev_timer timer;
	struct inflight_orphan orphan[INFLIGHT_BATCH];
	size_t	orphans;
} inflight;

struct inflight_change {
	struct inflight_val val;
	struct buf bytes;
	bool	had;
};

static enum shmtab_act
inflight_put_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new_r)
{
	struct inflight_change *c = ctx;

	c->had = old != NULL;
	new_r->data = c->bytes.data;
	new_r->len = c->bytes.len;
	new_r->expire_s = c->val.born_s + inflight.life_s;
	return SHMTAB_PUT;
}

static void
inflight_write(const char *addr, const char *sender, int64_t born_s)
{
	struct inflight_change c = { .val = { .owner = shmtab_self(inflight.table), .born_s = born_s } };

	buf_init(&c.bytes, 8192);
	buf_add(&c.bytes, &c.val, sizeof c.val);
	buf_adds(&c.bytes, sender);
	if (shmtab_modify(inflight.table, addr, strlen(addr), ev_wall_s(inflight.loop), inflight_put_fn, &c) == 0 && !c.had)
		inflight.own++;
	buf_fini(&c.bytes);
}

void
inflight_put(const char *addr, const char *sender)
{
	if (inflight.table != NULL)
		inflight_write(addr, sender, ev_wall_s(inflight.loop));
}

static enum shmtab_act
inflight_delete_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new_r)
{
	struct inflight_change *c = ctx;

	(void) new_r;
	c->had = old != NULL;
	return old != NULL ? SHMTAB_DELETE : SHMTAB_KEEP;
}

void
inflight_delete(const char *addr)
{
	struct inflight_change c = { .had = false };

	if (inflight.table == NULL)
		return;
	shmtab_modify(inflight.table, addr, strlen(addr), ev_wall_s(inflight.loop), inflight_delete_fn, &c);
	if (c.had && inflight.own > 0)
		inflight.own--;
}

static enum shmtab_act
inflight_give_fn(void *ctx, const struct shmtab_val *old, struct shmtab_val *new_r)
{
	struct inflight_change *c = ctx;

	c->had = old != NULL && old->len >= sizeof c->val;
	if (!c->had)
		return SHMTAB_KEEP;
	memcpy(&c->val, old->data, sizeof c->val);
	c->val.owner = 0;
	buf_add(&c->bytes, &c->val, sizeof c->val);
	buf_add(&c->bytes, (const char *) old->data + sizeof c->val, old->len - sizeof c->val);
	new_r->data = c->bytes.data;
	new_r->len = c->bytes.len;
	new_r->expire_s = old->expire_s;
	return SHMTAB_PUT;
}

bool
inflight_give(const char *addr)
{
	struct inflight_change c = { .had = false };

	if (inflight.table == NULL)
		return false;
	buf_init(&c.bytes, 8192);
	if (shmtab_modify(inflight.table, addr, strlen(addr), ev_wall_s(inflight.loop), inflight_give_fn, &c) < 0)
		c.had = false;
	if (c.had && inflight.own > 0)
		inflight.own--;
	buf_fini(&c.bytes);
	return c.had;
}

/* inflight_look - one entry: an orphan is noted; what is too old for anybody to wait for goes */
static bool
inflight_look(void *ctx, const void *key, size_t keylen, const struct shmtab_val *v)
{
	struct inflight_val val;
	struct inflight_orphan *o;

	(void) ctx;
	if (v->len < sizeof val)
		return false;
	memcpy(&val, v->data, sizeof val);
	if (val.owner != 0 && (val.owner == shmtab_self(inflight.table) || shmtab_alive(inflight.table, val.owner)))
		return true;
	if (val.born_s > ev_wall_s(inflight.loop) || ev_wall_s(inflight.loop) - val.born_s >= inflight.life_s)
		return false;
	if (inflight.orphans == INFLIGHT_BATCH)
		return true;
	o = &inflight.orphan[inflight.orphans++];
	o->addr = mem_strndup(key, keylen);
	o->sender = mem_strndup((const char *) v->data + sizeof val, v->len - sizeof val);
	o->born_s = val.born_s;
	return true;
}

static void
inflight_orphans(void *ctx)
{
	struct shmtab_stat st;
	uint64_t retained = 0, dropped = 0;
	size_t	adopted = 0;

	(void) ctx;
	shmtab_stat(inflight.table, &st);
	for (unsigned part = 0; st.entries > inflight.own && part < shmtab_parts(inflight.table); part++)
		shmtab_clean(inflight.table, part, inflight_look, NULL, &retained, &dropped);
	for (size_t i = 0; i < inflight.orphans; i++) {
		struct inflight_orphan *o = &inflight.orphan[i];

		if (inflight.room(1)) {
			/* ours now; the others stay for the next look */
			inflight_write(o->addr, o->sender, o->born_s);
			inflight.own++;			/* write did not count what was there */
			inflight.adopt(o->addr, o->sender, ev_wall_s(inflight.loop) - o->born_s);
			adopted++;
		}
		mem_free(&o->addr);
		mem_free(&o->sender);
	}
	if (adopted > 0) {
		stats_add(STAT_probe_adopted, adopted);
		msg_info("%zu probes taken over from another process", adopted);
	}
	/* there may be more; but where there is no room, looking at once again would be running in circles */
	ev_timer_set(inflight.loop, &inflight.timer, adopted == INFLIGHT_BATCH ? 0 : INFLIGHT_LOOK_MS, inflight_orphans, NULL);
	inflight.orphans = 0;
}

void
inflight_init(struct ev_loop *loop, int data_fd, uint64_t bytes, int64_t life_s, bool (*room)(unsigned n), inflight_adopt_fn *adopt)
{
	const char *why = "";

	memset(&inflight, 0, sizeof inflight);
	inflight.loop = loop;
	inflight.life_s = life_s;
	inflight.room = room;
	inflight.adopt = adopt;
	if (shmtab_open(&inflight.table, data_fd, PROBE_INFLIGHT_FILE, bytes, &why) < 0) {
		msg_warn("%s in data_directory: %s: %s: probes are lost when this process is killed", PROBE_INFLIGHT_FILE, why, strerror(errno));
		inflight.table = NULL;
		return;
	}
	ev_timer_set(loop, &inflight.timer, 0, inflight_orphans, NULL);
}

void
inflight_fini(void)
{
	if (inflight.table == NULL)
		return;
	ev_timer_cancel(inflight.loop, &inflight.timer);
	shmtab_close(&inflight.table);
}
