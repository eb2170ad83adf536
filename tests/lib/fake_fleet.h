/* Fleets over the fake transport, for tests. */
#ifndef ORDEAL_TESTS_FAKE_FLEET_H
#define ORDEAL_TESTS_FAKE_FLEET_H

#include "harness/remote/fleet.h"

/* Nodes "n1" ... as user root. */
const struct node *fake_nodes(void);
/* Resets the fake and opens a fleet to `count` nodes; fails the test when it does not open. */
struct fleet *fake_fleet(size_t count);
struct fleet_options fake_options(void);

#endif
