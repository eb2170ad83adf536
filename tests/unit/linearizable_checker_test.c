/* The checker around the searches: keys, verdicts, words, budgets. */
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/checker.h"
#include "tests/lib/lin_random.h"
#include "tests/lib/test.h"

struct request {
    const char *model, *engine;
    enum keyed keyed;
    int64_t time_ns;
    size_t memory_bytes;
    int threads;
};

/* The result object of the checker alone; the caller frees it. */
static struct json *check_history(const struct history *history, const struct request *request,
                                  enum verdict *verdict)
{
    const struct checker *checker = checker_find("linearizable");
    struct check_input input = {.history = history,
                                .limits = {.time_ns = request->time_ns,
                                           .memory_bytes = request->memory_bytes,
                                           .threads = request->threads},
                                .options = {.values = json_object()},
                                .keyed = request->keyed};
    if (request->model != NULL)
        json_set_text(input.options.values, "linearizable.model", request->model);
    if (request->engine != NULL)
        json_set_text(input.options.values, "linearizable.engine", request->engine);
    option_defaults(&input.options, "linearizable", checker->options);
    const char *const names[] = {"linearizable"};
    struct json *results = check_all(names, 1, &input, verdict);
    struct json *copy = json_copy(json_get(json_get(results, "checkers"), "linearizable"));
    json_free(results);
    json_free(input.options.values);
    return copy;
}

static struct json *check_text(const char *text, const struct request *request,
                               enum verdict expected)
{
    struct history history;
    enum verdict verdict;
    lin_text(text, &history);
    struct json *result = check_history(&history, request, &verdict);
    if (verdict != expected)
        fail_msg("'%s' is %s, not %s: %s", text, verdict_name(verdict), verdict_name(expected),
                 json_as_text(json_get(result, "reason"), ""));
    history_free(&history);
    return result;
}

static const char *text_of(const struct json *result, const char *field)
{
    return json_as_text(json_get(result, field), "");
}

static const struct json *first_anomaly(const struct json *result)
{
    const struct json *anomaly = json_first(json_get(result, "anomalies"));
    assert_non_null(anomaly);
    return anomaly;
}

static void assert_events(const struct json *anomaly, const char *field, const char *expected)
{
    struct buf text = BUF_INIT;
    json_print(json_get(anomaly, field), JSON_COMPACT, &text);
    assert_string_equal(buf_text(&text), expected);
    buf_free(&text);
}

/* ---- Explanations ---- */

static void a_stale_read_names_the_write_it_missed(void **state)
{
    (void)state;
    struct json *result =
        check_text("p2:w3 [10,12]; p0:r3 [14,16]; p1:w5 [18,20]; p3:r5 [21,23]; p4:r3 [30,32]",
                   &(struct request){.model = "register"}, VERDICT_INVALID);
    const struct json *anomaly = first_anomaly(result);
    assert_string_equal(text_of(anomaly, "kind"), "nonlinearizable");
    assert_string_equal(text_of(anomaly, "title"), "stale read of 3");
    assert_string_equal(
        text_of(anomaly, "text"),
        "The read of 3 by process 4 (invoked at 30.000 ms, returned at 32.000 ms) cannot be "
        "placed: "
        "3 was last written by the write of 3 by process 2 (completed at 12.000 ms), but the write "
        "of "
        "5 by process 1 completed at 20.000 ms, before this read began, and nothing wrote 3 after "
        "it. While it ran, the value could only be 5.");
    assert_events(anomaly, "events", "[0,1,4,5,8,9]");
    assert_events(anomaly, "minimal", "[4,5,8,9]");
    assert_events(anomaly, "possible-values", "[\"5\"]");
    assert_int_equal(json_as_int(json_get(json_get(anomaly, "missed"), "process"), -1), 1);
    assert_int_equal(json_as_int(json_get(json_get(anomaly, "op"), "process"), -1), 4);
    assert_int_equal(json_as_int(json_get(json_get(anomaly, "previous-ok"), "process"), -1), 3);
    assert_true(json_as_bool(json_get(anomaly, "certified"), false));
    assert_true(json_as_bool(json_get(result, "certified"), false));
    json_free(result);
}

static void explain_contains(const char *text, const char *model, const char *title,
                             const char *const *parts)
{
    struct json *result = check_text(text, &(struct request){.model = model}, VERDICT_INVALID);
    const struct json *anomaly = first_anomaly(result);
    assert_string_equal(text_of(anomaly, "title"), title);
    for (; *parts != NULL; parts++)
        assert_contains(text_of(anomaly, "text"), *parts);
    assert_true(json_as_bool(json_get(anomaly, "certified"), false));
    json_free(result);
}

