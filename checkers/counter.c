/* A counter: `add` changes it by its value (which may be negative), `read` tells it.
 *
 * A read may miss no add that was acknowledged before it began, and show no add that began after it
 * ended. In between each add may have been seen or not. So a read lies between
 *     the acknowledged increments and all possible decrements, and
 *     all possible increments and the acknowledged decrements,
 * where what is acknowledged counts as of the read's invocation and what is possible as of its
 * completion. Failed adds never count; indeterminate ones are possible for ever. */
#include <inttypes.h>
#include <stdlib.h>

#include "checkers/checkers.h"
#include "checkers/folding/by_key.h"
#include "checkers/folding/fold.h"

enum { READS_MAX = 1000, ERRORS_MAX = 1000, ANOMALIES_MAX = 8 };

typedef __int128 wide; /* sums of 64-bit integers do not overflow it */

/* What was acknowledged when a read was invoked. */
struct begun {
    wide up, down;
};

struct counter {
    const struct history *history;
    struct check_result *result;
    int add, read;
    wide initial, acknowledged_up, acknowledged_down, possible_up, possible_down;
    uint64_t reads, errors;
    struct json *read_list, *error_list, *worst;
    wide worst_error;
};

static void add_wide(struct buf *out, wide sum)
{
    char text[48], *at = text + sizeof text;
    unsigned __int128 rest = sum < 0 ? 0 - (unsigned __int128)sum : (unsigned __int128)sum;
    do
        *--at = (char)('0' + (int)(rest % 10));
    while ((rest /= 10) > 0);
    if (sum < 0)
        *--at = '-';
    buf_add(out, at, (size_t)(text + sizeof text - at));
}

static struct json *wide_json(wide sum)
{
    if (sum < (wide)1 << 53 && sum > -((wide)1 << 53))
        return json_int((int64_t)sum);
    struct buf text = BUF_INIT;
    add_wide(&text, sum);
    struct json *json = json_text(buf_text(&text));
    buf_free(&text);
    return json;
}

static struct json *triple(wide low, wide value, wide high)
{
    struct json *array = json_array();
    json_add(array, wide_json(low));
    json_add(array, wide_json(value));
    json_add(array, wide_json(high));
    return array;
}

static void take_error(struct counter *counter, uint32_t invocation, uint32_t completion, wide low,
                       wide high)
{
    wide value = value_as_int(counter->history->value[completion]);
    wide error = value < low ? low - value : value - high;
    counter->errors++;
    if (counter->errors <= ERRORS_MAX)
        json_add(counter->error_list, triple(low, value, high));
    if (error > counter->worst_error) {
        counter->worst_error = error;
        json_free(counter->worst);
        counter->worst = triple(low, value, high);
    }
    if (counter->errors > ANOMALIES_MAX)
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "A read told ");
    add_wide(&text, value);
    if (value < low) {
        buf_add_text(&text, ", but what was acknowledged before it began makes at least ");
        add_wide(&text, low);
    } else {
        buf_add_text(&text, ", but what had begun before it ended makes at most ");
        add_wide(&text, high);
    }
    buf_add_char(&text, '.');
    check_anomaly(counter->result, "counter-out-of-bounds",
                  value < low ? "a read misses acknowledged adds"
                              : "a read shows what nobody added",
                  buf_text(&text), (const uint32_t[]){invocation, completion}, 2);
    buf_free(&text);
}

static void take_read(struct counter *counter, const struct begun *begun, uint32_t completion)
{
    wide low = counter->initial + begun->up + counter->possible_down;
    wide high = counter->initial + counter->possible_up + begun->down;
    wide value = value_as_int(counter->history->value[completion]);
    counter->reads++;
    if (counter->reads <= READS_MAX)
        json_add(counter->read_list, triple(low, value, high));
    if (value < low || value > high)
        take_error(counter, counter->history->partner[completion], completion, low, high);
}

/* Whether the event is one that this checker can count with. */
static bool is_number(struct counter *counter, uint32_t event, const char *what)
{
    if (value_is_int(counter->history->value[event]))
        return true;
    struct buf text = BUF_INIT;
    value_print(counter->history->value[event], &text);
    check_verdict(counter->result, VERDICT_UNKNOWN, "event %" PRIu32 ": %s %.60s, no integer",
                  event, what, buf_text(&text));
    buf_free(&text);
    return false;
}

