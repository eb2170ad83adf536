/* report.html. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reports/latency.h"
#include "tests/lib/markup_check.h"
#include "tests/lib/sample_run.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

enum { SLOWER = SANITIZED ? 15 : 1 };

static char *render(enum sample_kind kind)
{
    struct sample_run sample;
    size_t length;
    sample_run_make(kind, &sample);
    char *page = sample_render(&sample.run, "html", &length);
    sample_run_free(&sample);
    assert_int_equal(strlen(page), length);
    return page;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

static void test_well_formed(void **state)
{
    for (enum sample_kind kind = SAMPLE_VALID; kind <= SAMPLE_HOSTILE; kind++) {
        char *page = render(kind);
        markup_assert(page, strlen(page), MARKUP_HTML);
        free(page);
    }
    (void)state;
}

/* The page loads nothing and runs its own script alone, and its head says so. */
static void test_self_contained(void **state)
{
    for (enum sample_kind kind = SAMPLE_VALID; kind <= SAMPLE_HOSTILE; kind++) {
        char *page = render(kind);
        assert_contains(page, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
                              "'none'; style-src 'sha256-");
        assert_contains(page, "; script-src 'sha256-");
        assert_int_equal(count_of(page, "<script"), kind == SAMPLE_EMPTY ? 1 : 2);
        assert_null(strstr(page, "<img"));
        assert_null(strstr(page, "<link"));
        assert_null(strstr(page, "http:"));
        assert_null(strstr(page, "https:"));
        assert_null(strstr(page, " src="));
        assert_null(strstr(page, "javascript:"));
        free(page);
    }
    (void)state;
}

/* Sections in order, each with its heading. */
static void test_structure(void **state)
{
    static const char *const sections[] = {
        "verdict", "anomalies", "glance",       "timeline", "throughput", "latency", "operations",
        "errors",  "faults",    "availability", "crashes",  "problems",   "plan"};
    for (enum sample_kind kind = SAMPLE_VALID; kind <= SAMPLE_HOSTILE; kind++) {
        char *page = render(kind), *at = page;
        for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
            char mark[80];
            snprintf(mark, sizeof mark, "<section id=\"%s\" aria-labelledby=\"%s-title\">",
                     sections[i], sections[i]);
            at = strstr(at, mark);
            assert_non_null(at);
        }
        assert_int_equal(count_of(page, "<h1>"), 1);
        assert_int_equal(count_of(page, "<table>"), count_of(page, "<caption>"));
        assert_contains(page, "<a class=\"skip\" href=\"#content\">");
        assert_contains(page, "<html lang=\"en\">");
        free(page);
    }
    (void)state;
}

static void test_valid(void **state)
{
    char *page = render(SAMPLE_VALID);
    assert_contains(page,
                    "<h1><span class=\"word\">Valid:</span> all 3 checkers are satisfied</h1>");
    assert_contains(page,
                    "<code>ordeal run store/etcd-register/20261121T083015.123Z/plan.json</code>");
    assert_contains(page, "<dt>Began</dt><dd>2026-11-21 08:30:15 UTC</dd>");
    assert_contains(page, "<a href=\"results.json\">");
    assert_contains(page, "None was found.");
    assert_contains(page, "20 paths probed: 12 cut, 8 open");
    assert_contains(page, "clock: no clock to turn on n3");
    assert_contains(page, "1 death was asked for");
    assert_contains(page, "&quot;linearizable.model&quot;:");
    free(page);
    (void)state;
}

static void test_anomaly(void **state)
{
    char *page = render(SAMPLE_INVALID);
    assert_contains(page, "<h1><span class=\"word\">Invalid:</span> 1 of 8 keys is not "
                          "linearizable; crashes is invalid as well</h1>");
    assert_contains(page, "1. stale read of 41 <span class=\"of\">(linearizable, key 3)</span>");
    assert_contains(page, "The read of 41 by process 23 (invoked at 20.400000 s, returned");
    assert_contains(page,
                    "<tr class=\"culprit\"><th scope=\"row\">process 23</th><td>read</td>"
                    "<td><code>[3 41]</code></td><td>ok</td><td class=\"n\">20.400000 s</td>"
                    "<td class=\"n\">20.400900 s</td><td class=\"last\">does not fit</td></tr>");
    assert_contains(page, "<svg class=\"spacetime\"");
    assert_contains(page, ">! read [3 41]</text>");
    assert_contains(page, ">write [3 44] (info)</text>"); /* never came back */
    assert_contains(page, ">fault 1: partition</text>");  /* in force when 42 was written */
    /* the daemon's death is drawn and listed */
    assert_contains(page, "class=\"point\"");
    assert_contains(page, "<td>n4</td><td>etcd</td>");
    free(page);
    (void)state;
}

