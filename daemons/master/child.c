/* daemons/master/child.c - the processes of this master, by pid */
#include "child.h"

#include <signal.h>
#include <sys/wait.h>

#include <util/mem.h>
#include <util/msg.h>

#include "spawn.h"

static int
child_cmp(const struct child *a, const struct child *b)
{
	return (a->pid > b->pid) - (a->pid < b->pid);
}

RB_PROTOTYPE(child_tree, child, node, child_cmp)
RB_GENERATE(child_tree, child, node, child_cmp)

void
child_table_init(struct child_table *t, struct ev_loop *loop)
{
	*t = (struct child_table) { .loop = loop };
	RB_INIT(&t->tree);
}

struct child *
child_add(struct child_table *t, struct service *service, const char *path, pid_t pid, uint32_t generation)
{
	struct child *c = mem_alloc(sizeof *c);

	c->table = t;
	c->service = service;
	c->path = mem_strdup(path);
	c->pid = pid;
	c->generation = generation;
	c->start_ms = ev_now_ms(t->loop);
	c->avail = true;
	RB_INSERT(child_tree, &t->tree, c);
	t->n++;
	return c;
}

struct child *
child_find(struct child_table *t, pid_t pid)
{
	struct child key = { .pid = pid };

	return RB_FIND(child_tree, &t->tree, &key);
}

void
child_remove(struct child **cp)
{
	struct child *c = *cp;

	if (c == NULL)
		return;
	RB_REMOVE(child_tree, &c->table->tree, c);
	c->table->n--;
	c->table->leaving -= c->service == NULL;
	ev_timer_cancel(c->table->loop, &c->timer);
	mem_free(&c->path);
	mem_free(cp);
}

static void
child_kill(struct child *c, int signo)
{
	c->sent = signo;
	kill(c->pid, signo);
}

static void
child_patience(void *ctx)
{
	struct child *c = ctx;

	if (c->sent == 0) {
		child_kill(c, SIGTERM);
		ev_timer_set(c->table->loop, &c->timer, CHILD_KILL_MS, child_patience, c);
	} else {
		msg_warn("process %s pid %ld does not end: killing it", c->path, (long) c->pid);
		child_kill(c, SIGKILL);
	}
}

void
child_leave(struct child *c, int64_t patience_ms)
{
	c->table->leaving += c->service != NULL;
	c->service = NULL;
	c->avail = false;
	if (patience_ms > 0)
		ev_timer_set(c->table->loop, &c->timer, patience_ms, child_patience, c);
	else
		child_patience(c);
}

void
child_hurry_all(struct child_table *t)
{
	struct child *c;

	RB_FOREACH(c, child_tree, &t->tree)
		if (c->sent == 0)
			child_patience(c);
}

void
child_kill_all(struct child_table *t)
{
	struct child *c;

	RB_FOREACH(c, child_tree, &t->tree)
		child_kill(c, SIGKILL);
}

bool
child_log_end(const struct child *c, int wait_status)
{
	if (c->sent != 0)		/* Postfix's cleanup, for one, catches SIGTERM and exits with 15 */
		return true;
	if (WIFSIGNALED(wait_status)) {
		msg_warn("process %s pid %ld killed by signal %d", c->path, (long) c->pid, WTERMSIG(wait_status));
		return false;
	}
	if (WEXITSTATUS(wait_status) == 0)
		return true;
	msg_warn("process %s pid %ld exit status %d%s", c->path, (long) c->pid, WEXITSTATUS(wait_status),
	    WEXITSTATUS(wait_status) == SPAWN_NO_EXEC ? ": it could not be executed" : "");
	return false;
}
