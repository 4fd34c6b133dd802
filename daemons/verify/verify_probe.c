/* daemons/verify/verify_probe.c - claims turned into submitted probes
 * Owns the submitter. Every claim that the store gave us ends here: as submitted, or released, so that the next
 * query for the address may try again.
 */
#include "verify.h"

#include <string.h>

#include <global/probe_submit.h>
#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>

#define VERIFY_PROBE_TRIES	5	/* attempts that reached the cleanup service and failed there */

static struct probe_submit *verify_submit;

static void
verify_probe_done(void *ctx, const char *rcpt, int64_t tag, enum probe_submit_result result)
{
	(void) ctx;
	switch (result) {
	case PROBE_SUBMITTED:
		stats_add(STAT_probes_submitted, 1);
		verify_store_submitted(verify_store, rcpt, tag);
		return;
	case PROBE_REFUSED:
		stats_add(STAT_probes_refused, 1);
		break;
	case PROBE_GAVE_UP:
		stats_add(STAT_probes_given_up, 1);
		break;
	}
	verify_store_release(verify_store, rcpt, tag, ev_wall_s(verify_loop));
}

void
verify_probe_start(const char *addr, int64_t tag)
{
	stats_add(STAT_probes, 1);
	if (probe_submit_add(verify_submit, addr, tag) == 0)
		return;
	stats_add(STAT_probes_unqueued, 1);
	verify_store_release(verify_store, addr, tag, ev_wall_s(verify_loop));
}

void
verify_probe_count(void)
{
	static uint64_t counted;
	struct probe_submit_stat st;

	probe_submit_stat(verify_submit, &st);
	stats_add(STAT_submission_failures, st.failed_attempts - counted);
	counted = st.failed_attempts;
}

bool
verify_probe_busy(void)
{
	return !probe_submit_idle(verify_submit);
}

/* verify_probe_autodetect - whether a list of source classes holds ours (spec probe-submission section 4) */
static bool
verify_probe_autodetect(const char *classes)
{
	size_t	len;

	for (const char *p = classes + strspn(classes, ", \t\r\n"); *p != 0; p += len, p += strspn(p, ", \t\r\n")) {
		len = strcspn(p, ", \t\r\n");
		if ((len == 6 && strncasecmp(p, "verify", len) == 0) || (len == 3 && strncasecmp(p, "all", len) == 0))
			return true;
	}
	return false;
}

void
verify_probe_init(const struct params *p)
{
	struct probe_submit_conf conf = {
		.path = mem_printf("public/%s", p->cleanup_service_name),
		.open_limit = (unsigned) p->address_verify_submission_limit,
		.queue_limit = (size_t) p->address_verify_pending_submission_limit,
		.timeout_ms = p->address_verify_submission_timeout,
		.tries = VERIFY_PROBE_TRIES,
		.give_up_ms = p->address_verify_probe_ttl,	/* later, the claim would count for nothing anyway */
		.smtputf8_autodetect = verify_probe_autodetect(p->smtputf8_autodetect_classes),
		.sender = p->address_verify_sender,
		.sender_ttl_ms = p->address_verify_sender_ttl,
		.myorigin = p->myorigin,
		.myhostname = p->myhostname,
		.mail_name = p->mail_name,
	};

	verify_submit = probe_submit_new(verify_loop, &conf, verify_probe_done, NULL);
}
