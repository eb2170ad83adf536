/* What clients of the simulated cluster saw, as a history that ordeal judges: each proposal is an
 * enqueue, done when the node that took it has applied it; at the end one drain brings what the
 * cluster's log then holds. The observer's knowledge is not in it. */
#include "tests/queue/lib/raft_world.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A log up to an entry is known by its chain; what came before, by the chain of that. */
struct known_entry {
    uint64_t chain, before, payload; /* payload 0: not a client's */
};

/* Who waits for a payload. */
struct waiting {
    uint32_t node;
    bool invoked, done;
};

struct recorder {
    FILE *out;
    uint64_t events;
    struct known_entry *known; /* open addressing by chain */
    size_t known_count, known_capacity;
    struct waiting *waiting; /* by payload */
    uint64_t waiting_capacity;
};

struct recorder *recorder_open(FILE *out)
{
    struct recorder *recorder = calloc(1, sizeof *recorder);
    assert(recorder);
    recorder->out = out;
    return recorder;
}

void recorder_free(struct recorder *recorder)
{
    if (recorder == NULL) {
        return;
    }
    free(recorder->known);
    free(recorder->waiting);
    free(recorder);
}

static void event(const struct world *world, const char *type, uint64_t process, const char *f)
{
    fprintf(world->recorder->out,
            "{:index %" PRIu64 ", :type :%s, :process %" PRIu64 ", :f :%s, :time %" PRIu64
            ", :value ",
            world->recorder->events++, type, process, f, world->now_us * 1000);
}

static void enqueue_event(const struct world *world, const char *type, uint64_t payload)
{
    event(world, type, payload, "enqueue");
    fprintf(world->recorder->out, "%" PRIu64 "}\n", payload);
}

void record_invoked(struct world *world, const struct simulated_node *node, uint64_t payload)
{
    struct recorder *recorder = world->recorder;
    if (recorder == NULL) {
        return;
    }
    if (payload >= recorder->waiting_capacity) {
        size_t old = recorder->waiting_capacity;
        recorder->waiting_capacity = (payload + 1) * 2;
        recorder->waiting =
            realloc(recorder->waiting, recorder->waiting_capacity * sizeof *recorder->waiting);
        assert(recorder->waiting);
        memset(recorder->waiting + old, 0,
               (recorder->waiting_capacity - old) * sizeof *recorder->waiting);
    }
    recorder->waiting[payload] = (struct waiting){node->id, true, false};
    enqueue_event(world, "invoke", payload);
}

void record_refused(struct world *world, uint64_t first, uint64_t last)
{
    struct recorder *recorder = world->recorder;
    for (uint64_t i = first; recorder != NULL && i <= last && i < recorder->waiting_capacity; i++) {
        struct waiting *waiting = &recorder->waiting[i];
        if (waiting->invoked && !waiting->done) {
            waiting->done = true;
            enqueue_event(world, "fail", i);
        }
    }
}

static struct known_entry *find(const struct recorder *recorder, uint64_t chain)
{
    size_t slot = chain & (recorder->known_capacity - 1);
    while (recorder->known[slot].chain != 0 && recorder->known[slot].chain != chain) {
        slot = (slot + 1) & (recorder->known_capacity - 1);
    }
    return &recorder->known[slot];
}

static void known_grow(struct recorder *recorder)
{
    struct recorder old = *recorder;
    recorder->known_capacity = old.known_capacity ? old.known_capacity * 2 : 1 << 10;
    recorder->known = calloc(recorder->known_capacity, sizeof *recorder->known);
    assert(recorder->known);
    for (size_t i = 0; i < old.known_capacity; i++) {
        if (old.known[i].chain != 0) {
            *find(recorder, old.known[i].chain) = old.known[i];
        }
    }
    free(old.known);
}

static uint64_t payload_of(const struct entry *entry)
{
    uint64_t payload = 0;
    if (entry->type == ENTRY_COMMANDS && entry->length >= sizeof payload) {
        memcpy(&payload, entry->data, sizeof payload);
    }
    return payload;
}

void record_entry(struct world *world, uint64_t before, uint64_t chain, const struct entry *entry)
{
    struct recorder *recorder = world->recorder;
    if (recorder == NULL) {
        return;
    }
    if (2 * (recorder->known_count + 1) > recorder->known_capacity) {
        known_grow(recorder);
    }
    struct known_entry *known = find(recorder, chain);
    recorder->known_count += known->chain == 0;
    *known = (struct known_entry){chain, before, payload_of(entry)};
}

uint64_t record_before(const struct world *world, uint64_t chain)
{
    return find(world->recorder, chain)->before;
}

void record_applied(struct world *world, const struct simulated_node *node,
                    const struct entry *entry)
{
    struct recorder *recorder = world->recorder;
    uint64_t payload = payload_of(entry);
    if (recorder == NULL || payload == 0 || payload >= recorder->waiting_capacity) {
        return;
    }
    struct waiting *waiting = &recorder->waiting[payload];
    if (waiting->invoked && !waiting->done && waiting->node == node->id) {
        waiting->done = true;
        enqueue_event(world, "ok", payload);
    }
}

/* Clients are content with a leader that works, whoever else is not well. */
bool record_finished(struct world *world)
{
    uint32_t leader = world_leader(world);
    const struct simulated_node *node = &world->node[leader];
    return world->recorder != NULL && world->now_us > FAULT_PHASE_US + LIVENESS_US / 2 &&
           leader != 0 && world->healed_index != 0 && node->applied >= world->healed_index;
}

void record_drained(struct world *world)
{
    struct recorder *recorder = world->recorder;
    uint32_t leader = world_leader(world);
    const struct simulated_node *node = &world->node[leader];
    if (recorder == NULL || leader == 0) {
        return;
    }
    uint64_t process = world->next_payload + 1;
    event(world, "invoke", process, "drain");
    fprintf(recorder->out, "nil}\n");
    event(world, "ok", process, "drain");
    fputc('[', recorder->out);
    uint64_t chain = node->applied > 0 ? node->chain[node->applied] : 0;
    while (chain != 0) {
        const struct known_entry *known = find(recorder, chain);
        if (known->payload != 0) {
            fprintf(recorder->out, "%" PRIu64 " ", known->payload);
        }
        chain = known->chain == 0 ? 0 : known->before;
    }
    fprintf(recorder->out, "]}\n");
}
