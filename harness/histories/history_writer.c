/* Writing history.ordeal while a run goes on: see history_file.h.
 *
 * The appender fills one block in memory under a mutex that is free but for the moments in which
 * the writing thread takes a block over. All system calls are the writing thread's. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/histories/history_file.h"
#include "harness/histories/history_record.h"

enum {
    BLOCK_TARGET_BYTES = 1 << 16,   /* a block is full past this */
    BLOCK_CAPACITY_BYTES = 3 << 15, /* so that the last event of a block seldom grows it */
    BLOCK_COUNT_MAX = 1 << 20,
    QUEUE_BYTES_MAX = 64 << 20,
    SPARE_BLOCKS_MAX = 16,
};
#define FLUSH_NS (50 * NS_PER_MS)

struct block {
    struct block *next;
    struct record_bytes bytes; /* room for the head, then the payload */
    uint32_t count;
    uint64_t first;
};

struct history_writer {
    int fd;
    char *name;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;    /* blocks are waiting, or somebody wants a flush, or the end */
    pthread_cond_t written; /* blocks were written, or writing failed */
    /* under the lock */
    struct record_encoder encoder;
    struct block *current; /* NULL when memory ended */
    struct block *queue, **queue_tail;
    struct block *spare;
    unsigned spare_count;
    size_t queued_bytes;
    uint64_t appended_count, written_count;
    bool flush_wanted, closing;
    bool failed; /* nothing more is appended */
    bool broken; /* nothing more is written: what follows a torn block could not be read */
    struct err problem;
    /* the writing thread's, and the closer's after it ended */
    uint64_t data_blocks;
};

static void block_free(struct block *block)
{
    while (block != NULL) {
        struct block *next = block->next;
        free(block->bytes.data);
        free(block);
        block = next;
    }
}

/* A block to fill, from the spare ones when there is one. NULL when memory ends. */
static struct block *block_new(struct history_writer *writer)
{
    struct block *block = writer->spare;
    if (block != NULL) {
        writer->spare = block->next;
        writer->spare_count--;
    } else {
        block = calloc(1, sizeof *block);
        if (block == NULL || !record_reserve(&block->bytes, BLOCK_CAPACITY_BYTES)) {
            block_free(block);
            return NULL;
        }
    }
    block->next = NULL;
    block->bytes.length = HISTORY_BLOCK_BYTES;
    block->count = 0;
    block->first = writer->appended_count;
    return block;
}

static void block_recycle(struct history_writer *writer, struct block *block)
{
    block->next = NULL;
    if (writer->spare_count >= SPARE_BLOCKS_MAX || block->bytes.capacity > BLOCK_CAPACITY_BYTES) {
        block_free(block);
        return;
    }
    block->next = writer->spare;
    writer->spare = block;
    writer->spare_count++;
}

/* Under the lock. The first problem is the one that is told. */
static void fail(struct history_writer *writer, const struct err *problem)
{
    if (!writer->failed)
        writer->problem = *problem;
    writer->failed = true;
    pthread_cond_broadcast(&writer->written);
}

/* Under the lock: the current block joins the queue and a new one takes its place. */
static void hand_over(struct history_writer *writer)
{
    struct block *block = writer->current;
    writer->current = NULL;
    *writer->queue_tail = block;
    writer->queue_tail = &block->next;
    writer->queued_bytes += block->bytes.length;
    record_encoder_block(&writer->encoder);
    writer->current = block_new(writer);
    if (writer->current == NULL) {
        struct err err;
        err_set(&err, ERR_NOMEM, "%s: out of memory for the next events", writer->name);
        fail(writer, &err);
    }
}

