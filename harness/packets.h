/* What may be done to packets on their way between nodes, and measuring what comes of it. See also
 * test.h; everything here may be called from any thread. */
#ifndef ORDEAL_PACKETS_H
#define ORDEAL_PACKETS_H

#include "harness/test.h"

enum spread { SPREAD_UNIFORM, SPREAD_NORMAL, SPREAD_PARETO };
extern const char *const spread_names[]; /* NULL at the end */

/* Zero is nothing of the kind. */
struct network_shape {
    /* Of each packet. The jitter is half the width of a uniform spread, and the standard deviation
     * of the others. */
    int64_t delay_ns, jitter_ns;
    enum spread spread;
    double loss, duplicate, corrupt; /* shares of the packets, 0 to 1; a corrupt one has one bit of
                                        its payload flipped */
    double reorder;                  /* those that are held back ... */
    int64_t reorder_ns;              /* ... so much longer */
    int64_t rate_bps;                /* bits a second from each node */
};

/* Where packets are shaped: on their way out by the kernel's own queueing disciplines (tc netem, or
 * tbf where only a rate is asked for), or on their arrival by the agents (NFQUEUE). */
enum shape_means {
    SHAPE_MEANS_AUTO /* the first that all nodes have */,
    SHAPE_MEANS_NETEM,
    SHAPE_MEANS_QUEUE
};
extern const char *const shape_means_names[]; /* NULL at the end */

/* Whether all nodes can drop packets, as network_block and others ask them to. ERR_UNSUPPORTED
 * names the first node that has no packet filter, and why. */
enum err_code network_can_block(struct test *test, struct err *err);

/* Whether all nodes can do that by these means. *chosen is one of the last two; `words` gets it for
 * evidence, and why it is not the first where that was open. ERR_UNSUPPORTED names the first node
 * that cannot, and why. */
enum err_code network_can_shape(struct test *test, const struct network_shape *shape,
                                enum shape_means asked, enum shape_means *chosen, struct buf *words,
                                struct err *err);
/* paths[i]: the nodes whose packets to node i are shaped, whatever their protocol; `means` is not
 * SHAPE_MEANS_AUTO. In force on all nodes when it returns, or undone again if it fails; as
 * network_block, and network_undo undoes it. */
enum err_code network_shape(struct test *test, const char *id, const node_set *paths,
                            const struct network_shape *shape, enum shape_means means,
                            int64_t *in_force_ns, struct err *err);

/* TCP connections between `nodes` and their peers, as the nodes have them. */
enum network_peers { PEERS_NODES /* all other nodes */, PEERS_CLIENTS /* this machine */ };
struct network_reset {
    uint32_t found, gone;   /* established ones at the nodes; of them those that are no more */
    uint32_t left_at_peers; /* half-open: those that the other nodes still take for established */
};
enum reset_means { RESET_TOLD /* peers get a RST */, RESET_SILENT /* half-open: they do not */ };
/* Resets them. What is silent is done behind a block of what leaves (`id`), which is undone again;
 * only for PEERS_NODES. The agents' own connections are left alone. */
enum err_code network_reset(struct test *test, const char *id, node_set nodes,
                            enum network_peers peers, enum reset_means means,
                            struct network_reset *reset, struct err *err);

/* Drops what passes between this machine, where the clients are, and the nodes, but for the agents'
 * own connections. network_undo undoes it. */
enum err_code network_block_clients(struct test *test, const char *id, node_set nodes,
                                    int64_t *in_force_ns, struct err *err);
/* Whether new connections from here to every node are as they should be: nodes of `cut` do not
 * answer, all others do. ERR_NONE with evidence, or ERR_REMOTE names the first that is not so. */
enum err_code network_verify_clients(struct test *test, node_set cut, struct buf *evidence,
                                     struct err *err);

/* Drops what passes between nodes to or from a port of one protocol ("tcp", "udp"); `drops` and the
 * rest as network_block has them. */
enum err_code network_block_port(struct test *test, const char *id, const node_set *drops,
                                 const char *protocol, uint16_t port, int64_t *in_force_ns,
                                 struct err *err);
/* What a block has dropped by now: packets, and of how many of its links (ordered pairs of nodes,
 * twice where there is IPv6) any. */
struct network_dropped {
    uint64_t packets;
    uint32_t links, of_links;
};
enum err_code network_count_dropped(struct test *test, const char *id, const node_set *drops,
                                    struct network_dropped *dropped, struct err *err);

/* One way from one node to another, as a burst of datagrams saw it. */
struct network_path {
    uint32_t source, target;
    bool six; /* over IPv6 */
    uint32_t sent, unique, duplicates;
    uint32_t overtaken; /* that came after one that was sent later */
    uint32_t echoes;    /* answers to the first copies that came back */
    /* Round trips by the sender's clock, -1 when none came back. */
    int64_t trip_min_ns, trip_p10_ns, trip_median_ns, trip_p90_ns;
    /* By the receiver's clock, from the first arrival to the last, and the bytes that came within:
     * UDP's payload. */
    int64_t span_ns;
    uint64_t bytes;
    int64_t bad_check_sums; /* of all datagrams at the target, since it was booted */
};

struct network_burst {
    uint32_t count;       /* datagrams, at most 512 */
    uint32_t size;        /* bytes, at most 1400; 0: the smallest */
    bool echo;            /* have round trips measured */
    int64_t patience_ns;  /* for what is slow; what is complete earlier is not waited for, */
    bool to_the_end;      /* unless twins may yet come */
    const node_set *only; /* as paths of network_shape: these; NULL: all */
    uint32_t paths_max;   /* of so many paths, evenly chosen; 0: all */
};

/* Measures ordered pairs of nodes, over IPv4 and where there is one IPv6. `paths` has room for
 * 2 * node_count * node_count; `count` gets how many were filled. */
enum err_code network_measure(struct test *test, const struct network_burst *burst,
                              struct network_path *paths, size_t *count, struct err *err);

#endif
