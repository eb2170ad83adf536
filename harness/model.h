/* Sequential models: what an object would do if operations happened one at a time.
 *
 * A pure step over plain-data states, so that a search may copy, hash and remember them. A model
 * must not keep anything outside its state; what grows is kept in the space (model_space.h), and
 * the state refers to it by number.
 *
 * This header is also the contract of models from outside (`--model ./mine.so`): such a library
 * defines ORDEAL_MODEL, whose symbol changes whenever this contract does. */
#ifndef ORDEAL_MODEL_H
#define ORDEAL_MODEL_H

#include "harness/base/buf.h"
#include "harness/history.h"
#include "harness/model_space.h"

/* One operation as a model sees it, decoded once before the search. */
struct model_op {
    uint16_t f;          /* the model's own numbering: index into model.functions */
    bool known;          /* the outcome is OK: `output` is what it answered. False: indeterminate */
    int32_t process;     /* who asked, for models with owners */
    struct value input;  /* the invocation's value, without the key (but see model_keys) */
    struct value output; /* the completion's value, likewise; nil when not known */
    uint32_t event;      /* index of the invocation */
    int64_t a, b, c;     /* for the model: set by prepare, read by step */
};

/* What a register-like operation does to a state that is one value: it may happen when the value is
 * `needs`, and then the value is `leaves`. */
struct model_effect {
    int64_t needs;  /* MODEL_ANY: whatever the value is (a write) */
    int64_t leaves; /* MODEL_ANY: as it was (a read) */
};
#define MODEL_ANY INT64_C(-1)

/* What an operation does to a container, for the monitors of histories whose values are distinct
 * (checkers/linearizable/monitor.h). */
enum model_act {
    MODEL_OTHER,  /* none of these: no monitor suits the history */
    MODEL_INSERT, /* puts `value` in */
    MODEL_REMOVE, /* takes `value` out; not known: takes some value out, or finds it empty */
    MODEL_EMPTY,  /* saw that nothing is in it */
    MODEL_HAS,    /* saw that `value` is in it */
    MODEL_LACKS,  /* saw that `value` is not in it */
    MODEL_LISTS,  /* saw all that is in it: the sequence `value` of the space, ascending */
};
struct model_touch {
    enum model_act act;
    int64_t value;    /* its number */
    int64_t priority; /* of a priority queue: the less, the sooner */
};
/* The container that acts are meant for. */
enum model_container {
    MODEL_NO_CONTAINER,
    MODEL_FIFO,     /* removes the oldest */
    MODEL_LIFO,     /* removes the youngest */
    MODEL_BAG,      /* removes any */
    MODEL_PRIORITY, /* removes one of the least priority */
    MODEL_SET,      /* removes the value named */
};

/* The same object once more, changed in place: long orders are replayed in linear time. Lives in
 * the arena; `state` is the one that the history begins in. apply: false when the operation may not
 * happen now, or when it cannot say; else step must allow it too. `took`: what a removal whose
 * outcome is not known took out, where the order says so; else MODEL_ANY. */
struct model_replay {
    void *(*open)(struct arena *arena, const struct model_space *space, const void *state);
    bool (*apply)(void *object, const struct model_op *op, int64_t took);
    /* "the queue is [1 2 3]", the first of it when it is long. May be NULL. */
    void (*describe)(const void *object, const struct model_space *space, struct buf *out);
};

/* Where the keys of a history of many objects are. */
enum model_keys {
    MODEL_KEYS_OUTSIDE, /* values may be [key value]; the model sees the value */
    MODEL_KEYS_INSIDE,  /* the model itself keeps many keys, and sees [key value] always */
    MODEL_KEYS_NONE,    /* one operation may be about many keys: a history is never split unasked */
};

struct model {
    const char *name, *summary;
    const char *const
        *functions;    /* the f names it understands, NULL at the end; NULL at once: all */
    size_t state_size; /* at most MODEL_STATE_MAX; compared and hashed as bytes */
    /* Decodes values once, so that step is quick: whole values become their numbers in
     * space->values (where nil is 0), lists become sequences. False: `problem` says what the value
     * should have been. */
    bool (*prepare)(struct model_op *op, struct model_space *space, struct buf *problem);
    void (*init)(void *state);
    /* True when `op` may happen in `state`; then `next` is the state afterwards. `state` may be
     * `next`. False also when the space is full. */
    bool (*step)(const void *state, const struct model_op *op, struct model_space *space,
                 void *next);
    /* "the value is 3". */
    void (*describe)(const void *state, const struct model_space *space, struct buf *out);
    /* True when the operation never changes any state (a read): lets a search place it eagerly. */
    bool (*is_pure)(const struct model_op *op);
    /* The rest is optional. */
    /* Given when the state is one int64_t >= 0 and every operation is a model_effect on it; must
     * say the same as step. Quicker searches and explanations in words rest on it. */
    struct model_effect (*effect)(const struct model_op *op);
    /* The state is one int64_t, the number of a value in the table, nil at first: histories may
     * begin with another one. */
    bool holds_value;
    /* As init, for a history that begins with what `initial` says (never nil). False: `problem`
     * says what it should have been. Not needed when holds_value. */
    bool (*start)(void *state, struct value initial, struct model_space *space,
                  struct buf *problem);
    enum model_keys keys;
    /* A container, and what each operation does to it. Given only when leaving out all operations
     * that touch one value makes of every legal order a legal order: monitors rest on it. */
    enum model_container container;
    struct model_touch (*touch)(const struct model_op *op);
    const struct model_replay *replay;
};

enum { MODEL_STATE_MAX = 256 };

/* What a library of a model defines. */
#define ORDEAL_MODEL ordeal_model_2
extern const struct model ORDEAL_MODEL;

extern const struct model *const models[];
const struct model *model_find(const char *name);

#endif
