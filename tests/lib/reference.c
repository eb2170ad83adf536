/* Reference objects: see reference.h. */
#include "tests/lib/reference.h"

#include <stdlib.h>
#include <string.h>

#define NIL (-1)

static struct value number(int integer)
{
    return integer == NIL ? value_nil() : value_int(NULL, integer);
}

static bool is(const struct ref_op *op, const char *f)
{
    return strcmp(op->f, f) == 0;
}

static struct ref_outcome *same(const struct ref_state *state, struct ref_outcome *out, int seen)
{
    *out = (struct ref_outcome){.seen = seen, .next = *state};
    return out;
}

static int pick(struct prng *prng, int count)
{
    return (int)prng_below(prng, (uint64_t)count);
}

static void remove_at(struct ref_state *state, int at)
{
    for (int i = at; i + 1 < state->count; i++)
        state->items[i] = state->items[i + 1];
    state->items[--state->count] = 0;
}

static void list_all(const struct ref_state *state, struct ref_outcome *out)
{
    memcpy(out->list, state->items, sizeof out->list);
    out->count = state->count;
}

static void in_nothing(const struct ref_op *op, struct arena *arena, struct value *value)
{
    (void)op, (void)arena;
    *value = value_nil();
}

static void in_a(const struct ref_op *op, struct arena *arena, struct value *value)
{
    (void)arena;
    *value = number(op->a);
}

static struct value listed(const struct ref_op *op, struct arena *arena, enum value_kind kind)
{
    struct value items[REF_ITEMS];
    for (int i = 0; i < op->count; i++)
        items[i] = number(op->list[i]);
    return value_items(arena, kind, items, (size_t)op->count);
}

/* ---- Registers ---- */

static int run_register(const struct ref_state *state, const struct ref_op *op,
                        struct ref_outcome *out)
{
    int value = state->count == 0 ? NIL : state->items[0];
    same(state, out, value);
    if (is(op, "read"))
        return 1;
    if (is(op, "cas") && value != op->a)
        return 0;
    out->seen = op->a;
    out->next.count = 1;
    out->next.items[0] = is(op, "cas") ? op->b : op->a;
    return 1;
}

static void draw_register(struct prng *prng, struct ref_op *op, int fresh)
{
    op->f = pick(prng, 2) == 0 ? "read" : "write";
    op->a = fresh >= 0 ? fresh : pick(prng, 3);
}

static void draw_cas_register(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"read", "write", "cas"};
    op->f = functions[pick(prng, 3)];
    op->a = fresh >= 0 ? fresh : pick(prng, 3);
    op->b = pick(prng, 3);
    if (fresh >= 0 && is(op, "cas")) {
        op->b = fresh;
        op->a = fresh == 0 ? 0 : pick(prng, fresh);
    }
}

static void in_register(const struct ref_op *op, struct arena *arena, struct value *value)
{
    *value = is(op, "read")  ? value_nil()
             : is(op, "cas") ? value_pair(arena, number(op->a), number(op->b))
                             : number(op->a);
}

static void out_register(const struct ref_op *op, struct arena *arena, struct value *value)
{
    if (is(op, "read"))
        *value = number(op->seen);
    else
        in_register(op, arena, value);
}

/* ---- Locks: x[0] how often held, x[1] the owner, x[2] the last fence ---- */

static int run_mutex(const struct ref_state *state, const struct ref_op *op,
                     struct ref_outcome *out)
{
    same(state, out, NIL);
    if ((state->x[0] != 0) == is(op, "acquire"))
        return 0;
    out->next.x[0] = !state->x[0];
    return 1;
}

static int run_owner_mutex(const struct ref_state *state, const struct ref_op *op,
                           struct ref_outcome *out)
{
    same(state, out, NIL);
    if (is(op, "acquire") ? state->x[0] != 0 : state->x[0] == 0 || state->x[1] != op->a)
        return 0;
    out->next.x[0] = !state->x[0];
    out->next.x[1] = is(op, "acquire") ? op->a : 0;
    return 1;
}

static int run_reentrant(const struct ref_state *state, const struct ref_op *op,
                         struct ref_outcome *out)
{
    same(state, out, NIL);
    bool mine = state->x[0] > 0 && state->x[1] == op->a;
    if (is(op, "acquire") ? state->x[0] > 0 && !mine : !mine)
        return 0;
    out->next.x[0] += is(op, "acquire") ? 1 : -1;
    out->next.x[1] = out->next.x[0] == 0 ? 0 : op->a;
    return 1;
}

