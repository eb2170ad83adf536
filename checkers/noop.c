/* Judges nothing, and says so: the template for a checker. It is UNKNOWN by design: a run that was
 * not judged is not a valid run. */
#include "checkers/checkers.h"

static void check(const struct check_input *input, struct check_result *result)
{
    json_set_int(result->details, "event-count", input->history->count);
    check_verdict(result, VERDICT_UNKNOWN, "the checker noop judges nothing");
}

const struct checker checker_noop = {
    .name = "noop",
    .summary = "judges nothing (the template for a checker)",
    .check = check,
};
