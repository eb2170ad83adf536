/* The replicated state: jobs, queues, keys, counters and the time T, changed by committed entries
 * only.
 *
 * Deterministic: the same entries in the same order give the same state, results and snapshot bytes
 * on every replica. Nothing here reads a clock, draws a random number, or opens anything.
 *
 * Time. T is in milliseconds and moves with the leader's stamps only: T = max(T, stamp). Leases,
 * delays and TTLs end inside `state_apply`, in the order of their deadlines, before the commands of
 * the batch. A deadline is T + duration + 1: a stamp is a clock's reading rounded down, and with
 * the extra millisecond nothing ends early by any honest clock, not even by the fraction rounded
 * away.
 *
 * A job is ready, delayed, leased or dead:
 *     ADD -> ready or delayed;  delayed -> ready at its time, or ENQUEUE;  ready -> leased by TAKE;
 *     leased -> ready or delayed by NACK, or ready when the lease ends; -> dead by NACK DEAD, by a
 *     NACK or ended lease after its last permitted attempt, or by its TTL;  dead -> ready by KICK;
 *     and it leaves by ACK, DELETE, its TTL (when ADD said so), or TAKE (when retry is 0).
 *
 * Attempts. Each TAKE of a job raises its attempt, for ever (KICK renews the permitted number, not
 * the attempt). A command that names an attempt is refused as stale unless it names the latest.
 * NACK and EXTEND also need its lease to last still; an ACK does not: a consumer that was slow, but
 * that no later attempt, NACK or operator has overtaken, may still say that the work is done.
 *
 * TTL. It never cuts a lease short: a leased job whose TTL has passed expires when the lease ends.
 * A dead job has no TTL; a kicked one keeps its TTL only when that is yet to come.
 *
 * Conservation, per queue and in all, after every entry:
 *     added = acked + spent + expired + deleted + ready + delayed + leased + dead
 * (spent: taken with retry 0; expired: by TTL with a record only; dead includes expired ones kept).
 *
 * Not thread-safe; after fork() the child may write a snapshot of what the parent had. */
#ifndef ORDEAL_QUEUE_STATE_H
#define ORDEAL_QUEUE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/command.h"
#include "queue/entry.h"
#include "queue/error.h"

struct state;

/* An empty state, at index 0 and time 0. Running out of memory stops the process: a replica that
 * skipped what others applied would be wrong. */
struct state *state_create(void);
void state_free(struct state *state);

enum state_status {
    STATE_OK,
    STATE_DUPLICATE, /* ADD of a known id, key, or spooled number: `id` is the job that there was */
    STATE_NOTFOUND,  /* no such job; `end` tells what became of it, if still remembered */
    STATE_STALE,     /* the attempt named is not the latest, or its lease has ended */
    STATE_PAUSED,
    STATE_FULL,    /* of jobs (length_max) or of bytes (CONFIG_BYTES_MAX) */
    STATE_WRONG,   /* the job is in a state that the command is not for: see `job` */
    STATE_EXPIRED, /* EXTEND of a job whose TTL has passed */
    STATE_GAP,     /* spooled numbers of the origin are missing: `value` is the last one known */
    STATE_INVALID, /* a value out of range */
    STATE_STATUS_COUNT,
};

enum job_state { JOB_NONE, JOB_READY, JOB_DELAYED, JOB_LEASED, JOB_DEAD };
enum job_end { END_NONE, END_ACKED, END_SPENT, END_EXPIRED, END_DELETED };
enum job_death { DEATH_NONE, DEATH_ATTEMPTS, DEATH_TTL, DEATH_NACK };

