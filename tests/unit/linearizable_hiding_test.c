/* The search with hiding is held against brute force, and the test that holds it is itself tested:
 * rules that once looked right are planted one at a time, and it must notice each. */
#include <stdlib.h>

#include "checkers/linearizable/verify.h"
#include "tests/lib/lin_brute.h"
#include "tests/lib/lin_random.h"
#include "tests/lib/lin_subject.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

enum { CASES = SANITIZED ? 8000 : 100000 };

enum kind { CAS_REGISTER, REGISTER, LOCK };

/* Draws the i-th history of a sequence. */
static size_t draw(struct prng *prng, enum kind kind, uint32_t i, struct lin_text_op *ops)
{
    static const double shares[] = {0, 0, 0.3, 0.5};
    struct lin_random random = {.ops = (uint32_t)prng_between(prng, 3, 7),
                                .clients = (uint32_t)prng_between(prng, 2, 5),
                                .values = (uint32_t)prng_between(prng, 2, 5),
                                .info = shares[prng_below(prng, 4)],
                                .cas = kind == CAS_REGISTER ? 0.4 : 0,
                                .write = 0.1 + 0.3 * prng_unit(prng),
                                .locks = kind == LOCK};
    switch (kind == CAS_REGISTER ? i % 4 : i % 2) {
    case 0:
        lin_random_valid(prng, &random, ops);
        break;
    case 1:
        lin_random_valid(prng, &random, ops);
        lin_random_spoil(prng, &random, ops);
        break;
    case 2:
        lin_random_anything(prng, &random, ops);
        break;
    default:
        lin_random_places(prng, &random, ops);
    }
    return random.ops;
}

/* Is what the search says, exactly, under free supply and in a narrow beam, what brute force says?
 */
static bool agrees(const struct lin_text_op *ops, size_t count, bool valid, unsigned defects)
{
    static const struct lin_hiding_options ways[] = {{.width = 0}, {.is_free = true}, {.width = 2}};
    struct lin_subject subject;
    bool agrees = true;
    lin_subject_open(&subject, ops, count);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && agrees; i++) {
        struct lin_hiding_options options = ways[i];
        struct lin_answer answer;
        options.defects = defects;
        lin_hiding(&subject.problem, &options, &subject.budget, &answer);
        if (answer.verdict == VERDICT_UNKNOWN)
            agrees = options.is_free;
        else
            agrees = (answer.verdict == VERDICT_VALID) == valid;
        if (answer.verdict == VERDICT_VALID && answer.order != NULL)
            agrees = agrees && lin_verify(&subject.problem, answer.order, answer.order_count);
        free(answer.order);
    }
    lin_subject_close(&subject);
    return agrees;
}

/* How many histories until one is judged wrongly; `most` when none is. */
static uint32_t search_for_a_wrong_verdict(enum kind kind, unsigned defects, uint32_t most,
                                           uint32_t counts[2])
{
    struct prng prng = prng_stream(20261128, "hiding");
    for (uint32_t i = 0; i < most; i++) {
        struct lin_text_op ops[LIN_RANDOM_FEW];
        size_t count = draw(&prng, kind, i, ops);
        bool valid = lin_brute_valid(ops, count);
        counts[valid]++;
        if (agrees(ops, count, valid, defects))
            continue;
        struct buf text = BUF_INIT;
        lin_text_print(ops, count, &text);
        print_message("%s, judged wrongly: %s\n", valid ? "valid" : "invalid", buf_text(&text));
        buf_free(&text);
        return i;
    }
    return most;
}

static void no_history_of_this_kind_is_judged_wrongly(void **state)
{
    enum kind kind = *(enum kind *)*state;
    uint32_t counts[2] = {0, 0};
    assert_int_equal(search_for_a_wrong_verdict(kind, 0, CASES, counts), CASES);
    /* The test is worth something only when both answers are common. */
    assert_in_range(counts[0], CASES / 30, CASES);
    assert_in_range(counts[1], CASES / 30, CASES);
}

static void catches(unsigned defect)
{
    uint32_t counts[2] = {0, 0};
    uint32_t found = search_for_a_wrong_verdict(CAS_REGISTER, defect, 4 * CASES, counts);
    print_message("noticed after %u histories\n", found);
    if (!SANITIZED)
        assert_in_range(found, 0, 4 * CASES - 1);
}

static void a_place_that_counts_by_its_own_needs_is_noticed(void **state)
{
    (void)state;
    catches(LIN_DEFECT_TOKEN_CAP);
}

static void handing_over_what_was_used_is_noticed(void **state)
{
    (void)state;
    catches(LIN_DEFECT_HAND_OVER);
}

static void supply_that_came_too_late_is_noticed(void **state)
{
    (void)state;
    catches(LIN_DEFECT_FREE_IS_EARLY);
}

int main(void)
{
    static enum kind kinds[] = {CAS_REGISTER, REGISTER, LOCK};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(no_history_of_this_kind_is_judged_wrongly, &kinds[0]),
        cmocka_unit_test_prestate(no_history_of_this_kind_is_judged_wrongly, &kinds[1]),
        cmocka_unit_test_prestate(no_history_of_this_kind_is_judged_wrongly, &kinds[2]),
        cmocka_unit_test(a_place_that_counts_by_its_own_needs_is_noticed),
        cmocka_unit_test(handing_over_what_was_used_is_noticed),
        cmocka_unit_test(supply_that_came_too_late_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
