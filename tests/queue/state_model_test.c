/* The replicated state against the naive model: random batches at random times, and after every
 * entry the same results, lengths, orders, jobs and counters. Meanwhile a second replica applies
 * the same entries, and either may be replaced by its own snapshot at any moment.
 *
 * QUEUE_TEST_SEED and QUEUE_TEST_ENTRIES run another or a longer one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/queue/lib/state_model.h"
#include "tests/queue/lib/state_trial.h"

#define ENTRIES 60000
#define QUEUES 5
#define KEYS 6
#define BATCH_MAX 8

static const char *const queue_names[QUEUES] = {"mail", "video", "audit", "a", "b"};
static const char *const key_names[KEYS] = {"k0", "k1", "k2", "daily", "hourly", "x"};

struct world {
    struct trial real;
    struct state *twin;
    struct model model;
    uint64_t seed, now_ms, next_id, fed[4];
    struct command commands[BATCH_MAX];
    struct command_bytes queues[BATCH_MAX][3];
    char bodies[BATCH_MAX][64];
    uint64_t takeable[QUEUES];
};

static uint64_t below(struct world *world, uint64_t bound)
{
    return trial_random_below(&world->seed, bound);
}

static bool chance(struct world *world, uint64_t percent)
{
    return below(world, 100) < percent;
}

static struct command_bytes any_queue(struct world *world)
{
    return trial_text(queue_names[below(world, QUEUES)]);
}

static uint64_t duration(struct world *world, uint64_t percent_zero)
{
    if (chance(world, percent_zero))
        return 0;
    return chance(world, 80) ? 1 + below(world, 60) : 1 + below(world, 2000);
}

/* Mostly a job that there is; else one that was, or never will be. */
static struct job_id any_job(struct world *world)
{
    const struct model *model = &world->model;
    if (model->job_count && chance(world, 90))
        return model->jobs[below(world, model->job_count)].id;
    if (model->done_count && chance(world, 70))
        return model->done[below(world, model->done_count)].id;
    return trial_id(below(world, world->next_id + 10) + 1);
}

static void make_add(struct world *world, struct command *command, char body[64])
{
    bool fresh = chance(world, 92);
    command->type = COMMAND_ADD;
    command->id = fresh ? trial_id(++world->next_id) : any_job(world);
    command->queue = any_queue(world);
    snprintf(body, 64, "body %" PRIu64 "%.*s", trial_id_number(&command->id), (int)below(world, 30),
             "..............................");
    command->add = (struct command_add){
        .body = trial_text(body),
        .priority = chance(world, 70) ? 0 : (uint32_t)below(world, 11),
        .retry_ms = (uint32_t)duration(world, 10),
        .attempts_max = chance(world, 60) ? 0 : 1 + (uint32_t)below(world, 4),
        .flags = chance(world, 50) ? ADD_DROP_EXPIRED : 0,
        .length_max = chance(world, 90) ? 0 : 1 + (uint32_t)below(world, 10),
        .delay_ms = duration(world, 60),
        .ttl_ms = duration(world, 50),
    };
    if (chance(world, 25)) {
        command->key = trial_text(key_names[below(world, KEYS)]);
        command->add.key_ttl_ms = duration(world, 50);
    }
    if (chance(world, 15)) {
        command->add.origin = below(world, 4);
        uint64_t *fed = &world->fed[command->add.origin];
        command->add.origin_sequence = chance(world, 80) ? ++*fed : 1 + below(world, *fed + 2);
        if (chance(world, 60)) /* what was put off is sent again */
            *fed = command->add.origin_sequence = world->model.origins[command->add.origin] + 1;
    }
}

static void make_take(struct world *world, struct command *command, struct command_bytes queues[3])
{
    uint32_t count = 1 + (uint32_t)below(world, 3);
    for (uint32_t i = 0; i < count; i++)
        queues[i] = any_queue(world);
    command->type = COMMAND_TAKE;
    command->count = chance(world, 2) ? 0 : 1 + (uint32_t)below(world, 5);
    command->take.queues = queues;
    command->take.queue_count = count;
    command->take.nonce = below(world, 1000);
}

static void make_by_id(struct world *world, struct command *command)
{
    static const enum command_type types[] = {
        COMMAND_ACK,    COMMAND_ACK,    COMMAND_ACK,    COMMAND_FASTACK, COMMAND_NACK,
        COMMAND_NACK,   COMMAND_EXTEND, COMMAND_EXTEND, COMMAND_ENQUEUE, COMMAND_DEQUEUE,
        COMMAND_DELETE, COMMAND_KICK,   COMMAND_KICK,
    };
    command->type = types[below(world, sizeof types / sizeof *types)];
    command->id = any_job(world);
    const struct model_job *job = model_find(&world->model, &command->id);
    if (job && chance(world, 60))
        command->attempt = job->attempt;
    else if (chance(world, 40))
        command->attempt = (uint32_t)below(world, 5);
    command->mode = (uint32_t)below(world, 3) + (chance(world, 3) ? 1 : 0);
    command->duration_ms = duration(world, 50);
}