static void other_failures_are_told_as_what_they_are(void **state)
{
    (void)state;
    explain_contains("w1 [1,2]; r7 [3,4]; w7 [5,6]", NULL, "read of 7, which nothing wrote",
                     (const char *[]){"The read of 7 by process 1", "the write of 7 by process 2",
                                      "was invoked only at 5.000 ms", NULL});
    explain_contains(
        "w1 [1,2]; w7 [3,4]!; r7 [5,6]", NULL, "read of 7, which nothing wrote",
        (const char *[]){"The read of 7 by process 2", "the write of 7 by process 1 failed", NULL});
    explain_contains("w1 [1,2]; rn [3,4]", NULL, "stale read of nil",
                     (const char *[]){"nil is the value before the first write",
                                      "the write of 1 by process 0 completed at 2.000 ms", NULL});
    explain_contains("w1 [1,2]; w2 [3,4]; c1>5 [5,6]", NULL,
                     "cas from 1 to 5 could not have succeeded",
                     (const char *[]){"The cas from 1 to 5 by process 2",
                                      "the write of 2 by process 1 completed at 4.000 ms",
                                      "the value could only be 2", NULL});
    /* 7 could only come from 5, which nothing wrote. */
    explain_contains("w1 [1,2]; c5>7 [3,20]?; r3 [4,5]", NULL, "read of 3, which nothing wrote",
                     (const char *[]){"the value could only be 1.", NULL});
    /* The write is still running when one read sees it and a later one does not. */
    explain_contains("w3 [1,2]; w5 [3,100]; r5 [10,20]; r3 [30,40]", NULL, "stale read of 3",
                     (const char *[]){"the read of 5 by process 2 completed at 20.000 ms",
                                      "had already seen what the write of 5 by process 1 left",
                                      "nothing wrote 3 after that", NULL});
    /* No simple story: either write may be the last, but not both. */
    explain_contains("w1 [1,4]; w2 [2,3]; r1 [5,6]; r2 [7,8]", NULL, "stale read of 2",
                     (const char *[]){"the read of 1 by process 2 completed at 6.000 ms", NULL});
    explain_contains("w1 [1,10]; w2 [2,11]; r1 [3,20]; r2 [4,21]; r1 [22,23]; r2 [24,25]", NULL,
                     "stale read of 2", (const char *[]){"The read of 2 by process 5", NULL});
    explain_contains(
        "w1 [1,4]; w2 [5,20]; w1 [6,21]; r2 [7,8]; r1 [9,10]; r2 [11,12]", NULL, "stale read of 2",
        (const char *[]){"had already seen what the write of 1 by process 2 left", NULL});
    explain_contains("c1>2 [1,30]; w1 [2,3]; r2 [4,5]; w1 [6,31]; r1 [7,8]; r2 [9,10]", NULL,
                     "stale read of 2", (const char *[]){"the read of 1 by process 4", NULL});
    /* Both won: no single operation is stale, and the few that have no order are listed. */
    explain_contains(
        "w9 [-1,0]; w1 [1,2]; c1>2 [3,20]; c1>3 [4,21]", NULL, "cas from 1 to 3 fits no order",
        (const char *[]){"The cas from 1 to 3 by process 3", "these operations alone have no order",
                         "the cas from 1 to 2 by process 2 (3.000 ms to 20.000 ms)", NULL});
    explain_contains("a [1,2]; l [3,4]; a [5,6]; a [7,8]", "mutex",
                     "acquire could not have succeeded",
                     (const char *[]){"the lock was last made free by the release by process 1",
                                      "the acquire by process 2 completed at 6.000 ms",
                                      "the lock could only be held", NULL});
    explain_contains("l [1,2]", "mutex", "release could not have succeeded",
                     (const char *[]){"made the lock held", NULL});
}

