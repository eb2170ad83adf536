/* Suites: matrices, seeds, parts, what the command line replaces, and refusals with their place. */
#include <stdio.h>
#include <string.h>

#include "harness/base/json.h"
#include "tests/lib/suite_helpers.h"
#include "tests/lib/test.h"

#define NOOP "'plan': {'system': 'noop', 'workload': 'noop', 'rate': 5}"

static const char *plan_field_of(const struct suite *suite, size_t cell, const char *field)
{
    return json_as_text(json_get(suite->cells[cell].plan, field), "");
}

static void a_matrix_is_every_combination(void **state)
{
    (void)state;
    struct suite suite;
    struct err err = ERR_INIT;
    assert_ok(suite_of("{'name': 's', " NOOP ", 'matrix': {\n"
                       "  'nemesis': ['none', 'partition,kill'],\n"
                       "  'load': {'light': {'rate': 7}, 'heavy': {'rate': 9, 'local': 3}},\n"
                       "  'concurrency': [1, '2n']}}",
                       NULL, &suite, &err));
    static const char *const names[] = {
        "none-light-1",           "none-light-2n",           "none-heavy-1",
        "none-heavy-2n",          "partition,kill-light-1",  "partition,kill-light-2n",
        "partition,kill-heavy-1", "partition,kill-heavy-2n",
    };
    assert_int_equal(suite.cell_count, 8);
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(suite.cells[i].name, names[i]);
    assert_string_equal(plan_field_of(&suite, 5, "nemesis"), "partition,kill");
    assert_string_equal(plan_field_of(&suite, 5, "rate"), "7");
    assert_string_equal(plan_field_of(&suite, 5, "concurrency"), "2n");
    assert_string_equal(plan_field_of(&suite, 5, "name"), "s-partition,kill-light-2n");
    assert_string_equal(plan_field_of(&suite, 7, "rate"), "9");
    assert_string_equal(plan_field_of(&suite, 7, "local"), "3");
    assert_string_equal(plan_field_of(&suite, 5, "local"), ""); /* no more than was said */
    assert_string_equal(plan_field_of(&suite, 5, "seed"), "");
    suite_free(&suite);
}

static void what_is_excluded_is_no_cell(void **state)
{
    (void)state;
    struct suite suite;
    struct err err = ERR_INIT;
    assert_ok(suite_of("{" NOOP ", 'matrix': {'nemesis': ['none', 'pause'], 'rate': [1, 2]},"
                       " 'exclude': [{'nemesis': 'none', 'rate': 1}, {'rate': '2'}]}",
                       NULL, &suite, &err));
    assert_int_equal(suite.cell_count, 1);
    assert_string_equal(suite.cells[0].name, "pause-1");
    assert_string_equal(suite.name, "suite"); /* the file's */
    suite_free(&suite);
}

static void cells_have_the_suites_plan_and_their_own(void **state)
{
    (void)state;
    struct suite suite;
    struct err err = ERR_INIT;
    assert_ok(suite_of("{'name': 's', 'plan': {'system': 'etcd', 'local': 5,\n"
                       "  'set': {'etcd.reads': 'linearizable', 'etcd.election-ms': 900}},\n"
                       " 'runs': 3, 'expect': {'verdict': 'valid'}, 'reference': 'all',\n"
                       " 'matrix': {'rate': [1, 2]},\n"
                       " 'cells': [\n"
                       "  {'name': 'stale', 'plan': {'nodes': 'a,b,c', 'nemesis': 'none',\n"
                       "    'set': {'etcd.reads': 'serializable'}}, 'runs': 2,\n"
                       "   'expect': {'verdict': 'invalid', 'checker': 'linearizable',"
                       " 'anomaly': 'x', 'at-least': 2},\n"
                       "   'reference': {'text': 'them', 'url': 'https://example.org/'}},\n"
                       "  {'name': 'open', 'expect': null, 'reference': null, 'seeds': [9, 4]},\n"
                       "  {'matrix': {'set': [{'etcd.reads': 'serializable'}, {}]}}]}",
                       NULL, &suite, &err));
    assert_int_equal(suite.cell_count, 6);
    assert_string_equal(suite.cells[0].name, "1");
    const struct suite_cell *stale = &suite.cells[2], *open = &suite.cells[3];
    assert_string_equal(stale->name, "stale");
    assert_string_equal(stale->where, "suite.json:6");
    assert_string_equal(plan_field_of(&suite, 2, "local"), ""); /* nodes take its place */
    const struct json *set = json_get(stale->plan, "set");
    assert_string_equal(json_as_text(json_get(set, "etcd.reads"), ""), "serializable");
    assert_string_equal(json_as_text(json_get(set, "etcd.election-ms"), ""), "900");
    assert_int_equal(stale->run_count, 2);
    assert_int_equal(stale->expect.verdict, VERDICT_INVALID);
    assert_string_equal(stale->expect.checker, "linearizable");
    assert_string_equal(stale->expect.anomaly, "x");
    assert_int_equal(stale->expect.at_least, 2);
    assert_string_equal(stale->reference_url, "https://example.org/");
    assert_false(open->expect.given);
    assert_null(open->reference_text);
    assert_int_equal(open->run_count, 2);
    assert_int_equal(open->seeds[0], 9);
    assert_int_equal(open->seeds[1], 4);
    assert_string_equal(suite.cells[4].name, "reads=serializable");
    assert_string_equal(suite.cells[5].name, "default");
    assert_true(suite.cells[5].expect.given);
    assert_int_equal(suite.cells[5].run_count, 3);
    assert_int_equal(suite.cells[5].seeds[2], 3);
    assert_string_equal(suite.cells[5].reference_text, "all");
    suite_free(&suite);
}

