/* util/tls.h - TLS over a non-blocking socket, with OpenSSL
 * Opportunistic: whoever answers is believed, since without TLS we would talk to him, too. Nothing here waits:
 * each call does what it can and says what it wants to be woken for.
 */
#ifndef UTIL_TLS_H
#define UTIL_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <util/buf.h>

struct tls_ctx;			/* what many sessions share */
struct tls;			/* one session */

enum tls_result { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_FAILED };

/* tls_client_ctx_new - NULL with why_r (static text) */
struct tls_ctx *tls_client_ctx_new(const char **why_r);
/* tls_server_ctx_new - the server's side; PEM files: the certificate and those between it and the root; its key, without
 * a password. why: "FILE: reason" */
struct tls_ctx *tls_server_ctx_new(const char *cert_file, const char *key_file, struct buf *why);
void	tls_ctx_free(struct tls_ctx **);

/* tls_client_new - session on a connected socket, which stays the caller's; server_name: SNI, NULL for none */
struct tls *tls_client_new(struct tls_ctx *, int fd, const char *server_name);
struct tls *tls_server_new(struct tls_ctx *, int fd);
void	tls_free(struct tls **);	/* sends nothing; the caller closes the socket */
enum tls_result tls_handshake(struct tls *);
/* tls_read, tls_write - *n_r bytes done on TLS_DONE; 0 bytes read: end of data. TLS_WANT_READ also comes after something
 * of the protocol's own, with more to read: wait for the socket, it is readable at once */
enum tls_result tls_read(struct tls *, void *, size_t n, size_t *n_r);
enum tls_result tls_write(struct tls *, const void *, size_t n, size_t *n_r);
const char *tls_why(const struct tls *);	/* of TLS_FAILED; borrowed */
const char *tls_version(const struct tls *);	/* "TLSv1.3" */
const char *tls_cipher(const struct tls *);	/* "TLS_AES_256_GCM_SHA384" */

#endif
