/* Lanes of a timeline: see page_lanes.h. */
#include "reports/page_lanes.h"

#include <stdlib.h>

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The processes, ascending, as long as there are no more than lanes; false otherwise. */
static bool list_processes(const struct history *history, const struct page_operations *operations,
                           struct page_lanes *lanes)
{
    int32_t *found = calloc(PAGE_LANES_MAX + 1, sizeof *found);
    uint32_t count = 0;
    for (uint32_t i = 0; found != NULL && i < operations->count; i++) {
        int32_t process = history->process[operations->invocation[i]];
        if (bsearch(&process, found, count, sizeof *found, by_number) != NULL)
            continue;
        if (count == PAGE_LANES_MAX) {
            free(found);
            return false;
        }
        found[count++] = process;
        qsort(found, count, sizeof *found, by_number);
    }
    lanes->processes = found;
    lanes->count = count;
    return found != NULL;
}

/* How many workers there were, if processes are numbered as theirs are: those that began before an
 * operation was indeterminate are 0 .. n - 1, and any later one is n above one that is known.
 * 0: they are not, or no operation was. */
static uint32_t guess_workers(const struct history *history)
{
    bool *known = calloc(history->count + 1u, sizeof *known); /* no more processes than events */
    uint32_t count = 0, highest = 0;
    bool retired = false, fits = known != NULL;
    for (uint32_t i = 0; fits && i < history->count; i++) {
        uint32_t process = (uint32_t)history->process[i];
        if (!history_is_client(history, i))
            continue;
        retired = retired || history->type[i] == OP_INFO;
        if (process >= history->count || (retired && highest + 1 != count))
            fits = false;
        else if (!known[process] && retired)
            fits = process >= count && known[process - count];
        else if (!known[process])
            count++;
        if (!retired && process > highest)
            highest = process;
        if (fits)
            known[process] = true;
    }
    free(known);
    return fits && retired ? count : 0;
}

void page_lanes_find(const struct digest *digest, const struct page_operations *operations,
                     struct page_lanes *lanes)
{
    const struct history *history = digest->run->history;
    const struct json *test = json_get(digest->run->results, "test");
    int64_t workers = json_as_int(json_get(test, "concurrency"), 0);
    *lanes = (struct page_lanes){.count = 0};
    if (workers <= 0)
        workers = guess_workers(history);
    if (workers > 0 && workers <= PAGE_LANES_MAX) {
        lanes->folded = true;
        lanes->count = (uint32_t)workers;
    } else if (!list_processes(history, operations, lanes)) {
        lanes->folded = true;
        lanes->count = PAGE_LANES_MAX;
    }
}

void page_lanes_free(struct page_lanes *lanes)
{
    free(lanes->processes);
}

uint32_t page_lane(const struct page_lanes *lanes, int32_t process, int64_t *generation)
{
    *generation = lanes->folded ? process / (int32_t)lanes->count : 0;
    if (lanes->folded)
        return (uint32_t)process % lanes->count;
    const int32_t *place =
        bsearch(&process, lanes->processes, lanes->count, sizeof process, by_number);
    return place == NULL ? 0 : (uint32_t)(place - lanes->processes);
}

struct json *page_lanes_json(const struct page_lanes *lanes)
{
    struct json *told = json_object();
    json_set_int(told, "count", lanes->count);
    json_set_bool(told, "folded", lanes->folded);
    if (!lanes->folded) {
        struct json *processes = json_set(told, "processes", json_array());
        for (uint32_t i = 0; i < lanes->count; i++)
            json_add(processes, json_int(lanes->processes[i]));
    }
    return told;
}
