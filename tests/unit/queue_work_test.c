/* The queue workloads against a small queue in memory: what is asked has the promised shapes,
 * deliveries are dealt with once and in time, and draining ends exactly when nothing is left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "tests/lib/simulate.h"
#include "tests/lib/test.h"
#include "workloads/queue.h"
#include "workloads/workloads.h"

enum { JOBS_MAX = 20000 };
enum job_state { ABSENT, READY, LEASED, DONE };
struct job {
    enum job_state state;
    int64_t retry_ms, until_ns, attempt;
    unsigned queue;
};

struct world {
    struct plan plan;
    struct history history;
    struct test test;
    struct arena arena, values;
    struct simulate_result result;
    struct job jobs[JOBS_MAX];
    int64_t job_count, deliveries;
    int64_t acked, stale; /* of acks */
    bool deaf;            /* takes nothing that is sent to it */
    int64_t hidden;       /* lengths claim so many more */
};

static void begin(struct world *world, const struct workload *workload, const char *const *settings)
{
    *world = (struct world){
        .plan = {.options = {.values = json_object()},
                 .seed = 42,
                 .concurrency = 6,
                 .workload = workload},
    };
    for (; settings != NULL && *settings != NULL; settings += 2)
        json_set_text(world->plan.options.values, settings[0], settings[1]);
    option_defaults(&world->plan.options, workload->name, workload->options);
    history_init(&world->history);
    world->test = (struct test){.plan = &world->plan, .node_count = 3, .history = &world->history};
}

static void end(struct world *world)
{
    simulate_free(&world->result);
    arena_free(&world->arena);
    arena_free(&world->values);
    history_free(&world->history);
    json_free(world->plan.options.values);
    free(world);
}

static int64_t number(struct value map, const char *name)
{
    struct value value = value_get(map, name);
    return value_is_int(value) ? value_as_int(value) : -1;
}

static unsigned queue_number(struct value map)
{
    unsigned queue = 0;
    assert_int_equal(sscanf(value_as_text(value_get(map, "queue")), "q%u", &queue), 1);
    return queue;
}

static struct value delivery(struct world *world, int64_t message, struct job *job)
{
    struct arena *arena = &world->values;
    char id[32];
    snprintf(id, sizeof id, "D-%lld", (long long)message);
    struct value items[] = {
        value_keyword(arena, "message"),  value_int(arena, message),
        value_keyword(arena, "queue"),    queue_name(job->queue, arena),
        value_keyword(arena, "id"),       value_string(arena, id),
        value_keyword(arena, "delivery"), value_int(arena, ++world->deliveries),
        value_keyword(arena, "count"),    value_int(arena, job->attempt),
        value_keyword(arena, "retry"),    value_int(arena, job->retry_ms),
    };
    return value_items(arena, VALUE_MAP, items, sizeof items / sizeof *items);
}

static void on_enqueue(struct world *world, struct simulate_event *event)
{
    int64_t message = number(event->value, "message");
    if (world->deaf || event->type == OP_FAIL)
        return;
    assert_in_range(message, 0, JOBS_MAX - 1);
    assert_int_equal(world->jobs[message].state, ABSENT);
    world->jobs[message] = (struct job){.state = READY,
                                        .retry_ms = number(event->value, "retry"),
                                        .queue = queue_number(event->value)};
    world->job_count = message + 1 > world->job_count ? message + 1 : world->job_count;
}

static void on_dequeue(struct world *world, struct simulate_event *event)
{
    unsigned queue = queue_number(event->value);
    if (event->type != OP_OK)
        return;
    event->value = value_nil();
    for (int64_t m = 0; m < world->job_count; m++) {
        struct job *job = &world->jobs[m];
        if (job->state == LEASED && job->until_ns <= event->time_ns)
            job->state = READY;
        if (job->state != READY || job->queue != queue)
            continue;
        job->attempt++;
        job->state = job->retry_ms > 0 ? LEASED : DONE;
        job->until_ns = event->time_ns + job->retry_ms * NS_PER_MS;
        event->value = delivery(world, m, job);
        return;
    }
}

static void on_settle(struct world *world, struct simulate_event *event, const char *name)
{
    struct job *job = &world->jobs[number(event->value, "message")];
    if (event->type != OP_OK)
        return;
    if (job->state != LEASED || job->attempt != number(event->value, "count")) {
        event->type = OP_FAIL;
        world->stale++;
    } else if (strcmp(name, "ack") == 0) {
        job->state = DONE;
        world->acked++;
    } else if (strcmp(name, "nack") == 0) {
        job->state = READY;
    } else {
        job->until_ns = event->time_ns + number(event->value, "retry") * NS_PER_MS;
    }
}

