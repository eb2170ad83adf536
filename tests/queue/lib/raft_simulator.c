/* The world: time, network, clients and operator, and what becomes of the core's effects. */
#include "tests/queue/lib/raft_simulator.h"

#include "tests/queue/lib/raft_world.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xoroshiro128+ by Blackman and Vigna. */
uint64_t world_random(struct world *world)
{
    uint64_t a = world->random[0], b = world->random[1], sum = a + b;
    b ^= a;
    world->random[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
    world->random[1] = b << 37 | b >> 27;
    return sum;
}

uint64_t world_below(struct world *world, uint64_t bound)
{
    return (world_random(world) >> 11) % bound;
}

bool world_chance(struct world *world, uint32_t percent)
{
    return percent > 0 && world_below(world, 100) < percent;
}

void world_trace(struct world *world, const char *format, ...)
{
    if (!world->options->trace) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%6lu.%03lu ", world->now_us / 1000, world->now_us % 1000);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

/* Occurrences: a binary heap by time, then by order of making. */

static bool earlier(const struct occurrence *a, const struct occurrence *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

void world_later(struct world *world, uint64_t delay_us, struct occurrence occurrence)
{
    if (world->heap_count == world->heap_capacity) {
        world->heap_capacity = world->heap_capacity ? world->heap_capacity * 2 : 256;
        world->heap = realloc(world->heap, world->heap_capacity * sizeof *world->heap);
        assert(world->heap);
    }
    occurrence.at_us = world->now_us + delay_us;
    occurrence.order = world->order++;
    size_t at = world->heap_count++;
    while (at > 0 && earlier(&occurrence, &world->heap[(at - 1) / 2])) {
        world->heap[at] = world->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->heap[at] = occurrence;
}

static struct occurrence next_occurrence(struct world *world)
{
    struct occurrence first = world->heap[0], last = world->heap[--world->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= world->heap_count) {
            break;
        }
        if (child + 1 < world->heap_count &&
            earlier(&world->heap[child + 1], &world->heap[child])) {
            child++;
        }
        if (!earlier(&world->heap[child], &last)) {
            break;
        }
        world->heap[at] = world->heap[child];
        at = child;
    }
    if (world->heap_count > 0) {
        world->heap[at] = last;
    }
    return first;
}

/* The network. */

static uint64_t network_delay_us(struct world *world)
{
    uint64_t delay_us = 200 + world_below(world, 2000);
    if (world_chance(world, world->late)) {
        delay_us += world_below(world, world->late_ms * 1000ul);
    }
    return delay_us;
}

static void network_send(struct world *world, const struct raft_message *message)
{
    if (message->to > world->nodes || world_chance(world, world->loss)) {
        return;
    }
    if (world->voter_ambushes > 0 && message->type == RAFT_MESSAGE_VOTE_REPLY &&
        (message->flags & RAFT_FLAG_YES)) {
        world->voter_ambushes--;
        world_later(world, 0,
                    (struct occurrence){.kind = OCCUR_AMBUSH, .node = message->from, .value = 2});
    }
    int copies = world_chance(world, world->duplicate) ? 2 : 1;
    while (copies-- > 0) {
        size_t size = raft_message_size(message);
        uint8_t *bytes = malloc(size);
        assert(bytes);
        raft_message_encode(message, bytes);
        world_later(world, network_delay_us(world),
                    (struct occurrence){.kind = OCCUR_DELIVER,
                                        .node = message->to,
                                        .from = message->from,
                                        .bytes = bytes,
                                        .length = (uint32_t)size});
    }
}

static void network_deliver(struct world *world, const struct occurrence *occurrence)
{
    struct simulated_node *node = &world->node[occurrence->node];
    if (!node->raft || world->blocked[occurrence->from][occurrence->node]) {
        return;
    }
    const char *problem =
        raft_message_decode(occurrence->bytes, occurrence->length, &world->decoded);
    if (problem) {
        world_fail(world, node, "cannot read a message of node %u: %s", occurrence->from, problem);
    }
    node->heard_us[occurrence->from] = node->clock_us;
    const struct raft_message *message = &world->decoded.message;
    world_trace(
        world,
        "  %u to %u: type %d term %lu index %lu/%lu commit %lu round %lu flags %u entries %u",
        message->from, message->to, (int)message->type, message->term, message->index,
        message->log_term, message->commit, message->round, message->flags, message->entry_count);
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE, .message = &world->decoded.message};
    world_step(world, node, &event);
}

/* The disk. */

static void disk_sync(struct world *world, struct simulated_node *node)
{
    struct disk *disk = &node->disk;
    if (disk->syncing || disk->op_count == 0) {
        return;
    }
    disk->syncing = true;
    uint64_t delay_us = 50 + world_below(world, 1500);
    if (disk->slow_ms > 0) {
        delay_us += world_below(world, disk->slow_ms * 1000ul);
    }
    world_later(world, delay_us,
                (struct occurrence){.kind = OCCUR_SYNC,
                                    .node = node->id,
                                    .epoch = node->epoch,
                                    .value = disk->ops[disk->op_count - 1].sequence});
}

static void disk_want(struct world *world, struct simulated_node *node, struct disk_op op)
{
    disk_push(node, &op);
    node->sequence = op.sequence;
    disk_sync(world, node);
    if (world->options->lie == LIE_PERSISTED_EARLY) {
        world_later(world, 0,
                    (struct occurrence){.kind = OCCUR_PERSISTED,
                                        .node = node->id,
                                        .epoch = node->epoch,
                                        .value = op.sequence});
    }
}

static void persisted(struct world *world, struct simulated_node *node, uint64_t sequence)
{
    struct raft_event event = {.type = RAFT_EVENT_PERSISTED, .persisted = {sequence}};
    world_step(world, node, &event);
}

static void disk_synced(struct world *world, const struct occurrence *occurrence)
{
    struct simulated_node *node = &world->node[occurrence->node];
    size_t count = 0;
    while (count < node->disk.op_count && node->disk.ops[count].sequence <= occurrence->value) {
        count++;
    }
    disk_apply(&node->disk, count);
    node->disk.syncing = false;
    disk_sync(world, node);
    persisted(world, node, occurrence->value);
}

/* Snapshots: the machine's state is its chain; the rest is there to be more than one chunk. */

static void snapshot_bytes(uint64_t index, uint64_t chain, uint8_t bytes[SNAPSHOT_BYTES])
{
    for (size_t i = 0; i < SNAPSHOT_BYTES; i++) {
        bytes[i] = (uint8_t)(index + i * chain);
    }
    memcpy(bytes, &index, 8);
    memcpy(bytes + 8, &chain, 8);
}

static void send_chunk(struct world *world, struct simulated_node *node,
                       struct raft_message message)
{
    const struct kept_snapshot *snapshot = &node->disk.snapshot;
    if (snapshot->index != message.index) {
        return;
    }
    if (message.offset > SNAPSHOT_BYTES) {
        world_fail(world, node, "asks for a chunk at %lu, past the end", message.offset);
    }
    uint8_t bytes[SNAPSHOT_BYTES];
    snapshot_bytes(snapshot->index, snapshot->chain, bytes);
    uint64_t left = SNAPSHOT_BYTES - message.offset;
    message.length = (uint32_t)(left < CHUNK_BYTES ? left : CHUNK_BYTES);
    message.data = bytes + message.offset;
    message.flags |= message.length == left ? RAFT_FLAG_LAST : 0;
    network_send(world, &message);
}

static void store_chunk(struct world *world, struct simulated_node *node,
                        const struct raft_effect *effect)
{
    if (effect->chunk.offset == 0) {
        node->incoming_index = effect->chunk.index;
        node->incoming_length = 0;
    }
    if (effect->chunk.index != node->incoming_index ||
        effect->chunk.offset != node->incoming_length ||
        effect->chunk.offset + effect->chunk.length > SNAPSHOT_BYTES) {
        world_fail(world, node, "stores a chunk of snapshot %lu at %lu, where it does not belong",
                   effect->chunk.index, effect->chunk.offset);
    }
    memcpy(node->incoming + effect->chunk.offset, effect->chunk.data, effect->chunk.length);
    node->incoming_length += effect->chunk.length;
    if (effect->chunk.last) {
        world_later(world, 100 + world_below(world, 5000),
                    (struct occurrence){.kind = OCCUR_VERIFY,
                                        .node = node->id,
                                        .epoch = node->epoch,
                                        .value = effect->chunk.index});
    }
}

static void snapshot_verify(struct world *world, const struct occurrence *occurrence)
{
    struct simulated_node *node = &world->node[occurrence->node];
    if (node->incoming_index != occurrence->value || node->incoming_length != SNAPSHOT_BYTES) {
        return; /* another has begun */
    }
    struct raft_event event = {
        .type = RAFT_EVENT_SNAPSHOT_VERIFIED,
        .snapshot = {occurrence->value, !world_chance(world, 5) || world->healed}};
    world_step(world, node, &event);
}

static void install(struct world *world, struct simulated_node *node,
                    const struct raft_effect *effect)
{
    struct kept_snapshot *snapshot = calloc(1, sizeof *snapshot);
    assert(snapshot);
    *snapshot = (struct kept_snapshot){effect->snapshot.index, effect->snapshot.term, 0,
                                       *effect->snapshot.config};
    uint64_t index;
    memcpy(&index, node->incoming, 8);
    memcpy(&snapshot->chain, node->incoming + 8, 8);
    disk_want(world, node,
              (struct disk_op){.kind = OP_INSTALL,
                               .sequence = effect->sequence,
                               .index = effect->snapshot.index,
                               .keep_log = effect->snapshot.keep_log,
                               .snapshot = snapshot});
    if (index != effect->snapshot.index) {
        world_fail(world, node, "installs snapshot %lu, has received %lu", effect->snapshot.index,
                   index);
    }
    if (!effect->snapshot.keep_log) {
        node->last = 0;
    }
    check_install(world, node, snapshot);
    world->result->installs++;
}

/* Begins at the applied state, is durable a little later. */
static void snapshot_take(struct world *world, const struct occurrence *occurrence)
{
    struct simulated_node *node = &world->node[occurrence->node];
    if (occurrence->value == 0) {
        struct kept_snapshot taking = {.index = node->applied};
        taking.chain = taking.index > 0 ? node->chain[taking.index] : 0;
        if (taking.index == 0 || !raft_config_at(node->raft, taking.index, &taking.config)) {
            return;
        }
        taking.term = raft_term_at(node->raft, taking.index);
        node->taking = taking;
        world_later(world, 500 + world_below(world, 30000),
                    (struct occurrence){.kind = OCCUR_SNAPSHOT,
                                        .node = node->id,
                                        .epoch = node->epoch,
                                        .value = taking.index});
        return;
    }
    if (node->taking.index != occurrence->value ||
        node->taking.index <= node->disk.snapshot.index) {
        return;
    }
    for (size_t i = 0; i < node->disk.op_count; i++) {
        if (node->disk.ops[i].kind == OP_INSTALL && node->disk.ops[i].index >= node->taking.index) {
            return; /* overtaken */
        }
    }
    node->disk.snapshot = node->taking;
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_TAKEN,
                               .snapshot = {node->taking.index, true}};
    world_step(world, node, &event);
}

/* Effects. */

static void want_entries(struct world *world, struct simulated_node *node,
                         const struct raft_effect *effect)
{
    for (uint64_t i = 0; i < effect->entries.count; i++) {
        const struct entry *entry = &effect->entries.list[i];
        check_entry(world, node, entry);
        struct disk_op op = {
            .kind = OP_APPEND, .sequence = effect->sequence, .index = entry->index};
        assert(entry->length <= ENTRY_BYTES);
        op.entry = (struct kept){
            .term = entry->term, .chain = node->chain[entry->index], .type = entry->type};
        op.entry.length = entry->length;
        if (entry->length > 0) {
            memcpy(op.entry.data, entry->data, entry->length);
        }
        disk_want(world, node, op);
    }
}

static void send_whole(struct world *world, struct simulated_node *node,
                       const struct raft_message *asked)
{
    struct entry entries[RAFT_MESSAGE_ENTRIES_MAX];
    struct raft_message message = *asked;
    for (uint32_t i = 0; i < message.entry_count; i++) {
        entries[i] = world_whole_entry(world, node, &asked->entries[i]);
    }
    message.entries = entries;
    network_send(world, &message);
}

static void apply(struct world *world, struct simulated_node *node,
                  const struct raft_effect *effect)
{
    for (uint64_t i = 0; i < effect->entries.count; i++) {
        struct entry entry = world_whole_entry(world, node, &effect->entries.list[i]);
        check_apply(world, node, &entry);
    }
    check_commit(world, node, node->applied);
    figure8_committed(world, node);
}

static void role_changed(struct world *world, struct simulated_node *node,
                         const struct raft_effect *effect)
{
    bool leads = effect->role.role == RAFT_LEADER;
    bool led = node->role == RAFT_LEADER;
    node->role = effect->role.role;
    world_trace(world, "node %u: role %d, term %lu, leader %u", node->id, (int)node->role,
                effect->role.term, effect->role.leader);
    if (leads && !led) {
        check_leader(world, node);
        world_elected(world, node);
    }
}

static void read_failed(struct simulated_node *node, uint64_t id)
{
    for (uint32_t i = 0; i < node->read_count; i++) {
        if (node->reads[i].id == id) {
            node->reads[i] = node->reads[--node->read_count];
            return;
        }
    }
}

static void trace_config(struct world *world, const struct simulated_node *node,
                         const struct raft_config *config)
{
    char text[200] = "";
    size_t length = 0;
    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_member *member = &config->members[i];
        length += (size_t)snprintf(text + length, sizeof text - length, " %u:%lu%c", member->node,
                                   member->disk, " vjl"[member->standing]);
    }
    world_trace(world, "node %u: members%s", node->id, text);
}

