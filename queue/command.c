/* See command.h. */
#include "queue/command.h"

#include <inttypes.h>
#include <stdlib.h>

#include "queue/state_base.h"

#define BATCH_VERSION 1
#define BATCH_HEAD_BYTES 13

static const char *const names[COMMAND_TYPE_END] = {
    [COMMAND_ADD] = "ADD",          [COMMAND_TAKE] = "TAKE",       [COMMAND_ACK] = "ACK",
    [COMMAND_FASTACK] = "FASTACK",  [COMMAND_NACK] = "NACK",       [COMMAND_EXTEND] = "EXTEND",
    [COMMAND_ENQUEUE] = "ENQUEUE",  [COMMAND_DEQUEUE] = "DEQUEUE", [COMMAND_DELETE] = "DELETE",
    [COMMAND_KICK] = "KICK",        [COMMAND_PAUSE] = "PAUSE",     [COMMAND_LIMIT] = "LIMIT",
    [COMMAND_KICK_QUEUE] = "KICKQ", [COMMAND_CONFIG] = "CONFIG",   [COMMAND_TICK] = "TICK",
    [COMMAND_KEYDROP] = "KEYDROP",
};

const char *command_name(enum command_type type)
{
    return type > 0 && type < COMMAND_TYPE_END ? names[type] : "?";
}

static void batch_grow(struct command_batch *batch, size_t length)
{
    batch->capacity = (batch->length + length) * 2;
    batch->data = memory_resize(batch->data, batch->capacity);
}

/* Once for each field of each command: small enough to become part of its caller. */
static inline uint8_t *batch_room(struct command_batch *batch, size_t length)
{
    if (batch->capacity - batch->length < length)
        batch_grow(batch, length);
    batch->length += length;
    return batch->data + batch->length - length;
}

static void write_u8(struct command_batch *batch, uint32_t value)
{
    *batch_room(batch, 1) = (uint8_t)value;
}

static void write_u16(struct command_batch *batch, uint32_t value)
{
    bytes_put16(batch_room(batch, 2), (uint16_t)value);
}

static void write_u32(struct command_batch *batch, uint32_t value)
{
    bytes_put32(batch_room(batch, 4), value);
}

static void write_u64(struct command_batch *batch, uint64_t value)
{
    bytes_put64(batch_room(batch, 8), value);
}

static void write_raw(struct command_batch *batch, const void *data, size_t length)
{
    if (length)
        memcpy(batch_room(batch, length), data, length);
}

static void write_name(struct command_batch *batch, struct command_bytes name)
{
    write_u16(batch, name.length);
    write_raw(batch, name.data, name.length);
}

void command_batch_begin(struct command_batch *batch, uint64_t time_ms)
{
    batch->length = 0;
    batch->count = 0;
    uint8_t *head = batch_room(batch, BATCH_HEAD_BYTES);
    head[0] = BATCH_VERSION;
    bytes_put64(head + 1, time_ms);
    bytes_put32(head + 9, 0);
}

void command_batch_stamp(struct command_batch *batch, uint64_t time_ms)
{
    bytes_put64(batch->data + 1, time_ms);
}

void command_batch_free(struct command_batch *batch)
{
    free(batch->data);
    *batch = COMMAND_BATCH_INIT;
}

static bool name_fits(struct command_bytes name)
{
    return name.length > 0 && name.length <= COMMAND_NAME_BYTES_MAX;
}

