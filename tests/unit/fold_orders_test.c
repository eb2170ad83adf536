/* The checkers long-fork and sequential: against searches that try everything, on many small random
 * histories. */
#include <string.h>

#include "checkers/checkers.h"
#include "tests/lib/fold_random.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

enum { RUNS = 20000 };

static void expect(const char *checker, struct history *history, const char *set,
                   enum verdict verdict, const char *reason)
{
    struct made_result result = made_check(checker_find(checker), history, NULL, set);
    if (result.verdict != verdict || strstr(result.reason, reason) == NULL)
        fail_msg("%s: %s: %s", checker, verdict_name(result.verdict), result.reason);
    made_result_free(&result);
    history_free(history);
    history_init(history);
}

/* ---- long-fork ---- */

enum { KEYS = 6, GROUP = 3 };

struct forking {
    int next; /* key to be written */
    uint32_t written;
};

static struct value micro_op(struct arena *arena, const char *f, int key, struct value value)
{
    struct value items[] = {value_keyword(arena, f), value_int(NULL, key), value};
    return value_items(arena, VALUE_VECTOR, items, 3);
}

static struct value read_of(struct arena *arena, uint32_t shown, int first, int turn)
{
    struct value items[GROUP];
    for (int i = 0; i < GROUP; i++) {
        int key = first + (i + turn) % GROUP;
        items[i] = micro_op(arena, "r", key, shown >> key & 1 ? value_int(NULL, 1) : value_nil());
    }
    return value_items(arena, VALUE_VECTOR, items, GROUP);
}

static struct value ask_fork(void *state, struct prng *prng, struct arena *arena, const char **f)
{
    struct forking *forking = state;
    *f = "txn";
    if (forking->next < KEYS && prng_below(prng, 2) == 0) {
        struct value write = micro_op(arena, "w", forking->next++, value_int(NULL, 1));
        return value_items(arena, VALUE_VECTOR, &write, 1);
    }
    return read_of(arena, 0, (int)prng_below(prng, 2) * GROUP, (int)prng_below(prng, GROUP));
}

static struct value answer_fork(void *state, struct prng *prng, struct arena *arena, const char *f,
                                struct value asked)
{
    struct forking *forking = state;
    (void)f;
    struct value first = value_at(asked, 0);
    int key = (int)value_as_int(value_at(first, 1));
    if (strcmp(value_as_text(value_at(first, 0)), "w") == 0) {
        forking->written |= 1u << key;
        return asked;
    }
    uint32_t shown = forking->written;
    if (prng_below(prng, 3) == 0)
        shown &= (uint32_t)prng_next(prng);
    return read_of(arena, shown, key / GROUP * GROUP, key % GROUP);
}

/* The keys that a read shows, by bit; its group in *group; false when it is none. */
static bool shown_by(const struct history *history, uint32_t i, uint32_t *shown, int *group)
{
    struct value txn = history->value[i];
    if (history->type[i] != OP_OK || value_count(txn) != GROUP)
        return false;
    *shown = 0;
    for (int j = 0; j < GROUP; j++) {
        struct value op = value_at(txn, (size_t)j);
        int key = (int)value_as_int(value_at(op, 1));
        *group = key / GROUP;
        *shown |= value_is_nil(value_at(op, 2)) ? 0 : 1u << key;
    }
    return true;
}

static bool has_fork(const struct history *history)
{
    for (uint32_t i = 0; i < history->count; i++)
        for (uint32_t j = 0; j < i; j++) {
            uint32_t a, b;
            int group_a, group_b;
            if (shown_by(history, i, &a, &group_a) && shown_by(history, j, &b, &group_b) &&
                group_a == group_b && (a & ~b) != 0 && (b & ~a) != 0)
                return true;
        }
    return false;
}

/* A read of a failed write is another defect: the checker cannot judge it. */
static bool shows_failed(const struct history *history)
{
    uint32_t failed = 0, shown = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        uint32_t keys;
        int group;
        if (history->type[i] == OP_FAIL && value_count(history->value[i]) == 1)
            failed |= 1u << value_as_int(value_at(value_at(history->value[i], 0), 1));
        if (shown_by(history, i, &keys, &group))
            shown |= keys;
    }
    return (failed & shown) != 0;
}

