/* The search with hiding, inside: what its files share. See hiding.c for what it does and why. */
#ifndef ORDEAL_LINEARIZABLE_HIDING_H
#define ORDEAL_LINEARIZABLE_HIDING_H

#include "checkers/linearizable/engine.h"
#include "checkers/linearizable/supply.h"

enum { HID_TOKENS = 16 };
#define HID_NONE UINT32_MAX
#define HID_DEAD UINT32_MAX /* a state that nobody will ask for */

/* A place in the order, directly before a write, where the state is `state`: pending operations
 * that were invoked before the position `time` can be put there. */
struct hid_token {
    uint32_t state, time;
    uint32_t tail; /* the step after which they come; HID_NONE: the beginning */
};

struct hid_config {
    uint32_t state;
    uint32_t gap;       /* position of the last visible write, as far as it matters; 0: none */
    uint32_t gap_step;  /* the step that is this write */
    uint32_t last_step; /* the last visible step */
    uint32_t trace;     /* the last step of any kind */
    uint32_t cost;      /* optional operations used */
    uint32_t next, hash;
    int32_t weight; /* for beams: the lower the better */
    uint16_t token_count;
    uint8_t dead;
    struct hid_token tokens[HID_TOKENS];
    uint64_t words[]; /* placed, a bit per slot; then a uint16_t per column of the supply */
};

struct hid_set {
    unsigned char *data;
    uint32_t count, capacity, live;
    uint32_t *heads;
    uint32_t head_count;
};

/* How an order came about. A visible step is made at the return at `event` and comes last; others
 * come into a gap of what there is. */
enum { HID_AFTER = UINT32_MAX - 1, HID_BEFORE = UINT32_MAX };
struct hid_step {
    uint32_t parent;
    uint32_t what;   /* an operation, or HID_STEP_CLASS | a class of the supply */
    uint32_t anchor; /* the step that it comes after or before */
    uint32_t event;  /* position, or HID_AFTER, HID_BEFORE */
};
#define HID_STEP_CLASS (UINT32_C(1) << 31)

struct hid_trace {
    struct hid_step *steps;
    uint32_t count, capacity, sweep_at;
};

/* What the events so far have left: small, so that a search can return to an earlier event. */
struct hid_scene {
    uint32_t event;  /* the next one */
    uint32_t oldest; /* no required operation before this one is pending */
    bool trimmed;    /* configurations were left out */
    uint32_t active_count, dead_count;
};

struct hid_saved {
    struct hid_scene scene;
    uint32_t *slot_op; /* then available, active: one block */
    struct hid_set set;
    bool used;
};

enum { HID_LEVELS = 12, HID_SAVED = 2 * HID_LEVELS + 1, HID_CACHE = 32 };

struct hid_mask_entry {
    uint32_t time, stamp;
};

struct hiding {
    const struct lin_problem *problem;
    const struct lin_hiding_options *options;
    struct lin_budget *budget;
    bool is_free, traced;
    struct lin_supplies supplies;
    uint32_t words, slot_count, values;
    size_t stride;
    bool *slotless; /* by operation: it never needs a slot */
    struct hid_scene scene;
    struct hid_set now, next, queue;
    struct hid_trace trace;
    struct hid_config *made, *from, *normal, *eased; /* scratch */
    /* Pending operations: required ones, and optional ones that are younger than a required one. */
    uint32_t *slot_op, *available, *active, *op_slot;  /* available, active: by class */
    uint64_t *busy, *required, *pure, *writes, *swaps; /* by kind */
    uint64_t *reads_of, *writes_of, *swaps_from;       /* by value */
    uint64_t *live, *usable, *spare;                   /* scratch masks */
    uint64_t *masks;                                   /* cache: who is older than a time */
    struct hid_mask_entry mask_times[HID_CACHE];
    uint32_t epoch;
    uint32_t *mark, *reached, *walk, stamp; /* values met by a walk; by the walk back from a need */
    uint32_t *begin, reach_stamp;
    uint32_t *first_free; /* by value: first invocation of a free write; HID_NONE */
    uint32_t free_count;  /* values with a free write invoked by now */
    /* For states that nobody will ask for. */
    uint32_t *uses, *uses_from, *use_at; /* invocations that need a value, by value */
    uint32_t *write_over;                /* by position: first return of a write invoked later */
    struct hid_saved saved[HID_SAVED];
    uint32_t returning; /* slot */
    uint32_t width;     /* 0: all */
    bool frugal;        /* steps of supply are left out */
    uint32_t arrived;   /* of one configuration */
    uint64_t explored;
    uint32_t widest;
    enum lin_limit limit;
};

