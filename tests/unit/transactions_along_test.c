/* Transactions judged while they happen agree with judging them in the end: fed event by event,
 * what along.h convicts the checker convicts, of the events so far and of all; and what the checker
 * convicts of what along.h claims to see, it has seen by the end. Random histories of a store with
 * defects and of none at all. */
#include <stdlib.h>
#include <string.h>

#include "checkers/transactions/along.h"
#include "checkers/transactions/online.h"
#include "harness/base/prng.h"
#include "harness/checker.h"
#include "harness/histories/value_table.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_small.h"
#include "tests/lib/txn_store.h"

enum { STORES = SANITIZED ? 60 : 900, SMALL = SANITIZED ? 1000 : 20000, GRAPHS = 2000 };

static const char *const levels[] = {
    "strict-serializable", "strong-session-serializable", "serializable",     "snapshot-isolation",
    "read-committed",      "strong-read-committed",       "cursor-stability",
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

static anomaly_set prohibited_by(const char *level)
{
    return levels_prohibit(UINT64_C(1) << level_find(level));
}

/* The anomalies of the level that the checker finds in the first `count` events. */
static anomaly_set judge(const struct history *whole, uint32_t count, const char *level)
{
    struct history history = *whole;
    struct err err = ERR_INIT;
    history.count = count;
    history.partner = NULL;
    assert_ok(history_pair(&history, &err));
    const struct checker *checker = checker_find("transactions");
    struct check_input input = {.history = &history, .limits = {.threads = 1}};
    input.options.values = json_object();
    json_set_text(input.options.values, "transactions.level", level);
    option_defaults(&input.options, checker->name, checker->options);
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker->check(&input, &result);
    anomaly_set found = 0;
    for (const struct json *item = json_first(json_get(result.details, "anomaly-types"));
         item != NULL; item = json_next(item))
        found |= UINT64_C(1) << anomaly_find(json_as_text(item, ""));
    assert_true((found != 0) == (result.verdict == VERDICT_INVALID));
    json_free(result.details);
    json_free(result.anomalies);
    buf_free(&result.reason);
    json_free(input.options.values);
    free(history.partner);
    return found;
}

/* ---- What is claimed ---- */

static bool is_claimed(enum anomaly anomaly, anomaly_set prohibited)
{
    const anomaly_set direct = ANOMALY_BIT(G1A) | ANOMALY_BIT(G1B) | ANOMALY_BIT(GARBAGE_READ) |
                               ANOMALY_BIT(INCOMPATIBLE_ORDER) | ANOMALY_BIT(DUPLICATE_ELEMENTS) |
                               ANOMALY_BIT(INTERNAL) | ANOMALY_BIT(FUTURE_READ) |
                               ANOMALY_BIT(LOST_UPDATE) | ANOMALY_BIT(DIRTY_UPDATE);
    anomaly_set bit = UINT64_C(1) << anomaly, implied = bit | anomaly_implied(bit);
    if ((direct & bit) != 0)
        return true;
    static const enum anomaly kinds[] = {ANOMALY_G2_ITEM, ANOMALY_G1C, ANOMALY_G0};
    unsigned k = 0;
    while (k < 2 && (prohibited >> kinds[k] & 7) == 0)
        k++;
    anomaly_set forms = prohibited >> kinds[k] & 7;
    unsigned form = (forms & 4) != 0 ? 2 : (forms & 2) != 0 ? 1 : 0;
    for (; k < 3 && forms != 0; k++) /* the same form of the narrower kinds, too */
        if ((implied >> (kinds[k] + form) & 1) != 0)
            return true;
    return false;
}

/* The history without the appends that no ok read shows. */
static void without_unseen(const struct history *from, struct history *out)
{
    struct value_table seen;
    struct arena scratch = ARENA_INIT;
    value_table_init(&seen, &scratch);
    for (uint32_t i = 0; i < from->count; i++)
        for (size_t m = 0; from->type[i] == OP_OK && m < value_count(from->value[i]); m++) {
            struct value mop = value_at(from->value[i], m), list = value_at(mop, 2);
            for (size_t e = 0;
                 strcmp(value_as_text(value_at(mop, 0)), "r") == 0 && e < value_count(list); e++)
                value_table_id(&seen, value_pair(&scratch, value_at(mop, 1), value_at(list, e)));
        }
    history_init(out);
    history_f(out, "txn");
    for (uint32_t i = 0; i < from->count; i++) {
        struct value mops[64];
        size_t count = 0;
        for (size_t m = 0; m < value_count(from->value[i]); m++) {
            struct value mop = value_at(from->value[i], m);
            struct value pair = value_pair(&scratch, value_at(mop, 1), value_at(mop, 2));
            if (strcmp(value_as_text(value_at(mop, 0)), "r") == 0 ||
                value_table_find(&seen, pair) != UINT32_MAX)
                mops[count++] = mop;
        }
        struct op op = history_op(from, i);
        enum err_code code;
        op.f = 0;
        op.value = value_items(&scratch, VALUE_VECTOR, mops, count);
        history_append(out, &op, &code);
        assert_int_equal(code, ERR_NONE);
    }
    arena_free(&scratch);
}

/* ---- Comparing ---- */

struct tally {
    uint64_t convicted, late, clean;
};

/* What it finds, fed event by event; *at: after how many events. */
static anomaly_set watch_all(const struct history *history, anomaly_set prohibited, uint32_t *at)
{
    struct along *along = along_open(prohibited, 0);
    *at = 0;
    while (*at < history->count && !along_feed(along, history, *at + 1))
        ++*at;
    *at += *at < history->count;
    anomaly_set found = along_found(along);
    if (along_given_up(along) != NULL)
        fail_msg("given up: %s", along_given_up(along));
    along_close(along);
    return found;
}

static void compare(const struct history *history, const char *level, uint64_t number,
                    struct tally *tally)
{
    anomaly_set prohibited = prohibited_by(level), found, judged;
    uint32_t at;
    found = watch_all(history, prohibited, &at);
    /* Whoever reads along cannot know that what nobody asked for by now will be asked for. */
    bool ahead = (found & ANOMALY_BIT(GARBAGE_READ)) != 0;
    judged = judge(history, ahead ? at : history->count, level);
    if (found != 0 && judged == 0)
        fail_msg("history %d: watching convicts of %s against %s at event %u, the checker does not",
                 (int)number, anomaly_name((enum anomaly)__builtin_ctzll(found)), level, at);
    if (found != 0 && number % 8 == 0 && judge(history, at, level) == 0)
        fail_msg("history %d: the first %u events do not convict against %s", (int)number, at,
                 level);
    tally->convicted += found != 0;
    tally->late += found == 0 && judged != 0;
    tally->clean += judged == 0;
    struct history seen;
    without_unseen(history, &seen);
    judged = judge(&seen, seen.count, level);
    for (int anomaly = 0; anomaly < ANOMALY_COUNT && found == 0; anomaly++)
        if ((judged >> anomaly & 1) != 0 && is_claimed((enum anomaly)anomaly, prohibited))
            fail_msg("history %d: %s against %s was not seen", (int)number,
                     anomaly_name((enum anomaly)anomaly), level);
    history_free(&seen);
}

static void store_agrees(void **state)
{
    (void)state;
    struct tally tally = {0};
    for (uint64_t run = 0; run < STORES; run++) {
        struct store_options options = {.seed = run,
                                        .txns = 30 + (uint32_t)(run % 5) * 40,
                                        .processes = 3 + (uint32_t)(run % 7),
                                        .keys = 2 + (uint32_t)(run % 4),
                                        .writes_per_key = 8,
                                        .mops_min = 1,
                                        .mops_max = 4,
                                        .unknown = 0.05,
                                        .failed = 0.05,
                                        .defect = (enum store_defect)(run % STORE_DEFECTS)};
        struct history history;
        store_run(&options, &history);
        compare(&history, levels[run / STORE_DEFECTS % LEVELS], run, &tally);
        history_free(&history);
    }
    print_message("store: %d convicted, %d only in the end, %d clean\n", (int)tally.convicted,
                  (int)tally.late, (int)tally.clean);
    assert_true(tally.convicted > STORES / 3 && tally.clean > STORES / 10);
}

static void small_agrees(void **state)
{
    (void)state;
    struct tally tally = {0};
    struct prng prng = prng_stream(5, "along");
    for (uint64_t run = 0; run < SMALL; run++) {
        struct small small;
        struct history history;
        small_random(&prng, &small, false);
        small_history(&small, false, &history);
        compare(&history, levels[run % LEVELS], run, &tally);
        history_free(&history);
    }
    print_message("small: %d convicted, %d only in the end, %d clean\n", (int)tally.convicted,
                  (int)tally.late, (int)tally.clean);
    assert_true(tally.convicted > SMALL / 10 && tally.clean > SMALL / 10);
}

/* ---- The order by itself ---- */

static bool reaches(bool edges[12][12], uint32_t from, uint32_t to, uint32_t seen)
{
    for (uint32_t next = 0; next < 12; next++)
        if (edges[from][next] && (next == to || ((seen >> next & 1) == 0 &&
                                                 reaches(edges, next, to, seen | 1U << next))))
            return true;
    return false;
}

static void an_edge_is_refused_where_it_closes_a_cycle(void **state)
{
    (void)state;
    struct prng prng = prng_stream(6, "online");
    uint64_t refused = 0;
    for (int graph = 0; graph < GRAPHS; graph++) {
        struct online online = {.nodes = NULL};
        bool edges[12][12] = {{false}};
        for (int i = 0; i < 12; i++)
            assert_int_equal(online_add(&online), i);
        for (int i = 0; i < 40; i++) {
            uint32_t from = (uint32_t)prng_below(&prng, 12), to = (uint32_t)prng_below(&prng, 12);
            bool closes = from != to && reaches(edges, to, from, 1U << to);
            assert_int_equal(online_edge(&online, from, to), !closes);
            refused += closes;
            edges[from][to] = edges[from][to] || (!closes && from != to);
            for (uint32_t a = 0; a < 12; a++)
                for (uint32_t b = 0; b < 12; b++)
                    assert_true(!edges[a][b] || online.nodes[a].order < online.nodes[b].order);
        }
        online_free(&online);
    }
    assert_true(refused > GRAPHS);
}

/* Ten times the events cost about ten times the work. */
static void the_work_is_linear(void **state)
{
    (void)state;
    uint64_t steps[2];
    for (int size = 0; size < 2; size++) {
        struct store_options options = {.seed = 1,
                                        .txns = size == 0 ? 2000 : 20000,
                                        .processes = 20,
                                        .keys = 10,
                                        .writes_per_key = 32,
                                        .mops_min = 4,
                                        .mops_max = 4,
                                        .unknown = 0.001,
                                        .failed = 0.001};
        struct history history;
        store_run(&options, &history);
        struct along *along = along_open(prohibited_by("strict-serializable"), 0);
        assert_false(along_feed(along, &history, history.count));
        steps[size] = along_steps(along);
        along_close(along);
        history_free(&history);
    }
    print_message("%d and %d steps\n", (int)steps[0], (int)steps[1]);
    assert_true(steps[1] < 20 * steps[0] && steps[1] < 20 * 20000);
}

static void what_it_cannot_judge_it_gives_up(void **state)
{
    (void)state;
    struct store_options options = {.seed = 1,
                                    .txns = 20,
                                    .processes = 2,
                                    .keys = 2,
                                    .writes_per_key = 8,
                                    .mops_min = 2,
                                    .mops_max = 2,
                                    .registers = true};
    struct history history;
    store_run(&options, &history);
    struct along *along = along_open(prohibited_by("serializable"), 0);
    assert_false(along_feed(along, &history, history.count));
    assert_contains(along_given_up(along), "registers");
    along_close(along);
    history_free(&history);
    options.registers = false;
    options.txns = 2000;
    store_run(&options, &history);
    along = along_open(prohibited_by("serializable"), 50000);
    assert_false(along_feed(along, &history, history.count));
    assert_contains(along_given_up(along), "memory");
    along_close(along);
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edge_is_refused_where_it_closes_a_cycle),
        cmocka_unit_test(store_agrees),
        cmocka_unit_test(small_agrees),
        cmocka_unit_test(the_work_is_linear),
        cmocka_unit_test(what_it_cannot_judge_it_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
