/* daemons/probe/probe.h - the parts of the probe daemon around the prober: configuration, submissions, results */
#ifndef PROBE_PROBE_H
#define PROBE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include <global/main_cf.h>
#include <global/multi_server.h>
#include <global/params.h>

#include "prober.h"

/* probe_conf.c: parameters -> configuration of the prober */
struct probe_conf {
	struct prober_conf prober;
	struct dns_conf dns;
	char	*sender, *other_sender;	/* completed with myorigin */
	/* private */
	struct mx_addr *own, bind4, bind6;
	const char *omit[8];
	char	*key;
};
/* probe_conf_make - why: a line for each value that cannot be used
 * returns   false when something is so wrong that nothing should be asked */
bool	probe_conf_make(struct probe_conf *, const struct params *, struct buf *why);
void	probe_conf_check(struct probe_conf *, int64_t now_ms);	/* tables that changed */

/* submission.c: the cleanup service */
struct submission;
/* taken: asked for each recipient of a good message, in order; all or none: room tells whether there is any */
struct submission_ops {
	bool	(*room)(unsigned n);
	void	(*add)(const char *addr, const char *sender, const char *id);
};
void	submission_init(struct ev_loop *, const struct submission_ops *);
void   *submission_opened(struct ms_client *);
enum ms_next submission_input(struct ms_client *, void *, const char *data, size_t n, size_t *used_r, bool *partial_r);
void	submission_closed(struct ms_client *, void *);
void	submission_drain(void);			/* a successor takes what comes from now on: refuse for the moment */
void	submission_room(void);			/* there may be room again: those held may go on */

/* results.c: reports -> log and verify service */
struct results_conf {
	const char *verify_path;	/* "private/verify" */
	bool	 negative_cache;
	int64_t	 give_up_ms;
	size_t	 limit;
};
typedef void results_taken_fn(const char *addr);
void	results_init(struct ev_loop *, const struct results_conf *, results_taken_fn *);
void	results_report(const struct prober_report *);
size_t	results_open(void);

/* inflight.c: addresses being probed, in shared memory, so that a successor can take over */
typedef void inflight_adopt_fn(const char *addr, const char *sender, int64_t age_s);
void	inflight_init(struct ev_loop *, int data_fd, uint64_t bytes, int64_t life_s, bool (*room)(unsigned n), inflight_adopt_fn *);
void	inflight_put(const char *addr, const char *sender);
void	inflight_delete(const char *addr);
bool	inflight_give(const char *addr);	/* not ours any more: whoever finds it takes it; false: nobody would find it */
void	inflight_fini(void);

#endif