static void keys_are_named_and_counted(void **state)
{
    (void)state;
    struct json *result =
        check_text("k7:w1 [1,2]; k8:w1 [3,4]; k7:w2 [5,6]; k8:r1 [7,8]; k7:r1 [9,10]",
                   &(struct request){.threads = 2}, VERDICT_INVALID);
    const struct json *anomaly = first_anomaly(result);
    assert_string_equal(text_of(anomaly, "key"), "7");
    assert_contains(text_of(anomaly, "text"), "Key 7: the read of 1 by process 4");
    assert_contains(text_of(result, "reason"), "1 of 2 keys are not linearizable: Key 7: the read");
    assert_events(anomaly, "events", "[0,1,4,5,8,9]");
    assert_int_equal(json_as_int(json_get(result, "keys-valid"), -1), 1);
    assert_int_equal(json_as_int(json_get(result, "keys-invalid"), -1), 1);
    json_free(result);
}

static void many_bad_keys_are_counted_but_twenty_explained(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    for (int key = 0; key < 30; key++)
        buf_printf(&text, "k%d:w1 [%d,%d]; k%d:rn [%d,%d];", key, key * 4 + 1, key * 4 + 2, key,
                   key * 4 + 3, key * 4 + 4);
    struct json *result =
        check_text(buf_text(&text), &(struct request){.threads = 1}, VERDICT_INVALID);
    assert_int_equal(json_count(json_get(result, "anomalies")), 20);
    assert_int_equal(json_as_int(json_get(result, "keys-invalid"), -1), 30);
    json_free(result);
    buf_free(&text);
}

/* ---- Keys ---- */

static void keyed_or_not_is_guessed_from_the_reads(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool keyed;
        const char *why;
    } cases[] = {
        {"k1:w1 [1,2]; k1:r1 [3,4]", true, "1 operations ask with [key nil]"},
        {"w1 [1,2]; c1>2 [3,4]; r2 [5,6]", false, "event 0 (write of process 0) has the value 1"},
        {"c1>2 [3,4]!; r2 [5,6]!; w1 [8,9]; r1 [10,11]", false, "has the value nil"},
        {"c1>2 [1,2]?; c2>1 [3,4]!", false, "[old new] without a key"},
        {"k1:cn>2 [1,2]; k2:cn>1 [3,4]", true, "2 cas are [key [old new]]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct history history;
        enum verdict verdict;
        lin_text(cases[i].text, &history);
        struct json *result = check_history(&history, &(struct request){.model = NULL}, &verdict);
        assert_int_equal(json_as_bool(json_get(result, "keyed"), !cases[i].keyed), cases[i].keyed);
        assert_contains(text_of(result, "keyed-why"), cases[i].why);
        json_free(result);
        history_free(&history);
    }
    struct json *result =
        check_text("w1 [1,2]; r1 [3,4]", &(struct request){.keyed = KEYED_YES}, VERDICT_UNKNOWN);
    assert_contains(text_of(result, "reason"), "which is not [key value]");
    json_free(result);
    /* As told: pairs are values of one register. */
    result = check_text("k1:w1 [1,2]; k2:w1 [3,4]; k1:r1 [5,6]",
                        &(struct request){.keyed = KEYED_NO}, VERDICT_INVALID);
    assert_contains(text_of(first_anomaly(result), "text"), "the write of [2 1] by process 1");
    json_free(result);
}

/* ---- What cannot be judged ---- */

static void what_tests_nothing_is_unknown(void **state)
{
    (void)state;
    struct json *result = check_text("", &(struct request){.model = NULL}, VERDICT_UNKNOWN);
    assert_contains(text_of(result, "reason"), "no client operations");
    json_free(result);
    json_free(check_text("w1 [1,2]; w2 [3,4]", &(struct request){.model = NULL}, VERDICT_UNKNOWN));
    json_free(
        check_text("r1 [1,2]!; w2 [3,4]?", &(struct request){.model = NULL}, VERDICT_UNKNOWN));
    result = check_text("w1 [1,2]; c1>2 [3,4]; r2 [5,6]", &(struct request){.model = "register"},
                        VERDICT_UNKNOWN);
    assert_contains(text_of(result, "reason"),
                    "event 2: process 1 invoked cas, which the model register does not know (read, "
                    "write)");
    json_free(result);
    result =
        check_text("w1 [1,2]; r1 [5,6]", &(struct request){.model = "registre"}, VERDICT_UNKNOWN);
    assert_contains(text_of(result, "reason"), "did you mean 'register'?");
    json_free(result);
    result = check_text("w1 [1,2]; r1 [5,6]",
                        &(struct request){.model = "noop", .engine = "frontier"}, VERDICT_UNKNOWN);
    assert_contains(text_of(result, "reason"), "'frontier' cannot search the model noop");
    json_free(result);
    json_free(check_text("w1 [1,2]; r7 [5,6]", &(struct request){.model = "noop"}, VERDICT_VALID));
}

