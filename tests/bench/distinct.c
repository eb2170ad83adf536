/* How long histories with distinct values take, which monitors decide: one line per history, each
 * in a process of its own. Fails when a verdict is wrong or not certified, or takes more than 2 s
 * of processor time. One argument: that many seeds, else one. With more (FAMILY OPERATIONS CLIENTS
 * INFO SEED valid|bad) the history goes to standard output instead, as EDN. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/prng.h"
#include "harness/checker.h"

struct sample {
    const char *model;
    uint32_t ops, clients;
    double info;
    bool bad;
    uint64_t seed;
};

/* ---- The object: elements in an array, which is a ring, a pile, a heap, or in no order ---- */

struct object {
    const char *model, *insert, *remove;
    int64_t *items, register_value;
    size_t first, count;
};

static void swap(int64_t *a, int64_t *b)
{
    int64_t kept = *a;
    *a = *b;
    *b = kept;
}

static bool is(const struct object *object, const char *model)
{
    return strcmp(object->model, model) == 0;
}

static void insert(struct object *object, int64_t value)
{
    int64_t *items = object->items + object->first;
    size_t at = object->count++;
    items[at] = value;
    for (; is(object, "priority-queue") && at > 0 && items[(at - 1) / 2] > value; at = (at - 1) / 2)
        swap(&items[at], &items[(at - 1) / 2]);
}

static int64_t take(struct object *object, struct prng *prng)
{
    int64_t *items = object->items + object->first;
    if (is(object, "fifo-queue")) {
        object->count--;
        object->first++;
        return items[0];
    }
    size_t at = is(object, "stack")            ? object->count - 1
                : is(object, "priority-queue") ? 0
                                               : prng_below(prng, object->count);
    int64_t taken = items[at];
    items[at] = items[--object->count];
    for (size_t child = 1; is(object, "priority-queue") && child < object->count;) {
        child += child + 1 < object->count && items[child + 1] < items[child];
        if (items[child] >= items[at])
            break;
        swap(&items[child], &items[at]);
        at = child;
        child = 2 * at + 1;
    }
    return taken;
}

/* ---- Clients, always busy ---- */

enum stage { IDLE, ASKED, HAPPENED };
struct client {
    enum stage stage;
    int32_t process;
    bool inserts, lost;
    int64_t value; /* asked or answered; -1: nothing */
};

struct making {
    const struct sample *sample;
    struct object object;
    struct prng prng;
    struct history *history;
    struct client *clients;
    uint32_t asked;
    int64_t fresh;
    int32_t next_process;
    int64_t kept; /* of a bad one: an old answer, to be given once more; -1: none */
};

static void record(struct making *m, struct client *client, enum op_type type)
{
    struct op op = {.type = type, .process = client->process, .time_ns = m->history->count};
    op.f = history_f(m->history, client->inserts ? m->object.insert : m->object.remove);
    if (client->value >= 0 && (client->inserts || type == OP_OK))
        op.value = value_int(NULL, client->value);
    enum err_code code = ERR_NONE;
    (void)history_append_own(m->history, &op, &code);
    assert(code == ERR_NONE);
}

static void ask(struct making *m, struct client *client)
{
    client->inserts = prng_below(&m->prng, 2) == 0;
    client->lost = prng_unit(&m->prng) < m->sample->info;
    client->value = -1;
    if (client->inserts)
        client->value = is(&m->object, "priority-queue")
                            ? (int64_t)((uint64_t)m->fresh++ * 2654435761U % 4294967291U)
                            : m->fresh++;
    m->asked++;
    record(m, client, OP_INVOKE);
    client->stage = ASKED;
}

static void happen(struct making *m, struct client *client)
{
    struct object *object = &m->object;
    client->stage = HAPPENED;
    if (client->lost && prng_below(&m->prng, 2) == 0)
        return; /* it never did */
    if (is(object, "register") || is(object, "cas-register")) {
        if (client->inserts)
            object->register_value = client->value;
        else
            client->value = object->register_value;
    } else if (client->inserts) {
        insert(object, client->value);
    } else if (object->count > 0) {
        client->value = take(object, &m->prng);
    }
    if (client->inserts || client->lost || !m->sample->bad)
        return;
    /* A bad history gives one answer, from the middle, once more near the end. */
    if (m->kept == -1 && m->asked > m->sample->ops / 2)
        m->kept = client->value;
    else if (m->kept >= 0 && m->asked > m->sample->ops - m->sample->ops / 10) {
        client->value = m->kept;
        m->kept = -2;
    }
}

static void finish(struct making *m, struct client *client)
{
    record(m, client, client->lost ? OP_INFO : OP_OK);
    if (client->lost)
        client->process = m->next_process++;
    client->stage = IDLE;
}

