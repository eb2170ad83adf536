/* Changes of membership, leadership handed over, and snapshots, one rule at a time; and noise. */
#include "tests/queue/lib/raft_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static enum raft_reason reason(const struct fixture *fixture)
{
    return fixture_effect(fixture, RAFT_EFFECT_MEMBERSHIP, 0)->membership.reason;
}

/* A leader of term 2 whose first entry is committed, and who has heard from node 2. */
static struct fixture *leader(uint32_t voters)
{
    struct fixture *fixture = fixture_open(voters);
    fixture_elect(fixture);
    for (uint32_t node = 2; node <= voters; node++) {
        fixture_acknowledge(fixture, node, 2);
    }
    assert_int_equal(fixture_status(fixture).commit, 2);
    return fixture;
}

static void no_change_before_the_first_entry_is_committed(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_change(fixture, RAFT_CHANGE_ADD, 4, 104, RAFT_JOINING);
    assert_int_equal(reason(fixture), RAFT_NOT_LEADER);
    fixture_elect(fixture);
    fixture_change(fixture, RAFT_CHANGE_ADD, 4, 104, RAFT_JOINING);
    assert_int_equal(reason(fixture), RAFT_CHANGE_PENDING);
    fixture_close(fixture);
}

static void one_change_at_a_time(void **state)
{
    (void)state;
    struct fixture *fixture = leader(3);
    fixture_change(fixture, RAFT_CHANGE_ADD, 4, 104, RAFT_LEARNER);
    assert_int_equal(reason(fixture), RAFT_OK);
    assert_int_equal(fixture_status(fixture).config->count,
                     4); /* from the log on, not the commit */
    fixture_change(fixture, RAFT_CHANGE_REMOVE, 3, 0, 0);
    assert_int_equal(reason(fixture), RAFT_CHANGE_PENDING);
    fixture_acknowledge(fixture, 2, 3);
    fixture_acknowledge(fixture, 3, 3);
    fixture_change(fixture, RAFT_CHANGE_REMOVE, 3, 0, 0);
    assert_int_equal(reason(fixture), RAFT_OK);
    fixture_close(fixture);
}

static void a_learner_becomes_a_voter_when_it_has_caught_up(void **state)
{
    (void)state;
    struct fixture *fixture = leader(3);
    fixture_change(fixture, RAFT_CHANGE_ADD, 4, 104, RAFT_JOINING);
    fixture_acknowledge(fixture, 2, 3);
    fixture_acknowledge(fixture, 3, 3);
    fixture_change(fixture, RAFT_CHANGE_PROMOTE, 4, 0, 0);
    assert_int_equal(reason(fixture), RAFT_NOT_CAUGHT_UP);
    fixture_acknowledge(fixture, 4, 3);
    assert_int_equal(raft_config_find(fixture_status(fixture).config, 4)->standing, RAFT_VOTER);
    assert_int_equal(fixture_status(fixture).config_index, 4);
    fixture_close(fixture);
}

static void another_disk_replaces_the_first_and_has_no_vote(void **state)
{
    (void)state;
    struct fixture *fixture = leader(3);
    fixture_change(fixture, RAFT_CHANGE_ADD, 3, 203, RAFT_JOINING);
    assert_int_equal(reason(fixture), RAFT_OK);
    assert_int_equal(raft_config_voters(fixture_status(fixture).config), 2);
    struct raft_message stale = fixture_from(3, RAFT_MESSAGE_APPEND_REPLY, 2);
    stale.index = 3; /* from the disk that is out */
    fixture_message(fixture, stale);
    assert_int_equal(fixture_status(fixture).commit, 2);
    fixture_close(fixture);
}

static void a_stranger_is_told_of(void **state)
{
    (void)state;
    struct fixture *fixture = leader(3);
    struct raft_message message = fixture_from(3, RAFT_MESSAGE_STRANGER, 0);
    message.from_disk = 203;
    fixture_message(fixture, message);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_DISK_CHANGED, 0)->disk.disk, 203);
    fixture_close(fixture);
}

