/* Logs that are appended to and polled by offset (see workloads/log.c for the operations).
 *
 * A value gets its offset when its append is acknowledged or when a poll shows it. A poll covers
 * the offsets from where it began to its last record, and when it says that it reached the end, all
 * behind it, too. Wrong are
 *
 *   lost                 an acknowledged value that a later poll covers and does not show, and no
 *                        poll after that shows. What polls that reached the end do not show behind
 *                        their last record counts for the last such poll only: ends may be old ones
 *   skipped              a poll shows a later record, but not this one, which is there all the same
 *   inconsistent-offset  two values at one offset
 *   duplicate            one value at two offsets
 *   disordered-poll      records of a poll that are not in the order of offsets, or before its
 * start phantom              a value that nobody had begun to append aborted-read         a value
 * whose append certainly failed reordered            an append that began after another was
 * acknowledged, at a lower offset
 *
 * An acknowledged value that no poll covers is unseen, and leaves the verdict unknown. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "checkers/checkers.h"
#include "checkers/folding/fold.h"

enum { ANOMALIES_MAX = 8 };
enum wrong {
    LOST,
    SKIPPED,
    INCONSISTENT,
    DUPLICATE,
    DISORDERED,
    PHANTOM,
    ABORTED,
    REORDERED,
    WRONGS,
};
static const struct {
    const char *kind, *title, *told;
} wrongs[WRONGS] = {
    [LOST] = {"lost", "an acknowledged value is not there any more",
              "acknowledged values are lost"},
    [SKIPPED] = {"skipped", "a poll went past a record", "records were gone past by polls"},
    [INCONSISTENT] = {"inconsistent-offset", "two values at one offset",
                      "offsets have more than one value"},
    [DUPLICATE] = {"duplicate", "one value at two offsets", "values are at more than one offset"},
    [DISORDERED] = {"disordered-poll", "a poll is not in the order of offsets",
                    "records came in another order than their offsets'"},
    [PHANTOM] = {"phantom", "a value that nobody appended", "values were never appended"},
    [ABORTED] = {"aborted-read", "a value whose append failed", "values' appends had failed"},
    [REORDERED] = {"reordered", "a later append has a lower offset",
                   "appends are at lower offsets than earlier ones"},
};

/* What is known of one value. Events are HISTORY_NONE where there is none. */
struct entry {
    int64_t offset;
    uint32_t offset_event;  /* that told it: HISTORY_NONE: no offset is known */
    uint32_t append, acked; /* invocation and, if it was acknowledged, completion */
    uint32_t shown;         /* completion of the last poll to complete that shows it */
    uint32_t missed;        /* invocation of the last poll that went past it */
    uint32_t log;
    bool seen;
};

/* A value at an offset: values have more than one when something is wrong. */
struct place {
    int64_t offset;
    uint32_t entry, event;
};

struct log {
    struct place *places; /* in the order of events, then of offsets */
    size_t place_count, place_capacity;
    struct elements offsets; /* that are taken, and by which place */
    uint32_t *taken;         /* by number in `offsets`: the entry */
    uint32_t taken_capacity;
    uint32_t ending; /* the completion of the last invoked poll that reached the end */
    int64_t highest; /* offset of an acknowledged append */
    uint32_t highest_event;
};

struct logs {
    const struct history *history;
    struct check_result *result;
    struct arena arena;
    int append, poll;
    struct elements names, values;
    struct log *logs;
    uint32_t log_count, log_capacity;
    struct entry *entries; /* by number in `values` */
    uint32_t entry_capacity;
    int64_t *floor; /* by event: of an append's invocation, the highest offset acknowledged */
    uint32_t *floor_event;
    uint64_t wrong[WRONGS], appends, acked, polls, records, unseen, recovered, without_offset;
};

/* ---- Values, logs and places ---- */

