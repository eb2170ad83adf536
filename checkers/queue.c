/* Jepsen's queue checker over its unordered queue, for those who compare: every dequeue takes what
 * was put in. An enqueue counts from its invocation whatever became of it, a dequeue when it
 * completes, drains not at all; so the verdict is Jepsen's, and `delivery` sees more. */
#include <inttypes.h>
#include <stdlib.h>

#include "checkers/checkers.h"
#include "checkers/folding/fold.h"

static void describe_final(const struct elements *elements, const int64_t *inside,
                           struct check_result *result)
{
    struct fold_list left = {0};
    for (uint32_t i = 0; i < elements->count; i++)
        for (int64_t n = 0; n < inside[i]; n++)
            fold_list_add(&left, elements->values[i], false);
    fold_set_list(result->details, "final-queue", &left);
    fold_list_free(&left);
}

/* The event of the first dequeue that took what was not there; HISTORY_NONE. */
static uint32_t fold(const struct check_input *input, struct elements *elements, int64_t *inside,
                     uint64_t *dequeues)
{
    const struct history *history = input->history;
    int enqueue = fold_f(input, "enqueue"), dequeue = fold_f(input, "dequeue");
    for (uint32_t i = 0; i < history->count; i++) {
        if (fold_is(history, i, OP_INVOKE, enqueue)) {
            inside[elements_add(elements, history->value[i])]++;
        } else if (fold_is(history, i, OP_OK, dequeue)) {
            int64_t *count = &inside[elements_add(elements, history->value[i])];
            (*dequeues)++;
            if (--*count < 0)
                return i;
        }
    }
    return HISTORY_NONE;
}

static void check(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    struct arena arena = ARENA_INIT;
    struct elements elements;
    uint64_t dequeues = 0;
    int64_t *inside = calloc((size_t)history->count + 1, sizeof *inside);
    if (inside == NULL) {
        check_verdict(result, VERDICT_UNKNOWN, "out of memory");
        return;
    }
    elements_init(&elements, &arena, history->count / 4 + 16);
    uint32_t bad = fold(input, &elements, inside, &dequeues);
    if (bad != HISTORY_NONE) {
        struct buf text = BUF_INIT;
        buf_add_text(&text, "can't dequeue ");
        value_print(history->value[bad], &text);
        json_set_text(result->details, "error", buf_text(&text));
        check_anomaly(result, "not-in-queue", buf_text(&text),
                      "The value was not in the queue: never put in, or taken as often as it was.",
                      &bad, 1);
        check_verdict(result, VERDICT_INVALID, "%s (event %u)", buf_text(&text), bad);
        buf_free(&text);
    } else {
        describe_final(&elements, inside, result);
        if (dequeues == 0)
            check_verdict(result, VERDICT_UNKNOWN,
                          "nothing was ever taken out, so nothing was tested");
        check_verdict(result, VERDICT_VALID,
                      "%" PRIu64 " dequeues took what had been put in before", dequeues);
    }
    free(inside);
    arena_free(&arena);
}

const struct checker checker_queue = {
    .name = "queue",
    .summary = "Jepsen's: every dequeue takes what was put in (delivery sees more)",
    .check = check,
};
