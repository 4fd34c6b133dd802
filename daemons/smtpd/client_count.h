/* daemons/smtpd/client_count.h - what a client does on all workers of a host: connections, and recipients that do not exist
 * Kept in a small table that the workers share, by address, IPv6 by /64. A worker that dies takes its share with it: counts of
 * workers that are gone are dropped when they would matter. Without the file each worker counts for itself.
 */
#ifndef SMTPD_CLIENT_COUNT_H
#define SMTPD_CLIENT_COUNT_H

#include <stdint.h>
#include <sys/socket.h>

#define CLIENT_COUNT_FILE	"smtpd_clients"
#define CLIENT_COUNT_BYTES	(4u << 20)	/* some ten thousand clients */
#define CLIENT_COUNT_MEMORY_S	3600		/* unknown recipients are forgotten after so long without one */

struct client_count;

/* client_count_open - data_fd: data_directory, borrowed; -1: memory of this process. NULL with why_r (static text) on failure */
struct client_count *client_count_open(int data_fd, const char **why_r);
void	client_count_close(struct client_count **);
void	client_count_check(struct client_count *);	/* once a second or so: follow a replaced file */
/* client_count_enter - one connection more; returns how many this client has on all workers. client_count_leave - one less;
 * whoever has entered must leave */
unsigned client_count_enter(struct client_count *, const struct sockaddr *, int64_t now_s);
void	client_count_leave(struct client_count *, const struct sockaddr *, int64_t now_s);
/* client_count_unknown - one more recipient that does not exist; returns how many lately */
unsigned client_count_unknown(struct client_count *, const struct sockaddr *, int64_t now_s);

#endif
