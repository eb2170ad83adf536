/* Queues: producers number their messages, consumers take, acknowledge, give back, forget and
 * overdo, and in the end every queue is drained through every node.
 *
 *   enqueue {:message 7 :queue "q0" :producer 3 :sequence 2 :retry 2000 ...}
 *   dequeue {:queue "q0"}
 *   ack, nack, extend: the delivery
 *   length {:queue "q0"}
 *
 * queue-keys is the same with a key on each message, and several messages of one key. */
#include "workloads/queue.h"

#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/workloads.h"

#define COMMON_OPTIONS(KEY_USES)                                                                   \
    {.name = "queues", .kind = OPTION_INT, .fallback = "3", .help = "how many queues"},            \
        {.name = "enqueue",                                                                        \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "1",                                                                          \
         .help = "weight of enqueues in the mix"},                                                 \
        {.name = "dequeue",                                                                        \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "1.1",                                                                        \
         .help = "weight of dequeues; each delivery is dealt with besides"},                       \
        {.name = "at-most-once",                                                                   \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "0.1",                                                                        \
         .help = "fraction of messages with retry 0"},                                             \
        {.name = "delayed",                                                                        \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "0.1",                                                                        \
         .help = "fraction of messages with a delay"},                                             \
        {.name = "delay-max",                                                                      \
         .kind = OPTION_DURATION,                                                                  \
         .fallback = "2s",                                                                         \
         .help = "the longest delay, of messages and of nacks"},                                   \
        {.name = "expiring",                                                                       \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "0.05",                                                                       \
         .help = "fraction of messages with a time to live"},                                      \
        {.name = "ttl-max",                                                                        \
         .kind = OPTION_DURATION,                                                                  \
         .fallback = "5s",                                                                         \
         .help = "the longest time to live"},                                                      \
        {.name = "prioritized",                                                                    \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "0.2",                                                                        \
         .help = "fraction of messages with a priority of 1 to 3; the others have 0"},             \
        {.name = "spooled",                                                                        \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "0",                                                                          \
         .help = "fraction that one node alone may accept at first (:spool), with priority 4"},    \
        {.name = "lease",                                                                          \
         .kind = OPTION_DURATION,                                                                  \
         .fallback = "2s",                                                                         \
         .help = "retry of the other messages: how long a consumer may hold one"},                 \
        {.name = "work",                                                                           \
         .kind = OPTION_DURATION,                                                                  \
         .fallback = "20ms",                                                                       \
         .help = "how long a consumer works on a message, on average"},                            \
        {.name = "nack",                                                                           \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "0.08",                                                                       \
         .help = "fraction of deliveries that are given back"},                                    \
        {.name = "nack-delayed",                                                                   \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "0.5",                                                                        \
         .help = "fraction of those that ask for a delay"},                                        \
        {.name = "crash",                                                                          \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "0.05",                                                                       \
         .help = "fraction that is never heard of again"},                                         \
        {.name = "hold",                                                                           \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "0.05",                                                                       \
         .help = "fraction that is acknowledged after its lease has ended"},                       \
        {.name = "extend",                                                                         \
         .kind = OPTION_REAL,                                                                      \
         .fallback = "0.08",                                                                       \
         .help = "fraction whose lease is extended once, then acknowledged"},                      \
        {.name = "backlog",                                                                        \
         .kind = OPTION_INT,                                                                       \
         .fallback = "2000",                                                                       \
         .help = "no enqueues while about so many messages are unfinished"},                       \
        {.name = "key-uses",                                                                       \
         .kind = OPTION_INT,                                                                       \
         .fallback = KEY_USES,                                                                     \
         .help = "messages with one key, about; 0: messages have no keys"},                        \
        {.name = "settle",                                                                         \
         .kind = OPTION_DURATION,                                                                  \
         .fallback = "4s",                                                                         \
         .help = "drain at least so long: more than the lease and the longest delay"},             \
        {.name = "drain-limit",                                                                    \
         .kind = OPTION_DURATION,                                                                  \
         .fallback = "60s",                                                                        \
         .help = "stop draining after this time even when queues are not empty"},                  \
    {                                                                                              \
        .name = NULL                                                                               \
    }

static const struct option options[] = {COMMON_OPTIONS("0")};
static const struct option key_options[] = {COMMON_OPTIONS("4")};

static const char *full(char text[64], const char *owner, const char *name)
{
    snprintf(text, 64, "%s.%s", owner, name);
    return text;
}

static double weight(const struct options *from, const char *owner, const char *name, double most)
{
    char text[64];
    double value = option_real(from, full(text, owner, name));
    return value > 0 && value <= most ? value : value > most ? most : 0;
}

static int64_t duration_ms(const struct options *from, const char *owner, const char *name)
{
    char text[64];
    int64_t value = option_duration_ns(from, full(text, owner, name)) / NS_PER_MS;
    return value < 1 ? 1 : value;
}

static int64_t whole(const struct options *from, const char *owner, const char *name, int64_t least)
{
    char text[64];
    int64_t value = option_int(from, full(text, owner, name));
    return value < least ? least : value;
}

