/* Elections, one rule at a time. */
#include "tests/queue/lib/raft_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct raft_message vote_request(uint32_t node, enum raft_message_type type, uint64_t term,
                                        uint64_t index, uint64_t log_term)
{
    struct raft_message request = fixture_from(node, type, term);
    request.index = index;
    request.log_term = log_term;
    return request;
}

static void silence_leads_to_a_pre_vote_first(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_tick(fixture, 99);
    assert_int_equal(fixture->effects.count, 0);
    fixture_tick(fixture, 1);
    assert_int_equal(fixture_status(fixture).role, RAFT_PRECANDIDATE);
    assert_int_equal(fixture_status(fixture).term, 1); /* nothing has happened yet */
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_PREVOTE, 2)->term, 2);
    assert_non_null(fixture_sent(fixture, RAFT_MESSAGE_PREVOTE, 3));
    fixture_close(fixture);
}

static void a_candidate_asks_once_its_own_vote_is_durable(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_tick(fixture, 100);
    struct raft_message yes = fixture_from(2, RAFT_MESSAGE_PREVOTE_REPLY, 2);
    yes.flags = RAFT_FLAG_YES;
    fixture_message(fixture, yes);
    assert_int_equal(fixture_status(fixture).role, RAFT_CANDIDATE);
    assert_null(fixture_sent(fixture, RAFT_MESSAGE_VOTE, 0));
    fixture_persist(fixture);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_VOTE, 3)->term, 2);
    fixture_close(fixture);
}

static void a_vote_is_told_once_it_is_durable(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_message(fixture, vote_request(2, RAFT_MESSAGE_VOTE, 5, 1, 1));
    assert_int_equal(fixture_status(fixture).vote, 102);
    assert_null(fixture_sent(fixture, RAFT_MESSAGE_VOTE_REPLY, 0));
    fixture_persist(fixture);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_VOTE_REPLY, 2)->flags, RAFT_FLAG_YES);
    /* One vote in a term. */
    fixture_message(fixture, vote_request(3, RAFT_MESSAGE_VOTE, 5, 1, 1));
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_VOTE_REPLY, 3)->flags, 0);
    fixture_close(fixture);
}

static void an_older_log_gets_no_vote(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_message(fixture, vote_request(2, RAFT_MESSAGE_VOTE, 5, 0, 0));
    fixture_persist(fixture);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_VOTE_REPLY, 2)->flags, 0);
    assert_int_equal(fixture_status(fixture).vote, 0);
    assert_int_equal(fixture_status(fixture).term, 5);
    fixture_close(fixture);
}

static void who_hears_a_leader_is_deaf_to_candidates(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    struct raft_message append = fixture_from(2, RAFT_MESSAGE_APPEND, 1);
    append.index = append.log_term = 1;
    fixture_message(fixture, append);
    fixture_message(fixture, vote_request(3, RAFT_MESSAGE_VOTE, 9, 50, 8));
    assert_int_equal(fixture_status(fixture).term, 1);
    /* Unless that leader wishes it. */
    struct raft_message request = vote_request(3, RAFT_MESSAGE_VOTE, 9, 50, 8);
    request.flags = RAFT_FLAG_TRANSFER;
    fixture_message(fixture, request);
    assert_int_equal(fixture_status(fixture).vote, 103);
    fixture_close(fixture);
}

static void votes_of_another_disk_do_not_count(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_tick(fixture, 100);
    struct raft_message yes = fixture_from(2, RAFT_MESSAGE_PREVOTE_REPLY, 2);
    yes.flags = RAFT_FLAG_YES;
    yes.from_disk = 999;
    fixture_message(fixture, yes);
    assert_int_equal(fixture_status(fixture).role, RAFT_PRECANDIDATE);
    fixture_close(fixture);
}

static void what_is_for_another_disk_is_answered_by_a_stranger(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    struct raft_message request = vote_request(2, RAFT_MESSAGE_VOTE, 5, 1, 1);
    request.to_disk = 77;
    fixture_message(fixture, request);
    assert_int_equal(fixture_status(fixture).term, 1);
    assert_int_equal(fixture_sent(fixture, RAFT_MESSAGE_STRANGER, 2)->from_disk, 101);
    assert_int_equal(fixture->effects.count, 1);
    fixture_close(fixture);
}

static void an_empty_disk_never_votes_nor_stands(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct raft_stored stored = {.meta = {.disk = 101}};
    struct raft_options options = fixture_options();
    const char *problem;
    fixture.raft = raft_open(&options, &stored, &fixture.effects, &problem);
    assert_non_null(fixture.raft);
    fixture_message(&fixture, vote_request(2, RAFT_MESSAGE_VOTE, 5, 1, 1));
    fixture_persist(&fixture);
    assert_int_equal(fixture_sent(&fixture, RAFT_MESSAGE_VOTE_REPLY, 2)->flags, 0);
    fixture_tick(&fixture, 10000);
    assert_int_equal(fixture_status(&fixture).role, RAFT_FOLLOWER);
    assert_null(fixture_sent(&fixture, RAFT_MESSAGE_PREVOTE, 0));
    raft_close(fixture.raft);
    raft_effects_free(&fixture.effects);
}

static void the_only_voter_elects_itself(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(1);
    fixture_elect(fixture);
    assert_int_equal(fixture_status(fixture).commit, 2); /* its own disk is the majority */
    fixture_close(fixture);
}

static void a_leader_without_a_quorum_steps_down(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    fixture_tick(fixture, 50);
    fixture_acknowledge(fixture, 2, 2);
    fixture_tick(fixture, 99);
    assert_int_equal(fixture_status(fixture).role, RAFT_LEADER);
    fixture_tick(fixture, 60);
    assert_int_equal(fixture_status(fixture).role, RAFT_FOLLOWER);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_STEP_DOWN, 0)->step_down.reason,
                     RAFT_NO_QUORUM);
    fixture_close(fixture);
}

static void a_reply_of_a_higher_term_ends_leadership(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_open(3);
    fixture_elect(fixture);
    fixture_message(fixture, fixture_from(2, RAFT_MESSAGE_APPEND_REPLY, 8));
    assert_int_equal(fixture_status(fixture).role, RAFT_FOLLOWER);
    assert_int_equal(fixture_effect(fixture, RAFT_EFFECT_META, 0)->meta.term, 8);
    fixture_close(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_leads_to_a_pre_vote_first),
        cmocka_unit_test(a_candidate_asks_once_its_own_vote_is_durable),
        cmocka_unit_test(a_vote_is_told_once_it_is_durable),
        cmocka_unit_test(an_older_log_gets_no_vote),
        cmocka_unit_test(who_hears_a_leader_is_deaf_to_candidates),
        cmocka_unit_test(votes_of_another_disk_do_not_count),
        cmocka_unit_test(what_is_for_another_disk_is_answered_by_a_stranger),
        cmocka_unit_test(an_empty_disk_never_votes_nor_stands),
        cmocka_unit_test(the_only_voter_elects_itself),
        cmocka_unit_test(a_leader_without_a_quorum_steps_down),
        cmocka_unit_test(a_reply_of_a_higher_term_ends_leadership),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
