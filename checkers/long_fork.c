/* Long fork: two reads that saw two writes in opposite orders, which snapshot isolation and all
 * stronger models forbid and parallel snapshot isolation allows. `txn` is one write [[:w k v]] or
 * reads of several keys [[:r k v] ...]; each key is written at most once, and begins as nil.
 *
 * Of reads of the same keys one must show all that the other shows. So the sets of written keys
 * that a group's reads saw form a chain; each new read is held against its neighbours in the chain.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/folding/by_key.h"
#include "checkers/folding/fold.h"

enum { GROUP_MAX = 64, FORKS_MAX = 100, ANOMALIES_MAX = 8 };
#define NONE ELEMENT_NONE

/* The reads of one set of keys. There may be as many as reads, so each is one piece of memory. */
struct group {
    uint32_t key_count, chain_count;
    struct seen {
        uint64_t keys; /* bits: those that were not nil */
        uint32_t event;
    } chain[]; /* key_count + 1, by how many keys they show; behind them the keys, ascending */
};

struct forks {
    const struct history *history;
    struct check_result *result;
    struct arena arena;
    struct elements keys;
    struct value r, w;     /* as they were met last */
    struct value *written; /* by key: the value of the write that may have happened */
    bool *has_write;
    uint32_t key_capacity;
    struct slot {
        uint32_t hash, number; /* number + 1; 0: free */
    } * slots;                 /* by hash of the keys */
    struct group **groups;
    struct group **first_of; /* by key: the first group whose least key it is; nearly always the
                                only one, and near in memory to that of the next key */
    uint32_t group_capacity, hashed_count, slot_mask, group_count;
    uint64_t reads, forks, mixed;
    struct json *fork_list;
};

/* The three items of a micro-operation [f key value], where they are kept or in `room`; NULL when
 * it is none. */
static const struct value *micro(struct value op, struct value room[VALUE_ROOM])
{
    size_t count;
    const struct value *items = value_array(op, room, &count);
    return count == 3 ? items : NULL;
}

/* Names are made once by most readers, so the same word is the same name. */
static bool micro_is(struct forks *forks, const struct value *op, char letter)
{
    if (op == NULL)
        return false;
    struct value name = op[0], *known = letter == 'r' ? &forks->r : &forks->w;
    if (name.bits == known->bits)
        return !value_is_nil(name);
    const char *text = value_as_text(name);
    if (text[0] != letter || text[1] != '\0')
        return false;
    *known = name;
    return true;
}

static bool all_are(struct forks *forks, struct value txn, char letter)
{
    size_t count;
    struct value room[VALUE_ROOM], parts[VALUE_ROOM];
    const struct value *items = value_array(txn, room, &count);
    for (size_t i = 0; i < count; i++)
        if (items == NULL || !micro_is(forks, micro(items[i], parts), letter))
            return false;
    return count > 0;
}

/* ---- Writes ---- */

static void reserve_keys(struct forks *forks, uint32_t capacity)
{
    uint32_t had = forks->key_capacity;
    struct value *written = arena_alloc(&forks->arena, capacity * sizeof *written);
    bool *has = arena_zalloc(&forks->arena, capacity * sizeof *has);
    struct group **first = arena_zalloc(&forks->arena, capacity * sizeof *first);
    if (had > 0) {
        memcpy(written, forks->written, had * sizeof *written);
        memcpy(has, forks->has_write, had * sizeof *has);
        memcpy(first, forks->first_of, had * sizeof *first);
    }
    forks->written = written;
    forks->has_write = has;
    forks->first_of = first;
    forks->key_capacity = capacity;
}

static uint32_t key_of(struct forks *forks, struct value key)
{
    uint32_t id = elements_add(&forks->keys, key);
    if (id >= forks->key_capacity)
        reserve_keys(forks, forks->key_capacity * 2);
    return id;
}

/* False: a key is written twice, and then reads cannot be told apart by what is nil. */
static bool take_writes(struct forks *forks, uint32_t invocation)
{
    size_t count;
    struct value room[VALUE_ROOM], parts[VALUE_ROOM];
    const struct value *txn = value_array(forks->history->value[invocation], room, &count);
    for (size_t i = 0; txn != NULL && i < count; i++) {
        const struct value *op = micro(txn[i], parts);
        if (!micro_is(forks, op, 'w'))
            continue;
        uint32_t key = key_of(forks, op[1]);
        if (forks->has_write[key]) {
            struct buf name = BUF_INIT;
            value_print(op[1], &name);
            json_set_text(forks->result->details, "error", "multiple-writes");
            check_verdict(forks->result, VERDICT_UNKNOWN,
                          "event %" PRIu32 ": key %.60s is written again; this checker assumes one "
                          "write a key",
                          invocation, buf_text(&name));
            buf_free(&name);
            return false;
        }
        forks->has_write[key] = true;
        forks->written[key] = op[2];
    }
    return true;
}