static void on_length(struct world *world, struct simulate_event *event)
{
    unsigned queue = queue_number(event->value);
    int64_t length = world->hidden;
    for (int64_t m = 0; m < world->job_count; m++)
        length += world->jobs[m].queue == queue &&
                  (world->jobs[m].state == READY || world->jobs[m].state == LEASED);
    struct value items[] = {
        value_keyword(&world->values, "queue"), value_get(event->value, "queue"),
        value_keyword(&world->values, "length"), value_int(&world->values, length)};
    event->value = value_items(&world->values, VALUE_MAP, items, 4);
}

static void on_drain(struct world *world, struct simulate_event *event)
{
    unsigned queue = queue_number(event->value);
    for (int64_t m = 0; m < world->job_count; m++)
        if (world->jobs[m].state == READY && world->jobs[m].queue == queue)
            world->jobs[m].state = DONE;
    event->value = value_nil();
}

static void outcome(void *state, struct simulate_event *event)
{
    struct world *world = state;
    const char *name = world->history.f_names[event->f];
    if (strcmp(name, "enqueue") == 0)
        on_enqueue(world, event);
    else if (strcmp(name, "dequeue") == 0)
        on_dequeue(world, event);
    else if (strcmp(name, "length") == 0)
        on_length(world, event);
    else if (strcmp(name, "drain") == 0)
        on_drain(world, event);
    else
        on_settle(world, event, name);
}

static void run(struct world *world, struct generator *generator, uint64_t operations, double info)
{
    struct simulate_options options = {.threads = (uint32_t)world->plan.concurrency,
                                       .seed = 7,
                                       .latency_ns_min = NS_PER_MS,
                                       .latency_ns_max = 5 * NS_PER_MS,
                                       .fail = info,
                                       .info = info,
                                       .outcome = outcome,
                                       .outcome_state = world,
                                       .ops_max = operations};
    simulate_free(&world->result);
    simulate(generator, &options, &world->result);
    assert_string_equal(world->result.broken, "");
}

static void work(struct world *world, uint64_t operations, double info)
{
    run(world, world->plan.workload->generator(&world->test, &world->arena), operations, info);
}

static void drain(struct world *world)
{
    run(world, world->plan.workload->final_generator(&world->test, &world->arena), 0, 0);
    assert_true(world->result.all_done);
}

static struct world *new_world(const struct workload *workload, const char *const *settings)
{
    struct world *world = malloc(sizeof *world);
    assert_non_null(world);
    begin(world, workload, settings);
    return world;
}

static size_t count_of(const struct world *world, const char *name, enum op_type type)
{
    int f = history_find_f(&world->history, name);
    return f < 0 ? 0 : simulate_count(&world->result, type, f, 0, INT64_MAX);
}

/* ---- Tests ---- */

static void messages_are_numbered_and_follow_their_producers(void **state)
{
    (void)state;
    struct world *world = new_world(&workload_queue, NULL);
    work(world, 12000, 0.03);
    enum { PROCESSES = 4000 };
    static int64_t next[PROCESSES];
    static bool seen[JOBS_MAX];
    memset(next, 0, sizeof next);
    memset(seen, 0, sizeof seen);
    size_t once = 0, delayed = 0, expiring = 0, prioritized = 0, all = 0;
    for (size_t i = 0; i < world->result.count; i++) {
        const struct simulate_event *event = &world->result.events[i];
        if (event->type != OP_INVOKE || strcmp(world->history.f_names[event->f], "enqueue") != 0)
            continue;
        int64_t message = number(event->value, "message");
        assert_false(seen[message]);
        seen[message] = true;
        assert_int_equal(number(event->value, "producer"), event->process);
        assert_in_range(event->process, 0, PROCESSES - 1);
        assert_int_equal(number(event->value, "sequence"), next[event->process]++);
        assert_true(queue_number(event->value) < 3);
        assert_true(value_is_nil(value_get(event->value, "key")));
        int64_t retry = number(event->value, "retry"), delay = number(event->value, "delay");
        assert_true(retry == 0 || retry == 2000);
        assert_true(delay == -1 || (delay >= 1 && delay <= 2000));
        assert_true(delay == -1 || number(event->value, "ttl") == -1);
        once += retry == 0;
        delayed += delay >= 0;
        expiring += number(event->value, "ttl") >= 0;
        prioritized += number(event->value, "priority") >= 0;
        all++;
    }
    assert_true(all > 3000);
    assert_in_range(once, all / 10 - all / 30, all / 10 + all / 30);
    assert_in_range(delayed, all / 10 - all / 30, all / 10 + all / 30);
    assert_in_range(expiring, all / 22 - all / 50, all / 22 + all / 50);
    assert_in_range(prioritized, all / 5 - all / 20, all / 5 + all / 20);
    end(world);
}

