/* What the faults that cut nodes off share: cutting, and looking until it is so. */
#ifndef ORDEAL_NEMESES_CUTTING_H
#define ORDEAL_NEMESES_CUTTING_H

#include "harness/nemesis.h"
#include "harness/test.h"

#define CUTTING_BEGIN_NS (INT64_C(1000000000)) /* for probes to agree with a cut */
#define CUTTING_END_NS (INT64_C(2000000000))   /* ... and that it is gone, also for undoing it */

/* Whether there are so many nodes, and all can drop packets. */
enum err_code cutting_check(struct test *test, uint32_t nodes_min, struct err *err);

/* Adds to `drops` that each of the nodes is cut from every other node, both ways. */
void cutting_alone(const struct test *test, node_set nodes, node_set *drops);
/* All who are cut from anyone, whichever way. */
node_set cutting_nodes_hit(const struct test *test, const node_set *drops);

/* Probes until they agree with `drops` (NULL: nothing is cut): packets that were on their way when
 * the rules changed, and a busy node's late answers, can make the first probes disagree. */
enum err_code cutting_verify(struct test *test, const node_set *drops, int64_t timeout_ns,
                             struct buf *evidence, struct err *err);
/* Tried again and again, also after an interruption: a network that stays cut spoils more than this
 * fault. */
enum err_code cutting_undo(struct test *test, const char *id, struct err *err);
/* Undoes what was made but turned out not to be `what` ("port: not in force"), for `cause`, and
 * says all of it; returns `code`. */
enum err_code cutting_give_up(struct test *test, const char *id, const char *what,
                              enum err_code code, const struct err *cause, struct err *err);
/* The end of a fault: undone, and seen to be by probes, as its evidence. Errors begin with
 * `undoing` or `after`. */
enum err_code cutting_end(struct test *test, struct fault *fault, const char *id,
                          const char *undoing, const char *after, struct err *err);

#endif
