/* Nemeses: faults. One file each under nemeses/.
 *
 * A fault has a beginning and an end. Each is an operation in the history (two events of the
 * process nemesis: asked, done) and a line in schedule.jsonl. A fault counts only once it was
 * *verified*: seen from outside to be in force; so does its undoing. What to break is drawn from
 * the seed by `choose`, before it is known how the cluster fares; `begin` resolves targets such as
 * primaries. */
#ifndef ORDEAL_NEMESIS_H
#define ORDEAL_NEMESIS_H

#include "harness/system.h"

enum verified { VERIFIED_NO, VERIFIED_YES };

struct fault {
    uint32_t id; /* 1, 2, ... in the run */
    const struct nemesis *nemesis;
    struct value asked; /* from choose; in an arena of the run */
    struct value
        done; /* what was done: who was cut from whom, which nodes were killed; set by begin */
    node_set nodes; /* hit; set by begin */
    enum verified begun_verified, ended_verified;
    struct buf begun_evidence, ended_evidence; /* one line each */
    void *state;                               /* nemesis->fault_state_size zeroed bytes */
    struct arena *arena;                       /* of this fault, for values */
};

/* What a fault lays hands on. Two faults that share any of it are not in force at the same time; of
 * processes only if they may hit the same node. So nobody kills a daemon that another fault holds
 * paused, and no two faults spoil the disks of more nodes than either was asked to. */
enum hits {
    HITS_NETWORK = 1,
    HITS_PROCESSES = 2,
    HITS_DISKS = 4,
    HITS_CLOCKS = 8,
    HITS_NOTHING = 16,
};

struct nemesis {
    const char *name, *summary;
    const struct option *options; /* NULL: none */
    const char *begin_f, *end_f;  /* "start-partition", "stop-partition": names in the history */
    size_t fault_state_size;
    unsigned hits; /* of enum hits; 0: it does not say, and is alone while it is in force */
    /* Whether it can work on these nodes with this system: called before the run, after the agents
     * are up. */
    enum err_code (*check)(struct test *test, struct err *err);
    /* Draws what to do next, as a value that says it in words: {:shape :halves}, {:targets
     * :minority}. */
    struct value (*choose)(struct test *test, struct prng *prng, struct arena *arena);
    /* Optional. The nodes that a fault may hit, given what choose said; NULL: any. */
    node_set (*where)(const struct test *test, struct value asked);
    /* Optional. What to ask for so that `begin` does again just what it did in an earlier run, from
     * what was asked for, done, and hit then: who led then does not matter any more. NULL: the same
     * as was asked for then. */
    struct value (*repeat)(const struct test *test, struct value asked, struct value done,
                           node_set nodes, struct arena *arena);
    /* Injects and verifies. On failure nothing of it is left in force; the fault is recorded as not
     * having happened. */
    enum err_code (*begin)(struct test *test, struct fault *fault, struct err *err);
    /* Undoes and verifies. */
    enum err_code (*end)(struct test *test, struct fault *fault, struct err *err);
};

/* What a shared object from outside defines: the name has the version of this contract in it. It
 * changes when the contract does, so that a library made for another ordeal is refused. */
#define ORDEAL_NEMESIS ordeal_nemesis_1

extern const struct nemesis *const nemeses[]; /* NULL at the end */

/* How a machine is switched on again that a nemesis had off when ordeal was killed: outside any
 * run, from what it gave to node_note_off (test.h). Returns when it is on its way up, with the
 * means in a few words in `said`; that it is on already is no error. ERR_UNSUPPORTED: nothing ever
 * will. */
struct node_starter {
    const char *name;
    enum err_code (*start)(const struct json *how, struct buf *said, struct err *err);
};
extern const struct node_starter node_starters[]; /* .name == NULL at the end */
const struct nemesis *nemesis_find(const char *name);

#endif
