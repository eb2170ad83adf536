/* Fleets over the fake transport: see fake_fleet.h. */
#include "tests/lib/fake_fleet.h"

#include <stdio.h>

#include "harness/base/clock.h"
#include "tests/lib/fake_remote.h"
#include "tests/lib/test.h"

const struct node *fake_nodes(void)
{
    static struct node nodes[FAKE_NODES_MAX];
    static char names[FAKE_NODES_MAX][8];
    for (uint32_t i = 0; i < FAKE_NODES_MAX && nodes[i].name == NULL; i++) {
        snprintf(names[i], sizeof names[i], "n%u", i + 1);
        nodes[i] = (struct node){.index = i, .name = names[i]};
    }
    return nodes;
}

struct fleet_options fake_options(void)
{
    return (struct fleet_options){.remote = &fake_remote,
                                  .connect = {.user = "root"},
                                  .command_timeout_ns = 30 * NS_PER_SECOND};
}

struct fleet *fake_fleet(size_t count)
{
    struct err err = ERR_INIT;
    struct fleet *fleet;
    struct fleet_options options = fake_options();
    fake_reset();
    assert_ok(fleet_open(fake_nodes(), count, &options, &fleet, &err));
    return fleet;
}
