/* `generate` must never answer with the same identifier twice. What an indeterminate `generate`
 * would have answered nobody knows, so only acknowledged ones count. */
#include <inttypes.h>

#include "checkers/checkers.h"
#include "checkers/folding/by_key.h"
#include "checkers/folding/fold.h"

enum { DUPLICATED_MAX = 48, ANOMALIES_MAX = 8 };

struct ids {
    struct elements elements;
    uint32_t *first, *times; /* by element: the event that gave it first, and how often it came */
    uint64_t attempted, acknowledged, without, duplicated;
    struct value low, high;
    bool integers;
};

static void take_id(struct ids *ids, const struct history *history, uint32_t event,
                    struct check_result *result)
{
    struct value id = history->value[event];
    ids->acknowledged++;
    if (value_is_nil(id)) {
        ids->without++;
        return;
    }
    uint32_t element = elements_add(&ids->elements, id);
    if (ids->times[element]++ > 0) {
        if (ids->times[element] == 2 && ids->duplicated++ < ANOMALIES_MAX) {
            struct buf text = BUF_INIT;
            value_print(id, &text);
            buf_add_text(&text, " was given out twice.");
            check_anomaly(result, "duplicated-id", "one identifier, two calls", buf_text(&text),
                          (const uint32_t[]){ids->first[element], event}, 2);
            buf_free(&text);
        }
        return;
    }
    ids->first[element] = event;
    ids->integers &= value_is_int(id);
    if (!ids->integers)
        return;
    if (element == 0 || value_as_int(id) < value_as_int(ids->low))
        ids->low = id;
    if (element == 0 || value_as_int(id) > value_as_int(ids->high))
        ids->high = id;
}

static void describe(const struct ids *ids, struct json *details)
{
    json_set_int(details, "attempted-count", (int64_t)ids->attempted);
    json_set_int(details, "acknowledged-count", (int64_t)ids->acknowledged);
    json_set_int(details, "duplicated-count", (int64_t)ids->duplicated);
    struct json *duplicated = json_set(details, "duplicated", json_object());
    uint32_t listed = 0;
    for (uint32_t i = 0; i < ids->elements.count && listed < DUPLICATED_MAX; i++) {
        if (ids->times[i] < 2)
            continue;
        struct buf name = BUF_INIT;
        value_print(ids->elements.values[i], &name);
        json_set_int(duplicated, buf_text(&name), ids->times[i]);
        buf_free(&name);
        listed++;
    }
    struct json *range = json_set(details, "range", json_array());
    if (!ids->integers || ids->elements.count == 0)
        return; /* only integers have an order that means something */
    json_add(range, fold_json(ids->low));
    json_add(range, fold_json(ids->high));
}

static void judge(const struct ids *ids, struct check_result *result)
{
    if (ids->duplicated > 0)
        check_verdict(result, VERDICT_INVALID, "%" PRIu64 " identifiers were given out twice",
                      ids->duplicated);
    if (ids->without > 0)
        check_verdict(result, VERDICT_UNKNOWN,
                      "%" PRIu64 " of %" PRIu64 " acknowledged calls told no identifier",
                      ids->without, ids->acknowledged);
    if (ids->acknowledged == 0)
        check_verdict(result, VERDICT_UNKNOWN, "no generate ever succeeded (%" PRIu64 " tried)",
                      ids->attempted);
    check_verdict(result, VERDICT_VALID, "%" PRIu64 " identifiers, all different",
                  ids->acknowledged);
}

static void check_one(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    int generate = fold_f(input, "generate");
    struct arena arena = ARENA_INIT;
    struct ids ids = {.integers = true};
    elements_init(&ids.elements, &arena, history->count / 2 + 1);
    ids.first = arena_alloc(&arena, ((size_t)history->count + 1) * sizeof *ids.first);
    ids.times = arena_zalloc(&arena, ((size_t)history->count + 1) * sizeof *ids.times);
    for (uint32_t i = 0; generate >= 0 && i < history->count; i++) {
        ids.attempted += fold_is(history, i, OP_INVOKE, generate);
        if (fold_is(history, i, OP_OK, generate))
            take_id(&ids, history, i, result);
    }
    describe(&ids, result->details);
    judge(&ids, result);
    arena_free(&arena);
}

static void check(const struct check_input *input, struct check_result *result)
{
    fold_check(input, result, check_one);
}

const struct checker checker_unique_ids = {
    .name = "unique-ids",
    .summary = "generate never answers with one identifier twice",
    .check = check,
};
