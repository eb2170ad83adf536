/* Histories written by hand: see made_history.h. */
#include "tests/lib/made_history.h"

#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/nemesis_file.h"
#include "tests/lib/test.h"

uint32_t made_event(struct history *history, int32_t process, enum op_type type, const char *f,
                    int64_t at_ms, const char *error, const char *detail)
{
    struct arena arena = ARENA_INIT;
    struct op op = {.type = type, .process = process, .f = history_f(history, f)};
    op.time_ns = at_ms < 0 ? -1 : at_ms * NS_PER_MS;
    if (error != NULL)
        op.error = value_pair(&arena, value_keyword(&arena, error), value_string(&arena, detail));
    enum err_code code = ERR_NONE;
    uint32_t index = history_append(history, &op, &code);
    assert_int_equal(code, ERR_NONE);
    arena_free(&arena);
    return index;
}

void made_operation(struct history *history, int32_t process, const char *f, int64_t from_ms,
                    enum op_type outcome, int64_t to_ms)
{
    made_event(history, process, OP_INVOKE, f, from_ms, NULL, NULL);
    made_event(history, process, outcome, f, to_ms, NULL, NULL);
}

void made_fault(struct history *history, const char *f, int64_t at_ms, const char *error,
                const char *detail)
{
    made_event(history, PROCESS_NEMESIS, OP_INFO, f, at_ms, NULL, NULL);
    made_event(history, PROCESS_NEMESIS, OP_INFO, f, at_ms < 0 ? -1 : at_ms + 1, error, detail);
}

static const char *run_directory; /* of made_check_stored */

struct made_result made_check_stored(const struct checker *checker, struct history *history,
                                     const char *plan, const char *directory)
{
    run_directory = directory;
    struct made_result result = made_check(checker, history, plan, NULL);
    run_directory = NULL;
    return result;
}

struct made_result made_check(const struct checker *checker, struct history *history,
                              const char *plan, const char *set)
{
    struct err err = ERR_INIT;
    struct json *parsed = NULL;
    assert_ok(history_pair(history, &err));
    if (plan != NULL)
        assert_ok(json_parse(plan, strlen(plan), "plan.json", &parsed, &err));
    struct check_input input = {.history = history, .limits = {.threads = 1}, .plan = parsed};
    input.run_directory = run_directory;
    nemesis_declare(parsed);
    input.options.values = json_object();
    if (set != NULL) {
        char name[64];
        const char *equals = strchr(set, '=');
        snprintf(name, sizeof name, "%.*s", (int)(equals - set), set);
        json_set_text(input.options.values, name, equals + 1);
    }
    option_defaults(&input.options, checker->name, checker->options);
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker->check(&input, &result);
    assert_true(result.reason.length > 0);
    struct made_result made = {result.verdict, "", result.details, result.anomalies};
    snprintf(made.reason, sizeof made.reason, "%s", result.reason.data);
    buf_free(&result.reason);
    json_free(input.options.values);
    json_free(parsed);
    return made;
}

void made_result_free(struct made_result *result)
{
    json_free(result->details);
    json_free(result->anomalies);
}
