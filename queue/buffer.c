/* Buffers. */
#include "queue/buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "queue/disk.h"

static void grow(struct buffer *buffer, size_t length)
{
    size_t held = buffer_length(buffer), capacity = buffer->capacity ? buffer->capacity : 512;
    size_t spare =
        buffer->start == 0 ? 0 : held; /* it moves, so it should not have to again soon */
    while (capacity - held < length + spare)
        capacity *= 2;
    if (buffer->start == 0 && !buffer->lent) {
        buffer->data = disk_allocate(buffer->data, capacity);
    } else {
        char *data = disk_allocate(NULL, capacity);
        memcpy(data, buffer_bytes(buffer), held);
        if (!buffer->lent)
            free(buffer->data);
        buffer->lent = false;
        buffer->data = data;
        buffer->start = 0;
        buffer->end = held;
    }
    buffer->capacity = capacity;
}

char *buffer_room(struct buffer *buffer, size_t length)
{
    if (buffer->capacity - buffer->end >= length)
        return buffer->data + buffer->end;
    size_t held = buffer_length(buffer);
    /* Only when at least as much is free in front as is held: else a long backlog would be moved
     * for each little that is taken from it. */
    if (buffer->start > 0 && buffer->start >= held) {
        memmove(buffer->data, buffer->data + buffer->start, held);
        buffer->start = 0;
        buffer->end = held;
    }
    if (buffer->capacity - buffer->end < length)
        grow(buffer, length);
    return buffer->data + buffer->end;
}

void buffer_take(struct buffer *buffer, char *data, size_t length, size_t capacity)
{
    assert(buffer_length(buffer) == 0);
    buffer_free(buffer);
    *buffer = (struct buffer){.data = data, .end = length, .capacity = capacity};
}

void buffer_added(struct buffer *buffer, size_t length)
{
    buffer->end += length;
    assert(buffer->end <= buffer->capacity);
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    memcpy(buffer_room(buffer, length), bytes, length);
    buffer->end += length;
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    assert(length <= buffer_length(buffer));
    buffer->start += length;
    if (buffer->start == buffer->end)
        buffer_free(buffer);
}

void buffer_free(struct buffer *buffer)
{
    if (!buffer->lent)
        free(buffer->data);
    *buffer = (struct buffer){0};
}

long buffer_send(struct buffer *buffer, int socket)
{
    if (buffer_length(buffer) == 0)
        return 0;
    ssize_t sent = send(socket, buffer_bytes(buffer), buffer_length(buffer), MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    buffer_consume(buffer, (size_t)sent);
    return sent;
}

/* What recv() said, as the header says it. */
static long received(ssize_t got)
{
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    return got == 0 ? -1 : got;
}

long buffer_receive_lent(struct buffer *buffer, int socket, char *memory, size_t length_max)
{
    if (buffer_length(buffer) > 0)
        return buffer_receive(buffer, socket, length_max);
    ssize_t got = recv(socket, memory, length_max, 0);
    if (got > 0) {
        buffer_free(buffer);
        *buffer = (struct buffer){
            .data = memory, .end = (size_t)got, .capacity = length_max, .lent = true};
    }
    return received(got);
}

void buffer_keep(struct buffer *buffer)
{
    if (!buffer->lent)
        return;
    struct buffer own = {0};
    buffer_append(&own, buffer_bytes(buffer), buffer_length(buffer));
    *buffer = own;
}

long buffer_receive(struct buffer *buffer, int socket, size_t length_max)
{
    char *room = buffer_room(buffer, length_max);
    ssize_t got = recv(socket, room, length_max, 0);
    if (got > 0)
        buffer_added(buffer, (size_t)got);
    else if (buffer_length(buffer) == 0)
        buffer_free(buffer);
    return received(got);
}