static void make(const struct sample *sample, struct history *history)
{
    bool registers = strstr(sample->model, "register") != NULL;
    bool stack = strcmp(sample->model, "stack") == 0;
    struct making m = {.sample = sample,
                       .object = {.model = sample->model,
                                  .insert = registers ? "write"
                                            : stack   ? "push"
                                                      : "enqueue",
                                  .remove = registers ? "read"
                                            : stack   ? "pop"
                                                      : "dequeue",
                                  .register_value = -1},
                       .prng = prng_stream(sample->seed, sample->model),
                       .history = history,
                       .kept = -1};
    m.object.items = calloc((size_t)sample->ops + 1, sizeof *m.object.items);
    m.clients = calloc(sample->clients, sizeof *m.clients);
    assert(m.object.items != NULL && m.clients != NULL);
    for (uint32_t i = 0; i < sample->clients; i++)
        m.clients[i].process = m.next_process++;
    history_init(history);
    for (uint32_t busy = sample->clients; busy > 0 || m.asked < sample->ops;) {
        struct client *client = &m.clients[prng_below(&m.prng, sample->clients)];
        if (client->stage == IDLE && m.asked < sample->ops)
            ask(&m, client);
        else if (client->stage == ASKED)
            happen(&m, client);
        else if (client->stage == HAPPENED)
            finish(&m, client);
        busy = 0;
        for (uint32_t i = 0; i < sample->clients && m.asked == sample->ops; i++)
            busy += m.clients[i].stage != IDLE;
    }
    free(m.object.items);
    free(m.clients);
    struct err err = ERR_INIT;
    enum err_code code = history_pair(history, &err);
    assert(code == ERR_NONE);
    (void)code;
}

static bool measure(const struct sample *sample)
{
    struct history history;
    make(sample, &history);
    struct check_input input = {
        .history = &history,
        .limits = {.time_ns = 60 * NS_PER_SECOND, .memory_bytes = (size_t)4 << 30, .threads = 1},
        .options = {.values = json_object()}};
    option_defaults(&input.options, "linearizable", checker_find("linearizable")->options);
    json_set_text(input.options.values, "linearizable.model", sample->model);
    enum verdict verdict;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    int64_t began_ns = clock_monotonic_ns();
    struct json *results = check_all((const char *const[]){"linearizable"}, 1, &input, &verdict);
    double seconds = (double)(clock_monotonic_ns() - began_ns) / 1e9;
    getrusage(RUSAGE_SELF, &after);
    const struct json *result = json_get(json_get(results, "checkers"), "linearizable");
    double user = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                  (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6;
    printf("%-15s %8u ops %3u clients %3.0f%% info  %-5s  seed %2u  %-8s %7.3f s  user %7.3f s  "
           "resident "
           "%8ld kB  %s, certified %s\n",
           sample->model, sample->ops, sample->clients, sample->info * 100,
           sample->bad ? "bad" : "valid", (unsigned)sample->seed, verdict_name(verdict), seconds,
           user, after.ru_maxrss,
           json_as_text(json_get(json_get(result, "worst-key"), "decided-by"), "?"),
           json_as_bool(json_get(result, "certified"), false) ? "yes" : "no");
    bool good = verdict == (sample->bad ? VERDICT_INVALID : VERDICT_VALID) && user <= 2 &&
                json_as_bool(json_get(result, "certified"), false);
    if (!good)
        printf("  not as demanded: within 2 s, rightly, with a certificate\n");
    json_free(results);
    json_free(input.options.values);
    history_free(&history);
    return good;
}

static bool measure_apart(const struct sample *sample)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        bool met = measure(sample);
        fflush(stdout);
        _exit(met ? 0 : 1);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static int write_history(char **arguments)
{
    struct sample sample = {.model = arguments[0],
                            .ops = (uint32_t)strtoul(arguments[1], NULL, 10),
                            .clients = (uint32_t)strtoul(arguments[2], NULL, 10),
                            .info = strtod(arguments[3], NULL),
                            .seed = strtoull(arguments[4], NULL, 10),
                            .bad = strcmp(arguments[5], "bad") == 0};
    struct history history;
    make(&sample, &history);
    for (uint32_t i = 0; i < history.count; i++) {
        struct buf line = BUF_INIT;
        history_print_op(&history, i, &line);
        printf("%s\n", buf_text(&line));
        buf_free(&line);
    }
    history_free(&history);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const families[] = {"register",        "cas-register", "fifo-queue",
                                           "unordered-queue", "stack",        "priority-queue"};
    if (argc == 7)
        return write_history(argv + 1);
    uint64_t seeds = argc == 2 ? strtoull(argv[1], NULL, 10) : 1;
    bool good = seeds > 0;
    for (size_t i = 0; i < sizeof families / sizeof families[0] * 3; i++)
        for (uint64_t seed = 1; seed <= seeds; seed++)
            good = measure_apart(&(struct sample){.model = families[i / 3],
                                                  .ops = 1000000,
                                                  .clients = 20,
                                                  .info = i % 3 == 1 ? 0.01 : 0,
                                                  .bad = i % 3 == 2,
                                                  .seed = seed}) &&
                   good;
    return good ? 0 : 1;
}