static void read_into(const struct json *anomaly, const char *key, const char *text)
{
    struct json *json;
    struct err err = ERR_INIT;
    assert_ok(json_parse(text, strlen(text), key, &json, &err));
    json_set((struct json *)(uintptr_t)anomaly, key, json);
}

static const struct json *first_anomaly(const struct sample_run *sample, const char *checker)
{
    const struct json *judged = json_get(json_get(sample->run.results, "checkers"), checker);
    return json_first(json_get(judged, "anomalies"));
}

/* Why an anomaly is one: the longest order and what could have been read, drawn over its
 * operations; the arrows of a cycle; the way of a message. */
static void test_why(void **state)
{
    struct sample_run sample;
    size_t length;
    char text[200];
    sample_run_make(SAMPLE_INVALID, &sample);
    const struct json *anomaly = first_anomaly(&sample, "linearizable");
    const struct json *events = json_get(anomaly, "events");
    int64_t first = json_as_int(json_at(events, 1), -1),
            second = json_as_int(json_at(events, 3), -1);
    char *page = sample_render(&sample.run, "html", &length); /* nothing is told, nothing drawn */
    assert_null(strstr(page, "class=\"order\""));
    assert_null(strstr(page, "class=\"why\""));
    assert_null(strstr(page, "class=\"life\""));
    free(page);

    snprintf(text, sizeof text, "[9999999, %lld, \"x\", %lld]", (long long)first,
             (long long)second);
    read_into(anomaly, "partial", text);
    read_into(anomaly, "possible-values", "[\"42\", \"<44>\", 7]");
    read_into(anomaly, "partial-count", "12");
    read_into(anomaly, "partial-ends-with", "\"the value is 42\"");
    page = sample_render(&sample.run, "html", &length);
    markup_assert(page, length, MARKUP_HTML);
    assert_int_equal(count_of(page, "<circle class=\"order\""), 2);
    assert_contains(page, ">could find: 42 or &lt;44&gt; or ?</text>");
    assert_contains(page, "found (of 12 operations), each at a moment");
    assert_contains(page, "; behind them all, the value is 42.");
    free(page);

    snprintf(text, sizeof text,
             "[{\"name\": \"T1\", \"invoked\": %lld}, {\"name\": \"<T2>\", \"invoked\": %lld}, 7]",
             (long long)first, (long long)second);
    read_into(anomaly, "transactions", text);
    read_into(anomaly, "steps",
              "[{\"type\": \"rw\", \"from\": \"T1\", \"to\": \"<T2>\", \"key\": \"<44>\"}, "
              "{\"type\": \"realtime\", \"from\": \"<T2>\", \"to\": \"T1\"}, "
              "{\"from\": \"T1\", \"to\": \"T9\"}, {\"from\": \"T1\", \"to\": \"T1\"}, []]");
    page = sample_render(&sample.run, "html", &length);
    markup_assert(page, length, MARKUP_HTML);
    assert_int_equal(count_of(page, "<path class=\"why\" marker-end=\"url(#why-1)\""), 2);
    assert_contains(page, ">rw &lt;44&gt;</text>");
    assert_contains(page, ">realtime</text>");
    assert_contains(page, ">T1: write [3 41]</text>");
    assert_contains(page, "An arrow leads from a transaction to one");
    free(page);

    struct json *checkers = json_get(sample.results, "checkers");
    json_set(checkers, "delivery", json_copy(json_get(checkers, "linearizable")));
    page = sample_render(&sample.run, "html", &length);
    markup_assert(page, length, MARKUP_HTML);
    assert_int_equal(count_of(page, "<path class=\"life\""), 1);
    assert_contains(page, "follows the message");
    free(page);
    sample_run_free(&sample);
    (void)state;
}

