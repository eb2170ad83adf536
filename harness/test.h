/* A test in progress: what plug-ins see of the run, and what they can do to its nodes.
 *
 * Everything here may be called from any thread unless it says otherwise. Sets of nodes are bit
 * masks by node index. Calls over a set act on all its nodes at once and return when all are done;
 * on failure the error names the first failing node in order and how many others failed. */
#ifndef ORDEAL_TEST_H
#define ORDEAL_TEST_H

#include "harness/base/prng.h"
#include "harness/history.h"
#include "harness/node.h"
#include "harness/plan.h"

typedef uint64_t node_set;
#define NODE_SET(index) (UINT64_C(1) << (index))

struct test {
    const struct plan *plan;
    const struct node *nodes;
    uint32_t node_count;
    struct history *history; /* only to make f ids in set-up: history_f */
    struct arena *arena;     /* lives as long as the test; set-up only, one thread */
    int64_t epoch_ns;        /* monotonic time of the run's beginning */
    struct control *control; /* how nodes are reached: harness/control.c */
};

static inline node_set test_all_nodes(const struct test *test)
{
    return test->node_count == 64 ? ~UINT64_C(0) : NODE_SET(test->node_count) - 1;
}
static inline bool node_in(node_set set, uint32_t index)
{
    return (set >> index & 1) != 0;
}
static inline uint32_t node_set_count(node_set set)
{
    return (uint32_t)__builtin_popcountll(set);
}

/* Nanoseconds since the run began. */
int64_t test_now_ns(const struct test *test);
/* "2 of n1..n5": adds "n1, n4" to a text. */
void test_print_nodes(const struct test *test, node_set set, struct buf *out);
/* Progress for people and ordeal.log: one line, whole sentences, no newline. */
void test_log(const struct test *test, const char *format, ...) FORMAT(2, 3);
/* A mark for the report's timeline: something that came about just now, or, unless `from_ns` is -1,
 * that lasted from then (of test_now_ns) until now. Marks of one `kind`, a word or two, are shown
 * alike: "leader"; the text is one line. `nodes`: whom it is about; 0 for nobody in particular. It
 * is kept in the history (harness/marks.h); before clients begin and after they ended there is
 * none, and nothing is kept. From any thread, but not from a generator. */
void test_mark(struct test *test, const char *kind, node_set nodes, int64_t from_ns,
               const char *format, ...) FORMAT(5, 6);
/* True once the user has interrupted or the harness has failed: give up waiting. */
bool test_cancelled(const struct test *test);

/* ---- Commands and files on nodes, as root ---- */

/* Runs a shell command; a non-zero exit is ERR_REMOTE with the command and its stderr. */
enum err_code test_shell(struct test *test, node_set nodes, struct err *err, const char *format,
                         ...) FORMAT(4, 5);
/* As above on one node; adds its stdout to `out`. The exit status goes to *status when not NULL,
 * and is then no error. */
enum err_code test_shell_output(struct test *test, uint32_t node, struct buf *out, int *status,
                                struct err *err, const char *format, ...) FORMAT(6, 7);
/* For who looks at statuses by himself: this is the command that failed, and what it said. A set-up
 * that ends in failure tells it. NULL: it has come right. */
void test_note_failure(struct test *test, uint32_t node, const char *command, int status,
                       const char *said);
enum err_code test_write_file(struct test *test, uint32_t node, const char *path, const char *text,
                              unsigned mode, struct err *err);
/* Puts a copy of a local file on all these nodes, at once. */
enum err_code test_upload_file(struct test *test, node_set nodes, const char *local_path,
                               const char *path, unsigned mode, struct err *err);
/* Fetches a file; ERR_REMOTE when it is absent. */
enum err_code test_fetch_file(struct test *test, uint32_t node, const char *remote_path,
                              const char *local_path, struct err *err);

/* ---- Daemons: processes of the system under test, kept by the node's agent ---- */

