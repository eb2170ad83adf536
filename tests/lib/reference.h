/* Reference objects, for holding models and engines against: written apart from the models, over
 * small integers in plain arrays, and without a thought for speed. */
#ifndef ORDEAL_TESTS_REFERENCE_H
#define ORDEAL_TESTS_REFERENCE_H

#include "harness/base/prng.h"
#include "harness/model.h"

enum { REF_ITEMS = 12, REF_STEPS = 2, REF_OUTCOMES = 16, REF_OPS = 16 };

struct ref_state {
    int items[REF_ITEMS], count;
    int x[4];
};

struct ref_op {
    const char *f;
    int a, b, key; /* what is asked; -1 is nil */
    struct {
        const char *f;
        int key, a, b;
    } steps[REF_STEPS];
    int step_count;
    int seen, list[REF_ITEMS], count; /* what was answered */
    enum op_type outcome;             /* OK or INFO */
    int invoked, returned;            /* times, all different; returned: of INFO without meaning */
};

struct ref_outcome {
    int seen, list[REF_ITEMS], count;
    struct ref_state next;
};

struct ref_object {
    const char *model;
    /* All that could happen. */
    int (*run)(const struct ref_state *state, const struct ref_op *op, struct ref_outcome *out);
    /* What might be asked. `fresh`: a value that no other operation has, or -1 to take any. */
    void (*draw)(struct prng *prng, struct ref_op *op, int fresh);
    void (*in)(const struct ref_op *op, struct arena *arena, struct value *value);
    void (*out)(const struct ref_op *op, struct arena *arena, struct value *value);
    int values;     /* values are 0 .. values - 1 */
    bool container; /* values can be distinct */
};
extern const struct ref_object ref_objects[]; /* model NULL at the end */
const struct ref_object *ref_find(const char *model);

struct ref_shape {
    int ops;
    double info;   /* share of indeterminate operations */
    int width;     /* how many neighbours an operation overlaps, about */
    bool distinct; /* inserted and written values are distinct */
};
/* A history that some object could have made. Returns the number of operations. */
int ref_valid(struct prng *prng, const struct ref_object *object, const struct ref_shape *shape,
              struct ref_op *ops);
/* Changes something small, which may make it invalid. */
void ref_spoil(struct prng *prng, const struct ref_object *object, struct ref_op *ops, int count);
/* Every order, by force. */
bool ref_linearizable(const struct ref_object *object, const struct ref_op *ops, int count);
void ref_print(const struct ref_object *object, const struct ref_op *ops, int count,
               struct buf *out);

#endif
