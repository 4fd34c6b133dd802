/* global/smtp_class.c - what a reply to a probe means
 * The table is read from the top, the first row that matches decides: narrow rows stand above wide ones. A row's words
 * are looked up in the text as smtp_class_words prepares it: " rate " finds the word, "rate" also "generated".
 */
#include "smtp_class.h"

#include <ctype.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <util/cfline.h>
#include <util/mem.h>

#define AT(x)	  (1u << SMTP_AT_##x)
#define AT_HELLO  (AT(EHLO) | AT(HELO))
#define AT_WHO	  (AT(RCPT) | AT(DATA))		/* about the recipient; DATA only when it is the target */
#define AT_ANY	  ((1u << SMTP_ATS) - 1)

enum smtp_rule_status { S_OK, S_DEFER, S_BOUNCE, S_POLICY, S_FULL, S_GREET };	/* the last three by configuration */

struct smtp_rule {
	unsigned at;			/* bits */
	unsigned lo, hi;		/* code */
	const char *enh;		/* enhanced status code, '*' stands for one part; "-" none; NULL any */
	const char *words;		/* one of these, '|' between them; NULL any */
	enum smtp_rule_status inet, own;
	enum smtp_cat cat;
	enum smtp_then then;
	bool	exists;
	const char *rule;
	const char *host;		/* suffix of the server's name; NULL any */
};

/* Words, as servers write them. Blanks at the ends mean whole words. */
#define W_USER \
	"user unknown|unknown user|no such user|user not found|user does not exist|user doesn t exist|" \
	"invalid user|user invalid|user is unknown|not a known user|not a valid user|unknown or illegal user|" \
	"no such mailbox|mailbox not found|unknown mailbox|mailbox unknown|mailbox does not exist|mailbox doesn t exist|" \
	"no mailbox|mailbox unavailable|mailbox not available|invalid mailbox|not a valid mailbox|mailbox is unavailable|" \
	"unknown recipient|recipient unknown|recipient not found|no such recipient|invalid recipient|recipient is invalid|" \
	"recipient does not exist|not a valid recipient|bad recipient|recipient not exist|unknown to address|" \
	"no such address|address unknown|unknown address|address not found|address does not exist|address doesn t exist|" \
	"invalid address|bad destination|unrouteable address|unroutable address|unknown local part|" \
	"no such account|account not found|unknown account|account does not exist|account that you tried to reach|" \
	"no such person|no such local user|no such domain user|not our customer|no user here|isn t a user here|" \
	"does not have an account|doesn t have an account|no longer exists|no longer here|no longer with|" \
	"does not like recipient|undeliverable address|recipient verify failed|user unavailable|not a local user|" \
	"no account by that name|not listed in|not found in directory|addressee unknown"
#define W_GONE	"disabled|deactivated|inactive|suspended|closed|expired|discontinued"
#define W_GREY	"grey|gray|try again|try later|later|come back|retry|postponed|not yet"
#define W_RATE	" rate | rates |ratelimit|unusual|too many|too fast|too much mail|throttl|limit exceeded|exceeded the limit"
#define W_FULL	"quota|mailbox full|mailbox is full|over limit|overlimit|storage|is full|too full|insufficient space"
#define W_RCPTS	"too many recipients|too many rcpt|recipients limit|one recipient|multiple domains|same domain|multiple destination"
#define W_RELAY	"relay|rcpthosts|not permitted to send through|not hosted here|not a local domain|no such domain here"
#define W_PTR	" ptr |reverse| rdns |hostname|host name|forward confirmed"
#define W_IPV6	" ptr |ipv6|reverse dns|reverse hostname|authentication guidelines"
#define W_TLS	"tls|encrypt| ssl |secure connection"
#define W_AUTH	"auth|log in|login|credentials"
#define W_SENDER \
	"sender|mail from|from address|return path|envelope from|bounce address|null reverse path|domain of the from"
#define W_LIST \
	"blocklist|block list|blacklist|black list|black listed|denylist|blocked|listed| rbl | dnsbl |reputation|spam|" \
	"banned|abuse|barracuda|proofpoint|cloudmark|client host|your ip|your host|your server|your network|ip address"
#define W_POLICY W_LIST "|policy| ptr |reverse| spf | dkim | dmarc |not authorized|not authorised|unauthorized|" \
	"not authenticated|access denied|forbidden|prohibited|refused by|rejected by|security|dynamic|residential"
#define W_RESTRICT \
	"restricted|only accepts|accepts only|not allowed to send|not permitted to send|authenticated senders|" \
	"permission to send|moderat|internal senders|members only|closed group|not accept mail from"