/* What the reader will demand, demanded of the writer. */
static bool command_fits(const struct command *command, struct queue_error *error)
{
    switch (command->type) {
    case COMMAND_ADD:
        if (command->add.body.length > COMMAND_BODY_BYTES_MAX)
            return refuse(error, "ADD of a body of %" PRIu32 " bytes: at most %u",
                          command->add.body.length, COMMAND_BODY_BYTES_MAX);
        if (command->key.length > COMMAND_NAME_BYTES_MAX || !name_fits(command->queue))
            break;
        return true;
    case COMMAND_TAKE:
        if (!command->take.queue_count || command->take.queue_count > COMMAND_QUEUES_MAX)
            return refuse(error, "TAKE from %" PRIu32 " queues: 1 to %u at once",
                          command->take.queue_count, COMMAND_QUEUES_MAX);
        for (uint32_t i = 0; i < command->take.queue_count; i++)
            if (!name_fits(command->take.queues[i]))
                return refuse(error, "TAKE: the name of queue %" PRIu32 " must have 1 to %u bytes",
                              i + 1, COMMAND_NAME_BYTES_MAX);
        return true;
    case COMMAND_KEYDROP:
        if (!name_fits(command->key))
            break;
        /* fallthrough */
    case COMMAND_KICK_QUEUE:
    case COMMAND_PAUSE:
    case COMMAND_LIMIT:
        if (!name_fits(command->queue))
            break;
        return true;
    default:
        if (command->type > 0 && command->type < COMMAND_TYPE_END)
            return true;
        return refuse(error, "no command has the type %d", (int)command->type);
    }
    return refuse(error, "%s: the names of queue and key must have 1 to %u bytes",
                  command_name(command->type), COMMAND_NAME_BYTES_MAX);
}

/* What an ADD has behind its id and names, up to the body: always as long. */
enum {
    ADD_AT_PRIORITY = 0,
    ADD_AT_RETRY = 4,
    ADD_AT_ATTEMPTS = 8,
    ADD_AT_FLAGS = 12,
    ADD_AT_LENGTH = 16,
    ADD_AT_DELAY = 20,
    ADD_AT_TTL = 28,
    ADD_AT_KEY_TTL = 36,
    ADD_AT_ORIGIN = 44,
    ADD_AT_ORIGIN_SEQUENCE = 52,
    ADD_AT_BODY_LENGTH = 60,
    ADD_FIXED_BYTES = 64,
};

static void write_add(struct command_batch *batch, const struct command *command)
{
    const struct command_add *add = &command->add;
    write_raw(batch, command->id.bytes, sizeof command->id.bytes);
    write_name(batch, command->queue);
    write_name(batch, command->key);
    uint8_t *at = batch_room(batch, ADD_FIXED_BYTES);
    bytes_put32(at + ADD_AT_PRIORITY, add->priority);
    bytes_put32(at + ADD_AT_RETRY, add->retry_ms);
    bytes_put32(at + ADD_AT_ATTEMPTS, add->attempts_max);
    bytes_put32(at + ADD_AT_FLAGS, add->flags);
    bytes_put32(at + ADD_AT_LENGTH, add->length_max);
    bytes_put64(at + ADD_AT_DELAY, add->delay_ms);
    bytes_put64(at + ADD_AT_TTL, add->ttl_ms);
    bytes_put64(at + ADD_AT_KEY_TTL, add->key_ttl_ms);
    bytes_put64(at + ADD_AT_ORIGIN, add->origin);
    bytes_put64(at + ADD_AT_ORIGIN_SEQUENCE, add->origin_sequence);
    bytes_put32(at + ADD_AT_BODY_LENGTH, add->body.length);
    write_raw(batch, add->body.data, add->body.length);
}

static void write_take(struct command_batch *batch, const struct command *command)
{
    write_u32(batch, command->count);
    write_u64(batch, command->take.nonce);
    write_u16(batch, command->take.queue_count);
    for (uint32_t i = 0; i < command->take.queue_count; i++)
        write_name(batch, command->take.queues[i]);
}

