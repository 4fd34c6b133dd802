/* tests/lib/smtpd_rig.h - smtpd's engine without sockets: plugins from a text, clients that are a few calls, time from the test
 * One rig at a time: the engine is one per process. Clients are cut off at smtpd_rig_end.
 */
#ifndef TESTS_SMTPD_RIG_H
#define TESTS_SMTPD_RIG_H

#include <daemons/smtpd/smtpd.h>

struct smtpd_rig_client {
	struct vh_conn *conn;		/* NULL: gone */
	struct buf out;			/* what it has heard */
	struct buf in;			/* sent ahead while held */
	bool	held, finished, slowly, starttls;
	bool	eof;			/* vh_peek says so */
	struct smtpd_rig_client *next;
};

struct smtpd_rig {
	struct ev_loop *loop;
	struct smtpd_rig_client *clients;
	int	spool_fd;
};

/* smtpd_rig_begin - plugins: text of a plugins file; more: plugins of the test, NULL-ended, or NULL. Fails the test when the
 * file is no good. Changes to smtpd.conf hold until smtpd_rig_end */
void	smtpd_rig_begin(struct smtpd_rig *, const char *plugins, const struct vh_plugin *const *more);
void	smtpd_rig_end(struct smtpd_rig *);
/* smtpd_rig_setup - what plugins find until smtpd_rig_end: parameters from the text of a main.cf, settings files in a directory.
 * Before smtpd_rig_begin or smtpd_rig_refused. Both may be NULL */
void	smtpd_rig_setup(const char *main_cf, const char *settings_dir);
/* smtpd_rig_refused - this plugins file must be no good: why; borrowed until the next call */
const char *smtpd_rig_refused(const char *plugins);
/* smtpd_rig_open - connect; a client that was used before hangs up first */
void	smtpd_rig_open(struct smtpd_rig *, struct smtpd_rig_client *, const char *ip);
/* smtpd_rig_say - the client sends; whatever can happen at once has happened when it returns */
void	smtpd_rig_say(struct smtpd_rig *, struct smtpd_rig_client *, const char *text);
void	smtpd_rig_send(struct smtpd_rig *, struct smtpd_rig_client *, const char *data, size_t n);
void	smtpd_rig_turn(struct smtpd_rig *);			/* run what is due */
void	smtpd_rig_advance(struct smtpd_rig *, int64_t ms);
/* smtpd_rig_heard - all since the last call; borrowed until the next one */
const char *smtpd_rig_heard(struct smtpd_rig_client *);
/* smtpd_rig_ask - say the line (CR LF is added); what is heard */
const char *smtpd_rig_ask(struct smtpd_rig *, struct smtpd_rig_client *, const char *line);
void	smtpd_rig_hangup(struct smtpd_rig *, struct smtpd_rig_client *);	/* the client is gone */

/* smtpd_rig_mail - a new connection from 192.0.2.1, EHLO and MAIL FROM:<from> args; what is heard of the last one
 * smtpd_rig_rcpt - RCPT TO:<to> */
const char *smtpd_rig_mail(struct smtpd_rig *, struct smtpd_rig_client *, const char *from, const char *args);
const char *smtpd_rig_rcpt(struct smtpd_rig *, struct smtpd_rig_client *, const char *to);

/* a plugin that accepts every recipient and keeps the message: "keep" */
extern const struct vh_plugin smtpd_rig_keep;
extern struct smtpd_rig_kept {		/* zeroed by smtpd_rig_begin */
	bool	relay;			/* what the next connection is */
	char	message[4000];		/* the latest, as far as it fits */
} smtpd_rig_kept;

#endif