#define BOTH(s)		S_##s, S_##s
#define I_O(i, o)	S_##i, S_##o
#define R(at, lo, hi, enh, words, st, cat, then, exists, rule) \
	{ at, lo, hi, enh, words, st, SMTP_CAT_##cat, SMTP_THEN_##then, exists, rule, NULL },
static const struct smtp_rule smtp_rules[] = {
	/* where, code lo-hi, enhanced, words, Internet and own route, category, then, exists, rule, source */

	/* before the recipient: about us, or about the moment */
	R(AT(BANNER), 400, 499, NULL, NULL, BOTH(DEFER), BUSY, NEXT, 0, "busy-greeting")	/* RFC 5321 3.1 */
	R(AT(BANNER), 500, 599, NULL, NULL, I_O(DEFER, GREET), POLICY, NEXT, 0, "refused-greeting")
	R(AT(BANNER), 0, 999, NULL, NULL, BOTH(DEFER), PROTOCOL, NEXT, 0, "odd-greeting")
	R(AT_HELLO, 421, 421, NULL, NULL, BOTH(DEFER), BUSY, NEXT, 0, "busy-helo")
	R(AT_HELLO, 400, 499, NULL, NULL, BOTH(DEFER), POLICY, NEXT, 0, "helo-later")
	R(AT_HELLO, 500, 599, NULL, NULL, I_O(POLICY, BOUNCE), POLICY, NEXT, 0, "helo-refused")
	R(AT_HELLO, 0, 999, NULL, NULL, BOTH(DEFER), PROTOCOL, NEXT, 0, "odd-helo")
	R(AT(STARTTLS), 0, 999, NULL, NULL, BOTH(DEFER), TLS, NEXT, 0, "starttls-refused")	/* RFC 3207 4 */

	R(AT(MAIL), 421, 421, NULL, W_RATE, BOTH(DEFER), RATE, NEXT, 0, "rate-mail")
	R(AT(MAIL), 421, 421, NULL, NULL, BOTH(DEFER), BUSY, NEXT, 0, "busy-mail")
	R(AT(MAIL), 530, 530, NULL, W_TLS, BOTH(DEFER), TLS, TLS, 0, "tls-required")	/* RFC 3207 4 */
	R(AT(MAIL), 523, 523, NULL, NULL, BOTH(DEFER), TLS, TLS, 0, "tls-required")	/* RFC 5248 */
	R(AT(MAIL), 400, 599, "*.7.0", W_TLS, BOTH(DEFER), TLS, TLS, 0, "tls-required")
	R(AT(MAIL), 400, 599, "*.7.3", W_TLS, BOTH(DEFER), TLS, TLS, 0, "tls-required")
	R(AT(MAIL), 451, 451, NULL, W_TLS, BOTH(DEFER), TLS, TLS, 0, "tls-required")	/* 451 5.7.3 */
	R(AT(MAIL), 530, 538, NULL, W_AUTH, BOTH(DEFER), AUTH, FINAL, 0, "auth-required")	/* RFC 4954 6 */
	R(AT(MAIL), 530, 530, NULL, NULL, BOTH(DEFER), TLS, TLS, 0, "tls-required")
	R(AT(MAIL), 450, 451, "4.3.*", NULL, BOTH(DEFER), SENDER_TEMP, NEXT, 0, "mail-later")
	R(AT(MAIL), 450, 451, "4.4.*", NULL, BOTH(DEFER), SENDER_TEMP, NEXT, 0, "mail-later")
	R(AT(MAIL), 450, 451, "4.1.*", NULL, BOTH(DEFER), SENDER_TEMP, NEXT, 0, "mail-later")
	R(AT(MAIL), 450, 451, NULL, NULL, BOTH(DEFER), GREYLIST, GREY, 0, "greylist-mail")
	R(AT(MAIL), 400, 499, NULL, NULL, BOTH(DEFER), SENDER_TEMP, NEXT, 0, "mail-later")
	R(AT(MAIL), 501, 501, NULL, "parameter|syntax error in", BOTH(DEFER), PROTOCOL, PLAIN, 0, "mail-parameter")
	R(AT(MAIL), 504, 504, NULL, NULL, BOTH(DEFER), PROTOCOL, PLAIN, 0, "mail-parameter") /* RFC 5321 4.2.2 */
	R(AT(MAIL), 555, 555, NULL, NULL, BOTH(DEFER), PROTOCOL, PLAIN, 0, "mail-parameter") /* RFC 5321 4.1.1.11 */
	R(AT(MAIL), 500, 500, NULL, NULL, BOTH(DEFER), PROTOCOL, NEXT, 0, "mail-protocol")
	R(AT(MAIL), 502, 503, NULL, NULL, BOTH(DEFER), PROTOCOL, NEXT, 0, "mail-protocol")
	R(AT(MAIL), 500, 599, "5.1.*", NULL, I_O(POLICY, BOUNCE), SENDER, SENDER, 0, "sender-refused") /* RFC 3463 3.2 */
	R(AT(MAIL), 500, 599, NULL, W_LIST, I_O(POLICY, BOUNCE), POLICY, NEXT, 0, "we-are-blocked")
	R(AT(MAIL), 500, 599, NULL, NULL, I_O(POLICY, BOUNCE), SENDER, SENDER, 0, "sender-refused")
	R(AT(MAIL), 0, 999, NULL, NULL, BOTH(DEFER), PROTOCOL, NEXT, 0, "odd-mail")

	/* the recipient: accepted */
	R(AT_WHO, 252, 252, NULL, NULL, BOTH(OK), UNVERIFIED, FINAL, 0, "accepted-unchecked") /* RFC 5321 3.5.3 */
	R(AT_WHO, 200, 299, NULL, NULL, BOTH(OK), ACCEPTED, FINAL, 1, "accepted")		/* RFC 5321 4.3.2 */
	R(AT(DATA), 354, 354, NULL, NULL, BOTH(OK), ACCEPTED, FINAL, 1, "accepted-data")

	/* the recipient: later */
	R(AT_WHO, 421, 421, "4.7.0", NULL, BOTH(DEFER), RATE, NEXT, 0, "rate")
	R(AT_WHO, 421, 421, NULL, W_RATE, BOTH(DEFER), RATE, NEXT, 0, "rate")
	R(AT_WHO, 421, 421, NULL, NULL, BOTH(DEFER), BUSY, NEXT, 0, "busy")		/* RFC 5321 3.8 */
	R(AT_WHO, 450, 452, "*.5.3", NULL, BOTH(DEFER), RATE, AFRESH, 0, "too-many-recipients") /* RFC 3463 3.6 */
	R(AT_WHO, 450, 452, NULL, W_RCPTS, BOTH(DEFER), RATE, AFRESH, 0, "too-many-recipients")
	R(AT_WHO, 450, 452, "4.2.2", NULL, BOTH(FULL), FULL, FINAL, 1, "mailbox-full")	/* RFC 3463 3.3 */
	R(AT_WHO, 450, 451, "4.2.1", NULL, BOTH(DEFER), MAILBOX_TEMP, FINAL, 1, "mailbox-busy")
	R(AT_WHO, 450, 451, "4.1.8", NULL, BOTH(DEFER), NESTED, AGAIN, 0, "they-verify-us")
	R(AT_WHO, 450, 451, "4.1.1", NULL, BOTH(DEFER), NESTED, AGAIN, 0, "they-verify-it")
	R(AT_WHO, 450, 451, NULL, "unverified address|address verification|verification in progress", BOTH(DEFER),
	  NESTED, AGAIN, 0, "they-verify-it")
	R(AT_WHO, 450, 451, "4.1.2", NULL, BOTH(DEFER), REMOTE_DNS, FINAL, 0, "their-dns")
	R(AT_WHO, 450, 451, "4.4.3", NULL, BOTH(DEFER), REMOTE_DNS, FINAL, 0, "their-dns")
	R(AT_WHO, 450, 451, "4.7.25", NULL, BOTH(DEFER), POLICY, FAMILY, 0, "our-name")	/* RFC 7372 3.3 */
	R(AT_WHO, 450, 451, NULL, W_PTR, BOTH(DEFER), POLICY, FAMILY, 0, "our-name")
	R(AT_WHO, 450, 451, NULL, W_RATE, BOTH(DEFER), RATE, NEXT, 0, "rate")
	R(AT_WHO, 450, 450, "4.2.0", NULL, BOTH(DEFER), GREYLIST, GREY, 0, "greylisted")
	R(AT_WHO, 450, 451, "4.7.*", NULL, BOTH(DEFER), GREYLIST, GREY, 0, "greylisted")
	R(AT_WHO, 450, 451, "4.3.*", NULL, BOTH(DEFER), REMOTE_ERROR, NEXT, 0, "their-trouble")
	R(AT_WHO, 450, 451, "4.4.*", NULL, BOTH(DEFER), REMOTE_ERROR, NEXT, 0, "their-trouble")
	R(AT_WHO, 450, 451, NULL, W_GREY, BOTH(DEFER), GREYLIST, GREY, 0, "greylisted")
	R(AT_WHO, 450, 450, NULL, NULL, BOTH(DEFER), MAILBOX_TEMP, NEXT, 0, "mailbox-later") /* RFC 5321 4.2.3 */
	R(AT_WHO, 451, 451, "-", NULL, BOTH(DEFER), GREYLIST, GREY, 0, "greylisted")
	R(AT_WHO, 451, 451, NULL, NULL, BOTH(DEFER), REMOTE_ERROR, NEXT, 0, "their-trouble")
	R(AT_WHO, 452, 452, "-", W_FULL, BOTH(FULL), FULL, FINAL, 1, "mailbox-full")
	R(AT_WHO, 452, 452, NULL, NULL, BOTH(DEFER), REMOTE_ERROR, NEXT, 0, "their-storage")
	R(AT_WHO, 455, 455, NULL, NULL, BOTH(DEFER), PROTOCOL, PLAIN, 0, "rcpt-parameter")
	R(AT_WHO, 454, 454, NULL, W_TLS, BOTH(DEFER), TLS, TLS, 0, "tls-required")
	R(AT_WHO, 400, 499, NULL, NULL, BOTH(DEFER), REMOTE_ERROR, NEXT, 0, "try-later")	/* RFC 5321 4.2.1 */

	/* the recipient: no, or a no about something else */
	{ AT_WHO, 550, 550, "5.4.1", "access denied", BOTH(BOUNCE), SMTP_CAT_UNKNOWN, SMTP_THEN_FINAL, 0, "edge-blocked",
	  ".protection.outlook.com" },
	R(AT_WHO, 500, 500, NULL, NULL, BOTH(DEFER), PROTOCOL, NEXT, 0, "rcpt-protocol")
	R(AT_WHO, 502, 504, NULL, NULL, BOTH(DEFER), PROTOCOL, NEXT, 0, "rcpt-protocol")
	R(AT_WHO, 555, 555, NULL, NULL, BOTH(DEFER), PROTOCOL, PLAIN, 0, "rcpt-parameter")
	R(AT_WHO, 556, 556, NULL, NULL, BOTH(BOUNCE), NULLMX, FINAL, 0, "no-mail-domain")	/* RFC 7504 */
	R(AT_WHO, 500, 599, "5.1.10", "null mx|nullmx|domain does not accept", BOTH(BOUNCE), NULLMX, FINAL, 0, "no-mail-domain") /* RFC 7505 */
	R(AT_WHO, 551, 551, NULL, NULL, BOTH(BOUNCE), MOVED, FINAL, 0, "moved")		/* RFC 5321 3.4 */
	R(AT_WHO, 501, 501, "5.1.7", NULL, BOTH(DEFER), SENDER, SENDER, 0, "sender-refused")
	R(AT_WHO, 501, 501, "5.1.8", NULL, BOTH(DEFER), SENDER, SENDER, 0, "sender-refused")
	R(AT_WHO, 501, 501, "5.1.*", NULL, BOTH(BOUNCE), SYNTAX, FINAL, 0, "bad-address")	/* RFC 3463 3.2 */
	R(AT_WHO, 501, 501, NULL, NULL, BOTH(DEFER), PROTOCOL, NEXT, 0, "rcpt-syntax")
	R(AT_WHO, 500, 599, "5.1.7", NULL, BOTH(DEFER), SENDER, SENDER, 0, "sender-refused") /* RFC 3463 3.2 */
	R(AT_WHO, 500, 599, "5.1.8", NULL, BOTH(DEFER), SENDER, SENDER, 0, "sender-refused") /* RFC 3463 3.2 */
	R(AT_WHO, 500, 599, "5.2.2", NULL, BOTH(FULL), FULL, FINAL, 1, "mailbox-full")	/* RFC 3463 3.3 */
	R(AT_WHO, 523, 523, NULL, NULL, BOTH(DEFER), TLS, TLS, 0, "tls-required")
	R(AT_WHO, 530, 538, NULL, W_TLS, BOTH(DEFER), TLS, TLS, 0, "tls-required")
	R(AT_WHO, 530, 538, NULL, NULL, BOTH(DEFER), AUTH, FINAL, 0, "auth-required")
	R(AT_WHO, 500, 599, "5.7.0", "starttls", BOTH(DEFER), TLS, TLS, 0, "tls-required")
	R(AT_WHO, 500, 599, "5.7.10", NULL, BOTH(DEFER), TLS, TLS, 0, "tls-required")	/* RFC 5248 */

	R(AT_WHO, 510, 521, "5.1.*", NULL, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "no-such-address")
	R(AT_WHO, 510, 521, NULL, W_USER, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "no-such-address")
	R(AT_WHO, 521, 521, NULL, NULL, I_O(DEFER, BOUNCE), POLICY, NEXT, 0, "refuses-mail")

	R(AT_WHO, 552, 552, "5.5.3", NULL, BOTH(DEFER), RATE, AFRESH, 0, "too-many-recipients") /* RFC 5321 4.5.3.1.10 */
	R(AT_WHO, 552, 552, NULL, "recipients", BOTH(DEFER), RATE, AFRESH, 0, "too-many-recipients")
	R(AT_WHO, 552, 552, NULL, W_FULL, BOTH(FULL), FULL, FINAL, 1, "mailbox-full")
	R(AT_WHO, 552, 552, NULL, NULL, I_O(DEFER, BOUNCE), SIZE, FINAL, 0, "size")		/* RFC 5321 4.2.3 */

	R(AT_WHO, 500, 599, "5.1.1", NULL, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "no-such-address") /* RFC 3463 3.2 */
	R(AT_WHO, 550, 554, "5.1.0", W_SENDER, BOTH(DEFER), SENDER, SENDER, 0, "sender-refused")
	R(AT_WHO, 550, 554, "5.1.0", W_LIST, I_O(POLICY, BOUNCE), POLICY, NEXT, 0, "we-are-blocked")
	R(AT_WHO, 550, 554, "5.1.*", NULL, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "no-such-address") /* RFC 3463 3.2 */
	R(AT_WHO, 550, 554, "5.2.1", W_RATE, BOTH(DEFER), MAILBOX_TEMP, FINAL, 1, "mailbox-busy")
	R(AT_WHO, 550, 554, "5.2.1", NULL, BOTH(BOUNCE), DISABLED, FINAL, 0, "mailbox-disabled") /* RFC 3463 3.3 */
	R(AT_WHO, 550, 550, "-", W_FULL, BOTH(FULL), FULL, FINAL, 1, "mailbox-full")
	R(AT_WHO, 550, 554, "5.2.*", NULL, BOTH(BOUNCE), MAILBOX, FINAL, 0, "mailbox-refused") /* RFC 3463 3.3 */
	R(AT_WHO, 550, 554, "5.6.7", NULL, BOTH(BOUNCE), UTF8, ELSEWHERE, 0, "no-utf8")	/* RFC 6531 3.5 */
	R(AT_WHO, 550, 554, "5.4.*", W_RELAY, BOTH(BOUNCE), NORELAY, ELSEWHERE, 0, "not-their-domain")
	R(AT_WHO, 550, 550, "5.4.*", NULL, BOTH(BOUNCE), REMOTE_ROUTING, FINAL, 0, "their-routing") /* RFC 3463 3.5 */
	R(AT_WHO, 550, 554, "5.5.*", W_USER, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "no-such-address")
	R(AT_WHO, 550, 554, "5.5.0", "mailbox", BOTH(BOUNCE), UNKNOWN, FINAL, 0, "no-such-address")
	R(AT_WHO, 550, 554, "5.5.*", NULL, I_O(DEFER, BOUNCE), PROTOCOL, FINAL, 0, "rcpt-protocol")
	R(AT_WHO, 550, 554, "5.3.0", W_USER, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "no-such-address")

	R(AT_WHO, 550, 554, NULL, W_USER, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "no-such-address")
	R(AT_WHO, 550, 554, NULL, W_RELAY, BOTH(BOUNCE), NORELAY, ELSEWHERE, 0, "not-their-domain")
	R(AT_WHO, 550, 554, "5.7.25", NULL, I_O(POLICY, BOUNCE), POLICY, FAMILY, 0, "our-name") /* RFC 7372 3.3 */
	R(AT_WHO, 550, 554, "5.7.*", W_IPV6, I_O(POLICY, BOUNCE), POLICY, FAMILY, 0, "our-name")
	R(AT_WHO, 550, 554, "5.7.*", W_RESTRICT, BOTH(DEFER), RESTRICTED, FINAL, 1, "restricted")
	R(AT_WHO, 550, 554, "5.7.*", NULL, I_O(POLICY, BOUNCE), POLICY, NEXT, 0, "we-are-refused") /* RFC 3463 3.8 */
	R(AT_WHO, 553, 553, NULL, W_SENDER, BOTH(DEFER), SENDER, SENDER, 0, "sender-refused")
	R(AT_WHO, 553, 553, "-", NULL, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "mailbox-refused")	/* RFC 5321 4.2.3 */
	R(AT_WHO, 553, 553, "5.3.*", NULL, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "mailbox-refused")
	R(AT_WHO, 550, 550, NULL, W_GONE, BOTH(BOUNCE), DISABLED, FINAL, 0, "mailbox-disabled")
	R(AT_WHO, 550, 550, NULL, W_RESTRICT, BOTH(DEFER), RESTRICTED, FINAL, 1, "restricted")
	R(AT_WHO, 550, 550, NULL, W_POLICY, I_O(POLICY, BOUNCE), POLICY, NEXT, 0, "we-are-refused")
	R(AT_WHO, 550, 550, NULL, W_SENDER, BOTH(DEFER), SENDER, SENDER, 0, "sender-refused")
	R(AT_WHO, 550, 550, NULL, NULL, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "mailbox-refused")	/* RFC 5321 4.2.3 */
	R(AT_WHO, 500, 599, NULL, NULL, I_O(DEFER, BOUNCE), POLICY, NEXT, 0, "refused")
	R(AT_ANY, 0, 999, NULL, NULL, I_O(DEFER, BOUNCE), PROTOCOL, NEXT, 0, "not-smtp")
};

/* Postfix's view, for comparison: the first digit and nothing else */
static const struct smtp_rule smtp_rules_postfix[] = {
	R(AT(BANNER), 500, 599, NULL, NULL, BOTH(GREET), POLICY, NEXT, 0, "postfix-5yz")
	R(AT_WHO, 200, 299, NULL, NULL, BOTH(OK), ACCEPTED, FINAL, 1, "postfix-2yz")
	R(AT(DATA), 354, 354, NULL, NULL, BOTH(OK), ACCEPTED, FINAL, 1, "postfix-3yz")
	R(AT_ANY, 400, 499, NULL, NULL, BOTH(DEFER), REMOTE_ERROR, NEXT, 0, "postfix-4yz")
	R(AT_ANY, 500, 599, NULL, NULL, BOTH(BOUNCE), UNKNOWN, FINAL, 0, "postfix-5yz")
	R(AT_WHO, 0, 999, NULL, NULL, BOTH(BOUNCE), PROTOCOL, FINAL, 0, "postfix-odd")
	R(AT_ANY, 0, 999, NULL, NULL, BOTH(DEFER), PROTOCOL, NEXT, 0, "postfix-odd")
};

static const char *const smtp_cat_names[] = {
#define X(id, name) name,
	SMTP_CATS(X)
#undef X
};

static const struct {
	const char *name, *command, *doing;
} smtp_ats[] = {
	[SMTP_AT_BANNER] = { "banner", "initial server greeting", "receiving the initial server greeting" },
	[SMTP_AT_EHLO] = { "EHLO", "EHLO", "performing the EHLO handshake" },
	[SMTP_AT_HELO] = { "HELO", "HELO", "performing the HELO handshake" },
	[SMTP_AT_STARTTLS] = { "STARTTLS", "STARTTLS", "performing the STARTTLS handshake" },
	[SMTP_AT_MAIL] = { "MAIL", "MAIL FROM", "sending MAIL FROM" },
	[SMTP_AT_RCPT] = { "RCPT", "RCPT TO", "sending RCPT TO" },
	[SMTP_AT_DATA] = { "DATA", "DATA", "sending DATA command" },
	[SMTP_AT_RSET] = { "RSET", "RSET", "sending RSET" },
	[SMTP_AT_QUIT] = { "QUIT", "QUIT", "sending QUIT command" },
	[SMTP_AT_XCLIENT] = { "XCLIENT", "XCLIENT", "sending XCLIENT" },
	[SMTP_AT_BODY] = { "body", "DATA", "sending message body" },
	[SMTP_AT_END] = { "end", "end of DATA", "waiting for the reply to the end of the message" },
};
static_assert(NELEM(smtp_ats) == SMTP_ATS, "each place has a name");

const char *
smtp_cat_name(enum smtp_cat cat)
{
	return smtp_cat_names[cat];
}

const char *
smtp_at_name(enum smtp_at at)
{
	return smtp_ats[at].name;
}

const char *
smtp_at_command(enum smtp_at at)
{
	return smtp_ats[at].command;
}

const char *
smtp_at_while(enum smtp_at at)
{
	return smtp_ats[at].doing;
}

/* smtp_class_names - the token is a URL, an address or a host's name: it may say anything */
static bool
smtp_class_names(const char *p, size_t n)
{
	size_t	dots = 0, label = 0, letters = 0;

	if (memchr(p, '@', n) != NULL || memmem(p, n, "://", 3) != NULL || (n > 4 && memcmp(p, "www.", 4) == 0))
		return true;
	while (n > 0 && (p[n - 1] == '.' || p[n - 1] == ':' || p[n - 1] == ',' || p[n - 1] == '!' || p[n - 1] == '?'))
		n--;
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '.') {
			if (label == 0)
				return false;
			dots++;
			label = letters = 0;
		} else if (isalnum((unsigned char) p[i]) || p[i] == '-' || p[i] == '_') {
			label++;
			letters += isalpha((unsigned char) p[i]) != 0;
		} else
			return false;
	}
	return dots > 0 && letters == label && label >= 2;	/* 5.1.1 and 192.0.2.1 are harmless */
}