static void write_fields(struct command_batch *batch, const struct command *command)
{
    switch (command->type) {
    case COMMAND_ADD:
        write_add(batch, command);
        break;
    case COMMAND_TAKE:
        write_take(batch, command);
        break;
    case COMMAND_ACK:
    case COMMAND_FASTACK:
    case COMMAND_NACK:
    case COMMAND_EXTEND:
    case COMMAND_ENQUEUE:
    case COMMAND_DEQUEUE:
    case COMMAND_DELETE:
    case COMMAND_KICK:
        write_raw(batch, command->id.bytes, sizeof command->id.bytes);
        write_u32(batch, command->attempt);
        write_u32(batch, command->mode);
        write_u64(batch, command->duration_ms);
        break;
    case COMMAND_KICK_QUEUE:
    case COMMAND_PAUSE:
        write_name(batch, command->queue);
        write_u32(batch, command->count);
        write_u32(batch, command->mode);
        break;
    case COMMAND_LIMIT:
        write_name(batch, command->queue);
        write_u64(batch, command->limit.length_max);
        write_u64(batch, command->limit.leased_max);
        break;
    case COMMAND_KEYDROP:
        write_name(batch, command->queue);
        write_name(batch, command->key);
        break;
    case COMMAND_CONFIG:
        write_u32(batch, command->config.key);
        write_u64(batch, command->config.value);
        break;
    case COMMAND_TICK:
    case COMMAND_TYPE_END:
        break;
    }
}

bool command_batch_add(struct command_batch *batch, const struct command *command,
                       struct queue_error *error)
{
    if (!command_fits(command, error))
        return false;
    write_u8(batch, command->type);
    write_fields(batch, command);
    bytes_put32(batch->data + 9, ++batch->count);
    return true;
}

static inline const uint8_t *read_raw(struct command_reader *reader, size_t length)
{
    if (reader->length - reader->offset < length)
        return NULL;
    reader->offset += length;
    return reader->data + reader->offset - length;
}

static inline bool read_u16(struct command_reader *reader, uint32_t *value)
{
    const uint8_t *raw = read_raw(reader, 2);
    if (raw)
        *value = bytes_get16(raw);
    return raw;
}

static bool read_u32(struct command_reader *reader, uint32_t *value)
{
    const uint8_t *raw = read_raw(reader, 4);
    if (raw)
        *value = bytes_get32(raw);
    return raw;
}

static bool read_u64(struct command_reader *reader, uint64_t *value)
{
    const uint8_t *raw = read_raw(reader, 8);
    if (raw)
        *value = bytes_get64(raw);
    return raw;
}

static inline bool read_name(struct command_reader *reader, struct command_bytes *name,
                             bool optional)
{
    if (!read_u16(reader, &name->length) || name->length > COMMAND_NAME_BYTES_MAX)
        return false;
    name->data = read_raw(reader, name->length);
    return name->data && (optional || name->length);
}

static inline bool read_id(struct command_reader *reader, struct job_id *id)
{
    const uint8_t *raw = read_raw(reader, sizeof id->bytes);
    if (raw)
        memcpy(id->bytes, raw, sizeof id->bytes);
    return raw;
}

static inline bool read_add(struct command_reader *reader, struct command *command)
{
    struct command_add *add = &command->add;
    if (!read_id(reader, &command->id) || !read_name(reader, &command->queue, false) ||
        !read_name(reader, &command->key, true))
        return false;
    const uint8_t *at = read_raw(reader, ADD_FIXED_BYTES);
    if (!at)
        return false;
    add->priority = bytes_get32(at + ADD_AT_PRIORITY);
    add->retry_ms = bytes_get32(at + ADD_AT_RETRY);
    add->attempts_max = bytes_get32(at + ADD_AT_ATTEMPTS);
    add->flags = bytes_get32(at + ADD_AT_FLAGS);
    add->length_max = bytes_get32(at + ADD_AT_LENGTH);
    add->delay_ms = bytes_get64(at + ADD_AT_DELAY);
    add->ttl_ms = bytes_get64(at + ADD_AT_TTL);
    add->key_ttl_ms = bytes_get64(at + ADD_AT_KEY_TTL);
    add->origin = bytes_get64(at + ADD_AT_ORIGIN);
    add->origin_sequence = bytes_get64(at + ADD_AT_ORIGIN_SEQUENCE);
    add->body.length = bytes_get32(at + ADD_AT_BODY_LENGTH);
    if (add->body.length > COMMAND_BODY_BYTES_MAX)
        return false;
    add->body.data = read_raw(reader, add->body.length);
    return add->body.data;
}

