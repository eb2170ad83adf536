/* Whether the faults that were asked for took effect while the system was in use, and were undone.
 *
 * A run whose faults never came about has not tested what it was asked to, and one that was not
 * seen to heal may judge the system by an illness that ordeal left: both are UNKNOWN. Of what was
 * only drawn, from among several, the run may end before each had its turn, and some may come when
 * nobody asks anything: that is told, and as long as another of them tested the system, the run was
 * what was asked for. What was tried and never came about is UNKNOWN there, too. */
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/fault_coverage.h"
#include "checkers/fault_windows.h"
#include "harness/nemesis_file.h"

struct tally {
    uint32_t tried, in_force, unverified, failed, pending;
    int64_t in_force_ns;
    uint64_t operations; /* in flight while one was in force */
    uint32_t error;      /* the first event with one; HISTORY_NONE */
};

static struct tally count(const struct history *history, const struct fault_windows *windows,
                          const struct nemesis *nemesis)
{
    struct tally tally = {.error = HISTORY_NONE};
    for (size_t i = 0; i < windows->count; i++) {
        const struct fault_window *window = &windows->items[i];
        if (window->nemesis != nemesis)
            continue;
        tally.tried++;
        tally.in_force += window->effect == FAULT_IN_FORCE;
        tally.unverified += window->effect == FAULT_UNVERIFIED;
        tally.failed += window->effect == FAULT_FAILED;
        tally.pending += window->effect == FAULT_PENDING;
        tally.operations += window->effect == FAULT_IN_FORCE ? window->operations : 0;
        int64_t from_ns = fault_from_ns(history, window), to_ns = fault_to_ns(history, window);
        if (window->effect == FAULT_IN_FORCE && from_ns >= 0 && to_ns >= from_ns)
            tally.in_force_ns += to_ns - from_ns;
        if (tally.error == HISTORY_NONE && window->effect != FAULT_IN_FORCE)
            tally.error = window->begin_done;
    }
    return tally;
}

static struct json *describe(const struct history *history, const char *name,
                             const struct tally *tally, struct json *by_nemesis)
{
    struct json *object = json_set(by_nemesis, name, json_object());
    json_set_int(object, "tried-count", tally->tried);
    json_set_int(object, "in-force-count", tally->in_force);
    json_set_int(object, "unverified-count", tally->unverified);
    json_set_int(object, "failed-count", tally->failed);
    json_set_int(object, "pending-count", tally->pending);
    json_set_int(object, "in-force-ns", tally->in_force_ns);
    json_set_int(object, "operation-count", (int64_t)tally->operations);
    struct buf error = BUF_INIT;
    fault_error(history, tally->error, &error);
    if (error.length > 0)
        json_set_text(object, "first-error", error.data);
    buf_free(&error);
    return object;
}

/* One nemesis that must have taken effect. Adds to the summary of a valid run. `drawn`: from among
 * several. */
static void judge(const struct history *history, const struct fault_windows *windows,
                  const char *name, bool drawn, const struct json *lines, struct json *by_nemesis,
                  struct buf *summary, struct check_result *result)
{
    const struct nemesis *nemesis = nemesis_named(name);
    if (nemesis == NULL) {
        check_verdict(result, VERDICT_UNKNOWN, "no nemesis here is called %s, which was planned",
                      name);
        return;
    }
    struct tally tally = count(history, windows, nemesis);
    name = nemesis->name; /* of one from outside the plan has the file */
    fault_coverage_describe(lines, name, describe(history, name, &tally, by_nemesis));
    struct buf error = BUF_INIT;
    fault_error(history, tally.error, &error);
    if (tally.tried == 0 && !drawn)
        check_verdict(result, VERDICT_UNKNOWN, "no %s was ever tried, though it was planned", name);
    else if (tally.tried > 0 && tally.in_force == 0)
        check_verdict(result, VERDICT_UNKNOWN, "no %s ever took effect (%u tried: %s)", name,
                      tally.tried,
                      error.length > 0 ? error.data : "the history ends before the outcome");
    else if (tally.operations == 0 && !drawn)
        check_verdict(result, VERDICT_UNKNOWN,
                      "%s took effect, but no operation was in flight meanwhile, so it tested "
                      "nothing",
                      name);
    buf_free(&error);
    buf_printf(summary, "%s%s ", summary->length > 0 ? ", " : "", name);
    if (tally.tried == 0) {
        buf_add_text(summary, "was never drawn");
        return;
    }
    buf_add_text(summary, "took effect ");
    if (tally.in_force < tally.tried)
        buf_printf(summary, "%u of %u times", tally.in_force, tally.tried);
    else if (tally.tried == 1)
        buf_add_text(summary, "once");
    else
        buf_printf(summary, "%u times", tally.tried);
    buf_printf(summary, " (%.1f s%s)", (double)tally.in_force_ns / 1e9,
               tally.operations == 0 ? ", and met no operation" : "");
}