static bool
smtp_class_omitted(const char *const *omit, const char *p, size_t n)
{
	while (n > 0 && strchr(".:!?", p[n - 1]) != NULL)
		n--;
	for (; omit != NULL && *omit != NULL; omit++)
		if (strlen(*omit) == n && strncasecmp(*omit, p, n) == 0)
			return true;
	return false;
}

char *
smtp_class_words(char *out, size_t size, const struct smtp_reply *r, const char *const *omit)
{
	const char *line;
	char	lower[SMTP_REPLY_LINE_MAX];
	size_t	len, o = 0, n, start;
	unsigned char c;

	out[o++] = ' ';
	for (unsigned i = 0; (line = smtp_reply_line(r, i, &len)) != NULL; i++) {
		n = len < sizeof lower ? len : sizeof lower;
		for (size_t k = 0; k < n; k++)
			lower[k] = (char) tolower((unsigned char) line[k]);
		for (size_t k = 0; k < n; k = start) {
			while (k < n && strchr(" <>()[]\"',;", lower[k]) != NULL && lower[k] != 0)
				k++;
			for (start = k; start < n && strchr(" <>()[]\"',;", lower[start]) == NULL; start++)
				;
			if (start == k || smtp_class_names(lower + k, start - k) ||
			    smtp_class_omitted(omit, lower + k, start - k))
				continue;
			for (; k < start && o + 2 < size; k++) {
				c = (unsigned char) lower[k];
				if (isalnum(c) || c >= 0x80)
					out[o++] = (char) c;
				else if (out[o - 1] != ' ')
					out[o++] = ' ';
			}
			if (out[o - 1] != ' ')
				out[o++] = ' ';
		}
	}
	out[o] = 0;
	return out;
}

