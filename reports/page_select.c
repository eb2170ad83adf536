/* Which operations a page carries: see page_select.h. */
#include "reports/page_select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANOMALIES_MAX = 200, /* whose surroundings are kept */
    OPERATIONS_MAX = 40, /* of each */
    AROUND = 250,        /* operations to both sides of one of an anomaly's */
    STEP_MAX = 60000,
};

enum kind { KIND_NONE, KIND_OK, KIND_ODD, KIND_NEAR };

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);
    if (memory == NULL) {
        fprintf(stderr, "ordeal: out of memory for a page\n");
        abort();
    }
    return memory;
}

static void sort_out(const struct history *history, uint8_t *kinds)
{
    for (uint32_t i = 0; i < history->count; i++) {
        if (history->type[i] != OP_INVOKE || !history_is_client(history, i))
            continue;
        bool ok = history->partner != NULL && history_outcome(history, i) == OP_OK;
        kinds[i] = ok ? KIND_OK : KIND_ODD;
    }
}

/* Marks an operation and so many invocations before and behind it. */
static void mark_around(const struct history *history, uint8_t *kinds, uint32_t event)
{
    uint32_t left = AROUND, i = event;
    for (; left > 0 && i > 0; i--)
        if (kinds[i] != KIND_NONE) {
            kinds[i] = KIND_NEAR;
            left--;
        }
    for (left = AROUND, i = event; left > 0 && i < history->count; i++)
        if (kinds[i] != KIND_NONE) {
            kinds[i] = KIND_NEAR;
            left--;
        }
}

static void mark_anomalies(const struct digest *digest, uint8_t *kinds)
{
    size_t number = 0;
    for (size_t i = 0; i < digest->checker_count; i++)
        for (const struct json *one = json_first(digest->checkers[i].anomalies);
             one != NULL && number < ANOMALIES_MAX; one = json_next(one), number++) {
            struct digest_operation operations[OPERATIONS_MAX];
            size_t total,
                count = digest_operations(digest, one, operations, OPERATIONS_MAX, &total);
            for (size_t k = 0; k < count; k++)
                mark_around(digest->run->history, kinds, operations[k].invocation);
        }
}

static uint32_t step_for(uint64_t count, uint64_t room)
{
    uint64_t step = count <= room ? 1 : (count + room - 1) / (room == 0 ? 1 : room);
    return step > STEP_MAX ? STEP_MAX : (uint32_t)step;
}

static void find_steps(const uint64_t *counts, uint32_t most, struct page_operations *selected)
{
    uint64_t room = most > counts[KIND_NEAR] ? most - counts[KIND_NEAR] : 0;
    uint64_t odd_room = room / 2;
    if (counts[KIND_OK] + counts[KIND_ODD] <= room) /* all find room */
        odd_room = counts[KIND_ODD];
    selected->odd_step = step_for(counts[KIND_ODD], odd_room);
    selected->step = step_for(counts[KIND_OK], room - counts[KIND_ODD] / selected->odd_step);
}

static void take(const struct history *history, const uint8_t *kinds,
                 struct page_operations *selected)
{
    uint32_t seen[KIND_NEAR + 1] = {0};
    const uint32_t steps[KIND_NEAR + 1] = {1, selected->step, selected->odd_step, 1};
    for (uint32_t i = 0; i < history->count; i++) {
        enum kind kind = kinds[i];
        if (kind == KIND_NONE || seen[kind]++ % steps[kind] != 0)
            continue;
        selected->invocation[selected->count] = i;
        selected->weight[selected->count] = (uint16_t)steps[kind];
        selected->near[selected->count++] = kind == KIND_NEAR;
    }
}

void page_select(const struct digest *digest, uint32_t most, struct page_operations *selected)
{
    const struct history *history = digest->run->history;
    uint8_t *kinds = zeroed(history->count, 1);
    uint64_t counts[KIND_NEAR + 1] = {0};
    *selected = (struct page_operations){.total = digest->total[OP_INVOKE]};
    sort_out(history, kinds);
    mark_anomalies(digest, kinds);
    for (uint32_t i = 0; i < history->count; i++)
        counts[kinds[i]]++;
    selected->near_count = (uint32_t)counts[KIND_NEAR];
    find_steps(counts, most, selected);
    size_t room = counts[KIND_NEAR] + counts[KIND_ODD] / selected->odd_step +
                  counts[KIND_OK] / selected->step + 2;
    selected->invocation = zeroed(room, sizeof *selected->invocation);
    selected->weight = zeroed(room, sizeof *selected->weight);
    selected->near = zeroed(room, sizeof *selected->near);
    take(history, kinds, selected);
    if (selected->step == 1 && selected->odd_step == 1) {
        free(selected->weight);
        selected->weight = NULL;
    }
    free(kinds);
}

void page_operations_free(struct page_operations *selected)
{
    free(selected->invocation);
    free(selected->weight);
    free(selected->near);
}
