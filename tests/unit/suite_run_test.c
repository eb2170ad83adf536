/* Suites: what is run, tried again and continued; what agrees with what was expected; and the
 * summary in every format. The runs are made up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/reporter.h"
#include "harness/run.h"
#include "harness/suites/suite_judge.h"
#include "harness/suites/suite_run.h"
#include "tests/lib/markup_check.h"
#include "tests/lib/suite_helpers.h"
#include "tests/lib/test.h"

/* What the attempts come to, one letter each, in the order in which they are asked for:
 *   v u i   valid, unknown, invalid (by `delivery`: no-loss broken, "lost" found)
 *   o       invalid by `linearizable`
 *   b       both
 *   h       the harness fails; a: bad arguments for these nodes
 *   x       interrupted half-way: a verdict, but of half a run; it stops the suite */
struct script {
    const char *letters;
    char asked[4096]; /* "cell:seed " of each attempt */
    bool stopped;
    struct buf told;
};

static struct json *checker(const char *valid, const char *reason)
{
    struct json *object = json_object(), *verdict = json_bool(strcmp(valid, "valid") == 0);
    if (strcmp(valid, "unknown") == 0) {
        json_free(verdict);
        verdict = json_text("unknown");
    }
    json_set(object, "valid", verdict);
    json_set_text(object, "reason", reason);
    json_set(object, "anomalies", json_array());
    return object;
}

static void add_anomaly(struct json *of, const char *kind)
{
    struct json *one = json_add(json_get(of, "anomalies"), json_object());
    json_set_text(one, "kind", kind);
    json_set_text(one, "title", "<b>it & broke</b> | `x`");
    json_set_text(one, "text", "The text \x1b[31m of it.");
}

static struct json *results_of(char letter)
{
    static const char *const words[] = {"valid", "unknown", "invalid"};
    bool by_delivery = strchr("ib", letter) != NULL, by_other = strchr("ob", letter) != NULL;
    struct json *results = json_object(), *found = json_object(), *test = json_object();
    struct json *delivery = checker(words[by_delivery ? 2 : letter == 'u' ? 1 : 0], "the delivery");
    struct json *other = checker(words[by_other ? 2 : 0], "the order");
    struct json *promises = json_set(delivery, "promises", json_object());
    json_set_bool(json_set(promises, "no-loss", json_object()), "valid", !by_delivery);
    json_set_bool(json_set(promises, "ttl", json_object()), "valid", true);
    if (by_delivery)
        add_anomaly(delivery, "lost");
    if (by_other)
        add_anomaly(other, "nonlinearizable");
    json_set(found, "linearizable", other);
    json_set(found, "delivery", delivery);
    json_set(results, "checkers", found);
    json_set_text(results, "directory", "store/x");
    json_set_text(test, "system-version", "queue 1.0");
    json_set_bool(test, "interrupted", letter == 'x');
    json_set(results, "test", test);
    return results;
}

static void execute(void *state, const struct suite_cell *cell, uint64_t seed,
                    struct suite_attempt *attempt)
{
    struct script *script = state;
    char letter = *script->letters == '\0' ? 'v' : *script->letters++;
    size_t length = strlen(script->asked);
    snprintf(script->asked + length, sizeof script->asked - length, "%s:%d ", cell->name,
             (int)seed);
    if (strchr("ha", letter) != NULL) {
        attempt->status = letter == 'h' ? EXIT_HARNESS_FAILED : EXIT_BAD_ARGUMENTS;
        snprintf(attempt->problem, sizeof attempt->problem, "n2: <the disk> is full");
        return;
    }
    script->stopped = letter == 'x';
    attempt->status = strchr("vx", letter) != NULL ? 0 : letter == 'u' ? 2 : 1;
    attempt->results = results_of(letter);
}

static bool stopped(void *state)
{
    return ((struct script *)state)->stopped;
}

static void tell(void *state, const char *line)
{
    buf_printf(&((struct script *)state)->told, "%s\n", line);
}

/* Runs the suite on what is in runs.jsonl; returns the summary. */
static struct json *play(const char *text, struct script *script)
{
    struct suite suite;
    struct suite_runs *runs;
    struct err err = ERR_INIT;
    assert_ok(suite_of(text, NULL, &suite, &err));
    assert_ok(suite_runs_open(&suite, ".", &runs, &err));
    struct suite_running running = {execute, stopped, tell, script};
    assert_ok(suite_run(&suite, runs, &running, &err));
    struct suite_facts facts = {.directory = "store/suites/s/1",
                                .command = "ordeal run --suite s.json",
                                .interrupted = script->stopped};
    struct json *summary = suite_summary(&suite, runs, &facts);
    suite_runs_close(runs);
    suite_free(&suite);
    return summary;
}

