/* A range of events to columns of transactions: see txns_range.h. */
#include "checkers/transactions/txns_range.h"

#include <inttypes.h>
#include <string.h>

enum { KEYS_MAX = 1 << 30 };
/* Events whose values are fetched before they are needed: a completion is some way behind its
 * invocation, one for each process that is busy between the two. */
enum { AHEAD = 64 };

/* ---- Which events are transactions ---- */

static int kind_of(struct value f)
{
    enum value_kind kind = value_kind(f);
    if (kind != VALUE_KEYWORD && kind != VALUE_STRING)
        return -1;
    const char *name = value_as_text(f);
    if (strcmp(name, "r") == 0)
        return MOP_READ;
    if (strcmp(name, "append") == 0)
        return MOP_APPEND;
    if (strcmp(name, "rp") == 0)
        return MOP_PREDICATE;
    return strcmp(name, "w") == 0 || strcmp(name, "insert") == 0 || strcmp(name, "delete") == 0
               ? MOP_WRITE
               : -1;
}

static bool is_named(struct value f, const char *name)
{
    enum value_kind kind = value_kind(f);
    return (kind == VALUE_KEYWORD || kind == VALUE_STRING) && strcmp(value_as_text(f), name) == 0;
}

/* [:r key] and [:delete key]. */
static bool may_be_two(const struct value *items)
{
    return kind_of(items[0]) == MOP_READ || is_named(items[0], "delete");
}

static bool is_micro_op(struct value value)
{
    if (value_is_micro_op(value))
        return true;
    struct value room[VALUE_ROOM];
    size_t count;
    const struct value *items = value_array(value, room, &count);
    return (count == 2 || count == 3) && kind_of(items[0]) >= 0 &&
           (count == 3 || may_be_two(items));
}

/* Vectors and lists alone can be transactions. */
static bool is_transaction(struct value value)
{
    enum value_kind kind = value_kind(value);
    return (kind == VALUE_VECTOR || kind == VALUE_LIST) && value_count(value) > 0 &&
           is_micro_op(value_at(value, 0));
}

/* The value that tells what a transaction did: the completion's where it succeeded. */
static struct value txn_value(const struct history *history, uint32_t invoked, uint32_t completed)
{
    if (completed != HISTORY_NONE && history->type[completed] == OP_OK &&
        !value_is_nil(history->value[completed]))
        return history->value[completed];
    return invoked != HISTORY_NONE ? history->value[invoked] : history->value[completed];
}

/* Whether an event begins a transaction: an invocation, or a completion without one. */
static bool begins(const struct txns_range *d, uint32_t event, uint32_t *invoked,
                   uint32_t *completed)
{
    const struct history *history = d->history;
    if (!history_is_client(history, event))
        return false;
    bool invokes = history->type[event] == OP_INVOKE;
    if (!invokes && history->partner[event] != HISTORY_NONE)
        return false;
    *invoked = invokes ? event : HISTORY_NONE;
    *completed = invokes ? history->partner[event] : event;
    return true;
}

/* Whether the event makes keys, as histories with predicates begin: {key value, ...}. */
static bool is_init(const struct txns_range *d, uint32_t event, struct value value)
{
    return d->f_init >= 0 && d->history->f[event] == d->f_init && value_kind(value) == VALUE_MAP;
}

bool txns_have_predicates(const struct history *history)
{
    for (uint32_t event = 0; event < history->count; event++) {
        struct value value = history->value[event];
        if (!history_is_client(history, event) || !is_transaction(value))
            continue;
        for (size_t i = 0; i < value_count(value); i++) {
            struct value room[VALUE_ROOM];
            size_t count;
            const struct value *items = value_array(value_at(value, i), room, &count);
            if (count >= 2 && (is_named(items[0], "rp") || is_named(items[0], "insert") ||
                               is_named(items[0], "delete")))
                return true;
        }
    }
    return false;
}

/* ---- How many there are, so that columns need not grow ---- */

