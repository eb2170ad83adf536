/* The search with hiding: frontiers of configurations, event by event, in which a write that
 * another write covers is an option and no longer an obligation. For models whose state is one
 * value.
 *
 * As in Lowe's just-in-time linearization (2017) an operation is placed no sooner than at some
 * return. Take an order of all, and let every operation come as late as those after it allow. What
 * is then placed at the return of x is a chain of pending operations that ends with x. Let w be the
 * last write in it: the chain is P w Q. Nobody but P itself sees what P does, since w covers it. So
 * the search places w and Q, *visibly*, and lets P wait: at its return an operation of P is put
 * into the gap before w, or before a later write, whose gap is as good for all that were invoked
 * before it. What a gap can hold are trails: compare-and-sets (and reads) that follow the state
 * which the gap interrupts, or a write of their own in the gap and what follows that. A *token*
 * names the end of such a trail, where more can be put.
 *
 * At the return of x, which is not placed:
 * - a write can be hidden, when it was invoked before the last visible write; or it is made
 * visible;
 * - a read or compare-and-set comes after a trail to the value that it needs: visibly, with a
 *   visible write first or none; from a token; or from a write hidden for its sake.
 * An operation that never changes the state is placed wherever the state allows as soon as it does.
 *
 * Optional operations come only where they are needed. Those invoked before every pending required
 * operation fit wherever any of these does, and are only counted, by class (supply.h).
 *
 * Which configurations are kept: hiding_configs.c. A search keeps few at first (a beam: a survivor
 * shows its order, so YES is certain). When none is left it goes back some way and comes again with
 * more, further back and wider at each new attempt; from the beginning without ever leaving one out
 * means NO. Mostly a NO is seen sooner: a window before the return that cannot be, taken from any
 * state and with whatever was pending as supply without limit, has no order either (window.h). */
#include "checkers/linearizable/hiding.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/window.h"
#include "harness/base/clock.h"

/* ---- Opening and closing ---- */

struct piece {
    void **where;
    size_t size;
};
enum { PIECES = 31 };

static void list_pieces(struct hiding *h, struct piece *pieces)
{
    size_t words = (size_t)h->words * 8, values = (size_t)h->values + 2;
    size_t classes = ((size_t)h->supplies.count + 1) * 4, ops = (size_t)h->problem->op_count + 1;
    size_t walk = (values < h->slot_count + h->supplies.count + 2
                       ? values
                       : (size_t)h->slot_count + h->supplies.count + 2) *
                  4;
    struct piece all[PIECES] = {
        {(void **)&h->made, h->stride},
        {(void **)&h->from, h->stride},
        {(void **)&h->normal, h->stride},
        {(void **)&h->eased, h->stride},
        {(void **)&h->slot_op, (size_t)h->slot_count * 4},
        {(void **)&h->available, classes},
        {(void **)&h->active, classes},
        {(void **)&h->op_slot, ops * 4},
        {(void **)&h->busy, words},
        {(void **)&h->required, words},
        {(void **)&h->pure, words},
        {(void **)&h->writes, words},
        {(void **)&h->swaps, words},
        {(void **)&h->live, words},
        {(void **)&h->usable, words},
        {(void **)&h->spare, words},
        {(void **)&h->masks, words * HID_CACHE},
        {(void **)&h->reads_of, words * values},
        {(void **)&h->writes_of, words * values},
        {(void **)&h->swaps_from, words * values},
        {(void **)&h->mark, values * 4},
        {(void **)&h->reached, values * 4},
        {(void **)&h->walk, walk},
        {(void **)&h->begin, walk},
        {(void **)&h->first_free, values * 4},
        {(void **)&h->uses, ops * 4},
        {(void **)&h->uses_from, (values + 1) * 4},
        {(void **)&h->use_at, values * 4},
        {(void **)&h->write_over, ((size_t)h->problem->event_count + 2) * 4},
    };
    memcpy(pieces, all, sizeof all);
}

static bool is_swap(const struct lin_op *op)
{
    return !op->pure && op->needs != MODEL_ANY;
}

/* Operations that never need a slot. */
static inline bool has_no_slot(const struct hiding *h, uint32_t number)
{
    return h->slotless[number];
}

