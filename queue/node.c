/* Events in, effects out: batches of commands, their results, reads and membership changes. */
#include "queue/node.h"

#include "queue/clock.h"
#include "queue/defect.h"
#include "queue/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { BATCH_BYTES = 1 << 20, READ_BYTES_A_TURN = 512 << 10 };

uint64_t node_clock_ms(void)
{
    return clock_us() / 1000;
}

uint64_t node_random(void)
{
    uint64_t value = 0;
    while (getrandom(&value, sizeof value, 0) != sizeof value)
        ;
    return value;
}

uint64_t node_time_ms(const struct node *node)
{
    if (node->leading)
        return node->term_start_ms + (node_clock_ms() - node->term_start_mono_ms);
    struct state_info info;
    state_info(node->state, &info);
    return info.time_ms;
}

static void tags_push(struct node_tags *tags, void *tag)
{
    if (tags->count == tags->capacity) {
        tags->capacity = tags->capacity ? tags->capacity * 2 : 64;
        tags->list = disk_allocate(tags->list, tags->capacity * sizeof *tags->list);
    }
    tags->list[tags->count++] = tag;
}

/* Steps. */

static void step_once(struct node *node, const struct raft_event *event)
{
    raft_step(node->raft, event, &node->effects);
    for (size_t i = 0; i < node->effects.count; i++)
        node_carry_out(node, &node->effects.list[i]);
}

void node_step(struct node *node, const struct raft_event *event)
{
    step_once(node, event);
    while (node->verified_index != 0) {
        struct raft_event verified = {
            .type = RAFT_EVENT_SNAPSHOT_VERIFIED,
            .snapshot = {.index = node->verified_index, .good = node->verified_good}};
        node->verified_index = 0;
        step_once(node, &verified);
    }
    node_report_persisted(node);
}

void node_report_persisted(struct node *node)
{
    for (;;) {
        uint64_t persisted = log_persisted(node->storage.log), sequence = 0;
        uint32_t done = 0;
        for (uint32_t i = 0; i < node->pending_count; i++) {
            const struct node_pending *pending = &node->pending[i];
            if (pending->superseded)
                continue;
            if (pending->index > persisted)
                break;
            done = i + 1;
            sequence = pending->sequence;
        }
        if (done == 0)
            return;
        node->pending_count -= done;
        memmove(node->pending, node->pending + done, node->pending_count * sizeof *node->pending);
        struct raft_event event = {.type = RAFT_EVENT_PERSISTED, .persisted.sequence = sequence};
        step_once(node, &event);
    }
}

void node_message(struct node *node, const struct raft_message *message)
{
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE, .message = message};
    node_step(node, &event);
}

void node_persisted(struct node *node)
{
    log_persisted_event(node->storage.log);
    node_report_persisted(node);
}

void node_tick(struct node *node)
{
    struct raft_event event = {.type = RAFT_EVENT_TICK,
                               .tick = {.now_ms = node_clock_ms(), .random = node_random()}};
    node_step(node, &event);
    if (!node->child_running)
        slab_rejoin();
}

/* Batches. */

bool node_submit(struct node *node, const struct command *command, void *tag,
                 struct queue_error *error)
{
    if (node->batch_tags.count == 0)
        command_batch_begin(&node->batch, 0);
    if (!command_batch_add(&node->batch, command, error))
        return false;
    tags_push(&node->batch_tags, tag);
    return true;
}

uint64_t node_backlog_bytes(const struct node *node)
{
    return node->flight_bytes + (node->batch_tags.count > 0 ? node->batch.length : 0);
}

static void flight_push(struct node *node, uint64_t index, uint64_t term, void *change)
{
    uint32_t count = change != NULL ? 0 : node->batch_tags.count;
    struct node_flight *flight =
        disk_allocate(NULL, sizeof *flight + (size_t)count * sizeof *flight->tags);
    *flight = (struct node_flight){.index = index, .term = term, .change = change, .count = count};
    if (count > 0)
        memcpy(flight->tags, node->batch_tags.list, (size_t)count * sizeof *flight->tags);
    *node->flights_end = flight;
    node->flights_end = &flight->next;
}

static void propose(struct node *node)
{
    if (node->batch_tags.count == 0)
        return;
    command_batch_stamp(&node->batch, node_time_ms(node));
    struct raft_proposal proposal = {.data = node->batch.data,
                                     .length = (uint32_t)node->batch.length};
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE,
                               .propose = {.proposals = &proposal, .count = 1}};
    node->counters.batches++;
    node->counters.commands += node->batch_tags.count;
    node_step(node, &event);
}

