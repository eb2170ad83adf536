/* Transactions on a store of keys: see txn.h. */
#include "checkers/models/txn.h"

#include "checkers/models/words.h"

enum { WIDTH = 3 };

/* Steps as they are decoded. */
struct steps {
    struct model_space *space;
    int64_t *items;
    size_t count;
    bool only_reads;
};

static int64_t content_of(struct model_space *space, struct value value)
{
    if (!words_is_list(value) || value_kind(value) == VALUE_SET)
        return value_table_id(&space->values, value);
    int64_t list = words_of_list(space, value);
    return list == 0 ? 0 : TXN_LIST(list);
}

static void add(struct steps *steps, enum txn_kind kind, struct value key, struct value value)
{
    if (kind == TXN_CAS) {
        add(steps, TXN_READ, key, value_at(value, 0));
        add(steps, TXN_WRITE, key, value_at(value, 1));
        return;
    }
    int64_t *step = steps->items + steps->count;
    step[0] = kind;
    step[1] = value_table_id(&steps->space->values, key);
    step[2] = kind == TXN_APPEND ? (int64_t)value_table_id(&steps->space->values, value)
                                 : content_of(steps->space, value);
    steps->count += WIDTH;
    steps->only_reads = steps->only_reads && kind == TXN_READ;
}

static const struct txn_kind_name *find_kind(const struct txn_kind_name *kinds, struct value micro)
{
    size_t count = value_count(micro);
    if (!words_is_list(micro) || count < 2 || count > 3)
        return NULL;
    const char *name = value_as_text(value_at(micro, 0));
    while (kinds->name != NULL && strcmp(kinds->name, name) != 0)
        kinds++;
    if (kinds->name == NULL || (count == 2 && kinds->kind != TXN_READ) ||
        (kinds->kind == TXN_CAS && !value_is_pair(value_at(micro, 2))))
        return NULL;
    return kinds;
}

static void finish(struct steps *steps, struct model_op *op, struct arena *arena)
{
    op->a = model_sequence(steps->space, steps->items, steps->count);
    op->b = steps->only_reads;
    arena_free(arena);
}

bool txn_prepare(struct model_op *op, const struct txn_kind_name *kinds, struct model_space *space,
                 struct buf *problem)
{
    struct value list = op->known && !value_is_nil(op->output) ? op->output : op->input;
    if (!words_is_list(list))
        return words_refuse(problem, "the value of a txn is [[f key value] ..]", list);
    struct arena arena = ARENA_INIT;
    size_t count = value_count(list);
    struct steps steps = {.space = space, .only_reads = true};
    steps.items = arena_alloc(&arena, (count * 2 + 1) * WIDTH * sizeof *steps.items);
    for (size_t i = 0; i < count; i++) {
        struct value micro = value_at(list, i);
        const struct txn_kind_name *kind = find_kind(kinds, micro);
        if (kind == NULL) {
            arena_free(&arena);
            return words_refuse(problem, "a step of a txn is [f key value] with an f it knows",
                                micro);
        }
        if (kind->kind == TXN_READ && !op->known)
            continue; /* what it saw is not known */
        add(&steps, kind->kind, value_at(micro, 1),
            value_count(micro) == 2 ? value_nil() : value_at(micro, 2));
    }
    finish(&steps, op, &arena);
    return true;
}

bool txn_prepare_map(struct model_op *op, enum txn_kind kind, struct value map,
                     struct model_space *space, struct buf *problem)
{
    if (value_kind(map) != VALUE_MAP)
        return words_refuse(problem, "many registers are {key value ..}", map);
    struct arena arena = ARENA_INIT;
    struct steps steps = {.space = space, .only_reads = true};
    steps.items = arena_alloc(&arena, (value_count(map) + 1) * WIDTH * sizeof *steps.items);
    for (size_t i = 0; i + 1 < value_count(map) && (op->known || kind != TXN_READ); i += 2)
        add(&steps, kind, value_at(map, i), value_at(map, i + 1));
    finish(&steps, op, &arena);
    return true;
}

void txn_init(void *state)
{
    word_put(state, 0, 0);
}

bool txn_start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    struct model_op op = {.known = true};
    txn_init(state);
    return txn_prepare_map(&op, TXN_WRITE, initial, space, problem) &&
           txn_step(state, &op, space, state);
}

static int64_t appended(struct model_space *space, int64_t content, int64_t value)
{
    int64_t list = content < 0 ? TXN_LIST(content) : 0;
    if (content > 0) /* a value that is no list is the first of one */
        list = model_sequence(space, &content, 1);
    if (list == MODEL_FULL)
        return MODEL_FULL;
    list = model_spliced(space, list, model_sequence_of(space, list).count, 0, &value, 1);
    return list == MODEL_FULL ? MODEL_FULL : TXN_LIST(list);
}

bool txn_step(const void *state, const struct model_op *op, struct model_space *space, void *next)
{
    int64_t store = word_at(state, 0);
    for (uint32_t i = 0; i < model_sequence_of(space, op->a).count; i += WIDTH) {
        const int64_t *step = model_sequence_of(space, op->a).items + i;
        int64_t content = 0, after = step[2];
        if (!words_find(space, store, step[1], &content))
            content = 0;
        if (step[0] == TXN_READ && content != step[2])
            return false;
        if (step[0] == TXN_READ)
            continue;
        if (step[0] == TXN_APPEND)
            after = appended(space, content, step[2]);
        if (after == MODEL_FULL)
            return false;
        store = words_set(space, store, step[1], after == 0 ? MODEL_ANY : after);
        if (store == MODEL_FULL)
            return false;
    }
    word_put(next, 0, store);
    return true;
}

void txn_describe(const void *state, const struct model_space *space, struct buf *out)
{
    struct model_sequence pairs = model_sequence_of(space, word_at(state, 0));
    buf_add_text(out, "the store is {");
    for (uint32_t i = 0; i < pairs.count; i += 2) {
        buf_add_text(out, i == 0 ? "" : ", ");
        value_print(value_table_value(&space->values, pairs.items[i]), out);
        buf_add_char(out, ' ');
        if (pairs.items[i + 1] < 0)
            model_print_values(space, TXN_LIST(pairs.items[i + 1]), out);
        else
            value_print(value_table_value(&space->values, pairs.items[i + 1]), out);
    }
    buf_add_char(out, '}');
}

bool txn_is_pure(const struct model_op *op)
{
    return op->b != 0;
}
