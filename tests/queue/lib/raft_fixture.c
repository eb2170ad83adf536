/* One core, played with by hand. */
#include "tests/queue/lib/raft_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct raft_options fixture_options(void)
{
    struct raft_options options = raft_options_default();
    options.node = 1;
    options.election_timeout_ms = 100;
    options.heartbeat_ms = 20;
    options.trailing_entries = 0;
    options.catch_up_entries = 2;
    return options;
}

struct raft_config fixture_config(uint32_t voters)
{
    struct raft_config config = {.count = voters};
    for (uint32_t i = 0; i < voters; i++) {
        config.members[i] =
            (struct raft_member){.node = i + 1, .disk = 101 + i, .standing = RAFT_VOTER};
    }
    return config;
}

struct fixture *fixture_open(uint32_t voters)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    struct raft_config config = fixture_config(voters);
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
    struct entry first = {.index = 1, .term = 1, .type = ENTRY_CONFIG};
    first.length = (uint32_t)raft_config_encode(&config, bytes);
    first.data = bytes;
    struct raft_stored stored = {
        .meta = {.disk = 101, .term = 1}, .entries = &first, .entry_count = 1};
    struct raft_options options = fixture_options();
    const char *problem;
    fixture->raft = raft_open(&options, &stored, &fixture->effects, &problem);
    assert_non_null(fixture->raft);
    return fixture;
}

void fixture_close(struct fixture *fixture)
{
    raft_close(fixture->raft);
    raft_effects_free(&fixture->effects);
    free(fixture);
}

void fixture_tick(struct fixture *fixture, uint64_t ms)
{
    fixture->now_ms += ms;
    struct raft_event event = {.type = RAFT_EVENT_TICK, .tick = {fixture->now_ms, 0}};
    raft_step(fixture->raft, &event, &fixture->effects);
}

void fixture_persist(struct fixture *fixture)
{
    uint64_t sequence = 0;
    for (size_t i = 0; i < fixture->effects.count; i++) {
        if (fixture->effects.list[i].sequence > sequence) {
            sequence = fixture->effects.list[i].sequence;
        }
    }
    struct raft_event event = {.type = RAFT_EVENT_PERSISTED, .persisted = {sequence}};
    raft_step(fixture->raft, &event, &fixture->effects);
}

void fixture_message(struct fixture *fixture, struct raft_message message)
{
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE, .message = &message};
    raft_step(fixture->raft, &event, &fixture->effects);
}

struct raft_message fixture_from(uint32_t node, enum raft_message_type type, uint64_t term)
{
    return (struct raft_message){
        .type = type, .from = node, .from_disk = 100 + node, .to = 1, .to_disk = 101, .term = term};
}

void fixture_propose(struct fixture *fixture, const char *data)
{
    struct raft_proposal proposal = {data, (uint32_t)strlen(data)};
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE, .propose = {&proposal, 1, 7}};
    raft_step(fixture->raft, &event, &fixture->effects);
}

void fixture_propose_many(struct fixture *fixture, uint32_t count)
{
    struct raft_proposal *proposals = calloc(count, sizeof *proposals);
    assert_non_null(proposals);
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE, .propose = {proposals, count, 7}};
    raft_step(fixture->raft, &event, &fixture->effects);
    free(proposals);
}

void fixture_change(struct fixture *fixture, enum raft_change change, uint32_t node, uint64_t disk,
                    enum raft_standing standing)
{
    struct raft_event event = {.type = RAFT_EVENT_MEMBERSHIP};
    event.membership.change = change;
    event.membership.member =
        (struct raft_member){.node = node, .disk = disk, .standing = standing};
    event.membership.id = 9;
    raft_step(fixture->raft, &event, &fixture->effects);
}

void fixture_elect(struct fixture *fixture)
{
    uint32_t nodes = fixture_status(fixture).config->count;
    fixture_tick(fixture, 300);
    for (uint32_t node = 2; node <= nodes && fixture_status(fixture).role == RAFT_PRECANDIDATE;
         node++) {
        struct raft_message yes =
            fixture_from(node, RAFT_MESSAGE_PREVOTE_REPLY, fixture_status(fixture).term + 1);
        yes.flags = RAFT_FLAG_YES;
        fixture_message(fixture, yes);
    }
    fixture_persist(fixture);
    for (uint32_t node = 2; node <= nodes && fixture_status(fixture).role == RAFT_CANDIDATE;
         node++) {
        struct raft_message yes =
            fixture_from(node, RAFT_MESSAGE_VOTE_REPLY, fixture_status(fixture).term);
        yes.flags = RAFT_FLAG_YES;
        fixture_message(fixture, yes);
    }
    assert_int_equal(fixture_status(fixture).role, RAFT_LEADER);
    fixture_persist(fixture);
}

void fixture_acknowledge(struct fixture *fixture, uint32_t node, uint64_t index)
{
    struct raft_message reply =
        fixture_from(node, RAFT_MESSAGE_APPEND_REPLY, fixture_status(fixture).term);
    reply.index = index;
    for (size_t i = 0; i < fixture->effects.count; i++) {
        const struct raft_effect *effect = &fixture->effects.list[i];
        if (effect->type == RAFT_EFFECT_SEND && effect->message.to == node) {
            reply.round = effect->message.round;
        }
    }
    fixture_message(fixture, reply);
}

struct raft_status fixture_status(const struct fixture *fixture)
{
    struct raft_status status;
    raft_status(fixture->raft, &status);
    return status;
}

const struct raft_effect *fixture_effect(const struct fixture *fixture, enum raft_effect_type type,
                                         size_t nth)
{
    for (size_t i = 0; i < fixture->effects.count; i++) {
        if (fixture->effects.list[i].type == type && nth-- == 0) {
            return &fixture->effects.list[i];
        }
    }
    return NULL;
}

const struct raft_message *fixture_sent(const struct fixture *fixture, enum raft_message_type type,
                                        uint32_t node)
{
    for (size_t i = 0; i < fixture->effects.count; i++) {
        const struct raft_effect *effect = &fixture->effects.list[i];
        if ((effect->type == RAFT_EFFECT_SEND || effect->type == RAFT_EFFECT_SEND_SNAPSHOT) &&
            effect->message.type == type && (node == 0 || effect->message.to == node)) {
            return &effect->message;
        }
    }
    return NULL;
}
