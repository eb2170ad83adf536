/* The table of messages: see messages.h. */
#include "checkers/delivery/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 64, DENSE_MAX = 1 << 30 };

/* Growing tables are small beside the history that is in memory already. */
static void *grown(struct messages *messages, void *old, size_t old_bytes, size_t bytes)
{
    void *memory = realloc(old, bytes);
    if (memory == NULL) {
        fprintf(stderr, "ordeal: out of memory for the messages of a history\n");
        abort();
    }
    memset((char *)memory + old_bytes, 0, bytes - old_bytes);
    messages->bytes += bytes - old_bytes;
    return memory;
}

void messages_init(struct messages *messages, uint32_t expected)
{
    memset(messages, 0, sizeof *messages);
    uint64_t wanted = (uint64_t)expected * 2 + 1024;
    messages->dense_size = wanted > DENSE_MAX ? DENSE_MAX : (uint32_t)wanted;
    messages->dense = calloc(messages->dense_size, sizeof *messages->dense);
    if (messages->dense == NULL)
        messages->dense_size = 0; /* the hash table does as well */
    messages->bytes = messages->dense_size * sizeof *messages->dense;
}

void messages_free(struct messages *messages)
{
    for (uint32_t i = 0; i < messages->page_count; i++)
        free(messages->pages[i]);
    free(messages->pages);
    free(messages->dense);
    free(messages->slots);
    free(messages->streams);
    free(messages->terms);
    free(messages->holds);
    free(messages->stream_slots);
    free(messages->terms_slots);
    memset(messages, 0, sizeof *messages);
}

/* ---- Names ---- */

static bool is_dense(const struct messages *messages, struct value name, uint32_t *at)
{
    if (!value_is_int(name))
        return false;
    uint64_t integer = (uint64_t)value_as_int(name);
    *at = (uint32_t)integer;
    return integer < messages->dense_size;
}

/* The slot of the name: the number + 1, or 0 where it would go. The table must not be empty. */
static uint32_t *slot_find(const struct messages *messages, struct value name)
{
    uint64_t at = value_hash(name);
    for (;; at++) {
        uint32_t *slot = &messages->slots[at & messages->slot_mask];
        if (*slot == 0 || value_equal(message_at(messages, *slot - 1)->name, name))
            return slot;
    }
}

static void slots_reserve(struct messages *messages)
{
    if (messages->slots != NULL && messages->slot_used < messages->slot_mask / 4 * 3)
        return;
    uint32_t size = messages->slots == NULL ? SLOTS_MIN : (messages->slot_mask + 1) * 2;
    uint32_t *old = messages->slots, old_size = old == NULL ? 0 : messages->slot_mask + 1;
    messages->slots = grown(messages, NULL, 0, (size_t)size * sizeof *messages->slots);
    messages->slot_mask = size - 1;
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i] != 0)
            *slot_find(messages, message_at(messages, old[i] - 1)->name) = old[i];
    messages->bytes -= (size_t)old_size * sizeof *old;
    free(old);
}

static uint32_t *place_of(const struct messages *messages, struct value name)
{
    uint32_t at;
    if (is_dense(messages, name, &at))
        return &messages->dense[at];
    return messages->slots == NULL ? NULL : slot_find(messages, name);
}

uint32_t messages_find(const struct messages *messages, struct value name)
{
    const uint32_t *place = place_of(messages, name);
    return place == NULL || *place == 0 ? HISTORY_NONE : *place - 1;
}

static struct message *append(struct messages *messages)
{
    if (messages->count == messages->page_count << MESSAGE_PAGE_BITS) {
        size_t bytes = messages->page_count * sizeof *messages->pages;
        messages->pages = grown(messages, messages->pages, bytes, bytes + sizeof *messages->pages);
        messages->pages[messages->page_count++] =
            grown(messages, NULL, 0, MESSAGE_PAGE * sizeof **messages->pages);
    }
    return message_at(messages, messages->count++);
}

uint32_t messages_get(struct messages *messages, struct value name)
{
    uint32_t at;
    bool dense = is_dense(messages, name, &at);
    if (!dense)
        slots_reserve(messages);
    uint32_t *place = dense ? &messages->dense[at] : slot_find(messages, name);
    if (*place != 0)
        return *place - 1;
    struct message *message = append(messages);
    *message = (struct message){.name = name,
                                .enqueue = HISTORY_NONE,
                                .stream = HISTORY_NONE,
                                .from = HISTORY_NONE,
                                .to = HISTORY_NONE,
                                .acked = HISTORY_NONE,
                                .ending = HISTORY_NONE,
                                .hold = HISTORY_NONE};
    *place = messages->count;
    messages->slot_used += !dense;
    return messages->count - 1;
}

/* ---- What messages share ---- */

