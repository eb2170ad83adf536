/* A first-in-first-out queue: dequeue takes the oldest element, or answers nil from an empty queue.
 * (A dequeue that failed, as most clients have it, did not happen and tells nothing.) The state is
 * the sequence of elements, the oldest first. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { ENQUEUE, DEQUEUE, PEEK, LENGTH };

/* a: the value's number, 0 (nil) for an empty queue, MODEL_ANY when not known; or the length. */
static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    op->a = MODEL_ANY;
    if (op->f == ENQUEUE && value_is_nil(op->input))
        return words_refuse(problem, "what is enqueued is something", op->input);
    if (op->f == ENQUEUE)
        op->a = value_table_id(&space->values, op->input);
    else if (op->known && op->f == LENGTH && !value_is_int(op->output))
        return words_refuse(problem, "a length is a number", op->output);
    else if (op->known)
        op->a = op->f == LENGTH ? words_count(op->output)
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
    struct model_sequence queue = model_sequence_of(space, number);
    int64_t oldest = queue.count == 0 ? 0 : queue.items[0];
    if (op->f == ENQUEUE)
        return word_splice(space, next, number, queue.count, 0, &op->a, 1);
    if (op->f == LENGTH ? op->a != MODEL_ANY && op->a != queue.count
                        : op->a != MODEL_ANY && op->a != oldest)
        return false;
    if (op->f == DEQUEUE && queue.count > 0)
        return word_splice(space, next, number, 0, 1, NULL, 0);
    word_put(next, 0, number);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    buf_add_text(out, "the queue is ");
    model_print_values(space, word_at(state, 0), out);
}

static bool is_pure(const struct model_op *op)
{
    return op->f == PEEK || op->f == LENGTH || (op->f == DEQUEUE && op->a == 0);
}

static bool start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    if (!words_is_list(initial))
        return words_refuse(problem, "a queue begins with a list", initial);
    word_put(state, 0, words_of_list(space, initial));
    return true;
}

static struct model_touch touch(const struct model_op *op)
{
    struct model_touch touch = {.act = MODEL_OTHER, .value = op->a};
    if (op->f == ENQUEUE)
        touch.act = MODEL_INSERT;
    else if (op->a == 0 && op->f != LENGTH)
        touch.act = MODEL_EMPTY;
    else if (op->f == DEQUEUE)
        touch.act = MODEL_REMOVE;
    return touch;
}

/* ---- In place: a ring ---- */

struct ring {
    struct arena *arena;
    int64_t *items;
    size_t first, count, capacity;
};

static void add(struct ring *ring, int64_t item)
{
    if (ring->count == ring->capacity) {
        int64_t *items = arena_alloc(ring->arena, ring->capacity * 2 * sizeof *items);
        for (size_t i = 0; i < ring->count; i++)
            items[i] = ring->items[(ring->first + i) % ring->capacity];
        ring->items = items;
        ring->first = 0;
        ring->capacity *= 2;
    }
    ring->items[(ring->first + ring->count++) % ring->capacity] = item;
}

static void *replay_open(struct arena *arena, const struct model_space *space, const void *state)
{
    struct ring *ring = arena_alloc(arena, sizeof *ring);
    *ring = (struct ring){.arena = arena, .capacity = 64};
    ring->items = arena_alloc(arena, ring->capacity * sizeof *ring->items);
    struct model_sequence queue = model_sequence_of(space, word_at(state, 0));
    for (uint32_t i = 0; i < queue.count; i++)
        add(ring, queue.items[i]);
    return ring;
}

static bool replay_apply(void *object, const struct model_op *op, int64_t took)
{
    struct ring *ring = object;
    int64_t oldest = ring->count == 0 ? 0 : ring->items[ring->first];
    if (op->f == ENQUEUE) {
        add(ring, op->a);
        return true;
    }
    int64_t seen = op->f == LENGTH ? (int64_t)ring->count : oldest;
    if ((op->a != MODEL_ANY && op->a != seen) || (took != MODEL_ANY && took != oldest))
        return false;
    if (op->f == DEQUEUE && ring->count > 0) {
        ring->first = (ring->first + 1) % ring->capacity;
        ring->count--;
    }
    return true;
}

static void replay_describe(const void *object, const struct model_space *space, struct buf *out)
{
    const struct ring *ring = object;
    int64_t first[WORDS_SHOWN];
    for (size_t i = 0; i < ring->count && i < WORDS_SHOWN; i++)
        first[i] = ring->items[(ring->first + i) % ring->capacity];
    buf_add_text(out, "the queue is ");
    words_print_some(space, first, ring->count, out);
}

static const struct model_replay replay = {
    .open = replay_open, .apply = replay_apply, .describe = replay_describe};
static const char *const functions[] = {
    [ENQUEUE] = "enqueue", [DEQUEUE] = "dequeue", [PEEK] = "peek", [LENGTH] = "length", NULL};

const struct model model_fifo_queue = {
    .name = "fifo-queue",
    .summary = "enqueue and dequeue, the oldest first; nil from an empty queue",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
    .start = start,
    .container = MODEL_FIFO,
    .touch = touch,
    .replay = &replay,
};