static void make_setting(struct world *world, struct command *command)
{
    static const enum command_type types[] = {COMMAND_KICK_QUEUE, COMMAND_PAUSE, COMMAND_PAUSE,
                                              COMMAND_LIMIT, COMMAND_KEYDROP};
    command->type = types[below(world, 5)];
    command->queue = any_queue(world);
    command->key = trial_text(key_names[below(world, KEYS)]);
    command->count = (uint32_t)below(world, 4);
    command->mode = chance(world, 60) ? PAUSE_NONE : (uint32_t)below(world, 5);
    command->limit.length_max = chance(world, 70) ? 0 : 1 + below(world, 20);
    command->limit.leased_max = chance(world, 70) ? 0 : 1 + below(world, 4);
}

static void make_config(struct world *world, struct command *command)
{
    static const uint64_t bounds[CONFIG_COUNT] = {
        [CONFIG_QUEUE_IDLE_MS] = 300, [CONFIG_DONE_MAX] = 100,       [CONFIG_EXPIRED_MAX] = 20,
        [CONFIG_BACKOFF_MS] = 50,     [CONFIG_BACKOFF_MS_MAX] = 500, [CONFIG_BYTES_MAX] = 1,
    };
    command->type = COMMAND_CONFIG;
    command->config.key = (uint32_t)below(world, CONFIG_COUNT + 1);
    uint32_t key = command->config.key;
    command->config.value = key < CONFIG_COUNT ? below(world, bounds[key]) : 0;
    if (key == CONFIG_BYTES_MAX && chance(world, 30))
        command->config.value = 3000 + below(world, 20000);
}

static void make_command(struct world *world, uint32_t place)
{
    struct command *command = &world->commands[place];
    uint64_t dice = below(world, 100);
    memset(command, 0, sizeof *command);
    if (dice < 30)
        make_add(world, command, world->bodies[place]);
    else if (dice < 48)
        make_take(world, command, world->queues[place]);
    else if (dice < 91)
        make_by_id(world, command);
    else if (dice < 98)
        make_setting(world, command);
    else if (dice < 99)
        make_config(world, command);
    else
        command->type = COMMAND_TICK;
}

static void move_time(struct world *world)
{
    uint64_t dice = below(world, 100);
    if (dice < 50)
        world->now_ms += below(world, 3);
    else if (dice < 90)
        world->now_ms += below(world, 20);
    else if (dice < 97)
        world->now_ms += below(world, 200);
    else if (dice < 98)
        world->now_ms += below(world, 3000);
    else if (world->now_ms > 50)
        world->now_ms -= below(world, 50); /* a new leader's clock may be behind */
}

static void compare_result(const struct trial_result *real, const struct model_result *model)
{
    const struct state_result *result = &real->result;
    assert_int_equal(result->status, model->status);
    if (result->type != COMMAND_TAKE && result->type != COMMAND_CONFIG)
        assert_memory_equal(&result->id, &model->id, sizeof result->id);
    assert_int_equal(result->job, model->job);
    assert_int_equal(result->end, model->end);
    assert_int_equal(result->attempt, model->attempt);
    assert_int_equal(result->value, model->value);
    assert_int_equal(result->count, model->count);
    for (uint32_t i = 0; i < model->count; i++) {
        assert_memory_equal(&real->jobs[i].id, &model->taken[i].id, sizeof(struct job_id));
        assert_int_equal(real->jobs[i].attempt, model->taken[i].attempt);
        assert_int_equal(real->jobs[i].deadline_ms, model->taken[i].deadline_ms);
        assert_string_equal(real->jobs[i].body, model->taken[i].body);
    }
}

static void assert_bytes(struct command_bytes bytes, const char *text)
{
    assert_int_equal(bytes.length, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.length);
}

struct peek {
    struct world *world;
    const char *queue;
    uint64_t n;
    bool backwards;
};

static void compare_peek(void *context, const struct job_view *job)
{
    struct peek *peek = context;
    uint64_t ready = model_count(&peek->world->model, peek->queue, JOB_READY);
    uint64_t n = peek->backwards ? ready - 1 - peek->n : peek->n;
    const struct model_job *expected = model_ready(&peek->world->model, peek->queue, n);
    assert_non_null(expected);
    assert_memory_equal(&job->id, &expected->id, sizeof job->id);
    peek->n++;
}