static void a_cas_without_a_pair_is_unknown_and_located(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    struct op op = {.process = 3, .f = history_f(&history, "cas"), .value = value_int(NULL, 5)};
    enum err_code code;
    struct err err = ERR_INIT;
    history_append(&history, &op, &code);
    op.type = OP_OK;
    history_append(&history, &op, &code);
    assert_ok(history_pair(&history, &err));
    enum verdict verdict;
    struct json *result = check_history(&history, &(struct request){.model = NULL}, &verdict);
    assert_int_equal(verdict, VERDICT_UNKNOWN);
    assert_contains(text_of(result, "reason"), "event 0 (cas of process 3)");
    assert_contains(text_of(result, "reason"), "[old new], not 5");
    json_free(result);
    history_free(&history);
}

static void values_may_be_anything(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    struct arena arena = ARENA_INIT;
    struct value values[] = {value_string(&arena, "a"), value_keyword(&arena, "a"),
                             value_double(&arena, 1.0), value_int(&arena, 1),
                             value_items(&arena, VALUE_MAP,
                                         (struct value[]){value_keyword(&arena, "k"), value_nil()},
                                         2)};
    for (size_t i = 0; i < 5; i++)
        for (int step = 0; step < 4; step++) {
            struct op op = {.type = step % 2 == 0 ? OP_INVOKE : OP_OK,
                            .f = history_f(&history, step < 2 ? "write" : "read"),
                            .value = step == 2 ? value_nil() : values[i]};
            enum err_code code;
            history_append(&history, &op, &code);
        }
    struct err err = ERR_INIT;
    assert_ok(history_pair(&history, &err));
    enum verdict verdict;
    struct json *result = check_history(&history, &(struct request){.model = NULL}, &verdict);
    assert_int_equal(verdict, VERDICT_VALID);
    json_free(result);
    history.value[history.count - 1] = values[0]; /* "a" where :a was expected is not 1's fault */
    result = check_history(&history, &(struct request){.model = NULL}, &verdict);
    assert_int_equal(verdict, VERDICT_INVALID);
    assert_contains(text_of(first_anomaly(result), "title"), "stale read of \"a\"");
    json_free(result);
    arena_free(&arena);
    history_free(&history);
}

/* ---- Budgets ---- */

/* A history that no search decides quickly: sixty compare-and-sets at once must follow each other
 * like the edges of a trail that uses each of them, and somewhere more come in than go out. Nothing
 * short of trying shows that to a search. */
static void make_hard(struct history *history)
{
    enum { EDGES = 60, VALUES = 12 };
    struct prng prng = prng_stream(7, "hard");
    struct lin_text_op ops[EDGES + 1] = {
        {.f = 'w', .key = LIN_TEXT_NO_KEY, .invoked = 1, .completed = 2, .outcome = OP_OK}};
    for (int i = 1; i <= EDGES; i++) {
        int from = i < VALUES ? i - 1 : (int)prng_below(&prng, VALUES);
        int to = i < VALUES ? i : (from + 1 + (int)prng_below(&prng, VALUES - 1)) % VALUES;
        ops[i] = (struct lin_text_op){.f = 'c',
                                      .a = from,
                                      .b = to,
                                      .key = LIN_TEXT_NO_KEY,
                                      .process = i,
                                      .invoked = 2 + i,
                                      .completed = 2 + EDGES + i,
                                      .outcome = OP_OK};
    }
    lin_text_history(ops, EDGES + 1, history);
}

static void budgets_end_in_unknown_not_in_hanging(void **state)
{
    (void)state;
    struct history history;
    enum verdict verdict;
    make_hard(&history);
    static const char *const engines[] = {"hiding", "frontier", "wgl"};
    for (int i = 0; i < 3; i++) {
        int64_t began_ns = clock_monotonic_ns();
        struct json *result = check_history(
            &history, &(struct request){.engine = engines[i], .time_ns = 300 * NS_PER_MS},
            &verdict);
        assert_int_equal(verdict, VERDICT_UNKNOWN);
        assert_contains(text_of(result, "reason"), "undecided within the time limit");
        assert_contains(text_of(result, "reason"), "got as far as the ");
        assert_in_range(clock_monotonic_ns() - began_ns, 0, 20 * NS_PER_SECOND);
        json_free(result);
        size_t limit = (size_t)4 << 20;
        result = check_history(&history,
                               &(struct request){.engine = engines[i],
                                                 .time_ns = 20 * NS_PER_SECOND,
                                                 .memory_bytes = limit},
                               &verdict);
        assert_int_equal(verdict, VERDICT_UNKNOWN);
        assert_contains(text_of(result, "reason"), "undecided within the memory limit");
        assert_in_range(json_as_int(json_get(result, "memory-peak-bytes"), -1), 1, limit);
        json_free(result);
    }
    history_free(&history);
}

