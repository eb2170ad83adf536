/* Every way to place the operation that returns: see hiding.c. */
#include "checkers/linearizable/hiding.h"

#include <assert.h>
#include <string.h>

enum { CLOCK_EVERY = 256, QUEUE_MIN = 8, QUEUE_PER_WIDTH = 2 };
#define NO_WRITE UINT32_MAX

static bool late(struct hiding *h)
{
    if (++h->explored % CLOCK_EVERY != 0 || !lin_late(h->budget))
        return false;
    h->limit = LIN_LIMIT_TIME;
    return true;
}

static bool no_memory(struct hiding *h)
{
    h->limit = LIN_LIMIT_MEMORY;
    return false;
}

/* Places reads of `value` that are in `among` (NULL: all): the state is `value` there. */
static void place_reads(const struct hiding *h, struct hid_config *config, uint32_t value,
                        const uint64_t *among)
{
    const uint64_t *reads = h->reads_of + (size_t)value * h->words;
    for (uint32_t w = 0; w < h->words; w++)
        config->words[w] |= among == NULL ? reads[w] : reads[w] & among[w];
}

/* ---- States that nobody will ask for ---- */

static uint32_t next_use(struct hiding *h, uint32_t value)
{
    uint32_t begin = h->uses_from[value], end = h->uses_from[value + 1], *at = &h->use_at[value];
    while (*at > begin && h->uses[*at - 1] > h->scene.event)
        --*at;
    while (*at < end && h->uses[*at] <= h->scene.event)
        ++*at;
    return *at < end ? h->uses[*at] : LIN_NEVER;
}

/* Nobody who is pending needs the value, and before anybody else who does is invoked, a required
 * write is invoked and returns: whatever the state is now, it is another then. */
bool hid_is_useless(struct hiding *h, const struct hid_config *config, uint32_t value)
{
    for (uint32_t w = 0; w < h->words; w++) {
        size_t at = (size_t)value * h->words + w;
        if (((h->reads_of[at] | h->swaps_from[at]) & ~config->words[w]) != 0)
            return false;
    }
    for (uint32_t i = 0; i < h->scene.active_count; i++)
        if (h->supplies.classes[h->active[i]].needs == value &&
            hid_class_ready(h, config, h->active[i], h->scene.event))
            return false;
    uint32_t use = next_use(h, value);
    return use == LIN_NEVER || h->write_over[h->scene.event] < use;
}

/* ---- Steps ---- */

/* How many classes may be used. */
static uint32_t usable_classes(const struct hiding *h)
{
    return h->frugal ? 0 : h->scene.active_count;
}

/* The operation or class is used; a class only counts. */
static void use(struct hiding *h, struct hid_config *config, uint32_t what)
{
    if ((what & HID_STEP_CLASS) != 0) {
        if (!h->is_free) {
            config->cost++;
            hid_used(h, config)[h->supplies.classes[what & ~HID_STEP_CLASS].column]++;
        }
        return;
    }
    uint32_t slot = h->op_slot[what];
    hid_put(config->words, slot);
    config->cost += !h->problem->ops[what].op.known;
}

static bool record(struct hiding *h, struct hid_config *config, uint32_t what, uint32_t event,
                   uint32_t anchor)
{
    if (!h->traced)
        return true;
    uint32_t step = hid_step(
        h,
        (struct hid_step){.parent = config->trace, .what = what, .anchor = anchor, .event = event});
    if (step == HID_NONE)
        return no_memory(h);
    config->trace = step;
    return true;
}

static bool add_token(struct hiding *h, struct hid_config *config, struct hid_token token)
{
    if (config->token_count == HID_TOKENS)
        hid_normalize(h, config);
    if (config->token_count == HID_TOKENS) {
        h->scene.trimmed = true; /* one place fewer */
        return false;
    }
    config->tokens[config->token_count++] = token;
    return true;
}

/* A write that is seen: it comes last, and leaves a gap before it. */
static bool write_visibly(struct hiding *h, struct hid_config *config, uint32_t what,
                          uint32_t value)
{
    struct hid_token left = {
        .state = config->state, .time = h->scene.event, .tail = config->last_step};
    use(h, config, what);
    if (!record(h, config, what, h->scene.event, HID_NONE))
        return false;
    config->state = value;
    config->gap = h->scene.event;
    config->gap_step = config->last_step = config->trace;
    place_reads(h, config, value, NULL);
    if (left.state != HID_DEAD && hid_token_need(h, config, left.state, left.time) > 0)
        (void)add_token(h, config, left);
    return true;
}

