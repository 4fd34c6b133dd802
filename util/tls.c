/* util/tls.c - TLS over a non-blocking socket, with OpenSSL */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include <util/mem.h>

struct tls_ctx {
	SSL_CTX *ssl;
};

struct tls {
	SSL    *ssl;
	char	why[160];
};

static void
tls_ctx_modes(struct tls_ctx *c)
{
	SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* else one read goes on for as long as the peer sends what is no data: everybody else would wait */
	SSL_CTX_clear_mode(c->ssl, SSL_MODE_AUTO_RETRY);
}

struct tls_ctx *
tls_client_ctx_new(const char **why_r)
{
	struct tls_ctx *c = mem_alloc(sizeof *c);

	if ((c->ssl = SSL_CTX_new(TLS_client_method())) == NULL) {
		*why_r = "OpenSSL cannot make a context";
		mem_free(&c);
		return NULL;
	}
	/* old servers are better asked with old ciphers than in clear */
	SSL_CTX_set_security_level(c->ssl, 0);
	SSL_CTX_set_min_proto_version(c->ssl, TLS1_VERSION);
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_NONE, NULL);
	tls_ctx_modes(c);
	SSL_CTX_set_options(c->ssl, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_IGNORE_UNEXPECTED_EOF);
	return c;
}

static struct tls_ctx *
tls_server_bad(struct tls_ctx *c, struct buf *why, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;

	buf_addf(why, "%s: %s", what, reason != NULL ? reason : "cannot be used");
	ERR_clear_error();
	tls_ctx_free(&c);
	return NULL;
}

struct tls_ctx *
tls_server_ctx_new(const char *cert_file, const char *key_file, struct buf *why)
{
	struct tls_ctx *c = mem_alloc(sizeof *c);

	ERR_clear_error();
	if ((c->ssl = SSL_CTX_new(TLS_server_method())) == NULL)
		return tls_server_bad(c, why, "OpenSSL");
	/* opportunistic: an old client in old TLS is better than in clear */
	SSL_CTX_set_security_level(c->ssl, 0);
	SSL_CTX_set_min_proto_version(c->ssl, TLS1_VERSION);
	tls_ctx_modes(c);
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF |
	    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_dh_auto(c->ssl, 1);
	if (SSL_CTX_use_certificate_chain_file(c->ssl, cert_file) != 1)
		return tls_server_bad(c, why, cert_file);
	if (SSL_CTX_use_PrivateKey_file(c->ssl, key_file, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(c->ssl) != 1)
		return tls_server_bad(c, why, key_file);
	return c;
}

void
tls_ctx_free(struct tls_ctx **cp)
{
	if (*cp == NULL)
		return;
	SSL_CTX_free((*cp)->ssl);
	mem_free(cp);
}

struct tls *
tls_client_new(struct tls_ctx *c, int fd, const char *server_name)
{
	struct tls *t = mem_alloc(sizeof *t);

	/* out of memory shows in the handshake */
	if ((t->ssl = SSL_new(c->ssl)) != NULL) {
		SSL_set_fd(t->ssl, fd);
		SSL_set_connect_state(t->ssl);
		if (server_name != NULL)
			SSL_set_tlsext_host_name(t->ssl, server_name);
	}
	return t;
}

struct tls *
tls_server_new(struct tls_ctx *c, int fd)
{
	struct tls *t = mem_alloc(sizeof *t);

	if ((t->ssl = SSL_new(c->ssl)) != NULL) {
		SSL_set_fd(t->ssl, fd);
		SSL_set_accept_state(t->ssl);
	}
	return t;
}

void
tls_free(struct tls **tp)
{
	if (*tp == NULL)
		return;
	SSL_free((*tp)->ssl);
	ERR_clear_error();
	mem_free(tp);
}

/* tls_result - what a call that did not succeed means */
static enum tls_result
tls_result(struct tls *t, int rc, int saved)
{
	unsigned long e;
	const char *reason;

	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_DONE;
	}
	e = ERR_peek_last_error();
	reason = e != 0 ? ERR_reason_error_string(e) : saved != 0 ? strerror(saved) : "connection closed";
	snprintf(t->why, sizeof t->why, "%s", reason != NULL ? reason : "unknown TLS error");
	return TLS_FAILED;
}

/* tls_not_done - where the end of the peer's data is a failure */
static enum tls_result
tls_not_done(struct tls *t, enum tls_result result, const char *why)
{
	if (result != TLS_DONE)
		return result;
	snprintf(t->why, sizeof t->why, "%s", why);
	return TLS_FAILED;
}

enum tls_result
tls_handshake(struct tls *t)
{
	int	rc;

	if (t->ssl == NULL) {
		snprintf(t->why, sizeof t->why, "no memory for a TLS session");
		return TLS_FAILED;
	}
	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(t->ssl);
	return rc == 1 ? TLS_DONE : tls_not_done(t, tls_result(t, rc, errno), "connection closed");
}

enum tls_result
tls_read(struct tls *t, void *p, size_t n, size_t *n_r)
{
	int	rc;

	*n_r = 0;
	ERR_clear_error();
	errno = 0;
	rc = SSL_read_ex(t->ssl, p, n, n_r);
	return rc == 1 ? TLS_DONE : tls_result(t, rc, errno);
}

enum tls_result
tls_write(struct tls *t, const void *p, size_t n, size_t *n_r)
{
	int	rc;

	*n_r = 0;
	ERR_clear_error();
	errno = 0;
	rc = SSL_write_ex(t->ssl, p, n, n_r);
	return rc == 1 ? TLS_DONE : tls_not_done(t, tls_result(t, rc, errno), "closed by the peer");
}

const char *
tls_why(const struct tls *t)
{
	return t->why;
}

const char *
tls_version(const struct tls *t)
{
	return SSL_get_version(t->ssl);
}

const char *
tls_cipher(const struct tls *t)
{
	return SSL_get_cipher_name(t->ssl);
}
