/* Configurations of the search with hiding: see hiding.c.
 *
 * Which one is better? x is at least as good as y when whatever completes y completes x, using the
 * same or less. That holds when
 * - the state is the same, or nobody will ask for y's;
 * - the same required compare-and-sets are placed;
 * - whatever write or optional operation y still has, x still has, and what x still owes of reads,
 * y owes too;
 * - a required write that only x still has can be hidden at once: it is older than x's gap;
 * - what is old enough to be hidden in y is so in x;
 * - each token of y has one of its own in x, of the same state, at which all that both still have
 *   and that fits y's token fits;
 * - x has used no more of any supply. */
#include "checkers/linearizable/hiding.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 16, HEADS_MIN = 64 };

bool hid_is(const struct hiding *h, enum lin_hiding_rule rule)
{
    return (h->options->without & (unsigned)rule) == 0;
}

const uint64_t *hid_old(struct hiding *h, uint32_t time)
{
    struct hid_mask_entry *entry = &h->mask_times[time % HID_CACHE];
    uint64_t *mask = h->masks + (size_t)(time % HID_CACHE) * h->words;
    if (entry->time == time && entry->stamp == h->epoch)
        return mask;
    memset(mask, 0, (size_t)h->words * 8);
    HID_EACH(slot, h->busy, h->words)
    if (hid_op(h, (uint32_t)slot)->invoked < time)
        hid_put(mask, (uint32_t)slot);
    *entry = (struct hid_mask_entry){.time = time, .stamp = h->epoch};
    return mask;
}

bool hid_class_ready(const struct hiding *h, const struct hid_config *config, uint32_t class,
                     uint32_t time)
{
    if (h->is_free)
        return h->supplies.classes[class].first < time;
    return hid_used_const(h, config)[h->supplies.classes[class].column] < h->available[class];
}

/* ---- Tokens ---- */

static bool walk_to(struct hiding *h, uint32_t value, uint32_t *count)
{
    if (h->mark[value] == h->stamp)
        return false;
    h->mark[value] = h->stamp;
    h->walk[(*count)++] = value;
    return true;
}

/* Goes on from `value` by what is in `usable` and by supply. True when there is a way at all. */
static bool walk_on(struct hiding *h, const struct hid_config *config, uint32_t value,
                    uint32_t time, const uint64_t *usable, uint32_t *count)
{
    bool any = false;
    const uint64_t *swaps = h->swaps_from + (size_t)value * h->words;
    for (uint32_t w = 0; w < h->words; w++)
        for (uint64_t left = usable[w] & swaps[w]; left != 0; left &= left - 1) {
            any = true;
            uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(left);
            (void)walk_to(h, (uint32_t)hid_op(h, slot)->leaves, count);
        }
    for (uint32_t i = 0; i < h->scene.active_count; i++) {
        const struct lin_class *class = &h->supplies.classes[h->active[i]];
        if (class->needs != value || !hid_class_ready(h, config, h->active[i], time))
            continue;
        any = true;
        (void)walk_to(h, (uint32_t) class->leaves, count);
    }
    return any;
}

uint32_t hid_token_need(struct hiding *h, const struct hid_config *config, uint32_t state,
                        uint32_t time)
{
    const uint64_t *old = hid_old(h, time);
    uint64_t any = 0;
    for (uint32_t w = 0; w < h->words; w++) {
        h->usable[w] = old[w] & ~config->words[w];
        any |= h->usable[w] & h->required[w] & (h->pure[w] | h->swaps[w]);
    }
    if (any == 0)
        return 0;
    uint32_t count = 0, need = 0;
    h->stamp++;
    (void)walk_to(h, state, &count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t value = h->walk[i];
        if (!walk_on(h, config, value, time, h->usable, &count) && i == 0)
            return 0;
        bool read = false;
        for (uint32_t w = 0; w < h->words; w++) {
            size_t at = (size_t)value * h->words + w;
            uint64_t owed = h->usable[w] & h->required[w];
            read = read || (owed & h->reads_of[at]) != 0;
            need += (uint32_t)__builtin_popcountll(owed & h->swaps_from[at]);
        }
        need += read;
    }
    return need;
}

/* The earliest time at which the same operations are old as at `time`, of those in `usable` and of
 * two kinds; under free supply also the same classes. */
static uint32_t earliest_like(const struct hiding *h, uint32_t like, const uint64_t *usable,
                              const uint64_t *kinds_a, const uint64_t *kinds_b)
{
    uint32_t time = 0;
    for (uint32_t i = 0; h->is_free && i < h->scene.active_count; i++) {
        uint32_t first = h->supplies.classes[h->active[i]].first;
        time = first < like && first + 1 > time ? first + 1 : time;
    }
    for (uint32_t w = 0; w < h->words; w++)
        for (uint64_t left = usable[w] & (kinds_a[w] | kinds_b[w]); left != 0; left &= left - 1) {
            const struct lin_op *op = hid_op(h, w * 64 + (uint32_t)__builtin_ctzll(left));
            time = op->invoked + 1 > time ? op->invoked + 1 : time;
        }
    return time;
}