static uint32_t log_number(struct logs *logs, struct value name)
{
    uint32_t number = elements_add(&logs->names, name);
    if (number < logs->log_count)
        return number;
    if (logs->log_count == logs->log_capacity) {
        uint32_t capacity = logs->log_capacity == 0 ? 8 : 2 * logs->log_capacity;
        struct log *grown = arena_alloc(&logs->arena, capacity * sizeof *grown);
        for (uint32_t i = 0; i < logs->log_count; i++)
            grown[i] = logs->logs[i];
        logs->logs = grown;
        logs->log_capacity = capacity;
    }
    struct log *log = &logs->logs[logs->log_count++];
    *log = (struct log){.ending = HISTORY_NONE, .highest_event = HISTORY_NONE};
    elements_init(&log->offsets, &logs->arena, 0);
    return number;
}

static struct entry *entry_of(struct logs *logs, uint32_t log, struct value value)
{
    /* A value belongs to its log: the same number in another one is another value. */
    struct value named = value_pair(&logs->arena, value_int(&logs->arena, log), value);
    uint32_t before = logs->values.count, number = elements_add(&logs->values, named);
    if (number < before)
        return &logs->entries[number];
    if (number == logs->entry_capacity) {
        uint32_t capacity = logs->entry_capacity == 0 ? 1024 : 2 * logs->entry_capacity;
        struct entry *grown = arena_alloc(&logs->arena, capacity * sizeof *grown);
        for (uint32_t i = 0; i < number; i++)
            grown[i] = logs->entries[i];
        logs->entries = grown;
        logs->entry_capacity = capacity;
    }
    logs->entries[number] = (struct entry){.offset_event = HISTORY_NONE,
                                           .append = HISTORY_NONE,
                                           .acked = HISTORY_NONE,
                                           .shown = HISTORY_NONE,
                                           .missed = HISTORY_NONE,
                                           .log = log};
    return &logs->entries[number];
}

static struct value value_of(const struct logs *logs, const struct entry *entry)
{
    return value_at(logs->values.values[entry - logs->entries], 1);
}

static void show(struct logs *logs, enum wrong wrong, const struct entry *entry, const char *text,
                 uint32_t first, uint32_t second)
{
    if (logs->wrong[wrong]++ >= ANOMALIES_MAX)
        return;
    struct buf all = BUF_INIT;
    buf_add_text(&all, "Value ");
    value_print(value_of(logs, entry), &all);
    buf_add_text(&all, " of log ");
    value_print(logs->names.values[entry->log], &all);
    buf_printf(&all, " %s", text);
    uint32_t low = first < second ? first : second, high = first < second ? second : first;
    const uint32_t events[] = {low, high};
    check_anomaly(logs->result, wrongs[wrong].kind, wrongs[wrong].title, buf_text(&all), events,
                  low == high || high == HISTORY_NONE ? 1 : 2);
    buf_free(&all);
}

static void showf(struct logs *logs, enum wrong wrong, const struct entry *entry, uint32_t first,
                  uint32_t second, const char *format, ...) FORMAT(6, 7);
static void showf(struct logs *logs, enum wrong wrong, const struct entry *entry, uint32_t first,
                  uint32_t second, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    show(logs, wrong, entry, buf_text(&text), first, second);
    buf_free(&text);
}

static void add_place(struct logs *logs, struct log *log, struct place place)
{
    if (log->place_count == log->place_capacity) {
        size_t capacity = log->place_capacity == 0 ? 256 : 2 * log->place_capacity;
        struct place *grown = arena_alloc(&logs->arena, capacity * sizeof *grown);
        for (size_t i = 0; i < log->place_count; i++)
            grown[i] = log->places[i];
        log->places = grown;
        log->place_capacity = capacity;
    }
    log->places[log->place_count++] = place;
}