/* Fences are one more each time, or two. An operation whose fence nobody saw may have had any. */
static int run_fenced(const struct ref_state *state, const struct ref_op *op,
                      struct ref_outcome *out)
{
    if (run_owner_mutex(state, op, out) == 0)
        return 0;
    if (is(op, "release"))
        return 1;
    if (op->outcome != OP_OK) /* the least is the least that it forbids */
        return 1;
    int count = 0;
    struct ref_state held = out[0].next;
    for (int fence = state->x[3] ? state->x[2] + 1 : -1; fence < 10; fence++) {
        out[count] = (struct ref_outcome){.seen = fence, .next = held};
        out[count].next.x[3] = 1;
        out[count++].next.x[2] = fence;
    }
    return count;
}

/* The same, whoever holds it. */
static int run_fences(const struct ref_state *state, const struct ref_op *op,
                      struct ref_outcome *out)
{
    same(state, out, NIL);
    if (is(op, "release") || op->outcome != OP_OK)
        return 1;
    int count = 0;
    for (int fence = state->x[3] ? state->x[2] + 1 : -1; fence < 10; fence++) {
        out[count] = (struct ref_outcome){.seen = fence, .next = *state};
        out[count].next.x[3] = 1;
        out[count++].next.x[2] = fence;
    }
    return count;
}

static void draw_lock(struct prng *prng, struct ref_op *op, int fresh)
{
    (void)fresh;
    op->f = pick(prng, 2) == 0 ? "acquire" : "release";
    op->a = pick(prng, 2);
}

static void in_owner(const struct ref_op *op, struct arena *arena, struct value *value)
{
    struct value items[] = {value_keyword(arena, "client"), number(op->a)};
    *value = value_items(arena, VALUE_MAP, items, 2);
}

static void out_fenced(const struct ref_op *op, struct arena *arena, struct value *value)
{
    struct value items[] = {value_keyword(arena, "client"), number(op->a),
                            value_keyword(arena, "fence"), value_int(NULL, op->seen)};
    *value = value_items(arena, VALUE_MAP, items, is(op, "acquire") ? 4 : 2);
}

static int run_semaphore(const struct ref_state *state, const struct ref_op *op,
                         struct ref_outcome *out)
{
    same(state, out, NIL);
    out->next.x[0] += is(op, "acquire") ? op->a : -op->a;
    return out->next.x[0] >= 0 && out->next.x[0] <= 1;
}

/* ---- Containers: items in the order of insertion ---- */

static int run_queue(const struct ref_state *state, const struct ref_op *op,
                     struct ref_outcome *out)
{
    same(state, out, NIL);
    if (is(op, "enqueue")) {
        out->next.items[out->next.count++] = op->a;
        return 1;
    }
    if (is(op, "length")) {
        out->seen = state->count;
        return 1;
    }
    if (state->count > 0)
        out->seen = state->items[0];
    if (is(op, "dequeue") && state->count > 0)
        remove_at(&out->next, 0);
    return 1;
}

static void draw_queue(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"enqueue", "enqueue", "enqueue", "dequeue",
                                            "dequeue", "dequeue", "peek",    "length"};
    op->f = functions[pick(prng, fresh >= 0 ? 6 : 8)];
    op->a = fresh >= 0 ? fresh : pick(prng, 3);
}

static int run_stack(const struct ref_state *state, const struct ref_op *op,
                     struct ref_outcome *out)
{
    same(state, out, NIL);
    if (is(op, "push")) {
        out->next.items[out->next.count++] = op->a;
        return 1;
    }
    if (is(op, "len")) {
        out->seen = state->count;
        return 1;
    }
    if (state->count > 0)
        out->seen = state->items[state->count - 1];
    if (is(op, "pop") && state->count > 0)
        remove_at(&out->next, state->count - 1);
    return 1;
}

static void draw_stack(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"push", "push", "push", "pop",
                                            "pop",  "pop",  "peek", "len"};
    op->f = functions[pick(prng, fresh >= 0 ? 6 : 8)];
    op->a = fresh >= 0 ? fresh : pick(prng, 3);
}

static int priority_of(int value)
{
    return value / 2; /* two values of each priority */
}

