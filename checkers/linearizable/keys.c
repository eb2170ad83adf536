/* Splitting a history into the objects it is about: see keys.h. */
#include "checkers/linearizable/keys.h"

#include <string.h>

static bool is_tuple(struct value value)
{
    return value_kind(value) == VALUE_VECTOR && value_count(value) == 2;
}

static void add_event(const struct history *history, uint32_t event, struct buf *out)
{
    buf_printf(out, "event %u (%s of process %d)", event, history_f_name(history, event),
               history->process[event]);
}

/* What the values look like, for the guess. */
struct looks {
    uint64_t invocations;
    uint64_t empty_pairs; /* [k nil]: a read of k that asks */
    uint64_t nested_cas;  /* [k [old new]] */
    uint32_t plain;       /* the first event that is no pair */
    uint32_t bare_cas;    /* the first cas that is [old new] */
    uint32_t strays;      /* the first completion that is about another key than its invocation */
};

static void look_at_invocation(const struct history *history, uint32_t i, struct looks *looks)
{
    struct value value = history->value[i];
    looks->invocations++;
    if (!is_tuple(value)) {
        if (looks->plain == HISTORY_NONE)
            looks->plain = i;
        return;
    }
    struct value second = value_at(value, 1);
    looks->empty_pairs += value_is_nil(second);
    if (strcmp(history_f_name(history, i), "cas") != 0)
        return;
    looks->nested_cas += is_tuple(second);
    if (!is_tuple(second) && looks->bare_cas == HISTORY_NONE)
        looks->bare_cas = i;
}

static void look_at_ok(const struct history *history, uint32_t i, struct looks *looks)
{
    struct value value = history->value[i];
    if (!is_tuple(value)) {
        if (looks->plain == HISTORY_NONE)
            looks->plain = i;
        return;
    }
    struct value asked = history->value[history->partner[i]];
    if (looks->strays == HISTORY_NONE && is_tuple(asked) &&
        !value_equal(value_at(asked, 0), value_at(value, 0)))
        looks->strays = i;
}

static bool guess(const struct history *history, struct buf *why)
{
    struct looks looks = {.plain = HISTORY_NONE, .bare_cas = HISTORY_NONE, .strays = HISTORY_NONE};
    for (uint32_t i = 0; i < history->count; i++) {
        if (!history_is_client(history, i))
            continue;
        if (history->type[i] == OP_INVOKE)
            look_at_invocation(history, i, &looks);
        else if (history->type[i] == OP_OK)
            look_at_ok(history, i, &looks);
    }
    buf_add_text(why, "guessed: ");
    if (looks.plain != HISTORY_NONE) {
        add_event(history, looks.plain, why);
        buf_add_text(why, " has the value ");
        value_print(history->value[looks.plain], why);
        buf_add_text(why, ", which is not [key value]");
    } else if (looks.bare_cas != HISTORY_NONE) {
        add_event(history, looks.bare_cas, why);
        buf_add_text(why, " has the value ");
        value_print(history->value[looks.bare_cas], why);
        buf_add_text(why, ", which is [old new] without a key");
    } else if (looks.strays != HISTORY_NONE) {
        add_event(history, looks.strays, why);
        buf_add_text(why, " does not begin with what its invocation began with");
    } else if (looks.invocations == 0) {
        buf_add_text(why, "there are no client operations");
    } else {
        buf_printf(why, "all %llu values are [key value]", (unsigned long long)looks.invocations);
        if (looks.empty_pairs > 0)
            buf_printf(why, ", and %llu operations ask with [key nil]",
                       (unsigned long long)looks.empty_pairs);
        else if (looks.nested_cas > 0)
            buf_printf(why, ", and %llu cas are [key [old new]]",
                       (unsigned long long)looks.nested_cas);
        return true;
    }
    return false;
}

static bool key_of(const struct history *history, uint32_t invocation, struct value *key)
{
    struct value value = history->value[invocation];
    if (!value_is_pair(value))
        return false;
    *key = value_at(value, 0);
    return true;
}

/* Gives each client event the number of its key. False: an operation has none. */
static bool number_events(struct lin_keys *keys, const struct history *history,
                          struct value_table *table, uint32_t *number)
{
    for (uint32_t i = 0; i < history->count; i++) {
        number[i] = HISTORY_NONE;
        if (!history_is_client(history, i))
            continue;
        if (history->type[i] != OP_INVOKE) {
            number[i] = number[history->partner[i]];
            continue;
        }
        struct value key;
        keys->operation_count++;
        if (!keys->keyed) {
            number[i] = 0; /* nil */
        } else if (key_of(history, i, &key)) {
            number[i] = value_table_id(table, key);
        } else if (history_outcome(history, i) != OP_FAIL) {
            add_event(history, i, &keys->trouble);
            buf_add_text(&keys->trouble, " has the value ");
            value_print(history->value[i], &keys->trouble);
            buf_add_text(&keys->trouble, ", which is not [key value]");
            return false;
        }
    }
    return true;
}

void lin_keys_split(struct lin_keys *keys, const struct history *history, enum keyed keyed,
                    struct arena *arena)
{
    *keys = (struct lin_keys){.why = BUF_INIT, .trouble = BUF_INIT, .keyed = keyed == KEYED_YES};
    if (keyed == KEYED_GUESS)
        keys->keyed = guess(history, &keys->why);
    else
        buf_add_text(&keys->why, "as asked");
    struct value_table table; /* numbers keys from 1, since 0 is nil; nil is left out if unused */
    value_table_init(&table, arena);
    uint32_t *number = arena_alloc(arena, ((size_t)history->count + 1) * sizeof *number);
    if (!number_events(keys, history, &table, number))
        return;
    uint32_t *counts = arena_zalloc(arena, ((size_t)table.count + 1) * sizeof *counts);
    for (uint32_t i = 0; i < history->count; i++)
        if (number[i] != HISTORY_NONE)
            counts[number[i]]++;
    keys->keys = arena_alloc(arena, ((size_t)table.count + 1) * sizeof *keys->keys);
    keys->first = arena_zalloc(arena, ((size_t)table.count + 1) * sizeof *keys->first);
    keys->events = arena_alloc(arena, ((size_t)history->count + 1) * sizeof *keys->events);
    uint32_t *place = arena_zalloc(arena, ((size_t)table.count + 1) * sizeof *place), filled = 0;
    for (uint32_t id = 0; id < table.count; id++) {
        if (counts[id] == 0)
            continue;
        keys->keys[keys->count] = table.values[id];
        keys->first[keys->count++] = place[id] = filled;
        filled += counts[id];
    }
    keys->first[keys->count] = filled;
    for (uint32_t i = 0; i < history->count; i++)
        if (number[i] != HISTORY_NONE)
            keys->events[place[number[i]]++] = i;
}

void lin_keys_free(struct lin_keys *keys)
{
    buf_free(&keys->why);
    buf_free(&keys->trouble);
}