/* ---- Groups ---- */

static uint32_t *group_keys(struct group *group)
{
    return (uint32_t *)&group->chain[group->key_count + 1];
}

static uint64_t hash_keys(const uint32_t *keys, uint32_t count)
{
    uint64_t hash = count;
    for (uint32_t i = 0; i < count; i++)
        hash = (hash ^ keys[i]) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    hash *= UINT64_C(0xbf58476d1ce4e5b9);
    return hash ^ hash >> 32;
}

static bool has_keys(struct group *group, const uint32_t *keys, uint32_t count)
{
    if (group->key_count != count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (group_keys(group)[i] != keys[i])
            return false;
    return true;
}

static struct slot *find_slot(struct forks *forks, uint32_t hash, const uint32_t *keys,
                              uint32_t count)
{
    for (uint32_t at = hash;; at++) {
        struct slot *slot = &forks->slots[at & forks->slot_mask];
        if (slot->number == 0 ||
            (slot->hash == hash && has_keys(forks->groups[slot->number - 1], keys, count)))
            return slot;
    }
}

static void grow_slots(struct forks *forks)
{
    uint32_t capacity = forks->group_capacity == 0 ? 1024 : forks->group_capacity * 2;
    struct group **groups = arena_alloc(&forks->arena, capacity * sizeof *groups);
    if (forks->hashed_count > 0)
        memcpy(groups, forks->groups, forks->hashed_count * sizeof *groups);
    struct slot *old = forks->slots;
    uint32_t old_size = old == NULL ? 0 : forks->slot_mask + 1;
    forks->groups = groups;
    forks->group_capacity = capacity;
    forks->slot_mask = capacity * 2 - 1;
    forks->slots =
        arena_zalloc(&forks->arena, ((size_t)forks->slot_mask + 1) * sizeof *forks->slots);
    for (uint32_t i = 0; i < old_size; i++) {
        if (old[i].number == 0)
            continue;
        uint32_t at = old[i].hash; /* all are different: no need to look at their keys */
        while (forks->slots[at & forks->slot_mask].number != 0)
            at++;
        forks->slots[at & forks->slot_mask] = old[i];
    }
}

static struct group *new_group(struct forks *forks, const uint32_t *keys, uint32_t count)
{
    size_t chain_bytes = (count + 1) * sizeof(struct seen), key_bytes = count * sizeof *keys;
    struct group *group = arena_alloc(&forks->arena, sizeof *group + chain_bytes + key_bytes);
    group->chain_count = 0;
    group->key_count = count;
    memcpy(group_keys(group), keys, key_bytes);
    forks->group_count++;
    return group;
}

static struct group *group_of(struct forks *forks, const uint32_t *keys, uint32_t count)
{
    struct group **first = &forks->first_of[keys[0]];
    if (*first == NULL)
        return *first = new_group(forks, keys, count);
    if (has_keys(*first, keys, count))
        return *first;
    if (forks->hashed_count == forks->group_capacity)
        grow_slots(forks);
    uint32_t hash = (uint32_t)hash_keys(keys, count);
    struct slot *slot = find_slot(forks, hash, keys, count);
    if (slot->number != 0)
        return forks->groups[slot->number - 1];
    struct group *group = new_group(forks, keys, count);
    forks->groups[forks->hashed_count++] = group;
    *slot = (struct slot){hash, forks->hashed_count};
    return group;
}

/* ---- Reads ---- */

static void tell_fork(struct forks *forks, uint32_t one, uint32_t other)
{
    struct buf first = BUF_INIT, second = BUF_INIT, text = BUF_INIT;
    forks->forks++;
    value_print(forks->history->value[one], &first);
    value_print(forks->history->value[other], &second);
    if (forks->forks <= FORKS_MAX) {
        struct json *pair = json_add(forks->fork_list, json_array());
        json_add(pair, json_text(buf_text(&first)));
        json_add(pair, json_text(buf_text(&second)));
    }
    if (forks->forks <= ANOMALIES_MAX) {
        buf_printf(&text,
                   "One read saw %s, another saw %s: each shows a write that the other "
                   "lacks.",
                   buf_text(&first), buf_text(&second));
        const uint32_t events[] = {one < other ? one : other, one < other ? other : one};
        check_anomaly(forks->result, "long-fork", "two reads disagree on the order of two writes",
                      buf_text(&text), events, 2);
    }
    buf_free(&first);
    buf_free(&second);
    buf_free(&text);
}

/* Puts what a read saw into its group's chain, or finds the fork. */
static void take_seen(struct forks *forks, struct group *group, uint64_t seen, uint32_t event)
{
    uint32_t at = 0;
    while (at < group->chain_count &&
           __builtin_popcountll(group->chain[at].keys) < __builtin_popcountll(seen))
        at++;
    if (at < group->chain_count && group->chain[at].keys == seen)
        return;
    if (at > 0 && (group->chain[at - 1].keys & ~seen) != 0) {
        tell_fork(forks, group->chain[at - 1].event, event);
        return;
    }
    if (at < group->chain_count && (seen & ~group->chain[at].keys) != 0) {
        tell_fork(forks, group->chain[at].event, event);
        return;
    }
    memmove(&group->chain[at + 1], &group->chain[at],
            (group->chain_count - at) * sizeof *group->chain);
    group->chain[at] = (struct seen){seen, event};
    group->chain_count++;
}

static void complain(struct forks *forks, uint32_t event, const char *what)
{
    check_verdict(forks->result, VERDICT_UNKNOWN, "event %" PRIu32 ": %s", event, what);
}

static void take_read(struct forks *forks, uint32_t event)
{
    size_t count;
    struct value room[VALUE_ROOM], parts[VALUE_ROOM];
    const struct value *txn = value_array(forks->history->value[event], room, &count);
    struct {
        uint32_t key;
        bool seen;
    } read[GROUP_MAX], moved;
    if (count > GROUP_MAX) {
        complain(forks, event, "a read of more than 64 keys");
        return;
    }
    for (uint32_t i = 0; i < count; i++) { /* sorted as they come: they are few */
        const struct value *op = micro(txn[i], parts);
        struct value value = op[2];
        moved.key = key_of(forks, op[1]);
        moved.seen = !value_is_nil(value);
        if (moved.seen &&
            (!forks->has_write[moved.key] || !value_equal(forks->written[moved.key], value))) {
            complain(forks, event, "a read shows a value that nobody can have written");
            return;
        }
        uint32_t at = i;
        for (; at > 0 && read[at - 1].key > moved.key; at--)
            read[at] = read[at - 1];
        read[at] = moved;
        if (at > 0 && read[at - 1].key == moved.key) {
            complain(forks, event, "a read of one key twice");
            return;
        }
    }
    uint32_t keys[GROUP_MAX];
    uint64_t seen = 0;
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = read[i].key;
        seen |= (uint64_t)read[i].seen << i;
    }
    forks->reads++;
    take_seen(forks, group_of(forks, keys, (uint32_t)count), seen, event);
}

