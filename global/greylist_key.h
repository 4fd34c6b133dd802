/* global/greylist_key.h - what identifies a client, a sender and a recipient for greylisting
 * Pure text functions: addresses as they came go in, keys come out; then hashed with the secret of the site. A key is for
 * comparing only: answers and allow-lists use the addresses as they came.
 * source: README_FILES/GREYLIST_README; RFC 6647 section 4 (networks), the schemes of SRS, BATV and VERP.
 */
#ifndef GLOBAL_GREYLIST_KEY_H
#define GLOBAL_GREYLIST_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include <global/client_addr.h>
#include <global/params.h>
#include <util/buf.h>

#define GREYLIST_ADDR_MAX	(64u << 10)	/* bytes of an address that can have a key of its own */

enum greylist_client_by { GREYLIST_BY_POOL, GREYLIST_BY_NET, GREYLIST_BY_ADDRESS };
enum greylist_sender_by { GREYLIST_BY_NORMAL, GREYLIST_BY_DOMAIN, GREYLIST_BY_SENDER };

struct greylist_key_conf {
	enum greylist_client_by client;
	enum greylist_sender_by sender;
	unsigned ipv4_bits, ipv6_bits;		/* of a network */
	const char *sender_delimiter, *recipient_delimiter;	/* borrowed */
};
void	greylist_key_conf_init(struct greylist_key_conf *, const struct params *);

/* Each appends to out, which should have room for what goes in and 64 bytes; greylist_pool_name may append nothing: none.
 * The domain of a sender key begins behind its last '@'; greylist_sender_domain tells where it is */
void	greylist_pool_name(const char *client_name, const struct client_addr *, struct buf *out);
void	greylist_net(const struct greylist_key_conf *, const struct client_addr *, struct buf *out);
/* greylist_client - net: the text of the client's greylist_net, which is its key where nothing else is */
void	greylist_client(const struct greylist_key_conf *, const struct client_addr *, const char *client_name, const char *net,
	    struct buf *out);
void	greylist_sender(const struct greylist_key_conf *, const char *sender, const char *recipient, struct buf *out);
void	greylist_recipient(const struct greylist_key_conf *, const char *recipient, struct buf *out);
/* greylist_sender_domain - the domain in a sender key, "" when it has none */
const char *greylist_sender_domain(const struct greylist_key_conf *, const char *sender_key);

/* Record identifiers: the kind, and a keyed hash of 128 bits over the kind and all parts, each with its length before it */
#define GREYLIST_SECRET_LEN	16
#define GREYLIST_ID_LEN		23		/* kind letter, 22 characters of base64url */

struct greylist_hash;
struct greylist_hash *greylist_hash_new(const unsigned char secret[GREYLIST_SECRET_LEN]);
void	greylist_hash_free(struct greylist_hash **);
/* greylist_id - parts may be NULL from some place on: those are not hashed */
void	greylist_id(struct greylist_hash *, char kind, const char *client, const char *sender, const char *recipient,
	    char id_r[GREYLIST_ID_LEN + 1]);
/* greylist_hash_hex - the first 16 hexadecimal digits of the keyed hash of one text */
void	greylist_hash_hex(struct greylist_hash *, const char *text, char hex_r[17]);

#endif