static void sort_tokens(struct hid_config *config)
{
    for (uint32_t i = 1; i < config->token_count; i++) {
        struct hid_token token = config->tokens[i];
        uint32_t j = i;
        for (; j > 0 && (config->tokens[j - 1].state > token.state ||
                         (config->tokens[j - 1].state == token.state &&
                          config->tokens[j - 1].time < token.time));
             j--)
            config->tokens[j] = config->tokens[j - 1];
        config->tokens[j] = token;
    }
}

/* F3: supply makes a place unnecessary only when it had been invoked by then. */
static bool is_left_out_early(const struct hiding *h, const struct hid_token *token)
{
    return (h->options->defects & LIN_DEFECT_FREE_IS_EARLY) != 0 && h->is_free &&
           h->first_free[token->state] < h->scene.event;
}

/* Forgets tokens that are of no use, and of those of one state all but as many latest ones as
 * there are needs; a place can be used once for each need, and a later one fits all that an earlier
 * one does. What the latest needs is what any of the state can need. */
static void normalize_tokens(struct hiding *h, struct hid_config *config)
{
    uint32_t kept = 0, same = 0, cap = 0;
    sort_tokens(config);
    for (uint32_t i = 0; i < config->token_count; i++) {
        struct hid_token token = config->tokens[i];
        if (i == 0 || config->tokens[i - 1].state != token.state)
            same = 0;
        uint32_t need = hid_token_need(h, config, token.state, token.time);
        if (same == 0 || (h->options->defects & LIN_DEFECT_TOKEN_CAP) != 0)
            cap = need;
        if (need == 0 || (cap <= same && hid_is(h, LIN_RULE_TOKENS)) ||
            is_left_out_early(h, &token))
            continue;
        same++;
        token.time = earliest_like(h, token.time, h->usable, h->pure, h->swaps);
        config->tokens[kept++] = token;
    }
    config->token_count = (uint16_t)kept;
}

static uint32_t count_bits(const uint64_t *a, const uint64_t *b, uint32_t words)
{
    uint32_t count = 0;
    for (uint32_t w = 0; w < words; w++)
        count += (uint32_t)__builtin_popcountll(a[w] & b[w]);
    return count;
}

static void normalize_gap(struct hiding *h, struct hid_config *config)
{
    const uint64_t *old = hid_old(h, config->gap);
    uint64_t any = 0;
    for (uint32_t w = 0; w < h->words; w++) {
        h->usable[w] = old[w] & ~config->words[w];
        any |= h->usable[w] & h->required[w];
    }
    config->gap = any == 0 ? 0 : earliest_like(h, config->gap, h->usable, h->busy, h->busy);
}

void hid_normalize(struct hiding *h, struct hid_config *config)
{
    normalize_tokens(h, config);
    normalize_gap(h, config);
    if (hid_is(h, LIN_RULE_DEAD) && config->state != HID_DEAD &&
        hid_is_useless(h, config, config->state))
        config->state = HID_DEAD;
    uint32_t placed_reads = count_bits(config->words, h->pure, h->words);
    uint32_t placed = count_bits(config->words, h->busy, h->words) - placed_reads;
    config->weight = 4 * (int32_t)placed - 4 * (int32_t)placed_reads + 4 * (int32_t)config->cost -
                     config->token_count + (config->state == HID_DEAD ? 2 : 0);
}

/* ---- Better and worse ---- */

static bool counts_at_most(const struct hiding *h, const struct hid_config *a,
                           const struct hid_config *b)
{
    const uint16_t *x = hid_used_const(h, a), *y = hid_used_const(h, b);
    for (uint32_t i = 0; i < h->supplies.columns; i++)
        if (x[i] > y[i])
            return false;
    return true;
}

/* Under free supply: is a write that only y still has no loss, since there is another just as good
 * wherever it may go? */
static bool is_no_loss(const struct hiding *h, uint64_t writes, uint32_t word)
{
    for (; writes != 0; writes &= writes - 1) {
        const struct lin_op *op = hid_op(h, word * 64 + (uint32_t)__builtin_ctzll(writes));
        if (h->first_free[op->leaves] >= op->invoked)
            return false;
    }
    return true;
}

/* Under free supply: is there a class that fits only the later of two places? */
static bool class_between(const struct hiding *h, uint32_t earlier, uint32_t later)
{
    for (uint32_t i = 0; h->is_free && i < h->scene.active_count; i++) {
        uint32_t first = h->supplies.classes[h->active[i]].first;
        if (earlier <= first && first < later)
            return true;
    }
    return false;
}

