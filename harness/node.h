/* A node: one machine of the cluster under test, as ordeal reaches it and as its peers do. */
#ifndef ORDEAL_NODE_H
#define ORDEAL_NODE_H

#include <stdint.h>

#include "harness/base/arena.h"
#include "harness/base/err.h"

enum node_sudo {
    NODE_SUDO_AUTO,  /* commands as root go through `sudo -n` unless the user is root */
    NODE_SUDO_NEVER, /* the user can do it all without */
    NODE_SUDO_ALWAYS,
};

/* Texts belong to whoever made the node and must outlive every fleet that it is in; NULL or 0 means
 * the default that the comment names. */
struct node {
    uint32_t index;            /* its place among the nodes, from 0 */
    const char *name;          /* "n1": what people and reports call it */
    const char *address;       /* where SSH connects: a name or a numeric address; NULL: `name` */
    uint16_t port;             /* 0: 22 */
    const char *user;          /* NULL: the fleet's */
    const char *peer_address;  /* what the other nodes use to reach it; NULL: `address` */
    const char *peer_address6; /* the same over IPv6; NULL: it has none that a fault must cut */
    const char *jump;          /* "[user@]host[:port]" through which SSH goes; NULL: straight */
    const char *const *key_files; /* private keys, NULL at the end; NULL: the fleet's */
    const char *password;         /* tried after the keys; NULL: the fleet's */
    enum node_sudo sudo;
};

/* Address as SSH uses it, and as peers do: never NULL once `name` is set. */
const char *node_address(const struct node *node);
const char *node_peer_address(const struct node *node);
uint16_t node_port(const struct node *node);

/* Reads "[name=][user@]address[:port]"; an IPv6 address with a port is written [fe80::1]:22. The
 * name is the address when none is given. The texts are in the arena. ERR_CONFIG says what is
 * wrong. */
enum err_code node_parse(struct arena *arena, const char *text, uint32_t index, struct node *node,
                         struct err *err);

/* Reads an object of a plan's nodes: {"name", "address", "port", "user", "key" (files with commas
 * between), "peer-address", "peer-address6", "jump"}, of which the name or the address is needed.
 * The texts are in the arena. */
struct json;
enum err_code node_from_json(struct arena *arena, const struct json *object, uint32_t index,
                             struct node *node, struct err *err);

/* A jump host, as a node without a name of its own: its texts are in the arena. */
enum err_code node_parse_jump(struct arena *arena, const char *text, struct node *jump,
                              struct err *err);

#endif
