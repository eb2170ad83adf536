/* What goes wrong on a strict disk, operation by operation: rules, and what they say of each.
 *
 * A rule is a line of fields, the same in requests, in the journal and in the file that the file
 * system reads:
 *
 *   id=          its name
 *   io=          eio-read, eio-write, eio-fsync: the operation fails with EIO and does nothing;
 *                slow: it takes `delay_ms` longer; full: once files have grown by `bytes` (0: at
 *                once) there is no space left; lying-fsync: it is told to have worked, and did
 *                nothing; short-write: only the first half is written, and said to be
 *   op=          of slow, repeated: read, write, fsync (none: all)
 *   files=       a shell pattern: without a slash of names of files, else of paths below the
 *                directory that got the disk; absent: all files
 *   chance=      in a thousand operations so many are hit, drawn from `seed`; absent: all
 *
 * A path is NULL for the file that the agent tries faults on, which every rule means, and ""
 * for what has no name any more, which only rules for all files mean. */
#ifndef ORDEAL_AGENT_STRICT_FAULTS_H
#define ORDEAL_AGENT_STRICT_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/buf.h"
#include "harness/base/line.h"
#include "harness/base/prng.h"

enum strict_op { STRICT_READ = 1, STRICT_WRITE = 2, STRICT_FSYNC = 4 };
enum strict_kind {
    STRICT_EIO_READ,
    STRICT_EIO_WRITE,
    STRICT_EIO_FSYNC,
    STRICT_SLOW,
    STRICT_FULL,
    STRICT_LYING_FSYNC,
    STRICT_SHORT_WRITE,
    STRICT_KINDS
};
extern const char *const strict_kind_names[STRICT_KINDS];

enum { STRICT_RULES_MAX = 32, STRICT_CHANCE_ALWAYS = 1000, STRICT_DELAY_MS_MAX = 3000 };

struct strict_rule {
    char id[80], files[128];
    enum strict_kind kind;
    unsigned ops; /* of enum strict_op */
    uint32_t chance;
    uint64_t seed;
    struct prng prng;
    int64_t delay_ns;
    uint64_t bytes; /* that files may still grow by */
    uint64_t hits;  /* operations that were hit, but for those on the agent's file: */
    uint64_t tries;
};

struct strict_rules {
    struct strict_rule items[STRICT_RULES_MAX];
    uint32_t count;
};

/* ERR_CONFIG names the field that is wrong. */
enum err_code strict_rule_parse(const struct line *line, struct strict_rule *rule, struct err *err);
/* The fields of the rule, without the line's end. */
void strict_rule_print(const struct strict_rule *rule, struct buf *out);

/* Replaces all by what the text says, a rule a line; those that are there already go on as they
 * are, with what they have counted and drawn. Lines that are no rules are passed over. */
void strict_rules_load(struct strict_rules *rules, const char *text, size_t length);
const struct strict_rule *strict_rules_find(const struct strict_rules *rules, const char *id);

/* Each counts what it hits. How much later an operation is to be done: */
int64_t strict_rules_delay_ns(struct strict_rules *rules, enum strict_op op, const char *path);
bool strict_rules_fail(struct strict_rules *rules, enum strict_op op, const char *path);
bool strict_rules_lie(struct strict_rules *rules, const char *path);
/* How much of `growth` bytes there is room for; it is then used. */
uint64_t strict_rules_room(struct strict_rules *rules, const char *path, uint64_t growth);
/* How much of a write of `size` bytes is done. */
size_t strict_rules_shorten(struct strict_rules *rules, const char *path, size_t size);
/* The least room that a rule for all files leaves; UINT64_MAX without one. */
uint64_t strict_rules_left(const struct strict_rules *rules);

#endif
