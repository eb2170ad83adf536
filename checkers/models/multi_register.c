/* Several registers, read and written together: a txn is [[:r key value] [:w key value] ..], as
 * Knossos has it; read and write take {key value ..}. A register is nil before its first write. */
#include "checkers/models/models.h"
#include "checkers/models/txn.h"

enum { TXN, READ, WRITE };

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    static const struct txn_kind_name kinds[] = {
        {"r", TXN_READ}, {"read", TXN_READ}, {"w", TXN_WRITE}, {"write", TXN_WRITE}, {NULL, 0}};
    if (op->f == TXN)
        return txn_prepare(op, kinds, space, problem);
    if (op->f == WRITE)
        return txn_prepare_map(op, TXN_WRITE, op->input, space, problem);
    if (op->known)
        return txn_prepare_map(op, TXN_READ, op->output, space, problem);
    op->a = 0; /* a read that may not have been: nothing */
    op->b = true;
    return true;
}

static const char *const functions[] = {[TXN] = "txn", [READ] = "read", [WRITE] = "write", NULL};

const struct model model_multi_register = {
    .name = "multi-register",
    .summary = "registers read and written together: txn, or read and write of maps",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = txn_init,
    .step = txn_step,
    .describe = txn_describe,
    .is_pure = txn_is_pure,
    .start = txn_start,
    .keys = MODEL_KEYS_NONE,
};
