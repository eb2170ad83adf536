/* Those who use the cluster: clients, who propose and read, and the operator, who changes its
 * membership. */
#include "tests/queue/lib/raft_world.h"

static void client_read(struct world *world, struct simulated_node *node)
{
    if (node->read_count == READS_MAX || world->recorder != NULL) {
        return;
    }
    struct simulated_read read = {++world->next_read, world->committed_last};
    node->reads[node->read_count++] = read;
    if (world->options->lie == LIE_READ_LOCAL) {
        check_read(world, node, read.id, node->commit);
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_READ, .read = {read.id}};
    world_step(world, node, &event);
}

static void client_propose(struct world *world, struct simulated_node *node)
{
    uint64_t payloads[4][4];
    struct raft_proposal proposals[4];
    uint32_t count = 1 + (uint32_t)world_below(world, 4);
    uint64_t first = world->next_payload + 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t words = 1 + (uint32_t)world_below(world, 4);
        for (uint32_t k = 0; k < words; k++) {
            payloads[i][k] = ++world->next_payload;
        }
        proposals[i] = (struct raft_proposal){payloads[i], words * 8};
        record_invoked(world, node, payloads[i][0]);
    }
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE,
                               .propose = {proposals, count, world->next_payload}};
    world->proposed_first = first;
    world_step(world, node, &event);
}

void world_client(struct world *world)
{
    for (uint32_t i = 1; i <= world->nodes; i++) { /* each that leads, or believes so */
        struct simulated_node *node = &world->node[i];
        if (!node->raft || node->paused_until_us > world->now_us ||
            (node->role != RAFT_LEADER && !world_chance(world, 2))) {
            continue;
        }
        if (world_chance(world, 30)) {
            client_read(world, node);
        }
        if (node->raft && world_chance(world, 70)) {
            client_propose(world, node);
        }
    }
    /* Gently once all is healed, so that whoever is behind can catch up whatever the message size.
     */
    world_later(world, 500 + world_below(world, world->healed ? 40000 : 8000),
                (struct occurrence){.kind = OCCUR_CLIENT});
}

/* What the operator wants next of a node; false: nothing. */
static bool wanted_change(struct world *world, const struct simulated_node *node,
                          const struct raft_config *config, struct raft_event *event)
{
    const struct raft_member *member = raft_config_find(config, node->id);
    uint64_t disk = node->disk.meta.disk;
    event->membership.member =
        (struct raft_member){.node = node->id, .disk = disk, .standing = RAFT_JOINING};
    if (node->wanted && node->raft && (!member || member->disk != disk)) {
        event->membership.change = RAFT_CHANGE_ADD;
        if (world_chance(world, 20) && !world->healed) {
            event->membership.member.standing = RAFT_LEARNER;
        }
        return true;
    }
    if (!node->wanted && member && config->count > 2) {
        event->membership.change = RAFT_CHANGE_REMOVE;
        return true;
    }
    event->membership.change = RAFT_CHANGE_PROMOTE;
    return node->wanted && member && member->standing == RAFT_LEARNER && world_chance(world, 50);
}

/* An operator who asks for a membership that has lost too many disks gets a cluster that cannot go
 * on, by any protocol: not asked for here. */
static bool change_bears(const struct world *world, struct raft_config config,
                         const struct raft_event *event)
{
    struct raft_member *member =
        (struct raft_member *)raft_config_find(&config, event->membership.member.node);
    if (event->membership.change == RAFT_CHANGE_REMOVE) {
        *member = config.members[--config.count];
    } else if (event->membership.change == RAFT_CHANGE_PROMOTE) {
        member->standing = RAFT_VOTER;
    } else if (member) {
        *member = event->membership.member;
    }
    return raft_config_voters(&config) > 0 && world_bears(world, &config, 0);
}

static void change_member(struct world *world, struct simulated_node *leader, uint32_t id)
{
    struct raft_status status;
    raft_status(leader->raft, &status);
    struct raft_event event = {.type = RAFT_EVENT_MEMBERSHIP};
    if (wanted_change(world, &world->node[id], status.config, &event) &&
        change_bears(world, *status.config, &event)) {
        world_step(world, leader, &event);
    }
}

void world_operator(struct world *world)
{
    for (uint32_t i = 1; i <= world->nodes; i++) {
        struct simulated_node *leader = &world->node[i];
        if (leader->raft && leader->role == RAFT_LEADER &&
            leader->paused_until_us <= world->now_us) {
            change_member(world, leader, 1 + (uint32_t)world_below(world, world->nodes));
        }
    }
    uint64_t pause_us = world_schedule(world->options) == SCHEDULE_MEMBERS ? 4000 : 60000;
    world_later(world, 1000 + world_below(world, pause_us),
                (struct occurrence){.kind = OCCUR_OPERATOR});
}

bool world_alive_again(const struct world *world)
{
    if (world->healed_index == 0 || world->committed_last < world->healed_index) {
        return false;
    }
    for (uint32_t i = 1; i <= world->nodes; i++) {
        const struct simulated_node *node = &world->node[i];
        const struct raft_member *member = raft_config_find(&world->committed_config, i);
        if (!node->raft || node->applied < world->healed_index || !member ||
            member->standing != RAFT_VOTER || member->disk != node->disk.meta.disk) {
            return false;
        }
    }
    return true;
}
