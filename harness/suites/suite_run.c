/* Running a suite: see suite_run.h. */
#include "harness/suites/suite_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/run.h"
#include "harness/suites/suite_judge.h"

static void tell(const struct suite_running *running, const char *format, ...)
{
    struct buf line = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&line, format, arguments);
    va_end(arguments);
    running->tell(running->state, buf_text(&line));
    buf_free(&line);
}

/* "invalid, as expected" */
static void tell_end(const struct suite_running *running, const struct suite_cell *cell,
                     const struct json *line, size_t number, size_t all)
{
    static const char *const words[] = {", as expected",
                                        ": what was to be found was not seen",
                                        ": not what was expected",
                                        ": not what was expected",
                                        "",
                                        ""};
    enum suite_finding finding = suite_judge_run(&cell->expect, line);
    const char *problem = json_as_text(json_get(line, "problem"), "");
    int64_t status = json_as_int(json_get(line, "status"), EXIT_HARNESS_FAILED);
    char took[32];
    clock_format_human((int64_t)(json_as_real(json_get(line, "seconds"), 0) * 1e9), took,
                       sizeof took);
    tell(running, "[%zu/%zu] %s, seed %" PRId64 ": %s%s%s%s in %s%s%s", number, all, cell->name,
         json_as_int(json_get(line, "seed"), 0),
         status > EXIT_UNKNOWN ? "failed"
                               : verdict_name(verdict_from_json(json_get(line, "valid"))),
         cell->expect.given ? words[finding] : "", *problem == '\0' ? "" : ": ", problem, took,
         json_get(line, "directory") == NULL ? "" : ", ",
         json_as_text(json_get(line, "directory"), ""));
}

/* Tries until the harness does not fail; `retried` gets the problems of the attempts before. */
static void attempt_run(const struct suite *suite, const struct suite_cell *cell, uint32_t run,
                        const struct suite_running *running, struct suite_attempt *attempt,
                        struct json *retried)
{
    for (uint32_t tries = 0;; tries++) {
        *attempt = (struct suite_attempt){.status = EXIT_HARNESS_FAILED};
        running->execute(running->state, cell, cell->seeds[run], attempt);
        if (attempt->status != EXIT_HARNESS_FAILED || tries == suite->retries ||
            running->stopped(running->state))
            return;
        tell(running, "%s, seed %" PRIu64 ": the harness failed, so once more (%u of %u): %s",
             cell->name, cell->seeds[run], tries + 1, suite->retries, attempt->problem);
        json_add(retried, json_text(attempt->problem));
        json_free(attempt->results);
    }
}

static enum err_code do_run(const struct suite *suite, struct suite_runs *runs, size_t index,
                            uint32_t run, const struct suite_running *running, size_t number,
                            size_t all, struct err *err)
{
    const struct suite_cell *cell = &suite->cells[index];
    struct json *retried = json_array();
    struct suite_attempt attempt;
    int64_t began_ns = clock_monotonic_ns();
    attempt_run(suite, cell, run, running, &attempt, retried);
    struct json *line = suite_run_line(cell, run, &attempt);
    json_set_int(line, "attempts", (int64_t)json_count(retried) + 1);
    json_set(line, "retried", retried);
    json_set_real(line, "seconds", (double)(clock_monotonic_ns() - began_ns) / 1e9);
    json_free(attempt.results);
    tell_end(running, cell, line, number, all);
    return suite_runs_add(runs, index, run, line, err);
}

enum err_code suite_run(const struct suite *suite, struct suite_runs *runs,
                        const struct suite_running *running, struct err *err)
{
    size_t all = 0, number = 0, done = 0;
    for (size_t i = 0; i < suite->cell_count; i++)
        for (uint32_t run = 0; run < suite->cells[i].run_count; run++, all++)
            done += suite_run_is_done(suite_runs_get(runs, i, run));
    tell(running, "suite %s: %zu cell%s, %zu run%s", suite->name, suite->cell_count,
         suite->cell_count == 1 ? "" : "s", all, all == 1 ? "" : "s");
    if (done > 0)
        tell(running, "%zu of them are done already", done);
    for (size_t i = 0; i < suite->cell_count; i++)
        for (uint32_t run = 0; run < suite->cells[i].run_count; run++) {
            number++;
            if (suite_run_is_done(suite_runs_get(runs, i, run)))
                continue;
            if (running->stopped(running->state))
                return ERR_NONE;
            if (do_run(suite, runs, i, run, running, number, all, err) != ERR_NONE)
                return err->code;
        }
    return ERR_NONE;
}
