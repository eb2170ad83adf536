/* Which levels have an order, and refutations made small: see orders.h. */
#include <inttypes.h>
#include <string.h>

#include "checkers/transactions/orders.h"
#include "harness/base/clock.h"

enum { QUESTIONS = 6, STATES_MAX = 300000 };

/* From the weakest to the strongest; an answer YES is one for all weaker, NO for all stronger. */
static const struct question {
    enum anomaly anomaly;
    bool snapshots;
    enum order_form form;
} questions[QUESTIONS] = {
    {ANOMALY_NO_SNAPSHOT_ORDER, true, ORDER_DATA},
    {ANOMALY_NO_SNAPSHOT_ORDER_PROCESS, true, ORDER_SESSION},
    {ANOMALY_NO_SERIAL_ORDER, false, ORDER_DATA},
    {ANOMALY_NO_SNAPSHOT_ORDER_REALTIME, true, ORDER_REALTIME},
    {ANOMALY_NO_SERIAL_ORDER_PROCESS, false, ORDER_SESSION},
    {ANOMALY_NO_SERIAL_ORDER_REALTIME, false, ORDER_REALTIME},
};

/* Whether an order for `strong` is one for `weak`, too. */
static bool includes(const struct question *strong, const struct question *weak)
{
    return strong->form >= weak->form && (weak->snapshots || !strong->snapshots);
}

/* ---- Making a refutation small ---- */

static size_t count_kept(const bool *keep, uint32_t count)
{
    size_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        kept += keep[i];
    return kept;
}

/* The part of it that a refutation needs, as long as that gets smaller; NULL: it is not refuted. */
static struct orders *refuted_part(struct orders *orders, const struct order_budget *budget,
                                   struct arena *arena)
{
    struct orders *refuted = NULL;
    for (;;) {
        struct order_found found;
        bool *core;
        const char *why;
        if (orders_solve(orders, budget, arena, &found, &core, &why) != ORDER_NO)
            return refuted; /* a core that left out too much: what was refuted before it */
        refuted = orders;
        if (count_kept(core, orders->count) == orders->count)
            return refuted;
        orders = orders_part(orders, core, arena);
    }
}

struct orders *orders_shrink(const struct orders *orders, const struct order_budget *budget,
                             struct arena *arena)
{
    bool *keep = arena_alloc(arena, (size_t)orders->count + 1);
    memset(keep, true, (size_t)orders->count + 1);
    struct orders *all = orders_part(orders, keep, arena);
    struct orders *small = refuted_part(all, budget, arena);
    if (small == NULL)
        return all;
    /* Then without one after the other: those that remain are all needed. */
    for (uint32_t i = small->count; i-- > 0 && clock_monotonic_ns() < budget->deadline_ns;) {
        if (i >= small->count)
            continue;
        bool *but_one = arena_alloc(arena, (size_t)small->count + 1);
        memset(but_one, true, (size_t)small->count + 1);
        but_one[i] = false;
        struct orders *smaller = refuted_part(orders_part(small, but_one, arena), budget, arena);
        if (smaller != NULL)
            small = smaller;
    }
    return small;
}

/* ---- One question ---- */

struct finder {
    struct inference *inference;
    const struct order_budget *budget;
    struct orders *orders;
    struct arena *arena;
    struct buf *certificate; /* gets the first answer that can be proved */
    struct order_found found;
    enum order_answer answers[QUESTIONS];
    bool asked[QUESTIONS];
    const char *why;
};

/* By what the keys promise, where they do; what that order is worth the replay tells. */
static bool make_order(const struct finder *finder, enum order_form form, struct order_found *found)
{
    struct orders *orders = finder->orders;
    enum order_form asked = orders->form;
    struct order_known known = {.graph = &finder->inference->graph,
                                .types = EDGES_ALL & ~EDGES_REALTIME};
    if (form == ORDER_REALTIME && finder->inference->txns->history->unordered)
        return false;
    if (form == ORDER_DATA)
        known.types &= ~EDGES_PROCESS;
    for (int with = 1; with >= 0; with--) {
        orders->form = form;
        bool good = orders_guess(orders, with ? &known : NULL, finder->arena, found);
        orders->form = asked;
        if (good && orders_replay(orders, found))
            return true;
    }
    return false;
}

static enum order_answer search_order(struct finder *finder)
{
    struct orders *orders = finder->orders;
    struct order_found found;
    bool *core;
    /* A serial order in real time is an answer to everything, and usually there at once. */
    for (int guess = ORDER_REALTIME; guess >= (int)orders->form; guess--)
        if (make_order(finder, (enum order_form)guess, &found)) {
            finder->found = found;
            return ORDER_YES;
        }
    enum order_answer answer =
        orders_solve(orders, finder->budget, finder->arena, &found, &core, &finder->why);
    if (answer == ORDER_YES && !orders_replay(orders, &found)) {
        finder->why = "an order was found that does not hold when it is replayed, a mistake of "
                      "this checker: please report it with the history";
        return ORDER_OPEN;
    }
    if (answer == ORDER_YES)
        finder->found = found;
    return answer;
}