static void carry_out(struct world *world, struct simulated_node *node,
                      const struct raft_effect *effect)
{
    switch (effect->type) {
    case RAFT_EFFECT_META:
        disk_want(
            world, node,
            (struct disk_op){.kind = OP_META, .sequence = effect->sequence, .meta = effect->meta});
        break;
    case RAFT_EFFECT_APPEND:
        want_entries(world, node, effect);
        break;
    case RAFT_EFFECT_TRUNCATE:
        check_truncate(world, node, effect->index);
        disk_want(world, node,
                  (struct disk_op){
                      .kind = OP_TRUNCATE, .sequence = effect->sequence, .index = effect->index});
        break;
    case RAFT_EFFECT_RESET:
        disk_want(world, node,
                  (struct disk_op){
                      .kind = OP_RESET, .sequence = effect->sequence, .index = effect->index});
        break;
    case RAFT_EFFECT_INSTALL:
        install(world, node, effect);
        break;
    case RAFT_EFFECT_COMPACT:
        disk_push(node, &(struct disk_op){.kind = OP_COMPACT,
                                          .sequence = node->sequence,
                                          .index = effect->index});
        if (node->disk.op_count == 1) {
            disk_apply(&node->disk, world_chance(world, 70)); /* now, or whenever */
        }
        break;
    case RAFT_EFFECT_SEND:
        send_whole(world, node, &effect->message);
        break;
    case RAFT_EFFECT_SEND_SNAPSHOT:
        send_chunk(world, node, effect->message);
        break;
    case RAFT_EFFECT_STORE_CHUNK:
        store_chunk(world, node, effect);
        break;
    case RAFT_EFFECT_APPLY:
        apply(world, node, effect);
        break;
    case RAFT_EFFECT_ROLE:
        role_changed(world, node, effect);
        break;
    case RAFT_EFFECT_STEP_DOWN:
        node->role = RAFT_FOLLOWER;
        world_trace(world, "node %u: steps down, %s", node->id,
                    raft_reason_text(effect->step_down.reason));
        break;
    case RAFT_EFFECT_READ_READY:
        check_read(world, node, effect->read.id, effect->read.index);
        break;
    case RAFT_EFFECT_READ_FAILED:
        read_failed(node, effect->read.id);
        break;
    case RAFT_EFFECT_PROPOSED:
        if (world->healed && world->healed_index == 0) {
            world->healed_index = effect->proposed.first;
            world->healed_term = effect->proposed.term;
        }
        break;
    case RAFT_EFFECT_DISK_SUSPECT:
        world->result->suspects++;
        if (world->options->lie == LIE_NONE && world->recorder == NULL) {
            world_fail(world, node, "suspects the honest disk %lu of node %u", effect->disk.disk,
                       effect->disk.node);
        }
        break;
    case RAFT_EFFECT_CONFIG:
        node->config = *effect->config;
        trace_config(world, node, effect->config);
        break;
    case RAFT_EFFECT_REFUSED:
        record_refused(world, world->proposed_first, world->next_payload);
        break;
    case RAFT_EFFECT_MEMBERSHIP:
    case RAFT_EFFECT_DISK_CHANGED:
        break;
    }
}

