/* The backlog over time: see backlog.h. A message that waits for long waits at many moments; noting
 * it at each would take messages times moments. So the depth is kept as its changes, and the oldest
 * message as in a sparse table: a range of moments is covered by two of a power of two. */
#include "checkers/delivery/backlog.h"

#include <assert.h>

static_assert(1 << (BACKLOG_LEVELS - 1) <= BACKLOG_MOMENTS && BACKLOG_MOMENTS < 1 << BACKLOG_LEVELS,
              "the levels reach over all moments");

void backlog_begin(struct backlog *backlog, int64_t from_ns, int64_t to_ns)
{
    backlog->from_ns = from_ns;
    backlog->to_ns = to_ns > from_ns ? to_ns : from_ns;
}

static int64_t moment(const struct backlog *backlog, int k)
{
    int64_t span = backlog->to_ns - backlog->from_ns;
    return backlog->from_ns + span / BACKLOG_STEPS * k + span % BACKLOG_STEPS * k / BACKLOG_STEPS;
}

/* The first moment that is not before `ns`; BACKLOG_MOMENTS when none is. */
static int first_from(const struct backlog *backlog, int64_t ns)
{
    int low = 0, high = BACKLOG_MOMENTS;
    while (low < high) {
        int middle = (low + high) / 2;
        if (moment(backlog, middle) < ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void earlier(uint64_t *since, uint64_t other)
{
    if (other != 0 && (*since == 0 || other < *since))
        *since = other;
}

static void add_waiting(struct backlog *backlog, int64_t ready_ns, int64_t finished_ns)
{
    int from = first_from(backlog, ready_ns), until = first_from(backlog, finished_ns);
    if (from >= until)
        return; /* it came and went between two moments */
    int level = 0;
    while (2 << level <= until - from)
        level++;
    uint64_t since = (uint64_t)ready_ns + 1;
    backlog->change[from]++;
    backlog->change[until]--;
    earlier(&backlog->since[level][from], since);
    earlier(&backlog->since[level][until - (1 << level)], since);
}

void backlog_add(struct backlog *backlog, int64_t ready_ns, int64_t finished_ns)
{
    int64_t end_ns = backlog->to_ns;
    durations_add(&backlog->ages, (finished_ns < end_ns ? finished_ns : end_ns) - ready_ns);
    if (ready_ns >= 0)
        add_waiting(backlog, ready_ns, finished_ns);
    if (finished_ns <= end_ns)
        return;
    backlog->unfinished++;
    if (end_ns - ready_ns > backlog->unfinished_ns)
        backlog->unfinished_ns = end_ns - ready_ns;
}

/* From the longer ranges down to the single moments. */
static void fold(struct backlog *backlog)
{
    for (int level = BACKLOG_LEVELS - 1; level > 0; level--)
        for (int k = 0; k + (1 << level) <= BACKLOG_MOMENTS; k++) {
            earlier(&backlog->since[level - 1][k], backlog->since[level][k]);
            earlier(&backlog->since[level - 1][k + (1 << (level - 1))], backlog->since[level][k]);
        }
}

static void describe_moments(struct backlog *backlog, struct json *object)
{
    struct json *depth = json_set(object, "depth", json_array());
    struct json *oldest = json_set(object, "oldest-ns", json_array());
    int64_t waiting = 0;
    json_set_int(object, "from-ns", backlog->from_ns);
    json_set_int(object, "to-ns", backlog->to_ns);
    fold(backlog);
    for (int k = 0; k < BACKLOG_MOMENTS; k++) {
        uint64_t since = backlog->since[0][k];
        waiting += backlog->change[k];
        json_add(depth, json_int(waiting));
        json_add(oldest, json_int(since == 0 ? 0 : moment(backlog, k) - (int64_t)(since - 1)));
    }
}

void backlog_describe(struct backlog *backlog, struct json *object)
{
    json_set(object, "age", durations_json(&backlog->ages));
    json_set_int(object, "unfinished-count", (int64_t)backlog->unfinished);
    json_set_int(object, "oldest-unfinished-ns", backlog->unfinished_ns);
    if (backlog->to_ns > backlog->from_ns)
        describe_moments(backlog, json_set(object, "moments", json_object()));
}