/* How many micro-operations of a transaction are kept of which only the writes are known. */
static uint32_t count_writes(struct value value)
{
    struct value room[VALUE_ROOM], parts[VALUE_ROOM];
    size_t count, part_count;
    const struct value *items = value_array(value, room, &count);
    uint32_t writes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct value *part = value_array(items[i], parts, &part_count);
        int kind = part_count == 0 ? -1 : kind_of(part[0]);
        writes += kind == MOP_APPEND || kind == MOP_WRITE;
    }
    return writes;
}

/* Whether the completion itself says what was read: else reads do not count. */
static bool tells_reads(const struct history *history, uint32_t completed)
{
    return completed != HISTORY_NONE && history->type[completed] == OP_OK &&
           !value_is_nil(history->value[completed]);
}

static enum err_code measure(struct txns_range *d, uint32_t event, uint32_t invoked,
                             uint32_t completed)
{
    const struct history *history = d->history;
    struct value value = txn_value(history, invoked, completed);
    bool named = d->f_txn == history->f[event];
    enum value_kind kind = value_kind(value);
    if (is_init(d, event, value)) {
        d->txn_count++;
        d->mop_count += value_count(value) / 2;
        return ERR_NONE;
    }
    if (!named && !is_transaction(value)) {
        d->ignored_count++;
        return ERR_NONE;
    }
    if (kind != VALUE_VECTOR && kind != VALUE_LIST && kind != VALUE_NIL)
        return err_set(&d->err, ERR_PARSE,
                       "event %" PRIu32 ": not a transaction of [:r key value], [:append "
                       "key value] and [:w key value]",
                       event);
    d->txn_count++;
    d->mop_count += tells_reads(history, completed) ? value_count(value) : count_writes(value);
    return ERR_NONE;
}

void txns_range_measure(struct txns_range *d)
{
    uint32_t invoked, completed;
    for (uint32_t event = d->from; event < d->until && d->code == ERR_NONE; event++)
        if (begins(d, event, &invoked, &completed))
            d->code = measure(d, event, invoked, completed);
}

/* ---- Keys ---- */

static uint32_t new_key(struct txns_range *d, struct value key)
{
    struct txns *txns = &d->txns;
    if (txns->key_count == d->key_capacity) {
        d->key_capacity = d->key_capacity == 0 ? 1024 : d->key_capacity * 2;
        struct value *grown = arena_alloc(txns->arena, d->key_capacity * sizeof *grown);
        struct key_seen *seen = arena_alloc(txns->arena, d->key_capacity * sizeof *seen);
        if (txns->key_count > 0) {
            memcpy(grown, txns->keys, txns->key_count * sizeof *grown);
            memcpy(seen, txns->seen, txns->key_count * sizeof *seen);
        }
        txns->keys = grown;
        txns->seen = seen;
    }
    txns->keys[txns->key_count] = key;
    txns->seen[txns->key_count] = (struct key_seen){.min = INT64_MAX, .max = INT64_MIN};
    return txns->key_count++;
}

static uint32_t other_key(struct txns_range *d, struct value key)
{
    uint32_t known = d->others.count, id = value_table_id(&d->others, key);
    if (id == 0)
        known = d->others_key[0] == TXN_NONE ? 0 : UINT32_MAX; /* nil is there from the beginning */
    if (id >= d->others_capacity) {
        uint32_t capacity = d->others_capacity * 2;
        uint32_t *grown = arena_alloc(d->txns.arena, capacity * sizeof *grown);
        memcpy(grown, d->others_key, d->others_capacity * sizeof *grown);
        d->others_key = grown;
        d->others_capacity = capacity;
    }
    if (id >= known)
        d->others_key[id] = new_key(d, key);
    return d->others_key[id];
}

static void grow_direct(struct txns_range *d, uint32_t key)
{
    uint32_t count = d->direct_count == 0 ? 4096 : d->direct_count;
    while (count <= key)
        count = count > d->direct_max / 2 ? d->direct_max : count * 2;
    uint32_t *grown = arena_alloc(d->txns.arena, count * sizeof *grown);
    if (d->direct_count > 0)
        memcpy(grown, d->direct, d->direct_count * sizeof *grown);
    memset(grown + d->direct_count, 0xff, (count - d->direct_count) * sizeof *grown);
    d->direct = grown;
    d->direct_count = count;
}

