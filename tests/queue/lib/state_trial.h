/* Drives one replicated state, a command at a time or batch by batch, and keeps what it answers. */
#ifndef ORDEAL_TESTS_QUEUE_STATE_TRIAL_H
#define ORDEAL_TESTS_QUEUE_STATE_TRIAL_H

#include "queue/state.h"

#define TRIAL_RESULTS_MAX 64
#define TRIAL_JOBS_MAX 64

struct trial_job {
    struct job_id id;
    uint32_t attempt;
    uint64_t deadline_ms;
    char body[64];
};

struct trial_result {
    struct state_result result; /* its `jobs` is NULL: see below */
    struct trial_job jobs[TRIAL_JOBS_MAX];
};

struct trial {
    struct state *state;
    struct command_batch batch;
    uint64_t index;
    struct trial_result results[TRIAL_RESULTS_MAX];
    uint32_t result_count;
    char ready[TRIAL_RESULTS_MAX][64]; /* queues told of by the listener */
    uint32_t ready_count;
};

void trial_begin(struct trial *trial);
void trial_end(struct trial *trial);

/* Applies the batch that `trial->batch` holds. */
void trial_apply(struct trial *trial);
/* One command at one time, as an entry of its own; its result. */
const struct trial_result *trial_run(struct trial *trial, uint64_t time_ms, struct command command);
/* An entry that only lets time pass. */
void trial_tick(struct trial *trial, uint64_t time_ms);

struct job_id trial_id(uint64_t number);
uint64_t trial_id_number(const struct job_id *id);
struct command_bytes trial_text(const char *text);
/* Commands, to be given more fields by the caller. */
struct command trial_add(uint64_t id, const char *queue, const char *body);
struct command trial_take(const char *queue, uint32_t count);
struct command trial_job(enum command_type type, uint64_t id, uint32_t attempt);

/* The state of a job, JOB_NONE when there is none. */
enum job_state trial_state(const struct trial *trial, uint64_t id);
struct state_counters trial_counters(const struct trial *trial);

/* A snapshot in memory. */
struct trial_snapshot {
    uint8_t *data;
    size_t length, capacity, offset;
};
bool trial_snapshot_sink(void *context, const void *data, size_t length);
int64_t trial_snapshot_source(void *context, void *data, size_t length);
/* Writes, reads back, and has the copy replace the trial's state. */
void trial_restore(struct trial *trial);

/* Small and seeded. */
uint64_t trial_random(uint64_t *seed);
uint64_t trial_random_below(uint64_t *seed, uint64_t bound);
/* QUEUE_TEST_SEED when set, else the default; printed, so that a failure can be run again. */
uint64_t trial_seed(uint64_t preset);

#endif
