/* Reading a state back. Bytes that pass the blocks' checks are still not trusted: every value is
 * judged before it is used, and the whole by `state_check` in the end. */
#include "queue/state_snapshot.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue/crc32c.h"
#include "queue/state_base.h"

struct reader {
    state_source *source;
    void *context;
    uint8_t *block;
    uint32_t used, length; /* of the block's payload */
    uint64_t number;       /* of the next block */
    uint64_t offset;       /* of the block in the snapshot */
    uint64_t next_offset;
    struct queue_error *error;
    struct state *state;
    struct queue **queues; /* by ordinal */
    uint64_t queue_count, job_count, key_count, done_count, expired_count, origin_count;
    uint64_t keyed_count; /* jobs that say they have a key, less keys that said which job */
};

static bool bad(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool bad(struct reader *reader, const char *format, ...)
{
    char reason[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return refuse(reader->error, "snapshot damaged near byte %" PRIu64 " (block %" PRIu64 "): %s",
                  reader->offset, reader->number, reason);
}

static bool fetch(struct reader *reader, void *target, size_t length)
{
    uint8_t *to = target;
    while (length) {
        int64_t got = reader->source(reader->context, to, length);
        if (got < 0)
            return bad(reader, "reading failed");
        if (got == 0 || (uint64_t)got > length)
            return bad(reader, "cut off");
        to += got;
        length -= (size_t)got;
    }
    return true;
}

/* Reads a block; an empty one is the end, where more was expected unless `at_end`. */
static bool fetch_block(struct reader *reader, bool at_end)
{
    uint8_t head[SNAPSHOT_BLOCK_HEAD_BYTES], number[8];
    reader->offset = reader->next_offset;
    if (!fetch(reader, head, sizeof head))
        return false;
    uint32_t length = bytes_get32(head);
    if (length > SNAPSHOT_BLOCK_BYTES)
        return bad(reader, "a block of %" PRIu32 " bytes, at most %u", length,
                   SNAPSHOT_BLOCK_BYTES);
    if (!fetch(reader, reader->block, length))
        return false;
    bytes_put64(number, reader->number);
    uint32_t crc = crc32c(crc32c(0, number, sizeof number), reader->block, length);
    if (crc != bytes_get32(head + 4))
        return bad(reader, "checksum %08" PRIx32 ", computed %08" PRIx32, bytes_get32(head + 4),
                   crc);
    if (!length != at_end)
        return bad(reader, at_end ? "more than the head announced" : "ends too early");
    reader->number++;
    reader->used = 0;
    reader->length = length;
    reader->next_offset += sizeof head + length;
    return true;
}

static bool get_raw(struct reader *reader, void *target, size_t length)
{
    uint8_t *to = target;
    while (length) {
        if (reader->used == reader->length && !fetch_block(reader, false))
            return false;
        size_t left = reader->length - reader->used;
        size_t part = length < left ? length : left;
        memcpy(to, reader->block + reader->used, part);
        reader->used += (uint32_t)part;
        to += part;
        length -= part;
    }
    return true;
}

static bool get_u8(struct reader *reader, uint32_t *value)
{
    uint8_t raw;
    if (!get_raw(reader, &raw, 1))
        return false;
    *value = raw;
    return true;
}

static bool get_u16(struct reader *reader, uint32_t *value)
{
    uint8_t raw[2];
    if (!get_raw(reader, raw, sizeof raw))
        return false;
    *value = bytes_get16(raw);
    return true;
}

static bool get_u32(struct reader *reader, uint32_t *value)
{
    uint8_t raw[4];
    if (!get_raw(reader, raw, sizeof raw))
        return false;
    *value = bytes_get32(raw);
    return true;
}

static bool get_u64(struct reader *reader, uint64_t *value)
{
    uint8_t raw[8];
    if (!get_raw(reader, raw, sizeof raw))
        return false;
    *value = bytes_get64(raw);
    return true;
}

static bool get_id(struct reader *reader, struct job_id *id)
{
    return get_raw(reader, id->bytes, sizeof id->bytes);
}

static bool get_name(struct reader *reader, uint8_t *name, uint32_t *length)
{
    if (!get_u16(reader, length))
        return false;
    if (!*length || *length > COMMAND_NAME_BYTES_MAX)
        return bad(reader, "a name of %" PRIu32 " bytes", *length);
    return get_raw(reader, name, *length);
}

static bool get_counters(struct reader *reader, struct state_counters *counters)
{
#define X(name)                                                                                    \
    if (!get_u64(reader, &counters->name))                                                         \
        return false;
    STATE_COUNTERS(X)
#undef X
    return true;
}

static bool get_expected(struct reader *reader, uint32_t expected, const char *what)
{
    uint32_t value;
    if (!get_u32(reader, &value))
        return false;
    if (value != expected)
        return bad(reader, "%s %" PRIu32 ", this server reads %" PRIu32, what, value, expected);
    return true;
}

static bool get_settings(struct reader *reader)
{
    static const uint64_t maxima[CONFIG_COUNT] = {
#define X(name, text, value, maximum) [CONFIG_##name] = maximum,
        STATE_CONFIGS(X)
#undef X
    };
    struct state *state = reader->state;
    if (!get_expected(reader, CONFIG_COUNT, "number of settings"))
        return false;
    for (int i = 0; i < CONFIG_COUNT; i++) {
        if (!get_u64(reader, &state->config[i]))
            return false;
        if (state->config[i] > maxima[i])
            return bad(reader, "%s is %" PRIu64, state_config_name((enum state_config)i),
                       state->config[i]);
    }
    uint32_t counters = sizeof(struct state_counters) / sizeof(uint64_t);
    if (!get_expected(reader, counters, "number of counters") ||
        !get_counters(reader, &state->counters) ||
        !get_expected(reader, STATE_STATUS_COUNT, "number of statuses"))
        return false;
    for (int i = 0; i < STATE_STATUS_COUNT; i++)
        if (!get_u64(reader, &state->refused[i]))
            return false;
    return true;
}

static bool get_head(struct reader *reader)
{
    struct state *state = reader->state;
    uint8_t magic[SNAPSHOT_MAGIC_BYTES];
    if (!get_raw(reader, magic, sizeof magic))
        return false;
    if (memcmp(magic, SNAPSHOT_MAGIC, sizeof magic) != 0)
        return bad(reader, "does not begin like a snapshot of a queue");
    if (!get_expected(reader, SNAPSHOT_VERSION, "version") || !get_u64(reader, &state->index) ||
        !get_u64(reader, &state->term) || !get_u64(reader, &state->time_ms) ||
        !get_u64(reader, &state->sequence) || !get_settings(reader))
        return false;
    if (state->time_ms > COMMAND_TIME_MS_MAX)
        return bad(reader, "time is %" PRIu64 " ms", state->time_ms);
    return get_u64(reader, &reader->queue_count) && get_u64(reader, &reader->job_count) &&
           get_u64(reader, &reader->key_count) && get_u64(reader, &reader->done_count) &&
           get_u64(reader, &reader->expired_count) && get_u64(reader, &reader->origin_count);
}

static bool get_queue(struct reader *reader, uint64_t ordinal)
{
    struct state *state = reader->state;
    uint8_t raw[COMMAND_NAME_BYTES_MAX];
    struct command_bytes name = {raw, 0};
    if (!get_name(reader, raw, &name.length))
        return false;
    if (queue_find(state, name))
        return bad(reader, "a queue comes twice");
    struct queue *queue = queue_obtain(state, name);
    if (ordinal >= 16 && (ordinal & (ordinal - 1)) == 0)
        reader->queues = memory_resize(reader->queues, 2 * ordinal * sizeof *reader->queues);
    reader->queues[ordinal] = queue;
    if (!get_u8(reader, &queue->pause) || !get_u64(reader, &queue->length_max) ||
        !get_u64(reader, &queue->leased_max) || !get_u64(reader, &queue->idle_since_ms) ||
        !get_counters(reader, &queue->counters))
        return false;
    if (queue->pause > PAUSE_ALL)
        return bad(reader, "a queue's pause is %" PRIu32, queue->pause);
    if (queue->idle_since_ms != UINT64_MAX && queue->idle_since_ms > state->time_ms)
        return bad(reader, "a queue is idle since the future");
    return true;
}

struct job_record {
    struct job_id id;
    uint64_t sequence, added_ms, expires_ms, deadline_ms;
    uint32_t queue, state, priority, death, flags;
    uint32_t retry_ms, attempt, attempts_max, tries, nacks, body_length;
};

static bool get_job_record(struct reader *reader, struct job_record *record)
{
    return get_id(reader, &record->id) && get_u64(reader, &record->sequence) &&
           get_u32(reader, &record->queue) && get_u8(reader, &record->state) &&
           get_u8(reader, &record->priority) && get_u8(reader, &record->death) &&
           get_u8(reader, &record->flags) && get_u64(reader, &record->added_ms) &&
           get_u64(reader, &record->expires_ms) && get_u64(reader, &record->deadline_ms) &&
           get_u32(reader, &record->retry_ms) && get_u32(reader, &record->attempt) &&
           get_u16(reader, &record->attempts_max) && get_u16(reader, &record->tries) &&
           get_u16(reader, &record->nacks) && get_u32(reader, &record->body_length);
}

static bool judge_job(struct reader *reader, const struct job_record *record)
{
    const struct state *state = reader->state;
    uint64_t now_ms = state->time_ms;
    if (record->queue >= reader->queue_count)
        return bad(reader, "a job of queue number %" PRIu32, record->queue);
    if (record->state < JOB_READY || record->state > JOB_DEAD ||
        record->priority > COMMAND_PRIORITY_MAX || record->death > DEATH_NACK ||
        record->flags > 7 || record->body_length > COMMAND_BODY_BYTES_MAX)
        return bad(reader, "a job with a value out of range");
    bool leased = record->state == JOB_LEASED, delayed = record->state == JOB_DELAYED;
    if (leased ? record->deadline_ms <= now_ms
               : (delayed ? record->deadline_ms && record->deadline_ms <= now_ms
                          : record->deadline_ms != 0))
        return bad(reader, "a job with a deadline that cannot be");
    if (record->expires_ms && record->expires_ms <= now_ms && !leased && record->state != JOB_DEAD)
        return bad(reader, "a job that should have expired");
    if ((record->death != DEATH_NONE) != (record->state == JOB_DEAD) ||
        (leased && (!record->attempt || !record->retry_ms)))
        return bad(reader, "a job that contradicts itself");
    if (!record->sequence || record->sequence > state->sequence)
        return bad(reader, "a job with the sequence number %" PRIu64, record->sequence);
    if (job_find(state, &record->id))
        return bad(reader, "a job comes twice");
    return true;
}

static void place_job(struct reader *reader, struct job *job, const struct job_record *record)
{
    struct state *state = reader->state;
    struct queue *queue = reader->queues[record->queue];
    job->state = (uint8_t)(record->state & 7);
    if (job->state == JOB_READY)
        job_list_append(&queue->ready[job->priority], job);
    else if (job->state == JOB_DEAD)
        job_list_append(&queue->dead, job);
    uint64_t deadline_ms = job->state == JOB_READY ? job->expires_ms : record->deadline_ms;
    if (deadline_ms)
        heap_set(&state->timers, &job->timer, deadline_ms);
    job_register(state, job, job_hash(&job->id));
}

static bool get_job(struct reader *reader)
{
    struct job_record record;
    if (!get_job_record(reader, &record) || !judge_job(reader, &record))
        return false;
    bool keyed = record.flags & 2;
    struct job *job = job_allocate(record.body_length, keyed);
    if (!get_raw(reader, job->data, record.body_length)) {
        job_free(job);
        return false;
    }
    job->id = record.id;
    job->timer.sequence = record.sequence;
    job->timer.queue = reader->queues[record.queue]->number;
    job->added_ms = record.added_ms;
    job->expires_ms = record.expires_ms;
    job->retry_ms = record.retry_ms;
    job->attempt = record.attempt;
    job->attempts_max = (uint16_t)record.attempts_max;
    job->tries = (uint16_t)record.tries;
    job->nacks = (uint16_t)record.nacks;
    job->priority = (uint8_t)(record.priority & 0x7f);
    job->death = (uint8_t)(record.death & 3);
    job->open = record.flags & 1;
    job->drop_expired = record.flags >> 2 & 1;
    reader->keyed_count += keyed;
    place_job(reader, job, &record);
    return true;
}

static bool get_key(struct reader *reader)
{
    struct state *state = reader->state;
    uint8_t raw[COMMAND_NAME_BYTES_MAX];
    struct command_bytes name = {raw, 0};
    struct job_id id;
    uint64_t sequence, expires_ms;
    uint32_t ordinal, has_job;
    if (!get_u32(reader, &ordinal) || !get_name(reader, raw, &name.length) ||
        !get_id(reader, &id) || !get_u64(reader, &sequence) || !get_u64(reader, &expires_ms) ||
        !get_u8(reader, &has_job))
        return false;
    if (ordinal >= reader->queue_count || has_job > 1 || !sequence || sequence > state->sequence)
        return bad(reader, "a key with a value out of range");
    struct queue *queue = reader->queues[ordinal];
    if (key_find(state, queue, name))
        return bad(reader, "a key comes twice");
    struct job *job = has_job ? job_find(state, &id) : NULL;
    if (has_job ? !job || job->timer.queue != queue->number || !job->keyed_room || job->keyed
                : expires_ms <= state->time_ms)
        return bad(reader, "a key that belongs to no job");
    struct key *key = key_create(state, queue, name, sequence);
    key->expires_ms = expires_ms;
    key->id = id;
    if (job)
        key_attach(key, job);
    else
        heap_set(&state->key_timers, &key->timer, expires_ms);
    reader->keyed_count -= has_job;
    return true;
}

static bool get_done(struct reader *reader)
{
    struct state *state = reader->state;
    struct job_id id;
    uint64_t time_ms;
    uint32_t end;
    if (!get_id(reader, &id) || !get_u64(reader, &time_ms) || !get_u8(reader, &end))
        return false;
    if (end < END_ACKED || end > END_DELETED || time_ms > state->time_ms ||
        state->done.count == state->config[CONFIG_DONE_MAX] || done_find(state, &id) ||
        job_find(state, &id))
        return bad(reader, "a finished job that cannot be");
    done_remember(state, &id, (enum job_end)end, time_ms);
    return true;
}

static bool get_expired(struct reader *reader)
{
    struct state *state = reader->state;
    uint8_t name[COMMAND_NAME_BYTES_MAX];
    struct expired record = {0};
    if (!get_id(reader, &record.id) || !get_u64(reader, &record.time_ms) ||
        !get_u64(reader, &record.index) || !get_name(reader, name, &record.length))
        return false;
    if (state->expired_count == state->config[CONFIG_EXPIRED_MAX])
        return bad(reader, "more records of expired jobs than the setting allows");
    expired_remember(state, &record, name);
    return true;
}

static bool get_origin(struct reader *reader)
{
    struct state *state = reader->state;
    uint64_t origin, sequence;
    if (!get_u64(reader, &origin) || !get_u64(reader, &sequence))
        return false;
    const struct origin *last =
        state->origin_count ? &state->origins[state->origin_count - 1] : NULL;
    if (!sequence || (last && last->origin >= origin))
        return bad(reader, "an origin out of order");
    origin_obtain(state, origin)->sequence = sequence;
    return true;
}

static int compare_idle(const void *a, const void *b)
{
    const struct queue *first = *(struct queue *const *)a, *second = *(struct queue *const *)b;
    return (first->idle_since_ms > second->idle_since_ms) -
           (first->idle_since_ms < second->idle_since_ms);
}

/* The idle queues go back into their list in the order in which their time will come. */
static bool settle_queues(struct reader *reader)
{
    struct state *state = reader->state;
    if (reader->queue_count)
        qsort(reader->queues, reader->queue_count, sizeof *reader->queues, compare_idle);
    for (uint64_t i = 0; i < reader->queue_count; i++) {
        struct queue *queue = reader->queues[i];
        uint64_t since_ms = queue->idle_since_ms;
        queue->idle_since_ms = 0;
        queue_settle(state, queue);
        if (queue->idle != (since_ms != UINT64_MAX))
            return bad(reader, "a queue that contradicts itself about being idle");
        queue->idle_since_ms = queue->idle ? since_ms : 0;
    }
    return true;
}

static bool get_all(struct reader *reader)
{
    for (uint64_t i = 0; i < reader->queue_count; i++)
        if (!get_queue(reader, i))
            return false;
    for (uint64_t i = 0; i < reader->job_count; i++)
        if (!get_job(reader))
            return false;
    for (uint64_t i = 0; i < reader->key_count; i++)
        if (!get_key(reader))
            return false;
    for (uint64_t i = 0; i < reader->done_count; i++)
        if (!get_done(reader))
            return false;
    for (uint64_t i = 0; i < reader->expired_count; i++)
        if (!get_expired(reader))
            return false;
    for (uint64_t i = 0; i < reader->origin_count; i++)
        if (!get_origin(reader))
            return false;
    if (reader->used != reader->length)
        return bad(reader, "more than the head announced");
    if (reader->keyed_count)
        return bad(reader, "keys of %" PRIu64 " jobs are missing", reader->keyed_count);
    return fetch_block(reader, true) && settle_queues(reader);
}

struct state *state_snapshot_read(state_source *source, void *context, struct queue_error *error)
{
    struct reader reader = {.source = source, .context = context, .error = error};
    reader.state = state_create();
    reader.block = memory_take(SNAPSHOT_BLOCK_BYTES);
    reader.queues = memory_take(16 * sizeof *reader.queues);
    struct queue_error inconsistent;
    bool good = get_head(&reader) && get_all(&reader);
    if (good && !state_check(reader.state, &inconsistent))
        good = bad(&reader, "%s", inconsistent.message);
    free(reader.block);
    free(reader.queues);
    if (good)
        return reader.state;
    state_free(reader.state);
    return NULL;
}
