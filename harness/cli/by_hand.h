/* What `ordeal nemesis` and `ordeal heal` share: the nodes, from flags, without a run around them.
 */
#ifndef ORDEAL_CLI_BY_HAND_H
#define ORDEAL_CLI_BY_HAND_H

#include "harness/cli/cli.h"
#include "harness/plan.h"

/* The flags that say where, as in `ordeal run`, for cli_parse; ends with .name == NULL. */
extern const struct cli_option by_hand_where[];
/* Adds them to a command's own; returns the whole list, which lives in the arena. */
const struct cli_option *by_hand_options(struct arena *arena, const struct cli_option *own);

/* Resolves the plan for a command that acts by hand: no system, no clients. Without --nodes it is
 * the local cluster that is up. `nemesis` is the one nemesis, or NULL. */
enum err_code by_hand_resolve(struct plan *plan, const char *nemesis, struct err *err);

#endif
