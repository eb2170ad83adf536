/* See state_trial.h. */
#include "tests/queue/lib/state_trial.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void trial_begin(struct trial *trial)
{
    memset(trial, 0, sizeof *trial);
    trial->state = state_create();
}

void trial_end(struct trial *trial)
{
    state_free(trial->state);
    command_batch_free(&trial->batch);
}

static void keep_result(void *context, const struct state_result *result)
{
    struct trial *trial = context;
    assert(trial->result_count < TRIAL_RESULTS_MAX && result->count <= TRIAL_JOBS_MAX);
    struct trial_result *kept = &trial->results[trial->result_count++];
    kept->result = *result;
    kept->result.jobs = NULL;
    for (uint32_t i = 0; i < result->count; i++) {
        const struct job_view *view = &result->jobs[i];
        struct trial_job *job = &kept->jobs[i];
        job->id = view->id;
        job->attempt = view->attempt;
        job->deadline_ms = view->deadline_ms;
        snprintf(job->body, sizeof job->body, "%.*s", (int)view->body.length,
                 (const char *)view->body.data);
    }
}

static void keep_ready(void *context, struct command_bytes queue)
{
    struct trial *trial = context;
    assert(trial->ready_count < TRIAL_RESULTS_MAX);
    snprintf(trial->ready[trial->ready_count++], sizeof trial->ready[0], "%.*s", (int)queue.length,
             (const char *)queue.data);
}

void trial_apply(struct trial *trial)
{
    struct state_listener listener = {trial, keep_result, keep_ready};
    struct queue_error error;
    struct entry entry = {
        .index = ++trial->index,
        .term = 1,
        .type = ENTRY_COMMANDS,
        .length = (uint32_t)trial->batch.length,
        .data = trial->batch.data,
    };
    trial->result_count = trial->ready_count = 0;
    if (!state_apply(trial->state, &entry, &listener, &error) ||
        !state_check(trial->state, &error)) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
}

const struct trial_result *trial_run(struct trial *trial, uint64_t time_ms, struct command command)
{
    struct queue_error error;
    command_batch_begin(&trial->batch, time_ms);
    if (!command_batch_add(&trial->batch, &command, &error)) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    trial_apply(trial);
    return &trial->results[0];
}

void trial_tick(struct trial *trial, uint64_t time_ms)
{
    trial_run(trial, time_ms, (struct command){.type = COMMAND_TICK});
}

struct job_id trial_id(uint64_t number)
{
    struct job_id id;
    memcpy(id.bytes, "trial-id", 8);
    memcpy(id.bytes + 8, &number, 8);
    return id;
}

uint64_t trial_id_number(const struct job_id *id)
{
    uint64_t number;
    memcpy(&number, id->bytes + 8, 8);
    return number;
}

struct command_bytes trial_text(const char *text)
{
    return (struct command_bytes){text, (uint32_t)strlen(text)};
}

struct command trial_add(uint64_t id, const char *queue, const char *body)
{
    return (struct command){
        .type = COMMAND_ADD,
        .id = trial_id(id),
        .queue = trial_text(queue),
        .add = {.body = trial_text(body), .retry_ms = 1000},
    };
}

struct command trial_take(const char *queue, uint32_t count)
{
    static struct command_bytes queues[4];
    static uint32_t next;
    struct command_bytes *name = &queues[next++ % 4];
    *name = trial_text(queue);
    return (struct command){
        .type = COMMAND_TAKE,
        .count = count,
        .take = {.queues = name, .queue_count = 1, .nonce = 77},
    };
}

struct command trial_job(enum command_type type, uint64_t id, uint32_t attempt)
{
    return (struct command){.type = type, .id = trial_id(id), .attempt = attempt};
}

enum job_state trial_state(const struct trial *trial, uint64_t number)
{
    struct job_id id = trial_id(number);
    struct job_view view;
    enum job_end end;
    uint64_t ended_ms;
    return state_show(trial->state, &id, &view, &end, &ended_ms) ? view.state : JOB_NONE;
}

struct state_counters trial_counters(const struct trial *trial)
{
    struct state_info info;
    state_info(trial->state, &info);
    return info.counters;
}

bool trial_snapshot_sink(void *context, const void *data, size_t length)
{
    struct trial_snapshot *snapshot = context;
    if (snapshot->capacity - snapshot->length < length) {
        snapshot->capacity = (snapshot->length + length) * 2;
        snapshot->data = realloc(snapshot->data, snapshot->capacity);
        assert(snapshot->data);
    }
    memcpy(snapshot->data + snapshot->length, data, length);
    snapshot->length += length;
    return true;
}

int64_t trial_snapshot_source(void *context, void *data, size_t length)
{
    struct trial_snapshot *snapshot = context;
    size_t left = snapshot->length - snapshot->offset;
    size_t part = length < left ? length : left;
    if (part > 1 && part % 7 == 3)
        part /= 2; /* a source may give less than asked */
    if (part)
        memcpy(data, snapshot->data + snapshot->offset, part);
    snapshot->offset += part;
    return (int64_t)part;
}

void trial_restore(struct trial *trial)
{
    struct trial_snapshot snapshot = {0};
    struct queue_error error;
    assert(state_snapshot_write(trial->state, trial_snapshot_sink, &snapshot));
    struct state *copy = state_snapshot_read(trial_snapshot_source, &snapshot, &error);
    if (!copy) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    assert(snapshot.offset == snapshot.length);
    free(snapshot.data);
    state_free(trial->state);
    trial->state = copy;
}

uint64_t trial_random(uint64_t *seed)
{
    uint64_t word = *seed += 0x9e3779b97f4a7c15u;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
    word = (word ^ word >> 27) * 0x94d049bb133111ebu;
    return word ^ word >> 31;
}

uint64_t trial_random_below(uint64_t *seed, uint64_t bound)
{
    return trial_random(seed) % bound;
}

uint64_t trial_seed(uint64_t preset)
{
    const char *text = getenv("QUEUE_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : preset;
    printf("# seed %" PRIu64 " (QUEUE_TEST_SEED runs another)\n", seed);
    return seed;
}
