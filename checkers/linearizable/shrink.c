/* The heart of a refutation: see shrink.h. */
#include "checkers/linearizable/shrink.h"

#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"

struct shrinking {
    const struct lin_problem *problem;
    const struct lin_engine *engine;
    struct lin_budget *budget;
    struct lin_weakening weakening;
    struct arena scratch;
    bool free_only; /* judge by free supply: much quicker, and enough for most */
};

enum { TRY_MS = 200, CERTIFY_MS = 2000, EVERY_WINDOW = 64 };

/* Is the weaker problem refuted as well? Not knowing is no. */
static bool refuted(struct shrinking *s)
{
    if (lin_late(s->budget))
        return false;
    arena_reset(&s->scratch);
    struct lin_problem weaker;
    lin_problem_weaken(s->problem, &s->weakening, &s->scratch, &weaker);
    struct lin_budget budget = lin_slice(s->budget, TRY_MS * NS_PER_MS);
    struct lin_answer answer;
    if (s->free_only)
        lin_frontier(&weaker, &(struct lin_frontier_options){.supply = LIN_SUPPLY_FREE}, &budget,
                     &answer);
    else
        s->engine->search(&weaker, &budget, &answer);
    free(answer.order);
    return answer.verdict == VERDICT_INVALID;
}

/* The smallest window before the end that is still refuted. No search by halves: what is pending at
 * the beginning becomes optional, so a later beginning may also be stronger. */
static bool find_begin(struct shrinking *s, const struct lin_budget *budget)
{
    uint32_t until = s->weakening.until;
    for (uint32_t size = 1; size < until && !lin_late(budget);
         size += size < EVERY_WINDOW ? 1 : size / 2) {
        s->weakening.begin = until - size;
        if (refuted(s))
            return true;
    }
    s->weakening.begin = 0;
    return refuted(s);
}

/* A story of what was done is better than one of what was read: first without any other pure
 * operations, and with all of them only when that does not refute. */
static bool find_window(struct shrinking *s, uint32_t at)
{
    struct lin_budget half = lin_share(s->budget, 2, NS_PER_SECOND);
    for (uint32_t i = 0; i < s->problem->op_count; i++)
        s->weakening.choice[i] = s->problem->ops[i].pure && i != at ? LIN_DROP : LIN_KEEP;
    if (find_begin(s, &half))
        return true;
    memset(s->weakening.choice, LIN_KEEP, s->problem->op_count);
    return find_begin(s, s->budget);
}

/* Any window, by free supply or else by the engine itself. */
static bool find_any_window(struct shrinking *s, uint32_t at)
{
    s->free_only = s->problem->model->effect != NULL;
    if (s->free_only && find_window(s, at))
        return true;
    s->free_only = false;
    memset(s->weakening.choice, LIN_KEEP, s->problem->op_count);
    if (s->problem->model->effect != NULL)
        return find_window(s, at);
    s->weakening.begin = 0;
    return refuted(s);
}

/* Tries to weaken the candidates in ever smaller pieces, and keeps what stays refuted. */
static void weaken(struct shrinking *s, const uint32_t *candidates, uint32_t count,
                   enum lin_choice choice, uint8_t *saved)
{
    for (uint32_t size = count; size > 0; size = size == 1 ? 0 : (size + 1) / 2)
        for (uint32_t from = 0; from < count; from += size) {
            bool changed = false;
            memcpy(saved, s->weakening.choice, s->problem->op_count);
            for (uint32_t i = from; i < count && i < from + size; i++) {
                changed = changed || saved[candidates[i]] == LIN_KEEP;
                s->weakening.choice[candidates[i]] = (uint8_t)choice;
            }
            if (changed && !refuted(s))
                memcpy(s->weakening.choice, saved, s->problem->op_count);
        }
}

static void weaken_all(struct shrinking *s, uint32_t at, bool pure, enum lin_choice choice)
{
    uint32_t count = 0, *candidates = calloc((size_t)s->problem->op_count + 1, sizeof *candidates);
    uint8_t *saved = calloc((size_t)s->problem->op_count + 1, 1);
    for (uint32_t i = 0; i < s->problem->op_count && candidates != NULL; i++)
        if (i != at && s->problem->ops[i].pure == pure && s->problem->ops[i].op.known)
            candidates[count++] = i;
    if (candidates != NULL && saved != NULL)
        weaken(s, candidates, count, choice, saved);
    free(candidates);
    free(saved);
}

static void certify(struct shrinking *s, struct lin_heart *heart)
{
    struct lin_answer answer = {.verdict = VERDICT_UNKNOWN};
    struct lin_budget budget = lin_slice(s->budget, CERTIFY_MS * NS_PER_MS);
    if (heart->problem.model->effect != NULL) {
        lin_wgl(&heart->problem, true, &budget, &answer);
        heart->certified_by = "wgl, free supply";
    }
    if (answer.verdict != VERDICT_INVALID) {
        free(answer.order);
        lin_wgl(&heart->problem, false, &budget, &answer);
        heart->certified_by = "wgl";
    }
    free(answer.order);
    heart->certified = answer.verdict == VERDICT_INVALID;
    heart->contradicted = answer.verdict == VERDICT_VALID;
}

/* Goes on with the window alone, so that each try costs its size and not the whole problem's.
 * Returns the number that `at` has there. */
static uint32_t enter_window(struct shrinking *s, uint32_t at, struct arena *arena,
                             struct lin_problem *window)
{
    lin_problem_weaken(s->problem, &s->weakening, arena, window);
    s->problem = window;
    s->weakening.begin = 0;
    s->weakening.until = window->event_count;
    memset(s->weakening.choice, LIN_KEEP, window->op_count);
    for (uint32_t i = 0; i < window->op_count; i++)
        if (window->ops[i].source == at)
            return i;
    return LIN_NEVER;
}

void lin_shrink(const struct lin_problem *problem, uint32_t at, const struct lin_engine *engine,
                struct lin_budget *budget, struct arena *arena, struct lin_heart *heart)
{
    *heart = (struct lin_heart){.found = false};
    struct shrinking s = {.problem = problem, .engine = engine, .budget = budget};
    struct lin_problem window;
    s.weakening.choice = calloc((size_t)problem->op_count + 1, 1); /* LIN_KEEP */
    s.weakening.until = problem->ops[at].returned;
    if (s.weakening.choice != NULL && find_any_window(&s, at)) {
        uint32_t at_there = enter_window(&s, at, arena, &window);
        weaken_all(&s, at_there, true, LIN_DROP);
        weaken_all(&s, at_there, false, LIN_OPTIONAL);
        lin_problem_weaken(&window, &s.weakening, arena, &heart->problem);
        for (uint32_t i = 0; i < heart->problem.op_count; i++)
            heart->problem.ops[i].source = window.ops[heart->problem.ops[i].source].source;
        heart->found = true;
        certify(&s, heart);
    }
    free(s.weakening.choice);
    arena_free(&s.scratch);
}