/* Consumers do all that was promised of them, and what is said of a delivery is that delivery. */
static void deliveries_are_dealt_with(void **state)
{
    (void)state;
    struct world *world = new_world(&workload_queue, NULL);
    work(world, 20000, 0);
    size_t delivered = 0;
    for (size_t i = 0; i < world->result.count; i++) {
        const struct simulate_event *event = &world->result.events[i];
        const char *name = world->history.f_names[event->f];
        delivered += event->type == OP_OK && strcmp(name, "dequeue") == 0 &&
                     number(event->value, "retry") > 0;
        if (event->type == OP_INVOKE && strcmp(name, "ack") == 0) {
            assert_true(number(event->value, "delivery") > 0);
            assert_true(*value_as_text(value_get(event->value, "id")) != '\0');
        }
    }
    size_t nacks = count_of(world, "nack", OP_INVOKE),
           extends = count_of(world, "extend", OP_INVOKE);
    assert_in_range(nacks, delivered / 13 - delivered / 40, delivered / 13 + delivered / 40);
    assert_in_range(extends, delivered / 13 - delivered / 40, delivered / 13 + delivered / 40);
    assert_true(world->acked > (int64_t)delivered / 2);
    assert_true(world->stale > 0); /* those who overdid it */
    end(world);
}

static void a_backlog_stops_enqueues(void **state)
{
    (void)state;
    const char *const settings[] = {"queue.backlog", "50", "queue.dequeue", "0", NULL};
    struct world *world = new_world(&workload_queue, settings);
    work(world, 3000, 0);
    /* With weight 0 nothing is taken until the backlog is there; from then on all is. */
    assert_in_range(count_of(world, "enqueue", OP_OK), 50, 3000);
    int64_t waiting = 0, most = 0;
    for (size_t i = 0; i < world->result.count; i++) {
        const struct simulate_event *event = &world->result.events[i];
        const char *name = world->history.f_names[event->f];
        waiting += event->type == OP_OK && strcmp(name, "enqueue") == 0;
        waiting -= event->type == OP_OK && strcmp(name, "ack") == 0;
        waiting -= event->type == OP_OK && strcmp(name, "dequeue") == 0 &&
                   number(event->value, "retry") == 0;
        most = waiting > most ? waiting : most;
    }
    assert_in_range(most, 45, 60);
    end(world);
}

static void nothing_enqueued_is_no_backlog(void **state)
{
    (void)state;
    const char *const settings[] = {"queue.backlog", "20", NULL};
    struct world *world = new_world(&workload_queue, settings);
    world->deaf = true;
    work(world, 200, 1.0); /* everything is refused or lost */
    assert_true(count_of(world, "enqueue", OP_INVOKE) > 10);
    end(world);
}

static void keys_are_shared_and_keep_to_a_queue(void **state)
{
    (void)state;
    struct world *world = new_world(&workload_queue_keys, NULL);
    work(world, 6000, 0);
    enum { KEYS = 2000 };
    static int uses[KEYS], queues[KEYS];
    memset(uses, 0, sizeof uses);
    size_t shared = 0, all = 0;
    for (size_t i = 0; i < world->result.count; i++) {
        const struct simulate_event *event = &world->result.events[i];
        unsigned key;
        if (event->type != OP_INVOKE || strcmp(world->history.f_names[event->f], "enqueue") != 0)
            continue;
        const char *text = value_as_text(value_get(event->value, "key"));
        assert_int_equal(sscanf(text, "k%u", &key), 1);
        assert_in_range(key, 0, KEYS - 1);
        int queue = (int)queue_number(event->value);
        if (uses[key]++ == 0)
            queues[key] = queue;
        assert_int_equal(queues[key], queue);
        shared += uses[key] > 1;
        all++;
    }
    assert_true(shared > all / 2 && shared < all);
    end(world);
}

