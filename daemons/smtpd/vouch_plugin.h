/* vouch_plugin.h - how a plugin talks to smtpd(8); the same for built-in plugins and for shared objects
 * A plugin is one struct vh_plugin: its name, what to call at start, and a table of hooks. A shared object NAME.so
 * defines it as `const struct vh_plugin vouch_plugin`. One copy of the code may be several instances ("name:1" in the
 * plugins file), each with its own arguments.
 * A worker is one thread with an event loop and thousands of sessions, so a hook must not wait. It decides at once,
 * or returns vh_suspend() and later calls vh_resume(). A crash takes the sessions of its worker, and no others.
 * Pointers are the daemon's unless said otherwise: conn lives until the disconnect hooks have run, txn until the
 * reset_transaction hooks have run, a call until its hook has returned or was resumed or cancelled.
 * Manual: plugins(5), README_FILES/PLUGIN_README.
 */
#ifndef VOUCH_PLUGIN_H
#define VOUCH_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VH_ABI	1		/* changes with anything in this file that old plugins would trip over */

struct vh_inst;			/* an instance of a plugin */
struct vh_call;			/* one hook being run for one instance */
struct vh_conn;			/* a connection, from accept to close */
struct vh_txn;			/* a mail transaction, from MAIL to the end of queueing */
struct vh_addr;			/* the sender or one recipient */
struct vh_notes;		/* what plugins have noted about one of these three */
struct vh_err;			/* where init says why it failed */

/* return codes of a hook. The first plugin that returns something else than DECLINED decides */
enum vh_rc {
	VH_DECLINED = 0,		/* no opinion: the next plugin */
	VH_OK,				/* fine, ask no other */
	VH_DENY,			/* refuse for good (5yz) */
	VH_DENYSOFT,			/* refuse for now (4yz) */
	VH_DENY_DISCONNECT,		/* likewise, and hang up */
	VH_DENYSOFT_DISCONNECT,
	VH_DONE,			/* the plugin has answered with vh_send: nothing more is said */
	VH_YIELD,			/* only by vh_suspend() */
	VH_NEXT,			/* only by vh_next() */
	VH_RCS
};

enum vh_hook {				/* in the order of a session; "arg" is vh_arg() */
	VH_END = 0,			/* ends a table */
	VH_HOOK_CONFIG,			/* a settings file is asked for; arg: its name; OK with the lines as reply text. No connection */
	VH_HOOK_PRE_CONNECTION,		/* accepted; must not suspend */
	VH_HOOK_CONNECT,		/* before the greeting */
	VH_HOOK_HELO,			/* arg: the name */
	VH_HOOK_EHLO,
	VH_HOOK_MAIL_PRE,		/* arg: the address as it came; OK with another as reply text replaces it */
	VH_HOOK_MAIL,			/* vh_address() is the sender */
	VH_HOOK_RCPT_PRE,		/* as MAIL_PRE */
	VH_HOOK_RCPT,			/* vh_address() is the recipient; one plugin must say OK */
	VH_HOOK_DATA,			/* DATA was said, before the 354 */
	VH_HOOK_DATA_HEADERS_END,	/* the header is complete */
	VH_HOOK_RECEIVED_LINE,		/* OK with the value of our Received: header as reply text; must not suspend */
	VH_HOOK_DATA_POST,		/* the message is complete */
	VH_HOOK_QUEUE_PRE,
	VH_HOOK_QUEUE,			/* hand it over: OK only when the next hop has taken it */
	VH_HOOK_QUEUE_POST,		/* what is returned is ignored; must not suspend; likewise reset, disconnect, deny, ok */
	VH_HOOK_RESET_TRANSACTION,	/* also without a transaction */
	VH_HOOK_UNRECOGNIZED_COMMAND,	/* arg: the line */
	VH_HOOK_HELP,			/* arg: what follows the verb; likewise for VRFY and NOOP */
	VH_HOOK_VRFY,
	VH_HOOK_NOOP,
	VH_HOOK_QUIT,
	VH_HOOK_DISCONNECT,		/* once for each connection; arg: why it ended */
	VH_HOOK_DENY,			/* after a plugin has refused: see vh_about */
	VH_HOOK_OK,			/* after a plugin has not refused */
	VH_HOOKS
};

