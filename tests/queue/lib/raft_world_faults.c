/* Faults: made from the seed beforehand, carried out by the world, and all undone at the end. */
#include "tests/queue/lib/raft_world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint64_t split_mix(uint64_t *state)
{
    uint64_t value = (*state += 0x9e3779b97f4a7c15u);
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* How often each kind is drawn: of all sorts, or around elections and changes of
 * membership, where the worst schedules are.
 */
static const uint32_t weights[3][FAULT_KINDS] = {
    {
        [FAULT_CRASH] = 12,       [FAULT_CRASH_ALL] = 2, [FAULT_WIPE] = 5,
        [FAULT_ROT] = 2,          [FAULT_PAUSE] = 6,     [FAULT_RATE] = 5,
        [FAULT_PARTITION] = 8,    [FAULT_ISOLATE] = 8,   [FAULT_LINK] = 5,
        [FAULT_HEAL] = 12,        [FAULT_LOSS] = 5,      [FAULT_DUPLICATE] = 4,
        [FAULT_DELAY] = 5,        [FAULT_DISK_SLOW] = 5, [FAULT_SNAPSHOT] = 8,
        [FAULT_MEMBER] = 5,       [FAULT_TRANSFER] = 4,  [FAULT_AMBUSH] = 6,
        [FAULT_AMBUSH_VOTER] = 3,
    },
    {
        [FAULT_CRASH] = 10,
        [FAULT_CRASH_ALL] = 1,
        [FAULT_PAUSE] = 2,
        [FAULT_ISOLATE] = 4,
        [FAULT_HEAL] = 10,
        [FAULT_DELAY] = 2,
        [FAULT_AMBUSH] = 30,
        [FAULT_AMBUSH_VOTER] = 20,
    },
    {
        [FAULT_CRASH] = 6,
        [FAULT_HEAL] = 10,
        [FAULT_ISOLATE] = 6,
        [FAULT_PARTITION] = 4,
        [FAULT_MEMBER] = 20,
        [FAULT_AMBUSH] = 25,
        [FAULT_SNAPSHOT] = 2,
    },
};

enum schedule world_schedule(const struct simulation_options *options)
{
    return options->seed % 4 == 3   ? SCHEDULE_ELECTIONS
           : options->seed % 4 == 1 ? SCHEDULE_MEMBERS
                                    : SCHEDULE_ALL;
}

static uint32_t fault_value(enum fault_kind kind, uint64_t random)
{
    uint32_t draw = (uint32_t)(random >> 32);
    switch (kind) {
    case FAULT_CRASH:
    case FAULT_CRASH_ALL:
    case FAULT_WIPE:
    case FAULT_ROT:
        return draw % 4 == 0 ? 1 + draw / 4 % 20 : 1 + draw / 4 % 500;
    case FAULT_PAUSE:
        return 20 + draw % 600;
    case FAULT_RATE:
        return 500 + draw % 1501;
    case FAULT_LOSS:
    case FAULT_DUPLICATE:
        return draw % 3 == 0 ? 0 : draw / 4 % 30;
    case FAULT_DELAY:
        return draw % 4 == 0 ? 0 : draw / 4 % 60;
    case FAULT_AMBUSH:
        return draw % 16;
    case FAULT_DISK_SLOW:
        return draw % 3 == 0 ? 0 : draw / 4 % 150;
    default:
        return draw;
    }
}

size_t simulation_faults(const struct simulation_options *options,
                         struct fault faults[SIMULATION_FAULTS_MAX])
{
    uint64_t state = options->seed ^ 0x6661756c7473u, total = 0;
    for (int i = 0; i < FAULT_KINDS; i++) {
        total += weights[world_schedule(options)][i];
    }
    size_t count = 4 + split_mix(&state) % (SIMULATION_FAULTS_MAX - 4);
    uint64_t at_ms = 100;
    for (size_t i = 0; i < count; i++) {
        uint64_t pick = split_mix(&state) % total;
        enum fault_kind kind = 0;
        while (pick >= weights[world_schedule(options)][kind]) {
            pick -= weights[world_schedule(options)][kind++];
        }
        /* In bursts: most faults soon after the one before, as the worst schedules have them. */
        at_ms += split_mix(&state) % (2 * (FAULT_PHASE_US / 1000 - 200) / count);
        at_ms = at_ms < FAULT_PHASE_US / 1000 ? at_ms : FAULT_PHASE_US / 1000 - 1;
        uint64_t node = split_mix(&state) % 3 == 0 ? 0 : 1 + split_mix(&state) % NODES;
        faults[i] = (struct fault){(uint32_t)at_ms, kind, (uint32_t)node,
                                   fault_value(kind, split_mix(&state))};
    }
    return count;
}

uint32_t world_leader(const struct world *world)
{
    uint32_t leader = 0;
    for (uint32_t i = 1; i <= world->nodes; i++) {
        const struct simulated_node *node = &world->node[i];
        if (node->raft && node->role == RAFT_LEADER &&
            (leader == 0 || node->term > world->node[leader].term)) {
            leader = i;
        }
    }
    return leader;
}

static void crash(struct world *world, struct simulated_node *node, uint32_t down_ms)
{
    if (!node->raft) {
        return;
    }
    raft_close(node->raft);
    node->raft = NULL;
    node->epoch++;
    if (world->options->lie == LIE_META_FORGOTTEN) {
        uint64_t disk = node->disk.meta.disk, term = node->disk.meta.term;
        disk_crash(world, &node->disk);
        node->disk.meta = (struct raft_meta){.disk = disk, .term = term > 1 ? term - 1 : term};
    } else {
        disk_crash(world, &node->disk);
    }
    world->result->crashes++;
    world_later(world, down_ms * 1000ul,
                (struct occurrence){.kind = OCCUR_START, .node = node->id});
}

static bool disk_lost(const struct world *world, uint64_t disk, uint64_t also)
{
    bool dead = disk == also;
    for (uint32_t i = 0; i < world->dead_count && !dead; i++) {
        dead = world->dead_disks[i] == disk;
    }
    return dead;
}

bool world_bears(const struct world *world, const struct raft_config *config, uint64_t also)
{
    uint32_t voters = 0, lost = 0, joining = 0, joining_lost = 0;
    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_member *member = &config->members[i];
        bool dead = disk_lost(world, member->disk, also);
        voters += member->standing == RAFT_VOTER;
        lost += member->standing == RAFT_VOTER && dead;
        joining += member->standing == RAFT_JOINING;
        joining_lost += member->standing == RAFT_JOINING && dead;
    }
    return voters == 0 ||
           (lost <= (voters - 1) / 2 && lost + joining_lost <= (voters + joining - 1) / 2 &&
            lost + joining_lost <= (voters + joining_lost - 1) / 2);
}

