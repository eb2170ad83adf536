/* The Raft core's entrance: opening, one step, and what all its parts use. */
#include "queue/raft.h"

#include "queue/defect.h"
#include "queue/raft_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct raft_effect *raft_effect(struct raft *raft, enum raft_effect_type type)
{
    struct raft_effects *effects = raft->effects;
    if (effects->count == effects->capacity) {
        size_t capacity = effects->capacity ? effects->capacity * 2 : 16;
        struct raft_effect *list = realloc(effects->list, capacity * sizeof *list);
        assert(list);
        effects->list = list;
        effects->capacity = capacity;
    }
    struct raft_effect *effect = &effects->list[effects->count++];
    memset(effect, 0, sizeof *effect);
    effect->type = type;
    return effect;
}

void raft_effects_free(struct raft_effects *effects)
{
    free(effects->list);
    *effects = (struct raft_effects){0};
}

struct raft_message raft_to(const struct raft *raft, enum raft_message_type type, uint32_t node,
                            uint64_t disk)
{
    return (struct raft_message){.type = type,
                                 .from = raft->options.node,
                                 .from_disk = raft->meta.disk,
                                 .to = node,
                                 .to_disk = disk,
                                 .term = raft->meta.term};
}

void raft_send(struct raft *raft, const struct raft_message *message)
{
    raft_effect(raft, RAFT_EFFECT_SEND)->message = *message;
}

bool raft_meta_durable(const struct raft *raft)
{
    return raft->persisted_sequence >= raft->meta_sequence;
}

void raft_send_durable(struct raft *raft, const struct raft_message *message)
{
    if (raft_meta_durable(raft) || queue_defect(DEFECT_VOTE_NOT_PERSISTED)) {
        raft_send(raft, message);
        return;
    }
    if (raft->held_count == RAFT_HELD_MAX) { /* the oldest is lost, as on a network */
        raft->held_count--;
        memmove(raft->held, raft->held + 1, raft->held_count * sizeof *raft->held);
    }
    raft->held[raft->held_count++] = (struct held){raft->meta_sequence, *message};
}

static void held_release(struct raft *raft)
{
    uint32_t done = 0;
    while (done < raft->held_count && raft->held[done].sequence <= raft->persisted_sequence) {
        raft_send(raft, &raft->held[done++].message);
    }
    raft->held_count -= done;
    memmove(raft->held, raft->held + done, raft->held_count * sizeof *raft->held);
}

void raft_persist_meta(struct raft *raft)
{
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_META);
    effect->sequence = raft->meta_sequence = ++raft->sequence;
    effect->meta = raft->meta;
}

void raft_commit_to(struct raft *raft, uint64_t index)
{
    assert(index > raft->commit && index <= raft_last(raft));
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_APPLY);
    effect->entries.first = raft->commit + 1;
    effect->entries.count = index - raft->commit;
    for (uint64_t i = raft->commit + 1; i <= index; i++) {
        raft->uncommitted_bytes -= raft_window_at(raft, i)->length;
    }
    raft->commit = index;
}

bool raft_is_self(const struct raft *raft, const struct raft_member *member)
{
    return member->node == raft->options.node &&
           (member->disk == raft->meta.disk || queue_defect(DEFECT_DISK_ID_IGNORED));
}

struct peer *raft_peer(struct raft *raft, uint32_t node, uint64_t disk)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];
        if (peer->node == node && (peer->disk == disk || queue_defect(DEFECT_DISK_ID_IGNORED))) {
            return peer;
        }
    }
    return NULL;
}

bool raft_quorum(const struct raft *raft, const struct raft_config *config, bool self,
                 bool (*accept)(const struct raft *raft, const struct peer *peer, uint64_t value),
                 uint64_t value)
{
    uint32_t voters = 0, yes = 0;
    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_member *member = &config->members[i];
        if (member->standing != RAFT_VOTER) {
            continue;
        }
        voters++;
        if (raft_is_self(raft, member)) {
            yes += self;
            continue;
        }
        const struct peer *peer = raft_peer((struct raft *)raft, member->node, member->disk);
        yes += peer && !peer->suspect && accept(raft, peer, value);
    }
    return yes > voters / 2;
}

/* Time. */

