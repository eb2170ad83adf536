/* A cluster that exists only in memory, in place of harness/control.c: every function of
 * harness/test.h acts on it, writes down the call, and fails when the script says so. A test that
 * includes this header is linked with it (see the Makefile), and so sleeps in its time too. One
 * thread and one cluster at a time. */
#ifndef ORDEAL_TESTS_FAKE_CONTROL_H
#define ORDEAL_TESTS_FAKE_CONTROL_H

#include "harness/nemesis.h"
#include "harness/packets.h"

enum { FAKE_DAEMONS = 2, FAKE_CUTS = 8 };

struct fake_cut {
    char id[32]; /* empty: none */
    node_set drops[PLAN_NODES_MAX];
};

struct fake_shape {
    char id[32]; /* empty: none */
    node_set paths[PLAN_NODES_MAX];
    struct network_shape shape;
};

struct fake_control {
    struct test test; /* what plug-ins get */
    struct plan plan;
    struct system system;
    struct node nodes[PLAN_NODES_MAX];
    char node_names[PLAN_NODES_MAX][16]; /* n1, n2, ... */
    struct arena arena;

    /* The cluster. */
    enum daemon_state daemons[PLAN_NODES_MAX][FAKE_DAEMONS];
    struct fake_cut cuts[FAKE_CUTS];
    struct fake_shape shape; /* one at a time */
    node_set no_clients;     /* nodes that clients do not reach */
    node_set primaries;
    int64_t elected_ns;                 /* nobody leads before */
    node_set limited[FAKE_DAEMONS + 1]; /* under a limit; the last: whole nodes are burdened */
    bool limits_kill;                   /* who is limited dies of it */
    node_set members;                   /* of the cluster */
    node_set stale_views;               /* nodes that still see the members of the beginning */
    node_set away;                      /* nodes that are down */
    node_set dark, hanging, failing;    /* disks without power, that hang, whose operations fail */
    node_set skewed;                    /* their clocks are wrong */
    struct clock_skew skew;             /* the last one asked for */
    int64_t now_ns;                     /* clock_sleep_ns moves it, and takes no time */
    bool cancelled;

    /* What happened: "daemon_signal KILL db n1, n3" and so on, a line each. */
    struct buf calls;
    uint32_t call_count;

    /* The script. */
    uint32_t fail_at;        /* this call fails, counting from 1; 0: none */
    const char *fail_always; /* every call of this function fails; NULL: none */
    bool fail_halfway;       /* a call over nodes that fails has acted on the first of them */
    bool by_process_name;    /* daemon_status knows none: faults by hand */
    const char *output;      /* of every script on a node; "done" */
    enum packets packets;    /* of the last cut */
    bool cuts_do_nothing;    /* network_block and network_shape say that all went well */
    bool cannot_shape, has_netem;
    struct network_reset reset; /* what network_reset finds */
    uint16_t port;              /* cut by network_block_port; 0: none */
    uint64_t dropped;           /* what network_count_dropped counts */
    bool no_vdso, own_clocks;   /* what clock_possible says */
    uint32_t exit_after;        /* a daemon exits at this look after its start; 0: never */
    uint32_t looks;
};

/* A cluster of n1, n2, ... on which the daemons "db" and "proxy" run, with the options of all
 * nemeses at their defaults. */
struct fake_control *fake_new(uint32_t node_count);
void fake_free(struct fake_control *fake);
void fake_set(struct fake_control *fake, const char *option, const char *value);
/* The system says where its data is, and its members can be replaced. */
void fake_has_disks(struct fake_control *fake);
/* The system says who belongs to it, and can be told to change that. */
void fake_has_members(struct fake_control *fake);
/* The system can then tell its primaries: those in fake->primaries. */
void fake_has_primaries(struct fake_control *fake);
/* Nothing is cut or limited, every disk works and every daemon runs. */
bool fake_is_whole(const struct fake_control *fake);
/* All that a node drops now. */
node_set fake_drops(const struct fake_control *fake, uint32_t node);
/* The running nodes of a daemon. */
node_set fake_running(const struct fake_control *fake, uint32_t daemon);

/* The first fault of a run, as its nemesis draws it from the seed. */
struct fault fake_fault(struct fake_control *fake, const struct nemesis *nemesis, uint64_t seed);
void fake_fault_free(struct fault *fault);

#endif
