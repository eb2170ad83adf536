/* How the state is built: for queue/state*.c only. */
#ifndef ORDEAL_QUEUE_STATE_INNER_H
#define ORDEAL_QUEUE_STATE_INNER_H

#include <string.h>

#include "queue/defect.h"
#include "queue/state.h"
#include "queue/state_heap.h"
#include "queue/state_table.h"

#define JOB_BYTES_COUNTED 128 /* what a job costs beside its body, for CONFIG_BYTES_MAX */
#define PRIORITIES (COMMAND_PRIORITY_MAX + 1)

/* One piece of a slab per job: this head, the body, and a pointer to its key if it has one. With a
 * body of 100 bytes that makes 184 bytes. */
struct job {
    struct timer timer;          /* its lease, delay or TTL; the sequence is in order of ADD */
    struct job *next, *previous; /* in its ready or dead list */
    struct job_id id;
    uint64_t expires_ms; /* 0: never */
    uint64_t added_ms;
    uint32_t retry_ms;
    uint32_t attempt;
    uint32_t body_length;
    uint16_t attempts_max;
    uint16_t tries, nacks;
    uint8_t state : 3, death : 2, open : 1, keyed : 1, keyed_room : 1;
    uint8_t priority : 7, drop_expired : 1;
    uint8_t data[];
};
/* `open`: the latest attempt may still be acknowledged. `keyed`: a key points here; `keyed_room`:
 * the pointer to it has room behind the body. */

/* A key remembers its job's id beyond the job's end, until its own TTL. */
struct key {
    struct timer timer;
    struct queue *queue;
    struct job *job;     /* NULL when the job has finished */
    uint64_t expires_ms; /* 0: with the job */
    struct job_id id;
    uint32_t length;
    uint8_t data[];
};

struct job_list {
    struct job *first, *last;
    uint64_t count;
};

struct queue {
    struct state_counters counters;
    struct job_list ready[PRIORITIES], dead;
    uint64_t keys, length_max, leased_max;
    uint64_t hash, ordinal; /* `ordinal`: scratch of the snapshot writer */
    uint32_t number;
    uint32_t pause; /* enum command_pause */
    struct queue *idle_next, *idle_previous;
    uint64_t idle_since_ms;
    bool idle, touched;
    uint32_t length;
    uint8_t name[];
};

/* A finished job, remembered for a while. */
struct done {
    struct done *next;
    uint64_t time_ms;
    struct job_id id;
    enum job_end end;
};

struct expired {
    struct expired *next;
    struct job_id id;
    uint64_t time_ms, index;
    uint32_t length;
    uint8_t name[];
};

struct origin {
    uint64_t origin, sequence;
};

struct state {
    uint64_t index, term, time_ms;
    uint64_t sequence; /* the last one given to a job or key */
    uint64_t bytes;
    uint64_t config[CONFIG_COUNT];
    struct state_counters counters;
    uint64_t refused[STATE_STATUS_COUNT];
    struct table jobs, keys, names, done;
    struct heap timers, key_timers;
    struct queue **queues; /* by number; NULL where free */
    uint32_t *free_numbers;
    uint32_t queue_count, queue_capacity, free_count;
    struct queue *queue_found;            /* the last that a command was for, or NULL */
    struct queue *idle_first, *idle_last; /* in order of since when */
    struct done *done_first, *done_last;
    struct expired *expired_first, *expired_last;
    uint64_t expired_count;
    struct origin *origins; /* in ascending order */
    uint32_t origin_count, origin_capacity;
    uint32_t *touched; /* numbers of queues to tell the listener of */
    uint32_t touched_count, touched_capacity;
    struct job_view *delivered; /* of the TAKE being applied */
    uint8_t *scratch; /* a block of the snapshot writer's: a forked child allocates nothing */
#ifdef ORDEAL_QUEUE_DEFECTS
    int64_t wall_offset_ms; /* between the wall clock and T, as last seen */
    bool wall_known;
#endif
};

/* A planted defect: lets leases or TTLs follow this machine's wall clock instead of T. */
#ifdef ORDEAL_QUEUE_DEFECTS
void state_wall_clock(struct state *state);
#else
static inline void state_wall_clock(struct state *state)
{
    (void)state;
}
#endif

