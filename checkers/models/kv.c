/* A key-value store: get, put, append, delete and cas of [key value]. A get of what is not there
 * answers nil, or what linearizable.initial gave for every key (as "" does for Porcupine's logs);
 * an initial map fills the store instead. An append to text makes it longer, to anything else makes
 * a list. The state is a sequence of (key, value), ascending by key. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { GET, PUT, APPEND, DELETE, CAS };
#define EVERY_KEY INT64_C(-1)

/* a: the key; b: the value seen or put; c: what a cas puts. */
static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    op->b = op->c = MODEL_ANY;
    struct value pair = op->f == GET && op->known ? op->output : op->input;
    if (!value_is_pair(pair) || !value_is_pair(op->input))
        return words_refuse(problem, "the value is [key value]", op->input);
    op->a = value_table_id(&space->values, value_at(op->input, 0));
    struct value value = value_at(pair, 1);
    if (op->f == CAS) {
        if (!value_is_pair(value))
            return words_refuse(problem, "the value of a cas is [key [old new]]", pair);
        op->b = value_table_id(&space->values, value_at(value, 0));
        op->c = value_table_id(&space->values, value_at(value, 1));
    } else if (op->f != DELETE && (op->f != GET || op->known)) {
        op->b = value_table_id(&space->values, value);
    }
    return true;
}

static void init(void *state)
{
    word_put(state, 0, 0);
}

static bool start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    (void)problem;
    int64_t map = 0;
    if (value_kind(initial) != VALUE_MAP)
        map = words_set(space, 0, EVERY_KEY, value_table_id(&space->values, initial));
    else
        for (size_t i = 0; i + 1 < value_count(initial); i += 2)
            map = words_set(space, map, value_table_id(&space->values, value_at(initial, i)),
                            value_table_id(&space->values, value_at(initial, i + 1)));
    word_put(state, 0, map);
    return true;
}

static int64_t look_up(const struct model_space *space, int64_t map, int64_t key)
{
    int64_t value = 0;
    if (!words_find(space, map, key, &value) && !words_find(space, map, EVERY_KEY, &value))
        return 0;
    return value;
}

/* The number of the value that an append leaves. */
static int64_t appended(struct model_space *space, int64_t before, int64_t added)
{
    struct value old = value_table_value(&space->values, before);
    struct value more = value_table_value(&space->values, added);
    struct arena arena = ARENA_INIT;
    struct value sum;
    if (value_is_nil(old) && value_kind(more) == VALUE_STRING)
        return added;
    if (value_kind(old) == VALUE_STRING) {
        struct buf text = BUF_INIT;
        buf_add(&text, value_as_text(old), value_text_length(old));
        if (value_kind(more) == VALUE_STRING)
            buf_add(&text, value_as_text(more), value_text_length(more));
        else
            value_print(more, &text);
        sum = value_text(&arena, VALUE_STRING, buf_text(&text), text.length);
        buf_free(&text);
    } else {
        size_t count = words_is_list(old) ? value_count(old) : !value_is_nil(old);
        struct value *items = arena_alloc(&arena, (count + 1) * sizeof *items);
        for (size_t i = 0; i < count; i++)
            items[i] = words_is_list(old) ? value_at(old, i) : old;
        items[count] = more;
        sum = value_items(&arena, VALUE_VECTOR, items, count + 1);
    }
    int64_t number = model_value(space, sum);
    arena_free(&arena);
    return number;
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    int64_t map = word_at(state, 0), now = look_up(space, map, op->a), after = op->b;
    if ((op->f == GET || op->f == CAS) && op->b != MODEL_ANY && op->b != now)
        return false;
    if (op->f == CAS)
        after = op->c;
    else if (op->f == APPEND)
        after = appended(space, now, op->b);
    if (op->f != GET)
        map = words_set(space, map, op->a, op->f == DELETE ? MODEL_ANY : after);
    if (map == MODEL_FULL)
        return false;
    word_put(next, 0, map);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    struct model_sequence pairs = model_sequence_of(space, word_at(state, 0));
    buf_add_text(out, "the store is {");
    for (uint32_t i = 0; i < pairs.count; i += 2) {
        buf_add_text(out, i == 0 ? "" : ", ");
        if (pairs.items[i] == EVERY_KEY)
            buf_add_text(out, "(any other key)");
        else
            value_print(value_table_value(&space->values, pairs.items[i]), out);
        buf_add_char(out, ' ');
        value_print(value_table_value(&space->values, pairs.items[i + 1]), out);
    }
    buf_add_char(out, '}');
}

static bool is_pure(const struct model_op *op)
{
    return op->f == GET || (op->f == CAS && op->b == op->c);
}

static const char *const functions[] = {
    [GET] = "get", [PUT] = "put", [APPEND] = "append", [DELETE] = "delete", [CAS] = "cas", NULL};

const struct model model_kv = {
    .name = "kv",
    .summary = "a key-value store: get, put, append, delete and cas of [key value]",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
    .start = start,
    .keys = MODEL_KEYS_INSIDE,
};
