/* A system of one's own in the current directory, with a client that is a shell script. */
#ifndef ORDEAL_TESTS_OWN_FIXTURE_H
#define ORDEAL_TESTS_OWN_FIXTURE_H

#include "harness/plan.h"

/* Writes NAME/system.json and NAME/client.sh; `members` go into system.json besides what must be
 * there ("" for none). `arms` are those of a `case` over what is asked: $ask, $id, $line. */
void own_fixture_write(const char *name, const char *members, const char *arms);
/* A plan for it, resolved: --workload register unless flags say otherwise. */
enum err_code own_fixture_plan(struct plan *plan, const char *name, const char *const *flags,
                               struct err *err);

#endif
