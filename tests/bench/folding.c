/* How fast the checkers that fold over a history are, from memory, on one core: operations (an
 * invocation and its completion) a second of processor time. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "harness/base/prng.h"
#include "harness/checker.h"

enum { OPERATIONS = 2000000, CLIENTS = 20, REPEATS = 3 };

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add(struct history *history, const char *f, struct value asked, struct value answered)
{
    static uint32_t turn;
    enum err_code code;
    struct op op = {.type = OP_INVOKE,
                    .process = (int32_t)(turn++ % CLIENTS),
                    .f = history_f(history, f),
                    .value = asked,
                    .time_ns = history->count};
    history_append_own(history, &op, &code);
    op.type = OP_OK;
    op.value = answered;
    op.time_ns++;
    history_append_own(history, &op, &code);
    assert(code == ERR_NONE);
}

static struct value number(int64_t integer)
{
    return value_int(NULL, integer);
}

/* All from 0 up to `count`, as a read of a set tells them. */
static struct value all_below(struct history *history, uint32_t count)
{
    struct value *items = arena_alloc(&history->arena, ((size_t)count + 1) * sizeof *items);
    for (uint32_t i = 0; i < count; i++)
        items[i] = number(i);
    return value_items(&history->arena, VALUE_VECTOR, items, count);
}

static void make_ids(struct history *history, uint32_t i)
{
    add(history, "generate", value_nil(), number(i));
}

static void make_counter(struct history *history, uint32_t i)
{
    if (i % 2 == 0)
        add(history, "add", number(1), number(1));
    else
        add(history, "read", value_nil(), number(i / 2 + 1));
}

static void make_set(struct history *history, uint32_t i)
{
    add(history, "add", number(i), number(i));
    if (i + 1 == OPERATIONS)
        add(history, "read", value_nil(), all_below(history, OPERATIONS));
}

static void make_set_full(struct history *history, uint32_t i)
{
    add(history, "add", number(i), number(i));
    if ((i + 1) % (OPERATIONS / 2) == 0)
        add(history, "read", value_nil(), all_below(history, i + 1));
}

static void make_causal(struct history *history, uint32_t i)
{
    add(history, "write", number(i), number(i));
    if ((i + 1) % (OPERATIONS / 2) == 0)
        add(history, "read", value_nil(), all_below(history, i + 1));
}

/* Transfers, and one read of eight accounts after every eight of them. */
static void make_bank(struct history *history, uint32_t i)
{
    struct arena *arena = &history->arena;
    static struct value names[3];
    if (i == 0) {
        names[0] = value_keyword(arena, "from");
        names[1] = value_keyword(arena, "to");
        names[2] = value_keyword(arena, "amount");
    }
    if (i % 8 != 0) {
        struct value items[] = {names[0], number(i % 8), names[1], number(0), names[2], number(1)};
        struct value transfer = value_items(arena, VALUE_MAP, items, 6);
        add(history, "transfer", transfer, transfer);
        return;
    }
    struct value items[16];
    for (int j = 0; j < 8; j++) {
        items[2 * j] = number(j);
        items[2 * j + 1] = number(j == 0 ? 100 - 7 * 5 : 5);
    }
    add(history, "read", value_nil(), value_items(arena, VALUE_MAP, items, 16));
}

/* A write of each of two keys and then two reads of them. */
static void make_fork(struct history *history, uint32_t i)
{
    struct arena *arena = &history->arena;
    static struct value r, w;
    if (i == 0) {
        r = value_keyword(arena, "r");
        w = value_keyword(arena, "w");
    }
    int64_t key = i / 4 * 2;
    struct value write[] = {w, number(key + i % 2), number(1)};
    struct value one = value_items(arena, VALUE_VECTOR, write, 3);
    if (i % 4 < 2) {
        struct value txn = value_items(arena, VALUE_VECTOR, &one, 1);
        add(history, "txn", txn, txn);
        return;
    }
    struct value first[] = {r, number(key), number(1)}, second[] = {r, number(key + 1), number(1)};
    struct value both[] = {value_items(arena, VALUE_VECTOR, first, 3),
                           value_items(arena, VALUE_VECTOR, second, 3)};
    struct value txn = value_items(arena, VALUE_VECTOR, both, 2);
    add(history, "txn", txn, txn);
}

static void make_register(struct history *history, uint32_t i)
{
    if (i % 2 == 0)
        add(history, "write", number(i + 1), number(i + 1));
    else
        add(history, "read", value_nil(), number(i));
}

static const char *only; /* NULL: all */

static void measure(const char *name, void (*make)(struct history *history, uint32_t i))
{
    if (only != NULL && strcmp(only, name) != 0)
        return;
    struct history history;
    struct err err = ERR_INIT;
    history_init(&history);
    for (uint32_t i = 0; i < OPERATIONS; i++)
        make(&history, i);
    enum err_code code = history_pair(&history, &err);
    assert(code == ERR_NONE);
    struct check_input input = {
        .history = &history, .limits = {.threads = 1}, .options = {.values = json_object()}};
    const struct checker *checker = checker_find(name);
    option_defaults(&input.options, name, checker->options);
    double best = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        struct check_result result = {.details = json_object(), .anomalies = json_array()};
        double began = processor_seconds();
        checker->check(&input, &result);
        double seconds = processor_seconds() - began;
        best = seconds < best ? seconds : best;
        if (result.verdict != VERDICT_VALID)
            fprintf(stderr, "%s: %s\n", name, buf_text(&result.reason));
        assert(result.verdict == VERDICT_VALID);
        buf_free(&result.reason);
        json_free(result.details);
        json_free(result.anomalies);
    }
    printf("%-16s %8.1f million operations/s\n", name, OPERATIONS / 1e6 / best);
    json_free(input.options.values);
    history_free(&history);
}

int main(int argc, char **argv)
{
    only = argc > 1 ? argv[1] : NULL;
    printf("folding over %d operations; processor time, best of %d\n", OPERATIONS, REPEATS);
    measure("unique-ids", make_ids);
    measure("counter", make_counter);
    measure("set", make_set);
    measure("set-full", make_set_full);
    measure("causal-reverse", make_causal);
    measure("bank", make_bank);
    measure("long-fork", make_fork);
    measure("sequential", make_register);
    measure("stats", make_register);
    return 0;
}
