/* Random histories of registers and locks: valid by construction, and then perhaps spoiled. */
#ifndef ORDEAL_TESTS_LIN_RANDOM_H
#define ORDEAL_TESTS_LIN_RANDOM_H

#include "harness/base/prng.h"
#include "tests/lib/lin_text.h"

struct lin_random {
    uint32_t ops, clients, values; /* values 0 .. values-1 */
    double info, fail;             /* shares of operations that end so */
    double cas, write;             /* shares; the rest are reads */
    bool locks;                    /* acquire and release instead */
};

/* Fills ops[0 .. random->ops). Some system could have answered so: a third of the indeterminate
 * operations took effect before they ended, a third after, a third never. */
void lin_random_valid(struct prng *prng, const struct lin_random *random, struct lin_text_op *ops);
/* Rules about supply and windows break on mixes that simulations rarely make: here every window,
 * value and outcome is drawn without looking at the others. At most LIN_RANDOM_FEW operations. */
enum { LIN_RANDOM_FEW = 12 };
void lin_random_anything(struct prng *prng, const struct lin_random *random,
                         struct lin_text_op *ops);
/* The same, of the kind on which rules about hidden writes break: one value is written several
 * times, compare-and-sets lead away from it and on, and other writes cover all that. */
void lin_random_places(struct prng *prng, const struct lin_random *random, struct lin_text_op *ops);
/* Changes something small, which may or may not make it invalid. */
void lin_random_spoil(struct prng *prng, const struct lin_random *random, struct lin_text_op *ops);
/* Changes what one read in the middle third saw to another value, which may leave it linearizable:
 * the more clients, the likelier. */
void lin_random_flip(struct prng *prng, const struct lin_random *random, struct lin_text_op *ops);
/* Adds, at the end, two operations by new processes: a write of a fresh value that completes, and a
 * read that still sees the value before; the history is certainly invalid. Needs room for three
 * operations. Returns the new count. */
size_t lin_random_bad_tail(struct lin_text_op *ops, size_t count);

#endif