static void test_availability(void **state)
{
    char *page = render(SAMPLE_VALID);
    assert_contains(page, "<span>read: 720 ok of 902</span> <span class=\"quiet\">72/s, usually "
                          "210/s</span>");
    assert_contains(page, "<td class=\"warn\">cas</td>");
    assert_contains(page, "<td class=\"n\">1.2 s</td></tr>");
    const char *chart = strstr(page, "id=\"recovery-chart\"");
    assert_non_null(chart);
    assert_contains(chart, ">1 partition"); /* 720 + 431 of 902 + 540 */
    assert_contains(chart, ">80 %</text>");
    assert_contains(chart, ">1.2 s</text>");
    assert_contains(chart, ">2 kill");
    assert_contains(chart, ">58 %</text>"); /* 425 of 530 + 201 */
    assert_contains(chart, ">not seen</text>");
    free(page);
    (void)state;
}

static void test_unknown(void **state)
{
    char *page = render(SAMPLE_UNKNOWN);
    assert_contains(page, "<span class=\"word\">Unknown:</span> the budget of 60 s was reached");
    assert_contains(page, "The harness itself had 2 problems");
    assert_contains(page, "<li>n4: the control connection was lost: connection reset by peer</li>");
    assert_contains(page, "<span class=\"warn\">not undone</span>");
    free(page);
    (void)state;
}

static void test_bare(void **state)
{
    char *page = render(SAMPLE_BARE);
    assert_contains(page, "The history has no times");
    assert_contains(page, "event 0"); /* the diagram goes by the order of events */
    assert_contains(page, "There is none: a history was judged on its own.");
    assert_contains(page, "whether a fault took effect is not known");
    assert_null(strstr(page, "nan"));
    free(page);
    (void)state;
}

static void test_hostile(void **state)
{
    char *page = render(SAMPLE_HOSTILE);
    assert_contains(page, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;");
    assert_contains(page, "\\x1b[31m");
    assert_contains(page, "\\xff");
    assert_contains(page, "\\u202e");
    assert_null(strstr(page, "\xe2\x80\xae"));
    free(page);
    (void)state;
}

static void test_missing(void **state)
{
    struct sample_run sample;
    size_t length;
    sample_run_make(SAMPLE_INVALID, &sample);
    struct run run = {.history = &sample.history};
    for (int parts = 0; parts < 16; parts++) {
        run.results = parts & 1 ? sample.results : NULL;
        run.plan = parts & 2 ? sample.plan : NULL;
        run.schedule = parts & 4 ? sample.schedule : NULL;
        run.directory = parts & 8 ? "store/x" : NULL;
        char *page = sample_render(&run, "html", &length);
        markup_assert(page, length, MARKUP_HTML);
        free(page);
    }
    sample_run_free(&sample);
    (void)state;
}

static void assert_renders(const struct run *run)
{
    static const char *const names[] = {"html", "junit", "text"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t length;
        char *text = sample_render(run, names[i], &length);
        if (i < 2)
            markup_assert(text, length, i == 0 ? MARKUP_HTML : MARKUP_XML);
        free(text);
    }
}

/* Puts something of another kind in the place of each part in turn, and the part back. */
static size_t twist(const struct run *run, struct json *object)
{
    static const char *const odd[] = {"null", "[]", "{}", "-1e300", "[[[1]]]", "{\"a\":{\"b\":3}}"};
    size_t twisted = 0;
    for (struct json *child = json_first(object); child != NULL; child = json_next(child)) {
        char key[256];
        if (json_kind(child) == JSON_OBJECT || json_kind(child) == JSON_ARRAY)
            twisted += twist(run, child);
        if (json_kind(object) != JSON_OBJECT)
            continue;
        snprintf(key, sizeof key, "%s", json_key(child));
        for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
            struct json *kept = json_copy(json_get(object, key)), *other = NULL;
            struct err err = ERR_INIT;
            assert_ok(json_parse(odd[i], strlen(odd[i]), "odd", &other, &err));
            json_set(object, key, other);
            assert_renders(run);
            child = json_set(object, key, kept);
            twisted++;
        }
    }
    return twisted;
}

/* Results that are not what docs/results.md says do no harm. */
static void test_odd_shapes(void **state)
{
    struct sample_run sample;
    sample_run_make(SAMPLE_HOSTILE, &sample);
    assert_true(twist(&sample.run, sample.results) > 200);
    assert_true(twist(&sample.run, sample.schedule) > 0);
    sample_run_free(&sample);
    (void)state;
}

