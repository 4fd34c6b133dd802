/* global/probe_sender.h - the envelope sender of probes, with its time-dependent part
 * source: spec verify-protocol section 11
 */
#ifndef GLOBAL_PROBE_SENDER_H
#define GLOBAL_PROBE_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include <util/buf.h>

/* probe_sender_check - NULL, or what is wrong with a value of address_verify_sender (static text) */
const char *probe_sender_check(const char *value);
/* probe_sender_make - append the sender for this moment to out; value must have passed the check
 * ttl_ms    0 = no time part; below 1 s counts as 1 s
 * myorigin  domain for a value without one */
void	probe_sender_make(struct buf *out, const char *value, int64_t ttl_ms, const char *myorigin, int64_t wall_s);
/* probe_sender_slot - append the base-31 form of a time slot (slot 0 is empty) */
void	probe_sender_slot(struct buf *out, uint64_t slot);
/* probe_sender_match - whether addr is a probe sender of this or a neighbouring slot (section 11.2) */
bool	probe_sender_match(const char *addr, const char *value, int64_t ttl_ms, const char *myorigin, int64_t wall_s);

#endif