typedef enum vh_rc vh_fn(struct vh_call *);

struct vh_hook_fn {
	enum vh_hook hook;
	vh_fn	    *fn;
};

enum {	/* vh_plugin.flags */
	VH_ERROR_DENYSOFT = 1,		/* on_error is denysoft unless configured: when the plugin fails, mail waits */
	VH_REJECT_TEMP = 2,		/* reject_type is temp unless configured, */
	VH_REJECT_DISCONNECT = 4,	/* or disconnect */
};

struct vh_plugin {
	int	    abi;		/* VH_ABI */
	const char *name;
	unsigned    flags;
	unsigned    time_limit_s;	/* for one suspended hook; 0: smtpd_plugin_time_limit */
	/* init: at start, privileges (if any) still there: read the arguments and files, open no socket. argv[0] is the instance's
	 * name; the arguments common to all plugins are not among the others. 0, or -1 by vh_error. NULL: takes no arguments */
	int	  (*init)(struct vh_inst *, int argc, char **argv, struct vh_err *);
	/* worker_init: the event loop is there, privileges are gone: open sockets here. 0 or -1; may be NULL, as fini */
	int	  (*worker_init)(struct vh_inst *, struct vh_err *);
	void	  (*fini)(struct vh_inst *);
	const struct vh_hook_fn *hooks;	/* ends with { VH_END, NULL } */
};