static void a_hard_key_does_not_starve_the_others(void **state)
{
    (void)state;
    struct history hard, both;
    make_hard(&hard);
    history_init(&both);
    enum err_code code;
    struct arena arena = ARENA_INIT;
    for (uint32_t i = 0; i < hard.count; i++) {
        struct op op = history_op(&hard, i);
        op.f = history_f(&both, history_f_name(&hard, i));
        op.value = value_pair(&arena, value_int(NULL, 1), op.value);
        history_append(&both, &op, &code);
    }
    for (int i = 0; i < 8; i++) { /* w1, w2, r2, r1 of key 2 */
        struct op op = {.type = i % 2 == 0 ? OP_INVOKE : OP_OK,
                        .process = 100000,
                        .f = history_f(&both, i < 4 ? "write" : "read"),
                        .value =
                            value_pair(&arena, value_int(NULL, 2),
                                       i == 4 || i == 6
                                           ? value_nil()
                                           : value_int(NULL, i == 0 || i == 1 || i == 7 ? 1 : 2))};
        history_append(&both, &op, &code);
    }
    struct err err = ERR_INIT;
    assert_ok(history_pair(&both, &err));
    enum verdict verdict;
    struct json *result =
        check_history(&both, &(struct request){.time_ns = 300 * NS_PER_MS, .threads = 1}, &verdict);
    assert_int_equal(verdict, VERDICT_INVALID);
    assert_string_equal(text_of(first_anomaly(result), "key"), "2");
    assert_int_equal(json_as_int(json_get(result, "keys-unknown"), -1), 1);
    assert_contains(text_of(json_first(json_get(result, "unknown")), "reason"), "undecided within");
    json_free(result);
    arena_free(&arena);
    history_free(&hard);
    history_free(&both);
}

/* ---- Random histories through the whole checker ---- */

static void every_refutation_is_certified_and_explained(void **state)
{
    (void)state;
    struct prng prng = prng_stream(20260104, "whole");
    struct lin_text_op ops[128];
    int invalid = 0;
    for (int i = 0; i < 300; i++) {
        struct lin_random random = {.ops = 80,
                                    .clients = (uint32_t)prng_between(&prng, 2, 6),
                                    .values = (uint32_t)prng_between(&prng, 2, 5),
                                    .info = i % 3 * 0.05,
                                    .fail = 0.05,
                                    .cas = 0.3,
                                    .write = 0.3,
                                    .locks = i % 10 == 9};
        lin_random_valid(&prng, &random, ops);
        for (int spoil = 0; spoil < i % 4; spoil++)
            lin_random_spoil(&prng, &random, ops);
        struct history history;
        enum verdict verdict;
        lin_text_history(ops, random.ops, &history);
        struct json *result = check_history(
            &history, &(struct request){.model = random.locks ? "mutex" : NULL}, &verdict);
        assert_int_not_equal(verdict, VERDICT_UNKNOWN);
        assert_true(json_as_bool(json_get(result, "certified"), false));
        if (i % 4 == 0)
            assert_int_equal(verdict, VERDICT_VALID);
        if (verdict == VERDICT_INVALID) {
            const struct json *anomaly = first_anomaly(result);
            assert_true(json_count(json_get(anomaly, "events")) >= 2);
            assert_non_null(json_get(anomaly, "partial"));
            assert_contains(text_of(anomaly, "partial-ends-with"), " is ");
            assert_true(json_count(json_get(anomaly, "minimal")) >= 2);
            assert_contains(text_of(anomaly, "text"), "cannot be placed: ");
            invalid++;
        }
        json_free(result);
        history_free(&history);
    }
    assert_in_range(invalid, 60, 225);
}

static void record(struct history *history, enum op_type type, const char *f, struct value value)
{
    struct op op = {.type = type, .process = 0, .time_ns = history->count};
    enum err_code code = ERR_NONE;
    op.f = history_f(history, f);
    op.value = value;
    (void)history_append_own(history, &op, &code);
    assert_int_equal(code, ERR_NONE);
}

