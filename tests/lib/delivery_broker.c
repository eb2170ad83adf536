/* An imaginary queue: see delivery_broker.h. */
#include "tests/lib/delivery_broker.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"

enum { CLIENTS = 8, PRODUCERS = 3, MESSAGES_MAX = 400, WORK_MS = 700, NONE = -1, HELD_MAX = 4 };

struct job {
    int sent_at; /* NONE: not in the queue */
    int delay, ttl, retry, key;
    int free_at, attempt, token;
    bool acked, dead, gone, kept; /* kept: though its enqueue was refused */
};

struct held { /* by a consumer */
    int message, token;
};

struct client {
    int32_t process;
    int idle_until;
    bool busy;
    char f; /* e d a n x + r: enqueue dequeue ack nack dead extend drain */
    int effect_at, complete_at;
    enum op_type outcome;
    int message, token, delay;
    struct value reply;
    bool effected;
    struct held held[HELD_MAX];
    int held_count;
};

/* A request whose client gave up, on its way all the same. */
struct late {
    struct client request;
    int at;
};

struct broker {
    enum broker_defect defect;
    struct prng prng;
    struct history *history;
    struct job jobs[MESSAGES_MAX];
    int job_count, tokens, now;
    bool quiet; /* nothing is lost any more */
    int32_t processes;
    struct client clients[CLIENTS];
    struct late late[64];
    int late_count;
};

static int draw(struct broker *broker, int low, int high)
{
    return (int)prng_between(&broker->prng, low, high);
}

static bool chance(struct broker *broker, int percent)
{
    return draw(broker, 0, 99) < percent;
}

/* ---- Events ---- */

static const char *name_of(char f)
{
    switch (f) {
    case 'e':
        return "enqueue";
    case 'd':
        return "dequeue";
    case 'a':
        return "ack";
    case '+':
        return "extend";
    case 'r':
        return "drain";
    default:
        return "nack";
    }
}

static void record(struct broker *broker, const struct client *client, enum op_type type,
                   struct value value)
{
    struct op op = {.type = type,
                    .process = client->process,
                    .f = history_f(broker->history, name_of(client->f)),
                    .value = value,
                    .time_ns = broker->now * NS_PER_MS};
    enum err_code code;
    history_append_own(broker->history, &op, &code);
    assert(code == ERR_NONE);
}

struct fields {
    struct arena *arena;
    struct value items[24];
    size_t count;
};

static void put(struct fields *fields, const char *name, int number)
{
    if (number == NONE)
        return;
    fields->items[fields->count++] = value_keyword(fields->arena, name);
    fields->items[fields->count++] = value_int(fields->arena, number);
}

static struct value map_of(struct fields *fields)
{
    return value_items(fields->arena, VALUE_MAP, fields->items, fields->count);
}

static struct value told(struct broker *broker, int message, int token, int count)
{
    struct fields fields = {.arena = &broker->history->arena};
    put(&fields, "message", message);
    put(&fields, "delivery", token);
    put(&fields, "count", count);
    return map_of(&fields);
}

static struct value asked(struct broker *broker, const struct client *client)
{
    struct fields fields = {.arena = &broker->history->arena};
    const struct job *job = client->message == NONE ? NULL : &broker->jobs[client->message];
    if (job == NULL)
        return value_nil();
    put(&fields, "message", client->message);
    if (client->f == 'e') {
        put(&fields, "producer", (int)(client - broker->clients));
        put(&fields, "delay", job->delay);
        put(&fields, "ttl", job->ttl);
        put(&fields, "retry", job->retry);
        put(&fields, "key", job->key);
    } else {
        put(&fields, "delivery", client->token);
        put(&fields, client->f == '+' ? "retry" : "delay", client->delay);
    }
    if (client->f == 'x') {
        fields.items[fields.count++] = value_keyword(fields.arena, "dead");
        fields.items[fields.count++] = value_bool(true);
    }
    return map_of(&fields);
}

/* ---- The broker ---- */

static bool lives(const struct broker *broker, const struct job *job)
{
    bool expired = job->ttl != NONE && broker->now > job->sent_at + job->ttl;
    if (broker->defect == BROKER_TTL)
        expired = false;
    if (broker->defect == BROKER_TTL_EARLY && job->ttl > 50)
        expired = expired || broker->now > job->sent_at + 1;
    return job->sent_at != NONE && !job->acked && !job->gone && !expired &&
           (!job->dead || broker->defect == BROKER_DEAD_AGAIN);
}

static int next_job(struct broker *broker)
{
    int found = NONE, best = 0;
    for (int i = 0; i < broker->job_count; i++) {
        const struct job *job = &broker->jobs[i];
        if (!lives(broker, job) || broker->now < job->free_at)
            continue;
        int rank = broker->defect == BROKER_LAST_FIRST ? -job->sent_at : job->sent_at;
        if (found == NONE || rank < best) {
            found = i;
            best = rank;
        }
    }
    return found;
}