static void draining_empties_every_queue_and_asks_every_node(void **state)
{
    (void)state;
    struct world *world = new_world(&workload_queue, NULL);
    work(world, 8000, 0.02);
    drain(world);
    for (int64_t m = 0; m < world->job_count; m++)
        assert_true(world->jobs[m].state == ABSENT || world->jobs[m].state == DONE);
    assert_true(world->result.now_ns >= 4 * NS_PER_SECOND); /* settle */
    /* The lengths in the end: of each queue, from the three threads that are the nodes' first. */
    int asked[3][3] = {{0}};
    bool drains = false;
    for (size_t i = 0; i < world->result.count; i++) {
        const struct simulate_event *event = &world->result.events[i];
        const char *name = world->history.f_names[event->f];
        drains = drains || strcmp(name, "drain") == 0;
        if (!drains || event->thread >= 3 || event->type != OP_OK || strcmp(name, "length") != 0)
            continue;
        asked[event->thread][queue_number(event->value)]++;
        assert_int_equal(number(event->value, "length"), 0);
    }
    for (int thread = 0; thread < 3; thread++)
        for (int queue = 0; queue < 3; queue++)
            assert_true(asked[thread][queue] >= 1);
    assert_int_equal(count_of(world, "drain", OP_OK), 9);
    end(world);
}

static void draining_gives_up_at_its_limit(void **state)
{
    (void)state;
    const char *const settings[] = {"queue.drain-limit", "10s", NULL};
    struct world *world = new_world(&workload_queue, settings);
    work(world, 1000, 0);
    world->hidden = 1; /* the queue says that something is left, and never gives it */
    drain(world);
    assert_in_range(world->result.now_ns, 10 * NS_PER_SECOND, 11 * NS_PER_SECOND);
    end(world);
}

static void nonsense_becomes_the_nearest_sense(void **state)
{
    (void)state;
    const char *const settings[] = {
        "queue.queues", "0",  "queue.enqueue", "-1", "queue.dequeue", "-2",   "queue.nack", "7",
        "queue.lease",  "0s", "queue.backlog", "-5", "queue.work",    "100s", NULL};
    struct world *world = new_world(&workload_queue, settings);
    struct queue_mix mix;
    queue_mix_init(&mix, &world->plan.options, "queue", &world->history);
    assert_true(mix.queues == 1 && mix.enqueue == 1 && mix.dequeue == 1 && mix.nack == 1);
    assert_true(mix.lease_ms == 1 && mix.backlog == 1 && !mix.keyed);
    work(world, 300, 0);
    end(world);
}

static void what_is_no_delivery_is_not_held(void **state)
{
    (void)state;
    struct world *world = new_world(&workload_queue, NULL);
    struct queue_mix mix;
    struct queue_held held;
    queue_mix_init(&mix, &world->plan.options, "queue", &world->history);
    struct job job = {.retry_ms = 2000, .queue = 2, .attempt = 5};
    struct value good = delivery(world, 3, &job);
    assert_true(queue_held_read(&mix, good, &held));
    assert_true(held.message == 3 && held.queue == 2 && held.count == 5 && held.delivery == 1);
    struct value again = queue_held_value(&held, &world->values);
    assert_true(value_equal(value_get(again, "id"), value_get(good, "id")));
    assert_true(value_equal(value_get(again, "queue"), value_get(good, "queue")));
    job.retry_ms = 0; /* at most once: it is gone */
    assert_false(queue_held_read(&mix, delivery(world, 3, &job), &held));
    struct value items[] = {
        value_keyword(&world->values, "message"), value_string(&world->values, "damaged"),
        value_keyword(&world->values, "id"), value_string(&world->values, "D-1")};
    assert_false(queue_held_read(&mix, value_items(&world->values, VALUE_MAP, items, 4), &held));
    end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_numbered_and_follow_their_producers),
        cmocka_unit_test(deliveries_are_dealt_with),
        cmocka_unit_test(a_backlog_stops_enqueues),
        cmocka_unit_test(nothing_enqueued_is_no_backlog),
        cmocka_unit_test(keys_are_shared_and_keep_to_a_queue),
        cmocka_unit_test(draining_empties_every_queue_and_asks_every_node),
        cmocka_unit_test(draining_gives_up_at_its_limit),
        cmocka_unit_test(nonsense_becomes_the_nearest_sense),
        cmocka_unit_test(what_is_no_delivery_is_not_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
