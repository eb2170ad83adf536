/* Histories of a compare-and-set register out of bytes, so that what is changed is an operation or
 * its window: all searches agree with the plain one, and every order found is one.
 *
 * A byte is a token: 0xxxxxxx invokes, 10xxxxxx lets the x-th pending operation return,
 * 11xxxxxx gives it up. An invocation takes a second byte for its values. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/engine.h"
#include "checkers/linearizable/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPS = 16, VALUES = 6, READ = 0, WRITE = 1, CAS = 2 };

struct script {
    struct lin_op ops[OPS];
    uint32_t events[2 * OPS], pending[OPS], pending_count;
    struct model_space space;
    struct lin_problem problem;
};

static void invoke(struct script *s, uint8_t kind, uint8_t values)
{
    struct lin_problem *problem = &s->problem;
    struct lin_op *op = &s->ops[problem->op_count];
    int64_t a = values % VALUES, b = values / VALUES % VALUES;
    *op = (struct lin_op){.op = {.f = kind % 3, .known = true, .event = problem->event_count},
                          .invoked = problem->event_count,
                          .returned = LIN_NEVER,
                          .source = problem->op_count};
    op->op.a = op->op.f == WRITE ? MODEL_ANY : a;
    op->op.b = op->op.f == READ ? MODEL_ANY : b;
    op->pure = problem->model->is_pure(&op->op);
    op->needs = op->op.a;
    op->leaves = op->pure ? MODEL_ANY : op->op.b;
    s->pending[s->pending_count++] = problem->op_count;
    s->events[problem->event_count++] = LIN_EVENT(problem->op_count++, false);
}

static void end(struct script *s, uint8_t which, bool returns)
{
    if (s->pending_count == 0)
        return;
    uint32_t *at = &s->pending[which % s->pending_count];
    struct lin_op *op = &s->ops[*at];
    /* Indeterminate reads are no part of a problem: they return. */
    if (returns || op->pure) {
        op->returned = s->problem.event_count;
        op->completion = s->problem.event_count;
        s->events[s->problem.event_count++] = LIN_EVENT(*at, true);
        s->problem.required_count++;
    } else
        op->op.known = false;
    memmove(at, at + 1, (size_t)(s->pending + --s->pending_count - at) * sizeof *at);
}

static void read_script(struct script *s, const uint8_t *data, size_t size)
{
    *s = (struct script){.pending_count = 0};
    s->problem = (struct lin_problem){.model = model_find("cas-register"),
                                      .space = &s->space,
                                      .ops = s->ops,
                                      .events = s->events,
                                      .state_count = VALUES};
    for (size_t i = 0; i < size; i++) {
        if (data[i] >= 0x80)
            end(s, data[i] & 0x3f, data[i] < 0xc0);
        else if (s->problem.op_count < OPS && i + 1 < size) {
            invoke(s, data[i], data[i + 1]);
            i++;
        }
    }
    while (s->pending_count > 0)
        end(s, 0, false);
}

static void agree(const struct script *s, enum verdict expected, bool must,
                  struct lin_answer *answer)
{
    if (must || answer->verdict != VERDICT_UNKNOWN)
        assert(answer->verdict == expected);
    if (answer->order != NULL)
        assert(lin_verify(&s->problem, answer->order, answer->order_count));
    free(answer->order);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lin_hiding_options ways[] = {
        {.width = 0},
        {.width = 1},
        {.width = 3},
        {.is_free = true},
        {.without = LIN_RULE_DOMINANCE | LIN_RULE_DEAD | LIN_RULE_TWINS | LIN_RULE_TOKENS},
        {.is_free = true, .without = LIN_RULE_DOMINANCE}};
    struct script script;
    struct lin_memory memory;
    struct lin_answer answer;
    read_script(&script, data, size);
    lin_memory_init(&memory, 0);
    struct lin_budget budget = {.memory = &memory, .deadline_ns = INT64_MAX};
    lin_wgl(&script.problem, LIN_WGL_PLAIN, &budget, &answer);
    enum verdict expected = answer.verdict;
    uint32_t at = answer.at;
    agree(&script, expected, true, &answer);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        lin_hiding(&script.problem, &ways[i], &budget, &answer);
        agree(&script, expected, !ways[i].is_free, &answer);
    }
    lin_engine_hiding.search(&script.problem, &budget, &answer);
    if (expected == VERDICT_INVALID)
        assert(answer.at == at);
    agree(&script, expected, true, &answer);
    lin_engine_frontier.search(&script.problem, &budget, &answer);
    agree(&script, expected, true, &answer);
    assert(atomic_load(&memory.used_bytes) == 0);
    return 0;
}
