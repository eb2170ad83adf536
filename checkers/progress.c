/* Whether the system goes on during faults that leave a majority of its nodes together.
 *
 * Availability is not safety, and most systems promise none; some promise this much: as long as a
 * majority runs and hears each other, requests are answered again within a certain time. That is
 * judged here for every partition, kill, pause and power loss that lasted longer than this time and
 * left such a majority: from then on to its end something must succeed. What is empty handed (an
 * empty queue, nil) is no success, since a node may say that alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/fault_windows.h"
#include "harness/base/clock.h"

enum { NODES_MAX = 16, TRIES_PER_NODE = 10 };

struct cluster {
    char names[NODES_MAX][64];
    uint32_t count;
};

/* The nodes' names, from the plan: as written, or n1, n2, ... of a local cluster. */
static bool read_cluster(const struct json *plan, struct cluster *cluster)
{
    const struct json *value = json_get(plan, "local"); /* text, as flags give it */
    int64_t local = json_as_int(value, strtoll(json_as_text(value, "0"), NULL, 10));
    cluster->count = 0;
    for (int64_t i = 0; i < local && i < NODES_MAX; i++)
        snprintf(cluster->names[cluster->count++], sizeof *cluster->names, "n%d", (int)i + 1);
    return local > 0 && local <= NODES_MAX;
}

static int index_of(const struct cluster *cluster, const char *name)
{
    for (uint32_t i = 0; i < cluster->count; i++)
        if (strcmp(cluster->names[i], name) == 0)
            return (int)i;
    return -1;
}

/* Whether more than half of the nodes are pairwise connected. */
static bool has_clique(const uint32_t *deaf_to, uint32_t count)
{
    for (uint32_t set = 1; set < UINT32_C(1) << count; set++) {
        bool good = 2 * (uint32_t)__builtin_popcount(set) > count;
        for (uint32_t i = 0; i < count && good; i++)
            good = !(set >> i & 1) || (deaf_to[i] & set) == 0;
        if (good)
            return true;
    }
    return false;
}

/* What the fault left, from what is told of it: [:isolated {"n1" #{"n2"}}] or {"n1" :killed}. */
enum left { LEFT_UNKNOWN, LEFT_MINORITY, LEFT_MAJORITY };
static enum left what_is_left(const struct history *history, const struct cluster *cluster,
                              const struct fault_window *fault)
{
    struct value told = history->value[fault->begin_done];
    uint32_t deaf_to[NODES_MAX] = {0}, all = (UINT32_C(1) << cluster->count) - 1;
    bool cut = value_is_pair(told) && value_kind(value_at(told, 1)) == VALUE_MAP;
    struct value map = cut ? value_at(told, 1) : told;
    if (value_kind(map) != VALUE_MAP || value_count(map) == 0)
        return LEFT_UNKNOWN;
    for (size_t i = 0; i + 1 < value_count(map); i += 2) {
        struct value hit = value_at(map, i + 1);
        int node = index_of(cluster, value_as_text(value_at(map, i)));
        bool gone = !cut && value_kind(hit) == VALUE_KEYWORD;
        if (node < 0 || (!cut && !gone))
            return LEFT_UNKNOWN;
        if (gone)
            deaf_to[node] = all; /* not even to itself: it is in no majority */
        for (size_t j = 0; cut && j < value_count(hit); j++) {
            int other = index_of(cluster, value_as_text(value_at(hit, j)));
            if (other < 0)
                return LEFT_UNKNOWN;
            deaf_to[node] |= UINT32_C(1) << other;
        }
    }
    return has_clique(deaf_to, cluster->count) ? LEFT_MAJORITY : LEFT_MINORITY;
}

/* Operations that were invoked and over between the two times: how many, and how many succeeded. */
static void count_between(const struct history *history, int64_t from_ns, int64_t to_ns,
                          uint64_t *tried, uint64_t *succeeded)
{
    *tried = *succeeded = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        uint32_t end = history->partner[i];
        if (history->process[i] < 0 || history->type[i] != OP_INVOKE ||
            history->time_ns[i] < from_ns || end == HISTORY_NONE || history->time_ns[end] > to_ns)
            continue;
        ++*tried;
        *succeeded += history->type[end] == OP_OK && !value_is_nil(history->value[end]);
    }
}

struct judging {
    const struct check_input *input;
    struct cluster cluster;
    int64_t within_ns;
    uint64_t judged, broken;
};

static void judge_fault(struct judging *judging, const struct fault_window *fault,
                        struct check_result *result)
{
    const struct history *history = judging->input->history;
    int64_t from_ns = fault_from_ns(history, fault), to_ns = fault_to_ns(history, fault);
    uint64_t tried, succeeded;
    if (fault->effect != FAULT_IN_FORCE || from_ns < 0 || to_ns - from_ns <= judging->within_ns ||
        what_is_left(history, &judging->cluster, fault) != LEFT_MAJORITY)
        return;
    count_between(history, from_ns + judging->within_ns, to_ns, &tried, &succeeded);
    if (tried < (uint64_t)TRIES_PER_NODE * judging->cluster.count)
        return;
    judging->judged++;
    if (succeeded > 0)
        return;
    struct buf text = BUF_INIT;
    char within[32];
    clock_format_human(judging->within_ns, within, sizeof within);
    judging->broken++;
    fault_print(history, fault, &text);
    buf_printf(&text,
               " left a majority together, but from %s after its beginning to its end none of "
               "%llu operations succeeded.",
               within, (unsigned long long)tried);
    const uint32_t events[] = {fault->begin_done, fault->end_asked};
    check_anomaly(result, "no-progress", "nothing succeeded though a majority was together",
                  text.data, events, fault->end_asked == HISTORY_NONE ? 1 : 2);
    buf_free(&text);
}

static void check(const struct check_input *input, struct check_result *result)
{
    struct fault_windows windows;
    struct judging judging = {.input = input,
                              .within_ns = option_duration_ns(&input->options, "progress.within")};
    if (input->plan == NULL || !read_cluster(input->plan, &judging.cluster)) {
        check_verdict(result, VERDICT_UNKNOWN,
                      "the nodes' names are not known: it needs the plan of a local run of at most "
                      "16 nodes");
        return;
    }
    if (fault_windows_find(input->history, &windows) != ERR_NONE) {
        check_verdict(result, VERDICT_UNKNOWN, "no memory for the faults");
        return;
    }
    for (size_t i = 0; i < windows.count; i++)
        judge_fault(&judging, &windows.items[i], result);
    fault_windows_free(&windows);
    json_set_int(result->details, "judged-count", (int64_t)judging.judged);
    json_set_int(result->details, "broken-count", (int64_t)judging.broken);
    if (judging.broken > 0)
        check_verdict(result, VERDICT_INVALID,
                      "during %llu of %llu faults that left a majority together nothing succeeded",
                      (unsigned long long)judging.broken, (unsigned long long)judging.judged);
    else if (judging.judged == 0)
        check_verdict(result, VERDICT_UNKNOWN,
                      "no fault that left a majority together lasted long enough while enough was "
                      "tried");
    else
        check_verdict(result, VERDICT_VALID, "something succeeded during each of %llu faults",
                      (unsigned long long)judging.judged);
}

static const struct option options[] = {
    {.name = "within",
     .kind = OPTION_DURATION,
     .fallback = "5s",
     .help = "how long the system may take until it serves again"},
    {.name = NULL},
};

const struct checker checker_progress = {
    .name = "progress",
    .summary = "does something succeed during faults that leave a majority together?",
    .options = options,
    .check = check,
};
