/* ordeal report: render a stored run again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/cli/cli.h"
#include "harness/plugin.h"
#include "harness/run.h"
#include "harness/store.h"

struct request {
    const char *directory, *other, *format, *output;
    bool compare;
};

static const struct cli_option options[] = {
    {"format", "FORMAT",
     "text, html, junit, json, edn, tap, markdown, github or prometheus (ordeal list reports); "
     "default text"},
    {"compare", NULL, "takes two runs, and tells what differs between them"},
    {"output", "FILE", "where to; default: standard output (-o FILE is the same)"},
    {.name = NULL},
};

static enum err_code take(void *state, const char *name, const char *value, struct err *err)
{
    struct request *request = state;
    if (name == NULL && request->other != NULL)
        return err_set(err, ERR_CONFIG,
                       "three runs are named, the last '%s'; report takes one, "
                       "and two with --compare",
                       value);
    if (name == NULL && request->directory != NULL)
        request->other = value;
    else if (name == NULL)
        request->directory = value;
    else if (strcmp(name, "compare") == 0)
        request->compare = true;
    else if (strcmp(name, "format") == 0)
        request->format = value;
    else
        request->output = value;
    return ERR_NONE;
}

static int print_help(void)
{
    struct buf out = BUF_INIT;
    buf_add_text(&out, "usage: ordeal report RUN|SUITE [--format FORMAT] [-o FILE]\n"
                       "       ordeal report --compare RUN RUN [-o FILE]\n\n"
                       "Renders a stored run (a directory such as store/latest), or a suite's "
                       "summary, again, or two runs side by side.\n\n");
    cli_print_options(options, &out);
    int status = cli_output(&out, 0);
    buf_free(&out);
    return status;
}

static bool is_suite(const char *directory)
{
    struct arena arena = ARENA_INIT;
    bool suite = access(store_path(&arena, directory, "summary.json"), F_OK) == 0;
    arena_free(&arena);
    return suite;
}

static int render_suite(const struct request *request, const struct reporter *reporter,
                        struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct json *summary = NULL;
    enum err_code code =
        json_read_file(store_path(&arena, request->directory, "summary.json"), &summary, err);
    if (code == ERR_NONE && reporter->write_suite == NULL)
        code = err_set(err, ERR_CONFIG, "%s is a suite, of which there is no report %s",
                       request->directory, reporter->name);
    FILE *out = stdout;
    if (code == ERR_NONE && request->output != NULL && (out = fopen(request->output, "we")) == NULL)
        code = err_errno(err, errno, "create %s", request->output);
    if (code == ERR_NONE)
        code = reporter->write_suite(summary, out, err);
    if (out != NULL && fflush(out) != 0 && code == ERR_NONE)
        code = err_errno(err, errno, "write %s",
                         request->output == NULL ? "to standard output" : request->output);
    if (out != NULL && out != stdout)
        fclose(out);
    json_free(summary);
    arena_free(&arena);
    return code == ERR_NONE ? 0 : cli_fail(err);
}

static int render(const struct request *request, struct err *err)
{
    const struct reporter *reporter = plugin_resolve(
        reporters, "report", "reports", request->format == NULL ? "text" : request->format, err);
    struct stored_run stored;
    if (reporter == NULL)
        return cli_fail(err);
    if (is_suite(request->directory))
        return render_suite(request, reporter, err);
    if (reporter->write == NULL) {
        err_set(err, ERR_CONFIG, "%s is no suite, and the report %s is of suites",
                request->directory, reporter->name);
        return cli_fail(err);
    }
    if (store_read(request->directory, &stored, err) != ERR_NONE)
        return cli_fail(err);
    enum err_code code = ERR_NONE;
    if (stored.results == NULL)
        code = err_set(err, ERR_CONFIG,
                       "%s has no results.json: the run did not end; ordeal check %s judges what "
                       "there is",
                       request->directory, request->directory);
    else if (request->output != NULL)
        code = store_render_to(&stored.run, reporter, request->output, err);
    else
        code = reporter->write(&stored.run, stdout, err);
    if (code == ERR_NONE && fflush(stdout) != 0)
        code = err_set(err, ERR_IO, "standard output is closed or full");
    store_free(&stored);
    return code == ERR_NONE ? 0 : cli_fail(err);
}

static enum err_code write_compared(const struct request *request, const struct run *left,
                                    const struct run *right, struct err *err)
{
    FILE *out = request->output == NULL ? stdout : fopen(request->output, "we");
    if (out == NULL)
        return err_errno(err, errno, "write %s", request->output);
    enum err_code code = report_compare(left, right, out, err);
    if (code == ERR_NONE && fflush(out) != 0)
        code = err_set(err, ERR_IO, "%s is closed or full",
                       request->output == NULL ? "standard output" : request->output);
    if (out != stdout)
        fclose(out);
    return code;
}

static int compare(const struct request *request, struct err *err)
{
    struct stored_run left, right;
    if (store_read(request->directory, &left, err) != ERR_NONE)
        return cli_fail(err);
    enum err_code code = store_read(request->other, &right, err);
    if (code == ERR_NONE) {
        code = write_compared(request, &left.run, &right.run, err);
        store_free(&right);
    }
    store_free(&left);
    return code == ERR_NONE ? 0 : cli_fail(err);
}

/* What the arguments lack or have too many of. */
static enum err_code check_request(const struct request *request, struct err *err)
{
    if (request->directory == NULL)
        return err_set(err, ERR_CONFIG, "report needs a run: ordeal report store/latest");
    if (request->compare && request->other == NULL)
        return err_set(err, ERR_CONFIG, "--compare needs two runs; only '%s' is named",
                       request->directory);
    if (!request->compare && request->other != NULL)
        return err_set(err, ERR_CONFIG,
                       "two runs are named, '%s' and '%s'; report takes one, or two with --compare",
                       request->directory, request->other);
    if (request->compare && request->format != NULL)
        return err_set(err, ERR_CONFIG, "--compare writes text; --format %s has no say there",
                       request->format);
    return ERR_NONE;
}

int cmd_report(int argc, char **argv)
{
    struct request request = {.format = NULL};
    struct err err = ERR_INIT;
    static char long_output[] = "--output";
    bool help;
    for (int i = 1; i < argc; i++) /* the one short option that the command line promises */
        if (strcmp(argv[i], "-o") == 0)
            argv[i] = long_output;
    if (cli_parse(argc, argv, options, take, &request, &help, &err) != ERR_NONE)
        return cli_fail(&err);
    if (help)
        return print_help();
    if (check_request(&request, &err) != ERR_NONE)
        return cli_fail(&err);
    return request.compare ? compare(&request, &err) : render(&request, &err);
}