/* ---- the instance ---- */
const char *vh_name(const struct vh_inst *);		/* "verify_sender:1" */
void	vh_set_data(struct vh_inst *, void *);		/* the plugin's own; freed by its fini */
void   *vh_data(const struct vh_inst *);
/* vh_error - the reason of a failing init or worker_init; returns -1 */
int	vh_error(struct vh_err *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* vh_config - lines of the settings file of this name (config hooks first, then the file): trimmed, without comments and
 * empty lines. NULL-ended, lives until fini; NULL when there is no such file. In init only */
char  **vh_config(struct vh_inst *, const char *name);
/* vh_set_reject, vh_set_reject_type - as the common arguments "reject" and "reject_type"; false: no such value */
bool	vh_set_reject(struct vh_inst *, const char *value);
bool	vh_set_reject_type(struct vh_inst *, const char *value);
void	vh_set_time_limit(struct vh_inst *, int64_t ms);	/* unless the argument time_limit was given */

/* ---- one call ---- */
enum vh_hook vh_hook(const struct vh_call *);
struct vh_inst *vh_inst(const struct vh_call *);
struct vh_conn *vh_conn(const struct vh_call *);		/* NULL in CONFIG */
struct vh_txn *vh_txn(const struct vh_call *);			/* NULL outside a transaction */
struct vh_addr *vh_address(const struct vh_call *);		/* in MAIL and RCPT; otherwise NULL */
const char *vh_arg(const struct vh_call *);			/* never NULL; printable ASCII, or UTF-8 with SMTPUTF8 */
/* vh_about - in DENY and OK hooks: what a plugin has just returned, and with which text */
struct vh_outcome {
	enum vh_hook hook;
	enum vh_rc   rc;
	const char  *plugin, *text;
};
const struct vh_outcome *vh_about(const struct vh_call *);

/* vh_reply - the text that goes with the return code; returns rc, so that a hook can end with "return vh_reply(...)"
 * enh	     enhanced status code "5.7.1" of rc's class; NULL: what suits the hook
 * fmt	     several lines with '\n' between them; what is not printable becomes '?' */
enum vh_rc vh_reply(struct vh_call *, enum vh_rc rc, const char *enh, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* vh_reply_code - another reply code than the hook's own (it must be of the class of the return code, or it is ignored) */
void	vh_reply_code(struct vh_call *, unsigned code);
/* vh_refuse - refuse as this instance is configured: "reject 0" logs and declines, "reject naughty" notes it for the
 * plugin naughty and declines, otherwise the return code of reject_type (default VH_DENY, or as vh_plugin.flags say)
 * subject   of the enhanced code, "7.1": the class is put before it */
enum vh_rc vh_refuse(struct vh_call *, const char *subject, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* vh_refuse_soft - the same with a temporary code, whatever reject_type is; one that hangs up still does */
enum vh_rc vh_refuse_soft(struct vh_call *, const char *subject, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* vh_send - say one line (without CR LF) to the client now: for VH_DONE, or a first line of a greeting ("220-...") */
void	vh_send(struct vh_call *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* vh_suspend - "return vh_suspend(call, cancel, ctx);": the session waits until vh_resume
 * cancel    called when the wait is over by itself: the client has gone, or the time limit has passed (then on_error decides).
 *	     Stop timers and descriptors there; the call must not be used after it
 */
typedef void vh_cancel_fn(void *ctx);
enum vh_rc vh_suspend(struct vh_call *, vh_cancel_fn *cancel, void *ctx);
/* vh_resume - the final code; the session goes on from the event loop, not before this returns. The call is gone then */
void	vh_resume(struct vh_call *, enum vh_rc);
/* vh_next - "return vh_next(call, after, ctx);": ask the plugins that follow, then after() says what becomes of their result;
 * it may suspend, too.
 * When the connection ends first, after() is called with VH_YIELD: free what ctx has; the return value is ignored */
typedef enum vh_rc vh_after_fn(struct vh_call *, enum vh_rc, void *ctx);
enum vh_rc vh_next(struct vh_call *, vh_after_fn *after, void *ctx);
/* vh_result - what a hook of an instance has returned last in this connection (for MAIL to QUEUE: in this transaction);
 * VH_RCS when it was not asked */
enum vh_rc vh_result(const struct vh_conn *, const char *instance, enum vh_hook);

/* ---- events; in worker_init and later ---- */
int64_t	vh_now_ms(void);		/* monotonic */
int64_t	vh_wall_s(void);		/* seconds since 1970 */
struct vh_timer;
struct vh_io;
typedef void vh_event_fn(void *ctx);
/* vh_timer_start - fn once, after ms. The handle stays until vh_timer_stop, also when it has fired; stop in fn is fine */
struct vh_timer *vh_timer_start(int64_t ms, vh_event_fn *, void *ctx);
void	vh_timer_stop(struct vh_timer **);
enum { VH_READ = 1, VH_WRITE = 2 };
/* vh_io_start - fn whenever the descriptor is readable or writable, until vh_io_stop; call that before close */
struct vh_io *vh_io_start(int fd, unsigned events, vh_event_fn *, void *ctx);
void	vh_io_stop(struct vh_io **);
/* vh_on_input - while this call is suspended: fn once, as soon as the client has sent something (see vh_peek) */
void	vh_on_input(struct vh_call *, vh_event_fn *, void *ctx);

/* ---- the connection ---- */
const char *vh_conn_id(const struct vh_conn *);			/* for log lines */
const struct sockaddr *vh_conn_peer(const struct vh_conn *);	/* AF_INET or AF_INET6 (never v4-mapped), else AF_UNSPEC */
const char *vh_conn_ip(const struct vh_conn *);			/* numeric; "unknown" when there is none */
unsigned vh_conn_port(const struct vh_conn *);
const char *vh_conn_local_ip(const struct vh_conn *);
unsigned vh_conn_local_port(const struct vh_conn *);
const char *vh_conn_host(const struct vh_conn *);		/* reverse name, "unknown" when there is none */
const char *vh_conn_hello(const struct vh_conn *);		/* "" until a HELO or EHLO was accepted */
bool	vh_conn_esmtp(const struct vh_conn *);			/* that was EHLO */
const char *vh_conn_tls(const struct vh_conn *);		/* "TLSv1.3", or NULL in clear */
bool	vh_conn_relay(const struct vh_conn *);			/* relay client: mail to anywhere */
void	vh_conn_set_relay(struct vh_conn *, bool);
int64_t	vh_conn_start_ms(const struct vh_conn *);		/* when it was accepted: see vh_now_ms */
unsigned vh_conn_same_ip(const struct vh_conn *);		/* connections from its address when it came, this one included */
unsigned vh_conn_total(void);					/* connections in all */
unsigned vh_conn_limit(void);					/* smtpd_client_limit: the most there may be */
/* vh_peek - look at what the client has sent ahead; nothing is taken. Bytes, 0: nothing, -1: the client has closed */
ssize_t	vh_peek(struct vh_conn *, void *, size_t);
bool	vh_is_immune(const struct vh_conn *, const struct vh_txn *);	/* relay client, or note whitelisthost, whitelistsender */
void	vh_karma(struct vh_conn *, int delta);				/* changes note karma */

/* ---- the transaction ---- */
struct vh_addr *vh_sender(const struct vh_txn *);		/* never NULL; see vh_addr_null */
size_t	vh_rcpts(const struct vh_txn *);			/* accepted so far */
struct vh_addr *vh_rcpt(const struct vh_txn *, size_t i);
const char *vh_mail_param(const struct vh_txn *, const char *name);	/* of MAIL FROM, "" when it has no value; NULL: not given */
bool	vh_smtputf8(const struct vh_txn *);			/* MAIL FROM had SMTPUTF8 */
bool	vh_8bitmime(const struct vh_txn *);			/* BODY=8BITMIME, or there are 8-bit bytes */
const char *vh_txn_id(const struct vh_txn *);			/* in the Received: header and the log */

/* the message, from DATA_HEADERS_END (the header) or DATA_POST on */
enum vh_part {
	VH_MESSAGE,		/* as it is to be passed on: headers added here, then as received */
	VH_RECEIVED,		/* as received */
	VH_BODY			/* what follows the empty line after the header */
};
uint64_t vh_message_size(const struct vh_txn *, enum vh_part);	/* bytes; every line ends with CR LF, dots are not stuffed */
/* vh_reader_open - read the part from its beginning; any number of readers; close them before the transaction ends */
struct vh_reader;
struct vh_reader *vh_reader_open(const struct vh_txn *, enum vh_part);
ssize_t	vh_reader_read(struct vh_reader *, void *, size_t);	/* bytes; 0 at the end; -1: the spool file cannot be read */
void	vh_reader_close(struct vh_reader **);
/* vh_header - value of the n-th (from 0) header of this name, as received: after the colon, folding kept, no final CR LF
 * len_r     its length; it is not NUL-terminated. NULL when there is none */
const char *vh_header(const struct vh_txn *, const char *name, size_t n, size_t *len_r);
/* vh_header_add - put a header before all others; value may be folded ("\n" and a blank). false: not a header, or too much */
bool	vh_header_add(struct vh_txn *, const char *name, const char *value);
int	vh_tempfile(struct vh_txn *);				/* an empty file without a name, closed with the transaction; -1 */

/* ---- addresses ---- */
bool	vh_addr_null(const struct vh_addr *);			/* <> */
const char *vh_addr_user(const struct vh_addr *);		/* local part, quoting undone */
const char *vh_addr_host(const struct vh_addr *);		/* domain or literal as it came; "" when there is none */
const char *vh_addr_text(const struct vh_addr *);		/* user@host, quoted where necessary; "" for <> */
const char *vh_addr_raw(const struct vh_addr *);		/* as it came */

/* ---- notes: name -> number, string, or pointer ---- */
struct vh_notes *vh_conn_notes(struct vh_conn *);
struct vh_notes *vh_txn_notes(struct vh_txn *);
struct vh_notes *vh_addr_notes(struct vh_addr *);
int64_t	vh_note_int(const struct vh_notes *, const char *name, int64_t otherwise);
const char *vh_note_str(const struct vh_notes *, const char *name);	/* NULL: none, or no string */
void   *vh_note_ptr(const struct vh_notes *, const char *name);
bool	vh_note_has(const struct vh_notes *, const char *name);
void	vh_note_set_int(struct vh_notes *, const char *name, int64_t);
void	vh_note_set_str(struct vh_notes *, const char *name, const char *);	/* copied */
void	vh_note_set_ptr(struct vh_notes *, const char *name, void *, void (*destroy)(void *));
void	vh_note_clear(struct vh_notes *, const char *name);

/* ---- the rest ---- */
enum vh_level { VH_LOG_ERROR = 3, VH_LOG_WARN = 4, VH_LOG_INFO = 6, VH_LOG_DEBUG = 7 };
/* vh_log - one line with the connection's id and the instance's name; see the common argument loglevel */
void	vh_log(const struct vh_call *, enum vh_level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void	vh_log_inst(const struct vh_inst *, enum vh_level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const char *vh_hook_name(enum vh_hook);		/* "data_post" */
const char *vh_rc_name(enum vh_rc);		/* "denysoft" */

#ifdef __cplusplus
}
#endif
#endif