static void carry_out_all(struct world *world, struct simulated_node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    uint64_t term = node->term;
    node->term = status.term;
    for (size_t i = 0; i < world->effects.count; i++) {
        carry_out(world, node, &world->effects.list[i]);
    }
    node->term = term;
    check_after_step(world, node);
    node->term = status.term;
}

void world_step(struct world *world, struct simulated_node *node, const struct raft_event *event)
{
    world->result->steps++;
    world->stepping = node;
    raft_step(node->raft, event, &world->effects);
    world->stepping = NULL;
    carry_out_all(world, node);
}

void world_started(struct world *world, struct simulated_node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    world_trace(world, "node %u: starts with disk %lu, term %lu, log to %lu, snapshot %lu",
                node->id, status.disk, status.term, status.last, status.snapshot_index);
    check_restore(world, node);
    carry_out_all(world, node);
    world_later(world, world_below(world, TICK_US),
                (struct occurrence){.kind = OCCUR_TICK, .node = node->id, .epoch = node->epoch});
}

static void node_tick(struct world *world, const struct occurrence *occurrence)
{
    struct simulated_node *node = &world->node[occurrence->node];
    node->clock_us += (world->now_us - node->clock_at_us) * node->rate_permille / 1000;
    node->clock_at_us = world->now_us;
    struct raft_event event = {.type = RAFT_EVENT_TICK,
                               .tick = {node->clock_us / 1000, world_random(world)}};
    world_step(world, node, &event);
    check_stale_leader(world, node);
    world_later(world, TICK_US + world_below(world, 1000),
                (struct occurrence){.kind = OCCUR_TICK, .node = node->id, .epoch = node->epoch});
}

