/* What the promises of a queue mean, by brute force: see delivery_oracle.h. */
#include "tests/lib/delivery_oracle.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"

const char *const oracle_promise_names[ORACLE_PROMISES] = {
    [ORACLE_NO_LOSS] = "no-loss",
    [ORACLE_NO_PHANTOM] = "no-phantom",
    [ORACLE_AT_MOST_ONCE] = "at-most-once",
    [ORACLE_AFTER_ACK] = "no-redelivery-after-ack",
    [ORACLE_EXCLUSIVE] = "exclusive-lease",
    [ORACLE_DELAY] = "delay",
    [ORACLE_TTL] = "ttl",
    [ORACLE_RETRY] = "retry",
    [ORACLE_COUNT] = "redelivery-count",
    [ORACLE_ORDER] = "order",
    [ORACLE_STUCK] = "no-stuck",
    [ORACLE_DEAD_LETTER] = "dead-letter",
    [ORACLE_FENCING] = "fencing",
    [ORACLE_UNIQUE_KEY] = "unique-key",
    [ORACLE_EXACTLY_ONCE] = "exactly-once",
};

/* ---- The imaginary broker ---- */

struct message_state {
    int sent_at; /* ORACLE_NONE: not yet */
    int place;   /* in the order of sending */
    int deliveries, counted, seen;
    int token;      /* of the latest delivery */
    int holder;     /* process */
    int free_at;    /* when it may be delivered again */
    int hidden_at;  /* the latest delivery that nobody saw; ORACLE_NONE */
    int drained_to; /* when the first to end of what acknowledged it was over; ORACLE_NONE: not by
                       drains to begin with */
    bool nacked;    /* because of a nack, not of a lease */
    bool acked, dead, gone;
};

struct world { /* without padding: it is hashed as bytes */
    struct message_state messages[ORACLE_MESSAGES_MAX];
    int sent;
    unsigned done;                    /* bits by operation: it had its effect */
    unsigned drained[ORACLE_OPS_MAX]; /* bits by item, by operation */
};

/* Operations that cannot matter are left out: those on other messages where a promise is about each
 * message by itself, and where what nobody saw can only do harm, what nobody saw. */
static const struct scope {
    bool each;    /* about each message by itself */
    bool seen;    /* deliveries matter */
    bool unseen;  /* deliveries that nobody saw may explain something */
    bool settles; /* acknowledgements and the like matter ... */
    bool infos;   /* ... also those of unknown outcome */
    bool ordered; /* only the order of events matters, not the time between them */
} scopes[ORACLE_PROMISES] = {
    [ORACLE_NO_LOSS] = {.unseen = true},
    [ORACLE_NO_PHANTOM] = {.each = true, .seen = true, .ordered = true},
    [ORACLE_AT_MOST_ONCE] = {.each = true, .seen = true, .ordered = true},
    [ORACLE_AFTER_ACK] = {.each = true, .seen = true, .settles = true, .ordered = true},
    [ORACLE_EXCLUSIVE] = {.each = true, .seen = true, .settles = true, .infos = true},
    [ORACLE_DELAY] = {.each = true, .seen = true},
    [ORACLE_TTL] = {.each = true, .seen = true},
    [ORACLE_RETRY] = {.each = true, .seen = true, .settles = true, .infos = true},
    [ORACLE_COUNT] = {.seen = true, .unseen = true, .ordered = true},
    [ORACLE_ORDER] = {.seen = true, .unseen = true, .ordered = true},
    [ORACLE_STUCK] = {.seen = true, .unseen = true, .settles = true, .infos = true},
    [ORACLE_DEAD_LETTER] = {.each = true, .seen = true, .settles = true, .ordered = true},
    [ORACLE_FENCING] = {.each = true, .seen = true, .settles = true, .ordered = true},
    [ORACLE_UNIQUE_KEY] = {.seen = true, .unseen = true, .settles = true, .infos = true},
    [ORACLE_EXACTLY_ONCE] = {.each = false}, /* needs no search */
};