static void long_fork_agrees_with_all_pairs(void **state)
{
    (void)state;
    int invalid = 0, valid = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        struct prng prng = prng_stream(seed, "fold-fork");
        struct history history;
        struct forking forking = {.next = 0};
        struct fold_client client = {.ask = ask_fork,
                                     .answer = answer_fork,
                                     .state = &forking,
                                     .clients = 3,
                                     .ops = 2 + (uint32_t)prng_below(&prng, 16),
                                     .info_percent = 8,
                                     .fail_percent = 4};
        history_init(&history);
        fold_random(&prng, &client, &history);
        struct made_result result = made_check(checker_find("long-fork"), &history, NULL, NULL);
        bool fork = has_fork(&history);
        assert_false(shows_failed(&history)); /* what failed is not counted as written above */
        if ((result.verdict == VERDICT_INVALID) != fork)
            fail_msg("seed %d: %s", (int)seed, result.reason);
        invalid += fork;
        valid += result.verdict == VERDICT_VALID;
        made_result_free(&result);
        history_free(&history);
    }
    assert_true(invalid > RUNS / 50 && valid > RUNS / 4);
}

static void long_fork_cannot_judge_what_breaks_its_assumptions(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    fold_op(&history, 0, "txn", "[[:w 1 1]]", OP_OK, "[[:w 1 1]]");
    fold_op(&history, 0, "txn", "[[:w 1 2]]", OP_OK, "[[:w 1 2]]");
    fold_op(&history, 0, "txn", "[[:r 1 nil]]", OP_OK, "[[:r 1 2]]");
    expect("long-fork", &history, NULL, VERDICT_UNKNOWN, "key 1 is written again");
    fold_op(&history, 0, "txn", "[[:w 1 1]]", OP_FAIL, "[[:w 1 1]]"); /* never happened */
    fold_op(&history, 0, "txn", "[[:w 1 2]]", OP_OK, "[[:w 1 2]]");
    fold_op(&history, 0, "txn", "[[:r 1 nil]]", OP_OK, "[[:r 1 2]]");
    expect("long-fork", &history, NULL, VERDICT_VALID, "1 reads");
    fold_op(&history, 0, "txn", "[[:r 1 nil]]", OP_OK, "[[:r 1 2]]");
    expect("long-fork", &history, NULL, VERDICT_UNKNOWN, "nobody can have written");
    fold_op(&history, 0, "txn", "[[:w 1 1]]", OP_OK, "[[:w 1 1]]");
    expect("long-fork", &history, NULL, VERDICT_UNKNOWN, "no read");
    fold_event(&history, 0, OP_INVOKE, "txn", "[[:w 1 1]]"); /* reads of other sizes are no error */
    fold_event(&history, 1, OP_INVOKE, "txn", "[[:w 2 1]]");
    fold_op(&history, 2, "txn", "[[:r 1 nil] [:r 2 nil]]", OP_OK, "[[:r 1 1] [:r 2 nil]]");
    fold_op(&history, 2, "txn", "[[:r 1 nil]]", OP_OK, "[[:r 1 nil]]");
    fold_op(&history, 2, "txn", "[[:r 2 nil] [:r 1 nil]]", OP_OK, "[[:r 2 1] [:r 1 nil]]");
    expect("long-fork", &history, NULL, VERDICT_INVALID, "1 reads saw");
    history_free(&history);
}

/* ---- sequential ---- */

struct registers {
    int64_t next, current;
};

static struct value ask_register(void *state, struct prng *prng, struct arena *arena,
                                 const char **f)
{
    struct registers *registers = state;
    (void)arena;
    *f = prng_below(prng, 2) == 0 ? "read" : "write";
    return **f == 'r' ? value_nil() : value_int(NULL, ++registers->next);
}

static struct value answer_register(void *state, struct prng *prng, struct arena *arena,
                                    const char *f, struct value asked)
{
    struct registers *registers = state;
    (void)arena;
    if (*f != 'r') {
        registers->current = value_as_int(asked);
        return asked;
    }
    int64_t shown = registers->current;
    if (prng_below(prng, 3) == 0)
        shown = (int64_t)prng_below(prng, (uint64_t)registers->next + 1);
    return shown == 0 ? value_nil() : value_int(NULL, shown);
}

/* Tries every way to interleave the processes: one operation after another of each, indeterminate
 * writes taken or left. */
struct interleaving {
    const struct history *history;
    struct step {
        int32_t process;
        bool write, optional;
        int64_t value;
    } steps[16];
    int count;
};

static bool can_go_on(const struct interleaving *all, uint32_t done, int64_t current)
{
    bool left = false;
    for (int i = 0; i < all->count; i++) {
        const struct step *step = &all->steps[i];
        if (done >> i & 1)
            continue;
        bool first = true; /* of its process, among those that are left */
        for (int j = 0; j < i; j++)
            first &= (done >> j & 1) || all->steps[j].process != step->process;
        if (!step->optional)
            left = true;
        if (!first)
            continue;
        if (!step->write && step->value != current)
            continue;
        if (can_go_on(all, done | 1u << i, step->write ? step->value : current))
            return true;
    }
    return !left;
}