static void find_slotless(struct hiding *h)
{
    for (uint32_t i = 0; i < h->problem->op_count; i++) {
        const struct lin_op *op = &h->problem->ops[i];
        h->slotless[i] = op->op.known ? op->pure && op->needs == MODEL_ANY
                                      : h->is_free || h->supplies.class_of[i] == LIN_NEVER;
    }
}

/* The first operation that is required and has not returned by `event`. */
static uint32_t find_oldest(const struct hiding *h, uint32_t oldest, uint32_t event)
{
    const struct lin_problem *problem = h->problem;
    while (oldest < problem->op_count &&
           (!problem->ops[oldest].op.known || problem->ops[oldest].returned <= event))
        oldest++;
    return oldest;
}

/* The most slots that are busy at once: as many as there are required operations pending, and
 * optional ones younger than the oldest of these. */
static uint32_t count_slots(const struct hiding *h)
{
    const struct lin_problem *problem = h->problem;
    uint32_t busy = 0, most = 1, oldest = 0, settled = 0;
    for (uint32_t event = 0; event < problem->event_count; event++) {
        uint32_t number = LIN_EVENT_OP(problem->events[event]);
        if (has_no_slot(h, number))
            continue;
        busy += LIN_EVENT_RETURNS(problem->events[event]) ? -1U : 1;
        most = busy > most ? busy : most;
        if (!LIN_EVENT_RETURNS(problem->events[event]))
            continue;
        oldest = find_oldest(h, oldest, event);
        for (; settled < oldest && problem->ops[settled].invoked <= event; settled++)
            busy -= !problem->ops[settled].op.known && !has_no_slot(h, settled);
    }
    return most;
}

static void find_uses(struct hiding *h)
{
    const struct lin_problem *problem = h->problem;
    for (uint32_t i = 0; i < problem->op_count; i++)
        if (problem->ops[i].needs != MODEL_ANY)
            h->uses_from[problem->ops[i].needs + 1]++;
    for (uint32_t value = 0; value < h->values; value++) {
        h->uses_from[value + 1] += h->uses_from[value];
        h->use_at[value] = h->uses_from[value];
    }
    for (uint32_t i = 0; i < problem->op_count; i++)
        if (problem->ops[i].needs != MODEL_ANY)
            h->uses[h->use_at[problem->ops[i].needs]++] = problem->ops[i].invoked;
    for (uint32_t i = problem->event_count + 1, first = LIN_NEVER; i-- > 0;) {
        h->write_over[i] = first; /* by writes invoked after i */
        if (i >= problem->event_count || LIN_EVENT_RETURNS(problem->events[i]))
            continue;
        const struct lin_op *op = &problem->ops[LIN_EVENT_OP(problem->events[i])];
        if (op->op.known && !op->pure && op->needs == MODEL_ANY && op->returned < first)
            first = op->returned;
    }
}

static bool open_search(struct hiding *h)
{
    if (!lin_supplies_make(&h->supplies, h->problem, h->budget))
        return false;
    h->values = h->problem->state_count + 1;
    size_t ops = (size_t)h->problem->op_count + 1;
    h->slotless = lin_realloc(h->budget, NULL, 0, ops * sizeof *h->slotless);
    if (h->slotless == NULL)
        return false;
    find_slotless(h);
    h->slot_count = count_slots(h);
    h->words = (h->slot_count + 63) / 64;
    size_t columns = h->is_free ? 0 : h->supplies.columns;
    h->supplies.columns = (uint32_t)columns;
    h->stride = (sizeof(struct hid_config) + (size_t)h->words * 8 + columns * 2 + 7) / 8 * 8;
    struct piece pieces[PIECES] = {{NULL, 0}};
    list_pieces(h, pieces);
    bool good = true;
    for (int i = 0; i < PIECES && pieces[i].where != NULL; i++) {
        *pieces[i].where = lin_realloc(h->budget, NULL, 0, pieces[i].size);
        if (*pieces[i].where != NULL)
            memset(*pieces[i].where, 0, pieces[i].size);
        good = good && *pieces[i].where != NULL;
    }
    if (!good)
        return false;
    memset(h->first_free, 0xff, ((size_t)h->values + 2) * 4);
    memset(h->op_slot, 0xff, ((size_t)h->problem->op_count + 1) * 4);
    h->epoch = 1;
    find_uses(h);
    return true;
}

