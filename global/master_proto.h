/* global/master_proto.h - the contract between a master and its children: descriptors and status messages
 * source: spec master-child-contract sections 1.1 and 3.1. Used from both sides.
 */
#ifndef GLOBAL_MASTER_PROTO_H
#define GLOBAL_MASTER_PROTO_H

#include <stdint.h>

#define MASTER_FLOW_READ	3
#define MASTER_FLOW_WRITE	4
#define MASTER_STATUS_FD	5
#define MASTER_LISTEN_FD	6

enum { MASTER_STAT_TAKEN = 0, MASTER_STAT_AVAIL = 1 };

struct master_status {			/* one write() of exactly 12 bytes, host byte order */
	int32_t	 pid;
	uint32_t generation;
	int32_t	 avail;
};

/* Environment variable that vouch's master sets and Postfix's does not: the child may serve the clients it holds for so
 * many milliseconds after end of file on MASTER_STATUS_FD, because its master starts successors without waiting for it. */
#define MASTER_DRAIN_ENV	"VOUCH_DRAIN_MS"

/* Likewise: lines "NAME=VALUE", parameters that count at start only and have changed in main.cf since. The child, which reads
 * main.cf itself, goes by these. Not in arguments, which everyone sees: there may be a password in one. */
#define MASTER_KEPT_ENV		"VOUCH_KEPT"

#endif