static bool swap_visibly(struct hiding *h, struct hid_config *config, uint32_t what, uint32_t value)
{
    use(h, config, what);
    if (!record(h, config, what, h->scene.event, HID_NONE))
        return false;
    config->state = value;
    config->last_step = config->trace;
    place_reads(h, config, value, NULL);
    return true;
}

static bool swap_hidden(struct hiding *h, struct hid_config *config, uint32_t focus, uint32_t what,
                        uint32_t value)
{
    struct hid_token *token = &config->tokens[focus];
    use(h, config, what);
    if (!record(h, config, what, HID_AFTER, token->tail))
        return false;
    token->state = value;
    token->tail = config->trace;
    place_reads(h, config, value, hid_old(h, token->time));
    return true;
}

/* A write that nobody sees but what comes into the gap after it. */
static bool write_hidden(struct hiding *h, struct hid_config *config, uint32_t what, uint32_t value)
{
    use(h, config, what);
    if (!record(h, config, what, HID_BEFORE, config->gap_step))
        return false;
    place_reads(h, config, value, hid_old(h, config->gap));
    return true;
}

/* The configuration is through. Its bit stays until all are, so that it is seen as placed. */
static bool emit(struct hiding *h, const struct hid_config *config)
{
    h->arrived++;
    hid_copy(h, h->normal, config);
    hid_normalize(h, h->normal);
    enum hid_added added = hid_add(h, &h->next, h->normal, HID_TOKENS);
    return added != HID_NO_MEMORY || no_memory(h);
}

/* ---- Choices ---- */

/* A separator between two invocations: a gap or a place that only the earlier one fits. */
static bool is_separated(const struct hid_config *config, uint32_t earlier, uint32_t later)
{
    if (earlier < config->gap && config->gap <= later)
        return true;
    for (uint32_t i = 0; i < config->token_count; i++)
        if (earlier < config->tokens[i].time && config->tokens[i].time <= later)
            return true;
    return false;
}

/* A twin that may go first instead: it returns sooner (or, of two that never return, is younger)
 * and goes wherever this one can. */
static bool twin_goes_first(struct hiding *h, const struct hid_config *config, uint32_t slot,
                            const uint64_t *among, uint32_t except)
{
    const struct lin_op *op = hid_op(h, slot);
    const uint64_t *swaps = h->swaps_from + (size_t)op->needs * h->words;
    for (uint32_t w = 0; w < h->words; w++)
        for (uint64_t left = among[w] & swaps[w]; left != 0; left &= left - 1) {
            uint32_t other_slot = w * 64 + (uint32_t)__builtin_ctzll(left);
            const struct lin_op *other = hid_op(h, other_slot);
            if (other_slot == slot || other_slot == except || other->leaves != op->leaves ||
                !(other->returned < op->returned ||
                  (other->returned == op->returned && other->invoked > op->invoked)))
                continue;
            if (op->invoked <= other->invoked || !is_separated(config, other->invoked, op->invoked))
                return true;
        }
    return false;
}

static bool any_leaves(const struct hiding *h, const uint64_t *among, uint32_t from, uint32_t to,
                       uint32_t except)
{
    const uint64_t *swaps = h->swaps_from + (size_t)from * h->words;
    for (uint32_t w = 0; w < h->words; w++)
        for (uint64_t left = among[w] & swaps[w]; left != 0; left &= left - 1) {
            uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(left);
            if (slot != except && hid_op(h, slot)->leaves == to)
                return true;
        }
    return false;
}

/* Values from which `target` can be reached at all, by what is pending and by supply. */
static void find_reach(struct hiding *h, const struct hid_config *config, uint32_t target,
                       uint32_t except)
{
    h->reach_stamp = ++h->stamp;
    h->reached[target] = h->reach_stamp;
    bool changed = true;
    while (changed) {
        changed = false;
        for (uint32_t w = 0; w < h->words; w++)
            for (uint64_t left = h->swaps[w] & ~config->words[w]; left != 0; left &= left - 1) {
                uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(left);
                const struct lin_op *op = hid_op(h, slot);
                if (slot == except || h->reached[op->leaves] != h->reach_stamp ||
                    h->reached[op->needs] == h->reach_stamp)
                    continue;
                h->reached[op->needs] = h->reach_stamp;
                changed = true;
            }
        for (uint32_t i = 0; i < usable_classes(h); i++) {
            const struct lin_class *class = &h->supplies.classes[h->active[i]];
            if (class->needs == MODEL_ANY || h->reached[class->leaves] != h->reach_stamp ||
                h->reached[class->needs] == h->reach_stamp ||
                !hid_class_ready(h, config, h->active[i], h->scene.event))
                continue;
            h->reached[class->needs] = h->reach_stamp;
            changed = true;
        }
    }
}

