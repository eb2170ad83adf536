/* What must only grow: numbers of a sequence, and time stamps.
 *
 *   next   a number greater than every one that was told before it was asked for, and never one
 *          that was given out already
 *   last   no number smaller than one that was told before
 *   time   no time stamp earlier than one that was told before
 *
 * "Before" is real time: the one was answered before the other was asked for, by whomever. With the
 * scope `process` only what a process was told itself counts (and numbers are unique among all
 * still). What an indeterminate operation would have been told is not known, and bounds nothing. */
#include <inttypes.h>
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/folding/fold.h"

enum { ANOMALIES_MAX = 8 };

/* The greatest value that was told, and the event that told it. */
struct told {
    int64_t value;
    uint32_t event; /* HISTORY_NONE: nothing yet */
};
enum series { SEQUENCE, TIME, SERIES };

struct monotonic {
    const struct history *history;
    struct check_result *result;
    int next, last, time;
    struct told *told;  /* SERIES for everybody, or for each process */
    struct told *floor; /* by event: what had been told when it was invoked */
    struct elements given;
    uint32_t *given_at; /* by number in `given`: the completion */
    bool by_process;
    uint64_t count[SERIES], back[SERIES], twice;
};

static struct told *told_to(struct monotonic *monotonic, uint32_t event, enum series series)
{
    int32_t process = monotonic->by_process ? monotonic->history->process[event] : 0;
    return &monotonic->told[(size_t)process * SERIES + series];
}

static void show(struct monotonic *monotonic, const char *kind, const char *title, uint32_t first,
                 uint32_t second, const char *what)
{
    const struct history *history = monotonic->history;
    struct buf text = BUF_INIT;
    buf_printf(&text, "Process %" PRId32 " was told ", history->process[first]);
    value_print(history->value[first], &text);
    buf_printf(&text, ", and process %" PRId32 "%s ", history->process[second], what);
    value_print(history->value[second], &text);
    buf_add_char(&text, '.');
    uint32_t low = first < second ? first : second, high = first < second ? second : first;
    check_anomaly(monotonic->result, kind, title, buf_text(&text), (const uint32_t[]){low, high},
                  2);
    buf_free(&text);
}

static void take_given(struct monotonic *monotonic, uint32_t event)
{
    uint32_t before = monotonic->given.count;
    uint32_t number = elements_add(&monotonic->given, monotonic->history->value[event]);
    if (number == before)
        monotonic->given_at[number] = event;
    else if (monotonic->twice++ < ANOMALIES_MAX)
        show(monotonic, "duplicated-number", "one number, taken twice", monotonic->given_at[number],
             event, " the same:");
}

static void complete(struct monotonic *monotonic, uint32_t event, enum series series)
{
    const struct history *history = monotonic->history;
    if (!value_is_int(history->value[event])) {
        check_verdict(monotonic->result, VERDICT_UNKNOWN, "event %" PRIu32 ": %s told no integer",
                      event, history_f_name(history, event));
        return;
    }
    struct told floor = monotonic->floor[history->partner[event]];
    struct told *told = told_to(monotonic, event, series);
    int64_t value = value_as_int(history->value[event]);
    bool takes = history->f[event] == monotonic->next;
    monotonic->count[series]++;
    if (takes)
        take_given(monotonic, event);
    if (floor.event != HISTORY_NONE && (value < floor.value || (takes && value == floor.value)) &&
        monotonic->back[series]++ < ANOMALIES_MAX)
        show(monotonic, series == TIME ? "time-went-back" : "sequence-went-back",
             series == TIME ? "a time stamp is earlier than an earlier one"
                            : "a number is not greater than an earlier one",
             floor.event, event, ", which asked after that, was told");
    if (told->event == HISTORY_NONE || value > told->value)
        *told = (struct told){value, event};
}

