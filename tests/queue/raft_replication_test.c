/* Replication, durability, commits and reads, one rule at a time. */
#include "tests/queue/lib/raft_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct raft_message append(uint64_t term, uint64_t index, uint64_t log_term,
                                  const struct entry *entries, uint32_t count)
{
    struct raft_message message = fixture_from(2, RAFT_MESSAGE_APPEND, term);
    message.index = index;
    message.log_term = log_term;
    message.entries = entries;
    message.entry_count = count;
    message.round = 1;
    return message;
}

static void a_leader_sends_before_its_own_disk_is_done(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    fixture_acknowledge(fixture, 2, 2);
    fixture_propose(fixture, "job");
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_PROPOSED, 0)->proposed.first, 3);
    assert_memory_equal(fixture_effect(fixture, RAFT_EFFECT_APPEND, 0)->entries.list[0].data, "job",
                        3);
    const struct raft_message *sent = fixture_sent(fixture, RAFT_MESSAGE_APPEND, 2);
    assert_int_equal(sent->entry_count, 1);
    assert_memory_equal(sent->entries[0].data, "job", 3);
    /* One follower's disk is no majority of three; with the own it is. */
    uint64_t sequence = fixture_effect(fixture, RAFT_EFFECT_APPEND, 0)->sequence;
    fixture_acknowledge(fixture, 2, 3);
    assert_int_equal(fixture_status(fixture).commit, 2);
    struct raft_event event = {.type = RAFT_EVENT_PERSISTED, .persisted = {sequence}};
    raft_step(fixture->raft, &event, &fixture->effects);
    assert_int_equal(fixture_status(fixture).commit, 3);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_APPLY, 0)->entries.first, 3);
    fixture_close(fixture);
}

static void two_followers_commit_what_the_leaders_disk_lacks(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    fixture_propose(fixture, "job");
    fixture_acknowledge(fixture, 2, 3);
    fixture_acknowledge(fixture, 3, 3);
    assert_int_equal(fixture_status(fixture).commit, 3);
    assert_int_equal(fixture_status(fixture).persisted, 2);
    fixture_close(fixture);
}

static void acknowledgements_of_another_disk_do_not_count(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    struct raft_message reply = fixture_from(2, RAFT_MESSAGE_APPEND_REPLY, 2);
    reply.index = 2;
    reply.from_disk = 999;
    fixture_message(fixture, reply);
    assert_int_equal(fixture_status(fixture).commit, 0);
    fixture_close(fixture);
}

static void a_follower_acknowledges_what_is_durable(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    struct entry entry = {2, 1, ENTRY_COMMANDS, 1, "x"};
    fixture_message(fixture, append(1, 1, 1, &entry, 1));
    uint64_t sequence = fixture_effect(fixture, RAFT_EFFECT_APPEND, 0)->sequence;
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_APPEND_REPLY, 2)->index, 1);
    struct raft_event event = {.type = RAFT_EVENT_PERSISTED, .persisted = {sequence}};
    raft_step(fixture->raft, &event, &fixture->effects);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_APPEND_REPLY, 2)->index, 2);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_APPEND_REPLY, 2)->round, 1);
    fixture_close(fixture);
}

static void nothing_is_acknowledged_before_the_term_is_durable(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_message(fixture, append(4, 1, 1, NULL, 0));
    assert_null(fixture_sent(fixture, RAFT_MESSAGE_APPEND_REPLY, 0));
    fixture_persist(fixture);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_APPEND_REPLY, 2)->term, 4);
    fixture_close(fixture);
}

static void a_late_completion_does_not_vouch_for_what_was_cut(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    struct entry old = {2, 1, ENTRY_COMMANDS, 1, "x"}, new = {2, 3, ENTRY_COMMANDS, 1, "y"};
    fixture_message(fixture, append(1, 1, 1, &old, 1));
    uint64_t first = fixture_effect(fixture, RAFT_EFFECT_APPEND, 0)->sequence;
    fixture_message(fixture, append(3, 1, 1, &new, 1));
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_TRUNCATE, 0)->index, 1);
    struct raft_event event = {.type = RAFT_EVENT_PERSISTED, .persisted = {first}};
    raft_step(fixture->raft, &event, &fixture->effects);
    assert_int_equal(fixture_status(fixture).persisted, 1);
    assert_memory_equal(raft_entry(fixture->raft, 2)->data, "y", 1);
    fixture_close(fixture);
}

static void a_gap_is_refused_with_a_hint(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_message(fixture, append(1, 50, 1, NULL, 0));
    const struct raft_message *reply = fixture_sent(fixture, RAFT_MESSAGE_APPEND_REPLY, 2);
    assert_int_equal(reply->flags, RAFT_FLAG_NO);
    assert_int_equal(reply->index, 50);
    assert_int_equal(reply->hint, 1);
    assert_int_equal(reply->log_term, 1);
    fixture_close(fixture);
}

static void an_old_leader_learns_the_term_and_nothing_else(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_message(fixture, append(4, 1, 1, NULL, 0));
    fixture_persist(fixture);
    fixture_message(fixture, append(3, 40, 3, NULL, 0));
    const struct raft_message *reply = fixture_sent(fixture, RAFT_MESSAGE_APPEND_REPLY, 2);
    assert_int_equal(reply->term, 4);
    assert_int_equal(reply->round, 0); /* it may lead term 4 by now, with rounds of its own */
    assert_int_equal(reply->index, 0);
    fixture_close(fixture);
}