#define STATE_COUNT(state, queue, name, amount)                                                    \
    do {                                                                                           \
        (state)->counters.name += (uint64_t)(amount);                                              \
        (queue)->counters.name += (uint64_t)(amount);                                              \
    } while (0)

static inline struct queue *job_queue(const struct state *state, const struct job *job)
{
    return state->queues[job->timer.queue];
}

/* The T at which something that lasts this long from now is over: see "Time" in state.h. */
static inline uint64_t state_deadline_ms(const struct state *state, uint64_t duration_ms)
{
    return state->time_ms + duration_ms + 1;
}

/* state_queue.c */
uint64_t queue_name_hash(struct command_bytes name);
struct queue *queue_find(const struct state *state, struct command_bytes name);
/* The same for commands, of which many in a row are for one queue. */
struct queue *queue_find_again(struct state *state, struct command_bytes name);
/* The queue of this name, made when there is none. */
struct queue *queue_obtain(struct state *state, struct command_bytes name);
/* Whether nothing would be lost with this queue, if it had so many keys. */
bool queue_is_idle(const struct queue *queue, uint64_t keys);
/* To be called whenever a queue may have become empty of jobs, keys and settings, or no longer be.
 */
void queue_settle(struct state *state, struct queue *queue);
/* Forgets the queues that have been empty for long enough: O(1) each. */
void queue_forget_idle(struct state *state);
void queue_free(struct state *state, struct queue *queue);
/* Remembers to tell the listener that a TAKE may get more from this queue than before. */
void queue_touch(struct state *state, struct queue *queue);
/* Whether a TAKE may take from it now, ready jobs apart. */
bool queue_gives(const struct queue *queue);
static inline struct command_bytes queue_name(const struct queue *queue)
{
    return (struct command_bytes){queue->name, queue->length};
}

/* state_job.c */
static inline uint64_t job_hash(const struct job_id *id)
{
    return table_hash_16(1, id->bytes);
}
struct job *job_find(const struct state *state, const struct job_id *id);
/* A job in no list and no table yet, with room for a key's pointer if asked. */
struct job *job_allocate(uint32_t body_length, bool keyed_room);
void job_free(struct job *job);
/* Puts a new job (state JOB_NONE) into the table of ids and the count of bytes. */
void job_register(struct state *state, struct job *job, uint64_t hash); /* of its id */
/* Each leaves the job's present state first. */
void job_ready(struct state *state, struct job *job);
void job_delay(struct state *state, struct job *job, uint64_t deadline_ms); /* 0: parked */
void job_lease(struct state *state, struct job *job, uint64_t deadline_ms);
void job_die(struct state *state, struct job *job, enum job_death death);
/* Its TTL is over: dead, or finished and freed with a record, as ADD said. */
void job_expire(struct state *state, struct job *job);
/* Takes the job out of everything and remembers its end; the memory is the caller's to free. */
void job_finish(struct state *state, struct job *job, enum job_end end);
/* Lets all deadlines that T has reached come due, in their order. */
void job_run_timers(struct state *state);
void job_describe(const struct state *state, const struct job *job, struct job_view *view);
void job_list_append(struct job_list *list, struct job *job);
struct done *done_find(const struct state *state, const struct job_id *id);
void done_remember(struct state *state, const struct job_id *id, enum job_end end,
                   uint64_t time_ms);
void done_trim(struct state *state);
void expired_remember(struct state *state, const struct expired *record, const uint8_t *name);
void expired_trim(struct state *state);

/* state_key.c */
void key_table_init(struct table *table);
struct key *key_find(const struct state *state, struct queue *queue, struct command_bytes name);
struct key *key_create(struct state *state, struct queue *queue, struct command_bytes name,
                       uint64_t sequence);
void key_attach(struct key *key, struct job *job);
struct key *key_of(const struct job *job);
/* The job is finishing: its key goes with it, or stays until its TTL. */
void key_release(struct state *state, struct job *job);
/* Forgets a key; a job that it had lives on without. */
void key_drop(struct state *state, struct key *key);
void key_run_timers(struct state *state);

/* state.c */
struct origin *origin_obtain(struct state *state, uint64_t number);

#endif
