/* daemons/master/plan.h - what main.cf and master.cf ask for, checked as a whole; no sockets, no processes
 * A plan that could be loaded can be carried out, as far as files tell. It is never changed: a reload makes another one.
 */
#ifndef MASTER_PLAN_H
#define MASTER_PLAN_H

#include <stdbool.h>
#include <sys/types.h>
#include <bsd/sys/queue.h>

#include <global/inet_endpoint.h>
#include <global/main_cf.h>
#include <global/master_cf.h>
#include <global/params.h>
#include <util/buf.h>

struct plan_service {
	TAILQ_ENTRY(plan_service) link;
	const struct master_cf_entry *entry;	/* the line of master.cf; name is how logs call the service */
	char   *id;			/* internal name: private/verify, 25, [127.0.0.1]:25; with the type, the identity */
	char   *path;			/* program, absolute */
	struct inet_endpoint inet;	/* MASTER_INET only */
	bool	remote;			/* clients may come from other hosts: the service can be under stress */
	int	maxproc;		/* 0 = no limit */
	int	prefork;		/* processes that are always there, at most maxproc */
};
TAILQ_HEAD(plan_services, plan_service);

struct plan {
	char   *config_dir;
	struct main_cf *cf;
	struct params *params;
	struct master_cf entries;
	struct plan_services services;
	uid_t	uid;			/* of mail_owner */
	gid_t	gid;
	struct buf kept;		/* parameters that stay as they were at start, for the daemons: lines "NAME=VALUE" of main.cf */
	struct buf notes;		/* warnings, a line each, to be logged when the plan is put into force */
};

/* plan_load - read and check the configuration
 * config_dir absolute
 * old        the plan in force, NULL at start: parameters that only count at start keep their values (noted)
 * why        everything that is wrong, a line each: "FILE: line N: reason"
 * returns    a new plan, or NULL
 * blocks     for host names in master.cf, see inet_endpoint.h
 */
struct plan *plan_load(const char *config_dir, const struct plan *old, struct buf *why);
void	plan_free(struct plan **);
/* plan_find - the service with this identity, or NULL */
const struct plan_service *plan_find(const struct plan *, enum master_cf_type, const char *id);

#endif