static void test_same_bytes(void **state)
{
    for (enum sample_kind kind = SAMPLE_VALID; kind <= SAMPLE_HOSTILE; kind++) {
        char *one = render(kind), *two = render(kind);
        assert_string_equal(one, two);
        free(one);
        free(two);
    }
    (void)state;
}

/* A million operations: a page that a browser opens at once, made in the blink of an eye. By
 * processor time, since the machine may be busy. */
static void test_large(void **state)
{
    struct sample_run sample;
    size_t length;
    sample_run_make_large(1000000, &sample);
    assert_true(sample.history.count >= 2000000);
    clock_t began = clock();
    char *page = sample_render(&sample.run, "html", &length);
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    print_message("# 1 000 000 operations: %zu bytes in %.3f s\n", length, seconds);
    assert_true(length < 5 << 20);
    assert_true(seconds < 2.0 * SLOWER);
    assert_contains(page, "<dd>1 000 000 of ");
    free(page);
    began = clock();
    char *text = sample_render(&sample.run, "text", &length);
    assert_true((double)(clock() - began) / CLOCKS_PER_SEC < 2.0 * SLOWER);
    assert_true(length < 10000);
    free(text);
    sample_run_free(&sample);
    (void)state;
}

/* Thousands of anomalies, faults, functions and errors do not make a page without end. */
static void test_crowded(void **state)
{
    enum { MANY = 5000 };
    struct sample_run sample;
    size_t length;
    sample_run_make(SAMPLE_INVALID, &sample);
    struct json *anomalies =
        json_get(json_get(json_get(sample.results, "checkers"), "linearizable"), "anomalies");
    struct json *faults = json_get(sample.results, "faults");
    for (int i = 0; i < MANY; i++) {
        json_add(anomalies, json_copy(json_first(anomalies)));
        json_add(faults, json_copy(json_first(faults)));
    }
    for (int i = 0; i < MANY / 5; i++) {
        char name[32];
        enum err_code code = ERR_NONE;
        struct arena arena = ARENA_INIT;
        snprintf(name, sizeof name, "function-%d", i);
        struct op op = {.process = 1000 + i, .f = history_f(&sample.history, name), .time_ns = i};
        history_append(&sample.history, &op, &code);
        op.type = OP_FAIL;
        op.error = value_string(&arena, name);
        history_append(&sample.history, &op, &code);
        arena_free(&arena);
    }
    struct err err = ERR_INIT;
    assert_ok(history_pair(&sample.history, &err));
    char *page = sample_render(&sample.run, "html", &length);
    print_message("# crowded: %zu bytes\n", length);
    assert_true(length < 2 << 20);
    markup_assert(page, length, MARKUP_HTML);
    assert_contains(page, "4962 more, by their titles");
    assert_contains(page, "(others)");
    free(page);
    sample_run_free(&sample);
    (void)state;
}

/* ---- Quantiles ---- */

static void test_quantiles(void **state)
{
    struct latency latency = {.count = 0};
    assert_int_equal(latency_quantile(&latency, 0.5), 0);
    latency_add(&latency, -5);
    assert_int_equal(latency.count, 0);
    for (int64_t i = 1; i <= 1000; i++)
        latency_add(&latency, i * 1000003);
    for (int share = 0; share <= 1000; share++) {
        double exact = (double)(1 + (int)(share / 1000.0 * 999 + 0.5)) * 1000003;
        double found = (double)latency_quantile(&latency, share / 1000.0);
        assert_true(found > exact * 0.983 && found < exact * 1.018);
    }
    assert_int_equal(latency_quantile(&latency, 1), 1000 * 1000003);
    assert_int_equal(latency_quantile(&latency, 0), 1000003);
    latency_add(&latency, INT64_MAX);
    assert_int_equal(latency_quantile(&latency, 1), INT64_MAX);
    latency_free(&latency);
    (void)state;
}

/* ---- Deliveries ---- */