void history_writer_append(struct history_writer *writer, const struct op *op)
{
    pthread_mutex_lock(&writer->lock);
    while (writer->queued_bytes > QUEUE_BYTES_MAX && !writer->failed)
        pthread_cond_wait(&writer->written, &writer->lock);
    if (!writer->failed) {
        struct block *block = writer->current;
        struct err err;
        if (record_encode(&writer->encoder, &block->bytes, op, &err) == ERR_NONE) {
            block->count++;
            writer->appended_count++;
        } else {
            err_wrap(&err, "%s", writer->name);
            fail(writer, &err);
        }
        if (block->bytes.length >= BLOCK_TARGET_BYTES || block->count == BLOCK_COUNT_MAX) {
            hand_over(writer);
            pthread_cond_signal(&writer->work);
        }
    }
    pthread_mutex_unlock(&writer->lock);
}

static enum err_code write_block(const struct history_writer *writer, struct block *block,
                                 struct err *err)
{
    const unsigned char *payload = block->bytes.data + HISTORY_BLOCK_BYTES;
    struct history_block_head head = {
        .type = HISTORY_BLOCK_DATA,
        .payload_bytes = (uint32_t)(block->bytes.length - HISTORY_BLOCK_BYTES),
        .count = block->count,
        .first = (uint32_t)block->first,
    };
    history_block_seal(&head, payload, block->bytes.data);
    return file_write_fd(writer->fd, writer->name, block->bytes.data, block->bytes.length, err);
}

/* Under the lock, which it leaves for the writing. */
static void write_queue(struct history_writer *writer)
{
    while (writer->queue != NULL) {
        struct block *block = writer->queue;
        writer->queue = block->next;
        if (writer->queue == NULL)
            writer->queue_tail = &writer->queue;
        if (!writer->broken) {
            pthread_mutex_unlock(&writer->lock);
            struct err err;
            enum err_code code = write_block(writer, block, &err);
            pthread_mutex_lock(&writer->lock);
            if (code != ERR_NONE) {
                writer->broken = true;
                fail(writer, &err);
            }
            writer->data_blocks += code == ERR_NONE;
        }
        writer->queued_bytes -= block->bytes.length;
        writer->written_count += block->count;
        block_recycle(writer, block);
        pthread_cond_broadcast(&writer->written);
    }
}

static void *writing_thread(void *argument)
{
    struct history_writer *writer = argument;
    int64_t flush_at_ns = clock_monotonic_ns() + FLUSH_NS;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        struct timespec until = clock_timespec(flush_at_ns);
        while (writer->queue == NULL && !writer->flush_wanted && !writer->closing &&
               pthread_cond_timedwait(&writer->work, &writer->lock, &until) != ETIMEDOUT)
            ;
        bool last = writer->closing;
        bool flush = writer->flush_wanted || last || clock_monotonic_ns() >= flush_at_ns;
        if (flush) {
            if (writer->current != NULL && writer->current->count > 0)
                hand_over(writer);
            writer->flush_wanted = false;
        }
        write_queue(writer);
        if (flush)
            flush_at_ns = clock_monotonic_ns() + FLUSH_NS;
        if (last)
            break;
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

static enum err_code write_start(int fd, const char *name, const char *header, struct err *err)
{
    size_t length = strlen(header);
    unsigned char head[HISTORY_BLOCK_BYTES];
    history_block_seal(&(struct history_block_head){.type = HISTORY_BLOCK_HEADER,
                                                    .payload_bytes = (uint32_t)length},
                       header, head);
    enum err_code code =
        file_write_fd(fd, name, history_file_magic, sizeof history_file_magic, err);
    if (code == ERR_NONE)
        code = file_write_fd(fd, name, head, sizeof head, err);
    if (code == ERR_NONE)
        code = file_write_fd(fd, name, header, length, err);
    return code;
}

static void writer_free(struct history_writer *writer)
{
    record_encoder_free(&writer->encoder);
    block_free(writer->current);
    block_free(writer->queue);
    block_free(writer->spare);
    pthread_cond_destroy(&writer->work);
    pthread_cond_destroy(&writer->written);
    pthread_mutex_destroy(&writer->lock);
    free(writer->name);
    free(writer);
}

/* Everything but the thread. NULL when memory ends. */
static struct history_writer *writer_new(int fd, const char *name, const struct history *names)
{
    struct history_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return NULL;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->work, &attributes);
    pthread_cond_init(&writer->written, NULL);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&writer->lock, NULL);
    writer->fd = fd;
    writer->queue_tail = &writer->queue;
    record_encoder_init(&writer->encoder, names);
    writer->name = strdup(name);
    writer->current = writer->name == NULL ? NULL : block_new(writer);
    if (writer->current != NULL)
        return writer;
    writer_free(writer);
    return NULL;
}

