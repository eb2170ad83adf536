/* The journal: what must be undone, on disk before it is done.
 *
 * One small file per entry, written under a temporary name and renamed, so that a reader sees the
 * whole entry or none. There is deliberately no fsync: every fault that is journaled lives in the
 * kernel (packet filter rules, stopped processes) and dies with it, so an entry has to outlive the
 * agent, never the kernel. The directory belongs on tmpfs (/run); where it does not, the boot id in
 * each entry tells that the kernel it speaks of is gone.
 *
 * An entry is one line of fields (harness/base/line.h):
 *     ordeal-undo<TAB>1<TAB>boot=ID<TAB>kind=KIND<TAB>key=value...
 * Its file is named by its sequence number; a higher number is newer. */
#ifndef ORDEAL_AGENT_JOURNAL_H
#define ORDEAL_AGENT_JOURNAL_H

#include <stdint.h>
#include <sys/types.h>

#include "harness/base/arena.h"
#include "harness/base/buf.h"
#include "harness/base/line.h"

enum { AGENTD_ENTRY_BYTES_MAX = 256 << 10 };

struct agentd_journal {
    int directory_fd;
    uint64_t next_sequence;
    char boot_id[40];
    char path[4096];
};

struct agentd_entry {
    uint64_t sequence;
    const char *kind;
    struct line line;
};

struct agentd_entries {
    struct agentd_entry *items; /* in the arena, newest first */
    uint32_t count;
};

/* Makes the directory (and those above it) when it is missing. */
enum err_code agentd_journal_open(struct agentd_journal *journal, const char *path,
                                  struct err *err);
void agentd_journal_close(struct agentd_journal *journal);
/* Begins the text of an entry; the caller adds keys and hands it to _write. */
void agentd_journal_begin(const struct agentd_journal *journal, struct buf *text, const char *kind);
/* Writes a new entry when *sequence is 0 (and sets it), else replaces that one. */
enum err_code agentd_journal_write(struct agentd_journal *journal, uint64_t *sequence,
                                   struct buf *text, struct err *err);
/* Removing an entry that is gone is no error. */
enum err_code agentd_journal_remove(struct agentd_journal *journal, uint64_t sequence,
                                    struct err *err);
enum err_code agentd_journal_read(struct agentd_journal *journal, uint64_t sequence,
                                  struct arena *arena, struct agentd_entry *entry, struct err *err);
/* All entries. What cannot be understood is renamed to NAME.bad and told in `problems`, one line
 * each; what another boot left is removed, for its kernel is gone. */
enum err_code agentd_journal_list(struct agentd_journal *journal, struct arena *arena,
                                  struct agentd_entries *entries, struct buf *problems,
                                  struct err *err);
/* Keeps the entry aside as NAME.bad, for somebody to look at. */
void agentd_journal_set_aside(struct agentd_journal *journal, uint64_t sequence);

/* mkdir -p */
enum err_code agentd_make_directories(const char *path, mode_t mode, struct err *err);

#endif
