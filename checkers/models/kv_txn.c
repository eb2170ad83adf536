/* Transactions on a small store: a txn is a list of [:r key value], [:w key value], [:append key
 * value] and [:cas key [old new]], all at one moment. A key is nil (or the empty list) at first. */
#include "checkers/models/models.h"
#include "checkers/models/txn.h"

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    static const struct txn_kind_name kinds[] = {
        {"r", TXN_READ},        {"read", TXN_READ}, {"w", TXN_WRITE}, {"write", TXN_WRITE},
        {"append", TXN_APPEND}, {"cas", TXN_CAS},   {NULL, 0}};
    return txn_prepare(op, kinds, space, problem);
}

static const char *const functions[] = {"txn", NULL};

const struct model model_kv_txn = {
    .name = "kv-txn",
    .summary = "transactions of reads, writes, appends and cas on a small set of keys",
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
