/* daemons/smtpd/smtpd.h - what the modules of the engine share: configuration, instances, connection, transaction
 * Plugins see none of this: they have vouch_plugin.h, whose handles are these structs.
 */
#ifndef SMTPD_SMTPD_H
#define SMTPD_SMTPD_H

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <global/params.h>
#include <global/smtp_path.h>
#include <util/buf.h>
#include <util/evloop.h>

#include "body.h"
#include "builtin.h"
#include "client_count.h"
#include "data_reader.h"
#include "peer_name.h"
#include "vouch_plugin.h"

/* ---- notes.c ---- */
struct note;
struct vh_notes {
	struct note *first;
};
void	notes_fini(struct vh_notes *);

/* ---- the plugins of this process: plugins.c ---- */
enum inst_reject { INST_REJECT_NO, INST_REJECT_YES, INST_REJECT_NAUGHTY };

struct vh_inst {
	const struct vh_plugin *plugin;
	char   *name;			/* "verify_sender:1" */
	unsigned index;			/* place in the file */
	char   *place;			/* "FILE, line N", for messages */
	void   *data;
	enum inst_reject reject;
	enum vh_rc reject_type;
	int	log_level, log_shift;	/* loglevel n: lines up to this level; loglevel +n, -n: lines move up or down */
	bool	log_fixed;
	bool	time_limit_given;
	enum vh_rc on_error;
	int64_t	time_limit_ms;
	char  ***lists;			/* given out by vh_config */
	size_t	lists_n;
	uint64_t *counts;		/* by return code, since the last flush: plugin_stats.c */
};

struct hook_step {
	struct vh_inst *inst;
	vh_fn  *fn;
};
struct plugins {
	size_t	n;
	struct vh_inst **inst;
	struct hook_step *chain[VH_HOOKS];
	size_t	chain_n[VH_HOOKS];
};

/* plugins_load - read the file, find the code, run every init
 * dirs	     where NAME.so is looked for, separated by blanks or commas
 * settings  directory of settings files
 * why	     "FILE, line N: ..." on failure
 * returns   NULL on failure */
struct plugins *plugins_load(const char *file, const char *dirs, const char *settings, struct buf *why);
struct plugins *plugins_parse(const char *file, const char *text, size_t n, const char *dirs, const char *settings, struct buf *why);
int	plugins_start(struct plugins *, struct buf *why);	/* every worker_init */
void	plugins_free(struct plugins **);			/* every fini */
void	plugins_show(const struct plugins *, struct buf *out);	/* the resolved order, for smtpd -t */
struct vh_inst *plugins_find(const struct plugins *, const char *instance);

struct vh_err {
	struct buf text;
};

/* loader.c: built-in, or dirs' NAME.so; NULL with why */
extern const struct vh_plugin *const *loader_more;	/* for tests: further built-in ones, NULL-ended */
const struct vh_plugin *loader_find(const char *name, const char *dirs, struct buf *why);

/* ---- hooks ---- */
enum hook_effect {
	HOOK_GO,		/* the command goes on */
	HOOK_REFUSE,		/* code and text are said, the session stays */
	HOOK_CLOSE,		/* code and text are said (code 0: nothing), the connection ends */
	HOOK_SILENT		/* the plugin has answered */
};
struct hook_answer {
	enum hook_effect effect;
	unsigned code, code_qpsmtpd;	/* the other set: smtpd_reply_codes; 0: the same */
	const char *enh, *text;
};
struct hook_row {			/* hook_table.c: one for each hook */
	const char *name;
	bool	may_suspend;
	bool	ignored;		/* results mean nothing */
	bool	in_txn;			/* vh_result is forgotten with the transaction */
	struct hook_answer answer[VH_YIELD];	/* by return code */
};
extern const struct hook_row hook_table[VH_HOOKS];

#define HOOK_AFTER_MAX	8		/* vh_next within vh_next */