/* smtp_class_enh - pattern "5.1.*" against a code; '*' is a whole part */
static bool
smtp_class_enh(const char *pat, const char *dsn)
{
	if (pat == NULL)
		return true;
	if (strcmp(pat, "-") == 0)
		return dsn[0] == 0;
	for (; *pat != 0; pat++)
		if (*pat != '*') {
			if (*pat != *dsn++)
				return false;
		} else {
			if (!isdigit((unsigned char) *dsn))
				return false;
			while (isdigit((unsigned char) *dsn))
				dsn++;
		}
	return *dsn == 0;
}

static bool
smtp_class_has(const char *alternatives, const char *words)
{
	const char *p = alternatives, *end;

	if (p == NULL)
		return true;
	for (;; p = end + 1) {
		end = strchrnul(p, '|');
		if (memmem(words, strlen(words), p, (size_t) (end - p)) != NULL)
			return true;
		if (*end == 0)
			return false;
	}
}

static bool
smtp_class_host(const char *suffix, const char *host)
{
	size_t	n, m;

	if (suffix == NULL)
		return true;
	if (host == NULL || (n = strlen(suffix)) > (m = strlen(host)))
		return false;
	return strcasecmp(host + m - n, suffix) == 0;
}

static const struct smtp_rule *
smtp_class_find(const struct smtp_rule *rules, size_t n, enum smtp_at at, const struct smtp_reply *r, const char *host,
    const char *words)
{
	for (size_t i = 0; i < n; i++, rules++)
		if ((rules->at & (1u << at)) != 0 && r->code >= rules->lo && r->code <= rules->hi &&
		    smtp_class_enh(rules->enh, r->dsn) && smtp_class_host(rules->host, host) &&
		    smtp_class_has(rules->words, words))
			return rules;
	return NULL;
}

