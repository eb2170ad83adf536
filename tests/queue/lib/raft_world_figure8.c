/* Figure 8 of the Raft paper as a nemesis that sees everything, again and again: a leader is left
 * with one follower and goes on appending; another is elected beside it and cut off at once; one of
 * the two older ones is elected over the rest, and cut off at its first commit, when the one that
 * was alone comes back. A core that commits entries of earlier terms by counting loses them. */
#include "tests/queue/lib/raft_world.h"

#include <string.h>

enum act {
    ACT_WAIT,    /* for a leader that works */
    ACT_APART,   /* it and a follower are apart from the rest, who elect another */
    ACT_AGAIN,   /* that one is alone, and one of the first two is elected once more */
    ACT_RETURNED /* the one that was alone leads, or tries to; then all is healed */
};

enum { STEADY_US = 300000, ACT_US = 1500000, RETURNED_US = 300000 };

/* Only what is inside one of the two sides gets through. */
static void divide(struct world *world, uint64_t side, uint64_t other)
{
    for (uint32_t i = 1; i <= world->nodes; i++) {
        for (uint32_t j = 1; j <= world->nodes; j++) {
            bool together =
                ((side >> i & 1) && (side >> j & 1)) || ((other >> i & 1) && (other >> j & 1));
            world->blocked[i][j] = !together;
        }
    }
}

static uint64_t everybody(const struct world *world)
{
    return ((uint64_t)2 << world->nodes) - 2;
}

static void act(struct world *world, enum act act)
{
    struct figure8 *figure8 = &world->figure8;
    figure8->act = (int)act;
    figure8->since_us = world->now_us;
    world_trace(world, "figure 8: act %d", (int)act);
    if (act == ACT_WAIT) {
        memset(world->blocked, 0, sizeof world->blocked);
        figure8->lonely = 0;
        figure8->pair = 0;
    }
}

void figure8_elected(struct world *world, const struct simulated_node *node)
{
    struct figure8 *figure8 = &world->figure8;
    if (!world->options->figure8 || world->healed) {
        return;
    }
    if (figure8->act == ACT_APART && !(figure8->pair >> node->id & 1)) {
        figure8->lonely = node->id;
    }
}

void figure8_committed(struct world *world, const struct simulated_node *node)
{
    struct figure8 *figure8 = &world->figure8;
    if (!world->options->figure8 || world->healed || figure8->act != ACT_AGAIN ||
        node->role != RAFT_LEADER || !(figure8->pair >> node->id & 1)) {
        return;
    }
    divide(world, everybody(world) & ~figure8->pair, 0);
    act(world, ACT_RETURNED);
}

static void divide_first(struct world *world)
{
    struct figure8 *figure8 = &world->figure8;
    uint32_t leader = world_leader(world), follower = 1 + leader % world->nodes;
    if (leader == 0) {
        return;
    }
    figure8->pair = (uint64_t)1 << leader | (uint64_t)1 << follower;
    divide(world, figure8->pair, everybody(world) & ~figure8->pair);
    act(world, ACT_APART);
}

void figure8_time(struct world *world)
{
    struct figure8 *figure8 = &world->figure8;
    uint64_t lasted_us = world->now_us - figure8->since_us;
    if (!world->options->figure8 || world->healed) {
        return;
    }
    if (figure8->act == ACT_WAIT && lasted_us > STEADY_US) {
        divide_first(world);
    } else if (figure8->act == ACT_APART && figure8->lonely != 0) {
        divide(world, everybody(world) & ~((uint64_t)1 << figure8->lonely), 0);
        act(world, ACT_AGAIN);
    } else if (lasted_us > (figure8->act == ACT_RETURNED ? RETURNED_US : ACT_US)) {
        act(world, ACT_WAIT);
    }
}