void node_flush(struct node *node)
{
    if (node->batch_tags.count > 0 && node->batch.length >= BATCH_BYTES)
        propose(node);
}

static void on_proposed(struct node *node, const struct raft_effect *effect)
{
    flight_push(node, effect->proposed.first, effect->proposed.term, NULL);
    node->flight_bytes += node->batch.length;
    struct node_tags tags = node->batch_tags;
    node->batch_tags = (struct node_tags){0};
    for (uint32_t i = 0; i < tags.count; i++) {
        if (tags.list[i] != NULL)
            node->listener->proposed(node->listener->context, tags.list[i]);
    }
    free(tags.list);
}

static void on_refused(struct node *node, enum raft_reason reason)
{
    struct node_tags tags = node->batch_tags;
    node->batch_tags = (struct node_tags){0};
    node->tick_in_flight = false;
    for (uint32_t i = 0; i < tags.count; i++) {
        if (tags.list[i] != NULL)
            node->listener->refused(node->listener->context, tags.list[i], reason);
    }
    free(tags.list);
}

static void end_flights(struct node *node)
{
    struct node_flight *flight = node->flights;
    node->flights = NULL;
    node->flights_end = &node->flights;
    node->flight_bytes = 0;
    node->tick_in_flight = false;
    while (flight != NULL) {
        struct node_flight *next = flight->next;
        for (uint32_t i = 0; i < flight->count; i++) {
            if (flight->tags[i] != NULL)
                node->listener->lost(node->listener->context, flight->tags[i]);
        }
        if (flight->change != NULL)
            node->listener->changed(node->listener->context, flight->change, RAFT_BUSY);
        free(flight);
        flight = next;
    }
}

/* Applying. */

struct applying {
    struct node *node;
    const struct node_flight *flight;
};

static void on_result(void *context, const struct state_result *result)
{
    const struct applying *applying = context;
    const struct node_flight *flight = applying->flight;
    if (queue_defect(DEFECT_REPLY_REPLAY))
        applying->node->listener->applied(result);
    if (flight == NULL)
        return;
    if (result->ordinal < flight->count && flight->tags[result->ordinal] != NULL)
        applying->node->listener->result(applying->node->listener->context,
                                         flight->tags[result->ordinal], result);
}

static void on_ready(void *context, struct command_bytes queue)
{
    const struct applying *applying = context;
    applying->node->listener->ready(applying->node->listener->context, queue);
}

static struct node_flight *take_flight(struct node *node, const struct entry *entry)
{
    struct node_flight *flight = node->flights;
    if (flight == NULL || flight->index != entry->index)
        return NULL;
    /* Having led without a break since it was proposed, it is the same entry. */
    assert(flight->term == entry->term);
    node->flights = flight->next;
    if (node->flights == NULL)
        node->flights_end = &node->flights;
    if (flight->change == NULL)
        node->flight_bytes -= entry->length;
    return flight;
}

static void start_leading(struct node *node)
{
    struct state_info info;
    state_info(node->state, &info);
    node->term_start_ms = info.time_ms;
    node->term_start_mono_ms = node_clock_ms();
    node->leading = true;
    journal_write(JOURNAL_INFO, "leading", "term=%llu index=%llu", (unsigned long long)node->term,
                  (unsigned long long)info.index);
    node->listener->role(node->listener->context);
}

static void apply(struct node *node, const struct entry *entry)
{
    struct node_flight *flight = take_flight(node, entry);
    struct applying applying = {node, flight};
    struct state_listener listener = {
        .context = &applying,
        .result = flight != NULL || queue_defect(DEFECT_REPLY_REPLAY) ? on_result : NULL,
        .ready = node->leading ? on_ready : NULL};
    struct queue_error error;
    if (!state_apply(node->state, entry, &listener, &error))
        journal_write(JOURNAL_ERROR, "apply", "index=%llu %s", (unsigned long long)entry->index,
                      error.message);
    if (flight != NULL) {
        if (flight->change != NULL)
            node->listener->changed(node->listener->context, flight->change, RAFT_OK);
        node->tick_in_flight = false;
        free(flight);
    }
    if (node->role == RAFT_LEADER && !node->leading && entry->term == node->term)
        start_leading(node);
}

static bool in_memory(const struct entry *entry)
{
    return entry->data != NULL || entry->length == 0;
}