struct vh_call {
	struct vh_inst *inst;
	struct vh_conn *conn;
	struct vh_addr *addr;
	enum vh_hook hook;
	const char *arg;
	struct buf text;		/* vh_reply's */
	char	enh[12];
	unsigned code;			/* vh_reply_code's */
	struct vh_outcome about;
	/* suspended */
	bool	suspended, resumed;
	enum vh_rc resume_rc;
	vh_cancel_fn *cancel;
	void   *cancel_ctx;
	vh_event_fn *input;
	void   *input_ctx;
	/* vh_next asked for, by the hook that runs now */
	vh_after_fn *next;
	void   *next_ctx;
};

/* one run of a chain of plugins */
struct hook_run {
	struct vh_call call;
	size_t	pos;			/* the plugin that is being asked */
	enum vh_rc rc;			/* the result, when it is done */
	const struct vh_inst *by;	/* who decided; NULL: nobody */
	bool	active;
	struct { struct vh_inst *inst; vh_after_fn *fn; void *ctx; } after[HOOK_AFTER_MAX];
	size_t	afters;
	bool	in_after;		/* it is one of these that has suspended */
	struct ev_timer limit;
	struct ev_defer go_on;
	void  (*done)(struct vh_conn *);
};

#define HOOK_TEXT_MAX	4096

void	hook_run_init(struct hook_run *, struct vh_conn *);
/* hook_run - ask the plugins of a hook. true: run->rc is the result; false: one has suspended, done is called later from
 * the loop. arg is borrowed until then */
bool	hook_run(struct hook_run *, enum vh_hook, struct vh_addr *, const char *arg, void (*done)(struct vh_conn *));
/* hook_run_cancel - the connection is going: a suspended plugin is told */
void	hook_run_cancel(struct hook_run *);
void	hook_run_fini(struct hook_run *);
/* hook_config - the config hooks, before there is any connection: OK with lines; text borrowed until the next call */
bool	hook_config(const struct plugins *, const char *name, struct buf *text);
void	hook_input(struct hook_run *);		/* the client has sent something while a plugin is suspended */

/* ---- objects ---- */
struct vh_addr {
	struct smtp_path path;
	char   *text, *raw;
	struct vh_notes notes;
};

struct vh_txn {
	struct vh_conn *conn;
	char	id[40];
	struct vh_addr *sender;
	struct vh_addr **rcpt;
	size_t	rcpts;
	char   *params;			/* of MAIL FROM: each with its NUL, and one more at the end */
	bool	smtputf8, mime8, eight;	/* declared, declared, seen */
	bool	discard;		/* for our own probe sender: accepted and thrown away */
	bool	probe_rcpt;		/* one such recipient was accepted */
	uint64_t declared_size;
	struct body body;
	struct buf added;		/* headers put before the message */
	struct buf head;		/* the header once more, when the spool is a file; see vh_header */
	uint64_t head_size;		/* bytes of the header, without the empty line */
	uint64_t body_at;		/* where the body begins */
	int    *files;			/* vh_tempfile */
	size_t	files_n;
	int64_t	start_ms;
	struct vh_notes notes;
};

/* what carries a session's bytes: multi_server's client, or a test */
struct smtpd_wire {
	void  (*send)(void *wire, const void *, size_t);
	void  (*resume)(void *wire);		/* after SMTPD_HOLD: input may come again */
	/* finish: these are the last bytes, if any: close when all is out; slowly: it may still be talking */
	void  (*finish)(void *wire, const void *, size_t, bool slowly);
	void  (*starttls)(void *wire);		/* TLS from the next byte on; smtpd_session_tls tells the result */
	ssize_t (*peek)(void *wire, void *, size_t);	/* as vh_peek */
	void  (*local)(void *wire, struct sockaddr_storage *);	/* our own address, when it was not given; NULL: always given */
};

enum session_state {
	SESSION_CONNECT,		/* before the greeting */
	SESSION_HELLO,			/* greeted; no HELO or EHLO yet */
	SESSION_READY,
	SESSION_MAIL,			/* there is a sender */
	SESSION_RCPT,			/* and a recipient */
	SESSION_DATA,			/* the message is coming */
	SESSION_QUEUE,			/* it is being handed over */
	SESSION_TLS,			/* handshake */
	SESSION_CLOSED,			/* the last reply was said */
	SESSION_STATES
};

