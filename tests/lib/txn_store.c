/* A small multi-version store with defects: see txn_store.h. */
#include "tests/lib/txn_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/prng.h"

const char *const store_defect_names[STORE_DEFECTS] = {
    "right",     "no-read-lock", "lost-update",  "stale-snapshot", "clock-skew", "fractured",
    "long-fork", "dirty-read",   "dirty-write",  "aborted-stays",  "own-hidden", "duplicate",
    "reordered", "lost-commit",  "intermediate", "made-up",
};

enum { MOPS_MAX = 16, SITES = 2, LAG = 40, FORK_LAG = 12, SECOND_LAG = 12, MADE_UP = 1000000 };

struct element {
    int64_t number;
    uint32_t txn;
    uint32_t at[SITES]; /* when it is there, at each site; UINT32_MAX: not committed */
};

struct store_key {
    int64_t name;
    struct element *elements;
    uint32_t count, capacity, next, written;
};

struct client {
    uint32_t txn; /* its number, from 1; 0: idle */
    uint32_t step, count, begun, site, skew;
    bool write[MOPS_MAX];
    uint32_t key[MOPS_MAX]; /* slots of the active keys, by index into all keys */
    int64_t number[MOPS_MAX];
    struct value read[MOPS_MAX];
    bool fails, unknown;
};

struct store {
    const struct store_options *options;
    struct history *history;
    struct prng prng;
    struct store_key *keys;
    uint32_t key_count, *active, now, txns;
    struct client *clients;
    uint16_t f;
    struct value r, w;
    int64_t time_ns;
    int32_t *process; /* of each client: a new one after an unknown outcome */
    int32_t next_process;
};

/* ---- Keys in rotation ---- */

static uint32_t fresh_key(struct store *store)
{
    if ((store->key_count & (store->key_count - 1)) == 0) {
        uint32_t capacity = store->key_count == 0 ? 1 : store->key_count * 2;
        store->keys = realloc(store->keys, capacity * sizeof *store->keys);
        assert(store->keys != NULL);
    }
    store->keys[store->key_count] = (struct store_key){.name = store->key_count, .next = 1};
    return store->key_count++;
}

static struct element *add_element(struct store_key *key)
{
    if (key->count == key->capacity) {
        key->capacity = key->capacity == 0 ? 8 : key->capacity * 2;
        key->elements = realloc(key->elements, key->capacity * sizeof *key->elements);
        assert(key->elements != NULL);
    }
    return &key->elements[key->count++];
}

/* Key i of the active ones is half as likely as key i + 1. */
static uint32_t draw_key(struct store *store)
{
    uint64_t bits = prng_next(&store->prng);
    uint32_t i = bits == 0 ? 0 : (uint32_t)__builtin_ctzll(bits);
    return store->options->keys - 1 - (i < store->options->keys ? i : 0);
}

/* A list read behind one's own append, which others then get in front of, would show another defect
 * than the one that is meant: such a read becomes a write. */
static bool hides_own(const struct store *store, const struct client *client, uint32_t i,
                      uint32_t slot)
{
    enum store_defect defect = store->options->defect;
    for (uint32_t j = 0; j < i; j++)
        if (client->write[j] && client->key[j] == store->active[slot])
            return defect == STORE_FRACTURED_READ || defect == STORE_LOST_UPDATE ||
                   defect == STORE_INTERMEDIATE;
    return false;
}

static void begin(struct store *store, struct client *client)
{
    const struct store_options *options = store->options;
    client->txn = ++store->txns;
    client->step = 0;
    client->count = (uint32_t)prng_between(&store->prng, options->mops_min, options->mops_max);
    client->fails = prng_unit(&store->prng) < options->failed;
    client->unknown = !client->fails && prng_unit(&store->prng) < options->unknown;
    for (uint32_t i = 0; i < client->count; i++) {
        uint32_t slot = draw_key(store);
        client->write[i] = prng_below(&store->prng, 2) == 0 || hides_own(store, client, i, slot);
        if (client->write[i] && store->keys[store->active[slot]].written >= options->writes_per_key)
            store->active[slot] = fresh_key(store);
        struct store_key *key = &store->keys[store->active[slot]];
        client->key[i] = store->active[slot];
        if (client->write[i]) {
            key->written++;
            client->number[i] = key->next++;
        }
    }
}

/* ---- Events ---- */

static void record(struct store *store, uint32_t c, enum op_type type)
{
    struct client *client = &store->clients[c];
    struct arena *arena = &store->history->arena;
    struct value mops[MOPS_MAX];
    for (uint32_t i = 0; i < client->count; i++) {
        struct value what = client->write[i] ? value_int(arena, client->number[i])
                            : type == OP_OK  ? client->read[i]
                                             : value_nil();
        struct value parts[] = {client->write[i] ? store->w : store->r,
                                value_int(arena, store->keys[client->key[i]].name), what};
        mops[i] = value_items(arena, VALUE_VECTOR, parts, 3);
    }
    store->time_ns += (int64_t)prng_below(&store->prng, 100000);
    struct op op = {.type = type,
                    .process = store->process[c],
                    .f = store->f,
                    .value = value_items(arena, VALUE_VECTOR, mops, client->count),
                    .time_ns = store->time_ns};
    enum err_code code;
    history_append_own(store->history, &op, &code);
    assert(code == ERR_NONE);
}

