/* Running and composing checkers: see checker.h. */
#include "harness/checker.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/nemesis_file.h"

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"valid", "unknown", "invalid"};
    return names[verdict];
}

struct json *verdict_json(enum verdict verdict)
{
    if (verdict == VERDICT_UNKNOWN)
        return json_text("unknown");
    return json_bool(verdict == VERDICT_VALID);
}

enum verdict verdict_from_json(const struct json *valid)
{
    if (json_kind(valid) != JSON_BOOL)
        return VERDICT_UNKNOWN;
    return json_as_bool(valid, false) ? VERDICT_VALID : VERDICT_INVALID;
}

void verdict_tally_add(struct verdict_tally *tally, enum verdict verdict)
{
    *(verdict == VERDICT_VALID     ? &tally->valid
      : verdict == VERDICT_INVALID ? &tally->invalid
                                   : &tally->unknown) += 1;
}

double verdict_tally_rate(const struct verdict_tally *tally)
{
    size_t judged = tally->valid + tally->invalid + tally->unknown;
    return judged == 0 ? -1 : (double)(judged - tally->valid) / (double)judged;
}

const char *verdict_reason(const struct json *results, enum verdict verdict)
{
    const struct json *judged = json_get(results, "checkers");
    for (const struct json *one = json_first(judged); one != NULL; one = json_next(one))
        if (verdict_from_json(json_get(one, "valid")) == verdict)
            return json_as_text(json_get(one, "reason"), "");
    return "";
}

enum keyed keyed_of(const char *text)
{
    if (strcmp(text, "yes") == 0)
        return KEYED_YES;
    return strcmp(text, "no") == 0 ? KEYED_NO : KEYED_GUESS;
}

const struct checker *checker_find(const char *name)
{
    for (const struct checker *const *checker = checkers; *checker != NULL; checker++)
        if (strcmp((*checker)->name, name) == 0)
            return *checker;
    return NULL;
}

void check_verdict(struct check_result *result, enum verdict verdict, const char *format, ...)
{
    if (verdict < result->verdict || (verdict == result->verdict && result->reason.length > 0))
        return;
    result->verdict = verdict;
    buf_clear(&result->reason);
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&result->reason, format, arguments);
    va_end(arguments);
}

struct json *check_anomaly(struct check_result *result, const char *kind, const char *title,
                           const char *text, const uint32_t *events, size_t event_count)
{
    struct json *anomaly = json_add(result->anomalies, json_object());
    json_set_text(anomaly, "kind", kind);
    json_set_text(anomaly, "title", title);
    json_set_text(anomaly, "text", text);
    struct json *list = json_set(anomaly, "events", json_array());
    for (size_t i = 0; i < event_count; i++)
        json_add(list, json_int(events[i]));
    return anomaly;
}

static struct json *run_checker(const struct checker *checker, const struct check_input *input,
                                enum verdict *verdict)
{
    struct check_result result = {.verdict = VERDICT_VALID,
                                  .reason = BUF_INIT,
                                  .details = json_object(),
                                  .anomalies = json_array()};
    int64_t began_ns = clock_monotonic_ns();
    if (input->history->unordered && !checker->sessions_suffice)
        check_verdict(&result, VERDICT_UNKNOWN,
                      "the history came in a format without times: only the order within each "
                      "process is known, and %s needs more",
                      checker->name);
    else
        checker->check(input, &result);
    assert(result.reason.length > 0);
    struct json *object = json_object();
    json_set(object, "valid", verdict_json(result.verdict));
    json_set_text(object, "reason", buf_text(&result.reason));
    json_set(object, "anomalies", result.anomalies);
    for (const struct json *child = json_first(result.details); child != NULL;
         child = json_next(child))
        json_set(object, json_key(child), json_copy(child));
    json_set_real(object, "seconds", (double)(clock_monotonic_ns() - began_ns) / 1e9);
    json_free(result.details);
    buf_free(&result.reason);
    *verdict = result.verdict;
    return object;
}

struct json *check_all(const char *const *names, size_t count, const struct check_input *input,
                       enum verdict *verdict)
{
    struct json *results = json_object(), *valid = json_set(results, "valid", json_null());
    struct json *by_name = json_set(results, "checkers", json_object());
    (void)valid;
    nemesis_declare(input->plan);
    *verdict = count == 0 ? VERDICT_UNKNOWN : VERDICT_VALID;
    for (size_t i = 0; i < count; i++) {
        const struct checker *checker = checker_find(names[i]);
        assert(checker != NULL); /* names are resolved at start-up */
        enum verdict one;
        json_set(by_name, names[i], run_checker(checker, input, &one));
        *verdict = verdict_worse(*verdict, one);
    }
    json_set(results, "valid", verdict_json(*verdict));
    return results;
}