static struct json *play_anew(const char *text, struct script *script)
{
    unlink("runs.jsonl");
    return play(text, script);
}

#define PLAN                                                                                       \
    "'plan': {'system': 'noop', 'workload': 'noop', 'checkers': 'linearizable,delivery'}, "        \
    "'matrix': {'rate': [1]}, 'name': 's'"

static int64_t count_of(const struct json *summary, const char *name)
{
    return json_as_int(json_get(json_first(json_get(summary, "cells")), name), -1);
}

static const char *outcome_of(const struct json *summary)
{
    return json_as_text(json_get(json_first(json_get(summary, "cells")), "outcome"), "");
}

/* ---- What is expected ---- */

static void cells_agree_or_not(void **state)
{
    (void)state;
#define VALID "'expect': {'verdict': 'valid'}"
#define HOLDS "'expect': {'verdict': 'valid', 'checker': 'delivery'}"
#define INVALID "'expect': {'verdict': 'invalid'}"
#define LOSS "'expect': {'verdict': 'invalid', 'checker': 'delivery', 'promise': 'no-loss'}"
#define TTL "'expect': {'verdict': 'invalid', 'checker': 'delivery', 'promise': 'ttl'}"
#define LOST "'expect': {'verdict': 'invalid', 'anomaly': 'lost'}"
#define TWO "'expect': {'verdict': 'invalid', 'anomaly': 'lost', 'at-least': 2}"
#define UNKNOWN "'expect': {'verdict': 'unknown'}"
#define NOTHING "'expect': null"
    static const struct {
        const char *expect, *letters, *outcome;
        int status;
    } cases[] = {
        {VALID, "vvv", "agreed", 0},      {VALID, "vuv", "disagreed", 2},
        {VALID, "vvi", "disagreed", 1},   {VALID, "vuo", "disagreed", 1},
        {HOLDS, "vvv", "agreed", 0},      {HOLDS, "vvo", "disagreed", 1}, /* whoever says so */
        {INVALID, "vvi", "agreed", 0},    {INVALID, "ooo", "agreed", 0},
        {INVALID, "vvv", "disagreed", 1}, {INVALID, "vuv", "disagreed", 1},
        {LOSS, "vvi", "agreed", 0},       {LOSS, "bbb", "agreed", 0},
        {LOSS, "ivo", "disagreed", 1}, /* one broke something else */
        {LOSS, "ooo", "disagreed", 1},    {TTL, "iii", "disagreed", 1},
        {LOST, "uvi", "agreed", 0},       {LOST, "oii", "disagreed", 1},
        {TWO, "ivi", "agreed", 0},        {TWO, "ivv", "disagreed", 1},
        {UNKNOWN, "vuv", "agreed", 0},    {UNKNOWN, "vvv", "disagreed", 1},
        {UNKNOWN, "uui", "disagreed", 1}, {NOTHING, "vvv", "valid", 0},
        {NOTHING, "vuv", "unknown", 2},   {NOTHING, "iuv", "invalid", 1},
        {VALID, "vhhv", "failed", 255},   {VALID, "vav", "failed", 254},
        {NOTHING, "ihhv", "failed", 255}, {LOST, "ihhi", "failed", 255},
        {VALID, "vx", "not run", 2},      {LOST, "ix", "not run", 2},
        {NOTHING, "ix", "invalid", 1},    {VALID, "ix", "disagreed", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf text = BUF_INIT;
        struct script script = {.letters = cases[i].letters};
        buf_printf(&text, "{" PLAN ", 'runs': 3, %s}", cases[i].expect);
        struct json *summary = play_anew(text.data, &script);
        if (strcmp(outcome_of(summary), cases[i].outcome) != 0 ||
            json_as_int(json_get(summary, "exit-status"), -1) != cases[i].status)
            fail_msg("%s with %s is '%s', status %d", cases[i].expect, cases[i].letters,
                     outcome_of(summary), (int)json_as_int(json_get(summary, "exit-status"), -1));
        json_free(summary);
        buf_free(&script.told);
        buf_free(&text);
    }
}

static void rates_and_first_seeds_are_told(void **state)
{
    (void)state;
    struct script script = {.letters = "viuvi"};
    struct json *summary = play_anew("{" PLAN ", 'seeds': [11, 12, 13, 14, 15]}", &script);
    const struct json *cell = json_first(json_get(summary, "cells"));
    assert_int_equal(count_of(summary, "valid-count"), 2);
    assert_int_equal(count_of(summary, "unknown-count"), 1);
    assert_int_equal(count_of(summary, "invalid-count"), 2);
    assert_true(json_as_real(json_get(cell, "not-valid-rate"), 0) == 0.6);
    const struct json *first = json_get(cell, "first-failed");
    assert_int_equal(json_as_int(json_get(first, "seed"), 0), 12);
    assert_string_equal(json_as_text(json_get(first, "checker"), ""), "delivery");
    assert_string_equal(json_as_text(json_get(first, "directory"), ""), "store/x");
    assert_null(json_get(cell, "first-shown"));
    json_free(summary);
    buf_free(&script.told);
    script = (struct script){.letters = "vib"};
    summary = play_anew("{" PLAN ", 'runs': 3, " LOSS "}", &script);
    cell = json_first(json_get(summary, "cells"));
    assert_int_equal(count_of(summary, "as-expected-count"), 2);
    assert_int_equal(json_as_int(json_get(json_get(cell, "first-shown"), "seed"), 0), 2);
    assert_int_equal(json_as_int(json_get(json_get(cell, "first-failed"), "seed"), 0), 1);
    json_free(summary);
    buf_free(&script.told);
}

/* ---- What is run ---- */

static void only_the_harness_is_tried_again_and_it_is_told(void **state)
{
    (void)state;
    struct script script = {.letters = "hviuhha"};
    struct json *summary = play_anew("{" PLAN ", 'runs': 5}", &script);
    assert_string_equal(script.asked, "1:1 1:1 1:2 1:3 1:4 1:4 1:5 ");
    assert_contains(script.told.data,
                    "the harness failed, so once more (1 of 1): n2: <the disk> is full");
    assert_int_equal(count_of(summary, "retry-count"), 2);
    assert_int_equal(count_of(summary, "failed-count"), 2);
    assert_int_equal(json_as_int(json_get(summary, "retry-count"), 0), 2);
    assert_int_equal(json_as_int(json_get(summary, "exit-status"), 0), EXIT_HARNESS_FAILED);
    json_free(summary);
    buf_free(&script.told);
    script = (struct script){.letters = "hhhv"};
    summary = play_anew("{" PLAN ", 'retries': 3}", &script);
    assert_int_equal(json_as_int(json_get(summary, "exit-status"), -1), 0);
    assert_int_equal(count_of(summary, "retry-count"), 3);
    json_free(summary);
    buf_free(&script.told);
    script = (struct script){.letters = "hv"};
    summary = play_anew("{" PLAN ", 'retries': 0}", &script);
    assert_string_equal(script.asked, "1:1 ");
    json_free(summary);
    buf_free(&script.told);
}

#define TWO_CELLS "{" PLAN ", 'runs': 3, 'cells': [{'name': 'b', 'plan': {'rate': 2}}]}"

static void what_is_done_is_not_done_again(void **state)
{
    (void)state;
    struct script script = {.letters = "vihhx"};
    struct json *summary = play_anew(TWO_CELLS, &script);
    assert_string_equal(script.asked, "1:1 1:2 1:3 1:3 b:1 ");
    assert_int_equal(json_as_int(json_get(json_get(summary, "outcomes"), "not run"), 0), 1);
    json_free(summary);
    buf_free(&script.told);
    /* Failed and interrupted runs are done; nothing else is. */
    script = (struct script){.letters = "vvv"};
    summary = play(TWO_CELLS, &script);
    assert_string_equal(script.asked, "1:3 b:1 b:2 b:3 ");
    assert_contains(script.told.data, "2 of them are done already");
    assert_int_equal(count_of(summary, "invalid-count"), 1);
    assert_int_equal(count_of(summary, "valid-count"), 2);
    json_free(summary);
    buf_free(&script.told);
    script = (struct script){.letters = ""};
    json_free(play(TWO_CELLS, &script));
    assert_string_equal(script.asked, "");
    buf_free(&script.told);
}

static void what_has_changed_is_done_again(void **state)
{
    (void)state;
    struct script script = {.letters = ""};
    json_free(play_anew(TWO_CELLS, &script));
    buf_free(&script.told);
    /* b has another plan, 1 one more run; what is expected may change without that. */
    script = (struct script){.letters = ""};
    struct json *summary = play("{" PLAN ", 'runs': 4, 'expect': {'verdict': 'unknown'},"
                                " 'cells': [{'name': 'b', 'plan': {'rate': 3}, 'runs': 1}]}",
                                &script);
    assert_string_equal(script.asked, "1:4 b:1 ");
    assert_string_equal(outcome_of(summary), "disagreed");
    json_free(summary);
    buf_free(&script.told);
    script = (struct script){.letters = ""};
    json_free(play("{" PLAN ", 'seeds': [1, 9]}", &script));
    assert_string_equal(script.asked, "1:9 ");
    buf_free(&script.told);
}

/* As after a kill in the middle of a write. */
static void a_line_that_was_cut_short_is_done_again(void **state)
{
    (void)state;
    struct script script = {.letters = ""};
    struct buf file = BUF_INIT;
    struct err err = ERR_INIT;
    json_free(play_anew("{" PLAN ", 'runs': 3}", &script));
    buf_free(&script.told);
    assert_ok(file_read("runs.jsonl", 1 << 20, &file, &err));
    assert_int_equal(truncate("runs.jsonl", (off_t)file.length - 9), 0);
    script = (struct script){.letters = ""};
    json_free(play("{" PLAN ", 'runs': 3}", &script));
    assert_string_equal(script.asked, "1:3 ");
    buf_free(&script.told);
    struct suite suite;
    struct suite_runs *runs;
    assert_ok(suite_of("{" PLAN ", 'runs': 3}", NULL, &suite, &err));
    assert_ok(suite_runs_open(&suite, ".", &runs, &err));
    for (uint32_t i = 0; i < 3; i++)
        assert_true(suite_run_is_done(suite_runs_get(runs, 0, i)));
    suite_runs_close(runs);
    assert_ok(file_write("runs.jsonl", "{}\nnonsense\n", 12, &err));
    assert_int_equal(suite_runs_open(&suite, ".", &runs, &err), ERR_PARSE);
    assert_contains(err.message, "runs.jsonl:2: not JSON");
    suite_free(&suite);
    buf_free(&file);
}

/* ---- The summary ---- */

static char *render(const struct json *summary, const char *name, size_t *length)
{
    char *text = NULL;
    struct err err = ERR_INIT;
    FILE *out = open_memstream(&text, length);
    assert_ok(reporter_find(name)->write_suite(summary, out, &err));
    fclose(out);
    return text;
}

static void summaries_are_well_formed_whatever_was_found(void **state)
{
    (void)state;
    struct script script = {.letters = "iv"
                                       "vv"
                                       "ov"
                                       "hhv"
                                       "ux"};
    struct json *summary = play_anew(
        "{" PLAN ", 'about': 'A < B & |C|', 'runs': 2, " LOSS ", 'cells': [\n"
        " {'name': 'none', " INVALID ", 'reference': {'text': 'J|x', 'url': 'https://a.b/<c>'}},\n"
        " {'name': 'other', " LOSS ", 'about': '<script>'}, {'name': 'broken'},\n"
        " {'name': 'unclear', 'expect': null}]}",
        &script);
    buf_free(&script.told);
    size_t length;
    char *junit = render(summary, "junit", &length);
    markup_assert(junit, length, MARKUP_XML);
    /* Of 10 runs, in order: two that do as their cell is to, five that do not, of which one is
     * beside one that failed; one that is unclear, and half a one. */
    assert_contains(junit, "tests=\"10\" failures=\"5\" errors=\"2\" skipped=\"1\"");
    assert_contains(junit, "<testcase classname=\"s\" name=\"1, seed 1\"");
    assert_contains(junit, "tried again, since the harness failed: n2: &lt;the disk&gt; is full");
    free(junit);
    char *html = render(summary, "html", &length);
    markup_assert(html, length, MARKUP_HTML);
    assert_contains(html, "&lt;script&gt;");
    assert_null(strstr(html, "<script>"));
    assert_null(strchr(html, '\x1b'));
    free(html);
    char *markdown = render(summary, "markdown", &length);
    assert_contains(markdown,
                    "| 1 | queue 1.0 | none (noop) | invalid: no-loss of delivery broken | "
                    "agreed: \\<b\\>it & broke\\</b\\> \\| \\`x\\` | 1/2 | 1 |  |");
    assert_contains(markdown, "| J\\|x |"); /* that address is no link in Markdown */
    free(markdown);
    char *text = render(summary, "text", &length);
    assert_contains(text, "Suite s: NOT as it should be");
    assert_contains(text, "5 cells: 1 agreed, 2 disagreed, 1 failed, 1 not run; 10 runs, tried "
                          "again 1 time because the harness failed; interrupted");
    free(text);
    char *json = render(summary, "json", &length);
    assert_contains(json, "\"exit-status\":\t255");
    free(json);
    json_free(summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_agree_or_not),
        cmocka_unit_test(rates_and_first_seeds_are_told),
        cmocka_unit_test(only_the_harness_is_tried_again_and_it_is_told),
        cmocka_unit_test(what_is_done_is_not_done_again),
        cmocka_unit_test(what_has_changed_is_done_again),
        cmocka_unit_test(a_line_that_was_cut_short_is_done_again),
        cmocka_unit_test(summaries_are_well_formed_whatever_was_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