static void seeds_may_be_fresh(void **state)
{
    (void)state;
    struct suite suite;
    struct err err = ERR_INIT;
    assert_ok(suite_of("{" NOOP ", 'runs': 2, 'first-seed': 'fresh'}", NULL, &suite, &err));
    assert_string_equal(suite.cells[0].name, "noop-noop");
    assert_int_equal(suite.cells[0].seeds[0], 77);
    assert_int_equal(suite.cells[0].seeds[1], 78);
    suite_free(&suite);
    assert_ok(suite_of("{" NOOP ", 'runs': 2, 'first-seed': 50}", NULL, &suite, &err));
    assert_int_equal(suite.cells[0].seeds[1], 51);
    suite_free(&suite);
}

static const char many[] = "{" NOOP ", 'matrix': {'rate': [1, 2, 3, 4, 5, 6, 7]},"
                           " 'cells': [{'name': 'x', 'matrix': {'rate': [1, 2, 3, 4]}}]}";

/* However many parts: each cell is in exactly one. */
static void parts_have_every_cell_once(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct suite all;
    assert_ok(suite_of(many, NULL, &all, &err));
    assert_int_equal(all.cell_count, 11);
    for (uint32_t parts = 1; parts <= 11; parts++) {
        unsigned seen[11] = {0};
        for (uint32_t part = 1; part <= parts; part++) {
            struct suite_options options = {.shard = part, .shard_count = parts};
            struct suite suite;
            assert_ok(suite_of(many, &options, &suite, &err));
            assert_in_range(suite.cell_count, 11 / parts, 11 / parts + 1);
            for (size_t i = 0; i < suite.cell_count; i++)
                for (size_t j = 0; j < 11; j++)
                    seen[j] += strcmp(suite.cells[i].name, all.cells[j].name) == 0;
            suite_free(&suite);
        }
        for (size_t j = 0; j < 11; j++)
            assert_int_equal(seen[j], 1);
    }
    suite_free(&all);
}

static void parts_and_patterns_that_leave_nothing_are_refused(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct suite suite;
    struct suite_options options = {.shard = 12, .shard_count = 12};
    assert_int_equal(suite_of(many, &options, &suite, &err), ERR_CONFIG);
    assert_contains(err.message, "--shard 12/12: there are only 11 cells");
    suite_free(&suite);
    options = (struct suite_options){.cells = "y-*"};
    assert_int_equal(suite_of(many, &options, &suite, &err), ERR_CONFIG);
    assert_contains(err.message, "--cell: no cell is called like 'y-*'; there are 1, 2,");
    suite_free(&suite);
    options = (struct suite_options){.cells = "x-[34]", .shard = 2, .shard_count = 2};
    assert_ok(suite_of(many, &options, &suite, &err));
    assert_int_equal(suite.cell_count, 1);
    assert_string_equal(suite.cells[0].name, "x-4");
    suite_free(&suite);
    static const char *const bad[] = {"", "2", "0/3", "4/3", "1/2x", "-1/2", "a/b", "1/20000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(suite_parse_shard(bad[i], &options, &err), ERR_CONFIG);
        assert_contains(err.message, "--shard");
    }
    assert_ok(suite_parse_shard("2/5", &options, &err));
    assert_int_equal(options.shard, 2);
    assert_int_equal(options.shard_count, 5);
}