static size_t saved_bytes(const struct hiding *h)
{
    return ((size_t)h->slot_count + 2 * ((size_t)h->supplies.count + 1)) * 4;
}

static void close_search(struct hiding *h)
{
    for (uint32_t i = 0; i < HID_SAVED; i++) {
        lin_release(h->budget, h->saved[i].slot_op, saved_bytes(h));
        hid_set_free(h, &h->saved[i].set);
    }
    struct piece pieces[PIECES] = {{NULL, 0}};
    list_pieces(h, pieces);
    for (int i = 0; i < PIECES && pieces[i].where != NULL; i++)
        lin_release(h->budget, *pieces[i].where, pieces[i].size);
    lin_release(h->budget, h->slotless, ((size_t)h->problem->op_count + 1) * sizeof *h->slotless);
    hid_set_free(h, &h->now);
    hid_set_free(h, &h->next);
    hid_set_free(h, &h->queue);
    lin_release(h->budget, h->trace.steps, h->trace.capacity * sizeof *h->trace.steps);
    lin_supplies_free(&h->supplies, h->budget);
}

static bool begin_with(struct hiding *h, uint32_t state)
{
    h->made->state = state;
    if (hid_add(h, &h->now, h->made, HID_TOKENS) != HID_NO_MEMORY)
        return true;
    h->limit = LIN_LIMIT_MEMORY;
    return false;
}

static bool begin(struct hiding *h)
{
    int64_t first = 0;
    lin_problem_start(h->problem, &first);
    memset(h->made, 0, h->stride);
    h->made->trace = h->made->last_step = h->made->gap_step = HID_NONE;
    if (!h->problem->any_start)
        return begin_with(h, (uint32_t)first);
    /* Any state: those that somebody needs, and one that stands for all others. */
    for (uint32_t value = 0; value + 1 < h->values; value++)
        if (h->uses_from[value] < h->uses_from[value + 1] && !begin_with(h, value))
            return false;
    return begin_with(h, HID_DEAD);
}

/* ---- Slots ---- */

static void mask_slot(struct hiding *h, uint32_t slot)
{
    const struct lin_op *op = hid_op(h, slot);
    hid_put(h->busy, slot);
    if (op->op.known)
        hid_put(h->required, slot);
    if (op->pure) {
        hid_put(h->pure, slot);
        hid_put(h->reads_of + (size_t)op->needs * h->words, slot);
    } else if (is_swap(op)) {
        hid_put(h->swaps, slot);
        hid_put(h->swaps_from + (size_t)op->needs * h->words, slot);
    } else {
        hid_put(h->writes, slot);
        hid_put(h->writes_of + (size_t)op->leaves * h->words, slot);
    }
    h->epoch++;
}

static void unmask_slot(struct hiding *h, uint32_t slot)
{
    const struct lin_op *op = hid_op(h, slot);
    if (op->needs != MODEL_ANY) {
        hid_clear(h->reads_of + (size_t)op->needs * h->words, slot);
        hid_clear(h->swaps_from + (size_t)op->needs * h->words, slot);
    }
    if (op->leaves != MODEL_ANY)
        hid_clear(h->writes_of + (size_t)op->leaves * h->words, slot);
    hid_clear(h->busy, slot);
    hid_clear(h->required, slot);
    hid_clear(h->pure, slot);
    hid_clear(h->writes, slot);
    hid_clear(h->swaps, slot);
    h->epoch++;
}

static void take_slot(struct hiding *h, uint32_t number)
{
    uint32_t slot = 0;
    while (hid_has(h->busy, slot))
        slot++;
    assert(slot < h->slot_count);
    h->slot_op[slot] = number;
    h->op_slot[number] = slot;
    mask_slot(h, slot);
    const struct lin_op *op = &h->problem->ops[number];
    for (uint32_t i = 0; op->pure && i < h->now.count; i++) {
        struct hid_config *config = hid_at(h, &h->now, i);
        if (config->state == op->needs)
            hid_put(config->words, slot);
    }
}