/* ---- Reading and writing ---- */

static bool visible(const struct store *store, const struct client *client,
                    const struct element *element, uint32_t as_of)
{
    if (element->txn == client->txn)
        return false; /* its own come from itself, but for those in place */
    if (store->options->defect == STORE_DIRTY_READ && element->at[0] == UINT32_MAX)
        return true;
    return element->at[client->site] <= as_of;
}

static void read_key(struct store *store, struct client *client, uint32_t i, uint32_t as_of)
{
    const struct store_key *key = &store->keys[client->key[i]];
    struct value few[256], *items = few;
    struct arena *arena = &store->history->arena;
    uint32_t count = 0;
    enum store_defect defect = store->options->defect;
    bool in_place = defect == STORE_DIRTY_WRITE;
    if (key->count + MOPS_MAX > 256) {
        items = malloc((key->count + MOPS_MAX) * sizeof *items);
        assert(items != NULL);
    }
    for (uint32_t e = 0; e < key->count; e++)
        if (visible(store, client, &key->elements[e], as_of) ||
            (in_place && key->elements[e].txn == client->txn))
            items[count++] = value_int(arena, key->elements[e].number);
    for (uint32_t j = 0; j < i && defect != STORE_OWN_HIDDEN && !in_place; j++)
        if (client->write[j] && client->key[j] == client->key[i])
            items[count++] = value_int(arena, client->number[j]);
    if (defect == STORE_REORDERED && count > 1 && prng_below(&store->prng, 50) == 0) {
        struct value swap = items[count - 1];
        items[count - 1] = items[count - 2];
        items[count - 2] = swap;
    }
    if (defect == STORE_MADE_UP && prng_below(&store->prng, 50) == 0)
        items[count++] = value_int(arena, MADE_UP + (int64_t)store->now);
    if (store->options->registers)
        client->read[i] = count == 0 ? value_nil() : items[count - 1];
    else
        client->read[i] = value_items(arena, VALUE_VECTOR, items, count);
    if (items != few)
        free(items);
}

static void write_key(struct store *store, struct client *client, uint32_t i, bool committed)
{
    struct element *element = add_element(&store->keys[client->key[i]]);
    *element = (struct element){.number = client->number[i], .txn = client->txn};
    for (uint32_t site = 0; site < SITES; site++)
        element->at[site] = committed ? store->now : UINT32_MAX;
    if (store->options->defect == STORE_LONG_FORK)
        element->at[1 - client->site] = store->now + FORK_LAG;
    if (store->options->defect == STORE_DUPLICATE && prng_below(&store->prng, 50) == 0) {
        struct element again = *element;
        *add_element(&store->keys[client->key[i]]) = again;
    }
}

/* Those of one key become visible in their order, and whole but for the second and later ones of
 * one transaction, on which others have to wait. */
static void delay_second(const struct store *store, const struct client *client, uint32_t i)
{
    struct store_key *key = &store->keys[client->key[i]];
    struct element *last = &key->elements[key->count - 1], *before = last - 1;
    if (key->count < 2)
        return;
    uint32_t at = before->at[0] > store->now ? before->at[0] : store->now;
    if (before->txn == client->txn)
        at = store->now + SECOND_LAG;
    last->at[0] = last->at[1] = at;
}

/* Somebody else wrote a key that it writes after its snapshot, or is about to. */
static bool conflicts(const struct store *store, const struct client *client)
{
    for (uint32_t i = 0; i < client->count; i++) {
        const struct store_key *key = &store->keys[client->key[i]];
        for (uint32_t e = 0; client->write[i] && e < key->count; e++)
            if (key->elements[e].txn != client->txn &&
                (key->elements[e].at[client->site] > client->begun))
                return true;
    }
    return false;
}

static bool only_reads(const struct client *client)
{
    for (uint32_t i = 0; i < client->count; i++)
        if (client->write[i])
            return false;
    return true;
}

static uint32_t snapshot_of(struct store *store, const struct client *client)
{
    uint32_t lag = 0;
    switch (store->options->defect) {
    case STORE_NO_READ_LOCK:
    case STORE_LOST_UPDATE:
    case STORE_LONG_FORK:
        return client->begun;
    case STORE_STALE_SNAPSHOT:
        lag = only_reads(client) ? (uint32_t)prng_below(&store->prng, LAG) : 0;
        break;
    case STORE_CLOCK_SKEW:
        lag = only_reads(client) ? client->skew : 0;
        break;
    default:
        break;
    }
    return store->now > lag ? store->now - lag : 0;
}

