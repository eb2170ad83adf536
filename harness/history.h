/* A history: what was asked of a system, what it answered, and what was done to it, in order.
 *
 * An operation is an invocation and at most one completion. A completion is a fact about the world:
 *   OK    it happened, between the two events.
 *   FAIL  it certainly did not happen and never will.
 *   INFO  it may have happened, may happen later, or never. Its process number is retired.
 * A missing completion counts as INFO. The order of events is the order of their index: an
 * invocation is recorded before the request leaves and a completion after the reply is in, so an
 * operation's interval may be too wide, never too narrow. Intervals are closed. Times are
 * nanoseconds since the run began, from the controller's monotonic clock; -1 where a history from
 * elsewhere has none.
 *
 * Columns, one entry an event; values and names live in the history's arena. Faults are events of
 * the process PROCESS_NEMESIS: two INFO events each, the asking and the outcome, as in Jepsen's
 * histories. Everything a node did unasked (a daemon that died) is one INFO event of
 * PROCESS_DAEMON.
 *
 * One thread writes at a time; when nothing writes, any number may read. */
#ifndef ORDEAL_HISTORY_H
#define ORDEAL_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/base/arena.h"
#include "harness/value.h"

enum op_type { OP_INVOKE, OP_OK, OP_FAIL, OP_INFO };

enum {
    PROCESS_NEMESIS = -1,
    PROCESS_DAEMON = -2,
    PROCESS_OTHER = -3, /* keywords other histories use; -3 - i is history.process_names[i] */
};

/* One event. In a running test also what workers hand to clients and clients hand back. */
struct op {
    uint32_t index;
    enum op_type type;
    int32_t process;
    uint16_t f; /* into history.f_names */
    struct value value;
    struct value error; /* nil when there is none */
    struct value extra; /* a map of what else a file said of the event, by its keys; nil */
    int64_t time_ns;
};

enum { HISTORY_F_MAX = 4096 };
#define HISTORY_NONE UINT32_MAX

struct history {
    struct arena arena;
    uint32_t count, capacity;
    /* columns */
    uint8_t *type; /* enum op_type */
    uint16_t *f;
    int32_t *process;
    struct value *value;
    int64_t *time_ns;
    uint32_t *error;     /* into errors; 0 is none */
    struct value *extra; /* NULL as long as no event has any */
    /* tables */
    const char **f_names;
    uint32_t f_count;
    struct value *errors; /* distinct error values; errors[0] is nil */
    uint32_t error_count;
    const char **process_names;
    uint32_t process_name_count;
    /* computed by history_pair: an invocation's completion and the reverse; HISTORY_NONE */
    uint32_t *partner;
    /* completions whose invocation was made up (history_supply_invocations), ascending */
    uint32_t *supplied;
    uint32_t supplied_count;
    /* only the order within each process is known: a format without times. It is not kept in files.
     */
    bool unordered;
    /* the file it came from ended early: what was lost, in words; NULL when whole */
    const char *cut;
};

void history_init(struct history *history);
void history_free(struct history *history);
/* Frees a history whose values are in `keeper`, too: its arena lives on, and ends with keeper's. */
void history_free_into(struct history *history, struct history *keeper);

/* The id of a function name, made on first use. Ends the process past HISTORY_F_MAX names. */
uint16_t history_f(struct history *history, const char *name);
/* As history_f, but never makes one: -1 when the history does not know the name. */
int history_find_f(const struct history *history, const char *name);
/* Renames a function; if there is one of the new name already, the two become one. False when the
 * history does not know the old name. */
bool history_rename_f(struct history *history, const char *from, const char *to);
/* The process number of a keyword: "nemesis", "daemon", or another one (made on first use). */
int32_t history_process_named(struct history *history, const char *keyword);
/* The keyword of a negative process number, "nemesis" and so on. */
const char *history_process_name(const struct history *history, int32_t process);

/* Appends an event; its value, error and extra keys are copied into the history's arena; op->index
 * is ignored. Returns the index. ERR_NOMEM in `*code` when memory or indices end (the event is not
 * recorded).
 */
uint32_t history_append(struct history *history, const struct op *op, enum err_code *code);

/* As history_append for readers of files: value and extra keys were made in the history's own arena
 * and are kept as they are (the error is still copied, since errors repeat). */
uint32_t history_append_own(struct history *history, const struct op *op, enum err_code *code);

/* Makes room for so many events more; false when memory or indices end. */
bool history_reserve(struct history *history, uint32_t more);
/* The place of an error in `errors`, where it is copied to on first use; 0 for nil. */
uint32_t history_error(struct history *history, struct value error);

/* The event at an index, gathered from the columns. */
struct op history_op(const struct history *history, uint32_t index);
const char *history_f_name(const struct history *history, uint32_t index);
static inline bool history_is_client(const struct history *history, uint32_t index)
{
    return history->process[index] >= 0;
}

/* Fills `partner`. Client events pair by process; events of other processes pair by (process, f) in
 * turn. Errors (ERR_PARSE) name the event: a completion without an invocation, two invocations of
 * one process without a completion between, a completion with another function than its invocation.
 */
enum err_code history_pair(struct history *history, struct err *err);
/* The same for histories from elsewhere: a process may invoke while an operation of its is still
 * open. A completion then goes to the newest open one of its function, or to one that was asked the
 * value it tells; what never completes (as where logs of two tests were joined) is indeterminate,
 * which can only widen what is allowed. *left_open counts those. */
enum err_code history_pair_found(struct history *history, uint32_t *left_open, struct err *err);

/* For an invocation: OP_OK, OP_FAIL or OP_INFO; a missing completion is OP_INFO. After
 * history_pair. */
static inline enum op_type history_outcome(const struct history *history, uint32_t invocation)
{
    uint32_t completion = history->partner[invocation];
    return completion == HISTORY_NONE ? OP_INFO : (enum op_type)history->type[completion];
}

/* "ok" and so on. */
const char *op_type_name(enum op_type type);

/* Add a function's or a process's name as EDN: a keyword where it can be one, else as it was. */
void history_print_f(const char *name, struct buf *out);
void history_print_process(const struct history *history, int32_t process, struct buf *out);

/* Adds the entries of op.extra as EDN, each behind a comma. */
void history_print_extra(struct value extra, struct buf *out);

/* Adds the event as one EDN map, in Jepsen's key order, without a newline. */
void history_print_op(const struct history *history, uint32_t index, struct buf *out);

#endif