static void tick(struct raft *raft, uint64_t now_ms, uint64_t random)
{
    if (now_ms > raft->now_ms) {
        raft->now_ms = now_ms;
    }
    raft->random = random;
    if (raft->role == RAFT_LEADER) {
        raft_leader_tick(raft);
    } else {
        raft_election_tick(raft);
    }
}

static void persisted(struct raft *raft, uint64_t sequence)
{
    if (sequence > raft->sequence || sequence <= raft->persisted_sequence) {
        return;
    }
    raft->persisted_sequence = sequence;
    uint64_t before = raft->persisted;
    raft_log_persisted(raft, sequence);
    held_release(raft);
    if (raft->role == RAFT_LEADER) {
        raft_leader_commit(raft);
    } else if (raft->role == RAFT_CANDIDATE) {
        raft_election_persisted(raft);
    } else if (raft->reply_due || (raft->persisted > before && raft->verified > 0)) {
        raft_reply_append(raft);
    }
}

/* Messages. */

/* This disk is not the one that the sender means: say so, lest it waits for the other for ever. Not
 * in answer to such an answer, or two that are wrong about each other would talk without end. */
static void stranger(struct raft *raft, const struct raft_message *message)
{
    if (message->type == RAFT_MESSAGE_STRANGER) {
        return;
    }
    struct raft_message reply =
        raft_to(raft, RAFT_MESSAGE_STRANGER, message->from, message->from_disk);
    reply.term = 0;
    raft_send(raft, &reply);
}

static void handle_stranger(struct raft *raft, const struct raft_message *message)
{
    const struct raft_member *member = raft_config_find(&raft->config, message->from);
    if (raft->role == RAFT_LEADER && member && member->disk != message->from_disk) {
        struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_DISK_CHANGED);
        effect->disk.node = message->from;
        effect->disk.disk = message->from_disk;
    }
}

static void message_step(struct raft *raft, const struct raft_message *message)
{
    if (message->to != raft->options.node || message->from == raft->options.node) {
        return;
    }
    if (message->to_disk != raft->meta.disk && !queue_defect(DEFECT_DISK_ID_IGNORED)) {
        stranger(raft, message);
        return;
    }
    switch (message->type) {
    case RAFT_MESSAGE_PREVOTE:
    case RAFT_MESSAGE_VOTE:
        raft_handle_vote(raft, message);
        break;
    case RAFT_MESSAGE_PREVOTE_REPLY:
    case RAFT_MESSAGE_VOTE_REPLY:
        raft_handle_vote_reply(raft, message);
        break;
    case RAFT_MESSAGE_APPEND:
        raft_handle_append(raft, message);
        break;
    case RAFT_MESSAGE_APPEND_REPLY:
        raft_handle_append_reply(raft, message);
        break;
    case RAFT_MESSAGE_SNAPSHOT:
        raft_handle_snapshot(raft, message);
        break;
    case RAFT_MESSAGE_SNAPSHOT_REPLY:
        raft_handle_snapshot_reply(raft, message);
        break;
    case RAFT_MESSAGE_TIMEOUT_NOW:
        raft_handle_timeout_now(raft, message);
        break;
    case RAFT_MESSAGE_STRANGER:
        handle_stranger(raft, message);
        break;
    default:
        break;
    }
}

/* Steps. */

static void tell_role(struct raft *raft)
{
    if (raft->role == raft->told_role && raft->meta.term == raft->told_term &&
        raft->leader == raft->told_leader) {
        return;
    }
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_ROLE);
    effect->role.role = raft->told_role = raft->role;
    effect->role.term = raft->told_term = raft->meta.term;
    effect->role.leader = raft->told_leader = raft->leader;
}

/* While a step is made the window may move in memory, so effects name entries by index until its
 * end. */
static void resolve_entries(struct raft *raft)
{
    for (size_t i = 0; i < raft->effects->count; i++) {
        struct raft_effect *effect = &raft->effects->list[i];
        if (effect->type == RAFT_EFFECT_APPEND || effect->type == RAFT_EFFECT_APPLY) {
            effect->entries.list = raft_window_at(raft, effect->entries.first);
            assert(effect->entries.list);
        } else if (effect->type == RAFT_EFFECT_SEND && effect->message.entry_count > 0) {
            effect->message.entries = raft_window_at(raft, effect->message.index + 1);
            assert(effect->message.entries);
        }
    }
}