/* Whether one more disk may be lost: in each membership that may still be in use somewhere at most
 * f. */
static bool may_lose(const struct world *world, uint64_t also)
{
    if (world->dead_count == DISKS_MAX || !world_bears(world, &world->committed_config, also)) {
        return false;
    }
    for (uint32_t i = 1; i <= world->nodes; i++) {
        const struct simulated_node *node = &world->node[i];
        struct raft_config config = node->disk.snapshot.config;
        if (node->raft) {
            struct raft_status status;
            raft_status(node->raft, &status);
            config = *status.config;
        }
        if (!world_bears(world, &config, also)) {
            return false;
        }
        for (size_t k = 0; k < node->disk.count; k++) {
            const struct kept *kept = &node->disk.log[k];
            if (kept->type == ENTRY_CONFIG && node->disk.first + k > world->committed_last &&
                (!raft_config_decode(kept->data, kept->length, &config) ||
                 !world_bears(world, &config, also))) {
                return false;
            }
        }
    }
    return true;
}

static void lose_disk(struct world *world, struct simulated_node *node, enum fault_kind kind,
                      uint32_t down_ms)
{
    struct disk *disk = &node->disk;
    bool cut = kind == FAULT_ROT && world->options->lie == LIE_LOG_CUT;
    if (!node->raft || !may_lose(world, disk->meta.disk)) {
        return;
    }
    crash(world, node, down_ms);
    world->result->wipes++;
    if (cut) { /* and nobody notices */
        disk->count -= world_below(world, disk->count + 1);
        return;
    }
    if (world->options->lie == LIE_DISK_ID_REUSED) {
        disk_format(disk, disk->meta.disk);
        disk_bootstrap(disk, &world->first_config);
        return;
    }
    world->dead_disks[world->dead_count++] = disk->meta.disk;
    disk_format(disk, ++world->next_disk);
}

static void block(struct world *world, uint64_t side, uint32_t direction)
{
    for (uint32_t i = 1; i <= world->nodes; i++) {
        for (uint32_t j = 1; j <= world->nodes; j++) {
            bool out = (side >> i & 1) && !(side >> j & 1),
                 in = !(side >> i & 1) && (side >> j & 1);
            if ((out && direction != 1) || (in && direction != 2)) {
                world->blocked[i][j] = true;
            }
        }
    }
}

