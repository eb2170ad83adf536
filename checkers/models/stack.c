/* A stack: pop takes the youngest element, or answers nil from an empty stack. The state is the
 * sequence of elements, the oldest first. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { PUSH, POP, PEEK, LEN };

/* a: the value's number, 0 (nil) for an empty stack, MODEL_ANY when not known; or the length. */
static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    op->a = MODEL_ANY;
    if (op->f == PUSH && value_is_nil(op->input))
        return words_refuse(problem, "what is pushed is something", op->input);
    if (op->f == PUSH)
        op->a = value_table_id(&space->values, op->input);
    else if (op->known && op->f == LEN && !value_is_int(op->output))
        return words_refuse(problem, "a length is a number", op->output);
    else if (op->known)
        op->a = op->f == LEN ? words_count(op->output)
                             : (int64_t)value_table_id(&space->values, op->output);
    return true;
}

static void init(void *state)
{
    word_put(state, 0, 0);
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    int64_t number = word_at(state, 0);
    struct model_sequence stack = model_sequence_of(space, number);
    int64_t top = stack.count == 0 ? 0 : stack.items[stack.count - 1];
    if (op->f == PUSH)
        return word_splice(space, next, number, stack.count, 0, &op->a, 1);
    if (op->a != MODEL_ANY && op->a != (op->f == LEN ? (int64_t)stack.count : top))
        return false;
    if (op->f == POP && stack.count > 0)
        return word_splice(space, next, number, stack.count - 1, 1, NULL, 0);
    word_put(next, 0, number);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    buf_add_text(out, "the stack is ");
    model_print_values(space, word_at(state, 0), out);
}

static bool is_pure(const struct model_op *op)
{
    return op->f == PEEK || op->f == LEN || (op->f == POP && op->a == 0);
}

static bool start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    if (!words_is_list(initial))
        return words_refuse(problem, "a stack begins with a list", initial);
    word_put(state, 0, words_of_list(space, initial));
    return true;
}

static struct model_touch touch(const struct model_op *op)
{
    struct model_touch touch = {.act = MODEL_OTHER, .value = op->a};
    if (op->f == PUSH)
        touch.act = MODEL_INSERT;
    else if (op->a == 0 && op->f != LEN)
        touch.act = MODEL_EMPTY;
    else if (op->f == POP)
        touch.act = MODEL_REMOVE;
    return touch;
}

/* ---- In place ---- */

struct pile {
    struct arena *arena;
    int64_t *items;
    size_t count, capacity;
};

static void add(struct pile *pile, int64_t item)
{
    if (pile->count == pile->capacity) {
        int64_t *items = arena_alloc(pile->arena, pile->capacity * 2 * sizeof *items);
        memcpy(items, pile->items, pile->count * sizeof *items);
        pile->items = items;
        pile->capacity *= 2;
    }
    pile->items[pile->count++] = item;
}

static void *replay_open(struct arena *arena, const struct model_space *space, const void *state)
{
    struct pile *pile = arena_alloc(arena, sizeof *pile);
    *pile = (struct pile){.arena = arena, .capacity = 64};
    pile->items = arena_alloc(arena, pile->capacity * sizeof *pile->items);
    struct model_sequence stack = model_sequence_of(space, word_at(state, 0));
    for (uint32_t i = 0; i < stack.count; i++)
        add(pile, stack.items[i]);
    return pile;
}

static bool replay_apply(void *object, const struct model_op *op, int64_t took)
{
    struct pile *pile = object;
    int64_t top = pile->count == 0 ? 0 : pile->items[pile->count - 1];
    if (op->f == PUSH) {
        add(pile, op->a);
        return true;
    }
    int64_t seen = op->f == LEN ? (int64_t)pile->count : top;
    if ((op->a != MODEL_ANY && op->a != seen) || (took != MODEL_ANY && took != top))
        return false;
    if (op->f == POP && pile->count > 0)
        pile->count--;
    return true;
}

static void replay_describe(const void *object, const struct model_space *space, struct buf *out)
{
    const struct pile *pile = object;
    buf_add_text(out, "the stack is, from the top, ");
    int64_t top[WORDS_SHOWN];
    for (size_t i = 0; i < pile->count && i < WORDS_SHOWN; i++)
        top[i] = pile->items[pile->count - 1 - i];
    words_print_some(space, top, pile->count, out);
}

static const struct model_replay replay = {
    .open = replay_open, .apply = replay_apply, .describe = replay_describe};
static const char *const functions[] = {
    [PUSH] = "push", [POP] = "pop", [PEEK] = "peek", [LEN] = "len", NULL};

const struct model model_stack = {
    .name = "stack",
    .summary = "push and pop, the youngest first; nil from an empty stack",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
    .start = start,
    .container = MODEL_LIFO,
    .touch = touch,
    .replay = &replay,
};