/* An event tells that the value is at the offset. */
static void bind(struct logs *logs, struct entry *entry, int64_t offset, uint32_t event)
{
    struct log *log = &logs->logs[entry->log];
    uint32_t self = (uint32_t)(entry - logs->entries), before = log->offsets.count;
    if (entry->offset_event != HISTORY_NONE && entry->offset == offset)
        return;
    uint32_t number = elements_add(&log->offsets, value_int(&logs->arena, offset));
    if (number == before && number >= log->taken_capacity) {
        uint32_t capacity = log->taken_capacity == 0 ? 256 : 2 * log->taken_capacity;
        uint32_t *grown = arena_alloc(&logs->arena, capacity * sizeof *grown);
        for (uint32_t i = 0; i < number; i++)
            grown[i] = log->taken[i];
        log->taken = grown;
        log->taken_capacity = capacity;
    }
    if (number == before) {
        log->taken[number] = self;
    } else if (log->taken[number] != self) {
        const struct entry *other = &logs->entries[log->taken[number]];
        struct buf name = BUF_INIT;
        value_print(value_of(logs, other), &name);
        showf(logs, INCONSISTENT, entry, other->offset_event, event,
              "is at offset %" PRId64 ", and so is value %s.", offset, buf_text(&name));
        buf_free(&name);
    }
    if (entry->offset_event != HISTORY_NONE) {
        showf(logs, DUPLICATE, entry, entry->offset_event, event,
              "is at offset %" PRId64 ", and at %" PRId64 " as well.", entry->offset, offset);
        return; /* it is judged by its first place */
    }
    entry->offset = offset;
    entry->offset_event = event;
    add_place(logs, log, (struct place){offset, self, event});
}

/* ---- First: appends, and what polls show ---- */

static bool take_append(struct logs *logs, uint32_t event)
{
    const struct history *history = logs->history;
    uint32_t asked = history->type[event] == OP_INVOKE ? event : history->partner[event];
    struct value map = history->value[asked];
    if (value_is_nil(value_get(map, "log")))
        return false;
    uint32_t number = log_number(logs, value_get(map, "log"));
    struct entry *entry = entry_of(logs, number, value_get(map, "value"));
    struct log *log = &logs->logs[number];
    if (history->type[event] == OP_INVOKE) {
        logs->appends++;
        if (entry->append != HISTORY_NONE)
            check_verdict(logs->result, VERDICT_UNKNOWN,
                          "event %" PRIu32 ": a value is appended a second time, so that what "
                          "becomes of it cannot be told",
                          event);
        entry->append = event;
        logs->floor[event] = log->highest;
        logs->floor_event[event] = log->highest_event;
        return true;
    }
    if (history->type[event] != OP_OK)
        return true;
    logs->acked++;
    entry->acked = event;
    struct value offset = value_get(history->value[event], "offset");
    if (!value_is_int(offset)) {
        logs->without_offset++;
        return true;
    }
    int64_t at = value_as_int(offset);
    bind(logs, entry, at, event);
    if (logs->floor_event[asked] != HISTORY_NONE && at < logs->floor[asked])
        showf(logs, REORDERED, entry, logs->floor_event[asked], event,
              "was appended after another was acknowledged at offset %" PRId64
              ", and is at %" PRId64 ".",
              logs->floor[asked], at);
    if (log->highest_event == HISTORY_NONE || at > log->highest) {
        log->highest = at;
        log->highest_event = event;
    }
    return true;
}

static void take_record(struct logs *logs, uint32_t log, uint32_t event, struct value record)
{
    const struct history *history = logs->history;
    struct entry *entry = entry_of(logs, log, value_at(record, 1));
    logs->records++;
    bool first = !entry->seen;
    entry->seen = true;
    entry->shown = event;
    bind(logs, entry, value_as_int(value_at(record, 0)), event);
    if (!first)
        return;
    if (entry->append == HISTORY_NONE)
        show(logs, PHANTOM, entry, "was read, and nobody had begun to append it.", event, event);
    else if (history_outcome(history, entry->append) == OP_FAIL)
        show(logs, ABORTED, entry, "was read, though its append failed.", entry->append, event);
}

static bool ends(struct value answer)
{
    struct value end = value_get(answer, "end");
    return value_kind(end) == VALUE_BOOL && value_as_bool(end);
}

