/* What came of a suite: see suite_judge.h. */
#include "harness/suites/suite_judge.h"

#include <string.h>

#include "harness/base/clock.h"
#include "harness/run.h"

/* ---- A run ---- */

static bool lists(const struct json *list, const char *wanted)
{
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one))
        if (strcmp(json_as_text(one, ""), wanted) == 0)
            return true;
    return false;
}

/* One that shows what is expected, of all or of the one that is named. */
static const struct json *showing_checker(const struct suite_expect *expect,
                                          const struct json *line)
{
    for (const struct json *one = json_first(json_get(line, "checkers")); one != NULL;
         one = json_next(one)) {
        if (expect->checker != NULL && strcmp(json_key(one), expect->checker) != 0)
            continue;
        if (verdict_from_json(json_get(one, "valid")) == expect->verdict &&
            (expect->promise == NULL || lists(json_get(one, "broken"), expect->promise)) &&
            (expect->anomaly == NULL || lists(json_get(one, "anomalies"), expect->anomaly)))
            return one;
    }
    return NULL;
}

static bool shows(const struct suite_expect *expect, const struct json *line, enum verdict verdict)
{
    if (expect->checker == NULL && expect->anomaly == NULL)
        return verdict == expect->verdict;
    return showing_checker(expect, line) != NULL;
}

enum suite_finding suite_judge_run(const struct suite_expect *expect, const struct json *line)
{
    static const struct suite_expect unsaid = {.verdict = VERDICT_VALID};
    if (line == NULL)
        return SUITE_NOT_RUN;
    if (json_as_int(json_get(line, "status"), EXIT_HARNESS_FAILED) > EXIT_UNKNOWN)
        return SUITE_FAILED;
    if (!suite_run_is_done(line))
        return SUITE_NOT_RUN; /* half a run shows nothing */
    if (!expect->given)
        expect = &unsaid;
    enum verdict verdict = verdict_from_json(json_get(line, "valid"));
    bool shown = shows(expect, line, verdict);
    if (verdict == VERDICT_INVALID && !(shown && expect->verdict == VERDICT_INVALID))
        return SUITE_OTHER; /* whatever else it shows */
    if (shown)
        return SUITE_AS_EXPECTED;
    return verdict == VERDICT_VALID ? SUITE_NOT_SEEN : SUITE_UNCLEAR;
}

/* ---- A cell ---- */

struct cell_sum {
    size_t findings[SUITE_NOT_RUN + 1];
    struct verdict_tally tally;
    int64_t failed_status, retried;
    double seconds;
    int64_t first_failed, first_shown; /* runs, from 0; -1: none */
};

static struct cell_sum sum_up(const struct suite_cell *cell, const struct suite_runs *runs,
                              size_t index)
{
    struct cell_sum sum = {.first_failed = -1, .first_shown = -1};
    for (uint32_t i = 0; i < cell->run_count; i++) {
        const struct json *line = suite_runs_get(runs, index, i);
        enum suite_finding finding = suite_judge_run(&cell->expect, line);
        sum.findings[finding]++;
        sum.retried += (int64_t)json_count(json_get(line, "retried"));
        sum.seconds += json_as_real(json_get(line, "seconds"), 0);
        if (finding == SUITE_FAILED) {
            int64_t status = json_as_int(json_get(line, "status"), EXIT_HARNESS_FAILED);
            if (status > sum.failed_status)
                sum.failed_status = status;
        }
        if (finding >= SUITE_FAILED)
            sum.tally.other++;
        else
            verdict_tally_add(&sum.tally, verdict_from_json(json_get(line, "valid")));
        if (sum.first_shown < 0 && cell->expect.given && finding == SUITE_AS_EXPECTED)
            sum.first_shown = i;
        if (sum.first_failed < 0 && finding < SUITE_FAILED && finding != SUITE_AS_EXPECTED)
            sum.first_failed = i;
    }
    return sum;
}

struct outcome {
    const char *word;
    int status;
};

