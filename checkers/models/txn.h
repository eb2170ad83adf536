/* What the models with transactions share: a store of keys, and operations that are lists of small
 * steps on it, all at one moment.
 *
 * The state is one word: a sequence of (key, content), ascending by key. A content is the number of
 * a value, or for lists, which appends make longer, TXN_LIST of a sequence of such; nil and the
 * empty list are both 0, as for a key that was never written. */
#ifndef ORDEAL_MODELS_TXN_H
#define ORDEAL_MODELS_TXN_H

#include "harness/model.h"

#define TXN_LIST(sequence) (-2 - (sequence)) /* and back again */

/* Sets op->a to the steps as a sequence of (kind, key, content), op->b to whether all are reads.
 * `kinds` are the names that this model knows. */
enum txn_kind { TXN_READ, TXN_WRITE, TXN_APPEND, TXN_CAS };
struct txn_kind_name {
    const char *name;
    enum txn_kind kind;
};
bool txn_prepare(struct model_op *op, const struct txn_kind_name *kinds, struct model_space *space,
                 struct buf *problem);
/* The same from a map {key value ..}, all of them of one kind. */
bool txn_prepare_map(struct model_op *op, enum txn_kind kind, struct value map,
                     struct model_space *space, struct buf *problem);

void txn_init(void *state);
bool txn_start(void *state, struct value initial, struct model_space *space, struct buf *problem);
bool txn_step(const void *state, const struct model_op *op, struct model_space *space, void *next);
void txn_describe(const void *state, const struct model_space *space, struct buf *out);
bool txn_is_pure(const struct model_op *op);

#endif
