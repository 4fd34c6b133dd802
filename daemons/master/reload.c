/* daemons/master/reload.c - from the plan in force to another one, as a whole or not at all */
#include "reload.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <global/maillog.h>
#include <util/mem.h>
#include <util/sock.h>

struct reload_step {			/* one service of the next plan */
	const struct plan_service *plan;
	struct service *old;		/* NULL: it is new */
	struct listen listen;		/* of a new one */
	int	pair[2];
};

static struct service *
reload_old(const struct super *s, const struct plan_service *plan)
{
	struct service *old;

	TAILQ_FOREACH(old, &s->services, link)
		if (old->plan->entry->type == plan->entry->type && strcmp(old->plan->id, plan->id) == 0)
			return old;
	return NULL;
}

/* reload_share - let the endpoints of services that go make room for those that come */
static void
reload_share(struct super *s, const struct plan *next, bool on)
{
	struct service *old;

	TAILQ_FOREACH(old, &s->services, link)
		if (plan_find(next, old->plan->entry->type, old->plan->id) == NULL)
			listen_share(&old->listen, on);
}

static int
reload_prepare(struct super *s, const struct plan *next, struct reload_step *step, struct buf *why)
{
	struct buf reason = BUF_INIT(1000);
	int	ret = 0;

	if (service_pair_open(step->pair) < 0) {
		buf_addf(&reason, "socketpair: %s", strerror(errno));
		ret = -1;
	} else if (step->old == NULL)
		ret = listen_open(&step->listen, step->plan, &s->shared.user, s->plan != NULL, &reason);
	if (ret < 0) {
		if (why->len > 0)
			buf_addc(why, '\n');
		buf_addf(why, "%s/master.cf: line %u: service %s: %s", next->config_dir, step->plan->entry->line,
		    step->plan->entry->name, buf_str(&reason));
	}
	buf_fini(&reason);
	return ret;
}

static void
reload_commit(struct super *s, struct plan **next, struct reload_step *steps, size_t n)
{
	struct plan *before = s->plan;
	struct service *old, *more;

	s->plan = *next;
	*next = NULL;
	s->shared.params = s->plan->params;
	spawn_env(&s->spawn, s->plan, environ);
	TAILQ_FOREACH_SAFE(old, &s->services, link, more)
		if (plan_find(s->plan, old->plan->entry->type, old->plan->id) == NULL) {
			TAILQ_REMOVE(&s->services, old, link);
			service_free(&old, service_patience(&s->shared));
		}
	for (size_t i = 0; i < n; i++)
		if (steps[i].old != NULL)
			service_renew(steps[i].old, steps[i].plan, steps[i].pair);
		else {
			old = service_new(&s->shared, steps[i].plan, &steps[i].listen, steps[i].pair);
			TAILQ_INSERT_TAIL(&s->services, old, link);
			service_start(old);
		}
	plan_free(&before);
}

int
reload_apply(struct super *s, struct plan **next, struct buf *why)
{
	struct reload_step *steps;
	const struct plan_service *plan;
	size_t	n = 0, i = 0;
	int	ret = 0;

	TAILQ_FOREACH(plan, &(*next)->services, link)
		n++;
	steps = mem_array(n + 1, sizeof *steps);	/* a plan may be empty */
	reload_share(s, *next, true);
	TAILQ_FOREACH(plan, &(*next)->services, link) {
		steps[i] = (struct reload_step) { .plan = plan, .old = reload_old(s, plan), .pair = { -1, -1 } };
		if (reload_prepare(s, *next, &steps[i++], why) < 0)
			ret = -1;		/* go on: the administrator wants to hear of all at once */
	}
	/* the log last: only it cannot be undone without a trace */
	if (ret == 0 && s->plan != NULL && maillog_init("master", (*next)->params, why) < 0) {
		struct buf ignored = BUF_INIT(1000);

		maillog_init("master", s->plan->params, &ignored);
		buf_fini(&ignored);
		ret = -1;
	}
	if (ret == 0)
		reload_commit(s, next, steps, n);
	else {
		reload_share(s, *next, false);
		for (i = 0; i < n; i++) {
			listen_close(&steps[i].listen, &s->shared.user);
			sock_close(&steps[i].pair[0]);
			sock_close(&steps[i].pair[1]);
		}
	}
	mem_free(&steps);
	return ret;
}