static int run_bag(const struct ref_state *state, const struct ref_op *op, bool by_priority,
                   struct ref_outcome *out)
{
    same(state, out, NIL);
    if (is(op, "enqueue") || is(op, "insert")) {
        /* In some order that is the same for the same elements: which came first tells nothing. */
        int at = out->next.count++;
        for (; at > 0 && out->next.items[at - 1] > op->a; at--)
            out->next.items[at] = out->next.items[at - 1];
        out->next.items[at] = op->a;
        return 1;
    }
    if (is(op, "length")) {
        out->seen = state->count;
        return 1;
    }
    int count = 0;
    for (int i = 0; i < state->count; i++) {
        if (by_priority && priority_of(state->items[i]) != priority_of(state->items[0]))
            break; /* values ascend, and so do priorities */
        same(state, &out[count], state->items[i]);
        remove_at(&out[count++].next, i);
    }
    return state->count == 0 ? 1 : count;
}

static int run_unordered(const struct ref_state *state, const struct ref_op *op,
                         struct ref_outcome *out)
{
    return run_bag(state, op, false, out);
}

static int run_priority(const struct ref_state *state, const struct ref_op *op,
                        struct ref_outcome *out)
{
    return run_bag(state, op, true, out);
}

static void draw_unordered(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"enqueue", "enqueue", "enqueue", "dequeue",
                                            "dequeue", "dequeue", "length"};
    op->f = functions[pick(prng, fresh >= 0 ? 6 : 7)];
    op->a = fresh >= 0 ? fresh : pick(prng, 3);
}

static void draw_priority(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"enqueue", "insert",     "insert", "dequeue",
                                            "dequeue", "delete-min", "length"};
    op->f = functions[pick(prng, fresh >= 0 ? 6 : 7)];
    op->a = fresh >= 0 ? fresh : pick(prng, 4);
    if (fresh >= 0) /* not in the order of insertion */
        op->a = fresh * 7 % REF_OPS;
}

static struct value prioritized(int value, struct arena *arena)
{
    return value == NIL ? value_nil()
                        : value_pair(arena, number(priority_of(value)), number(value));
}

static void in_priority(const struct ref_op *op, struct arena *arena, struct value *value)
{
    bool inserts = is(op, "enqueue") || is(op, "insert");
    *value = inserts ? prioritized(op->a, arena) : value_nil();
}

static void out_priority(const struct ref_op *op, struct arena *arena, struct value *value)
{
    bool inserts = is(op, "enqueue") || is(op, "insert");
    *value = is(op, "length") ? value_int(NULL, op->seen)
                              : prioritized(inserts ? op->a : op->seen, arena);
}

static void in_insert(const struct ref_op *op, struct arena *arena, struct value *value)
{
    (void)arena;
    *value = is(op, "enqueue") || is(op, "push") ? number(op->a) : value_nil();
}

static void out_insert(const struct ref_op *op, struct arena *arena, struct value *value)
{
    (void)arena;
    *value = is(op, "enqueue") || is(op, "push") ? number(op->a)
             : is(op, "length") || is(op, "len") ? value_int(NULL, op->seen)
                                                 : number(op->seen);
}

/* ---- Sets: x[v] of each value v ---- */

static int run_counts(const struct ref_state *state, const struct ref_op *op, bool once,
                      struct ref_outcome *out)
{
    int there = 0;
    for (int i = 0; i < state->count; i++)
        there += state->items[i] == op->a;
    same(state, out, there > 0);
    if (is(op, "read"))
        list_all(state, out);
    if (is(op, "count"))
        out->seen = there;
    int at = 0;
    if (is(op, "add")) {
        out->seen = 1;
        if (once && there > 0) {
            out->seen = 0;
            return 1;
        }
        for (at = out->next.count++; at > 0 && out->next.items[at - 1] > op->a; at--)
            out->next.items[at] = out->next.items[at - 1];
        out->next.items[at] = op->a;
    } else if (is(op, "remove")) {
        while (at < state->count && state->items[at] != op->a)
            at++;
        if (at < state->count)
            remove_at(&out->next, at);
    }
    return 1;
}

static int run_set(const struct ref_state *state, const struct ref_op *op, struct ref_outcome *out)
{
    return run_counts(state, op, true, out);
}

static int run_multiset(const struct ref_state *state, const struct ref_op *op,
                        struct ref_outcome *out)
{
    return run_counts(state, op, false, out);
}

