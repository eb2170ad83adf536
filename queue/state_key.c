/* Keys: at most one job per queue and key, while the key lives. See state_inner.h. */
#include "queue/state_inner.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "queue/state_base.h"

struct key_probe {
    struct command_bytes name;
    const struct queue *queue;
};

/* Keys of equal hash stand in order of their texts; those of one text and two queues, in order of
 * the hashes of the queues' names. The hash takes in the queue's name, so that neither ever matters
 * but for making the order of a walk certain. */
static int key_compare(const void *item, const void *probe)
{
    const struct key *key = item;
    const struct key_probe *wanted = probe;
    if (key->length != wanted->name.length)
        return key->length < wanted->name.length ? -1 : 1;
    int order = memcmp(key->data, wanted->name.data, key->length);
    if (order || key->queue == wanted->queue)
        return order;
    const struct queue *a = key->queue, *b = wanted->queue;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->name, b->name, a->length);
}

void key_table_init(struct table *table)
{
    table_init(table, 6, key_compare);
}

static uint64_t key_hash(const struct queue *queue, struct command_bytes name)
{
    return table_hash(queue->hash, name.data, name.length);
}

struct key *key_find(const struct state *state, struct queue *queue, struct command_bytes name)
{
    struct key_probe probe = {name, queue};
    return table_find(&state->keys, key_hash(queue, name), &probe);
}

struct key *key_create(struct state *state, struct queue *queue, struct command_bytes name,
                       uint64_t sequence)
{
    struct key *key = memory_zeroed(sizeof *key + name.length);
    key->timer.sequence = sequence;
    key->timer.queue = queue->number;
    key->queue = queue;
    key->length = name.length;
    memcpy(key->data, name.data, name.length);
    struct key_probe probe = {name, queue};
    table_insert(&state->keys, key_hash(queue, name), key, &probe);
    queue->keys++;
    queue_settle(state, queue);
    return key;
}

/* The pointer lies behind the body, wherever that ends. */
static uint8_t *key_room(const struct job *job)
{
    return (uint8_t *)job->data + job->body_length;
}

void key_attach(struct key *key, struct job *job)
{
    assert(job->keyed_room);
    memcpy(key_room(job), &key, sizeof key);
    job->keyed = 1;
    key->job = job;
    key->id = job->id;
}

struct key *key_of(const struct job *job)
{
    struct key *key = NULL;
    if (job->keyed)
        memcpy(&key, key_room(job), sizeof key);
    return key;
}

void key_drop(struct state *state, struct key *key)
{
    if (key->job)
        key->job->keyed = 0;
    heap_clear(&state->key_timers, &key->timer);
    table_remove(&state->keys, key_hash(key->queue, (struct command_bytes){key->data, key->length}),
                 key);
    key->queue->keys--;
    queue_settle(state, key->queue);
    free(key);
}

void key_release(struct state *state, struct job *job)
{
    struct key *key = key_of(job);
    if (!key)
        return;
    key->job = NULL;
    job->keyed = 0;
    if (key->expires_ms > state->time_ms)
        heap_set(&state->key_timers, &key->timer, key->expires_ms);
    else
        key_drop(state, key);
}

void key_run_timers(struct state *state)
{
    while (heap_next_ms(&state->key_timers) <= state->time_ms)
        key_drop(state, (struct key *)heap_first(&state->key_timers));
}