/* A counter of the real one against the model's, which counts present jobs anew. */
static void compare_counters(struct world *world, const struct state_counters *real,
                             struct state_counters model, const char *queue)
{
    model.ready = model_count(&world->model, queue, JOB_READY);
    model.delayed = model_count(&world->model, queue, JOB_DELAYED);
    model.leased = model_count(&world->model, queue, JOB_LEASED);
    model.dead = model_count(&world->model, queue, JOB_DEAD);
#define X(name) assert_int_equal(real->name, model.name);
    STATE_COUNTERS(X)
#undef X
    assert_int_equal(real->added, real->acked + real->spent + real->expired + real->deleted +
                                      real->ready + real->delayed + real->leased + real->dead);
}

static void compare_queue(struct world *world, const char *name, bool orders)
{
    struct queue_view view;
    const struct model_queue *model = model_queue(&world->model, name);
    assert_int_equal(state_queue(world->real.state, trial_text(name), &view), model != NULL);
    assert_int_equal(state_takeable(world->real.state, trial_text(name)),
                     model_takeable(&world->model, name));
    if (!model)
        return;
    compare_counters(world, &view.counters, model->counters, name);
    assert_int_equal(view.pause, model->pause);
    assert_int_equal(view.length_max, model->length_max);
    assert_int_equal(view.leased_max, model->leased_max);
    for (int backwards = 0; orders && backwards < 2; backwards++) {
        struct peek peek = {world, name, 0, backwards};
        state_peek(world->real.state, trial_text(name), UINT64_MAX,
                   backwards ? ORDER_NEXT_LAST : ORDER_NEXT_FIRST, compare_peek, &peek);
        assert_int_equal(peek.n, view.counters.ready);
    }
}

static void compare_job(void *context, const struct job_view *real)
{
    struct world *world = context;
    const struct model_job *model = model_find(&world->model, &real->id);
    assert_non_null(model);
    assert_bytes(real->queue, model->queue);
    assert_bytes(real->body, model->body);
    assert_bytes(real->key, model->key);
    assert_int_equal(real->state, model->state);
    assert_int_equal(real->death, model->death);
    assert_int_equal(real->priority, model->priority);
    assert_int_equal(real->retry_ms, model->retry_ms);
    assert_int_equal(real->attempts_max, model->attempts_max);
    assert_int_equal(real->attempt, model->attempt);
    assert_int_equal(real->tries, model->tries);
    assert_int_equal(real->nacks, model->nacks);
    assert_int_equal(real->added_ms, model->added_ms);
    assert_int_equal(real->expires_ms, model->expires_ms);
    assert_int_equal(real->drop_expired, model->drop_expired);
    if (real->state == JOB_LEASED)
        assert_int_equal(real->deadline_ms, model->deadline_ms);
}

struct queue_walk {
    const struct model *model;
    uint32_t seen; /* a bit for each of the model's queues */
};

static void meet_queue(void *context, const struct queue_view *real)
{
    struct queue_walk *walk = context;
    for (uint32_t i = 0; i < walk->model->queue_count; i++) {
        const struct model_queue *queue = &walk->model->queues[i];
        if (strlen(queue->name) != real->name.length ||
            memcmp(queue->name, real->name.data, real->name.length) != 0)
            continue;
        assert_int_equal(walk->seen >> i & 1, 0);
        assert_int_equal(real->counters.added, queue->counters.added);
        uint64_t ready = 0;
        for (int priority = 0; priority <= (int)COMMAND_PRIORITY_MAX; priority++)
            ready += real->ready_by_priority[priority];
        assert_int_equal(ready, real->counters.ready);
        walk->seen |= 1u << i;
        return;
    }
    fail_msg("a queue that the model has not");
}

struct record_walk {
    const struct model *model;
    uint32_t count;
};

static void compare_expired(void *context, const struct expired_view *record)
{
    struct record_walk *walk = context;
    assert_true(walk->count < walk->model->expired_count);
    const struct model_done *model = &walk->model->expired[walk->count++];
    assert_memory_equal(&record->id, &model->id, sizeof record->id);
    assert_int_equal(record->time_ms, model->time_ms);
}