static void entries_of_earlier_terms_wait_for_one_of_this(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    struct entry old = {2, 1, ENTRY_COMMANDS, 1, "x"};
    fixture_message(fixture, append(1, 1, 1, &old, 1));
    fixture_persist(fixture);
    fixture_elect(fixture); /* its first entry is 3 */
    fixture_acknowledge(fixture, 2, 2);
    assert_int_equal(fixture_status(fixture).commit, 0);
    fixture_acknowledge(fixture, 2, 3);
    assert_int_equal(fixture_status(fixture).commit, 3);
    fixture_close(fixture);
}

static void what_is_on_the_way_is_bounded(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    fixture_acknowledge(fixture, 2, 2);
    uint32_t inflight = fixture_options().inflight_messages_max, sent = 0;
    for (uint32_t i = 0; i < 3 * inflight; i++) {
        fixture_propose(fixture, "job");
        sent += fixture_sent(fixture, RAFT_MESSAGE_APPEND, 2) != NULL;
    }
    assert_int_equal(sent, inflight);
    /* An answer makes room, and what waited goes out together. */
    fixture_acknowledge(fixture, 2, 3);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_APPEND, 2)->entry_count, 2 * inflight);
    fixture_close(fixture);
}

static void too_much_is_refused(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_propose(fixture, "job");
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_REFUSED, 0)->refused.reason,
                     RAFT_NOT_LEADER);
    fixture_elect(fixture);
    fixture_propose_many(fixture, 4096);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_REFUSED, 0)->refused.reason, RAFT_BUSY);
    fixture_propose_many(fixture, 4000);
    assert_non_null(fixture_effect(fixture, RAFT_EFFECT_PROPOSED, 0));
    fixture_propose_many(fixture, 100);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_REFUSED, 0)->refused.reason, RAFT_BUSY);
    fixture_close(fixture);
}

static void reads_wait_for_a_quorum_asked_afterwards(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    fixture_acknowledge(fixture, 2, 2);
    struct raft_event event = {.type = RAFT_EVENT_READ, .read = {42}};
    raft_step(fixture->raft, &event, &fixture->effects);
    assert_null(fixture_effect(fixture, RAFT_EFFECT_READ_READY, 0));
    uint64_t round = fixture_sent(fixture, RAFT_MESSAGE_APPEND, 3)->round;
    struct raft_message reply = fixture_from(3, RAFT_MESSAGE_APPEND_REPLY, 2);
    reply.round = 1; /* of before the read */
    fixture_message(fixture, reply);
    assert_null(fixture_effect(fixture, RAFT_EFFECT_READ_READY, 0));
    reply.round = round;
    fixture_message(fixture, reply);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_READ_READY, 0)->read.id, 42);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_READ_READY, 0)->read.index, 2);
    fixture_close(fixture);
}

static void reads_wait_for_the_first_entry_of_the_term(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    struct raft_event event = {.type = RAFT_EVENT_READ, .read = {42}};
    raft_step(fixture->raft, &event, &fixture->effects);
    fixture_acknowledge(fixture, 2, 1);
    assert_null(fixture_effect(fixture, RAFT_EFFECT_READ_READY, 0));
    fixture_acknowledge(fixture, 2, 2);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_READ_READY, 0)->read.index, 2);
    fixture_close(fixture);
}

static void reads_fail_with_the_leader(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    struct raft_event event = {.type = RAFT_EVENT_READ, .read = {42}};
    raft_step(fixture->raft, &event, &fixture->effects);
    fixture_message(fixture, fixture_from(3, RAFT_MESSAGE_APPEND_REPLY, 9));
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_READ_FAILED, 0)->read.id, 42);
    raft_step(fixture->raft, &event, &fixture->effects);
    assert_non_null(fixture_effect(fixture, RAFT_EFFECT_READ_FAILED, 0));
    fixture_close(fixture);
}

static void a_disk_that_lost_what_it_acknowledged_is_suspect(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    fixture_acknowledge(fixture, 2, 2);
    fixture_tick(fixture, 20);
    struct raft_message no = fixture_from(2, RAFT_MESSAGE_APPEND_REPLY, 2);
    no.flags = RAFT_FLAG_NO;
    no.index = 2;
    no.round = fixture_sent(fixture, RAFT_MESSAGE_APPEND, 2)->round;
    fixture_message(fixture, no);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_DISK_SUSPECT, 0)->disk.disk, 102);
    fixture_propose(fixture, "job");
    assert_null(fixture_sent(fixture, RAFT_MESSAGE_APPEND, 2));
    fixture_persist(fixture);
    fixture_acknowledge(fixture, 2, 3);
    assert_int_equal(fixture_status(fixture).commit, 2);
    fixture_acknowledge(fixture, 3, 3);
    assert_int_equal(fixture_status(fixture).commit, 3);
    fixture_close(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_sends_before_its_own_disk_is_done),
        cmocka_unit_test(two_followers_commit_what_the_leaders_disk_lacks),
        cmocka_unit_test(acknowledgements_of_another_disk_do_not_count),
        cmocka_unit_test(a_follower_acknowledges_what_is_durable),
        cmocka_unit_test(nothing_is_acknowledged_before_the_term_is_durable),
        cmocka_unit_test(a_late_completion_does_not_vouch_for_what_was_cut),
        cmocka_unit_test(a_gap_is_refused_with_a_hint),
        cmocka_unit_test(an_old_leader_learns_the_term_and_nothing_else),
        cmocka_unit_test(entries_of_earlier_terms_wait_for_one_of_this),
        cmocka_unit_test(what_is_on_the_way_is_bounded),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(reads_wait_for_a_quorum_asked_afterwards),
        cmocka_unit_test(reads_wait_for_the_first_entry_of_the_term),
        cmocka_unit_test(reads_fail_with_the_leader),
        cmocka_unit_test(a_disk_that_lost_what_it_acknowledged_is_suspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