void world_fault(struct world *world, const struct fault *fault)
{
    uint32_t id = fault->node == 0 ? world_leader(world) : 1 + (fault->node - 1) % world->nodes;
    struct simulated_node *node = &world->node[id > 0 ? id : 1];
    world_trace(world, "fault %d node %u value %u", (int)fault->kind, node->id, fault->value);
    switch (fault->kind) {
    case FAULT_CRASH:
        crash(world, node, fault->value);
        break;
    case FAULT_CRASH_ALL:
        for (uint32_t i = 1; i <= world->nodes; i++) {
            crash(world, &world->node[i], fault->value + (uint32_t)world_below(world, 50));
        }
        break;
    case FAULT_WIPE:
    case FAULT_ROT:
        lose_disk(world, node, fault->kind, fault->value);
        break;
    case FAULT_PAUSE:
        node->paused_until_us = world->now_us + fault->value * 1000ul;
        break;
    case FAULT_RATE:
        node->rate_permille = fault->value;
        break;
    case FAULT_PARTITION:
        block(world, (uint64_t)fault->value >> 2, fault->value % 4);
        break;
    case FAULT_ISOLATE:
        block(world, 1ul << node->id, fault->value % 4);
        break;
    case FAULT_LINK:
        world->blocked[node->id][1 + fault->value % world->nodes] = true;
        break;
    case FAULT_HEAL:
        memset(world->blocked, 0, sizeof world->blocked);
        break;
    case FAULT_LOSS:
        world->loss = fault->value;
        break;
    case FAULT_DUPLICATE:
        world->duplicate = fault->value;
        break;
    case FAULT_DELAY:
        world->late = fault->value;
        world->late_ms = 5 + 4 * fault->value;
        break;
    case FAULT_DISK_SLOW:
        node->disk.slow_ms = fault->value;
        break;
    case FAULT_SNAPSHOT:
        world_later(
            world, 0,
            (struct occurrence){.kind = OCCUR_SNAPSHOT, .node = node->id, .epoch = node->epoch});
        break;
    case FAULT_MEMBER:
        node->wanted = !node->wanted;
        break;
    case FAULT_TRANSFER:
        if (world_leader(world) != 0) {
            struct raft_event event = {.type = RAFT_EVENT_TRANSFER, .transfer = {node->id}};
            world->result->transfers++;
            world_step(world, &world->node[world_leader(world)], &event);
        }
        break;
    case FAULT_AMBUSH:
        world->ambushes[world->ambush_count++] = fault->value;
        break;
    case FAULT_AMBUSH_VOTER:
        world->voter_ambushes++;
        break;
    case FAULT_KINDS:
        break;
    }
}

void world_elected(struct world *world, const struct simulated_node *node)
{
    figure8_elected(world, node);
    if (world->ambush_count > 0 && !world->healed) {
        uint32_t value = world->ambushes[--world->ambush_count];
        world_later(
            world, value / 2 * 1000ul + world_below(world, 1000),
            (struct occurrence){.kind = OCCUR_AMBUSH, .node = node->id, .value = value % 2});
    }
}

void world_heal(struct world *world)
{
    world_trace(world, "all is healed");
    memset(world->blocked, 0, sizeof world->blocked);
    world->loss = world->duplicate = world->late = 0;
    world->healed = true;
    for (uint32_t i = 1; i <= world->nodes; i++) {
        struct simulated_node *node = &world->node[i];
        node->paused_until_us = 0;
        node->rate_permille = 1000;
        node->disk.slow_ms = 0;
        node->wanted = true;
    }
}

/* Fills the observer's view of the log from the disk, and opens the core on it. */
void world_start(struct world *world, struct simulated_node *node)
{
    if (node->raft) {
        return;
    }
    struct disk *disk = &node->disk;
    struct raft_stored stored = {.meta = disk->meta,
                                 .snapshot_index = disk->snapshot.index,
                                 .snapshot_term = disk->snapshot.term,
                                 .snapshot_config = disk->snapshot.config,
                                 .entry_count = disk->count};
    uint64_t memory_bytes_max = world->options->seed / 8 % 2 * 30; /* a few entries, or all */
    struct entry *entries = calloc(disk->count + 1, sizeof *entries);
    assert(entries);
    for (size_t i = 0; i < disk->count; i++) {
        const struct kept *kept = &disk->log[i];
        bool in_memory = memory_bytes_max == 0 || kept->type == ENTRY_CONFIG;
        entries[i] = (struct entry){disk->first + i, kept->term, kept->type, kept->length,
                                    in_memory ? kept->data : NULL};
    }
    stored.entries = entries;
    struct raft_options options = {
        .node = node->id,
        .now_ms = node->clock_us / 1000,
        .random = world_random(world),
        .election_timeout_ms = ELECTION_TIMEOUT_MS,
        .heartbeat_ms = HEARTBEAT_MS,
        .message_bytes_max = world_schedule(world->options) == SCHEDULE_ELECTIONS ? 1 : 100,
        .inflight_messages_max = 1 + world->options->seed / 4 % 3,
        .entry_bytes_max = 100,
        .uncommitted_entries_max = 200,
        .uncommitted_bytes_max = 4000,
        .trailing_entries = world->options->seed % 8,
        .catch_up_entries = 8,
        .memory_bytes_max = memory_bytes_max,
    };
    const char *problem;
    free(node->chain);
    node->chain = NULL;
    node->chain_capacity = 0;
    node->last = node->commit = node->applied = node->term = 0;
    node->sequence = 0;
    node->role = RAFT_FOLLOWER;
    node->read_count = 0;
    node->incoming_index = node->incoming_length = 0;
    node->raft = raft_open(&options, &stored, &world->effects, &problem);
    free(entries);
    if (!node->raft) {
        world_fail(world, node, "cannot start: %s", problem);
    }
    world_started(world, node);
}