unsigned
smtp_class_rows(void)
{
	return NELEM(smtp_rules) + NELEM(smtp_rules_postfix);
}

char *
smtp_class_row(unsigned n, char *out, size_t size)
{
	const struct smtp_rule *row = n < NELEM(smtp_rules) ? &smtp_rules[n] : &smtp_rules_postfix[n - NELEM(smtp_rules)];

	snprintf(out, size, "%s%s: code %u-%u, enhanced %s, words %.60s, %s %s", row->at == AT_ANY ? "any" : "",
	    row->at == AT_ANY ? "" : smtp_ats[ffs((int) row->at) - 1].name, row->lo, row->hi, row->enh != NULL ? row->enh : "any",
	    row->words != NULL ? row->words : "any", smtp_cat_names[row->cat], row->rule);
	return out;
}

struct smtp_rules {
	struct smtp_rule *row;
	char	**text;			/* of each row: what its pointers point into */
	size_t	 n;
};

struct smtp_class
smtp_class(enum smtp_at at, const struct smtp_reply *r, bool own_route, const char *host, const char *words,
    const struct smtp_class_conf *conf, const struct smtp_rules *rules)
{
	char	made[SMTP_WORDS_MAX];
	const struct smtp_rule *row = NULL;
	struct smtp_class c;

	if (words == NULL)
		words = smtp_class_words(made, sizeof made, r, NULL);
	if (rules != NULL)
		row = smtp_class_find(rules->row, rules->n, at, r, host, words);
	if (row == NULL && conf->postfix) {
		row = smtp_class_find(smtp_rules_postfix, NELEM(smtp_rules_postfix), at, r, host, words);
		if (conf->decided != NULL)
			conf->decided[NELEM(smtp_rules) + (size_t) (row - smtp_rules_postfix)]++;
	} else if (row == NULL) {
		row = smtp_class_find(smtp_rules, NELEM(smtp_rules), at, r, host, words);
		if (conf->decided != NULL)
			conf->decided[row - smtp_rules]++;
	}
	c = (struct smtp_class) { .rule = row->rule, .cat = row->cat, .then = row->then, .exists = row->exists };
	switch (own_route ? row->own : row->inet) {
	case S_OK:
		c.status = VERIFY_OK;
		break;
	case S_DEFER:
		c.status = VERIFY_DEFER;
		break;
	case S_BOUNCE:
		c.status = VERIFY_BOUNCE;
		break;
	case S_POLICY:
		c.status = conf->policy;
		break;
	case S_FULL:
		c.status = conf->full;
		break;
	case S_GREET:
		c.status = conf->greet_5xx_hard ? VERIFY_BOUNCE : VERIFY_DEFER;
		break;
	}
	return c;
}

