/* Judging one key: see judge.h. */
#include "checkers/linearizable/judge.h"

#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/certificate.h"
#include "checkers/linearizable/monitor.h"
#include "checkers/linearizable/verify.h"
#include "harness/base/clock.h"

enum { EXACT_MS = 60, SHRINK_MS = 5000, PLAIN_MS = 2000, STORY_MS = 300, PARTIAL_MS = 2000 };

struct trial {
    const struct lin_task *task;
    struct lin_budget *budget;
    struct lin_verdict *verdict;
    struct lin_problem problem;
    struct arena arena;
    size_t space_uncounted; /* bytes of the space from before it was charged */
    bool exact_is_slow;     /* exact supply did not get through where free supply did */
};

static void count_ops(struct trial *trial)
{
    const struct lin_problem *problem = &trial->problem;
    trial->verdict->ops = problem->op_count;
    trial->verdict->ops_known = problem->required_count;
    for (uint32_t i = 0; i < problem->op_count; i++)
        trial->verdict->ops_observing +=
            problem->ops[i].op.known &&
            (problem->model->effect == NULL || problem->ops[i].needs != MODEL_ANY);
}

static void tell_limit(struct trial *trial, const struct lin_answer *answer)
{
    struct buf *reason = &trial->verdict->reason;
    const struct lin_problem *problem = &trial->problem;
    buf_printf(reason, "undecided within %s", lin_limit_name(answer->limit));
    if (answer->at != LIN_NEVER) {
        const struct lin_op *op = &problem->ops[answer->at];
        buf_add_text(reason, ": the search got as far as ");
        lin_name_op(trial->task->history, problem, answer->at, reason);
        buf_printf(reason, " (event %u; %u of %u events of it)", op->completion,
                   op->returned == LIN_NEVER ? 0 : op->returned, problem->event_count);
    }
    buf_printf(reason, ", %llu configurations", (unsigned long long)answer->explored);
}

/* The two searches contradict each other: one of them is wrong, and this must not decide. */
static void tell_contradiction(struct trial *trial, const char *what)
{
    trial->verdict->verdict = VERDICT_UNKNOWN;
    buf_printf(&trial->verdict->reason,
               "the engine %s and the plain search contradict each other (%s); this is a defect of "
               "ordeal, please report it with this history",
               trial->task->engine->name, what);
}

/* ---- Invalid ---- */

/* Where exactly it fails: a search under free supply may notice late. */
static uint32_t first_failure(struct trial *trial, uint32_t at)
{
    if (trial->problem.model->effect == NULL ||
        trial->problem.required_count == trial->problem.op_count)
        return at;
    struct lin_weakening prefix = {.until = trial->problem.ops[at].returned};
    prefix.choice = arena_zalloc(&trial->arena, (size_t)trial->problem.op_count + 1);
    struct lin_problem cut;
    lin_problem_weaken(&trial->problem, &prefix, &trial->arena, &cut);
    struct lin_budget budget = lin_slice(trial->budget, EXACT_MS * NS_PER_MS);
    struct lin_answer answer;
    lin_frontier(&cut, &(struct lin_frontier_options){.supply = LIN_SUPPLY_EXACT}, &budget,
                 &answer);
    free(answer.order);
    trial->exact_is_slow = answer.verdict == VERDICT_UNKNOWN;
    return answer.verdict == VERDICT_INVALID ? cut.ops[answer.at].source : at;
}

/* The states that were possible while the operation ran; NULL when that is not known. */
static uint8_t *possible_states(struct trial *trial, uint32_t at)
{
    const struct lin_problem *problem = &trial->problem;
    if (problem->model->effect == NULL)
        return NULL;
    uint8_t *possible = arena_alloc(&trial->arena, (size_t)problem->state_count + 1);
    struct lin_answer answer = {.verdict = VERDICT_UNKNOWN};
    static const enum lin_supply supplies[] = {LIN_SUPPLY_EXACT, LIN_SUPPLY_FREE};
    for (int i = trial->exact_is_slow; i < 2 && answer.verdict != VERDICT_INVALID; i++) {
        struct lin_frontier_options options = {
            .supply = supplies[i], .watched = possible, .watch_from = problem->ops[at].invoked};
        struct lin_budget budget = lin_slice(trial->budget, EXACT_MS * NS_PER_MS);
        memset(possible, 0, (size_t)problem->state_count + 1);
        lin_frontier(problem, &options, &budget, &answer);
        free(answer.order);
    }
    if (answer.verdict != VERDICT_INVALID)
        return NULL;
    /* The search leaves out optional operations that help nobody; they may still have happened. */
    bool changed = true;
    while (changed) {
        changed = false;
        for (uint32_t i = 0; i < problem->op_count; i++) {
            const struct lin_op *op = &problem->ops[i];
            if (op->op.known || op->pure || op->invoked > problem->ops[at].returned ||
                possible[op->leaves] || (op->needs != MODEL_ANY && !possible[op->needs]))
                continue;
            possible[op->leaves] = 1;
            changed = true;
        }
    }
    return possible;
}

