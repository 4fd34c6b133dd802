/* global/inet_endpoint.h - the addresses and the port that an inet service of master.cf means
 * source: spec master-cf section 2. Opens nothing; whether one may bind to them is the listener's to find out.
 */
#ifndef GLOBAL_INET_ENDPOINT_H
#define GLOBAL_INET_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include <global/params.h>
#include <util/buf.h>

struct inet_endpoint {
	char   *id;		/* canonical: "25", "[127.0.0.1]:25"; entries with the same id are the same service */
	char   *port;		/* digits */
	char  **hosts;		/* numeric, no duplicates; at least one */
	size_t	hosts_n;
	bool	loopback;	/* every address is a loopback address: no client comes from another host */
};

/* inet_endpoint_find - from the first field of a master.cf entry: port, host:port, [host]:port, :port
 * params    inet_interfaces, inet_protocols, known_tcp_ports count
 * e_r       to be given to inet_endpoint_fini whatever is returned
 * why       on failure the reason alone, no file and no line
 * blocks    up to INET_ENDPOINT_WAIT_MS, and only for a host name that is neither an address nor in /etc/hosts
 * returns   0 or -1
 */
#define INET_ENDPOINT_WAIT_MS 3000
int	inet_endpoint_find(const char *name, const struct params *, struct inet_endpoint *e_r, struct buf *why);
void	inet_endpoint_fini(struct inet_endpoint *);

#endif