static inline struct hid_config *hid_at(const struct hiding *h, const struct hid_set *set,
                                        uint32_t index)
{
    return (struct hid_config *)(void *)(set->data + index * h->stride);
}

static inline uint16_t *hid_used(const struct hiding *h, struct hid_config *config)
{
    return (uint16_t *)(void *)(config->words + h->words);
}

static inline const uint16_t *hid_used_const(const struct hiding *h,
                                             const struct hid_config *config)
{
    return (const uint16_t *)(const void *)(config->words + h->words);
}

static inline bool hid_has(const uint64_t *bits, uint32_t slot)
{
    return (bits[slot / 64] >> slot % 64 & 1) != 0;
}

static inline void hid_put(uint64_t *bits, uint32_t slot)
{
    bits[slot / 64] |= UINT64_C(1) << slot % 64;
}

static inline void hid_clear(uint64_t *bits, uint32_t slot)
{
    bits[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

static inline const struct lin_op *hid_op(const struct hiding *h, uint32_t slot)
{
    return &h->problem->ops[h->slot_op[slot]];
}

#define HID_EACH(slot, words_of_it, word_count)                                                    \
    for (uint32_t w_ = 0; w_ < (word_count); w_++)                                                 \
        for (uint64_t left_ = (words_of_it)[w_], slot = 0;                                         \
             left_ != 0 && (slot = w_ * 64 + (uint32_t)__builtin_ctzll(left_), true);              \
             left_ &= left_ - 1)

/* hiding_configs.c: sets, and which configuration is better. */
bool hid_is(const struct hiding *h, enum lin_hiding_rule rule); /* the rule is on */
const uint64_t *hid_old(struct hiding *h, uint32_t time);       /* slots invoked before `time` */
bool hid_class_ready(const struct hiding *h, const struct hid_config *config, uint32_t class,
                     uint32_t time);
/* Operations that need what a token can still come to; 0: the token is of no use. */
uint32_t hid_token_need(struct hiding *h, const struct hid_config *config, uint32_t state,
                        uint32_t time);
void hid_normalize(struct hiding *h, struct hid_config *config);
void hid_copy(const struct hiding *h, struct hid_config *to, const struct hid_config *from);
enum hid_added { HID_ADDED, HID_WORSE, HID_NO_MEMORY };
/* `focus`: a token that both must have in the same place; HID_TOKENS: none. */
enum hid_added hid_add(struct hiding *h, struct hid_set *set, const struct hid_config *config,
                       uint32_t focus);
void hid_set_clear(struct hiding *h, struct hid_set *set);
void hid_set_free(struct hiding *h, struct hid_set *set);
/* Leaves the best `width` alive, and moves them together. False: no memory. */
bool hid_trim(struct hiding *h, struct hid_set *set, uint32_t width);

/* hiding_steps.c: every way in which a configuration can place the operation that returns. Adds to
 * h->next; false when a limit was met. */
bool hid_satisfy(struct hiding *h, const struct hid_config *config);
bool hid_is_useless(struct hiding *h, const struct hid_config *config, uint32_t value);
/* Free supply: what costs nothing is done at once. */
void hid_take_free(struct hiding *h, struct hid_config *config);

/* hiding_order.c: the order of a survivor; NULL when there is no memory. */
uint32_t hid_step(struct hiding *h, struct hid_step step); /* HID_NONE: no memory */
bool hid_sweep(struct hiding *h);
void hid_take_order(struct hiding *h, uint32_t trace, struct lin_answer *answer);

#endif
