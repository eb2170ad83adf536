/* Models, searches and monitors against brute force: see ref_agree.h. */
#include "tests/lib/ref_agree.h"

#include <stdlib.h>

#include "checkers/linearizable/left_out.h"
#include "checkers/linearizable/monitor.h"
#include "checkers/linearizable/verify.h"
#include "tests/lib/ref_problem.h"
#include "tests/lib/test.h"

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

/* Whatever is left out of a history by the rules of certificates, what remains has no order only
 * when the whole has none: some operations are dropped at random, and the tail is. */
static void leave_out(const struct sample *sample, const struct ref_problem *built,
                      struct lin_budget *budget, enum verdict expected, struct prng *prng)
{
    const struct lin_problem *problem = &built->problem;
    uint8_t choice[REF_OPS];
    struct arena arena = ARENA_INIT;
    struct lin_weakening weakening = {.choice = choice, .until = problem->event_count - 1};
    uint64_t share = prng_between(prng, 1, 4);
    if (prng_below(prng, 3) == 0)
        weakening.until = (uint32_t)prng_below(prng, problem->event_count);
    for (uint32_t i = 0; i < problem->op_count; i++)
        choice[i] = prng_below(prng, 5) < share ? LIN_DROP : LIN_KEEP;
    struct lin_left_out left = {.problem = problem, .choice = choice, .until = weakening.until};
    bool allowed = problem->model->effect != NULL ? lin_left_out_of_register(&left, &arena)
                                                  : lin_left_out_of_container(&left, &arena);
    if (allowed) {
        struct lin_problem weaker;
        struct lin_answer answer;
        lin_problem_weaken(problem, &weakening, &arena, &weaker);
        lin_wgl(&weaker, LIN_WGL_PLAIN, budget, &answer);
        if (answer.verdict == VERDICT_INVALID && expected == VERDICT_VALID)
            blame(sample, "too much may be left out", expected);
        free(answer.order);
    }
    arena_free(&arena);
}

/* `forced`: what brute force says; else the plain search does. */
static void agree(const struct sample *sample, const enum verdict *forced, struct prng *prng,
                  uint32_t counts[2], uint32_t *decided)
{
    struct ref_problem built;
    ref_problem_open(&built, sample->object, sample->ops, sample->count);
    struct lin_memory memory;
    lin_memory_init(&memory, 0);
    struct lin_budget budget = {.memory = &memory, .deadline_ns = INT64_MAX};
    struct lin_answer answer;
    lin_wgl(&built.problem, LIN_WGL_PLAIN, &budget, &answer);
    enum verdict expected = forced != NULL ? *forced : answer.verdict;
    counts[expected == VERDICT_VALID]++;
    judge(sample, &built, "wgl", &answer, expected);
    for (const struct lin_engine *const *engine = lin_engines; *engine != NULL; engine++) {
        if (*engine == &lin_engine_wgl || !(*engine)->suits(built.problem.model))
            continue;
        (*engine)->search(&built.problem, &budget, &answer);
        judge(sample, &built, (*engine)->name, &answer, expected);
    }
    watch(sample, &built, &budget, expected, decided);
    if (sample->object->container && built.problem.event_count > 0)
        leave_out(sample, &built, &budget, expected, prng);
    assert_int_equal(atomic_load(&memory.used_bytes), 0);
    ref_problem_close(&built);
}

static void draw(struct prng *prng, const struct ref_object *object, int most, bool distinct,
                 struct sample *sample)
{
    static const double shares[] = {0, 0, 0.15, 0.4};
    struct ref_shape shape = {.ops = (int)prng_between(prng, 2, most),
                              .info = shares[prng_below(prng, 4)],
                              .width = (int)prng_below(prng, 4),
                              .distinct = distinct};
    sample->object = object;
    sample->count = ref_valid(prng, object, &shape, sample->ops);
    for (uint64_t i = prng_below(prng, 3); i > 0; i--)
        ref_spoil(prng, object, sample->ops, sample->count);
}

void ref_agree(const char *model, int histories)
{
    const struct ref_object *object = ref_find(model);
    assert_non_null(object);
    struct prng prng = prng_stream(20261128, model);
    uint32_t counts[2] = {0, 0}, decided = 0;
    for (int i = 0; i < histories; i++) {
        struct sample sample;
        draw(&prng, object, 7, object->container && i % 2 == 0, &sample);
        bool valid = ref_linearizable(sample.object, sample.ops, sample.count);
        agree(&sample, &(enum verdict){valid ? VERDICT_VALID : VERDICT_INVALID}, &prng, counts,
              &decided);
    }
    if (counts[0] < (uint32_t)histories / 20 ||
        counts[1] < (uint32_t)histories / 8) /* an idle test */
        fail_msg("%s: only %u invalid and %u valid histories", model, counts[0], counts[1]);
    if (object->container && decided < (uint32_t)histories / 4)
        fail_msg("%s: the monitor decided only %u of %d", model, decided, histories);
}

void ref_agree_longer(const char *model, int histories)
{
    const struct ref_object *object = ref_find(model);
    assert_non_null(object);
    struct prng prng = prng_stream(20261129, model);
    uint32_t counts[2] = {0, 0}, decided = 0;
    for (int i = 0; i < histories; i++) {
        struct sample sample;
        draw(&prng, object, REF_OPS - 1, true, &sample);
        agree(&sample, NULL, &prng, counts, &decided);
    }
    if (counts[0] < (uint32_t)histories / 20 || decided < (uint32_t)histories / 4)
        fail_msg("%s: only %u invalid, %u decided by the monitor", model, counts[0], decided);
}
