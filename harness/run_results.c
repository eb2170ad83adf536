/* What came of a run: judging its history, and writing it down for people and machines. See run.h.
 */
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/histories/history_io.h"
#include "harness/run_internal.h"
#include "harness/store.h"

/* history.edn is written as well, when the run is small enough for that to be handy. */
enum { EDN_EVENTS_MAX = 2000000 };

int exit_status_of(enum verdict verdict)
{
    static const int statuses[] = {EXIT_VALID, EXIT_UNKNOWN, EXIT_INVALID};
    return statuses[verdict];
}

static void describe_test(const struct running *running, struct json *test)
{
    const struct plan *plan = running->plan;
    char stamp[40];
    json_set_text(test, "name", plan->name);
    json_set_text(test, "system", plan->system->name);
    if (running->version.length > 0)
        json_set_text(test, "system-version", running->version.data);
    json_set_text(test, "workload", plan->workload->name);
    struct json *list = json_set(test, "nemeses", json_array());
    for (size_t i = 0; i < plan->nemesis_count; i++)
        json_add(list, json_text(plan->nemeses[i]->name));
    list = json_set(test, "nodes", json_array());
    for (uint32_t i = 0; i < running->test.node_count; i++)
        json_add(list, json_text(running->test.nodes[i].name));
    json_set_int(test, "seed", (int64_t)plan->seed);
    json_set_int(test, "concurrency", plan->concurrency);
    clock_format_utc(running->started_wall_ns, stamp, sizeof stamp);
    json_set_text(test, "started", stamp);
    clock_format_utc(running->ended_wall_ns, stamp, sizeof stamp);
    json_set_text(test, "ended", stamp);
    if (running->zero_wall_ns > 0) {
        clock_format_utc(running->zero_wall_ns, stamp, sizeof stamp);
        json_set_text(test, "time-zero", stamp);
    }
    const struct log_mark *marks = plan->system->log_marks;
    list = marks == NULL ? NULL : json_set(test, "log-marks", json_array());
    for (; marks != NULL && marks->kind != NULL; marks++) {
        struct json *one = json_object();
        json_set_text(one, "kind", marks->kind);
        json_set_text(one, "pattern", marks->pattern);
        json_add(list, one);
    }
    json_set_real(test, "duration-s",
                  (double)(running->work_ended_ns - running->work_began_ns) / 1e9);
    json_set_int(test, "event-count", running->history.count);
    json_set_bool(test, "interrupted", atomic_load(&running->interrupts) > 0);
    if (running->plan->stop_on_violation) {
        struct json *watched = json_set(test, "watched", json_object());
        json_set_int(watched, "looks", running->live_costs.looks);
        json_set_int(watched, "judged", running->live_costs.judged);
        json_set_int(watched, "undecided", running->live_costs.undecided);
        json_set_real(watched, "processor-s", (double)running->live_costs.spent_ns / 1e9);
        json_set_bool(test, "stopped-on-violation", running->violation != NULL);
        if (running->violation != NULL)
            json_set_text(test, "violation-seen", running->violation);
    }
    json_set_text(test, "ordeal-version", ORDEAL_VERSION);
    json_set_text(test, "command", running->command);
    json_set_text(test, "run-again",
                  arena_printf((struct arena *)&running->arena, "ordeal run %s/plan.json",
                               running->directory));
}

struct json *run_check(const struct history *history, const char *const *names, size_t count,
                       struct check_input *input, enum verdict *verdict)
{
    input->history = history;
    for (size_t i = 0; i < count; i++)
        option_defaults(&input->options, names[i], checker_find(names[i])->options);
    return check_all(names, count, input, verdict);
}

static struct json *judge(struct running *running, enum verdict *verdict)
{
    struct plan *plan = running->plan;
    struct err err = ERR_INIT;
    if (history_pair(&running->history, &err) != ERR_NONE) {
        run_fail(running, err.code,
                 err.message); /* the scheduler's own fault: nothing can be judged */
        *verdict = VERDICT_UNKNOWN;
        struct json *results = json_object();
        json_set(results, "valid", verdict_json(*verdict));
        return results;
    }
    log_status(running->log, "checking ...");
    struct check_input input = {.limits = plan->check_limits,
                                .options = {json_copy(plan->options.values)},
                                .keyed = plan->keyed,
                                .plan = plan->values,
                                .run_directory = running->directory};
    struct json *results =
        run_check(&running->history, plan->checkers, plan->checker_count, &input, verdict);
    json_free(input.options.values);
    log_status(running->log, "");
    return results;
}

static void write_results(struct running *running, struct json *results)
{
    struct err err = ERR_INIT;
    describe_test(running, json_set(results, "test", json_object()));
    json_set(results, "faults",
             running->faults == NULL ? json_array() : faults_json(running->faults));
    struct json *clocks = clock_watch_json(running->clocks);
    if (clocks != NULL)
        json_set(results, "clock-offsets", clocks);
    struct json *problems = json_set(results, "problems", json_array());
    if (running->problem.code != ERR_NONE)
        json_add(problems, json_text(running->problem.message));
    if (store_write_json(running->directory, "results.json", results, &err) != ERR_NONE)
        run_fail(running, err.code, err.message);
    if (running->history.count > 0 && running->history.count <= EDN_EVENTS_MAX &&
        history_save(store_path(&running->arena, running->directory, "history.edn"), "edn",
                     &running->history, &err) != ERR_NONE)
        run_fail(running, err.code, err.message);
    struct json *schedule = NULL;
    struct buf notes = BUF_INIT;
    if (store_read_schedule(running->directory, &schedule, &notes, &err) != ERR_NONE)
        run_fail(running, err.code, err.message);
    buf_free(&notes);
    struct run run = {.directory = running->directory,
                      .plan = running->plan->values,
                      .results = results,
                      .history = &running->history,
                      .schedule = schedule};
    if (store_render(&run, &err) != ERR_NONE)
        run_fail(running, err.code, err.message);
    json_free(schedule);
}

/* Known only while the nodes are there, so it is no checker; but it is a judgement, and stands
 * among them. */
static enum verdict add_recovery(const struct running *running, struct json *results)
{
    enum verdict verdict = running->recovered ? VERDICT_VALID : VERDICT_UNKNOWN;
    struct json *entry = json_object();
    json_set(entry, "valid", verdict_json(verdict));
    json_set_text(entry, "reason", running->recovery);
    json_set(entry, "anomalies", json_array());
    json_set(json_get(results, "checkers"), "recovery", entry);
    return verdict;
}

void run_conclude(struct running *running, bool worked)
{
    enum verdict verdict = VERDICT_UNKNOWN;
    struct json *results = worked ? judge(running, &verdict) : json_object();
    if (running->recovery != NULL && json_get(results, "checkers") != NULL)
        verdict = verdict_worse(verdict, add_recovery(running, results));
    /* Half a run that found nothing is no valid run; what it did find stays found. */
    if (running->problem.code != ERR_NONE && verdict == VERDICT_VALID)
        verdict = VERDICT_UNKNOWN;
    json_set(results, "valid", verdict_json(verdict));
    write_results(running, results);
    running->outcome->verdict = verdict;
    running->outcome->results = results;
}
