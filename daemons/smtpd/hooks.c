/* daemons/smtpd/hooks.c - ask the plugins of a hook in order, until one decides
 * A run is a loop over the chain that a suspended plugin interrupts; vh_resume, the time limit or the end of the
 * connection take it up again. After each plugin the deny or ok hooks are told. Nothing here knows SMTP.
 */
#include <stdio.h>
#include <string.h>

#include <util/mem.h>
#include <util/msg.h>
#include <util/utf8.h>

#include "plugin_stats.h"
#include "smtpd.h"

static void hook_limit(void *);
static void hook_go_on(void *);

void
hook_run_init(struct hook_run *r, struct vh_conn *conn)
{
	memset(r, 0, sizeof *r);
	r->call.conn = conn;
	buf_init(&r->call.text, HOOK_TEXT_MAX);
}

void
hook_run_fini(struct hook_run *r)
{
	hook_run_cancel(r);
	buf_fini(&r->call.text);
}

static void
hook_call_reset(struct vh_call *c)
{
	buf_shrink(&c->text, 0);
	c->enh[0] = 0;
	c->code = 0;
	c->suspended = c->resumed = false;
	c->cancel = NULL;
	c->input = NULL;
	c->next = NULL;
}

/* hook_tell - the deny and ok hooks: all of them are asked, their results are ignored; they cannot suspend */
static void
hook_tell(struct hook_run *r, enum vh_rc rc)
{
	enum vh_hook hook = rc >= VH_DENY && rc <= VH_DENYSOFT_DISCONNECT ? VH_HOOK_DENY : VH_HOOK_OK;
	const struct plugins *set = smtpd.plugins;
	struct vh_call c = { .conn = r->call.conn, .addr = r->call.addr, .hook = hook, .arg = "",
		.text = BUF_INIT(HOOK_TEXT_MAX) };

	for (size_t i = 0; i < set->chain_n[hook]; i++) {
		c.about = (struct vh_outcome) { r->call.hook, rc, r->call.inst->name, buf_str(&r->call.text) };
		c.inst = set->chain[hook][i].inst;
		if (set->chain[hook][i].fn(&c) == VH_YIELD && c.cancel != NULL)
			c.cancel(c.cancel_ctx);
		hook_call_reset(&c);
	}
	buf_fini(&c.text);
}

static void
hook_remember(struct hook_run *r, enum vh_rc rc)
{
	struct vh_conn *conn = r->call.conn;

	if (conn != NULL && conn->results != NULL)
		conn->results[r->call.inst->index * VH_HOOKS + r->call.hook] = (uint8_t) (rc + 1);
}

/* hook_fault - what a plugin that did wrong counts as */
static enum vh_rc
hook_fault(struct hook_run *r, const char *what)
{
	enum vh_rc rc = r->call.inst->on_error;

	vh_log(&r->call, VH_LOG_ERROR, "hook %s: %s: treated as %s", vh_hook_name(r->call.hook), what, vh_rc_name(rc));
	hook_call_reset(&r->call);
	if (rc == VH_DENYSOFT)
		vh_reply(&r->call, rc, "4.3.0", "Temporary trouble here, try again later");
	return rc;
}

/* hook_suspended - the plugin that was just asked waits for something: its time limit runs */
static bool
hook_suspended(struct hook_run *r, enum vh_rc rc)
{
	if (rc != VH_YIELD || !r->call.suspended || !hook_table[r->call.hook].may_suspend)
		return false;
	if (!r->call.resumed)
		ev_timer_set(smtpd.loop, &r->limit, r->call.inst->time_limit_ms, hook_limit, r);
	return true;
}

/* hook_after_result - what one of those that wanted to see the result has made of it */
static void
hook_after_result(struct hook_run *r, enum vh_rc rc)
{
	if (rc != r->rc)
		r->by = r->call.inst;
	r->rc = rc;
	hook_remember(r, rc);
}

/* hook_after - those that wanted to see the result of the others, last one first; false: one has suspended */
static bool
hook_after(struct hook_run *r)
{
	enum vh_rc now;

	while (r->afters > 0) {
		r->call.inst = r->after[--r->afters].inst;
		r->call.suspended = r->call.resumed = false;
		now = r->after[r->afters].fn(&r->call, r->rc, r->after[r->afters].ctx);
		if (hook_suspended(r, now)) {
			r->in_after = true;
			return false;
		}
		if ((unsigned) now >= VH_YIELD) {
			ev_defer_cancel(smtpd.loop, &r->go_on);
			if (r->call.cancel != NULL)
				r->call.cancel(r->call.cancel_ctx);
			now = hook_fault(r, "illegal return code after vh_next");
		}
		hook_after_result(r, now);
	}
	r->active = false;
	return true;
}

