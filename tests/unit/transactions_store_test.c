/* A store with one defect switched on is convicted of it, and of nothing that a weaker level
 * allows; with none it never is. Every anomaly that the checker names is convicted in some run.
 * Random seeds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/transactions/levels.h"
#include "harness/base/text.h"
#include "harness/checker.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_store.h"

enum { SEEDS = 20, RIGHT_SEEDS = 60 };

/* What is promised of registers beside the level. */
enum promised { NOTHING_MORE, WRITES_FOLLOW_READS, LINEARIZABLE_KEYS };

static struct json *judge(const struct store_options *options, const char *level,
                          enum promised promised, enum verdict *verdict)
{
    struct history history;
    struct err err = ERR_INIT;
    store_run(options, &history);
    assert_ok(history_pair(&history, &err));
    const struct checker *checker = checker_find("transactions");
    struct check_input input = {.history = &history, .limits = {.threads = 1}};
    input.options.values = json_object();
    json_set_text(input.options.values, "transactions.level", level);
    if (promised >= WRITES_FOLLOW_READS)
        json_set_text(input.options.values, "transactions.wfr-keys", "true");
    if (promised == LINEARIZABLE_KEYS)
        json_set_text(input.options.values, "transactions.linearizable-keys", "true");
    option_defaults(&input.options, checker->name, checker->options);
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker->check(&input, &result);
    *verdict = result.verdict;
    json_set_text(result.details, "why", buf_text(&result.reason));
    json_free(result.anomalies);
    buf_free(&result.reason);
    json_free(input.options.values);
    history_free(&history);
    return result.details;
}

#define STRICT "strict-serializable"

static struct store_options options_for(enum store_defect defect, uint64_t seed)
{
    return (struct store_options){.seed = seed,
                                  .txns = 400,
                                  .processes = 8,
                                  .keys = 6,
                                  .writes_per_key = 12,
                                  .mops_min = 1,
                                  .mops_max = 4,
                                  .unknown = 0.03,
                                  .failed = 0.05,
                                  .defect = defect};
}

static bool has(const struct json *details, const char *list, const char *name)
{
    for (const struct json *item = json_first(json_get(details, list)); item != NULL;
         item = json_next(item))
        if (strcmp(json_as_text(item, ""), name) == 0)
            return true;
    return false;
}

/* The cycles of kinds that stale reads show, in a process and in real time. */
#define STALE "G-single-item-realtime,G-single-item-process"

/* Convicted of an anomaly of the level, in most of the seeds; never of one that `holds` rules out.
 */
static const struct {
    enum store_defect defect;
    const char *lists, *registers; /* at least one of these; NULL: such a history shows nothing */
    const char *broken, *holds;
} expected[] = {
    {STORE_NO_READ_LOCK, "G2-item", "G2-item", "serializable", "strong-snapshot-isolation"},
    {STORE_LOST_UPDATE, "lost-update", "lost-update", "snapshot-isolation", "read-committed"},
    {STORE_STALE_SNAPSHOT, STALE, STALE ",causality-cycle", "strict-serializable", "serializable"},
    {STORE_CLOCK_SKEW, STALE, STALE ",causality-cycle", "strict-serializable", "serializable"},
    {STORE_FRACTURED_READ, "G-single-item", "fractured-read", "consistent-view", "read-committed"},
    {STORE_LONG_FORK, "G-nonadjacent-item", "G2-item,G2-item-process,G2-item-realtime",
     "strict-serializable", "read-committed"},
    {STORE_DIRTY_READ, "G1a,G1b,G1c", "G1a,G1b,G1c", "read-committed", NULL},
    {STORE_DIRTY_WRITE, "G0", "G1c", "read-committed", NULL},
    {STORE_ABORTED_STAYS, "G1a", "G1a", "read-committed", "read-uncommitted"},
    {STORE_OWN_HIDDEN, "internal", "internal", "serializable", "read-uncommitted"},
    {STORE_DUPLICATE, "duplicate-elements", NULL, "read-uncommitted", NULL},
    {STORE_REORDERED, "incompatible-order", "G1b", "read-committed", NULL},
    {STORE_LOST_COMMIT, STALE, NULL, "strict-serializable", NULL},
    {STORE_INTERMEDIATE, "G1b", "G1b", "read-committed", "read-uncommitted"},
    {STORE_MADE_UP, "garbage-read", "garbage-read", "read-committed", NULL},
};

/* What the checker names and no run of this store shows, since it has no predicates or since what
 * is found has a name that says more. */
static const char *const others =
    ",G-single,G-single-process,G-single-realtime,G-nonadjacent,G-nonadjacent-process,"
    "G-nonadjacent-realtime,G2,G2-process,G2-realtime,predicate-read-miss,"
    "G1,G1-process,G1-realtime,GSIa,GSIb,GSI,write-skew,";

static uint32_t seen[ANOMALY_COUNT]; /* runs convicted of each */

static void note(const struct json *details)
{
    for (const struct json *item = json_first(json_get(details, "anomaly-types")); item != NULL;
         item = json_next(item))
        seen[anomaly_find(json_as_text(item, ""))]++;
}