static uint32_t key_number(struct txns_range *d, struct value key)
{
    if (value_kind(key) == VALUE_INT) {
        int64_t integer = value_as_int(key);
        if (integer >= 0 && integer < d->direct_max) {
            if (integer >= d->direct_count)
                grow_direct(d, (uint32_t)integer);
            if (d->direct[integer] == TXN_NONE)
                d->direct[integer] = new_key(d, key);
            return d->direct[integer];
        }
    }
    return other_key(d, key);
}

static void init_keys(struct txns_range *d)
{
    struct arena *arena = d->txns.arena;
    uint64_t wanted = UINT64_C(2) * d->history->count + 4096;
    d->direct_max = wanted > (1 << 28) ? 1 << 28 : (uint32_t)wanted;
    value_table_init(&d->others, arena);
    d->others_capacity = 64;
    d->others_key = arena_alloc(arena, d->others_capacity * sizeof *d->others_key);
    d->others_key[0] = TXN_NONE;
}

uint32_t txns_range_key(struct txns_range *d, struct value key)
{
    return key_number(d, key);
}

/* ---- Transactions ---- */

/* How long a list was read; of the history it is remembered whether all reads are lists or nil. */
static uint32_t read_length(struct txns *txns, struct value value)
{
    enum value_kind kind = value_kind(value);
    if (kind != VALUE_VECTOR && kind != VALUE_LIST) {
        txns->single_reads += kind != VALUE_NIL;
        return 0;
    }
    txns->list_reads++;
    return (uint32_t)value_count(value);
}

static const uint8_t kind_of_micro[] = {
    [VALUE_MICRO_R] = MOP_READ, [VALUE_MICRO_APPEND] = MOP_APPEND, [VALUE_MICRO_W] = MOP_WRITE};

static void see_write(struct key_seen *seen, struct value value)
{
    seen->writes++;
    if (value_kind(value) != VALUE_INT) {
        seen->sparse = true;
        return;
    }
    int64_t integer = value_as_int(value);
    seen->min = integer < seen->min ? integer : seen->min;
    seen->max = integer > seen->max ? integer : seen->max;
}

static void add_parts(struct txns_range *d, enum mop_kind kind, uint32_t key, struct value value)
{
    struct txns *txns = &d->txns;
    struct key_seen *seen = &txns->seen[key];
    struct mop *mop = &txns->mops[txns->mop_count++];
    mop->key = key & (KEYS_MAX - 1);
    mop->kind = (unsigned)kind & 3;
    mop->slot = TXN_NONE;
    mop->value = value;
    if (kind == MOP_READ) {
        mop->slot = read_length(txns, value);
        if (mop->slot > seen->length) {
            seen->length = mop->slot;
            seen->longest = txns->mop_count - 1;
            seen->txn = txns->count - 1;
        }
    } else if (kind != MOP_PREDICATE) {
        see_write(seen, value);
    }
    txns->reads += kind == MOP_READ;
    txns->appends += kind == MOP_APPEND;
    txns->writes += kind == MOP_WRITE;
}

/* One that is packed into its word: nothing needs to be fetched. */
static void add_packed(struct txns_range *d, struct value value, bool ok)
{
    enum mop_kind kind = kind_of_micro[value_micro_f(value)];
    int64_t key = value_micro_key(value);
    if (kind == MOP_READ && !ok)
        return;
    bool direct = key >= 0 && key < d->direct_count && d->direct[key] != TXN_NONE;
    add_parts(d, kind, direct ? d->direct[key] : key_number(d, value_small(key)),
              value_micro_value(value));
}

