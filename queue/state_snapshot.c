/* Writing the whole state, in an order that depends on nothing but the state. Read by
 * state_restore.c.
 *
 * The bytes come in blocks: u32 length, u32 CRC32C of (u64 number of the block, payload), payload.
 * An empty block ends the snapshot. The number is not stored: a block out of place fails its check.
 * The payloads together are: head, settings, counters, queues, jobs, keys, finished, expired,
 * origins. */
#include "queue/state_snapshot.h"

#include "queue/crc32c.h"
#include "queue/state_base.h"

struct writer {
    state_sink *sink;
    void *context;
    uint8_t *block; /* SNAPSHOT_BLOCK_HEAD_BYTES, then the payload */
    uint32_t used;  /* of the payload */
    uint64_t number;
    bool failed;
    struct state *state;
};

static void flush(struct writer *writer)
{
    uint8_t number[8];
    bytes_put64(number, writer->number++);
    uint8_t *payload = writer->block + SNAPSHOT_BLOCK_HEAD_BYTES;
    uint32_t crc = crc32c(crc32c(0, number, sizeof number), payload, writer->used);
    bytes_put32(writer->block, writer->used);
    bytes_put32(writer->block + 4, crc);
    if (!writer->failed)
        writer->failed =
            !writer->sink(writer->context, writer->block, SNAPSHOT_BLOCK_HEAD_BYTES + writer->used);
    writer->used = 0;
}

static void put_raw(struct writer *writer, const void *data, size_t length)
{
    const uint8_t *from = data;
    while (length && !writer->failed) {
        size_t room = SNAPSHOT_BLOCK_BYTES - writer->used;
        size_t part = length < room ? length : room;
        memcpy(writer->block + SNAPSHOT_BLOCK_HEAD_BYTES + writer->used, from, part);
        writer->used += (uint32_t)part;
        from += part;
        length -= part;
        if (writer->used == SNAPSHOT_BLOCK_BYTES)
            flush(writer);
    }
}

static void put_u8(struct writer *writer, uint32_t value)
{
    uint8_t raw = (uint8_t)value;
    put_raw(writer, &raw, 1);
}

static void put_u16(struct writer *writer, uint32_t value)
{
    uint8_t raw[2];
    bytes_put16(raw, (uint16_t)value);
    put_raw(writer, raw, sizeof raw);
}

static void put_u32(struct writer *writer, uint32_t value)
{
    uint8_t raw[4];
    bytes_put32(raw, value);
    put_raw(writer, raw, sizeof raw);
}

static void put_u64(struct writer *writer, uint64_t value)
{
    uint8_t raw[8];
    bytes_put64(raw, value);
    put_raw(writer, raw, sizeof raw);
}

static void put_id(struct writer *writer, const struct job_id *id)
{
    put_raw(writer, id->bytes, sizeof id->bytes);
}

static void put_name(struct writer *writer, const void *name, uint32_t length)
{
    put_u16(writer, length);
    put_raw(writer, name, length);
}

static void put_counters(struct writer *writer, const struct state_counters *counters)
{
#define X(name) put_u64(writer, counters->name);
    STATE_COUNTERS(X)
#undef X
}

static void put_head(struct writer *writer)
{
    const struct state *state = writer->state;
    put_raw(writer, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_BYTES);
    put_u32(writer, SNAPSHOT_VERSION);
    put_u64(writer, state->index);
    put_u64(writer, state->term);
    put_u64(writer, state->time_ms);
    put_u64(writer, state->sequence);
    put_u32(writer, CONFIG_COUNT);
    for (int i = 0; i < CONFIG_COUNT; i++)
        put_u64(writer, state->config[i]);
    put_u32(writer, sizeof(struct state_counters) / sizeof(uint64_t));
    put_counters(writer, &state->counters);
    put_u32(writer, STATE_STATUS_COUNT);
    for (int i = 0; i < STATE_STATUS_COUNT; i++)
        put_u64(writer, state->refused[i]);
    put_u64(writer, state->names.count);
    put_u64(writer, state->jobs.count);
    put_u64(writer, queue_defect(DEFECT_KEYS_NOT_IN_SNAPSHOT) ? 0 : state->keys.count);
    put_u64(writer, state->done.count);
    put_u64(writer, state->expired_count);
    put_u64(writer, state->origin_count);
}

struct queue_walk {
    struct writer *writer;
    uint64_t ordinal;
};

/* UINT64_MAX for a queue that is in use. One that only its keys keep in use is idle without them.
 */
static uint64_t idle_since_ms(const struct state *state, const struct queue *queue)
{
    if (queue->idle)
        return queue->idle_since_ms;
    return queue_defect(DEFECT_KEYS_NOT_IN_SNAPSHOT) && queue_is_idle(queue, 0) ? state->time_ms
                                                                                : UINT64_MAX;
}

