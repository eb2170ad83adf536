/* Every model, its searches and its monitors agree with brute force over a reference object, on
 * small random histories, valid and spoiled, with and without indeterminate operations. */
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/monitor.h"
#include "checkers/linearizable/verify.h"
#include "tests/lib/ref_problem.h"
#include "tests/lib/test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HISTORIES = 1500 };
#else
enum { HISTORIES = 100000 };
#endif

struct sample {
    const struct ref_object *object;
    struct ref_op ops[REF_OPS];
    int count;
};

static void blame(const struct sample *sample, const char *what, enum verdict expected)
{
    struct buf text = BUF_INIT;
    ref_print(sample->object, sample->ops, sample->count, &text);
    print_error("%s; brute force says %s: %s\n", what, verdict_name(expected), buf_text(&text));
    buf_free(&text);
    fail();
}

static void judge(const struct sample *sample, const struct ref_problem *built, const char *what,
                  struct lin_answer *answer, enum verdict expected)
{
    if (answer->verdict != expected)
        blame(sample, what, expected);
    if (answer->verdict == VERDICT_VALID) {
        assert_non_null(answer->order);
        if (!lin_verify(&built->problem, answer->order, answer->order_count))
            blame(sample, "an order that is none", expected);
    }
    free(answer->order);
}

/* A monitor that decides decides rightly, with an order that the verifier replays, or with a few
 * operations that the plain search refutes. */
static void watch(const struct sample *sample, const struct ref_problem *built,
                  struct lin_budget *budget, enum verdict expected, uint32_t *decided)
{
    const struct lin_problem *problem = &built->problem;
    struct lin_answer answer, plain;
    if (!lin_monitor(problem, budget, &answer))
        return;
    ++*decided;
    if (answer.verdict != expected)
        blame(sample, "monitor", expected);
    struct lin_order order = {answer.order, answer.took, answer.order_count};
    if (answer.verdict == VERDICT_VALID && !lin_verify_order(problem, &order))
        blame(sample, "the monitor's order is none", expected);
    if (answer.verdict == VERDICT_INVALID) {
        struct lin_problem heart;
        struct arena arena = ARENA_INIT;
        lin_monitor_heart(problem, answer.kept, answer.at, &arena, &heart);
        lin_wgl(&heart, LIN_WGL_PLAIN, budget, &plain);
        if (plain.verdict != VERDICT_INVALID)
            blame(sample, "the monitor's heart is no refutation", expected);
        free(plain.order);
        arena_free(&arena);
    }
    free(answer.order);
    free(answer.took);
    free(answer.kept);
}

static void agree(const struct sample *sample, uint32_t counts[2], uint32_t *decided)
{
    bool valid = ref_linearizable(sample->object, sample->ops, sample->count);
    enum verdict expected = valid ? VERDICT_VALID : VERDICT_INVALID;
    counts[valid]++;
    struct ref_problem built;
    ref_problem_open(&built, sample->object, sample->ops, sample->count);
    struct lin_memory memory;
    lin_memory_init(&memory, 0);
    struct lin_budget budget = {.memory = &memory, .deadline_ns = INT64_MAX};
    struct lin_answer answer;
    lin_wgl(&built.problem, LIN_WGL_PLAIN, &budget, &answer);
    judge(sample, &built, "wgl", &answer, expected);
    for (const struct lin_engine *const *engine = lin_engines; *engine != NULL; engine++) {
        if (*engine == &lin_engine_wgl || !(*engine)->suits(built.problem.model))
            continue;
        (*engine)->search(&built.problem, &budget, &answer);
        judge(sample, &built, (*engine)->name, &answer, expected);
    }
    watch(sample, &built, &budget, expected, decided);
    assert_int_equal(atomic_load(&memory.used_bytes), 0);
    ref_problem_close(&built);
}

static void draw(struct prng *prng, const struct ref_object *object, struct sample *sample)
{
    static const double shares[] = {0, 0, 0.15, 0.4};
    struct ref_shape shape = {.ops = (int)prng_between(prng, 2, 7),
                              .info = shares[prng_below(prng, 4)],
                              .width = (int)prng_below(prng, 4),
                              .distinct = object->container && prng_below(prng, 2) == 0};
    sample->object = object;
    sample->count = ref_valid(prng, object, &shape, sample->ops);
    for (uint64_t i = prng_below(prng, 3); i > 0; i--)
        ref_spoil(prng, object, sample->ops, sample->count);
}

static void agree_on_many(const char *model)
{
    const struct ref_object *object = ref_find(model);
    assert_non_null(object);
    struct prng prng = prng_stream(20261128, model);
    uint32_t counts[2] = {0, 0}, decided = 0;
    for (int i = 0; i < HISTORIES; i++) {
        struct sample sample;
        draw(&prng, object, &sample);
        agree(&sample, counts, &decided);
    }
    if (counts[0] < HISTORIES / 20 || counts[1] < HISTORIES / 8) /* an idle test */
        fail_msg("%s: only %u invalid and %u valid histories", model, counts[0], counts[1]);
    bool watched = strstr("register cas-register fifo-queue unordered-queue", model) != NULL;
    if (watched && decided < HISTORIES / 4)
        fail_msg("%s: the monitor decided only %u of %d", model, decided, HISTORIES);
}

static void every_model_is_tried(void **unused)
{
    (void)unused;
    for (const struct model *const *model = models; *model != NULL; model++)
        if (strcmp((*model)->name, "noop") != 0)
            assert_non_null(ref_find((*model)->name));
}

#define MODEL(function, model)                                                                     \
    static void function(void **unused)                                                            \
    {                                                                                              \
        (void)unused;                                                                              \
        agree_on_many(model);                                                                      \
    }
MODEL(registers, "register")
MODEL(cas_registers, "cas-register")
MODEL(multi_registers, "multi-register")
MODEL(mutexes, "mutex")
MODEL(owner_aware_mutexes, "owner-aware-mutex")
MODEL(reentrant_mutexes, "reentrant-mutex")
MODEL(fenced_mutexes, "fenced-mutex")
MODEL(semaphores, "semaphore")
MODEL(fifo_queues, "fifo-queue")
MODEL(unordered_queues, "unordered-queue")
MODEL(priority_queues, "priority-queue")
MODEL(stacks, "stack")
MODEL(sets, "set")
MODEL(multisets, "multiset")
MODEL(counters, "counter")
MODEL(logs, "log")
MODEL(stores, "kv")
MODEL(transactions, "kv-txn")

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_is_tried),
        cmocka_unit_test(registers),
        cmocka_unit_test(cas_registers),
        cmocka_unit_test(multi_registers),
        cmocka_unit_test(mutexes),
        cmocka_unit_test(owner_aware_mutexes),
        cmocka_unit_test(reentrant_mutexes),
        cmocka_unit_test(fenced_mutexes),
        cmocka_unit_test(semaphores),
        cmocka_unit_test(fifo_queues),
        cmocka_unit_test(unordered_queues),
        cmocka_unit_test(priority_queues),
        cmocka_unit_test(stacks),
        cmocka_unit_test(sets),
        cmocka_unit_test(multisets),
        cmocka_unit_test(counters),
        cmocka_unit_test(logs),
        cmocka_unit_test(stores),
        cmocka_unit_test(transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
