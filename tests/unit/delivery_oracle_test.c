/* The checker `delivery` against brute force on hundreds of thousands of small histories: what it
 * convicts, no way of taking effect can explain; and where its rules are exact, it convicts
 * whatever nothing can explain. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/delivery/promises.h"
#include "harness/base/clock.h"
#include "harness/base/prng.h"
#include "tests/lib/delivery_oracle.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

#define BIT(kind) (UINT32_C(1) << FOUND_##kind)

static const struct {
    uint32_t kinds;
    bool
        exact; /* without a time to settle; else the checker may miss some, but not the other way */
    uint64_t share; /* one in so many is searched */
} compared[ORACLE_PROMISES] = {
    [ORACLE_NO_LOSS] = {BIT(LOST), true, 1},
    [ORACLE_NO_PHANTOM] = {BIT(PHANTOM), true, 1},
    [ORACLE_AT_MOST_ONCE] = {BIT(TWICE), true, 1},
    [ORACLE_AFTER_ACK] = {BIT(AFTER_ACK), true, 1},
    [ORACLE_EXCLUSIVE] = {BIT(EARLY_OTHER) | BIT(SAME_DELIVERY), false, 1},
    [ORACLE_DELAY] = {BIT(BEFORE_DELAY), true, 1},
    [ORACLE_TTL] = {BIT(AFTER_TTL), true, 1},
    [ORACLE_RETRY] = {BIT(EARLY_OTHER) | BIT(EARLY_SAME) | BIT(EARLY_NACK), false, 1},
    [ORACLE_COUNT] = {BIT(COUNT_LOW) | BIT(COUNT_HIGH), false, 1},
    [ORACLE_ORDER] = {BIT(OVERTAKEN), true, 1},
    [ORACLE_STUCK] = {BIT(STUCK) | BIT(VANISHED), false, 8},
    [ORACLE_DEAD_LETTER] = {BIT(TWO_ENDS), false, 1},
    [ORACLE_FENCING] = {BIT(STALE_ACCEPTED), false, 1},
    [ORACLE_UNIQUE_KEY] = {BIT(KEY_TWICE), false, 1},
    [ORACLE_EXACTLY_ONCE] = {BIT(ACKED_TWICE), true, 1},
};

struct counts {
    long both, neither, missed, steps;
};

/* ---- Making small histories ---- */

struct maker {
    struct prng prng;
    struct oracle_case one;
    double from[ORACLE_OPS_MAX], to[ORACLE_OPS_MAX]; /* places, before they become ticks */
    int messages, tokens;
    bool timed; /* durations matter, so ticks are apart */
    int infos;  /* in a hundred */
};

static int draw(struct maker *maker, int low, int high)
{
    return (int)prng_between(&maker->prng, low, high);
}

static bool chance(struct maker *maker, int percent)
{
    return draw(maker, 0, 99) < percent;
}

static struct oracle_op *add(struct maker *maker, enum oracle_f f, int message, double place,
                             double width)
{
    int i = maker->one.op_count++;
    struct oracle_op *op = &maker->one.ops[i];
    *op = (struct oracle_op){.f = f,
                             .process = 10 + i,
                             .outcome = OP_OK,
                             .message = message,
                             .token = ORACLE_NONE,
                             .count = ORACLE_NONE,
                             .delay = ORACLE_NONE,
                             .ttl = ORACLE_NONE,
                             .retry = ORACLE_NONE,
                             .producer = ORACLE_NONE,
                             .key = ORACLE_NONE};
    maker->from[i] = place + width * prng_unit(&maker->prng);
    maker->to[i] = maker->from[i] + width * prng_unit(&maker->prng) + 0.01;
    return op;
}

static int duration(struct maker *maker)
{
    return draw(maker, 0, 12);
}

static void add_sends(struct maker *maker)
{
    bool delays = chance(maker, 30), ttls = chance(maker, 30), keys = chance(maker, 20);
    int once = chance(maker, 30) ? 60 : 10;
    for (int message = 0; message < maker->messages; message++) {
        struct oracle_op *op = add(maker, ORACLE_ENQUEUE, message, message * 0.7, 1.2);
        op->producer = draw(maker, 0, 1) * draw(maker, 0, 1);
        op->retry = chance(maker, once) ? 0 : 1 + duration(maker);
        op->retry = chance(maker, 8) ? ORACLE_NONE : op->retry;
        op->delay = delays && chance(maker, 60) ? duration(maker) : ORACLE_NONE;
        op->ttl = ttls && chance(maker, 60) ? duration(maker) : ORACLE_NONE;
        op->key = keys && chance(maker, 70) ? draw(maker, 0, 1) : ORACLE_NONE;
        op->outcome = chance(maker, maker->infos) ? OP_INFO : chance(maker, 7) ? OP_FAIL : OP_OK;
    }
}

