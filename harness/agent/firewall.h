/* Dropping packets: one interface, two back-ends.
 *
 * A block drops what arrives from addresses (in) or leaves to addresses (out). Every block has an
 * id of its own and is undone on its own, also where blocks overlap. Rules live in a table or
 * chains that are ordeal's alone; nobody else's rules are read or changed. The first rules always
 * let the control connections pass. One agent per network namespace: the table's name is shared. */
#ifndef ORDEAL_AGENT_FIREWALL_H
#define ORDEAL_AGENT_FIREWALL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "harness/base/arena.h"
#include "harness/base/line.h"

enum { AGENTD_TARGETS_MAX = 256, AGENTD_CONTROL_MAX = 8, AGENTD_TEXT_ID_MAX = 64 };

struct agentd_address {
    int family; /* AF_INET or AF_INET6 */
    uint8_t bytes[16];
    char text[INET6_ADDRSTRLEN];
};

/* An IPv4 or IPv6 address; a zone ("%eth0") is dropped, ::ffff:1.2.3.4 becomes 1.2.3.4. */
enum err_code agentd_address_parse(const char *text, struct agentd_address *address,
                                   struct err *err);
bool agentd_address_equal(const struct agentd_address *left, const struct agentd_address *right);

struct agentd_target {
    struct agentd_address address;
    bool out; /* packets to it; else packets from it */
};

struct agentd_block {
    char id[AGENTD_TEXT_ID_MAX + 1];
    uint8_t protocol; /* 0: any; IPPROTO_TCP or IPPROTO_UDP */
    uint16_t port;    /* 0: any; matches either end of the packet */
    bool data_only;   /* TCP packets that carry nothing pass: connections live, messages do not */
    uint16_t queue; /* not dropped, but handed to who reads this queue of netfilter's; 0: dropped */
    uint32_t count;
    struct agentd_target *targets;
};

/* From id=, from=, to=, port=, proto=, packets= of a request or a journal entry. Lives in the
 * arena. */
enum err_code agentd_block_parse(struct arena *arena, const struct line *line,
                                 struct agentd_block *block, struct err *err);
/* What names a rule in the kernel: "ID in|out ADDRESS". `text` holds 160 bytes. */
enum { AGENTD_COMMENT_SIZE = 160 };
void agentd_block_comment(const struct agentd_block *block, const struct agentd_target *target,
                          char *text);
/* Adds `packets` to the counter of the target that `comment` names; false when it is not ours. */
bool agentd_block_count(const struct agentd_block *block, const char *comment, uint64_t packets,
                        uint64_t *counters);

/* A TCP packet carries data when it is longer than its headers. No back-end can subtract, so there
 * is a rule for each length of TCP's header, 5 to 15 words of 4 bytes; IP's is taken to have no
 * options (with some, a packet without data is dropped as well). */
enum { AGENTD_TCP_WORDS_MIN = 5, AGENTD_TCP_WORDS_MAX = 15, AGENTD_IPV4_HEADER = 20 };

struct agentd_connection { /* as seen from this node */
    struct agentd_address client, server;
    uint16_t client_port, server_port;
};
/* "client_ip client_port server_ip server_port", as in $SSH_CONNECTION. */
enum err_code agentd_connection_parse(const char *text, struct agentd_connection *connection,
                                      struct err *err);

struct agentd_firewall;
struct agentd_firewall_kind {
    const char *name;
    /* Finds out whether it works here; changes nothing. */
    enum err_code (*open)(struct agentd_firewall *firewall, struct err *err);
    /* Whether blocks may have a queue here; NULL: never. Changes nothing. */
    enum err_code (*try_queue)(struct agentd_firewall *firewall, struct err *err);
    /* All of the block's rules are in force on return, or none is. */
    enum err_code (*block)(struct agentd_firewall *firewall, const struct agentd_block *block,
                           struct err *err);
    /* None of the block's rules is left on return; that none was there is no error. */
    enum err_code (*undo)(struct agentd_firewall *firewall, const struct agentd_block *block,
                          struct err *err);
    /* One counter per target, zeroed by the caller. */
    enum err_code (*count)(struct agentd_firewall *firewall, const struct agentd_block *block,
                           uint64_t *counters, struct err *err);
    /* Nothing of ours is left on return, also nothing that an earlier agent left. */
    enum err_code (*clear)(struct agentd_firewall *firewall, struct err *err);
    void (*close)(struct agentd_firewall *firewall);
};
extern const struct agentd_firewall_kind agentd_firewall_nftables, agentd_firewall_iptables;

enum agentd_firewall_choice {
    AGENTD_FIREWALL_BEST,
    AGENTD_FIREWALL_NFTABLES,
    AGENTD_FIREWALL_IPTABLES,
    AGENTD_FIREWALL_NONE,
};

struct agentd_firewall {
    const struct agentd_firewall_kind *kind; /* NULL: none works here, see `reason` */
    char reason[512];
    struct agentd_connection control[AGENTD_CONTROL_MAX];
    uint32_t control_count;
    bool prepared; /* our table or chains exist */
    /* nftables */
    int netlink_fd;
    uint32_t sequence;
    bool owned;       /* the kernel deletes the table when netlink_fd closes */
    bool shape_chain; /* our table has the chain of what is queued */
    bool xt_queue;    /* queues through the target of iptables */
    /* iptables */
    bool has_ipv6;
    char tools[6][64]; /* paths of the six commands; "" when missing */
};

/* Picks the back-end; `control` was filled by the caller. Never fails: see `kind` and `reason`. */
void agentd_firewall_open(struct agentd_firewall *firewall, enum agentd_firewall_choice choice);
void agentd_firewall_close(struct agentd_firewall *firewall);
/* NULL when there is none of that name. */
const struct agentd_firewall_kind *agentd_firewall_kind_named(const char *name);

#endif
