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

enum { TRY_MS = 200, EVERY_WINDOW = 64, WHOLE_MS = 100 };

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

/* A window that free supply refutes, or else the whole before the end: where it matters how often
 * an optional operation can be used, what used it up must be seen. */
static bool find_start(struct shrinking *s, uint32_t at)
{
    s->free_only = s->problem->model->effect != NULL;
    if (s->free_only && find_window(s, at))
        return true;
    s->free_only = false;
    s->weakening.begin = 0;
    memset(s->weakening.choice, LIN_KEEP, s->problem->op_count);
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

static const struct {
    unsigned mode;
    int64_t most_ms;
    const char *name;
} ways[] = {{LIN_WGL_FREE, 200, "wgl, free supply"},
            {LIN_WGL_FREE | LIN_WGL_BRIEF, 200, "wgl, free supply, brief"},
            {LIN_WGL_PLAIN, 50, "wgl"},
            {LIN_WGL_BRIEF, 60000, "wgl, brief"}};
enum { WAYS = sizeof ways / sizeof ways[0] };

const char *lin_mode_name(unsigned mode)
{
    for (int i = 0; i < WAYS; i++)
        if (ways[i].mode == mode)
            return ways[i].name;
    return NULL;
}

int lin_mode_of(const char *name)
{
    for (int i = 0; i < WAYS; i++)
        if (strcmp(ways[i].name, name) == 0)
            return (int)ways[i].mode;
    return -1;
}

/* From the plainest to what is likely to end soonest. True when the matter is settled. */
static bool certify(const struct lin_problem *weaker, struct lin_budget *budget,
                    struct lin_heart *heart)
{
    for (int i = 0; i < WAYS; i++) {
        if (ways[i].mode != LIN_WGL_PLAIN && weaker->model->effect == NULL)
            continue;
        int64_t most_ms = weaker->model->effect == NULL ? 60000 : ways[i].most_ms;
        struct lin_budget slice = lin_slice(budget, most_ms * NS_PER_MS);
        struct lin_answer answer;
        lin_wgl(weaker, ways[i].mode, &slice, &answer);
        free(answer.order);
        heart->certified = answer.verdict == VERDICT_INVALID;
        heart->contradicted = (ways[i].mode & LIN_WGL_FREE) == 0 && answer.verdict == VERDICT_VALID;
        heart->certified_by = ways[i].name;
        heart->mode = ways[i].mode;
        if (heart->certified || heart->contradicted)
            return true;
    }
    return false;
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

/* Less and less of what is refuted, and the plain search's word on it. Where free supply refutes,
 * each step makes that search's work smaller. Where it must be seen what used up the supply, reads
 * are what keeps the search narrow: there the whole is certified, and only then shrunk for people.
 */
static void shrink(struct shrinking *s, uint32_t at, struct lin_budget *budget, struct arena *arena,
                   struct lin_heart *heart)
{
    struct lin_problem window;
    heart->begin = s->weakening.begin;
    heart->until = s->weakening.until;
    uint32_t at_there = enter_window(s, at, arena, &window);
    heart->found = true;
    bool is_plain =
        window.model->effect == NULL; /* only one way to certify: not all time at once */
    struct lin_budget first = is_plain ? lin_slice(budget, WHOLE_MS * NS_PER_MS) : *budget;
    if (!s->free_only && certify(&window, &first, heart) && heart->contradicted)
        return;
    heart->whole = heart->certified;
    weaken_all(s, at_there, true, LIN_DROP);
    if (s->free_only || (is_plain && !heart->certified))
        weaken_all(s, at_there, false, LIN_OPTIONAL);
    lin_problem_weaken(&window, &s->weakening, arena, &heart->problem);
    for (uint32_t i = 0; i < heart->problem.op_count; i++)
        heart->problem.ops[i].source = window.ops[heart->problem.ops[i].source].source;
    if (s->free_only || !heart->certified)
        (void)certify(&heart->problem, budget, heart);
}

void lin_shrink(const struct lin_problem *problem, uint32_t at, const struct lin_engine *engine,
                struct lin_budget *budget, struct arena *arena, struct lin_heart *heart)
{
    *heart = (struct lin_heart){.found = false};
    struct lin_budget half = lin_share(budget, 2, NS_PER_SECOND); /* the rest certifies */
    struct shrinking s = {.problem = problem, .engine = engine, .budget = &half};
    s.weakening.choice = calloc((size_t)problem->op_count + 1, 1); /* LIN_KEEP */
    s.weakening.until = problem->ops[at].returned;
    if (s.weakening.choice != NULL && find_start(&s, at))
        shrink(&s, at, budget, arena, heart);
    free(s.weakening.choice);
    arena_free(&s.scratch);
}
