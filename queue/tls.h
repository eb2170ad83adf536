/* TLS over sockets that do not block: the one file that meets OpenSSL's SSL.
 *
 * A handshake goes on whenever the socket is ready, and costs the event loop no more than its own
 * arithmetic; whoever serves many takes a few steps a turn. */
#ifndef ORDEAL_QUEUE_TLS_H
#define ORDEAL_QUEUE_TLS_H

#include <stdbool.h>

#include "queue/buffer.h"
#include "queue/config.h"
#include "queue/error.h"

struct tls_context; /* certificates and whom to trust */
struct tls;         /* one connection's */

enum tls_verify { TLS_TRUST_ANYBODY, TLS_ASK_CERTIFICATE };

/* From tls-cert, tls-key and tls-ca. NULL and the reason. */
struct tls_context *tls_context_open(const struct config *config, enum tls_verify verify,
                                     struct queue_error *error);
void tls_context_close(struct tls_context *context); /* NULL is fine */

struct tls *tls_open(struct tls_context *context, int socket, bool dials);
void tls_close(struct tls *tls); /* says good-bye if it can; NULL is fine */

/* 1: done; 0: the socket has to become ready first; -1: failed, and `why` says why. */
int tls_handshake(struct tls *tls, char *why, size_t size);
bool tls_ready(const struct tls *tls); /* the handshake is done */
bool tls_wants_write(
    const struct tls *tls); /* what was tried last waits for the socket to take more */
const char *tls_version(const struct tls *tls);

/* As buffer_send and buffer_receive; the latter takes all that was decrypted already, so it may
 * bring more than it was asked for. */
long tls_send(struct tls *tls, struct buffer *buffer);
long tls_receive(struct tls *tls, struct buffer *buffer, size_t length_max);

/* Whether what a client says first (one byte looked at, not taken) begins a TLS handshake. */
enum tls_guess { TLS_GUESS_NONE_YET, TLS_GUESS_CLOSED, TLS_GUESS_PLAIN, TLS_GUESS_TLS };
enum tls_guess tls_guess(int socket);

#endif
