/* Histories whose completions have no invocations, as other projects' test suites write them. */
#ifndef ORDEAL_HISTORY_SUPPLY_H
#define ORDEAL_HISTORY_SUPPLY_H

#include "harness/history.h"

/* Gives each client completion without an invocation one, where it can have been at the earliest:
 * right after what its process did before, or at the very beginning (also where the process invoked
 * several at once, so that nobody knows which of them completed; those then count as processes of
 * their own), at the time of that. So the interval may be too wide, never too narrow. Events are
 * numbered anew; *supplied counts, and history->supplied are the completions. Before pairing. */
enum err_code history_supply_invocations(struct history *history, uint32_t *supplied,
                                         struct err *err);

#endif
