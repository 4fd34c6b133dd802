/* daemons/master/service.c - one running service */
#include "service.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <global/master_proto.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/sock.h>
#include <util/units.h>

#define SERVICE_PAUSE_MS	100	/* the first pause of a prefork service; each failure doubles it */
#define SERVICE_QUICK_MS	1000	/* exit 0, sooner than this and unused, is a failure too: it would be repeated for ever */
#define SERVICE_STEADY_MS	10000	/* what ran so long had started well */
#define SERVICE_STRESS_MS	1000000
#define SERVICE_DRAIN_MORE_MS	10000	/* beyond the drain limit, which the process keeps itself: for its last replies */
#define SERVICE_STATUS_BATCH	128

static void service_watch(struct service *);

/* service_name - "verify(private/verify)" for messages */
#define SERVICE_NAME		"%s(%s)"
#define SERVICE_NAME_ARGS(s)	(s)->plan->entry->name, (s)->plan->id

/* pauses */

static void
service_fill(struct service *s);

static void
service_pause_end(void *ctx)
{
	struct service *s = ctx;

	s->paused = false;
	service_fill(s);
	service_watch(s);
}

/* service_pause - after a failure
 * full       the whole service_throttle_time at once: nobody is there to serve, and each try costs a client its time */
static void
service_pause(struct service *s, bool full, const char *problem)
{
	int64_t limit = s->shared->params->service_throttle_time;
	char	text[32];

	if (s->paused)			/* several failed together: that is one failure */
		return;
	s->failed_ms = ev_now_ms(s->shared->loop);
	s->pause_ms = s->pause_ms > 0 ? 2 * s->pause_ms : SERVICE_PAUSE_MS;
	if (full || s->pause_ms > limit)
		s->pause_ms = limit;
	s->paused = true;
	ev_timer_set(s->shared->loop, &s->pause, s->pause_ms, service_pause_end, s);
	msg_warn("%s: %s -- throttling for %s", s->plan->path, problem, units_time_print(text, s->pause_ms));
}

/* the status channel */

int
service_pair_open(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	if (sock_nonblock(pair[0], true) == 0)
		return 0;
	sock_close(&pair[0]);
	sock_close(&pair[1]);
	return -1;
}

static void
service_pair_close(int pair[2])
{
	sock_close(&pair[0]);
	sock_close(&pair[1]);
}

static void
service_child_status(struct service *s, const struct master_status *m)
{
	struct child *c = child_find(s->shared->children, m->pid);

	if (c == NULL || c->service != s || c->detached)
		return;				/* it may be reaped already */
	if (c->generation != m->generation) {
		msg_info("ignoring status update from child pid %d generation %u", m->pid, m->generation);
		return;
	}
	switch (m->avail) {
	case MASTER_STAT_TAKEN:
		s->avail -= c->avail;
		c->avail = false;
		break;
	case MASTER_STAT_AVAIL:
		if (c->avail)
			break;
		c->avail = true;
		s->avail++;
		if (c->uses++ == 0 && c->start_ms > s->failed_ms)
			s->pause_ms = 0;		/* it started and served: whatever failed before is over */
		break;
	default:
		if (msg_rate(&s->warned_status, 1000))
			msg_warn("service " SERVICE_NAME ": ignoring unknown status %d from child pid %d", SERVICE_NAME_ARGS(s),
			    m->avail, m->pid);
	}
}

/* service_status - read what is there. A child's message is one write of fixed size; were one torn, all that follow would
 * be, so the rest of what is there is dropped with it. */
static void
service_status_read(struct service *s)
{
	struct master_status m[SERVICE_STATUS_BATCH] = { { 0 } };
	ssize_t n = read(s->status[0], m, sizeof m);
	size_t	whole, torn;

	if (n <= 0)
		return;			/* EAGAIN; never end of file, we hold the other end as well */
	whole = (size_t) n / sizeof *m;
	torn = (size_t) n % sizeof *m;
	for (size_t i = 0; i < whole; i++)
		service_child_status(s, &m[i]);
	if (torn > 0 && msg_rate(&s->warned_status, 1000))
		msg_warn("service " SERVICE_NAME ": child (pid %d) sent partial status update (%zu bytes)", SERVICE_NAME_ARGS(s),
		    torn >= sizeof m->pid ? m[whole].pid : 0, torn);
}

