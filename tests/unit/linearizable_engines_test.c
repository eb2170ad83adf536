/* The engines agree with brute force on small histories, with each other on larger ones, and with
 * how a history was made on long ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/engine.h"
#include "checkers/linearizable/monitor.h"
#include "checkers/linearizable/verify.h"
#include "tests/lib/lin_brute.h"
#include "tests/lib/lin_random.h"
#include "tests/lib/lin_subject.h"
#include "tests/lib/test.h"

/* ---- Engines on one history ---- */

static void show(const char *what, const struct lin_text_op *ops, size_t count,
                 enum verdict expected, enum verdict got)
{
    struct buf text = BUF_INIT;
    lin_text_print(ops, count, &text);
    print_error("%s: expected %s, got %s on %s\n", what, verdict_name(expected), verdict_name(got),
                buf_text(&text));
    buf_free(&text);
    fail();
}

/* An order is asked for and replayed whenever the answer is VALID. */
static void judge(const char *what, const struct lin_subject *subject, struct lin_answer *answer,
                  enum verdict expected, bool wants_order, const struct lin_text_op *ops,
                  size_t count)
{
    if (answer->verdict != expected)
        show(what, ops, count, expected, answer->verdict);
    if (wants_order && answer->verdict == VERDICT_VALID) {
        assert_non_null(answer->order);
        if (!lin_verify(&subject->problem, answer->order, answer->order_count))
            show("the order is none", ops, count, expected, answer->verdict);
    }
    if (answer->verdict == VERDICT_INVALID)
        assert_int_not_equal(answer->at, LIN_NEVER);
    free(answer->order);
    answer->order = NULL;
}

/* The search with hiding in one way; the certain side of what it says must be as expected. */
static void agree_hiding(const struct lin_subject *subject, struct lin_hiding_options options,
                         enum verdict expected, bool exact, const struct lin_text_op *ops,
                         size_t count)
{
    struct lin_answer answer;
    struct lin_budget budget = subject->budget;
    char what[96];
    snprintf(what, sizeof what, "hiding, width %u, free %d, without %x", options.width,
             options.is_free, options.without);
    lin_hiding(&subject->problem, &options, &budget, &answer);
    if (exact || answer.verdict != VERDICT_UNKNOWN)
        judge(what, subject, &answer, expected, true, ops, count);
}

static void agree_hiding_all(const struct lin_subject *subject, enum verdict expected,
                             uint32_t first, const struct lin_text_op *ops, size_t count)
{
    static const unsigned without[] = {0,
                                       LIN_RULE_DOMINANCE,
                                       LIN_RULE_DEAD,
                                       LIN_RULE_TWINS,
                                       LIN_RULE_TOKENS,
                                       LIN_RULE_DOMINANCE | LIN_RULE_DEAD | LIN_RULE_TWINS |
                                           LIN_RULE_TOKENS};
    static uint32_t turn; /* all rules every time, and without some in turn */
    for (size_t i = 0; i < 2; i++) {
        struct lin_hiding_options options = {.without = i == 0 ? 0 : without[turn % 6]};
        agree_hiding(subject, options, expected, true, ops, count);
        options.is_free = true;
        agree_hiding(subject, options, expected, false, ops, count);
    }
    agree_hiding(subject, (struct lin_hiding_options){.width = 1 + ++turn % 3}, expected, true, ops,
                 count);
    struct lin_answer answer;
    struct lin_budget budget = subject->budget;
    lin_engine_hiding.search(&subject->problem, &budget, &answer);
    if (expected == VERDICT_INVALID) /* it stops at the first return that cannot be */
        assert_int_equal(answer.at, first);
    judge("the engine hiding", subject, &answer, expected, true, ops, count);
}