/* A refutation counts once it is confirmed. */
static enum order_answer confirm(struct finder *finder, enum anomaly anomaly)
{
    /* What was refuted in time is worth some more of it. */
    struct order_budget budget = *finder->budget;
    int64_t now = clock_monotonic_ns(), more = 10 * NS_PER_SECOND;
    if (budget.deadline_ns < now + more)
        budget.deadline_ns = now + more;
    struct orders *small = orders_shrink(finder->orders, &budget, finder->arena);
    enum order_answer answer = orders_try_all(small, STATES_MAX);
    if (answer == ORDER_NO) {
        orders_tell(finder->inference, small, anomaly);
        if (finder->certificate != NULL && finder->certificate->length == 0)
            orders_certify_none(finder->inference, small, finder->certificate);
        return ORDER_NO;
    }
    finder->why = answer == ORDER_YES
                      ? "a refutation was found that does not hold when it is checked, a mistake "
                        "of this checker: please report it with the history"
                      : "a refutation was found, but not made small enough to be confirmed";
    return ORDER_OPEN;
}

static void ask(struct finder *finder, int q)
{
    struct orders *orders = finder->orders;
    orders->form = questions[q].form;
    orders->snapshots = questions[q].snapshots;
    enum order_answer answer = finder->answers[q];
    if (!finder->asked[q])
        answer = search_order(finder);
    finder->asked[q] = true;
    finder->answers[q] = answer;
}

/* What other answers say of a question; OPEN: nothing. */
static enum order_answer implied(const struct finder *finder, int q)
{
    for (int other = 0; other < QUESTIONS; other++) {
        enum order_answer answer = finder->answers[other];
        if (other == q || !finder->asked[other])
            continue;
        if (answer == ORDER_YES && includes(&questions[other], &questions[q]))
            return ORDER_YES;
        if (answer == ORDER_NO && includes(&questions[q], &questions[other]))
            return ORDER_NO;
    }
    return ORDER_OPEN;
}

/* ---- All questions ---- */

static anomaly_set bit(int q)
{
    return UINT64_C(1) << questions[q].anomaly;
}

static void note_order(struct order_result *result, const struct orders *orders)
{
    uint32_t form = (uint32_t)orders->form + 1;
    if (!orders->snapshots && form > result->serial)
        result->serial = form;
    if (form > result->snapshots)
        result->snapshots = form;
}

static int strongest_of(const struct inference *inference, anomaly_set *wanted)
{
    int strongest = -1;
    for (int q = 0; q < QUESTIONS; q++)
        if (questions[q].form == ORDER_REALTIME && inference->txns->history->unordered)
            *wanted &= ~bit(q);
        else if (*wanted & bit(q))
            strongest = q;
    return strongest;
}

/* For levels that no order stands for: a serial order shows them all. */
static void guess_only(struct finder *finder, struct order_result *result)
{
    struct orders *orders = finder->orders;
    struct order_found found;
    for (int form = ORDER_REALTIME; form >= ORDER_DATA; form--) {
        orders->form = (enum order_form)form;
        if (!make_order(finder, orders->form, &found))
            continue;
        note_order(result, orders);
        if (finder->certificate != NULL)
            orders_certify(finder->inference, orders, &found, finder->certificate);
        return;
    }
}

struct order_result orders_find(struct inference *inference, anomaly_set wanted,
                                const struct order_budget *budget, struct buf *certificate)
{
    struct arena arena = ARENA_INIT;
    struct finder finder = {.inference = inference, .budget = budget, .arena = &arena};
    finder.certificate = certificate;
    struct order_result result = {.why = NULL};
    int strongest = strongest_of(inference, &wanted);
    finder.orders = orders_make(inference, &arena);
    if (strongest < 0) {
        guess_only(&finder, &result);
        arena_free(&arena);
        return result;
    }
    ask(&finder, strongest);
    /* A refutation is told of the weakest that it refutes. */
    for (int q = 0; q < QUESTIONS; q++) {
        if ((wanted & bit(q)) == 0 || implied(&finder, q) != ORDER_OPEN)
            continue;
        ask(&finder, q);
        if (finder.answers[q] == ORDER_NO)
            finder.answers[q] = confirm(&finder, questions[q].anomaly);
        if (finder.answers[q] == ORDER_OPEN)
            result.undecided |= bit(q);
        if (finder.answers[q] == ORDER_YES) {
            note_order(&result, finder.orders);
            if (certificate != NULL && certificate->length == 0)
                orders_certify(inference, finder.orders, &finder.found, certificate);
        }
    }
    result.why = finder.why;
    arena_free(&arena);
    return result;
}

bool orders_prove(const struct order_result *result, anomaly_set anomalies)
{
    uint32_t form = ORDER_DATA;
    anomaly_set serial = ORDER_ANOMALIES &
                         ~(ANOMALY_BIT(NO_SNAPSHOT_ORDER) | ANOMALY_BIT(NO_SNAPSHOT_ORDER_PROCESS) |
                           ANOMALY_BIT(NO_SNAPSHOT_ORDER_REALTIME));
    for (int i = ANOMALY_G0; i <= ANOMALY_G2_REALTIME; i++)
        if (anomalies >> i & 1 && (uint32_t)(i - ANOMALY_G0) % 3 > form)
            form = (uint32_t)(i - ANOMALY_G0) % 3;
    for (int i = ANOMALY_G2_ITEM; i <= ANOMALY_G2_REALTIME; i++)
        serial |= UINT64_C(1) << i;
    return result->serial > form || (result->snapshots > form && (anomalies & serial) == 0);
}
