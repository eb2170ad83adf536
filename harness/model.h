/* Sequential models: what an object would do if operations happened one at a time.
 *
 * A pure step over plain-data states, so that a search may copy, hash and remember them. A model
 * must not keep anything outside its state. */
#ifndef ORDEAL_MODEL_H
#define ORDEAL_MODEL_H

#include "harness/base/buf.h"
#include "harness/histories/value_table.h"
#include "harness/history.h"

/* One operation as a model sees it, decoded once before the search. */
struct model_op {
    uint16_t f;          /* the model's own numbering: index into model.functions */
    bool known;          /* the outcome is OK: `output` is what it answered. False: indeterminate */
    struct value input;  /* the invocation's value, without the key */
    struct value output; /* the completion's value, without the key; nil when not known */
    uint32_t event;      /* index of the invocation */
    int64_t a, b;        /* for the model: set by prepare, read by step */
};

/* What a register-like operation does to a state that is one value: it may happen when the value is
 * `needs`, and then the value is `leaves`. */
struct model_effect {
    int64_t needs;  /* MODEL_ANY: whatever the value is (a write) */
    int64_t leaves; /* MODEL_ANY: as it was (a read) */
};
#define MODEL_ANY INT64_C(-1)

struct model {
    const char *name, *summary;
    const char *const
        *functions;    /* the f names it understands, NULL at the end; NULL at once: all */
    size_t state_size; /* at most MODEL_STATE_MAX; compared and hashed as bytes */
    /* Decodes values once, so that step is quick: whole values become their numbers in `values`
     * (where nil is 0), one table for all operations on one object. False: `problem` says what the
     * value should have been. */
    bool (*prepare)(struct model_op *op, struct value_table *values, struct buf *problem);
    void (*init)(void *state);
    /* True when `op` may happen in `state`; then `next` is the state afterwards. `state` may be
     * `next`. */
    bool (*step)(const void *state, const struct model_op *op, void *next);
    /* "the value is 3"; `values` is the table that prepare filled. */
    void (*describe)(const void *state, const struct value_table *values, struct buf *out);
    /* True when the operation never changes any state (a read): lets a search place it eagerly. */
    bool (*is_pure)(const struct model_op *op);
    /* Optional. Given when the state is one int64_t >= 0 and every operation is a model_effect on
     * it; must say the same as step. Quicker searches and explanations in words rest on it. */
    struct model_effect (*effect)(const struct model_op *op);
    /* The state is one int64_t, the number of a value in the table, nil at first: histories may
     * begin with another one. */
    bool holds_value;
};

enum { MODEL_STATE_MAX = 256 };

extern const struct model *const models[];
const struct model *model_find(const char *name);

#endif