struct search {
    const struct oracle_case *one;
    enum oracle_promise promise;
    const struct scope *scope;
    const struct oracle_op *sends[ORACLE_MESSAGES_MAX]; /* the enqueue of each message */
    bool phantom[ORACLE_MESSAGES_MAX]; /* delivered though it cannot have been: what else? */
    int drain_from, drain_to;          /* the last drains; ORACLE_NONE unless all ended well */
    bool ordered;                      /* see scopes */
    long steps;
    uint64_t number; /* of this search */
};

static bool is_visible(const struct search *search, int message)
{
    for (int i = 0; i < search->one->op_count; i++) {
        const struct oracle_op *op = &search->one->ops[i];
        if (op->outcome != OP_OK)
            continue;
        if (op->f == ORACLE_DEQUEUE && op->message == message)
            return true;
        for (int j = 0; op->f == ORACLE_DRAIN && j < op->batch_count; j++)
            if (op->batch[j] == message)
                return true;
    }
    return false;
}

/* ---- Effects: false when the promise is broken by it ---- */

static bool order_is_kept(const struct search *search, const struct world *world, int message)
{
    const struct oracle_op *send = search->sends[message];
    for (int other = 0; other < ORACLE_MESSAGES_MAX; other++) {
        const struct oracle_op *others = search->sends[other];
        if (other == message || others == NULL || others->producer != send->producer ||
            others->key != send->key || others->delay > 0 || send->delay > 0)
            continue;
        if (world->messages[other].deliveries > 0 &&
            world->messages[message].place < world->messages[other].place)
            return false;
    }
    return true;
}

/* Acknowledged by drains that were not over when this one began: all may have had it before. */
static bool at_once(const struct search *search, const struct message_state *state, int drain_op)
{
    return state->drained_to != ORACLE_NONE && search->one->ops[drain_op].from < state->drained_to;
}

static void acknowledge(struct message_state *state, int to, bool first_and_drain)
{
    if (first_and_drain || (state->drained_to != ORACLE_NONE && to < state->drained_to))
        state->drained_to = to;
    state->acked = true;
}

static bool deliver(const struct search *search, struct world *world, int message, int process,
                    int token, int count, bool hidden, int drain_op, int now)
{
    struct message_state *state = &world->messages[message];
    const struct oracle_op *send = search->sends[message];
    bool drain = drain_op != ORACLE_NONE;
    if (search->phantom[message])
        return search->promise != ORACLE_NO_PHANTOM;
    bool again = state->deliveries > 0 && !state->acked && !state->dead && !drain &&
                 send->retry != 0 && now < state->free_at;
    if (state->sent_at == ORACLE_NONE)
        return false;
    switch (search->promise) {
    case ORACLE_AT_MOST_ONCE:
        if (send->retry == 0 && state->seen > 0 && !hidden)
            return false;
        break;
    case ORACLE_AFTER_ACK:
        if (state->acked && !(drain && send->retry > 0 && at_once(search, state, drain_op)))
            return false;
        break;
    case ORACLE_EXCLUSIVE:
        if (again && !state->nacked && state->holder != process)
            return false;
        break;
    case ORACLE_RETRY:
        if (again)
            return false;
        break;
    case ORACLE_DELAY:
        if (send->delay > 0 && now < state->sent_at + send->delay)
            return false;
        break;
    case ORACLE_TTL:
        if (send->ttl != ORACLE_NONE && now > state->sent_at + send->ttl)
            return false;
        break;
    case ORACLE_COUNT:
        if (!hidden && !drain && count != ORACLE_NONE && count != state->counted + 1)
            return false;
        break;
    case ORACLE_ORDER:
        if (state->deliveries == 0 && !order_is_kept(search, world, message))
            return false;
        break;
    case ORACLE_DEAD_LETTER:
        if (state->dead)
            return false;
        break;
    default:
        break;
    }
    state->deliveries++;
    state->counted += !drain;
    state->seen += !hidden;
    state->holder = process;
    state->token = hidden ? -2 : token;
    state->free_at = send->retry == ORACLE_NONE ? now : now + send->retry;
    state->nacked = false;
    if (hidden)
        state->hidden_at = now;
    if (drain)
        acknowledge(state, search->one->ops[drain_op].to, !state->acked);
    if (send->retry == 0)
        state->gone = true;
    return true;
}