static void write_order(struct trial *trial, const struct lin_order *order)
{
    const struct lin_task *task = trial->task;
    if (task->prove)
        lin_certificate_order(&trial->problem, task->keys->keys[task->key], order,
                              &trial->verdict->proof);
}

static void write_heart(struct trial *trial, const struct lin_heart *heart)
{
    const struct lin_task *task = trial->task;
    if (task->prove && heart->certified)
        lin_certificate_heart(&trial->problem, task->keys->keys[task->key], heart,
                              &trial->verdict->proof);
}

static void decide(const struct trial *trial, const struct lin_problem *problem,
                   struct lin_budget *budget, struct lin_answer *answer)
{
    if (!trial->task->monitors || !lin_monitor(problem, budget, answer))
        trial->task->engine->search(problem, budget, answer);
}

/* The longest order there is: of all that came before the return which cannot be. */
static void find_partial(struct trial *trial, uint32_t at, struct lin_case *found)
{
    struct lin_weakening before = {.until = trial->problem.ops[at].returned};
    if (before.until-- == 0)
        return;
    before.choice = arena_zalloc(&trial->arena, (size_t)trial->problem.op_count + 1);
    struct lin_problem cut;
    lin_problem_weaken(&trial->problem, &before, &trial->arena, &cut);
    struct lin_budget budget = lin_slice(trial->budget, PARTIAL_MS * NS_PER_MS);
    struct lin_answer answer;
    decide(trial, &cut, &budget, &answer);
    struct lin_order order = {answer.order, answer.took, answer.order_count};
    if (answer.verdict == VERDICT_VALID && answer.order != NULL && lin_verify_order(&cut, &order)) {
        uint32_t *partial =
            arena_alloc(&trial->arena, ((size_t)answer.order_count + 1) * sizeof *partial);
        for (uint32_t i = 0; i < answer.order_count; i++)
            partial[i] = cut.ops[answer.order[i]].source;
        found->partial = partial;
        if (answer.took != NULL)
            found->partial_took = memcpy(
                arena_alloc(&trial->arena, ((size_t)answer.order_count + 1) * sizeof *answer.took),
                answer.took, answer.order_count * sizeof *answer.took);
        found->partial_count = answer.order_count;
    }
    lin_answer_free(&answer);
}

/* The plain search on everything, when certification failed. True when it settled the matter. */
static void search_again(struct trial *trial)
{
    struct lin_answer answer;
    lin_wgl(&trial->problem, LIN_WGL_PLAIN, trial->budget, &answer);
    if (answer.verdict == VERDICT_VALID && answer.order != NULL &&
        lin_verify(&trial->problem, answer.order, answer.order_count)) {
        trial->verdict->verdict = VERDICT_VALID;
        trial->verdict->certified = true;
        trial->verdict->decided_by = "wgl";
        write_order(trial, &(struct lin_order){.ops = answer.order, .count = answer.order_count});
    } else if (answer.verdict == VERDICT_INVALID) {
        trial->verdict->verdict = VERDICT_INVALID;
        trial->verdict->certified = true;
        trial->verdict->decided_by = "wgl";
        write_heart(trial, &(struct lin_heart){.certified = true,
                                               .whole = true,
                                               .mode = LIN_WGL_PLAIN,
                                               .until = trial->problem.event_count - 1});
    } else {
        tell_contradiction(trial, "an order where none should be");
    }
    free(answer.order);
}

/* What a monitor kept, and the plain search's word on it. */
static void monitor_heart(struct trial *trial, const struct lin_answer *found,
                          struct lin_heart *heart)
{
    unsigned mode = trial->problem.model->effect != NULL ? LIN_WGL_BRIEF : LIN_WGL_PLAIN;
    *heart = (struct lin_heart){.found = true,
                                .mode = mode,
                                .certified_by = lin_mode_name(mode),
                                .until = trial->problem.ops[found->at].returned};
    lin_monitor_heart(&trial->problem, found->kept, found->at, &trial->arena, &heart->problem);
    struct lin_budget budget = lin_slice(trial->budget, PLAIN_MS * NS_PER_MS);
    struct lin_answer plain;
    lin_wgl(&heart->problem, mode, &budget, &plain);
    free(plain.order);
    heart->certified = plain.verdict == VERDICT_INVALID;
    heart->contradicted = plain.verdict == VERDICT_VALID;
}

/* A monitor names operations that have no order, not the first that cannot return. For registers a
 * search that stops there tells the better story, when it is quick. */
static bool search_story(struct trial *trial, struct lin_answer *story)
{
    if (trial->problem.model->effect == NULL)
        return false;
    struct lin_budget budget = lin_slice(trial->budget, STORY_MS * NS_PER_MS);
    trial->task->engine->search(&trial->problem, &budget, story);
    free(story->order);
    return story->verdict == VERDICT_INVALID;
}

