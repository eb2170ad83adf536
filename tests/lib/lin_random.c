/* Random histories of registers and locks: see lin_random.h. */
#include "tests/lib/lin_random.h"

#include <assert.h>
#include <stdlib.h>

enum phase { IDLE, PENDING, APPLIED };

/* A client; or an operation that was given up and takes effect later. */
struct actor {
    enum phase phase;
    int op, process;
};

struct simulation {
    struct prng *prng;
    const struct lin_random *random;
    struct lin_text_op *ops;
    struct actor *actors;
    int *late; /* operations that will take effect after they were given up */
    uint32_t late_count, begun;
    int state, time, processes;
};

static bool chance(struct prng *prng, double share)
{
    return prng_unit(prng) < share;
}

static int any_value(struct simulation *s)
{
    return (int)prng_below(s->prng, s->random->values);
}

static struct lin_text_op draw_op(struct simulation *s)
{
    struct lin_text_op op = {.key = LIN_TEXT_NO_KEY, .a = LIN_TEXT_NIL, .outcome = OP_OK};
    double what = prng_unit(s->prng);
    if (s->random->locks)
        op.f = chance(s->prng, 0.5) ? 'a' : 'l';
    else if (what < s->random->cas) {
        op.f = 'c';
        op.a = chance(s->prng, 0.5) && s->state != LIN_TEXT_NIL ? s->state : any_value(s);
        op.b = any_value(s);
    } else if (what < s->random->cas + s->random->write) {
        op.f = 'w';
        op.a = any_value(s);
    } else
        op.f = 'r';
    if (chance(s->prng, s->random->info))
        op.outcome = OP_INFO;
    else if (op.f != 'r' && chance(s->prng, s->random->fail))
        op.outcome = OP_FAIL;
    return op;
}

/* The lock's state: nil free, 0 held. */
static void apply(struct simulation *s, struct lin_text_op *op)
{
    bool refused = (op->f == 'c' && s->state != op->a) || (op->f == 'a' && s->state == 0) ||
                   (op->f == 'l' && s->state != 0);
    if (refused && op->outcome == OP_OK)
        op->outcome = OP_FAIL;
    if (refused || op->outcome == OP_FAIL)
        return;
    if (op->f == 'r')
        op->a = s->state;
    else
        s->state = op->f == 'c' ? op->b : op->f == 'a' ? 0 : op->f == 'l' ? LIN_TEXT_NIL : op->a;
}

static void complete(struct simulation *s, struct actor *actor)
{
    struct lin_text_op *op = &s->ops[actor->op];
    bool silent = op->outcome == OP_INFO && chance(s->prng, 0.5);
    op->completed = silent ? LIN_TEXT_NO_TIME : ++s->time;
    if (op->outcome == OP_INFO)
        actor->process = s->processes++;
    actor->phase = IDLE;
}

static void act(struct simulation *s, struct actor *actor)
{
    struct lin_text_op *op = &s->ops[actor->op];
    if (actor->phase == APPLIED) {
        complete(s, actor);
    } else if (actor->phase == PENDING) {
        uint64_t fate = op->outcome == OP_INFO ? prng_below(s->prng, 3) : 0;
        actor->phase = APPLIED;
        if (fate == 0)
            apply(s, op);
        else if (fate == 1)
            s->late[s->late_count++] = actor->op;
    } else if (s->begun < s->random->ops) {
        actor->op = (int)s->begun++;
        actor->phase = PENDING;
        s->ops[actor->op] = draw_op(s);
        s->ops[actor->op].process = actor->process;
        s->ops[actor->op].invoked = ++s->time;
    }
}

static bool busy(const struct simulation *s)
{
    bool any = s->begun < s->random->ops;
    for (uint32_t i = 0; i < s->random->clients; i++)
        any = any || s->actors[i].phase != IDLE;
    return any;
}

void lin_random_valid(struct prng *prng, const struct lin_random *random, struct lin_text_op *ops)
{
    struct simulation s = {.prng = prng, .random = random, .ops = ops, .state = LIN_TEXT_NIL};
    s.actors = calloc(random->clients, sizeof *s.actors);
    s.late = calloc(random->ops + 1, sizeof *s.late);
    assert(s.actors != NULL && s.late != NULL);
    for (; s.processes < (int)random->clients; s.processes++)
        s.actors[s.processes].process = s.processes;
    while (busy(&s)) {
        if (s.late_count > 0 && chance(prng, 0.1)) {
            uint32_t i = (uint32_t)prng_below(prng, s.late_count);
            struct lin_text_op *op = &ops[s.late[i]];
            s.late[i] = s.late[--s.late_count];
            apply(&s, op);
        }
        act(&s, &s.actors[prng_below(prng, random->clients)]);
    }
    free(s.actors);
    free(s.late);
}

static void swap_ends(struct lin_text_op *a, struct lin_text_op *b)
{
    if (a->completed == LIN_TEXT_NO_TIME || b->completed == LIN_TEXT_NO_TIME ||
        a->invoked > b->completed || b->invoked > a->completed)
        return;
    int held = a->completed;
    a->completed = b->completed;
    b->completed = held;
}