static void lease(struct broker *broker, struct job *job)
{
    int retry = job->retry;
    if (broker->defect == BROKER_SHORT_LEASE)
        retry /= 3;
    if (broker->defect == BROKER_STUCK && chance(broker, 30))
        retry = 1000000;
    job->free_at = broker->now + retry;
    job->attempt += broker->defect != BROKER_COUNT || job->attempt == 0;
    job->gone = job->retry == 0;
    if (broker->defect == BROKER_TWICE && job->retry == 0 && job->attempt < 2) {
        job->gone = false;
        job->free_at = broker->now + 5;
    }
    bool shared = broker->defect == BROKER_SHARED && job->attempt == 1 && job->retry > 0 &&
                  chance(broker, 20);
    job->token = broker->tokens++;
    if (shared)
        job->token = -job->token - 2; /* told twice: see dequeue */
}

static void dequeue(struct broker *broker, struct client *client)
{
    int i = next_job(broker);
    client->reply = value_nil();
    client->message = NONE;
    if (i == NONE)
        return;
    struct job *job = &broker->jobs[i];
    bool again = job->token < NONE; /* somebody was given this very delivery */
    if (again)
        job->token = -job->token - 2;
    else
        lease(broker, job);
    if (job->token < NONE)
        job->free_at = broker->now;
    else if (again)
        job->free_at = broker->now + job->retry;
    int token = job->token < NONE ? -job->token - 2 : job->token;
    client->message = i;
    client->token = token;
    client->reply = told(broker, i, token, job->attempt);
}

static bool enqueue(struct broker *broker, struct client *client)
{
    struct job *job = &broker->jobs[client->message];
    client->reply = asked(broker, client);
    for (int i = 0; i < broker->job_count && job->key != NONE; i++)
        if (i != client->message && broker->jobs[i].key == job->key &&
            lives(broker, &broker->jobs[i]) && broker->defect != BROKER_KEYS) {
            struct fields fields = {.arena = &broker->history->arena};
            put(&fields, "message", client->message);
            put(&fields, "key", job->key);
            fields.items[fields.count++] = value_keyword(fields.arena, "duplicate");
            fields.items[fields.count++] = value_bool(true);
            client->reply = map_of(&fields);
            return true;
        }
    job->sent_at = broker->now;
    job->free_at = broker->now;
    if (job->delay != NONE && broker->defect != BROKER_DELAY)
        job->free_at += job->delay;
    if (broker->defect == BROKER_LOSES && chance(broker, 4))
        job->gone = true;
    return true;
}

static bool settle(struct broker *broker, struct client *client)
{
    struct job *job = &broker->jobs[client->message];
    int current = job->token < NONE ? -job->token - 2 : job->token;
    client->reply = asked(broker, client);
    bool ended = job->acked || job->dead || job->gone || !lives(broker, job);
    if (ended || (current != client->token && broker->defect != BROKER_UNFENCED))
        return false;
    if (client->f == 'a')
        job->acked = broker->defect != BROKER_AFTER_ACK || !chance(broker, 15);
    else if (client->f == 'x')
        job->dead = true;
    else if (client->f == 'n')
        job->free_at =
            broker->now +
            (broker->defect == BROKER_NACK_NOW || client->delay == NONE ? 0 : client->delay);
    else
        job->free_at = broker->now + client->delay;
    return true;
}

static void drain(struct broker *broker, struct client *client)
{
    struct value items[MESSAGES_MAX];
    size_t count = 0;
    for (int i; (i = next_job(broker)) != NONE;) {
        items[count++] = told(broker, i, NONE, NONE);
        broker->jobs[i].acked = true;
    }
    client->reply = value_items(&broker->history->arena, VALUE_VECTOR, items, count);
}

/* Does what was asked; false when it is refused. */
static bool effect(struct broker *broker, struct client *client)
{
    switch (client->f) {
    case 'e':
        return enqueue(broker, client);
    case 'd':
        dequeue(broker, client);
        return true;
    case 'r':
        drain(broker, client);
        return true;
    default:
        return settle(broker, client);
    }
}

/* ---- Clients ---- */

static void new_message(struct broker *broker, struct client *client)
{
    client->message = broker->job_count++;
    broker->jobs[client->message] = (struct job){
        .sent_at = NONE,
        .delay = chance(broker, 15) ? draw(broker, 10, 60) : NONE,
        .ttl = chance(broker, 10)  ? draw(broker, 20, 300)
               : chance(broker, 8) ? 100000
                                   : NONE,
        .retry = chance(broker, 15) ? 0 : draw(broker, 30, 90),
        .key = chance(broker, 15) ? draw(broker, 0, 3) : NONE,
        .token = NONE,
    };
}

