/* daemons/policy/policy.c - the policy server: greylisting, and address verification for MTAs that only speak this protocol
 * Any number of workers and hosts: what greylisting remembers is shared (global/greylist.h), and verify(8) is asked over its
 * socket. Here: start-up, and the timers of the house.
 */
#include "policy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <global/stats_file.h>
#include <util/msg.h>
#include <util/sock.h>

#define POLICY_HOUSE_MS	  250		/* counters are handed over */
#define POLICY_ASKERS_MAX 20000		/* requests that wait for a verdict; more are answered as if verify was away */

struct greylist *policy_greylist;
struct address_host policy_host;
struct ev_loop *policy_loop;

static const struct params *policy_params;
static int policy_data_fd = -1;
static struct ev_timer policy_house_timer;

static void
policy_house(void *ctx)
{
	(void) ctx;
	stats_file_flush();
	ev_timer_set(policy_loop, &policy_house_timer, POLICY_HOUSE_MS, policy_house, NULL);
}

static void
policy_pre_jail(const struct params *p, const struct main_cf *cf)
{
	struct buf why = BUF_INIT(32768);

	(void) cf;
	policy_params = p;
	policy_conf_init(p);
	if (greylist_open(&policy_greylist, p, "vouch/policy", &why) < 0)
		msg_fatal("%s", buf_str(&why));
	buf_fini(&why);
	address_host_init(&policy_host, p, POLICY_ASKERS_MAX);
	policy_host.conf.hears = true;
	policy_host.conf.query_ms = (policy_conf.hold_ms < POLICY_WAIT_MAX_MS ? policy_conf.hold_ms : POLICY_WAIT_MAX_MS) + POLICY_ANSWER_MS;
	if ((policy_data_fd = open(p->data_directory, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		msg_warn("data_directory %s: %s: nothing is counted", p->data_directory, strerror(errno));
}

static void
policy_start(struct ev_loop *loop)
{
	policy_loop = loop;
	greylist_start(policy_greylist, loop);
	stats_file_open(policy_data_fd, policy_params);
	sock_close(&policy_data_fd);
	policy_house(NULL);
}

static bool
policy_busy(void)
{
	return greylist_busy(policy_greylist);
}

static void
policy_leaving(void)
{
	greylist_close(&policy_greylist);
	address_host_fini(&policy_host);
	stats_file_close();
}

int
main(int argc, char **argv)
{
	static const struct multi_server server = {
		.name = "policy", .persistent = true, .pre_jail = policy_pre_jail, .start = policy_start,
		.opened = policy_opened, .input = policy_input, .eof = policy_eof, .closed = policy_closed,
		.busy = policy_busy, .leaving = policy_leaving, .tally = stats_file_flush,
	};

	multi_server_main(argc, argv, &server);
}