static bool convicted(const struct json *details, const char *anomalies)
{
    struct arena arena = ARENA_INIT;
    const char **names;
    bool found = false;
    size_t count = text_split(&arena, anomalies, ',', &names);
    for (size_t i = 0; i < count; i++)
        found = found || has(details, "anomaly-types", names[i]);
    arena_free(&arena);
    return found;
}

static bool broken(const struct json *details, const char *level)
{
    return has(details, "not", level) || has(details, "also-not", level);
}

/* What the store keeps of registers. Snapshots alone leave each key by itself linearizable. */
static enum promised kept_by(enum store_defect defect)
{
    return defect == STORE_NO_READ_LOCK ? LINEARIZABLE_KEYS : WRITES_FOLLOW_READS;
}

static void try_defect(size_t i, bool registers)
{
    const char *anomalies = registers ? expected[i].registers : expected[i].lists;
    const char *name = store_defect_names[expected[i].defect];
    static const char *const levels[] = {STRICT, "strong-session-serializable", "serializable"};
    int caught = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct store_options options = options_for(expected[i].defect, seed);
        options.registers = registers;
        enum verdict verdict;
        struct json *details = judge(
            &options, STRICT, registers ? kept_by(expected[i].defect) : NOTHING_MORE, &verdict);
        note(details);
        caught += verdict == VERDICT_INVALID && anomalies != NULL &&
                  convicted(details, anomalies) && broken(details, expected[i].broken);
        if (expected[i].holds != NULL && broken(details, expected[i].holds))
            fail_msg("%s, seed %d: convicted against %s: %s", name, (int)seed, expected[i].holds,
                     json_as_text(json_get(details, "why"), ""));
        json_free(details);
        if (!registers)
            continue;
        details = judge(&options, STRICT, LINEARIZABLE_KEYS, &verdict);
        note(details);
        json_free(details);
        /* With nothing promised of keys it is all up to the search for an order. */
        for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
            details = judge(&options, levels[l], NOTHING_MORE, &verdict);
            note(details);
            if (expected[i].holds != NULL && broken(details, expected[i].holds))
                fail_msg("%s, seed %d: convicted against %s: %s", name, (int)seed,
                         expected[i].holds, json_as_text(json_get(details, "why"), ""));
            json_free(details);
        }
    }
    print_message("%s, %s: %d of %d runs convicted\n", name, registers ? "registers" : "lists",
                  caught, SEEDS);
    assert_true(anomalies == NULL || caught > SEEDS / 2);
}

static void test_defects(void **state)
{
    (void)state;
    assert_int_equal(sizeof expected / sizeof expected[0], STORE_DEFECTS - 1);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        try_defect(i, false);
        try_defect(i, true);
    }
}

/* After test_defects: none of the names in the tables is there for nothing. */
static void test_all_seen(void **state)
{
    (void)state;
    for (int anomaly = 0; anomaly < ANOMALY_COUNT; anomaly++) {
        struct buf name = BUF_INIT;
        buf_printf(&name, ",%s,", anomaly_name((enum anomaly)anomaly));
        bool other = strstr(others, buf_text(&name)) != NULL;
        buf_free(&name);
        if ((seen[anomaly] > 0) == other)
            fail_msg("%s: %u runs were convicted of it", anomaly_name((enum anomaly)anomaly),
                     seen[anomaly]);
    }
}

static void test_right(void **state)
{
    (void)state;
    for (uint64_t run = 0; run < UINT64_C(3) * RIGHT_SEEDS; run++) {
        struct store_options options = options_for(STORE_RIGHT, run / 3);
        options.registers = run % 3 > 0;
        enum promised promised = run % 3 == 2 ? LINEARIZABLE_KEYS : NOTHING_MORE;
        enum verdict verdict;
        struct json *details = judge(&options, STRICT, promised, &verdict);
        if (verdict != VERDICT_VALID || json_count(json_get(details, "not")) > 0)
            fail_msg("seed %d: %s", (int)options.seed, json_as_text(json_get(details, "why"), ""));
        json_free(details);
    }
}

/* Every cycle of a long bad run is shown, edge by edge, without one that cannot be. */
static void test_long(void **state)
{
    (void)state;
    for (enum store_defect defect = STORE_NO_READ_LOCK; defect < STORE_DEFECTS; defect++) {
        struct store_options options = options_for(defect, 7);
        options.txns = 5000;
        options.processes = 20;
        enum verdict verdict;
        struct json *details = judge(&options, STRICT, NOTHING_MORE, &verdict);
        assert_int_equal(verdict, VERDICT_INVALID);
        assert_null(strstr(json_as_text(json_get(details, "why"), ""), "cannot be shown"));
        json_free(details);
    }
}