static bool lives(const struct search *search, const struct message_state *state, int message,
                  int now)
{
    const struct oracle_op *send = search->sends[message];
    return state->sent_at != ORACLE_NONE && !state->acked && !state->dead && !state->gone &&
           (send->ttl == ORACLE_NONE || now < state->sent_at + send->ttl);
}

/* Somebody is told that there is nothing: true unless a message has waited too long. */
static bool may_be_empty(const struct search *search, const struct world *world, int now)
{
    for (int message = 0; message < ORACLE_MESSAGES_MAX; message++) {
        const struct oracle_op *send = search->sends[message];
        const struct message_state *state = &world->messages[message];
        if (send == NULL || send->outcome != OP_OK || !lives(search, state, message, now))
            continue;
        int ready = state->deliveries > 0 ? state->free_at
                                          : state->sent_at + (send->delay > 0 ? send->delay : 0);
        if (state->deliveries > 0 && send->retry == ORACLE_NONE)
            continue;
        if (now >= ready + search->one->stuck)
            return false;
    }
    return true;
}

static bool settle(const struct search *search, struct world *world, const struct oracle_op *op,
                   int now)
{
    struct message_state *state = &world->messages[op->message];
    bool stale = op->token != ORACLE_NONE && state->token != op->token;
    if (search->promise == ORACLE_FENCING && op->outcome == OP_OK && stale)
        return false;
    if (op->f == ORACLE_ACK || op->f == ORACLE_DEAD) {
        bool other_end = op->f == ORACLE_ACK ? state->dead : state->acked;
        if (search->promise == ORACLE_DEAD_LETTER && other_end && op->outcome == OP_OK)
            return false;
        if (op->f == ORACLE_ACK)
            acknowledge(state, op->outcome == OP_OK ? op->to : INT_MAX, false);
        else
            state->dead = true;
        return true;
    }
    int delay = op->f == ORACLE_NACK ? (op->delay > 0 ? op->delay : 0) : op->retry;
    state->free_at = now + delay;
    state->nacked = op->f == ORACLE_NACK;
    return true;
}

static bool send(const struct search *search, struct world *world, const struct oracle_op *op,
                 int now)
{
    struct message_state *state = &world->messages[op->message];
    if (search->promise == ORACLE_UNIQUE_KEY && op->key != ORACLE_NONE)
        for (int other = 0; other < ORACLE_MESSAGES_MAX; other++)
            if (other != op->message && search->sends[other] != NULL &&
                search->sends[other]->key == op->key &&
                lives(search, &world->messages[other], other, now))
                return false;
    state->sent_at = now;
    state->place = world->sent++;
    return true;
}

/* ---- At the end ---- */

/* Whether the last drains can have missed the message though it was accepted. */
static bool is_excused(const struct search *search, const struct message_state *state, int message)
{
    const struct oracle_op *send = search->sends[message];
    int delay = send->delay > 0 ? send->delay : 0;
    if (search->drain_from == ORACLE_NONE)
        return true;
    if (state->sent_at + delay + (delay > 0 ? search->one->stuck : 0) > search->drain_from)
        return true;
    if (send->ttl != ORACLE_NONE && state->sent_at + send->ttl <= search->drain_to)
        return true;
    if (state->hidden_at == ORACLE_NONE || state->hidden_at > search->drain_to)
        return false;
    return send->retry <= 0 ||
           state->hidden_at + send->retry + search->one->stuck >= search->drain_from;
}

static bool all_accounted_for(const struct search *search, const struct world *world)
{
    for (int message = 0; message < ORACLE_MESSAGES_MAX; message++) {
        const struct oracle_op *op = search->sends[message];
        if (op != NULL && op->outcome == OP_OK && !is_visible(search, message) &&
            !is_excused(search, &world->messages[message], message))
            return false;
    }
    return true;
}