/* Every way of asking agrees with `expected`, exactly or on its certain side. */
static void agree_all(const struct lin_text_op *ops, size_t count, enum verdict expected)
{
    struct lin_subject subject;
    lin_subject_open(&subject, ops, count);
    struct lin_answer answer, wgl;
    lin_wgl(&subject.problem, LIN_WGL_PLAIN, &subject.budget, &wgl);
    judge("wgl", &subject, &wgl, expected, true, ops, count);
    lin_wgl(&subject.problem, LIN_WGL_BRIEF, &subject.budget, &answer);
    judge("wgl, brief", &subject, &answer, expected, true, ops, count);
    lin_frontier(&subject.problem, &(struct lin_frontier_options){.supply = LIN_SUPPLY_EXACT},
                 &subject.budget, &answer);
    if (expected == VERDICT_INVALID) /* both stop at the first return that cannot be */
        assert_int_equal(answer.at, wgl.at);
    judge("frontier", &subject, &answer, expected, true, ops, count);
    lin_engine_frontier.search(&subject.problem, &subject.budget, &answer);
    judge("engine", &subject, &answer, expected, true, ops, count);
    lin_wgl(&subject.problem, LIN_WGL_FREE, &subject.budget, &answer);
    enum verdict free_verdict = answer.verdict;
    if (answer.verdict == VERDICT_INVALID)
        judge("wgl, free", &subject, &answer, expected, false, ops, count);
    lin_wgl(&subject.problem, LIN_WGL_FREE | LIN_WGL_BRIEF, &subject.budget, &answer);
    judge("wgl, free and brief", &subject, &answer, free_verdict, false, ops, count);
    lin_frontier(&subject.problem, &(struct lin_frontier_options){.supply = LIN_SUPPLY_FREE},
                 &subject.budget, &answer);
    if (answer.verdict != VERDICT_UNKNOWN)
        judge("frontier, free", &subject, &answer, expected, true, ops, count);
    lin_frontier(&subject.problem, &(struct lin_frontier_options){.beam = 1}, &subject.budget,
                 &answer);
    if (answer.verdict != VERDICT_UNKNOWN)
        judge("frontier, beam", &subject, &answer, expected, true, ops, count);
    agree_hiding_all(&subject, expected, wgl.at, ops, count);
    lin_subject_close(&subject);
}

static void agree_with_brute_force(const struct lin_text_op *ops, size_t count, uint32_t counts[2])
{
    bool valid = lin_brute_valid(ops, count);
    counts[valid]++;
    agree_all(ops, count, valid ? VERDICT_VALID : VERDICT_INVALID);
}

/* ---- Tests ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SMALL = 4000, MIDDLE = 60, LONG = 2 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SMALL = 4000, MIDDLE = 60, LONG = 2 };
#else
enum { SMALL = 60000, MIDDLE = 600, LONG = 6 };
#endif
#else
enum { SMALL = 60000, MIDDLE = 600, LONG = 6 };
#endif

static struct lin_random draw_shape(struct prng *prng, uint32_t ops_least, uint32_t ops_most)
{
    static const double shares[] = {0, 0.1, 0.3, 0.6};
    return (struct lin_random){.ops = (uint32_t)prng_between(prng, ops_least, ops_most),
                               .clients = (uint32_t)prng_between(prng, 2, 5),
                               .values = (uint32_t)prng_between(prng, 1, 5),
                               .info = shares[prng_below(prng, 4)],
                               .fail = shares[prng_below(prng, 2)],
                               .cas = shares[prng_below(prng, 4)],
                               .write = 0.1 + 0.3 * prng_unit(prng),
                               .locks = prng_below(prng, 12) == 0};
}

static void small_histories_agree_with_brute_force(void **state)
{
    (void)state;
    struct prng prng = prng_stream(20260101, "small");
    struct lin_text_op ops[8];
    uint32_t counts[2] = {0, 0};
    for (int i = 0; i < SMALL; i++) {
        struct lin_random random = draw_shape(&prng, 1, 7);
        if (i % 3 == 2)
            lin_random_anything(&prng, &random, ops);
        else
            lin_random_valid(&prng, &random, ops);
        for (uint64_t spoil = i % 3 == 1 ? prng_below(&prng, 4) : 0; spoil > 0; spoil--)
            lin_random_spoil(&prng, &random, ops);
        if (i % 3 == 0)
            assert_true(lin_brute_valid(ops, random.ops));
        agree_with_brute_force(ops, random.ops, counts);
    }
    /* The test is worth something only when both answers are common. */
    assert_in_range(counts[0], SMALL / 6, SMALL);
    assert_in_range(counts[1], SMALL / 6, SMALL);
}

static void middle_histories_agree_with_the_plain_search(void **state)
{
    (void)state;
    struct prng prng = prng_stream(20260102, "middle");
    struct lin_text_op ops[64];
    uint32_t counts[2] = {0, 0};
    for (int i = 0; i < MIDDLE * 5; i++) {
        struct lin_random random = draw_shape(&prng, 8, 26);
        random.info = random.info > 0.3 ? 0.3 : random.info;
        lin_random_valid(&prng, &random, ops);
        bool spoilt = i % 2 == 1;
        for (uint64_t spoil = spoilt ? 1 + prng_below(&prng, 3) : 0; spoil > 0; spoil--)
            lin_random_spoil(&prng, &random, ops);
        struct lin_subject subject;
        lin_subject_open(&subject, ops, random.ops);
        struct lin_answer answer;
        lin_wgl(&subject.problem, LIN_WGL_PLAIN, &subject.budget, &answer);
        enum verdict verdict = answer.verdict;
        judge("wgl", &subject, &answer, spoilt ? verdict : VERDICT_VALID, true, ops, random.ops);
        lin_subject_close(&subject);
        counts[verdict == VERDICT_VALID]++;
        agree_all(ops, random.ops, verdict);
    }
    assert_in_range(counts[0], MIDDLE / 2, MIDDLE * 5);
}