static bool read_take(struct command_reader *reader, struct command *command)
{
    uint32_t queues = 0;
    if (!read_u32(reader, &command->count) || !read_u64(reader, &command->take.nonce) ||
        !read_u16(reader, &queues) || !queues || queues > COMMAND_QUEUES_MAX)
        return false;
    for (uint32_t i = 0; i < queues; i++)
        if (!read_name(reader, &reader->queues[i], false))
            return false;
    command->take.queues = reader->queues;
    command->take.queue_count = queues;
    return true;
}

static bool read_fields(struct command_reader *reader, struct command *command)
{
    switch (command->type) {
    case COMMAND_ADD:
        return read_add(reader, command);
    case COMMAND_TAKE:
        return read_take(reader, command);
    case COMMAND_ACK:
    case COMMAND_FASTACK:
    case COMMAND_NACK:
    case COMMAND_EXTEND:
    case COMMAND_ENQUEUE:
    case COMMAND_DEQUEUE:
    case COMMAND_DELETE:
    case COMMAND_KICK:
        return read_id(reader, &command->id) && read_u32(reader, &command->attempt) &&
               read_u32(reader, &command->mode) && read_u64(reader, &command->duration_ms);
    case COMMAND_KICK_QUEUE:
    case COMMAND_PAUSE:
        return read_name(reader, &command->queue, false) && read_u32(reader, &command->count) &&
               read_u32(reader, &command->mode);
    case COMMAND_LIMIT:
        return read_name(reader, &command->queue, false) &&
               read_u64(reader, &command->limit.length_max) &&
               read_u64(reader, &command->limit.leased_max);
    case COMMAND_KEYDROP:
        return read_name(reader, &command->queue, false) && read_name(reader, &command->key, false);
    case COMMAND_CONFIG:
        return read_u32(reader, &command->config.key) && read_u64(reader, &command->config.value);
    case COMMAND_TICK:
        return true;
    case COMMAND_TYPE_END:
        break;
    }
    return false;
}

bool command_reader_begin(struct command_reader *reader, const void *data, size_t length,
                          struct queue_error *error)
{
    reader->data = data;
    reader->length = length;
    reader->offset = 0;
    reader->done = 0;
    const uint8_t *head = read_raw(reader, BATCH_HEAD_BYTES);
    if (!head)
        return refuse(error, "a batch of commands has %zu bytes: its head needs %d", length,
                      BATCH_HEAD_BYTES);
    reader->time_ms = bytes_get64(head + 1);
    reader->count = bytes_get32(head + 9);
    if (head[0] != BATCH_VERSION)
        return refuse(error, "a batch of commands of version %d: this server reads %d", head[0],
                      BATCH_VERSION);
    if (reader->time_ms > COMMAND_TIME_MS_MAX)
        return refuse(error, "a batch of commands is stamped %" PRIu64 " ms: no such time",
                      reader->time_ms);
    return true;
}

int command_reader_next(struct command_reader *reader, struct command *command,
                        struct queue_error *error)
{
    if (reader->done == reader->count) {
        if (reader->offset == reader->length)
            return 0;
        queue_error_set(error, "a batch of commands goes on after its end, at byte %zu",
                        reader->offset);
        return -1;
    }
    size_t start = reader->offset;
    const uint8_t *type = read_raw(reader, 1);
    if (type && *type > 0 && *type < COMMAND_TYPE_END) {
        command->type = *type;
        if (read_fields(reader, command)) {
            reader->done++;
            return 1;
        }
    }
    queue_error_set(error, "command %" PRIu32 " of a batch (%s), at byte %zu of %zu, is malformed",
                    reader->done + 1, type ? command_name(*type) : "cut off", start,
                    reader->length);
    return -1;
}

bool command_batch_check(const void *data, size_t length, struct queue_error *error)
{
    struct command_reader reader;
    struct command command;
    if (!command_reader_begin(&reader, data, length, error))
        return false;
    int more;
    while ((more = command_reader_next(&reader, &command, error)) > 0)
        continue;
    return more == 0;
}