enum err_code history_writer_open_fd(int fd, const char *name, const struct history *names,
                                     const char *header, struct history_writer **writer,
                                     struct err *err)
{
    enum err_code code = write_start(fd, name, header == NULL ? "{}" : header, err);
    if (code != ERR_NONE)
        return code;
    struct history_writer *made = writer_new(fd, name, names);
    if (made == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for its writer", name);
    int problem = pthread_create(&made->thread, NULL, writing_thread, made);
    if (problem != 0) {
        writer_free(made);
        return err_errno(err, problem, "%s: start the thread that writes it", name);
    }
    *writer = made;
    return ERR_NONE;
}

enum err_code history_writer_open(const char *path, const struct history *names, const char *header,
                                  struct history_writer **writer, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(err, errno, "create %s", path);
    enum err_code code = history_writer_open_fd(fd, path, names, header, writer, err);
    if (code != ERR_NONE) {
        close(fd);
        unlink(path);
    }
    return code;
}

/* Under the lock. */
static enum err_code tell_problem(const struct history_writer *writer, struct err *err)
{
    return writer->failed ? err_set(err, writer->problem.code, "%s", writer->problem.message)
                          : ERR_NONE;
}

enum err_code history_writer_flush(struct history_writer *writer, struct err *err)
{
    pthread_mutex_lock(&writer->lock);
    uint64_t target = writer->appended_count;
    while (writer->written_count < target && !writer->failed) {
        writer->flush_wanted = true;
        pthread_cond_signal(&writer->work);
        pthread_cond_wait(&writer->written, &writer->lock);
    }
    enum err_code code = tell_problem(writer, err);
    pthread_mutex_unlock(&writer->lock);
    return code;
}

enum err_code history_writer_problem(struct history_writer *writer, struct err *err)
{
    pthread_mutex_lock(&writer->lock);
    enum err_code code = tell_problem(writer, err);
    pthread_mutex_unlock(&writer->lock);
    return code;
}

/* The mark of a clean end: how many events and data blocks the file holds. */
static enum err_code write_end(const struct history_writer *writer, struct err *err)
{
    unsigned char bytes[HISTORY_BLOCK_BYTES + 16], *payload = bytes + HISTORY_BLOCK_BYTES;
    for (int i = 0; i < 8; i++) {
        payload[i] = (unsigned char)(writer->appended_count >> (8 * i));
        payload[8 + i] = (unsigned char)(writer->data_blocks >> (8 * i));
    }
    history_block_seal(&(struct history_block_head){.type = HISTORY_BLOCK_END,
                                                    .payload_bytes = 16,
                                                    .first = (uint32_t)writer->appended_count},
                       payload, bytes);
    enum err_code code = file_write_fd(writer->fd, writer->name, bytes, sizeof bytes, err);
    /* pipes and some file systems cannot sync, which is no failure of theirs */
    if (code == ERR_NONE && fdatasync(writer->fd) != 0 && errno != EINVAL && errno != EROFS)
        code = err_errno(err, errno, "sync %s", writer->name);
    return code;
}

enum err_code history_writer_close(struct history_writer *writer, struct err *err)
{
    if (writer == NULL)
        return ERR_NONE;
    pthread_mutex_lock(&writer->lock);
    writer->closing = true;
    pthread_cond_signal(&writer->work);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    enum err_code code = tell_problem(writer, err);
    if (code == ERR_NONE)
        code = write_end(writer, err);
    if (close(writer->fd) != 0 && errno != EINTR && code == ERR_NONE)
        code = err_errno(err, errno, "close %s", writer->name);
    writer_free(writer);
    return code;
}
