/* tests/lib/tls_peer.h - the other side of TLS: OpenSSL as a server, with a certificate that nobody has signed */
#ifndef TESTS_TLS_PEER_H
#define TESTS_TLS_PEER_H

#include <openssl/ssl.h>

SSL_CTX	*tls_peer_ctx_new(void);	/* SSL_CTX_free it */

#endif