static void long_valid_histories_are_found_valid(void **state)
{
    (void)state;
    struct prng prng = prng_stream(20260103, "long");
    struct lin_text_op *ops = calloc(LIN_TEXT_OPS_MAX, sizeof *ops);
    assert_non_null(ops);
    for (int i = 0; i < MIDDLE; i++) {
        struct lin_random random = {.ops = i < LONG ? 2000 : 300,
                                    .clients = (uint32_t)prng_between(&prng, 6, 14),
                                    .values = (uint32_t)prng_between(&prng, 2, 8),
                                    .info = i % 3 * 0.03,
                                    .cas = 0.33,
                                    .write = 0.33};
        lin_random_valid(&prng, &random, ops);
        struct lin_subject subject;
        lin_subject_open(&subject, ops, random.ops);
        struct lin_answer answer;
        lin_engine_frontier.search(&subject.problem, &subject.budget, &answer);
        judge("engine", &subject, &answer, VERDICT_VALID, true, ops, random.ops);
        lin_engine_hiding.search(&subject.problem, &subject.budget, &answer);
        judge("hiding", &subject, &answer, VERDICT_VALID, true, ops, random.ops);
        lin_hiding(&subject.problem, &(struct lin_hiding_options){.is_free = true}, &subject.budget,
                   &answer);
        if (answer.verdict != VERDICT_UNKNOWN)
            judge("hiding, free", &subject, &answer, VERDICT_VALID, true, ops, random.ops);
        lin_subject_close(&subject);
        size_t count = lin_random_bad_tail(ops, random.ops);
        lin_subject_open(&subject, ops, count);
        lin_engine_frontier.search(&subject.problem, &subject.budget, &answer);
        assert_int_equal(subject.problem.ops[answer.at].op.event, subject.history.count - 2);
        judge("engine", &subject, &answer, VERDICT_INVALID, true, ops, count);
        lin_subject_close(&subject);
    }
    free(ops);
}

/* With ever more memory a search ends UNKNOWN, and at last decides; close_subject sees that each
 * gave back all that it took. */
static void every_shortage_of_memory_is_survived(void **state)
{
    (void)state;
    struct prng prng = prng_stream(20260107, "memory");
    struct lin_text_op ops[64];
    struct lin_random random = {
        .ops = 60, .clients = 6, .values = 3, .info = 0.1, .cas = 0.3, .write = 0.3};
    lin_random_valid(&prng, &random, ops);
    const struct lin_engine *const engines[] = {&lin_engine_wgl, &lin_engine_frontier,
                                                &lin_engine_hiding};
    for (int i = 0; i < 3; i++) {
        int unknown = 0;
        enum verdict verdict = VERDICT_UNKNOWN;
        for (size_t limit = 1; verdict == VERDICT_UNKNOWN; limit += 1 + limit / 50) {
            struct lin_subject subject;
            lin_subject_open(&subject, ops, random.ops);
            lin_memory_init(&subject.memory, limit);
            struct lin_answer answer;
            engines[i]->search(&subject.problem, &subject.budget, &answer);
            verdict = answer.verdict;
            if (verdict == VERDICT_UNKNOWN)
                assert_int_equal(answer.limit, LIN_LIMIT_MEMORY);
            unknown += verdict == VERDICT_UNKNOWN;
            assert_true(atomic_load(&subject.memory.peak_bytes) <= limit);
            judge("with little memory", &subject, &answer, verdict, true, ops, random.ops);
            lin_subject_close(&subject);
        }
        assert_int_equal(verdict, VERDICT_VALID);
        assert_in_range(unknown, 100, 10000);
    }
}

/* Histories that broke rules which looked right: on tokens, on dominance, on free supply, on
 * hiding. Kept for whatever engine comes next. */