void lin_random_spoil(struct prng *prng, const struct lin_random *random, struct lin_text_op *ops)
{
    struct lin_text_op *op = &ops[prng_below(prng, random->ops)];
    int value = (int)prng_below(prng, random->values);
    /* Processes could overlap with themselves after some changes: give each operation its own. */
    for (uint32_t i = 0; i < random->ops; i++)
        ops[i].process = (int)i;
    switch (prng_below(prng, 5)) {
    case 0:
    case 1:
        if (!random->locks)
            op->a = value;
        break;
    case 2:
        if (op->outcome != OP_OK && op->completed != LIN_TEXT_NO_TIME)
            op->outcome = OP_OK;
        break;
    case 3:
        op->outcome = op->outcome == OP_OK && op->f != 'r' ? OP_FAIL : op->outcome;
        break;
    default:
        swap_ends(op, &ops[prng_below(prng, random->ops)]);
    }
}

void lin_random_flip(struct prng *prng, const struct lin_random *random, struct lin_text_op *ops)
{
    uint32_t i = random->ops / 3 + (uint32_t)prng_below(prng, random->ops / 3 + 1);
    while (i + 1 < random->ops && (ops[i].f != 'r' || ops[i].outcome != OP_OK))
        i++;
    if (ops[i].f == 'r')
        ops[i].a = (ops[i].a + 1 + (int)prng_below(prng, random->values - 1)) % (int)random->values;
}

size_t lin_random_bad_tail(struct lin_text_op *ops, size_t count)
{
    int time = 0, process = 0;
    for (size_t i = 0; i < count; i++) {
        time = ops[i].invoked > time ? ops[i].invoked : time;
        time = ops[i].completed > time ? ops[i].completed : time;
        process = ops[i].process > process ? ops[i].process : process;
    }
    static const char fs[] = "wwr";
    for (int i = 0; i < 3; i++) {
        ops[count++] = (struct lin_text_op){.f = fs[i],
                                            .a = i == 1 ? 1001 : 1000,
                                            .key = LIN_TEXT_NO_KEY,
                                            .process = process + 1 + i,
                                            .invoked = time + 1 + 2 * i,
                                            .completed = time + 2 + 2 * i,
                                            .outcome = OP_OK};
    }
    return count;
}

/* Windows that begin in the order of the operations; at most `most` are open at once. */
static void draw_windows(struct prng *prng, struct lin_text_op *ops, uint32_t count, uint32_t most)
{
    uint32_t open[LIN_RANDOM_FEW], open_count = 0, begun = 0;
    assert(count <= LIN_RANDOM_FEW);
    for (int time = 1; begun < count || open_count > 0; time++) {
        if (begun < count && (open_count == 0 || (open_count < most && chance(prng, 0.6)))) {
            ops[begun].invoked = time;
            open[open_count++] = begun++;
            continue;
        }
        uint32_t i = (uint32_t)prng_below(prng, open_count);
        ops[open[i]].completed = time;
        open[i] = open[--open_count];
    }
}

void lin_random_anything(struct prng *prng, const struct lin_random *random,
                         struct lin_text_op *ops)
{
    int times[2 * LIN_RANDOM_FEW];
    assert(random->ops <= LIN_RANDOM_FEW);
    for (int i = 0; i < 2 * (int)random->ops; i++)
        times[i] = i + 1;
    prng_shuffle(prng, times, 2 * (size_t)random->ops, sizeof times[0]);
    for (uint32_t i = 0; i < random->ops; i++) {
        int a = times[2 * i], b = times[2 * i + 1];
        ops[i] = (struct lin_text_op){.f = "rwcrwcc"[prng_below(prng, 7)],
                                      .a = (int)prng_below(prng, random->values),
                                      .b = (int)prng_below(prng, random->values),
                                      .key = LIN_TEXT_NO_KEY,
                                      .process = (int)i,
                                      .invoked = a < b ? a : b,
                                      .completed = a < b ? b : a};
        double outcome = prng_unit(prng);
        ops[i].outcome = outcome < random->info ? OP_INFO : outcome < 0.95 ? OP_OK : OP_FAIL;
    }
}

void lin_random_places(struct prng *prng, const struct lin_random *random, struct lin_text_op *ops)
{
    int others = random->values > 1 ? (int)random->values - 1 : 1;
    uint32_t last = random->ops - 1;
    for (uint32_t i = 0; i < random->ops; i++) {
        int other = 1 + (int)prng_below(prng, (uint64_t)others);
        int third = 1 + (int)prng_below(prng, (uint64_t)others);
        uint64_t kind = prng_below(prng, 20);
        ops[i] = (struct lin_text_op){
            .f = 'c', .key = LIN_TEXT_NO_KEY, .process = (int)i, .outcome = OP_OK, .b = other};
        if (kind < 7)
            ops[i].f = 'w'; /* the value 0 */
        else if (kind < 12)
            ops[i].f = 'w', ops[i].a = other;
        else if (kind < 14)
            ops[i].a = third;
        if (chance(prng, i == last ? 0.5 : 0.05))
            ops[i].f = 'r', ops[i].a = third;
        if (kind < 7 && chance(prng, random->info))
            ops[i].outcome = OP_INFO;
    }
    /* The last one sees what all that came to. */
    uint32_t before = chance(prng, 0.5) ? last : random->ops;
    draw_windows(prng, ops, before, 2 + (uint32_t)prng_below(prng, 3));
    if (before == last) {
        ops[last].invoked = 2 * (int)last + 1;
        ops[last].completed = 2 * (int)last + 2;
    }
}