static void
service_status(void *ctx, int fd, unsigned events)
{
	struct service *s = ctx;

	(void) fd;
	(void) events;
	service_status_read(s);
	service_watch(s);
}

/* service_pair_take - use a new status channel; the processes on the old one see end of file */
static void
service_pair_take(struct service *s, int pair[2])
{
	if (s->status[0] >= 0)
		ev_io_cancel(s->shared->loop, &s->status_io);
	service_pair_close(s->status);
	memcpy(s->status, pair, sizeof s->status);
	pair[0] = pair[1] = -1;
	ev_io_set(s->shared->loop, &s->status_io, s->status[0], EV_READ, service_status, s);
}

/* wake-ups */

static void
service_wakeup(void *ctx)
{
	struct service *s = ctx;

	ev_timer_set(s->shared->loop, &s->wakeup_timer, (int64_t) s->plan->entry->wakeup_s * 1000, service_wakeup, s);
	if (!s->paused)
		wakeup_send(&s->wakeup, s->plan, &s->listen);
}

static void
service_wakeup_start(struct service *s)
{
	ev_timer_cancel(s->shared->loop, &s->wakeup_timer);
	s->lazy = s->plan->entry->wakeup_s > 0 && s->plan->entry->wakeup_lazy;
	if (s->plan->entry->wakeup_s > 0 && !s->lazy)
		ev_timer_set(s->shared->loop, &s->wakeup_timer, 0, service_wakeup, s);
}

/* starting processes */

/* service_stress - the last process that the limit allows is about to be started because a client waits */
static void
service_stress(struct service *s)
{
	int64_t now = ev_now_ms(s->shared->loop);
	struct child *c;
	int	pair[2];

	if (!s->plan->remote || s->plan->maxproc <= 1 || s->total + 1 < s->plan->maxproc)
		return;
	if (now >= s->stress_end_ms && service_pair_open(pair) == 0) {
		/* those that run were told that all is well: end of file lets them leave when they are idle */
		TAILQ_FOREACH(c, &s->children, link) {
			c->detached = true;
			c->avail = false;
		}
		s->avail = 0;
		service_pair_take(s, pair);
	}
	s->stress_end_ms = now + SERVICE_STRESS_MS;
}

static int
service_spawn(struct service *s)
{
	bool	stress = ev_now_ms(s->shared->loop) < s->stress_end_ms;
	char  **argv = spawn_argv(s->shared->spawn, s->plan, s->listen.n, stress);
	uint32_t generation = 0;
	struct child *c;
	pid_t	pid;

	pid = spawn_child(s->shared->spawn, s->plan->path, argv, s->status[1], s->listen.fds, s->listen.n, &generation);
	spawn_free_vector(&argv);
	if (pid < 0) {
		msg_warn("service " SERVICE_NAME ": fork: %s", SERVICE_NAME_ARGS(s), strerror(errno));
		service_pause(s, s->plan->prefork == 0, "cannot start a process");
		return -1;
	}
	c = child_add(s->shared->children, s, s->plan->path, pid, generation);
	TAILQ_INSERT_TAIL(&s->children, c, link);
	s->total++;
	s->avail++;
	if (s->lazy) {
		s->lazy = false;
		ev_timer_set(s->shared->loop, &s->wakeup_timer, 0, service_wakeup, s);
	}
	return 0;
}

/* service_fill - as many processes as should always be there */
static void
service_fill(struct service *s)
{
	while (!s->paused && s->total < s->plan->prefork)
		if (service_spawn(s) < 0)
			break;
}

static void
service_client_waits(void *ctx, int fd, unsigned events)
{
	struct service *s = ctx;

	(void) fd;
	(void) events;
	service_stress(s);
	service_spawn(s);
	service_watch(s);
}