/* the header of a message that is coming: message.c */
enum header_at { HEADER_LINE, HEADER_NAME, HEADER_NAME_END, HEADER_VALUE, HEADER_CR };
struct header_scan {
	bool	done;
	enum header_at at;
	uint64_t offset, line;		/* of this byte and of this line in the message */
	bool	first;
};

struct vh_conn {
	TAILQ_ENTRY(vh_conn) link;
	const struct smtpd_wire *wire;
	void   *wire_ctx;
	char	id[24];
	unsigned txns;
	enum session_state state;
	/* who */
	struct sockaddr_storage peer, local;
	char	ip[INET6_ADDRSTRLEN], local_ip[INET6_ADDRSTRLEN];
	unsigned port, local_port;
	char   *host;			/* reverse name; NULL: unknown */
	struct peer_name *naming;	/* it is being found out */
	char   *hello;
	bool	esmtp, relay, local_known;
	char	tls[16], cipher[64];	/* "" in clear */
	/* what */
	struct vh_txn *txn;
	struct hook_run run;
	struct hook_run side;		/* deny and ok hooks, and those that are run in passing */
	uint8_t *results;		/* [instance][hook], 0: not asked, else 1 + code */
	struct vh_notes notes;
	/* the dialogue */
	bool	busy;			/* a hook is suspended, or a penalty is being waited for: no command is looked at */
	bool	in_input;		/* smtpd_session_input is on the stack: it flushes */
	bool	held;			/* the wire was told to hold */
	bool	finished;		/* the wire was told to finish */
	bool	ahead;			/* bytes follow the command that is being served */
	bool	line_long;
	void  (*next)(struct vh_conn *);	/* what the suspended hook's result is for */
	struct buf line;		/* an incomplete command */
	struct buf out;			/* replies of this turn */
	char   *why_closed;
	struct ev_timer idle, whole, penalty;
	struct data_reader reader;
	struct header_scan scan;
	unsigned refuse_code;		/* said after the end of data: the message is not wanted */
	char	refuse_enh[12];
	char   *refuse_text;
	bool	refuse_close;
	struct vh_addr *pending;	/* the address whose hook is running */
	char   *arg;			/* what the command that is being served was said with */
	char   *params;			/* parameters of MAIL and RCPT */
	/* counts */
	unsigned errors, junk, overshoot, unknown_rcpts, messages;
	unsigned same_ip;		/* connections of this client when it came; 0: not counted yet */
	int64_t	start_ms;
};

/* ---- configuration and the process: smtpd_conf.c, engine.c ---- */
struct smtpd_conf {
	const struct params *params;	/* NULL in tests that need none */
	const char *hostname, *banner, *mail_name;
	int64_t	idle_ms, session_ms, hook_ms, error_sleep_ms;
	unsigned soft_errors, hard_errors, junk_limit, rcpt_limit, overshoot_limit, hops, client_limit, client_ip_limit;
	unsigned null_rcpt_limit, unknown_limit;
	uint64_t message_limit, body_memory;
	size_t	header_limit;
	bool	helo_required, second_helo, bare_path, smtputf8, normalize, forbid_pipelining, qpsmtpd_codes;
	int64_t	name_ms;			/* for finding out a client's name; 0: do not */
	bool	tls, tls_required;
	const char *settings_dir;
	/* callouts of others: which recipients are our own probe sender's */
	const char *probe_sender, *double_bounce, *myorigin;
	int64_t	probe_sender_ttl_ms;
};

struct smtpd {
	struct smtpd_conf conf;
	struct ev_loop *loop;
	struct plugins *plugins;
	int	spool_fd;		/* directory */
	struct client_count *clients;	/* NULL: this worker counts for itself */
	struct dns *dns;		/* see smtpd_dns; a test puts its own here */
	TAILQ_HEAD(, vh_conn) conns;
	unsigned conns_n;
	uint64_t conns_seen;
	bool	draining;
};
extern struct smtpd smtpd;

