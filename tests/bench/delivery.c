/* How fast the checker `delivery` reads a history in memory, on one core, and what it keeps of each
 * message. Messages are integers; plain ones (delivery is acknowledgement) and told ones (maps,
 * with an acknowledgement each). User CPU time, since wall-clock time depends on the neighbours. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "harness/base/clock.h"
#include "harness/checker.h"

enum { CLIENTS = 20, LAG = 1000 };

static double user_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
}

static void put(struct history *history, int32_t process, enum op_type type, const char *f,
                struct value value)
{
    struct op op = {.type = type,
                    .process = process,
                    .f = history_f(history, f),
                    .value = value,
                    .time_ns = (int64_t)history->count * NS_PER_US};
    enum err_code code;
    history_append_own(history, &op, &code);
    assert(code == ERR_NONE);
}

static struct value told(struct history *history, const char *extra, int64_t message, int64_t more)
{
    struct arena *arena = &history->arena;
    struct value items[] = {value_keyword(arena, "message"), value_int(arena, message),
                            value_keyword(arena, extra), value_int(arena, more)};
    return value_items(arena, VALUE_MAP, items, 4);
}

static uint32_t plain(struct history *history, uint32_t messages)
{
    for (uint32_t i = 0; i < messages + LAG; i++) {
        if (i < messages) {
            put(history, (int32_t)(i % CLIENTS), OP_INVOKE, "enqueue", value_int(NULL, i));
            put(history, (int32_t)(i % CLIENTS), OP_OK, "enqueue", value_int(NULL, i));
        }
        if (i >= LAG) {
            put(history, CLIENTS, OP_INVOKE, "dequeue", value_nil());
            put(history, CLIENTS, OP_OK, "dequeue", value_int(NULL, i - LAG));
        }
    }
    return 2 * messages;
}

static uint32_t told_messages(struct history *history, uint32_t messages)
{
    for (uint32_t i = 0; i < messages + LAG; i++) {
        if (i < messages) {
            struct value value = told(history, "retry", i, 1000);
            put(history, (int32_t)(i % CLIENTS), OP_INVOKE, "enqueue", value);
            put(history, (int32_t)(i % CLIENTS), OP_OK, "enqueue", value);
        }
        if (i >= LAG) {
            struct value value = told(history, "delivery", i - LAG, i);
            put(history, CLIENTS, OP_INVOKE, "dequeue", value_nil());
            put(history, CLIENTS, OP_OK, "dequeue", value);
            put(history, CLIENTS, OP_INVOKE, "ack", value);
            put(history, CLIENTS, OP_OK, "ack", value);
        }
    }
    return 3 * messages;
}

static void measure(const char *name, uint32_t (*make)(struct history *, uint32_t),
                    uint32_t messages)
{
    struct history history;
    struct err err = ERR_INIT;
    history_init(&history);
    uint32_t operations = make(&history, messages);
    enum err_code code = history_pair(&history, &err);
    assert(code == ERR_NONE);
    (void)code;
    double best = 1e9, bytes = 0;
    for (int run = 0; run < 5; run++) {
        struct check_input input = {
            .history = &history, .limits = {.threads = 1}, .options = {.values = json_object()}};
        option_defaults(&input.options, "delivery", checker_find("delivery")->options);
        enum verdict verdict;
        double began = user_seconds();
        struct json *results = check_all((const char *const[]){"delivery"}, 1, &input, &verdict);
        double seconds = user_seconds() - began;
        best = seconds < best ? seconds : best;
        assert(verdict == VERDICT_VALID);
        bytes = json_as_real(
            json_get(json_get(json_get(results, "checkers"), "delivery"), "bytes-per-message"), 0);
        json_free(results);
        json_free(input.options.values);
    }
    printf("delivery, %-22s %8u messages: %6.2f M operations a second, %4.1f bytes a message\n",
           name, messages, operations / best / 1e6, bytes);
    history_free(&history);
}

int main(void)
{
    measure("plain", plain, 2000000);
    measure("told and acknowledged", told_messages, 1000000);
    return 0;
}
