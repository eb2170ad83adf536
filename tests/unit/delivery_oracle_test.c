/* The checker `delivery` against brute force on hundreds of thousands of small histories: what it
 * convicts, no way of taking effect can explain; and where its rules are exact, it convicts
 * whatever nothing can explain. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/prng.h"
#include "tests/lib/delivery_compare.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

/* One in so many is searched: what takes long. */
static const uint64_t shares[ORACLE_PROMISES] = {[ORACLE_STUCK] = 8};

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
    *op = oracle_op_of(f);
    op->process = 10 + i;
    op->outcome = OP_OK;
    op->message = message;
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

static void compare(const struct oracle_case *one, uint64_t number, struct counts *counts)
{
    struct history history;
    oracle_history(one, &history);
    uint64_t problems;
    uint32_t kinds = compare_judge(one, &history, &problems);
    for (int promise = 0; promise < ORACLE_PROMISES; promise++) {
        bool ours = (kinds & compared[promise].kinds) != 0;
        if (shares[promise] > 0 && number % shares[promise] != 0)
            continue;
        bool theirs = oracle_broken(one, (enum oracle_promise)promise, &counts[promise].steps);
        counts[promise].both += ours && theirs;
        counts[promise].neither += !ours && !theirs;
        counts[promise].missed += !ours && theirs;
        if (!compare_agrees(one, (enum oracle_promise)promise, ours, theirs)) {
            compare_print(one, &history);
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
        long searched = shares[promise] > 0 ? cases / (long)shares[promise] : cases;
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
