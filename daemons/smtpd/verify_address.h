/* daemons/smtpd/verify_address.h - what verify_sender and verify_rcpt share: arguments, asking, what is said to the client */
#ifndef SMTPD_VERIFY_ADDRESS_H
#define SMTPD_VERIFY_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include <global/smtpcb_proto.h>

#include "rcpt_hosts.h"
#include "vouch_plugin.h"

struct verify_address {			/* of an instance */
	bool	 sender;		/* else recipients */
	int64_t	 wait_ms;
	int	 tempfail, unavailable, stage; /* places in their lists of words: soft pass; mail rcpt */
	bool	 per_recipient, show_host;
	char	*smtpcbd, *only_file, *except_file;
	char	*host, *port;		/* of smtpcbd; NULL: verify(8) is asked */
	struct domain_list *only, *except;
	struct rcpt_hosts *hosts;	/* recipients, without only_domains: our domains */
};

enum { VERIFY_SOFT, VERIFY_PASS };
enum { VERIFY_AT_MAIL, VERIFY_AT_RCPT };

/* verify_address_init - the whole of a plugin's init */
int	verify_address_init(struct vh_inst *, bool sender, int argc, char **argv, struct vh_err *);
int	verify_address_start(struct vh_inst *, struct vh_err *);
void	verify_address_fini(struct vh_inst *);
/* verify_address_wanted - whether this address is to be verified, by its domain */
bool	verify_address_wanted(struct verify_address *, const struct vh_addr *);

/* verify_answer - what has become known; copies */
enum verify_known { VERIFY_KNOWN_OK, VERIFY_KNOWN_BAD, VERIFY_KNOWN_SOFT, VERIFY_KNOWN_NOT };
struct verify_answer {
	enum verify_known known;
	char	*text, *server;
	int64_t	 since_s, next_s;	/* 0: not said */
};
void	verify_answer_free(void *);
/* verify_address_say - the return code, with its text, for this answer */
enum vh_rc verify_address_say(struct vh_call *, const struct vh_addr *, const struct verify_answer *);
/* verify_address_ask - find out about the address; the hook's return code. When it is known, keep (may be NULL) gets the
 * answer, which is its own then, before verify_address_say is asked for the code */
typedef void verify_keep_fn(struct vh_call *, struct verify_answer *);
enum vh_rc verify_address_ask(struct vh_call *, const struct vh_addr *, verify_keep_fn *keep);

#endif
