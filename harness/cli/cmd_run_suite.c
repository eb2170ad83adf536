/* ordeal run --suite: many runs, one summary. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/prng.h"
#include "harness/base/text.h"
#include "harness/cli/cmd_run.h"
#include "harness/run.h"
#include "harness/store.h"
#include "harness/suites/suite_run.h"
#include "harness/suites/suite_store.h"

enum { OVERRIDES_MAX = 256 };

struct request {
    const char *file, *store;
    bool json, resume;
    struct suite_options options;
    struct suite_override overrides[OVERRIDES_MAX];
};

static enum err_code take(void *state, const char *name, const char *value, struct err *err)
{
    struct request *request = state;
    if (name == NULL)
        return err_set(err, ERR_CONFIG,
                       "'%s' beside --suite: a suite has its plans in its own file; flags replace "
                       "what they say",
                       value);
    if (strcmp(name, "suite") == 0)
        request->file = value;
    else if (strcmp(name, "store") == 0)
        request->store = value;
    else if (strcmp(name, "json") == 0)
        request->json = true;
    else if (strcmp(name, "continue") == 0)
        request->resume = true;
    else if (strcmp(name, "cell") == 0)
        request->options.cells = value;
    else if (strcmp(name, "shard") == 0)
        return suite_parse_shard(value, &request->options, err);
    else if (request->options.override_count == OVERRIDES_MAX)
        return err_set(err, ERR_CONFIG, "more than %d options", OVERRIDES_MAX);
    else {
        char where[80];
        snprintf(where, sizeof where, "--%s", name);
        request->overrides[request->options.override_count++] =
            (struct suite_override){name, value, strdup(where)};
    }
    return ERR_NONE;
}

static void tell(void *state, const char *line)
{
    (void)state;
    fprintf(stderr, "%s\n", line);
}

/* ---- Beginning, or going on ---- */

/* Seeds that are drawn when a suite begins are those of the suite that is continued. */
static enum err_code open_suite(struct request *request, struct suite *suite, struct arena *arena,
                                struct suite_begin *begin, struct err *err)
{
    bool found = false;
    request->options.fresh_seed = prng_fresh_seed() >> 32; /* short enough to be typed */
    if (suite_read(request->file, &request->options, suite, err) != ERR_NONE)
        return err->code;
    if (request->resume && suite_store_find(request->store, suite->name, &request->options, arena,
                                            &found, begin, err) != ERR_NONE)
        return err->code;
    if (request->resume && !found)
        fprintf(stderr, "there is nothing to continue of the suite %s under %s: it begins\n",
                suite->name, request->store);
    if (!found)
        return suite_store_create(request->store, suite, &request->options, arena, begin, err);
    fprintf(stderr, "continuing %s\n", begin->directory);
    request->options.fresh_seed = begin->fresh_seed;
    suite_free(suite);
    return suite_read(request->file, &request->options, suite, err);
}

static void print_summary(const struct request *request, const struct json *summary)
{
    const struct reporter *reporter = reporter_find(request->json ? "json" : "text");
    struct err err = ERR_INIT;
    if (reporter->write_suite(summary, stdout, &err) != ERR_NONE)
        fprintf(stderr, "ordeal: %s\n", err.message);
    fflush(stdout);
}

static enum err_code run_and_judge(const struct request *request, const struct suite *suite,
                                   const struct suite_begin *begin, const char *command,
                                   int *status, struct err *err)
{
    struct suite_runs *runs;
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return err_set(err, ERR_IO, "cannot tell where ordeal is: /proc/self/exe cannot be read");
    program[length] = '\0';
    if (suite_runs_open(suite, begin->directory, &runs, err) != ERR_NONE)
        return err->code;
    struct suite_process process = {program, begin->directory, request->store};
    struct suite_running running = {suite_process_execute, suite_process_stopped, tell, &process};
    suite_process_catch_signals();
    enum err_code code = suite_run(suite, runs, &running, err);
    struct suite_facts facts = {.directory = begin->directory,
                                .command = command,
                                .started_wall_ns = begin->started_wall_ns,
                                .ended_wall_ns = clock_wall_ns(),
                                .interrupted = suite_process_stopped(NULL),
                                .shard = request->options.shard,
                                .shard_count = request->options.shard_count};
    struct json *summary = suite_summary(suite, runs, &facts);
    *status = (int)json_as_int(json_get(summary, "exit-status"), EXIT_HARNESS_FAILED);
    if (code == ERR_NONE)
        code = suite_store_render(begin->directory, summary, err);
    print_summary(request, summary);
    if (facts.interrupted)
        fprintf(stderr, "interrupted: the same command with --continue does what is left\n");
    json_free(summary);
    suite_runs_close(runs);
    return code;
}

int cmd_run_suite(int argc, char **argv, const struct cli_option *options)
{
    struct request request = {.store = "store"};
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct suite suite = {.arena = ARENA_INIT};
    struct suite_begin begin;
    struct buf command = BUF_INIT;
    bool help;
    int status = EXIT_HARNESS_FAILED;
    request.options.overrides = request.overrides;
    cmd_run_words(argc, argv, &command);
    enum err_code code = cli_parse(argc, argv, options, take, &request, &help, &err);
    if (code == ERR_NONE)
        code = open_suite(&request, &suite, &arena, &begin, &err);
    if (code == ERR_NONE)
        code = run_and_judge(&request, &suite, &begin, buf_text(&command), &status, &err);
    suite_free(&suite);
    arena_free(&arena);
    buf_free(&command);
    for (size_t i = 0; i < request.options.override_count; i++)
        free((char *)(uintptr_t)request.overrides[i].where);
    return code == ERR_NONE ? status : cli_fail(&err);
}