static void flags_replace_what_plans_say(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct suite suite;
    struct suite_override flags[] = {
        {"nodes", "a,b", "--nodes"}, {"rate", "11", "--rate"}, {"seed", "42", "--seed"}};
    struct suite_options options = {.overrides = flags, .override_count = 3};
    assert_ok(suite_of("{'plan': {'system': 'noop', 'workload': 'noop', 'local': 3}, 'runs': 5,"
                       " 'cells': [{'name': 'a', 'plan': {'rate': 3}}, {'name': 'b'}]}",
                       &options, &suite, &err));
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(plan_field_of(&suite, i, "rate"), "11");
        assert_string_equal(plan_field_of(&suite, i, "nodes"), "a,b");
        assert_string_equal(plan_field_of(&suite, i, "local"), "");
        assert_string_equal(plan_field_of(&suite, i, "seed"), "");
        assert_int_equal(suite.cells[i].run_count, 1);
        assert_int_equal(suite.cells[i].seeds[0], 42);
    }
    uint32_t digest = suite.cells[0].digest;
    suite_free(&suite);
    flags[1].value = "12";
    assert_ok(suite_of("{'plan': {'system': 'noop', 'workload': 'noop', 'local': 3}, 'runs': 5,"
                       " 'cells': [{'name': 'a', 'plan': {'rate': 3}}, {'name': 'b'}]}",
                       &options, &suite, &err));
    assert_int_not_equal(suite.cells[0].digest, digest); /* another plan: done anew */
    suite_free(&suite);
    flags[1] = (struct suite_override){"name", "mine", "--name"};
    assert_int_equal(suite_of("{" NOOP "}", &options, &suite, &err), ERR_CONFIG);
    assert_contains(err.message, "--name: a suite names its runs itself");
    suite_free(&suite);
}