static bool words_dominate(struct hiding *h, const struct hid_config *x, const struct hid_config *y)
{
    /* A free write can be made now, and then everything is old; y's state was no more than that. */
    bool renews = h->free_count > 0 && y->state == HID_DEAD;
    const uint64_t *old_x = renews ? h->busy : hid_old(h, x->gap);
    if (!renews && x->gap != y->gap && x->gap % HID_CACHE == y->gap % HID_CACHE)
        old_x = memcpy(h->spare, old_x, (size_t)h->words * 8);
    const uint64_t *old_y = hid_old(h, y->gap);
    if (!renews && class_between(h, x->gap, y->gap))
        return false;
    for (uint32_t w = 0; w < h->words; w++) {
        uint64_t only_x = y->words[w] & ~x->words[w], only_y = x->words[w] & ~y->words[w];
        uint64_t both = h->busy[w] & ~x->words[w] & ~y->words[w];
        uint64_t lost = only_y & (h->writes[w] | h->swaps[w]);
        if (((only_x | only_y) & h->swaps[w] & h->required[w]) != 0 || (only_x & h->pure[w]) != 0 ||
            (only_x & h->writes[w] & h->required[w] & ~old_x[w]) != 0 ||
            (both & old_y[w] & ~old_x[w]) != 0)
            return false;
        if (lost != 0 &&
            (h->free_count == 0 || (lost & h->swaps[w]) != 0 || !is_no_loss(h, lost, w)))
            return false;
    }
    return true;
}

static bool token_serves(struct hiding *h, const struct hid_config *x, const struct hid_config *y,
                         const struct hid_token *mine, const struct hid_token *theirs)
{
    if (mine->state != theirs->state)
        return false;
    if (mine->time >= theirs->time)
        return true;
    if (class_between(h, mine->time, theirs->time))
        return false;
    const uint64_t *old_y = hid_old(h, theirs->time);
    uint64_t missing = 0;
    for (uint32_t w = 0; w < h->words; w++)
        missing |= old_y[w] & ~x->words[w] & ~y->words[w] & (h->pure[w] | h->swaps[w]);
    if (missing == 0)
        return true;
    const uint64_t *old_x = hid_old(h, mine->time);
    old_y = hid_old(h, theirs->time); /* the cache may have given its place away */
    missing = 0;
    for (uint32_t w = 0; w < h->words; w++)
        missing |= old_y[w] & ~old_x[w] & ~x->words[w] & ~y->words[w] & (h->pure[w] | h->swaps[w]);
    return missing == 0;
}

/* Under free supply a place for a value can be made anew in x's gap. */
static bool is_free_place(const struct hiding *h, const struct hid_config *x,
                          const struct hid_token *token)
{
    return h->free_count > 0 && h->first_free[token->state] < x->gap && token->time <= x->gap;
}

static bool tokens_dominate(struct hiding *h, const struct hid_config *x,
                            const struct hid_config *y)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < y->token_count; i++) {
        uint32_t j = 0;
        while (j < x->token_count &&
               ((taken >> j & 1) != 0 || !token_serves(h, x, y, &x->tokens[j], &y->tokens[i])))
            j++;
        if (j < x->token_count)
            taken |= UINT32_C(1) << j;
        else if (!is_free_place(h, x, &y->tokens[i]))
            return false;
    }
    return true;
}

static bool is_same(const struct hiding *h, const struct hid_config *x, const struct hid_config *y)
{
    if (x->gap != y->gap || x->token_count != y->token_count)
        return false;
    for (uint32_t i = 0; i < x->token_count; i++)
        if (x->tokens[i].state != y->tokens[i].state || x->tokens[i].time != y->tokens[i].time)
            return false;
    return memcmp(x->words, y->words, (size_t)h->words * 8) == 0 &&
           memcmp(hid_used_const(h, x), hid_used_const(h, y), (size_t)h->supplies.columns * 2) == 0;
}

static bool dominates(struct hiding *h, const struct hid_config *x, const struct hid_config *y,
                      uint32_t focus)
{
    if (x->state != y->state && (y->state != HID_DEAD || focus != HID_TOKENS))
        return false;
    if (focus != HID_TOKENS && (x->tokens[focus].state != y->tokens[focus].state ||
                                x->tokens[focus].time != y->tokens[focus].time))
        return false;
    if (!hid_is(h, LIN_RULE_DOMINANCE))
        return x->state == y->state && is_same(h, x, y);
    return words_dominate(h, x, y) &&
           (h->is_free || (h->options->defects & LIN_DEFECT_HAND_OVER) != 0 ||
            counts_at_most(h, x, y)) &&
           tokens_dominate(h, x, y);
}

/* ---- Sets ---- */