/* What waited long before the last drains began was found by them: asked when they are over, as
 * somebody may take it unseen later. */
static bool drains_found_all(const struct search *search, const struct world *world)
{
    for (int message = 0; message < ORACLE_MESSAGES_MAX; message++) {
        const struct oracle_op *op = search->sends[message];
        const struct message_state *state = &world->messages[message];
        if (op != NULL && op->outcome == OP_OK && state->deliveries > 0 && op->retry > 0 &&
            lives(search, state, message, search->drain_to) &&
            state->free_at + search->one->stuck <= search->drain_from)
            return false;
    }
    return true;
}

static bool end_is_kept(const struct search *search, const struct world *world)
{
    if (search->promise == ORACLE_NO_LOSS)
        return all_accounted_for(search, world);
    return true;
}

/* ---- All ways ---- */

/* The same world at the same time has the same future, and if that had been good the search would
 * have ended. Worlds are told apart by a hash of 64 bits. */
static bool was_tried(const struct search *search, const struct world *world, int now)
{
    enum { SLOTS = 1 << 12 };
    static struct {
        uint64_t hash, search;
    } slots[SLOTS];
    const unsigned char *bytes = (const unsigned char *)world;
    uint64_t hash = ((uint64_t)now + 1) * UINT64_C(0xd6e8feb86659fd93);
    for (size_t i = 0; i + 8 <= sizeof *world; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    if (slots[hash % SLOTS].hash == hash && slots[hash % SLOTS].search == search->number)
        return true;
    slots[hash % SLOTS].hash = hash;
    slots[hash % SLOTS].search = search->number;
    return false;
}

static bool try_from(struct search *search, const struct world *world, int now);

/* Lets `op` take effect now and goes on; `hidden` is what an indeterminate dequeue takes. */
static bool apply(struct search *search, const struct world *before, int i, int item, int now)
{
    const struct oracle_op *op = &search->one->ops[i];
    struct world world = *before;
    bool kept = true;
    world.done |= 1u << i;
    switch (op->f) {
    case ORACLE_ENQUEUE:
        kept = send(search, &world, op, now);
        break;
    case ORACLE_DEQUEUE:
        if (op->outcome == OP_INFO)
            kept = deliver(search, &world, item, op->process, ORACLE_NONE, ORACLE_NONE, true,
                           ORACLE_NONE, now);
        else if (op->message == ORACLE_NONE)
            kept = search->promise != ORACLE_STUCK || may_be_empty(search, &world, now);
        else
            kept = deliver(search, &world, op->message, op->process, op->token, op->count, false,
                           ORACLE_NONE, now);
        break;
    case ORACLE_DRAIN:
        world.drained[i] |= 1u << item;
        if (world.drained[i] != (1u << op->batch_count) - 1)
            world.done &= ~(1u << i);
        kept = deliver(search, &world, op->batch[item], op->process, ORACLE_NONE, ORACLE_NONE,
                       false, i, now);
        break;
    default:
        kept = settle(search, &world, op, now);
        break;
    }
    return kept && try_from(search, &world, now);
}

/* Whether the operation must have happened by now; whether it still may. */
static bool is_due(const struct search *search, const struct world *world, int i, int now)
{
    const struct oracle_op *op = &search->one->ops[i];
    return op->outcome == OP_OK && !(world->done >> i & 1) && op->to <= now;
}

static bool is_open(const struct search *search, const struct world *world, int i, int now)
{
    const struct oracle_op *op = &search->one->ops[i];
    if (world->done >> i & 1 || op->from > now || op->outcome == OP_FAIL)
        return false;
    return op->outcome == OP_OK || search->one->settle == ORACLE_NONE ||
           now <= op->from + search->one->settle;
}

static bool try_op(struct search *search, const struct world *world, int i, int now)
{
    const struct oracle_op *op = &search->one->ops[i];
    if (op->f == ORACLE_DRAIN) {
        if (op->outcome == OP_INFO)
            return false; /* such histories are not made: see oracle_case */
        for (int item = 0; item < op->batch_count; item++)
            if (!(world->drained[i] >> item & 1) && apply(search, world, i, item, now))
                return true;
        return false;
    }
    if (op->f != ORACLE_DEQUEUE || op->outcome != OP_INFO)
        return apply(search, world, i, 0, now);
    for (int message = 0; message < ORACLE_MESSAGES_MAX; message++)
        if (world->messages[message].sent_at != ORACLE_NONE && !world->messages[message].gone &&
            !world->messages[message].acked && apply(search, world, i, message, now))
            return true;
    return false;
}

static int next_time(const struct search *search, int now)
{
    int next = search->one->end;
    for (int i = 0; i < search->one->op_count; i++) {
        const struct oracle_op *op = &search->one->ops[i];
        if (op->from > now && op->from < next)
            next = op->from;
        if (op->outcome != OP_INFO && op->to > now && op->to < next)
            next = op->to;
    }
    return search->ordered ? next : now + 1;
}

/* True when from here on everything can take effect so that the promise is kept. */
static bool try_from(struct search *search, const struct world *world, int now)
{
    search->steps++;
    if (search->one->steps_max > 0 && search->steps >= search->one->steps_max)
        return true;
    if ((!search->scope->each || search->scope->settles) && was_tried(search, world, now))
        return false;
    for (int i = 0; i < search->one->op_count; i++)
        if (is_open(search, world, i, now) && try_op(search, world, i, now))
            return true;
    for (int i = 0; i < search->one->op_count; i++)
        if (is_due(search, world, i, now))
            return false;
    if (search->promise == ORACLE_STUCK && now == search->drain_to &&
        !drains_found_all(search, world))
        return false;
    if (now < search->one->end)
        return try_from(search, world, next_time(search, now));
    return end_is_kept(search, world);
}

/* ---- What needs no search ---- */

static bool acked_twice(const struct search *search)
{
    const struct oracle_case *one = search->one;
    for (int i = 0; i < one->op_count; i++)
        for (int j = 0; j < i; j++)
            if (one->ops[i].f == ORACLE_ACK && one->ops[j].f == ORACLE_ACK &&
                one->ops[i].outcome == OP_OK && one->ops[j].outcome == OP_OK &&
                one->ops[i].message == one->ops[j].message &&
                !search->phantom[one->ops[i].message] && one->ops[i].token != one->ops[j].token)
                return true;
    return false;
}

/* A delivery that was given twice, to two processes if `others`; of messages that can have been
 * there. */
static bool is_shared(const struct search *search, bool others)
{
    const struct oracle_case *one = search->one;
    for (int i = 0; i < one->op_count; i++)
        for (int j = 0; j < i; j++) {
            const struct oracle_op *a = &one->ops[i], *b = &one->ops[j];
            if (a->f == ORACLE_DEQUEUE && b->f == ORACLE_DEQUEUE && a->outcome == OP_OK &&
                b->outcome == OP_OK && a->message == b->message && a->token != ORACLE_NONE &&
                a->token == b->token && (!others || a->process != b->process) &&
                !search->phantom[a->message])
                return true;
        }
    return false;
}

static void find_drains(struct search *search)
{
    search->drain_from = search->drain_to = ORACLE_NONE;
    for (int i = 0; i < search->one->op_count; i++) {
        const struct oracle_op *op = &search->one->ops[i];
        bool last = op->f == ORACLE_DRAIN;
        for (int j = 0; j < search->one->op_count; j++)
            last = last && !(search->one->ops[j].f == ORACLE_DRAIN &&
                             search->one->ops[j].process == op->process &&
                             search->one->ops[j].from > op->from);
        if (!last)
            continue;
        if (op->outcome != OP_OK) {
            search->drain_from = search->drain_to = ORACLE_NONE;
            return;
        }
        if (search->drain_from == ORACLE_NONE || op->from < search->drain_from)
            search->drain_from = op->from;
        if (op->to > search->drain_to)
            search->drain_to = op->to;
    }
}

/* Of a message that was delivered though it cannot have been there, nothing else is said. */
static void find_phantoms(struct search *search)
{
    for (int message = 0; message < ORACLE_MESSAGES_MAX; message++) {
        const struct oracle_op *send = search->sends[message];
        bool never = send == NULL || send->outcome == OP_FAIL;
        for (int i = 0; i < search->one->op_count; i++) {
            const struct oracle_op *op = &search->one->ops[i];
            bool brings = op->f == ORACLE_DEQUEUE && op->message == message;
            for (int j = 0; op->f == ORACLE_DRAIN && j < op->batch_count; j++)
                brings = brings || op->batch[j] == message;
            if (brings && op->outcome == OP_OK && (never || op->to < send->from))
                search->phantom[message] = true;
        }
    }
}

static bool nothing_is_missing(const struct search *search)
{
    for (int message = 0; message < ORACLE_MESSAGES_MAX; message++)
        if (search->sends[message] != NULL && search->sends[message]->outcome == OP_OK &&
            !is_visible(search, message))
            return search->drain_from == ORACLE_NONE;
    return true;
}

static bool matters(const struct search *search, const struct oracle_op *op, int message)
{
    const struct scope *scope = search->scope;
    bool settles = op->f != ORACLE_ENQUEUE && op->f != ORACLE_DEQUEUE && op->f != ORACLE_DRAIN;
    if (op->f == ORACLE_DRAIN)
        return scope->seen && op->batch_count > 0;
    if (scope->each && op->message != message)
        return false;
    if (!scope->seen && op->f == ORACLE_ENQUEUE) /* only what is missing may have been taken */
        return op->outcome == OP_OK && !is_visible(search, op->message);
    if (settles)
        return scope->settles && (scope->infos || op->outcome == OP_OK);
    return op->f != ORACLE_DEQUEUE || (op->outcome == OP_INFO ? scope->unseen : scope->seen);
}

/* The world before anything happened; of one message, or of all. */
static void begin(const struct search *search, int message, struct world *world)
{
    const struct oracle_case *one = search->one;
    memset(world, 0, sizeof *world);
    for (int i = 0; i < ORACLE_MESSAGES_MAX; i++)
        world->messages[i] = (struct message_state){.sent_at = ORACLE_NONE,
                                                    .token = ORACLE_NONE,
                                                    .holder = ORACLE_NONE,
                                                    .hidden_at = ORACLE_NONE,
                                                    .drained_to = ORACLE_NONE};
    for (int i = 0; i < one->op_count; i++) {
        const struct oracle_op *op = &one->ops[i];
        if (!matters(search, op, message))
            world->done |= 1u << i;
        if (op->f != ORACLE_DRAIN || !search->scope->each)
            continue;
        for (int item = 0; item < op->batch_count; item++)
            if (op->batch[item] != message)
                world->drained[i] |= 1u << item;
        if (world->drained[i] == (1u << op->batch_count) - 1)
            world->done |= 1u << i;
    }
}

static bool is_broken(struct search *search, int message)
{
    static uint64_t searches;
    struct world world;
    search->number = ++searches;
    begin(search, message, &world);
    return !try_from(search, &world, 0);
}

bool oracle_broken(const struct oracle_case *one, enum oracle_promise promise, long *steps)
{
    struct search search = {.one = one,
                            .promise = promise,
                            .scope = &scopes[promise],
                            .ordered = scopes[promise].ordered && one->settle == ORACLE_NONE};
    for (int i = 0; i < one->op_count; i++)
        if (one->ops[i].f == ORACLE_ENQUEUE)
            search.sends[one->ops[i].message] = &one->ops[i];
    find_drains(&search);
    find_phantoms(&search);
    if ((promise == ORACLE_EXACTLY_ONCE && acked_twice(&search)) ||
        (promise == ORACLE_EXCLUSIVE && is_shared(&search, true)) ||
        ((promise == ORACLE_FENCING || promise == ORACLE_COUNT) && is_shared(&search, false)))
        return true;
    if (promise == ORACLE_EXACTLY_ONCE ||
        (promise == ORACLE_NO_LOSS && nothing_is_missing(&search)))
        return false;
    bool broken = false;
    for (int message = 0; message < ORACLE_MESSAGES_MAX && !broken; message++)
        if (search.sends[message] != NULL || message == 0 || search.phantom[message])
            broken = (search.scope->each || message == 0) && is_broken(&search, message);
    *steps += search.steps;
    return broken;
}

/* ---- As a history ---- */

struct entry {
    int at, op;
    enum op_type type;
};

static int by_tick(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    return (a->at > b->at) - (a->at < b->at);
}

static size_t add_field(struct arena *arena, struct value *items, size_t count, const char *name,
                        int number)
{
    if (number == ORACLE_NONE)
        return count;
    items[count] = value_keyword(arena, name);
    items[count + 1] = value_int(arena, number);
    return count + 2;
}

static struct value told(struct arena *arena, const struct oracle_op *op, int message)
{
    struct value items[24];
    size_t count = add_field(arena, items, 0, "message", message);
    if (op->f == ORACLE_ENQUEUE) {
        count = add_field(arena, items, count, "producer", op->producer);
        count = add_field(arena, items, count, "ttl", op->ttl);
        count = add_field(arena, items, count, "key", op->key);
    }
    if (op->f == ORACLE_DEQUEUE)
        count = add_field(arena, items, count, "count", op->count);
    if (op->f != ORACLE_DRAIN && op->f != ORACLE_ENQUEUE)
        count = add_field(arena, items, count, "delivery", op->token);
    if (op->f == ORACLE_ENQUEUE || op->f == ORACLE_NACK)
        count = add_field(arena, items, count, "delay", op->delay);
    if (op->f == ORACLE_ENQUEUE || op->f == ORACLE_EXTEND)
        count = add_field(arena, items, count, "retry", op->retry);
    if (op->f == ORACLE_DEAD) {
        items[count++] = value_keyword(arena, "dead");
        items[count++] = value_bool(true);
    }
    return value_items(arena, VALUE_MAP, items, count);
}

static struct value value_of(struct arena *arena, const struct oracle_op *op, enum op_type type)
{
    bool brings = op->f == ORACLE_DEQUEUE || op->f == ORACLE_DRAIN;
    if (brings && type != OP_OK)
        return value_nil();
    if (op->f == ORACLE_DRAIN) {
        struct value items[ORACLE_BATCH_MAX];
        for (int i = 0; i < op->batch_count; i++)
            items[i] = told(arena, op, op->batch[i]);
        return value_items(arena, VALUE_VECTOR, items, (size_t)op->batch_count);
    }
    return op->message == ORACLE_NONE ? value_nil() : told(arena, op, op->message);
}

void oracle_history(const struct oracle_case *one, struct history *history)
{
    static const char *const names[] = {"enqueue", "dequeue", "ack",  "nack",
                                        "nack",    "extend",  "drain"};
    struct entry entries[2 * ORACLE_OPS_MAX];
    size_t count = 0;
    struct err err = ERR_INIT;
    history_init(history);
    for (int i = 0; i < one->op_count; i++) {
        entries[count++] = (struct entry){one->ops[i].from, i, OP_INVOKE};
        if (one->ops[i].outcome != OP_INFO)
            entries[count++] = (struct entry){one->ops[i].to, i, one->ops[i].outcome};
    }
    qsort(entries, count, sizeof *entries, by_tick);
    for (size_t i = 0; i < count; i++) {
        const struct oracle_op *op = &one->ops[entries[i].op];
        struct op event = {.type = entries[i].type,
                           .process = op->process,
                           .f = history_f(history, names[op->f]),
                           .value = value_of(&history->arena, op, entries[i].type),
                           .time_ns = entries[i].at * NS_PER_MS};
        enum err_code code = ERR_NONE;
        history_append_own(history, &event, &code);
        assert(code == ERR_NONE);
    }
    enum err_code code = history_pair(history, &err);
    if (code != ERR_NONE)
        fprintf(stderr, "%s\n", err.message);
    assert(code == ERR_NONE);
}