static void add_settling(struct maker *maker, const struct oracle_op *delivery, double after)
{
    static const enum oracle_f choices[] = {ORACLE_ACK,  ORACLE_ACK,    ORACLE_ACK, ORACLE_NACK,
                                            ORACLE_NACK, ORACLE_EXTEND, ORACLE_DEAD};
    int message = delivery->message, token = delivery->token;
    struct oracle_op *op = add(maker, choices[draw(maker, 0, 6)], message, after, 1);
    op->token = token;
    op->delay = op->f == ORACLE_NACK && chance(maker, 70) ? duration(maker) : ORACLE_NONE;
    op->retry = op->f == ORACLE_EXTEND ? duration(maker) : ORACLE_NONE;
    op->outcome = chance(maker, maker->infos) ? OP_INFO : chance(maker, 15) ? OP_FAIL : OP_OK;
}

static void add_deliveries(struct maker *maker, int count)
{
    bool counted = chance(maker, 40);
    for (int i = 0; i < count; i++) {
        int message = draw(maker, 0, maker->messages - 1);
        struct oracle_op *op =
            add(maker, ORACLE_DEQUEUE, message, 1.2 + i * 0.9 + message * 0.2, 1.2);
        double after = maker->to[maker->one.op_count - 1];
        op->token = chance(maker, 90) ? maker->tokens++ : draw(maker, 0, maker->tokens);
        op->count = counted ? draw(maker, 1, 2) : ORACLE_NONE;
        op->process = chance(maker, 40) ? 1 + i % 2 : op->process;
        if (chance(maker, maker->infos))
            *op = (struct oracle_op){.f = ORACLE_DEQUEUE,
                                     .process = op->process,
                                     .outcome = OP_INFO,
                                     .message = ORACLE_NONE,
                                     .token = ORACLE_NONE,
                                     .count = ORACLE_NONE};
        else if (chance(maker, 8))
            op->message = ORACLE_NONE, op->token = ORACLE_NONE, op->count = ORACLE_NONE;
        else if (chance(maker, 50) && maker->one.op_count < 6)
            add_settling(maker, op, after);
    }
}

static void add_drains(struct maker *maker)
{
    int count = chance(maker, 75) ? 1 : 2;
    for (int i = 0; i < count; i++) {
        struct oracle_op *op = add(maker, ORACLE_DRAIN, ORACLE_NONE, chance(maker, 80) ? 6 : 4, 1);
        for (int message = 0; message < maker->messages && i == 0; message++)
            if (chance(maker, 30))
                op->batch[op->batch_count++] = message;
        op->outcome = chance(maker, 5) ? OP_FAIL : OP_OK;
        if (op->outcome == OP_FAIL)
            op->batch_count = 0;
    }
}

struct place {
    double at;
    int op;
    bool end;
};

static int by_place(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    return (a->at > b->at) - (a->at < b->at);
}

/* Places become ticks, all different. */
static void give_ticks(struct maker *maker)
{
    struct place places[2 * ORACLE_OPS_MAX];
    int count = 0, tick = 0;
    for (int i = 0; i < maker->one.op_count; i++) {
        places[count++] = (struct place){maker->from[i], i, false};
        if (maker->one.ops[i].outcome != OP_INFO)
            places[count++] = (struct place){maker->to[i], i, true};
    }
    qsort(places, (size_t)count, sizeof *places, by_place);
    for (int i = 0; i < count; i++) {
        tick += maker->timed ? draw(maker, 1, 3) : 1;
        struct oracle_op *op = &maker->one.ops[places[i].op];
        if (places[i].end)
            op->to = tick;
        else
            op->from = tick;
    }
    maker->one.end = tick;
}

/* A process does one thing at a time, and nothing after what it does not know the end of. */
static void give_processes(struct maker *maker)
{
    for (int i = 0; i < maker->one.op_count; i++)
        for (int j = 0; j < maker->one.op_count; j++) {
            struct oracle_op *a = &maker->one.ops[i];
            const struct oracle_op *b = &maker->one.ops[j];
            if (i == j || a->process != b->process)
                continue;
            bool a_first = a->outcome != OP_INFO && a->to < b->from;
            bool b_first = b->outcome != OP_INFO && b->to < a->from;
            if (!a_first && !b_first)
                a->process = 10 + i;
        }
}