/* What an add did is what was asked, whatever the answer repeats. */
static void take_add(struct counter *counter, uint32_t event)
{
    const struct history *history = counter->history;
    uint32_t asked = history->type[event] == OP_INVOKE ? event : history->partner[event];
    if (history->type[event] == OP_INVOKE && history_outcome(history, event) == OP_FAIL)
        return;
    if (history->type[event] != OP_INVOKE && history->type[event] != OP_OK)
        return;
    if (history->type[event] == OP_INVOKE && !is_number(counter, event, "an add of"))
        return;
    wide value = value_as_int(history->value[asked]);
    if (history->type[event] == OP_INVOKE) {
        counter->possible_up += value > 0 ? value : 0;
        counter->possible_down += value < 0 ? value : 0;
    } else {
        counter->acknowledged_up += value > 0 ? value : 0;
        counter->acknowledged_down += value < 0 ? value : 0;
    }
}

/* What was acknowledged when the open reads began: few at a time, so in slots that are used again.
 */
struct open_reads {
    struct begun *slots;
    uint32_t *free_slots;
    uint32_t count, free_count, capacity;
    uint32_t *slot_of; /* by event: of an open read's invocation */
};

static bool grow_open(struct open_reads *open)
{
    uint32_t capacity = open->capacity == 0 ? 64 : open->capacity * 2;
    struct begun *slots = realloc(open->slots, capacity * sizeof *slots);
    if (slots != NULL)
        open->slots = slots;
    uint32_t *free_slots = realloc(open->free_slots, capacity * sizeof *free_slots);
    if (free_slots != NULL)
        open->free_slots = free_slots;
    if (slots == NULL || free_slots == NULL)
        return false;
    open->capacity = capacity;
    return true;
}

static bool begin_read(struct counter *counter, struct open_reads *open, uint32_t event)
{
    if (history_outcome(counter->history, event) != OP_OK)
        return true;
    if (open->free_count == 0 && open->count == open->capacity && !grow_open(open))
        return false;
    uint32_t slot = open->free_count > 0 ? open->free_slots[--open->free_count] : open->count++;
    open->slots[slot] = (struct begun){counter->acknowledged_up, counter->acknowledged_down};
    open->slot_of[event] = slot;
    return true;
}

static void end_read(struct counter *counter, struct open_reads *open, uint32_t event)
{
    uint32_t slot = open->slot_of[counter->history->partner[event]];
    if (is_number(counter, event, "a read told"))
        take_read(counter, &open->slots[slot], event);
    open->free_slots[open->free_count++] = slot;
}

static void fold(struct counter *counter)
{
    const struct history *history = counter->history;
    struct open_reads open = {.slots = NULL};
    open.slot_of = malloc(((size_t)history->count + 1) * sizeof *open.slot_of);
    bool good = open.slot_of != NULL;
    for (uint32_t i = 0; good && i < history->count; i++) {
        if (history->process[i] < 0)
            continue;
        if (history->f[i] == counter->add)
            take_add(counter, i);
        else if (history->f[i] == counter->read && history->type[i] == OP_INVOKE)
            good = begin_read(counter, &open, i);
        else if (history->f[i] == counter->read && history->type[i] == OP_OK)
            end_read(counter, &open, i);
    }
    if (!good)
        check_verdict(counter->result, VERDICT_UNKNOWN, "out of memory");
    free(open.slots);
    free(open.free_slots);
    free(open.slot_of);
}

static void report(struct counter *counter)
{
    struct json *details = counter->result->details;
    json_set(details, "reads", counter->read_list);
    json_set_int(details, "read-count", (int64_t)counter->reads);
    json_set(details, "errors", counter->error_list);
    json_set_int(details, "error-count", (int64_t)counter->errors);
    json_set(details, "max-absolute-error", counter->worst == NULL ? json_null() : counter->worst);
    if (counter->errors > 0)
        check_verdict(counter->result, VERDICT_INVALID,
                      "%" PRIu64 " of %" PRIu64 " reads are out of bounds", counter->errors,
                      counter->reads);
    if (counter->reads == 0)
        check_verdict(counter->result, VERDICT_UNKNOWN, "no read ever told the counter's value");
    check_verdict(counter->result, VERDICT_VALID, "%" PRIu64 " reads, all within bounds",
                  counter->reads);
}

static void check_one(const struct check_input *input, struct check_result *result)
{
    struct counter counter = {.history = input->history, .result = result};
    if (!fold_understands(input, result, (const char *const[]){"add", "read", NULL}))
        return;
    counter.add = fold_f(input, "add");
    counter.read = fold_f(input, "read");
    counter.initial = option_int(&input->options, "counter.initial");
    counter.read_list = json_array();
    counter.error_list = json_array();
    fold(&counter);
    report(&counter);
}

static void check(const struct check_input *input, struct check_result *result)
{
    fold_check(input, result, check_one);
}

static const struct option options[] = {
    {.name = "initial", .kind = OPTION_INT, .fallback = "0", .help = "What the counter begins at."},
    {.name = NULL},
};

const struct checker checker_counter = {
    .name = "counter",
    .summary = "each read shows what was added before it began, and nothing that began after it",
    .options = options,
    .check = check,
};