static void step_end(struct raft *raft)
{
    tell_role(raft);
    resolve_entries(raft);
    assert(raft->commit <= raft_last(raft) && raft->window.base <= raft->commit);
    raft->effects = NULL;
}

void raft_step(struct raft *raft, const struct raft_event *event, struct raft_effects *effects)
{
    effects->count = 0;
    raft->effects = effects;
    raft_window_evict(raft);
    switch (event->type) {
    case RAFT_EVENT_TICK:
        tick(raft, event->tick.now_ms, event->tick.random);
        break;
    case RAFT_EVENT_MESSAGE:
        message_step(raft, event->message);
        break;
    case RAFT_EVENT_PROPOSE:
        raft_propose(raft, event);
        break;
    case RAFT_EVENT_PERSISTED:
        persisted(raft, event->persisted.sequence);
        break;
    case RAFT_EVENT_SNAPSHOT_TAKEN:
        raft_snapshot_taken(raft, event->snapshot.index);
        break;
    case RAFT_EVENT_SNAPSHOT_VERIFIED:
        raft_snapshot_verified(raft, event->snapshot.index, event->snapshot.good);
        break;
    case RAFT_EVENT_MEMBERSHIP:
        raft_membership(raft, event);
        break;
    case RAFT_EVENT_TRANSFER:
        raft_transfer(raft, event->transfer.node);
        break;
    case RAFT_EVENT_READ:
        raft_read(raft, event->read.id);
        break;
    }
    step_end(raft);
}

/* Opening. */

struct raft_options raft_options_default(void)
{
    return (struct raft_options){
        .election_timeout_ms = 1000,
        .heartbeat_ms = 100,
        .message_bytes_max = 1 << 20,
        .inflight_messages_max = 8,
        .entry_bytes_max = 16 << 20,
        .uncommitted_entries_max = 4096,
        .uncommitted_bytes_max = 64 << 20,
        .trailing_entries = 1024,
        .catch_up_entries = 64,
    };
}

static const char *stored_check(const struct raft_stored *stored)
{
    if (stored->meta.disk == 0) {
        return "the disk has no id";
    }
    if ((stored->snapshot_index == 0) != (stored->snapshot_term == 0)) {
        return "the snapshot has an index without a term, or a term without an index";
    }
    for (uint64_t i = 0; i < stored->entry_count; i++) {
        const struct entry *entry = &stored->entries[i];
        const struct entry *before = i > 0 ? entry - 1 : NULL;
        if (entry->index == 0 || entry->term == 0 ||
            (before && entry->index != before->index + 1)) {
            return "the log has a gap";
        }
        if (before && entry->term < before->term) {
            return "terms fall within the log";
        }
        struct raft_config config;
        if (entry->type == ENTRY_CONFIG &&
            !raft_config_decode(entry->data, entry->length, &config)) {
            return "a membership in the log cannot be read";
        }
    }
    if (stored->entry_count > 0 && stored->entries[0].index > stored->snapshot_index + 1) {
        return "entries are missing between the snapshot and the log";
    }
    return NULL;
}

/* Loads the log, or none of it when the snapshot is not part of it: a crash may fall between
 * installing a snapshot and dropping the log that it replaces (the paper, figure 13). */
static bool log_joins(const struct raft_stored *stored)
{
    if (stored->entry_count == 0) {
        return stored->snapshot_index == 0; /* nor can an empty log know where it goes on */
    }
    const struct entry *first = &stored->entries[0];
    uint64_t last = first->index + stored->entry_count - 1;
    return first->index == stored->snapshot_index + 1 ||
           (last >= stored->snapshot_index &&
            first[stored->snapshot_index - first->index].term == stored->snapshot_term);
}

static void load_log(struct raft *raft, const struct raft_stored *stored)
{
    raft_window_reset(raft, stored->snapshot_index, stored->snapshot_term);
    if (!log_joins(stored)) {
        struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_RESET);
        effect->sequence = ++raft->sequence;
        effect->index = stored->snapshot_index;
        return;
    }
    const struct entry *entry = stored->entries, *end = entry + stored->entry_count;
    if (entry < end && entry->index <= stored->snapshot_index) { /* its term is that of the base */
        raft_window_reset(raft, entry->index, entry->term);
        entry++;
    }
    for (; entry < end; entry++) {
        raft_window_push(raft, entry);
        raft->uncommitted_bytes += entry->index > stored->snapshot_index ? entry->length : 0;
    }
}

