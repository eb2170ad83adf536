/* Contexts, handshakes, reading and writing. */
#include "queue/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "queue/disk.h"

struct tls_context {
    SSL_CTX *ssl;
};

struct tls {
    SSL *ssl;
    bool ready, wants_write, broken;
};

static bool complain(struct queue_error *error, const char *what, const char *path)
{
    unsigned long code = ERR_get_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    queue_error_set(error, "%s %.120s: %.100s", what, path, reason ? reason : "not usable");
    return false;
}

static bool load(SSL_CTX *ssl, const struct config *config, enum tls_verify verify,
                 struct queue_error *error)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ssl, config->tls_cert) != 1)
        return complain(error, "read the certificate", config->tls_cert);
    if (SSL_CTX_use_PrivateKey_file(ssl, config->tls_key, SSL_FILETYPE_PEM) != 1)
        return complain(error, "read the key", config->tls_key);
    if (SSL_CTX_check_private_key(ssl) != 1)
        return complain(error, "use with this certificate the key", config->tls_key);
    if (verify == TLS_TRUST_ANYBODY)
        return true;
    if (SSL_CTX_load_verify_locations(ssl, config->tls_ca, NULL) != 1)
        return complain(error, "read the authority", config->tls_ca);
    SSL_CTX_set_client_CA_list(ssl, SSL_load_client_CA_file(config->tls_ca));
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

struct tls_context *tls_context_open(const struct config *config, enum tls_verify verify,
                                     struct queue_error *error)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_method());
    if (ssl == NULL) {
        complain(error, "begin", "TLS");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    static const unsigned char name[] = "ordeal-queue";
    SSL_CTX_set_session_id_context(ssl, name, sizeof name - 1);
    if (!load(ssl, config, verify, error)) {
        SSL_CTX_free(ssl);
        return NULL;
    }
    struct tls_context *context = disk_allocate(NULL, sizeof *context);
    context->ssl = ssl;
    return context;
}

void tls_context_close(struct tls_context *context)
{
    if (context != NULL)
        SSL_CTX_free(context->ssl);
    free(context);
}

struct tls *tls_open(struct tls_context *context, int socket, bool dials)
{
    struct tls *tls = disk_allocate(NULL, sizeof *tls);
    *tls = (struct tls){.ssl = SSL_new(context->ssl)};
    tls->broken = tls->ssl == NULL || SSL_set_fd(tls->ssl, socket) != 1;
    if (tls->broken)
        return tls;
    if (dials)
        SSL_set_connect_state(tls->ssl);
    else
        SSL_set_accept_state(tls->ssl);
    return tls;
}

void tls_close(struct tls *tls)
{
    if (tls == NULL)
        return;
    if (tls->ready && !tls->broken) {
        ERR_clear_error();
        SSL_shutdown(tls->ssl);
    }
    SSL_free(tls->ssl);
    free(tls);
}

/* 0: the socket has to become ready; -1: over. */
static int judge(struct tls *tls, int result)
{
    int reason = SSL_get_error(tls->ssl, result);
    tls->wants_write = reason == SSL_ERROR_WANT_WRITE;
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE)
        return 0;
    tls->broken = true;
    return -1;
}

int tls_handshake(struct tls *tls, char *why, size_t size)
{
    snprintf(why, size, "%s", "out of memory");
    if (tls->broken)
        return -1;
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(tls->ssl);
    if (result == 1) {
        tls->ready = true;
        tls->wants_write = false;
        return 1;
    }
    int going = judge(tls, result);
    if (going < 0) {
        unsigned long code = ERR_get_error();
        const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
        snprintf(why, size, "%s", reason ? reason : "the other end hung up");
    }
    return going;
}

bool tls_ready(const struct tls *tls)
{
    return tls->ready;
}

bool tls_wants_write(const struct tls *tls)
{
    return tls->wants_write;
}

const char *tls_version(const struct tls *tls)
{
    return SSL_get_version(tls->ssl);
}

long tls_send(struct tls *tls, struct buffer *buffer)
{
    size_t length = buffer_length(buffer), most = 1 << 20;
    if (length == 0)
        return 0;
    if (tls->broken)
        return -1;
    ERR_clear_error();
    int sent = SSL_write(tls->ssl, buffer_bytes(buffer), (int)(length < most ? length : most));
    if (sent <= 0)
        return judge(tls, sent);
    tls->wants_write = false;
    buffer_consume(buffer, (size_t)sent);
    return sent;
}

/* What OpenSSL has decrypted no socket would announce again. */
long tls_receive(struct tls *tls, struct buffer *buffer, size_t length_max)
{
    long total = 0;
    while (!tls->broken && (total == 0 || SSL_pending(tls->ssl) > 0)) {
        size_t room = total == 0 ? length_max : (size_t)SSL_pending(tls->ssl);
        char *at = buffer_room(buffer, room);
        ERR_clear_error();
        int got = SSL_read(tls->ssl, at, (int)room);
        if (got <= 0) {
            int going = judge(tls, got);
            if (buffer_length(buffer) == 0)
                buffer_free(buffer);
            return total > 0 ? total : going;
        }
        buffer_added(buffer, (size_t)got);
        total += got;
    }
    return total > 0 ? total : -1;
}

enum tls_guess tls_guess(int socket)
{
    unsigned char first;
    ssize_t got = recv(socket, &first, 1, MSG_PEEK);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? TLS_GUESS_NONE_YET : TLS_GUESS_CLOSED;
    if (got == 0)
        return TLS_GUESS_CLOSED;
    return first == 0x16 ? TLS_GUESS_TLS : TLS_GUESS_PLAIN; /* a record of type handshake */
}
