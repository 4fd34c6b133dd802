/* commands/vouch/greys.h - what the parts of "vouch greylist" share
 *	greylist.c	 the subcommands, opening and closing
 *	greylist_list.c	 list and forget: many records
 *	greylist_show.c	 show and allow: one envelope
 * In the database, when greylist_map names one; in this host's tables otherwise, or with --local. The tables hold no text.
 */
#ifndef VOUCH_GREYS_H
#define VOUCH_GREYS_H

#include <global/greylist_db.h>
#include <global/greylist_key.h>
#include <global/greylist_record.h>
#include <global/greylist_store.h>

#include "database.h"
#include "vouch.h"

struct greys_options {
	bool	pending, known, json, local;
	const char *client, *sender, *recipient;	/* NULL: any */
	int64_t	older_s;				/* seen longer ago than this; -1: whenever */
};

struct greys {
	struct params *params;
	struct greylist_rules rules;
	struct greylist_key_conf keys;
	struct greylist_hash *hash;	/* NULL: there is no secret yet, and so there are no records */
	struct database *db;		/* NULL: none is configured, or it is not wanted */
	struct shmtab *known, *pending;	/* to look at; NULL: there are none yet */
	struct greylist_store *store;	/* to change */
	bool	wants_db;
	int64_t	now_s;
	struct greys_options opt;
};

/* greys_open - change: the tables are opened for writing, with their owner's rights. An exit code; trouble is said */
int	greys_open(struct greys *, const struct vouch *, bool change);
void	greys_close(struct greys *);

/* an envelope as the arguments have it: CLIENT is an address, NAME[ADDRESS], a network or the name of a pool */
struct greys_envelope {
	struct client_addr addr;	/* bits 0: CLIENT is a network or a pool */
	char   *name, *address;
	struct buf client, net, sender, recipient;
	struct greylist_names names;
	struct greylist_ids ids;
};
/* greys_envelope - sender and recipient may be NULL */
void	greys_envelope_init(struct greys *, struct greys_envelope *, const char *client, const char *sender, const char *recipient);
void	greys_envelope_fini(struct greys_envelope *);

/* greys_local - the record of this id on this host, kind 0 when there is none; greys_shared - that of the database: an exit code */
void	greys_local(struct greys *, const char *id, struct greylist_record *);
int	greys_shared(struct greys *, const char *id, struct greylist_record *);

/* greys_failed - the database refused: said; an exit code */
int	greys_failed(struct greys *, const struct database_answer *);

int	greys_list(struct greys *);
int	greys_forget(struct greys *);
int	greys_show(struct greys *, char **argv, int argc);
int	greys_allow(struct greys *, char **argv, int argc);

/* greys_kind - "triplet", "sender", "domain", "client" */
const char *greys_kind(char kind);

#endif