static struct outcome outcome_of(const struct suite_cell *cell, const struct cell_sum *sum)
{
    const struct suite_expect *expect = &cell->expect;
    const size_t *findings = sum->findings;
    if (findings[SUITE_FAILED] > 0)
        return (struct outcome){"failed", (int)sum->failed_status};
    if (!expect->given) {
        if (sum->tally.invalid > 0)
            return (struct outcome){"invalid", EXIT_INVALID};
        if (findings[SUITE_NOT_RUN] > 0)
            return (struct outcome){"not run", EXIT_UNKNOWN};
        return sum->tally.unknown > 0 ? (struct outcome){"unknown", EXIT_UNKNOWN}
                                      : (struct outcome){"valid", EXIT_VALID};
    }
    if (findings[SUITE_OTHER] > 0)
        return (struct outcome){"disagreed", EXIT_INVALID};
    if (findings[SUITE_NOT_RUN] > 0)
        return (struct outcome){"not run", EXIT_UNKNOWN};
    if (expect->verdict != VERDICT_VALID && findings[SUITE_AS_EXPECTED] >= expect->at_least)
        return (struct outcome){"agreed", EXIT_VALID};
    if (expect->verdict == VERDICT_VALID && findings[SUITE_AS_EXPECTED] == cell->run_count)
        return (struct outcome){"agreed", EXIT_VALID};
    /* What was to hold and could not be told is unknown; what was to be found and was not, is a
     * disagreement. */
    return (struct outcome){"disagreed",
                            expect->verdict == VERDICT_VALID ? EXIT_UNKNOWN : EXIT_INVALID};
}

static void expected_words(const struct suite_expect *expect, struct buf *out)
{
    buf_add_text(out, verdict_name(expect->verdict));
    if (expect->promise != NULL)
        buf_printf(out, ", %s of %s broken", expect->promise, expect->checker);
    else if (expect->checker != NULL)
        buf_printf(out, ", by %s", expect->checker);
    if (expect->anomaly != NULL)
        buf_printf(out, ", %s found", expect->anomaly);
}

static void reason_of(const struct suite_cell *cell, const struct cell_sum *sum, struct buf *out)
{
    const size_t *findings = sum->findings;
    if (!cell->expect.given) {
        buf_printf(out, "%zu of %u valid", findings[SUITE_AS_EXPECTED], cell->run_count);
    } else {
        buf_printf(out, "%zu of %u as expected (", findings[SUITE_AS_EXPECTED], cell->run_count);
        expected_words(&cell->expect, out);
        if (cell->expect.verdict != VERDICT_VALID)
            buf_printf(out, ", in %u at least", cell->expect.at_least);
        buf_add_char(out, ')');
    }
    const struct {
        size_t count;
        const char *what;
    } rest[] = {{findings[SUITE_OTHER], cell->expect.given ? "invalid otherwise" : "invalid"},
                {findings[SUITE_NOT_SEEN], "valid"},
                {findings[SUITE_UNCLEAR], "unknown"},
                {findings[SUITE_FAILED], "failed"},
                {findings[SUITE_NOT_RUN], "not run"}};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        if (rest[i].count > 0)
            buf_printf(out, ", %zu %s", rest[i].count, rest[i].what);
}

/* ---- The summary ---- */

static const char *finding_word(enum suite_finding finding)
{
    static const char *const words[] = {"as expected", "not seen", "unclear",
                                        "other",       "failed",   "not run"};
    return words[finding];
}

static struct json *expect_json(const struct suite_expect *expect)
{
    struct json *object = json_object();
    json_set_text(object, "verdict", verdict_name(expect->verdict));
    if (expect->checker != NULL)
        json_set_text(object, "checker", expect->checker);
    if (expect->promise != NULL)
        json_set_text(object, "promise", expect->promise);
    if (expect->anomaly != NULL)
        json_set_text(object, "anomaly", expect->anomaly);
    if (expect->verdict != VERDICT_VALID)
        json_set_int(object, "at-least", expect->at_least);
    return object;
}