static bool is_sequential(const struct history *history)
{
    struct interleaving all = {.history = history};
    for (uint32_t i = 0; i < history->count; i++) {
        enum op_type outcome;
        if (history->type[i] != OP_INVOKE || (outcome = history_outcome(history, i)) == OP_FAIL)
            continue;
        bool write = strcmp(history_f_name(history, i), "write") == 0;
        if (!write && outcome != OP_OK)
            continue;
        uint32_t told = write ? i : history->partner[i];
        assert_true(all.count < 16);
        all.steps[all.count++] = (struct step){history->process[i], write, outcome == OP_INFO,
                                               value_as_int(history->value[told])};
    }
    return can_go_on(&all, 0, 0);
}

static void sequential_agrees_with_every_interleaving(void **state)
{
    (void)state;
    int invalid = 0, valid = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        struct prng prng = prng_stream(seed, "fold-sequential");
        struct history history;
        struct registers registers = {.next = 0};
        struct fold_client client = {.ask = ask_register,
                                     .answer = answer_register,
                                     .state = &registers,
                                     .clients = 1 + (uint32_t)prng_below(&prng, 3),
                                     .ops = 2 + (uint32_t)prng_below(&prng, 7),
                                     .info_percent = 12,
                                     .fail_percent = 6};
        history_init(&history);
        fold_random(&prng, &client, &history);
        struct made_result result = made_check(checker_find("sequential"), &history, NULL, NULL);
        bool sequential = is_sequential(&history);
        if ((result.verdict != VERDICT_INVALID) != sequential)
            fail_msg("seed %d: %s expected: %s", (int)seed, sequential ? "valid" : "invalid",
                     result.reason);
        invalid += !sequential;
        valid += result.verdict == VERDICT_VALID;
        /* what is sequential keeps every session's promises */
        for (int i = 0; sequential && i < 4; i++) {
            static const char *const names[] = {"monotonic-reads", "read-your-writes",
                                                "monotonic-writes", "writes-follow-reads"};
            assert_true(json_as_bool(json_get(result.details, names[i]), false));
        }
        made_result_free(&result);
        history_free(&history);
    }
    assert_true(invalid > RUNS / 20 && valid > RUNS / 10);
}

static void sessions_are_promised_one_by_one(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    for (int i = 0; i < 3; i++) { /* a process reads back: 2, then 1, whichever was written first */
        fold_op(&history, 0, "write", "1", OP_OK, "1");
        fold_op(&history, 0, "write", "2", OP_OK, "2");
        fold_op(&history, 1, "read", "nil", OP_OK, "1");
        fold_op(&history, 1, "read", "nil", OP_OK, "2");
        fold_op(&history, 1, "read", "nil", OP_OK, "1");
        static const char *const sets[] = {NULL, "sequential.promises=monotonic-reads",
                                           "sequential.promises=read-your-writes"};
        expect("sequential", &history, sets[i], i < 2 ? VERDICT_INVALID : VERDICT_VALID,
               i == 1 ? "monotonic-reads is violated" : "");
    }
    fold_op(&history, 0, "write", "1", OP_OK, "1");
    fold_op(&history, 0, "read", "nil", OP_OK, "nil");
    expect("sequential", &history, "sequential.promises=monotonic-reads,read-your-writes",
           VERDICT_INVALID, "read-your-writes is violated");
    fold_op(&history, 0, "write", "1", OP_OK, "1"); /* a stale read of another is no violation */
    fold_op(&history, 1, "read", "nil", OP_OK, "nil");
    expect("sequential", &history, NULL, VERDICT_VALID, "1 reads and 1 writes");
    fold_op(&history, 0, "write", "[3 1]", OP_OK, "[3 1]"); /* registers by key */
    fold_op(&history, 0, "read", "[4 nil]", OP_OK, "[4 nil]");
    fold_op(&history, 0, "read", "[3 nil]", OP_OK, "[3 nil]");
    expect("sequential", &history, NULL, VERDICT_INVALID, "sequential is violated");
    fold_op(&history, 0, "write", "1", OP_OK, "1");
    fold_op(&history, 0, "write", "1", OP_OK, "1");
    fold_op(&history, 0, "read", "nil", OP_OK, "1");
    expect("sequential", &history, NULL, VERDICT_UNKNOWN, "different values");
    fold_op(&history, 0, "read", "nil", OP_OK, "nil");
    expect("sequential", &history, "sequential.promises=causal", VERDICT_UNKNOWN, "'causal'");
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_fork_agrees_with_all_pairs),
        cmocka_unit_test(long_fork_cannot_judge_what_breaks_its_assumptions),
        cmocka_unit_test(sequential_agrees_with_every_interleaving),
        cmocka_unit_test(sessions_are_promised_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