static void apply_all(struct node *node, const struct entry *entries, uint64_t count)
{
    for (uint64_t i = 0; i < count;) {
        if (in_memory(&entries[i])) {
            apply(node, &entries[i++]);
            continue;
        }
        struct log_batch batch;
        node_read_entries(node, entries[i].index, NODE_READ_BYTES, &batch);
        for (size_t k = 0; k < batch.count && i < count; k++)
            apply(node, &batch.entries[k]), i++;
        log_batch_free(&batch);
    }
}

/* To a follower that is far behind: what it lacks is read from the disk. */
static void send_message(struct node *node, const struct raft_message *asked)
{
    struct raft_message message = *asked;
    struct log_batch batch = {.entries = NULL};
    uint64_t bytes = 0;
    bool missing = false;
    for (uint32_t i = 0; i < message.entry_count; i++) {
        bytes += message.entries[i].length;
        missing |= !in_memory(&message.entries[i]);
    }
    if (missing) {
        node_read_entries(node, message.index + 1, bytes, &batch);
        message.entries = batch.entries;
        if (batch.count < message.entry_count) /* the rest is asked for when these have come */
            message.entry_count = (uint32_t)batch.count;
        node->counters.entries_read += message.entry_count;
    }
    node->listener->send(node->listener->context, &message);
    log_batch_free(&batch);
}

static uint64_t applied_index(const struct node *node)
{
    struct state_info info;
    state_info(node->state, &info);
    return info.index;
}

/* Reads. */

void node_read(struct node *node, void *tag)
{
    tags_push(&node->reads_next, tag);
}

/* Long answers leave some for the next turn, so that whoever asks for little need not wait for all
 * of them. A later state is as good an answer. */
static void end_reads(struct node *node, bool good)
{
    struct node_tags *tags = &node->reads_now;
    while (node->reads_done < tags->count) {
        if (good && node->read_bytes >= READ_BYTES_A_TURN)
            return;
        node->read_bytes +=
            node->listener->read(node->listener->context, tags->list[node->reads_done++], good);
    }
    free(tags->list);
    *tags = (struct node_tags){0};
    node->reads_done = 0;
    node->reading = false;
    node->read_index = 0;
}

bool node_has_reads(const struct node *node)
{
    return node->read_index != 0 && node->read_bytes >= READ_BYTES_A_TURN;
}

static void try_reads(struct node *node)
{
    if (node->read_index != 0 && applied_index(node) >= node->read_index)
        end_reads(node, true);
}

static void start_reads(struct node *node)
{
    if (node->reading || node->reads_next.count == 0)
        return;
    node->reads_now = node->reads_next;
    node->reads_next = (struct node_tags){0};
    node->reading = true;
    struct raft_event event = {.type = RAFT_EVENT_READ};
    node_step(node, &event);
}

/* Membership. */

void node_change(struct node *node, enum raft_change change, const struct raft_member *member,
                 void *tag)
{
    struct raft_event event = {
        .type = RAFT_EVENT_MEMBERSHIP,
        .membership = {.change = change, .member = *member, .id = (uint64_t)(uintptr_t)tag}};
    node_step(node, &event);
}

static void on_membership(struct node *node, const struct raft_effect *effect)
{
    void *tag = (void *)(uintptr_t)effect->membership.id;
    if (effect->membership.reason == RAFT_OK)
        flight_push(node, effect->membership.index, node->term, tag);
    else
        node->listener->changed(node->listener->context, tag, effect->membership.reason);
}

void node_transfer(struct node *node, uint32_t target)
{
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER, .transfer.node = target};
    node_step(node, &event);
}

static void on_role(struct node *node, const struct raft_effect *effect)
{
    static const char *const roles[] = {"follower", "precandidate", "candidate", "leader"};
    journal_write(effect->role.role == RAFT_PRECANDIDATE ? JOURNAL_DEBUG : JOURNAL_INFO, "role",
                  "role=%s term=%llu leader=%u", roles[effect->role.role],
                  (unsigned long long)effect->role.term, effect->role.leader);
    if (effect->role.role == RAFT_LEADER && node->role != RAFT_LEADER)
        node->counters.elections++;
    if (effect->role.role != RAFT_LEADER || effect->role.term != node->term)
        node->leading = false;
    node->role = effect->role.role;
    node->term = effect->role.term;
    node->leader = effect->role.leader;
    node->listener->role(node->listener->context);
}