static char *judged_by(const struct history *history, int threads)
{
    const struct checker *checker = checker_find("transactions");
    struct check_input input = {.history = history, .limits = {.threads = threads}};
    struct buf text = BUF_INIT;
    input.options.values = json_object();
    option_defaults(&input.options, checker->name, checker->options);
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker->check(&input, &result);
    json_set(result.details, "anomalies", result.anomalies);
    json_set_text(result.details, "reason", buf_text(&result.reason));
    json_print(result.details, JSON_PRETTY, &text);
    json_free(result.details);
    json_free(input.options.values);
    buf_free(&result.reason);
    return text.data;
}

/* Every third key becomes a word, and so do the elements of some: what is not numbered directly. */
static struct value disguised(struct arena *arena, struct value txn)
{
    size_t count = value_count(txn);
    struct value *mops = arena_alloc(arena, (count + 1) * sizeof *mops);
    for (size_t i = 0; i < count; i++) {
        struct value mop = value_at(txn, i), parts[3];
        for (size_t j = 0; j < 3; j++)
            parts[j] = value_at(mop, j);
        int64_t key = value_as_int(parts[1]);
        if (key % 3 == 0)
            parts[1] = value_keyword(arena, arena_printf(arena, "k%d", (int)key));
        if (key % 2 == 0 && value_is_int(parts[2]))
            parts[2] = value_int(arena, value_as_int(parts[2]) * 1000003);
        if (key % 2 == 0 && value_kind(parts[2]) == VALUE_VECTOR) {
            size_t length = value_count(parts[2]);
            struct value *items = arena_alloc(arena, (length + 1) * sizeof *items);
            for (size_t j = 0; j < length; j++)
                items[j] = value_int(arena, value_as_int(value_at(parts[2], j)) * 1000003);
            parts[2] = value_items(arena, VALUE_VECTOR, items, length);
        }
        mops[i] = value_items(arena, VALUE_VECTOR, parts, 3);
    }
    return value_items(arena, VALUE_VECTOR, mops, count);
}

static void assert_same_by_threads(const struct history *history, const char *part)
{
    char *one = judged_by(history, 1);
    assert_non_null(strstr(one, part));
    static const int threads[] = {2, 3, 7};
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
        char *several = judged_by(history, threads[i]);
        assert_string_equal(one, several);
        free(several);
    }
    free(one);
}

static void run_long(enum store_defect defect, bool registers, struct history *history)
{
    struct store_options options = options_for(defect, 11);
    struct err err = ERR_INIT;
    options.txns = 12000; /* fewer are not worth a thread */
    options.registers = registers;
    store_run(&options, history);
    assert_ok(history_pair(history, &err));
}

/* Several threads find what one finds, and tell the same of it. */
static void test_threads(void **state)
{
    (void)state;
    static const struct {
        enum store_defect defect;
        bool registers;
        const char *part;
    } runs[] = {
        {STORE_RIGHT, false, "show nothing that"}, {STORE_OWN_HIDDEN, false, "internal"},
        {STORE_REORDERED, false, "neither is"},    {STORE_MADE_UP, false, "ever appended"},
        {STORE_DIRTY_READ, true, "G1a"},
    };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct history history;
        run_long(runs[i].defect, runs[i].registers, &history);
        assert_same_by_threads(&history, runs[i].part);
        for (uint32_t event = 0; event < history.count; event++)
            history.value[event] = disguised(&history.arena, history.value[event]);
        assert_same_by_threads(&history, runs[i].part);
        history_free(&history);
    }
}

/* Of several mistakes the first is told, wherever the ranges of events end. */
static void test_threads_refuse(void **state)
{
    (void)state;
    struct history history;
    run_long(STORE_RIGHT, false, &history);
    uint32_t first = 0;
    for (uint32_t third = 2; third >= 1; third--) {
        first = history.count / 3 * third;
        while (history.type[first] != OP_INVOKE)
            first++;
        history.value[first] = value_int(NULL, 7);
        history.type[history.partner[first]] =
            OP_INFO; /* so that the invocation tells what it was */
    }
    char part[64];
    snprintf(part, sizeof part, "event %u: not a transaction", first);
    assert_same_by_threads(&history, part);
    history_free(&history);
}

/* An element that two ranges append is a repetition, as within one. */
static void test_threads_repeat(void **state)
{
    (void)state;
    struct history history;
    run_long(STORE_RIGHT, false, &history);
    struct arena *arena = &history.arena;
    struct value parts[] = {value_keyword(arena, "append"), value_int(arena, 1000000),
                            value_int(arena, 1)};
    struct value mop = value_items(arena, VALUE_VECTOR, parts, 3);
    uint32_t event = 0;
    for (uint32_t half = 0; half < 2; half++) {
        event = history.count / 2 * half + 1000;
        while (history.type[event] != OP_OK)
            event++;
        history.value[event] = value_items(arena, VALUE_VECTOR, &mop, 1);
    }
    char part[64];
    snprintf(part, sizeof part, "event %u: [:append 1000000 1] repeats", event);
    assert_same_by_threads(&history, part);
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),          cmocka_unit_test(test_defects),
        cmocka_unit_test(test_all_seen),       cmocka_unit_test(test_long),
        cmocka_unit_test(test_threads),        cmocka_unit_test(test_threads_refuse),
        cmocka_unit_test(test_threads_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