/* One job as it is. What it points to stays valid until the state next changes. */
struct job_view {
    struct job_id id;
    struct command_bytes queue, body, key; /* key: length 0 when none */
    enum job_state state;
    enum job_death death;
    uint32_t priority, retry_ms, attempts_max;
    uint32_t attempt; /* of the latest TAKE; 0 before the first */
    uint32_t tries;   /* attempts since it was added or kicked: what attempts_max bounds */
    uint32_t nacks;   /* both stop at 65535 */
    uint64_t added_ms;
    uint64_t expires_ms;  /* 0: never */
    uint64_t deadline_ms; /* when delayed or leased; 0: parked until ENQUEUE */
    bool drop_expired;
};

struct state_result {
    uint64_t index;   /* the entry's */
    uint32_t ordinal; /* the command's place in its batch, from 0 */
    enum command_type type;
    enum state_status status;
    struct job_id id;   /* the command's, or for a DUPLICATE the existing job's; TAKE: none */
    enum job_state job; /* the job's state now; JOB_NONE when there is none */
    enum job_end end;   /* what became of it, when that is remembered */
    uint32_t attempt;   /* the job's latest */
    uint64_t value; /* EXTEND, NACK, DEQUEUE: T of the new deadline (0: none); KICKQ: how many */
    uint64_t nonce; /* of a TAKE */
    uint32_t count; /* of `jobs`: what a TAKE delivers, in order. Only during the call */
    const struct job_view *jobs;
};

/* What `state_apply` tells; either may be NULL. They must not change the state. */
struct state_listener {
    void *context;
    /* Once for each command, in order. */
    void (*result)(void *context, const struct state_result *result);
    /* After the batch, once for each queue from which a TAKE may get more than before. */
    void (*ready)(void *context, struct command_bytes queue);
};

/* Applies the next committed entry: its index must be one more than the state's. Entries that are
 * no commands only move the index. False means a payload that no leader writes: then nothing
 * changed but the index, and on every replica alike. The listener may be NULL. */
bool state_apply(struct state *state, const struct entry *entry,
                 const struct state_listener *listener, struct queue_error *error);

/* Settings of the cluster, set by COMMAND_CONFIG. */
#define STATE_CONFIGS(X)                                                                           \
    X(QUEUE_IDLE_MS, "queue-idle-ms", 3600000, COMMAND_DURATION_MS_MAX) /* an empty one is kept */ \
    X(DONE_MAX, "done-max", 65536, 1 << 24)       /* ids of finished jobs remembered */            \
    X(EXPIRED_MAX, "expired-max", 1024, 1 << 20)  /* records of expired jobs kept */               \
    X(BACKOFF_MS, "backoff-ms", 1000, UINT32_MAX) /* the first back-off, doubling */               \
    X(BACKOFF_MS_MAX, "backoff-max-ms", 3600000, COMMAND_DURATION_MS_MAX)                          \
    X(BYTES_MAX, "bytes-max", 0, UINT64_MAX) /* of all jobs, each its body and 128; 0: no bound */
enum state_config {
#define X(name, text, value, maximum) CONFIG_##name,
    STATE_CONFIGS(X)
#undef X
        CONFIG_COUNT,
};
const char *state_config_name(enum state_config key);
uint64_t state_config(const struct state *state, enum state_config key);

/* The first nine obey the conservation law above; the rest only count up. */
#define STATE_COUNTERS(X)                                                                          \
    X(added)                                                                                       \
    X(acked)                                                                                       \
    X(spent)                                                                                       \
    X(expired)                                                                                     \
    X(deleted)                                                                                     \
    X(ready)                                                                                       \
    X(delayed)                                                                                     \
    X(leased)                                                                                      \
    X(dead)                                                                                        \
    X(delivered)   /* jobs handed out by TAKE */                                                   \
    X(redelivered) /* of these, second and later attempts */                                       \
    X(nacked)                                                                                      \
    X(leases_ended) /* without ACK or NACK */                                                      \
    X(died)                                                                                        \
    X(died_expired) /* of these, by TTL */                                                         \
    X(kicked)                                                                                      \
    X(extended)
struct state_counters {
#define X(name) uint64_t name;
    STATE_COUNTERS(X)
#undef X
};

