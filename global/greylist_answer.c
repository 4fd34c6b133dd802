/* global/greylist_answer.c - what a decision of greylisting says: to the client, to the log, and in counters */
#include "greylist_int.h"

#include <string.h>

#include <global/mail_date.h>
#include <global/stats.h>
#include <util/mem.h>
#include <util/msg.h>
#include <util/utf8.h>

#define ANSWER_TEXT_MAX	400		/* SMTP allows 512 for a reply line, of which Postfix needs some */
#define ANSWER_SHOWN	256		/* of an address in the log */

_Static_assert((int) STAT_greylist_late - (int) STAT_greylist_off == (int) GREYLIST_LATE, "a counter for each reason, in order");

#define GREYLIST_VERDICT_NO_OPINION GREYLIST_NO_OPINION
#define GREYLIST_VERDICT_PASS	GREYLIST_PASS
#define GREYLIST_VERDICT_DEFER	GREYLIST_DEFER
const enum greylist_verdict greylist_verdicts[GREYLIST_REASON_COUNT] = {
#define REASON(id, word, verdict) GREYLIST_VERDICT_##verdict,
	GREYLIST_REASONS(REASON)
#undef REASON
};

static const char *const greylist_words[GREYLIST_REASON_COUNT] = {
#define REASON(id, word, verdict) word,
	GREYLIST_REASONS(REASON)
#undef REASON
};

const char *
greylist_reason_word(enum greylist_reason reason)
{
	return reason < GREYLIST_REASON_COUNT ? greylist_words[reason] : "?";
}

/* greylist_expand - one pass: what is put in is not looked at again
 * places    letters, and what to put there */
static void
greylist_expand(struct buf *out, const char *text, const char *letters, const char *const *places)
{
	const char *p = text, *sign, *at;

	while ((sign = strchr(p, '%')) != NULL && sign[1] != 0) {
		buf_add(out, p, (size_t) (sign - p));
		p = sign + 2;
		if (sign[1] == '%')
			buf_addc(out, '%');
		else if ((at = strchr(letters, sign[1])) != NULL)
			buf_adds(out, places[at - letters]);
	}
	buf_adds(out, p);
}

/* greylist_clean - one line of printable text */
static void
greylist_clean(struct buf *b, size_t max)
{
	if (b->len > max)
		buf_cut(b, utf8_cut(b->data, b->len, max));
	if (b->len > 0)
		utf8_sanitise(b->data, b->len, true);
}

/* greylist_action_make - the text for people, and the action with it: what both are as long as these two stay the same */
static void
greylist_action_make(struct greylist *g, int64_t wait_s, const char *domain)
{
	const char *places[3];

	buf_reset(&g->text);
	buf_reset(&g->number);
	buf_reset(&g->text_domain);
	buf_addi(&g->number, wait_s);
	places[0] = buf_str(&g->number);
	places[1] = domain;
	places[2] = g->params->myhostname;
	greylist_expand(&g->text, g->params->greylist_text, "srh", places);
	greylist_clean(&g->text, ANSWER_TEXT_MAX);
	if (g->text.len == 0)
		buf_adds(&g->text, "Greylisted");	/* a reply code without text is no refusal */
	buf_reset(&g->action_text);
	buf_adds(&g->action_text, g->action);
	buf_addc(&g->action_text, ' ');
	buf_add(&g->action_text, g->text.data, g->text.len);
	g->text_wait_s = buf_adds(&g->text_domain, domain) == 0 ? wait_s : 0;
}

static void
greylist_action(struct greylist *g, const struct greylist_case *c, struct greylist_result *res)
{
	const int64_t wait_s = c->left_s > 60 ? (c->left_s + 59) / 60 * 60 : 60;
	const char *at = strrchr(c->req.recipient, '@'), *domain = at != NULL ? at + 1 : "";

	if (wait_s != g->text_wait_s || strcmp(domain, buf_str(&g->text_domain)) != 0)
		greylist_action_make(g, wait_s, domain);
	res->text = buf_str(&g->text);
	if (res->deferred)
		res->action = buf_str(&g->action_text);
}

static void
greylist_header(struct greylist *g, const struct greylist_case *c, struct greylist_result *res)
{
	const char *places[3];
	char	date[64];

	/* where nothing is deferred this is not the same message again, and no delay is to be told */
	if (g->params->greylist_header[0] == 0 || g->mode == GREYLIST_OBSERVE || g->store_conf.rules.delay_s == 0)
		return;
	buf_reset(&g->number);
	buf_addi(&g->number, c->delay_s);
	places[0] = buf_str(&g->number);
	places[1] = g->params->myhostname;
	places[2] = mail_date(date, sizeof date, ev_wall_s(g->loop));
	buf_reset(&g->header);
	greylist_expand(&g->header, g->params->greylist_header, "thd", places);
	greylist_clean(&g->header, 998);		/* RFC 5322 section 2.1.1 */
	res->header = buf_str(&g->header);
}

/* the log: msg_info_text sees to it that the line is printable */

static void
greylist_log_text(struct buf *out, const char *text)
{
	buf_add(out, text, utf8_cut(text, strlen(text), ANSWER_SHOWN));
}