static void refusals_tell_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"[]", "suite.json:1: a suite is a JSON object"},
        {"{'runs': 3,\n'run': 2}",
         "suite.json:2: a suite has no member 'run'; did you mean 'runs'"},
        {"{'runs' 3}", "suite.json:1:9: not JSON"},
        {"{'name': 'a b'}", "suite.json:1: name: 'a b' cannot name a directory"},
        {"{'name': '../x'}", "suite.json:1: name: '../x' cannot name"},
        {"{'name': 4}", "suite.json:1: name must be a text"},
        {"{'plan': []}", "suite.json:1: plan must be an object"},
        {"{'plan': {\n'system': 'noop',\n'rate': 'fast'}}", "suite.json:3: rate"},
        {"{'plan': {\n'systm': 'noop'}}",
         "suite.json:2: a plan has no field 'systm'; did you mean"},
        {"{'plan': {'seed': 4}}", "suite.json:1: seed: a suite has seeds"},
        {"{'plan': {'name': 'x'}}", "suite.json:1: name: the name of the cell"},
        {"{'plan': {'store': 'x'}}", "suite.json:1: store: one store"},
        {"{'plan': {'system': 'queue', 'workload': 'register'}}",
         "suite.json:1: the system queue has no client"},
        {"{'cells': [{'plan': {'system': 'noop'}},\n{'name': 'b', 'plan': {'system': 'queue'}}]}",
         "suite.json:2: cell b: the system queue has no client"},
        {"{'plan': {'system': 'ectd'}}", "did you mean 'etcd'"},
        {"{'runs': 0}", "suite.json:1: runs must be a whole number from 1 to 1000"},
        {"{'runs': 1.5}", "runs must be a whole number"},
        {"{'runs': '3'}", "runs must be a whole number"},
        {"{'runs': 1001}", "runs must be a whole number"},
        {"{'seeds': [1], 'runs': 2}", "seeds names every run"},
        {"{'seeds': []}", "seeds must be a list"},
        {"{'seeds': [1,\n2,\n1]}", "suite.json:3: seeds: 1 is there twice"},
        {"{'seeds': [-1]}", "seeds: each must be a whole number"},
        {"{'first-seed': 'new'}", "first-seed must be a whole number, or \"fresh\""},
        {"{'retries': 11}", "retries must be a whole number from 0 to 10"},
        {"{'matrix': []}", "matrix must be an object"},
        {"{'matrix': {\n'rate': 4}}", "suite.json:2: matrix: rate must be a list"},
        {"{'matrix': {'rate': []}}", "matrix: rate must be a list of values"},
        {"{'matrix': {'rat': [1]}}", "matrix: a plan has no field 'rat'"},
        {"{'matrix': {'rate': [{}]}}", "matrix: rate: its values must be texts"},
        {"{'matrix': {'rate': [1,\n'x']}}", "suite.json:2: rate: "},
        {"{'matrix': {'load': {'a': 4}}}", "matrix: load: a must be an object"},
        {"{'matrix': {'load': {'a': {'rte': 4}}}}", "a plan has no field 'rte'"},
        {"{'matrix': {'seed': [4]}}", "seed: a suite has seeds"},
        {"{'matrix': {'set': ['etcd.reads']}}", "is not OWNER.OPTION=VALUE"},
        {"{'matrix': {'rate': [1]}, 'exclude': {}}", "exclude must be a list"},
        {"{'matrix': {'rate': [1]}, 'exclude': [{}]}", "exclude: each must be an object"},
        {"{'matrix': {'rate': [1]}, 'exclude': [{'load': 1}]}", "the matrix has no axis 'load'"},
        {"{'matrix': {'rate': [1]}, 'exclude': [{'rate': 2}]}", "axis rate has no '2'"},
        {"{'matrix': {'rate': [1]}, 'exclude': [{'rate': 1}]}", "exclude leaves no cell"},
        {"{'cells': []}", "cells must be a list"},
        {"{'cells': [4]}", "a cell must be an object"},
        {"{'cells': [{'name': 'a'},\n{'names': 'b'}]}",
         "suite.json:2: a cell has no member 'names'"},
        {"{'cells': [{'name': 'a'},\n{'name': 'a'}]}",
         "suite.json:2: another cell, at suite.json:1, is called 'a'"},
        {"{'cells': [{'retries': 1}]}", "a cell has no member 'retries'"},
        {"{'expect': 'valid'}", "expect must be an object"},
        {"{'expect': {}}", "expect: verdict must be"},
        {"{'expect': {'verdict': 'good'}}", "expect: verdict must be valid, unknown or invalid"},
        {"{'expect': {'verdict': 'valid', 'anomaly': 'x'}}", "found by an invalid run only"},
        {"{'expect': {'verdict': 'valid', 'at-least': 1}}", "must hold in every run"},
        {"{'expect': {'verdict': 'invalid', 'at-least': 2}}",
         "at-least must be a whole number from "
         "1 to 1"},
        {"{'expect': {'verdict': 'invalid', 'promise': 'no-loss'}}", "a promise needs the checker"},
        {"{" NOOP ",\n'expect': {'verdict': 'invalid',\n'checker': 'bank'}}",
         "suite.json:3: expect: the checker bank is not among those of the cell noop-noop: stats"},
        {"{'expect': {'verdict': 'invalid', 'checkers': 'bank'}}", "did you mean 'checker'"},
        {"{'reference': 4}", "reference must be a text"},
        {"{'reference': {'url': 'javascript:alert(1)'}}", "url must begin with https://"},
        {"{" NOOP ", 'matrix': {'name': ['a']}}", "name: the name of the cell"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct suite suite;
        struct err err = ERR_INIT;
        if (suite_of(cases[i].text, NULL, &suite, &err) != ERR_CONFIG)
            fail_msg("not refused: %s (%s)", cases[i].text, err.message);
        assert_contains(err.message, cases[i].message);
        suite_free(&suite);
    }
    struct suite suite;
    struct err err = ERR_INIT;
    struct suite_options options = {.fresh_seed = 1};
    assert_int_equal(suite_read("absent.json", &options, &suite, &err), ERR_CONFIG);
    assert_contains(err.message, "absent.json");
    suite_free(&suite);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_matrix_is_every_combination),
        cmocka_unit_test(what_is_excluded_is_no_cell),
        cmocka_unit_test(cells_have_the_suites_plan_and_their_own),
        cmocka_unit_test(seeds_may_be_fresh),
        cmocka_unit_test(parts_have_every_cell_once),
        cmocka_unit_test(parts_and_patterns_that_leave_nothing_are_refused),
        cmocka_unit_test(flags_replace_what_plans_say),
        cmocka_unit_test(refusals_tell_file_and_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
