/* daemons/master/super.c - all services of one master: start, reload, stop */
#include "super.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <global/maillog.h>
#include <global/master_status.h>
#include <global/version.h>
#include <util/msg.h>

#include "reload.h"

#define SUPER_LEAVING_MAX 2000	/* processes that may be leaving when we start still more: far above any real use */
#define SUPER_GONE_MS	  2000	/* from SIGKILL to our own end, whatever became of it */

/* super_log_stderr - who runs us in the foreground wants to see something, log file or not */
static void
super_log_stderr(const struct super *s)
{
	msg_to_stderr(s->foreground ? "master" : NULL);
}

int
super_init(struct super *s, struct ev_loop *loop, pid_t former, struct buf *why)
{
	*s = (struct super) { .loop = loop };
	TAILQ_INIT(&s->services);
	child_table_init(&s->children, loop);
	s->shared.loop = loop;
	s->shared.children = &s->children;
	s->shared.spawn = &s->spawn;
	s->shared.user.former = former;
	return spawn_init(&s->spawn, why);
}

/* super_say - publish the verdict on the configuration; lines of why become one */
static void
super_say(struct super *s, const struct buf *why)
{
	struct master_status_line line = { .generation = s->reloads, .ok = why == NULL };
	struct buf trouble = BUF_INIT(1000);
	size_t	n = 0;

	for (const char *p = why != NULL ? buf_str(why) : ""; *p != 0 && n + 3 < sizeof line.reason; p++)
		if (*p != '\n')
			line.reason[n++] = *p;
		else if (p[1] != 0) {
			line.reason[n++] = ';';
			line.reason[n++] = ' ';
		}
	if (master_status_write(".", &line, &trouble) < 0)
		msg_warn("%s", buf_str(&trouble));
	buf_fini(&trouble);
}

/* super_log_lines - one log line for each line of text */
static void
super_log_lines(void (*log)(const char *, ...), const struct buf *text)
{
	size_t	len;

	for (const char *p = buf_str(text); *p != 0; p += len + (p[len] != 0)) {
		len = strcspn(p, "\n");
		if (len > 0)
			log("%.*s", (int) len, p);
	}
}

/* signals */

static void
super_check_ended(struct super *s)
{
	if (!s->stopping || s->ended || s->children.n > 0)
		return;
	s->ended = true;
	ev_timer_cancel(s->loop, &s->stop);
	ev_stop(s->loop);
}

static void
super_sigchld(void *ctx, int signo)
{
	struct super *s = ctx;
	struct child *c;
	int	status;
	pid_t	pid;

	(void) signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if ((c = child_find(&s->children, pid)) == NULL)
			continue;		/* as process 1 we inherit others' children */
		if (c->service != NULL)
			service_child_ended(c->service, &c, status);
		else {
			child_log_end(c, status);
			child_remove(&c);
		}
	}
	super_check_ended(s);
}

static void
super_sighup(void *ctx, int signo)
{
	(void) signo;
	super_reload(ctx);
}

static void
super_sigterm(void *ctx, int signo)
{
	super_stop(ctx, signo);
}

/* start */

int
super_start(struct super *s, struct plan **planp, struct buf *why)
{
	s->shared.user.uid = (*planp)->uid;
	s->shared.user.gid = (*planp)->gid;
	/* from here on they wait for the loop, so that nothing interrupts a start half-way */
	ev_signal_set(s->loop, SIGCHLD, super_sigchld, s);
	ev_signal_set(s->loop, SIGHUP, super_sighup, s);
	ev_signal_set(s->loop, SIGTERM, super_sigterm, s);
	ev_signal_set(s->loop, SIGINT, super_sigterm, s);
	ev_signal_set(s->loop, SIGQUIT, super_sigterm, s);
	if (maillog_init("master", (*planp)->params, why) < 0 || reload_apply(s, planp, why) < 0)
		return -1;
	super_log_lines(msg_warn, &s->plan->notes);
	super_log_stderr(s);
	msg_info("daemon started -- version %s, configuration %s", VOUCH_VERSION, s->plan->config_dir);
	super_say(s, NULL);
	return 0;
}

/* reload */

bool
super_reload(struct super *s)
{
	struct buf why = BUF_INIT(SUPER_WHY_MAX);
	struct plan *next = NULL;
	bool	ok = false;

	if (s->stopping)
		return false;
	msg_info("reload -- version %s, configuration %s", VOUCH_VERSION, s->plan->config_dir);
	s->reloads++;
	if (s->children.leaving > SUPER_LEAVING_MAX)
		buf_addf(&why, "%zu processes of earlier reloads are still leaving: wait, or lower application_event_drain_time",
		    s->children.leaving);
	else if ((next = plan_load(s->plan->config_dir, s->plan, &why)) != NULL)
		ok = reload_apply(s, &next, &why) == 0;
	if (ok) {
		super_log_stderr(s);
		super_log_lines(msg_warn, &s->plan->notes);
		super_say(s, NULL);
	} else {
		super_log_lines(msg_error, &why);
		msg_error("reload refused: the old configuration stays in force");
		super_say(s, &why);
	}
	plan_free(&next);
	buf_fini(&why);
	return ok;
}

/* stop */

static void
super_stop_late(void *ctx)
{
	struct super *s = ctx;

	msg_warn("%zu processes cannot be killed: leaving them", s->children.n);
	s->ended = true;
	ev_stop(s->loop);
}

/* super_stop_group - the process group has members that we did not start: what our children left behind */
static void
super_stop_group(void)
{
	struct timespec none = { 0 };
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	kill(0, SIGTERM);
	sigtimedwait(&term, NULL, &none);	/* ours, blocked: it must not look like a second request */
}

void
super_stop(struct super *s, int signo)
{
	struct service *svc;

	if (s->stopping) {
		child_kill_all(&s->children);
		return;
	}
	s->stopping = true;
	if (signo > 0)
		msg_info("terminating on signal %d", signo);
	else
		msg_info("terminating: the time given with -e is over");
	while ((svc = TAILQ_FIRST(&s->services)) != NULL) {
		TAILQ_REMOVE(&s->services, svc, link);
		service_free(&svc, 0);
	}
	child_hurry_all(&s->children);		/* those that were leaving as well */
	if (s->leads)
		super_stop_group();
	ev_timer_set(s->loop, &s->stop, CHILD_KILL_MS + SUPER_GONE_MS, super_stop_late, s);
	super_check_ended(s);
}

void
super_fini(struct super *s)
{
	struct service *svc;
	struct child *c;

	while ((svc = TAILQ_FIRST(&s->services)) != NULL) {
		TAILQ_REMOVE(&s->services, svc, link);
		service_free(&svc, 0);
	}
	while ((c = RB_ROOT(&s->children.tree)) != NULL)
		child_remove(&c);
	ev_timer_cancel(s->loop, &s->stop);
	spawn_fini(&s->spawn);
	plan_free(&s->plan);
}
