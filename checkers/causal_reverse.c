/* A write that completed before another began is visible wherever the other is: `write` adds a
 * value, `read` tells all that are there. A strictly serializable system cannot show the later one
 * without the earlier.
 *
 * A read that shows values whose latest invocation is M must show every write that was acknowledged
 * before M. Values are written once; of one that was written again only the first attempt counts,
 * which asks for the least. */
#include <inttypes.h>
#include <stdlib.h>

#include "checkers/checkers.h"
#include "checkers/folding/by_key.h"
#include "checkers/folding/fold.h"

enum { ERRORS_MAX = 100, ANOMALIES_MAX = 8 };
#define NONE ELEMENT_NONE

struct write {
    uint32_t invoked, completed; /* events; NONE */
    uint32_t mark;               /* the read that showed it last */
};

struct causal {
    const struct history *history;
    struct check_result *result;
    struct elements elements;
    struct write *writes;
    uint32_t *acknowledged; /* elements, by completion */
    uint32_t acknowledged_count;
    uint64_t reads, errors, unexpected;
    struct json *error_list;
};

static bool is_attempt(const struct history *history, uint32_t event, int write)
{
    return fold_is(history, event, OP_INVOKE, write) && history_outcome(history, event) != OP_FAIL;
}

static void collect(struct causal *causal, int write, struct arena *arena)
{
    const struct history *history = causal->history;
    uint32_t room = 1;
    for (uint32_t i = 0; write >= 0 && i < history->count; i++)
        room += is_attempt(history, i, write);
    causal->writes = arena_alloc(arena, room * sizeof *causal->writes);
    causal->acknowledged = arena_alloc(arena, room * sizeof *causal->acknowledged);
    elements_init(&causal->elements, arena, room);
    for (uint32_t i = 0; write >= 0 && i < history->count; i++) {
        if (is_attempt(history, i, write)) {
            uint32_t before = causal->elements.count;
            uint32_t element = elements_add(&causal->elements, history->value[i]);
            if (element == before)
                causal->writes[element] = (struct write){i, NONE, NONE};
        } else if (fold_is(history, i, OP_OK, write)) {
            uint32_t element =
                elements_find(&causal->elements, history->value[history->partner[i]]);
            if (causal->writes[element].completed != NONE)
                continue;
            causal->writes[element].completed = i;
            causal->acknowledged[causal->acknowledged_count++] = element;
        }
    }
}

/* How many writes were acknowledged before an event: they are in that order. */
static uint32_t acknowledged_before(const struct causal *causal, uint32_t event)
{
    uint32_t low = 0, high = causal->acknowledged_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (causal->writes[causal->acknowledged[middle]].completed < event)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void take_error(struct causal *causal, uint32_t read, uint32_t witness, uint32_t expected)
{
    struct fold_list missing = {.values = NULL};
    uint32_t first = NONE;
    for (uint32_t i = 0; i < expected; i++) {
        uint32_t element = causal->acknowledged[i];
        if (causal->writes[element].mark == read)
            continue;
        first = first == NONE ? element : first;
        fold_list_add(&missing, causal->elements.values[element], false);
    }
    if (causal->errors++ < ERRORS_MAX) {
        struct json *error = json_add(causal->error_list, json_object());
        json_set_int(error, "event", read);
        json_set_int(error, "process", causal->history->process[read]);
        fold_set_list(error, "missing", &missing);
        json_set_int(error, "expected-count", expected);
    }
    if (causal->errors <= ANOMALIES_MAX) {
        struct buf text = BUF_INIT;
        buf_add_text(&text, "A read shows ");
        value_print(causal->elements.values[witness], &text);
        buf_add_text(&text, " but not ");
        value_print(causal->elements.values[first], &text);
        buf_add_text(&text, ", whose write was acknowledged before the other began.");
        const uint32_t events[] = {causal->writes[first].completed, causal->writes[witness].invoked,
                                   read};
        check_anomaly(causal->result, "causal-reverse", "the later write without the earlier",
                      buf_text(&text), events, 3);
        buf_free(&text);
    }
    fold_list_free(&missing);
}

static void take_read(struct causal *causal, uint32_t read)
{
    struct value seen = causal->history->value[read];
    uint32_t latest = 0, witness = NONE;
    causal->reads++;
    for (size_t i = 0, count = value_count(seen); i < count; i++) {
        uint32_t element = elements_find(&causal->elements, value_at(seen, i));
        if (element == ELEMENT_NONE) {
            causal->unexpected++;
            continue;
        }
        struct write *write = &causal->writes[element];
        write->mark = read;
        if (witness == NONE || write->invoked > latest) {
            latest = write->invoked;
            witness = element;
        }
    }
    uint32_t expected = witness == NONE ? 0 : acknowledged_before(causal, latest), shown = 0;
    for (size_t i = 0, count = value_count(seen); i < count; i++) {
        uint32_t element = elements_find(&causal->elements, value_at(seen, i));
        if (element == ELEMENT_NONE || causal->writes[element].mark != read)
            continue; /* a value that stands there twice counts once */
        shown += causal->writes[element].completed < latest;
        causal->writes[element].mark = NONE;
    }
    if (shown == expected)
        return;
    for (size_t i = 0; i < value_count(seen); i++) {
        uint32_t element = elements_find(&causal->elements, value_at(seen, i));
        if (element != ELEMENT_NONE)
            causal->writes[element].mark = read;
    }
    take_error(causal, read, witness, expected);
}

static void report(struct causal *causal)
{
    struct json *details = causal->result->details;
    json_set(details, "errors", causal->error_list);
    json_set_int(details, "error-count", (int64_t)causal->errors);
    json_set_int(details, "read-count", (int64_t)causal->reads);
    json_set_int(details, "write-count", causal->elements.count);
    json_set_int(details, "unexpected-count", (int64_t)causal->unexpected);
    if (causal->errors > 0)
        check_verdict(causal->result, VERDICT_INVALID,
                      "%" PRIu64 " of %" PRIu64 " reads show a write without one that was "
                      "acknowledged before it began",
                      causal->errors, causal->reads);
    if (causal->reads == 0)
        check_verdict(causal->result, VERDICT_UNKNOWN, "no read ever succeeded");
    check_verdict(causal->result, VERDICT_VALID,
                  "%" PRIu64 " reads of %" PRIu32 " writes, none out of order", causal->reads,
                  causal->elements.count);
}

static void check_one(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    struct arena arena = ARENA_INIT;
    struct causal causal = {.history = history, .result = result};
    if (!fold_understands(input, result, (const char *const[]){"read", "write", NULL}))
        return;
    int read = fold_f(input, "read");
    collect(&causal, fold_f(input, "write"), &arena);
    causal.error_list = json_array();
    for (uint32_t i = 0; read >= 0 && i < history->count; i++) {
        if (!fold_is(history, i, OP_OK, read))
            continue;
        if (fold_is_collection(history->value[i]))
            take_read(&causal, i);
        else
            check_verdict(result, VERDICT_UNKNOWN,
                          "event %" PRIu32 ": a read that told no collection", i);
    }
    report(&causal);
    arena_free(&arena);
}

static void check(const struct check_input *input, struct check_result *result)
{
    fold_check(input, result, check_one);
}

const struct checker checker_causal_reverse = {
    .name = "causal-reverse",
    .summary = "no read shows a write without those acknowledged before it began",
    .check = check,
};
