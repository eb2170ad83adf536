/* What models share: see words.h. */
#include "checkers/models/words.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int64_t of_items(struct model_space *space, struct value list, bool sorted)
{
    size_t count = value_count(list);
    struct arena arena = ARENA_INIT;
    int64_t *items = arena_alloc(&arena, (count + 1) * sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = value_table_id(&space->values, value_at(list, i));
    if (sorted)
        qsort(items, count, sizeof *items, compare);
    int64_t number = model_sequence(space, items, count);
    arena_free(&arena);
    return number;
}

int64_t words_of_list(struct model_space *space, struct value list)
{
    return of_items(space, list, false);
}

int64_t words_of_bag(struct model_space *space, struct value list)
{
    return of_items(space, list, true);
}

bool words_is_list(struct value value)
{
    enum value_kind kind = value_kind(value);
    return kind == VALUE_VECTOR || kind == VALUE_LIST || kind == VALUE_SET;
}

void words_print_some(const struct model_space *space, const int64_t *items, size_t count,
                      struct buf *out)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < count && i < WORDS_SHOWN; i++) {
        if (i > 0)
            buf_add_char(out, ' ');
        value_print(value_table_value(&space->values, items[i]), out);
    }
    if (count > WORDS_SHOWN)
        buf_printf(out, " ... of %zu", count);
    buf_add_char(out, ']');
}

bool words_refuse(struct buf *problem, const char *wanted, struct value got)
{
    buf_printf(problem, "%s, not ", wanted);
    value_print(got, problem);
    return false;
}

bool words_find(const struct model_space *space, int64_t map, int64_t key, int64_t *value)
{
    struct model_sequence pairs = model_sequence_of(space, map);
    size_t at = model_sequence_search(pairs, 2, key);
    if (at * 2 == pairs.count || pairs.items[at * 2] != key)
        return false;
    *value = pairs.items[at * 2 + 1];
    return true;
}

int64_t words_set(struct model_space *space, int64_t map, int64_t key, int64_t value)
{
    struct model_sequence pairs = model_sequence_of(space, map);
    size_t at = model_sequence_search(pairs, 2, key);
    bool there = at * 2 < pairs.count && pairs.items[at * 2] == key;
    int64_t entry[] = {key, value};
    return model_spliced(space, map, at * 2, there ? 2 : 0, entry, value == MODEL_ANY ? 0 : 2);
}

static struct value named_owner(struct value value)
{
    if (value_kind(value) != VALUE_MAP)
        return value;
    struct value client = value_get(value, "client");
    return value_is_nil(client) ? value_get(value, "owner") : client;
}

int64_t words_owner(const struct model_op *op, struct model_space *space)
{
    struct value owner = named_owner(op->input);
    if (value_is_nil(owner) && op->known)
        owner = named_owner(op->output);
    return value_is_nil(owner) ? -2 - (int64_t)op->process
                               : (int64_t)value_table_id(&space->values, owner);
}

void words_print_owner(int64_t owner, const struct model_space *space, struct buf *out)
{
    if (owner < 0)
        buf_printf(out, "process %lld", (long long)(-2 - owner));
    else
        value_print(value_table_value(&space->values, owner), out);
}
