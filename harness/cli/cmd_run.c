/* ordeal run: one test from beginning to end. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/cli/cmd_run.h"
#include "harness/plugin.h"
#include "harness/run.h"
#include "harness/store.h"

enum { FIELDS_MAX = 64 };

static const struct cli_option suite_options[] = {
    {"suite", "FILE",
     "run every cell of a suite (ordeal-suite(5)); plan options then replace what "
     "its plans say"},
    {"shard", "I/N", "of a suite: only the I-th of N parts, such as 2/5"},
    {"cell", "PATTERN", "of a suite: only cells whose name this matches, as a shell's pattern"},
    {"continue", NULL, "of a suite: go on with the newest that was begun; what is done stays done"},
    {.name = NULL},
};

struct request {
    struct plan *plan;
    bool json;
    const char *file;
};

/* A plan file is read first, wherever it stands, so that flags replace what it says. */
static enum err_code take_file(void *state, const char *name, const char *value, struct err *err)
{
    struct request *request = state;
    if (name != NULL)
        return ERR_NONE;
    if (request->file != NULL)
        return err_set(err, ERR_CONFIG, "two plans are named, '%s' and '%s'; run takes one",
                       request->file, value);
    request->file = value;
    return plan_read_file(request->plan, value, err);
}

static enum err_code take_flag(void *state, const char *name, const char *value, struct err *err)
{
    struct request *request = state;
    if (name == NULL)
        return ERR_NONE;
    if (strcmp(name, "json") == 0) {
        request->json = true;
        return ERR_NONE;
    }
    char where[80];
    snprintf(where, sizeof where, "--%s", name);
    for (const struct cli_option *one = suite_options; one->name != NULL; one++)
        if (strcmp(one->name, name) == 0)
            return err_set(err, ERR_CONFIG, "%s: this is an option of suites: --suite FILE", where);
    return plan_set(request->plan, name, value, where, err);
}

static size_t flags(struct cli_option *options)
{
    size_t count = 0;
    for (const struct plan_field *field = plan_fields; field->name != NULL; field++)
        options[count++] = (struct cli_option){
            field->name, field->kind == OPTION_BOOL ? NULL : field->metavar, field->help};
    options[count++] = (struct cli_option){"json", NULL, "print the results as one JSON object"};
    for (const struct cli_option *one = suite_options; one->name != NULL; one++)
        options[count++] = *one;
    options[count] = (struct cli_option){.name = NULL};
    return count;
}

static int print_help(void)
{
    struct buf out = BUF_INIT;
    buf_add_text(&out,
                 "usage: ordeal run [PLAN.json] [OPTION..]\n"
                 "       ordeal run --suite SUITE.json [OPTION..]\n\n"
                 "Runs one test and ends with the verdict and the report's path. A plan file\n"
                 "says what flags say, under the same names; flags replace what it says.\n");
    const char *group = "";
    for (const struct plan_field *field = plan_fields; field->name != NULL; field++) {
        if (strcmp(group, field->group) != 0)
            buf_printf(&out, "\n%s\n", field->group);
        group = field->group;
        cli_print_option(field->name, field->kind == OPTION_BOOL ? NULL : field->metavar,
                         field->help, field->kind == OPTION_BOOL ? NULL : field->fallback, &out);
    }
    cli_print_option("json", NULL, "print the results as one JSON object, and nothing else, there",
                     NULL, &out);
    buf_add_text(&out, "\nSuites\n");
    cli_print_options(suite_options, &out);
    buf_add_text(
        &out, "\nWithout --nodes the test runs on a local cluster of five nodes (needs root). A\n"
              "first Ctrl-C heals, judges what there is and reports; a second stops at once.\n\n"
              "Exit status: 0 valid, 1 invalid, 2 unknown, 254 bad arguments, 255 the harness "
              "failed.\n");
    int status = cli_output(&out, 0);
    buf_free(&out);
    return status;
}

void cmd_run_words(int argc, char **argv, struct buf *out)
{
    buf_add_text(out, "ordeal");
    for (int i = 0; i < argc; i++) {
        buf_add_char(out, ' ');
        if (argv[i][0] != '\0' &&
            strspn(argv[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "0123456789-_=./,:@+%") == strlen(argv[i]))
            buf_add_text(out, argv[i]);
        else
            buf_add_shell_word(out, argv[i]);
    }
}

/* The text report on standard output, for people. */
static void print_report(const struct run_outcome *outcome)
{
    struct stored_run stored;
    struct err err = ERR_INIT;
    if (store_read(outcome->directory, &stored, &err) != ERR_NONE) {
        fprintf(stderr, "ordeal: %s\n", err.message);
        return;
    }
    const struct reporter *text = reporter_find("text");
    if (stored.results != NULL && text != NULL &&
        text->write(&stored.run, stdout, &err) != ERR_NONE)
        fprintf(stderr, "ordeal: %s\n", err.message);
    fflush(stdout);
    store_free(&stored);
}

static int finish(const struct request *request, const struct run_outcome *outcome)
{
    int status = exit_status_of(outcome->verdict);
    if (outcome->failed)
        status = outcome->problem.code == ERR_CONFIG ? EXIT_BAD_ARGUMENTS : EXIT_HARNESS_FAILED;
    if (request->json) {
        struct buf out = BUF_INIT;
        struct json *results =
            outcome->results == NULL ? json_object() : json_copy(outcome->results);
        if (outcome->results == NULL)
            json_set_text(results, "valid", "unknown");
        if (outcome->directory != NULL)
            json_set_text(results, "directory", outcome->directory);
        if (outcome->failed)
            json_set_text(results, "problem", outcome->problem.message);
        json_set_int(results, "exit-status", status);
        json_print(results, JSON_PRETTY, &out);
        buf_add_char(&out, '\n');
        json_free(results);
        status = cli_output(&out, status);
        buf_free(&out);
    } else if (outcome->directory != NULL && !outcome->failed) {
        print_report(outcome);
    }
    if (outcome->failed)
        fprintf(stderr, "ordeal: %s\n", outcome->problem.message);
    return status;
}

static bool names_suite(int argc, char **argv)
{
    bool suite = false;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return false;
        suite = suite || strcmp(argv[i], "--suite") == 0 || text_starts(argv[i], "--suite=");
    }
    return suite;
}

int cmd_run(int argc, char **argv)
{
    struct plan plan;
    struct err err = ERR_INIT;
    struct cli_option options[FIELDS_MAX];
    struct request request = {.plan = &plan};
    bool help;
    flags(options);
    if (names_suite(argc, argv))
        return cmd_run_suite(argc, argv, options);
    plan_init(&plan);
    enum err_code code = cli_parse(argc, argv, options, take_file, &request, &help, &err);
    if (code == ERR_NONE && !help)
        code = cli_parse(argc, argv, options, take_flag, &request, &help, &err);
    if (help) {
        plan_free(&plan);
        return print_help();
    }
    if (code == ERR_NONE)
        code = plan_resolve(&plan, &err);
    if (code != ERR_NONE) {
        plan_free(&plan);
        return cli_fail(&err);
    }
    struct buf command = BUF_INIT;
    cmd_run_words(argc, argv, &command);
    struct log *log = log_open(LOG_TALK);
    struct run_outcome outcome;
    run_test(&plan, log, command.data, &outcome);
    log_close(log);
    int status = finish(&request, &outcome);
    if (outcome.hung > 0)
        _exit(status); /* its output is flushed */
    json_free(outcome.results);
    buf_free(&command);
    plan_free(&plan);
    return status;
}