static void compare_states(struct world *world, bool thoroughly)
{
    struct state *state = world->real.state;
    struct model *model = &world->model;
    struct state_info info;
    state_info(state, &info);
    assert_int_equal(info.time_ms, model->time_ms);
    assert_int_equal(info.queues, model->queue_count);
    assert_int_equal(info.keys, model->key_count);
    assert_int_equal(info.done, model->done_count);
    assert_int_equal(state_next_ms(state), model_next_ms(model));
    assert_memory_equal(info.refused, model->refused, sizeof info.refused);
    compare_counters(world, &info.counters, model->total, NULL);
    for (int i = 0; i < QUEUES; i++)
        compare_queue(world, queue_names[i], thoroughly);
    if (!thoroughly)
        return;
    uint64_t cursor = 0, steps = 0;
    do {
        cursor = state_scan_jobs(state, cursor, 1 + below(world, 20), compare_job, world);
        steps++;
    } while (cursor && steps < 10000);
    assert_int_equal(cursor, 0);
    struct queue_walk queues = {model, 0};
    do {
        cursor = state_scan_queues(state, cursor, 1 + below(world, 3), meet_queue, &queues);
    } while (cursor);
    assert_int_equal(queues.seen, (1u << model->queue_count) - 1);
    struct record_walk walk = {model, 0};
    state_expired(state, compare_expired, &walk);
    assert_int_equal(walk.count, model->expired_count);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(state_origin(state, i), model->origins[i]);
}

/* Whoever waits for a queue must hear of it when more can be taken than before. */
static void compare_news(struct world *world)
{
    for (int i = 0; i < QUEUES; i++) {
        uint64_t takeable = model_takeable(&world->model, queue_names[i]);
        uint32_t told = 0;
        for (uint32_t k = 0; k < world->real.ready_count; k++)
            told += strcmp(world->real.ready[k], queue_names[i]) == 0;
        assert_true(told <= 1);
        assert_true(takeable <= world->takeable[i] || told == 1);
        assert_true(!told || takeable > 0);
        world->takeable[i] = takeable;
    }
}

static void one_entry(struct world *world, bool thoroughly)
{
    struct queue_error error;
    struct model_result expected[BATCH_MAX];
    uint32_t count = 1 + (uint32_t)below(world, BATCH_MAX);
    move_time(world);
    command_batch_begin(&world->real.batch, 0);
    command_batch_stamp(&world->real.batch, world->now_ms);
    model_time(&world->model, world->now_ms);
    for (uint32_t i = 0; i < count; i++) {
        /* Made one by one, so that later ones of a batch may follow on earlier ones. */
        make_command(world, i);
        assert_true(command_batch_add(&world->real.batch, &world->commands[i], &error));
        model_apply(&world->model, &world->commands[i], &expected[i]);
    }
    trial_apply(&world->real);
    assert_int_equal(world->real.result_count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(world->real.results[i].result.ordinal, i);
        compare_result(&world->real.results[i], &expected[i]);
    }
    struct entry entry = {
        .index = world->real.index,
        .term = 1,
        .type = ENTRY_COMMANDS,
        .length = (uint32_t)world->real.batch.length,
        .data = world->real.batch.data,
    };
    assert_true(state_apply(world->twin, &entry, NULL, &error));
    compare_news(world);
    compare_states(world, thoroughly);
}

static void run(uint64_t seed, uint32_t entries)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->seed = seed;
    trial_begin(&world->real);
    world->twin = state_create();
    model_begin(&world->model);
    for (uint32_t key = CONFIG_QUEUE_IDLE_MS; key <= CONFIG_EXPIRED_MAX; key++) {
        struct command command = {.type = COMMAND_CONFIG, .config = {key, 50}};
        struct model_result result;
        trial_run(&world->real, 0, command);
        model_time(&world->model, 0);
        model_apply(&world->model, &command, &result);
        struct entry entry = {world->real.index, 1, ENTRY_COMMANDS,
                              (uint32_t)world->real.batch.length, world->real.batch.data};
        assert_true(state_apply(world->twin, &entry, NULL, NULL));
    }
    for (uint32_t i = 0; i < entries; i++) {
        one_entry(world, i % 8 == 0);
        if (chance(world, 2))
            trial_restore(&world->real);
        if (i % 16 == 0)
            assert_true(state_hash(world->real.state) == state_hash(world->twin));
    }
    struct state_counters total = trial_counters(&world->real);
    printf("# seed %" PRIu64 ": %" PRIu64 " added, %" PRIu64 " delivered, %" PRIu64
           " acked, %" PRIu64 " leases ended, %" PRIu64 " expired, %" PRIu64 " died\n",
           seed, total.added, total.delivered, total.acked, total.leases_ended,
           total.expired + total.died_expired, total.died);
    /* A run in which nothing happens would agree about nothing. */
    assert_true(total.acked > entries / 100 && total.died > entries / 100 &&
                total.expired > entries / 100 && total.spent > 0 && total.kicked > 0);
    state_free(world->twin);
    trial_end(&world->real);
    free(world);
}

static void agrees_with_the_model(void **state)
{
    (void)state;
    const char *text = getenv("QUEUE_TEST_ENTRIES");
    uint32_t entries = text ? (uint32_t)strtoul(text, NULL, 10) : ENTRIES;
    uint64_t seed = trial_seed(20240917);
    for (uint32_t part = 0; part < 6; part++)
        run(seed + part, entries / 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
