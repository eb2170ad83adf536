/* Histories of transactions written as EDN: see txn_text.h. */
#include "tests/lib/txn_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/histories/edn.h"
#include "tests/lib/test.h"

static void add_event(struct history *history, int process, enum op_type type, const char *f,
                      struct value value)
{
    struct op op = {.type = type,
                    .process = process,
                    .f = history_f(history, f),
                    .value = value,
                    .time_ns = history->count * 1000000};
    enum err_code code;
    history_append_own(history, &op, &code);
    assert_int_equal(code, ERR_NONE);
}

/* "init {1 0}" */
static bool is_init(const char **line)
{
    bool init = strncmp(*line, "init", 4) == 0;
    *line += init ? 4 : 0;
    return init;
}

static void add_line(struct history *history, const char *line, size_t length)
{
    const char *end = line + length, *f = is_init(&line) ? "init" : "txn";
    char *rest, word[16] = "";
    length = (size_t)(end - line);
    int process = (int)strtol(line, &rest, 10), used = 0;
    if (sscanf(rest, " %15[a-z]%n", word, &used) == 1)
        rest += used;
    struct value value;
    struct err err = ERR_INIT;
    assert_ok(edn_parse_all(&history->arena, rest, length - (size_t)(rest - line), &value, &err));
    if (strcmp(word, "invoke") == 0) {
        add_event(history, process, OP_INVOKE, f, value);
    } else if (strcmp(word, "ok") == 0) {
        add_event(history, process, OP_OK, f, value);
    } else {
        add_event(history, process, OP_INVOKE, f, value);
        add_event(history, process,
                  strcmp(word, "fail") == 0   ? OP_FAIL
                  : strcmp(word, "info") == 0 ? OP_INFO
                                              : OP_OK,
                  f, value);
    }
}

void txn_history(const char *transactions, struct history *history)
{
    history_init(history);
    for (const char *line = transactions; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        if (strspn(line, " ") < length)
            add_line(history, line, length);
        line += length + (line[length] == '\n');
    }
    struct err err = ERR_INIT;
    assert_ok(history_pair(history, &err));
}

static void set_options(struct json *values, const char *set)
{
    char text[512], *save = NULL;
    snprintf(text, sizeof text, "%s", set == NULL ? "" : set);
    for (char *one = strtok_r(text, " ", &save); one != NULL; one = strtok_r(NULL, " ", &save)) {
        char name[128], *equals = strchr(one, '=');
        assert_non_null(equals);
        *equals = '\0';
        snprintf(name, sizeof name, "transactions.%s", one);
        json_set_text(values, name, equals + 1);
    }
}

struct txn_verdict txn_check(const char *transactions, const char *set)
{
    struct history history;
    const struct checker *checker = checker_find("transactions");
    txn_history(transactions, &history);
    struct check_input input = {.history = &history, .limits = {.threads = 1}};
    input.options.values = json_object();
    set_options(input.options.values, set);
    option_defaults(&input.options, checker->name, checker->options);
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker->check(&input, &result);
    struct txn_verdict verdict = {
        .verdict = result.verdict, .details = result.details, .anomalies = result.anomalies};
    snprintf(verdict.reason, sizeof verdict.reason, "%s", buf_text(&result.reason));
    for (const struct json *type = json_first(json_get(result.details, "anomaly-types"));
         type != NULL; type = json_next(type)) {
        size_t length = strlen(verdict.types);
        snprintf(verdict.types + length, sizeof verdict.types - length, "%s%s",
                 length > 0 ? " " : "", json_as_text(type, ""));
    }
    buf_free(&result.reason);
    json_free(input.options.values);
    history_free(&history);
    return verdict;
}

void txn_verdict_free(struct txn_verdict *verdict)
{
    json_free(verdict->details);
    json_free(verdict->anomalies);
}