static bool reaches(const struct hiding *h, uint32_t value)
{
    return h->reached[value] == h->reach_stamp;
}

/* The write of `value` to use, of those in `among`: of required ones the one that returns first, of
 * optional ones the youngest, and else supply. NO_WRITE: there is none. */
static uint32_t pick_write(struct hiding *h, const struct hid_config *config, uint32_t value,
                           const uint64_t *among, uint32_t time)
{
    const uint64_t *writes = h->writes_of + (size_t)value * h->words;
    const struct lin_op *best = NULL;
    for (uint32_t w = 0; w < h->words; w++)
        for (uint64_t left = writes[w] & among[w] & ~config->words[w]; left != 0;
             left &= left - 1) {
            const struct lin_op *op = hid_op(h, w * 64 + (uint32_t)__builtin_ctzll(left));
            if (best == NULL || op->returned < best->returned ||
                (op->returned == best->returned && op->invoked > best->invoked))
                best = op;
        }
    if (best != NULL)
        return (uint32_t)(best - h->problem->ops);
    for (uint32_t i = 0; i < usable_classes(h); i++) {
        const struct lin_class *class = &h->supplies.classes[h->active[i]];
        if (class->needs == MODEL_ANY && class->leaves == value &&
            hid_class_ready(h, config, h->active[i], time))
            return HID_STEP_CLASS | h->active[i];
    }
    return NO_WRITE;
}

/* ---- Trails: chains of compare-and-sets ---- */

struct trail {
    uint32_t target; /* the value that is needed */
    uint32_t x;      /* the operation that returns */
    bool swaps;      /* it is a compare-and-set */
    uint32_t slot;   /* its slot, to be left for the end */
    uint32_t focus;  /* a token; HID_TOKENS: visibly */
};

static bool enqueue(struct hiding *h, const struct trail *trail, const struct hid_config *config)
{
    if (h->width != 0 && h->queue.count > QUEUE_PER_WIDTH * h->width + QUEUE_MIN) {
        h->scene.trimmed = true;
        return true;
    }
    enum hid_added added = hid_add(h, &h->queue, config, trail->focus);
    return added != HID_NO_MEMORY || no_memory(h);
}

static uint32_t end_of(const struct trail *trail, const struct hid_config *config)
{
    return trail->focus == HID_TOKENS ? config->state : config->tokens[trail->focus].state;
}

static bool extend_by(struct hiding *h, const struct trail *trail, uint32_t what, uint32_t value)
{
    hid_copy(h, h->made, h->from);
    if (trail->focus == HID_TOKENS ? !swap_visibly(h, h->made, what, value)
                                   : !swap_hidden(h, h->made, trail->focus, what, value))
        return false;
    return enqueue(h, trail, h->made);
}

/* h->from is where it can come: it comes. */
static bool arrive(struct hiding *h, const struct trail *trail)
{
    hid_copy(h, h->made, h->from);
    if (!trail->swaps)
        hid_put(h->made->words, trail->slot); /* a read */
    else if (trail->focus == HID_TOKENS
                 ? !swap_visibly(h, h->made, trail->x, (uint32_t)h->problem->ops[trail->x].leaves)
                 : !swap_hidden(h, h->made, trail->focus, trail->x,
                                (uint32_t)h->problem->ops[trail->x].leaves))
        return false;
    return emit(h, h->made);
}