static void draw_set(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"add", "add", "remove", "contains", "contains", "read"};
    op->f = functions[pick(prng, 6)];
    op->a = pick(prng, fresh > 0 ? fresh : 3);
    if (fresh >= 0 && is(op, "add"))
        op->a = fresh;
}

static void draw_multiset(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"add", "add", "remove", "contains", "count", "read"};
    (void)fresh;
    op->f = functions[pick(prng, 6)];
    op->a = pick(prng, 3);
}

static void in_set(const struct ref_op *op, struct arena *arena, struct value *value)
{
    (void)arena;
    *value = is(op, "read") ? value_nil() : number(op->a);
}

static void out_set(const struct ref_op *op, struct arena *arena, struct value *value)
{
    if (is(op, "read"))
        *value = listed(op, arena, op->a == 0 ? VALUE_SET : VALUE_VECTOR);
    else if (is(op, "count"))
        *value = value_int(NULL, op->seen);
    else
        *value = value_bool(op->seen != 0);
}

static void out_multiset(const struct ref_op *op, struct arena *arena, struct value *value)
{
    if (is(op, "add"))
        *value = number(op->a);
    else if (is(op, "read"))
        *value = listed(op, arena, VALUE_VECTOR);
    else
        out_set(op, arena, value);
}

/* ---- Counter, log ---- */

static int run_counter(const struct ref_state *state, const struct ref_op *op,
                       struct ref_outcome *out)
{
    same(state, out, state->x[0]);
    out->next.x[0] += is(op, "add") ? op->a : is(op, "inc") ? 1 : is(op, "dec") ? -1 : 0;
    return 1;
}

static void draw_counter(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"add", "inc", "dec", "read", "read"};
    (void)fresh;
    op->f = functions[pick(prng, 5)];
    op->a = pick(prng, 3);
}

static void in_counter(const struct ref_op *op, struct arena *arena, struct value *value)
{
    (void)arena;
    *value = is(op, "add") ? number(op->a) : value_nil();
}

static void out_counter(const struct ref_op *op, struct arena *arena, struct value *value)
{
    (void)arena;
    *value = is(op, "read") ? value_int(NULL, op->seen) : value_nil();
}

static int run_log(const struct ref_state *state, const struct ref_op *op, struct ref_outcome *out)
{
    same(state, out, state->count);
    if (is(op, "append"))
        out->next.items[out->next.count++] = op->a;
    if (is(op, "read"))
        list_all(state, out);
    return 1;
}

static void draw_log(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"append", "append", "read", "length"};
    (void)fresh;
    op->f = functions[pick(prng, 4)];
    op->a = pick(prng, 3);
}

static void in_append(const struct ref_op *op, struct arena *arena, struct value *value)
{
    (void)arena;
    *value = is(op, "append") ? number(op->a) : value_nil();
}

static void out_log(const struct ref_op *op, struct arena *arena, struct value *value)
{
    *value = is(op, "read")     ? listed(op, arena, VALUE_VECTOR)
             : is(op, "append") ? number(op->a)
                                : value_int(NULL, op->seen);
}

/* ---- Stores: texts of up to four letters per key, x[key] as a number in base 4 ---- */

static int run_kv(const struct ref_state *state, const struct ref_op *op, struct ref_outcome *out)
{
    int *x = out->next.x;
    same(state, out, state->x[op->key]);
    if (is(op, "put"))
        x[op->key] = op->a + 1;
    else if (is(op, "append"))
        x[op->key] = state->x[op->key] * 4 + op->a + 1;
    else if (is(op, "delete"))
        x[op->key] = 0;
    else if (is(op, "cas") && state->x[op->key] != op->a + 1)
        return 0;
    else if (is(op, "cas"))
        x[op->key] = op->b + 1;
    return 1;
}

static void draw_kv(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"get", "get", "put", "append", "delete", "cas"};
    (void)fresh;
    op->f = functions[pick(prng, 6)];
    op->key = pick(prng, 2);
    op->a = pick(prng, 3);
    op->b = pick(prng, 3);
}

static struct value text_of(int coded, struct arena *arena)
{
    char text[24];
    int length = 0;
    for (int rest = coded; rest > 0; rest /= 4)
        length++;
    for (int i = length, rest = coded; rest > 0; rest /= 4)
        text[--i] = (char)('a' + rest % 4 - 1);
    text[length] = '\0';
    return coded == 0 ? value_nil() : value_string(arena, text);
}