/* the operator's rows */

/* smtp_rules_field - the next field, "..." allowed; NULL at the end of the line */
static char *
smtp_rules_field(char **pp)
{
	char   *p = *pp + strspn(*pp, " \t"), *start;
	char	end = ' ';

	if (*p == 0)
		return NULL;
	if (*p == '"') {
		p++;
		end = '"';
	}
	for (start = p; *p != 0 && *p != end && (end == '"' || *p != '\t'); p++)
		;
	if (*p != 0)
		*p++ = 0;
	*pp = p;
	return start;
}

/* smtp_rules_words - a text as smtp_class_words would leave it, without the blanks at its ends */
static void
smtp_rules_words(char *s)
{
	char   *to = s, *start = s;

	for (; *s != 0; s++)
		if (isalnum((unsigned char) *s) || (unsigned char) *s >= 0x80 || *s == '|')
			*to++ = (char) tolower((unsigned char) *s);
		else if (to == start || to[-1] != ' ')
			*to++ = ' ';
	*to = 0;
}

static const char *
smtp_rules_row(struct smtp_rule *row, char *line)
{
	char   *field[6], *p = line;
	const struct smtp_rule *model = NULL;
	size_t	n = 0;

	while (n < NELEM(field) && (field[n] = smtp_rules_field(&p)) != NULL)
		n++;
	if (n < NELEM(field) || smtp_rules_field(&p) != NULL)
		return "not six fields: host-suffix stage code enhanced \"text\" category";
	row->host = strcmp(field[0], "*") == 0 ? NULL : field[0];
	if (strcmp(field[1], "*") == 0)
		row->at = AT_ANY;
	for (size_t i = 0; i < SMTP_ATS; i++)
		if (i <= SMTP_AT_DATA && strcasecmp(field[1], smtp_ats[i].name) == 0)
			row->at = 1u << i;
	if (row->at == 0)
		return "unknown stage: use banner, EHLO, HELO, STARTTLS, MAIL, RCPT, DATA or *";
	row->lo = 0;
	row->hi = 999;
	if (strcmp(field[2], "*") != 0) {
		for (size_t i = 0; i < 3; i++)
			if (!isdigit((unsigned char) field[2][i]) && (i == 0 || field[2][i] != '*'))
				return "bad code: use 550, 55*, 5** or *";
		if (field[2][3] != 0)
			return "bad code: use 550, 55*, 5** or *";
		for (size_t i = 0; i < 3; i++) {
			unsigned any = field[2][i] == '*', d = any ? 0 : (unsigned) (field[2][i] - '0');

			row->lo = i == 0 ? d : row->lo * 10 + d;
			row->hi = i == 0 ? d : row->hi * 10 + (any ? 9 : d);
		}
	}
	row->enh = strcmp(field[3], "*") == 0 ? NULL : field[3];
	if (strcmp(field[4], "*") != 0) {
		smtp_rules_words(field[4]);
		row->words = field[4];
	}
	/* the consequences of a category are those of its widest built-in row */
	for (size_t i = 0; i < NELEM(smtp_rules); i++)
		if (strcmp(smtp_cat_names[smtp_rules[i].cat], field[5]) == 0)
			model = &smtp_rules[i];
	if (model == NULL)
		return "unknown category, or one that no reply can have";
	row->inet = model->inet;
	row->own = model->own;
	row->cat = model->cat;
	row->then = model->then;
	row->exists = model->exists;
	row->rule = "operator";
	return NULL;
}