static void describe_cell(const struct suite_cell *cell, struct json *object)
{
    static const char *const fields[] = {"schedule", "set"};
    json_set_text(object, "name", cell->name);
    json_set_text(object, "where", cell->where);
    if (cell->about != NULL)
        json_set_text(object, "about", cell->about);
    json_set_text(object, "system", cell->system);
    json_set_text(object, "workload", cell->workload);
    if (cell->nemesis != NULL)
        json_set_text(object, "nemesis", cell->nemesis);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (json_get(cell->plan, fields[i]) != NULL)
            json_set(object, fields[i], json_copy(json_get(cell->plan, fields[i])));
    if (cell->expect.given)
        json_set(object, "expect", expect_json(&cell->expect));
    if (cell->reference_text != NULL) {
        struct json *reference = json_set(object, "reference", json_object());
        json_set_text(reference, "text", cell->reference_text);
        if (cell->reference_url != NULL)
            json_set_text(reference, "url", cell->reference_url);
    }
}

/* Whose words say what a run showed: the checker's that shows what is expected, or the first that
 * has the run's verdict. */
static void describe_run(const struct suite_cell *cell, const struct json *line,
                         struct json *object, const char *name, int64_t run)
{
    enum verdict verdict = verdict_from_json(json_get(line, "valid"));
    const struct json *checker = cell->expect.given ? showing_checker(&cell->expect, line) : NULL;
    if (verdict == VERDICT_INVALID && cell->expect.verdict != VERDICT_INVALID)
        checker = NULL;
    for (const struct json *one = json_first(json_get(line, "checkers"));
         one != NULL && checker == NULL; one = json_next(one))
        if (verdict_from_json(json_get(one, "valid")) == verdict)
            checker = one;
    struct json *shown = json_set(object, name, json_object());
    json_set_int(shown, "run", run + 1);
    json_set_int(shown, "seed", json_as_int(json_get(line, "seed"), 0));
    json_set_text(shown, "directory", json_as_text(json_get(line, "directory"), ""));
    if (checker == NULL)
        return;
    json_set_text(shown, "checker", json_key(checker));
    json_set_text(shown, "reason", json_as_text(json_get(checker, "reason"), ""));
    const struct json *first = json_get(checker, "first");
    if (first != NULL) {
        json_set_text(shown, "title", json_as_text(json_get(first, "title"), ""));
        json_set_text(shown, "text", json_as_text(json_get(first, "text"), ""));
    }
}

static void add_runs(const struct suite_cell *cell, const struct suite_runs *runs, size_t index,
                     struct json *object)
{
    struct json *list = json_set(object, "runs", json_array());
    const char *version = NULL;
    for (uint32_t i = 0; i < cell->run_count; i++) {
        const struct json *line = suite_runs_get(runs, index, i);
        struct json *run = json_add(list, line == NULL ? json_object() : json_copy(line));
        json_remove(run, "cell");
        json_remove(run, "digest");
        json_remove(run, "checkers");
        json_set_int(run, "seed", (int64_t)cell->seeds[i]);
        json_set_text(run, "finding", finding_word(suite_judge_run(&cell->expect, line)));
        if (version == NULL)
            version = json_as_text(json_get(line, "system-version"), NULL);
    }
    if (version != NULL)
        json_set_text(object, "system-version", version);
}

