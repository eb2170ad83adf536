/* The report for a person at a terminal: the verdict first, then why, then what happened. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reports/digest.h"
#include "reports/reports.h"
#include "reports/text_spark.h"
#include "reports/text_table.h"
#include "reports/visible.h"

enum {
    WIDTH = 78,
    ANOMALIES_MAX = 5, /* of one checker; the rest is counted */
    OPERATIONS_MAX = 12,
    FAULTS_MAX = 40,
    ERRORS_MAX = 12,
    PROBLEMS_MAX = 20,
    VALUE_COLUMNS = 60,
    NAME_COLUMNS = 24, /* of a checker */
};

struct page {
    struct buf out;
    struct digest digest;
    bool colours;
};

/* ---- Colours ---- */

static bool wants_colours(FILE *out)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (no_color != NULL && *no_color != '\0')
        return false;
    if (term != NULL && strcmp(term, "dumb") == 0)
        return false;
    int fd = fileno(out);
    return fd >= 0 && isatty(fd);
}

static void paint(struct page *page, const char *code, const char *text)
{
    if (page->colours)
        buf_printf(&page->out, "\x1b[%sm%s\x1b[0m", code, text);
    else
        buf_add_text(&page->out, text);
}

static const char *const verdict_words[] = {"VALID", "UNKNOWN", "INVALID"};
static const char *const verdict_codes[] = {"1;32", "1;33", "1;31"};

static void heading(struct page *page, const char *text)
{
    buf_add_char(&page->out, '\n');
    paint(page, "1", text);
    buf_add_char(&page->out, '\n');
}

/* ---- The verdict ---- */

static void print_verdict(struct page *page)
{
    struct digest *digest = &page->digest;
    const char *word = verdict_words[digest->verdict];
    paint(page, verdict_codes[digest->verdict], word);
    buf_add_char(&page->out, ':');
    visible_wrap(&page->out, digest->headline, WIDTH, 2, strlen(word) + 1);
    buf_add_char(&page->out, '\n');
    const char *name = digest_test_text(digest, "name"), *setting = digest_setting(digest);
    struct buf line = BUF_INIT;
    if (name != NULL)
        buf_add_text(&line, name);
    if (*setting != '\0')
        buf_printf(&line, "%s%s", name != NULL ? ": " : "", setting);
    if (line.length > 0) {
        visible_wrap(&page->out, line.data, WIDTH, 0, 0);
        buf_add_char(&page->out, '\n');
    }
    buf_free(&line);
}

static size_t name_columns(const char *name)
{
    struct buf shown = BUF_INIT;
    visible_add_cut(&shown, name, strlen(name), NAME_COLUMNS);
    size_t columns = visible_columns(buf_text(&shown), shown.length);
    buf_free(&shown);
    return columns;
}

/* "  invalid  linearizable  key 3 ...", the reasons under each other. */
static void print_checker(struct page *page, const struct digest_checker *checker, size_t longest)
{
    const char *word = verdict_name(checker->verdict);
    size_t column = 2 + 7 + 2, name = name_columns(checker->name);
    buf_add_text(&page->out, "  ");
    paint(page, verdict_codes[checker->verdict], word);
    buf_printf(&page->out, "%*s", (int)(9 - strlen(word)), "");
    visible_add_cut(&page->out, checker->name, strlen(checker->name), NAME_COLUMNS);
    buf_add_char(&page->out, ' ');
    visible_wrap(&page->out, checker->reason, WIDTH, column + longest + 2, column + name + 1);
    buf_add_char(&page->out, '\n');
}

static void print_checkers(struct page *page)
{
    const struct digest *digest = &page->digest;
    size_t longest = 0;
    if (digest->checker_count == 0)
        return;
    heading(page, "Checkers");
    for (size_t i = 0; i < digest->checker_count; i++) {
        size_t columns = name_columns(digest->checkers[i].name);
        longest = columns > longest ? columns : longest;
    }
    for (size_t i = 0; i < digest->checker_count; i++)
        print_checker(page, &digest->checkers[i], longest);
}

/* ---- Anomalies ---- */

