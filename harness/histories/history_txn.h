/* Transactions over registers as the checkers of weak isolation write them. None has times: only
 * the order within each session is known (history.unordered).
 *
 *   awdit  "r KEY VALUE" or "w KEY VALUE" a line; ----- ends a transaction, ===== a session
 *   plume  "r(KEY,VALUE,SESSION,TRANSACTION)" or "w(..)" a line, as PolySI writes them, too
 *   dbcop  dbcop's and PolySI's binary history.bincode
 *
 * A read of 0, where nobody wrote 0 to that key, is one of the initial value, and becomes nil. */
#ifndef ORDEAL_HISTORY_TXN_H
#define ORDEAL_HISTORY_TXN_H

#include "harness/histories/source.h"
#include "harness/history.h"

/* Adds all transactions of a text to an empty history: each an invocation and its completion, by
 * the process that is its session. `format` is one of the names above. */
enum err_code history_txn_read(struct source *source, const char *format, struct history *history,
                               struct err *err);

#endif
