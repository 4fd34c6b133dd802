/* daemons/smtpd/client_cache.h - clients that need not be tested again for a while, by address; IPv6 by /64
 * In the memory of the worker, bounded: the oldest goes when there is no room.
 */
#ifndef SMTPD_CLIENT_CACHE_H
#define SMTPD_CLIENT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct client_cache;

/* all take NULL for a cache that knows nobody; addresses other than IPv4 and IPv6 are never known */
struct client_cache *client_cache_new(int64_t life_ms, size_t limit);
void	client_cache_free(struct client_cache **);
bool	client_cache_has(struct client_cache *, const struct sockaddr *, int64_t now_ms);
void	client_cache_put(struct client_cache *, const struct sockaddr *, int64_t now_ms);	/* known from now on, anew */
void	client_cache_drop(struct client_cache *, const struct sockaddr *);

#endif