static void in_kv(const struct ref_op *op, struct arena *arena, struct value *value)
{
    struct value inner = text_of(op->a + 1, arena);
    if (is(op, "cas"))
        inner = value_pair(arena, inner, text_of(op->b + 1, arena));
    if (is(op, "get") || is(op, "delete"))
        inner = value_nil();
    *value = value_pair(arena, number(op->key), inner);
}

static void out_kv(const struct ref_op *op, struct arena *arena, struct value *value)
{
    if (is(op, "get"))
        *value = value_pair(arena, number(op->key), text_of(op->seen, arena));
    else
        in_kv(op, arena, value);
}

/* Steps of transactions: reads answer in `list`. */
static int run_txn(const struct ref_state *state, const struct ref_op *op, struct ref_outcome *out)
{
    same(state, out, NIL);
    out->count = op->step_count;
    for (int i = 0; i < op->step_count; i++) {
        int *x = &out->next.x[op->steps[i].key];
        out->list[i] = *x;
        if (strcmp(op->steps[i].f, "w") == 0)
            *x = op->steps[i].a + 1;
        else if (strcmp(op->steps[i].f, "append") == 0)
            *x = *x * 4 + op->steps[i].a + 1;
        else if (strcmp(op->steps[i].f, "cas") == 0 && *x != op->steps[i].a + 1)
            return 0;
        else if (strcmp(op->steps[i].f, "cas") == 0)
            *x = op->steps[i].b + 1;
        if (strcmp(op->steps[i].f, "r") != 0)
            out->list[i] = 0;
    }
    return 1;
}

static void draw_steps(struct prng *prng, struct ref_op *op, const char *const functions[])
{
    op->f = "txn";
    op->step_count = 1 + pick(prng, REF_STEPS);
    for (int i = 0; i < op->step_count; i++) {
        op->steps[i].key = pick(prng, 2);
        /* Appends go to a key of their own: what they leave is a list there. */
        op->steps[i].f = functions[pick(prng, 4) + (op->steps[i].key == 1 ? 4 : 0)];
        op->steps[i].a = pick(prng, 3);
        op->steps[i].b = pick(prng, 3);
    }
}

static void draw_multi(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"r", "r", "w", "w", "r", "r", "w", "w"};
    (void)fresh;
    draw_steps(prng, op, functions);
}

static void draw_txn(struct prng *prng, struct ref_op *op, int fresh)
{
    static const char *const functions[] = {"r", "w", "w", "cas", "r", "r", "append", "append"};
    (void)fresh;
    draw_steps(prng, op, functions);
}

static struct value letters(int coded, struct arena *arena)
{
    struct value items[24];
    size_t count = 0;
    for (int rest = coded; rest > 0; rest /= 4)
        count++;
    size_t at = count;
    for (int rest = coded; rest > 0; rest /= 4)
        items[--at] = number(rest % 4 - 1);
    return coded == 0 ? value_nil() : value_items(arena, VALUE_VECTOR, items, count);
}

static void steps_of(const struct ref_op *op, bool answered, struct arena *arena, bool lists,
                     struct value *value)
{
    struct value steps[REF_STEPS];
    for (int i = 0; i < op->step_count; i++) {
        const char *f = op->steps[i].f;
        struct value inner = number(op->steps[i].a);
        if (strcmp(f, "cas") == 0)
            inner = value_pair(arena, inner, number(op->steps[i].b));
        if (strcmp(f, "r") == 0)
            inner = !answered                        ? value_nil()
                    : lists && op->steps[i].key == 1 ? letters(op->list[i], arena)
                                                     : number(op->list[i] - 1);
        struct value items[] = {value_keyword(arena, f), number(op->steps[i].key), inner};
        steps[i] = value_items(arena, VALUE_VECTOR, items, 3);
    }
    *value = value_items(arena, VALUE_VECTOR, steps, (size_t)op->step_count);
}

static void in_multi(const struct ref_op *op, struct arena *arena, struct value *value)
{
    steps_of(op, false, arena, false, value);
}

static void out_multi(const struct ref_op *op, struct arena *arena, struct value *value)
{
    steps_of(op, true, arena, false, value);
}

static void out_txn(const struct ref_op *op, struct arena *arena, struct value *value)
{
    steps_of(op, true, arena, true, value);
}

