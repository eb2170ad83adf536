/* The state as a whole: making, freeing, settings, totals. See state.h. */
#include "queue/state_snapshot.h"

#include <stdlib.h>

#include "queue/slab.h"
#include "queue/state_base.h"

static const uint64_t config_defaults[CONFIG_COUNT] = {
#define X(name, text, value, maximum) [CONFIG_##name] = value,
    STATE_CONFIGS(X)
#undef X
};

const char *state_config_name(enum state_config key)
{
    static const char *const names[CONFIG_COUNT] = {
#define X(name, text, value, maximum) [CONFIG_##name] = text,
        STATE_CONFIGS(X)
#undef X
    };
    return key < CONFIG_COUNT ? names[key] : NULL;
}

uint64_t state_config(const struct state *state, enum state_config key)
{
    return key < CONFIG_COUNT ? state->config[key] : 0;
}

static int job_compare(const void *item, const void *probe)
{
    return memcmp(((const struct job *)item)->id.bytes, probe, sizeof(struct job_id));
}

static int done_compare(const void *item, const void *probe)
{
    return memcmp(((const struct done *)item)->id.bytes, probe, sizeof(struct job_id));
}

static int bytes_compare(struct command_bytes a, struct command_bytes b)
{
    uint32_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int name_compare(const void *item, const void *probe)
{
    return bytes_compare(queue_name(item), *(const struct command_bytes *)probe);
}

struct state *state_create(void)
{
    struct state *state = memory_zeroed(sizeof *state);
    memcpy(state->config, config_defaults, sizeof state->config);
    table_init(&state->jobs, 10, job_compare);
    table_init(&state->done, 6, done_compare);
    table_init(&state->names, 4, name_compare);
    key_table_init(&state->keys);
    state->delivered = memory_take(COMMAND_TAKE_MAX * sizeof *state->delivered);
    state->scratch = memory_take(SNAPSHOT_BLOCK_HEAD_BYTES + SNAPSHOT_BLOCK_BYTES);
    return state;
}

static void free_job(void *context, void *item)
{
    (void)context;
    job_free(item);
}

static void free_done(void *context, void *item)
{
    (void)context;
    slab_give(item, sizeof(struct done));
}

static void free_item(void *context, void *item)
{
    (void)context;
    free(item);
}

void state_free(struct state *state)
{
    if (!state)
        return;
    table_scan(&state->jobs, 0, UINT64_MAX, free_job, NULL);
    table_scan(&state->keys, 0, UINT64_MAX, free_item, NULL);
    table_scan(&state->names, 0, UINT64_MAX, free_item, NULL);
    table_scan(&state->done, 0, UINT64_MAX, free_done, NULL);
    for (struct expired *record = state->expired_first, *next; record; record = next) {
        next = record->next;
        free(record);
    }
    table_free(&state->jobs);
    table_free(&state->keys);
    table_free(&state->names);
    table_free(&state->done);
    heap_free(&state->timers);
    heap_free(&state->key_timers);
    free(state->queues);
    free(state->free_numbers);
    free(state->origins);
    free(state->touched);
    free(state->delivered);
    free(state->scratch);
    free(state);
}

void state_info(const struct state *state, struct state_info *info)
{
    *info = (struct state_info){
        .index = state->index,
        .term = state->term,
        .time_ms = state->time_ms,
        .counters = state->counters,
        .queues = state->names.count,
        .keys = state->keys.count,
        .done = state->done.count,
        .bytes = state->bytes,
    };
    memcpy(info->refused, state->refused, sizeof info->refused);
}

uint64_t state_next_ms(const struct state *state)
{
    return heap_next_ms(&state->timers);
}

/* The place of an origin, or where it would be. */
static uint32_t origin_place(const struct state *state, uint64_t number)
{
    uint32_t low = 0, high = state->origin_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (state->origins[middle].origin < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t state_origin(const struct state *state, uint64_t origin)
{
    uint32_t place = origin_place(state, origin);
    bool known = place < state->origin_count && state->origins[place].origin == origin;
    return known ? state->origins[place].sequence : 0;
}

struct origin *origin_obtain(struct state *state, uint64_t number)
{
    uint32_t place = origin_place(state, number);
    if (place < state->origin_count && state->origins[place].origin == number)
        return &state->origins[place];
    if (state->origin_count == state->origin_capacity) {
        state->origin_capacity = state->origin_capacity * 2 + 8;
        state->origins =
            memory_resize(state->origins, state->origin_capacity * sizeof *state->origins);
    }
    memmove(&state->origins[place + 1], &state->origins[place],
            (state->origin_count - place) * sizeof *state->origins);
    state->origin_count++;
    state->origins[place] = (struct origin){.origin = number};
    return &state->origins[place];
}