static enum err_code add_mop(struct txns_range *d, uint32_t event, struct value value, bool ok,
                             struct err *err)
{
    if (value_is_micro_op(value)) {
        add_packed(d, value, ok);
        return ERR_NONE;
    }
    struct value room[VALUE_ROOM];
    size_t count;
    const struct value *items = value_array(value, room, &count);
    int kind = count != 2 && count != 3        ? -1
               : items[0].bits == d->read_bits ? MOP_READ
                                               : kind_of(items[0]);
    if (kind == MOP_READ)
        d->read_bits = items[0].bits;
    if (kind < 0 || (count == 2 && !may_be_two(items)))
        return err_set(err, ERR_PARSE,
                       "event %" PRIu32 ": a micro-operation is none of [:r key value], [:append "
                       "key value] and [:w key value]",
                       event);
    bool reads = kind == MOP_READ || kind == MOP_PREDICATE;
    if (reads && !ok)
        return ERR_NONE;
    bool deletes = kind == MOP_WRITE && is_named(items[0], "delete");
    uint32_t key = kind == MOP_PREDICATE ? 0 : key_number(d, items[1]);
    add_parts(d, (enum mop_kind)kind, key,
              kind == MOP_PREDICATE   ? value
              : count == 2 || deletes ? value_nil()
                                      : items[2]);
    d->txns.reads += kind == MOP_PREDICATE;
    d->txns.predicates += kind == MOP_PREDICATE || (kind == MOP_WRITE && !is_named(items[0], "w"));
    return ERR_NONE;
}

/* What made the keys, as a transaction that writes them. */
static void add_init(struct txns_range *d, uint32_t t, struct value value)
{
    struct txns *txns = &d->txns;
    if (txns->init_count++ == 0)
        txns->init = t;
    for (size_t i = 0; i + 1 < value_count(value); i += 2) {
        struct mop *mop = &txns->mops[txns->mop_count++];
        mop->key = key_number(d, value_at(value, i)) & (KEYS_MAX - 1);
        mop->kind = MOP_WRITE;
        mop->slot = TXN_NONE;
        mop->value = value_at(value, i + 1);
        see_write(&txns->seen[mop->key], mop->value);
        txns->writes++;
    }
}

static enum txn_state state_of(const struct history *history, uint32_t completed)
{
    if (completed == HISTORY_NONE || history->type[completed] == OP_INFO)
        return TXN_UNKNOWN;
    return history->type[completed] == OP_OK ? TXN_OK : TXN_FAILED;
}

static enum err_code add_txn(struct txns_range *d, uint32_t invoked, uint32_t completed,
                             struct err *err)
{
    struct txns *txns = &d->txns;
    const struct history *history = d->history;
    uint32_t event = invoked != HISTORY_NONE ? invoked : completed;
    struct value value = txn_value(history, invoked, completed);
    bool init = is_init(d, event, value);
    if (!init && d->f_txn != history->f[event] && !is_transaction(value))
        return ERR_NONE;
    uint32_t t = txns->count++;
    txns->invoked[t] = invoked;
    txns->completed[t] = completed;
    txns->state[t] = state_of(history, completed);
    txns->committed[t] = txns->state[t] == TXN_OK;
    txns->ok_count += txns->state[t] == TXN_OK;
    txns->unknown_count += txns->state[t] == TXN_UNKNOWN;
    txns->failed_count += txns->state[t] == TXN_FAILED;
    txns->first[t] = txns->mop_count;
    bool read = tells_reads(history, completed);
    struct value room[VALUE_ROOM];
    size_t count;
    const struct value *items = value_array(value, room, &count);
    enum err_code code = ERR_NONE;
    if (init)
        add_init(d, t, value);
    for (size_t i = 0; !init && i < count && code == ERR_NONE; i++)
        code = add_mop(d, event, items[i], read, err);
    return code;
}

void txns_range_fill(struct txns_range *d)
{
    const struct history *history = d->history;
    init_keys(d);
    for (uint32_t event = d->from; event < d->until && d->code == ERR_NONE; event++) {
        uint32_t invoked, completed;
        if (event + AHEAD < history->count)
            value_prefetch(history->value[event + AHEAD]);
        if (begins(d, event, &invoked, &completed))
            d->code = add_txn(d, invoked, completed, &d->err);
    }
}

void txns_range_renumber(struct txns_range *d)
{
    struct mop *mops = d->txns.mops;
    for (uint32_t m = d->txns.mop_count - (uint32_t)d->mop_count; m < d->txns.mop_count; m++)
        if (mops[m].kind != MOP_PREDICATE)
            mops[m].key = d->number[mops[m].key] & (KEYS_MAX - 1);
}