static uint64_t mix(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t terms_hash(const struct terms *terms)
{
    return mix(mix(mix(0, (uint64_t)terms->delay_ns), (uint64_t)terms->ttl_ns),
               (uint64_t)terms->retry_ns);
}

static bool terms_equal(const struct terms *a, const struct terms *b)
{
    return a->delay_ns == b->delay_ns && a->ttl_ns == b->ttl_ns && a->retry_ns == b->retry_ns;
}

static uint32_t *terms_slot(const struct messages *messages, const struct terms *terms)
{
    for (uint64_t at = terms_hash(terms);; at++) {
        uint32_t *slot = &messages->terms_slots[at & messages->terms_mask];
        if (*slot == 0 || terms_equal(&messages->terms[*slot - 1], terms))
            return slot;
    }
}

/* Doubles an index of `count` entries that is more than half full; false when there is room. */
static bool index_reserve(struct messages *messages, uint32_t **slots, uint32_t *mask,
                          uint32_t count)
{
    if (*slots != NULL && count < *mask / 2)
        return false;
    uint32_t size = *slots == NULL ? SLOTS_MIN : (*mask + 1) * 2;
    if (*slots != NULL)
        messages->bytes -= ((size_t)*mask + 1) * sizeof **slots;
    free(*slots);
    *slots = grown(messages, NULL, 0, (size_t)size * sizeof **slots);
    *mask = size - 1;
    return true;
}

static void array_reserve(struct messages *messages, void *array, uint32_t count,
                          uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return;
    uint32_t wanted = *capacity == 0 ? 16 : *capacity + *capacity / 2;
    *(void **)array = grown(messages, *(void **)array, *capacity * size, wanted * size);
    *capacity = wanted;
}

uint32_t messages_terms(struct messages *messages, struct terms terms)
{
    if (messages->terms_count > 0 && terms_equal(&messages->terms[messages->terms_cache], &terms))
        return messages->terms_cache;
    if (index_reserve(messages, &messages->terms_slots, &messages->terms_mask,
                      messages->terms_count))
        for (uint32_t i = 0; i < messages->terms_count; i++)
            *terms_slot(messages, &messages->terms[i]) = i + 1;
    uint32_t *slot = terms_slot(messages, &terms);
    if (*slot == 0) {
        array_reserve(messages, &messages->terms, messages->terms_count, &messages->terms_capacity,
                      sizeof terms);
        messages->terms[messages->terms_count++] = terms;
        *slot = messages->terms_count;
    }
    return messages->terms_cache = *slot - 1;
}

static bool stream_is(const struct stream *stream, const struct stream *wanted)
{
    return stream->queue == wanted->queue && stream->priority == wanted->priority &&
           value_equal(stream->producer, wanted->producer) && value_equal(stream->key, wanted->key);
}

static uint64_t stream_hash(const struct stream *stream)
{
    uint64_t hash = mix(stream->queue, (uint64_t)stream->priority);
    return mix(mix(hash, value_hash(stream->producer)), value_hash(stream->key));
}

static uint32_t *stream_slot(const struct messages *messages, const struct stream *stream)
{
    for (uint64_t at = stream_hash(stream);; at++) {
        uint32_t *slot = &messages->stream_slots[at & messages->stream_mask];
        if (*slot == 0 || stream_is(&messages->streams[*slot - 1], stream))
            return slot;
    }
}

uint32_t messages_stream(struct messages *messages, uint32_t queue, struct value producer,
                         struct value key, int64_t priority)
{
    struct stream wanted = {.producer = producer,
                            .key = key,
                            .priority = priority,
                            .queue = queue,
                            .newest = HISTORY_NONE,
                            .which = HISTORY_NONE};
    uint32_t *cached = &messages->stream_cache[mix(queue, (uint64_t)value_as_int(producer)) % 64];
    if (*cached < messages->stream_count && stream_is(&messages->streams[*cached], &wanted))
        return *cached;
    if (index_reserve(messages, &messages->stream_slots, &messages->stream_mask,
                      messages->stream_count))
        for (uint32_t i = 0; i < messages->stream_count; i++)
            *stream_slot(messages, &messages->streams[i]) = i + 1;
    uint32_t *slot = stream_slot(messages, &wanted);
    if (*slot == 0) {
        array_reserve(messages, &messages->streams, messages->stream_count,
                      &messages->stream_capacity, sizeof wanted);
        messages->streams[messages->stream_count++] = wanted;
        *slot = messages->stream_count;
    }
    return *cached = *slot - 1;
}

struct hold *messages_hold(struct messages *messages, struct message *message, bool *fresh)
{
    *fresh = message->hold == HISTORY_NONE;
    if (*fresh) {
        array_reserve(messages, &messages->holds, messages->hold_count, &messages->hold_capacity,
                      sizeof *messages->holds);
        message->hold = messages->hold_count++;
        messages->holds[message->hold] = (struct hold){.floor_ns = INT64_MIN,
                                                       .ceiling_ns = INT64_MAX,
                                                       .open_delay_ns = INT64_MAX,
                                                       .sole = HISTORY_NONE,
                                                       .dead = HISTORY_NONE,
                                                       .arrived = HISTORY_NONE};
    }
    return &messages->holds[message->hold];
}