static bool extend_all(struct hiding *h, const struct trail *trail, uint32_t value)
{
    uint32_t time =
        trail->focus == HID_TOKENS ? h->scene.event : h->from->tokens[trail->focus].time;
    const uint64_t *old = hid_old(h, time), *swaps = h->swaps_from + (size_t)value * h->words;
    for (uint32_t w = 0; w < h->words; w++)
        h->live[w] = old[w] & ~h->from->words[w] & swaps[w];
    if (trail->swaps)
        hid_clear(h->live, trail->slot);
    for (uint32_t w = 0; w < h->words; w++)
        for (uint64_t left = h->live[w]; left != 0; left &= left - 1) {
            uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(left);
            const struct lin_op *op = hid_op(h, slot);
            if (!reaches(h, (uint32_t)op->leaves) ||
                (hid_is(h, LIN_RULE_TWINS) &&
                 twin_goes_first(h, h->from, slot, h->live, trail->slot)))
                continue;
            if (!extend_by(h, trail, h->slot_op[slot], (uint32_t)op->leaves))
                return false;
        }
    for (uint32_t i = 0; i < usable_classes(h); i++) {
        const struct lin_class *class = &h->supplies.classes[h->active[i]];
        if (class->needs != value || !reaches(h, (uint32_t) class->leaves) ||
            !hid_class_ready(h, h->from, h->active[i], time) ||
            (hid_is(h, LIN_RULE_TWINS) &&
             any_leaves(h, h->live, value, (uint32_t) class->leaves, trail->slot)))
            continue;
        if (!extend_by(h, trail, HID_STEP_CLASS | h->active[i], (uint32_t) class->leaves))
            return false;
    }
    return true;
}

/* From what is in the queue on. */
static bool follow(struct hiding *h, const struct trail *trail)
{
    for (uint32_t i = 0; i < h->queue.count; i++) {
        const struct hid_config *config = hid_at(h, &h->queue, i);
        if (config->dead)
            continue;
        if (late(h))
            return false;
        if (h->width != 0 && h->arrived > h->width) {
            h->scene.trimmed = true;
            return true;
        }
        hid_copy(h, h->from, config);
        uint32_t value = end_of(trail, h->from);
        if (value == HID_DEAD)
            continue;
        if (value == trail->target && !arrive(h, trail))
            return false;
        if (value == trail->target && !trail->swaps)
            continue; /* a read is done; more would only be early */
        if (!extend_all(h, trail, value))
            return false;
    }
    return true;
}

/* ---- The returning operation ---- */

static bool satisfy_write(struct hiding *h, const struct hid_config *config, uint32_t x)
{
    const struct lin_op *op = &h->problem->ops[x];
    uint32_t value = (uint32_t)op->leaves;
    bool can_hide = op->invoked < config->gap && config->state != value;
    if (can_hide) {
        hid_copy(h, h->made, config);
        struct hid_token place = {.state = value, .time = config->gap};
        if (!write_hidden(h, h->made, x, value))
            return false;
        place.tail = h->made->trace;
        if (hid_token_need(h, h->made, value, place.time) > 0)
            (void)add_token(h, h->made, place);
        if (!emit(h, h->made))
            return false;
        if (hid_is(h, LIN_RULE_DEAD) && hid_is_useless(h, config, value))
            return true; /* hidden is as good */
    }
    hid_copy(h, h->made, config);
    return write_visibly(h, h->made, x, value) && emit(h, h->made);
}

/* Values that a trail may begin with: those of pending writes and of supply, each once. */
static bool begins_with(struct hiding *h, uint32_t value)
{
    if (!reaches(h, value) || h->mark[value] == h->stamp)
        return false;
    h->mark[value] = h->stamp;
    return true;
}

static uint32_t list_beginnings(struct hiding *h, const struct hid_config *config)
{
    uint32_t count = 0;
    h->stamp++;
    for (uint32_t w = 0; w < h->words; w++)
        for (uint64_t left = h->writes[w] & ~config->words[w]; left != 0; left &= left - 1) {
            const struct lin_op *op = hid_op(h, w * 64 + (uint32_t)__builtin_ctzll(left));
            if (begins_with(h, (uint32_t)op->leaves))
                h->begin[count++] = (uint32_t)op->leaves;
        }
    for (uint32_t i = 0; i < usable_classes(h); i++) {
        const struct lin_class *class = &h->supplies.classes[h->active[i]];
        if (class->needs == MODEL_ANY && begins_with(h, (uint32_t) class->leaves))
            h->begin[count++] = (uint32_t) class->leaves;
    }
    return count;
}

