/* global/verify_proto.h - the address verification protocol: names and numbers
 * source: spec verify-protocol sections 2 to 4
 */
#ifndef GLOBAL_VERIFY_PROTO_H
#define GLOBAL_VERIFY_PROTO_H

#define VERIFY_PROTOCOL_NAME	"address_verification_prrotocol"	/* sic: Postfix's spelling, clients insist on it */
#define CLEANUP_PROTOCOL_NAME	"cleanup_protocol"
#define VERIFY_TODO_TEXT	"Address verification in progress"
#define VERIFY_UNAVAIL_TEXT	"Address verification status unavailable"

enum verify_status {		/* of an address */
	VERIFY_OK = 0,
	VERIFY_DEFER = 1,
	VERIFY_BOUNCE = 2,
	VERIFY_TODO = 3,
};
enum { VERIFY_STATUSES = 4 };

enum verify_reply {		/* of a request; on the wire as unsigned 32 bit */
	VERIFY_REPLY_OK = 0,
	VERIFY_REPLY_FAIL = -1,
	VERIFY_REPLY_BAD = -2,
};

#endif