static void add_value(struct text_table *table, struct value value)
{
    struct buf text = BUF_INIT;
    digest_value(&text, value, VALUE_COLUMNS);
    text_table_add(table, buf_text(&text));
    buf_free(&text);
}

static void add_exact_time(struct text_table *table, int64_t ns)
{
    struct buf text = BUF_INIT;
    digest_exact_time(&text, ns);
    text_table_add(table, text.data);
    buf_free(&text);
}

static void add_number(struct text_table *table, uint64_t number)
{
    struct buf text = BUF_INIT;
    digest_number(&text, number);
    text_table_add(table, text.data);
    buf_free(&text);
}

static void add_row(struct text_table *table, const char *const *cells)
{
    for (size_t i = 0; i < table->columns; i++)
        text_table_add(table, cells[i]);
}

static void add_operation(const struct history *history, const struct digest_operation *operation,
                          struct text_table *table)
{
    struct buf process = BUF_INIT;
    history_print_process(history, operation->process, &process);
    text_table_add(table, process.data);
    text_table_add(table, operation->f);
    add_value(table, operation->value);
    text_table_add(table, operation->process < 0 ? "" : op_type_name(operation->outcome));
    add_exact_time(table, operation->from_ns);
    add_exact_time(table, operation->to_ns);
    buf_free(&process);
}

static void print_operations(struct page *page, const struct json *anomaly)
{
    const struct history *history = page->digest.run->history;
    struct digest_operation operations[OPERATIONS_MAX];
    size_t total,
        count = digest_operations(&page->digest, anomaly, operations, OPERATIONS_MAX, &total);
    if (count == 0)
        return;
    struct text_table table;
    text_table_init(&table, "llllrr");
    text_table_limit(&table, 0, 10);
    text_table_limit(&table, 1, 12);
    text_table_elastic(&table, 2, WIDTH);
    add_row(&table, (const char *const[]){"process", "f", "value", "outcome", "from", "to"});
    for (size_t i = 0; i < count; i++)
        add_operation(history, &operations[i], &table);
    buf_add_char(&page->out, '\n');
    text_table_print(&table, 5, &page->out);
    if (total > count)
        buf_printf(&page->out, "     and %zu more operations\n", total - count);
    text_table_free(&table);
}

static void print_anomaly(struct page *page, const struct digest_checker *checker, size_t number,
                          const struct json *anomaly)
{
    struct buf title = BUF_INIT;
    const char *key = digest_key(&page->digest, anomaly);
    buf_printf(&title, "%s (%s", json_as_text(json_get(anomaly, "title"), "an anomaly"),
               checker->name);
    if (key != NULL)
        buf_printf(&title, ", key %s", key);
    buf_add_char(&title, ')');
    buf_printf(&page->out, "%s%3zu. ", number > 1 ? "\n" : "", number);
    visible_wrap(&page->out, title.data, WIDTH, 5, 5);
    buf_add_char(&page->out, '\n');
    visible_wrap(&page->out, json_as_text(json_get(anomaly, "text"), ""), WIDTH, 5, 0);
    buf_add_char(&page->out, '\n');
    print_operations(page, anomaly);
    buf_free(&title);
}

static void print_anomalies(struct page *page)
{
    const struct digest *digest = &page->digest;
    size_t number = 0;
    if (digest->anomaly_count == 0)
        return;
    heading(page, "Anomalies");
    for (size_t i = 0; i < digest->checker_count; i++) {
        const struct digest_checker *checker = &digest->checkers[i];
        size_t shown = 0, count = json_count(checker->anomalies);
        for (const struct json *one = json_first(checker->anomalies);
             one != NULL && shown < ANOMALIES_MAX; one = json_next(one), shown++)
            print_anomaly(page, checker, ++number, one);
        if (count > shown)
            buf_printf(&page->out, "\n     and %zu more of %s\n", count - shown, checker->name);
    }
}

/* ---- Faults ---- */

static const char *verified_word(const struct digest *digest, const struct digest_fault *fault)
{
    if (fault->failed)
        return "failed";
    if (digest->faults_guessed)
        return "-";
    if (!fault->end.present)
        return fault->begin.verified ? "not undone" : "no";
    return fault->begin.verified && fault->end.verified ? "yes"
           : fault->begin.verified                      ? "begin only"
           : fault->end.verified                        ? "end only"
                                                        : "no";
}