/* Whether a fault of one of these took effect and met operations. */
static bool any_tested(const struct fault_windows *windows, const char *const *names, size_t count)
{
    for (size_t i = 0; i < windows->count; i++)
        for (size_t j = 0; j < count; j++)
            if (windows->items[i].nemesis == nemesis_named(names[j]) &&
                windows->items[i].effect == FAULT_IN_FORCE && windows->items[i].operations > 0)
                return true;
    return false;
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Whether a name is only drawn, from among several. */
static bool is_drawn(const struct json *plan, const char *name)
{
    struct arena arena = ARENA_INIT;
    const char **among;
    bool drawn = false, alone = false;
    size_t count;
    for (size_t step = 0; (count = nemesis_drawn(plan, step, &arena, &among)) > 0; step++)
        if (is_among(name, among, count)) {
            drawn = drawn || count > 1;
            alone = alone || count == 1;
        }
    arena_free(&arena);
    return drawn && !alone;
}

/* Each step that draws must have tested something. */
static void judge_draws(const struct json *plan, const struct fault_windows *windows,
                        struct check_result *result)
{
    struct arena arena = ARENA_INIT;
    const char **among;
    size_t count;
    for (size_t step = 0; (count = nemesis_drawn(plan, step, &arena, &among)) > 0; step++)
        if (count > 1 && !any_tested(windows, among, count))
            check_verdict(result, VERDICT_UNKNOWN,
                          "none of the %zu nemeses to draw from (%s, ...) took effect while "
                          "operations were in flight",
                          count, among[0]);
    arena_free(&arena);
}

/* What was not seen to be undone, or whose outcome nobody knows. */
static void judge_ends(const struct history *history, const struct fault_windows *windows,
                       struct check_result *result)
{
    struct json *not_healed = json_array();
    for (size_t i = 0; i < windows->count; i++) {
        const struct fault_window *window = &windows->items[i];
        if (!fault_happened(window) || window->healed)
            continue;
        struct buf text = BUF_INIT;
        fault_print(history, window, &text);
        if (window->end_asked == HISTORY_NONE) {
            buf_add_text(&text, window->effect == FAULT_PENDING
                                    ? " was begun, and the history ends before its outcome"
                                    : " was never ended");
        } else {
            buf_add_text(&text, " was not seen to be undone");
            struct buf error = BUF_INIT;
            fault_error(history, window->end_done, &error);
            if (error.length > 0)
                buf_printf(&text, ": %s", error.data);
            buf_free(&error);
        }
        json_add(not_healed, json_text(text.data));
        check_verdict(result, VERDICT_UNKNOWN, "%s; the cluster may not have been whole again",
                      text.data);
        buf_free(&text);
    }
    json_set(result->details, "not-undone", not_healed);
}

/* The names in the plan; without one, those in the history. */
static size_t planned(const struct check_input *input, const struct fault_windows *windows,
                      struct arena *arena, const char ***names)
{
    size_t count = 0;
    if (input->plan != NULL)
        return nemesis_planned(input->plan, arena, names);
    *names = arena_alloc(arena, (windows->count + 1) * sizeof **names);
    for (size_t i = 0; i < windows->count; i++) {
        const char *name = windows->items[i].nemesis->name;
        size_t known = 0;
        while (known < count && strcmp((*names)[known], name) != 0)
            known++;
        if (known == count)
            (*names)[count++] = name;
    }
    return count;
}

static void check(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    struct fault_windows windows;
    if (fault_windows_find(history, &windows) != ERR_NONE) {
        check_verdict(result, VERDICT_UNKNOWN, "out of memory");
        return;
    }
    struct arena arena = ARENA_INIT;
    struct buf summary = BUF_INIT;
    const char **names;
    size_t count = planned(input, &windows, &arena, &names);
    struct json *by_nemesis = json_set(result->details, "by-nemesis", json_object());
    struct json *lines = fault_coverage_read(input);
    fault_coverage_judge(input, lines, result); /* what it has to say is more precise */
    for (size_t i = 0; i < count; i++)
        judge(history, &windows, names[i], is_drawn(input->plan, names[i]), lines, by_nemesis,
              &summary, result);
    judge_draws(input->plan, &windows, result);
    json_free(lines);
    judge_ends(history, &windows, result);
    if (count == 0 && input->plan == NULL && windows.foreign != HISTORY_NONE)
        check_verdict(result, VERDICT_UNKNOWN,
                      "the history's faults have names that are not known here, such as %s",
                      history_f_name(history, windows.foreign));
    if (count == 0)
        check_verdict(result, VERDICT_VALID, "no faults were asked for");
    check_verdict(result, VERDICT_VALID, "%s, all undone", buf_text(&summary));
    buf_free(&summary);
    arena_free(&arena);
    fault_windows_free(&windows);
}

const struct checker checker_faults = {
    .name = "faults",
    .summary = "whether the faults that were asked for took effect under load, and were undone",
    .check = check,
};