static void make(struct maker *maker)
{
    memset(&maker->one, 0, sizeof maker->one);
    maker->tokens = 0;
    maker->messages = draw(maker, 1, 3);
    maker->timed = chance(maker, 50);
    maker->infos = chance(maker, 40) ? 0 : 18;
    add_sends(maker);
    add_deliveries(maker, draw(maker, 0, 4 - (maker->messages > 2)));
    if (chance(maker, 60))
        add_drains(maker);
    maker->one.settle = chance(maker, 60) ? ORACLE_NONE : draw(maker, 0, 12);
    maker->one.stuck = draw(maker, 1, 8);
    give_ticks(maker);
    give_processes(maker);
}

/* ---- Comparing ---- */

static void print_case(const struct history *history)
{
    struct buf out = BUF_INIT;
    for (uint32_t i = 0; i < history->count; i++) {
        history_print_op(history, i, &out);
        buf_add_char(&out, '\n');
    }
    fputs(buf_text(&out), stdout);
    buf_free(&out);
}

static uint32_t found_kinds(const struct judge *judge)
{
    uint32_t kinds = 0;
    for (int kind = 0; kind < FINDING_KINDS; kind++)
        kinds |= judge->findings.counts[kind] > 0 ? UINT32_C(1) << kind : 0;
    return kinds;
}

/* What the checker finds in it. */
static uint32_t judge_case(const struct oracle_case *one, const struct history *history)
{
    static struct judge judge;
    struct settings settings = {.settle_ns = one->settle == ORACLE_NONE ? INT64_MAX
                                                                        : one->settle * NS_PER_MS,
                                .stuck_ns = one->stuck * NS_PER_MS,
                                .retry_ns = DURATION_NONE};
    judge_init(&judge, history, &settings);
    judge.healed_ns = INT64_MIN;
    judge_fold(&judge);
    judge_end(&judge);
    uint32_t kinds = found_kinds(&judge);
    judge_free(&judge);
    return kinds;
}

static void compare(const struct oracle_case *one, uint64_t number, struct counts *counts)
{
    struct history history;
    oracle_history(one, &history);
    uint32_t kinds = judge_case(one, &history);
    for (int promise = 0; promise < ORACLE_PROMISES; promise++) {
        bool ours = (kinds & compared[promise].kinds) != 0;
        if (number % compared[promise].share != 0)
            continue;
        bool theirs = oracle_broken(one, (enum oracle_promise)promise, &counts[promise].steps);
        counts[promise].both += ours && theirs;
        counts[promise].neither += !ours && !theirs;
        counts[promise].missed += !ours && theirs;
        if ((ours && !theirs) ||
            (theirs && !ours && compared[promise].exact && one->settle == ORACLE_NONE)) {
            print_message("settle %d, stuck %d\n", one->settle, one->stuck);
            print_case(&history);
            fail_msg("history %llu: %s is %s by the checker, %s by brute force",
                     (unsigned long long)number, oracle_promise_names[promise],
                     ours ? "broken" : "kept", theirs ? "broken" : "kept");
        }
    }
    history_free(&history);
}

static void the_checker_agrees_with_brute_force(void **state)
{
    (void)state;
    static struct maker maker;
    struct counts counts[ORACLE_PROMISES] = {{0}};
    const char *wanted = getenv("DELIVERY_ORACLE_CASES");
    long cases = wanted == NULL ? (SANITIZED ? 15000 : 50000) : strtol(wanted, NULL, 10);
    for (long i = 0; i < cases; i++) {
        char name[32];
        snprintf(name, sizeof name, "case %ld", i);
        maker.prng = prng_stream(1, name);
        make(&maker);
        compare(&maker.one, (uint64_t)i, counts);
    }
    print_message("# %ld histories\n", cases);
    for (int promise = 0; promise < ORACLE_PROMISES; promise++) {
        print_message("# %-24s broken %6ld, kept %6ld, missed by the checker %5ld, steps %8ld\n",
                      oracle_promise_names[promise], counts[promise].both, counts[promise].neither,
                      counts[promise].missed, counts[promise].steps);
        long searched = cases / (long)compared[promise].share;
        assert_true(counts[promise].both > searched / 2000);
        assert_true(counts[promise].neither > searched / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checker_agrees_with_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