static void on_disk_news(struct node *node, const struct raft_effect *effect)
{
    (void)node;
    bool changed = effect->type == RAFT_EFFECT_DISK_CHANGED;
    journal_write(JOURNAL_WARNING, changed ? "disk-changed" : "disk-suspect",
                  "node=%u disk=%016llx %s", effect->disk.node,
                  (unsigned long long)effect->disk.disk,
                  changed ? "it has another disk than the cluster knows: CLUSTER REPLACE it"
                          : "it has lost what it acknowledged: format it and CLUSTER REPLACE it");
}

void node_carry_out(struct node *node, const struct raft_effect *effect)
{
    const struct node_listener *listener = node->listener;
    switch (effect->type) {
    case RAFT_EFFECT_META:
    case RAFT_EFFECT_APPEND:
    case RAFT_EFFECT_TRUNCATE:
    case RAFT_EFFECT_RESET:
    case RAFT_EFFECT_COMPACT:
        node_log_effect(node, effect);
        break;
    case RAFT_EFFECT_INSTALL:
        node_install(node, effect);
        break;
    case RAFT_EFFECT_SEND:
        send_message(node, &effect->message);
        break;
    case RAFT_EFFECT_SEND_SNAPSHOT:
        node_send_snapshot(node, &effect->message);
        break;
    case RAFT_EFFECT_STORE_CHUNK:
        node_store_chunk(node, effect);
        break;
    case RAFT_EFFECT_APPLY:
        apply_all(node, effect->entries.list, effect->entries.count);
        try_reads(node);
        break;
    case RAFT_EFFECT_ROLE:
        on_role(node, effect);
        break;
    case RAFT_EFFECT_STEP_DOWN:
        journal_write(JOURNAL_INFO, "step-down", "%s", raft_reason_text(effect->step_down.reason));
        node->leading = false;
        end_flights(node);
        break;
    case RAFT_EFFECT_PROPOSED:
        on_proposed(node, effect);
        break;
    case RAFT_EFFECT_REFUSED:
        on_refused(node, effect->refused.reason);
        break;
    case RAFT_EFFECT_READ_READY:
        node->read_index = effect->read.index;
        try_reads(node);
        break;
    case RAFT_EFFECT_READ_FAILED:
        end_reads(node, false);
        break;
    case RAFT_EFFECT_MEMBERSHIP:
        on_membership(node, effect);
        break;
    case RAFT_EFFECT_CONFIG:
        listener->members(listener->context, effect->config);
        break;
    case RAFT_EFFECT_DISK_CHANGED:
    case RAFT_EFFECT_DISK_SUSPECT:
        on_disk_news(node, effect);
        break;
    }
}

/* An idle leader lets time pass when somebody waits for it. */
static void submit_tick(struct node *node)
{
    if (!node->leading || node->tick_in_flight || node->batch_tags.count > 0 ||
        state_next_ms(node->state) > node_time_ms(node))
        return;
    node->tick_in_flight = true;
    node->counters.ticks++;
    node_submit(node, &(struct command){.type = COMMAND_TICK}, NULL, NULL);
}

void node_turn(struct node *node)
{
    node->read_bytes = 0;
    try_reads(node);
    start_reads(node);
    submit_tick(node);
    propose(node);
    node_snapshot_turn(node);
}

/* Life. */

bool node_formed(const struct node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    return status.last > 0 || status.term > 0 || status.config->count > 0;
}

const struct entry *node_founding(const struct node *node)
{
    const struct entry *entry = raft_entry(node->raft, 1);
    return entry != NULL && entry->type == ENTRY_CONFIG && entry->term == 1 ? entry : NULL;
}

bool node_open(struct node *node, const struct config *config, const struct node_listener *listener,
               struct queue_error *error)
{
    *node = (struct node){.config = config, .listener = listener};
    node->flights_end = &node->flights;
    if (disk_open(&node->disk, config->directory, error) != DISK_OK)
        return false;
    if (node_load(node, error))
        return true;
    disk_close(&node->disk);
    return false;
}

void node_close(struct node *node)
{
    on_refused(node, RAFT_NOT_LEADER);
    end_flights(node);
    end_reads(node, false);
    node->reads_now = node->reads_next;
    node->reads_next = (struct node_tags){0};
    end_reads(node, false);
    raft_close(node->raft);
    raft_effects_free(&node->effects);
    storage_close(&node->storage);
    if (node->sending_open)
        snapshot_close(&node->sending);
    state_free(node->state);
    command_batch_free(&node->batch);
    free(node->pending);
    disk_close(&node->disk);
}
