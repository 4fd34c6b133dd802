/* daemons/policy/policy_said.c - what was answered in one mail transaction: smtpd asks the same again at once
 * Requests are compared as they came, by all that the checks look at. What is too long to be kept is decided anew.
 */
#include "policy.h"

#include <string.h>

#include <util/utf8.h>

#define SAID_MAX	2048		/* bytes of a request; two addresses, three names and an instance of the usual sizes are 500 */

void
policy_said_init(struct policy_said *s)
{
	memset(s, 0, sizeof *s);
	buf_init(&s->instance, SAID_MAX);
	for (unsigned i = 0; i < POLICY_SAID; i++) {
		buf_init(&s->of[i].request, SAID_MAX);
		buf_init(&s->of[i].action, POLICY_PROTO_TEXT_MAX);
	}
}

void
policy_said_fini(struct policy_said *s)
{
	buf_fini(&s->instance);
	for (unsigned i = 0; i < POLICY_SAID; i++) {
		buf_fini(&s->of[i].request);
		buf_fini(&s->of[i].action);
	}
}

/* said_put - instead of what is there; false: too long, it is empty then */
static bool
said_put(struct buf *b, const char *data, size_t n)
{
	buf_reset(b);
	return buf_add(b, data, n) == 0;
}

bool
policy_said_same(struct policy_said *s, const char *instance)
{
	if (s->instance.len > 0 && strcmp(s->instance.data, instance) == 0)
		return true;
	(void) said_put(&s->instance, instance, strlen(instance));
	s->n = 0;
	s->prepended = false;
	return false;
}

const char *
policy_said_look(const struct policy_said *s, const struct buf *request)
{
	for (unsigned i = 0; i < s->n && i < POLICY_SAID; i++)
		if (s->of[i].request.len == request->len && memcmp(s->of[i].request.data, request->data, request->len) == 0)
			return buf_str(&s->of[i].action);
	return NULL;
}

void
policy_said_add(struct policy_said *s, const struct buf *request, const char *action)
{
	struct policy_saying *of = &s->of[s->n % POLICY_SAID];
	const size_t n = utf8_cut(action, strlen(action), POLICY_PROTO_TEXT_MAX);	/* as the reply */

	if (s->instance.len == 0)
		return;
	s->n++;
	if (!said_put(&of->request, request->data, request->len) || !said_put(&of->action, action, n))
		buf_reset(&of->request);			/* no request is empty */
}