static void activate(struct hiding *h, uint32_t class)
{
    h->active[h->scene.active_count++] = class;
    const struct lin_class *supply = &h->supplies.classes[class];
    if (!h->is_free || supply->needs != MODEL_ANY)
        return;
    h->first_free[supply->leaves] = supply->first;
    h->free_count++;
}

static void invoke(struct hiding *h, uint32_t number)
{
    if (!h->problem->ops[number].op.known) {
        uint32_t class = h->supplies.class_of[number];
        if (class == LIN_NEVER || h->supplies.classes[class].death < h->scene.event)
            return;
        if (h->is_free) {
            if (h->available[class]++ == 0)
                activate(h, class);
            return;
        }
    } else if (has_no_slot(h, number))
        return;
    take_slot(h, number);
}

/* Optional operations older than all that is pending come to be supply. */
static void settle(struct hiding *h, uint32_t slot)
{
    uint32_t class = h->supplies.class_of[h->slot_op[slot]];
    const struct lin_class *supply = &h->supplies.classes[class];
    bool is_dead = supply->death <= h->scene.event;
    if (!is_dead && h->available[class] == 0)
        h->active[h->scene.active_count++] = class;
    h->available[class] += !is_dead && h->available[class] < LIN_SUPPLY_MAX;
    for (uint32_t i = 0; i < h->now.count; i++) {
        struct hid_config *config = hid_at(h, &h->now, i);
        if (hid_has(config->words, slot) && !is_dead)
            hid_used(h, config)[supply->column]++;
        hid_clear(config->words, slot);
    }
    unmask_slot(h, slot);
}

static bool settle_old(struct hiding *h)
{
    h->scene.oldest = find_oldest(h, h->scene.oldest, h->scene.event);
    bool settled = false;
    for (uint32_t w = 0; w < h->words; w++)
        for (uint64_t left = h->busy[w] & ~h->required[w]; left != 0; left &= left - 1) {
            uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(left);
            if (h->slot_op[slot] >= h->scene.oldest)
                continue;
            settle(h, slot);
            settled = true;
        }
    return settled;
}

/* ---- Events ---- */

static void swap_sets(struct hiding *h)
{
    struct hid_set held = h->next;
    h->next = h->now;
    h->now = held;
}

static bool no_memory(struct hiding *h)
{
    h->limit = LIN_LIMIT_MEMORY;
    return false;
}

/* Copies what lives of h->now to a set of its own, where what became equal becomes one. */
static bool merge_equal(struct hiding *h)
{
    swap_sets(h);
    hid_set_clear(h, &h->now);
    for (uint32_t i = 0; i < h->next.count; i++) {
        struct hid_config *config = hid_at(h, &h->next, i);
        if (config->dead)
            continue;
        hid_normalize(h, config);
        if (hid_add(h, &h->now, config, HID_TOKENS) == HID_NO_MEMORY)
            return no_memory(h);
    }
    return true;
}

/* Forgets classes that are of no further use. */
static bool bury(struct hiding *h)
{
    bool changed = false;
    for (; h->scene.dead_count < h->supplies.count; h->scene.dead_count++) {
        uint32_t number = h->supplies.by_death[h->scene.dead_count];
        const struct lin_class *class = &h->supplies.classes[number];
        if (class->death > h->scene.event)
            break;
        for (uint32_t i = 0; i < h->scene.active_count; i++)
            if (h->active[i] == number)
                h->active[i--] = h->active[--h->scene.active_count];
        for (uint32_t i = 0; !h->is_free && i < h->now.count; i++) {
            struct hid_config *config = hid_at(h, &h->now, i);
            uint16_t *used = &hid_used(h, config)[class->column];
            changed = changed || *used != 0;
            config->cost -= config->cost >= *used ? *used : config->cost;
            *used = 0;
        }
    }
    return changed;
}

