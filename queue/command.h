/* The payload of an ENTRY_COMMANDS entry: a batch of commands with the leader's time.
 *
 * One entry carries all that one turn of the leader's event loop gathered. Little-endian:
 *
 *     u8 version (1) | u64 time_ms | u32 count | count commands, each u8 type and its fields in
 * order
 *
 * Texts carry their length first (u16 for names and keys, u32 for bodies). A batch is one unit: one
 * malformed command makes the whole batch malformed, on every replica alike. */
#ifndef ORDEAL_QUEUE_COMMAND_H
#define ORDEAL_QUEUE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/error.h"

#define COMMAND_NAME_BYTES_MAX 255u        /* of a queue or a key; neither may be empty */
#define COMMAND_BODY_BYTES_MAX (16u << 20) /* of a job; may be empty */
#define COMMAND_QUEUES_MAX 128u            /* of one TAKE */
#define COMMAND_TAKE_MAX 1024u             /* jobs of one TAKE */
#define COMMAND_PRIORITY_MAX 9u            /* the most urgent */
#define COMMAND_TIME_MS_MAX ((uint64_t)1 << 50)
#define COMMAND_DURATION_MS_MAX ((uint64_t)1 << 40) /* 34 years */

struct job_id {
    uint8_t bytes[16];
};

/* Bytes owned by someone else: the entry's payload after decoding. */
struct command_bytes {
    const void *data;
    uint32_t length;
};

enum command_type {
    COMMAND_ADD = 1,    /* id queue [key] and `add` */
    COMMAND_TAKE,       /* count and `take` */
    COMMAND_ACK,        /* id attempt */
    COMMAND_FASTACK,    /* id attempt: the same as ACK, since an ACK has nothing to gossip */
    COMMAND_NACK,       /* id attempt mode duration_ms */
    COMMAND_EXTEND,     /* id attempt duration_ms (0: the job's retry); never shortens a lease */
    COMMAND_ENQUEUE,    /* id: delayed -> ready */
    COMMAND_DEQUEUE,    /* id duration_ms: ready -> delayed (0: the job's retry; none: parked) */
    COMMAND_DELETE,     /* id */
    COMMAND_KICK,       /* id: dead -> ready */
    COMMAND_KICK_QUEUE, /* queue count: the longest dead first */
    COMMAND_PAUSE,      /* queue mode: enum command_pause */
    COMMAND_LIMIT,      /* queue and `limit` */
    COMMAND_KEYDROP,    /* queue key: forgets the key; its job stays */
    COMMAND_CONFIG,     /* `config` */
    COMMAND_TICK,       /* nothing: only lets time pass */
    COMMAND_TYPE_END,
};

enum command_nack { NACK_DELAY, NACK_BACKOFF, NACK_DEAD };
enum command_pause { PAUSE_NONE = 0, PAUSE_IN = 1, PAUSE_OUT = 2, PAUSE_ALL = 3 };
enum command_add_flag {
    ADD_DROP_EXPIRED = 1, /* at its TTL the job leaves a record only; without, it becomes dead */
    ADD_FLAGS_ALL = 1,
};

struct command_add {
    struct command_bytes body;
    uint32_t priority;     /* 0..COMMAND_PRIORITY_MAX; the greater goes first */
    uint32_t retry_ms;     /* the lease; 0: at most once, removed by the TAKE that delivers it */
    uint32_t attempts_max; /* up to UINT16_MAX; 0: no end */
    uint32_t flags;        /* enum command_add_flag */
    uint32_t length_max;   /* refuse when the queue has this many ready and delayed; 0: no bound */
    uint64_t delay_ms;
    uint64_t ttl_ms;     /* 0: lives for ever */
    uint64_t key_ttl_ms; /* the key lives as long as the job and at least this long */
    /* A durable spool's own number, for exactly-once draining: 0, or the last one of that origin
     * plus one. See `state_origin`. */
    uint64_t origin, origin_sequence;
};

struct command {
    enum command_type type;
    struct job_id id;
    struct command_bytes queue, key; /* no key: length 0 */
    uint32_t attempt;                /* 0: not given */
    uint32_t mode;                   /* enum command_nack or command_pause */
    uint32_t count;
    uint64_t duration_ms;
    struct command_add add;
    struct {
        const struct command_bytes *queues; /* tried in this order */
        uint32_t queue_count;
        uint64_t nonce; /* comes back in the result; the state ignores it */
    } take;
    struct {
        uint64_t length_max; /* ready and delayed; 0: no bound */
        uint64_t leased_max; /* jobs held by consumers at once; 0: no bound */
    } limit;
    struct {
        uint32_t key; /* enum state_config: see state.h */
        uint64_t value;
    } config;
};

/* A batch being built. The memory grows as needed and is kept by `command_batch_begin`. */
struct command_batch {
    uint8_t *data;
    size_t length, capacity;
    uint32_t count;
};

#define COMMAND_BATCH_INIT ((struct command_batch){0})

/* Empties the batch and stamps it. */
void command_batch_begin(struct command_batch *batch, uint64_t time_ms);
/* Adds a command. Refuses what no reader would accept (lengths, unknown types): then the batch is
 * as it was. Values are not judged here: the state machine refuses bad ones by result. */
bool command_batch_add(struct command_batch *batch, const struct command *command,
                       struct queue_error *error);
/* Replaces the stamp, as late as possible before proposing. */
void command_batch_stamp(struct command_batch *batch, uint64_t time_ms);
void command_batch_free(struct command_batch *batch);

/* Reads a batch; what is decoded points into the bytes given. */
struct command_reader {
    const uint8_t *data;
    size_t length, offset;
    uint64_t time_ms;
    uint32_t count, done;
    struct command_bytes queues[COMMAND_QUEUES_MAX]; /* of the last TAKE read */
};

/* Reads the head. False, with the reason, on bytes that are no batch. */
bool command_reader_begin(struct command_reader *reader, const void *data, size_t length,
                          struct queue_error *error);
/* 1: a command was read; 0: the end, exactly; -1: malformed, with offset and reason. */
int command_reader_next(struct command_reader *reader, struct command *command,
                        struct queue_error *error);
/* Whether all of a batch can be read. */
bool command_batch_check(const void *data, size_t length, struct queue_error *error);

/* "ADD", or "?" for no known type. */
const char *command_name(enum command_type type);

#endif
