/* global/smtp_class.h - what a reply to a probe means: reply and place -> rule -> status; only opinions
 * source: spec probe section 6. One table, in smtp_class.c; an operator's file can put rows of its own before it.
 * Pure: no I/O but reading that file. What is to be done about an answer (`then`) is the dialogue's affair.
 */
#ifndef GLOBAL_SMTP_CLASS_H
#define GLOBAL_SMTP_CLASS_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>
#include <global/smtp_reply.h>
#include <global/verify_proto.h>

enum smtp_at { SMTP_AT_BANNER, SMTP_AT_EHLO, SMTP_AT_HELO, SMTP_AT_STARTTLS, SMTP_AT_MAIL, SMTP_AT_RCPT, SMTP_AT_DATA,
	SMTP_AT_RSET, SMTP_AT_QUIT,
	SMTP_AT_XCLIENT, SMTP_AT_BODY, SMTP_AT_END };	/* of those that hand over mail: BODY has no reply, END is that to the final dot */
enum { SMTP_ATS = SMTP_AT_END + 1 };

/* what kind of answer: for logs, counters and manners */
#define SMTP_CATS(X) \
	X(ACCEPTED, "accepted")		X(UNVERIFIED, "unverified")	X(UNKNOWN, "unknown") \
	X(SYNTAX, "syntax")		X(DISABLED, "disabled")		X(MAILBOX, "mailbox") \
	X(MAILBOX_TEMP, "mailbox-temp")	X(FULL, "full")			X(MOVED, "moved") \
	X(NORELAY, "norelay")		X(REMOTE_ROUTING, "remote-routing") X(REMOTE_DNS, "remote-dns") \
	X(REMOTE_ERROR, "remote-error")	X(UTF8, "utf8")			X(NULLMX, "nullmx") \
	X(NODOMAIN, "nodomain")		X(LOOP, "loop")			X(DNS, "dns") \
	X(GREYLIST, "greylist")		X(NESTED, "nested")		X(BUSY, "busy") \
	X(RATE, "rate")			X(POLICY, "policy")		X(RESTRICTED, "restricted") \
	X(SENDER, "sender")		X(SENDER_TEMP, "sender-temp")	X(NULLSENDER, "nullsender") \
	X(SIZE, "size")			X(TLS, "tls")			X(AUTH, "auth") \
	X(PROTOCOL, "protocol")		X(NETWORK, "network")		X(LOST, "lost") \
	X(TIMEOUT, "timeout")		X(SUSPENDED, "suspended")	X(CONFIG, "config")
enum smtp_cat {
#define X(id, name) SMTP_CAT_##id,
	SMTP_CATS(X)
#undef X
	SMTP_CAT_COUNT
};
const char *smtp_cat_name(enum smtp_cat);

enum smtp_then {
	SMTP_THEN_FINAL,	/* this is the answer */
	SMTP_THEN_NEXT,		/* the next address first, when the answer is temporary; this answer if it was the last */
	SMTP_THEN_ELSEWHERE,	/* the next address first, whatever the answer is */
	SMTP_THEN_FAMILY,	/* an address of the other family first */
	SMTP_THEN_GREY,		/* answer now, ask again later by the greylist schedule */
	SMTP_THEN_AGAIN,	/* answer now, ask again once in a minute */
	SMTP_THEN_AFRESH,	/* not about the address: ask in a new session; in a new session it is the answer */
	SMTP_THEN_TLS,		/* with TLS, when it was without; else as NEXT */
	SMTP_THEN_PLAIN,	/* without command parameters, when there were any; else as NEXT */
	SMTP_THEN_SENDER,	/* with the other sender, once; else as NEXT */
};

struct smtp_class_conf {
	enum verify_status policy;	/* rejections that are about us, on Internet routes: DEFER or BOUNCE */
	enum verify_status full;	/* mailbox full */
	bool	 greet_5xx_hard;	/* own routes: a 5xx greeting is permanent (smtp_skip_5xx_greeting = no) */
	bool	 postfix;		/* the first digit decides, as in Postfix */
	unsigned *decided;		/* smtp_class_rows counters: how often each row decided; NULL: not counted */
};

struct smtp_class {
	const char *rule;		/* word for log and explanation; static or the rules' */
	enum verify_status status;
	enum smtp_cat cat;
	enum smtp_then then;
	bool	 exists;		/* the reply shows that the mailbox exists, whatever the status */
};

struct smtp_rules;			/* an operator's rows */

/* smtp_class - never fails: the last row matches all
 * own_route the operator named the next hop: a rejection of us is then a rejection of the mail
 * host      the server's name, for rows about one provider
 * words     from smtp_class_words, or NULL: made from the reply without leaving names out
 * rules     may be NULL
 */
struct smtp_class smtp_class(enum smtp_at, const struct smtp_reply *, bool own_route, const char *host, const char *words,
		    const struct smtp_class_conf *, const struct smtp_rules *);

/* smtp_class_rows - rows of the built-in tables; smtp_class_row: the n-th in words, cut at size; returns out
 * With conf.decided a test sees which rows were never put to use */
unsigned smtp_class_rows(void);
char	*smtp_class_row(unsigned n, char *out, size_t size);

/* smtp_class_words - the reply's text made ready for looking up words: lower case, anything but letters and digits a
 * blank, a blank at both ends; without codes, URLs, mail addresses, host names, and the strings in `omit` (NULL-ended)
 * A mailbox called blocked@ or a host called spamhost must not classify itself. */
#define SMTP_WORDS_MAX	1024
char	*smtp_class_words(char *out, size_t size, const struct smtp_reply *, const char *const *omit);

/* smtp_rules_parse - rows "host-suffix|* stage|* code|* enhanced|* "text"|* category", '#' comments
 * why	     every bad line: "FILE, line N: reason"
 * returns   NULL when a line is bad */
struct smtp_rules *smtp_rules_parse(const char *file, const char *text, size_t n, struct buf *why);
void	smtp_rules_free(struct smtp_rules **);

const char *smtp_at_name(enum smtp_at);			/* "RCPT" */
const char *smtp_at_command(enum smtp_at);		/* "RCPT TO", as in "(in reply to RCPT TO command)" */
const char *smtp_at_while(enum smtp_at);		/* "sending RCPT TO", as in "lost connection while ..." */

#endif
