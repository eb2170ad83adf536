/* What a stored run's schedule.jsonl tells: see fault_coverage.h. */
#include "checkers/fault_coverage.h"

#include <inttypes.h>
#include <string.h>

#include "harness/store.h"

struct json *fault_coverage_read(const struct check_input *input)
{
    struct json *lines = NULL;
    struct buf notes = BUF_INIT;
    struct err err = ERR_INIT;
    if (input->run_directory != NULL &&
        store_read_schedule(input->run_directory, &lines, &notes, &err) != ERR_NONE)
        lines = NULL;
    buf_free(&notes);
    return lines;
}

static bool took_effect(const struct json *line)
{
    return strcmp(json_as_text(json_get(line, "phase"), ""), "begin") == 0 &&
           json_as_bool(json_get(line, "verified"), false);
}

static void add_one(struct json *object, const char *name)
{
    json_set_int(object, name, json_as_int(json_get(object, name), 0) + 1);
}

static void take(const struct json *line, struct json *object, struct json *nodes)
{
    const struct json *state = json_get(line, "state");
    const struct json *hit = json_get(state, "primary-hit");
    for (const struct json *node = json_first(json_get(line, "nodes")); node != NULL;
         node = json_next(node))
        add_one(nodes, json_as_text(node, "?"));
    add_one(object, hit == NULL                ? "primary-unknown-count"
                    : json_as_bool(hit, false) ? "primary-hit-count"
                                               : "primary-spared-count");
    int64_t flying = json_as_int(json_get(state, "in-flight"), -1);
    if (flying < 0)
        return;
    int64_t least = json_as_int(json_get(object, "in-flight-min"), flying);
    int64_t most = json_as_int(json_get(object, "in-flight-max"), flying);
    json_set_int(object, "in-flight-min", flying < least ? flying : least);
    json_set_int(object, "in-flight-max", flying > most ? flying : most);
}

void fault_coverage_describe(const struct json *lines, const char *nemesis, struct json *object)
{
    if (lines == NULL)
        return;
    struct json *nodes = json_set(object, "nodes", json_object());
    for (const struct json *line = json_first(lines); line != NULL; line = json_next(line))
        if (took_effect(line) && strcmp(json_as_text(json_get(line, "nemesis"), ""), nemesis) == 0)
            take(line, object, nodes);
}

/* Why the step's first fault did not come about; NULL: it did, or was never tried. */
static const char *trouble_of(const struct json *lines, int64_t step, bool *in_force)
{
    const char *trouble = NULL;
    *in_force = false;
    for (const struct json *line = json_first(lines); line != NULL; line = json_next(line)) {
        if (json_as_int(json_get(line, "step"), 0) != step ||
            strcmp(json_as_text(json_get(line, "phase"), ""), "begin") != 0)
            continue;
        *in_force = *in_force || took_effect(line);
        if (trouble == NULL && !took_effect(line))
            trouble = json_as_text(json_get(line, "error"),
                                   json_as_text(json_get(line, "evidence"), "not verified"));
    }
    return trouble;
}

void fault_coverage_judge(const struct check_input *input, const struct json *lines,
                          struct check_result *result)
{
    const struct json *schedule = json_get(input->plan, "schedule");
    int64_t number = 0;
    if (schedule == NULL || input->run_directory == NULL)
        return;
    for (const struct json *step = json_first(schedule); step != NULL; step = json_next(step)) {
        bool in_force;
        const char *trouble = trouble_of(lines, ++number, &in_force);
        bool often = json_get(step, "at") == NULL && json_get(step, "when") == NULL;
        if (in_force || often) /* each nemesis of such a step is judged by itself */
            continue;
        const char *name = json_as_text(json_get(step, "nemesis"), "?");
        if (trouble != NULL)
            check_verdict(result, VERDICT_UNKNOWN,
                          "step %" PRId64 " of the schedule (%s) never took effect: %s", number,
                          name, trouble);
        else
            check_verdict(result, VERDICT_UNKNOWN,
                          "step %" PRId64 " of the schedule (%s) was never tried: %s", number, name,
                          json_get(step, "when") != NULL ? "what it waits for did not happen"
                                                         : "the run ended before");
    }
}
