/* One object's operations, decoded, as the searches see them.
 *
 * A problem asks: can these operations be put into one order in which each *required* operation
 * appears once, each *optional* one at most once, every step is legal for the model, and no
 * operation comes before another that had returned before it was invoked? Required are operations
 * that completed OK; optional are indeterminate ones. What failed, and what is indeterminate and
 * cannot change any state, is no part of a problem.
 *
 * Positions count the problem's own events (invocations and returns) from 0. */
#ifndef ORDEAL_LINEARIZABLE_PROBLEM_H
#define ORDEAL_LINEARIZABLE_PROBLEM_H

#include "harness/model.h"

#define LIN_NEVER UINT32_MAX

struct lin_op {
    struct model_op op;         /* op.known: required */
    uint32_t invoked, returned; /* positions; LIN_NEVER: optional */
    uint32_t completion;        /* event of the history; HISTORY_NONE */
    uint32_t source;            /* of a derived problem: the operation in the one it came from */
    int64_t needs, leaves;      /* the model's effect; both MODEL_ANY when it has none to tell */
    bool pure;                  /* never changes the state */
};

/* An event is op << 1, plus 1 for a return. */
#define LIN_EVENT(op, returns) ((op) << 1 | (uint32_t)(returns))
#define LIN_EVENT_OP(event) ((event) >> 1)
#define LIN_EVENT_RETURNS(event) (((event)&1) != 0)

struct lin_problem {
    const struct model *model;
    struct model_space *space;
    struct lin_op *ops;
    uint32_t *events;
    uint32_t op_count, event_count, required_count;
    uint32_t state_count; /* states are less than this; 0 for a model without an effect */
    bool any_start;       /* the first state may be any; only for models with an effect */
    bool nil_is_unknown;  /* see lin_reading; only while it is built */
    _Alignas(8) unsigned char start[MODEL_STATE_MAX]; /* the first state */
};

/* How a history begins. */
struct lin_reading {
    struct value initial; /* what the object holds at first; nil for the model's own beginning */
    bool nil_is_unknown;  /* a read that answered nil tells nothing, as in Knossos' models */
};

/* The first state, unless any_start. */
void lin_problem_start(const struct lin_problem *problem, void *state);

/* Builds the problem of one key from its client events (indices into the history, ascending) in
 * `arena`. `keyed`: values are [key value]. `reading` may be NULL.
 * False when an operation cannot be understood: `trouble` then says which and why. */
bool lin_problem_build(struct lin_problem *problem, struct arena *arena, const struct model *model,
                       const struct history *history, const uint32_t *events, uint32_t count,
                       bool keyed, const struct lin_reading *reading, struct buf *trouble);
/* The first operation that was not invoked before an event of the history; op_count: none. */
uint32_t lin_problem_from_event(const struct lin_problem *problem, uint32_t event);

/* What to make of each operation of a problem in a weaker one. Each choice can only make a history
 * easier to linearize, so when the weaker problem has no solution neither has the first:
 * - dropping a pure operation: an order of all, without it, is an order of the rest;
 * - dropping all operations on some value, of a container (see model.h), or of a register with all
 *   that follows by cas: an order of all, without them, is an order of the rest;
 * - making a required operation optional: the same order will do;
 * - stopping at an event: orders of prefixes are prefixes of orders, when what was pending then may
 *   or may not have happened;
 * - beginning at an event, in any state: what had returned before it is in every order before what
 *   was invoked after it, and leaves some state; what was pending then may fall on either side. */
enum lin_choice { LIN_KEEP, LIN_OPTIONAL, LIN_DROP };
struct lin_weakening {
    uint8_t *choice;       /* enum lin_choice, one per operation */
    uint32_t begin, until; /* positions: from `begin` on, up to and including `until` */
};
/* Builds the weaker problem in `arena`. A drop of an operation that is not pure for a model without
 * an effect that is no container, and a `begin` other than 0 for a model without an effect, are
 * mistakes of the caller (asserted); whole values are the caller's care. */
void lin_problem_weaken(const struct lin_problem *problem, const struct lin_weakening *weakening,
                        struct arena *arena, struct lin_problem *weaker);

#endif
