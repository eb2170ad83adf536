/* The replicated state as anyone would write it in an afternoon: arrays, linear scans, no
 * cleverness. Slow and plainly right, for comparing with the real one. It shares with it the
 * commands and the names of results, and no code. */
#ifndef ORDEAL_TESTS_QUEUE_STATE_MODEL_H
#define ORDEAL_TESTS_QUEUE_STATE_MODEL_H

#include "queue/state.h"

#define MODEL_JOBS_MAX 4096
#define MODEL_QUEUES_MAX 16
#define MODEL_KEYS_MAX 4096
#define MODEL_DONE_MAX 256
#define MODEL_TAKE_MAX 64

struct model_job {
    struct job_id id;
    char queue[32], key[32], body[64];
    enum job_state state;
    enum job_death death;
    uint32_t priority, retry_ms, attempts_max, attempt, tries, nacks;
    uint64_t added_ms, expires_ms, deadline_ms; /* the state's own deadline; 0: none */
    uint64_t born;                              /* in order of ADD */
    uint64_t place;                             /* in order of becoming ready or dead */
    bool drop_expired, may_ack;
};

struct model_queue {
    char name[32];
    struct state_counters counters; /* the four of present jobs are counted anew when asked */
    uint64_t length_max, leased_max, idle_since_ms;
    uint32_t pause;
    bool was_idle;
};

struct model_key {
    char queue[32], name[32];
    struct job_id id;
    uint64_t expires_ms;
    bool job_lives;
};

struct model_done {
    struct job_id id;
    enum job_end end;
    uint64_t time_ms;
};

struct model {
    uint64_t time_ms, counter;
    struct model_job jobs[MODEL_JOBS_MAX]; /* in order of ADD */
    uint32_t job_count;
    struct model_queue queues[MODEL_QUEUES_MAX];
    uint32_t queue_count;
    struct model_key keys[MODEL_KEYS_MAX];
    uint32_t key_count;
    struct model_done done[MODEL_DONE_MAX]; /* oldest first */
    uint32_t done_count;
    struct model_done expired[MODEL_DONE_MAX];
    uint32_t expired_count;
    uint64_t config[CONFIG_COUNT];
    uint64_t origins[8];
    struct state_counters total;
    uint64_t refused[STATE_STATUS_COUNT];
};

struct model_result {
    enum state_status status;
    struct job_id id;
    enum job_state job;
    enum job_end end;
    uint32_t attempt;
    uint64_t value;
    uint32_t count;
    struct model_job taken[MODEL_TAKE_MAX];
};

void model_begin(struct model *model);
/* The start of a batch with this stamp. */
void model_time(struct model *model, uint64_t stamp_ms);
void model_apply(struct model *model, const struct command *command, struct model_result *result);

struct model_job *model_find(struct model *model, const struct job_id *id);
struct model_queue *model_queue(struct model *model, const char *name);
/* Present jobs of a queue (NULL: of all) in a state. */
uint64_t model_count(const struct model *model, const char *queue, enum job_state state);
/* The n-th ready job of a queue in order of delivery, or NULL. */
struct model_job *model_ready(struct model *model, const char *queue, uint64_t n);
uint64_t model_takeable(struct model *model, const char *queue);
uint64_t model_next_ms(const struct model *model);

#endif