static bool extend_all(struct hiding *h)
{
    hid_set_clear(h, &h->next);
    for (uint32_t i = 0; i < h->now.count; i++) {
        const struct hid_config *config = hid_at(h, &h->now, i);
        if (config->dead)
            continue;
        if (h->is_free) {
            hid_copy(h, h->eased, config);
            hid_take_free(h, h->eased);
            config = h->eased;
        }
        if (!hid_has(config->words, h->returning)) {
            if (!hid_satisfy(h, config))
                return false;
            continue;
        }
        hid_copy(h, h->normal, config);
        hid_normalize(h, h->normal);
        if (hid_add(h, &h->next, h->normal, HID_TOKENS) == HID_NO_MEMORY)
            return no_memory(h);
    }
    return true;
}

/* A narrow search does without supply where some configuration can. */
static bool place_in_all(struct hiding *h)
{
    h->frugal = h->width != 0 && h->width == h->options->width && h->scene.active_count > 0;
    if (!extend_all(h))
        return false;
    h->scene.trimmed = h->scene.trimmed || h->frugal;
    if (h->frugal && h->next.live == 0) {
        h->frugal = false;
        if (!extend_all(h))
            return false;
    }
    swap_sets(h);
    return true;
}

static bool all_have_placed(const struct hiding *h)
{
    for (uint32_t i = 0; i < h->now.count; i++) {
        const struct hid_config *config = hid_at(h, &h->now, i);
        if (!config->dead && !hid_has(config->words, h->returning))
            return false;
    }
    return true;
}

static bool finish(struct hiding *h, uint32_t number)
{
    h->returning = h->op_slot[number];
    if (!all_have_placed(h) && !place_in_all(h))
        return false;
    if (h->width != 0 && !hid_trim(h, &h->now, h->width))
        return no_memory(h);
    for (uint32_t i = 0; i < h->now.count; i++)
        hid_clear(hid_at(h, &h->now, i)->words, h->returning);
    unmask_slot(h, h->returning);
    bool settled = settle_old(h), buried = bury(h);
    if ((settled || buried) && !merge_equal(h))
        return false;
    if (h->now.live > h->widest)
        h->widest = h->now.live;
    return hid_sweep(h) || no_memory(h);
}

/* ---- Going back ---- */

/* Where the scene was at multiples of powers of four: two of each; and at the beginning, the last,
 * which nothing replaces. */
enum { STRIDE_LOG = 6 };

static uint32_t saved_index(uint32_t event)
{
    uint32_t multiple = event >> STRIDE_LOG, level = 0;
    if (event == 0)
        return HID_SAVED - 1;
    while (level < HID_LEVELS - 1 && (multiple & 3) == 0) {
        multiple >>= 2;
        level++;
    }
    return 2 * level + (multiple & 1);
}

static bool save(struct hiding *h)
{
    struct hid_saved *saved = &h->saved[saved_index(h->scene.event)];
    if (saved->slot_op == NULL)
        saved->slot_op = lin_realloc(h->budget, NULL, 0, saved_bytes(h));
    if (saved->slot_op == NULL)
        return no_memory(h);
    saved->scene = h->scene;
    size_t slots = h->slot_count, classes = (size_t)h->supplies.count + 1;
    for (uint32_t i = 0; i < slots; i++)
        saved->slot_op[i] = hid_has(h->busy, i) ? h->slot_op[i] : HID_NONE;
    memcpy(saved->slot_op + slots, h->available, classes * 4);
    memcpy(saved->slot_op + slots + classes, h->active, classes * 4);
    saved->used = true;
    hid_set_clear(h, &saved->set);
    for (uint32_t i = 0; i < h->now.count; i++) {
        const struct hid_config *config = hid_at(h, &h->now, i);
        if (!config->dead && hid_add(h, &saved->set, config, HID_TOKENS) == HID_NO_MEMORY)
            return no_memory(h);
    }
    return true;
}