/* What a long queue, stack or bag had come to is told in a linear replay of a monitor's order, and
 * of many elements the first ones: states by steps are copies of one another, 10 GB here. */
static void long_containers_are_explained_quickly(void **state)
{
    (void)state;
    enum { ELEMENTS = 30000 };
    static const struct {
        const char *model, *insert, *remove;
        int64_t wrong; /* what the one removal takes, which it may not */
        const char *told;
    } cases[] = {
        {"fifo-queue", "enqueue", "dequeue", 7,
         "the queue is [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 ... of 30000]"},
        {"stack", "push", "pop", 29990, "the stack is, from the top, [30000 29999 29998 "},
        {"unordered-queue", "enqueue", "dequeue", 30001, "the queue is, in no order, [1 2 3 "},
        {"priority-queue", "insert", "delete-min", 7, "the queue is, in no order, [1 2 3 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct history history;
        enum verdict verdict;
        history_init(&history);
        for (int64_t value = 1; value <= ELEMENTS; value++)
            for (int type = OP_INVOKE; type <= OP_OK; type++)
                record(&history, (enum op_type)type, cases[i].insert, value_int(NULL, value));
        record(&history, OP_INVOKE, cases[i].remove, value_nil());
        record(&history, OP_OK, cases[i].remove, value_int(NULL, cases[i].wrong));
        struct err err = ERR_INIT;
        assert_int_equal(history_pair(&history, &err), ERR_NONE);
        int64_t began_ns = clock_monotonic_ns();
        struct json *result = check_history(
            &history,
            &(struct request){.model = cases[i].model, .keyed = KEYED_NO, .memory_bytes = 1 << 28},
            &verdict);
        assert_true(clock_monotonic_ns() - began_ns < 30 * NS_PER_SECOND);
        assert_int_equal(verdict, VERDICT_INVALID);
        assert_true(json_as_bool(json_get(result, "certified"), false));
        const struct json *anomaly = first_anomaly(result);
        assert_int_equal(json_as_int(json_get(anomaly, "partial-count"), -1), ELEMENTS);
        assert_contains(text_of(anomaly, "partial-ends-with"), cases[i].told);
        json_free(result);
        history_free(&history);
    }
}

/* A search that is stuck goes back, in the end to the beginning, wherever that was kept: it was
 * replaced by what was kept of event 128. */
static void a_search_can_go_back_to_the_beginning(void **state)
{
    (void)state;
    enum { OPS = 1000, SEEDS = 10 };
    struct lin_text_op *ops = calloc(OPS + 1, sizeof *ops);
    int invalid = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct prng prng = prng_stream(seed, "bench");
        struct lin_random random = {
            .ops = OPS, .clients = 5, .values = 5, .info = 0.05, .cas = 1.0 / 3, .write = 1.0 / 3};
        struct history history;
        enum verdict verdict;
        lin_random_valid(&prng, &random, ops);
        lin_random_flip(&prng, &random, ops);
        lin_text_history(ops, OPS, &history);
        struct json *result = check_history(&history, &(struct request){.model = NULL}, &verdict);
        assert_int_not_equal(verdict, VERDICT_UNKNOWN);
        assert_true(json_as_bool(json_get(result, "certified"), false));
        invalid += verdict == VERDICT_INVALID;
        json_free(result);
        history_free(&history);
    }
    free(ops);
    assert_in_range(invalid, 1, SEEDS - 1); /* a read may be changed to what is possible */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stale_read_names_the_write_it_missed),
        cmocka_unit_test(other_failures_are_told_as_what_they_are),
        cmocka_unit_test(keys_are_named_and_counted),
        cmocka_unit_test(many_bad_keys_are_counted_but_twenty_explained),
        cmocka_unit_test(keyed_or_not_is_guessed_from_the_reads),
        cmocka_unit_test(what_tests_nothing_is_unknown),
        cmocka_unit_test(a_cas_without_a_pair_is_unknown_and_located),
        cmocka_unit_test(values_may_be_anything),
        cmocka_unit_test(budgets_end_in_unknown_not_in_hanging),
        cmocka_unit_test(a_hard_key_does_not_starve_the_others),
        cmocka_unit_test(every_refutation_is_certified_and_explained),
        cmocka_unit_test(long_containers_are_explained_quickly),
        cmocka_unit_test(a_search_can_go_back_to_the_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