/* A whole transaction at one moment. False when it had to give up. */
static bool execute(struct store *store, struct client *client)
{
    enum store_defect defect = store->options->defect;
    bool locks = defect == STORE_NO_READ_LOCK || defect == STORE_LONG_FORK;
    uint32_t as_of = snapshot_of(store, client);
    bool gives_up = client->fails || (locks && conflicts(store, client));
    bool writes = !gives_up || defect == STORE_ABORTED_STAYS;
    if (client->unknown && prng_below(&store->prng, 2) == 0)
        writes = false;
    if (defect == STORE_LOST_COMMIT && prng_below(&store->prng, 50) == 0)
        writes = false;
    for (uint32_t i = 0; i < client->count; i++)
        if (!client->write[i])
            read_key(store, client, i, as_of);
    store->now++; /* what it writes is there from the next moment on */
    for (uint32_t i = 0; i < client->count && writes; i++)
        if (client->write[i]) {
            write_key(store, client, i, true);
            if (defect == STORE_INTERMEDIATE)
                delay_second(store, client, i);
        }
    return !gives_up;
}

/* One micro-operation of a transaction that is done bit by bit. */
static void execute_one(struct store *store, struct client *client, uint32_t i)
{
    store->now++;
    if (!client->write[i])
        read_key(store, client, i, store->now);
    else if (store->options->defect != STORE_FRACTURED_READ)
        write_key(store, client, i, store->options->defect == STORE_DIRTY_WRITE);
}

static void take_back(struct store *store, const struct client *client)
{
    for (uint32_t i = 0; i < client->count; i++) {
        struct store_key *key = &store->keys[client->key[i]];
        uint32_t kept = 0;
        for (uint32_t e = 0; e < key->count; e++)
            if (key->elements[e].txn != client->txn)
                key->elements[kept++] = key->elements[e];
        key->count = kept;
    }
}

/* The end of one that was done bit by bit. */
static bool finish(struct store *store, struct client *client)
{
    store->now++;
    if (client->fails) {
        take_back(store, client);
        return false;
    }
    for (uint32_t i = 0; i < client->count; i++) {
        struct store_key *key = &store->keys[client->key[i]];
        if (!client->write[i])
            continue;
        if (store->options->defect == STORE_FRACTURED_READ)
            write_key(store, client, i, true);
        for (uint32_t e = 0; e < key->count; e++)
            if (key->elements[e].txn == client->txn && key->elements[e].at[0] == UINT32_MAX)
                key->elements[e].at[0] = key->elements[e].at[1] = store->now;
    }
    return true;
}

static bool bit_by_bit(const struct store *store)
{
    enum store_defect defect = store->options->defect;
    return defect == STORE_FRACTURED_READ || defect == STORE_DIRTY_READ ||
           defect == STORE_DIRTY_WRITE;
}

/* ---- Clients ---- */

static void complete(struct store *store, uint32_t c, bool good)
{
    struct client *client = &store->clients[c];
    record(store, c, client->unknown ? OP_INFO : good ? OP_OK : OP_FAIL);
    if (client->unknown)
        store->process[c] = store->next_process++;
    client->txn = 0;
}

static void step(struct store *store, uint32_t c)
{
    struct client *client = &store->clients[c];
    if (client->txn == 0) {
        begin(store, client);
        client->begun = store->now;
        record(store, c, OP_INVOKE);
    } else if (bit_by_bit(store)) {
        if (client->step < client->count)
            execute_one(store, client, client->step++);
        else
            complete(store, c, finish(store, client));
    } else if (client->step++ == 0) {
        client->begun = store->now; /* its snapshot */
    } else if (client->step == 2) {
        client->fails = !execute(store, client);
    } else {
        complete(store, c, !client->fails);
    }
}

void store_run(const struct store_options *options, struct history *history)
{
    struct store store = {.options = options, .history = history};
    store.prng = prng_stream(options->seed, "store");
    history_init(history);
    store.f = history_f(history, "txn");
    store.r = value_keyword(&history->arena, "r");
    store.w = value_keyword(&history->arena, options->registers ? "w" : "append");
    store.active = calloc(options->keys, sizeof *store.active);
    store.clients = calloc(options->processes, sizeof *store.clients);
    store.process = calloc(options->processes, sizeof *store.process);
    assert(store.active != NULL && store.clients != NULL && store.process != NULL);
    for (uint32_t i = 0; i < options->keys; i++)
        store.active[i] = fresh_key(&store);
    for (uint32_t c = 0; c < options->processes; c++) {
        store.process[c] = (int32_t)c;
        store.clients[c].site = c % SITES;
        store.clients[c].skew = (uint32_t)prng_below(&store.prng, LAG);
    }
    store.next_process = (int32_t)options->processes;
    uint32_t open = 0;
    while (store.txns < options->txns || open > 0) {
        uint32_t c = (uint32_t)prng_below(&store.prng, options->processes);
        bool idle = store.clients[c].txn == 0;
        if (idle && store.txns >= options->txns)
            continue;
        step(&store, c);
        open += idle;
        open -= !idle && store.clients[c].txn == 0;
    }
    for (uint32_t k = 0; k < store.key_count; k++)
        free(store.keys[k].elements);
    free(store.keys);
    free(store.active);
    free(store.clients);
    free(store.process);
}