static struct json *cell_json(const struct suite_cell *cell, const struct suite_runs *runs,
                              size_t index, const struct cell_sum *sum, struct outcome outcome)
{
    struct json *object = json_object();
    struct buf reason = BUF_INIT;
    describe_cell(cell, object);
    json_set_text(object, "outcome", outcome.word);
    reason_of(cell, sum, &reason);
    json_set_text(object, "reason", buf_text(&reason));
    buf_free(&reason);
    json_set_int(object, "run-count", cell->run_count);
    json_set_int(object, "valid-count", (int64_t)sum->tally.valid);
    json_set_int(object, "unknown-count", (int64_t)sum->tally.unknown);
    json_set_int(object, "invalid-count", (int64_t)sum->tally.invalid);
    json_set_int(object, "failed-count", (int64_t)sum->findings[SUITE_FAILED]);
    json_set_int(object, "not-run-count", (int64_t)sum->findings[SUITE_NOT_RUN]);
    json_set_int(object, "as-expected-count", (int64_t)sum->findings[SUITE_AS_EXPECTED]);
    json_set_int(object, "retry-count", sum->retried);
    json_set_real(object, "seconds", sum->seconds);
    double rate = verdict_tally_rate(&sum->tally);
    json_set(object, "not-valid-rate", rate < 0 ? json_null() : json_real(rate));
    if (sum->first_failed >= 0)
        describe_run(cell, suite_runs_get(runs, index, (uint32_t)sum->first_failed), object,
                     "first-failed", sum->first_failed);
    if (sum->first_shown >= 0)
        describe_run(cell, suite_runs_get(runs, index, (uint32_t)sum->first_shown), object,
                     "first-shown", sum->first_shown);
    add_runs(cell, runs, index, object);
    return object;
}

/* The worst wins: harness failure, bad arguments, invalid, unknown, valid. */
static int worse(int one, int other)
{
    static const int order[] = {EXIT_HARNESS_FAILED, EXIT_BAD_ARGUMENTS, EXIT_INVALID,
                                EXIT_UNKNOWN};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (one == order[i] || other == order[i])
            return order[i];
    return EXIT_VALID;
}

static void add_head(const struct suite *suite, const struct suite_facts *facts, struct json *root)
{
    char stamp[40];
    json_set_text(root, "suite", suite->name);
    if (suite->about != NULL)
        json_set_text(root, "about", suite->about);
    json_set_text(root, "file", suite->file);
    json_set_text(root, "directory", facts->directory);
    json_set_text(root, "command", facts->command);
    if (facts->shard_count > 0) {
        json_set_int(root, "shard", facts->shard);
        json_set_int(root, "shard-count", facts->shard_count);
    }
    clock_format_utc(facts->started_wall_ns, stamp, sizeof stamp);
    json_set_text(root, "started", stamp);
    clock_format_utc(facts->ended_wall_ns, stamp, sizeof stamp);
    json_set_text(root, "ended", stamp);
    json_set_bool(root, "interrupted", facts->interrupted);
    json_set_text(root, "ordeal-version", ORDEAL_VERSION);
}

struct json *suite_summary(const struct suite *suite, const struct suite_runs *runs,
                           const struct suite_facts *facts)
{
    static const char *const words[] = {"agreed",  "disagreed", "valid",  "invalid",
                                        "unknown", "failed",    "not run"};
    struct json *root = json_object();
    int64_t counts[sizeof words / sizeof *words] = {0}, run_count = 0, retried = 0;
    int status = EXIT_VALID;
    add_head(suite, facts, root);
    struct json *cells = json_array();
    for (size_t i = 0; i < suite->cell_count; i++) {
        struct cell_sum sum = sum_up(&suite->cells[i], runs, i);
        struct outcome outcome = outcome_of(&suite->cells[i], &sum);
        json_add(cells, cell_json(&suite->cells[i], runs, i, &sum, outcome));
        for (size_t j = 0; j < sizeof words / sizeof *words; j++)
            counts[j] += strcmp(words[j], outcome.word) == 0;
        status = worse(status, outcome.status);
        run_count += suite->cells[i].run_count;
        retried += sum.retried;
    }
    json_set_int(root, "exit-status", status);
    json_set_int(root, "cell-count", (int64_t)suite->cell_count);
    json_set_int(root, "run-count", run_count);
    json_set_int(root, "retry-count", retried);
    struct json *outcomes = json_set(root, "outcomes", json_object());
    for (size_t j = 0; j < sizeof words / sizeof *words; j++)
        json_set_int(outcomes, words[j], counts[j]);
    json_set(root, "cells", cells);
    return root;
}