static void
greylist_log_number(struct buf *out, const char *name, int64_t n)
{
	buf_adds(out, name);
	buf_addi(out, n);
}

/* greylist_log_addr - an address, or with greylist_privacy = hash the beginning of its hash */
static void
greylist_log_addr(struct greylist *g, const char *name, const char *addr)
{
	char	hash[17];

	buf_addc(&g->line, ' ');
	buf_adds(&g->line, name);
	buf_adds(&g->line, "=<");
	if (g->clear || addr[0] == 0)
		greylist_log_text(&g->line, addr);
	else {
		greylist_hash_hex(greylist_store_hash(g->store), addr, hash);
		buf_adds(&g->line, hash);
	}
	buf_addc(&g->line, '>');
}

static void
greylist_log(struct greylist *g, const struct greylist_case *c, const struct greylist_result *res)
{
	static const char *const verdicts[] = { [GREYLIST_NO_OPINION] = "none", [GREYLIST_PASS] = "pass", [GREYLIST_DEFER] = "defer" };
	const char *word = greylist_words[c->reason];

	if (c->reason == GREYLIST_OFF || c->reason == GREYLIST_STATE)
		return;
	if (!g->log_known && (strncmp(word, "known-", 6) == 0 || strncmp(word, "allow-", 6) == 0))
		return;
	buf_reset(&g->line);
	buf_adds(&g->line, "greylist=");
	buf_adds(&g->line, verdicts[res->verdict]);
	buf_adds(&g->line, " reason=");
	buf_adds(&g->line, word);
	buf_adds(&g->line, " client=");
	greylist_log_text(&g->line, c->req.client_name[0] != 0 ? c->req.client_name : "unknown");
	buf_addc(&g->line, '[');
	greylist_log_text(&g->line, c->req.client_address);
	buf_addc(&g->line, ']');
	greylist_log_addr(g, "from", c->req.sender);
	greylist_log_addr(g, "to", c->req.recipient);
	if (res->key[0] != 0) {
		buf_adds(&g->line, " key=");
		greylist_log_text(&g->line, res->key);
	}
	if (res->verdict == GREYLIST_DEFER)
		greylist_log_number(&g->line, " left=", res->left_s);
	if (c->reason == GREYLIST_RETRY) {
		greylist_log_number(&g->line, " delay=", c->delay_s);
		greylist_log_number(&g->line, " tries=", c->tries);
	}
	if (res->rule[0] != 0) {
		buf_adds(&g->line, " rule=");
		greylist_log_text(&g->line, res->rule);
	}
	if (c->fallback)
		buf_addf(&g->line, " fallback=%s", g->fallback_greylist ? "greylist" : "DUNNO");
	if (g->mode == GREYLIST_OBSERVE)
		buf_adds(&g->line, " mode=observe");
	if (c->req.instance[0] != 0) {
		buf_adds(&g->line, " instance=");
		greylist_log_text(&g->line, c->req.instance);
	}
	msg_info_text(g->line.data, g->line.len);
}

static void
greylist_count(const struct greylist_case *c)
{
	static const struct { int64_t upto_s; enum stat_id id; } delays[] = {
		{ 60, STAT_greylist_delay_1m }, { 300, STAT_greylist_delay_5m }, { 900, STAT_greylist_delay_15m },
		{ 3600, STAT_greylist_delay_1h }, { 4 * 3600, STAT_greylist_delay_4h }, { 86400, STAT_greylist_delay_1d },
		{ INT64_MAX, STAT_greylist_delay_more },
	};
	size_t	i = 0;

	stats_add((enum stat_id) ((int) STAT_greylist_off + (int) c->reason), 1);
	if (c->reason != GREYLIST_RETRY)
		return;
	while (c->delay_s > delays[i].upto_s)
		i++;
	stats_add(delays[i].id, 1);
}

void
greylist_answer(struct greylist *g, const struct greylist_case *c, struct greylist_result *res)
{
	const bool observed = g->mode == GREYLIST_OBSERVE;
	enum greylist_verdict verdict = greylist_verdicts[c->reason];

	/* nothing to wait for: record and learn */
	if (verdict == GREYLIST_DEFER && g->store_conf.rules.delay_s == 0)
		verdict = GREYLIST_PASS;
	*res = (struct greylist_result) {
		.verdict = verdict,
		.reason = c->reason,
		.observed = observed,
		.action = "DUNNO",
		.header = NULL,
		.deferred = verdict == GREYLIST_DEFER && !observed,
		.code = g->code,
		.text = NULL,
		.key = c->names.client,
		.left_s = verdict == GREYLIST_DEFER ? c->left_s : 0,
		.delay_s = c->reason == GREYLIST_RETRY ? c->delay_s : 0,
		.tries = c->tries,
		.rule = c->rule,
	};
	if (verdict == GREYLIST_DEFER)
		greylist_action(g, c, res);
	if (c->reason == GREYLIST_RETRY)
		greylist_header(g, c, res);
	greylist_count(c);
	greylist_log(g, c, res);
}