/* One run. */

/* value 0: crash, 1: cut off, 2: crash for a moment. */
static void ambush(struct world *world, const struct occurrence *occurrence)
{
    if (world->healed) {
        return;
    }
    uint32_t draw = (uint32_t)world_below(world, 300);
    struct fault fault = {.kind = occurrence->value == 1 ? FAULT_ISOLATE : FAULT_CRASH,
                          .node = occurrence->node,
                          .value = occurrence->value == 2 ? draw % 3 : 4 * draw};
    world_fault(world, &fault);
}

static void occur(struct world *world, const struct occurrence *occurrence)
{
    struct simulated_node *node = &world->node[occurrence->node];
    bool of_life = occurrence->kind != OCCUR_DELIVER && occurrence->kind <= OCCUR_SNAPSHOT;
    if (of_life && (!node->raft || occurrence->epoch != node->epoch)) {
        return;
    }
    switch (occurrence->kind) {
    case OCCUR_TICK:
        node_tick(world, occurrence);
        break;
    case OCCUR_DELIVER:
        network_deliver(world, occurrence);
        break;
    case OCCUR_SYNC:
        disk_synced(world, occurrence);
        break;
    case OCCUR_PERSISTED:
        persisted(world, node, occurrence->value);
        break;
    case OCCUR_VERIFY:
        snapshot_verify(world, occurrence);
        break;
    case OCCUR_SNAPSHOT:
        snapshot_take(world, occurrence);
        break;
    case OCCUR_START:
        world_start(world, node);
        break;
    case OCCUR_FAULT:
        world_fault(world, &world->faults[occurrence->value]);
        break;
    case OCCUR_AMBUSH:
        ambush(world, occurrence);
        break;
    case OCCUR_CLIENT:
        figure8_time(world);
        world_client(world);
        break;
    case OCCUR_OPERATOR:
        world_operator(world);
        break;
    case OCCUR_HEAL:
        world_heal(world);
        break;
    }
}

