/* ordeal nemesis: one fault by hand, until Ctrl-C. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/cli/by_hand.h"
#include "harness/control.h"
#include "harness/nemesis.h"
#include "harness/plugin.h"
#include "harness/reach.h"
#include "harness/run.h"

struct request {
    struct plan plan;
    const char *nemesis, *argument, *process;
    int64_t for_ns; /* -1: until interrupted */
};

static const struct cli_option own_options[] = {
    {"process", "NAME", "kill, pause, slow, memory, files: the processes of this name"},
    {"for", "TIME", "undo it after this time instead of at Ctrl-C"},
    {"seed", "N", "repeats what was drawn"},
    {"set", "NEMESIS.OPTION=VALUE", "an option of the nemesis (ordeal list nemeses)"},
    {.name = NULL},
};

static enum err_code take(void *state, const char *name, const char *value, struct err *err)
{
    struct request *request = state;
    if (name == NULL) {
        if (request->nemesis == NULL)
            request->nemesis = value;
        else if (request->argument == NULL)
            request->argument = value;
        else
            return err_set(err, ERR_CONFIG, "nemesis takes a name and one argument, not also '%s'",
                           value);
        return ERR_NONE;
    }
    if (strcmp(name, "process") == 0) {
        request->process = value;
        return ERR_NONE;
    }
    if (strcmp(name, "for") == 0)
        return clock_parse_duration(value, &request->for_ns, err);
    char where[80];
    snprintf(where, sizeof where, "--%s", name);
    return plan_set(&request->plan, name, value, where, err);
}

static int print_help(void)
{
    struct buf out = BUF_INIT;
    buf_add_text(&out,
                 "usage: ordeal nemesis NAME [ARG] [OPTION..]\n\n"
                 "Injects one fault, verifies it, holds it until Ctrl-C (or --for), undoes it and\n"
                 "verifies that. If ordeal dies meanwhile, the nodes undo it by themselves.\n\n"
                 "  ordeal nemesis partition halves\n"
                 "  ordeal nemesis pause minority --process etcd\n"
                 "  ordeal nemesis kill n1 --process etcd      (nothing starts it again)\n\n"
                 "ARG is the value of the nemesis' first option. The nemeses:\n\n");
    for (const struct nemesis *const *nemesis = nemeses; *nemesis != NULL; nemesis++)
        buf_printf(&out, "  %-12s %s\n", (*nemesis)->name, (*nemesis)->summary);
    buf_add_char(&out, '\n');
    cli_print_options(own_options, &out);
    cli_print_options(by_hand_where, &out);
    int status = cli_output(&out, 0);
    buf_free(&out);
    return status;
}

/* ---- A system that is whatever processes have a name ---- */

static enum err_code cannot_start(struct test *test, node_set nodes, struct err *err)
{
    (void)test, (void)nodes;
    return err_set(err, ERR_UNSUPPORTED, "processes found by name cannot be started again");
}

static enum err_code nothing(struct test *test, node_set nodes, struct err *err)
{
    (void)test, (void)nodes, (void)err;
    return ERR_NONE;
}

static bool ready(struct test *test, struct buf *why_not)
{
    (void)test, (void)why_not;
    return true;
}

static const struct client *no_client(const char *workload)
{
    (void)workload;
    return NULL;
}

/* ---- The fault ---- */

static void await_end(int64_t for_ns)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    if (for_ns < 0) {
        int signal;
        sigwait(&set, &signal);
        return;
    }
    struct timespec time = clock_timespec(for_ns);
    sigtimedwait(&set, NULL, &time);
}

