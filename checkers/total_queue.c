/* Jepsen's total-queue, for those who compare: what went in comes out, as bags of values.
 *
 * Its verdict and its keys are Jepsen's, and so is what it does not look at: order, time, which
 * enqueues certainly failed, and what a dequeue of unknown outcome may have taken (that counts as
 * lost). Where `delivery` would judge otherwise the result says so under "not-looked-at". A drain
 * of unknown outcome, over which Jepsen throws, is UNKNOWN. */
#include <inttypes.h>
#include <stdlib.h>

#include "checkers/checkers.h"
#include "checkers/folding/fold.h"

struct bag {
    uint32_t attempts, enqueued, refused, dequeued;
};

struct total {
    struct elements elements;
    struct bag *bags; /* by element */
    uint32_t capacity;
    uint64_t indeterminate; /* dequeues */
    uint32_t bad_drain;     /* event of a drain of which nobody knows what it took; HISTORY_NONE */
    uint32_t odd_drain;     /* event of a drain whose value is no collection */
};

static struct bag *bag_of(struct total *total, struct value value)
{
    uint32_t element = elements_add(&total->elements, value);
    if (element >= total->capacity) {
        uint32_t capacity = element < 64 ? 128 : element * 2;
        total->bags = realloc(total->bags, capacity * sizeof *total->bags);
        if (total->bags == NULL)
            abort();
        for (uint32_t i = total->capacity; i < capacity; i++)
            total->bags[i] = (struct bag){0};
        total->capacity = capacity;
    }
    return &total->bags[element];
}

static void drained(struct total *total, const struct history *history, uint32_t event)
{
    struct value value = history->value[event];
    enum value_kind kind = value_kind(value);
    bool nothing =
        value_is_nil(value) || kind == VALUE_KEYWORD; /* :exhausted, as some clients say */
    if (!nothing && !fold_is_collection(value)) {
        total->odd_drain = event;
        return;
    }
    for (size_t i = 0; !nothing && i < value_count(value); i++)
        bag_of(total, value_at(value, i))->dequeued++;
}

static void fold(struct total *total, const struct check_input *input)
{
    const struct history *history = input->history;
    int enqueue = fold_f(input, "enqueue"), dequeue = fold_f(input, "dequeue");
    int drain = fold_f(input, "drain");
    for (uint32_t i = 0; i < history->count; i++) {
        enum op_type type = (enum op_type)history->type[i];
        if (!history_is_client(history, i))
            continue;
        if (history->f[i] == enqueue) {
            struct bag *bag = bag_of(total, history->value[i]);
            bag->attempts += type == OP_INVOKE;
            bag->enqueued += type == OP_OK;
            bag->refused += type == OP_FAIL;
        } else if (history->f[i] == dequeue) {
            if (type == OP_OK)
                bag_of(total, history->value[i])->dequeued++;
            total->indeterminate += type == OP_INVOKE && history_outcome(history, i) == OP_INFO;
        } else if (history->f[i] == drain && type == OP_OK) {
            drained(total, history, i);
        } else if (history->f[i] == drain && type == OP_INFO) {
            total->bad_drain = i;
        }
    }
}

static uint32_t less(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

struct lists {
    struct fold_list lost, unexpected, duplicated, recovered;
    uint64_t attempts, acknowledged, ok, refused_delivered;
};

static void add(struct fold_list *list, struct value value, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++)
        fold_list_add(list, value, false);
}

static void sort_out(const struct total *total, struct lists *lists)
{
    for (uint32_t i = 0; i < total->elements.count; i++) {
        const struct bag *bag = &total->bags[i];
        struct value value = total->elements.values[i];
        uint32_t ok = bag->dequeued < bag->attempts ? bag->dequeued : bag->attempts;
        lists->attempts += bag->attempts;
        lists->acknowledged += bag->enqueued;
        lists->ok += ok;
        add(&lists->lost, value, less(bag->enqueued, bag->dequeued));
        add(&lists->recovered, value, less(ok, bag->enqueued));
        if (bag->attempts == 0)
            add(&lists->unexpected, value, bag->dequeued);
        else
            add(&lists->duplicated, value, less(bag->dequeued, bag->attempts));
        if (bag->dequeued > 0 && bag->attempts > 0 && bag->refused == bag->attempts)
            lists->refused_delivered++;
    }
}