static void world_begin(struct world *world)
{
    const struct simulation_options *options = world->options;
    world->random[0] = options->seed * 0x9e3779b97f4a7c15u + 1;
    world->random[1] = options->seed ^ 0x7261667421u;
    for (int i = 0; i < 8; i++) {
        world_random(world);
    }
    world->nodes = options->nodes ? options->nodes : 3 + (uint32_t)world_below(world, NODES - 2);
    for (uint32_t i = 1; i <= world->nodes; i++) {
        world->first_config.members[world->first_config.count++] =
            (struct raft_member){.disk = ++world->next_disk, .node = i, .standing = RAFT_VOTER};
    }
    world->committed_config = world->first_config;
    for (uint32_t i = 1; i <= world->nodes; i++) {
        struct simulated_node *node = &world->node[i];
        node->id = i;
        node->wanted = true;
        node->rate_permille = 1000;
        disk_format(&node->disk, world->first_config.members[i - 1].disk);
        disk_bootstrap(&node->disk, &world->first_config);
        world_start(world, node);
    }
    for (size_t i = 0; i < world->fault_count; i++) {
        world_later(world, world->faults[i].at_ms * 1000ul,
                    (struct occurrence){.kind = OCCUR_FAULT, .value = i});
    }
    world_later(world, 0, (struct occurrence){.kind = OCCUR_CLIENT});
    world_later(world, 0, (struct occurrence){.kind = OCCUR_OPERATOR});
    world_later(world, FAULT_PHASE_US, (struct occurrence){.kind = OCCUR_HEAL});
}

