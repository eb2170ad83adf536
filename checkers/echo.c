/* `echo` must answer what it was asked. */
#include <inttypes.h>

#include "checkers/checkers.h"
#include "checkers/folding/fold.h"

enum { ANOMALIES_MAX = 8 };

static void tell(const struct history *history, uint32_t event, struct check_result *result)
{
    uint32_t invocation = history->partner[event];
    struct buf text = BUF_INIT;
    buf_add_text(&text, "Asked to say ");
    value_print(history->value[invocation], &text);
    buf_add_text(&text, ", it said ");
    value_print(history->value[event], &text);
    buf_add_char(&text, '.');
    check_anomaly(result, "wrong-echo", "another value came back", buf_text(&text),
                  (const uint32_t[]){invocation, event}, 2);
    buf_free(&text);
}

static void check(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    int echo = fold_f(input, "echo");
    uint64_t answered = 0, wrong = 0;
    for (uint32_t i = 0; echo >= 0 && i < history->count; i++) {
        if (!fold_is(history, i, OP_OK, echo) || history->partner[i] == HISTORY_NONE)
            continue;
        answered++;
        if (value_equal(history->value[i], history->value[history->partner[i]]))
            continue;
        if (wrong++ < ANOMALIES_MAX)
            tell(history, i, result);
    }
    json_set_int(result->details, "answered-count", (int64_t)answered);
    json_set_int(result->details, "wrong-count", (int64_t)wrong);
    if (wrong > 0)
        check_verdict(result, VERDICT_INVALID, "%" PRIu64 " of %" PRIu64 " answers were others",
                      wrong, answered);
    if (answered == 0)
        check_verdict(result, VERDICT_UNKNOWN, "no echo ever succeeded");
    check_verdict(result, VERDICT_VALID, "%" PRIu64 " values came back as they were", answered);
}

const struct checker checker_echo = {
    .name = "echo",
    .summary = "echo answers what it was asked",
    .check = check,
};