struct daemon_spec {
    const char *name;        /* "etcd": unique on its node */
    const char *const *argv; /* NULL at the end; argv[0] is a path or found in the node's PATH */
    const char *const *env;  /* "NAME=value", NULL at the end; NULL: none added */
    const char *cwd, *user;  /* NULL: / and root */
    const char *log;         /* stdout and stderr are appended; NULL: /var/log/ordeal/<name>.log */
};
enum err_code daemon_start(struct test *test, uint32_t node, const struct daemon_spec *spec,
                           struct err *err);
/* Every daemon that is started from now on gets this in its environment, too: for nemeses, before
 * the system is started. The text outlives the test's daemons. */
void daemon_environment(struct test *test, const char *pair);
/* SIGTERM, then SIGKILL after `grace_ns`. A daemon that does not run is no error. */
enum err_code daemon_stop(struct test *test, node_set nodes, const char *name, int64_t grace_ns,
                          struct err *err);
/* The same for daemons that run; `evidence` (may be NULL) gets one line a node, which tells whether
 * the daemon ended by itself. ERR_UNSUPPORTED for processes that are found by name. */
enum err_code daemon_end(struct test *test, node_set nodes, const char *name, int64_t grace_ns,
                         struct buf *evidence, struct err *err);
enum daemon_state { DAEMON_NONE, DAEMON_RUNNING, DAEMON_PAUSED, DAEMON_EXITED };
enum err_code daemon_status(struct test *test, uint32_t node, const char *name,
                            enum daemon_state *state, struct err *err);
/* The same on all these nodes at once; states[i] is node i's. */
enum err_code daemon_states(struct test *test, node_set nodes, const char *name,
                            enum daemon_state *states, struct err *err);
/* Sends a signal to the daemon's whole process group and verifies the effect on every node: after
 * KILL nothing of it is left, after STOP every thread is stopped, after CONT none is. STOP is
 * journaled on the node, and undone there if ordeal dies. `evidence` (may be NULL) gets one line a
 * node. */
enum err_code daemon_signal(struct test *test, node_set nodes, const char *name, const char *signal,
                            struct buf *evidence, struct err *err);

/* ---- Disks ----
 *
 * A directory of a node may get a disk of its own (a file system in a file), whose power can be
 * taken away: then what was synced is kept and what was not is lost. The disk is there until the
 * agents end, which removes it with all that is on it. `file_system` is "ext4", "xfs" or "strict":
 * real ones, whose journals keep much that nobody asked them to keep, or one that keeps only what
 * was synced: bytes with their file, names with their directory. */
enum err_code disk_give(struct test *test, node_set nodes, const char *path,
                        const char *file_system, struct err *err);
/* The disks hang: whoever writes or syncs waits, until disk_go_on or disk_cut. On failure none
 * does. */
enum err_code disk_stall(struct test *test, node_set nodes, const char *path, struct err *err);
enum err_code disk_go_on(struct test *test, node_set nodes, const char *path, struct err *err);
/* Kills the daemons (names, NULL at the end; on[d]: on which of the nodes the d-th runs) and takes
 * their disks' power, on each node in one breath; verified: nothing of the daemons is left, and
 * nothing can be written. */
enum err_code disk_cut(struct test *test, node_set nodes, const char *path,
                       const char *const *daemons, const node_set *on, int64_t *elapsed_ns,
                       struct err *err);
/* The power is back: mounted, recovered, seen to sync. `evidence` tells of each node. */
enum err_code disk_back(struct test *test, node_set nodes, const char *path, struct buf *evidence,
                        struct err *err);

/* What such a disk does to the operations of whoever uses it (harness/agent/PROTOCOL.md has all).
 */
struct disk_fault {
    const char *io;       /* "eio-fsync", "slow", "full" ... */
    const char *files;    /* a shell pattern; "*": all */
    int64_t delay_ms;     /* of slow, else 0 */
    int64_t bytes;        /* that are left when it is full, else 0 */
    int64_t chance, seed; /* so many in a thousand are hit, drawn from the seed */
};
/* Brings it into force under the name `id`, unique in a run; seen by the agents on a file of their
 * own. `evidence` tells of each node what was seen. On failure some nodes may be left with it. */
enum err_code disk_fault_begin(struct test *test, node_set nodes, const char *path, const char *id,
                               const struct disk_fault *fault, struct buf *evidence,
                               struct err *err);