static void add_seconds(struct text_table *table, int64_t ns)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, ns < 0 ? "-" : "%.3f", (double)ns / 1e9);
    text_table_add(table, text.data);
    buf_free(&text);
}

static void add_fault(const struct digest *digest, const struct digest_fault *fault,
                      struct text_table *table)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%" PRId64, fault->id);
    text_table_add(table, text.data);
    text_table_add(table, fault->nemesis);
    buf_clear(&text);
    digest_plain(&text, fault->asked);
    text_table_add(table, buf_text(&text));
    text_table_add(table, fault->nodes);
    add_seconds(table, fault->from_ns);
    add_seconds(table, fault->failed ? -1 : fault->to_ns);
    text_table_add(table, verified_word(digest, fault));
    buf_free(&text);
}

/* What a table has no room for: why a fault failed. */
static void print_fault_errors(struct page *page)
{
    const struct digest *digest = &page->digest;
    for (size_t i = 0; i < digest->fault_count && i < FAULTS_MAX; i++) {
        const struct digest_fault *fault = &digest->faults[i];
        struct buf text = BUF_INIT;
        if (*fault->error == '\0')
            continue;
        buf_printf(&text, "Fault %" PRId64 ": %s", fault->id, fault->error);
        visible_wrap(&page->out, text.data, WIDTH, 2, 0);
        buf_add_char(&page->out, '\n');
        buf_free(&text);
    }
}

static void print_coverage(struct page *page)
{
    for (const struct json *one = digest_coverage(&page->digest); one != NULL;
         one = json_next(one)) {
        struct buf text = BUF_INIT;
        digest_coverage_line(one, &text);
        visible_wrap(&page->out, text.data, WIDTH, 2, 0);
        buf_add_char(&page->out, '\n');
        buf_free(&text);
    }
}

static void print_faults(struct page *page)
{
    const struct digest *digest = &page->digest;
    struct text_table table;
    if (digest->fault_count == 0)
        return;
    heading(page, "Faults");
    text_table_init(&table, "rlllrrl");
    text_table_limit(&table, 1, 12);
    text_table_limit(&table, 3, 9);
    text_table_elastic(&table, 2, WIDTH);
    add_row(&table, (const char *const[]){"id", "nemesis", "what", "where", "from (s)", "to (s)",
                                          "verified"});
    for (size_t i = 0; i < digest->fault_count && i < FAULTS_MAX; i++)
        add_fault(digest, &digest->faults[i], &table);
    text_table_print(&table, 2, &page->out);
    if (digest->fault_count > FAULTS_MAX)
        buf_printf(&page->out, "  and %zu more\n", digest->fault_count - FAULTS_MAX);
    print_fault_errors(page);
    print_coverage(page);
    text_table_free(&table);
}

/* ---- Over time ---- */

static void print_spark(struct page *page)
{
    struct buf lines = BUF_INIT;
    if (text_spark(&page->digest, &lines)) {
        heading(page, "Over time");
        buf_add_text(&page->out, buf_text(&lines));
    }
    buf_free(&lines);
}

/* ---- Operations ---- */

static void add_duration(struct text_table *table, const struct latency *latency, double share)
{
    struct buf text = BUF_INIT;
    digest_duration(&text, latency->count == 0 ? -1 : latency_quantile(latency, share));
    text_table_add(table, text.data);
    buf_free(&text);
}

