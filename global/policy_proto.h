/* global/policy_proto.h - SMTPD access policy delegation, the lines between an MTA and its policy service
 * A request is lines name=value and an empty line; a reply is action=VALUE and an empty line. Here is the form only, for
 * both ends: what the values mean, and what to answer, is policy(8)'s, or its client's.
 * source: spec policy-delegation sections 2, 3, 6 and 9
 */
#ifndef GLOBAL_POLICY_PROTO_H
#define GLOBAL_POLICY_PROTO_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>

#define POLICY_PROTO_REQUEST	"smtpd_access_policy"	/* the one request there is */
#define POLICY_PROTO_MAX	(64u << 10)	/* bytes of one request; real ones stay below 16 kB */
#define POLICY_PROTO_LINE_MAX	(16u << 10)
#define POLICY_PROTO_LINES_MAX	200
#define POLICY_PROTO_TEXT_MAX	400		/* bytes of an action's text */
#define POLICY_PROTO_HEADER_MAX	998		/* of the header behind PREPEND: RFC 5322 section 2.1.1 */

/* The attributes that vouch looks at: NUL-terminated, as they came, "" when absent. Others are read over. */
#define POLICY_PROTO_ATTRS(A) \
	A(request) A(protocol_state) A(client_address) A(client_name) A(sender) A(recipient) A(instance) A(sasl_username) \
	A(ccert_subject) A(policy_context)

struct policy_request {
#define A(name) const char *name;
	POLICY_PROTO_ATTRS(A)
#undef A
};

enum policy_in_next {
	POLICY_IN_MORE,			/* all bytes were used, the request is not complete */
	POLICY_IN_DONE,			/* the request is there */
	POLICY_IN_BAD,			/* this can be no request: see why */
};

/* reads one request after the other, in whatever pieces it comes; holds POLICY_PROTO_MAX bytes at most */
struct policy_in {
	struct buf text;		/* the lines of ours, each NUL-terminated */
	struct buf line;		/* what there is of the present one; empty when it came in one piece */
	size_t	bytes;			/* of this request so far */
	unsigned lines;
	const char *why;		/* BAD: static */
	char	odd[100];		/* the first line without "=" since policy_in_init, printable; "" when there was none */
	size_t	value[10];		/* where in text; 0: absent */
};

void	policy_in_init(struct policy_in *);
void	policy_in_fini(struct policy_in *);
/* policy_in_feed - used_r tells how many bytes were taken (DONE: up to the end of the request). req_r is valid
 * until policy_in_reset, which is to be called before the next request */
enum policy_in_next policy_in_feed(struct policy_in *, const char *data, size_t n, size_t *used_r, struct policy_request *req_r);
void	policy_in_reset(struct policy_in *);
bool	policy_in_partial(const struct policy_in *);	/* in the middle of a request */

/* policy_put - append "name=value\n" for a request; bytes that would break the line become '?'. 0, or -1: no room */
int	policy_put(struct buf *, const char *name, const char *value);
/* policy_put_end - the empty line */
int	policy_put_end(struct buf *);
/* policy_put_action - append a whole reply: control characters and what is not UTF-8 become '?', the rest is cut at
 *	     POLICY_PROTO_TEXT_MAX bytes, a header at its own limit; must not be "" (an empty action accepts the mail) */
int	policy_put_action(struct buf *, const char *action);
/* policy_get_action - read a reply
 * action_r  points into data, not NUL-terminated, length in len_r
 * returns   1 the action; 0 not complete; -1 complete, and no action in it */
int	policy_get_action(const char *data, size_t n, const char **action_r, size_t *len_r);

#endif
