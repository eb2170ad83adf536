/* CLUSTER: who is in it, and changes of that. */
#include <stdio.h>
#include <string.h>

#include "queue/commands.h"
#include "queue/server.h"

static bool cluster_start(struct request *request, const struct resp_slice *arguments,
                          uint32_t count);

static const char *standing_text(enum raft_standing standing)
{
    return standing == RAFT_VOTER ? "voter" : standing == RAFT_JOINING ? "joining" : "learner";
}

/* One line a member: node address standing disk state. */
static bool cluster_nodes(struct request *request)
{
    struct server *server = request_server(request);
    struct raft_status status;
    char text[4096];
    size_t length = 0;
    raft_status(server->node.raft, &status);
    for (uint32_t i = 0; i < status.config->count && length < sizeof text - 512; i++) {
        const struct raft_member *member = &status.config->members[i];
        bool self = member->node == server->config.node;
        const struct peer *peer = self ? NULL : peers_find(&server->peers, member->node);
        bool up = self || (peer != NULL && peer->link != NULL);
        uint64_t disk = self ? server->node.disk_id : up ? peer->disk : member->disk;
        length += (size_t)snprintf(
            text + length, sizeof text - length, "%u %s %s %016llx %s%s%s%s\n", member->node,
            member->address, standing_text(member->standing), (unsigned long long)member->disk,
            up ? "connected" : "disconnected", self ? ",myself" : "",
            member->node == server->node.leader ? ",leader" : "",
            disk != member->disk ? ",another-disk" : "");
    }
    struct resp_writer writer = request_writer(request);
    resp_write_bulk(&writer, text, length);
    request_finish(request);
    return true;
}

static bool cluster_leader(struct request *request)
{
    struct server *server = request_server(request);
    uint32_t leader = server->node.leader, port = server->config.port;
    char host[RAFT_ADDRESS_BYTES] = "";
    struct resp_writer writer = request_writer(request);
    if (leader == 0) {
        resp_write_null_array(&writer);
    } else {
        struct raft_status status;
        raft_status(server->node.raft, &status);
        const struct raft_member *member = raft_config_find(status.config, leader);
        uint32_t ignored;
        if (member != NULL)
            config_split_address(member->address, host, sizeof host, &ignored);
        struct peer *peer = peers_find(&server->peers, leader);
        if (leader != server->config.node)
            port = peer != NULL ? peer->client_port : 0;
        resp_write_array(&writer, 3);
        resp_write_integer(&writer, leader);
        resp_write_text(&writer, host);
        resp_write_integer(&writer, port);
    }
    request_finish(request);
    return true;
}

/* A disk's id is known only from the node itself, so it has to be spoken to first. */
static bool add_member(struct request *request, uint32_t node, const char *address)
{
    struct server *server = request_server(request);
    struct peer *peer = peers_want(&server->peers, node, address);
    if (peer == NULL) {
        request_error(request, "ERR too many nodes are known");
        return true;
    }
    if (peer->link == NULL)
        return false;
    struct raft_member member = {.node = peer->node, .disk = peer->disk, .standing = RAFT_JOINING};
    snprintf(member.address, sizeof member.address, "%s", peer->address);
    request->phase = REQUEST_PROPOSED;
    request->tags++;
    request_barrier(request);
    node_change(&server->node, RAFT_CHANGE_ADD, &member, request);
    return true;
}

/* Nobody dials for ever whoever was named by mistake. */
static void forget_strangers(struct server *server)
{
    struct raft_status status;
    raft_status(server->node.raft, &status);
    for (uint32_t i = 0; i < server->peers.count; i++) {
        struct peer *peer = &server->peers.list[i];
        if (peer->link == NULL && status.config->count > 0 &&
            raft_config_find(status.config, peer->node) == NULL)
            peer->wanted = false;
    }
}

void commands_never_begun(struct request *request)
{
    struct server *server = request_server(request);
    if (!server->node.leading) {
        request_error(request, "NOLEADER no leader was found in time; nothing was done");
    } else if (request->entry != NULL && request->entry->start == cluster_start) {
        forget_strangers(server);
        request_error(request, "ERR the node could not be reached in time; nothing was done");
    } else {
        request_error(request, "BUSY it could not begin in time; nothing was done");
    }
}