/* service_watch - watch the listeners exactly while a client would need another process and may have one */
static void
service_watch(struct service *s)
{
	int	limit = s->plan->maxproc;
	bool	full = limit > 0 && s->total >= limit, want = !s->paused && s->avail == 0 && !full;

	for (size_t i = 0; i < s->listen.n; i++)
		if (want)
			ev_io_set(s->shared->loop, &s->watch[i], s->listen.fds[i], EV_READ, service_client_waits, s);
		else
			ev_io_cancel(s->shared->loop, &s->watch[i]);
	if (full && limit > 1 && s->avail == 0 && s->plan->remote && msg_rate(&s->warned_limit, SERVICE_STRESS_MS)) {
		msg_warn("service \"%s\" (%s) has reached its process limit \"%d\": new clients may experience noticeable delays",
		    SERVICE_NAME_ARGS(s), limit);
		msg_warn("if that is too few, raise maxproc in line %u of master.cf, or default_process_limit in main.cf, and "
		    "reload", s->plan->entry->line);
	}
}

/* the life of a service */

struct service *
service_new(const struct service_shared *shared, const struct plan_service *plan, struct listen *take, int pair[2])
{
	struct service *s = mem_alloc(sizeof *s);

	s->shared = shared;
	s->plan = plan;
	s->listen = *take;
	*take = (struct listen) { .n = 0 };
	s->watch = mem_array(s->listen.n, sizeof *s->watch);
	s->status[0] = s->status[1] = -1;
	TAILQ_INIT(&s->children);
	wakeup_init(&s->wakeup, shared->loop);
	service_pair_take(s, pair);
	return s;
}

void
service_start(struct service *s)
{
	service_wakeup_start(s);
	service_fill(s);
	service_watch(s);
}

int64_t
service_patience(const struct service_shared *shared)
{
	return shared->params->application_event_drain_time + SERVICE_DRAIN_MORE_MS;
}

/* service_dismiss - let go of all processes */
static void
service_dismiss(struct service *s, int64_t patience_ms)
{
	struct child *c;

	while ((c = TAILQ_FIRST(&s->children)) != NULL) {
		TAILQ_REMOVE(&s->children, c, link);
		child_leave(c, patience_ms);
	}
	s->total = s->avail = 0;
}

void
service_renew(struct service *s, const struct plan_service *plan, int pair[2])
{
	int	old[2] = { s->status[0], s->status[1] };

	s->plan = plan;
	service_dismiss(s, service_patience(s->shared));
	ev_timer_cancel(s->shared->loop, &s->pause);
	s->paused = false;
	s->pause_ms = 0;
	/* the successors are started before the old ones hear of it, so that the pause between them is short */
	ev_io_cancel(s->shared->loop, &s->status_io);
	s->status[0] = s->status[1] = -1;
	service_pair_take(s, pair);
	service_start(s);
	service_pair_close(old);
}

void
service_free(struct service **sp, int64_t patience_ms)
{
	struct service *s = *sp;
	struct ev_loop *loop;

	if (s == NULL)
		return;
	loop = s->shared->loop;
	for (size_t i = 0; i < s->listen.n; i++)
		ev_io_cancel(loop, &s->watch[i]);
	ev_io_cancel(loop, &s->status_io);
	ev_timer_cancel(loop, &s->pause);
	ev_timer_cancel(loop, &s->wakeup_timer);
	wakeup_fini(&s->wakeup);
	service_dismiss(s, patience_ms);
	service_pair_close(s->status);
	listen_close(&s->listen, &s->shared->user);
	mem_free(&s->watch);
	mem_free(sp);
}

void
service_child_ended(struct service *s, struct child **cp, int wait_status)
{
	struct child *c = *cp;
	bool	good = child_log_end(c, wait_status), detached = c->detached, used;
	int64_t lived = ev_now_ms(s->shared->loop) - c->start_ms;

	service_status_read(s);		/* its last words may have come after the signal that it is dead */
	used = c->uses > 0;
	TAILQ_REMOVE(&s->children, c, link);
	s->total--;
	s->avail -= c->avail;
	child_remove(cp);
	if (lived >= SERVICE_STEADY_MS)
		s->pause_ms = 0;
	if (!used && !good)
		service_pause(s, s->plan->prefork == 0, "bad command startup");
	else if (!used && !detached && lived < SERVICE_QUICK_MS)
		service_pause(s, false, "ended at once, without any use");
	service_fill(s);
	service_watch(s);
}