static void what_would_leave_no_quorum_is_refused(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    fixture_acknowledge(fixture, 2, 2); /* of node 3 nothing is heard */
    fixture_change(fixture, RAFT_CHANGE_REMOVE, 2, 0, 0);
    assert_int_equal(reason(fixture), RAFT_NO_QUORUM);
    fixture_change(fixture, RAFT_CHANGE_REMOVE, 3, 0, 0);
    assert_int_equal(reason(fixture), RAFT_OK);
    fixture_close(fixture);
}

static void impossible_requests_are_refused(void **state)
{
    (void)state;
    struct fixture *fixture = leader(3);
    fixture_change(fixture, RAFT_CHANGE_REMOVE, 8, 0, 0);
    assert_int_equal(reason(fixture), RAFT_NOT_MEMBER);
    fixture_change(fixture, RAFT_CHANGE_ADD, 2, 102, RAFT_JOINING);
    assert_int_equal(reason(fixture), RAFT_ALREADY);
    fixture_change(fixture, RAFT_CHANGE_ADD, 4, 102, RAFT_JOINING);
    assert_int_equal(reason(fixture), RAFT_INVALID);
    fixture_change(fixture, RAFT_CHANGE_ADD, 4, 104, RAFT_VOTER);
    assert_int_equal(reason(fixture), RAFT_INVALID);
    fixture_change(fixture, RAFT_CHANGE_PROMOTE, 2, 0, 0);
    assert_int_equal(reason(fixture), RAFT_ALREADY);
    fixture_close(fixture);
}

static void a_leader_that_removes_itself_steps_down_after_the_commit(void **state)
{
    (void)state;
    struct fixture *fixture = leader(3);
    fixture_change(fixture, RAFT_CHANGE_REMOVE, 1, 0, 0);
    fixture_persist(fixture);
    fixture_acknowledge(fixture, 2, 3);
    assert_int_equal(fixture_status(fixture).role, RAFT_LEADER); /* it does not count itself */
    fixture_acknowledge(fixture, 3, 3);
    assert_int_equal(fixture_status(fixture).commit, 3);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_STEP_DOWN, 0)->step_down.reason,
                     RAFT_REMOVED);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_APPEND, 2)->commit, 3);
    fixture_tick(fixture, 1000);
    assert_int_equal(fixture_status(fixture).role, RAFT_FOLLOWER);
    fixture_close(fixture);
}

static void one_whose_removal_is_not_committed_still_stands(void **state)
{
    (void)state;
    struct fixture *fixture = leader(3);
    fixture_change(fixture, RAFT_CHANGE_REMOVE, 1, 0, 0);
    fixture_message(fixture, fixture_from(2, RAFT_MESSAGE_APPEND_REPLY, 5));
    assert_int_equal(fixture_status(fixture).role, RAFT_FOLLOWER);
    fixture_tick(fixture, 1000);
    assert_int_equal(fixture_status(fixture).role, RAFT_PRECANDIDATE);
    fixture_close(fixture);
}

static void a_change_that_is_cut_off_is_undone(void **state)
{
    (void)state;
    struct fixture *fixture = leader(3);
    fixture_change(fixture, RAFT_CHANGE_REMOVE, 3, 0, 0);
    assert_int_equal(fixture_status(fixture).config->count, 2);
    struct entry noop = {.index = 3, .term = 5, .type = ENTRY_NOOP};
    struct raft_message message = fixture_from(2, RAFT_MESSAGE_APPEND, 5);
    message.index = message.log_term = 2;
    message.entries = &noop;
    message.entry_count = 1;
    fixture_message(fixture, message);
    assert_int_equal(fixture_status(fixture).config->count, 3);
    assert_int_equal(fixture_status(fixture).config_index, 1);
    fixture_close(fixture);
}

