/* The faults of a history: see fault_windows.h. */
#include "checkers/fault_windows.h"

#include <stdlib.h>
#include <string.h>

#include "harness/nemesis_file.h"

enum role { ROLE_NONE, ROLE_BEGIN, ROLE_END };

/* What a function name means to the nemeses. */
static enum role role_of(const char *name, const struct nemesis **whose)
{
    for (size_t i = 0; (*whose = nemesis_at(i)) != NULL; i++) {
        if (strcmp((*whose)->begin_f, name) == 0)
            return ROLE_BEGIN;
        if (strcmp((*whose)->end_f, name) == 0)
            return ROLE_END;
    }
    return ROLE_NONE;
}

static bool error_is(const struct history *history, uint32_t event, const char *keyword)
{
    struct value error = history->errors[history->error[event]];
    struct value kind = value_is_pair(error) ? value_at(error, 0) : error;
    return value_kind(kind) == VALUE_KEYWORD && strcmp(value_as_text(kind), keyword) == 0;
}

static enum fault_effect effect_of(const struct history *history, uint32_t done)
{
    if (done == HISTORY_NONE)
        return FAULT_PENDING;
    if (history->error[done] == 0)
        return FAULT_IN_FORCE;
    return error_is(history, done, "not-verified") ? FAULT_UNVERIFIED : FAULT_FAILED;
}

static bool begin(const struct history *history, uint32_t event, const struct nemesis *nemesis,
                  struct fault_windows *windows)
{
    if ((windows->count & (windows->count - 1)) == 0) { /* full: its size is a power of two */
        size_t size = windows->count == 0 ? 1 : windows->count * 2;
        struct fault_window *grown = realloc(windows->items, size * sizeof *grown);
        if (grown == NULL)
            return false;
        windows->items = grown;
    }
    uint32_t done = history->partner[event];
    windows->items[windows->count] = (struct fault_window){
        .number = (uint32_t)windows->count + 1,
        .nemesis = nemesis,
        .effect = effect_of(history, done),
        .begin_asked = event,
        .begin_done = done,
        .end_asked = HISTORY_NONE,
        .end_done = HISTORY_NONE,
    };
    windows->count++;
    return true;
}

/* What the clients were up to at a point of the history. */
struct traffic {
    uint64_t invoked, open;
};

/* The beginning is done: from here on operations are in flight under the fault. What was invoked
 * before and is not open any more will be taken off when the window ends. */
static void begun(uint32_t event, const struct traffic *traffic, struct fault_windows *windows)
{
    for (size_t i = windows->count; i-- > 0;)
        if (windows->items[i].begin_done == event) {
            windows->items[i].closed_before = traffic->invoked - traffic->open;
            return;
        }
}

static void end(const struct history *history, uint32_t event, const struct nemesis *nemesis,
                const struct traffic *traffic, struct fault_windows *windows)
{
    for (size_t i = windows->count; i-- > 0;) {
        struct fault_window *window = &windows->items[i];
        if (window->nemesis != nemesis || !fault_happened(window))
            continue;
        if (!window->healed) {
            window->end_asked = event;
            window->operations = traffic->invoked - window->closed_before;
            window->end_done = history->partner[event];
            window->healed =
                window->end_done != HISTORY_NONE && history->error[window->end_done] == 0;
        }
        return;
    }
}

static bool nemesis_event(const struct history *history, uint32_t event,
                          const struct traffic *traffic, struct fault_windows *windows)
{
    const struct nemesis *nemesis;
    enum role role = role_of(history_f_name(history, event), &nemesis);
    bool asks = history->partner[event] == HISTORY_NONE || history->partner[event] > event;
    if (role == ROLE_NONE && windows->foreign == HISTORY_NONE)
        windows->foreign = event;
    if (role == ROLE_BEGIN && asks)
        return begin(history, event, nemesis, windows);
    if (role == ROLE_BEGIN)
        begun(event, traffic, windows);
    if (role == ROLE_END && asks)
        end(history, event, nemesis, traffic, windows);
    return true;
}

enum err_code fault_windows_find(const struct history *history, struct fault_windows *windows)
{
    *windows = (struct fault_windows){.foreign = HISTORY_NONE};
    struct traffic traffic = {0};
    for (uint32_t i = 0; i < history->count; i++) {
        if (history_is_client(history, i)) {
            bool invokes = history->type[i] == OP_INVOKE;
            traffic.invoked += invokes;
            traffic.open += invokes ? 1 : UINT64_MAX; /* or one less */
        } else if (history->process[i] == PROCESS_NEMESIS &&
                   !nemesis_event(history, i, &traffic, windows)) {
            fault_windows_free(windows);
            return ERR_NOMEM;
        }
    }
    for (size_t i = 0; i < windows->count; i++)
        if (windows->items[i].end_asked == HISTORY_NONE &&
            windows->items[i].begin_done != HISTORY_NONE)
            windows->items[i].operations = traffic.invoked - windows->items[i].closed_before;
    return ERR_NONE;
}

void fault_windows_free(struct fault_windows *windows)
{
    free(windows->items);
    windows->items = NULL;
    windows->count = 0;
}

bool fault_happened(const struct fault_window *window)
{
    return window->effect != FAULT_FAILED;
}

int64_t fault_from_ns(const struct history *history, const struct fault_window *window)
{
    bool done = window->begin_done != HISTORY_NONE;
    return history->time_ns[done ? window->begin_done : window->begin_asked];
}

int64_t fault_to_ns(const struct history *history, const struct fault_window *window)
{
    bool ended = window->end_asked != HISTORY_NONE;
    return history->time_ns[ended ? window->end_asked : history->count - 1];
}

void fault_error(const struct history *history, uint32_t event, struct buf *out)
{
    if (event == HISTORY_NONE || history->error[event] == 0)
        return;
    struct value error = history->errors[history->error[event]];
    if (value_is_pair(error) && value_kind(value_at(error, 1)) == VALUE_STRING)
        buf_add_text(out, value_as_text(value_at(error, 1)));
    else
        value_print(error, out);
}

void fault_print(const struct history *history, const struct fault_window *window, struct buf *out)
{
    buf_printf(out, "fault %u (%s", window->number, window->nemesis->name);
    int64_t from_ns = fault_from_ns(history, window), to_ns = fault_to_ns(history, window);
    if (from_ns >= 0 && to_ns >= from_ns)
        buf_printf(out, ", %.1f-%.1f s", (double)from_ns / 1e9, (double)to_ns / 1e9);
    buf_add_char(out, ')');
}