const struct ref_object ref_objects[] = {
    {"register", run_register, draw_register, in_register, out_register, 3, true},
    {"cas-register", run_register, draw_cas_register, in_register, out_register, 3, true},
    {"multi-register", run_txn, draw_multi, in_multi, out_multi, 3, false},
    {"mutex", run_mutex, draw_lock, in_nothing, in_nothing, 3, false},
    {"owner-aware-mutex", run_owner_mutex, draw_lock, in_owner, in_owner, 2, false},
    {"reentrant-mutex", run_reentrant, draw_lock, in_a, in_a, 2, false},
    {"fenced-mutex", run_fenced, draw_lock, in_owner, out_fenced, 4, false},
    {"fences", run_fences, draw_lock, in_owner, out_fenced, 4, false},
    {"semaphore", run_semaphore, draw_lock, in_a, in_a, 2, false},
    {"fifo-queue", run_queue, draw_queue, in_insert, out_insert, 3, true},
    {"unordered-queue", run_unordered, draw_unordered, in_insert, out_insert, 3, true},
    {"priority-queue", run_priority, draw_priority, in_priority, out_priority, 4, true},
    {"stack", run_stack, draw_stack, in_insert, out_insert, 3, true},
    {"set", run_set, draw_set, in_set, out_set, 3, true},
    {"multiset", run_multiset, draw_multiset, in_set, out_multiset, 3, false},
    {"counter", run_counter, draw_counter, in_counter, out_counter, 4, false},
    {"log", run_log, draw_log, in_append, out_log, 3, false},
    {"kv", run_kv, draw_kv, in_kv, out_kv, 20, false},
    {"kv-txn", run_txn, draw_txn, in_multi, out_txn, 4, false},
    {.model = NULL},
};

const struct ref_object *ref_find(const char *model)
{
    const struct ref_object *object = ref_objects;
    while (object->model != NULL && strcmp(object->model, model) != 0)
        object++;
    return object->model == NULL ? NULL : object;
}

/* ---- Histories ---- */

/* Happens to `state`, in one of the ways it can. */
static bool happen(struct prng *prng, const struct ref_object *object, struct ref_state *state,
                   struct ref_op *op)
{
    struct ref_outcome outcomes[REF_OUTCOMES];
    int count = object->run(state, op, outcomes);
    if (count == 0)
        return false;
    const struct ref_outcome *outcome = &outcomes[count > 2 ? pick(prng, 2) : pick(prng, count)];
    *state = outcome->next;
    op->seen = outcome->seen;
    op->count = outcome->count;
    memcpy(op->list, outcome->list, sizeof op->list);
    return true;
}

int ref_valid(struct prng *prng, const struct ref_object *object, const struct ref_shape *shape,
              struct ref_op *ops)
{
    struct ref_state state = {.count = 0};
    int count = 0, fresh = 0;
    for (int tries = 0; count < shape->ops && tries < shape->ops * 8; tries++) {
        struct ref_op op = {.outcome = OP_OK};
        object->draw(prng, &op, shape->distinct ? fresh : -1);
        op.count = op.step_count;
        bool open = prng_unit(prng) < shape->info, happened = !open || pick(prng, 2) == 0;
        struct ref_state before = state;
        if (happened && !happen(prng, object, &state, &op))
            continue;
        op.outcome = open ? OP_INFO : OP_OK;
        if (state.count > REF_ITEMS - 2 || state.x[0] > 4000 || state.x[1] > 4000) {
            state = before;
            continue;
        }
        fresh++;
        /* Times far enough apart that no two are equal once the number is added. */
        int at = count * 64, width = 1 + shape->width * 64;
        op.invoked = (at - pick(prng, width)) * REF_OPS * 2 + count * 2;
        op.returned = (at + 1 + pick(prng, width)) * REF_OPS * 2 + count * 2 + 1;
        ops[count++] = op;
    }
    return count;
}