static void leadership_goes_to_one_that_has_all(void **state)
{
    (void)state;
    struct fixture *fixture = leader(3);
    fixture_propose(fixture, "job");
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER, .transfer = {2}};
    raft_step(fixture->raft, &event, &fixture->effects);
    assert_null(fixture_sent(fixture, RAFT_MESSAGE_TIMEOUT_NOW, 0));
    fixture_propose(fixture, "another");
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_REFUSED, 0)->refused.reason, RAFT_BUSY);
    fixture_acknowledge(fixture, 2, 3);
    assert_non_null(fixture_sent(fixture, RAFT_MESSAGE_TIMEOUT_NOW, 2));
    fixture_acknowledge(fixture, 3, 3);
    fixture_tick(fixture, 90);
    fixture_acknowledge(fixture, 2, 3);
    fixture_tick(fixture, 10); /* it did not take it */
    fixture_propose(fixture, "another");
    assert_non_null(fixture_effect(fixture, RAFT_EFFECT_PROPOSED, 0));
    fixture_close(fixture);
}

static void timeout_now_is_an_election_without_asking_first(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    struct raft_message append = fixture_from(2, RAFT_MESSAGE_APPEND, 1);
    append.index = append.log_term = 1;
    fixture_message(fixture, append);
    fixture_message(fixture, fixture_from(3, RAFT_MESSAGE_TIMEOUT_NOW, 1)); /* not the leader */
    assert_int_equal(fixture_status(fixture).role, RAFT_FOLLOWER);
    fixture_message(fixture, fixture_from(2, RAFT_MESSAGE_TIMEOUT_NOW, 1));
    assert_int_equal(fixture_status(fixture).role, RAFT_CANDIDATE);
    fixture_persist(fixture);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_VOTE, 3)->flags, RAFT_FLAG_TRANSFER);
    fixture_close(fixture);
}

static void who_lacks_what_is_compacted_gets_the_snapshot(void **state)
{
    (void)state;
    struct fixture *fixture = leader(3);
    fixture_propose(fixture, "job");
    fixture_acknowledge(fixture, 2, 3);
    fixture_acknowledge(fixture, 3, 3);
    struct raft_event taken = {.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = {3, true}};
    raft_step(fixture->raft, &taken, &fixture->effects);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_COMPACT, 0)->index, 3);
    fixture_change(fixture, RAFT_CHANGE_ADD, 4, 104, RAFT_LEARNER);
    const struct raft_message *probe = fixture_sent(fixture, RAFT_MESSAGE_APPEND, 4);
    struct raft_message no = fixture_from(4, RAFT_MESSAGE_APPEND_REPLY, 2);
    no.flags = RAFT_FLAG_NO;
    no.index = probe->index;
    no.round = probe->round;
    fixture_message(fixture, no);
    const struct raft_message *chunk = fixture_sent(fixture, RAFT_MESSAGE_SNAPSHOT, 4);
    assert_int_equal(chunk->index, 3);
    assert_int_equal(chunk->offset, 0);
    assert_int_equal(chunk->config->count, 3);
    struct raft_message more = fixture_from(4, RAFT_MESSAGE_SNAPSHOT_REPLY, 2);
    more.index = 3;
    more.offset = 4096;
    fixture_message(fixture, more);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_SNAPSHOT, 4)->offset, 4096);
    fixture_close(fixture);
}

static struct raft_message chunk_of(const struct raft_config *config, uint64_t offset,
                                    uint32_t flags)
{
    struct raft_message chunk = fixture_from(2, RAFT_MESSAGE_SNAPSHOT, 1);
    chunk.index = 50;
    chunk.log_term = 1;
    chunk.config = config;
    chunk.offset = offset;
    chunk.data = "0123";
    chunk.length = 4;
    chunk.flags = flags;
    return chunk;
}