/* Undoes it, and sees it gone; `evidence` tells how many operations it hit. Nodes that do not have
 * it are no error. */
enum err_code disk_fault_end(struct test *test, node_set nodes, const char *id,
                             struct buf *evidence, struct err *err);

/* Damage to the newest of some files of a node, whether it has a disk of its own or not. */
struct disk_damage {
    const char *kind;    /* "flip", "truncate", "misdirect", "stale", "remove" */
    const char *files;   /* a shell pattern: of names, or with a slash of paths below */
    int64_t place, seed; /* so many thousandths of the way through it; what else is drawn */
};
/* Keeps how the files are now, for "stale" damage of this id. */
enum err_code disk_remember(struct test *test, node_set nodes, const char *path, const char *files,
                            const char *id, struct err *err);
/* Durable and read back. `evidence` tells where, and what was there before and after. What was
 * overwritten is kept, and put back if ordeal dies, where nobody has written since. */
enum err_code disk_damage(struct test *test, node_set nodes, const char *path, const char *id,
                          const struct disk_damage *damage, struct buf *evidence, struct err *err);
/* What was kept is not needed any more: the system has made its data anew. */
enum err_code disk_damage_forget(struct test *test, node_set nodes, const char *id,
                                 struct err *err);

/* ---- Limits on processes ----
 *
 * A daemon gets less of something than it wants, or a node is burdened by processes of the agent's.
 * Journaled, and undone on the node if ordeal dies. */
struct limit {
    const char *what;  /* "cpu", "memory", "files" of a daemon; "cpu-hog", "memory-hog" of a node */
    const char *means; /* see PROTOCOL.md; NULL: the best that there is */
    /* cpu: percent of one processor; memory: MiB and files: descriptors besides those that it has;
     * cpu-hog: percent of every processor; memory-hog: percent of what is available */
    int64_t value;
};
/* Whether these nodes can: ERR_UNSUPPORTED says what is missing. */
enum err_code limit_check(struct test *test, node_set nodes, const struct limit *limit,
                          struct err *err);
/* In force, and seen to be, on all nodes when it returns, or on none. `daemon` is NULL for burdens
 * of nodes. `evidence` gets a part for each node. */
enum err_code limit_begin(struct test *test, node_set nodes, const char *daemon,
                          const struct limit *limit, struct buf *evidence, struct err *err);
/* Undoes it; `evidence` tells what it did meanwhile. Nodes that have no such limit are no error. */
enum err_code limit_end(struct test *test, node_set nodes, const char *daemon,
                        const struct limit *limit, struct buf *evidence, struct err *err);

/* ---- Clocks ----
 *
 * Wall clocks of daemons or of whole nodes, made wrong. By what means is up to the nodes: the vDSO
 * of running processes (any program that asks through it), libfaketime (programs that were started
 * with it, reading CLOCK_FAKETIME_FILE), or the machine's own clock, where a node shares its kernel
 * with nobody. */
enum clock_means { CLOCK_MEANS_VDSO, CLOCK_MEANS_FAKETIME, CLOCK_MEANS_MACHINE };
#define CLOCK_FAKETIME_FILE "/run/ordeal/wall-clock-offset"

struct clock_skew {
    enum clock_means means;
    int64_t offset_ns; /* off by this, from now on ... */
    int64_t rate_ppm;  /* ... and faster by this */
    int64_t strobe_ns; /* 0; or to and fro between that and the truth, every so often */
};
/* Daemons, NULL-named at the end, and on which nodes. */
struct clock_target {
    const char *daemon;
    node_set nodes;
};

/* Whether all nodes' clocks can be made wrong by these means: ERR_UNSUPPORTED says why not. Nothing
 * is said of the programs that CLOCK_MEANS_FAKETIME needs. */
enum err_code clock_possible(struct test *test, enum clock_means means, struct err *err);
/* In force and verified when it returns, also for what these daemons start later; undone again when
 * it fails. Targets are left with the nodes where the daemon runs: ERR_REMOTE when it runs nowhere.
 * The same `id` and targets again change it at once. For CLOCK_MEANS_MACHINE the daemons do not
 * matter. `evidence` (may be NULL) gets a line. */