static void fold(struct monotonic *monotonic)
{
    const struct history *history = monotonic->history;
    for (uint32_t i = 0; i < history->count; i++) {
        int f = history->f[i];
        bool numbers = f == monotonic->next || f == monotonic->last;
        if (history->process[i] < 0 || (!numbers && f != monotonic->time))
            continue;
        enum series series = numbers ? SEQUENCE : TIME;
        if (history->type[i] == OP_INVOKE)
            monotonic->floor[i] = *told_to(monotonic, i, series);
        else if (history->type[i] == OP_OK)
            complete(monotonic, i, series);
    }
}

static void judge(const struct monotonic *monotonic)
{
    struct check_result *result = monotonic->result;
    struct json *details = result->details;
    json_set_int(details, "number-count", (int64_t)monotonic->count[SEQUENCE]);
    json_set_int(details, "time-count", (int64_t)monotonic->count[TIME]);
    json_set_int(details, "numbers-back", (int64_t)monotonic->back[SEQUENCE]);
    json_set_int(details, "times-back", (int64_t)monotonic->back[TIME]);
    json_set_int(details, "numbers-twice", (int64_t)monotonic->twice);
    if (monotonic->twice > 0)
        check_verdict(result, VERDICT_INVALID, "%" PRIu64 " numbers were given out again",
                      monotonic->twice);
    if (monotonic->back[SEQUENCE] > 0)
        check_verdict(result, VERDICT_INVALID,
                      "the sequence went back: %" PRIu64 " numbers are not greater than one that "
                      "was told before",
                      monotonic->back[SEQUENCE]);
    if (monotonic->back[TIME] > 0)
        check_verdict(result, VERDICT_INVALID,
                      "time went back: %" PRIu64 " time stamps are earlier than one that was told "
                      "before",
                      monotonic->back[TIME]);
    if (monotonic->count[SEQUENCE] + monotonic->count[TIME] < 2)
        check_verdict(result, VERDICT_UNKNOWN, "fewer than two numbers or times were told");
    check_verdict(result, VERDICT_VALID,
                  "%" PRIu64 " numbers and %" PRIu64 " time stamps, none went back",
                  monotonic->count[SEQUENCE], monotonic->count[TIME]);
}

static void check(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    if (!fold_understands(input, result, (const char *const[]){"next", "last", "time", NULL}))
        return;
    struct arena arena = ARENA_INIT;
    struct monotonic monotonic = {
        .history = history,
        .result = result,
        .next = fold_f(input, "next"),
        .last = fold_f(input, "last"),
        .time = fold_f(input, "time"),
        .by_process = strcmp(option_text(&input->options, "monotonic.scope"), "process") == 0,
    };
    int32_t processes = 0;
    for (uint32_t i = 0; monotonic.by_process && i < history->count; i++)
        if (history->process[i] > processes)
            processes = history->process[i];
    size_t told_count = ((size_t)processes + 1) * SERIES;
    monotonic.told = arena_alloc(&arena, told_count * sizeof *monotonic.told);
    for (size_t i = 0; i < told_count; i++)
        monotonic.told[i] = (struct told){0, HISTORY_NONE};
    monotonic.floor = arena_alloc(&arena, ((size_t)history->count + 1) * sizeof *monotonic.floor);
    monotonic.given_at =
        arena_alloc(&arena, ((size_t)history->count + 1) * sizeof *monotonic.given_at);
    elements_init(&monotonic.given, &arena, history->count / 2 + 1);
    fold(&monotonic);
    judge(&monotonic);
    arena_free(&arena);
}

static const struct option options[] = {
    {.name = "scope",
     .kind = OPTION_CHOICE,
     .fallback = "all",
     .choices = "all|process",
     .help = "whether what anybody was told must be kept to, or what the same process was told"},
    {.name = NULL},
};

const struct checker checker_monotonic = {
    .name = "monotonic",
    .summary = "numbers of a sequence and time stamps only grow",
    .options = options,
    .check = check,
};