/* hook_result - one plugin has decided; true: so has the chain */
static bool
hook_result(struct hook_run *r, enum vh_rc rc)
{
	hook_remember(r, rc);
	plugin_stats_count(r->call.inst, rc);
	if (msg_verbose > 0)
		vh_log(&r->call, VH_LOG_DEBUG, "hook %s: %s %s", vh_hook_name(r->call.hook), vh_rc_name(rc), buf_str(&r->call.text));
	hook_tell(r, rc);
	if (rc == VH_DECLINED)
		return false;
	r->by = r->call.inst;
	r->rc = rc;
	return true;
}

/* hook_one - ask one plugin. 1: it has decided for all, 0: the next one, -1: suspended */
static int
hook_one(struct hook_run *r, const struct hook_step *step)
{
	enum vh_rc rc;

	hook_call_reset(&r->call);
	r->call.inst = step->inst;
	rc = step->fn(&r->call);
	if (hook_suspended(r, rc))
		return -1;
	if (rc == VH_NEXT && r->call.next != NULL && r->afters < HOOK_AFTER_MAX) {
		r->after[r->afters].inst = step->inst;
		r->after[r->afters].fn = r->call.next;
		r->after[r->afters++].ctx = r->call.next_ctx;
		return 0;
	}
	if ((unsigned) rc >= VH_YIELD || r->call.suspended) {
		ev_defer_cancel(smtpd.loop, &r->go_on);
		if (r->call.suspended && r->call.cancel != NULL)
			r->call.cancel(r->call.cancel_ctx);
		rc = hook_fault(r, (unsigned) rc == VH_YIELD ? "suspended where that is not possible" : "illegal return code");
	}
	return hook_result(r, rc);
}

/* hook_loop - from r->pos on; true: there is a result */
static bool
hook_loop(struct hook_run *r)
{
	const struct plugins *set = smtpd.plugins;
	int	one;

	while (r->pos < set->chain_n[r->call.hook]) {
		if ((one = hook_one(r, &set->chain[r->call.hook][r->pos])) < 0)
			return false;
		r->pos++;
		if (one > 0)
			break;
	}
	return hook_after(r);
}

bool
hook_run(struct hook_run *r, enum vh_hook hook, struct vh_addr *addr, const char *arg, void (*done)(struct vh_conn *))
{
	r->call.hook = hook;
	r->call.addr = addr;
	r->call.arg = arg;
	r->pos = r->afters = 0;
	r->in_after = false;
	r->rc = VH_DECLINED;
	r->by = NULL;
	r->done = done;
	hook_call_reset(&r->call);
	if (smtpd.plugins->chain_n[hook] == 0)
		return true;
	r->active = true;
	return hook_loop(r);
}

/* hook_resumed - a suspended plugin has come to a result */
static void
hook_resumed(struct hook_run *r, enum vh_rc rc)
{
	ev_timer_cancel(smtpd.loop, &r->limit);
	r->call.suspended = r->call.resumed = false;
	r->call.cancel = NULL;
	r->call.input = NULL;
	if ((unsigned) rc >= VH_YIELD)
		rc = hook_fault(r, "illegal return code");
	if (r->in_after) {
		r->in_after = false;
		hook_after_result(r, rc);
		if (!hook_after(r))
			return;
	} else {
		r->pos++;
		if (hook_result(r, rc) ? !hook_after(r) : !hook_loop(r))
			return;
	}
	r->done(r->call.conn);
}

static void
hook_go_on(void *ctx)
{
	struct hook_run *r = ctx;

	hook_resumed(r, r->call.resume_rc);
}

static void
hook_limit(void *ctx)
{
	struct hook_run *r = ctx;
	vh_cancel_fn *cancel = r->call.cancel;

	r->call.cancel = NULL;
	if (cancel != NULL)
		cancel(r->call.cancel_ctx);
	ev_defer_cancel(smtpd.loop, &r->go_on);
	hook_resumed(r, hook_fault(r, "no result within its time limit"));
}

void
hook_run_cancel(struct hook_run *r)
{
	vh_cancel_fn *cancel = r->call.cancel;

	if (!r->active)
		return;
	r->active = r->in_after = false;
	ev_timer_cancel(smtpd.loop, &r->limit);
	ev_defer_cancel(smtpd.loop, &r->go_on);
	r->call.cancel = NULL;
	r->call.input = NULL;
	if (cancel != NULL && !r->call.resumed)
		cancel(r->call.cancel_ctx);
	r->call.suspended = false;
	while (r->afters > 0) {
		r->afters--;
		r->call.inst = r->after[r->afters].inst;
		r->after[r->afters].fn(&r->call, VH_YIELD, r->after[r->afters].ctx);
	}
}

void
hook_input(struct hook_run *r)
{
	vh_event_fn *fn = r->call.input;

	r->call.input = NULL;
	if (r->active && r->call.suspended && !r->call.resumed && fn != NULL)
		fn(r->call.input_ctx);
}

