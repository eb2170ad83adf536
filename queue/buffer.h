/* Bytes on their way in or out of a socket: appended behind, consumed in front. */
#ifndef ORDEAL_QUEUE_BUFFER_H
#define ORDEAL_QUEUE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data;
    size_t start, end, capacity; /* what it holds is data[start..end) */
    bool lent;                   /* the memory is another's: see buffer_receive_lent */
};

static inline size_t buffer_length(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}
static inline char *buffer_bytes(const struct buffer *buffer)
{
    return buffer->data + buffer->start;
}
/* Room for at least `length` more; returns where they go. Then say how many came by buffer_added.
 * Memory that cannot be had ends the program. */
char *buffer_room(struct buffer *buffer, size_t length);
void buffer_added(struct buffer *buffer, size_t length);
void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
/* An empty one takes over memory of malloc()'s, and does not copy it. */
void buffer_take(struct buffer *buffer, char *data, size_t length, size_t capacity);
/* Drops from the front; an empty buffer gives its memory back. */
void buffer_consume(struct buffer *buffer, size_t length);
void buffer_free(struct buffer *buffer);

/* Moves what a socket takes or has. >0: bytes moved; 0: would block; -1: closed or broken. */
long buffer_send(struct buffer *buffer, int socket);
long buffer_receive(struct buffer *buffer, int socket, size_t length_max);
/* The same into memory that the caller lends, for as long as until buffer_keep: what is taken at
 * once needs none of its own. A buffer that holds something already takes it as buffer_receive. */
long buffer_receive_lent(struct buffer *buffer, int socket, char *memory, size_t length_max);
/* What is left goes into memory of the buffer's own. */
void buffer_keep(struct buffer *buffer);

#endif