static bool restore(struct hiding *h, const struct hid_saved *saved)
{
    for (uint32_t w = 0; w < h->words; w++)
        for (uint64_t left = h->busy[w]; left != 0; left &= left - 1)
            unmask_slot(h, w * 64 + (uint32_t)__builtin_ctzll(left));
    h->scene = saved->scene;
    size_t slots = h->slot_count, classes = (size_t)h->supplies.count + 1;
    memcpy(h->available, saved->slot_op + slots, classes * 4);
    memcpy(h->active, saved->slot_op + slots + classes, classes * 4);
    hid_set_clear(h, &h->now);
    for (uint32_t i = 0; i < slots; i++) {
        if (saved->slot_op[i] == HID_NONE)
            continue;
        h->slot_op[i] = saved->slot_op[i];
        h->op_slot[h->slot_op[i]] = i;
        mask_slot(h, i);
    }
    for (uint32_t i = 0; i < saved->set.count; i++)
        if (!hid_at(h, &saved->set, i)->dead &&
            hid_add(h, &h->now, hid_at(h, &saved->set, i), HID_TOKENS) == HID_NO_MEMORY)
            return no_memory(h);
    return true;
}

/* The latest place that is at least `back` events before `event`; what was saved after it is
 * forgotten. */
static const struct hid_saved *find_saved(struct hiding *h, uint32_t event, uint32_t back)
{
    struct hid_saved *best = NULL;
    for (uint32_t i = 0; i < HID_SAVED; i++) {
        struct hid_saved *saved = &h->saved[i];
        if (!saved->used)
            continue;
        if (saved->scene.event + back > event && saved->scene.event != 0)
            saved->used = false;
        else if (best == NULL || saved->scene.event > best->scene.event)
            best = saved;
    }
    assert(best != NULL); /* event 0 is always there */
    return best;
}

/* ---- The search ---- */

enum run_end { RUN_DONE, RUN_EMPTY, RUN_LIMIT };

/* From the scene on. From `calm_at` on with the first width again. */
static enum run_end run(struct hiding *h, uint32_t calm_at)
{
    const struct lin_problem *problem = h->problem;
    bool goes_back = h->traced && h->options->width != 0;
    for (; h->scene.event < problem->event_count; h->scene.event++) {
        uint32_t event = h->scene.event;
        if (goes_back && event % (1U << STRIDE_LOG) == 0 && !save(h))
            return RUN_LIMIT;
        if (event >= calm_at)
            h->width = h->options->width;
        uint32_t number = LIN_EVENT_OP(problem->events[event]);
        if (!LIN_EVENT_RETURNS(problem->events[event])) {
            invoke(h, number);
            continue;
        }
        if (has_no_slot(h, number))
            continue;
        if (!finish(h, number))
            return RUN_LIMIT;
        if (h->now.live == 0)
            return RUN_EMPTY;
    }
    return RUN_DONE;
}

static void conclude(struct hiding *h, struct lin_answer *answer)
{
    const struct hid_config *best = NULL;
    for (uint32_t i = 0; i < h->now.count; i++) {
        const struct hid_config *config = hid_at(h, &h->now, i);
        if (!config->dead && (best == NULL || config->cost < best->cost))
            best = config;
    }
    assert(best != NULL);
    if (h->is_free) {
        answer->limit = LIN_LIMIT_BEAM; /* more orders survive than there are */
        return;
    }
    if (h->traced)
        hid_take_order(h, best->trace, answer);
    if (h->traced && answer->order == NULL)
        answer->limit = LIN_LIMIT_MEMORY;
    else
        answer->verdict = VERDICT_VALID;
}

enum { BACK_LEAST = 64, WIDER_LOG = 3, ATTEMPTS_MAX = 5, CALM = 32 };

/* Where a search is stuck, and how often it has tried. */
struct trouble {
    uint32_t event, attempt, calm_at;
};

/* Comes again, from further back and wider. False: a limit was met. */
static bool come_again(struct hiding *h, struct trouble *trouble, uint32_t event)
{
    bool is_new = trouble->attempt == 0 || event > trouble->calm_at;
    trouble->attempt = is_new ? 1 : trouble->attempt + 1;
    trouble->event = is_new || event > trouble->event ? event : trouble->event;
    trouble->calm_at = trouble->event + CALM;
    uint32_t more = WIDER_LOG * trouble->attempt;
    bool all = trouble->attempt > ATTEMPTS_MAX;
    uint32_t back = all ? UINT32_MAX / 2 : (uint32_t)BACK_LEAST << (more - WIDER_LOG);
    h->width = all ? 0 : h->options->width << more;
    if (all)
        trouble->calm_at = LIN_NEVER;
    return restore(h, find_saved(h, event, back));
}