static void choose(struct broker *broker, struct client *client, bool producer)
{
    client->message = client->token = client->delay = NONE;
    if (producer) {
        client->f = 'e';
        new_message(broker, client);
        return;
    }
    client->f = 'd';
    if (client->held_count == 0 || chance(broker, 30))
        return;
    struct held held = client->held[--client->held_count];
    if (chance(broker, 20))
        return; /* forgets it: a crash between delivery and acknowledgement */
    client->f = "aaaaannnx+"[draw(broker, 0, 9)];
    client->message = held.message;
    client->token = held.token;
    client->delay = client->f == 'n' && chance(broker, 60) ? draw(broker, 5, 80)
                    : client->f == '+'                     ? draw(broker, 20, 100)
                                                           : NONE;
    if (client->f == '+' && client->held_count < HELD_MAX)
        client->held[client->held_count++] = held;
}

static void begin(struct broker *broker, struct client *client)
{
    client->busy = true;
    client->effected = false;
    client->effect_at =
        broker->now + (chance(broker, 5) ? draw(broker, 1, 120) : draw(broker, 0, 3));
    client->complete_at =
        client->effect_at + (chance(broker, 5) ? draw(broker, 1, 120) : draw(broker, 0, 3));
    client->outcome = OP_OK;
    record(broker, client, OP_INVOKE, asked(broker, client));
    if (!broker->quiet && chance(broker, 6)) {
        client->outcome = OP_INFO;
        client->complete_at = broker->now + draw(broker, 5, 30);
        if (chance(broker, 60) && broker->late_count < 64)
            broker->late[broker->late_count++] =
                (struct late){*client, broker->now + draw(broker, 0, BROKER_LATE_MS)};
    } else if (client->f == 'e' && chance(broker, 5)) {
        client->outcome = OP_FAIL; /* refused, and that is true but for one defect */
        if (broker->defect == BROKER_PHANTOMS)
            broker->late[broker->late_count++ % 64] = (struct late){*client, broker->now + 1};
    }
}

static void complete(struct broker *broker, struct client *client)
{
    client->busy = false;
    client->idle_until = broker->now + draw(broker, 0, 6);
    if (client->outcome == OP_INFO) {
        record(broker, client, OP_INFO, asked(broker, client));
        client->process = broker->processes++;
        client->held_count = 0;
        return;
    }
    bool brings = client->f == 'd' || client->f == 'r';
    record(broker, client, client->outcome,
           brings || client->outcome == OP_OK ? client->reply : asked(broker, client));
    if (client->f == 'd' && client->message != NONE && client->held_count < HELD_MAX)
        client->held[client->held_count++] = (struct held){client->message, client->token};
}

static void advance(struct broker *broker, struct client *client)
{
    if (client->busy && !client->effected && client->outcome == OP_OK &&
        broker->now >= client->effect_at) {
        client->effected = true;
        if (!effect(broker, client))
            client->outcome = OP_FAIL;
    }
    if (client->busy && broker->now >= client->complete_at)
        complete(broker, client);
}

static void tick(struct broker *broker, bool work)
{
    for (int i = 0; i < broker->late_count && i < 64; i++)
        if (broker->late[i].at == broker->now)
            (void)effect(broker, &broker->late[i].request);
    int first = draw(broker, 0, CLIENTS - 1);
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &broker->clients[(first + i) % CLIENTS];
        bool producer = client - broker->clients < PRODUCERS;
        advance(broker, client);
        if (client->busy || broker->now < client->idle_until || !work ||
            (producer && broker->job_count == MESSAGES_MAX))
            continue;
        choose(broker, client, producer);
        begin(broker, client);
        advance(broker, client);
    }
    broker->now++;
}

/* The last phase: all is quiet until every lease is over for long, then everybody drains. */
static void finish(struct broker *broker)
{
    int until = broker->now + 2 * BROKER_LATE_MS + 2 * BROKER_REACTION_MS + 300;
    broker->quiet = true;
    while (broker->now < until)
        tick(broker, false);
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &broker->clients[i];
        client->f = i < 6 ? 'd' : 'r';
        client->message = client->token = client->delay = NONE;
        begin(broker, client);
        client->outcome = OP_OK;
        client->complete_at = broker->now + 5;
        client->effect_at = broker->now;
        while (client->busy)
            tick(broker, false);
    }
}

void broker_history(enum broker_defect defect, uint64_t seed, struct history *history)
{
    static struct broker broker;
    char name[48];
    struct err err = ERR_INIT;
    memset(&broker, 0, sizeof broker);
    history_init(history);
    snprintf(name, sizeof name, "broker %d %llu", (int)defect, (unsigned long long)seed);
    broker.defect = defect;
    broker.prng = prng_stream(seed, name);
    broker.history = history;
    for (int i = 0; i < CLIENTS; i++)
        broker.clients[i].process = broker.processes++;
    while (broker.now < WORK_MS)
        tick(&broker, true);
    finish(&broker);
    enum err_code code = history_pair(history, &err);
    assert(code == ERR_NONE);
    (void)code;
}
