/* What the unordered queue and the priority queue share: elements in classes of priority, of which
 * a removal takes any one of the least class.
 *
 * A removal whose outcome is not known took one of the elements that were in the least class then,
 * and a step must not guess which: it leaves a mark, which says "one of those before this mark is
 * gone". A class is the elements between marks, in the order of time; it can be as long as every
 * beginning of it has at least as many elements as marks (Hall's condition), and a beginning with
 * as many of each is gone for certain. So states stay sets of possibilities, without loss.
 *
 * The state is one word: a sequence of (priority, value) with BAG_MARK for marks. */
#ifndef ORDEAL_MODELS_BAG_H
#define ORDEAL_MODELS_BAG_H

#include "harness/model.h"

#define BAG_MARK INT64_C(-1)
enum bag_f { BAG_INSERT, BAG_REMOVE, BAG_LENGTH };

/* For operations with a: the value's number, 0 for "empty", MODEL_ANY for not known, or the length;
 * b: its priority; c: an enum bag_f. */
bool bag_step(const void *state, const struct model_op *op, struct model_space *space, void *next);
void bag_describe(const void *state, const struct model_space *space, struct buf *out);
bool bag_is_pure(const struct model_op *op);
struct model_touch bag_touch(const struct model_op *op);
extern const struct model_replay bag_replay;

#endif