static void a_snapshot_is_received_verified_and_installed(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    struct raft_config config = fixture_config(5);
    fixture_message(fixture, chunk_of(&config, 4, 0)); /* out of order: wants the first */
    assert_null(fixture_effect(fixture, RAFT_EFFECT_STORE_CHUNK, 0));
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_SNAPSHOT_REPLY, 2)->offset, 0);
    fixture_message(fixture, chunk_of(&config, 0, 0));
    assert_memory_equal(fixture_effect(fixture, RAFT_EFFECT_STORE_CHUNK, 0)->chunk.data, "0123", 4);
    fixture_message(fixture, chunk_of(&config, 0, 0)); /* doubled on the way */
    assert_null(fixture_effect(fixture, RAFT_EFFECT_STORE_CHUNK, 0));
    fixture_message(fixture, chunk_of(&config, 4, RAFT_FLAG_LAST));
    assert_true(fixture_effect(fixture, RAFT_EFFECT_STORE_CHUNK, 0)->chunk.last);
    struct raft_event verified = {.type = RAFT_EVENT_SNAPSHOT_VERIFIED, .snapshot = {50, true}};
    raft_step(fixture->raft, &verified, &fixture->effects);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_INSTALL, 0)->snapshot.index, 50);
    assert_int_equal(fixture_status(fixture).config->count, 5);
    assert_int_equal(fixture_status(fixture).commit, 50);
    assert_int_equal(fixture_status(fixture).persisted, 0); /* not before it is durable */
    fixture_persist(fixture);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_APPEND_REPLY, 2)->index, 50);
    fixture_close(fixture);
}

static void a_bad_snapshot_is_asked_for_again(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    struct raft_config config = fixture_config(3);
    fixture_message(fixture, chunk_of(&config, 0, RAFT_FLAG_LAST));
    struct raft_event verified = {.type = RAFT_EVENT_SNAPSHOT_VERIFIED, .snapshot = {50, false}};
    raft_step(fixture->raft, &verified, &fixture->effects);
    assert_null(fixture_effect(fixture, RAFT_EFFECT_INSTALL, 0));
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_SNAPSHOT_REPLY, 2)->offset, 0);
    fixture_close(fixture);
}

static void what_cannot_be_stored_is_not_opened(void **state)
{
    (void)state;
    struct raft_options options = fixture_options();
    struct raft_effects effects = {0};
    const char *problem;
    struct entry entries[] = {{4, 1, ENTRY_NOOP, 0, NULL}, {6, 1, ENTRY_NOOP, 0, NULL}};
    struct raft_stored stored = {.meta = {.disk = 1}, .entries = entries, .entry_count = 2};
    assert_null(raft_open(&options, &stored, &effects, &problem));
    assert_string_equal(problem, "the log has a gap");
    stored.entry_count = 1;
    assert_null(raft_open(&options, &stored, &effects, &problem));
    assert_string_equal(problem, "entries are missing between the snapshot and the log");
    stored = (struct raft_stored){.entries = entries};
    assert_null(raft_open(&options, &stored, &effects, &problem));
    assert_string_equal(problem, "the disk has no id");
    raft_effects_free(&effects);
}

/* A crash between installing a snapshot and dropping the log that it replaces. */
static void a_log_that_the_snapshot_contradicts_is_dropped(void **state)
{
    (void)state;
    struct raft_options options = fixture_options();
    struct raft_effects effects = {0};
    const char *problem;
    struct entry entries[3];
    for (uint64_t i = 0; i < 3; i++) {
        entries[i] = (struct entry){.index = i + 1, .term = 1, .type = ENTRY_NOOP};
    }
    struct raft_stored stored = {.meta = {.disk = 1, .term = 3},
                                 .snapshot_index = 2,
                                 .snapshot_term = 2,
                                 .snapshot_config = fixture_config(3),
                                 .entries = entries,
                                 .entry_count = 3};
    struct raft *raft = raft_open(&options, &stored, &effects, &problem);
    assert_non_null(raft);
    struct raft_status status;
    raft_status(raft, &status);
    assert_int_equal(status.last, 2);
    assert_int_equal(effects.list[0].type, RAFT_EFFECT_RESET);
    assert_int_equal(effects.list[0].index, 2);
    raft_close(raft);
    stored.snapshot_term = 1; /* the same log: what is behind the snapshot stays */
    raft = raft_open(&options, &stored, &effects, &problem);
    raft_status(raft, &status);
    assert_int_equal(status.last, 3);
    raft_close(raft);
    raft_effects_free(&effects);
}

static uint64_t noise;

static uint64_t draw(uint64_t bound)
{
    noise = noise * 6364136223846793005u + 1442695040888963407u;
    return (noise >> 33) % bound;
}