/* The heart, certified if it can be. Returns the operation that cannot return. */
static uint32_t find_heart(struct trial *trial, const struct lin_answer *answer,
                           struct lin_heart *heart)
{
    struct lin_answer story = *answer;
    *heart = (struct lin_heart){.found = false};
    uint32_t at = answer->at;
    if (answer->kept == NULL || search_story(trial, &story)) {
        at = first_failure(trial, story.at);
        struct lin_budget quarter = lin_share(trial->budget, 4, SHRINK_MS * NS_PER_MS);
        struct lin_budget budget = lin_slice(&quarter, SHRINK_MS * NS_PER_MS);
        lin_shrink(&trial->problem, at, trial->task->engine, &budget, &trial->arena, heart);
    }
    if (answer->kept != NULL && !heart->certified) {
        at = answer->at;
        monitor_heart(trial, answer, heart);
    }
    return at;
}

static void judge_invalid(struct trial *trial, const struct lin_answer *answer)
{
    const struct lin_task *task = trial->task;
    struct lin_heart heart;
    uint32_t at = find_heart(trial, answer, &heart);
    trial->verdict->certified = heart.certified;
    if (heart.contradicted)
        search_again(trial);
    if (!heart.contradicted)
        write_heart(trial, &heart);
    if (trial->verdict->verdict != VERDICT_INVALID || !task->explain)
        return;
    uint32_t first = task->keys->first[task->key], end = task->keys->first[task->key + 1];
    struct lin_case found = {.history = task->history,
                             .problem = &trial->problem,
                             .at = at,
                             .heart = &heart,
                             .possible = possible_states(trial, at),
                             .keyed = task->keys->keyed,
                             .key = task->keys->keys[task->key],
                             .events = task->keys->events + first,
                             .event_count = end - first};
    find_partial(trial, at, &found);
    lin_explain(&found, &trial->verdict->explanation);
    trial->verdict->explained = true;
}

/* ---- Valid ---- */

static void judge_valid(struct trial *trial, const struct lin_answer *answer)
{
    struct lin_order order = {answer->order, answer->took, answer->order_count};
    trial->verdict->certified = answer->order != NULL && lin_verify_order(&trial->problem, &order);
    if (trial->verdict->certified) {
        write_order(trial, &order);
        return;
    }
    if (answer->order != NULL) {
        search_again(trial);
        return;
    }
    trial->verdict->verdict = VERDICT_UNKNOWN;
    trial->verdict->out_of_budget = true;
    buf_add_text(&trial->verdict->reason,
                 "an order was found, but there was no memory to replay it");
}

static void try_key(struct trial *trial)
{
    const struct lin_task *task = trial->task;
    struct lin_verdict *verdict = trial->verdict;
    uint32_t first = task->keys->first[task->key], end = task->keys->first[task->key + 1];
    if (!lin_problem_build(&trial->problem, &trial->arena, task->model, task->history,
                           task->keys->events + first, end - first, task->keys->keyed,
                           task->reading, &verdict->reason)) {
        verdict->verdict = VERDICT_UNKNOWN;
        return;
    }
    trial->space_uncounted = trial->problem.space->used_bytes;
    trial->problem.space->charge = lin_charge;
    trial->problem.space->purse = trial->budget;
    count_ops(trial);
    struct lin_answer answer;
    decide(trial, &trial->problem, trial->budget, &answer);
    verdict->verdict = answer.verdict;
    verdict->decided_by = answer.decided_by;
    verdict->explored = answer.explored;
    verdict->widest = answer.widest;
    if (answer.verdict == VERDICT_UNKNOWN) {
        verdict->out_of_budget = true;
        tell_limit(trial, &answer);
    } else if (answer.verdict == VERDICT_INVALID) {
        judge_invalid(trial, &answer);
    } else {
        judge_valid(trial, &answer);
    }
    lin_answer_free(&answer);
}

void lin_judge(const struct lin_task *task, struct lin_budget *budget, struct lin_verdict *verdict)
{
    int64_t began_ns = clock_monotonic_ns();
    *verdict = (struct lin_verdict){.reason = BUF_INIT, .proof = BUF_INIT, .decided_by = "nothing"};
    struct trial trial = {.task = task, .budget = budget, .verdict = verdict, .arena = ARENA_INIT};
    try_key(&trial);
    if (trial.problem.space != NULL && trial.problem.space->purse != NULL)
        lin_discharge(budget, trial.problem.space->used_bytes - trial.space_uncounted);
    arena_free(&trial.arena);
    verdict->spent_ns = clock_monotonic_ns() - began_ns;
}

void lin_verdict_free(struct lin_verdict *verdict)
{
    buf_free(&verdict->reason);
    buf_free(&verdict->proof);
    if (verdict->explained)
        lin_explanation_free(&verdict->explanation);
    verdict->explained = false;
}