void	smtpd_conf_make(struct smtpd_conf *, const struct params *);

/* ---- a session: session.c, session_open.c, session_cmd.c, session_data.c ---- */
struct smtpd_peer {			/* who has connected, and to what; AF_UNSPEC: not known, or asked for when it is wanted */
	struct sockaddr_storage peer, local;
};
/* smtpd_session_open - NULL with *hold_r false: refused by pre_connection, close at once.
 * hold_r    as SMTPD_HOLD */
struct vh_conn *smtpd_session_open(const struct smtpd_wire *, void *wire_ctx, const struct smtpd_peer *, bool *hold_r);
enum smtpd_next { SMTPD_MORE, SMTPD_HOLD };
/* smtpd_session_input - bytes of the client; used_r: how many, less than n only with SMTPD_HOLD */
enum smtpd_next smtpd_session_input(struct vh_conn *, const char *data, size_t n, size_t *used_r);
/* smtpd_session_early - the client has sent something that is held back */
void	smtpd_session_early(struct vh_conn *);
void	smtpd_session_tls(struct vh_conn *, const char *version, const char *cipher);	/* NULL: the handshake has failed */
/* smtpd_session_dismiss - the worker wants to end: say 421 between transactions; late: in any state */
void	smtpd_session_dismiss(struct vh_conn *, bool late);
void	smtpd_session_closed(struct vh_conn **, const char *why);	/* the connection is gone */

/* within the session */
void	session_local(struct vh_conn *);			/* our own address, from here on */
void	session_say(struct vh_conn *, unsigned code, const char *enh, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void	session_raw(struct vh_conn *, const char *, size_t n);	/* bytes as they are */
void	session_error(struct vh_conn *, unsigned code, const char *enh, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void	session_flush(struct vh_conn *);			/* what was said goes out, unless there is a penalty */
void	session_whole(void *conn);				/* the session has taken too long */
void	session_end(struct vh_conn *, const char *why);		/* after the last reply */
void	session_enter(struct vh_conn *, enum session_state);
void	session_go_on(struct vh_conn *);			/* what was waited for is there */
/* session_ask - run a hook, then next(); at once, or when the plugins have decided */
void	session_ask(struct vh_conn *, enum vh_hook, struct vh_addr *, const char *arg, void (*next)(struct vh_conn *));
/* session_verdict - the effect of the hook that has just been run; refusals are said here */
enum hook_effect session_verdict(struct vh_conn *);
/* session_answer - what the hook's result means */
const struct hook_answer *session_answer(const struct vh_conn *);
/* session_text - the deciding plugin's text, or else this */
const char *session_text(const struct vh_conn *, const char *otherwise);
/* session_aside - a hook whose result means nothing, or that cannot suspend: its result */
enum vh_rc session_aside(struct vh_conn *, enum vh_hook, const char *arg);
void	session_wait(struct vh_conn *);				/* the client's turn: its time runs from now */
void	session_penalty(struct vh_conn *);			/* what was said goes out a little later */
void	session_reset(struct vh_conn *);			/* reset_transaction hooks; the transaction goes */
void	session_command(struct vh_conn *, const char *line, size_t n);	/* session_cmd.c */
size_t	session_data(struct vh_conn *, const char *data, size_t n);	/* session_data.c; bytes used */
void	session_data_start(struct vh_conn *);

/* txn.c */
struct vh_txn *txn_new(struct vh_conn *);
void	txn_free(struct vh_txn **);
struct vh_addr *addr_new(const struct smtp_path *, const char *raw, size_t n);
void	addr_free(struct vh_addr **);

/* message.c */
void	header_scan_init(struct header_scan *);
/* header_scan - look at bytes of the message until the header ends; then done is set, and the sizes in txn */
void	header_scan_add(struct header_scan *, struct vh_txn *, const char *, size_t n);
void	header_scan_end(struct header_scan *, struct vh_txn *);	/* the message is complete */
void	message_received(struct vh_conn *, struct vh_txn *, const char *value);	/* our Received: header; NULL: the usual one */

#endif
