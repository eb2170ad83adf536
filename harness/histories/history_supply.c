/* Invocations for completions that have none: see history_supply.h. */
#include "harness/histories/history_supply.h"

#include <stdlib.h>
#include <string.h>

/* By process: its last event, and whether an operation of it is open. */
struct seat {
    int32_t process;
    uint32_t last; /* event + 1; 0: a free seat */
    bool open;
    bool mixed; /* it once invoked while an operation was open: which is which is not known */
};

static struct seat *find_seat(struct seat *seats, uint32_t mask, int32_t process)
{
    uint32_t at = (uint32_t)process * UINT32_C(2654435769) & mask;
    while (seats[at].last != 0 && seats[at].process != process)
        at = (at + 1) & mask;
    return &seats[at];
}

/* For each event, 1 + the event that its invocation must follow (0: it has one, or needs none); 1 +
 * history->count stands for the beginning. Where `anchors` is NULL they are only counted: nearly
 * always there is none. */
static uint32_t find_anchors(const struct history *history, struct seat *seats, uint32_t mask,
                             uint32_t *anchors, int32_t *processes)
{
    uint32_t count = 0;
    int32_t fresh = 0; /* above all that there are */
    for (uint32_t i = 0; i < history->count; i++)
        if (history->process[i] >= fresh)
            fresh = history->process[i] == INT32_MAX ? INT32_MAX : history->process[i] + 1;
    for (uint32_t i = 0; i < history->count; i++) {
        if (anchors != NULL) {
            anchors[i] = 0;
            processes[i] = history->process[i];
        }
        if (!history_is_client(history, i))
            continue;
        struct seat *seat = find_seat(seats, mask, history->process[i]);
        bool invokes = history->type[i] == OP_INVOKE;
        count += !invokes && !seat->open;
        if (!invokes && !seat->open && anchors != NULL) {
            anchors[i] = seat->last == 0 || seat->mixed ? history->count + 1 : seat->last;
            /* Several at once are several processes. */
            if (seat->mixed && fresh < INT32_MAX)
                processes[i] = fresh++;
        }
        bool mixed = seat->mixed || (invokes && seat->open);
        *seat = (struct seat){history->process[i], i + 1, invokes, mixed};
    }
    return count;
}

static enum err_code add(struct history *out, struct op *op)
{
    enum err_code code;
    history_append_own(out, op, &code);
    return code;
}

static struct op event_of(const struct history *from, uint32_t event, const int32_t *processes)
{
    struct op op = history_op(from, event);
    op.process = processes[event];
    return op;
}

/* Adds the invocations that follow an event of this time (0: the beginning); `nexts` chains them,
 * as event + 1. */
static enum err_code add_anchored(struct history *out, const struct history *from, uint32_t head,
                                  const uint32_t *nexts, const int32_t *processes, int64_t time_ns)
{
    enum err_code code = ERR_NONE;
    for (; head != 0 && code == ERR_NONE; head = nexts[head - 1]) {
        struct op op = event_of(from, head - 1, processes);
        op.type = OP_INVOKE;
        op.error = value_nil();
        op.time_ns = op.time_ns < 0 ? op.time_ns : time_ns;
        code = add(out, &op);
    }
    return code;
}

/* The columns change, the tables and the arena stay. */
static enum err_code rebuild(struct history *history, const uint32_t *anchors,
                             const int32_t *processes, uint32_t *heads, uint32_t *nexts)
{
    struct history out = *history;
    out.count = out.capacity = 0;
    out.type = NULL;
    out.f = NULL;
    out.process = NULL;
    out.value = NULL;
    out.time_ns = NULL;
    out.error = NULL;
    out.extra = NULL;
    out.supplied_count = 0;
    out.supplied = malloc(((size_t)history->count + 1) * sizeof *out.supplied);
    for (uint32_t i = history->count; i-- > 0;)
        if (anchors[i] != 0) {
            uint32_t anchor = anchors[i] - 1;
            nexts[i] = heads[anchor];
            heads[anchor] = i + 1;
        }
    enum err_code code = out.supplied == NULL ? ERR_NOMEM
                                              : add_anchored(&out, history, heads[history->count],
                                                             nexts, processes, 0);
    for (uint32_t i = 0; i < history->count && code == ERR_NONE; i++) {
        struct op op = event_of(history, i, processes);
        if (anchors[i] != 0)
            out.supplied[out.supplied_count++] = out.count;
        code = add(&out, &op);
        history->errors = out.errors; /* the table may have moved while it grew */
        if (code == ERR_NONE)
            code = add_anchored(&out, history, heads[i], nexts, processes, op.time_ns);
    }
    struct history *old = code == ERR_NONE ? history : &out;
    free(old->type);
    free(old->f);
    free(old->process);
    free(old->value);
    free(old->time_ns);
    free(old->error);
    free(old->extra);
    free(old->supplied);
    if (code == ERR_NONE)
        *history = out;
    return code;
}

static enum err_code supply(struct history *history, struct seat *seats, uint32_t mask)
{
    uint32_t *anchors = calloc((size_t)history->count + 1, sizeof *anchors);
    uint32_t *heads = calloc((size_t)history->count + 1, sizeof *heads);
    uint32_t *nexts = calloc((size_t)history->count + 1, sizeof *nexts);
    int32_t *processes = calloc((size_t)history->count + 1, sizeof *processes);
    enum err_code code = ERR_NOMEM;
    if (anchors != NULL && heads != NULL && nexts != NULL && processes != NULL) {
        memset(seats, 0, ((size_t)mask + 1) * sizeof *seats);
        find_anchors(history, seats, mask, anchors, processes);
        code = rebuild(history, anchors, processes, heads, nexts);
    }
    free(anchors);
    free(processes);
    free(heads);
    free(nexts);
    return code;
}

enum err_code history_supply_invocations(struct history *history, uint32_t *supplied,
                                         struct err *err)
{
    uint32_t mask = 255;
    while (mask / 2 < history->count && mask < UINT32_MAX / 2)
        mask = mask * 2 + 1;
    struct seat *seats = calloc((size_t)mask + 1, sizeof *seats);
    enum err_code code = ERR_NOMEM;
    *supplied = 0;
    if (seats != NULL) {
        *supplied = find_anchors(history, seats, mask, NULL, NULL);
        code = *supplied == 0 ? ERR_NONE : supply(history, seats, mask);
    }
    free(seats);
    return code == ERR_NONE
               ? code
               : err_set(err, code, "invocations for %u completions: out of memory", *supplied);
}