static const char facts_text[] =
    "{\"deliveries\": 1205, \"redeliveries\": 5, \"drained\": 7, \"empty-answers\": 2,"
    " \"delivery-latency\": {\"count\": 1200, \"min-ns\": 1000000, \"p50-ns\": 2000000,"
    " \"p90-ns\": 3000000, \"p99-ns\": 40000000, \"max-ns\": 5000000000},"
    " \"delay-lateness\": null,"
    " \"backlog\": {\"age\": null, \"unfinished-count\": 1, \"oldest-unfinished-ns\": 61500000000,"
    " \"moments\": {\"from-ns\": 0, \"to-ns\": 60000000000, \"depth\": [0, 3, 12, 1],"
    " \"oldest-ns\": [0, 1500000000, 21000000000, 61500000000]}},"
    " \"consumers\": {\"count\": 3, \"shares\": ["
    "{\"process\": 4, \"deliveries\": 1200, \"acks\": 1199},"
    " {\"process\": 5, \"deliveries\": 5, \"acks\": 0}]}}";

static void test_deliveries(void **state)
{
    struct sample_run sample;
    struct json *facts;
    struct err err = ERR_INIT;
    size_t length;
    char *without = render(SAMPLE_VALID);
    assert_null(strstr(without, "eliveries"));
    free(without);
    sample_run_make(SAMPLE_VALID, &sample);
    assert_ok(json_parse(facts_text, strlen(facts_text), "facts", &facts, &err));
    struct json *judged = json_get(sample.run.results, "checkers");
    json_set(json_set(judged, "delivery", json_object()), "facts", facts);
    char *page = sample_render(&sample.run, "html", &length);
    markup_assert(page, length, MARKUP_HTML);
    assert_contains(page, "<li><a href=\"#deliveries\">Deliveries</a></li>");
    assert_contains(page, "1205 deliveries, 5 of them of a message that had been delivered before");
    assert_contains(page, "<tr><th scope=\"row\">sent to first delivered</th><td>at most</td>"
                          "<td class=\"n\">1 200</td><td class=\"n\">1 ms</td>");
    assert_null(strstr(page, "delivered after its delay")); /* none was measured */
    assert_contains(page, "1 accepted message had neither ended nor expired when the history "
                          "ended; the oldest waited 61.5 s at least.");
    assert_contains(page, "<tr><th scope=\"row\">process 5</th><td class=\"n\">5</td>"
                          "<td class=\"n\">0</td></tr>");
    assert_contains(page, "1 more took something.");
    assert_contains(page, "<desc id=\"backlog-depth-d\">");
    assert_contains(page, "<desc id=\"backlog-age-d\">");
    assert_contains(page, "<tr><th scope=\"row\">40.000 s</th><td class=\"n\">12</td>"
                          "<td class=\"n\">21 s</td></tr>");
    free(page);
    sample_run_free(&sample);
    (void)state;
}

/* What a file may say of the backlog that no checker would. */
static void test_odd_backlog(void **state)
{
    static const char *const odd[] = {
        "{}", "{\"depth\": [1, 2], \"oldest-ns\": [1]}", "[[], 7]",
        "{\"from-ns\": 5, \"to-ns\": 5, \"depth\": [1, 2], \"oldest-ns\": [1, 2]}",
        "{\"from-ns\": 0, \"to-ns\": 9, \"depth\": [-1, 1e300], \"oldest-ns\": [\"<b>\", null]}"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct sample_run sample;
        struct json *facts, *moments;
        struct err err = ERR_INIT;
        size_t length;
        sample_run_make(SAMPLE_VALID, &sample);
        assert_ok(json_parse(facts_text, strlen(facts_text), "facts", &facts, &err));
        assert_ok(json_parse(odd[i], strlen(odd[i]), "moments", &moments, &err));
        json_set(json_get(facts, "backlog"), "moments", moments);
        struct json *judged = json_get(sample.run.results, "checkers");
        json_set(json_set(judged, "delivery", json_object()), "facts", facts);
        char *page = sample_render(&sample.run, "html", &length);
        markup_assert(page, length, MARKUP_HTML);
        assert_int_equal(strstr(page, "id=\"backlog\"") != NULL, i == 4);
        assert_null(strstr(page, "<b>"));
        assert_null(strstr(page, "nan"));
        free(page);
        sample_run_free(&sample);
    }
    (void)state;
}

/* ---- Errors ---- */

