/* The log: entries in memory, and what the disk is told and has said about them. */
#include "queue/raft_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t raft_last(const struct raft *raft)
{
    return raft->window.base + raft->window.count;
}

struct entry *raft_window_at(const struct raft *raft, uint64_t index)
{
    const struct window *window = &raft->window;
    if (index <= window->base || index > window->base + window->count) {
        return NULL;
    }
    return &window->list[window->start + (index - window->base - 1)];
}

uint64_t raft_window_term(const struct raft *raft, uint64_t index)
{
    const struct entry *entry = raft_window_at(raft, index);
    if (entry) {
        return entry->term;
    }
    if (index == raft->window.base) {
        return raft->window.base_term;
    }
    return index == raft->snapshot_index ? raft->snapshot_term : 0;
}

/* A place for one more at the end. The list moves to the front before it grows, once a quarter of
 * it was dropped there, so that dropping and pushing costs a constant time for each entry. */
static struct entry *window_room(struct window *window)
{
    if (window->start + window->count == window->capacity) {
        if (window->start > window->capacity / 4) {
            memmove(window->list, window->list + window->start,
                    window->count * sizeof *window->list);
        } else {
            size_t capacity = window->capacity ? window->capacity * 2 : 64;
            struct entry *list = malloc(capacity * sizeof *list);
            assert(list);
            if (window->count > 0) {
                memcpy(list, window->list + window->start, window->count * sizeof *list);
            }
            free(window->list);
            window->list = list;
            window->capacity = capacity;
        }
        window->start = 0;
    }
    return &window->list[window->start + window->count++];
}

void raft_window_push(struct raft *raft, const struct entry *entry)
{
    assert(entry->index == raft_last(raft) + 1);
    void *data = NULL;
    if (entry->length > 0 && entry->data) {
        data = malloc(entry->length);
        assert(data);
        memcpy(data, entry->data, entry->length);
        raft->window.memory_bytes += entry->length;
    }
    struct entry *place = window_room(&raft->window);
    *place = *entry;
    place->data = data;
    raft->window.bytes += sizeof *place + entry->length;
}

static void window_forget(struct window *window, const struct entry *entry)
{
    window->bytes -= sizeof *entry + entry->length;
    window->memory_bytes -= entry->data ? entry->length : 0;
    free((void *)entry->data);
}

/* Between steps, when nobody holds on to the effects of the one before. */
void raft_window_evict(struct raft *raft)
{
    struct window *window = &raft->window;
    uint64_t max = raft->options.memory_bytes_max;
    uint64_t until = raft->commit < raft->persisted ? raft->commit : raft->persisted;
    if (window->evicted < window->base) {
        window->evicted = window->base;
    }
    while (max > 0 && window->memory_bytes > max && window->evicted < until) {
        struct entry *entry = raft_window_at(raft, ++window->evicted);
        if (entry->type != ENTRY_CONFIG && entry->data) {
            window->memory_bytes -= entry->length;
            free((void *)entry->data);
            entry->data = NULL;
        }
    }
}

void raft_window_cut(struct raft *raft, uint64_t last)
{
    struct window *window = &raft->window;
    assert(last >= window->base);
    while (raft_last(raft) > last) {
        window_forget(window, &window->list[window->start + --window->count]);
    }
}

void raft_window_drop(struct raft *raft, uint64_t index)
{
    struct window *window = &raft->window;
    while (window->base < index && window->count > 0) {
        const struct entry *entry = &window->list[window->start];
        window->base = entry->index;
        window->base_term = entry->term;
        window_forget(window, entry);
        window->start++;
        window->count--;
    }
}

void raft_window_reset(struct raft *raft, uint64_t base, uint64_t base_term)
{
    raft_window_cut(raft, raft->window.base);
    raft->window.base = base;
    raft->window.base_term = base_term;
    raft->window.start = 0;
    raft->window.evicted = base;
}

void raft_window_free(struct raft *raft)
{
    raft_window_cut(raft, raft->window.base);
    free(raft->window.list);
    free(raft->pending);
}

/* Nothing behind last may be taken for durable, whatever completions still come for what was cut.
 */
void raft_log_lost(struct raft *raft, uint64_t last)
{
    for (size_t i = 0; i < raft->pending_count; i++) {
        if (raft->pending[i].last > last) {
            raft->pending[i].last = last;
        }
    }
    if (raft->persisted > last) {
        raft->persisted = last;
    }
}

void raft_log_pending(struct raft *raft, uint64_t sequence, uint64_t last)
{
    if (raft->pending_count == raft->pending_capacity) {
        size_t capacity = raft->pending_capacity ? raft->pending_capacity * 2 : 16;
        struct pending *pending = realloc(raft->pending, capacity * sizeof *pending);
        assert(pending);
        raft->pending = pending;
        raft->pending_capacity = capacity;
    }
    raft->pending[raft->pending_count++] = (struct pending){sequence, last};
}

void raft_log_persisted(struct raft *raft, uint64_t sequence)
{
    size_t done = 0;
    while (done < raft->pending_count && raft->pending[done].sequence <= sequence) {
        if (raft->pending[done].last > raft->persisted) {
            raft->persisted = raft->pending[done].last;
        }
        done++;
    }
    raft->pending_count -= done;
    if (done > 0) {
        memmove(raft->pending, raft->pending + done, raft->pending_count * sizeof *raft->pending);
    }
}

void raft_log_append(struct raft *raft, const struct entry *entries, uint64_t count)
{
    assert(count > 0);
    for (uint64_t i = 0; i < count; i++) {
        raft_window_push(raft, &entries[i]);
        raft->uncommitted_bytes += entries[i].length;
    }
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_APPEND);
    effect->sequence = ++raft->sequence;
    effect->entries.first = entries[0].index;
    effect->entries.count = count;
    raft_log_pending(raft, effect->sequence, raft_last(raft));
    for (uint64_t i = 0; i < count; i++) {
        struct raft_config config;
        if (entries[i].type == ENTRY_CONFIG &&
            raft_config_decode(entries[i].data, entries[i].length, &config)) {
            raft_adopt_config(raft, &config, entries[i].index);
        }
    }
}

void raft_log_truncate(struct raft *raft, uint64_t last)
{
    assert(last >= raft->commit); /* what is committed is never taken back */
    for (uint64_t i = last + 1; i <= raft_last(raft); i++) {
        raft->uncommitted_bytes -= raft_window_at(raft, i)->length;
    }
    raft_window_cut(raft, last);
    raft_log_lost(raft, last);
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_TRUNCATE);
    effect->sequence = ++raft->sequence;
    effect->index = last;
    if (raft->config_index > last) {
        raft_config_rescan(raft);
    }
}
