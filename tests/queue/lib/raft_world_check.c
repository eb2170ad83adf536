/* The invariants: the paper's figure 3, and what the queue promises beyond it. */
#include "tests/queue/lib/raft_world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void world_fail(struct world *world, const struct simulated_node *node, const char *format, ...)
{
    struct simulation_result *result = world->result;
    int length = snprintf(result->message, sizeof result->message,
                          "at %lu.%03lu ms, step %lu, node %u: ", world->now_us / 1000,
                          world->now_us % 1000, result->steps, node ? node->id : 0);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->message + length, sizeof result->message - (size_t)length, format, arguments);
    va_end(arguments);
    result->failed = true;
    siglongjmp(world->failed, 1);
}

static void seen_grow(struct world *world)
{
    struct seen *old = world->seen;
    size_t old_capacity = world->seen_capacity;
    world->seen_capacity = old_capacity ? old_capacity * 2 : 1 << 12;
    world->seen = calloc(world->seen_capacity, sizeof *world->seen);
    assert(world->seen);
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].index > 0) {
            size_t slot = (old[i].index * 31 + old[i].term * 1000003) & (world->seen_capacity - 1);
            while (world->seen[slot].index > 0) {
                slot = (slot + 1) & (world->seen_capacity - 1);
            }
            world->seen[slot] = old[i];
        }
    }
    free(old);
}

/* Log matching: an index and a term stand for one log up to there, on every node, for ever. */
static void check_matching(struct world *world, const struct simulated_node *node, uint64_t index,
                           uint64_t term, uint64_t chain)
{
    if (2 * (world->seen_count + 1) > world->seen_capacity) {
        seen_grow(world);
    }
    size_t slot = (index * 31 + term * 1000003) & (world->seen_capacity - 1);
    while (world->seen[slot].index > 0) {
        const struct seen *seen = &world->seen[slot];
        if (seen->index == index && seen->term == term) {
            if (seen->chain != chain) {
                world_fail(world, node,
                           "log matching: two logs differ at or before index %lu of term %lu",
                           index, term);
            }
            return;
        }
        slot = (slot + 1) & (world->seen_capacity - 1);
    }
    world->seen[slot] = (struct seen){index, term, chain};
    world->seen_count++;
}

static void chain_set(struct simulated_node *node, uint64_t index, uint64_t chain)
{
    if (index >= node->chain_capacity) {
        uint64_t capacity = node->chain_capacity ? node->chain_capacity : 256;
        while (capacity <= index) {
            capacity *= 2;
        }
        node->chain = realloc(node->chain, capacity * sizeof *node->chain);
        assert(node->chain);
        node->chain_capacity = capacity;
    }
    node->chain[0] = 0;
    node->chain[index] = chain;
    node->last = index;
}

static uint32_t voters_apart(const struct raft_config *a, const struct raft_config *b)
{
    uint32_t apart = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct raft_member *other = raft_config_find(b, a->members[i].node);
        apart += a->members[i].standing == RAFT_VOTER &&
                 !(other && other->standing == RAFT_VOTER && other->disk == a->members[i].disk);
    }
    return apart;
}

/* At most one change under way, of at most one voter. */
static void check_change(struct world *world, const struct simulated_node *node,
                         const struct entry *entry)
{
    uint64_t older = 0;
    for (uint64_t i = entry->index - 1; i > node->applied && older == 0; i--) {
        const struct entry *before = raft_entry(node->raft, i);
        older = before && before->type == ENTRY_CONFIG ? i : 0;
    }
    if (node->role != RAFT_LEADER || entry->index == 1) {
        return;
    }
    if (older > 0) {
        world_fail(world, node, "a change at %lu while that at %lu is not committed", entry->index,
                   older);
    }
    struct raft_config before, after;
    if (raft_config_at(node->raft, node->applied, &before) &&
        raft_config_decode(entry->data, entry->length, &after) &&
        voters_apart(&before, &after) + voters_apart(&after, &before) > 1) {
        world_fail(world, node, "the change at %lu is of more than one voter", entry->index);
    }
    world->result->changes++;
}