static bool trail_visibly(struct hiding *h, const struct hid_config *config, struct trail *trail,
                          uint32_t beginnings)
{
    trail->focus = HID_TOKENS;
    hid_set_clear(h, &h->queue);
    if (config->state != HID_DEAD && reaches(h, config->state) && !enqueue(h, trail, config))
        return false;
    for (uint32_t i = 0; i < beginnings; i++) {
        uint32_t what = pick_write(h, config, h->begin[i], h->busy, h->scene.event);
        if (what == NO_WRITE)
            continue;
        hid_copy(h, h->made, config);
        if (!write_visibly(h, h->made, what, h->begin[i]) || !enqueue(h, trail, h->made))
            return false;
    }
    return follow(h, trail);
}

static bool is_repeated_token(const struct hid_config *config, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++)
        if (config->tokens[j].state == config->tokens[i].state &&
            config->tokens[j].time == config->tokens[i].time)
            return true;
    return false;
}

static bool trail_from_tokens(struct hiding *h, const struct hid_config *config,
                              struct trail *trail)
{
    for (uint32_t i = 0; i < config->token_count; i++) {
        if (h->problem->ops[trail->x].invoked >= config->tokens[i].time ||
            !reaches(h, config->tokens[i].state) || is_repeated_token(config, i))
            continue;
        trail->focus = i;
        hid_set_clear(h, &h->queue);
        if (!enqueue(h, trail, config) || !follow(h, trail))
            return false;
    }
    return true;
}

/* A write of its own in the gap, and a trail from it. */
static bool trail_in_gap(struct hiding *h, const struct hid_config *config, struct trail *trail,
                         uint32_t beginnings)
{
    for (uint32_t i = 0; i < beginnings; i++) {
        uint32_t value = h->begin[i];
        uint32_t what = pick_write(h, config, value, hid_old(h, config->gap), config->gap);
        if (what == NO_WRITE)
            continue;
        hid_copy(h, h->made, config);
        struct hid_token place = {.state = value, .time = config->gap};
        if (!write_hidden(h, h->made, what, value))
            return false;
        place.tail = h->made->trace;
        if (!add_token(h, h->made, place))
            continue;
        trail->focus = h->made->token_count - 1U;
        hid_set_clear(h, &h->queue);
        if (!enqueue(h, trail, h->made) || !follow(h, trail))
            return false;
    }
    return true;
}

bool hid_satisfy(struct hiding *h, const struct hid_config *config)
{
    uint32_t x = h->slot_op[h->returning];
    const struct lin_op *op = &h->problem->ops[x];
    if (late(h))
        return false;
    h->arrived = 0;
    if (!op->pure && op->needs == MODEL_ANY)
        return satisfy_write(h, config, x);
    struct trail trail = {
        .target = (uint32_t)op->needs, .x = x, .swaps = !op->pure, .slot = h->returning};
    find_reach(h, config, trail.target, trail.swaps ? trail.slot : HID_NONE);
    uint32_t beginnings = list_beginnings(h, config);
    if (!trail_visibly(h, config, &trail, beginnings) || !trail_from_tokens(h, config, &trail))
        return false;
    return op->invoked >= config->gap || trail_in_gap(h, config, &trail, beginnings);
}

/* ---- Free supply ---- */

/* A state that can be had for nothing, or that nobody asks for, is renewed: a free write now, the
 * gap before it is the latest there can be. Reads of what is free in the gap come into it, and
 * compare-and-sets between two free values; those only if they were invoked after the second came
 * to be free, since else they might be needed where it was not yet. */
void hid_take_free(struct hiding *h, struct hid_config *config)
{
    if (h->free_count == 0)
        return;
    uint32_t now = h->scene.event;
    if (config->state == HID_DEAD || h->first_free[config->state] < now) {
        config->state = HID_DEAD;
        config->gap = now;
    }
    const uint64_t *old = hid_old(h, config->gap);
    for (uint32_t w = 0; w < h->words; w++) {
        for (uint64_t left = old[w] & h->pure[w] & ~config->words[w]; left != 0; left &= left - 1) {
            const struct lin_op *op = hid_op(h, w * 64 + (uint32_t)__builtin_ctzll(left));
            if (op->needs == MODEL_ANY || h->first_free[op->needs] < config->gap)
                config->words[w] |= left & -left;
        }
        for (uint64_t left = old[w] & h->swaps[w] & h->required[w] & ~config->words[w]; left != 0;
             left &= left - 1) {
            const struct lin_op *op = hid_op(h, w * 64 + (uint32_t)__builtin_ctzll(left));
            if (h->first_free[op->needs] < config->gap && h->first_free[op->leaves] < op->invoked)
                config->words[w] |= left & -left;
        }
    }
}