static void put_queue(void *context, void *item)
{
    struct queue_walk *walk = context;
    struct writer *writer = walk->writer;
    struct queue *queue = item;
    queue->ordinal = walk->ordinal++;
    put_name(writer, queue->name, queue->length);
    put_u8(writer, queue->pause);
    put_u64(writer, queue->length_max);
    put_u64(writer, queue->leased_max);
    put_u64(writer, idle_since_ms(writer->state, queue));
    put_counters(writer, &queue->counters);
}

static void put_job(struct writer *writer, const struct job *job)
{
    const struct state *state = writer->state;
    bool waiting = job->state == JOB_DELAYED || job->state == JOB_LEASED;
    put_id(writer, &job->id);
    put_u64(writer, job->timer.sequence);
    put_u32(writer, (uint32_t)job_queue(state, job)->ordinal);
    put_u8(writer, job->state);
    put_u8(writer, job->priority);
    put_u8(writer, job->death);
    bool keyed = job->keyed && !queue_defect(DEFECT_KEYS_NOT_IN_SNAPSHOT);
    put_u8(writer, (uint32_t)(job->open | keyed << 1 | job->drop_expired << 2));
    put_u64(writer, job->added_ms);
    put_u64(writer, job->expires_ms);
    put_u64(writer, waiting ? heap_deadline_ms(&state->timers, &job->timer) : 0);
    put_u32(writer, job->retry_ms);
    put_u32(writer, job->attempt);
    put_u16(writer, job->attempts_max);
    put_u16(writer, job->tries);
    put_u16(writer, job->nacks);
    put_u32(writer, job->body_length);
    put_raw(writer, job->data, job->body_length);
}

static void put_list(struct writer *writer, const struct job_list *list)
{
    for (const struct job *job = list->first; job; job = job->next)
        put_job(writer, job);
}

/* Jobs whose order in a list is part of the state. */
static void put_listed_jobs(void *context, void *item)
{
    const struct queue *queue = item;
    for (uint32_t i = 0; i < PRIORITIES; i++)
        put_list(context, &queue->ready[i]);
    put_list(context, &queue->dead);
}

static void put_waiting_job(void *context, void *item)
{
    const struct job *job = item;
    if (job->state == JOB_DELAYED || job->state == JOB_LEASED)
        put_job(context, job);
}

static void put_key(void *context, void *item)
{
    struct writer *writer = context;
    const struct key *key = item;
    put_u32(writer, (uint32_t)key->queue->ordinal);
    put_name(writer, key->data, key->length);
    put_id(writer, &key->id);
    put_u64(writer, key->timer.sequence);
    put_u64(writer, key->expires_ms);
    put_u8(writer, key->job != NULL);
}

static void put_memories(struct writer *writer)
{
    const struct state *state = writer->state;
    for (const struct done *done = state->done_first; done; done = done->next) {
        put_id(writer, &done->id);
        put_u64(writer, done->time_ms);
        put_u8(writer, done->end);
    }
    for (const struct expired *record = state->expired_first; record; record = record->next) {
        put_id(writer, &record->id);
        put_u64(writer, record->time_ms);
        put_u64(writer, record->index);
        put_name(writer, record->name, record->length);
    }
    for (uint32_t i = 0; i < state->origin_count; i++) {
        put_u64(writer, state->origins[i].origin);
        put_u64(writer, state->origins[i].sequence);
    }
}

bool state_snapshot_write(struct state *state, state_sink *sink, void *context)
{
    struct writer writer = {
        .sink = sink, .context = context, .state = state, .block = state->scratch};
    struct queue_walk walk = {.writer = &writer};
    put_head(&writer);
    table_scan(&state->names, 0, UINT64_MAX, put_queue, &walk);
    table_scan(&state->names, 0, UINT64_MAX, put_listed_jobs, &writer);
    table_scan(&state->jobs, 0, UINT64_MAX, put_waiting_job, &writer);
    if (!queue_defect(DEFECT_KEYS_NOT_IN_SNAPSHOT))
        table_scan(&state->keys, 0, UINT64_MAX, put_key, &writer);
    put_memories(&writer);
    if (writer.used)
        flush(&writer);
    flush(&writer);
    return !writer.failed;
}

static bool hash_block(void *context, const void *data, size_t length)
{
    uint64_t *hash = context;
    *hash = table_hash(*hash, data, length);
    return true;
}

uint64_t state_hash(struct state *state)
{
    uint64_t hash = 0;
    state_snapshot_write(state, hash_block, &hash);
    return hash;
}