static void report(struct forks *forks)
{
    struct json *details = forks->result->details;
    json_set_int(details, "read-count", (int64_t)forks->reads);
    json_set_int(details, "group-count", forks->group_count);
    json_set_int(details, "mixed-count", (int64_t)forks->mixed);
    json_set_int(details, "fork-count", (int64_t)forks->forks);
    if (forks->forks > 0)
        json_set(details, "forks", forks->fork_list);
    else
        json_free(forks->fork_list);
    if (forks->forks > 0)
        check_verdict(forks->result, VERDICT_INVALID,
                      "%" PRIu64 " reads saw two writes in the other order than another read",
                      forks->forks);
    if (forks->reads == 0)
        check_verdict(forks->result, VERDICT_UNKNOWN, "no read of several keys ever succeeded");
    check_verdict(forks->result, VERDICT_VALID,
                  "%" PRIu64 " reads in %" PRIu32 " groups of keys, none forked", forks->reads,
                  forks->group_count);
}

static void check_one(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    struct forks forks = {.history = history, .result = result};
    if (!fold_understands(input, result, (const char *const[]){"txn", "read", "write", NULL}))
        return;
    uint32_t expected = history->count / 4 + 1; /* as many as there may be operations that write */
    elements_init(&forks.keys, &forks.arena, expected);
    reserve_keys(&forks, expected);
    bool good = true;
    for (uint32_t i = 0; good && i < history->count; i++)
        if (history->type[i] == OP_INVOKE && history_is_client(history, i) &&
            history_outcome(history, i) != OP_FAIL)
            good = take_writes(&forks, i);
    forks.fork_list = json_array();
    for (uint32_t i = 0; good && i < history->count; i++) {
        if (history->type[i] != OP_OK || !history_is_client(history, i))
            continue;
        if (all_are(&forks, history->value[i], 'r'))
            take_read(&forks, i);
        else
            forks.mixed += !all_are(&forks, history->value[i], 'w');
    }
    report(&forks);
    arena_free(&forks.arena);
}

static void check(const struct check_input *input, struct check_result *result)
{
    fold_check(input, result, check_one);
}

const struct checker checker_long_fork = {
    .name = "long-fork",
    .summary = "no two reads see two writes in opposite orders",
    .check = check,
};