static int ascending(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void spoil_answer(struct prng *prng, const struct ref_object *object, struct ref_op *op)
{
    op->seen = pick(prng, object->values + 1) - (is(op, "contains") ? 0 : 1);
    if (op->count > 0) {
        int *item = &op->list[pick(prng, op->count)];
        *item = op->step_count > 0 ? pick(prng, 4) : pick(prng, object->values);
        if (pick(prng, 3) == 0)
            op->count -= op->step_count == 0;
    }
    if (strstr(object->model, "set") != NULL) /* which are listed in no order */
        qsort(op->list, (size_t)op->count, sizeof *op->list, ascending);
}

void ref_spoil(struct prng *prng, const struct ref_object *object, struct ref_op *ops, int count)
{
    if (count == 0)
        return;
    struct ref_op *op = &ops[pick(prng, count)], *other = &ops[pick(prng, count)];
    int kept;
    if ((is(op, "acquire") || is(op, "release")) &&
        pick(prng, 2) == 0) { /* what locks answer is no news */
        op->f = is(op, pick(prng, 2) == 0 ? "acquire" : "release") ? "release" : "acquire";
        op->a = pick(prng, 2);
        return;
    }
    switch (pick(prng, 6)) {
    case 0:
        spoil_answer(prng, object, op);
        break;
    case 1: /* another's value */
        op->seen = other->a;
        break;
    case 2: /* the answers of two exchanged */
        kept = op->seen;
        op->seen = other->seen;
        other->seen = kept;
        break;
    case 3: /* later as a whole */
        kept = pick(prng, 300) * REF_OPS * 2;
        op->invoked += kept;
        op->returned += kept;
        break;
    case 4: /* shorter */
        op->invoked += (op->returned - op->invoked) / (REF_OPS * 4) * REF_OPS * 2;
        break;
    default:
        op->outcome = op->outcome == OP_OK ? OP_INFO : OP_OK;
    }
}

static bool answers(const struct ref_op *op, const struct ref_outcome *outcome)
{
    if (op->outcome != OP_OK)
        return true;
    bool same = op->count == outcome->count;
    for (int i = 0; i < op->count && same; i++)
        same = op->list[i] == outcome->list[i] ||
               (op->step_count > 0 && strcmp(op->steps[i].f, "r") != 0);
    return same;
}

/* Does `seen` tell anything of this operation? Compared through values, as a model sees them. */
static bool same_answer(const struct ref_object *object, const struct ref_op *op,
                        const struct ref_outcome *outcome, struct arena *arena)
{
    if (op->outcome != OP_OK)
        return true;
    if (!answers(op, outcome))
        return false;
    if (op->seen == outcome->seen)
        return true;
    struct ref_op other = *op;
    struct value one, two;
    other.seen = outcome->seen;
    object->out(op, arena, &one);
    object->out(&other, arena, &two);
    return value_equal(one, two);
}

static bool may_come_next(const struct ref_op *ops, int count, unsigned placed, int next)
{
    for (int i = 0; i < count; i++)
        if ((placed >> i & 1) == 0 && ops[i].outcome == OP_OK &&
            ops[i].returned < ops[next].invoked)
            return false;
    return true;
}

static bool force(const struct ref_object *object, const struct ref_op *ops, int count,
                  unsigned placed, const struct ref_state *state, struct arena *arena)
{
    bool done = true;
    for (int i = 0; i < count; i++)
        done = done && (ops[i].outcome != OP_OK || (placed >> i & 1) != 0);
    for (int i = 0; i < count && !done; i++) {
        if ((placed >> i & 1) != 0 || !may_come_next(ops, count, placed, i))
            continue;
        struct ref_outcome outcomes[REF_OUTCOMES];
        int ways = object->run(state, &ops[i], outcomes);
        for (int way = 0; way < ways && !done; way++)
            done = same_answer(object, &ops[i], &outcomes[way], arena) &&
                   force(object, ops, count, placed | 1U << i, &outcomes[way].next, arena);
    }
    return done;
}

bool ref_linearizable(const struct ref_object *object, const struct ref_op *ops, int count)
{
    struct arena arena = ARENA_INIT;
    struct ref_state state = {.count = 0};
    bool good = force(object, ops, count, 0, &state, &arena);
    arena_free(&arena);
    return good;
}

void ref_print(const struct ref_object *object, const struct ref_op *ops, int count,
               struct buf *out)
{
    struct arena arena = ARENA_INIT;
    buf_printf(out, "%s:\n", object->model);
    for (int i = 0; i < count; i++) {
        struct value in, answer;
        object->in(&ops[i], &arena, &in);
        object->out(&ops[i], &arena, &answer);
        buf_printf(out, "  [%d, ", ops[i].invoked);
        if (ops[i].outcome == OP_OK)
            buf_printf(out, "%d] %s ", ops[i].returned, ops[i].f);
        else
            buf_printf(out, "-] %s ", ops[i].f);
        value_print(in, out);
        if (ops[i].outcome == OP_OK) {
            buf_add_text(out, " -> ");
            value_print(answer, out);
        }
        buf_add_char(out, '\n');
    }
    arena_free(&arena);
}