static enum err_code inject(struct request *request, struct test *test, struct err *err)
{
    const struct nemesis *nemesis = request->plan.nemeses[0];
    struct prng prng = prng_stream(request->plan.seed, "nemesis");
    struct fault fault = {.id = 1, .nemesis = nemesis, .arena = test->arena};
    struct log *log = test->control->log;
    if (nemesis->check(test, err) != ERR_NONE)
        return err_wrap(err, "nemesis %s", nemesis->name);
    fault.asked = nemesis->choose(test, &prng, test->arena);
    fault.state = arena_zalloc(test->arena, nemesis->fault_state_size + 1);
    if (nemesis->begin(test, &fault, err) != ERR_NONE)
        return err->code;
    struct buf nodes = BUF_INIT;
    test_print_nodes(test, fault.nodes, &nodes);
    bool kills = strcmp(nemesis->name, "kill") == 0; /* what is dead cannot be undone by name */
    log_line(log, "%s of %s%s: %s%s", nemesis->name, buf_text(&nodes),
             fault.begun_verified == VERIFIED_YES ? "" : " (NOT verified)",
             buf_text(&fault.begun_evidence), kills ? "" : "; Ctrl-C undoes it");
    buf_free(&nodes);
    enum err_code code = ERR_NONE;
    if (!kills) {
        await_end(request->for_ns);
        code = nemesis->end(test, &fault, err);
        if (code == ERR_NONE)
            log_line(log, "undone%s: %s",
                     fault.ended_verified == VERIFIED_YES ? "" : " (NOT verified)",
                     buf_text(&fault.ended_evidence));
    }
    buf_free(&fault.begun_evidence);
    buf_free(&fault.ended_evidence);
    return code;
}

static enum err_code with_nodes(struct request *request, struct log *log, struct err *err)
{
    struct reach reach;
    const char *daemons[] = {request->process, NULL};
    const char *const none[] = {NULL};
    struct system by_name = {.name = "by hand",
                             .summary = "processes found by name",
                             .daemons = daemons,
                             .log_paths = none,
                             .install = nothing,
                             .start = cannot_start,
                             .ready = ready,
                             .wipe = nothing,
                             .client = no_client};
    request->plan.system = &by_name;
    if (reach_open(&request->plan, REACH_ATTACH, "ordeal nemesis", log, &reach, err) != ERR_NONE)
        return err->code;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct history history;
    history_init(&history);
    struct control control = {.log = log, .by_process_name = true};
    struct test test = {.plan = &request->plan,
                        .nodes = reach.nodes,
                        .node_count = reach.node_count,
                        .history = &history,
                        .arena = &reach.arena,
                        .epoch_ns = clock_monotonic_ns(),
                        .control = &control};
    control.test = &test;
    enum err_code code = control_open(&control, &reach.fleet_options, reach.owner, err);
    if (code == ERR_NONE)
        code = inject(request, &test, err);
    control_close(&control);
    history_free(&history);
    reach_close(&reach);
    return code;
}

static enum err_code prepare(struct request *request, struct err *err)
{
    if (request->nemesis == NULL)
        return err_set(err, ERR_CONFIG, "nemesis needs a name: ordeal nemesis partition halves");
    const struct nemesis *nemesis =
        plugin_resolve(nemeses, "nemesis", "nemeses", request->nemesis, err);
    if (nemesis == NULL)
        return err->code;
    if (request->argument != NULL) {
        if (nemesis->options == NULL || nemesis->options[0].name == NULL)
            return err_set(err, ERR_CONFIG, "the nemesis %s takes no argument", nemesis->name);
        const char *set = arena_printf(&request->plan.arena, "%s.%s=%s", nemesis->name,
                                       nemesis->options[0].name, request->argument);
        if (plan_set(&request->plan, "set", set, "nemesis", err) != ERR_NONE)
            return err->code;
    }
    static const char *const of_processes[] = {"kill", "pause", "slow", "memory", "files", "clock"};
    bool by_name = false;
    for (size_t i = 0; i < sizeof of_processes / sizeof *of_processes; i++)
        by_name = by_name || strcmp(nemesis->name, of_processes[i]) == 0;
    if (by_name && request->process == NULL)
        return err_set(err, ERR_CONFIG, "%s needs --process NAME: which processes?", nemesis->name);
    return by_hand_resolve(&request->plan, nemesis->name, err);
}

int cmd_nemesis(int argc, char **argv)
{
    struct request request = {.for_ns = -1};
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    bool help;
    plan_init(&request.plan);
    enum err_code code =
        cli_parse(argc, argv, by_hand_options(&arena, own_options), take, &request, &help, &err);
    if (code == ERR_NONE && !help)
        code = prepare(&request, &err);
    if (code == ERR_NONE && !help) {
        struct log *log = log_open(LOG_TALK);
        code = with_nodes(&request, log, &err);
        log_close(log);
    }
    plan_free(&request.plan);
    arena_free(&arena);
    if (help)
        return print_help();
    return code == ERR_NONE ? 0 : cli_fail(&err);
}