static void histories_that_broke_other_rules(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum verdict verdict;
    } cases[] = {
        {"w2 [1,4]; w2 [2,8]; c2>4 [3,11]; w3 [5,6]; c2>1 [7,12]; w1 [9,10]", VERDICT_VALID},
        {"w1 [1,-]; r1 [2,5]; w2 [3,-]; r2 [4,7]; r2 [6,9]; r1 [8,10]", VERDICT_INVALID},
        {"c0>4 [1,5]; w3 [2,6]; c4>1 [3,8]; r1 [4,12]; w4 [7,-]; c3>4 [9,10]; w1 [11,-]",
         VERDICT_INVALID},
        {"w0 [-1,0]; c0>4 [1,5]; w3 [2,6]; c4>1 [3,8]; r1 [4,12]; w4 [7,-]; c3>4 [9,10]; w1 [11,-]",
         VERDICT_VALID},
        {"w1 [1,4]; w1 [2,-]; c0>1 [3,5]", VERDICT_INVALID},
        {"w0 [-1,0]; w1 [1,4]; w1 [2,-]; c0>1 [3,5]", VERDICT_VALID},
        /* two indeterminate cas that feed each other, and the last of them a read */
        {"c1>2 [1,-]; c2>1 [2,-]; w1 [3,4]; r2 [5,6]; r1 [7,8]; r2 [9,10]", VERDICT_INVALID},
        {"c1>2 [1,-]; c2>1 [2,-]; w1 [3,4]; r2 [5,6]; r1 [7,8]", VERDICT_VALID},
        {"", VERDICT_VALID},
        {"w1 [1,-]", VERDICT_VALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lin_text_op ops[16];
        size_t count = lin_text_parse(cases[i].text, ops, 16);
        assert_int_equal(lin_brute_valid(ops, count), cases[i].verdict == VERDICT_VALID);
        agree_all(ops, count, cases[i].verdict);
    }
}

/* Any sequence of operations, judged by the rules of brute force. */
static bool is_order(const struct lin_subject *subject, const struct lin_text_op *ops, size_t count,
                     const uint32_t *order, uint32_t order_count)
{
    unsigned placed = 0;
    int value = LIN_TEXT_NIL;
    for (uint32_t i = 0; i < order_count; i++) {
        /* An operation's process is its number in `ops`. */
        uint32_t event = subject->problem.ops[order[i]].op.event;
        size_t op = (size_t)subject->history.process[event];
        if ((placed >> op & 1) != 0 ||
            !lin_brute_may_come_next(ops, count, placed | 1U << op, op) ||
            !lin_brute_apply(&ops[op], &value))
            return false;
        placed |= 1U << op;
    }
    for (size_t i = 0; i < count; i++)
        if (ops[i].outcome == OP_OK && (placed >> i & 1) == 0)
            return false;
    return true;
}

static void the_judge_of_orders_agrees_with_brute_force(void **state)
{
    (void)state;
    struct prng prng = prng_stream(20260106, "orders");
    struct lin_text_op ops[8];
    uint32_t order[10], counts[2] = {0, 0};
    for (int i = 0; i < SMALL / 4; i++) {
        struct lin_random random = draw_shape(&prng, 2, 4);
        random.locks = false;
        lin_random_anything(&prng, &random, ops);
        for (uint32_t op = 0; op < random.ops; op++)
            ops[op].b = ops[op].a; /* few values, so that many orders are good */
        struct lin_subject subject;
        lin_subject_open(&subject, ops, random.ops);
        uint32_t count = subject.problem.op_count;
        for (uint32_t op = 0; op < count; op++)
            order[op] = op;
        prng_shuffle(&prng, order, count, sizeof order[0]);
        if (prng_below(&prng, 4) == 0 && count > 0)
            order[prng_below(&prng, count)] = (uint32_t)prng_below(&prng, count); /* one twice */
        if (prng_below(&prng, 4) == 0 && count > 0)
            count--;
        bool good = is_order(&subject, ops, random.ops, order, count);
        counts[good]++;
        assert_int_equal(lin_verify(&subject.problem, order, count), good);
        lin_subject_close(&subject);
    }
    assert_in_range(counts[1], SMALL / 200, SMALL);
    assert_in_range(counts[0], SMALL / 40, SMALL);
}