void hid_copy(const struct hiding *h, struct hid_config *to, const struct hid_config *from)
{
    size_t head = offsetof(struct hid_config, tokens);
    memcpy(to, from, head + from->token_count * sizeof from->tokens[0]);
    memcpy(to->words, from->words, h->stride - offsetof(struct hid_config, words));
}

static uint32_t hash_config(const struct hiding *h, const struct hid_config *config)
{
    uint64_t hash = UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t w = 0; w < h->words; w++) {
        hash = (hash ^ (config->words[w] & h->swaps[w] & h->required[w])) *
               UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    return (uint32_t)(hash ^ hash >> 29);
}

static bool grow_heads(struct hiding *h, struct hid_set *set)
{
    uint32_t count = set->head_count == 0 ? HEADS_MIN : set->head_count * 4;
    uint32_t *heads =
        lin_realloc(h->budget, set->heads, set->head_count * sizeof *heads, count * sizeof *heads);
    if (heads == NULL)
        return false;
    set->heads = heads;
    set->head_count = count;
    memset(heads, 0xff, count * sizeof *heads);
    for (uint32_t i = 0; i < set->count; i++) {
        struct hid_config *config = hid_at(h, set, i);
        uint32_t *head = &heads[config->hash & (count - 1)];
        config->next = *head;
        *head = i;
    }
    return true;
}

static bool make_room(struct hiding *h, struct hid_set *set)
{
    if (set->count >= set->head_count && !grow_heads(h, set))
        return false;
    if (set->count < set->capacity)
        return true;
    uint32_t capacity = set->capacity == 0 ? CAPACITY_MIN : set->capacity * 2;
    unsigned char *data =
        lin_realloc(h->budget, set->data, set->capacity * h->stride, capacity * h->stride);
    if (data == NULL)
        return false;
    set->data = data;
    set->capacity = capacity;
    return true;
}

/* F2: what the worse has used is no way to come to the better. */
static void hand_over(struct hiding *h, struct hid_config *better, const struct hid_config *worse)
{
    if ((h->options->defects & LIN_DEFECT_HAND_OVER) == 0 || better->cost <= worse->cost)
        return;
    better->cost = worse->cost;
    memcpy(hid_used(h, better), hid_used_const(h, worse), (size_t)h->supplies.columns * 2);
}

enum hid_added hid_add(struct hiding *h, struct hid_set *set, const struct hid_config *config,
                       uint32_t focus)
{
    if (!make_room(h, set))
        return HID_NO_MEMORY;
    uint32_t hash = hash_config(h, config), *head = &set->heads[hash & (set->head_count - 1)];
    for (uint32_t i = *head; i != HID_NONE;) {
        struct hid_config *other = hid_at(h, set, i);
        i = other->next;
        if (other->dead || other->hash != hash)
            continue;
        if (dominates(h, other, config, focus)) {
            hand_over(h, other, config);
            return HID_WORSE;
        }
        if (dominates(h, config, other, focus)) {
            other->dead = true;
            set->live--;
        }
    }
    struct hid_config *copy = hid_at(h, set, set->count);
    hid_copy(h, copy, config);
    copy->hash = hash;
    copy->dead = false;
    copy->next = *head;
    *head = set->count++;
    set->live++;
    return HID_ADDED;
}

void hid_set_clear(struct hiding *h, struct hid_set *set)
{
    if (set->count * 4 > set->head_count)
        memset(set->heads, 0xff, set->head_count * sizeof *set->heads);
    else
        for (uint32_t i = 0; i < set->count; i++)
            set->heads[hid_at(h, set, i)->hash & (set->head_count - 1)] = HID_NONE;
    set->count = set->live = 0;
}

void hid_set_free(struct hiding *h, struct hid_set *set)
{
    lin_release(h->budget, set->data, set->capacity * h->stride);
    lin_release(h->budget, set->heads, set->head_count * sizeof *set->heads);
    *set = (struct hid_set){.count = 0};
}

/* ---- Beams ---- */

static int compare_ranks(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

bool hid_trim(struct hiding *h, struct hid_set *set, uint32_t width)
{
    if (set->live <= width)
        return true;
    size_t size = (size_t)set->live * sizeof(int64_t);
    int64_t *ranks = lin_realloc(h->budget, NULL, 0, size);
    if (ranks == NULL)
        return false;
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct hid_config *config = hid_at(h, set, i);
        if (!config->dead)
            ranks[count++] = (int64_t)config->weight * ((int64_t)1 << 32) + i;
    }
    qsort(ranks, count, sizeof *ranks, compare_ranks);
    for (uint32_t i = width; i < count; i++)
        hid_at(h, set, (uint32_t)ranks[i])->dead = true;
    set->live = width;
    h->scene.trimmed = true;
    lin_release(h->budget, ranks, size);
    return true;
}
