/* global/reason_detail.h - what a client may see of a result's text: address_verify_reason_detail
 * The full text stays in the cache and the log.
 */
#ifndef GLOBAL_REASON_DETAIL_H
#define GLOBAL_REASON_DETAIL_H

#include <stddef.h>

#include <global/verify_proto.h>

enum reason_detail { REASON_DETAIL_FULL, REASON_DETAIL_CODE, REASON_DETAIL_FIXED };

enum reason_detail reason_detail_find(const char *value);	/* of the parameter, which has been checked */
/* reason_detail_text - text itself, or what stands for it; buf (at least 32 bytes) is used when needed */
const char *reason_detail_text(enum reason_detail, enum verify_status, const char *text, char *buf, size_t size);

#endif