enum err_code clock_skew(struct test *test, const char *id, struct clock_target *targets,
                         const struct clock_skew *skew, struct buf *evidence, struct err *err);
/* The truth again, seen to be: ERR_REMOTE names the first daemon that is still told something else.
 * Daemons and nodes that never had it are no error. */
enum err_code clock_skew_end(struct test *test, const char *id, const struct clock_target *targets,
                             struct buf *evidence, struct err *err);
/* By how much the clock of each node is off now: what the daemon that is off most is told, less the
 * truth. `seen` gets the nodes that answered. */
enum err_code clock_offsets(struct test *test, const char *const *daemons, int64_t *offset_ns,
                            node_set *seen, struct err *err);

/* ---- Whole nodes ---- */

enum node_down_how {
    NODE_REBOOT, /* as `reboot -f`: no service is stopped, what was written is on the disks */
    NODE_COLD,   /* the same, and it is not */
    NODE_OFF,    /* off until it is switched on again */
};
struct node_power {
    enum node_down_how how;
    /* NODE_OFF of machines: run here, with {node} and {address} in them. NULL: none. On a local
     * cluster its keeper does it, and switches on by itself when ordeal dies. */
    const char *off_command, *on_command;
    /* Or what a nemesis does by itself, to all the nodes: `off` ends when they are down (whatever
     * `how` says), `on` when they are told to come up; NULL: they come by themselves. */
    enum err_code (*off)(void *context, struct err *err);
    enum err_code (*on)(void *context, struct err *err);
    void *context;
};
/* ERR_UNSUPPORTED, ERR_CONFIG: it cannot be, and why. */
enum err_code node_down_check(struct test *test, node_set nodes, const struct node_power *power,
                              struct err *err);
/* They go down, daemons and agents and all; returns when their connections are lost. Until node_up
 * every call to them fails. On failure some may be down: node_up is for them, too. */
enum err_code node_down(struct test *test, node_set nodes, const struct node_power *power,
                        struct buf *evidence, struct err *err);
/* Waits until they are back (or switches them on) with agents on them, which know no daemon any
 * more. Verified: what was in /run is gone. */
enum err_code node_up(struct test *test, node_set nodes, const struct node_power *power,
                      int64_t timeout_ns, struct buf *evidence, struct err *err);

/* Writes down in the store, synced, that this machine is about to be switched off, and how it is
 * switched on again: should ordeal be killed before node_up, `ordeal heal` or the next run on it
 * does that, by the node_starter of this name (nemesis.h), to which the object `how` means
 * something; or by "command", which runs {"command": TEXT} here. What node_power's commands do,
 * node_down itself writes down. ERR_IO: do not switch it off. On a local cluster, whose keeper
 * switches on, it does nothing. */
struct json;
enum err_code node_note_off(struct test *test, uint32_t node, const char *starter,
                            const struct json *how, struct err *err);

/* ---- Network faults ---- */

/* Which packets are dropped. Of TCP those that carry data, and all of other protocols: connections
 * are made and stay acknowledged while no message arrives, so who waits for news waits in vain, and
 * who only speaks goes on being heard. */
enum packets { PACKETS_ALL, PACKETS_DATA };

/* drops[i]: the nodes whose packets node i drops on arrival. In force on all nodes when it returns,
 * or undone again if it fails. `id` names the fault for network_undo; ids are unique in a run.
 * `in_force_ns` (may be NULL) gets how long it took. */
enum err_code network_block(struct test *test, const char *id, const node_set *drops,
                            enum packets packets, int64_t *in_force_ns, struct err *err);
enum err_code network_undo(struct test *test, const char *id, struct err *err);
/* Sends probes between every ordered pair of nodes and compares what arrived with what `drops` says
 * (NULL: all must arrive). ERR_NONE and evidence in one line ("20 pairs probed: 12 cut, 8 open")
 * when as expected; ERR_REMOTE names the first pair that was not. */
enum err_code network_verify(struct test *test, const node_set *drops, struct buf *evidence,
                             struct err *err);

#endif