static void world_run(struct world *world)
{
    while (!world_alive_again(world) && !record_finished(world)) {
        struct occurrence occurrence = next_occurrence(world);
        struct simulated_node *node = &world->node[occurrence.node];
        world->now_us = occurrence.at_us;
        if (world->now_us > FAULT_PHASE_US + LIVENESS_US) {
            free(occurrence.bytes);
            world_fail(world, NULL,
                       "liveness: %d ms after all was healed not every node is a voter "
                       "and has applied a new entry",
                       LIVENESS_US / 1000);
        }
        if (occurrence.kind <= OCCUR_SNAPSHOT && node->paused_until_us > world->now_us) {
            world_later(world, node->paused_until_us - world->now_us, occurrence);
            continue;
        }
        world->carrying = occurrence.bytes;
        occur(world, &occurrence);
        free(occurrence.bytes);
        world->carrying = NULL;
    }
    record_drained(world);
}

static void world_free(struct world *world)
{
    for (uint32_t i = 1; i <= NODES; i++) {
        raft_close(world->node[i].raft);
        disk_free(&world->node[i].disk);
        free(world->node[i].chain);
    }
    for (size_t i = 0; i < world->heap_count; i++) {
        free(world->heap[i].bytes);
    }
    free(world->carrying);
    free(world->heap);
    free(world->committed);
    free(world->seen);
    free(world->leaders);
    raft_effects_free(&world->effects);
    recorder_free(world->recorder);
    free(world);
}

/* An assertion that fails in the core ends the run, not the program: it is a finding like others.
 */
static struct world *running;

static void aborted(int signal)
{
    (void)signal;
    snprintf(running->result->message, sizeof running->result->message,
             "at %lu.%03lu ms, step %lu: an assertion of the core", running->now_us / 1000,
             running->now_us % 1000, running->result->steps);
    running->result->failed = true;
    siglongjmp(running->failed, 1);
}

/* Where clients are all that counts, a core that refuses to go on is a node that goes down. */
static bool restarted(struct world *world)
{
    enum { DOWN_MS = 20, RESTARTS_MAX = 200 };
    struct simulated_node *node = world->stepping;
    world->stepping = NULL;
    if (world->recorder == NULL || node == NULL || ++world->restarts > RESTARTS_MAX) {
        return false;
    }
    world->result->failed = false;
    free(world->carrying);
    world->carrying = NULL;
    world_trace(world, "node %u: %s", node->id, world->result->message);
    world_fault(world, &(struct fault){.kind = FAULT_CRASH, .node = node->id, .value = DOWN_MS});
    return true;
}

void simulation_run(const struct simulation_options *options, const struct fault *faults,
                    size_t count, struct simulation_result *result)
{
    struct world *world = calloc(1, sizeof *world);
    assert(world);
    memset(result, 0, sizeof *result);
    world->options = options;
    world->result = result;
    world->faults = faults;
    world->fault_count = count;
    running = world;
    struct sigaction action = {.sa_handler = aborted}, before;
    sigaction(SIGABRT, &action, &before);
    if (options->history != NULL) {
        world->recorder = recorder_open(options->history);
    }
    if (sigsetjmp(world->failed, 1) == 0) {
        world_begin(world);
        world_run(world);
    } else if (restarted(world)) {
        world_run(world);
    }
    sigaction(SIGABRT, &before, NULL);
    result->virtual_ms = world->now_us / 1000;
    result->committed = world->committed_last;
    world_free(world);
}