/* With `windows`, asks at each trouble whether it is past mending. */
static void search(struct hiding *h, struct lin_windows *windows, struct lin_answer *answer)
{
    struct trouble trouble = {.calm_at = 0};
    h->width = h->options->width;
    for (;;) {
        enum run_end end = run(h, trouble.calm_at);
        uint32_t event = h->scene.event;
        if (event < h->problem->event_count &&
            (answer->at == LIN_NEVER || event > h->problem->ops[answer->at].returned) &&
            LIN_EVENT_RETURNS(h->problem->events[event]))
            answer->at = LIN_EVENT_OP(h->problem->events[event]);
        if (end == RUN_LIMIT) {
            answer->limit = h->limit;
            return;
        }
        if (end == RUN_DONE) {
            conclude(h, answer);
            return;
        }
        bool certain = !h->scene.trimmed && (h->is_free || !h->supplies.capped);
        if (!certain && windows != NULL)
            certain = lin_windows_refute(
                windows, event,
                trouble.attempt == 0 || event > trouble.calm_at ? 0 : trouble.attempt, h->budget,
                &answer->begin);
        if (certain) {
            answer->verdict = VERDICT_INVALID;
            answer->at = LIN_EVENT_OP(h->problem->events[event]);
            return;
        }
        if (h->options->width == 0 || !h->traced || trouble.attempt > ATTEMPTS_MAX) {
            answer->limit = LIN_LIMIT_BEAM;
            return;
        }
        if (!come_again(h, &trouble, event)) {
            answer->limit = h->limit;
            return;
        }
    }
}

static void lin_hiding_with(const struct lin_problem *problem,
                            const struct lin_hiding_options *options, struct lin_windows *windows,
                            struct lin_budget *budget, struct lin_answer *answer)
{
    assert(problem->model->effect != NULL);
    struct hiding h = {.problem = problem,
                       .options = options,
                       .budget = budget,
                       .is_free = options->is_free && problem->required_count < problem->op_count};
    h.traced = !h.is_free && !problem->any_start;
    *answer = (struct lin_answer){.verdict = VERDICT_UNKNOWN,
                                  .at = LIN_NEVER,
                                  .begin = LIN_NEVER,
                                  .limit = LIN_LIMIT_MEMORY,
                                  .decided_by = options->is_free      ? "hiding, free supply"
                                                : options->width == 0 ? "hiding, exact"
                                                                      : "hiding"};
    if (open_search(&h) && begin(&h))
        search(&h, windows, answer);
    if (answer->verdict != VERDICT_UNKNOWN)
        answer->limit = LIN_LIMIT_NONE;
    answer->explored = h.explored;
    answer->widest = h.widest;
    close_search(&h);
}

void lin_hiding(const struct lin_problem *problem, const struct lin_hiding_options *options,
                struct lin_budget *budget, struct lin_answer *answer)
{
    lin_hiding_with(problem, options, NULL, budget, answer);
}

/* ---- The engine ---- */

static bool suits_effects(const struct model *model)
{
    return model->effect != NULL;
}

static void search_hiding(const struct lin_problem *problem, struct lin_budget *budget,
                          struct lin_answer *answer)
{
    struct lin_windows windows;
    *answer = (struct lin_answer){
        .verdict = VERDICT_UNKNOWN, .at = LIN_NEVER, .begin = LIN_NEVER, .limit = LIN_LIMIT_MEMORY};
    if (lin_windows_open(&windows, problem, budget))
        lin_hiding_with(problem, &(struct lin_hiding_options){.width = 8}, &windows, budget,
                        answer);
    lin_windows_close(&windows, budget);
}

const struct lin_engine lin_engine_hiding = {
    .name = "hiding",
    .summary = "just-in-time linearization with hidden writes and counted indeterminate "
               "operations; registers, locks",
    .suits = suits_effects,
    .search = search_hiding,
};