void check_entry(struct world *world, struct simulated_node *node, const struct entry *entry)
{
    if (entry->index != node->last + 1) {
        world_fail(world, node, "appends %lu behind %lu", entry->index, node->last);
    }
    uint64_t before = node->last > 0 ? node->chain[node->last] : 0;
    uint64_t chain = chain_next(before, entry);
    check_matching(world, node, entry->index, entry->term, chain);
    record_entry(world, before, chain, entry);
    chain_set(node, entry->index, chain);
    if (entry->type == ENTRY_CONFIG) {
        check_change(world, node, entry);
    }
}

void check_truncate(struct world *world, struct simulated_node *node, uint64_t last)
{
    if (node->role == RAFT_LEADER) {
        world_fail(world, node, "leader append-only: a leader truncates its log to %lu", last);
    }
    if (last < node->commit && world->recorder == NULL) {
        world_fail(world, node, "truncates to %lu what is committed up to %lu", last, node->commit);
    }
    node->last = last;
}

/* The log up to a snapshot: as all have committed it, or, where they may not agree, as it was. */
static void chain_up_to(struct world *world, struct simulated_node *node, uint64_t index,
                        uint64_t chain)
{
    if (index == 0) {
        return;
    }
    chain_set(node, index, chain);
    for (uint64_t i = index - 1; i > 0; i--) {
        node->chain[i] = world->recorder == NULL ? world->committed[i].chain
                                                 : record_before(world, node->chain[i + 1]);
    }
}

void check_install(struct world *world, struct simulated_node *node,
                   const struct kept_snapshot *snapshot)
{
    if (world->recorder == NULL && (snapshot->index > world->committed_last ||
                                    snapshot->chain != world->committed[snapshot->index].chain)) {
        world_fail(world, node, "state machine safety: installs another state at %lu",
                   snapshot->index);
    }
    bool keep = node->last > snapshot->index;
    uint64_t last = node->last;
    chain_up_to(world, node, snapshot->index, snapshot->chain);
    if (keep) {
        node->last = last;
    }
    node->applied = node->commit = snapshot->index;
}

void check_restore(struct world *world, struct simulated_node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    if (status.snapshot_index > world->committed_last) {
        world_fail(world, node, "starts from a snapshot of %lu, committed is %lu",
                   status.snapshot_index, world->committed_last);
    }
    chain_up_to(world, node, status.snapshot_index, node->disk.snapshot.chain);
    for (uint64_t i = status.snapshot_index + 1; i <= status.last; i++) {
        struct entry entry = world_whole_entry(world, node, raft_entry(node->raft, i));
        uint64_t before = i > 1 ? node->chain[i - 1] : 0;
        uint64_t chain = chain_next(before, &entry);
        check_matching(world, node, i, entry.term, chain);
        record_entry(world, before, chain, &entry);
        chain_set(node, i, chain);
    }
    node->commit = node->applied = status.commit;
    node->term = status.term;
}

static void committed_push(struct world *world, const struct simulated_node *node,
                           const struct entry *entry)
{
    if (entry->index >= world->committed_capacity) {
        world->committed_capacity =
            world->committed_capacity ? world->committed_capacity * 2 : 1024;
        world->committed =
            realloc(world->committed, world->committed_capacity * sizeof *world->committed);
        assert(world->committed);
    }
    world->committed[entry->index] =
        (struct committed){entry->term, node->chain[entry->index], node->term};
    world->committed_last = entry->index;
    if (entry->type == ENTRY_CONFIG) {
        raft_config_decode(entry->data, entry->length, &world->committed_config);
    }
}

static void check_has_committed(struct world *world, const struct simulated_node *leader,
                                uint64_t index)
{
    if (world->recorder == NULL &&
        (leader->last < index || leader->chain[index] != world->committed[index].chain)) {
        world_fail(world, leader,
                   "leader completeness: leader of term %lu lacks entry %lu, committed in term %lu",
                   leader->term, index, world->committed[index].commit_term);
    }
}

/* State machine safety: an index is applied with the same history before it everywhere. */
void check_apply(struct world *world, struct simulated_node *node, const struct entry *entry)
{
    if (entry->index != node->applied + 1) {
        world_fail(world, node, "applies %lu after %lu", entry->index, node->applied);
    }
    if (entry->index > world->committed_last) {
        committed_push(world, node, entry);
        for (uint32_t i = 1; i <= world->nodes; i++) {
            const struct simulated_node *other = &world->node[i];
            if (other->raft && other->role == RAFT_LEADER && other->term > node->term) {
                check_has_committed(world, other, entry->index);
            }
        }
    } else if (world->recorder == NULL &&
               world->committed[entry->index].chain != node->chain[entry->index]) {
        world_fail(world, node,
                   "state machine safety: applies another entry at %lu than was applied elsewhere",
                   entry->index);
    }
    node->applied = entry->index;
    record_applied(world, node, entry);
}