static void describe(struct lists *lists, struct json *details)
{
    json_set_int(details, "attempt-count", (int64_t)lists->attempts);
    json_set_int(details, "acknowledged-count", (int64_t)lists->acknowledged);
    json_set_int(details, "ok-count", (int64_t)lists->ok);
    fold_set_list(details, "lost", &lists->lost);
    fold_set_list(details, "unexpected", &lists->unexpected);
    fold_set_list(details, "duplicated", &lists->duplicated);
    fold_set_list(details, "recovered", &lists->recovered);
}

/* What this checker's verdict leaves out, and where the checker delivery would not. */
static void tell_blind_spots(const struct total *total, const struct lists *lists,
                             struct json *details)
{
    struct json *list = json_set(details, "not-looked-at", json_array());
    struct buf text = BUF_INIT;
    if (lists->duplicated.count > 0) {
        buf_printf(&text, "%" PRIu64 " values came out more often than they were sent",
                   lists->duplicated.count);
        json_add(list, json_text(buf_text(&text)));
    }
    buf_clear(&text);
    if (lists->refused_delivered > 0) {
        buf_printf(&text, "%" PRIu64 " values came out though their enqueue certainly failed",
                   lists->refused_delivered);
        json_add(list, json_text(buf_text(&text)));
    }
    buf_clear(&text);
    if (lists->lost.count > 0 && total->indeterminate > 0) {
        buf_printf(&text,
                   "%" PRIu64 " dequeues of unknown outcome may have taken some of what is lost",
                   total->indeterminate);
        json_add(list, json_text(buf_text(&text)));
    }
    buf_free(&text);
}

static void judge(const struct total *total, struct lists *lists, struct check_result *result)
{
    if (lists->attempts == 0 && lists->unexpected.count == 0)
        check_verdict(result, VERDICT_UNKNOWN, "nothing was sent, so nothing was tested");
    if (lists->lost.count > 0 || lists->unexpected.count > 0) {
        struct buf text = BUF_INIT;
        if (lists->lost.count > 0) {
            buf_printf(&text, "%" PRIu64 " lost: ", lists->lost.count);
            fold_add_some(&lists->lost, &text);
        }
        if (lists->unexpected.count > 0) {
            buf_printf(&text, "%s%" PRIu64 " unexpected: ", text.length > 0 ? "; " : "",
                       lists->unexpected.count);
            fold_add_some(&lists->unexpected, &text);
        }
        check_verdict(result, VERDICT_INVALID, "%s", buf_text(&text));
        buf_free(&text);
    }
    if (total->odd_drain != HISTORY_NONE)
        check_verdict(result, VERDICT_UNKNOWN, "event %u: the value of this drain is no collection",
                      total->odd_drain);
    check_verdict(result, VERDICT_VALID,
                  "%" PRIu64 " of %" PRIu64 " sent came out, %" PRIu64 " duplicated, %" PRIu64
                  " recovered",
                  lists->ok, lists->attempts, lists->duplicated.count, lists->recovered.count);
}

static void check(const struct check_input *input, struct check_result *result)
{
    struct arena arena = ARENA_INIT;
    struct total total = {.bad_drain = HISTORY_NONE, .odd_drain = HISTORY_NONE};
    struct lists lists = {.attempts = 0};
    elements_init(&total.elements, &arena, input->history->count / 4 + 16);
    fold(&total, input);
    if (total.bad_drain != HISTORY_NONE) {
        check_verdict(result, VERDICT_UNKNOWN,
                      "event %u: a drain of unknown outcome may have taken anything",
                      total.bad_drain);
    } else {
        sort_out(&total, &lists);
        describe(&lists, result->details);
        tell_blind_spots(&total, &lists, result->details);
        judge(&total, &lists, result);
    }
    fold_list_free(&lists.lost);
    fold_list_free(&lists.unexpected);
    fold_list_free(&lists.duplicated);
    fold_list_free(&lists.recovered);
    free(total.bags);
    arena_free(&arena);
}

const struct checker checker_total_queue = {
    .name = "total-queue",
    .summary = "Jepsen's: what is acknowledged comes out, and nothing else (delivery sees more)",
    .check = check,
};