static bool take_poll(struct logs *logs, uint32_t event)
{
    const struct history *history = logs->history;
    struct value answer = history->value[event], records = value_get(answer, "records");
    struct value asked = history->value[history->partner[event]];
    if (value_is_nil(value_get(asked, "log")) || !value_is_int(value_get(asked, "from")))
        return false;
    uint32_t log = log_number(logs, value_get(asked, "log"));
    int64_t least = value_as_int(value_get(asked, "from"));
    logs->polls++;
    for (size_t i = 0; i < value_count(records); i++) {
        struct value record = value_at(records, i);
        if (!value_is_pair(record) || !value_is_int(value_at(record, 0)))
            return false;
        int64_t offset = value_as_int(value_at(record, 0));
        take_record(logs, log, event, record);
        if (offset < least)
            showf(logs, DISORDERED, entry_of(logs, log, value_at(record, 1)), event, event,
                  "came at offset %" PRId64 ", where at least %" PRId64 " was due.", offset, least);
        if (offset < INT64_MAX)
            least = offset + 1;
    }
    uint32_t *ending = &logs->logs[log].ending;
    if (ends(answer) &&
        (*ending == HISTORY_NONE || history->partner[event] > history->partner[*ending]))
        *ending = event;
    return true;
}

/* ---- Then: what polls cover and do not show ---- */

static int by_offset(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    if (left->offset != right->offset)
        return left->offset < right->offset ? -1 : 1;
    return left->entry < right->entry ? -1 : left->entry > right->entry;
}