struct state_info {
    uint64_t index, term, time_ms;
    struct state_counters counters;
    uint64_t refused[STATE_STATUS_COUNT]; /* commands by their status; [STATE_OK]: not refused */
    uint64_t queues, keys, done, bytes;   /* bytes as CONFIG_BYTES_MAX counts them */
};
void state_info(const struct state *state, struct state_info *info);

/* T of the first deadline to come (lease, delay or TTL), UINT64_MAX when there is none: an idle
 * leader proposes a TICK when its clock has reached it. Forgetting of keys and idle queues waits
 * for whichever entry comes next. */
uint64_t state_next_ms(const struct state *state);

struct queue_view {
    struct command_bytes name;
    struct state_counters counters;
    uint64_t keys, length_max, leased_max;
    enum command_pause pause;
    uint64_t ready_by_priority[COMMAND_PRIORITY_MAX + 1];
};
/* False when there is no such queue: it never was, or was empty and idle for too long. */
bool state_queue(const struct state *state, struct command_bytes name, struct queue_view *view);
/* Ready jobs that a TAKE could get now: 0 when paused or at its limit of leases. */
uint64_t state_takeable(const struct state *state, struct command_bytes name);

/* Calls `visit` for up to `count` ready jobs in the order of delivery, or in reverse. */
enum state_order { ORDER_NEXT_FIRST, ORDER_NEXT_LAST };
void state_peek(const struct state *state, struct command_bytes queue, uint64_t count,
                enum state_order order, void (*visit)(void *context, const struct job_view *job),
                void *context);

/* One job: true and the view when it exists. Otherwise `end` and `ended_ms` when it is remembered
 * to have finished (the last CONFIG_DONE_MAX are), else END_NONE. */
bool state_show(const struct state *state, const struct job_id *id, struct job_view *view,
                enum job_end *end, uint64_t *ended_ms);

/* Scans: from cursor 0 until 0 is returned. What is there during the whole scan is visited exactly
 * once, whichever replicas answer; `count` bounds what one call examines, more or less. */
uint64_t state_scan_jobs(const struct state *state, uint64_t cursor, uint64_t count,
                         void (*visit)(void *context, const struct job_view *job), void *context);
uint64_t state_scan_queues(const struct state *state, uint64_t cursor, uint64_t count,
                           void (*visit)(void *context, const struct queue_view *queue),
                           void *context);

/* The last CONFIG_EXPIRED_MAX jobs that left by TTL, oldest first. */
struct expired_view {
    struct job_id id;
    struct command_bytes queue;
    uint64_t time_ms, index;
};
void state_expired(const struct state *state,
                   void (*visit)(void *context, const struct expired_view *record), void *context);

/* The last spooled number of an origin that the state has decided (added, duplicate or invalid); 0
 * before the first. A spool sends the next one after it, one batch at a time. */
uint64_t state_origin(const struct state *state, uint64_t origin);

/* Writes the whole state. The sink returns false to give up. False only then. The bytes depend on
 * the state alone, so replicas at the same index write the same. */
typedef bool state_sink(void *context, const void *data, size_t length);
bool state_snapshot_write(struct state *state, state_sink *sink, void *context);

/* Reads a state. The source gives up to `length` bytes, 0 at the end, or -1. NULL on any damage,
 * with the offset and reason: blocks are checked by CRC32C and then everything by meaning, so that
 * no bytes whatsoever crash it. Never reads past the snapshot's end. */
typedef int64_t state_source(void *context, void *data, size_t length);
struct state *state_snapshot_read(state_source *source, void *context, struct queue_error *error);

/* A hash of all that a snapshot would hold: equal on replicas at the same index. O(jobs). */
uint64_t state_hash(struct state *state);

/* Verifies every invariant that can be seen from within (conservation, lists against counters, heap
 * and tables against jobs). False and the first violation found. O(jobs). */
bool state_check(const struct state *state, struct queue_error *error);

#endif