void queue_mix_init(struct queue_mix *mix, const struct options *from, const char *owner,
                    struct history *history)
{
    *mix = (struct queue_mix){
        .enqueue_f = history_f(history, "enqueue"),
        .dequeue_f = history_f(history, "dequeue"),
        .ack_f = history_f(history, "ack"),
        .nack_f = history_f(history, "nack"),
        .extend_f = history_f(history, "extend"),
        .length_f = history_f(history, "length"),
        .drain_f = history_f(history, "drain"),
        .queues = whole(from, owner, "queues", 1),
        .enqueue = weight(from, owner, "enqueue", 1e9),
        .dequeue = weight(from, owner, "dequeue", 1e9),
        .once = weight(from, owner, "at-most-once", 1),
        .delayed = weight(from, owner, "delayed", 1),
        .expiring = weight(from, owner, "expiring", 1),
        .prioritized = weight(from, owner, "prioritized", 1),
        .spooled = weight(from, owner, "spooled", 1),
        .nack = weight(from, owner, "nack", 1),
        .nack_delayed = weight(from, owner, "nack-delayed", 1),
        .crash = weight(from, owner, "crash", 1),
        .hold = weight(from, owner, "hold", 1),
        .extend = weight(from, owner, "extend", 1),
        .lease_ms = duration_ms(from, owner, "lease"),
        .delay_ms_max = duration_ms(from, owner, "delay-max"),
        .ttl_ms_max = duration_ms(from, owner, "ttl-max"),
        .work_ms_mean = duration_ms(from, owner, "work"),
        .backlog = whole(from, owner, "backlog", 1),
        .key_uses = whole(from, owner, "key-uses", 0),
        .settle_ns = duration_ms(from, owner, "settle") * NS_PER_MS,
        .drain_ns_max = duration_ms(from, owner, "drain-limit") * NS_PER_MS,
    };
    if (mix->queues > 64)
        mix->queues = 64;
    if (mix->enqueue + mix->dequeue <= 0)
        mix->enqueue = mix->dequeue = 1;
    mix->keyed = mix->key_uses > 0;
}

/* ---- Deliveries ---- */

struct value queue_name(uint32_t queue, struct arena *scratch)
{
    char text[16];
    snprintf(text, sizeof text, "q%u", queue);
    return value_string(scratch, text);
}

static int64_t number_of(struct value map, const char *name, int64_t otherwise)
{
    struct value value = value_get(map, name);
    return value_is_int(value) ? value_as_int(value) : otherwise;
}

bool queue_held_read(const struct queue_mix *mix, struct value delivery, struct queue_held *held)
{
    const char *id = value_as_text(value_get(delivery, "id"));
    const char *queue = value_as_text(value_get(delivery, "queue"));
    *held = (struct queue_held){.message = number_of(delivery, "message", -1),
                                .delivery = number_of(delivery, "delivery", 0),
                                .count = number_of(delivery, "count", 0),
                                .retry_ms = number_of(delivery, "retry", mix->lease_ms)};
    if (held->message < 0 || held->retry_ms <= 0 || *id == '\0' ||
        value_text_length(value_get(delivery, "id")) >= sizeof held->id)
        return false;
    snprintf(held->id, sizeof held->id, "%s", id);
    return sscanf(queue, "q%u", &held->queue) == 1;
}

struct value queue_held_value(const struct queue_held *held, struct arena *scratch)
{
    struct value items[] = {
        value_keyword(scratch, "message"),  value_int(scratch, held->message),
        value_keyword(scratch, "queue"),    queue_name(held->queue, scratch),
        value_keyword(scratch, "delivery"), value_int(scratch, held->delivery),
        value_keyword(scratch, "id"),       value_string(scratch, held->id),
        value_keyword(scratch, "count"),    value_int(scratch, held->count),
    };
    return value_items(scratch, VALUE_MAP, items,
                       sizeof items / sizeof *items - (held->count > 0 ? 0 : 2));
}

/* ---- The workloads ---- */

static struct queue_mix *mix_of(struct test *test, struct arena *arena)
{
    struct queue_mix *mix = arena_alloc(arena, sizeof *mix);
    queue_mix_init(mix, &test->plan->options, test->plan->workload->name, test->history);
    return mix;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    return queue_work(arena, mix_of(test, arena), test->plan->seed);
}

static struct generator *final_generator(struct test *test, struct arena *arena)
{
    struct generator *drain = queue_drain(arena, mix_of(test, arena), test->node_count);
    return generator_on_clients(arena, drain);
}

static const struct word words[] = {
    {"enqueue", "{\"message\": M, \"queue\": Q, ..}", "{:message same :queue same}",
     "sends a job; may add \"id\", and \"duplicate\": true where the key was known"},
    {"dequeue", "{\"queue\": Q, ..} | null",
     "nil | {:message int :queue text} | [{:message int :queue text}*]",
     "takes jobs, each with all that the enqueue said, \"delivery\" (unique) and \"count\"; null: "
     "none"},
    {"ack", "{\"message\": M, \"delivery\": D, ..}", "{:message same}",
     "settles a delivery; fails when refused"},
    {"nack", "{\"message\": M, \"delivery\": D, ..}", "{:message same}",
     "gives it back, after \"delay\"; with \"dead\": true for good"},
    {"extend", "{\"message\": M, \"delivery\": D, ..}", "{:message same}",
     "makes the lease \"retry\" milliseconds from now"},
    {"drain", "{\"queue\": Q} | null", "nil | :exhausted | {:message int} | [{:message int}*]",
     "takes and settles all there is; null or \"exhausted\": nothing"},
    {"length", "{\"queue\": Q}", "int | {:length int}", "how many jobs there are"},
    {.f = NULL},
};

static const char *const judged_by[] = {"delivery", "stats",  "availability",
                                        "crashes",  "faults", NULL};

const struct workload workload_queue = {
    .name = "queue",
    .summary = "jobs with leases, delays, priorities, times to live: is what was promised kept?",
    .options = options,
    .checkers = judged_by,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};

const struct workload workload_queue_keys = {
    .name = "queue-keys",
    .summary = "the same keys from many producers: is there one job for each?",
    .options = key_options,
    .checkers = judged_by,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