/* Any message that decodes, from anybody, in any order: nothing may break but what it says. */
static void noisy_message(struct fixture *fixture)
{
    static struct raft_config config;
    static struct entry entries[3];
    config = fixture_config(1 + (uint32_t)draw(5));
    struct raft_message message = {
        .type = (enum raft_message_type)(1 + draw(RAFT_MESSAGE_TYPES - 1)),
        .flags = (uint32_t)draw(16),
        .from = 1 + (uint32_t)draw(4),
        .to = 1,
        .to_disk = 101 + (draw(20) == 0),
        .term = draw(10) == 0 ? draw(1000) : fixture_status(fixture).term + draw(2),
        .index = draw(fixture_status(fixture).last + 4),
        .hint = draw(40),
        .commit = draw(60),
        .round = draw(50),
        .offset = draw(3) * 4};
    message.from_disk = 100 + message.from;
    message.log_term = draw(message.term + 1);
    message.config = &config;
    message.data = "0123";
    message.length = 4;
    if (message.type == RAFT_MESSAGE_SNAPSHOT && (message.index == 0 || message.log_term == 0)) {
        return;
    }
    for (uint32_t i = 0; message.type == RAFT_MESSAGE_APPEND && message.log_term > 0 && i < draw(4);
         i++) {
        entries[i] =
            (struct entry){message.index + 1 + i, message.log_term, ENTRY_COMMANDS, 1, "n"};
        message.entry_count = i + 1;
    }
    message.entries = entries;
    fixture_message(fixture, message);
}

static void noise_breaks_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct fixture *fixture = fixture_open(1 + (uint32_t)(seed % 5));
        noise = seed;
        for (int step = 0; step < 3000; step++) {
            struct raft_event event = {.type =
                                           (enum raft_event_type)(RAFT_EVENT_PERSISTED + draw(6))};
            event.snapshot.good = true;
            event.snapshot.index = draw(fixture_status(fixture).last + 2);
            if (event.type == RAFT_EVENT_MEMBERSHIP) {
                fixture_change(fixture, (enum raft_change)draw(5), (uint32_t)draw(6), 100 + draw(8),
                               (enum raft_standing)draw(5));
            } else if (draw(8) == 0) {
                raft_step(fixture->raft, &event, &fixture->effects);
            } else if (draw(8) == 0) {
                fixture_tick(fixture, draw(150));
            } else if (draw(8) == 0) {
                fixture_propose(fixture, "job");
            } else if (draw(4) == 0) {
                fixture_persist(fixture);
            } else {
                noisy_message(fixture);
            }
            assert_true(fixture_status(fixture).commit <= fixture_status(fixture).last);
        }
        fixture_close(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_change_before_the_first_entry_is_committed),
        cmocka_unit_test(one_change_at_a_time),
        cmocka_unit_test(a_learner_becomes_a_voter_when_it_has_caught_up),
        cmocka_unit_test(another_disk_replaces_the_first_and_has_no_vote),
        cmocka_unit_test(a_stranger_is_told_of),
        cmocka_unit_test(what_would_leave_no_quorum_is_refused),
        cmocka_unit_test(impossible_requests_are_refused),
        cmocka_unit_test(a_leader_that_removes_itself_steps_down_after_the_commit),
        cmocka_unit_test(one_whose_removal_is_not_committed_still_stands),
        cmocka_unit_test(a_change_that_is_cut_off_is_undone),
        cmocka_unit_test(leadership_goes_to_one_that_has_all),
        cmocka_unit_test(timeout_now_is_an_election_without_asking_first),
        cmocka_unit_test(who_lacks_what_is_compacted_gets_the_snapshot),
        cmocka_unit_test(a_snapshot_is_received_verified_and_installed),
        cmocka_unit_test(a_bad_snapshot_is_asked_for_again),
        cmocka_unit_test(what_cannot_be_stored_is_not_opened),
        cmocka_unit_test(a_log_that_the_snapshot_contradicts_is_dropped),
        cmocka_unit_test(noise_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