static bool slice_address(struct resp_slice slice, char *address)
{
    char host[RAFT_ADDRESS_BYTES];
    uint32_t port;
    if (slice.length >= RAFT_ADDRESS_BYTES)
        return false;
    memcpy(address, slice.data, slice.length);
    address[slice.length] = '\0';
    return strlen(address) == slice.length &&
           config_split_address(address, host, sizeof host, &port);
}

/* ADD node host:port, REPLACE node [host:port], MEET host port */
static bool cluster_add(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct server *server = request_server(request);
    char address[RAFT_ADDRESS_BYTES] = "";
    uint64_t node = 0, port = 0;
    bool good = true;
    if (slice_is(arguments[1], "MEET")) {
        good = count == 4 && slice_number(arguments[3], 65535, &port) && port > 0 &&
               arguments[2].length > 0 && arguments[2].length < RAFT_ADDRESS_BYTES - 8;
        if (good)
            snprintf(address, sizeof address, "%.*s:%u", (int)arguments[2].length,
                     arguments[2].data, (unsigned)port);
    } else {
        good = (count == 4 || (count == 3 && slice_is(arguments[1], "REPLACE"))) &&
               slice_number(arguments[2], UINT16_MAX, &node) && node > 0 &&
               (count == 3 || slice_address(arguments[3], address));
    }
    if (!good) {
        commands_syntax(request);
        return true;
    }
    if (node == server->config.node) {
        request_error(request, "ERR node %u leads now; a leader cannot be added or replaced",
                      (unsigned)node);
        return true;
    }
    struct raft_status status;
    raft_status(server->node.raft, &status);
    const struct raft_member *old = raft_config_find(status.config, (uint32_t)node);
    if (address[0] == '\0') {
        if (old == NULL) {
            request_error(request, "ERR node %u is no member; say its host:port", (unsigned)node);
            return true;
        }
        snprintf(address, sizeof address, "%s", old->address);
    }
    return add_member(request, (uint32_t)node, address);
}

static bool cluster_forget(struct request *request, const struct resp_slice *arguments,
                           uint32_t count)
{
    uint64_t node;
    if (count != 3 || !slice_number(arguments[2], UINT16_MAX, &node) || node == 0) {
        commands_syntax(request);
        return true;
    }
    struct raft_member member = {.node = (uint32_t)node};
    request->phase = REQUEST_PROPOSED;
    request->tags++;
    request_barrier(request);
    node_change(&request_server(request)->node, RAFT_CHANGE_REMOVE, &member, request);
    return true;
}

static bool cluster_transfer(struct request *request, const struct resp_slice *arguments)
{
    struct server *server = request_server(request);
    uint64_t node;
    struct resp_writer writer = request_writer(request);
    if (!slice_number(arguments[2], UINT16_MAX, &node) || node == 0) {
        commands_syntax(request);
        return true;
    }
    if (node != server->config.node)
        node_transfer(&server->node, (uint32_t)node);
    resp_write_status(&writer, "OK");
    request_finish(request);
    return true;
}

static bool cluster_local(const struct resp_slice *arguments, uint32_t count)
{
    return !slice_is(arguments[1], "ADD") && !slice_is(arguments[1], "REPLACE") &&
           !slice_is(arguments[1], "MEET") && !slice_is(arguments[1], "FORGET") &&
           !(slice_is(arguments[1], "LEADER") && count == 3);
}

static bool cluster_start(struct request *request, const struct resp_slice *arguments,
                          uint32_t count)
{
    if (slice_is(arguments[1], "NODES") && count == 2)
        return cluster_nodes(request);
    if (slice_is(arguments[1], "LEADER"))
        return count == 2 ? cluster_leader(request) : cluster_transfer(request, arguments);
    if (slice_is(arguments[1], "FORGET"))
        return cluster_forget(request, arguments, count);
    if (!cluster_local(arguments, count))
        return cluster_add(request, arguments, count);
    commands_syntax(request);
    return true;
}

const struct command_entry commands_cluster[] = {
    {.name = "CLUSTER",
     .usage = "NODES | LEADER [node] | ADD node host:peer-port | REPLACE node [host:peer-port] | "
              "MEET host peer-port | FORGET node",
     .arity = -2,
     .flags = COMMAND_ALONE,
     .start = cluster_start,
     .local = cluster_local},
    {.name = NULL},
};