static void print_functions(struct page *page)
{
    const struct digest *digest = &page->digest;
    struct text_table table;
    heading(page, "Operations");
    if (digest->function_count == 0) {
        buf_add_text(&page->out, "  The history has no client operations.\n");
        return;
    }
    text_table_init(&table, "lrrrrrrr");
    text_table_elastic(&table, 0, WIDTH);
    add_row(&table,
            (const char *const[]){"f", "all", "ok", "fail", "info", "ok p50", "ok p99", "ok max"});
    for (size_t i = 0; i < digest->function_count; i++) {
        const struct digest_function *function = &digest->functions[i];
        text_table_add(&table, function->name);
        for (int outcome = 0; outcome < DIGEST_OUTCOMES; outcome++)
            add_number(&table, function->count[outcome]);
        add_duration(&table, &function->latency[OP_OK], 0.5);
        add_duration(&table, &function->latency[OP_OK], 0.99);
        add_duration(&table, &function->latency[OP_OK], 1);
    }
    if (digest->function_count > 1) {
        text_table_add(&table, "all");
        for (int outcome = 0; outcome < DIGEST_OUTCOMES; outcome++)
            add_number(&table, digest->total[outcome]);
        for (int quantile = 0; quantile < 3; quantile++)
            text_table_add(&table, "");
    }
    text_table_print(&table, 2, &page->out);
    text_table_free(&table);
}

static void print_errors(struct page *page)
{
    const struct digest *digest = &page->digest;
    const struct history *history = digest->run->history;
    struct text_table table;
    if (digest->error_count == 0)
        return;
    heading(page, "Errors");
    text_table_init(&table, "rrrl");
    text_table_elastic(&table, 3, WIDTH);
    add_row(&table, (const char *const[]){"all", "fail", "info", "error, for example"});
    for (size_t i = 0; i < digest->error_count && i < ERRORS_MAX; i++) {
        const struct digest_error *error = &digest->errors[i];
        struct buf text = BUF_INIT;
        digest_value(&text, history->errors[history->error[error->example]], 60);
        add_number(&table, error->count[OP_INVOKE]);
        add_number(&table, error->count[OP_FAIL]);
        add_number(&table, error->count[OP_INFO]);
        text_table_add(&table, text.data);
        buf_free(&text);
    }
    text_table_print(&table, 2, &page->out);
    if (digest->error_count > ERRORS_MAX)
        buf_printf(&page->out, "  and %zu more kinds\n", digest->error_count - ERRORS_MAX);
    text_table_free(&table);
}

static void print_problems(struct page *page)
{
    const struct digest *digest = &page->digest;
    if (digest->problem_count == 0)
        return;
    heading(page, "Problems of the harness itself");
    for (size_t i = 0; i < digest->problem_count && i < PROBLEMS_MAX; i++) {
        buf_add_text(&page->out, "  - ");
        visible_wrap(&page->out, digest->problems[i], WIDTH, 4, 4);
        buf_add_char(&page->out, '\n');
    }
    if (digest->problem_count > PROBLEMS_MAX)
        buf_printf(&page->out, "  and %zu more\n", digest->problem_count - PROBLEMS_MAX);
}

/* ---- Where to go from here ---- */

/* Commands and paths are not wrapped: they are copied. */
static void print_line(struct page *page, const char *label, const char *text, const char *more)
{
    buf_add_text(&page->out, label);
    visible_add(&page->out, text, strlen(text), VISIBLE_LINE);
    buf_printf(&page->out, "%s\n", more);
}

static void print_end(struct page *page)
{
    const struct run *run = page->digest.run;
    const char *again = digest_run_again(&page->digest);
    if (again == NULL && run->directory == NULL)
        return;
    buf_add_char(&page->out, '\n');
    if (again != NULL)
        print_line(page, "Again:  ", again, "");
    if (run->directory != NULL)
        print_line(page, "Report: ", run->directory, "/report.html");
}

static enum err_code write_text(const struct run *run, FILE *out, struct err *err)
{
    struct page page = {.out = BUF_INIT, .colours = wants_colours(out)};
    digest_make(run, &page.digest);
    print_verdict(&page);
    print_checkers(&page);
    print_anomalies(&page);
    print_spark(&page);
    print_faults(&page);
    print_functions(&page);
    print_errors(&page);
    print_problems(&page);
    print_end(&page);
    digest_free(&page.digest);
    return report_put(&page.out, "the text report", out, err);
}

const struct reporter reporter_text = {
    .name = "text",
    .summary = "the verdict, why, and what happened, for a terminal",
    .file_name = "report.txt",
    .write = write_text,
    .suite_file_name = "summary.txt",
    .write_suite = suite_text_write,
};