static size_t first_from(const struct log *log, int64_t offset)
{
    size_t low = 0, high = log->place_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->places[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A poll went past the place without showing its value. */
static void miss(struct logs *logs, struct entry *entry, uint32_t poll)
{
    uint32_t asked = logs->history->partner[poll];
    if (entry->missed == HISTORY_NONE || asked > entry->missed)
        entry->missed = asked;
}

static bool is_record(struct value record, int64_t offset, struct value value)
{
    return value_as_int(value_at(record, 0)) == offset && value_equal(value_at(record, 1), value);
}

static void look_at_poll(struct logs *logs, uint32_t event)
{
    const struct history *history = logs->history;
    struct value asked = history->value[history->partner[event]], answer = history->value[event];
    struct value records = value_get(answer, "records");
    uint32_t number = log_number(logs, value_get(asked, "log"));
    struct log *log = &logs->logs[number];
    size_t count = value_count(records), at = 0;
    int64_t last = count > 0 ? value_as_int(value_at(value_at(records, count - 1), 0)) : INT64_MIN;
    bool final = log->ending == event;
    for (size_t i = first_from(log, value_as_int(value_get(asked, "from"))); i < log->place_count;
         i++) {
        const struct place *place = &log->places[i];
        struct entry *entry = &logs->entries[place->entry];
        struct value value = value_of(logs, entry);
        bool past = place->offset <= last;
        if (!past && !final)
            break;
        while (at < count && value_as_int(value_at(value_at(records, at), 0)) < place->offset)
            at++;
        bool there = at < count && is_record(value_at(records, at), place->offset, value);
        for (size_t other = 0; other < count && !there; other++) /* out of order, perhaps */
            there = is_record(value_at(records, other), place->offset, value);
        /* At the end a value may be missing that came there later. */
        bool due = past || (entry->acked != HISTORY_NONE && entry->acked < history->partner[event]);
        if (!there && due)
            miss(logs, entry, event);
    }
}

static void judge_entry(struct logs *logs, const struct entry *entry)
{
    const struct history *history = logs->history;
    bool acked = entry->acked != HISTORY_NONE;
    if (entry->seen && !acked && entry->append != HISTORY_NONE &&
        history_outcome(history, entry->append) == OP_INFO)
        logs->recovered++;
    bool gone = entry->missed != HISTORY_NONE && acked && entry->missed > entry->acked &&
                (entry->shown == HISTORY_NONE || entry->missed > entry->shown);
    if (gone)
        showf(logs, LOST, entry, entry->acked, history->partner[entry->missed],
              "was acknowledged at offset %" PRId64
              ", and a later poll that covers this offset does not show it%s.",
              entry->offset, entry->seen ? ", nor does any after it, though earlier ones do" : "");
    else if (entry->missed != HISTORY_NONE)
        showf(logs, SKIPPED, entry, entry->offset_event, history->partner[entry->missed],
              "is at offset %" PRId64 ", and a poll that shows a later record does not show it.",
              entry->offset);
    else if (acked && !entry->seen)
        logs->unseen++;
}

/* ---- The verdict ---- */

static void judge(struct logs *logs)
{
    struct check_result *result = logs->result;
    struct json *details = result->details;
    json_set_int(details, "append-count", (int64_t)logs->appends);
    json_set_int(details, "acknowledged-count", (int64_t)logs->acked);
    json_set_int(details, "poll-count", (int64_t)logs->polls);
    json_set_int(details, "record-count", (int64_t)logs->records);
    json_set_int(details, "recovered-count", (int64_t)logs->recovered);
    json_set_int(details, "unseen-count", (int64_t)logs->unseen);
    for (int i = 0; i < WRONGS; i++) {
        char key[48];
        snprintf(key, sizeof key, "%s-count", wrongs[i].kind);
        json_set_int(details, key, (int64_t)logs->wrong[i]);
        if (logs->wrong[i] > 0)
            check_verdict(result, VERDICT_INVALID, "%" PRIu64 " %s", logs->wrong[i],
                          wrongs[i].told);
    }
    if (logs->acked == 0)
        check_verdict(result, VERDICT_UNKNOWN, "no append was ever acknowledged");
    if (logs->polls == 0)
        check_verdict(result, VERDICT_UNKNOWN, "no log was ever read");
    if (logs->unseen > 0)
        check_verdict(result, VERDICT_UNKNOWN,
                      "%" PRIu64 " acknowledged values were never looked for%s", logs->unseen,
                      logs->without_offset > 0 ? " (appends told no offset)" : "");
    check_verdict(result, VERDICT_VALID,
                  "%" PRIu64 " values acknowledged, none lost, in %" PRIu32 " logs", logs->acked,
                  logs->log_count);
}

static void fold(struct logs *logs)
{
    const struct history *history = logs->history;
    for (uint32_t i = 0; i < history->count; i++) {
        bool good = true;
        if (history->process[i] < 0)
            continue;
        if (history->f[i] == logs->append)
            good = take_append(logs, i);
        else if (history->f[i] == logs->poll && history->type[i] == OP_OK)
            good = take_poll(logs, i);
        if (!good) {
            check_verdict(logs->result, VERDICT_UNKNOWN,
                          "event %" PRIu32 ": not what append and poll of a log look like", i);
            return;
        }
    }
    for (uint32_t i = 0; i < logs->log_count; i++)
        if (logs->logs[i].place_count > 0)
            qsort(logs->logs[i].places, logs->logs[i].place_count, sizeof(struct place), by_offset);
    for (uint32_t i = 0; i < history->count; i++)
        if (fold_is(history, i, OP_OK, logs->poll))
            look_at_poll(logs, i);
    for (uint32_t i = 0; i < logs->values.count; i++)
        judge_entry(logs, &logs->entries[i]);
    judge(logs);
}

static void check(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    if (!fold_understands(input, result, (const char *const[]){"append", "poll", NULL}))
        return;
    struct logs logs = {.history = history,
                        .result = result,
                        .append = fold_f(input, "append"),
                        .poll = fold_f(input, "poll")};
    size_t events = (size_t)history->count + 1;
    elements_init(&logs.names, &logs.arena, 0);
    elements_init(&logs.values, &logs.arena, 0);
    logs.floor = arena_alloc(&logs.arena, events * sizeof *logs.floor);
    logs.floor_event = arena_alloc(&logs.arena, events * sizeof *logs.floor_event);
    fold(&logs);
    arena_free(&logs.arena);
}

const struct checker checker_log_offsets = {
    .name = "log-offsets",
    .summary = "what was appended to logs is polled: all of it, once, in the order of offsets",
    .check = check,
};