struct smtp_rules *
smtp_rules_parse(const char *file, const char *text, size_t n, struct buf *why)
{
	struct smtp_rules *rules = mem_alloc(sizeof *rules);
	struct cfline line;
	const char *bad;
	bool	ok = true;

	cfline_init(&line, text, n, 4096);
	while (cfline_next(&line)) {
		rules->row = mem_grow(rules->row, rules->n + 1, sizeof *rules->row);
		rules->text = mem_grow(rules->text, rules->n + 1, sizeof *rules->text);
		memset(&rules->row[rules->n], 0, sizeof *rules->row);
		rules->text[rules->n] = mem_strdup(buf_str(&line.text));
		bad = line.orphan || line.cut ? "does not belong to any entry, or too long" :
		    smtp_rules_row(&rules->row[rules->n], rules->text[rules->n]);
		if (bad != NULL) {
			buf_addf(why, "%s%s, line %u: %s", ok ? "" : "\n", file, line.first, bad);
			ok = false;
		}
		rules->n++;
	}
	cfline_fini(&line);
	if (!ok)
		smtp_rules_free(&rules);
	return rules;
}

void
smtp_rules_free(struct smtp_rules **rp)
{
	if (*rp == NULL)
		return;
	for (size_t i = 0; i < (*rp)->n; i++)
		mem_free(&(*rp)->text[i]);
	mem_free(&(*rp)->text);
	mem_free(&(*rp)->row);
	mem_free(rp);
}
