/* The faults in force, and undoing them: by id, or all from the journal, in whichever process.
 *
 * Kinds: `block` (packets are dropped), `shape` (they are held, lost, ...; also
 * `netem`, by the kernel: netem.h), `pause` (processes are
 * stopped), those of disks (disks.h) and of clocks (clocks.h). A fault is in the journal before it
 * is in force, and leaves the journal once its undoing was verified. */
#ifndef ORDEAL_AGENT_FAULTS_H
#define ORDEAL_AGENT_FAULTS_H

#include "harness/agent/firewall.h"
#include "harness/agent/journal.h"
#include "harness/agent/process.h"
#include "harness/agent/shaper.h"

enum { AGENTD_FAULTS_MAX = 256, AGENTD_FAULT_ID_SIZE = 96 };

struct agentd_fault {
    char id[AGENTD_FAULT_ID_SIZE];
    const char *kind; /* a constant: "block", "shape", "pause", "disk", "stall", "group" ... */
    uint64_t sequence;
    pid_t session;                /* of the daemon that a limit is on; 0: of none */
    bool marked;                  /* a disk's: a file was written just before its power went */
    struct agentd_shaper *shaper; /* a shape's */
};

struct agentd_faults {
    struct agentd_journal journal;
    struct agentd_firewall firewall;
    bool can_shape;                               /* seen to work */
    struct agentd_fault items[AGENTD_FAULTS_MAX]; /* oldest first */
    uint32_t count;
    int64_t io_ended_ns; /* when the last fault of a disk's operations was undone; 0: never */
};

/* What became of a replay. The texts are lines. */
struct agentd_healed {
    uint32_t undone, failed;
    struct buf undone_texts, problems;
};
void agentd_healed_free(struct agentd_healed *healed);

/* NULL when there is none. */
struct agentd_fault *agentd_faults_find(struct agentd_faults *faults, const char *id);

/* ERR_CONFIG when the id is in use, ERR_NOMEM when there are too many faults. */
enum err_code agentd_faults_block(struct agentd_faults *faults, const struct agentd_block *block,
                                  struct err *err);
/* Whether shapes work here. */
enum err_code agentd_faults_can_shape(struct agentd_faults *faults, struct err *err);
/* Journals, and shapes what comes from the block's targets. As agentd_faults_block. */
enum err_code agentd_faults_shape(struct agentd_faults *faults, struct agentd_block *block,
                                  const struct agentd_shape *shape, struct err *err);
enum err_code agentd_faults_count(struct agentd_faults *faults, const char *id, struct arena *arena,
                                  struct agentd_block *block, uint64_t *counters, struct err *err);

/* Journals that these processes are about to be stopped, or (same id) that it is these now. */
enum err_code agentd_faults_pause(struct agentd_faults *faults, const char *id,
                                  const struct agentd_selector *selector,
                                  const struct agentd_processes *processes, struct err *err);
/* The keys of such an entry, and undoing what has them: whoever was stopped goes on. */
void agentd_pause_add_keys(const struct agentd_selector *selector,
                           const struct agentd_processes *processes, struct buf *text);
enum err_code agentd_pause_undo(const struct agentd_entry *entry, struct err *err);
/* Drops a pause whose processes are known to be gone or running. Unknown ids are no error. */
void agentd_faults_forget(struct agentd_faults *faults, const char *id);

/* Journals a fault of another kind (a constant), which its own file brings into force and undoes;
 * `text` is the whole entry. ERR_CONFIG when the id is in use. */
enum err_code agentd_faults_keep(struct agentd_faults *faults, const char *id, const char *kind,
                                 struct buf *text, struct err *err);

/* Undoes one fault and verifies that. */
enum err_code agentd_faults_undo(struct agentd_faults *faults, const char *id, struct err *err);
/* Undoes everything that the journal holds, newest first, and clears the firewall. */
void agentd_faults_heal(struct agentd_faults *faults, struct agentd_healed *healed);

/* The same for a process that is not the serving one: it needs nothing but the journal. */
void agentd_replay(struct agentd_journal *journal, struct agentd_firewall *firewall,
                   struct agentd_healed *healed);

/* One line for people: "block r1: from 10.0.0.2, to 10.0.0.3". */
void agentd_entry_describe(const struct agentd_entry *entry, struct buf *text);

#endif