static bool disk_dead(const struct world *world, uint64_t disk)
{
    for (uint32_t i = 0; i < world->dead_count; i++) {
        if (world->dead_disks[i] == disk) {
            return true;
        }
    }
    return false;
}

/* What a leader commits is durable on a majority, or was on disks that have died since. */
void check_commit(struct world *world, struct simulated_node *node, uint64_t index)
{
    if (node->role != RAFT_LEADER || world->options->outcomes_only) {
        return;
    }
    uint32_t voters = 0, durable = 0;
    for (uint32_t i = 0; i < node->config.count; i++) {
        const struct raft_member *member = &node->config.members[i];
        const struct disk *disk = &world->node[member->node].disk;
        if (member->standing != RAFT_VOTER) {
            continue;
        }
        voters++;
        durable += disk->meta.disk == member->disk ? disk_has(disk, index, node->chain[index])
                                                   : disk_dead(world, member->disk);
    }
    if (durable <= voters / 2) {
        world_fail(world, node, "commits %lu, which is durable on %u of %u voters", index, durable,
                   voters);
    }
}

/* Election safety, and leader completeness. */
void check_leader(struct world *world, struct simulated_node *node)
{
    if (node->term >= world->leaders_capacity) {
        uint64_t capacity = (node->term + 1) * 2;
        world->leaders = realloc(world->leaders, capacity * sizeof *world->leaders);
        assert(world->leaders);
        memset(world->leaders + world->leaders_capacity, 0,
               (capacity - world->leaders_capacity) * sizeof *world->leaders);
        world->leaders_capacity = capacity;
    }
    uint32_t before = world->leaders[node->term];
    if (before != 0 && world->recorder == NULL) {
        world_fail(world, node, "election safety: leads term %lu, which node %u has led",
                   node->term, before);
    }
    world->leaders[node->term] = node->id;
    world->result->elections++;
    node->leads_since_us = node->clock_us;
    uint64_t index = world->committed_last;
    while (index > 0 && world->committed[index].commit_term >= node->term) {
        index--;
    }
    if (index > 0) {
        check_has_committed(world, node, index);
    }
}

/* A leader to whom no quorum has spoken for long must not be one any more. */
void check_stale_leader(struct world *world, struct simulated_node *node)
{
    const uint64_t bound_us = 5 * 1000 * ELECTION_TIMEOUT_MS;
    if (node->role != RAFT_LEADER || node->clock_us < node->leads_since_us + bound_us) {
        return;
    }
    struct raft_status status;
    raft_status(node->raft, &status);
    uint32_t voters = 0, heard = 0;
    for (uint32_t i = 0; i < status.config->count; i++) {
        const struct raft_member *member = &status.config->members[i];
        if (member->standing == RAFT_VOTER) {
            voters++;
            heard += member->node == node->id ||
                     node->heard_us[member->node] + bound_us >= node->clock_us;
        }
    }
    if (heard <= voters / 2) {
        world_fail(world, node,
                   "still leads term %lu after five election timeouts without a quorum",
                   node->term);
    }
}

void check_read(struct world *world, struct simulated_node *node, uint64_t id, uint64_t index)
{
    for (uint32_t i = 0; i < node->read_count; i++) {
        if (node->reads[i].id != id) {
            continue;
        }
        if (index < node->reads[i].required) {
            world_fail(world, node,
                       "stale read: sees up to %lu, though %lu was done before it began", index,
                       node->reads[i].required);
        }
        node->reads[i] = node->reads[--node->read_count];
        world->result->reads++;
        return;
    }
    world_fail(world, node, "answers read %lu, which nobody waits for", id);
}

void check_after_step(struct world *world, struct simulated_node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    if (status.commit < node->commit || status.term < node->term) {
        world_fail(world, node, "commit or term went back");
    }
    if (status.last != node->last || status.commit != node->applied) {
        world_fail(world, node, "its log ends at %lu, its effects at %lu; commit %lu, applied %lu",
                   status.last, node->last, status.commit, node->applied);
    }
    node->commit = status.commit;
}
