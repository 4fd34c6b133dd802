/* daemons/probe/smtp_dialogue.h - one session with one server, in which addresses are asked about one after the other
 * source: spec probe section 4. MAIL, RCPT, and RSET before the next one; never message content. DATA is said only
 * when the question wants it, and the connection is dropped then. Whether the next server is asked, or the
 * same one again, is the owner's decision: see smtp_class.then.
 */
#ifndef PROBE_SMTP_DIALOGUE_H
#define PROBE_SMTP_DIALOGUE_H

#include <stdbool.h>
#include <stdint.h>

#include <util/buf.h>
#include <util/evloop.h>
#include <global/smtp_class.h>
#include <global/smtp_client.h>

#define DIALOGUE_TEXT_MAX 1000		/* of an answer: what the verify service is to keep */

struct smtp_dialogue_conf {		/* borrowed for the life of the dialogue */
	struct smtp_client_conf client;
	struct smtp_class_conf class;
	const struct smtp_rules *rules;
	int64_t	 mail_ms, rcpt_ms, data_ms, rset_ms;
	bool	 pipelining;
	bool	 own_route;
	bool	 compact, utf8, hide_host;	/* shape of the text */
	const char *const *omit;	/* our names, NULL-ended: left out when words are looked up */
};

struct smtp_dialogue_to {		/* copied */
	struct smtp_client_to client;
	const char *host;		/* name for texts: the exchange, or the path */
};

struct smtp_dialogue_question {		/* copied */
	const char *rcpt;		/* as it goes on the wire, without <> */
	const char *domain;		/* of it; left out when words are looked up */
	const char *sender;		/* "" is the null sender */
	const char *other_sender;	/* when sender is refused; NULL: do not try */
	const char *random;		/* an address of that domain that cannot exist, asked when rcpt was accepted; NULL: none */
	bool	 utf8;			/* needs SMTPUTF8 */
	bool	 data;			/* DATA decides */
};

enum dialogue_catchall { CATCHALL_UNKNOWN, CATCHALL_NO, CATCHALL_YES };

struct smtp_dialogue_answer {
	struct smtp_class class;
	bool	 asked;			/* the server said something about this question: else the session ended before */
	enum smtp_client_end end;	/* !asked: how */
	enum smtp_at at;
	unsigned code;			/* 0: none */
	char	 dsn[12];
	const char *text;		/* in Postfix's shape, borrowed for the call */
	bool	 sender_refused, other_sender_used;	/* the other sender was tried after a refusal; and it did it */
	enum dialogue_catchall catchall;
	bool	 over;			/* the session takes no further question: free it or quit */
	bool	 ended;			/* there is no session any more, `ended` follows */
};

struct smtp_dialogue;

struct smtp_dialogue_ops {
	/* ready: the server has said hello; a question may be asked (one asked before is put now) */
	void	(*ready)(void *ctx);
	/* answer: the end of a question, exactly one for each unless the dialogue is freed; the next may be asked from it */
	void	(*answer)(void *ctx, const struct smtp_dialogue_answer *);
	/* ended: no session any more; comes after `answer` when a question was open */
	void	(*ended)(void *ctx, enum smtp_client_end, const char *text);
};

struct smtp_dialogue *smtp_dialogue_open(struct ev_loop *, const struct smtp_dialogue_conf *, const struct smtp_dialogue_to *,
		    const struct smtp_dialogue_ops *, void *ctx);
void	smtp_dialogue_free(struct smtp_dialogue **);	/* drops the connection as it is */
/* smtp_dialogue_ask - one at a time; may be called before ready */
void	smtp_dialogue_ask(struct smtp_dialogue *, const struct smtp_dialogue_question *);
/* smtp_dialogue_rest - nothing to ask for now: end the transaction, keep the session */
void	smtp_dialogue_rest(struct smtp_dialogue *);
void	smtp_dialogue_quit(struct smtp_dialogue *);	/* when no question is open; `ended` follows */
/* smtp_dialogue_expire - the time for the open question is up: it is answered as timed out, and the session ends */
void	smtp_dialogue_expire(struct smtp_dialogue *);
bool	smtp_dialogue_over(const struct smtp_dialogue *);	/* takes no further question */
const char *smtp_dialogue_tls(const struct smtp_dialogue *);

#endif