/* Of 60 s a tenth of a second after each half minute: three classes, the least frequent last. */
static void test_errors_over_time(void **state)
{
    static const struct {
        const char *error;
        int count, second;
    } errors[] = {{"refused", 2, 31}, {"timed-out", 5, 1}, {"reset", 1, 59}};
    struct sample_run sample;
    struct arena arena = ARENA_INIT;
    size_t length;
    sample_run_make(SAMPLE_VALID, &sample);
    for (size_t i = 0; i < 3; i++)
        for (int k = 0; k < errors[i].count; k++) {
            enum err_code code = ERR_NONE;
            struct op op = {.process = 1000 + (int)i,
                            .f = history_f(&sample.history, "read"),
                            .time_ns = errors[i].second * INT64_C(1000000000)};
            history_append(&sample.history, &op, &code);
            op.type = OP_FAIL;
            op.error = value_keyword(&arena, errors[i].error);
            history_append(&sample.history, &op, &code);
        }
    struct err err = ERR_INIT;
    assert_ok(history_pair(&sample.history, &err));
    char *page = sample_render(&sample.run, "html", &length);
    markup_assert(page, length, MARKUP_HTML);
    const char *chart = strstr(page, "id=\"errors-chart-t\"");
    assert_non_null(chart);
    const char *often = strstr(chart, ">:timed-out</text>"),
               *less = strstr(chart, ">:refused</text>");
    assert_true(often != NULL && less != NULL && often < less);
    assert_contains(often, "\u2264 5</text>");
    assert_contains(chart, "<caption>Errors by class and time</caption>");
    assert_contains(chart, "<th scope=\"col\" class=\"n\">:timed-out</th>");
    free(page);
    arena_free(&arena);
    sample_run_free(&sample);
    (void)state;
}

static const char offsets_text[] =
    "{\"n1\": [[0.5, 0], [10, 59.998], [20, 0]], \"n2\": [[0.5, 0.004], [10, -0.5], [20, -0.25]]}";

static void test_clocks(void **state)
{
    static const char *const odd[] = {
        "{\"<b>\": [[0.5, 1e300], [1e300, -1e300], [null, null], [], 7]}", "{\"n1\": []}",
        "{\"n1\": {\"a\": 1}}", "[1, 2]", "7"};
    struct sample_run sample;
    struct json *offsets;
    struct err err = ERR_INIT;
    size_t length;
    char *without = render(SAMPLE_VALID);
    assert_null(strstr(without, "#clocks"));
    free(without);
    sample_run_make(SAMPLE_VALID, &sample);
    assert_ok(json_parse(offsets_text, strlen(offsets_text), "offsets", &offsets, &err));
    json_set((struct json *)(uintptr_t)sample.run.results, "clock-offsets", offsets);
    char *page = sample_render(&sample.run, "html", &length);
    markup_assert(page, length, MARKUP_HTML);
    assert_contains(page, "<li><a href=\"#clocks\">Clocks</a></li>");
    assert_contains(page, "<title>n1: off by +59.998 s at most</title>");
    assert_contains(page, "<title>n2: off by -0.500 s at most</title>");
    assert_contains(page, "<tr><th scope=\"row\">n1</th><td class=\"n\">3</td><td>+59.998 s</td>"
                          "<td>+0.000 s</td><td>+0.000 s</td></tr>");
    assert_contains(page, "<tr><th scope=\"row\">n2</th><td class=\"n\">3</td><td>+0.004 s</td>"
                          "<td>-0.500 s</td><td>-0.250 s</td></tr>");
    free(page);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_ok(json_parse(odd[i], strlen(odd[i]), "offsets", &offsets, &err));
        json_set((struct json *)(uintptr_t)sample.run.results, "clock-offsets", offsets);
        page = sample_render(&sample.run, "html", &length);
        markup_assert(page, length, MARKUP_HTML);
        assert_null(strstr(page, "<b>"));
        assert_null(strstr(page, "nan"));
        assert_null(strstr(page, "inf\""));
        free(page);
    }
    sample_run_free(&sample);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed), cmocka_unit_test(test_self_contained),
        cmocka_unit_test(test_structure),   cmocka_unit_test(test_valid),
        cmocka_unit_test(test_anomaly),     cmocka_unit_test(test_availability),
        cmocka_unit_test(test_odd_backlog), cmocka_unit_test(test_errors_over_time),
        cmocka_unit_test(test_unknown),     cmocka_unit_test(test_bare),
        cmocka_unit_test(test_hostile),     cmocka_unit_test(test_missing),
        cmocka_unit_test(test_same_bytes),  cmocka_unit_test(test_large),
        cmocka_unit_test(test_crowded),     cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_odd_shapes),  cmocka_unit_test(test_deliveries),
        cmocka_unit_test(test_clocks),      cmocka_unit_test(test_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
