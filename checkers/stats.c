/* Counts operations by function and outcome. A run in which a function never succeeded tested
 * nothing of that function: that is UNKNOWN, never VALID, and never INVALID either. */
#include <stdlib.h>

#include "checkers/checkers.h"

struct counts {
    uint64_t by_type[4]; /* OP_INVOKE counts all */
};

static void count(const struct history *history, struct counts *by_f)
{
    for (uint32_t i = 0; i < history->count; i++) {
        if (!history_is_client(history, i) || history->type[i] != OP_INVOKE)
            continue;
        by_f[history->f[i]].by_type[OP_INVOKE]++;
        by_f[history->f[i]].by_type[history_outcome(history, i)]++;
    }
}

static void describe(struct json *object, const struct counts *counts)
{
    json_set_int(object, "count", (int64_t)counts->by_type[OP_INVOKE]);
    json_set_int(object, "ok-count", (int64_t)counts->by_type[OP_OK]);
    json_set_int(object, "fail-count", (int64_t)counts->by_type[OP_FAIL]);
    json_set_int(object, "info-count", (int64_t)counts->by_type[OP_INFO]);
}

static void check(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    struct counts *by_f = calloc(history->f_count + 1, sizeof *by_f), total = {{0}};
    if (by_f == NULL) {
        check_verdict(result, VERDICT_UNKNOWN, "out of memory");
        return;
    }
    count(history, by_f);
    for (uint32_t f = 0; f < history->f_count; f++)
        for (int type = 0; type < 4; type++)
            total.by_type[type] += by_f[f].by_type[type];
    describe(result->details, &total);
    struct json *functions = json_set(result->details, "by-f", json_object());
    for (uint32_t f = 0; f < history->f_count; f++) {
        if (by_f[f].by_type[OP_INVOKE] == 0)
            continue;
        describe(json_set(functions, history->f_names[f], json_object()), &by_f[f]);
        if (by_f[f].by_type[OP_OK] == 0)
            check_verdict(result, VERDICT_UNKNOWN,
                          "no %s ever succeeded (%llu tried), so nothing was tested of it",
                          history->f_names[f], (unsigned long long)by_f[f].by_type[OP_INVOKE]);
    }
    if (total.by_type[OP_INVOKE] == 0)
        check_verdict(result, VERDICT_UNKNOWN, "the history has no client operations");
    check_verdict(
        result, VERDICT_VALID, "%llu operations: %llu ok, %llu fail, %llu info",
        (unsigned long long)total.by_type[OP_INVOKE], (unsigned long long)total.by_type[OP_OK],
        (unsigned long long)total.by_type[OP_FAIL], (unsigned long long)total.by_type[OP_INFO]);
    free(by_f);
}

const struct checker checker_stats = {
    .name = "stats",
    .summary = "counts by function and outcome; unknown when a function never succeeded",
    .check = check,
};
