/* global/client_addr.h - the address of an SMTP client, as bytes
 * A value; nothing to free. An IPv4 address that comes as IPv6 (::ffff:192.0.2.1) is IPv4; a zone (%eth0) does not count.
 */
#ifndef GLOBAL_CLIENT_ADDR_H
#define GLOBAL_CLIENT_ADDR_H

#include <stdbool.h>
#include <stddef.h>

#include <util/buf.h>

struct client_addr {
	unsigned char bytes[16];
	unsigned bits;			/* 32 or 128; 0: none */
};

/* client_addr_parse - brackets are not allowed; false, and bits 0, when it is no address */
bool	client_addr_parse(struct client_addr *, const char *text);
/* client_addr_mask - clear all bits behind the first `keep` */
void	client_addr_mask(struct client_addr *, unsigned keep);
/* client_addr_print - append the address, and "/keep" when that is less than all bits */
void	client_addr_print(const struct client_addr *, unsigned keep, struct buf *out);
/* client_addr_in - whether the first `keep` bits are those of net, of the same family */
bool	client_addr_in(const struct client_addr *, const struct client_addr *net, unsigned keep);

#endif
