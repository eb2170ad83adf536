/* What the faults that hit processes share: which daemons run where, and waiting for them. */
#ifndef ORDEAL_NEMESES_DAEMONS_H
#define ORDEAL_NEMESES_DAEMONS_H

#include "harness/nemesis.h"

enum { DAEMONS_MAX = 16 };

/* For each of system->daemons, in order: the nodes on which it is in a state. */
struct daemons {
    node_set on[DAEMONS_MAX];
};

/* Bits of states: DAEMON_BIT(DAEMON_RUNNING) | ... */
#define DAEMON_BIT(state) (1u << (state))
enum { DAEMON_ALIVE = DAEMON_BIT(DAEMON_RUNNING) | DAEMON_BIT(DAEMON_PAUSED) };

/* Refuses systems that have no daemons (ERR_CONFIG). */
enum err_code daemons_check(const struct test *test, struct err *err);
/* The daemons of the set `within` (NULL: all) on `nodes` that are in one of `states` now. */
enum err_code daemons_in(struct test *test, node_set nodes, const struct daemons *within,
                         unsigned states, struct daemons *found, struct err *err);
/* What a fault hits: the daemons on `nodes` in one of `states`, or, where the agents know none of
 * the daemons at all, every one: faults by hand find processes by name, and only the signal itself
 * tells whether there are any. */
enum err_code daemons_targets(struct test *test, node_set nodes, unsigned states,
                              struct daemons *found, struct err *err);
/* Resolves what a fault asked for to nodes and, as daemons_targets, to what it hits there; `hit` is
 * where. ERR_REMOTE when there is nothing to hit. `what` begins that message: "kill", "power of".
 */
enum err_code daemons_resolve(struct test *test, const struct fault *fault, const char *what,
                              unsigned states, struct daemons *found, node_set *asked,
                              node_set *hit, struct err *err);
/* All nodes of the set. */
node_set daemons_nodes(const struct test *test, const struct daemons *daemons);
/* Sends the signal to each; all are tried, and the first error is the one that is told. Evidence,
 * one line, is added to `evidence`. */
enum err_code daemons_signal(struct test *test, const struct daemons *daemons, const char *signal,
                             struct buf *evidence, struct err *err);
/* SIGTERM, and SIGKILL to those that are still there after the grace. Evidence as above. */
enum err_code daemons_terminate(struct test *test, const struct daemons *daemons, int64_t grace_ns,
                                struct buf *evidence, struct err *err);
/* Waits until all are in one of `states`. ERR_TIMEOUT names the first that is not. */
enum err_code daemons_await(struct test *test, const struct daemons *daemons, unsigned states,
                            int64_t timeout_ns, struct err *err);
/* Watches for a while that all stay in one of `states`; ERR_REMOTE names the first that does not.
 */
enum err_code daemons_stay(struct test *test, const struct daemons *daemons, unsigned states,
                           int64_t duration_ns, struct err *err);
/* Puts "<what> n1, n4: " before the message. */
enum err_code daemons_wrap(const struct test *test, const char *what, node_set nodes,
                           struct err *err);
/* {"n1" :killed, "n3" :was-not-running}: `hit` nodes with `word`, the others of `asked` with
 * `other`. */
struct value daemons_outcome(const struct test *test, node_set asked, node_set hit,
                             const char *word, const char *other, struct arena *arena);

/* Starts again what was killed, with a few tries: what stays down would spoil the rest of the run.
 * Those of `killed` that run are left alone, unless others of their node do not. */
enum err_code daemons_bring_back(struct test *test, const struct daemons *killed, struct err *err);
/* Starts those of `hurt` again that have died by themselves, and sees them stay; `evidence` names
 * their nodes. One whose agent does not know it may be anybody's, and is left alone. */
enum err_code daemons_revive(struct test *test, const struct daemons *hurt, struct buf *evidence,
                             struct err *err);

#endif