struct raft *raft_open(const struct raft_options *options, const struct raft_stored *stored,
                       struct raft_effects *effects, const char **problem)
{
    effects->count = 0;
    *problem = stored_check(stored);
    if (!*problem && (options->node == 0 || options->election_timeout_ms == 0 ||
                      options->heartbeat_ms == 0 || options->inflight_messages_max == 0 ||
                      options->inflight_messages_max > RAFT_INFLIGHT_MAX)) {
        *problem = "an option is out of range";
    }
    if (*problem) {
        return NULL;
    }
    struct raft *raft = calloc(1, sizeof *raft);
    assert(raft);
    raft->reads = calloc(RAFT_READS_MAX, sizeof *raft->reads);
    assert(raft->reads);
    raft->options = *options;
    raft->now_ms = options->now_ms;
    raft->random = options->random;
    raft->effects = effects;
    raft->meta = stored->meta;
    raft->snapshot_index = raft->commit = stored->snapshot_index;
    raft->snapshot_term = stored->snapshot_term;
    raft->snapshot_config = stored->snapshot_config;
    load_log(raft, stored);
    raft->persisted = raft_last(raft);
    raft_config_rescan(raft);
    /* Entries of a term can be durable before the term itself. Nothing was said in it yet, so no
     * vote is forgotten; but its leader must not be taken for one of a term to come. */
    uint64_t last_term = raft_window_term(raft, raft_last(raft));
    if (last_term > raft->meta.term && !queue_defect(DEFECT_VOTE_NOT_PERSISTED)) {
        raft->meta.term = last_term;
        raft->meta.vote = 0;
        raft_persist_meta(raft);
    }
    raft->role = RAFT_FOLLOWER;
    raft_election_reset(raft);
    step_end(raft);
    return raft;
}

void raft_close(struct raft *raft)
{
    if (!raft) {
        return;
    }
    raft_window_free(raft);
    free(raft->reads);
    free(raft);
}

void raft_status(const struct raft *raft, struct raft_status *status)
{
    *status = (struct raft_status){
        .role = raft->role,
        .term = raft->meta.term,
        .vote = raft->meta.vote,
        .disk = raft->meta.disk,
        .node = raft->options.node,
        .leader = raft->leader,
        .first = raft->window.base + 1,
        .last = raft_last(raft),
        .commit = raft->commit,
        .persisted = raft->persisted,
        .snapshot_index = raft->snapshot_index,
        .window_bytes = raft->window.bytes,
        .memory_bytes = raft->window.memory_bytes,
        .config = &raft->config,
        .config_index = raft->config_index,
    };
}

const struct entry *raft_entry(const struct raft *raft, uint64_t index)
{
    return raft_window_at(raft, index);
}

uint64_t raft_term_at(const struct raft *raft, uint64_t index)
{
    return raft_window_term(raft, index);
}

const char *raft_reason_text(enum raft_reason reason)
{
    switch (reason) {
    case RAFT_OK:
        return "done";
    case RAFT_NOT_LEADER:
        return "this node does not lead";
    case RAFT_BUSY:
        return "too much is waiting to be committed, or leadership is being handed over";
    case RAFT_TOO_LARGE:
        return "larger than an entry may be";
    case RAFT_CHANGE_PENDING:
        return "an earlier change, or the leader's first entry, is not yet committed";
    case RAFT_NOT_MEMBER:
        return "no such member";
    case RAFT_ALREADY:
        return "it is so already";
    case RAFT_FULL:
        return "the cluster has as many members as it can have";
    case RAFT_NOT_CAUGHT_UP:
        return "the learner has not caught up";
    case RAFT_NO_QUORUM:
        return "a quorum was not heard of";
    case RAFT_HIGHER_TERM:
        return "a newer term has begun";
    case RAFT_REMOVED:
        return "this node is no voter any more";
    case RAFT_INVALID:
        return "not a possible request";
    }
    return "unknown";
}