bool
hook_config(const struct plugins *set, const char *name, struct buf *text)
{
	struct vh_call c = { .hook = VH_HOOK_CONFIG, .arg = name, .text = BUF_INIT(HOOK_TEXT_MAX) };
	bool	found = false;

	for (size_t i = 0; !found && i < set->chain_n[VH_HOOK_CONFIG]; i++) {
		hook_call_reset(&c);
		c.inst = set->chain[VH_HOOK_CONFIG][i].inst;
		found = set->chain[VH_HOOK_CONFIG][i].fn(&c) == VH_OK;
	}
	if (found)
		buf_adds(text, buf_str(&c.text));
	buf_fini(&c.text);
	return found;
}

/* what plugins call */

enum vh_rc
vh_suspend(struct vh_call *c, vh_cancel_fn *cancel, void *ctx)
{
	c->suspended = true;
	c->resumed = false;
	c->cancel = cancel;
	c->cancel_ctx = ctx;
	return VH_YIELD;
}

void
vh_resume(struct vh_call *c, enum vh_rc rc)
{
	struct hook_run *r = (struct hook_run *) (void *) ((char *) c - offsetof(struct hook_run, call));

	if (!c->suspended || c->resumed || c->conn == NULL)
		return;
	c->resumed = true;
	c->resume_rc = rc;
	c->cancel = NULL;
	c->input = NULL;
	ev_timer_cancel(smtpd.loop, &r->limit);
	ev_defer_set(smtpd.loop, &r->go_on, hook_go_on, r);
}

enum vh_rc
vh_next(struct vh_call *c, vh_after_fn *after, void *ctx)
{
	c->next = after;
	c->next_ctx = ctx;
	return VH_NEXT;
}

void
vh_on_input(struct vh_call *c, vh_event_fn *fn, void *ctx)
{
	c->input = fn;
	c->input_ctx = ctx;
}

enum vh_rc
vh_reply(struct vh_call *c, enum vh_rc rc, const char *enh, const char *fmt, ...)
{
	va_list ap;

	buf_reset(&c->text);
	va_start(ap, fmt);
	if (buf_addv(&c->text, fmt, ap) < 0) {		/* too long: what fits is better than nothing */
		buf_reset(&c->text);
		buf_adds(&c->text, "Refused");
	}
	va_end(ap);
	snprintf(c->enh, sizeof c->enh, "%s", enh != NULL ? enh : "");
	return rc;
}

void
vh_reply_code(struct vh_call *c, unsigned code)
{
	c->code = code;
}

/* hook_refuse - as the instance is configured, with this return code */
static enum vh_rc __attribute__((format(printf, 4, 0)))
hook_refuse(struct vh_call *c, enum vh_rc rc, const char *subject, const char *fmt, va_list ap)
{
	static const char *const types[] = {
		[VH_DENY] = "perm", [VH_DENYSOFT] = "temp", [VH_DENY_DISCONNECT] = "disconnect",
		[VH_DENYSOFT_DISCONNECT] = "temp_disconnect",
	};
	struct vh_notes *notes;

	buf_reset(&c->text);
	buf_addv(&c->text, fmt, ap);
	snprintf(c->enh, sizeof c->enh, "%c.%s", rc == VH_DENY || rc == VH_DENY_DISCONNECT ? '5' : '4', subject);
	switch (c->inst->reject) {
	case INST_REJECT_YES:
		return rc;
	case INST_REJECT_NAUGHTY:
		vh_log(c, VH_LOG_INFO, "naughty: %s", buf_str(&c->text));
		notes = vh_conn_notes(c->conn);
		if (!vh_note_has(notes, "naughty")) {
			vh_note_set_str(notes, "naughty", buf_str(&c->text));
			vh_note_set_str(notes, "naughty_reject_type", types[rc]);
		}
		break;
	case INST_REJECT_NO:
		vh_log(c, VH_LOG_INFO, "tolerated: %s", buf_str(&c->text));
		break;
	}
	buf_reset(&c->text);
	c->enh[0] = 0;
	return VH_DECLINED;
}

enum vh_rc
vh_refuse(struct vh_call *c, const char *subject, const char *fmt, ...)
{
	enum vh_rc rc;
	va_list ap;

	va_start(ap, fmt);
	rc = hook_refuse(c, c->inst->reject_type, subject, fmt, ap);
	va_end(ap);
	return rc;
}

enum vh_rc
vh_refuse_soft(struct vh_call *c, const char *subject, const char *fmt, ...)
{
	enum vh_rc rc = c->inst->reject_type;
	va_list ap;

	va_start(ap, fmt);
	rc = hook_refuse(c, rc == VH_DENY || rc == VH_DENYSOFT ? VH_DENYSOFT : VH_DENYSOFT_DISCONNECT, subject, fmt, ap);
	va_end(ap);
	return rc;
}

enum vh_rc
vh_result(const struct vh_conn *conn, const char *instance, enum vh_hook hook)
{
	const struct vh_inst *inst = plugins_find(smtpd.plugins, instance);

	if (inst == NULL || conn->results == NULL || (unsigned) hook >= VH_HOOKS || conn->results[inst->index * VH_HOOKS + hook] == 0)
		return VH_RCS;
	return (enum vh_rc) (conn->results[inst->index * VH_HOOKS + hook] - 1);
}
