/* Systems: how to run the thing under test. One file each under workloads/systems/.
 *
 * Hooks act on a set of nodes at once (a cluster often needs an order of its own). The required
 * ones are install, start, ready, wipe and client; a NULL optional hook means what its comment
 * says. Hooks are called from one thread at a time, except that `start` may come from the nemesis
 * while clients run. */
#ifndef ORDEAL_SYSTEM_H
#define ORDEAL_SYSTEM_H

#include "harness/test.h"

struct client;

/* Lines of the nodes' logs that become marks of a kind (marks.h) in the report: those in which the
 * POSIX extended regular expression matches. */
struct log_mark {
    const char *kind, *pattern; /* kind NULL at the end */
};

struct system {
    const char *name, *summary;
    const struct option *options; /* NULL: none */
    const char *const
        *daemons; /* names of what `start` starts, NULL at the end: what kill and pause hit */
    const char *const *log_paths;     /* fetched from every node after the run, NULL at the end */
    const struct log_mark *log_marks; /* optional: what in them is shown in the timeline */

    /* The option that names the directory of a node's data ("etcd.data-dir"), which nothing else is
     * in and which may be a mount point. NULL: faults of disks are refused. */
    const char *data_dir_option;

    /* Makes sure that it is installed on these nodes, or says what is missing and how to get it. */
    enum err_code (*install)(struct test *test, node_set nodes, struct err *err);
    /* Starts it on these nodes with daemon_start; also again after a kill. Returns once the
     * processes run. */
    enum err_code (*start)(struct test *test, node_set nodes, struct err *err);
    /* True when the cluster serves; `why_not` says what it waits for. Polled until
     * plan->ready_timeout_ns. */
    bool (*ready)(struct test *test, struct buf *why_not);
    /* Removes its data from these nodes; it does not run then. */
    enum err_code (*wipe)(struct test *test, node_set nodes, struct err *err);

    /* Optional. NULL: daemon_stop of all daemons with 5 s of grace. */
    enum err_code (*stop)(struct test *test, node_set nodes, struct err *err);
    /* Optional. The nodes that lead now; NULL: `primaries` targets are refused before the run. */
    enum err_code (*primaries)(struct test *test, node_set *primaries, struct err *err);
    /* Optional. Nodes whose disk was emptied or damaged, and which run again, are made members anew
     * with what is there; the others serve. Called until it succeeds. NULL: faults that lose disks
     * are refused. */
    enum err_code (*replace)(struct test *test, node_set nodes, struct err *err);
    /* Optional, all three or none. NULL: changes of membership are refused. `members`: who belongs
     * to the cluster as this node sees it; ERR_REMOTE and the like when it does not say. `remove`
     * asks `via`, a member, to make do without a node, which does not run. `add` takes a node whose
     * data was wiped into the cluster of `members`, by way of `via`, and starts it; a second call
     * goes on where the first one failed. Both may be called until they succeed, and have taken
     * effect once the members' views say so. */
    enum err_code (*members)(struct test *test, uint32_t node, node_set *members, struct err *err);
    enum err_code (*remove)(struct test *test, uint32_t node, uint32_t via, struct err *err);
    enum err_code (*add)(struct test *test, uint32_t node, uint32_t via, node_set members,
                         struct err *err);
    /* Optional. "etcd 3.4.23", for the report. */
    enum err_code (*version)(struct test *test, struct buf *version, struct err *err);

    /* Optional. What the system makes of other plug-ins' options where the plan does not say,
     * "owner.option=value", NULL at the end: "delivery.declared=no-loss,order". Those whose owner
     * is not in the plan are passed over. */
    const char *const *defaults;

    /* The client for a workload, NULL when it cannot run that workload. */
    const struct client *(*client)(const char *workload);
    /* Optional, instead of `client`: for those that are made at run time. */
    const struct client *(*client_for)(const struct system *self, const char *workload);
    /* Optional. Whether all that the plan says fits, and what is needed on this machine is there:
     * called when the plan is resolved, before any node is reached. */
    enum err_code (*check)(const struct plan *plan, struct err *err);
};

extern const struct system *const systems[]; /* NULL at the end */
/* Systems that this build lacks, for their client library was not there. */
struct system_left_out {
    const char *name, *package; /* Debian's, that has the library */
};
extern const struct system_left_out systems_left_out[]; /* .name NULL at the end */
const struct system *system_find(const char *name);

/* One of `systems`, or one of somebody's own: a directory with a system.json in it, named by its
 * path (with a slash in it) or found by its name in the directories of the search path. It stays to
 * the end of the process. NULL: `err` says what is wrong. One thread. */
const struct system *system_named(const char *name, struct err *err);
/* How the plan names it, so that the plan means the same elsewhere: its path for one that was named
 * by one, else its name. */
const char *system_reference(const struct system *system);

/* What systems of one's own the search path has, for lists: calls `each` for every one with the
 * system, or NULL and what is wrong with it. */
typedef void system_each(void *state, const char *directory, const struct system *system,
                         const struct err *err);
void system_search(system_each *each, void *state);

static inline const struct client *system_client(const struct system *system, const char *workload)
{
    return system->client_for != NULL ? system->client_for(system, workload)
                                      : system->client(workload);
}

#endif