/* Certificates rest on this: what has an order keeps it however it is weakened. */
static void weaker_problems_of_valid_histories_are_valid(void **state)
{
    (void)state;
    struct prng prng = prng_stream(20260105, "weaker");
    struct lin_text_op ops[16];
    int from_any_state = 0;
    for (int i = 0; i < SMALL / 4; i++) {
        struct lin_random random = draw_shape(&prng, 4, 12);
        lin_random_valid(&prng, &random, ops);
        struct lin_subject subject;
        lin_subject_open(&subject, ops, random.ops);
        const struct lin_problem *problem = &subject.problem;
        uint8_t choice[16] = {LIN_KEEP};
        struct lin_weakening weakening = {.choice = choice, .until = problem->event_count};
        for (uint32_t op = 0; op < problem->op_count; op++)
            if (prng_below(&prng, 3) == 0)
                choice[op] = problem->ops[op].pure ? LIN_DROP : LIN_OPTIONAL;
        if (prng_below(&prng, 2) == 0)
            weakening.until = (uint32_t)prng_below(&prng, problem->event_count + 1);
        if (prng_below(&prng, 2) == 0)
            weakening.begin = (uint32_t)prng_below(&prng, weakening.until + 1);
        struct lin_problem weaker;
        lin_problem_weaken(problem, &weakening, &subject.arena, &weaker);
        from_any_state += weaker.any_start;
        for (unsigned mode = 0; mode < 4; mode++) {
            struct lin_answer answer;
            lin_wgl(&weaker, mode, &subject.budget, &answer);
            judge("weaker", &subject, &answer, VERDICT_VALID, false, ops, random.ops);
        }
        struct lin_answer answer;
        lin_engine_frontier.search(&weaker, &subject.budget, &answer);
        judge("weaker, frontier", &subject, &answer, VERDICT_VALID, false, ops, random.ops);
        lin_subject_close(&subject);
    }
    assert_in_range(from_any_state, SMALL / 20, SMALL);
}

/* ---- Models from outside ---- */

/* A register that can be pinged, too: an operation that may happen whatever the value is, and
 * leaves it. No model of ours has one. */
enum { PING = 2 };

static bool ping_prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    return op->f == PING || model_find("register")->prepare(op, space, problem);
}

static bool ping_step(const void *state, const struct model_op *op, struct model_space *space,
                      void *next)
{
    if (op->f != PING)
        return model_find("register")->step(state, op, space, next);
    memmove(next, state, sizeof(int64_t));
    return true;
}

static bool ping_is_pure(const struct model_op *op)
{
    return op->f == PING || model_find("register")->is_pure(op);
}

static struct model_effect ping_effect(const struct model_op *op)
{
    if (op->f == PING)
        return (struct model_effect){.needs = MODEL_ANY, .leaves = MODEL_ANY};
    return model_find("register")->effect(op);
}

/* Every engine, and the monitor, which leaves it to them. */
static void judge_pinged(const char *text, enum verdict expected)
{
    static const char *const functions[] = {"read", "write", "acquire", NULL};
    const struct model *plain = model_find("register");
    struct model model = {.name = "pinged",
                          .functions = functions,
                          .state_size = plain->state_size,
                          .prepare = ping_prepare,
                          .init = plain->init,
                          .step = ping_step,
                          .describe = plain->describe,
                          .is_pure = ping_is_pure,
                          .effect = ping_effect,
                          .holds_value = true};
    struct history history;
    struct lin_problem problem;
    struct lin_memory memory;
    struct arena arena = ARENA_INIT;
    struct buf trouble = BUF_INIT;
    lin_text(text, &history);
    uint32_t events[32];
    for (uint32_t i = 0; i < history.count && i < 32; i++)
        events[i] = i;
    assert_true(lin_problem_build(&problem, &arena, &model, &history, events, history.count, false,
                                  NULL, &trouble));
    lin_memory_init(&memory, 0);
    struct lin_budget budget = {.memory = &memory, .deadline_ns = INT64_MAX};
    struct lin_answer answer;
    for (const struct lin_engine *const *engine = lin_engines; *engine != NULL; engine++) {
        (*engine)->search(&problem, &budget, &answer);
        assert_int_equal(answer.verdict, expected);
        free(answer.order);
    }
    assert_false(lin_monitor(&problem, &budget, &answer));
    arena_free(&arena);
    history_free(&history);
}

static void what_needs_nothing_and_leaves_nothing_is_left_to_searches(void **state)
{
    (void)state;
    judge_pinged("w1 [1,2]; a [3,4]; r1 [5,6]", VERDICT_VALID);
    judge_pinged("w1 [1,2]; a [3,4]; w2 [5,6]; a [7,8]; r1 [9,10]", VERDICT_INVALID);
    judge_pinged("a [1,9]; w1 [2,3]; a [4,5]?; r1 [6,7]; a [8,10]", VERDICT_VALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_that_broke_other_rules),
        cmocka_unit_test(small_histories_agree_with_brute_force),
        cmocka_unit_test(middle_histories_agree_with_the_plain_search),
        cmocka_unit_test(the_judge_of_orders_agrees_with_brute_force),
        cmocka_unit_test(weaker_problems_of_valid_histories_are_valid),
        cmocka_unit_test(every_shortage_of_memory_is_survived),
        cmocka_unit_test(long_valid_histories_are_found_valid),
        cmocka_unit_test(what_needs_nothing_and_leaves_nothing_is_left_to_searches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
